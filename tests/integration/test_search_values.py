"""Values at their edges: comparators, amounts in a laboratory's own unit, long strings, digits.
https://hl7.org/fhir/R4/search.html#prefix · https://hl7.org/fhir/R4/search.html#quantity
"""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from app.database import Database
from app.errors import SsciError
from app.fhir import Json, Reading, Store, Update, parse_json, parse_search
from app.fhir.queries import split_query
from tests.fhir_support import (
    BASE,
    CALLER,
    ZONE,
    facts,
    fhir_client,
    open_validator,
    store_on,
)

READING = Reading(facts()[1], ZONE, BASE)
UCUM = "http://unitsofmeasure.org"
CANONICAL = "https://ssci.example/fhir/StructureDefinition/canonical-quantity"
IN_LITRES = f"{UCUM}|10*9/L"
WIDE = "".join(chr(0xFF10 + int(digit)) for digit in "2019")
"""A year in full-width digits, which are digits to Python."""


@pytest.fixture
def store(database: Database) -> Store:
    return store_on(database)


async def keep(store: Store, *resources: Json) -> None:
    held = [parse_json(orjson.dumps(resource)) for resource in resources]
    await store.write(CALLER, [Update(resource, resource["id"]) for resource in held])


async def found(store: Store, query: str) -> list[str]:
    resource_type, _, parameters = query.partition("?")
    request = parse_search(READING, resource_type, split_query(parameters))
    return [each.id for each in (await store.search(CALLER, request)).matches]


def observation(id: str, **value: Any) -> Json:
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "777-3"}]},
        "subject": {"reference": "Patient/p"},
        "valueQuantity": value,
    }


def platelets(id: str, sent: str, unit: str, known: str) -> Json:
    again = {"value": orjson.Fragment(known), "system": UCUM, "code": "10*9/L"}
    extension = [{"url": CANONICAL, "valueQuantity": again}]
    return observation(id, value=orjson.Fragment(sent), unit=unit, extension=extension)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("5.4", ""),
        ("ne5.4", "< <= > >="),
        ("gt5.4", "> >="),
        ("ge5.4", "<= > >="),
        ("lt5.4", "< <="),
        ("le5.4", "< <= >="),
        ("sa5.4", ">"),
        ("eb5.4", "<"),
        ("ge5.39", "< <= > >="),
        ("eb5.41", "< <="),
        ("ap5.4", "< <= > >="),
        ("gt100", "> >="),
        ("lt-100", "< <="),
    ],
)
@pytest.mark.parametrize("unit", ["", f"|{UCUM}|mg", "||mg"])
async def test_a_value_with_a_comparator_is_all_that_it_may_be(
    store: Store, asked: str, expected: str, unit: str
) -> None:
    names = {"a": "<", "b": "<=", "c": ">", "d": ">="}
    for id, comparator in names.items():
        value = {"value": 5.4, "comparator": comparator, "system": UCUM, "code": "mg"}
        await keep(store, observation(id, **value))
    ids = await found(store, f"Observation?value-quantity={asked}{unit}")
    assert " ".join(names[id] for id in ids) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (f"value-quantity=gt100|{IN_LITRES}", ["own", "ucum"]),
        (f"value-quantity=150|{IN_LITRES}", ["own"]),
        ("value-quantity=ge120||10*3/uL", ["own", "ucum"]),
        ("value-quantity=15||万/μL", ["own"]),
        ("value-quantity=15", ["own"]),
        ("value-quantity=150", []),
        (f"code-value-quantity=777-3$gt100|{IN_LITRES}", ["own", "ucum"]),
        (f"combo-value-quantity=gt100|{IN_LITRES}", ["own", "ucum"]),
        ("_sort=value-quantity", ["low", "ucum", "own", "lost"]),
        ("_sort=-value-quantity", ["own", "ucum", "low", "lost"]),
    ],
)
async def test_an_amount_in_a_laboratorys_own_unit_is_compared_by_its_canonical_form(
    store: Store, query: str, expected: list[str]
) -> None:
    await keep(
        store,
        platelets("own", "15.0", "万/μL", "150"),
        observation("ucum", value=120, system=UCUM, code="10*9/L"),
        platelets("low", "9.0", "万/μL", "90"),
        observation("lost", value=1000, unit="a unit of its own"),
    )
    ids = await found(store, f"Observation?{query}")
    assert ids == expected if "_sort" in query else sorted(ids) == expected


