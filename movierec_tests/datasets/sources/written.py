"""The same table of ratings and movies, written in every format."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pyarrow as pa

from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.datasets.sources.find import find
from movierec_assets.datasets.sources.movielens_100k import GENRES
from movierec_tests.datasets.small_files import HEADER

Row = tuple[int, int, float, int]

TITLES = {1: "Straße, Die (1954)", 2: "Último tren (1995)", 3: 'Say "Hello": Now (2001)'}
"""With letters of Latin-1, a comma, quotes and a colon."""
GENRES_OF = {1: ["Comedy", "Drama"], 2: ["Film-Noir"], 3: ["Sci-Fi"]}


@dataclass(frozen=True)
class Written:
    """A function that writes the table into a directory, and the path to read it by."""

    name: str
    write: Callable[[Path, Sequence[Row]], Path]
    whole_stars: bool = False


def opened(path: Path, cache: Path) -> MovieLensFiles:
    """The dataset at a path, ready to be read."""
    return find(path).open(cache)


def iso(seconds: int, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """A time as ISO 8601."""
    return datetime.fromtimestamp(seconds, UTC).strftime(form)


def quoted(text: str) -> str:
    """A value of a CSV."""
    return '"' + text.replace('"', '""') + '"'


def movies_csv(directory: Path, name: str = "movies.csv", separator: str = ",") -> None:
    """Write the movies as CSV."""
    lines = [separator.join(("movieId", "title", "genres"))]
    lines += [separator.join((str(n), quoted(title), "|".join(GENRES_OF[n]))) for n, title in TITLES.items()]
    (directory / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _csv(
    header: str, line: Callable[[Row], str], name: str = "ratings.csv", movies: str = "movies.csv", end: str = "\n"
) -> Callable[[Path, Sequence[Row]], Path]:
    def write(directory: Path, rows: Sequence[Row]) -> Path:
        (directory / name).write_bytes("".join(text + end for text in [header, *map(line, rows)]).encode())
        movies_csv(directory, movies, ";" if ";" in header else ",")
        return directory

    return write


def _dat(encoding: str) -> Callable[[Path, Sequence[Row]], Path]:
    def write(directory: Path, rows: Sequence[Row]) -> Path:
        (directory / "ratings.dat").write_text("".join(f"{u}::{m}::{r:g}::{t}\n" for u, m, r, t in rows))
        lines = [f"{n}::{title}::{'|'.join(GENRES_OF[n])}\n" for n, title in TITLES.items()]
        (directory / "movies.dat").write_bytes("".join(lines).encode(encoding))
        return directory

    return write


def _hundred(directory: Path, rows: Sequence[Row]) -> Path:
    (directory / "u.data").write_text("".join(f"{u}\t{m}\t{r:.0f}\t{t}\n" for u, m, r, t in rows))
    flags = {n: "|".join(str(int(genre in GENRES_OF[n])) for genre in GENRES) for n in TITLES}
    lines = [f"{n}|{title}|01-Jan-1995||http://x/{n}|{flags[n]}\n" for n, title in TITLES.items()]
    (directory / "u.item").write_bytes("".join([*lines, "\n"]).encode("latin-1"))
    (directory / "u.genre").write_text("".join(f"{name}|{n}\n" for n, name in enumerate(GENRES)) + "\n")
    return directory


def _parquet(ids: type[pl.DataType], times: str) -> Callable[[Path, Sequence[Row]], Path]:
    def write(directory: Path, rows: Sequence[Row]) -> Path:
        frame = pl.DataFrame(rows, ["userId", "movieId", "rating", "timestamp"], orient="row")
        when = pl.from_epoch("timestamp")
        kinds = {"seconds": pl.col("timestamp"), "naive": when, "zoned": when.dt.convert_time_zone("Asia/Tokyo")}
        frame.with_columns(pl.col("userId", "movieId").cast(ids), timestamp=kinds[times]).write_parquet(
            directory / "ratings.parquet"
        )
        genres = list(GENRES_OF.values()) if times == "naive" else ["|".join(each) for each in GENRES_OF.values()]
        movies = pl.DataFrame({"movieId": list(TITLES), "title": list(TITLES.values()), "genres": genres})
        movies.write_parquet(directory / "movies.parquet")
        return directory

    return write


def plain(directory: Path, rows: Sequence[Row]) -> Path:
    """Write MovieLens CSV."""
    return _csv(HEADER, lambda row: "{},{},{},{}".format(*row))(directory, rows)


def _packed(suffix: str) -> Callable[[Path, Sequence[Row]], Path]:
    def write(directory: Path, rows: Sequence[Row]) -> Path:
        content = (plain(directory, rows) / "ratings.csv").read_bytes()
        (directory / "ratings.csv").unlink()
        packed = directory / f"ratings.csv.{suffix}"
        if suffix == "gz":
            packed.write_bytes(gzip.compress(content))
        else:
            with pa.output_stream(str(packed), compression="zstd") as out:
                out.write(content)
        return directory

    return write


def zipped(archive: Path, directory: Path, folder: str = "ml-made-up") -> Path:
    """Pack the files of a directory into a folder of an archive."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        for path in sorted(directory.iterdir()):
            out.write(path, f"{folder}/{path.name}" if folder else path.name)
    return archive


