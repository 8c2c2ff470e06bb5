"""Search values of a resource, as the columns of its row. https://hl7.org/fhir/R4/search.html

Entries of `tokens` begin with the parameter, then a sign that tells the form:

    code=http://loinc.org|777-3   system and code           code:777-3   the code in any system
    code=|777-3                   a code without a system    code@http…   any code of the system
    subject=Patient/SSCI-001      a reference                subject:…    its id, of any type
    subject#system|value          a reference's identifier   url=http…    a uri or canonical

Entries of `strings`: `name~` folded (no case, no accents), `name=` as written; at most
500 characters each.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import tzinfo
from decimal import Decimal
from typing import Any

from app.errors import Category, error
from app.fhir.codec import decimal
from app.fhir.expression import Value
from app.fhir.layout import Home, TypeLayout
from app.fhir.model import Json
from app.fhir.tables import MISSING_FROM, MISSING_TO
from app.fhir.times import Interval, parse_date, parse_period

MAX_STRING = 500
MAX_STRINGS_SIZE = 1_000_000
UCUM = "http://unitsofmeasure.org"
_INFINITY = Decimal("Infinity")
_LITERAL = re.compile(
    r"(?:(?P<base>https?://.+)/)?(?P<local>(?P<type>[A-Z][A-Za-z]+)/(?P<id>[A-Za-z0-9\-.]{1,64}))"
    r"(?:/_history/[^/]+)?"
)

Row = dict[str, Any]
Extract = Callable[[Json], Mapping[str, Sequence[Value]]]


class Indexer:
    """Turns a resource of one type into the search columns of its row."""

    def __init__(
        self, place: TypeLayout, extract: Extract, zone: tzinfo, base_url: str | None
    ) -> None:
        self._place = place
        self._extract = extract
        self._zone = zone
        self._base_url = base_url
        self._intervals = list(place.intervals())
        self._amounts = list(place.amounts())
        self._terms = [h for h in place.homes.values() if h.kind in ("tokens", "strings")]

    def index(self, resource: Json) -> Row:
        """Column name → value, for every search column of the type's table."""
        found = self._extract(resource)
        row: Row = {}
        if self._place.has_patient:
            row["patient"] = self._patient(found)
        self._index_terms(found, row)
        for home in self._intervals:
            self._index_interval(home, found.get(home.parameter.code, ()), row)
        for home in self._amounts:
            _index_amount(home, found.get(home.parameter.code, ()), row)
        return row

    def hot_rows(self, resource: Json, row: Row) -> list[tuple[Any, ...]]:
        """Rows (id, code, systems, patient, from, to) of the narrow table, one per code."""
        hot = self._place.hot
        if hot is None:
            return []
        systems: dict[str, list[str]] = {}
        for value in self._extract(resource).get(hot.token, ()):
            for system, code in token_pairs(value):
                if code is not None:
                    systems.setdefault(code, []).append(system or "")
        column = self._place.homes[hot.date].column
        return [
            (code, held, row.get("patient"), row[f"{column}_from"], row[f"{column}_to"])
            for code, held in systems.items()
        ]

    def _patient(self, found: Mapping[str, Sequence[Value]]) -> str | None:
        for home in self._terms:
            if home.on_patient:
                for value in found.get(home.parameter.code, ()):
                    match = self._local(value)
                    if match and match["type"] == "Patient":
                        return match["id"]
        return None

    def _local(self, value: Value) -> re.Match[str] | None:
        text = value.value.get("reference") if isinstance(value.value, dict) else value.value
        match = _LITERAL.fullmatch(text) if isinstance(text, str) else None
        return match if match and match["base"] in (None, self._base_url) else None

    def _index_terms(self, found: Mapping[str, Sequence[Value]], row: Row) -> None:
        tokens: dict[str, None] = {}
        strings: dict[str, None] = {}
        for home in self._terms:
            code = home.parameter.code
            if code == "patient" and home.on_patient:
                continue  # the column holds it, and `subject` has the other forms
            for value in found.get(code, ()):
                if home.kind == "strings":
                    strings.update(dict.fromkeys(_string_entries(code, value)))
                else:
                    tokens.update(dict.fromkeys(self._token_entries(home, value)))
        if sum(map(len, strings)) * 4 > MAX_STRINGS_SIZE:
            raise error(
                Category.UNPROCESSABLE,
                f"searchable strings of more than {MAX_STRINGS_SIZE // 4} characters",
                code="too-long",
            )
        row["tokens"] = list(tokens)
        row["strings"] = list(strings)

    def _token_entries(self, home: Home, value: Value) -> Iterator[str]:
        kind, code = home.parameter.type, home.parameter.code
        if kind == "reference":
            yield from self._reference_entries(code, value)
        elif kind == "uri":
            yield f"{code}={value.value}"
        else:
            yield from _coded_entries(home, value)

    def _reference_entries(self, name: str, value: Value) -> Iterator[str]:
        if isinstance(value.value, str):  # canonical or uri
            yield from _canonical_entries(name, value.value)
            return
        identifier = value.value.get("identifier")
        if isinstance(identifier, dict) and "value" in identifier:
            yield f"{name}#{identifier.get('system', '')}|{identifier['value']}"
        text = value.value.get("reference")
        if not isinstance(text, str) or text.startswith("#"):
            return
        match = self._local(value)
        if match is None:
            yield from _canonical_entries(name, text)
            return
        yield f"{name}={match['local']}"
        yield f"{name}:{match['id']}"

    def _index_interval(self, home: Home, values: Sequence[Value], row: Row) -> None:
        found = [i for value in values if (i := interval_of(value, self._zone)) is not None]
        column = home.column
        row[f"{column}_from"] = min((i.start for i in found), default=MISSING_FROM)
        row[f"{column}_to"] = max((i.end for i in found), default=MISSING_TO)
        if home.many:
            row[f"{column}_froms"] = [i.start for i in found] or None
            row[f"{column}_tos"] = [i.end for i in found] or None


