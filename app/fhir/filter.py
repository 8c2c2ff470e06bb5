"""The `_filter` parameter as a plain frozen tree. https://hl7.org/fhir/R4/search_filter.html

    filter   = test / filter (("and" / "or") filter)+ / ["not"] "(" filter ")"
    test     = path SP operator SP value
    path     = name ["[" filter "]"] ["." path]
    value    = a JSON string, or characters up to white space, ")" or "]"

"and" and "or" bind alike, from left to right. Every refusal names the position it is about.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import orjson

from app.errors import Category, SsciError, error

OPERATORS: Final = frozenset(
    "eq ne co sw ew gt lt ge le ap sa eb pr po ss sb in ni re".split()  # noqa: SIM905
)
MAX_LENGTH = 4000
MAX_DEPTH = 20


@dataclass(frozen=True, slots=True)
class And:
    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Or:
    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: Filter


@dataclass(frozen=True, slots=True)
class Step:
    """One name of a path; `filter` must hold of the same element or resource that goes on."""

    name: str
    filter: Filter | None = None


@dataclass(frozen=True, slots=True)
class Test:
    """`path` is a search parameter, or a chain of them. `value` is unquoted."""

    path: tuple[Step, ...]
    operator: str
    value: str


Filter = And | Or | Not | Test


def parse_filter(text: str) -> Filter:
    """The tree, or a 400 that names the position of what is wrong."""
    if len(text) > MAX_LENGTH:
        raise _refused(f"longer than {MAX_LENGTH} characters", code="too-costly")
    if "\0" in text:
        raise _refused(f"position {text.index(chr(0)) + 1}: a NUL character")
    return _Reader(text).read()


def print_filter(tree: Filter) -> str:
    """The text that `parse_filter` reads as `tree`."""
    if isinstance(tree, Test):
        return f"{'.'.join(map(_print_step, tree.path))} {tree.operator} {_print_value(tree.value)}"
    if isinstance(tree, Not):
        return f"not ({print_filter(tree.part)})"
    word = " and " if isinstance(tree, And) else " or "
    return word.join(_print_operand(part) for part in tree.parts)


def _print_operand(part: Filter) -> str:
    return f"({print_filter(part)})" if isinstance(part, And | Or) else print_filter(part)


def _print_step(step: Step) -> str:
    return f"{step.name}[{print_filter(step.filter)}]" if step.filter else step.name


def _print_value(value: str) -> str:
    return value if _TOKEN.fullmatch(value) else orjson.dumps(value).decode()


_SPACE = re.compile(r"\s*")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_\-]*")
_WORD = re.compile(r"[a-z]+(?![^\s()\[\]])")
_NOT = re.compile(r"not\s*\(")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_TOKEN = re.compile(r'[^\s)\]"][^\s)\]]*')


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def read(self) -> Filter:
        tree = self._expression(1)
        if self._at < len(self._text):
            raise self._wrong("expected 'and', 'or' or the end")
        return tree

    def _expression(self, depth: int) -> Filter:
        """Operands joined by words; where the word changes, what was read becomes one operand."""
        if depth > MAX_DEPTH:
            raise self._wrong(f"nested more than {MAX_DEPTH} deep")
        operands, word = [self._operand(depth)], ""
        while following := self._joining_word():
            if word and following != word:
                operands = [_joined(word, operands)]
            word = following
            operands.append(self._operand(depth))
        return _joined(word, operands) if word else operands[0]

    def _joining_word(self) -> str | None:
        self._skip_space()
        start = self._at
        if match := self._match(_WORD):
            if match[0] in ("and", "or"):
                return match[0]
            self._at = start
        return None

    def _operand(self, depth: int) -> Filter:
        self._skip_space()
        if self._match(_NOT):
            return Not(self._closed(depth, ")"))
        if self._takes("("):
            return self._closed(depth, ")")
        return self._test(depth)

    def _closed(self, depth: int, sign: str) -> Filter:
        tree = self._expression(depth + 1)
        self._skip_space()
        if not self._takes(sign):
            raise self._wrong(f"expected '{sign}'")
        return tree

    def _test(self, depth: int) -> Test:
        path = [self._step(depth)]
        while self._takes("."):
            path.append(self._step(depth))
        operator = self._operator()
        return Test(tuple(path), operator, self._value(operator))

    def _step(self, depth: int) -> Step:
        name = self._match(_NAME)
        if name is None:
            raise self._wrong("expected the name of a search parameter")
        return Step(name[0], self._closed(depth, "]") if self._takes("[") else None)

    def _operator(self) -> str:
        self._skip_space()
        start = self._at
        word = self._match(_WORD)
        if word is None or word[0] not in OPERATORS:
            self._at = start
            raise self._wrong(f"expected an operator ({' '.join(sorted(OPERATORS))})")
        return word[0]

    def _value(self, operator: str) -> str:
        self._skip_space()
        start = self._at
        value = self._string() if self._text.startswith('"', start) else self._token()
        if operator == "pr" and value not in ("true", "false"):
            self._at = start
            raise self._wrong("'pr' takes true or false")
        return value

    def _string(self) -> str:
        match = self._match(_STRING)
        if match is None:
            raise self._wrong("the string has no end")
        try:
            value = str(orjson.loads(match[0]))
        except orjson.JSONDecodeError:
            value = "\0"
        if "\0" in value:
            self._at = match.start()
            raise self._wrong("the string is not as JSON writes it, or holds a NUL character")
        return value

    def _token(self) -> str:
        match = self._match(_TOKEN)
        if match is None:
            raise self._wrong("expected a value")
        return match[0]

    def _skip_space(self) -> None:
        self._match(_SPACE)

    def _takes(self, sign: str) -> bool:
        found = self._text.startswith(sign, self._at)
        self._at += found
        return found

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self._text, self._at)
        if match:
            self._at = match.end()
        return match

    def _wrong(self, rule: str) -> SsciError:
        return _refused(f"position {self._at + 1}: {rule}")


def _joined(word: str, operands: list[Filter]) -> Filter:
    return And(tuple(operands)) if word == "and" else Or(tuple(operands))


def _refused(rule: str, code: str = "invalid") -> SsciError:
    return error(Category.INCORRECT, f"_filter: {rule}", expression="http._filter", code=code)
