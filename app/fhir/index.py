"""Search values of a resource, as the columns of its row. https://hl7.org/fhir/R4/search.html

Entries of `tokens` begin with the parameter, then a sign that tells the form:

    code=http://loinc.org|777-3   system and code           code:777-3   the code in any system
    code=|777-3                   a code without a system    code@http…   any code of the system
    subject=Patient/SSCI-001      a reference                subject:…    its id, of any type
    subject#system|value          a reference's identifier   subject^…    its value, of any system
    subject@system                any identifier of a system url=http…    a uri or canonical
    questionnaire>http…           a canonical that means the newest of this address
    identifier^system|code|value  an identifier with the coding of its type
    component-code-value-concept= a pair of a composite: two forms of the above, `PAIR` between them

Entries of `strings`: `name~` folded (no case, no accents), for tokens their texts and displays,
for `_text` and `_content` single words; `name=` as written; at most 500 characters each; a
longer one ends in its digest as written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import tzinfo
from decimal import Context, Decimal
from itertools import chain, islice, product
from typing import Any

from app.errors import Category, error
from app.fhir.canonicals import NEWEST
from app.fhir.codec import decimal
from app.fhir.expression import Extractor, Step, Value
from app.fhir.folding import exact, fold, words_of
from app.fhir.layout import CONTENT, NARRATIVE, Home, TypeLayout
from app.fhir.literals import CANONICAL, UCUM
from app.fhir.model import Json
from app.fhir.quantities import equivalents
from app.fhir.tables import MISSING_FROM, MISSING_TO
from app.fhir.times import Interval, parse_date, parse_period
from app.fhir.ucum import DIGITS, canonical

MAX_STRINGS_SIZE = 1_000_000
MAX_WORDS = 5_000
"""Different words of one resource that full-text search knows; what comes later is not found."""
PAIR = "\x1f"
"""Stands between the parts of a composite's entry; no FHIR string may contain it."""
_INFINITY = Decimal("Infinity")
_EDGE = Context(prec=DIGITS, Emin=-2000, Emax=2000)
"""The neighbour of a number in it stands for the end of an interval that excludes the number."""
_TAG = re.compile(r"<[^>]*>")
_LITERAL = re.compile(
    r"(?:(?P<base>https?://.+)/)?(?P<local>(?P<type>[A-Z][A-Za-z]+)/(?P<id>[A-Za-z0-9\-.]{1,64}))"
    r"(?:/_history/[^/]+)?"
)

Row = dict[str, Any]
Entry = tuple[str, Decimal, Decimal]
"""(unit key, low, high) of an amount."""


