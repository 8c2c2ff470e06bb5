"""Search over a real PostgreSQL: chains, includes, modifiers, composites, totals, pages.
https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any

import pytest

from app.database import Database
from app.errors import SsciError
from app.fhir import (
    Caller,
    Create,
    Json,
    Page,
    Reading,
    Restriction,
    SearchRequest,
    Store,
    Update,
    parse_json,
    parse_search,
)
from app.fhir.queries import split_query
from app.fhir.request import (
    Cursor,
    dump_cursor,
    parse_compartment_search,
    parse_system_search,
)
from app.fhir.searchset import build_searchset
from app.fhir.terms import resolve_terms
from tests.fhir_support import CALLER, ZONE, facts, store_on

READING = Reading(facts()[1], ZONE, "http://x/fhir")
LOINC, UCUM, SNOMED = "http://loinc.org", "http://unitsofmeasure.org", "http://snomed.info/sct"
Search = Callable[..., Coroutine[Any, Any, list[str]]]


def request(query: str, cursor: Cursor | None = None) -> SearchRequest:
    resource_type, _, parameters = query.partition("?")
    pairs = split_query(parameters)
    pairs += [("_cursor", dump_cursor(cursor))] if cursor else []
    if not resource_type:
        return parse_system_search(READING, pairs)
    if "/" in resource_type:
        compartment, id, wanted = resource_type.split("/")
        return parse_compartment_search(READING, compartment, id, wanted, pairs)
    return parse_search(READING, resource_type, pairs)


def coded(system: str, code: str, **more: Any) -> Json:
    return {"coding": [{"system": system, "code": code, **more}]}


def quantity(value: str, code: str, **more: Any) -> Json:
    text = f'{{"value": {value}, "system": "{UCUM}", "code": "{code}", "unit": "{code}"}}'
    return parse_json(text.encode()) | more


def observation(id: str, patient: str = "a", code: str = "777-3", **elements: Any) -> Json:
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "code": coded(LOINC, code),
        "subject": {"reference": f"Patient/{patient}"},
        **elements,
    }


RESOURCES: list[Json] = [
    {"resourceType": "Organization", "id": "north", "name": "North Hospital"},
    {
        "resourceType": "Organization",
        "id": "ward",
        "name": "Ward 7",
        "partOf": {"reference": "Organization/north"},
    },
    {
        "resourceType": "Patient",
        "id": "a",
        "gender": "female",
        "managingOrganization": {"reference": "Organization/ward"},
        "name": [{"family": "Łukasz", "given": ["Anna", "Maria"]}],
        "identifier": [
            {
                "system": "http://h/mrn",
                "value": "1",
                "type": coded("http://v2/0203", "MR", display="Medical record")
                | {"text": "record"},
            }
        ],
    },
    {
        "resourceType": "Patient",
        "id": "b",
        "gender": "male",
        "managingOrganization": {"reference": "Organization/north"},
        "identifier": [{"system": "http://h/mrn", "value": "2"}],
    },
    {"resourceType": "Patient", "id": "c"},
    {
        "resourceType": "Specimen",
        "id": "s",
        "subject": {"reference": "Patient/a"},
        "type": coded(SNOMED, "119297000", display="Blood specimen"),
    },
    observation(
        "platelets",
        effectiveDateTime="2019-03-14",
        valueQuantity=quantity("150", "10*9/L"),
        specimen={"reference": "Specimen/s"},
    ),
    observation(
        "platelets-b", "b", effectiveDateTime="2019-03-15", valueQuantity=quantity("38", "10*3/uL")
    ),
    observation(
        "sirolimus",
        code="29247-4",
        effectiveDateTime="2019-03-16",
        valueQuantity=quantity("8.6", "ng/mL"),
        hasMember=[{"reference": "Observation/platelets"}],
    ),
    observation(
        "pressure",
        code="85354-9",
        component=[
            {"code": coded(LOINC, "8480-6"), "valueQuantity": quantity("140", "mm[Hg]")},
            {"code": coded(LOINC, "8462-4"), "valueQuantity": quantity("90", "mm[Hg]")},
            {"code": coded(LOINC, "x"), "valueCodeableConcept": coded(SNOMED, "1")},
            {"code": coded(LOINC, "y"), "valueCodeableConcept": coded(SNOMED, "2")},
        ],
        note=[{"text": "taken lying"}],
    ),
    {
        "resourceType": "Provenance",
        "id": "p",
        "target": [{"reference": "Observation/platelets"}],
        "recorded": "2019-03-14T00:00:00Z",
        "agent": [{"who": {"reference": "Organization/ward"}}],
    },
    {
        "resourceType": "List",
        "id": "l",
        "status": "current",
        "mode": "working",
        "entry": [{"item": {"reference": "Observation/sirolimus"}}],
    },
    {
        "resourceType": "ValueSet",
        "id": "v",
        "url": "http://acme.org/fhir/ValueSet/123",
        "status": "active",
        "title": "血小板减少 thrombocytopenia",
        "text": {
            "status": "generated",
            "div": '<div xmlns="http://www.w3.org/1999/xhtml">Low <b>platelet</b> counts</div>',
        },
    },
]


@pytest.fixture
async def store(database: Database) -> Store:
    store = store_on(database)
    await store.write(CALLER, [Update(resource, resource["id"]) for resource in RESOURCES])
    return store


@pytest.fixture
def search(store: Store) -> Search:
    async def found(query: str, caller: Caller = CALLER) -> list[str]:
        page = await store.search(caller, request(query))
        return [each.id for each in (*page.matches, *page.included)]

    return found


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Observation?subject:Patient.identifier=http://h/mrn|2", ["platelets-b"]),
        ("Observation?patient.gender=male", ["platelets-b"]),
        ("Observation?subject.organization.name=ward", ["platelets", "pressure", "sirolimus"]),
        (
            "Observation?patient.organization.partof.name=north",
            ["platelets", "pressure", "sirolimus"],
        ),
        ("Observation?patient.gender=male&code=29247-4", []),
        ("Observation?specimen.type=119297000", ["platelets"]),
        ("Observation?specimen.patient.gender=male", []),
        ("Observation?patient.gender:missing=true", []),
        ("Observation?patient._has:Specimen:subject:type=119297000&code=777-3", ["platelets"]),
        ("Patient?_has:Observation:patient:code=29247-4", ["a"]),
        ("Patient?_has:Observation:subject:code=777-3", ["a", "b"]),
        ("Patient?_has:Observation:patient:specimen.type=119297000", ["a"]),
        ("Patient?_has:Observation:patient:_has:Provenance:target:agent=Organization/ward", ["a"]),
        ("Specimen?_has:Observation:specimen:code=777-3", ["s"]),
        ("Organization?_has:Patient:organization:_has:Observation:patient:code=29247-4", ["ward"]),
        ("Patient?_has:Observation:patient:code=777-3&gender=male", ["b"]),
        ("Observation?_list=l", ["sirolimus"]),
        ("Observation?_list=unknown", []),
    ],
)
async def test_chains_and_reverse_chains_follow_references(
    search: Search, query: str, expected: list[str]
) -> None:
    assert await search(query) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Specimen?type:text=blood", ["s"]),
        ("Specimen?type:text=specimen", []),
        ("Patient?identifier:text=rec", ["a"]),
        ("Patient?identifier:of-type=http://v2/0203|MR|1", ["a"]),
        ("Patient?identifier:of-type=http://v2/0203|MR|2", []),
        ("Patient?name:text=maria", ["a"]),
        ("Patient?name:contains=ari", ["a"]),
        ("Patient?family:exact=Łukasz", ["a"]),
        ("ValueSet?url:below=http://acme.org/fhir", ["v"]),
        ("ValueSet?url:below=http://acme.org/fhi", []),
        ("ValueSet?url:above=http://acme.org/fhir/ValueSet/123/more", ["v"]),
        ("ValueSet?_text=platelet counts", ["v"]),
        ("ValueSet?_text=plate*", ["v"]),
        ("ValueSet?_text=plate", []),
        ("ValueSet?_content=小板", ["v"]),
        ("ValueSet?_content=血小板", ["v"]),
        ("ValueSet?_content=板小", []),
        ("ValueSet?_content=thrombocytopenia,other", ["v"]),
        ("Patient?gender:not=male", ["a", "c"]),
        ("Patient?organization:missing=true", ["c"]),
    ],
)
async def test_modifiers_ask_what_the_standard_says(
    search: Search, query: str, expected: list[str]
) -> None:
    assert await search(query) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Observation?value-quantity=150|http://unitsofmeasure.org|10*3/uL", ["platelets"]),
        ("Observation?value-quantity=38||10*9/L", ["platelets-b"]),
        ("Observation?value-quantity=8.6|http://unitsofmeasure.org|ug/L", ["sirolimus"]),
        ("Observation?value-quantity=8600|http://unitsofmeasure.org|ng/L", ["sirolimus"]),
        ("Observation?value-quantity=8.6", ["sirolimus"]),
        ("Observation?value-quantity=8.6|http://unitsofmeasure.org|mg", []),
        (
            "Observation?value-quantity=gt100|http://unitsofmeasure.org|10*3/uL",
            ["platelets"],
        ),
        ("Observation?code-value-quantity=777-3$gt100", ["platelets"]),
        ("Observation?code-value-quantity=29247-4$gt100", []),
        (
            "Observation?code-value-quantity=http://loinc.org|777-3$lt50,29247-4$8.6",
            ["platelets-b", "sirolimus"],
        ),
        ("Observation?component-code-value-quantity=8480-6$gt100", ["pressure"]),
        ("Observation?component-code-value-quantity=8462-4$gt100", []),
        ("Observation?component-code-value-quantity=8480-6$140||mm[Hg]", ["pressure"]),
        ("Observation?combo-code-value-quantity=8480-6$140,777-3$150", ["platelets", "pressure"]),
        ("Observation?component-code-value-concept=x$1", ["pressure"]),
        ("Observation?component-code-value-concept=x$2", []),
        (
            "Observation?combo-code-value-concept=http://loinc.org|y$http://snomed.info/sct|2",
            ["pressure"],
        ),
        ("Patient?_has:Observation:patient:code-value-quantity=777-3$gt100", ["a"]),
    ],
)
async def test_amounts_match_in_any_unit_and_composites_on_one_node(
    search: Search, query: str, expected: list[str]
) -> None:
    assert await search(query) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Patient?_id=a&_revinclude=Specimen:subject", ["a", "s"]),
        ("Observation?_id=platelets&_revinclude=Provenance:target", ["platelets", "p"]),
        (
            "Observation?_id=sirolimus&_include=Observation:has-member"
            "&_include:iterate=Observation:specimen",
            ["sirolimus", "platelets", "s"],
        ),
        (
            "Observation?_id=platelets-b&_include=Observation:patient"
            "&_include:iterate=Patient:organization&_include:iterate=Organization:partof",
            ["platelets-b", "b", "north"],
        ),
        ("Observation?_id=platelets&_include=Observation:*", ["platelets", "a", "s"]),
        ("Observation?_id=platelets&_include=*", ["platelets", "a", "s"]),
        ("Specimen?_id=s&_revinclude=*", ["s", "platelets"]),
        ("Observation?_id=platelets&_include=Observation:subject:Patient", ["platelets", "a"]),
    ],
)
async def test_includes_bring_what_belongs_to_the_matches(
    search: Search, query: str, expected: list[str]
) -> None:
    assert await search(query) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Observation?_filter=code eq 777-3 and value-quantity gt 100", ["platelets"]),
        ("Observation?_filter=not (code eq 777-3)", ["pressure", "sirolimus"]),
        ("Observation?_filter=code ne 777-3", ["pressure", "sirolimus"]),
        (
            "Observation?_filter=patient.gender eq male or code eq 29247-4",
            ["platelets-b", "sirolimus"],
        ),
        ("Observation?_filter=date ge 2019-03-15", ["platelets-b", "sirolimus"]),
        ("Observation?_filter=specimen pr true", ["platelets"]),
        ('Patient?_filter=family eq "lukasz"', []),
        ('Patient?_filter=given co "ari"', ["a"]),
        ('Patient?_filter=given ew "ia"', ["a"]),
        ('Patient?_filter=given eq "anna"', ["a"]),
        ("Patient?_filter=organization[name sw ward].partof eq Organization/north", ["a"]),
    ],
)
async def test_a_filter_expression_says_the_same_as_parameters(
    search: Search, query: str, expected: list[str]
) -> None:
    assert await search(query) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?_type=Patient,Specimen", ["a", "b", "c", "s"]),
        ("?_type=Specimen,Observation&patient=b", ["platelets-b"]),
        ("?_id=a", ["a"]),
        ("?_type=Patient,Organization&_sort=-_id", ["ward", "north", "c", "b", "a"]),
        ("Patient/a/Observation?code=777-3", ["platelets"]),
        ("Patient/b/Observation", ["platelets-b"]),
        ("Patient/b/*", ["platelets-b", "b"]),
        ("Patient/c/Observation", []),
    ],
)
async def test_searches_over_several_types_and_in_compartments(
    search: Search, query: str, expected: list[str]
) -> None:
    assert sorted(await search(query)) == sorted(expected)


@pytest.mark.parametrize(
    ("query", "total"),
    [
        ("Observation?_total=accurate&_count=1", 4),
        ("Observation?code=777-3&_total=accurate", 2),
        ("Observation?code=777-3&_total=estimate", 2),
        ("Observation?_summary=count", 4),
        ("Observation?_count=0", 4),
        ("Observation?code=none&_total=accurate", 0),
        ("?_type=Patient,Specimen&_summary=count", 4),
        ("Observation", 4),
        ("Observation?_count=3", None),
        ("Observation?_total=none", None),
    ],
)
async def test_a_total_is_told_where_it_is_asked_for_or_costs_nothing(
    store: Store, query: str, total: int | None
) -> None:
    page = await store.search(CALLER, request(query))
    assert page.total == total


async def walk(store: Store, query: str, limit: int = 50) -> list[Page]:
    pages, cursor = [], None
    for _ in range(limit):
        page = await store.search(CALLER, request(query, cursor))
        pages.append(page)
        cursor = page.following
        if cursor is None:
            break
    return pages


@pytest.mark.parametrize(
    "query",
    [
        "Observation?_count=1",
        "Observation?_count=1&_sort=-date",
        "Observation?_count=1&_sort=date,-_id",
        "Observation?_count=1&_sort=specimen,-value-quantity",
        "Observation?_count=1&_sort=-specimen,code",
        "Observation?_count=1&code=777-3&_sort=-date",
        "Observation?_count=1&patient.gender=female",
        "?_type=Patient,Specimen,Observation&_count=2",
        "?_type=Patient,Specimen,Observation&_count=2&_sort=-_lastUpdated",
    ],
)
async def test_pages_lead_forward_and_back_over_the_same_rows(store: Store, query: str) -> None:
    pages = await walk(store, query)
    everything = await store.search(
        CALLER, request(query.replace("_count=1", "").replace("_count=2", ""))
    )
    assert [each for page in pages for each in page.matches] == list(everything.matches)
    assert pages[0].preceding is None
    for earlier, later in pairwise(pages):
        assert later.preceding is not None
        back = await store.search(CALLER, request(query, later.preceding))
        assert back.matches == earlier.matches
        assert back.following is not None
        assert (back.preceding is None) == (earlier is pages[0])
    first = await store.search(CALLER, request(query, pages[-1].first))
    assert first.matches == pages[0].matches


async def test_a_chain_on_a_further_page_sees_the_first_pages_snapshot(store: Store) -> None:
    query = "Observation?patient.gender=female&_count=1&_total=accurate"
    first = await store.search(CALLER, request(query))
    moved = dict(RESOURCES[2]) | {"gender": "male"}
    await store.write(CALLER, [Update(moved, "a"), Create(observation("late"), "late")])
    second = await store.search(CALLER, request(query, first.following))
    assert [each.id for each in (*first.matches, *second.matches)] == ["platelets", "pressure"]
    assert second.total == 3
    assert (await store.search(CALLER, request(query))).matches == ()


async def test_a_restriction_holds_in_chains_reverse_chains_includes_and_totals(
    search: Search, store: Store
) -> None:
    only_b = (parse_search(READING, "Patient", [("_id", "b")]),)
    of_b = (parse_search(READING, "Observation", [("patient", "b")]),)
    everyone = (parse_search(READING, "Organization", []),)
    caller = Caller(
        "limited",
        Restriction({"Patient": only_b, "Observation": of_b, "Organization": everyone}),
    )
    assert await search("Observation?patient.gender=female", caller) == []
    assert await search("Observation?patient.gender=male", caller) == ["platelets-b"]
    assert await search("Patient?_has:Observation:patient:code=29247-4", caller) == []
    assert await search("Organization?_has:Patient:organization:gender=female", caller) == []
    assert await search("Organization?_id=ward&_revinclude=Patient:organization", caller) == [
        "ward"
    ]
    page = await store.search(caller, request("Observation?_summary=count"))
    assert page.total == 1


class Codes:
    """A terminology of three codes."""

    async def expand(self, url: str) -> frozenset[tuple[str, str]]:
        return frozenset({(LOINC, "777-3")}) if url == "http://v" else frozenset()

    async def below(self, system: str, code: str) -> frozenset[tuple[str, str]]:
        return frozenset({(system, code), (LOINC, "29247-4")})

    async def above(self, system: str, code: str) -> frozenset[tuple[str, str]]:
        return frozenset({(system, code)})


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Observation?code:in=http://v", ["platelets", "platelets-b"]),
        ("Observation?code:in=http://empty", []),
        ("Observation?code:not-in=http://v", ["pressure", "sirolimus"]),
        ("Observation?code:below=http://loinc.org|85354-9", ["pressure", "sirolimus"]),
        ("Observation?code:above=http://loinc.org|85354-9", ["pressure"]),
        ("Patient?_has:Observation:patient:code:in=http://v", ["a", "b"]),
    ],
)
async def test_value_sets_and_hierarchies_are_searched_by_their_codes(
    store: Store, query: str, expected: list[str]
) -> None:
    resolved = await resolve_terms(request(query), Codes())
    page = await store.search(CALLER, resolved)
    assert [found.id for found in page.matches] == expected


async def test_more_includes_than_a_page_holds_are_cut_and_told(store: Store) -> None:
    many = [Create(observation(f"m{number:04}", "c"), f"m{number:04}") for number in range(1001)]
    await store.write(CALLER, many)
    page = await store.search(CALLER, request("Patient?_id=c&_revinclude=Observation:patient"))
    assert page.truncated
    assert len(page.included) == 1000


async def test_a_cursor_of_another_search_is_refused(store: Store) -> None:
    cursor = Cursor("10:20:", ("2019-13-45", "x"))
    with pytest.raises(SsciError, match="_cursor"):
        await store.search(CALLER, request("Observation?_sort=date", cursor))


async def test_a_bundle_links_to_its_neighbours_and_cuts_resources_down(store: Store) -> None:
    asked = request("Observation?_sort=date&_count=2&_elements=code&_total=accurate")
    page = await store.search(CALLER, asked)
    bundle = parse_json(build_searchset("http://x/fhir", asked, page, None, facts()[0]))
    assert [link["relation"] for link in bundle["link"]] == ["self", "first", "next"]
    assert bundle["total"] == 4
    resource = bundle["entry"][0]["resource"]
    assert resource.keys() == {"resourceType", "id", "meta", "status", "code"}
