"""Search in PostgreSQL against the plainest reading of the standard, over a list in memory.
https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.database import Database
from app.fhir import Delete, Json, Reading, Store, Update, parse_json, parse_search
from app.fhir.queries import split_query
from tests.fhir_support import CALLER, ZONE, facts, store_on

READING = Reading(facts()[1], ZONE, "http://x/fhir")
UCUM = "http://unitsofmeasure.org"
CODES, SYSTEMS, PATIENTS = ("1", "2", "3"), ("http://a", "http://b"), ("p", "q")
SCALE = {"10*9/L": Decimal(10) ** 9, "10*3/uL": Decimal(10) ** 9, "/L": Decimal(1)}
LOCAL, IN_LOCAL = "万/μL", 10
"""A unit that is no UCUM code, and how many 10*9/L it is."""
CANONICAL = "https://ssci.example/fhir/StructureDefinition/canonical-quantity"
DAYS = ("2019-03-14", "2019-03-15", "2019-04-01", "2019-03", "2019")


@dataclass(frozen=True)
class Row:
    """An Observation as the oracle sees it."""

    system: str
    code: str
    patient: str | None
    day: str | None
    value: Decimal | None
    comparator: str | None
    unit: str
    text: str | None

    @property
    def size(self) -> Decimal | None:
        """The value per litre."""
        if self.value is None:
            return None
        scale = SCALE["10*9/L"] * IN_LOCAL if self.unit == LOCAL else SCALE[self.unit]
        return self.value * scale


@dataclass(frozen=True)
class Question:
    """One parameter, and whether a row meets it."""

    text: str
    holds: Callable[[Row], bool]


rows = st.builds(
    Row,
    system=st.sampled_from(SYSTEMS),
    code=st.sampled_from(CODES),
    patient=st.sampled_from([*PATIENTS, None]),
    day=st.sampled_from([*DAYS, None]),
    value=st.one_of(st.none(), st.decimals(0, 20, places=1)),
    comparator=st.sampled_from([None, None, "<", "<=", ">", ">="]),
    unit=st.sampled_from([*sorted(SCALE), LOCAL]),
    text=st.sampled_from(["Platelets low", "platelet", "Éclat", None]),
)


def resource(id: str, row: Row) -> Json:
    code: Json = {"coding": [{"system": row.system, "code": row.code}]}
    found: Json = {"resourceType": "Observation", "id": id, "status": "final", "code": code}
    if row.text is not None:
        code["text"] = row.text
    if row.patient is not None:
        found["subject"] = {"reference": f"Patient/{row.patient}"}
    if row.day is not None:
        found["effectiveDateTime"] = row.day
    if row.value is not None:
        found["valueQuantity"] = quantity(row)
    return parse_json(orjson.dumps(found))


def quantity(row: Row) -> Json:
    compared = {"comparator": row.comparator} if row.comparator else {}
    sent = compared | {"value": orjson.Fragment(str(row.value))}
    if row.unit != LOCAL:
        return sent | {"system": UCUM, "code": row.unit}
    assert row.value is not None  # asked where there is one
    known = orjson.Fragment(str(row.value * IN_LOCAL))
    again = compared | {"value": known, "system": UCUM, "code": "10*9/L"}
    return sent | {"unit": LOCAL, "extension": [{"url": CANONICAL, "valueQuantity": again}]}


def span(text: str) -> tuple[datetime, datetime]:
    """The half-open interval of a year, month or day."""
    parts = [int(part) for part in text.split("-")]
    year, month, day = (*parts, 1, 1)[:3]
    start = datetime(year, month, day)
    if len(parts) == 3:
        return start, start + timedelta(days=1)
    if len(parts) == 2:
        return start, datetime(start.year + start.month // 12, start.month % 12 + 1, 1)
    return start, datetime(start.year + 1, 1, 1)


DATE_TESTS: dict[str, Callable[[Any, Any, Any, Any], bool]] = {
    "eq": lambda s, e, low, high: low <= s and e <= high,
    "ne": lambda s, e, low, high: not (low <= s and e <= high),
    "gt": lambda s, e, low, high: e > high,
    "lt": lambda s, e, low, high: s < low,
    "ge": lambda s, e, low, high: e > high or (low <= s and e <= high),
    "le": lambda s, e, low, high: s < low or (low <= s and e <= high),
    "sa": lambda s, e, low, high: s >= high,
    "eb": lambda s, e, low, high: e <= low,
    "ap": lambda s, e, low, high: s < high and e > low,
}
Edge = tuple[Decimal, int]
"""A number, or what comes just before (-1) or after it (1)."""

VALUE_TESTS: dict[str, Callable[[Edge, Edge, Edge, Edge, Edge], bool]] = {
    "eq": lambda first, last, value, low, high: low <= first and last < high,
    "ne": lambda first, last, value, low, high: not (low <= first and last < high),
    "gt": lambda first, last, value, low, high: last > value,
    "lt": lambda first, last, value, low, high: first < value,
    "ge": lambda first, last, value, low, high: last >= value,
    "le": lambda first, last, value, low, high: first <= value,
    "sa": lambda first, last, value, low, high: first > value,
    "eb": lambda first, last, value, low, high: last < value,
    "ap": lambda first, last, value, low, high: first <= high and last >= low,
}


def edges(value: Decimal, comparator: str | None) -> tuple[Edge, Edge]:
    """The first and the last of the numbers that a value with a comparator may be."""
    least, most = (Decimal("-Infinity"), 0), (Decimal("Infinity"), 0)
    return {
        None: ((value, 0), (value, 0)),
        "<": (least, (value, -1)),
        "<=": (least, (value, 0)),
        ">": ((value, 1), most),
        ">=": ((value, 0), most),
    }[comparator]


def code_is(values: list[tuple[str | None, str]], *, negate: bool) -> Question:
    texts = [code if system is None else f"{system}|{code}" for system, code in values]

    def holds(row: Row) -> bool:
        found = any(row.code == code and system in (None, row.system) for system, code in values)
        return found != negate

    return Question(f"code{':not' if negate else ''}={','.join(texts)}", holds)


def date_is(prefix: str, day: str) -> Question:
    def holds(row: Row) -> bool:
        return row.day is not None and DATE_TESTS[prefix](*span(row.day), *span(day))

    return Question(f"date={prefix}{day}", holds)


def value_is(prefix: str, number: Decimal, unit: str | None) -> Question:
    half = number / 10 if prefix == "ap" else Decimal("0.05")
    scale = SCALE[unit] if unit else Decimal(1)
    value, low, high = ((each * scale, 0) for each in (number, number - half, number + half))

    def holds(row: Row) -> bool:
        held = row.size if unit else row.value
        if held is None:
            return False
        return VALUE_TESTS[prefix](*edges(held, row.comparator), value, low, high)

    suffix = f"|{UCUM}|{unit}" if unit else ""
    return Question(f"value-quantity={prefix}{number}{suffix}", holds)


def missing(name: str, field: str, *, wanted: bool) -> Question:
    def holds(row: Row) -> bool:
        return (getattr(row, field) is None) == wanted

    return Question(f"{name}:missing={str(wanted).lower()}", holds)


def text_begins(start: str) -> Question:
    return Question(
        f"code:text={start}",
        lambda row: row.text is not None and folded(row.text).startswith(start),
    )


def folded(text: str) -> str:
    return text.lower().replace("é", "e")


def both(one: Question, other: Question) -> Question:
    """The composite of a code and a value, both on the Observation itself."""
    text = f"code-value-quantity={one.text.partition('=')[2]}${other.text.partition('=')[2]}"
    return Question(text, lambda row: one.holds(row) and other.holds(row))


tokens = st.tuples(st.sampled_from([*SYSTEMS, None]), st.sampled_from(CODES))
values = st.builds(
    value_is,
    st.sampled_from(sorted(VALUE_TESTS)),
    st.decimals(0, 20, places=1),
    st.sampled_from([*sorted(SCALE), None]),
)
questions = st.one_of(
    st.builds(code_is, st.lists(tokens, min_size=1, max_size=2), negate=st.booleans()),
    st.sampled_from(PATIENTS).map(lambda p: Question(f"patient={p}", lambda r: r.patient == p)),
    st.sampled_from(PATIENTS).map(lambda p: Question(f"subject={p}", lambda r: r.patient == p)),
    st.builds(date_is, st.sampled_from(sorted(DATE_TESTS)), st.sampled_from(DAYS)),
    values,
    st.builds(
        lambda args, wanted: missing(*args, wanted=wanted),
        st.sampled_from([("patient", "patient"), ("date", "day"), ("value-quantity", "value")]),
        st.booleans(),
    ),
    st.sampled_from(["pla", "platelets", "e", "x"]).map(text_begins),
    st.builds(both, tokens.map(lambda token: code_is([token], negate=False)), values),
)


@pytest.fixture
def store(database: Database) -> Store:
    return store_on(database)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    held=st.lists(rows, min_size=1, max_size=12),
    asked=st.lists(st.lists(questions, min_size=1, max_size=3), min_size=8, max_size=8),
)
async def test_a_search_finds_what_the_oracle_finds(
    store: Store, held: list[Row], asked: list[list[Question]]
) -> None:
    ids = [f"o{number:02}" for number in range(12)]
    pairs = list(zip(ids, held, strict=False))
    await store.write(CALLER, [Update(resource(id, row), id) for id, row in pairs])
    await store.write(CALLER, [Delete("Observation", id) for id in ids[len(held) :]])
    for parameters in asked:
        query = "&".join(each.text for each in parameters)
        request = parse_search(READING, "Observation", split_query(query.replace("+", "%2B")))
        page = await store.search(CALLER, request)
        expected = [id for id, row in pairs if all(each.holds(row) for each in parameters)]
        assert [found.id for found in page.matches] == expected, query
        counted = await store.search(CALLER, replace(request, summary="count"))
        assert counted.total == len(expected), query


def order_of(row: Row, *, descending: bool) -> tuple[bool, Edge]:
    """By size, those without a value last in both directions."""
    if row.size is None:
        return True, (Decimal(0), 0)
    first, last = edges(row.size, row.comparator)
    return (False, (-last[0], -last[1])) if descending else (False, first)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(held=st.lists(rows, min_size=12, max_size=12), descending=st.booleans())
async def test_amounts_are_sorted_by_size_in_whichever_unit_they_came(
    store: Store, held: list[Row], descending: bool
) -> None:
    ids = {f"o{number:02}": row for number, row in enumerate(held)}
    await store.write(CALLER, [Update(resource(id, row), id) for id, row in ids.items()])
    sort = f"{'-' if descending else ''}value-quantity"
    request = parse_search(READING, "Observation", [("_sort", sort)])
    page = await store.search(CALLER, request)
    places = [order_of(ids[found.id], descending=descending) for found in page.matches]
    assert places == sorted(places)
