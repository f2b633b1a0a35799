"""MovieLens files: which releases there are, fetching them, finding them, reading them, making up others.

Belongs here: everything about the files. Does not: Dagster, the database and the settings; a data
directory or a choice is handed in as a value.

`releases` lists what GroupLens publishes, `download` fetches one, `locate` decides which dataset is meant, `sources`
has a module for each format and finds what a place holds, `tables` describes how a file is written, `movielens` is the
door to the layout and the readers, `demo` simulates users of real films, `generator` makes up everything at any size,
and `generated` is what the two have in common on disk.
"""
