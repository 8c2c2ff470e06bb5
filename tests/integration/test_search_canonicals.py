"""Canonical references: searched by address and version, and followed to what they mean.
https://hl7.org/fhir/R4/references.html#canonical · https://hl7.org/fhir/R4/search.html#canonical
"""

from __future__ import annotations

from typing import Any

import pytest

from app.database import Database
from app.fhir import Caller, Json, Reading, Restriction, Store, Update, parse_search
from app.fhir.queries import split_query
from app.fhir.request import dump_cursor
from tests.fhir_support import BASE, CALLER, ZONE, facts, fhir_client, store_on

READING = Reading(facts()[1], ZONE, BASE)
FORM = "http://forms/visit"


def questionnaire(id: str, url: str = FORM, status: str = "active", **more: Any) -> Json:
    return {"resourceType": "Questionnaire", "id": id, "status": status, "url": url, **more}


def answers(id: str, canonical: str, status: str = "completed") -> Json:
    return {
        "resourceType": "QuestionnaireResponse",
        "id": id,
        "status": status,
        "questionnaire": canonical,
    }


RESOURCES: list[Json] = [
    questionnaire("v2", version="2.0", title="Second"),
    questionnaire("v10", version="10.0", title="Tenth"),
    questionnaire("v11", version="11.0", status="retired", title="Eleventh"),
    questionnaire("v2-1", version="2.1.3", title="Second, mended"),
    questionnaire("plain", url="http://forms/plain", title="Plain"),
    questionnaire("own", url=f"{BASE}/Questionnaire/own", title="Own"),
    answers("to-v2", f"{FORM}|2.0"),
    answers("to-newest", FORM, "in-progress"),
    answers("to-part", f"{FORM}|2.0#page-1"),
    answers("to-plain", "http://forms/plain", "stopped"),
    answers("to-own", f"{BASE}/Questionnaire/own", "amended"),
    answers("to-sub", "http://forms/visit/sub"),
    {
        "resourceType": "ServiceRequest",
        "id": "order",
        "status": "active",
        "intent": "order",
        "subject": {"reference": "Patient/p"},
        "instantiatesCanonical": ["http://plans/draw|1"],
    },
    {
        "resourceType": "PlanDefinition",
        "id": "draw",
        "status": "draft",
        "url": "http://plans/draw",
        "version": "1",
        "action": [{"definitionCanonical": FORM}],
    },
]


@pytest.fixture
async def store(database: Database) -> Store:
    store = store_on(database)
    await store.write(CALLER, [Update(resource, resource["id"]) for resource in RESOURCES])
    return store


async def found(store: Store, query: str, caller: Caller = CALLER) -> list[str]:
    resource_type, _, parameters = query.partition("?")
    request = parse_search(READING, resource_type, split_query(parameters))
    page = await store.search(caller, request)
    return [each.id for each in (*page.matches, *page.included)]


