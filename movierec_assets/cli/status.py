"""`movierec status`: the state of the platform on one screen.

Belongs here: options and text. Does not: reading the state (`host.status`, `host.automation_status`).
"""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from movierec_assets.cli.shared import console_for_people, console_log, print_json, settings_from

if TYPE_CHECKING:
    from movierec_assets.alerts.storage import Alert
    from movierec_assets.backup.kept import BackupState
    from movierec_assets.host.status import ChampionState, Status
    from movierec_assets.serving.automation import Automation, JobRun, ScheduleState
    from movierec_assets.tables.disk_use import DiskUse
    from movierec_assets.tables.loaded_data import LoadedData

_SHOWN_RUNS = 8
_SHOWN_ALERTS = 5
_COLOURS = {"success": "green", "failure": "red", "canceled": "yellow"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(as_json: bool) -> None:
    """Show data, champion, last runs, next ticks, alerts, disk and backups on one screen.

    Times are in MOVIEREC_TIMEZONE. A part that does not answer is named with the reason; the exit status is 1 only when
    the ratings database does not answer.
    """
    from movierec_assets.host.environment import running_databases
    from movierec_assets.host.status import status_of

    with running_databases(settings_from(), console_log(Console(stderr=True))) as settings:
        found = status_of(settings, datetime.now(UTC))
        if as_json:
            print_json(found.as_dict())
        else:
            show(found, ZoneInfo(settings.timezone), console_for_people())


def show(found: Status, zone: tzinfo, console: Console) -> None:
    """Print a status, with times in a zone."""
    when = _Clock(found.at, zone)
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    parts = {
        "data": ("Data", _data(found.data, when, files_are_gone=bool(found.files_are_gone))),
        "champion": ("Champion", _champion(found.champion, when)),
        "automation": ("Automation", _automation(found.automation, when)),
        "alerts": ("Alerts", _alerts(found.alerts, when)),
        "disk": ("Disk", _disk(found.disk)),
        "backup": ("Backup", _backup(found.backup, when)),
    }
    for name, (title, lines) in parts.items():
        problem = found.unreadable.get(name)
        grid.add_row(title, "\n".join(lines if problem is None else [f"[red]cannot be read: {escape(problem)}[/]"]))
    console.print(grid)
    if found.automation is not None:
        console.print(_runs(found.automation.runs, when))
        console.print(_ticks(found.automation, when))


class _Clock:
    """Times in the zone of the schedules, with the time from or to now."""

    def __init__(self, now: datetime, zone: tzinfo) -> None:
        self._now = now
        self._zone = zone

    def at(self, moment: datetime) -> str:
        """As in 2026-01-31 02:00."""
        return f"{moment.astimezone(self._zone):%Y-%m-%d %H:%M}"

    def ago(self, moment: datetime) -> str:
        """As in 2026-01-31 02:00 (3 h ago)."""
        return f"{self.at(moment)} ({duration((self._now - moment).total_seconds())} ago)"

    def ahead(self, moment: datetime) -> str:
        """As in 2026-01-31 02:00 (in 3 h)."""
        return f"{self.at(moment)} (in {duration((moment - self._now).total_seconds())})"


def duration(seconds: float) -> str:
    """A length of time in its largest unit, or its two largest ones where the first is small."""
    for unit, size, smaller, part in (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1)):
        if seconds >= size:
            whole, rest = divmod(int(seconds), size)
            return f"{whole} {unit} {rest // part} {smaller}" if whole < 3 and rest // part else f"{whole} {unit}"
    return f"{max(0, round(seconds))} s"


def _data(data: LoadedData | None, when: _Clock, *, files_are_gone: bool) -> list[str]:
    if data is None:
        return ["nothing is loaded; `movierec run` loads a dataset, trains and recommends"]
    counts = f"{data.ratings:,} ratings of {data.movies:,} movies by {data.users:,} users"
    rejected = f"; {data.rejected:,} rows rejected" if data.rejected else ""
    lines = [f"{escape(data.dataset)}: {counts}{rejected}", f"loaded {when.ago(data.loaded_at)}"]
    if files_are_gone:
        lines.append(
            "its files are gone, or another dataset is in their place: put them back, or choose a dataset "
            "(MOVIEREC_DATASET)"
        )
    if data.app_ratings and data.latest_app_rating is not None:
        lines.append(f"{data.app_ratings:,} ratings from the app, the latest {when.ago(data.latest_app_rating)}")
    return lines


