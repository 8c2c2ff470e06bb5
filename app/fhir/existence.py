"""Whether what a resource refers to exists: asked where the setting wants it, inside the writing
transaction, and held there until it commits. https://hl7.org/fhir/R4/http.html#create
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from app.database import WriteConnection
from app.errors import Category, Issue, errors
from app.fhir.layout import Layout
from app.fhir.model import Change

MAX_ISSUES = 100
_LITERAL = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[^#]+)?(?:#.*)?")


async def check_targets(
    connection: WriteConnection,
    layout: Layout,
    base_url: str | None,
    changes: Sequence[Change],
    places: Mapping[tuple[str, str], str],
) -> None:
    """422 that names each reference to a resource that is neither stored nor written here."""
    wanted = list(_wanted(changes, base_url, places))
    by_type: dict[str, set[str]] = {}
    for _, resource_type, id in wanted:
        by_type.setdefault(resource_type, set()).add(id)
    known = {(each.resource_type, each.id) for each in changes if each.after is not None}
    gone = {(each.resource_type, each.id) for each in changes if each.after is None}
    for resource_type in sorted(by_type.keys() & layout.keys()):
        rows = await connection.fetch(
            f"SELECT id FROM fhir.{layout[resource_type].table}"
            " WHERE id = ANY($1) ORDER BY id FOR KEY SHARE",
            sorted(by_type[resource_type]),
        )
        known |= {(resource_type, row["id"]) for row in rows}
    missing = [each for each in wanted if each[1:] not in known - gone]
    if missing:
        issues = [
            Issue("not-found", f"the reference leads to no {kind} of this server", place)
            for place, kind, _ in missing[:MAX_ISSUES]
        ]
        raise errors(Category.UNPROCESSABLE, issues)


def _wanted(
    changes: Sequence[Change], base_url: str | None, places: Mapping[tuple[str, str], str]
) -> Iterator[tuple[str, str, str]]:
    """(place, type, id) of every reference to a resource of this server."""
    for change in changes:
        place = places.get((change.resource_type, change.id), change.resource_type)
        for where, text in _references(change.after, place):
            own = text.removeprefix(f"{base_url}/") if base_url else text
            match = _LITERAL.fullmatch(own)
            if match is not None:
                yield where, match[1], match[2]


def _references(value: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, held in value.items():
            if name == "reference" and isinstance(held, str):
                yield f"{place}.reference", held
            else:
                yield from _references(held, f"{place}.{name}")
    elif isinstance(value, list):
        for number, held in enumerate(value):
            yield from _references(held, f"{place}[{number}]")