RESPONSES = "QuestionnaireResponse?questionnaire"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (f"{RESPONSES}={FORM}", ["to-newest", "to-part", "to-v2"]),
        (f"{RESPONSES}={FORM}|2.0", ["to-part", "to-v2"]),
        (f"{RESPONSES}={FORM}|2", []),
        (f"{RESPONSES}:below={FORM}|2", ["to-part", "to-v2"]),
        (f"{RESPONSES}:below={FORM}|1", []),
        (f"{RESPONSES}:below={FORM}", ["to-newest", "to-part", "to-sub", "to-v2"]),
        (
            f"{RESPONSES}:below=http://forms",
            ["to-newest", "to-part", "to-plain", "to-sub", "to-v2"],
        ),
        (
            f"{RESPONSES}:above=http://forms/visit/sub/x",
            ["to-newest", "to-part", "to-sub", "to-v2"],
        ),
        (f"{RESPONSES}=Questionnaire/v2", ["to-part", "to-v2"]),
        (f"{RESPONSES}={BASE}/Questionnaire/v2", ["to-part", "to-v2"]),
        (f"{RESPONSES}=v2", ["to-part", "to-v2"]),
        (f"{RESPONSES}:Questionnaire=v10", ["to-newest"]),
        (f"{RESPONSES}=Questionnaire/plain,{FORM}|2.0", ["to-part", "to-plain", "to-v2"]),
        (f"{RESPONSES}=Questionnaire/own", ["to-own"]),
        (f"{RESPONSES}={BASE}/Questionnaire/own", ["to-own"]),
        (f"{RESPONSES}=Questionnaire/v11", []),
        (f"{RESPONSES}:missing=true", []),
        ("ServiceRequest?instantiates-canonical=http://plans/draw", ["order"]),
        ("ServiceRequest?instantiates-canonical=PlanDefinition/draw", ["order"]),
        ("PlanDefinition?definition=Questionnaire/v10", ["draw"]),
    ],
)
async def test_a_canonical_is_found_by_address_version_hierarchy_and_what_it_means(
    store: Store, query: str, expected: list[str]
) -> None:
    assert await found(store, query) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (f"{RESPONSES}.title=second", ["to-part", "to-v2"]),
        (f"{RESPONSES}.title=tenth", ["to-newest"]),
        (f"{RESPONSES}.title=eleventh", []),
        (f"{RESPONSES}.title=own", ["to-own"]),
        (f"{RESPONSES}:Questionnaire.status=active&status=stopped", ["to-plain"]),
        ("Questionnaire?_has:QuestionnaireResponse:questionnaire:status=completed", ["v2"]),
        ("Questionnaire?_has:QuestionnaireResponse:questionnaire:status=in-progress", ["v10"]),
        ("Questionnaire?_has:QuestionnaireResponse:questionnaire:status=amended", ["own"]),
        ("ServiceRequest?instantiates-canonical.definition.title=tenth", ["order"]),
        ('QuestionnaireResponse?_filter=questionnaire.title eq "tenth"', ["to-newest"]),
        ("QuestionnaireResponse?_id=to-newest&_include=*", ["to-newest", "v10"]),
        (
            "QuestionnaireResponse?status=completed&_include=QuestionnaireResponse:questionnaire",
            ["to-part", "to-sub", "to-v2", "v2"],
        ),
        (
            "Questionnaire?_id=v2,v10,v11&_revinclude=QuestionnaireResponse:questionnaire",
            ["v10", "v11", "v2", "to-newest", "to-part", "to-v2"],
        ),
        (
            "ServiceRequest?_include=ServiceRequest:instantiates-canonical:PlanDefinition"
            "&_include:iterate=PlanDefinition:definition",
            ["order", "draw", "v10"],
        ),
    ],
)
async def test_chains_reverse_chains_and_includes_follow_canonicals(
    store: Store, query: str, expected: list[str]
) -> None:
    assert await found(store, query) == expected


async def test_a_profile_is_found_with_and_without_its_version(store: Store) -> None:
    await store.write(CALLER, [Update(_of_profile("a", "http://p/x|1.2"), "a")])
    for query, expected in (
        ("http://p/x", ["a"]),
        ("http://p/x|1.2", ["a"]),
        ("http://p/x|1", []),
    ):
        assert await found(store, f"Basic?_profile={query}") == expected
    assert await found(store, "Basic?_profile:below=http://p/x|1") == ["a"]


def _of_profile(id: str, profile: str) -> Json:
    code = {"text": "x"}
    return {"resourceType": "Basic", "id": id, "meta": {"profile": [profile]}, "code": code}


async def test_a_hidden_version_is_neither_found_nor_the_newest(store: Store) -> None:
    visible = tuple(
        parse_search(READING, name, parameters)
        for name, parameters in (("Questionnaire", [("version", "2.0")]),)
    )
    everything = (parse_search(READING, "QuestionnaireResponse", []),)
    limited = Caller(
        "limited", Restriction({"Questionnaire": visible, "QuestionnaireResponse": everything})
    )
    assert await found(store, f"{RESPONSES}.title=tenth", limited) == []
    assert await found(store, f"{RESPONSES}.title=second&status=in-progress", limited) == [
        "to-newest"
    ]
    included = await found(store, "QuestionnaireResponse?_id=to-newest&_include=*", limited)
    assert included == ["to-newest", "v2"]


async def test_a_further_page_follows_canonicals_as_of_the_first(store: Store) -> None:
    query = f"{RESPONSES}.title=second&_count=1"
    first = await store.search(
        CALLER, parse_search(READING, "QuestionnaireResponse", split_query(query.partition("?")[2]))
    )
    changed = questionnaire("v2", version="2.0", title="Renamed")
    await store.write(CALLER, [Update(changed, "v2")])
    assert first.following is not None
    assert await found(store, f"{query}&_cursor={dump_cursor(first.following)}") == ["to-v2"]
    assert await found(store, f"{RESPONSES}.title=second&_id=to-v2") == []


async def test_the_capability_statement_lists_canonicals_as_includes(store: Store) -> None:
    async with fhir_client(store) as client:
        statement = (await client.get("metadata")).json()
    held = {each["type"]: each for each in statement["rest"][0]["resource"]}
    include = "QuestionnaireResponse:questionnaire"
    assert include in held["QuestionnaireResponse"]["searchInclude"]
    assert include in held["Questionnaire"]["searchRevInclude"]
