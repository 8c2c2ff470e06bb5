"""`/feeds`, the part for those who watch: status, messages, quarantine, replays, and `/metrics`."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from app.errors import Category, error
from app.mappings.feeds import Feeds
from app.mappings.formats.decoders import DECODERS
from app.mappings.intake.control_ids import control_id_as_kept
from app.mappings.polling.state import fetch_states
from app.mappings.reasons import Reason
from app.mappings.watching.answers import (
    ContentAnswer,
    DecidedAnswer,
    DecisionAnswer,
    DecisionsAnswer,
    DryRunAnswer,
    FactAnswer,
    FeedAnswer,
    FeedsAnswer,
    FoundMessagesAnswer,
    MessageAnswer,
    MessageDetailAnswer,
    MessageFactAnswer,
    MessagesAnswer,
    PollAnswer,
    QuarantineAnswer,
    ReplayAnswer,
    ReplaysAnswer,
    TallyAnswer,
)
from app.mappings.watching.browsing import (
    FactFilter,
    FactState,
    MessageFilter,
    MessageState,
    Page,
    fetch_message,
    fetch_messages,
    fetch_quarantine,
    order_tokens,
)
from app.mappings.watching.dismissals import (
    MAX_PERSON,
    MAX_REASON,
    STATES,
    Action,
    Decision,
    decide_facts,
    fetch_decisions,
    fetch_decisions_of,
)
from app.mappings.watching.masks import Masked, mask_message
from app.mappings.watching.metrics import METRICS_TYPE
from app.mappings.watching.moments import parse_received
from app.mappings.watching.rehearsal import rehearse
from app.mappings.watching.replays import (
    begin_replay,
    fetch_batch,
    fetch_batches,
    resume_replay,
    stop_replay,
)
from app.mappings.watching.selection import MAX_MESSAGES_NAMED, Selection
from app.mappings.watching.status import fetch_status
from app.mappings.watching.watcher import Watching
from app.mappings.working.quarantine import fetch_facts

MAX_PAGE = 200
MAX_REHEARSED = 10_000
MAX_ID = 2**62

Ledger = Callable[[str, int], Awaitable[Mapping[str, Any] | None]]
"""The summary of the coverage ledger of a feed's message; None where there is none."""

PLAIN = r"^[^\x00]*$"
Id = Annotated[int, Field(ge=0, le=MAX_ID)]
Count = Annotated[int, Query(ge=1, le=MAX_PAGE)]
Cursor = Annotated[str | None, Query(pattern=r"^\d{1,18}\.\d{1,9}$")]
Before = Annotated[int | None, Query(ge=1, le=MAX_ID)]
Text = Annotated[str | None, Query(max_length=64, pattern=PLAIN)]
Order = Annotated[
    str | None,
    Query(
        pattern="^[0-9a-f]{32}$",
        description="The keyed token of an order number, as FHIR has it. For a number in clear: "
        "POST /feeds/{feed}/messages/search",
    ),
]
ControlId = Annotated[str | None, Query(max_length=199, pattern=PLAIN, description="MSH-10")]
MessageType = Annotated[
    str | None, Query(alias="type", max_length=199, pattern=PLAIN, examples=["ORU^R01"])
]
Sha256 = Annotated[
    str | None,
    Query(pattern="^[0-9a-f]{64}$", description="As Provenance names the raw message"),
]
ReceivedAt = Annotated[
    list[str] | None,
    Query(
        max_length=4,
        description="ge, gt, le or lt before a date or date-time; without a zone in the feed's",
        examples=[["ge2019-03-14", "lt2019-03-15"]],
    ),
]


def add_watching(router: APIRouter, feeds: Feeds, ledger: Ledger | None = None) -> None:
    """Adds the routes below `/feeds` that only look, decide and replay. Those with a fixed name
    come before those with a feed's."""
    _add_overview(router, feeds)
    _add_replays(router, feeds)
    _add_quarantine(router, feeds)
    _add_decisions(router, feeds)
    _add_messages(router, feeds)
    _add_search(router, feeds)
    _add_detail(router, feeds, ledger)
    _add_content(router, feeds)


WATCHING = re.compile(r"/feeds/replays(?:/.*)?|/feeds/[^/]+/messages/.*")


def is_watching(path: str) -> bool:
    """Whether a path below `/feeds` takes a small JSON body, not a delivery."""
    return WATCHING.fullmatch(path) is not None


