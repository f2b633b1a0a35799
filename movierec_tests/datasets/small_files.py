"""Small files in MovieLens layout, and the ratings that are read from them."""

from __future__ import annotations

from pathlib import Path

from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.datasets.ratings import Ratings, read_ratings

NOW = 1_700_000_000
KNOWN = [1, 2, 3, 2**31 - 1]
HEADER = "userId,movieId,rating,timestamp"


def dataset(directory: Path, ratings: str | bytes, movies: str | bytes | None = None, links: str | None = None) -> Path:
    def write(name: str, content: str | bytes) -> None:
        (directory / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    directory.mkdir(parents=True, exist_ok=True)
    write("ratings.csv", ratings)
    write("movies.csv", "movieId,title,genres\n1,Toy Story (1995),Comedy\n" if movies is None else movies)
    if links is not None:
        write("links.csv", links)
    return directory


def read(directory: Path, ratings: str | bytes, block_bytes: int = 1 << 16) -> Ratings:
    return read_ratings(MovieLensFiles.at(dataset(directory, ratings)), KNOWN, now=NOW, block_bytes=block_bytes)


def rows(ratings: Ratings) -> list[tuple[int, int, float, int]]:
    return list(zip(*(column.tolist() for column in vars(ratings.columns).values()), strict=True))


def body(*lines: str, end: str = "\n") -> str:
    return end.join([HEADER, *lines, ""])


def only_reject(directory: Path, line: str) -> str:
    """Reason given for one bad line between two good ones; checks that both of those load."""
    ratings = read(directory, body("1,1,4.0,100", line, "1,2,3.5,200"))
    assert rows(ratings) == [(1, 1, 4.0, 100), (1, 2, 3.5, 200)]
    assert ratings.rows_read == 3
    assert list(ratings.rejects.rows()) == [("ratings.csv", 3, line.strip("\r"), ratings.rejects.reason[0])]
    return ratings.rejects.reason[0]
