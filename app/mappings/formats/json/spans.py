"""Where the members of a JSON object and the items of its lists stand, in bytes (RFC 8259).

Only the outline is read: strings, brackets and separators of the top. What stands between is for
the strict reader of `app.fhir`, which gets exactly these bytes.
https://www.rfc-editor.org/rfc/rfc8259
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from app.mappings.frame import Span

BLANK = rb"[ \t\r\n]*+"
STRING = rb'"(?:[^"\\\x00-\x1f]++|\\.)*+"'
SCALAR = re.compile(STRING + rb'|[^\s,:\[\]{}"]++')
KEY = re.compile(BLANK + rb"(" + STRING + rb")" + BLANK + rb":" + BLANK)
TOKEN = re.compile(rb'[^"\[\]{}]*+(' + STRING + rb"|[\[\]{}])")
GAP = re.compile(BLANK)


@dataclass(frozen=True, slots=True)
class Broken:
    """Where the text is no JSON."""

    position: int


class _Stop(Exception):  # noqa: N818 – carries a place, is never told
    def __init__(self, position: int) -> None:
        super().__init__()
        self.position = position


def find_members(data: bytes, start: int = 0) -> list[tuple[str, Span]] | Broken:
    """The members of the one object that the text is: key and where its value stands. A key may
    come more than once."""
    try:
        opening = _skip(data, start)
        if data[opening : opening + 1] != b"{":
            return Broken(opening)
        members, end = _read_members(data, opening)
        rest = _skip(data, end)
        return members if rest == len(data) else Broken(rest)
    except _Stop as stop:
        return Broken(stop.position)


def find_items(data: bytes, span: Span) -> list[Span] | Broken:
    """The items of the list that stands at `span`; Broken at its start if that is no list."""
    if data[span.start : span.start + 1] != b"[":
        return Broken(span.start)
    try:
        return list(_read_items(data, span.start))
    except _Stop as stop:
        return Broken(stop.position)


def _read_members(data: bytes, opening: int) -> tuple[list[tuple[str, Span]], int]:
    members: list[tuple[str, Span]] = []
    position = _skip(data, opening + 1)
    if data[position : position + 1] == b"}":
        return members, position + 1
    while True:
        key = KEY.match(data, position)
        if key is None:
            raise _Stop(position)
        end = _end_of_value(data, key.end())
        members.append((_read_string(key), Span(key.end(), end)))
        position = _skip(data, end)
        if data[position : position + 1] == b"}":
            return members, position + 1
        position = _after_comma(data, position)


def _read_items(data: bytes, opening: int) -> Iterator[Span]:
    position = _skip(data, opening + 1)
    if data[position : position + 1] == b"]":
        return
    while True:
        end = _end_of_value(data, position)
        yield Span(position, end)
        position = _skip(data, end)
        if data[position : position + 1] == b"]":
            return
        position = _skip(data, _after_comma(data, position))


def _skip(data: bytes, position: int) -> int:
    match = GAP.match(data, position)
    return match.end() if match else position


def _after_comma(data: bytes, position: int) -> int:
    if data[position : position + 1] != b",":
        raise _Stop(position)
    return position + 1


def _end_of_value(data: bytes, position: int) -> int:
    """The end of the value that begins at `position`, its brackets balanced."""
    if data[position : position + 1] not in (b"{", b"["):
        match = SCALAR.match(data, position)
        if match is None:
            raise _Stop(position)
        return match.end()
    depth, start = 0, position
    while True:
        token = TOKEN.match(data, position)
        if token is None:
            raise _Stop(start)
        position = token.end()
        mark = data[position - 1 : position]
        if mark in (b"{", b"["):
            depth += 1
        elif mark in (b"}", b"]"):
            depth -= 1
            if not depth:
                return position


def _read_string(key: re.Match[bytes]) -> str:
    try:
        return str(json.loads(key[1]))
    except ValueError:
        raise _Stop(key.start(1)) from None
