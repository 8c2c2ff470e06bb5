"""A search as a plain frozen record, parsed from the query string before any database is in sight.
https://hl7.org/fhir/R4/search.html

Strict by default: an unknown parameter, modifier or a malformed value is a 400 that names it; under
`Prefer: handling=lenient` it is left out and listed in `ignored`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from decimal import Decimal, InvalidOperation
from urllib.parse import unquote_plus

import orjson

from app.errors import Category, Issue, SsciError, error, errors
from app.fhir.layout import Home, Layout, TypeLayout
from app.fhir.times import parse_date

PREFIXES = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
DEFAULT_COUNT = 50
MAX_COUNT = 1000
MAX_VALUES = 500
_RESULT_PARAMETERS = frozenset({"_count", "_sort", "_include", "_cursor", "_format", "_pretty"})
_LITERAL_REFERENCE = re.compile(
    r"(?:(?P<base>https?://.+)/)?(?P<type>[A-Z][A-Za-z]+)/(?P<id>[A-Za-z0-9\-.]{1,64})"
    r"(?:/_history/[A-Za-z0-9\-.]{1,64})?"
)


@dataclass(frozen=True, slots=True)
class Token:
    """`system` None: any; "": none. `code` None: any code of the system."""

    system: str | None
    code: str | None


@dataclass(frozen=True, slots=True)
class Reference:
    """`resource_type` None: any type with this id. `url`: an absolute or canonical address."""

    resource_type: str | None = None
    id: str | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class DateRange:
    """A date with its prefix; the interval is what the value's precision spans."""

    prefix: str
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Amount:
    """A number or quantity with its implicit range, `value` ± half a unit of the last digit.

    `unit` is the key that index values carry: "" any, `|code`, `system|code`.
    """

    prefix: str
    value: Decimal
    low: Decimal
    high: Decimal
    unit: str


@dataclass(frozen=True, slots=True)
class Text:
    value: str


Value = Token | Reference | DateRange | Amount | Text


@dataclass(frozen=True, slots=True)
class Condition:
    """One parameter of the query: any of `values` must match."""

    code: str
    modifier: str | None
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class SortKey:
    code: str
    descending: bool


@dataclass(frozen=True, slots=True)
class Include:
    """`_include=Observation:subject:Patient`; `target` None means every target type."""

    source: str
    code: str
    target: str | None


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page starts: the first page's snapshot and the last row's sort keys and id."""

    snapshot: str
    keys: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """All conditions must hold. `used` are the parameters that took part, as they were given."""

    resource_type: str
    conditions: tuple[Condition, ...] = ()
    sort: tuple[SortKey, ...] = ()
    count: int = DEFAULT_COUNT
    includes: tuple[Include, ...] = ()
    cursor: Cursor | None = None
    used: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    ignored: tuple[Issue, ...] = field(default=(), compare=False)

    @property
    def is_poll(self) -> bool:
        """A poll reads up to the safe horizon, so that it never misses a late commit."""
        ascending = bool(self.sort) and self.sort[0] == SortKey("_lastUpdated", False)
        return ascending or any(
            condition.code == "_lastUpdated"
            and any(isinstance(v, DateRange) and v.prefix in _LOWER_BOUND for v in condition.values)
            for condition in self.conditions
        )


_LOWER_BOUND = frozenset({"ge", "gt", "sa", "eq", "ap"})


@dataclass(frozen=True, slots=True)
class Reading:
    """What parsing needs to know: the layout, the zone of zoneless dates, our own base address."""

    layout: Layout
    zone: tzinfo
    base_url: str


def split_query(query: str) -> list[tuple[str, str]]:
    """Names and values in order, percent-decoded, repeated names kept, empty values dropped."""
    pairs = (part.partition("=") for part in query.split("&") if part)
    return [(unquote_plus(name), unquote_plus(value)) for name, _, value in pairs if value]


def parse_search(
    reading: Reading,
    resource_type: str,
    parameters: Iterable[tuple[str, str]],
    *,
    lenient: bool = False,
) -> SearchRequest:
    """The request, or a 400 with an issue for every parameter that can't be taken."""
    parser = _Parser(reading, reading.layout[resource_type])
    problems: list[Issue] = []
    for name, value in parameters:
        try:
            parser.take(name, value)
        except SsciError as problem:
            problems += problem.issues
    if problems and not lenient:
        raise errors(Category.INCORRECT, problems)
    return parser.finish(problems)


