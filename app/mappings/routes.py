"""`/feeds`: what hospital systems push, and what became of it.

The answer to a message is its HL7 acknowledgement, or JSON with the outcome per fact where the
caller accepts `application/json`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from app.errors import Category, SsciError, error
from app.fhir import unhurried
from app.mappings.ack import NOBODY, build_ack
from app.mappings.feeds import Answer, Feeds
from app.mappings.quarantine import (
    FactFilter,
    Page,
    fetch_facts,
    fetch_feed_state,
    fetch_message,
    fetch_messages,
    fetch_open_facts,
    fetch_overview,
)
from app.mappings.reasons import Outcome, Reason

ER7_MEDIA_TYPE = "x-application/hl7-v2+er7"
ER7_MEDIA_TYPES = frozenset(
    {ER7_MEDIA_TYPE, "application/hl7-v2", "text/plain", "application/octet-stream"}
)
MAX_PAGE = 200

EXAMPLE = (
    "MSH|^~\\&|LIS|PUMCH|SSCI|PUMCH|20190314101500+0800||ORU^R01^ORU_R01|42|P|2.5.1"
    "||||||UNICODE UTF-8\r"
    "PID|1||T000000001^^^PUMCH^MR||测试001||19790504|F\r"
    "OBR|1|P1|L1|CBC^血常规^99MRC|||20190314080000+0800|||||||||||||||20190314095500+0800||HM|F\r"
    "OBX|1|NM|PLT^血小板计数^99MRC|1|38|10*9/L|100-350|L|||F|||20190314080000+0800\r"
)


class FactAnswer(BaseModel):
    """One fact of a message: where it stands in it, what became of it and why."""

    position: str = Field(examples=["OBX[1]"])
    field: int | None = None
    byte_start: int
    byte_end: int
    code: str
    system: str
    analyte: str
    outcome: Outcome
    reason: Reason | None = None
    detail: str
    review: list[Reason]
    state: Literal["none", "open", "resolved", "dismissed"]
    subject: str | None = None
    resource: str | None = Field(None, examples=["Observation/3f0c…/_history/1"])
    attempt: int
    mapping_version: str
    updated: datetime

    @classmethod
    def of(cls, row: Any) -> FactAnswer:
        return cls(**_fact_values(row))


class MessageFactAnswer(FactAnswer):
    """A fact in a listing over many messages."""

    feed: str
    message: int

    @classmethod
    def of(cls, row: Any) -> MessageFactAnswer:
        return cls(feed=row["feed"], message=row["message_id"], **_fact_values(row))


def _fact_values(row: Any) -> dict[str, Any]:
    version = row["resource_version"]
    resource = f"{row['resource_type']}/{row['resource_id']}/_history/{version}"
    return {
        "position": row["place"],
        "resource": resource if version else None,
        "review": row["reviews"],
        **{
            name: row[name]
            for name in (
                *("field", "byte_start", "byte_end", "code", "system", "analyte", "outcome"),
                *("reason", "detail", "state", "subject", "attempt", "mapping_version", "updated"),
            )
        },
    }


class ReceiptAnswer(BaseModel):
    """One received message: kept under `inbox_id`; `facts` is null while it is being processed."""

    inbox_id: int
    sha256: str
    duplicate: bool
    ack: str
    facts: list[FactAnswer] | None


class DeliveryAnswer(BaseModel):
    messages: list[ReceiptAnswer]


class FeedAnswer(BaseModel):
    name: str
    title: str
    message_types: list[str]
    last_received: datetime | None
    pending: int
    oldest_pending: datetime | None
    open: dict[str, int] = Field(description="Open facts by reason")


class FeedsAnswer(BaseModel):
    mapping_version: str
    feeds: list[FeedAnswer]


class MessageAnswer(BaseModel):
    """A kept message without its content."""

    inbox_id: int
    sha256: str
    size: int
    received: datetime
    kind: str
    media_type: str
    message_type: str
    control_id: str
    control_id_reused: bool
    charset_declared: str
    charset_used: str
    charset_mismatch: bool
    state: str
    attempts: int

    @classmethod
    def values(cls, row: Any) -> dict[str, Any]:
        names = (
            *("size", "received", "kind", "media_type", "message_type", "control_id"),
            *("control_id_reused", "charset_declared", "charset_used", "charset_mismatch"),
        )
        return {
            "inbox_id": row["id"],
            "sha256": row["sha256"].hex(),
            "state": row["state"],
            "attempts": row["started"],
            **{name: row[name] for name in names},
        }


class MessagesAnswer(BaseModel):
    messages: list[MessageAnswer]
    next: str | None


class MessageDetailAnswer(MessageAnswer):
    deliveries: int
    facts: list[FactAnswer]


class QuarantineAnswer(BaseModel):
    facts: list[MessageFactAnswer]
    next: str | None


def build_router(feeds: Feeds) -> APIRouter:
    """The routes below `/feeds`."""
    router = APIRouter(prefix="/feeds", tags=["feeds"])
    _add_overview(router, feeds)
    _add_quarantine(router, feeds)
    _add_receiving(router, feeds)
    _add_messages(router, feeds)
    return router


# Receiving


def _add_receiving(router: APIRouter, feeds: Feeds) -> None:
    body_docs = {
        "requestBody": {
            "required": True,
            "content": {
                name: {"schema": {"type": "string", "format": "binary"}, "example": EXAMPLE}
                for name in sorted(ER7_MEDIA_TYPES)
            },
        },
        "parameters": [
            {
                "name": "Prefer",
                "in": "header",
                "schema": {"type": "string"},
                "description": "`respond-async`: 202 as soon as the message is durable",
            }
        ],
    }
    er7 = {ER7_MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}

    @router.post(
        "/{feed}/hl7v2",
        summary="Receive an HL7 v2 message or batch",
        response_class=Response,
        openapi_extra=body_docs,
        responses={
            200: {
                "description": "Kept and processed: the acknowledgement, or JSON if accepted",
                "model": DeliveryAnswer,
                "content": er7,
            },
            202: {"description": "Kept, not processed yet", "model": DeliveryAnswer},
            400: {"description": "Kept, but MSH is unreadable (AR)", "content": er7},
            404: {"description": "No feed of this name"},
            413: {"description": "Too large: recorded, not kept (AR)", "content": er7},
            415: {"description": "No HL7 v2 media type"},
            503: {"description": "Not kept: send again after Retry-After (AR)", "content": er7},
        },
    )
    async def receive_hl7v2(feed: str, request: Request) -> Response:
        """Raw bytes in any charset. They are durable before the answer; then every fact (OBX, RXA)
        succeeds, waits or fails by itself."""
        feeds.setting(feed)
        media_type = request.headers.get("content-type", "")
        if media_type.split(";", 1)[0].strip().lower() not in ER7_MEDIA_TYPES:
            names = ", ".join(sorted(ER7_MEDIA_TYPES))
            raise error(
                Category.INCORRECT,
                f"HL7 v2 is received as one of {names}",
                expression="Content-Type",
                status=415,
            )
        body = await _read_body(request, feeds.max_bytes)
        wants_json = _wants_json(request)
        try:
            return await _receive(feeds, feed, body, media_type, request, wants_json)
        except SsciError as problem:
            if problem.category is not Category.UNAVAILABLE or wants_json:
                raise
            return _not_kept(problem)


async def _read_body(request: Request, limit: int) -> bytes:
    """The body, cut one byte after the limit."""
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > limit:
            break
    return bytes(data[: limit + 1])


async def _receive(
    feeds: Feeds, feed: str, body: bytes, media_type: str, request: Request, wants_json: bool
) -> Response:
    if not body.strip():
        raise error(Category.INCORRECT, "the body is empty", expression="MSH")
    if rule := await unhurried(len(body), feeds.limit_broken, body):
        ack = await feeds.reject_oversize(feed, body, media_type, rule)
        if not wants_json:
            return Response(ack, 413, media_type=ER7_MEDIA_TYPE)
        raise error(Category.INCORRECT, rule, code="too-long", status=413)
    wait = "respond-async" not in request.headers.get("prefer", "").lower()
    answers = await feeds.receive(feed, body, media_type, wait=wait)
    status = _status(answers)
    if not wants_json and wait:
        ack = b"".join(answer.ack for answer in answers)
        return Response(ack, 200 if status == 202 else status, media_type=ER7_MEDIA_TYPE)
    told = DeliveryAnswer(messages=[_receipt(answer) for answer in answers])
    headers = {"Location": f"/feeds/{feed}/messages/{answers[0].message_id}"}
    return JSONResponse(told.model_dump(mode="json"), status, headers)


def _status(answers: Sequence[Answer]) -> int:
    if len(answers) == 1 and answers[0].unreadable:
        return 400
    return 202 if any(answer.facts is None for answer in answers) else 200


def _receipt(answer: Answer) -> ReceiptAnswer:
    facts = None
    if answer.facts is not None:
        facts = [FactAnswer.of(row) for row in answer.facts]
    return ReceiptAnswer(
        inbox_id=answer.message_id,
        sha256=answer.sha256,
        duplicate=answer.duplicate,
        ack=answer.ack.decode("utf-8", "replace"),
        facts=facts,
    )


def _wants_json(request: Request) -> bool:
    return "application/json" in request.headers.get("accept", "").lower()


def _not_kept(problem: SsciError) -> Response:
    """AR without knowing the message: it was not kept, so nothing of it is repeated."""
    headers: Mapping[str, str] = {"Retry-After": "5", **problem.headers}
    ack = build_ack(NOBODY, "reject", "SSCI0", datetime.now().astimezone())
    return Response(ack, 503, dict(headers), media_type=ER7_MEDIA_TYPE)


# Listings


def _add_overview(router: APIRouter, feeds: Feeds) -> None:
    @router.get("", summary="The feeds and what is open", response_model=FeedsAnswer)
    async def list_feeds() -> FeedsAnswer:
        answers = []
        async with feeds.database.reading() as connection:
            counts = await fetch_overview(connection)
            for setting in feeds.site.feeds.values():
                state = await fetch_feed_state(connection, setting.name)
                answers.append(
                    FeedAnswer(
                        name=setting.name,
                        title=setting.title,
                        message_types=sorted(setting.message_types),
                        last_received=state["last_received"] if state else None,
                        pending=state["pending"] if state else 0,
                        oldest_pending=state["oldest_pending"] if state else None,
                        open={
                            row["reason"] or "": row["number"]
                            for row in counts
                            if row["feed"] == setting.name
                        },
                    )
                )
        return FeedsAnswer(mapping_version=feeds.site.version, feeds=answers)


Count = Annotated[int, Query(ge=1, le=MAX_PAGE)]
Cursor = Annotated[str | None, Query(pattern=r"^\d{1,18}\.\d{1,9}$")]
Text = Annotated[str | None, Query(max_length=64)]


def _add_quarantine(router: APIRouter, feeds: Feeds) -> None:
    async def list_open(
        feed: str | None, wanted: FactFilter, after: str | None, count: int, query: str
    ) -> QuarantineAnswer:
        async with feeds.database.reading() as connection:
            rows = await fetch_open_facts(connection, wanted, _page(after), count)
        page = rows[:count]
        address = f"/feeds/{feed}/quarantine" if feed else "/feeds/quarantine"
        more = f"{address}?after={page[-1]['message_id']}.{page[-1]['ordinal']}" if page else ""
        return QuarantineAnswer(
            facts=[MessageFactAnswer.of(row) for row in page],
            next=f"{more}&count={count}{query}" if len(rows) > count else None,
        )

    @router.get("/quarantine", summary="Open facts of all feeds", response_model=QuarantineAnswer)
    async def list_quarantine(
        reason: Reason | None = None,
        code: Text = None,
        subject: Text = None,
        after: Cursor = None,
        count: Count = 50,
    ) -> QuarantineAnswer:
        """Facts that could not be stored, and stored ones that want a review, newest first."""
        wanted = FactFilter(None, reason, code, subject)
        return await list_open(None, wanted, after, count, _query(wanted))

    @router.get(
        "/{feed}/quarantine", summary="Open facts of a feed", response_model=QuarantineAnswer
    )
    async def list_feed_quarantine(
        feed: str,
        reason: Reason | None = None,
        code: Text = None,
        subject: Text = None,
        after: Cursor = None,
        count: Count = 50,
    ) -> QuarantineAnswer:
        feeds.setting(feed)
        wanted = FactFilter(feed, reason, code, subject)
        return await list_open(feed, wanted, after, count, _query(wanted))


def _page(after: str | None) -> Page | None:
    if after is None:
        return None
    message, _, ordinal = after.partition(".")
    return Page(int(message), int(ordinal))


def _query(wanted: FactFilter) -> str:
    given = {
        name: str(getattr(wanted, name))
        for name in ("reason", "code", "subject")
        if getattr(wanted, name) is not None
    }
    return f"&{urlencode(given)}" if given else ""


def _add_messages(router: APIRouter, feeds: Feeds) -> None:
    @router.get("/{feed}/messages", summary="Messages of a feed", response_model=MessagesAnswer)
    async def list_messages(
        feed: str,
        control_id: Annotated[str | None, Query(max_length=199, description="MSH-10")] = None,
        sha256: Annotated[
            str | None,
            Query(pattern="^[0-9a-f]{64}$", description="As Provenance names the raw message"),
        ] = None,
        before: Annotated[int | None, Query(ge=1, le=2**62)] = None,
        count: Count = 50,
    ) -> MessagesAnswer:
        """Newest first."""
        feeds.setting(feed)
        async with feeds.database.reading() as connection:
            digest = bytes.fromhex(sha256) if sha256 else None
            rows = await fetch_messages(connection, feed, control_id, digest, before, count)
        page = rows[:count]
        more = None
        if page:
            more = f"/feeds/{feed}/messages?before={page[-1]['id']}&count={count}"
            more += f"&{urlencode({'control_id': control_id})}" if control_id else ""
        return MessagesAnswer(
            messages=[MessageAnswer(**MessageAnswer.values(row)) for row in page],
            next=more if len(rows) > count else None,
        )

    @router.get(
        "/{feed}/messages/{message_id}",
        summary="One message and its facts",
        response_model=MessageDetailAnswer,
        responses={404: {"description": "No such message on this feed"}},
    )
    async def read_message(feed: str, message_id: int) -> MessageDetailAnswer:
        feeds.setting(feed)
        async with feeds.database.reading() as connection:
            row = await fetch_message(connection, feed, message_id) if message_id < 2**62 else None
            facts = await fetch_facts(connection, message_id) if row else []
        if row is None:
            raise error(Category.NOT_FOUND, "no such message", expression="message_id")
        return MessageDetailAnswer(
            **MessageAnswer.values(row),
            deliveries=row["deliveries"],
            facts=[FactAnswer.of(fact) for fact in facts],
        )
