"""What every endpoint's answer says beside its figures: definition, both clocks, inputs.

An answer is a plain dictionary in the order in which it is told; the same request gives the same
bytes. Instants are UTC with microseconds; estimates are rounded to 10 significant digits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from app.endpoints.reading.records import Request, Source
from app.trial import EndpointDefinition

NOT_RECORDED = "not recorded"

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Input:
    """A resource version that a figure rests on, and what for."""

    subject: str
    used_as: str
    visit: str | None
    source: Source


def format_instant(instant: datetime) -> str:
    """UTC with microseconds: `2019-03-14T01:02:03.000004Z`."""
    return instant.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def encode_answer(answer: Answer) -> bytes:
    return orjson.dumps(answer)


def build_header(request: Request) -> Answer:
    return {
        "endpoint": request.definition.id,
        "definition": build_definition(request.definition),
        "cutoff": request.cut.cutoff,
        "asOf": format_instant(request.cut.as_of),
        "software": request.software,
        "parameters": dict(request.parameters),
    }


def build_definition(definition: EndpointDefinition) -> Answer:
    return {
        "id": definition.id,
        "version": definition.version,
        "role": definition.role,
        "title": definition.title,
        "text": definition.text,
        "source": definition.source,
        "population": definition.population,
        "assumptions": list(definition.assumptions),
    }


def build_inputs(inputs: Iterable[Input]) -> list[Answer]:
    """Each input once per use, by participant, use and visit."""
    return [
        {
            "subject": each.subject,
            "usedAs": each.used_as,
            "visit": each.visit,
            **build_source(each.source),
        }
        for each in inputs
    ]


def build_reasons(reasons: Sequence[tuple[str, str]], *, listed: bool = True) -> Answer:
    """(subject, reason) pairs: how many, how many for each reason, and, if `listed`, who."""
    counted = Counter(reason for _, reason in reasons)
    who = [{"subject": subject, "reason": reason} for subject, reason in reasons]
    return {
        "n": len(reasons),
        "reasons": dict(sorted(counted.items())),
        "subjects": who if listed else None,
    }


def build_source(source: Source) -> Answer:
    return {"resource": source.reference, "version": source.version, "url": source.url}
