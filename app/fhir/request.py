"""A search as a plain frozen record, parsed from the query string before any database is in sight.
https://hl7.org/fhir/R4/search.html

Strict by default: an unknown parameter, modifier or a malformed value is a 400 that names it; under
`Prefer: handling=lenient` it is left out and listed in `ignored`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import orjson

from app.errors import Category, Issue, SsciError, error, errors
from app.fhir.criteria import (
    AllOf,
    Amount,
    AnyOf,
    Chain,
    Condition,
    Criterion,
    DateRange,
    Has,
    Not,
    Parts,
    Reference,
    Text,
    Token,
    TypedIdentifier,
    Value,
    Words,
    any_of,
    conditions_in,
    flatten,
)
from app.fhir.layout import Home, TypeLayout
from app.fhir.literals import Reading, refused, split_escaped
from app.fhir.parameters import modifiers_of, parse_criterion, targets_of

__all__ = [
    "DEFAULT_COUNT",
    "MAX_COUNT",
    "AllOf",
    "Amount",
    "AnyOf",
    "Chain",
    "Condition",
    "Criterion",
    "Cursor",
    "DateRange",
    "Has",
    "Include",
    "Not",
    "Parts",
    "Reading",
    "Reference",
    "SearchRequest",
    "SortKey",
    "Text",
    "Token",
    "TypedIdentifier",
    "Value",
    "Words",
    "dump_cursor",
    "modifiers_of",
    "parse_compartment_search",
    "parse_cursor",
    "parse_search",
    "parse_system_search",
    "split_escaped",
]

DEFAULT_COUNT = 50
MAX_COUNT = 1000
MAX_SORT_KEYS = 10
MAX_INCLUDES = 50

Total = Literal["none", "estimate", "accurate"]
Summary = Literal["true", "text", "data", "count"]
_TOTALS: Mapping[str, Total] = {"none": "none", "estimate": "estimate", "accurate": "accurate"}
_SUMMARIES: Mapping[str, Summary | None] = {
    "true": "true",
    "text": "text",
    "data": "data",
    "count": "count",
    "false": None,
}


@dataclass(frozen=True, slots=True)
class SortKey:
    code: str
    descending: bool


@dataclass(frozen=True, slots=True)
class Include:
    """`_include=Observation:subject:Patient`, or with `reverse` `_revinclude`. `source` and `code`
    may be `*`; `target` None means every target type. `iterate`: of what is included, too."""

    source: str
    code: str
    target: str | None
    reverse: bool = False
    iterate: bool = False


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page starts: the first page's snapshot and the sort keys, id included, of the row
    before it; none: the first page. `backward`: the page ends before that row."""

    snapshot: str
    keys: tuple[str | None, ...]
    backward: bool = False


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """All conditions must hold. `used` are the parameters that took part, as they were given.

    A search over several types has `parts`, one per type, whose conditions count. `address` is
    where it was asked, below the base, if not at its type.
    """

    resource_type: str
    conditions: tuple[Criterion, ...] = ()
    sort: tuple[SortKey, ...] = ()
    count: int = DEFAULT_COUNT
    includes: tuple[Include, ...] = ()
    cursor: Cursor | None = None
    used: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    ignored: tuple[Issue, ...] = field(default=(), compare=False)
    total: Total = "none"
    summary: Summary | None = None
    elements: tuple[str, ...] = ()
    parts: tuple[SearchRequest, ...] = ()
    address: str = ""

    @property
    def is_poll(self) -> bool:
        """A poll reads up to the safe horizon, so that it never misses a late commit."""
        ascending = bool(self.sort) and self.sort[0] == SortKey("_lastUpdated", False)
        conditions = self.parts[0].conditions if self.parts else self.conditions
        return ascending or any(
            condition.code == "_lastUpdated"
            and any(isinstance(v, DateRange) and v.prefix in _LOWER_BOUND for v in condition.values)
            for condition in conditions_in(conditions)
        )

    @property
    def is_count(self) -> bool:
        """Only the number of matches is wanted."""
        return self.summary == "count" or self.count == 0

    @property
    def hides_total(self) -> bool:
        """`_total=none`: not even a total that costs nothing is wanted."""
        return ("_total", "none") in self.used


