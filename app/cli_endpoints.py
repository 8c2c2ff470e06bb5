"""`ssci endpoints …`: the trial's endpoints from the command line, one by one and as a package."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import TextColumn

from app.settings import Settings
from app.terminal import REFUSED, DatabaseUrl, DataDir, progress, settings_of, stop

if TYPE_CHECKING:
    from app.endpoints import Query
    from app.main import Services

endpoints = typer.Typer(help="The trial's endpoints.", no_args_is_help=True)

Cutoff = Annotated[
    str | None, typer.Option(help="Clinical data cut: a date or an instant.", show_default="as-of")
]
AsOf = Annotated[
    str | None,
    typer.Option(help="System time: what was known then.", show_default="the safe horizon"),
]
Population = Annotated[str | None, typer.Option(help="One of `ssci endpoints list`.")]


@endpoints.command("list")
def list_(data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """What can be asked: endpoints with their plots, populations, subgroups."""
    from app.endpoints.catalogue import CATALOGUE, POPULATIONS, SUBGROUPS
    from app.trial import load_protocol

    definitions = load_protocol().endpoints
    for name, entry in CATALOGUE.items():
        plots = f"  plots: {', '.join(entry.plots)}" if entry.plots else ""
        typer.echo(f"{name:32} {definitions[name].title}{plots}")
    typer.echo(f"{'populations':32} {', '.join(POPULATIONS)}")
    typer.echo(f"{'subgroups':32} {', '.join(SUBGROUPS)}")


@endpoints.command()
def show(
    endpoint: Annotated[str, typer.Argument(help="Such as platelet-change.")],
    cutoff: Cutoff = None,
    as_of: AsOf = None,
    population: Population = None,
    subgroup: Annotated[str | None, typer.Option(help="Figures per level as well.")] = None,
    view: Annotated[str, typer.Option(help="figures or subjects")] = "figures",
    format: Annotated[str, typer.Option(help="json or csv")] = "csv",
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Print one endpoint's answer."""
    from app.endpoints import Query

    if view not in ("figures", "subjects") or format not in ("json", "csv"):
        stop("--view is figures or subjects, --format json or csv", REFUSED)
    settings = settings_of(data_dir=data_dir, database_url=database_url)
    query = Query(cutoff, as_of, population, subgroup)

    async def work() -> bytes:
        async with _opened(settings) as services:
            return await services.endpoints.answer(endpoint, query, view, format)

    sys.stdout.buffer.write(asyncio.run(work()) + (b"\n" if format == "json" else b""))


@endpoints.command()
def run(
    out: Annotated[Path, typer.Option(help="A new folder, or an empty one.", file_okay=False)],
    cutoff: Cutoff = None,
    as_of: AsOf = None,
    population: Population = None,
    profile: Annotated[
        str,
        typer.Option(
            help="site: as recorded. public: dates shifted per participant, cells < 5 withheld."
        ),
    ] = "site",
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Write every answer under one cut as a package: two runs are identical byte for byte.

    Run again with the cutoff and as-of that manifest.json states, it is the same, whatever was
    corrected or added since. `sha256sum --check SHA256SUMS` in the folder verifies it.
    """
    from app.endpoints import Query

    if out.exists() and any(out.iterdir()):
        stop(f"{out} is not empty: name a new folder", REFUSED)
    settings = settings_of(data_dir=data_dir, database_url=database_url)
    count = asyncio.run(_run(settings, out, Query(cutoff, as_of, population), profile))
    typer.echo(f"{count} files in {out}")


async def _run(settings: Settings, out: Path, query: Query, profile: str) -> int:
    from app.endpoints.origins import Origins
    from app.endpoints.package import Packager
    from app.endpoints.public import PROFILES, PUBLIC
    from app.fhir import Caller

    if profile not in PROFILES:
        stop(f"--profile must be one of {', '.join(PROFILES)}", REFUSED)
    async with _opened(settings) as services:
        release = services.build_release() if profile == PUBLIC else None
        requests = await services.endpoints.build_requests(query, release)
        origins = Origins(services.store, services.layout, settings.zone_info)
        packager = Packager(services.endpoints, origins, Caller("ssci endpoints run"))
        count = 0
        with progress("answers", None, TextColumn("{task.completed} files")) as advance:
            async for file in packager.files(requests):
                target = out / file.name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(file.body)
                count += 1
                advance(1)
    return count


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Services]:
    from app.main import open_services

    async with open_services(settings) as services:
        yield services
