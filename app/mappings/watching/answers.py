"""What the feeds answer in JSON: messages, facts, quarantine, replays, status."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from app.mappings.reasons import Outcome, Reason
from app.mappings.watching.rehearsal import Tally
from app.mappings.watching.replays import Batch
from app.mappings.watching.status import FeedStatus


class FactAnswer(BaseModel):
    """One fact of a message: where it stands in it, what became of it and why."""

    ordinal: int = Field(description="Its number within the message, from 0")
    position: str = Field(examples=["OBX[1]"])
    field: str | None = Field(
        None, description="Where in its own words the source has it", examples=["OBX-6"]
    )
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
    resolved_reason: Reason | None = Field(
        None, description="Of a resolved fact: for which reason it had been open"
    )
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


COPIED = (
    *("ordinal", "field", "byte_start", "byte_end", "code", "system", "analyte", "outcome"),
    *("reason", "detail", "state", "resolved_reason", "subject", "attempt", "mapping_version"),
    "updated",
)


def _fact_values(row: Any) -> dict[str, Any]:
    version = row["resource_version"]
    resource = f"{row['resource_type']}/{row['resource_id']}/_history/{version}"
    return {
        "position": row["place"],
        "resource": resource if version else None,
        "review": row["reviews"],
        **{name: row[name] for name in COPIED},
    }


class OpenAnswer(BaseModel):
    reason: str
    facts: int
    oldest: datetime = Field(description="When the oldest of their messages was received")


class PollAnswer(BaseModel):
    """How far a FHIR server of the hospital has been read."""

    resource_type: str
    watermark: datetime | None = Field(description="Everything changed before this is kept")
    started: datetime | None
    succeeded: datetime | None
    failures: int = Field(description="Rounds that have failed since the last that succeeded")
    problem: str
    pages: int = Field(description="Pages kept so far")

    @classmethod
    def of(cls, row: Any) -> PollAnswer:
        names = ("resource_type", "watermark", "started", "succeeded", "failures", "problem")
        return cls(pages=row["kept"], **{name: row[name] for name in names})


class FeedAnswer(BaseModel):
    """How a feed stands."""

    name: str
    title: str
    message_types: list[str]
    last_received: datetime | None
    pending: int = Field(description="Messages that are kept and not processed yet")
    oldest_pending: datetime | None
    lag_seconds: float = Field(description="For how long the oldest pending message has waited")
    oldest_open: datetime | None = Field(
        description="Of what a person is to look at; patients who are not enrolled don't count"
    )
    open: dict[str, int] = Field(description="Open facts by reason")
    open_since: list[OpenAnswer]
    polling: list[PollAnswer] = Field([], description="Of a server that is or was asked")

    @classmethod
    def of(cls, status: FeedStatus, title: str, types: frozenset[str], now: datetime) -> FeedAnswer:
        return cls(
            name=status.feed,
            title=title,
            message_types=sorted(types),
            last_received=status.last_received,
            pending=status.pending,
            oldest_pending=status.oldest_pending,
            lag_seconds=round(status.lag_seconds(now), 3),
            oldest_open=status.oldest_open,
            open={reason: each.number for reason, each in status.open.items()},
            open_since=[
                OpenAnswer(reason=reason, facts=each.number, oldest=each.oldest)
                for reason, each in status.open.items()
            ],
        )


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
    format: str
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
            *("size", "received", "kind", "format", "media_type", "message_type", "control_id"),
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


class FoundMessagesAnswer(BaseModel):
    messages: list[MessageAnswer]
    next_before: int | None = Field(description="`before` of the next page; null: this is the last")


class DecisionAnswer(BaseModel):
    """That somebody dismissed a fact or opened it again. Never changed, never deleted."""

    id: int
    feed: str
    message: int
    ordinal: int
    action: Literal["dismiss", "reopen"]
    fact_reason: str | None = Field(description="For which reason the fact was open")
    person: str
    reason: str
    decided: datetime

    @classmethod
    def of(cls, row: Any) -> DecisionAnswer:
        names = ("id", "feed", "ordinal", "action", "fact_reason", "person", "reason", "decided")
        return cls(message=row["message_id"], **{name: row[name] for name in names})


class DecisionsAnswer(BaseModel):
    decisions: list[DecisionAnswer]
    next: str | None


class MessageDetailAnswer(MessageAnswer):
    deliveries: int
    last_delivered: datetime
    facts: list[FactAnswer]
    resources: list[str] = Field(description="The versions that its facts are stored as")
    decisions: list[DecisionAnswer]
    ledger: dict[str, Any] | None = Field(
        None, description="Summary of the coverage ledger; null where there is none"
    )
    content: str = Field(description="Where its bytes are shown masked")


class QuarantineAnswer(BaseModel):
    facts: list[MessageFactAnswer]
    next: str | None


class DecidedAnswer(BaseModel):
    message: int
    ordinals: list[int]
    state: Literal["open", "dismissed"]


class TallyAnswer(BaseModel):
    """Over messages: their facts, new versions of resources (Provenance not counted), facts that
    change nothing, facts that fail or wait."""

    messages: int
    facts: int
    versions: int
    unchanged: int
    failing: int

    @classmethod
    def of(cls, tally: Tally) -> TallyAnswer:
        return cls(
            messages=tally.messages,
            facts=tally.facts,
            versions=tally.versions,
            unchanged=tally.unchanged,
            failing=tally.failing,
        )


class DryRunAnswer(BaseModel):
    """What a replay would do; nothing was written."""

    selected: int = Field(description="Messages that the replay would take")
    mapping_version: str
    would: TallyAnswer = Field(description="Over the first `limit` of them")


class ReplayAnswer(BaseModel):
    """A replay and how far it has come."""

    id: int
    state: Literal["running", "stopped", "done"]
    person: str
    reason: str
    selection: str
    mapping_version: str
    requested: datetime
    ended: datetime | None
    messages: int
    done: TallyAnswer

    @classmethod
    def of(cls, batch: Batch) -> ReplayAnswer:
        names = ("id", "state", "person", "reason", "selection", "mapping_version", "requested")
        return cls(
            ended=batch.ended,
            messages=batch.messages,
            done=TallyAnswer.of(batch.done),
            **{name: getattr(batch, name) for name in names},
        )


class ReplaysAnswer(BaseModel):
    replays: list[ReplayAnswer]
    next: str | None


class ContentAnswer(BaseModel):
    """A raw message, masked: what may tell who it is about is asterisks, one for each byte.
    `before`, `highlight` and `after` joined are the whole; a fact's bytes are the highlight."""

    inbox_id: int
    sha256: str
    charset: str
    size: int
    hidden_bytes: int
    byte_start: int | None = None
    byte_end: int | None = None
    before: str
    highlight: str
    after: str