def _zip(directory: Path, rows: Sequence[Row]) -> Path:
    inner = directory / "inner"
    inner.mkdir()
    return zipped(directory / "made-up.zip", _dat("latin-1")(inner, rows))


def _one_folder(directory: Path, rows: Sequence[Row]) -> Path:
    (directory / "ml-1m" / "ml-1m").mkdir(parents=True)
    _hundred(directory / "ml-1m" / "ml-1m", rows)
    return directory


FORMATS = (
    Written("MovieLens CSV", plain),
    Written("floats", _csv(HEADER, lambda row: f"{row[0]:.1f},{row[1]:.1f},{row[2]},{row[3]}.0")),
    Written("exponents", _csv(HEADER, lambda row: f"{row[0]},{row[1]},{row[2]},{row[3]:.9E}")),
    Written("ISO", _csv(HEADER, lambda row: f"{row[0]},{row[1]},{row[2]},{iso(row[3])}")),
    Written(
        "ISO with zone",
        _csv(
            HEADER,
            lambda row: f"{row[0]},{row[1]},{row[2]},{iso(row[3] + 7200, '%Y-%m-%dT%H:%M:%S+02:00')}",
        ),
    ),
    Written(
        "semicolons and decimal commas",
        _csv(
            "\ufeffuserId;movieId;rating;timestamp",
            lambda row: f"{row[0]};{row[1]};{row[2]}".replace(".", ",") + f";{row[3]}",
            end="\r\n",
        ),
    ),
    Written(
        "a line sep=;",
        _csv("sep=;\r\nuser_id;movie_id;rating;timestamp", lambda row: ";".join(map(str, row)), end="\r\n"),
    ),
    Written("tabs", _csv("userId\tmovieId\trating\ttimestamp", lambda row: "\t".join(map(str, row)))),
    Written(
        "Kaggle",
        _csv(
            '"userId","movieId","rating","timestamp"',
            lambda row: f'{row[0]},{row[1]},{row[2]},"{iso(row[3])}"',
            "rating.csv",
            "movie.csv",
        ),
    ),
    Written("ml-1m", _dat("latin-1")),
    Written("ml-10m", _dat("utf-8")),
    Written("ml-100k", _hundred, whole_stars=True),
    Written("Parquet of integers", _parquet(pl.Int32, "seconds")),
    Written("Parquet of floats", _parquet(pl.Float64, "naive")),
    Written("Parquet with a zone", _parquet(pl.UInt16, "zoned")),
    Written("gzip", _packed("gz")),
    Written("Zstandard", _packed("zst")),
    Written("zip", _zip),
    Written("a folder in a folder", _one_folder, whole_stars=True),
)
