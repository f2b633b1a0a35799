"""MovieLens files: which releases exist, fetching, finding, reading and simulating them.

Belongs here: everything about the files. Does not: Dagster, the database and the settings; a data directory or a choice
is a parameter.

`releases` lists the releases of GroupLens, `download` fetches one, `locate` decides which dataset is meant, `sources`
has a module for each format and finds datasets in a directory, `file_format` describes how a file is written,
`movielens` is what other rooms import, `demo` simulates users of real films, `generator` simulates users and films at
any size, and `generated` holds the code that both share.
"""
