"""The formats of ratings, one module each, and finding datasets in them.

Belongs here: the files of a dataset, their format, and unpacking. Does not: reading rows. `file_format.Table` describes
every format, so that the same readers (`movies`, `rating_scan`) give the same typed blocks, rejects and line numbers.

`movielens_csv`, `kaggle`, `movielens_100k`, `movielens_dat` and `parquet` are formats. `contract` is their description,
`compressed` and `archive` unpack files of any of them, `find` finds a dataset at a path, and `unpacked` keeps copies of
files that cannot be read as they are.
"""
