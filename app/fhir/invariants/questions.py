"""What invariants ask of an element, and the record that an invariant is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, timedelta, timezone
from decimal import Decimal
from typing import Any

from app.fhir import codec
from app.fhir.times import parse_date

Node = Mapping[str, Any]

_EASTERNMOST = timezone(timedelta(hours=14))
_WESTERNMOST = timezone(timedelta(hours=-12))


@dataclass(frozen=True, slots=True)
class Invariant:
    """`key` is the standard's; `paths` are the types or parts that it is asked of."""

    key: str
    paths: tuple[str, ...]
    sentence: str
    holds: Callable[[Node], bool]


def has(node: Node, *names: str) -> bool:
    """Whether one of the elements is there, be it as an extension only."""
    return any(name in node or f"_{name}" in node for name in names)


def has_choice(node: Node, stem: str) -> bool:
    return any(name.lstrip("_").startswith(stem) for name in node)


def nodes(node: Node, *names: str) -> Iterator[Node]:
    """The elements along a path of names."""
    if not names:
        yield node
    elif names[0] in node:
        found = node[names[0]]
        for child in found if isinstance(found, list) else (found,):
            yield from nodes(child, *names[1:])


def descendants(node: Node, name: str) -> Iterator[Node]:
    for child in nodes(node, name):
        yield child
        yield from descendants(child, name)


def distinct(values: Iterator[Any]) -> bool:
    counts = Counter(value for value in values if value is not None)
    return all(count == 1 for count in counts.values())


def has_coding(concept: Node, system: str, *codes: str) -> bool:
    return any(
        coding.get("system") == system and coding.get("code") in codes
        for coding in nodes(concept, "coding")
    )


def is_after(first: Any, second: Any) -> bool:
    """Whether `first` is certainly after `second`, whatever is left out of partial dates and, where
    only one of them has a zone, wherever the other was meant."""
    if first is None or second is None:
        return False
    in_zones = "T" in first or "T" in second
    try:
        earliest = parse_date(first, _EASTERNMOST if in_zones else UTC).start
        latest = parse_date(second, _WESTERNMOST if in_zones else UTC).end
    except (ValueError, OverflowError):
        return False
    return earliest >= latest


def number(node: Node, name: str) -> Decimal | None:
    value = node.get(name)
    return None if value is None else codec.decimal(value)


def not_negative(name: str) -> Callable[[Node], bool]:
    return lambda node: (number(node, name) or 0) >= 0


def needs(name: str, *others: str) -> Callable[[Node], bool]:
    """`name` only together with one of `others`."""
    return lambda node: not has(node, name) or has(node, *others)


def apart(name: str, *others: str) -> Callable[[Node], bool]:
    """`name` never together with one of `others`."""
    return lambda node: not (has(node, name) and has(node, *others))