def _champion(champion: ChampionState | None, when: _Clock) -> list[str]:
    if champion is None:
        return []
    problem = [f"[red]{escape(champion.problem)}[/]"] if champion.problem else []
    if champion.version is None:
        return problem or ["none yet; `movierec run` trains one"]
    since = f" since {when.ago(champion.since)}" if champion.since else ""
    outcome = f", {champion.outcome}" if champion.outcome else ""
    lines = [f"version {champion.version}{since}{outcome}"]
    trained = f"trained {when.ago(champion.trained)}" if champion.trained else ""
    ndcg = f"NDCG@10 {champion.ndcg_at_10:.4f}" if champion.ndcg_at_10 is not None else ""
    newer = f"{champion.new_ratings:,} ratings from the app are newer" if champion.new_ratings else ""
    lines += [", ".join(part for part in (trained, ndcg, newer) if part)]
    carried = {version for version in champion.served.values() if version is not None}
    if carried != {champion.version}:
        tables = ", ".join(f"{name}: {version or 'no rows'}" for name, version in champion.served.items())
        lines.append(f"[yellow]the tables of recommendations carry other versions ({tables})[/]")
    return [line for line in [*lines, *problem] if line]


def _automation(automation: Automation | None, when: _Clock) -> list[str]:
    if automation is None:
        return []
    if automation.daemon_seen is None:
        lines = ["[yellow]Dagster's daemon never ran here, so nothing starts by itself; `movierec up` starts it[/]"]
    elif not automation.daemon_up:
        seen = when.ago(automation.daemon_seen)
        lines = [f"[yellow]Dagster's daemon is down since {seen}; until `movierec up` nothing starts by itself[/]"]
    else:
        lines = ["Dagster's daemon is up"]
    switched = {each.name: each.on for each in automation.schedules}
    switched |= {each.name: each.on for each in automation.sensors}
    off = [name for name, on in switched.items() if not on]
    if automation.daemon_seen is not None:
        lines.append(
            f"[yellow]off: {', '.join(off)}[/]" if off else f"all {len(switched)} schedules and sensors are on"
        )
    lines += [f"[red]{each.name}: {escape(each.problem)}[/]" for each in automation.sensors if each.problem]
    return lines


def _alerts(alerts: list[Alert] | None, when: _Clock) -> list[str]:
    if not alerts:
        return ["none is open"]
    lines = [f"[red]{escape(each.title)}[/], since {when.ago(each.since)}" for each in alerts[:_SHOWN_ALERTS]]
    more = len(alerts) - _SHOWN_ALERTS
    return [*lines, f"[dim]{f'and {more} more; ' if more > 0 else ''}`movierec alert list` has reason and remedy[/]"]


def _disk(disk: DiskUse | None) -> list[str]:
    if disk is None:
        return []
    postgres = (
        "[dim]the disk of this Postgres server is not seen from here: watch it there[/]"
        if disk.postgres_free is None
        else f"{_bytes(disk.postgres_free)} free where Postgres keeps its data"
    )
    return [
        f"{_bytes(disk.free)} free of {_bytes(disk.total)}; the state directory has {_bytes(disk.state)}, "
        f"the databases have {_bytes(disk.databases)}",
        postgres,
    ]


def _backup(backup: BackupState | None, when: _Clock) -> list[str]:
    if backup is None:
        return ["none yet; `movierec backup FILE` makes one"]
    return [f"{when.ago(backup.made)}, {_bytes(backup.size)}, {backup.kept} kept", escape(str(backup.file))]


def _runs(runs: list[JobRun], when: _Clock) -> Table:
    table = Table("job", "run", "state", "when", "took", "why", title="Latest run of each job", title_justify="left")
    for run in runs[:_SHOWN_RUNS]:
        colour = _COLOURS.get(run.status, "cyan")
        took = "" if run.seconds is None else duration(run.seconds)
        state = f"[{colour}]{run.status}[/]"
        table.add_row(escape(run.job), run.run_id[:8], state, when.ago(run.at), took, escape(run.problem))
    return table


def _ticks(automation: Automation, when: _Clock) -> Table:
    table = Table("schedule", "runs", "next tick", title="Next ticks", title_justify="left")
    for each in automation.schedules:
        table.add_row(each.name, each.job, _next_tick(each, when))
    return table


def _next_tick(schedule: ScheduleState, when: _Clock) -> str:
    if schedule.next_tick is None:
        return "never" if schedule.on else "[yellow]off[/]"
    return when.ahead(schedule.next_tick) if schedule.on else f"[yellow]off[/] [dim]{when.at(schedule.next_tick)}[/]"


def _bytes(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count / 1e3:,.0f} kB"
