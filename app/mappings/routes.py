"""`/feeds`: what hospital systems push, and what became of it.

The answer to a message is its format's acknowledgement, or the outcome per fact as JSON or as a
table where the caller accepts `application/json` or `text/csv`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from app.errors import Category, SsciError, error
from app.fhir import unhurried
from app.mappings.feeds import Answer, Feeds
from app.mappings.formats.csv.receipts import write_receipt, write_table
from app.mappings.formats.decoders import DECODERS
from app.mappings.formats.decoding import Decoder
from app.mappings.intake.idempotency import HEADER, MAX_LENGTH, StoredAnswer, read_key
from app.mappings.ledger.routes import add_coverage
from app.mappings.ledger.view import Ledgers
from app.mappings.reasons import Failure, Reason
from app.mappings.watching.answers import FactAnswer
from app.mappings.watching.routes import add_watching


class ReceiptAnswer(BaseModel):
    """One received message: kept under `inbox_id`; `facts` is null while it is being processed."""

    inbox_id: int
    sha256: str
    duplicate: bool
    ack: str | None = Field(description="In formats that have an acknowledgement of their own")
    summary: dict[str, Any] | None = Field(
        description="In all others: how the whole was read, and outcomes and reasons with their"
        " numbers"
    )
    facts: list[FactAnswer] | None


class DeliveryAnswer(BaseModel):
    messages: list[ReceiptAnswer]


def build_router(feeds: Feeds) -> APIRouter:
    """The routes below `/feeds`."""
    router = APIRouter(prefix="/feeds", tags=["feeds"])
    addressed = [each for each in DECODERS.values() if each.address]
    for decoder in addressed:
        _add_own_routes(router, feeds, decoder)
    for decoder in DECODERS.values():
        if not decoder.address:
            _add_receiving(router, feeds, decoder)
    _add_template(router, feeds)
    ledgers = Ledgers(feeds)
    add_watching(router, feeds, ledgers.summarise)
    add_coverage(router, feeds, ledgers)
    return router


# Receiving


def _add_own_routes(router: APIRouter, feeds: Feeds, decoder: Decoder) -> None:
    """The routes of a format that shares its address with another, at the feeds that take it; they
    come before those of any feed."""
    for name, setting in feeds.site.feeds.items():
        if decoder.format in setting.formats:
            _add_receiving(router, feeds, decoder, at=name)
            if decoder.templates():
                _add_form_templates(router, decoder, name)


def _add_form_templates(router: APIRouter, decoder: Decoder, feed: str) -> None:
    templates = decoder.templates()

    @router.get(
        f"/{feed}/{decoder.address}/template",
        summary=f"A table to fill in: {decoder.title}",
        response_class=Response,
        responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
        name=f"template_{decoder.format}_{feed}",
        description=f"The columns of one form: {', '.join(templates)}.",
    )
    async def read_form_template(form: str) -> Response:
        if form not in templates:
            told = f"must be one of {', '.join(templates)}"
            raise error(Category.INCORRECT, told, expression="form")
        shown = {"Content-Disposition": f'attachment; filename="{feed}-{form}.csv"'}
        return Response(templates[form], 200, shown, media_type=CSV_TYPE)


def _add_receiving(router: APIRouter, feeds: Feeds, decoder: Decoder, *, at: str = "") -> None:
    """`POST /feeds/{feed}/{format}` of one format; `at` one feed alone, at its address."""

    async def receive(feed: str, request: Request) -> Response:
        """Raw bytes in any charset. They are durable before the answer; then every fact succeeds,
        waits or fails by itself."""
        feeds.decoder(feed, decoder.format)
        media_type = request.headers.get("content-type", "")
        if media_type.split(";", 1)[0].strip().lower() not in decoder.media_types:
            names = ", ".join(sorted(decoder.media_types))
            raise error(
                Category.INCORRECT,
                f"{decoder.title} is received as one of {names}",
                expression="Content-Type",
                status=415,
            )
        if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
            text = "what a feed sends is kept as it came, so it is not to be compressed"
            raise error(Category.INCORRECT, text, expression="Content-Encoding", status=415)
        key = read_key(request.headers.getlist(HEADER))
        form, wait = _form(request, decoder), _waits(request)
        body = await _read_body(request, feeds.max_bytes)
        delivery = _Delivery(feed, decoder, body, media_type, form, wait, key)
        try:
            return await _receive(feeds, delivery)
        except SsciError as problem:
            if problem.category is not Category.UNAVAILABLE or form != "own":
                raise
            headers = {"Retry-After": "5", **problem.headers}
            ack = feeds.refuse(feed, decoder.format, body=body)
            return Response(ack, 503, headers, media_type=decoder.answer_type)

    async def receive_here(request: Request) -> Response:
        return await receive(at, request)

    receive_here.__doc__ = receive.__doc__
    router.add_api_route(
        f"/{at}/{decoder.address}" if at else f"/{{feed}}/{decoder.format}",
        receive_here if at else receive,
        methods=["POST"],
        name=f"receive_{decoder.format}",
        summary=f"Receive {decoder.title}",
        response_class=Response,
        openapi_extra=_body_docs(decoder),
        responses=_answer_docs(decoder),
    )


def _body_docs(decoder: Decoder) -> dict[str, Any]:
    schema = decoder.documented() if decoder.documented else decoder.schema
    sent = {"schema": dict(schema), "example": decoder.example}
    return {
        "requestBody": {
            "required": True,
            "content": dict.fromkeys(sorted(decoder.media_types), sent),
        },
        "parameters": [
            {
                "name": "Prefer",
                "in": "header",
                "schema": {"type": "string"},
                "description": "`respond-async`: 202 as soon as the message is durable",
            },
            {
                "name": HEADER,
                "in": "header",
                "schema": {"type": "string", "maxLength": MAX_LENGTH},
                "description": "For seven days: the same key with the same bytes is answered as"
                " before, with other bytes 422",
            },
        ],
    }


def _answer_docs(decoder: Decoder) -> dict[int | str, dict[str, Any]]:
    """An acknowledgement is binary, because its charset is the sender's."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    told = {"content": {decoder.answer_type: binary}} if decoder.answer_type else {}
    sheet = {"text/csv": {"schema": {"type": "string"}}}
    forms = {"content": {**sheet, **told.get("content", {})}}
    return {
        200: {
            "description": "Kept and processed: the acknowledgement, or JSON or CSV if accepted",
            "model": DeliveryAnswer,
            **forms,
        },
        202: {"description": "Kept, not processed yet", "model": DeliveryAnswer},
        400: {"description": "No message of this format: kept unless it is empty", **told},
        404: {"description": "No feed of this name, or one that takes no such format"},
        413: {"description": "Too large: recorded, not kept", **told},
        415: {"description": f"No media type of {decoder.title}"},
        422: {"description": f"The {HEADER} was sent before with other bytes: nothing is kept"},
        503: {"description": "Not kept: send again after Retry-After", **told},
    }


