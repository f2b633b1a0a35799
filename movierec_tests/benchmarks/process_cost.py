"""Running a command while watching what it costs.

Belongs here: wall time and memory of a process, of all it starts, and of the Postgres server it uses.
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
_PATIENCE_SECONDS = 60

BACKEND = "Postgres, largest backend"
SERVER = "Postgres, all processes"
HELPER = "helper, largest"

Peaks = dict[str, float]
"""Highest memory in MB by what the process is."""


@dataclass(frozen=True)
class Sample:
    """Memory of each process at one time.

    Attributes
    ----------
    at : float
        Unix seconds.
    megabytes : dict of float
        Resident memory by what the process is. Of Postgres, whose processes share their buffers, the largest backend
        counts without what it shares, and all processes together with it once.
    """

    at: float
    megabytes: Peaks


@dataclass(frozen=True)
class Cost:
    """What a command took.

    Attributes
    ----------
    seconds : float
        Wall time.
    peaks : dict of float
        As the system recorded them where it does so, else the highest of the samples.
    samples : tuple of Sample
    """

    seconds: float
    peaks: Peaks
    samples: tuple[Sample, ...] = ()

    def between(self, start: float, end: float) -> Peaks:
        """Peaks within a span of Unix seconds; of a span shorter than the time between samples, the nearest ones."""
        within = [sample for sample in self.samples if start - _SAMPLE_SECONDS <= sample.at <= end + _SAMPLE_SECONDS]
        return highest(sample.megabytes for sample in within)


def highest(several: Iterator[Peaks] | Sequence[Peaks]) -> Peaks:
    """The highest of each process."""
    found: Peaks = {}
    for peaks in several:
        for name, value in peaks.items():
            found[name] = max(found.get(name, 0.0), value)
    return found


def run(command: Sequence[str], environment: Mapping[str, str], *, name: str, postmaster: int | None = None) -> Cost:
    """Run a command to its end; what it prints goes to standard error.

    Parameters
    ----------
    command : sequence of str
    environment : mapping of str
    name : str
        What the process is, in the result.
    postmaster : int, optional
        Main process of the Postgres server that it uses.

    Raises
    ------
    CommandError
        When it fails; it has said why.
    """
    sys.stderr.flush()
    started = time.perf_counter()
    with _ended(subprocess.Popen(command, env=dict(environment), stdout=2)) as process:
        watch = _Watch(process.pid, name, postmaster)
        with watch.running():
            status = process.wait()
    seconds = time.perf_counter() - started
    if status:
        raise CommandError(f"The benchmark stopped: {name} ended with exit status {status}; see what it says above.")
    return Cost(seconds, watch.peaks(), tuple(watch.samples))


@contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """See to it that an interrupted benchmark leaves no process behind."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_PATIENCE_SECONDS)
            process.kill()
            process.wait()


class _Watch:
    """Samples memory in a thread of its own."""

    def __init__(self, pid: int, name: str, postmaster: int | None) -> None:
        self.samples: list[Sample] = []
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
            for process in _family(self._pid):
                with suppress(psutil.Error, OSError):
                    name = self._name if process.pid == self._pid else _kind(process)
                    sample = highest([sample, {name: process.memory_info().rss / 1e6}])
                    self._recorded = highest([self._recorded, {name: _recorded_peak(process.pid)}])
            if self._postmaster is not None:
                sample |= _postgres(self._postmaster)
            self.samples.append(Sample(time.time(), sample))


def _family(pid: int) -> list[psutil.Process]:
    with suppress(psutil.Error):
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    return []


def _kind(process: psutil.Process) -> str:
    return "Dagster run" if "job execute" in " ".join(process.cmdline()) else HELPER


def _recorded_peak(pid: int) -> float:
    """Peak that Linux keeps of a process, so that nothing between two samples is missed; elsewhere 0."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return 0.0
    kilobytes = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
    return int(kilobytes[0]) * 1024 / 1e6 if kilobytes else 0.0


def _postgres(postmaster: int) -> Peaks:
    own, shared = [0.0], [0.0]
    for process in _family(postmaster):
        with suppress(psutil.Error):
            memory = process.memory_info()
            common = getattr(memory, "shared", 0)  # told on Linux only
            own.append((memory.rss - common) / 1e6)
            shared.append(common / 1e6)
    return {BACKEND: max(own), SERVER: sum(own) + max(shared)}
