"""`movierec recommend`.

Belongs here: options, help text and the table of an answer. Does not: answers (`serving.recommendations`).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Literal

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from movierec_assets.cli.shared import console_for_people, console_log, print_json, settings_from

if TYPE_CHECKING:
    from movierec_assets.serving.recommendations import Answer


def _time(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | Literal["latest"] | None:
    """Read an ISO 8601 time as Unix seconds, or `latest`."""
    if value is None:
        return None
    from movierec_assets.datasets.times import parse_time

    if value.strip().lower() == "latest":
        return "latest"
    found = parse_time(value.strip())
    if found is None:
        raise click.BadParameter(
            f"{value!r} is not a time. Write a date or a time in ISO 8601, such as 2018-09-24, 2018-09-24T14:30 or "
            "2018-09-24T14:30:00+02:00, or `latest` for right after the user's latest like."
        )
    return found.seconds


@click.command()
@click.option("--user", "user_id", type=click.IntRange(min=1), help="Recommend for this user of the data.")
@click.option("--like", "liked", multiple=True, metavar="TITLE", help="Recommend for somebody who likes this movie.")
@click.option(
    "--at",
    callback=_time,
    metavar="TIME",
    help="Time of the request, with --user: a date or time in ISO 8601, in UTC unless it names a zone, or `latest`: "
    "right after the user's latest like.  [default: now]",
)
@click.option("-k", "--count", type=click.IntRange(1, 100), default=10, show_default=True, help="How many movies.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def recommend(
    user_id: int | None, liked: tuple[str, ...], at: int | Literal["latest"] | None, count: int, as_json: bool
) -> None:
    """Recommend movies from the champion.

    For a user, from the ratings as they stand now; for liked movies, from their titles as you would type them
    ("The Matrix", "matrix, the (1999)"); for nobody in particular, the movies that most users liked. Beside each movie
    stand the likes that add most to its score: "because of Heat" through the user's taste, "after Heat" because many
    people liked the movie soon after Heat. The latter counts in a sitting, and fades with the time since the user's
    latest like.
    """
    from movierec_assets.host.environment import running_databases
    from movierec_assets.host.loaded import require_anything_loaded
    from movierec_assets.models.registry import ModelRegistry
    from movierec_assets.serving.recommendations import RecommendationService
    from movierec_assets.tables.database import Database

    if user_id is not None and liked:
        raise click.UsageError("Give --user or --like, not both.")
    if at is not None and user_id is None:
        raise click.UsageError("--at is the time of a user's request: give --user, too.")
    with running_databases(settings_from(), console_log(Console(stderr=True))) as settings:
        database = Database(settings.databases.ratings)
        require_anything_loaded(database, "recommendations come from a model of loaded ratings")
        service = RecommendationService(database, ModelRegistry.of(settings))
        if user_id is not None:
            answer = service.for_user(user_id, count, at)
        elif liked:
            answer = service.for_liked(liked, count)
        else:
            answer = service.for_nobody(count)
    if as_json:
        print_json(asdict(answer))
    else:
        _show_answer(answer, console_for_people())


def _show_answer(answer: Answer, console: Console) -> None:
    if not answer.movies:
        text = f"Nothing is left to recommend: every movie that version {answer.model_version} knows is rated already."
        console.print(text, soft_wrap=True)
        return
    if answer.liked:
        console.print(f"[dim]Likes {escape('; '.join(answer.liked))}[/]", soft_wrap=True)
    if answer.moment is not None:
        console.print(f"[dim]{answer.moment.text}[/]", soft_wrap=True)
        if answer.moment.note:
            console.print(escape(answer.moment.note), soft_wrap=True)
    table = Table()
    explained = any(movie.reasons for movie in answer.movies)
    for heading in ("rank", "title", "movie_id", "score", *(["reasons"] if explained else [])):
        table.add_column(heading, justify="left" if heading in ("title", "reasons") else "right", overflow="fold")
    for movie in answer.movies:
        reasons = "; ".join(
            f"{reason.kind} {escape(reason.title)} {reason.contribution:+.3f}" for reason in movie.reasons
        )
        row = [str(movie.rank), escape(movie.title), str(movie.movie_id), f"{movie.score:.3f}"]
        table.add_row(*row, *([f"[dim]{reasons}[/]"] if explained else []))
    console.print(table)
    source = "the model" if answer.source == "model" else "popularity"
    data = f" of {escape(answer.dataset)}" if answer.dataset else ""
    console.print(f"[dim]From {source}, version {answer.model_version}{data}[/]")