class Indexer:
    """Turns a resource of one type into the search columns of its row."""

    def __init__(
        self, place: TypeLayout, extractor: Extractor, zone: tzinfo, base_url: str | None
    ) -> None:
        self._place = place
        self._extract = extractor.extract
        self._extract_composites = extractor.extract_composites
        self._zone = zone
        self._base_url = base_url
        self._intervals = list(place.intervals())
        self._amounts = list(place.amounts())
        self._terms = [h for h in place.homes.values() if h.kind in ("tokens", "strings")]
        self._composites = list(place.composites())
        self._composite_keys = frozenset(_first_keys(self._composites))
        self._has_content = CONTENT in place.homes
        self._has_patient = place.has_patient

    def index(self, resource: Json) -> Row:
        """Column name → value, for every search column of the type's table."""
        return self._index(resource, self._extract(resource))

    def index_with_hot(self, resource: Json) -> tuple[Row, list[tuple[Any, ...]]]:
        """The row of `index`, and the rows (code, systems, patient, from, to) of the narrow table,
        one per code."""
        found = self._extract(resource)
        row = self._index(resource, found)
        return row, self._hot_rows(found, row)

    def _index(self, resource: Json, found: Mapping[str, Sequence[Value]]) -> Row:
        row: Row = {}
        if self._has_patient:
            row["patient"] = self._patient(found)
        tokens: dict[str, None] = {}
        strings: dict[str, None] = {}
        self._gather_terms(found, tokens, strings)
        self._gather_words(resource, strings)
        measured = self._index_composites(resource, tokens)
        row["tokens"] = list(tokens)
        row["strings"] = _bounded(strings)
        for home in self._intervals:
            self._index_interval(home, found.get(home.parameter.code, ()), row)
        for home in self._amounts:
            _index_amount(home, found.get(home.parameter.code, ()), row)
        return row | measured

    def _hot_rows(self, found: Mapping[str, Sequence[Value]], row: Row) -> list[tuple[Any, ...]]:
        hot = self._place.hot
        if hot is None:
            return []
        systems: dict[str, list[str]] = {}
        for value in found.get(hot.token, ()):
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

    def _gather_terms(
        self,
        found: Mapping[str, Sequence[Value]],
        tokens: dict[str, None],
        strings: dict[str, None],
    ) -> None:
        for home in self._terms:
            code = home.parameter.code
            values = found.get(code)
            if values is None:
                continue
            if code == "patient" and home.on_patient:
                self._gather_foreign(code, values, tokens)
                continue
            for value in values:
                if home.kind == "strings":
                    strings.update(dict.fromkeys(_string_entries(code, value)))
                    continue
                for entry in self._token_entries(home, value):
                    tokens[entry] = None
                if home.parameter.type == "token" and type(value.value) is dict:
                    for entry in _display_entries(code, value):
                        strings[entry] = None

    def _gather_foreign(self, code: str, values: Sequence[Value], tokens: dict[str, None]) -> None:
        """Patients whom the column can't hold: by an identifier, or at another server."""
        for value in values:
            if self._local(value) is None or "identifier" in value.value:
                for entry in self._reference_entries(code, value):
                    if not entry.startswith((f"{code}=Patient/", f"{code}:")):
                        tokens[entry] = None

    def _gather_words(self, resource: Json, strings: dict[str, None]) -> None:
        """https://hl7.org/fhir/R4/search.html#text"""
        narrative = (resource.get("text") or {}).get("div")
        if narrative:
            for word in _distinct(words_of(_TAG.sub(" ", narrative))):
                strings[f"{NARRATIVE}~{word}"] = None
        if self._has_content:
            for word in _distinct(word for text in _texts_in(resource) for word in words_of(text)):
                strings[f"{CONTENT}~{word}"] = None

    def _index_composites(self, resource: Json, tokens: dict[str, None]) -> Row:
        """Pairs that stand on one part of the resource (a component, a use context): entries of
        `tokens`, or columns of their own."""
        row: Row = {}
        present = not self._composite_keys.isdisjoint(resource)
        found = self._extract_composites(resource) if present else {}
        for home in self._composites:
            pairs = found.get(home.parameter.code, ())
            if home.measured:
                _measure_pairs(home, pairs, row, self._place)
            else:
                entries = (self._pair_entries(home, *pair) for pair in pairs)
                tokens.update(dict.fromkeys(chain.from_iterable(entries)))
        return row

    def _pair_entries(
        self, home: Home, firsts: Sequence[Value], seconds: Sequence[Value]
    ) -> Iterator[str]:
        first, second = (self._place.homes[code] for code in home.components)
        for one, other in product(self._forms(first, firsts), self._forms(second, seconds)):
            yield f"{home.parameter.code}={one}{PAIR}{other}"

    def _forms(self, home: Home, values: Sequence[Value]) -> list[str]:
        """The entries of the values, without the parameter's name."""
        known = home.parameter.values
        entries = (self._token_entries(home, value) for value in values if value.type in known)
        return [entry[len(home.parameter.code) :] for entry in chain.from_iterable(entries)]

    def _token_entries(self, home: Home, value: Value) -> Iterator[str]:
        kind, code = home.parameter.type, home.parameter.code
        if kind == "reference":
            yield from self._reference_entries(code, value)
        elif kind == "uri":
            yield from _address_entries(code, value.value)
        else:
            yield from _coded_entries(home, value)

    def _reference_entries(self, name: str, value: Value) -> Iterator[str]:
        if isinstance(value.value, str):
            yield from self._canonical_entries(name, value)
            return
        identifier = value.value.get("identifier")
        if isinstance(identifier, dict):
            yield from _identifier_entries(name, identifier)
        text = value.value.get("reference")
        if not isinstance(text, str) or text.startswith("#"):
            return
        match = self._local(value)
        if match is None:
            yield f"{name}={text}"
            return
        yield f"{name}={match['local']}"
        yield f"{name}:{match['id']}"

    def _canonical_entries(self, name: str, value: Value) -> Iterator[str]:
        """The address, and as which form it means a resource of this server (canonicals.py)."""
        match = self._local(value)
        address = match["local"] if match else value.value
        yield from _address_entries(name, address)
        if match:
            yield f"{name}={value.value}"
        bare, version = _parts(address)
        if not version:
            yield f"{name}{NEWEST}{bare}"

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
    if value.type == "Identifier":
        yield from _typed_identifier_entries(name, value.value)


