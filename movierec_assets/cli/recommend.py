"""`movierec recommend`.

Belongs here: options, help text and the table of an answer. Answers come from `serving.recommendations`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from movierec_assets.cli.shared import (
    console_for_people,
    console_log,
    settings_from,
)

if TYPE_CHECKING:
    from movierec_assets.serving.recommendations import Answer


@click.command()
@click.option("--user", "user_id", type=click.IntRange(min=1), help="Recommend for this user of the data.")
@click.option("--like", "liked", multiple=True, metavar="TITLE", help="Recommend for somebody who likes this movie.")
@click.option("-k", "--count", type=click.IntRange(1, 100), default=10, show_default=True, help="How many movies.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def recommend(user_id: int | None, liked: tuple[str, ...], count: int, as_json: bool) -> None:
    """Recommend movies from the champion.

    For a user, from the ratings as they stand now; for liked movies, from their titles as you would type them
    ("The Matrix", "matrix, the (1999)"); for nobody in particular, the movies that most users liked. Beside each movie
    stand the likes that add most to its score.
    """
    from movierec_assets.host.environment import platform
    from movierec_assets.host.loaded import require_anything_loaded
    from movierec_assets.models.registry import ModelRegistry
    from movierec_assets.serving.recommendations import RecommendationService
    from movierec_assets.tables.database import Database

    if user_id is not None and liked:
        raise click.UsageError("Give --user or --like, not both.")
    with platform(settings_from(), console_log(Console(stderr=True))) as settings:
        database = Database(settings.databases.ratings)
        require_anything_loaded(database, "recommendations come from a model of loaded ratings")
        service = RecommendationService(
            database,
            ModelRegistry.of(settings),
        )
        if user_id is not None:
            answer = service.for_user(user_id, count)
        elif liked:
            answer = service.for_liked(liked, count)
        else:
            answer = service.for_nobody(count)
    if as_json:
        from dataclasses import asdict

        click.echo(json.dumps(asdict(answer), ensure_ascii=False, indent=2))
        return
    _show_answer(answer, console_for_people())


def _show_answer(answer: Answer, console: Console) -> None:
    if not answer.movies:
        told = f"Nothing is left to recommend: every movie that version {answer.model_version} knows is rated already."
        console.print(told, soft_wrap=True)
        return
    if answer.liked:
        console.print(f"[dim]Likes {escape('; '.join(answer.liked))}[/]", soft_wrap=True)
    table = Table()
    explained = any(movie.reasons for movie in answer.movies)
    for heading in ("rank", "title", "movie_id", "score", *(["because of"] if explained else [])):
        table.add_column(heading, justify="left" if heading in ("title", "because of") else "right", overflow="fold")
    for movie in answer.movies:
        because = "; ".join(f"{escape(reason.title)} {reason.contribution:+.3f}" for reason in movie.reasons)
        row = [str(movie.rank), escape(movie.title), str(movie.movie_id), f"{movie.score:.3f}"]
        table.add_row(*row, *([f"[dim]{because}[/]"] if explained else []))
    console.print(table)
    source = "the model" if answer.source == "model" else "popularity"
    data = f" of {escape(answer.dataset)}" if answer.dataset else ""
    console.print(f"[dim]From {source}, version {answer.model_version}{data}[/]")
