"""Parameters become criteria before any database is in sight. https://hl7.org/fhir/R4/search.html"""

from __future__ import annotations

import pytest

from app.errors import SsciError
from app.fhir import Reading, parse_search
from app.fhir.criteria import AllOf, AnyOf, Chain, Condition, Criterion, Has, Reference, Token
from app.fhir.folding import words_of
from app.fhir.including import Node, references_wanted
from app.fhir.queries import split_query
from app.fhir.request import (
    Cursor,
    Include,
    dump_cursor,
    parse_compartment_search,
    parse_cursor,
    parse_system_search,
)
from tests.fhir_support import ZONE, facts

READING = Reading(facts()[1], ZONE, "http://own/fhir")


def criterion(query: str, resource_type: str = "Observation") -> Criterion:
    (found,) = parse_search(READING, resource_type, split_query(query)).conditions
    return found


def test_a_chain_names_its_target_and_what_is_asked_of_it() -> None:
    inner = Condition("identifier", None, (Token("s", "1"),))
    assert criterion("subject:Patient.identifier=s|1") == Chain("subject", "Patient", inner)


def test_a_chain_without_a_type_leads_to_every_target_that_has_the_parameter() -> None:
    found = criterion("subject.organization=Organization/a")
    assert isinstance(found, AnyOf)
    targets = {each.target for each in found.criteria if isinstance(each, Chain)}
    assert targets == {"Patient", "Device", "Location"}


def test_a_reverse_chain_may_be_nested() -> None:
    found = criterion("_has:Observation:patient:_has:Provenance:target:agent=a", "Patient")
    assert isinstance(found, Has)
    assert isinstance(found.criterion, Has)
    assert (found.source, found.criterion.source) == ("Observation", "Provenance")


def test_a_composite_on_the_resource_is_the_sum_of_its_parts() -> None:
    request = parse_search(READING, "Observation", [("code-value-quantity", "a$5")])
    assert [c.code for c in request.conditions if isinstance(c, Condition)] == [
        "code",
        "value-quantity",
    ]


def test_a_composite_on_a_part_keeps_its_values_together() -> None:
    request = parse_search(READING, "Observation", [("component-code-value-quantity", "a$5")])
    codes = [c.code for c in request.conditions if isinstance(c, Condition)]
    assert codes == ["component-code", "component-code-value-quantity"]


@pytest.mark.parametrize(
    ("resource_type", "query", "reason"),
    [
        ("Observation", "status.name=x", "can't be chained"),
        ("Observation", "subject:Medication.code=x", "does not refer to Medication"),
        ("Observation", "subject.nonsense=x", "nonsense"),
        ("Patient", "_has=x", "the form is _has"),
        ("Patient", "_has:Observation:code:status=x", "not a reference"),
        ("Patient", "_has:Observation:specimen:status=x", "does not refer to Patient"),
        ("Patient", "_has:Nothing:patient:status=x", "not a reference"),
        ("Patient", "_list=$current-problems", "functional lists"),
        ("Patient", "gender:of-type=a|b|c", "does not take the modifier"),
        ("Patient", "identifier:of-type=a|b", "[system]|[code]|[value]"),
        ("Patient", "identifier:in=http://v", "does not take the modifier"),
        ("Observation", "code-value-quantity=a", "code$value-quantity"),
        ("Observation", "_content=x", "no search parameter '_content'"),
        ("Patient", "_text=!", "no word"),
        ("Patient", "_filter=nonsense eq 1", "nonsense"),
        ("Patient", "_filter=birthdate co 1", "'co' has no meaning"),
        ("Patient", "_elements=nonsense", "no element 'nonsense'"),
        ("Patient", "_summary=text&_include=Patient:organization", "can't be combined"),
        ("Patient", "_summary=most", "_summary"),
        ("Patient", "_total=some", "_total"),
        ("Patient", ".".join(["link"] * 20) + "=x", "at most 10 links"),
        ("Patient", "name=%00", "NUL"),
    ],
)
def test_what_has_no_meaning_is_refused_with_its_reason(
    resource_type: str, query: str, reason: str
) -> None:
    with pytest.raises(SsciError) as refused:
        parse_search(READING, resource_type, split_query(query))
    assert reason in str(refused.value)


def test_a_search_over_types_asks_each_in_its_own_way() -> None:
    request = parse_system_search(READING, [("_type", "Patient,Observation"), ("_id", "a")])
    assert [part.resource_type for part in request.parts] == ["Patient", "Observation"]
    with pytest.raises(SsciError, match="gender"):
        parse_system_search(READING, [("_type", "Patient,Observation"), ("gender", "male")])


def test_a_compartment_is_a_choice_of_references() -> None:
    request = parse_compartment_search(READING, "Patient", "a", "Observation", [])
    (found,) = request.conditions
    assert isinstance(found, AnyOf)
    assert Condition("subject", None, (Reference("Patient", "a"),)) in found.criteria
    assert request.address == "Patient/a/Observation"


@pytest.mark.parametrize("resource_type", ["ValueSet", "Nonsense"])
def test_what_is_never_in_a_compartment_is_not_found(resource_type: str) -> None:
    with pytest.raises(SsciError) as refused:
        parse_compartment_search(READING, "Patient", "a", resource_type, [])
    assert refused.value.http_status == 404


def test_a_cursor_may_lead_back() -> None:
    cursor = Cursor("10:20:11,12", ("a",), backward=True)
    assert parse_cursor(dump_cursor(cursor)) == cursor


@pytest.mark.parametrize("snapshot", ["20:10:", "10:20:12,11", "10:20:9", "0:1:", "a"])
def test_a_snapshot_that_none_can_be_is_refused(snapshot: str) -> None:
    with pytest.raises(SsciError, match="_cursor"):
        parse_cursor(dump_cursor(Cursor(snapshot, ("a",))))


def test_east_asian_text_is_kept_as_characters_and_pairs() -> None:
    assert list(words_of("PLT 血小板")) == ["plt", "血", "小", "板", "血小", "小板"]
    assert list(words_of("血小板", single=False)) == ["血小", "小板"]


def test_only_references_that_an_include_names_are_followed() -> None:
    tokens = ("subject=Patient/a", "specimen=Specimen/s", "code=http://a/b", "specimen:s")
    node = Node("Observation", "o", tokens, "a")
    layout = facts()[1]
    wanted = references_wanted(layout, [node], [Include("Observation", "specimen", None)])
    assert wanted == {"Specimen": {"s"}}
    everything = references_wanted(layout, [node], [Include("*", "*", None)])
    assert everything == {"Specimen": {"s"}, "Patient": {"a"}}


def test_an_all_of_in_a_filter_keeps_its_parts() -> None:
    request = parse_search(
        READING, "Patient", [("_filter", "not (gender eq male and active eq true)")]
    )
    (found,) = request.conditions
    assert isinstance(getattr(found, "criterion", None), AllOf)