class _Parser:
    """Gathers the parts of one request while its parameters are read in turn."""

    def __init__(self, reading: Reading, place: TypeLayout) -> None:
        self._reading = reading
        self._place = place
        self._conditions: list[Condition] = []
        self._includes: list[Include] = []
        self._sort: tuple[SortKey, ...] = ()
        self._count = DEFAULT_COUNT
        self._cursor: Cursor | None = None
        self._used: list[tuple[str, str]] = []

    def take(self, name: str, value: str) -> None:
        if name in _RESULT_PARAMETERS:
            self._take_result(name, value)
        else:
            value = self._with_offset(name, value)
            self._conditions.append(parse_condition(self._reading, self._place, name, value))
        if name != "_cursor":
            self._used.append((name, value))

    def _with_offset(self, name: str, value: str) -> str:
        """A `+` sent unescaped has become a space; in a date it can only be a zone's sign."""
        home = self._place.homes.get(name)
        is_date = home is not None and home.parameter.type == "date"
        return value.replace(" ", "+") if is_date else value

    def finish(self, problems: Sequence[Issue]) -> SearchRequest:
        return SearchRequest(
            self._place.resource_type,
            tuple(self._conditions),
            self._sort,
            self._count,
            tuple(self._includes),
            self._cursor,
            tuple(self._used),
            tuple(problems),
        )

    def _take_result(self, name: str, value: str) -> None:
        if name == "_count":
            self._count = _parse_count(value)
        elif name == "_sort":
            self._sort = _parse_sort(self._place, value)
        elif name == "_include":
            self._includes.append(_parse_include(self._reading.layout, value))
        elif name == "_cursor":
            self._cursor = parse_cursor(value)


def parse_condition(reading: Reading, place: TypeLayout, name: str, value: str) -> Condition:
    """One parameter, with its modifier and its comma-separated values."""
    code, _, modifier = name.partition(":")
    home = place.homes.get(code)
    if home is None:
        raise _refused(name, f"{place.resource_type} has no search parameter '{code}'", place)
    _check_modifier(home, name, modifier)
    texts = split_escaped(value, ",")
    if len(texts) > MAX_VALUES:
        raise _refused(name, f"more than {MAX_VALUES} values", code="too-costly")
    values = tuple(_parse_value(reading, home, name, modifier, text) for text in texts)
    return Condition(code, modifier or None, values)


_MODIFIERS: dict[str, frozenset[str]] = {
    "token": frozenset({"missing", "not"}),
    "reference": frozenset({"missing", "identifier"}),
    "uri": frozenset({"missing"}),
    "string": frozenset({"missing", "exact", "contains"}),
    "date": frozenset({"missing"}),
    "number": frozenset({"missing"}),
    "quantity": frozenset({"missing"}),
}


def modifiers_of(home: Home) -> frozenset[str]:
    """The modifiers that this parameter takes (types of a reference not counted)."""
    return frozenset() if home.kind in ("id", "last_updated") else _MODIFIERS[home.parameter.type]


def _check_modifier(home: Home, name: str, modifier: str) -> None:
    if not modifier or modifier in modifiers_of(home):
        return
    if home.parameter.type == "reference" and modifier in home.parameter.targets:
        return
    known = ", ".join(sorted(modifiers_of(home))) or "none"
    raise _refused(
        name, f"'{home.parameter.code}' does not take the modifier ':{modifier}' (known: {known})"
    )


def _parse_value(reading: Reading, home: Home, name: str, modifier: str, text: str) -> Value:
    if modifier == "missing":
        if text not in ("true", "false"):
            raise _refused(name, "':missing' takes true or false")
        return Text(text)
    if home.kind == "id":
        return Text(unescape(text))
    try:
        return _parse_typed(reading, home, modifier, text)
    except (ValueError, InvalidOperation, OverflowError) as problem:
        raise _refused(name, f"'{text}' is not a {home.parameter.type}: {problem}") from None


def _parse_typed(reading: Reading, home: Home, modifier: str, text: str) -> Value:
    kind = home.parameter.type
    if kind == "date":
        return _parse_date_range(reading, text)
    if kind in ("number", "quantity"):
        return _parse_amount(text)
    if kind == "token" or modifier == "identifier":
        return _parse_token(text)
    if kind == "reference":
        return _parse_reference(reading, home, modifier, unescape(text))
    return Text(unescape(text))


def _parse_token(text: str) -> Token:
    parts = split_escaped(text, "|")
    if len(parts) == 1:
        return Token(None, unescape(text))
    if len(parts) > 2:
        raise ValueError("more than one unescaped '|'")
    system, code = unescape(parts[0]), unescape(parts[1])
    if not system and not code:
        raise ValueError("neither a system nor a code")
    return Token(system, code or None)


def _parse_reference(reading: Reading, home: Home, modifier: str, text: str) -> Reference:
    match = _LITERAL_REFERENCE.fullmatch(text)
    if match is None:
        if "/" in text or ":" in text:
            return Reference(url=text)
        return Reference(modifier or _only_target(home), text)
    if modifier and match["type"] != modifier:
        raise ValueError(f"the type is not {modifier}")
    if match["base"] and match["base"] != reading.base_url:
        return Reference(url=text)
    return Reference(match["type"], match["id"])


def _only_target(home: Home) -> str | None:
    """The type an id must be of: a parameter `patient` finds patients, whatever its targets."""
    if home.parameter.code == "patient":
        return "Patient"
    targets = home.parameter.targets
    return targets[0] if len(targets) == 1 else None


