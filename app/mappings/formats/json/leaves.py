"""The leaves of a JSON text: every value that is neither empty nor null, with its place in the tree
and in the bytes. https://www.rfc-editor.org/rfc/rfc6901 · https://www.rfc-editor.org/rfc/rfc8259

One pass over the tokens, linear in the bytes, also of hostile ones; never raises.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from app.mappings.formats.json.spans import STRING
from app.mappings.frame import Span

TOKEN = re.compile(STRING + rb'|[{}\[\]:,]|[^\s{}\[\]:,"]++|"')
NAME = re.compile(r"_?[a-z](?:[A-Za-z_-]|[0-9]{1,2}(?![0-9]))*+")
MAX_NAME = 64
MAX_DEPTH = 100
"""Deeper than any sound message; what stands below is one leaf."""
EMPTY = frozenset({b"null", b'""'})

Step = str | int


class JsonLeaf(NamedTuple):
    """Keys and positions from the root of the text down to a value, and the bytes it stands on."""

    steps: tuple[Step, ...]
    span: Span


@dataclass(slots=True)
class _Level:
    """An object or a list that is open, and where in it the reading stands."""

    is_object: bool
    step: Step
    expects_key: bool


def walk_leaves(data: bytes, span: Span, above: tuple[Step, ...] = ()) -> Iterator[JsonLeaf]:
    """The leaves of the JSON value at `span`, in their order. `above` is where that value stands.
    A key without a value is no leaf."""
    levels: list[_Level] = []
    keys: dict[bytes, str] = {}
    deep, deep_start = 0, 0
    for match in TOKEN.finditer(data, span.start, span.end):
        token = match[0]
        if deep:
            deep += (token in (b"{", b"[")) - (token in (b"}", b"]"))
            if not deep:
                yield JsonLeaf(_steps(above, levels), Span(deep_start, match.end()))
        elif token in (b"{", b"["):
            if len(levels) == MAX_DEPTH:
                deep, deep_start = 1, match.start()
            else:
                levels.append(_open(token))
        elif token in (b"}", b"]", b",", b":"):
            _follow(token, levels)
        elif levels and levels[-1].expects_key:
            levels[-1].step = keys.get(token) or keys.setdefault(token, _read_key(token))
        elif token not in EMPTY:
            yield JsonLeaf(_steps(above, levels), Span(*match.span()))
    if deep:
        yield JsonLeaf(_steps(above, levels), Span(deep_start, span.end))


def _open(token: bytes) -> _Level:
    is_object = token == b"{"
    return _Level(is_object, "" if is_object else 0, expects_key=is_object)


def _follow(token: bytes, levels: list[_Level]) -> None:
    if not levels:
        return
    here = levels[-1]
    if token in (b"}", b"]"):
        levels.pop()
    elif token == b":":
        here.expects_key = False
    elif here.is_object:
        here.expects_key = True
    elif isinstance(here.step, int):
        here.step += 1


def _read_key(token: bytes) -> str:
    try:
        return str(json.loads(token))
    except ValueError:
        return token.decode("utf-8", "replace")


def _steps(above: tuple[Step, ...], levels: list[_Level]) -> tuple[Step, ...]:
    return (*above, *[level.step for level in levels])


def write_pointer(steps: tuple[Step, ...]) -> str:
    """A JSON pointer; a key that is not written as names of elements are, and may therefore be a
    value, is shown as `*`."""
    return "".join(f"/{_show(step)}" for step in steps)


def _show(step: Step) -> str:
    if isinstance(step, int):
        return str(step)
    sound = len(step) <= MAX_NAME and NAME.fullmatch(step)
    return step.replace("~", "~0").replace("/", "~1") if sound else "*"