async def test_statistics_are_computed_on_the_canonical_form(store: Store) -> None:
    await keep(
        store,
        platelets("own", "15.0", "万/μL", "150"),
        observation("ucum", value=120, system=UCUM, code="10*3/uL"),
    )
    async with fhir_client(store) as client:
        query = "subject=Patient/p&code=http://loinc.org|777-3&statistic=average"
        answer = (await client.get(f"Observation/$stats?{query}")).json()
    (component,) = answer["parameter"][0]["resource"]["component"]
    assert component["valueQuantity"]["value"] == 135


async def test_strings_longer_than_what_is_compared_are_told_apart_exactly(store: Store) -> None:
    long = "x" * 600
    for id, name in (("a", long), ("b", long + "y")):
        await keep(store, {"resourceType": "Organization", "id": id, "name": name})
    assert await found(store, f"Organization?name:exact={long}") == ["a"]
    assert await found(store, f"Organization?name={long[:500]}") == ["a", "b"]
    with pytest.raises(SsciError, match="first 500 characters"):
        await found(store, f"Organization?name={long}")


async def test_ids_can_be_left_out_of_a_search(store: Store) -> None:
    for id in ("a", "b", "c"):
        await keep(store, {"resourceType": "Organization", "id": id, "name": "n"})
    assert await found(store, "Organization?_id:not=a,c") == ["b"]
    assert await found(store, "Organization?_id:not=b&_id=a,b") == ["a"]
    assert await found(store, "Organization?_id:missing=true") == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("date", f"{WIDE}-03-14"),
        ("date", f"{WIDE}-03-14T10:00:00+08:00"),
        ("value-quantity", f"gt{WIDE}"),
        ("_lastUpdated", WIDE),
        ("_count", WIDE),
    ],
)
def test_digits_of_other_scripts_are_refused(name: str, value: str) -> None:
    with pytest.raises(SsciError, match=name):
        parse_search(READING, "Observation", [(name, value)])


def test_dates_of_resources_have_no_digits_of_other_scripts() -> None:
    resource = observation("a", value=1) | {"effectiveDateTime": f"{WIDE}-03-14"}
    with pytest.raises(SsciError) as raised:
        open_validator().validate(resource, "Observation")
    assert [issue.expression for issue in raised.value.issues] == ["Observation.effectiveDateTime"]


@pytest.mark.parametrize("count", [1, 3, 50])
async def test_a_missing_date_is_missing_however_many_are_written_together(
    store: Store, count: int
) -> None:
    await keep(store, *(observation(f"o{number:02}", value=1) for number in range(count)))
    ids = [f"o{number:02}" for number in range(count)]
    assert sorted(await found(store, "Observation?date:missing=true&_count=100")) == ids
    assert await found(store, "Observation?date=ge1000") == []


async def test_a_comparator_holds_of_the_amount_in_every_unit(store: Store) -> None:
    again = {"url": CANONICAL, "valueQuantity": {"value": 50, "system": UCUM, "code": "10*9/L"}}
    local = {"value": 5, "comparator": "<", "unit": "万/μL", "extension": [again]}
    await keep(store, observation("below", **local))
    assert await found(store, f"Observation?value-quantity=lt50|{IN_LITRES}") == ["below"]
    assert await found(store, f"Observation?value-quantity=50|{IN_LITRES}") == []


async def test_statistics_compute_with_the_unit_that_can_be_converted(store: Store) -> None:
    translated = {
        "url": "http://hl7.org/fhir/StructureDefinition/iso21090-PQ-translation",
        "valueQuantity": {"value": 5, "system": "urn:local", "code": "mgpct"},
    }
    ours = {"system": UCUM, "code": "mg/dL"}
    await keep(
        store,
        observation("told-twice", value=5, extension=[translated], **ours),
        observation("plain", value=7, **ours),
    )
    async with fhir_client(store) as client:
        answer = await client.get(
            "Observation/$stats?subject=Patient/p&system=http://loinc.org&code=777-3&statistic=average"
        )
    assert answer.status_code == 200, answer.text
    assert b'"value":6' in answer.content


async def test_a_reference_is_sorted_by_its_id_not_by_its_identifier(store: Store) -> None:
    named = {"reference": "Patient/z", "identifier": {"value": "1"}}
    await keep(
        store,
        observation("last", value=1) | {"subject": named},
        observation("first", value=1) | {"subject": {"reference": "Patient/b"}},
    )
    assert await found(store, "Observation?_sort=subject") == ["first", "last"]
    assert await found(store, "Observation?subject:identifier=1") == ["last"]
