"""`ssci feed …`: how the feeds stand, what is open, dismissing, replaying, the message browser.

The same functions as behind `/feeds`. Tables for people, `--json` for programs. An order number is
asked for at a prompt or read from a file: whoever uses the machine can read a command line.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.markup import escape
from rich.progress import MofNCompleteColumn
from rich.table import Table

from app.errors import Category, error
from app.settings import Settings
from app.terminal import DatabaseUrl, DataDir, complain, progress, settings_of

if TYPE_CHECKING:
    from app.mappings import Feeds
    from app.mappings.watching.selection import Selection

feed = typer.Typer(help="The hospital feeds: status, quarantine, replay.", no_args_is_help=True)

Made = TypeVar("Made")

AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]
FeedName = Annotated[str | None, typer.Option("--feed", help="Only this feed.")]
ReasonCode = Annotated[str | None, typer.Option("--reason", help="Such as CODE_UNMAPPED.")]
Code = Annotated[str | None, typer.Option("--code", help="The code as the source sends it.")]
SubjectNumber = Annotated[str | None, typer.Option("--subject", help="Such as SSCI-001.")]
Received = Annotated[
    list[str] | None,
    typer.Option(
        "--received", help="ge, gt, le or lt before a date or date-time; may be repeated."
    ),
]
Count = Annotated[int, typer.Option("--count", min=1, max=200, help="How many lines.")]
Person = Annotated[str, typer.Option("--person", help="Who decides this.")]
Why = Annotated[str, typer.Option("--why", help="Why; no patient's name or number belongs here.")]
MessageId = Annotated[int, typer.Argument(help="The message's inbox id.")]
Ordinals = Annotated[
    list[int] | None, typer.Option("--fact", help="Ordinal of a fact; without it all that can be.")
]


@feed.command()
def status(
    as_json: AsJson = False, data_dir: DataDir = None, database_url: DatabaseUrl = None
) -> None:
    """Per feed: the last message, what waits to be processed, open facts by reason."""
    from app.mappings.watching.routes import describe_feeds

    told = _with_feeds(settings_of(data_dir=data_dir, database_url=database_url), describe_feeds)
    rows = [
        (each.name, each.last_received, each.pending, f"{each.lag_seconds:.0f} s", each.oldest_open)
        for each in told.feeds
    ]
    opened = [
        (each.name, item.reason, item.facts, item.oldest)
        for each in told.feeds
        for item in each.open_since
    ]
    if as_json:
        _print_json(told)
        return
    _print_table(("feed", "last message", "pending", "lag", "oldest open"), rows)
    _print_table(("feed", "reason", "open facts", "oldest"), opened)


@feed.command()
def quarantine(
    name: FeedName = None,
    reason: ReasonCode = None,
    code: Code = None,
    subject: SubjectNumber = None,
    state: Annotated[str, typer.Option(help="open, resolved or dismissed.")] = "open",
    count: Count = 50,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Facts that could not be stored or want a review, newest first."""
    from app.mappings.watching.answers import MessageFactAnswer, QuarantineAnswer
    from app.mappings.watching.browsing import FACT_STATES, FactFilter, fetch_quarantine

    _check_one_of(state, FACT_STATES, "state")
    _check_reason(reason)

    async def work(feeds: Feeds) -> QuarantineAnswer:
        chosen = (feeds.setting(name).name,) if name else tuple(feeds.site.feeds)
        wanted = FactFilter(chosen, state, reason, code, subject)  # type: ignore[arg-type]
        async with feeds.database.searching() as connection:
            rows = await fetch_quarantine(connection, wanted, None, count)
        facts = [MessageFactAnswer.of(row) for row in rows[:count]]
        return QuarantineAnswer(facts=facts, next=None)

    told = _with_feeds(settings_of(data_dir=data_dir, database_url=database_url), work)
    if as_json:
        _print_json(told)
        return
    rows = [
        (
            *(each.feed, f"{each.message}.{each.ordinal}", each.position),
            *(each.resolved_reason or each.reason, each.field, each.code, each.subject),
            *(each.detail, each.updated),
        )
        for each in told.facts
    ]
    heads = ("feed", "message", "place", "reason", "field", "code", "subject", "detail", "since")
    _print_table(heads, rows)


