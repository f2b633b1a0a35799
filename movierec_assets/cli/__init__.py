"""The `movierec` command: arguments in, text for people out.

Belongs here: one module a command, what they print, and `main`, the entry point. What a command does is in `host`,
`serving` and the rooms below.
"""
