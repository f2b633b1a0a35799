"""MovieLens files: which releases there are, fetching them, finding them, reading them, making up others.

Belongs here: everything about the files. Does not: Dagster, the database and the settings; a data
directory or a choice is handed in as a value.

`releases` lists what GroupLens publishes, `download` fetches one, `locate` decides which dataset is meant, `sources`
has a module for each format and finds the dataset at a path, `tables` describes how a file is written, `movielens` is
the door to the layout and the readers, `generator` simulates datasets of any size, `demo` is a simulation over real
films, and `generated` puts the files of both in place.
"""