async def _read_body(request: Request, limit: int) -> bytes:
    """The body, cut one byte after the limit."""
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > limit:
            break
    return bytes(data[: limit + 1])


Form = Literal["own", "json", "csv"]
"""What an answer is written in: the format's acknowledgement, JSON, a table of the facts."""


@dataclass(frozen=True, slots=True)
class _Delivery:
    """One request: what was sent, and how it is to be answered."""

    feed: str
    decoder: Decoder
    body: bytes = field(repr=False)
    media_type: str
    form: Form
    wait: bool
    key: str | None = field(repr=False)


async def _receive(feeds: Feeds, delivery: _Delivery) -> Response:
    refused = await _refuse(feeds, delivery)
    if refused is not None:
        return refused
    feed, decoder, body = delivery.feed, delivery.decoder, delivery.body
    if delivery.key is None:
        return _write(await _take_in(feeds, delivery))
    binding = await feeds.idempotency.bind(feed, delivery.key, decoder.format, body)
    if binding.answer is not None:
        return _write(binding.answer)
    answer = await _take_in(feeds, delivery)
    if answer.status == 202 and delivery.wait:
        return _write(answer)
    return _write(await feeds.idempotency.settle(binding, answer))


async def _refuse(feeds: Feeds, delivery: _Delivery) -> Response | None:
    """The answer to what is not kept: an empty body, or one that breaks a limit."""
    decoder, body = delivery.decoder, delivery.body
    if not body.strip():
        if delivery.form != "own":
            raise error(Category.INCORRECT, EMPTY, expression="body")
        failure = Failure(Reason.FRAME_BROKEN, EMPTY)
        ack = feeds.refuse(delivery.feed, decoder.format, failure)
        return Response(ack, 400, media_type=decoder.answer_type)
    rule = await unhurried(len(body), feeds.limit_broken, body, decoder.format)
    if rule is None:
        return None
    ack = await feeds.reject_oversize(
        delivery.feed, body, delivery.media_type, rule, decoder.format
    )
    if delivery.form == "own":
        return Response(ack, 413, media_type=decoder.answer_type)
    raise error(Category.INCORRECT, rule, code="too-long", status=413)