def build_metrics_router(watching: Watching) -> APIRouter:
    """`GET /metrics`. https://prometheus.io/docs/instrumenting/exposition_formats/"""
    router = APIRouter(tags=["health"])

    @router.get(
        "/metrics",
        summary="The feeds' metrics for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def metrics() -> Response:
        """Exposition format 0.0.4. Labels name feeds, reasons and outcomes, never a patient."""
        return Response(await watching.exposition(), media_type=METRICS_TYPE)

    return router


# Status


def _add_overview(router: APIRouter, feeds: Feeds) -> None:
    @router.get("", summary="The feeds and what is open", response_model=FeedsAnswer)
    async def list_feeds() -> FeedsAnswer:
        """Per feed: the last message, what waits to be processed, and open facts by reason."""
        return await describe_feeds(feeds)


async def describe_feeds(feeds: Feeds) -> FeedsAnswer:
    """All feeds of the site as they stand now."""
    now, settings = datetime.now(UTC), feeds.site.feeds
    async with feeds.database.searching() as connection:
        found = await fetch_status(connection, list(settings))
        polling = await fetch_states(connection)
    told = [
        FeedAnswer.of(each, settings[each.feed].title, settings[each.feed].message_types, now)
        for each in found
    ]
    for each in told:
        each.polling = [PollAnswer.of(row) for row in polling if row["feed"] == each.name]
    return FeedsAnswer(mapping_version=feeds.site.version, feeds=told)


# Quarantine


def _add_quarantine(router: APIRouter, feeds: Feeds) -> None:
    async def list_facts(
        address: str, wanted: FactFilter, after: str | None, count: int
    ) -> QuarantineAnswer:
        async with feeds.database.searching() as connection:
            rows = await fetch_quarantine(connection, wanted, _page(after), count)
        page = rows[:count]
        return QuarantineAnswer(
            facts=[MessageFactAnswer.of(row) for row in page],
            next=_next_facts(address, wanted, page[-1], count) if len(rows) > count else None,
        )

    @router.get("/quarantine", summary="Open facts of all feeds", response_model=QuarantineAnswer)
    async def list_quarantine(
        reason: Reason | None = None,
        code: Text = None,
        subject: Text = None,
        state: FactState = "open",
        after: Cursor = None,
        count: Count = 50,
    ) -> QuarantineAnswer:
        """Facts that could not be stored, and stored ones that want a review, newest first."""
        wanted = FactFilter(tuple(feeds.site.feeds), state, reason, code, subject)
        return await list_facts("/feeds/quarantine", wanted, after, count)

    @router.get(
        "/{feed}/quarantine", summary="Open facts of a feed", response_model=QuarantineAnswer
    )
    async def list_feed_quarantine(
        feed: str,
        reason: Reason | None = None,
        code: Text = None,
        subject: Text = None,
        state: FactState = "open",
        after: Cursor = None,
        count: Count = 50,
    ) -> QuarantineAnswer:
        """The same of one feed; `state=resolved` and `dismissed` list what was open."""
        feeds.setting(feed)
        wanted = FactFilter((feed,), state, reason, code, subject)
        return await list_facts(f"/feeds/{feed}/quarantine", wanted, after, count)


def _page(after: str | None) -> Page | None:
    if after is None:
        return None
    message, _, ordinal = after.partition(".")
    return Page(int(message), int(ordinal))


def _next_facts(address: str, wanted: FactFilter, last: Any, count: int) -> str:
    given = {
        "after": f"{last['message_id']}.{last['ordinal']}",
        "count": count,
        **_given(wanted, "reason", "code", "subject"),
        **({"state": wanted.state} if wanted.state != "open" else {}),
    }
    return f"{address}?{urlencode(given)}"


def _given(wanted: Any, *names: str) -> dict[str, str]:
    return {name: str(getattr(wanted, name)) for name in names if getattr(wanted, name) is not None}


# Dismissals


class DecisionBody(BaseModel):
    """Who decides, and why. No patient's name or number belongs here."""

    model_config = ConfigDict(extra="forbid")

    person: str = Field(max_length=MAX_PERSON)
    reason: str = Field(max_length=MAX_REASON)
    facts: list[Annotated[int, Field(ge=0, le=2**31 - 1)]] | None = Field(
        None, max_length=1000, description="Ordinals; without them all facts that can be"
    )


def _add_decisions(router: APIRouter, feeds: Feeds) -> None:
    refusals: dict[int | str, dict[str, Any]] = {
        404: {"description": "No such message or fact"},
        409: {"description": "A fact is not in the state for this; nothing was changed"},
    }

    async def decide(
        feed: str, message_id: int, body: DecisionBody, action: Action
    ) -> DecidedAnswer:
        feeds.setting(feed)
        ordinals = None if body.facts is None else tuple(body.facts)
        decision = Decision(feed, message_id, ordinals, action, body.person, body.reason)
        done = await decide_facts(feeds.database, decision, datetime.now(UTC))
        state = "dismissed" if STATES[action][1] == "dismissed" else "open"
        return DecidedAnswer(message=message_id, ordinals=done, state=state)

    @router.post(
        "/{feed}/messages/{message_id}/dismiss",
        summary="Dismiss open facts of a message",
        response_model=DecidedAnswer,
        responses=refusals,
    )
    async def dismiss(feed: str, message_id: Id, body: DecisionBody) -> DecidedAnswer:
        """They stay dismissed while they fail for the same reason; the decision is kept."""
        return await decide(feed, message_id, body, "dismiss")

    @router.post(
        "/{feed}/messages/{message_id}/reopen",
        summary="Open dismissed facts again",
        response_model=DecidedAnswer,
        responses=refusals,
    )
    async def reopen(feed: str, message_id: Id, body: DecisionBody) -> DecidedAnswer:
        """The dismissal stays on record beside."""
        return await decide(feed, message_id, body, "reopen")

    @router.get(
        "/{feed}/decisions", summary="Who dismissed what, and why", response_model=DecisionsAnswer
    )
    async def list_decisions(
        feed: str, before: Before = None, count: Count = 50
    ) -> DecisionsAnswer:
        """Dismissals and re-openings, newest first."""
        feeds.setting(feed)
        async with feeds.database.reading() as connection:
            rows = await fetch_decisions(connection, feed, before, count)
        more = len(rows) > count
        last = rows[count - 1]["id"] if more else 0
        return DecisionsAnswer(
            decisions=[DecisionAnswer.of(row) for row in rows[:count]],
            next=f"/feeds/{feed}/decisions?before={last}&count={count}" if more else None,
        )


# Messages


def _add_messages(router: APIRouter, feeds: Feeds) -> None:
    @router.get("/{feed}/messages", summary="Messages of a feed", response_model=MessagesAnswer)
    async def list_messages(
        feed: str,
        subject: Text = None,
        code: Text = None,
        order: Order = None,
        reason: Reason | None = None,
        state: MessageState | None = None,
        control_id: ControlId = None,
        message_type: MessageType = None,
        received: ReceivedAt = None,
        sha256: Sha256 = None,
        before: Before = None,
        count: Count = 50,
    ) -> MessagesAnswer:
        """Newest first. `subject`, `code`, `order`, `reason` and the states open, resolved and
        dismissed are looked for in one and the same fact of a message."""
        setting = feeds.setting(feed)
        wanted = MessageFilter(
            feed,
            subject,
            code,
            reason,
            (order,) if order else (),
            state,
            control_id and control_id_as_kept(feeds.secret, feed, control_id),
            message_type,
            bytes.fromhex(sha256) if sha256 else None,
            parse_received(received or [], setting.zone),
        )
        page, last = await find_messages(feeds, wanted, before, count)
        given = {
            **_given(wanted, "subject", "code", "reason", "state", "control_id"),
            **({"type": message_type} if message_type else {}),
            **({"order": order} if order else {}),
            **({"sha256": sha256} if sha256 else {}),
            **({"received": received} if received else {}),
        }
        query = urlencode({"before": last, "count": count, **given}, doseq=True)
        return MessagesAnswer(
            messages=page, next=f"/feeds/{feed}/messages?{query}" if last else None
        )


async def find_messages(
    feeds: Feeds, wanted: MessageFilter, before: int | None, count: int
) -> tuple[list[MessageAnswer], int | None]:
    """A page of messages and, if there are more, the id that the next page is before."""
    async with feeds.database.searching() as connection:
        rows = await fetch_messages(connection, wanted, tuple(DECODERS), before, count)
    page = [MessageAnswer(**MessageAnswer.values(row)) for row in rows[:count]]
    return page, page[-1].inbox_id if len(rows) > count else None


class SearchBody(BaseModel):
    """Filters as those of the list, and an order number in clear: only its keyed token is used, and
    neither is kept or logged."""

    model_config = ConfigDict(extra="forbid")

    order: str = Field(
        min_length=1, max_length=199, description="Filler, placer or specimen number"
    )
    code: str | None = Field(None, max_length=64, pattern=PLAIN)
    subject: str | None = Field(None, max_length=64, pattern=PLAIN)
    reason: Reason | None = None
    state: MessageState | None = None
    before: Annotated[int, Field(ge=1, le=MAX_ID)] | None = None
    count: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 50


def _add_search(router: APIRouter, feeds: Feeds) -> None:
    @router.post(
        "/{feed}/messages/search",
        summary="Messages of an order, by its number in clear",
        response_model=FoundMessagesAnswer,
    )
    async def search_messages(feed: str, body: SearchBody) -> FoundMessagesAnswer:
        """The number stands in the body because addresses are logged. Patients who are no subjects
        are not found by it."""
        tokens = order_tokens(feeds.secret, feeds.setting(feed), body.order)
        wanted = MessageFilter(feed, body.subject, body.code, body.reason, tokens, body.state)
        page, last = await find_messages(feeds, wanted, body.before, body.count)
        return FoundMessagesAnswer(messages=page, next_before=last)


NOT_THERE: dict[int | str, dict[str, Any]] = {404: {"description": "No such message on this feed"}}


def _add_detail(router: APIRouter, feeds: Feeds, ledger: Ledger | None) -> None:
    @router.get(
        "/{feed}/messages/{message_id}",
        summary="One message and its facts",
        response_model=MessageDetailAnswer,
        responses=NOT_THERE,
    )
    async def read_message(feed: str, message_id: int) -> MessageDetailAnswer:
        """When it came and how often, what became of each of its facts, and who decided about
        them."""
        feeds.setting(feed)
        return await describe_message(feeds, feed, message_id, ledger)


async def describe_message(
    feeds: Feeds, feed: str, message_id: int, ledger: Ledger | None = None
) -> MessageDetailAnswer:
    """One message; NOT_FOUND if the feed has none of this id."""
    async with feeds.database.reading() as connection:
        known = 0 <= message_id < MAX_ID
        row = await fetch_message(connection, feed, message_id) if known else None
        if row is None:
            raise error(Category.NOT_FOUND, "no such message", expression="message_id")
        facts = [FactAnswer.of(each) for each in await fetch_facts(connection, message_id)]
        decisions = await fetch_decisions_of(connection, message_id)
    summary = await ledger(feed, message_id) if ledger is not None else None
    return MessageDetailAnswer(
        **MessageAnswer.values(row),
        deliveries=row["deliveries"],
        last_delivered=row["last_delivered"],
        facts=facts,
        resources=sorted({each.resource for each in facts if each.resource}),
        decisions=[DecisionAnswer.of(each) for each in decisions],
        ledger=dict(summary) if summary is not None else None,
        content=f"/feeds/{feed}/messages/{message_id}/content",
    )


# Raw view


def _add_content(router: APIRouter, feeds: Feeds) -> None:
    @router.get(
        "/{feed}/messages/{message_id}/content",
        summary="The bytes of a message, masked",
        response_model=ContentAnswer,
        responses={
            200: {"content": {"text/plain": {"schema": {"type": "string", "format": "binary"}}}},
            **NOT_THERE,
        },
    )
    async def read_content(
        feed: str,
        message_id: int,
        request: Request,
        response: Response,
        fact: Annotated[
            int | None, Query(ge=0, le=2**31 - 1, description="Ordinal of a fact to highlight")
        ] = None,
    ) -> Any:
        """What may tell whom it is about is asterisks, one for each byte, so that byte offsets
        hold. JSON, or the masked bytes alone for `Accept: text/plain`."""
        feeds.setting(feed)
        shown = await show_content(feeds, feed, message_id, fact)
        if "text/plain" in request.headers.get("accept", ""):
            kind = f"text/plain; charset={shown.masked.codec}"
            headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
            return Response(shown.masked.data, 200, headers, media_type=kind)
        response.headers["Cache-Control"] = "no-store"
        return shown.answer()


@dataclass(frozen=True, slots=True)
class Shown:
    """A masked message and, if one was asked for, the bytes of a fact in it."""

    message_id: int
    sha256: str
    masked: Masked
    start: int | None
    end: int | None

    def answer(self) -> ContentAnswer:
        data, size = self.masked.data, len(self.masked.data)
        start, end = (
            (size, size) if self.start is None or self.end is None else (self.start, self.end)
        )
        before, highlight, after = (
            part.decode(self.masked.codec, "replace")
            for part in (data[:start], data[start:end], data[end:])
        )
        return ContentAnswer(
            inbox_id=self.message_id,
            sha256=self.sha256,
            charset=self.masked.codec,
            size=size,
            hidden_bytes=self.masked.hidden,
            byte_start=self.start,
            byte_end=self.end,
            before=before,
            highlight=highlight,
            after=after,
        )


async def show_content(feeds: Feeds, feed: str, message_id: int, fact: int | None) -> Shown:
    """A message's bytes, masked. NOT_FOUND: no such message or fact, or its bytes are not kept."""
    detail = await describe_message(feeds, feed, message_id)
    spans = {each.ordinal: (each.byte_start, each.byte_end) for each in detail.facts}
    if fact is not None and fact not in spans:
        raise error(Category.NOT_FOUND, "no such fact in this message", expression="fact")
    masked = await mask_message(feeds, message_id)
    start, end = spans[fact] if fact is not None else (None, None)
    return Shown(message_id, detail.sha256, masked, start, end)


# Replays


class ReplayBody(BaseModel):
    """What to process again. All that is named has to hold for one fact of a message."""

    model_config = ConfigDict(extra="forbid")

    feed: str | None = Field(None, max_length=64, pattern=PLAIN)
    reason: Reason | None = None
    code: str | None = Field(None, max_length=64, pattern=PLAIN)
    subject: str | None = Field(None, max_length=64, pattern=PLAIN)
    mapping_version: str | None = Field(None, max_length=100, pattern=PLAIN)
    received: list[Annotated[str, Field(max_length=64)]] | None = Field(None, max_length=4)
    messages: list[Id] | None = Field(None, max_length=MAX_MESSAGES_NAMED)
    state: Literal["open", "any"] = Field(
        "open", description="`any`: also messages whose facts are stored"
    )
    dry_run: bool = Field(True, description="Only tell what would happen")
    limit: int = Field(1000, ge=1, le=MAX_REHEARSED, description="Messages that a dry run looks at")
    person: str | None = Field(None, max_length=MAX_PERSON, description="Needed unless dry_run")
    why: str | None = Field(None, max_length=MAX_REASON, description="Needed unless dry_run")

    def selection(self, feeds: Feeds) -> Selection:
        if self.feed is not None:
            feeds.setting(self.feed)
        settings = feeds.site.feeds
        zone = settings[self.feed or next(iter(settings))].zone
        return Selection(
            self.feed,
            self.reason,
            self.code,
            self.subject,
            self.mapping_version,
            parse_received(self.received or [], zone),
            tuple(self.messages or ()),
            self.state,
        )


def _add_replays(router: APIRouter, feeds: Feeds) -> None:
    @router.post(
        "/replays",
        summary="Process messages again: dry run, or begin",
        response_model=DryRunAnswer | ReplayAnswer,
        responses={201: {"description": "Begun", "model": ReplayAnswer}},
    )
    async def replay(body: ReplayBody, response: Response) -> DryRunAnswer | ReplayAnswer:
        """Without `dry_run: false` nothing is written. A batch is worked through by the service,
        and goes on after a restart."""
        selection = body.selection(feeds)
        if body.dry_run:
            selected, tally = await rehearse(feeds, selection, body.limit)
            would = TallyAnswer.of(tally)
            version = feeds.site.version
            return DryRunAnswer(selected=selected, mapping_version=version, would=would)
        id = await begin_replay(feeds, selection, body.person or "", body.why or "")
        response.status_code = 201
        response.headers["Location"] = f"/feeds/replays/{id}"
        return await describe_replay(feeds, id)

    @router.get("/replays", summary="Replays, newest first", response_model=ReplaysAnswer)
    async def list_replays(before: Before = None, count: Count = 50) -> ReplaysAnswer:
        async with feeds.database.reading() as connection:
            batches = await fetch_batches(connection, before, count)
        more = len(batches) > count
        last = batches[count - 1].id if more else 0
        return ReplaysAnswer(
            replays=[ReplayAnswer.of(each) for each in batches[:count]],
            next=f"/feeds/replays?before={last}&count={count}" if more else None,
        )

    @router.get("/replays/{id}", summary="How far a replay has come", response_model=ReplayAnswer)
    async def read_replay(id: Id) -> ReplayAnswer:
        return await describe_replay(feeds, id)

    @router.post("/replays/{id}/stop", summary="Stop a replay", response_model=ReplayAnswer)
    async def stop(id: Id) -> ReplayAnswer:
        """Before its next message; what was processed stays."""
        await stop_replay(feeds.database, id)
        return await describe_replay(feeds, id)

    @router.post(
        "/replays/{id}/resume", summary="Let a stopped replay go on", response_model=ReplayAnswer
    )
    async def resume(id: Id) -> ReplayAnswer:
        await resume_replay(feeds.database, id)
        return await describe_replay(feeds, id)


async def describe_replay(feeds: Feeds, id: int) -> ReplayAnswer:
    async with feeds.database.reading() as connection:
        return ReplayAnswer.of(await fetch_batch(connection, id))