MAX_PARAMETERS = 500
MAX_TOTAL_VALUES = 2000
_LOWER_BOUND = frozenset({"ge", "gt", "sa", "eq", "ap"})


Parameters = Iterable[tuple[str, str]]


def parse_search(
    reading: Reading, resource_type: str, parameters: Parameters, *, lenient: bool = False
) -> SearchRequest:
    """The request, or a 400 with an issue for every parameter that can't be taken."""
    parser = _Parser(reading, (reading.layout[resource_type],), "")
    return _parsed(parser, parameters, lenient)


def parse_system_search(
    reading: Reading, parameters: Parameters, *, lenient: bool = False
) -> SearchRequest:
    """A search over the types in `_type`, or over all: every parameter must be known to each."""
    parameters = list(parameters)
    names = _types_named(reading, parameters) or tuple(reading.layout)
    places = [reading.layout[name] for name in names]
    return _parsed(_Parser(reading, tuple(places), "", several=True), parameters, lenient)


def parse_compartment_search(
    reading: Reading,
    compartment: str,
    id: str,
    resource_type: str | None,
    parameters: Parameters,
    *,
    lenient: bool = False,
) -> SearchRequest:
    """A search in `/[compartment]/[id]/[type]`, or over all types of the compartment (None, `*`).

    A 404 where there is no such compartment, or the type is never in it.
    https://hl7.org/fhir/R4/compartmentdefinition.html
    """
    parameters = list(parameters)
    several = resource_type in (None, "*")
    names = _types_named(reading, parameters) or tuple(reading.layout)
    names = names if several else (resource_type or "",)
    held = [place for name in names if (place := reading.layout.get(name))]
    places = tuple(place for place in held if compartment in place.compartments)
    if not places:
        text = f"{', '.join(names)}: in no compartment of {compartment}"
        raise error(Category.NOT_FOUND, text, code="not-supported")
    address = f"{compartment}/{id}/{resource_type or '*'}"
    parser = _Parser(reading, places, address, several=several)
    parser.confine(compartment, id)
    return _parsed(parser, parameters, lenient)