async def _take_in(feeds: Feeds, delivery: _Delivery) -> StoredAnswer:
    """Keeps and processes a delivery; its answer."""
    feed, decoder = delivery.feed, delivery.decoder
    answers = await feeds.receive(
        *(feed, delivery.body, delivery.media_type), format=decoder.format, wait=delivery.wait
    )
    status, location = _status(answers), f"/feeds/{feed}/messages/{answers[0].message_id}"
    if delivery.form == "own" and delivery.wait:
        ack = b"".join(answer.ack for answer in answers)
        return StoredAnswer(200 if status == 202 else status, decoder.answer_type, "", ack)
    if delivery.form == "csv":
        listed = [(each.message_id, each.facts) for each in answers]
        told = await unhurried(len(delivery.body), write_receipt, listed)
        return StoredAnswer(status, CSV_TYPE, location, told)
    told = await unhurried(len(delivery.body), _write_answers, decoder, answers)
    return StoredAnswer(status, JSON_TYPE, location, told)


def _write_answers(decoder: Decoder, answers: Sequence[Answer]) -> bytes:
    told = DeliveryAnswer(messages=[_receipt(answer, decoder) for answer in answers])
    return told.model_dump_json().encode()


def _write(answer: StoredAnswer) -> Response:
    headers = {"Location": answer.location} if answer.location else {}
    return Response(answer.body, answer.status, headers, media_type=answer.media_type)


JSON_TYPE = "application/json"
CSV_TYPE = "text/csv"
EMPTY = "the body is empty"


def _status(answers: Sequence[Answer]) -> int:
    if len(answers) == 1 and answers[0].unreadable:
        return 400
    return 202 if any(answer.facts is None for answer in answers) else 200


def _receipt(answer: Answer, decoder: Decoder) -> ReceiptAnswer:
    facts = None
    if answer.facts is not None:
        facts = [FactAnswer.of(row) for row in answer.facts]
    ack = answer.ack.decode("utf-8", "replace")
    return ReceiptAnswer(
        inbox_id=answer.message_id,
        sha256=answer.sha256,
        duplicate=answer.duplicate,
        ack=ack if decoder.answer_type else None,
        summary=None if decoder.answer_type else json.loads(ack),
        facts=facts,
    )


def _form(request: Request, decoder: Decoder) -> Form:
    """JSON for formats that have no acknowledgement of their own."""
    accepted = request.headers.get("accept", "").lower()
    if JSON_TYPE in accepted:
        return "json"
    if CSV_TYPE in accepted:
        return "csv"
    return "own" if decoder.answer_type else "json"


def _waits(request: Request) -> bool:
    return "respond-async" not in request.headers.get("prefer", "").lower()


def _add_template(router: APIRouter, feeds: Feeds) -> None:
    @router.get(
        "/{feed}/csv/template",
        summary="A table to fill in",
        response_class=Response,
        responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
    )
    async def read_template(
        feed: str, language: Annotated[Literal["zh", "en"], Query()] = "zh"
    ) -> Response:
        """The columns of a feed's tables in their usual spelling, the needed ones first."""
        feeds.decoder(feed, "csv")
        names = feeds.site.columns[feed].template(ascii_only=language == "en")
        shown = {"Content-Disposition": f'attachment; filename="{feed}.csv"'}
        return Response(write_table([names]), 200, shown, media_type=CSV_TYPE)
