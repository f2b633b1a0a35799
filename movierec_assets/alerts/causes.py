"""What is wrong, from plain facts: a function of facts and time.

Belongs here: each kind of cause, with the words that people read. Does not: the facts (`facts`), reading them
(`defs.alerting`), and what was told about a cause already (`storage`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from movierec_assets.alerts.facts import EndedRun, Facts, FailedCheck, Ticks

RUN, CHECK, CHALLENGERS, STALE, TABLES, CHAMPION, DISK, CHANNEL, TICKS, DATASET = KINDS = (
    *("run", "check", "challengers", "stale", "tables", "champion", "disk", "channel", "ticks", "dataset"),
)
STREAK = 3
"""Challengers in a row that did not become champion, or ticks of a sensor that failed."""
FORGOTTEN = timedelta(days=30)
"""A failed run that is older, and was never repeated, is no cause any more."""
PATIENCE = timedelta(minutes=30)
"""Time for a cause that a run is about to remove, as after a night in which the machine slept."""
RESTARTED = timedelta(minutes=5)
"""Time in which servers are started again; ticks fail meanwhile."""
FREE_AGAIN = 1.1
"""Share of the limit that must be free for a disk to count as free again."""

_NOT_PROMOTED = ("kept", "rejected")
_JOBS_OF_THE_COMMAND = ("everything", "refresh", "train", "search", "publish", "feedback", "backtest")


@dataclass(frozen=True)
class Cause:
    """Something that is wrong now.

    Attributes
    ----------
    key : str
        The same for as long as it is the same cause.
    kind : str
        One of KINDS.
    title, reason, remedy : str
    run_id, step : str or None
    patience : timedelta
        Time for which it must last until it is told.
    silent_on : str or None
        Channel on which it is not told.
    """

    key: str
    kind: str
    title: str
    reason: str
    remedy: str
    run_id: str | None = None
    step: str | None = None
    patience: timedelta = timedelta(0)
    silent_on: str | None = None


def causes(facts: Facts, open_keys: Collection[str], now: datetime) -> list[Cause]:
    """Everything that is wrong, each cause once.

    Parameters
    ----------
    facts : Facts
    open_keys : collection of str
        Keys of the causes that were wrong before: a disk must be free by more than the limit to count as free again.
    now : datetime
    """
    found = [
        *_runs(facts, now),
        *map(_check, facts.checks),
        *_challengers(facts),
        *_stale(facts, now),
        *_tables(facts),
        *_champion(facts),
        *_disks(facts, open_keys),
        *(_channel(name, error) for name, error in facts.channels.items()),
        *_ticks(facts.ticks),
        *_dataset(facts),
    ]
    return list({cause.key: cause for cause in reversed(found)}.values())[::-1]


def _runs(facts: Facts, now: datetime) -> Iterator[Cause]:
    """Failed runs with a step that has not succeeded since; the newest run where several failed at one step."""
    done_since, jobs_since = set[str](), set[str]()
    for run in facts.runs:
        if now - run.ended < FORGOTTEN:
            left = [step for step in run.failed if step not in done_since]
            if left:
                yield _failed_at(run, left)
            elif run.error and not run.failed:
                rest = run.planned - run.done
                if not (rest <= done_since if rest else run.job in jobs_since):
                    yield _broken_off(run)
        done_since |= run.done
        if run.succeeded:
            jobs_since.add(run.job)


def _failed_at(run: EndedRun, left: Sequence[str]) -> Cause:
    others = f" ({', '.join(left[1:])} failed as well)" if len(left) > 1 else ""
    return Cause(
        key=f"run:{left[0]}",
        kind=RUN,
        title=f"{run.job} failed at {left[0]}{others}",
        reason=run.failed[left[0]],
        remedy=_again(run.job),
        run_id=run.run_id,
        step=left[0],
    )


def _broken_off(run: EndedRun) -> Cause:
    return Cause(
        key=f"run:{run.job}",
        kind=RUN,
        title=f"{run.job} was broken off",
        reason=run.error,
        remedy=_again(run.job),
        run_id=run.run_id,
    )


def _again(job: str) -> str:
    if job not in _JOBS_OF_THE_COMMAND:
        return "Put right what the run names, then launch it again in Dagster."
    return f"Put right what the run names, then run `movierec run --job {job}`, or wait for its next run."


def _check(check: FailedCheck) -> Cause:
    return Cause(
        key=f"check:{check.asset}:{check.check}",
        kind=CHECK,
        title=f"{check.asset} failed the check {check.check}",
        reason=check.description,
        remedy="Nothing after it was made; champion and recommendations are those from before. The description of the "
        "check in Dagster says what it guards. It is evaluated again with the next run of its asset.",
        run_id=check.run_id,
        step=check.asset,
    )


def _challengers(facts: Facts) -> Iterator[Cause]:
    latest = facts.decisions[:STREAK]
    if len(latest) == STREAK and all(each.outcome in _NOT_PROMOTED for each in latest):
        yield Cause(
            key=CHALLENGERS,
            kind=CHALLENGERS,
            title=f"{STREAK} challengers in a row did not become champion",
            reason=" ".join(f"Version {each.version} was {each.outcome}: {each.reason}" for each in latest),
            remedy="The champion goes on serving. `movierec model list` shows the versions and any hold; "
            "`movierec run --job search` looks for a better recipe.",
        )


def _stale(facts: Facts, now: datetime) -> Iterator[Cause]:
    """All stale assets are one cause, because one failure makes everything after it stale."""
    aged = {asset: now - at for asset, at in facts.made_at.items() if now - at > facts.fresh_for[asset]}
    if not aged:
        return
    first = max(aged, key=lambda asset: aged[asset])
    others = f" and {len(aged) - 1} more" if len(aged) > 1 else ""
    ages = ", ".join(f"{asset} {age.total_seconds() / 3600:.0f}" for asset, age in aged.items())
    yield Cause(
        key=STALE,
        kind=STALE,
        title=f"{first}{others} {'are' if others else 'is'} stale",
        reason=f"Hours since it was made or found unchanged: {ages}. That is to be every night.",
        remedy="`movierec status` shows whether the schedules are on and how their last runs ended; `movierec run` "
        "makes everything now.",
        step=first,
        patience=PATIENCE,
    )


def _tables(facts: Facts) -> Iterator[Cause]:
    carried = {table: version for table, version in facts.served.items() if version is not None}
    if facts.champion is not None and any(version != facts.champion for version in carried.values()):
        listed = ", ".join(f"{table} {version}" for table, version in carried.items())
        yield Cause(
            key=TABLES,
            kind=TABLES,
            title=f"The tables of recommendations do not carry champion {facts.champion}",
            reason=f"They carry: {listed}.",
            remedy="See in Dagster why the last run of `publish` failed or the sensor champion_sensor requests none; "
            "`movierec run --job publish` writes them now.",
            patience=PATIENCE,
        )


def _champion(facts: Facts) -> Iterator[Cause]:
    if facts.loss is not None:
        yield Cause(
            key=CHAMPION,
            kind=CHAMPION,
            title="The champion was lost",
            reason=facts.loss,
            remedy="`movierec model list` shows the versions; `movierec model promote N` makes one the champion. The "
            "API goes on with the last champion.",
        )


def _disks(facts: Facts, open_keys: Collection[str]) -> Iterator[Cause]:
    for directory, free in facts.free.items():
        key = f"{DISK}:{directory}"
        if free < facts.min_free * (FREE_AGAIN if key in open_keys else 1):
            yield Cause(
                key=key,
                kind=DISK,
                title=f"The disk of {directory} is nearly full",
                reason=f"{_size(free)} are free, fewer than {_size(facts.min_free)} (MOVIEREC_MIN_FREE_DISK).",
                remedy="Free space, or move the directory. The job `maintenance` removes what nothing needs, from "
                "MOVIEREC_KEEP_DAYS days on; fewer MOVIEREC_BACKUPS_KEPT need less.",
            )


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _channel(name: str, error: str) -> Cause:
    return Cause(
        key=f"{CHANNEL}:{name}",
        kind=CHANNEL,
        title=f"Alerts by {name} do not arrive",
        reason=error,
        remedy="Each is tried for a day. Correct the settings MOVIEREC_ALERT_*, then try `movierec alert test`; "
        f"`movierec alert list` shows what {name} did not tell.",
        silent_on=name,
    )


def _ticks(found: Sequence[Ticks]) -> Iterator[Cause]:
    """A schedule whose latest tick failed, and a sensor whose latest ticks did: it ticks twice a minute."""
    for ticks in found:
        needed = 1 if ticks.is_schedule else STREAK
        latest = ticks.errors[:needed]
        if len(latest) == needed and all(error is not None for error in latest):
            what = "schedule" if ticks.is_schedule else "sensor"
            again = "at its next time" if ticks.is_schedule else "by itself"
            yield Cause(
                key=f"{TICKS}:{ticks.name}",
                kind=TICKS,
                title=f"The {what} {ticks.name} fails, and starts nothing",
                reason=str(latest[0]),
                remedy=f"Put right what the error names; the {what} is evaluated again {again}. Its page in Dagster "
                "(Automation) has the whole error. `movierec run --job` starts a job meanwhile.",
                patience=RESTARTED,
            )


def _dataset(facts: Facts) -> Iterator[Cause]:
    if facts.absent is not None:
        yield Cause(
            key=DATASET,
            kind=DATASET,
            title="Files of another dataset are in the place of the loaded one"
            if facts.absent.replaced
            else "The files of the loaded dataset are gone",
            reason=facts.absent.reason,
            remedy="Put the files back into data/. To load another dataset, set MOVIEREC_DATASET, or use "
            "`movierec run --dataset`.",
            patience=PATIENCE,
        )
