"""The terminology operations over what is stored. https://hl7.org/fhir/R4/terminology-service.html"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlencode

import pytest

from app.database import Database
from app.errors import SsciError
from app.fhir import Create, FhirApp, FhirSettings, Store, dump_json, parse_json
from app.fhir.exchange import Request
from app.fhir.operations import answer
from app.fhir.terminology import StoredTerminology
from tests.fhir_support import BASE, CALLER, ZONE, facts, store_on
from tests.terminology_support import ANIMALS, code_system, value_set

STATUS = "http://hl7.org/fhir/ValueSet/observation-status"
SYSTEM = code_system(
    """
    animal display=Animal
        dog display=Dog zh=狗
        cat display=Cat
    """,
    version="1.0",
    id="animals",
)
NEWER = code_system("animal\n    dog\n    cat\n    cow", version="1.10", id="animals-1-10")
OLDER = code_system("animal", version="1.9", id="animals-1-9")
KINDS = value_set(
    [
        {
            "system": ANIMALS,
            "filter": [{"property": "concept", "op": "descendent-of", "value": "animal"}],
        }
    ],
    url="http://example.org/kinds",
    id="kinds",
)
NESTED = value_set([{"valueSet": ["http://example.org/kinds"]}], url="http://example.org/nested")
MAP = {
    "resourceType": "ConceptMap",
    "id": "food",
    "url": "http://example.org/food",
    "status": "active",
    "group": [
        {
            "source": ANIMALS,
            "target": "http://example.org/food",
            "element": [{"code": "dog", "target": [{"code": "bone", "equivalence": "wider"}]}],
        }
    ],
}

Call = Callable[..., Coroutine[Any, Any, Any]]


@pytest.fixture
async def store(database: Database) -> Store:
    store = store_on(database)
    held = [SYSTEM, KINDS, NESTED | {"id": "nested"}, MAP]
    await store.write(CALLER, [Create(each, each["id"]) for each in held])
    return store


@pytest.fixture
def call(store: Store) -> Call:
    """`await call("ValueSet/$expand", url=…)` by GET, or by POST with a body."""
    registry, layout = facts()

    async def authenticate(_scope: object) -> Any:
        return CALLER

    settings = FhirSettings(None, "/fhir", ZONE, 1_000_000, "0")
    app = FhirApp(store, registry, layout, settings, authenticate)

    async def called(path: str, body: Any = None, **query: Any) -> Any:
        request = Request(
            "GET" if body is None else "POST",
            tuple(path.split("/")),
            urlencode({name.replace("_", "-"): value for name, value in query.items()}),
            {"content-type": "application/fhir+json"},
            b"" if body is None else dump_json(body),
            CALLER,
            BASE,
        )
        return parse_json((await answer(app, request)).body)

    return called


def parameters(**values: Any) -> dict[str, Any]:
    """Each with its type before its name: `Coding__codingA={…}`."""
    held = []
    for name, value in values.items():
        kind, _, named = name.partition("__")
        key = "resource" if kind == "resource" else f"value{kind}"
        held.append({"name": named, key: value})
    return {"resourceType": "Parameters", "parameter": held}


def result(answer: Any) -> Any:
    first = answer["parameter"][0]
    return next(value for key, value in first.items() if key != "name")


def codes(answer: Any) -> str:
    return " ".join(each["code"] for each in answer["expansion"].get("contains", ()))


async def test_a_value_set_is_expanded_by_address_url_and_content(call):
    by_id = await call("ValueSet/kinds/$expand")
    assert codes(by_id) == "dog cat"
    assert by_id["resourceType"] == "ValueSet"
    assert codes(await call("ValueSet/$expand", url="http://example.org/nested")) == "dog cat"
    whole = value_set([{"system": ANIMALS}])
    assert codes(await call("ValueSet/$expand", parameters(resource__valueSet=whole))) == (
        "animal dog cat"
    )
    assert codes(await call("ValueSet/$expand", whole, count=1, offset=1)) == "dog"


async def test_value_sets_of_the_standard_are_expanded_by_url(call):
    found = codes(await call("ValueSet/$expand", url=STATUS))
    assert "entered-in-error" in found.split()
    assert codes(await call("ValueSet/$expand", url=f"{STATUS}|4.0", filter="prelim")) == (
        "preliminary"
    )


async def test_the_newest_version_counts_unless_one_is_named(call, store):
    await store.write(CALLER, [Create(each, each["id"]) for each in (OLDER, NEWER)])
    assert codes(await call("ValueSet/kinds/$expand")) == "dog cat cow"
    older = await call("ValueSet/kinds/$expand", **{"system-version": f"{ANIMALS}|1.9"})
    assert codes(older) == ""


async def test_the_value_set_that_a_system_names_as_its_own_has_all_its_codes(call, store):
    own = code_system("a\nb", "http://example.org/c", id="c", valueSet="http://example.org/all")
    await store.write(CALLER, [Create(own, "c")])
    assert codes(await call("ValueSet/$expand", url="http://example.org/all")) == "a b"


async def test_systems_can_be_left_out(call):
    left = await call("ValueSet/kinds/$expand", **{"exclude-system": ANIMALS})
    assert left["expansion"]["total"] == 0


async def test_codes_are_validated_in_value_sets(call):
    path = "ValueSet/$validate-code"
    good = await call(
        path, url=STATUS, code="final", system="http://hl7.org/fhir/observation-status"
    )
    assert result(good) is True
    assert result(await call("ValueSet/kinds/$validate-code", code="cow", system=ANIMALS)) is False
    coding = parameters(Coding__coding={"system": ANIMALS, "code": "dog", "display": "Dog"})
    assert result(await call("ValueSet/kinds/$validate-code", coding)) is True
    concept = {"coding": [{"system": "urn:x", "code": "dog"}, {"system": ANIMALS, "code": "cat"}]}
    body = parameters(CodeableConcept__codeableConcept=concept)
    assert result(await call(path, body, url="http://example.org/kinds")) is True


async def test_codes_are_validated_in_code_systems(call):
    path = "CodeSystem/$validate-code"
    assert result(await call(path, url=ANIMALS, code="dog", display="狗")) is True
    assert result(await call("CodeSystem/animals/$validate-code", code="cow")) is False
    coding = parameters(Coding__coding={"system": ANIMALS, "code": "dog"})
    assert result(await call(path, coding)) is True
    unheard = parameters(Coding__coding={"system": "urn:unheard", "code": "dog"})
    assert result(await call(path, unheard)) is False


async def test_codes_are_looked_up_and_compared(call):
    found = await call("CodeSystem/$lookup", system=ANIMALS, code="dog", property="parent")
    assert found["parameter"][2] == {"name": "display", "valueString": "Dog"}
    pair = {"codeA": "animal", "codeB": "cat"}
    assert result(await call("CodeSystem/$subsumes", system=ANIMALS, **pair)) == "subsumes"
    assert result(await call("CodeSystem/animals/$subsumes", **pair)) == "subsumes"
    codings = parameters(
        Coding__codingA={"system": ANIMALS, "code": "cat"},
        Coding__codingB={"system": ANIMALS, "code": "dog"},
    )
    assert result(await call("CodeSystem/$subsumes", codings)) == "not-subsumed"


async def test_codes_are_translated_by_the_named_map_or_by_all_that_fit(call):
    named = {"url": "http://example.org/food", "code": "dog", "system": ANIMALS}
    assert result(await call("ConceptMap/$translate", **named)) is True
    assert result(await call("ConceptMap/$translate", code="dog", system=ANIMALS)) is True
    assert result(await call("ConceptMap/food/$translate", code="cat", system=ANIMALS)) is False
    back = await call(
        "ConceptMap/$translate", code="bone", system="http://example.org/food", reverse="true"
    )
    assert result(back) is True


REFUSED = [
    ("ValueSet/$expand", {}, 400, "url: the parameter is missing"),
    ("ValueSet/$expand", {"url": "http://unheard.org"}, 404, "not held"),
    ("ValueSet/$expand", {"url": STATUS, "context": "x"}, 400, "no parameter of this operation"),
    ("ValueSet/$expand", {"url": STATUS, "count": "-1"}, 400, "whole number"),
    ("ValueSet/$expand", {"url": f"{STATUS}|3.0"}, 404, "not held"),
    ("ValueSet/$expand", {"url": "x\0y"}, 404, "not held"),
    ("ValueSet/nope/$expand", {}, 404, "not known"),
    ("ValueSet/kinds/$expand", {"url": STATUS}, 400, "address names the resource"),
    ("ValueSet/kinds/$validate-code", {}, 400, "code: the parameter is missing"),
    ("CodeSystem/$validate-code", {"code": "a"}, 400, "url: the parameter is missing"),
    ("CodeSystem/$lookup", {"code": "cow", "system": ANIMALS}, 404, "not a code of"),
    ("CodeSystem/$lookup", {"code": "cow"}, 400, "system: the parameter is missing"),
    ("CodeSystem/$lookup", {"code": "a", "system": "urn:unheard"}, 404, "not held"),
    ("CodeSystem/animals/$lookup", {"code": "cow"}, 404, "no such operation here"),
    (
        "CodeSystem/animals/$subsumes",
        {"codeA": "cow", "codeB": "cow", "system": "urn:x"},
        400,
        "not that of this",
    ),
    ("CodeSystem/$subsumes", {"codeA": "a", "system": ANIMALS}, 400, "codeB"),
    ("ConceptMap/$translate", {"code": "a"}, 400, "system: the parameter is missing"),
]


@pytest.mark.parametrize(("path", "query", "status", "message"), REFUSED)
async def test_what_can_not_be_answered_is_refused(call, path, query, status, message):
    with pytest.raises(SsciError, match=message) as refusal:
        await call(path, **query)
    assert refusal.value.http_status == status


BROKEN = [
    parameters(resource__valueSet={"resourceType": "ValueSet", "status": "active", "compose": 3}),
    parameters(resource__valueSet={"resourceType": "Patient"}),
    parameters(Coding__coding="x", resource__valueSet=KINDS),
    parameters(Coding__coding={"code": 3}, resource__valueSet=KINDS),
    parameters(CodeableConcept__codeableConcept={"coding": [1]}, resource__valueSet=KINDS),
]


@pytest.mark.parametrize("body", BROKEN)
@pytest.mark.parametrize("name", ["$expand", "$validate-code"])
async def test_broken_bodies_are_refused(call, body, name):
    with pytest.raises(SsciError) as refusal:
        await call(f"ValueSet/{name}", body)
    assert refusal.value.http_status in (400, 422)


async def test_searches_learn_which_codes_are_meant(store):
    held = StoredTerminology(store, facts()[0], BASE)
    kinds = frozenset({(ANIMALS, "dog"), (ANIMALS, "cat")})
    assert await held.expand("http://example.org/kinds") == kinds
    assert await held.expand("ValueSet/kinds") == kinds
    assert await held.expand(f"{BASE}/ValueSet/kinds") == kinds
    assert await held.below(ANIMALS, "animal") == kinds | {(ANIMALS, "animal")}
    assert await held.above(ANIMALS, "dog") == {(ANIMALS, "dog"), (ANIMALS, "animal")}
    assert await held.below(ANIMALS, "cow") == {(ANIMALS, "cow")}
    with pytest.raises(SsciError, match="not held") as refusal:
        await held.below("urn:unheard", "x")
    assert refusal.value.http_status == 400
