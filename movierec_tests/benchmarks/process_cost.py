"""Time and memory of a command.

Belongs here: wall time, and memory of the process, of its children, and of the Postgres server that it uses.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from movierec_assets.host import CommandError

_SAMPLE_SECONDS = 0.1
_SECONDS_TO_END = 60

BACKEND = "Postgres, largest backend"
SERVER = "Postgres, all processes"
OTHER = "largest other process"

Peaks = dict[str, float]
"""Highest memory in MB, by name of process."""


@dataclass(frozen=True)
class MemorySample:
    """Memory of each process at one time.

    Attributes
    ----------
    at : float
        Unix seconds.
    megabytes : dict of float
        Resident memory by name of process. Postgres' processes share their buffers. The largest backend counts
        without them, all processes together count them once.
    """

    at: float
    megabytes: Peaks


@dataclass(frozen=True)
class Cost:
    """Time and memory of a command.

    Attributes
    ----------
    seconds : float
        Wall time.
    peaks : dict of float
        The peak that Linux recorded, or the highest sample.
    samples : tuple of MemorySample
    """

    seconds: float
    peaks: Peaks
    samples: tuple[MemorySample, ...] = ()

    def between(self, start: float, end: float) -> Peaks:
        """Peaks between two times in Unix seconds; the nearest samples where none lies between them."""
        within = [sample for sample in self.samples if start - _SAMPLE_SECONDS <= sample.at <= end + _SAMPLE_SECONDS]
        return highest(sample.megabytes for sample in within)


def highest(peaks_of_several: Iterator[Peaks] | Sequence[Peaks]) -> Peaks:
    """The highest value of each process."""
    found: Peaks = {}
    for peaks in peaks_of_several:
        for name, value in peaks.items():
            found[name] = max(found.get(name, 0.0), value)
    return found


def run(command: Sequence[str], environment: Mapping[str, str], *, name: str, postmaster: int | None = None) -> Cost:
    """Run a command and wait for its end; its output goes to standard error.

    Parameters
    ----------
    command : sequence of str
    environment : mapping of str
    name : str
        Name of the process in the result.
    postmaster : int, optional
        Process id of the main process of the Postgres server that it uses.

    Raises
    ------
    CommandError
        When the command fails.
    """
    sys.stderr.flush()
    started = time.perf_counter()
    with _stopped_at_the_end(subprocess.Popen(command, env=dict(environment), stdout=2)) as process:
        watch = _MemoryWatch(process.pid, name, postmaster)
        with watch.running():
            status = process.wait()
    seconds = time.perf_counter() - started
    if status:
        raise CommandError(f"The benchmark stopped: {name} ended with exit status {status}; its output above says why.")
    return Cost(seconds, watch.peaks(), tuple(watch.samples))


@contextmanager
def _stopped_at_the_end(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Stop the process if it still runs, as when the benchmark is interrupted."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_SECONDS_TO_END)
            process.kill()
            process.wait()


class _MemoryWatch:
    """Samples memory in a thread."""

    def __init__(self, pid: int, name: str, postmaster: int | None) -> None:
        self.samples: list[MemorySample] = []
        self._recorded: Peaks = {}
        self._pid, self._name, self._postmaster = pid, name, postmaster
        self._done = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self._sample_until_done, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            thread.join()

    def peaks(self) -> Peaks:
        return highest([self._recorded, *(sample.megabytes for sample in self.samples)])

    def _sample_until_done(self) -> None:
        while not self._done.wait(_SAMPLE_SECONDS):
            sample: Peaks = {}
            for process in _process_tree(self._pid):
                with suppress(psutil.Error, OSError):
                    name = self._name if process.pid == self._pid else _name_of(process)
                    sample = highest([sample, {name: process.memory_info().rss / 1e6}])
                    self._recorded = highest([self._recorded, {name: _recorded_peak(process.pid)}])
            if self._postmaster is not None:
                sample |= _postgres_memory(self._postmaster)
            self.samples.append(MemorySample(time.time(), sample))


def _process_tree(pid: int) -> list[psutil.Process]:
    with suppress(psutil.Error):
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    return []


def _name_of(process: psutil.Process) -> str:
    return "Dagster run" if "host.run_process" in " ".join(process.cmdline()) else OTHER


def _recorded_peak(pid: int) -> float:
    """Peak memory that Linux recorded of a process in MB; 0 on other systems."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return 0.0
    kilobytes = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
    return int(kilobytes[0]) * 1024 / 1e6 if kilobytes else 0.0


def _postgres_memory(postmaster: int) -> Peaks:
    own, shared = [0.0], [0.0]
    for process in _process_tree(postmaster):
        with suppress(psutil.Error):
            memory = process.memory_info()
            common = getattr(memory, "shared", 0)  # on Linux only
            own.append((memory.rss - common) / 1e6)
            shared.append(common / 1e6)
    return {BACKEND: max(own), SERVER: sum(own) + max(shared)}