def _parse_date_range(reading: Reading, text: str) -> DateRange:
    prefix, rest = _split_prefix(text)
    interval = parse_date(rest, reading.zone)
    return DateRange(prefix, interval.start, interval.end)


def _parse_amount(text: str) -> Amount:
    parts = [unescape(part) for part in split_escaped(text, "|")]
    if len(parts) not in (1, 2, 3):
        raise ValueError("the form is [prefix][number]|[system]|[code]")
    prefix, number = _split_prefix(parts[0])
    if not _NUMBER.fullmatch(number):
        raise ValueError("no number")
    value = Decimal(number)
    half = _half_unit(value) if prefix != "ap" else abs(value) / 10
    return Amount(prefix, value, value - half, value + half, _unit_key(parts[1:]))


_NUMBER = re.compile(r"[+-]?(\d{1,30}(\.\d{0,30})?|\.\d{1,30})([eE][+-]?\d{1,2})?")


def _half_unit(value: Decimal) -> Decimal:
    """Half a unit of the last digit given: 5.40 is 5.395 up to 5.405."""
    return Decimal(5).scaleb(int(value.as_tuple().exponent) - 1)


def _unit_key(parts: Sequence[str]) -> str:
    if not parts or not any(parts):
        return ""
    if len(parts) == 1:
        raise ValueError("the form is [prefix][number]|[system]|[code]")
    system, code = parts
    if system and not code:
        raise ValueError("a system without a code")
    return f"{system}|{code}"


def _split_prefix(text: str) -> tuple[str, str]:
    if text[:2] in PREFIXES:
        return text[:2], text[2:]
    return "eq", text


def _parse_count(value: str) -> int:
    if not value.isascii() or not value.isdigit() or len(value) > 9:
        raise _refused("_count", "not a whole number")
    if int(value) == 0:
        raise _refused("_count", "must be at least 1")
    return min(int(value), MAX_COUNT)


def _parse_sort(place: TypeLayout, value: str) -> tuple[SortKey, ...]:
    return tuple(_parse_sort_key(place, text) for text in value.split(","))


def _parse_sort_key(place: TypeLayout, text: str) -> SortKey:
    code = text.removeprefix("-")
    home = place.homes.get(code)
    if home is None:
        raise _refused("_sort", f"{place.resource_type} has no search parameter '{code}'", place)
    if home.kind == "union":
        raise _refused("_sort", f"'{code}' can't be sorted by")
    return SortKey(code, text.startswith("-"))


def _parse_include(layout: Layout, value: str) -> Include:
    parts = value.split(":")
    if len(parts) not in (2, 3):
        raise _refused("_include", f"'{value}' is not of the form Type:parameter[:Target]")
    source, code = parts[0], parts[1]
    target = parts[2] if len(parts) == 3 else None
    home = layout[source].homes.get(code) if source in layout else None
    if home is None or home.parameter.type != "reference":
        raise _refused("_include", f"'{source}:{code}' is not a reference search parameter")
    if target is not None and target not in home.parameter.targets:
        raise _refused("_include", f"'{source}:{code}' does not refer to {target}")
    return Include(source, code, target)


def dump_cursor(cursor: Cursor) -> str:
    return (
        base64.urlsafe_b64encode(orjson.dumps([cursor.snapshot, *cursor.keys]))
        .rstrip(b"=")
        .decode("ascii")
    )


_SNAPSHOT = re.compile(r"\d{1,20}:\d{1,20}:(\d{1,20}(,\d{1,20})*)?")


def parse_cursor(text: str) -> Cursor:
    try:
        parts = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        snapshot, keys = parts[0], parts[1:]
        if not _SNAPSHOT.fullmatch(snapshot) or not keys:
            raise ValueError(text)
        if not all(key is None or isinstance(key, str) for key in keys):
            raise ValueError(text)
    except (ValueError, TypeError, IndexError, KeyError, binascii.Error):
        raise _refused("_cursor", "not a page link of this server; start the search anew") from None
    return Cursor(snapshot, tuple(keys))


def split_escaped(text: str, separator: str) -> list[str]:
    """Split at the separators that no backslash precedes; escapes stay."""
    parts, current, escaped = [], "", False
    for character in text:
        if character == separator and not escaped:
            parts.append(current)
            current = ""
            continue
        escaped = character == "\\" and not escaped
        current += character
    return [*parts, current]


def unescape(text: str) -> str:
    r"""Resolve `\,` `\|` `\$` and `\\`."""
    return re.sub(r"\\([,|$\\])", r"\1", text)


def _refused(
    name: str, diagnostics: str, place: TypeLayout | None = None, code: str = "invalid"
) -> SsciError:
    if place is not None:
        diagnostics += f"; it has: {', '.join(sorted(place.homes))}"
    return error(
        Category.INCORRECT,
        f"{name}: {diagnostics}",
        code=code,
        expression=f"http.{name.partition(':')[0]}" if name.isascii() else None,
    )
