"""The simple FHIRPath in which FHIRPath Patch names its elements.
https://hl7.org/fhir/R4/fhirpatch.html · http://hl7.org/fhirpath/

Elements, `[n]`, `first()`, `last()`, `where(element = literal and …)`, `extension('url')` and
`ofType(Type)`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from app.errors import Category, SsciError, error
from app.fhir.codec import MAX_DIGITS

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\]|\\.)*')|(?P<number>\d+(?:\.\d+)?)|(?P<name>\$this|[A-Za-z_]\w*)"
    r"|`(?P<quoted>[^`]+)`|(?P<sign>!=|[.()\[\]=]))",
    re.ASCII,
)
_ESCAPE = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Step:
    """An element by `name`, or a function: `[]` with a position, `where` with conditions …"""

    kind: str
    name: str = ""
    position: int = 0
    conditions: tuple[tuple[tuple[Step, ...], str, Any], ...] = ()


def parse_path(text: str, place: str) -> tuple[Step, ...]:
    """The steps of a simple path; 400 for what this language does not have."""
    tokens: list[tuple[str, str]] = []
    position = 0
    while position < len(text.rstrip()):
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise _malformed("the path is no simple FHIRPath", place)
        kind = "name" if match.lastgroup == "quoted" else match.lastgroup
        tokens.append((kind, match[match.lastgroup]))
        position = match.end()
    reader = _PathReader(tokens, place)
    steps = reader.steps()
    reader.expect_end()
    return steps


class _PathReader:
    """Reads a path from its tokens."""

    def __init__(self, tokens: Sequence[tuple[str, str]], place: str) -> None:
        self._tokens = [*tokens, ("end", "")]
        self._at = 0
        self._place = place

    def steps(self) -> tuple[Step, ...]:
        found = [self._named()]
        while True:
            if self._skip("["):
                found.append(Step("[]", position=int(self._take("number"))))
                self._need("]")
            elif self._skip("."):
                found.append(self._named())
            else:
                return tuple(found)

    def expect_end(self) -> None:
        if self._tokens[self._at][0] != "end":
            raise self._refused()

    def _named(self) -> Step:
        name = self._take("name")
        if not self._skip("("):
            return Step("element", name)
        step = self._function(name)
        self._need(")")
        return step

    def _function(self, name: str) -> Step:
        if name in ("first", "last"):
            return Step(name)
        if name == "where":
            conditions = [self._condition()]
            while self._tokens[self._at] == ("name", "and"):
                self._at += 1
                conditions.append(self._condition())
            return Step("where", conditions=tuple(conditions))
        if name == "extension":
            url = _unquoted(self._take("text"))
            return Step("where", "extension", 0, (((Step("element", "url"),), "=", url),))
        if name == "ofType":
            return Step("ofType", self._take("name"))
        raise self._refused()

    def _condition(self) -> tuple[tuple[Step, ...], str, Any]:
        path = self.steps()
        kind, sign = self._tokens[self._at]
        if kind != "sign" or sign not in ("=", "!="):
            raise self._refused()
        self._at += 1
        return path, sign, self._literal()

    def _literal(self) -> Any:
        kind, text = self._tokens[self._at]
        self._at += 1
        if kind == "text":
            return _unquoted(text)
        if kind == "number" and len(text) <= MAX_DIGITS:
            return Decimal(text)
        if kind == "name" and text in ("true", "false"):
            return text == "true"
        raise self._refused()

    def _skip(self, sign: str) -> bool:
        if self._tokens[self._at] != ("sign", sign):
            return False
        self._at += 1
        return True

    def _need(self, sign: str) -> None:
        if not self._skip(sign):
            raise self._refused()

    def _take(self, kind: str) -> str:
        found, text = self._tokens[self._at]
        if found != kind or len(text) > 100 or (kind == "number" and not text.isdigit()):
            raise self._refused()
        self._at += 1
        return text

    def _refused(self) -> SsciError:
        return _malformed("the path is no simple FHIRPath", self._place)


def _unquoted(text: str) -> str:
    return _ESCAPE.sub(r"\1", text[1:-1])


def _malformed(text: str, place: str) -> SsciError:
    return error(Category.INCORRECT, text, expression=place)
