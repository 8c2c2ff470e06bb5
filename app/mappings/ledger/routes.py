"""`/feeds/{feed}/messages/{id}/ledger`: what became of every leaf of a message."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from app.errors import Category, error
from app.mappings.feeds import Feeds
from app.mappings.ledger.view import FullLedger, Ledgers, Line

MAX_LINES = 20_000
MAX_ID = 2**62
NOT_THERE: dict[int | str, dict[str, Any]] = {
    404: {"description": "No such message on this feed, or none with a ledger"}
}


class LeafAnswer(BaseModel):
    path: str = Field(examples=["OBX[2]-3.1", "/entry/1/resource/status", "row[2]/column[7] grade"])
    kind: Literal["mapped", "carried", "ignored", "unexplained"]
    rule: str | None = Field(None, examples=["direct-identifier"])
    target: str | None = Field(
        None,
        description="The element that it went into (FHIR, case report forms)",
        examples=["Observation.value[x]"],
    )
    start: int | None = Field(None, description="First byte (FHIR, case report forms)")
    end: int | None = Field(None, description="The byte behind the last")
    fact: str | None = Field(None, description="The place of its fact", examples=["entry[1]"])

    @classmethod
    def of(cls, line: Line) -> LeafAnswer:
        return cls(
            path=line.path,
            kind=line.kind,
            rule=line.rule or None,
            target=line.target or None,
            start=line.start,
            end=line.end,
            fact=line.fact or None,
        )


class LedgerAnswer(BaseModel):
    """Paths and rules, never values."""

    message: int
    mapping_version: str = Field(description="Of the rules that this was computed with")
    mapped: int
    carried: int
    ignored: int
    unexplained: int
    rules: dict[str, str] = Field(description="What the rules among the leaves mean")
    leaves: list[LeafAnswer] = Field(description=f"The first {MAX_LINES} of those asked for")

    @classmethod
    def of(cls, message: int, found: FullLedger) -> LedgerAnswer:
        counts = found.counts
        return cls(
            message=message,
            mapping_version=found.mapping_version,
            mapped=counts.mapped,
            carried=counts.carried,
            ignored=counts.ignored,
            unexplained=counts.unexplained,
            rules=found.rules,
            leaves=[LeafAnswer.of(line) for line in found.lines],
        )


def add_coverage(router: APIRouter, feeds: Feeds, ledgers: Ledgers) -> None:
    @router.get(
        "/{feed}/messages/{message_id}/ledger",
        summary="What became of every leaf of a message",
        response_model=LedgerAnswer,
        responses=NOT_THERE,
    )
    async def read_ledger(
        feed: str,
        message_id: int,
        kind: Annotated[
            Literal["mapped", "carried", "ignored", "unexplained"] | None,
            Query(description="Only leaves of this kind"),
        ] = None,
    ) -> LedgerAnswer:
        """Computed from the message's bytes with the mapping that is active: each non-empty part
        of it was mapped, carried, ignored by a named rule, or is unexplained."""
        feeds.setting(feed)
        return await describe_ledger(ledgers, feed, message_id, kind)


async def describe_ledger(
    ledgers: Ledgers,
    feed: str,
    message_id: int,
    kind: Literal["mapped", "carried", "ignored", "unexplained"] | None = None,
) -> LedgerAnswer:
    """NOT_FOUND: no such message, or none with a ledger."""
    if not 0 <= message_id < MAX_ID:
        raise error(Category.NOT_FOUND, "no such message", expression="message_id")
    found = await ledgers.compute(feed, message_id, kind, MAX_LINES)
    return LedgerAnswer.of(message_id, found)
