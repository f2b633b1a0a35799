"""Claims about fetching a release, against a real HTTP server on loopback."""

from __future__ import annotations

import hashlib
import io
import socket
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from movierec_assets.datasets.download import download
from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.datasets.releases import RELEASES, Release

NAME = "ml-test"
RATINGS = b"userId,movieId,rating,timestamp\n" + b"".join(b"%d,1,4.0,%d\n" % (n, n * 7919) for n in range(1, 20_000))
FILES = {
    f"{NAME}/ratings.csv": RATINGS,
    f"{NAME}/movies.csv": b"movieId,title,genres\n1,Heat (1995),Crime\n",
    f"{NAME}/README.txt": b"terms",
    f"{NAME}/genome-scores.csv": b"not needed",
}


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def release_of(archive: bytes, md5: str | None = None, size: int | None = None) -> Release:
    digest = hashlib.md5(archive, usedforsecurity=False).hexdigest()
    return Release(NAME, size or len(archive), 1, 1, 1, "none", md5=md5 or digest)


class Server(ThreadingHTTPServer):
    """Serves one archive; can ignore ranges and break off after a number of bytes."""

    daemon_threads = True

    def __init__(self, archive: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.archive = archive
        self.ranges = True
        self.other_range = False
        self.break_off_after: list[int] = []
        self.requested: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/movielens/"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.requested.append(asked)
        if self.path != f"/movielens/{NAME}.zip":
            self.send_error(404)
            return
        whole = self.server.archive
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.server.ranges else 0
        if start and start >= len(whole):
            self.send_error(416)
            return
        self.send_response(206 if asked and self.server.ranges else 200)
        if self.server.other_range:
            start = 0
        if asked and self.server.ranges:
            self.send_header("Content-Range", f"bytes {start}-{len(whole) - 1}/{len(whole)}")
        self.send_header("Content-Length", str(len(whole) - start))
        self.end_headers()
        stop = start + self.server.break_off_after.pop(0) if self.server.break_off_after else len(whole)
        self.wfile.write(whole[start:stop])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    serving = Server(zipped(FILES))
    thread = threading.Thread(target=serving.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield serving
    serving.shutdown()
    serving.server_close()
    thread.join()


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def test_a_release_is_fetched_checked_and_unpacked(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    release = release_of(server.archive)
    place = download(release, tmp_path / "data", lambda done, total: seen.append((done, total)), server.url)
    assert place == tmp_path / "data" / NAME
    assert MovieLensFiles.at(place).ratings.read_bytes() == RATINGS
    assert names(place) == {"ratings.csv", "movies.csv", "README.txt"}
    assert names(place.parent) == {NAME}
    assert place.stat().st_mode & 0o777 == 0o755
    assert seen[-1] == (len(server.archive), len(server.archive))


def test_a_release_in_another_format_and_folder_is_fetched_once(server: Server, tmp_path: Path) -> None:
    films = {"inside/ratings.dat": b"1::1::4::978562356\n", "inside/movies.dat": b"1::Heat (1995)::Crime\n"}
    server.archive = zipped({**films, "inside/users.dat": b"1::F::1::10::00000\n", "inside/README": b"terms"})
    md5 = hashlib.md5(server.archive, usedforsecurity=False).hexdigest()
    release = Release(NAME, len(server.archive), 1, 1, 1, "none", md5=md5, folder="inside")
    for _ in range(2):
        place = download(release, tmp_path, base_url=server.url)
    assert names(place) == {"ratings.dat", "movies.dat", "README"}
    assert len(server.requested) == 1


def test_a_release_that_is_there_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    release = release_of(server.archive)
    for _ in range(2):
        download(release, tmp_path, base_url=server.url)
    assert len(server.requested) == 1


def test_an_interrupted_transfer_resumes_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.break_off_after = [50_000]
    place = download(release_of(server.archive), tmp_path, base_url=server.url)
    assert server.requested == [None, f"bytes={3 << 14}-"]
    assert (place / "ratings.csv").read_bytes() == RATINGS


def test_a_transfer_that_keeps_breaking_off_says_so_and_the_next_call_resumes(server: Server, tmp_path: Path) -> None:
    server.break_off_after = [20_000, 10, 20_000]
    release = release_of(server.archive)
    with pytest.raises(DatasetError, match=r"broke off after 32,768 of [\d,]+ bytes.*again to resume"):
        download(release, tmp_path, base_url=server.url)
    assert (tmp_path / f"{NAME}.zip.part").read_bytes() == server.archive[: 2 << 14]
    place = download(release, tmp_path, base_url=server.url)
    assert server.requested[-1] == f"bytes={2 << 14}-"
    assert (place / "ratings.csv").read_bytes() == RATINGS


def test_a_server_that_ignores_ranges_starts_over(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    (tmp_path / f"{NAME}.zip.part").write_bytes(server.archive[:700])
    place = download(release_of(server.archive), tmp_path, base_url=server.url)
    assert server.requested == ["bytes=700-"]
    assert (place / "ratings.csv").read_bytes() == RATINGS


def test_a_server_that_answers_another_range_starts_over(server: Server, tmp_path: Path) -> None:
    server.other_range = True
    (tmp_path / f"{NAME}.zip.part").write_bytes(server.archive[:700])
    place = download(release_of(server.archive), tmp_path, base_url=server.url)
    assert (place / "ratings.csv").read_bytes() == RATINGS


def test_a_complete_part_file_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.zip.part").write_bytes(server.archive)
    download(release_of(server.archive), tmp_path, base_url=server.url)
    assert server.requested == []


def test_a_part_file_longer_than_the_archive_is_thrown_away(server: Server, tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.zip.part").write_bytes(server.archive + b"more")
    download(release_of(server.archive), tmp_path, base_url=server.url)
    assert server.requested == [None]


def test_a_bad_part_file_is_found_out_and_the_next_call_succeeds(server: Server, tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.zip.part").write_bytes(b"x" * 700)
    release = release_of(server.archive)
    with pytest.raises(DatasetError, match=r"md5 is \w{32}, the published one is \w{32}.*deleted"):
        download(release, tmp_path, base_url=server.url)
    assert names(tmp_path) == set()
    assert download(release, tmp_path, base_url=server.url).is_dir()


def test_an_archive_with_another_md5_is_refused_and_nothing_is_left(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=f"the published one is {'0' * 32}"):
        download(release_of(server.archive, md5="0" * 32), tmp_path, base_url=server.url)
    assert names(tmp_path) == set()


def test_a_sha256_is_checked_where_it_is_known(server: Server, tmp_path: Path) -> None:
    release = Release(NAME, len(server.archive), 1, 1, 1, "none", sha256="0" * 64)
    with pytest.raises(DatasetError, match="sha256 is"):
        download(release, tmp_path, base_url=server.url)


@pytest.mark.parametrize("difference", [-10, 10])
def test_an_archive_of_another_size_is_refused(server: Server, tmp_path: Path, difference: int) -> None:
    release = release_of(server.archive, size=len(server.archive) + difference)
    with pytest.raises(DatasetError, match="the published archive has"):
        download(release, tmp_path, base_url=server.url)
    assert names(tmp_path) == set()


def test_an_archive_that_is_not_there_is_named_with_its_address(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=rf"{server.url}elsewhere/{NAME}.zip answers 404"):
        download(release_of(server.archive), tmp_path, base_url=server.url + "elsewhere")


def test_without_network_the_message_says_what_to_do(server: Server, tmp_path: Path) -> None:
    with socket.socket() as unused:  # bound and not listening: connections are refused
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        with pytest.raises(DatasetError) as caught:
            download(release_of(server.archive), tmp_path, base_url=address)
    assert str(caught.value) == (
        f"{NAME}: cannot reach 127.0.0.1 (Connection refused). Download the archive on another machine and unpack "
        f"it into {tmp_path / NAME}, or choose --dataset demo."
    )


def test_without_network_what_was_transferred_before_is_kept(server: Server, tmp_path: Path) -> None:
    part = tmp_path / f"{NAME}.zip.part"
    part.write_bytes(server.archive[:700])
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        with pytest.raises(DatasetError, match=r"cannot reach 127\.0\.0\.1"):
            download(release_of(server.archive), tmp_path, base_url=address)
    assert part.read_bytes() == server.archive[:700]


def test_a_disk_that_is_too_small_is_refused_before_anything_is_fetched(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"MB are needed in .* MB are free"):
        download(release_of(server.archive, size=10**18), tmp_path, base_url=server.url)
    assert server.requested == []


def test_a_data_directory_that_cannot_be_written_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DatasetError, match=rf"cannot write to {tmp_path / 'file' / 'data'}"):
        download(release_of(server.archive), tmp_path / "file" / "data", base_url=server.url)


def test_nothing_in_an_archive_can_name_a_place_outside(server: Server, tmp_path: Path) -> None:
    outside = {
        "../ratings.csv": b"evil",
        f"{NAME}/../../movies.csv": b"evil",
        "/tmp/movierec-evil/ratings.csv": b"evil",
        f"{NAME}/../ratings.csv": b"evil",
        f"{NAME}/deep/ratings.csv": b"evil",
    }
    server.archive = zipped({**FILES, **outside})
    place = download(release_of(server.archive), tmp_path / "in" / "data", base_url=server.url)
    assert (place / "ratings.csv").read_bytes() == RATINGS
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {
        "ratings.csv",
        "movies.csv",
        "README.txt",
    }
    assert len(list(tmp_path.rglob("ratings.csv"))) == 1


@pytest.mark.parametrize(
    ("archive", "message"),
    [
        (b"not a zip" * 50, "cannot be unpacked"),
        (zipped({f"{NAME}/ratings.csv": RATINGS}), r"cannot be unpacked \(.*movies.csv missing"),
    ],
)
def test_an_archive_without_the_files_leaves_nothing_behind(
    server: Server, tmp_path: Path, archive: bytes, message: str
) -> None:
    server.archive = archive
    with pytest.raises(DatasetError, match=message):
        download(release_of(archive), tmp_path, base_url=server.url)
    assert names(tmp_path) == set()


def test_a_directory_in_the_way_is_not_overwritten(server: Server, tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / "notes.txt").write_text("mine")
    with pytest.raises(DatasetError, match=r"in the way.*Remove it"):
        download(release_of(server.archive), tmp_path, base_url=server.url)
    assert names(tmp_path / NAME) == {"notes.txt"}


def test_leftovers_of_a_killed_process_are_cleared_away(server: Server, tmp_path: Path) -> None:
    (tmp_path / f".{NAME}.unpack-dead").mkdir()
    (tmp_path / f".{NAME}.unpack-dead" / "ratings.csv").write_text("half")
    (tmp_path / NAME).mkdir()
    download(release_of(server.archive), tmp_path, base_url=server.url)
    assert names(tmp_path) == {NAME}


def test_several_at_once_fetch_once_and_all_get_the_whole_release(server: Server, tmp_path: Path) -> None:
    release = release_of(server.archive)
    found: list[bytes] = []

    def fetch() -> None:
        found.append((download(release, tmp_path, base_url=server.url) / "ratings.csv").read_bytes())

    threads = [threading.Thread(target=fetch) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [RATINGS] * 5
    assert len(server.requested) == 1


def test_every_known_release_has_a_well_formed_checksum_and_address() -> None:
    assert list(RELEASES) == ["ml-100k", "ml-1m", "ml-10m", "ml-latest-small", "ml-20m", "ml-25m", "ml-32m"]
    for name, release in RELEASES.items():
        assert release.url == f"https://files.grouplens.org/datasets/movielens/{name}.zip"
        assert release.md5 is None or len(bytes.fromhex(release.md5)) == 16
        assert release.sha256 is None or len(bytes.fromhex(release.sha256)) == 32
    assert RELEASES["ml-20m"].md5 == "cd245b17a1ae2cc31bb14903e1204af3"


def test_a_release_without_any_checksum_cannot_be_written_down() -> None:
    with pytest.raises(ValueError, match="needs a checksum"):
        Release("x", 1, 1, 1, 1, "none")