def _identifier_entries(name: str, identifier: Json) -> Iterator[str]:
    system = identifier.get("system", "")
    if "value" in identifier:
        yield f"{name}#{system}|{identifier['value']}"
        yield f"{name}^{identifier['value']}"
    if system:
        yield f"{name}@{system}"


def _typed_identifier_entries(name: str, identifier: Json) -> Iterator[str]:
    """https://hl7.org/fhir/R4/search.html#of-type"""
    for coding in (identifier.get("type") or {}).get("coding") or ():
        if "code" in coding and "value" in identifier:
            system = coding.get("system", "")
            yield f"{name}^{system}|{coding['code']}|{identifier['value']}"


def _display_entries(name: str, value: Value) -> Iterator[str]:
    """What `:text` searches: texts and displays of a concept, of an identifier's type."""
    held = value.value
    if value.type == "Identifier":
        held = held.get("type")
        if held is None:
            return
    if "text" in held:
        yield f"{name}~{fold(held['text'])}"
    if "display" in held:
        yield f"{name}~{fold(held['display'])}"
    for coding in held.get("coding", ()):
        if "display" in coding:
            yield f"{name}~{fold(coding['display'])}"


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
    elif isinstance(held, dict) and value.type in ("ContactPoint", "Identifier"):
        yield held.get("system"), held.get("value")
    elif isinstance(held, dict):
        yield held.get("system"), held.get("code")


def _address_entries(name: str, address: str) -> Iterator[str]:
    """As sent, and what it names without a fragment, with and without its version."""
    bare, version = _parts(address)
    yield f"{name}={address}"
    if "|" in address:
        yield f"{name}={bare}|{version}"
        yield f"{name}={bare}"


def _parts(address: str) -> tuple[str, str]:
    """The address and the version of a canonical."""
    named, bar, version = address.partition("|")
    if bar:
        return named, version.partition("#")[0]
    return address, ""


def _string_entries(name: str, value: Value) -> Iterator[str]:
    for text in _strings_of(value.value):
        if text.strip():
            yield f"{name}~{fold(text)}"
            yield f"{name}={exact(text)}"


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


_DATES = frozenset({"date", "dateTime", "instant"})


def interval_of(value: Value, zone: tzinfo) -> Interval | None:
    """What a date-like value spans; None where it says nothing (a Timing without dates, a text)."""
    held = value.value
    if isinstance(held, str):
        return parse_date(held, zone) if value.type in _DATES else None
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


_AMOUNT_COLUMNS = ("min", "max", "canonical_min", "canonical_max", "units", "lows", "highs")


def _index_amount(home: Home, values: Sequence[Value], row: Row) -> None:
    """The bounds as sent and those in base units are apart: they are of different sizes."""
    column = home.column
    row.update({f"{column}_{name}": None for name in _AMOUNT_COLUMNS})
    held = [entry for value in values for entry in amount_entries(value)]
    if not held:
        return
    units, lows, highs = zip(*held, strict=True)
    row[f"{column}_units"], row[f"{column}_lows"] = list(units), list(lows)
    row[f"{column}_highs"] = list(highs)
    sent = [entry for entry in held if entry[0][:1] != CANONICAL]
    row[f"{column}_min"] = min(entry[1] for entry in sent)
    row[f"{column}_max"] = max(entry[2] for entry in sent)
    if len(sent) < len(held):
        scaled = [entry for entry in held if entry[0][:1] == CANONICAL]
        row[f"{column}_canonical_min"] = min(entry[1] for entry in scaled)
        row[f"{column}_canonical_max"] = max(entry[2] for entry in scaled)


def _measure_pairs(
    home: Home, pairs: Iterable[tuple[Sequence[Value], ...]], row: Row, place: TypeLayout
) -> None:
    """A token and an amount of the same part, in all their forms."""
    first = place.homes[home.components[0]]
    held = [
        (entry[len(first.parameter.code) :], *amount)
        for tokens, amounts in pairs
        for token in tokens
        for entry in _coded_entries(first, token)
        for value in amounts
        for amount in amount_entries(value)
    ]
    for name, position in (("codes", 0), ("units", 1), ("lows", 2), ("highs", 3)):
        row[f"{home.column}_{name}"] = [entry[position] for entry in held] or None


