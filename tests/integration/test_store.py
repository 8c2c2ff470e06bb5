"""The FHIR store over a real PostgreSQL: versions, deletions, search, pages that hold still.
https://hl7.org/fhir/R4/http.html · https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest

from app.database import Database
from app.errors import SsciError
from app.fhir import (
    Create,
    Delete,
    Json,
    Reading,
    Revise,
    SearchRequest,
    Store,
    Update,
    parse_json,
    parse_search,
)
from app.fhir.queries import split_query
from tests.fhir_support import CALLER, ZONE, facts, store_on


@pytest.fixture
def store(database: Database) -> Store:
    return store_on(database)


def request(query: str, count: int | None = None) -> SearchRequest:
    resource_type, _, parameters = query.partition("?")
    pairs = split_query(parameters) + ([("_count", str(count))] if count else [])
    return parse_search(Reading(facts()[1], ZONE, "http://x/fhir"), resource_type, pairs)


Search = Callable[[str], Any]


@pytest.fixture
def search(store: Store) -> Search:
    async def found(query: str) -> list[str]:
        page = await store.search(CALLER, request(query))
        return [found.id for found in (*page.matches, *page.included)]

    return found


def observation(**elements: Any) -> Json:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "777-3"}]},
        **elements,
    }


def platelets(value: str, date: str, patient: str = "SSCI-001", **elements: Any) -> Json:
    body = orjson.dumps(
        observation(
            subject={"reference": f"Patient/{patient}"},
            effectiveDateTime=date,
            valueQuantity={
                "value": orjson.Fragment(value),
                "unit": "10*9/L",
                "system": "http://unitsofmeasure.org",
                "code": "10*9/L",
            },
            **elements,
        )
    )
    return parse_json(body)


async def put(store: Store, **resources: Json) -> None:
    await store.write(
        CALLER, [Update(resource | {"id": id}, id) for id, resource in resources.items()]
    )


def ids(resources: Sequence[Any]) -> list[str]:
    return [resource.id for resource in resources]


async def test_what_is_read_is_what_was_written_to_the_digit(store: Store) -> None:
    (change,) = await store.write(CALLER, [Create(platelets("8.60", "2019-03"))])
    stored = await store.read(CALLER, "Observation", change.id)
    assert stored is not None
    assert stored.body == change.body
    assert b'"value":8.60,' in (stored.body or b"")
    assert stored.version == 1


async def test_an_update_keeps_the_old_version_and_an_identical_one_writes_none(
    store: Store,
) -> None:
    await put(store, a=platelets("38", "2019-03-14"))
    await put(store, a=platelets("83", "2019-03-14"))
    (again,) = await store.write(CALLER, [Update(platelets("83", "2019-03-14") | {"id": "a"}, "a")])
    assert (again.kind, again.version) == ("unchanged", 2)
    history = await store.history(CALLER, "Observation", "a")
    assert [stored.version for stored in history] == [2, 1]
    first = await store.read_version(CALLER, "Observation", "a", 1)
    assert first is not None
    assert b'"value":38,' in (first.body or b"")


async def test_a_deleted_resource_is_gone_from_searches_and_its_versions_go_on(
    store: Store, search: Search
) -> None:
    await put(store, a=platelets("38", "2019-03-14"))
    await store.write(CALLER, [Delete("Observation", "a")])
    stored = await store.read(CALLER, "Observation", "a")
    assert stored is not None
    assert (stored.deleted, stored.version) == (True, 2)
    assert await search("Observation?patient=SSCI-001") == []
    (change,) = await store.write(CALLER, [Update(platelets("9", "2019") | {"id": "a"}, "a")])
    assert (change.kind, change.version) == ("create", 3)


async def test_if_match_refuses_another_version(store: Store) -> None:
    await put(store, a=platelets("38", "2019-03-14"))
    with pytest.raises(SsciError) as refused:
        await store.write(CALLER, [Update(platelets("40", "2019") | {"id": "a"}, "a", if_match=2)])
    assert refused.value.http_status == 412


async def test_revise_decides_on_what_is_stored(store: Store) -> None:
    await put(store, a=observation(status="preliminary"))

    def finish(stored: Json | None) -> Json | None:
        return stored | {"status": "final"} if stored and stored["status"] != "final" else None

    kinds = [
        (await store.write(CALLER, [Revise("Observation", "a", finish)]))[0].kind for _ in range(2)
    ]
    assert kinds == ["update", "unchanged"]


async def test_fifty_writers_of_one_id_make_gapless_versions(store: Store) -> None:
    async def write(n: int) -> int:
        resource = platelets(str(n), "2019-03-14") | {"id": "a"}
        return (await store.write(CALLER, [Update(resource, "a")]))[0].version

    versions = await asyncio.gather(*(write(n) for n in range(50)))
    assert sorted(versions) == list(range(1, 51))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("code=777-3", "a b c"),
        ("code=http://loinc.org|777-3", "a b c"),
        ("code=http://loinc.org|", "a b c"),
        ("code=|777-3", ""),
        ("code=1-8,777-3", "a b c"),
        ("status=final", "a b c"),
        ("status=http://hl7.org/fhir/observation-status|final", "a b c"),
        ("status:not=final", ""),
        ("patient=SSCI-001", "a b"),
        ("patient=Patient/SSCI-001", "a b"),
        ("subject=Patient/SSCI-002", "c"),
        ("subject=SSCI-002", "c"),
        ("subject:Patient=SSCI-002", "c"),
        ("subject=Group/SSCI-002", ""),
        ("subject:missing=true", ""),
        ("subject:missing=false&code:missing=false", "a b c"),
        ("date=2019-03", "a b"),
        ("date=eq2019-03-14", "a"),
        ("date=ne2019-03-14", "b c"),
        ("date=ge2019-03-14", "a b c"),
        ("date=gt2019-03-14", "b c"),
        ("date=lt2019-03-14", "b"),
        ("date=le2019-03-14", "a b"),
        ("date=sa2019-03-14", "c"),
        ("date=eb2019-03-14", ""),
        ("date=ap2019-03-14", "a b"),
        ("date=ge2019-03-13&date=lt2019-03-15", "a b"),
        ("value-quantity=38", "a"),
        ("value-quantity=38|http://unitsofmeasure.org|10*9/L", "a"),
        ("value-quantity=38||10*9/L", "a"),
        ("value-quantity=38||mg", ""),
        ("value-quantity=gt38", "b c"),
        ("value-quantity=le38.2", "a"),
        ("value-quantity=38.1", ""),
        ("combo-value-quantity=ge100", "c"),
        ("combo-code=777-3", "a b c"),
        ("_id=a,c", "a c"),
        ("_id=a&patient=SSCI-001", "a"),
        ("_sort=date", "b a c"),
        ("_sort=-date", "c b a"),
        ("code=777-3&_sort=-date", "c b a"),
        ("code=http://loinc.org|777-3&patient=SSCI-001&_sort=-date", "b a"),
        ("code=777-3&date=lt2019-04&_sort=-date", "b a"),
        ("_sort=-value-quantity", "c b a"),
        ("_sort=-status,_id", "a b c"),
        ("_lastUpdated=gt2000-01-01", "a b c"),
    ],
)
async def test_search(store: Store, search: Search, query: str, expected: str) -> None:
    await put(
        store,
        a=platelets("38", "2019-03-14T08:00:00+08:00"),
        b=platelets("40.5", "2019-03"),
        c=platelets("120", "2019-07-01", "SSCI-002"),
    )
    found = await search(f"Observation?{query}")
    assert (found if "_sort" in query else sorted(found)) == expected.split()


async def test_string_search_ignores_case_and_accents(store: Store, search: Search) -> None:
    await put(
        store,
        a={"resourceType": "Organization", "name": "Hôpital Cochin"},
        b={"resourceType": "Organization", "name": "Peking's \\ Hospital"},
    )
    assert await search("Organization?name=hopital") == ["a"]
    assert await search("Organization?name=PEKING's \\\\ h") == ["b"]
    assert await search("Organization?name:exact=hopital cochin") == []
    assert await search("Organization?name:exact=Hôpital Cochin") == ["a"]
    assert await search("Organization?name:contains=COCH") == ["a"]


async def test_include_brings_the_patient_once(store: Store, search: Search) -> None:
    await put(
        store,
        **{"SSCI-001": {"resourceType": "Patient", "gender": "female"}},
    )
    await put(store, a=platelets("1", "2019"), b=platelets("2", "2019"))
    both = "_include=Observation:subject&_include=Observation:patient"
    assert await search(f"Observation?{both}") == ["a", "b", "SSCI-001"]


@pytest.mark.parametrize("sort", ["", "_sort=date", "_sort=-date", "code=777-3&_sort=-date"])
async def test_a_walk_over_pages_sees_each_match_of_the_first_page_once(
    store: Store, sort: str
) -> None:
    await put(store, **{f"o{n:02}": platelets(str(n), f"2019-03-{n + 1:02}") for n in range(20)})
    query = request(f"Observation?{sort}", count=3)
    seen: list[str] = []
    values: list[bytes] = []
    step = 0
    while True:
        page = await store.search(CALLER, query)
        seen += ids(page.matches)
        values += [found.body for found in page.matches]
        if page.following is None:
            break
        await put(
            store,
            **{
                f"o{step:02}": platelets("999", "2030"),
                f"o{19 - step:02}": platelets("999", "2001"),
                f"p{step}": platelets("1", "2019-03-10"),
            },
        )
        await store.write(CALLER, [Delete("Observation", f"o{(step + 10) % 20:02}")])
        query = SearchRequest(
            query.resource_type, query.conditions, query.sort, 3, cursor=page.following
        )
        step += 1
    assert sorted(seen) == [f"o{n:02}" for n in range(20)]
    assert not any(b"999" in value for value in values)


async def test_a_bad_operation_leaves_nothing_of_its_transaction(store: Store) -> None:
    with pytest.raises(SsciError):
        await store.write(
            CALLER,
            [
                Update(platelets("1", "2019") | {"id": "a"}, "a"),
                Update(platelets("1", "2019") | {"id": "b"}, "b", if_match=7),
            ],
        )
    assert await store.read(CALLER, "Observation", "a") is None
