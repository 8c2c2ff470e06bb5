"""What tests of the coverage ledger share: the leaves of a message as its ledger has them, and an
independent count of what they should be."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from app.mappings import Found
from app.mappings.context import Context
from app.mappings.facts import Fact, Source
from app.mappings.formats.decoders import DECODERS
from app.mappings.formats.decoding import map_message
from app.mappings.ledger.entries import Entry
from app.mappings.ledger.leaves import list_entries
from tests.feed_support import FEED_KEYS, LIS, SUBJECT, site


def facts_and_leaves(
    data: bytes, format: str, feed: str = LIS, *, known: bool = True
) -> tuple[Sequence[Fact], list[Entry]]:
    """What a message that was just mapped comes to; its patients are one subject, or nobody."""
    setting, decoder = site().feeds[feed], DECODERS[format]
    read = decoder.read(data, setting, site())
    source = Source(feed, "0" * 64, datetime(2031, 3, 14, 3, tzinfo=UTC), site().version)
    found = Found((SUBJECT,) if known else (), (b"w" * 32,))
    context = Context(site(), setting, FEED_KEYS.result_hmac, source)
    facts = map_message(decoder, read, dict.fromkeys(read.claims.values(), found), context)
    entries = list_entries(read, facts, setting)
    assert entries is not None
    return facts, list(entries)


def leaves_of(data: bytes, format: str, feed: str = LIS, *, known: bool = True) -> list[Entry]:
    return facts_and_leaves(data, format, feed, known=known)[1]


def told(entries: Sequence[Entry]) -> dict[str, str]:
    """By path the rule of what was ignored or unexplained, else the target."""
    return {
        each.path: each.verdict.target or each.verdict.rule or each.verdict.kind for each in entries
    }


def unexplained(entries: Sequence[Entry]) -> list[str]:
    return [each.path for each in entries if each.verdict.kind == "unexplained"]


def json_leaves(value: Any, pointer: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that is neither empty nor null, by its pointer."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from json_leaves(each, f"{pointer}/{key}")
    elif isinstance(value, list):
        for n, each in enumerate(value):
            yield from json_leaves(each, f"{pointer}/{n}")
    elif value is not None and value != "":
        yield pointer, value


def assert_each_once(data: bytes, entries: Sequence[Entry]) -> None:
    """Every value of the JSON text stands once in the ledger, by its pointer and on its bytes."""
    found = []
    for each in entries:
        assert each.span is not None
        text = data[each.span.start : each.span.end].decode()
        found.append((each.path, json.loads(text, parse_float=str)))
    assert found == list(json_leaves(json.loads(data.decode("utf-8-sig"), parse_float=str)))
