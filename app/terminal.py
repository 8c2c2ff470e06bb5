"""What the commands share: common options, settings, a progress bar, one line per error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from app.settings import Settings, explain, read_settings

FAILED = 1
REFUSED = 2

DataDir = Annotated[
    Path | None,
    typer.Option(help="Folder of the embedded database and keys.", show_default="data"),
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        help="PostgreSQL of your own instead of the embedded one. Other users of this machine can "
        "read a command line: SSCI_DATABASE_URL is the better place for a password."
    ),
]


def settings_of(**options: Any) -> Settings:
    try:
        return read_settings(**options)
    except ValidationError as problem:
        stop(explain(problem), REFUSED)
    except ValueError as problem:
        stop(str(problem), REFUSED)


@contextmanager
def progress(
    text: str, total: int | None, amount: ProgressColumn
) -> Iterator[Callable[[int], None]]:
    """A bar on stderr; nothing where stderr is no terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), amount, TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(text, total=total)
        yield lambda step: progress.advance(task, step)


def complain(text: str) -> None:
    typer.echo(f"ssci: {text}", err=True)


def stop(text: str, code: int) -> NoReturn:
    complain(text)
    sys.exit(code)
