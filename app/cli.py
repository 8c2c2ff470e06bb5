"""The `ssci` command: serve, demo, simulate, load, and the study and database by hand.

Exit codes: 0 done · 1 failed, or some of it did · 2 asked wrongly, or not possible as asked. An
error is one line on stderr that says what to do next; results go to stdout.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import DownloadColumn, MofNCompleteColumn, TextColumn

from app import __version__
from app.cli_endpoints import endpoints
from app.cli_feed import feed
from app.cli_keys import keys
from app.cli_mapping import ledger, mapping
from app.cli_poll import poll
from app.cli_subject import subject
from app.cli_trace import trace
from app.errors import Category, SsciError
from app.settings import Settings
from app.terminal import (
    FAILED,
    REFUSED,
    DatabaseUrl,
    DataDir,
    complain,
    progress,
    settings_of,
    stop,
)

app = typer.Typer(
    name="ssci",
    help="FHIR R4 interoperability service for the SSCI trial (NCT03688191).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
study = typer.Typer(help="The study: protocol.toml and its FHIR resources.", no_args_is_help=True)
database = typer.Typer(help="The database.", no_args_is_help=True)
app.add_typer(study, name="study")
app.add_typer(database, name="db")
app.add_typer(subject, name="subject")
app.add_typer(keys, name="keys")
app.add_typer(feed, name="feed")
app.add_typer(endpoints, name="endpoints")
app.command("trace")(trace)
feed.command("poll")(poll)
feed.command("ledger")(ledger)
app.add_typer(mapping, name="mapping")

Host = Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")]
Port = Annotated[
    int | None, typer.Option(help="Port to listen on; 0 takes a free one.", show_default="8000")
]
Participants = Annotated[int, typer.Option(min=1, max=1_000_000, help="How many participants.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same files, byte for byte.")]


def main() -> None:
    """The console script: every expected failure becomes one line and an exit code."""
    try:
        app()
    except SsciError as problem:
        code = REFUSED if problem.category is Category.INCORRECT else FAILED
        stop(f"{problem}", code)
    except OSError as problem:
        stop(f"{problem.strerror}: {problem.filename or ''}".rstrip(": "), FAILED)
    except KeyboardInterrupt:
        sys.exit(130)


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True)
    ] = False,
) -> None:
    if show:
        typer.echo(f"ssci {__version__}")
        raise typer.Exit


@app.command()
def serve(
    host: Host = None,
    port: Port = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Web worker processes.", show_default="1")
    ] = None,
    no_auth: Annotated[
        bool, typer.Option("--no-auth", help="Ask for no tokens; loopback addresses only.")
    ] = False,
    mllp: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[FEED=]PORT",
            help="Receive HL7 v2 over MLLP on this port, for this feed (the site's first one if "
            "none is named); may be given several times.",
        ),
    ] = None,
) -> None:
    """Serve FHIR, feeds, endpoints and enrolment until stopped. Migrates the database first."""
    settings = settings_of(
        host=host,
        port=port,
        data_dir=data_dir,
        database_url=database_url,
        workers=workers,
        no_auth=no_auth or None,
        mllp=",".join(mllp) if mllp else None,
    )
    _check_access(settings)
    from app.main import serve as serve_until_stopped

    serve_until_stopped(settings)


@app.command()
def demo(
    port: Port = None,
    data_dir: DataDir = None,
    participants: Participants = 20,
    seed: Seed = 1,
    exit_after: Annotated[
        float | None,
        typer.Option(help="Stop so many seconds after the figures are shown.", min=0),
    ] = None,
) -> None:
    """Serve on this machine, enrol a synthetic cohort, feed its messages, show the endpoint.

    Started again, also after a crash, it feeds what is not yet acknowledged, and nothing twice.
    """
    settings = settings_of(host="127.0.0.1", port=port, data_dir=data_dir, no_auth=True)
    from app.demo import DemoPlan, run_demo

    asyncio.run(run_demo(settings, DemoPlan(participants, seed, exit_after), Console()))


@app.command()
def simulate(
    out: Annotated[Path, typer.Option(help="A new or empty folder.")],
    participants: Participants = 20,
    seed: Seed = 1,
    messages: Annotated[bool, typer.Option(help="Write HL7 v2 messages.")] = True,
    bundles: Annotated[bool, typer.Option(help="Write FHIR Bundles.")] = True,
) -> None:
    """Write a synthetic cohort: enrolments, HL7 v2 messages, and the same facts as FHIR Bundles."""
    from app.cohort_files import Order, write_cohort

    order = Order(participants, seed, messages, bundles)
    with progress("Simulating", participants, MofNCompleteColumn()) as advance:
        written = write_cohort(order, out, lambda: advance(1))
    typer.echo(f"{out}: {participants} participants, {written} messages")


@app.command()
def load(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="NDJSON (.ndjson, .jsonl: a resource or Bundle per line) or JSON documents.",
            exists=True,
            dir_okay=False,
            readable=True,
        ),
    ],
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Load FHIR resources and Bundles into the store. Loading again changes nothing."""
    settings = settings_of(data_dir=data_dir, database_url=database_url)
    sys.exit(asyncio.run(_load(settings, files)))