def _types_named(reading: Reading, parameters: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """The types in `_type`; also a lenient search is not widened to all because of a wrong one."""
    named = (value.split(",") for name, value in parameters if name == "_type")
    names = tuple(dict.fromkeys(name for names in named for name in names if name))
    unknown = [name for name in names if name not in reading.layout]
    if unknown:
        raise refused("_type", f"{', '.join(unknown)}: no resource type of this server")
    return names


def _parsed(parser: _Parser, parameters: Parameters, lenient: bool) -> SearchRequest:
    problems: list[Issue] = []
    parameters = list(parameters)
    values = sum(value.count(",") + 1 for _, value in parameters)
    if len(parameters) > MAX_PARAMETERS or values > MAX_TOTAL_VALUES:
        raise error(
            Category.INCORRECT,
            f"a search has at most {MAX_PARAMETERS} parameters and {MAX_TOTAL_VALUES} values",
            code="too-costly",
        )
    for name, value in parameters:
        try:
            parser.take(name, value)
        except SsciError as problem:
            problems += problem.issues
    try:
        parser.check()
    except SsciError as problem:
        raise errors(Category.INCORRECT, [*problems, *problem.issues]) from None
    if problems and not lenient:
        raise errors(Category.INCORRECT, problems)
    return parser.finish(problems)


class _Parser:
    """Gathers the parts of one request while its parameters are read in turn."""

    def __init__(
        self,
        reading: Reading,
        places: tuple[TypeLayout, ...],
        address: str,
        *,
        several: bool = False,
    ) -> None:
        self._reading = reading
        self._places = places
        self._address = address
        self._several = several
        self._conditions: dict[str, list[Criterion]] = {p.resource_type: [] for p in places}
        self._includes: list[Include] = []
        self._sort: tuple[SortKey, ...] = ()
        self._count = DEFAULT_COUNT
        self._cursor: Cursor | None = None
        self._total: Total = "none"
        self._summary: Summary | None = None
        self._elements: tuple[str, ...] = ()
        self._used: list[tuple[str, str]] = []

    def confine(self, compartment: str, id: str) -> None:
        """Only what is in the compartment of this resource."""
        for place in self._places:
            ways = [
                Condition("_id", None, (Text(id),))
                if code == "_id"
                else Condition(code, None, (Reference(compartment, id),))
                for code in place.compartments[compartment]
            ]
            self._conditions[place.resource_type].append(any_of(ways))

    def take(self, name: str, value: str) -> None:
        if "\0" in name or "\0" in value:
            raise refused(name.replace("\0", ""), "a NUL character")
        if not value:
            raise refused(name, "has no value")
        taker = _TAKERS.get(name)
        if taker is not None:
            taker(self, name, value)
        elif not (name == "_type" and self._several):
            self._take_criterion(name, value)
        if name != "_cursor":
            self._used.append((name, value))

    def _take_criterion(self, name: str, value: str) -> None:
        found = [
            (place.resource_type, parse_criterion(self._reading, place, name, value))
            for place in self._places
        ]
        for resource_type, criterion in found:
            self._conditions[resource_type] += flatten((criterion,))

    def check(self) -> None:
        """What parameters may not stand together."""
        if self._summary == "text" and self._includes:
            raise refused("_summary", "text can't be combined with _include or _revinclude")

    def finish(self, problems: Sequence[Issue]) -> SearchRequest:
        first = self._places[0].resource_type
        parts = (
            tuple(
                SearchRequest(name, tuple(held), self._sort)
                for name, held in self._conditions.items()
            )
            if self._several
            else ()
        )
        return SearchRequest(
            "" if self._several else first,
            () if self._several else tuple(self._conditions[first]),
            self._sort,
            self._count,
            tuple(self._includes),
            self._cursor,
            tuple(self._used),
            tuple(problems),
            self._total,
            self._summary,
            self._elements,
            parts,
            self._address,
        )

    # ---- result parameters

    def take_count(self, _name: str, value: str) -> None:
        if not value.isascii() or not value.isdigit() or len(value) > 9:
            raise refused("_count", "not a whole number")
        self._count = min(int(value), MAX_COUNT)

    def take_sort(self, _name: str, value: str) -> None:
        texts = value.split(",")
        if len(texts) > MAX_SORT_KEYS:
            raise refused("_sort", f"more than {MAX_SORT_KEYS} keys", code="too-costly")
        held: dict[str, SortKey] = {}
        for key in map(self._sort_key, texts):
            held.setdefault(key.code, key)
        self._sort = tuple(held.values())

    def _sort_key(self, text: str) -> SortKey:
        code = text.removeprefix("-")
        kinds = set()
        for place in self._places:
            home = place.homes.get(code)
            if home is None:
                known = f"{place.resource_type} has no search parameter '{code}'"
                raise refused("_sort", known, place)
            if not home.sortable:
                raise refused("_sort", f"'{code}' can't be sorted by")
            kinds.add(home.kind)
        if len(kinds) > 1:
            raise refused("_sort", f"'{code}' means different things in these types")
        return SortKey(code, text.startswith("-"))

    def take_include(self, name: str, value: str) -> None:
        if len(self._includes) >= MAX_INCLUDES:
            raise refused(name, f"more than {MAX_INCLUDES} of them", code="too-costly")
        include = _parse_include(self._reading, name, value)
        if include not in self._includes:
            self._includes.append(include)

    def take_cursor(self, _name: str, value: str) -> None:
        self._cursor = parse_cursor(value)

    def take_total(self, _name: str, value: str) -> None:
        if value not in _TOTALS:
            raise refused("_total", "takes none, estimate or accurate")
        self._total = _TOTALS[value]

    def take_summary(self, _name: str, value: str) -> None:
        if value not in _SUMMARIES:
            raise refused("_summary", "takes true, text, data, count or false")
        self._summary = _SUMMARIES[value]

    def take_elements(self, _name: str, value: str) -> None:
        names: dict[str, None] = {}
        for name in (part.strip().removesuffix("[x]") for part in value.split(",")):
            found = [place.elements[name] for place in self._places if name in place.elements]
            if not found:
                types = ", ".join(place.resource_type for place in self._places)
                raise refused("_elements", f"{types} has no element '{name}' at its top level")
            names |= dict.fromkeys(found)
        self._elements = tuple(names)

    def take_nothing(self, _name: str, _value: str) -> None:
        """A parameter of the exchange, not of the search (`_format`, `_pretty`)."""


_TAKERS: dict[str, Callable[[_Parser, str, str], None]] = {
    "_count": _Parser.take_count,
    "_sort": _Parser.take_sort,
    "_include": _Parser.take_include,
    "_include:iterate": _Parser.take_include,
    "_include:recurse": _Parser.take_include,
    "_revinclude": _Parser.take_include,
    "_revinclude:iterate": _Parser.take_include,
    "_revinclude:recurse": _Parser.take_include,
    "_cursor": _Parser.take_cursor,
    "_total": _Parser.take_total,
    "_summary": _Parser.take_summary,
    "_elements": _Parser.take_elements,
    "_format": _Parser.take_nothing,
    "_pretty": _Parser.take_nothing,
}


def _parse_include(reading: Reading, name: str, value: str) -> Include:
    kind, _, modifier = name.partition(":")
    reverse, iterate = kind == "_revinclude", bool(modifier)
    if value == "*":
        return Include("*", "*", None, reverse, iterate)
    parts = value.split(":")
    if len(parts) not in (2, 3):
        raise refused(name, f"'{value}' is not of the form Type:parameter[:Target]")
    source, code, target = parts[0], parts[1], parts[2] if len(parts) == 3 else None
    if source not in reading.layout or (target is not None and target not in reading.layout):
        raise refused(name, f"'{value}': no resource type of this server")
    if code != "*":
        _check_include(reading, name, source, code, target)
    return Include(source, code, target, reverse, iterate)


def _check_include(reading: Reading, name: str, source: str, code: str, target: str | None) -> None:
    home: Home | None = reading.layout[source].homes.get(code)
    if home is None or home.parameter.type != "reference":
        raise refused(name, f"'{source}:{code}' is not a reference search parameter")
    targets = targets_of(reading.layout, home)
    if target is not None and target not in targets:
        raise refused(name, f"'{source}:{code}' does not refer to {target}")


# ---- cursors


def dump_cursor(cursor: Cursor) -> str:
    held = orjson.dumps([cursor.snapshot, cursor.backward, *cursor.keys])
    return base64.urlsafe_b64encode(held).rstrip(b"=").decode("ascii")


_SNAPSHOT = re.compile(r"[0-9]{1,18}:[0-9]{1,18}:([0-9]{1,18}(,[0-9]{1,18})*)?")


def parse_cursor(text: str) -> Cursor:
    try:
        parts = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        snapshot, backward, keys = parts[0], parts[1], parts[2:]
        if not _is_snapshot(snapshot) or not isinstance(backward, bool):
            raise ValueError(text)
        if not all(key is None or isinstance(key, str) for key in keys):
            raise ValueError(text)
    except (ValueError, TypeError, IndexError, KeyError, binascii.Error):
        raise refused("_cursor", "not a page link of this server; start the search anew") from None
    return Cursor(snapshot, tuple(keys), backward)


def _is_snapshot(text: str) -> bool:
    """Whether PostgreSQL reads it as a pg_snapshot: xmin:xmax:those in progress, in order."""
    if not _SNAPSHOT.fullmatch(text):
        return False
    first, last, held = text.split(":")
    running = [int(xid) for xid in held.split(",") if xid]
    ordered = all(one < other for one, other in pairwise(running))
    inside = all(int(first) <= xid < int(last) for xid in running)
    return 0 < int(first) <= int(last) and ordered and inside