def amount_entries(value: Value) -> Iterator[Entry]:
    """A number, Quantity or Range, once per unit key it answers to.

    A comparator opens the interval: `<=2.0` is everything up to 2.0, `<2.0` all of it but 2.0.
    An equivalent in another unit is found by that unit, and never by its bare number.
    """
    held = value.value
    if not isinstance(held, dict):
        number = decimal(held)
        yield "", number, number
    elif "low" in held or "high" in held:
        low = _number_of(held.get("low"), -_INFINITY)
        high = _number_of(held.get("high"), _INFINITY)
        yield from _in_units(held.get("low") or held.get("high") or {}, low, high)
    elif "value" in held:
        yield from _quantity_entries(held)
        for each in equivalents(held):
            yield from (entry for entry in _quantity_entries(each) if entry[0])


def _quantity_entries(quantity: Json) -> Iterator[Entry]:
    comparator = quantity.get("comparator")
    low, high = _limits(decimal(quantity["value"]), comparator)
    for key, start, end in _in_units(quantity, low, high):
        if comparator == "<":
            yield key, start, _EDGE.next_minus(end)
        elif comparator == ">":
            yield key, _EDGE.next_plus(start), end
        else:
            yield key, start, end


def _in_units(unit: Json, low: Decimal, high: Decimal) -> Iterator[Entry]:
    code = unit.get("code")
    scaled = _scaled(code, low, high) if code and unit.get("system") == UCUM else None
    for key in _unit_keys(unit, scaled is not None):
        yield key, low, high
    if scaled is not None:
        yield scaled


def _scaled(code: str, low: Decimal, high: Decimal) -> Entry | None:
    start = _in_base_units(low, code)
    end = start if low is high else _in_base_units(high, code)
    return (CANONICAL + start[1], start[0], end[0]) if start and end else None


def _in_base_units(number: Decimal, code: str) -> tuple[Decimal, str] | None:
    if number is _INFINITY or number.is_infinite():
        known = canonical(Decimal(0), code)
        return (number, known[1]) if known else None
    return canonical(number, code)


def _number_of(quantity: Json | None, default: Decimal) -> Decimal:
    return decimal(quantity["value"]) if quantity and "value" in quantity else default


def _limits(value: Decimal, comparator: str | None) -> tuple[Decimal, Decimal]:
    if comparator in ("<", "<="):
        return -_INFINITY, value
    if comparator in (">", ">="):
        return value, _INFINITY
    return value, value


def _unit_keys(quantity: Json, is_scaled: bool) -> dict[str, None]:
    """What an amount is found by; one in base units too needs no key of its system."""
    keys = {"": None}
    code, unit = quantity.get("code"), quantity.get("unit")
    if code:
        if not is_scaled:
            keys[f"{quantity.get('system') or ''}|{code}"] = None
        keys[f"|{code}"] = None
    if unit:
        keys[f"|{unit}"] = None
    return keys


def _first_keys(composites: Iterable[Home]) -> Iterator[str]:
    """The elements of the resource under which the composites' parts stand."""
    for home in composites:
        for path in home.parameter.paths:
            yield from (step.key for step in path.steps[:1] if isinstance(step, Step))


def _distinct(words: Iterable[str]) -> Iterator[str]:
    return islice(iter(dict.fromkeys(words)), MAX_WORDS)


_NOT_CONTENT = frozenset({"id", "meta", "contained", "resourceType", "implicitRules", "data"})


def _texts_in(held: Any) -> Iterator[str]:
    """The strings of a resource, its narrative without tags; no metadata and no attachments."""
    if type(held) is str:
        yield _TAG.sub(" ", held) if held.startswith("<div") else held
    elif type(held) is dict:
        for key, part in held.items():
            if key not in _NOT_CONTENT:
                yield from _texts_in(part)
    elif type(held) is list:
        for part in held:
            yield from _texts_in(part)


def _bounded(strings: Mapping[str, None]) -> list[str]:
    if sum(map(len, strings)) * 4 > MAX_STRINGS_SIZE:
        raise error(
            Category.UNPROCESSABLE,
            f"searchable strings of more than {MAX_STRINGS_SIZE // 4} characters",
            code="too-long",
        )
    return list(strings)