def _coded_entries(home: Home, value: Value) -> Iterator[str]:
    name = home.parameter.code
    for system, code in token_pairs(value):
        if system is None and value.type == "code" and code is not None:
            system = home.parameter.systems.get(code)
        if code is not None:
            yield f"{name}={system or ''}|{code}"
            yield f"{name}:{code}"
        if system:
            yield f"{name}@{system}"


def token_pairs(value: Value) -> Iterator[tuple[str | None, str | None]]:
    """(system, code) of a value of a token parameter; a concept has one per coding."""
    held = value.value
    if isinstance(held, bool):
        yield None, "true" if held else "false"
    elif isinstance(held, str):
        yield None, held
    elif isinstance(held, dict) and value.type == "CodeableConcept":
        for coding in held.get("coding") or ():
            yield coding.get("system"), coding.get("code")
    elif isinstance(held, dict) and value.type == "ContactPoint":
        yield None, held.get("value")
    elif isinstance(held, dict) and value.type == "Identifier":
        yield held.get("system"), held.get("value")
    elif isinstance(held, dict):
        yield held.get("system"), held.get("code")


def _canonical_entries(name: str, text: str) -> Iterator[str]:
    yield f"{name}={text}"
    bare, _, version = text.partition("|")
    if version:
        yield f"{name}={bare}"


def fold(text: str) -> str:
    """Case and accents away, as string search compares."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in decomposed if not unicodedata.combining(c))[:MAX_STRING]


def _string_entries(name: str, value: Value) -> Iterator[str]:
    for text in _strings_of(value.value):
        if text.strip():
            yield f"{name}~{fold(text)}"
            yield f"{name}={text[:MAX_STRING]}"


_NOT_SEARCHED = frozenset({"use", "period", "id", "extension", "type", "rank", "system"})


def _strings_of(held: Any) -> Iterable[str]:
    """The parts of a name or address, or the string itself."""
    if isinstance(held, str):
        yield held
    elif isinstance(held, dict):
        for key, part in held.items():
            if key not in _NOT_SEARCHED and not key.startswith("_"):
                yield from _strings_of(part)
    elif isinstance(held, list):
        for part in held:
            yield from _strings_of(part)


def interval_of(value: Value, zone: tzinfo) -> Interval | None:
    """What a date-like value spans; None where it says nothing (a Timing without dates)."""
    held = value.value
    if isinstance(held, str):
        return parse_date(held, zone)
    if not isinstance(held, dict):
        return None
    if "event" in held or "repeat" in held or "code" in held:
        return _timing_interval(held, zone)
    if "start" in held or "end" in held:
        return parse_period(held, zone)
    return None


def _timing_interval(timing: Json, zone: tzinfo) -> Interval | None:
    """Only the outer limits of a schedule matter."""
    limits = [parse_date(event, zone) for event in timing.get("event") or () if event]
    bounds = (timing.get("repeat") or {}).get("boundsPeriod")
    if bounds:
        limits.append(parse_period(bounds, zone))
    if not limits:
        return None
    return Interval(min(i.start for i in limits), max(i.end for i in limits))


def _index_amount(home: Home, values: Sequence[Value], row: Row) -> None:
    held = [entry for value in values for entry in amount_entries(value)]
    lows, highs = [e[1] for e in held], [e[2] for e in held]
    column = home.column
    row[f"{column}_min"] = min(lows, default=None)
    row[f"{column}_max"] = max(highs, default=None)
    row[f"{column}_units"] = [e[0] for e in held] or None
    row[f"{column}_lows"] = lows or None
    row[f"{column}_highs"] = highs or None


def amount_entries(value: Value) -> Iterator[tuple[str, Decimal, Decimal]]:
    """(unit key, low, high) of a number, Quantity or Range, once per unit key it answers to.

    A comparator opens the interval: `<2.0` is everything up to 2.0.
    """
    held = value.value
    if not isinstance(held, dict):
        number = decimal(held)
        yield "", number, number
        return
    if "low" in held or "high" in held:
        low = _number_of(held.get("low"), -_INFINITY)
        high = _number_of(held.get("high"), _INFINITY)
        keys = _unit_keys(held.get("low") or held.get("high") or {})
    elif "value" in held:
        low, high = _comparable(decimal(held["value"]), held.get("comparator"))
        keys = _unit_keys(held)
    else:
        return
    for key in keys:
        yield key, low, high


def _number_of(quantity: Json | None, default: Decimal) -> Decimal:
    return decimal(quantity["value"]) if quantity and "value" in quantity else default


def _comparable(value: Decimal, comparator: str | None) -> tuple[Decimal, Decimal]:
    if comparator in ("<", "<="):
        return -_INFINITY, value
    if comparator in (">", ">="):
        return value, _INFINITY
    return value, value


def _unit_keys(quantity: Json) -> dict[str, None]:
    keys = {"": None}
    system, code, unit = (quantity.get(k) for k in ("system", "code", "unit"))
    if code:
        keys[f"{system or ''}|{code}"] = None
        keys[f"|{code}"] = None
    if unit:
        keys[f"|{unit}"] = None
    return keys
