"""The formats in which people have ratings, one module each, and finding them.

Belongs here: which files make a dataset, in which format they are, and what has to be done before they can be
read. Does not: reading rows; every format is described by `tables.Table`, so that the same readers (`movies`,
`rating_scan`) give the same typed blocks, rejects and line numbers whatever the format.

`movielens_csv`, `kaggle`, `movielens_100k`, `movielens_dat` and `parquet` are formats; `compressed` and `archive` are
what files of any of them may be packed in; `find` goes through a place; `unpacked` keeps copies of what cannot be read
where it is.
"""
