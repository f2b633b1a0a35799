"""MovieLens files: which releases exist, fetching, finding, reading and simulating them.

Belongs here: everything about the files. Does not: Dagster, the database and the settings; a data directory or a choice
is a parameter.

`releases` lists what GroupLens publishes, `download` fetches one, `locate` decides which dataset is meant, `sources`
has a module for each format and finds the dataset at a path, `file_format` describes how a file is written,
`movielens` is what other rooms import, `generator` simulates datasets of any size, `demo` is a simulation over real
films, and `generated` puts the files of both in place.
"""
