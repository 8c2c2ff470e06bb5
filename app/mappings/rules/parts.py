"""Resources of which some messages tell the status and others the rest: two parts, each ordered by
itself, so that order of arrival decides neither. The order of the status is RESULT_ORDER, that of
the rest DESCRIPTION_ORDER; a part that no message has told has none, and anything counts."""

from __future__ import annotations

from app.fhir import Json
from app.mappings.facts import ResultOrder
from app.mappings.resources import (
    DESCRIPTION_ORDER,
    MAPPING_VERSION,
    RESULT_ORDER,
    RESULT_STATUS,
    read_order,
)

STATUS_PART = frozenset({RESULT_STATUS, RESULT_ORDER})
DESCRIPTION_PART = frozenset({DESCRIPTION_ORDER})
NOTHING: frozenset[str] = frozenset()


def order_parts(extensions: list[Json], *, status: bool, description: bool) -> list[Json]:
    """Common extensions with the order of the parts that a message tells."""
    order = next(item for item in extensions if item["url"] == RESULT_ORDER)
    kept = [item for item in extensions if status or item["url"] not in STATUS_PART]
    return [*kept, {**order, "url": DESCRIPTION_ORDER}] if description else kept


def tells_status(stored: Json, order: ResultOrder) -> bool:
    """Whether a status told at this order counts against the one stored."""
    return _counts(stored, RESULT_ORDER, order)


def tells_description(stored: Json, order: ResultOrder) -> bool:
    return _counts(stored, DESCRIPTION_ORDER, order)


def _counts(stored: Json, url: str, order: ResultOrder) -> bool:
    known = read_order(stored, url)
    return known is None or not order.is_older_than(known)


def merge_extensions(stored: Json, sent: Json, *, status: bool, description: bool) -> list[Json]:
    """The stored extensions with those of the parts that are taken from what was sent."""
    replaced = {MAPPING_VERSION}
    replaced |= STATUS_PART if status else NOTHING
    replaced |= DESCRIPTION_PART if description else NOTHING
    kept = [item for item in stored.get("extension", []) if item["url"] not in replaced]
    return [*kept, *(item for item in sent["extension"] if item["url"] in replaced)]
