"""MovieLens files: which releases there are, fetching them, finding them, reading them, making a demo set.

What belongs here: everything about the files. What does not: Dagster, the database and the settings; a data
directory or a choice is handed in as a value.

`releases` lists what GroupLens publishes, `download` fetches one, `locate` decides which dataset is meant,
`movielens` is the door to the layout and the readers, `demo` generates a small set.
"""