@feed.command()
def dismiss(
    message: MessageId,
    person: Person,
    why: Why,
    facts: Ordinals = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Dismiss open facts of a message. Who and why is kept."""
    settings = settings_of(data_dir=data_dir, database_url=database_url)
    typer.echo(_decide(settings, message, facts, "dismiss", person, why))


@feed.command()
def reopen(
    message: MessageId,
    person: Person,
    why: Why,
    facts: Ordinals = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Open dismissed facts of a message again. The dismissal stays on record."""
    settings = settings_of(data_dir=data_dir, database_url=database_url)
    typer.echo(_decide(settings, message, facts, "reopen", person, why))


def _decide(
    settings: Settings,
    message: int,
    facts: Sequence[int] | None,
    action: str,
    person: str,
    why: str,
) -> str:
    from app.mappings.watching.dismissals import Decision, decide_facts

    async def work(feeds: Feeds) -> str:
        name = await _feed_of(feeds, message)
        ordinals = tuple(facts) if facts else None
        decision = Decision(name, message, ordinals, action, person, why)  # type: ignore[arg-type]
        done = await decide_facts(feeds.database, decision, datetime.now(UTC))
        told = ", ".join(map(str, done))
        return f"message {message} of {name}: {action} of fact {told} is recorded"

    return _with_feeds(settings, work)


@feed.command()
def messages(
    name: Annotated[str, typer.Argument(metavar="FEED", help="The feed.")],
    subject: SubjectNumber = None,
    code: Code = None,
    reason: ReasonCode = None,
    state: Annotated[
        str | None, typer.Option(help="pending, done, open, resolved or dismissed.")
    ] = None,
    control_id: Annotated[str | None, typer.Option(help="MSH-10.")] = None,
    kind: Annotated[str | None, typer.Option("--type", help="Such as ORU^R01.")] = None,
    received: Received = None,
    order_file: Annotated[
        Path | None,
        typer.Option(
            help="File whose first line is an order number; - asks for it.",
            dir_okay=False,
            allow_dash=True,
        ),
    ] = None,
    before: Annotated[int | None, typer.Option(help="Only messages before this id.")] = None,
    count: Count = 50,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """The messages of a feed, newest first."""
    from app.mappings.intake.control_ids import control_id_as_kept
    from app.mappings.watching.answers import MessagesAnswer
    from app.mappings.watching.browsing import MESSAGE_STATES, MessageFilter, order_tokens
    from app.mappings.watching.moments import parse_received
    from app.mappings.watching.routes import find_messages

    if state is not None:
        _check_one_of(state, MESSAGE_STATES, "state")
    _check_reason(reason)
    number = _read_order(order_file) if order_file else None

    async def work(feeds: Feeds) -> MessagesAnswer:
        setting = feeds.setting(name)
        tokens = order_tokens(feeds.secret, setting, number) if number else ()
        kept = control_id and control_id_as_kept(feeds.secret, name, control_id)
        wanted = MessageFilter(
            *(name, subject, code, reason, tokens, state, kept, kind),  # type: ignore[arg-type]
            received=parse_received(received or [], setting.zone),
        )
        found, _ = await find_messages(feeds, wanted, before, count)
        return MessagesAnswer(messages=found, next=None)

    told = _with_feeds(settings_of(data_dir=data_dir, database_url=database_url), work)
    if as_json:
        _print_json(told)
        return
    rows = [
        (each.inbox_id, each.received, each.message_type, each.control_id, each.state, each.size)
        for each in told.messages
    ]
    _print_table(("message", "received", "type", "control id", "state", "bytes"), rows)


def _read_order(file: Path) -> str:
    if str(file) == "-":
        prompt = sys.stdin.isatty()
        return str(typer.prompt("Order number", hide_input=True) if prompt else input())
    return file.read_text("utf-8").split("\n", 1)[0].strip()


# Replay


@feed.command()
def replay(
    name: FeedName = None,
    reason: ReasonCode = None,
    code: Code = None,
    subject: SubjectNumber = None,
    mapping_version: Annotated[
        str | None, typer.Option(help="Facts that were mapped with this version.")
    ] = None,
    received: Received = None,
    message: Annotated[
        list[int] | None, typer.Option("--message", help="Inbox id; may be repeated.")
    ] = None,
    everything: Annotated[
        bool,
        typer.Option("--any", help="Also messages whose facts are stored, not only open ones."),
    ] = False,
    go: Annotated[
        bool, typer.Option("--go", help="Do it. Without, only tell what it would do.")
    ] = (False),
    resume: Annotated[
        int | None, typer.Option(help="Go on with this batch, that was stopped.")
    ] = None,
    stop: Annotated[int | None, typer.Option(help="Stop this batch before its next message.")] = (
        None
    ),
    person: Annotated[str, typer.Option(help="Who decides this; needed with --go.")] = "",
    why: Annotated[str, typer.Option(help="Why; needed with --go.")] = "",
    as_json: AsJson = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Process messages again: first as a dry run, with --go in earnest. Nothing is doubled.

    Broken off (Ctrl-C), a batch is stopped; --resume goes on with it.
    """
    from app.mappings.watching.moments import parse_received
    from app.mappings.watching.selection import Selection

    settings = settings_of(data_dir=data_dir, database_url=database_url)
    _check_reason(reason)

    async def work(feeds: Feeds) -> BaseModel:
        if stop is not None:
            return await _stop(feeds, stop)
        if resume is not None:
            return await _resume(feeds, resume)
        setting = feeds.setting(name) if name else next(iter(feeds.site.feeds.values()))
        selection = Selection(
            *(name, reason, code, subject, mapping_version),
            parse_received(received or [], setting.zone),
            tuple(message or ()),
            "any" if everything else "open",
        )
        if go:
            return await _begin(feeds, selection, person, why)
        return await _rehearse(feeds, selection)

    told = _with_feeds(settings, work)
    if as_json:
        _print_json(told)
        return
    for line in _describe(told):
        typer.echo(line)


async def _rehearse(feeds: Feeds, selection: Selection) -> BaseModel:
    from app.mappings.watching.answers import DryRunAnswer, TallyAnswer
    from app.mappings.watching.rehearsal import Rehearsal, Tally, select_messages

    chosen = await select_messages(feeds.database, selection, tuple(feeds.site.feeds))
    rehearsal, tally = Rehearsal(feeds), Tally()
    with progress("Trying", len(chosen), MofNCompleteColumn()) as advance:
        for each in chosen:
            tally += await rehearsal.take(each)
            advance(1)
    return DryRunAnswer(
        selected=len(chosen), mapping_version=feeds.site.version, would=TallyAnswer.of(tally)
    )


async def _begin(feeds: Feeds, selection: Selection, person: str, why: str) -> BaseModel:
    from app.mappings.watching.replays import begin_replay

    return await _run(feeds, await begin_replay(feeds, selection, person, why, claim=True))


async def _resume(feeds: Feeds, id: int) -> BaseModel:
    from app.mappings.watching.replays import resume_replay

    await resume_replay(feeds.database, id)
    return await _run(feeds, id)


async def _run(feeds: Feeds, id: int) -> BaseModel:
    from app.mappings.watching.replays import Replayer, stop_replay
    from app.mappings.watching.routes import describe_replay

    batch = await describe_replay(feeds, id)
    try:
        left = batch.messages - batch.done.messages
        with progress("Replaying", left, MofNCompleteColumn()) as advance:
            await Replayer(feeds).run(id, advance)
    except asyncio.CancelledError:
        await stop_replay(feeds.database, id)
        complain(f"replay {id} is stopped: `ssci feed replay --resume {id}` goes on with it")
        raise
    return await describe_replay(feeds, id)


async def _stop(feeds: Feeds, id: int) -> BaseModel:
    from app.mappings.watching.replays import stop_replay
    from app.mappings.watching.routes import describe_replay

    await stop_replay(feeds.database, id)
    return await describe_replay(feeds, id)


def _describe(told: BaseModel) -> list[str]:
    from app.mappings.watching.answers import DryRunAnswer, ReplayAnswer

    if isinstance(told, DryRunAnswer):
        tally, head = told.would, f"dry run over {told.selected} messages: nothing was written"
        last = ["--go does it"] if told.selected else []
    else:
        assert isinstance(told, ReplayAnswer)
        tally, head = told.done, f"replay {told.id}: {told.state}, {told.messages} messages"
        last = []
    return [
        head,
        f"  {tally.messages} messages with {tally.facts} facts",
        f"  {tally.versions} new versions of resources",
        f"  {tally.unchanged} facts change nothing",
        f"  {tally.failing} facts fail or wait",
        *last,
    ]


# Shared


def _with_feeds(settings: Settings, work: Callable[[Feeds], Awaitable[Made]]) -> Made:
    async def run() -> Made:
        from app.main import open_services

        async with open_services(settings) as services:
            return await work(services.feeds)

    return asyncio.run(run())


async def _feed_of(feeds: Feeds, message: int) -> str:
    async with feeds.database.reading() as connection:
        name = await connection.fetchval("SELECT feed FROM feeds.message WHERE id = $1", message)
    if name is None:
        raise error(Category.NOT_FOUND, "no message of this id", expression="message")
    return str(name)


def _check_one_of(given: str, known: Sequence[str], name: str) -> None:
    if given not in known:
        raise error(Category.INCORRECT, f"one of {', '.join(known)}", expression=name)


def _check_reason(reason: str | None) -> None:
    from app.mappings.reasons import Reason

    if reason is not None:
        _check_one_of(reason, [each.value for each in Reason], "reason")


def _print_json(told: BaseModel) -> None:
    typer.echo(told.model_dump_json(indent=2))


def _print_table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    console = Console()
    table = Table(*heads, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*(escape(_shown(each)) for each in row))
    console.print(table if rows else f"no {heads[1]}", markup=False)


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    return value.strftime("%Y-%m-%d %H:%M:%S") if isinstance(value, datetime) else str(value)