@app.command()
def send(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Files of HL7 v2 messages or batches, folders of them, or - for stdin."
        ),
    ],
    to: Annotated[
        str,
        typer.Option(
            help="mllp://host:port or http://host:port/feeds/pumch-lis/hl7v2; mllps or https for "
            "TLS."
        ),
    ],
    rate: Annotated[
        float | None, typer.Option(help="Messages a second at most.", min=0.001)
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            help="File that remembers what was acknowledged: run again, what it names is left out.",
            dir_okay=False,
        ),
    ] = None,
    attempts: Annotated[int, typer.Option(help="How often a message is tried.", min=1)] = 10,
    timeout: Annotated[
        float, typer.Option(help="Seconds to wait for an acknowledgement.", min=0.1)
    ] = 30.0,
    tls_ca: Annotated[
        Path | None, typer.Option(help="Authorities to trust (PEM) instead of the system's.")
    ] = None,
    cert: Annotated[Path | None, typer.Option(help="Client certificate (PEM).")] = None,
    key: Annotated[Path | None, typer.Option(help="Its key.")] = None,
) -> None:
    """Send HL7 v2 messages one after the other, each until it is acknowledged.

    0: all were accepted · 1: some were not, or are left to be sent · 2: asked wrongly.
    """
    from app.mappings.sending.links import parse_target
    from app.mappings.sending.sender import Order, Patience, send_files

    order = Order(
        files, parse_target(to, tls_ca, cert, key), Patience(attempts), timeout, rate, resume
    )
    with progress("Sending", order.size, DownloadColumn()) as advance:
        summary = asyncio.run(send_files(order, advance, complain))
    for line in summary.lines():
        typer.echo(line)
    sys.exit(0 if summary.complete else FAILED)


@study.command("load")
def study_load(data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """Load the study's FHIR resources from protocol.toml. Loading again changes nothing."""
    settings = settings_of(data_dir=data_dir, database_url=database_url)
    typer.echo(asyncio.run(_load_study(settings)))


@database.command()
def migrate(data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """Bring the database to the newest revision (as `serve` does at its start)."""
    settings = settings_of(data_dir=data_dir, database_url=database_url)
    typer.echo(asyncio.run(_migrate(settings)))


@database.command("rebuild-trial")
def rebuild_trial(data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """Fill the trial tables anew from the history of the FHIR store, in one transaction."""
    settings = settings_of(data_dir=data_dir, database_url=database_url)
    for table, rows in asyncio.run(_rebuild_trial(settings)).items():
        typer.echo(f"{table}: {rows} rows")


BackupFile = Annotated[Path, typer.Argument(help="The dump's file.", dir_okay=False)]


@database.command("backup")
def back_up(file: BackupFile, data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """Dump the database into FILE, while the service goes on. The key file is to be kept apart."""
    settings = settings_of(data_dir=data_dir, database_url=database_url)
    if file.exists():
        stop(f"{file} is there already: name a new file", REFUSED)
    from app.database import back_up as dump

    asyncio.run(_as_owner(settings, dump, file))
    typer.echo(f"{file}: {file.stat().st_size} bytes; keep {settings.effective_key_file} as well")


@database.command("restore")
def restore(file: BackupFile, data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """Restore FILE into a new data folder or database. Put the key file back before serving."""
    settings = settings_of(data_dir=data_dir, database_url=database_url)
    if not file.is_file():
        stop(f"{file}: no such file", REFUSED)
    from app.database import restore as fill

    asyncio.run(_as_owner(settings, fill, file))
    typer.echo(f"restored {file}")


async def _as_owner(
    settings: Settings, work: Callable[[str, Path], Awaitable[None]], file: Path
) -> None:
    from app.database import reached_server
    from app.main import source_of

    async with reached_server(source_of(settings), complain) as addresses:
        await work(addresses.owner_dsn, file)


async def _load(settings: Settings, files: Sequence[Path]) -> int:
    from app.loading import load_files
    from app.main import open_services

    total = sum(path.stat().st_size for path in files)
    async with open_services(settings) as services:
        with progress("Loading", total, DownloadColumn()) as advance:
            loaded = await load_files(services.store, files, advance, complain)
    kinds = loaded.kinds
    typer.echo(
        f"{kinds['create']} created, {kinds['update']} updated, {kinds['unchanged']} unchanged,"
        f" {loaded.failures} refused"
    )
    return FAILED if loaded.failures else 0


async def _load_study(settings: Settings) -> str:
    from app.fhir import Caller
    from app.main import open_services
    from app.trial import load_study

    async with open_services(settings) as services:
        changes = await load_study(
            services.store, Caller("ssci study load"), services.trial.protocol
        )
    written = sum(change.kind != "unchanged" for change in changes)
    return f"{written} of the study's {len(changes)} resources written, the others were there"


async def _migrate(settings: Settings) -> str:
    from app.database import newest_revision
    from app.main import open_services

    async with open_services(settings):  # opening migrates
        return f"database at revision {newest_revision()}"


async def _rebuild_trial(settings: Settings) -> Mapping[str, int]:
    from app.main import rebuild_trial as rebuild

    with progress("Rebuilding", None, TextColumn("{task.completed:.0f} versions")) as advance:
        return await rebuild(settings, advance)


def _check_access(settings: Settings) -> None:
    if problem := settings.access_problem:
        stop(problem, REFUSED)
