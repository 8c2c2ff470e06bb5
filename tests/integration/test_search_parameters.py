"""Every advertised parameter, modifier, sort and include is one that the database answers.
https://hl7.org/fhir/R4/searchparameter-registry.html
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.database import Database
from app.fhir import Reading, Store, parse_search
from app.fhir.layout import Home, TypeLayout
from app.fhir.parameters import TERMINOLOGY_MODIFIERS, modifiers_of, targets_of
from tests.fhir_support import CALLER, ZONE, facts, store_on

READING = Reading(facts()[1], ZONE, "http://x/fhir")
SAMPLES = {
    "token": "http://s|a",
    "reference": "Patient/a",
    "uri": "http://a/b/c",
    "string": "a",
    "date": "ge2019-03",
    "number": "gt1",
    "quantity": "le1.5|http://unitsofmeasure.org|mg/dL",
}


def sample(place: TypeLayout, home: Home) -> str:
    if home.kind == "composite":
        return "$".join(sample(place, place.homes[code]) for code in home.components)
    kind = "date" if home.kind == "last_updated" else home.parameter.type
    if kind == "reference":
        targets = home.parameter.targets or ("Patient",)
        return f"{targets[0]}/a"
    return SAMPLES[kind]


def of_modifier(place: TypeLayout, home: Home, modifier: str) -> str:
    known = {"missing": "true", "of-type": "s|c|v", "identifier": "s|v"}
    return known.get(modifier, sample(place, home))


def queries(place: TypeLayout) -> Iterator[tuple[str, str]]:
    for code, home in place.homes.items():
        yield code, sample(place, home)
        for modifier in sorted(modifiers_of(home)):
            if home.parameter.type != "token" or modifier not in TERMINOLOGY_MODIFIERS:
                yield f"{code}:{modifier}", of_modifier(place, home, modifier)
        if home.sortable:
            yield "_sort", f"-{code}"
        if home.parameter.type == "reference":
            yield "_include", f"{place.resource_type}:{code}"
            if targets_of(facts()[1], home):
                yield f"{code}._id", "a"
    yield "_revinclude", "*"
    yield "_filter", "_id eq a or not (_tag eq b)"


@pytest.fixture
def store(database: Database) -> Store:
    return store_on(database)


async def test_every_parameter_of_every_type_runs_on_its_own_and_is_counted(store: Store) -> None:
    asked = 0
    for name, place in facts()[1].items():
        for parameter, value in queries(place):
            pairs = [(parameter, value), ("_total", "accurate")]
            page = await store.search(CALLER, parse_search(READING, name, pairs))
            assert page.total == 0, (name, parameter)
            asked += 1
    assert asked > 3000
