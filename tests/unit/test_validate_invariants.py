"""Each invariant broken and kept. https://hl7.org/fhir/R4/conformance-rules.html#constraints"""

from __future__ import annotations

from typing import Any

import pytest

from app.fhir.codec import dump_json, parse_json
from app.fhir.invariants import INVARIANTS
from app.fhir.invariants.parts import PARTS
from app.fhir.invariants.questions import is_after
from app.fhir.registry import load_registry

UCUM = "http://unitsofmeasure.org"
CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
WRONG = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
ABSENT = {"extension": [{"url": "x:y", "valueCode": "unknown"}]}


def coded(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


# key, elements that break it, elements that keep it
CASES: list[tuple[str, list[dict[str, Any]], list[dict[str, Any]]]] = [
    ("ext-1", [{}, {"extension": [1], "valueCode": "x"}],
     [{"valueCode": "x"}, {"_valueCode": ABSENT}, {"extension": [1]}]),
    ("qty-3", [{"code": "g"}], [{"value": 1, "unit": "g"}, {"code": "g", "system": UCUM}]),
    ("age-1", [{"value": 1}, {"value": -1, "code": "a"}, {"value": 1, "code": "a", "system": "x"}],
     [{"value": 1.5, "code": "a", "system": UCUM}, {}]),
    ("cnt-3", [{"value": 1}, {"value": 1.0, "code": "1"}, {"value": 1, "code": "g"}],
     [{"value": 1, "code": "1", "system": UCUM}, {}]),
    ("dis-1", [{"value": 1}, {"code": "m", "system": "x"}],
     [{"value": 1, "code": "m", "system": UCUM}]),
    ("drt-1", [{"code": "d"}, {"value": 1, "code": "d"}],
     [{"value": 1, "code": "d", "system": UCUM}, {"value": 1}]),
    ("per-1", [{"start": "2019-03-15", "end": "2019-03-14"}, {"start": "2020", "end": "2019-12"}],
     [{"start": "2019"}, {"start": "2019-03-15", "end": "2019"}]),
    ("rng-2", [{"low": {"value": 2}, "high": {"value": 1.9}}],
     [{"low": {"value": 1}, "high": {"value": 1.0}}, {"high": {"value": 1}},
      {"low": {"value": 2, "unit": "mg"}, "high": {"value": 1, "unit": "g"}}]),
    ("rat-1", [{}, {"numerator": {}}, {"denominator": {}}],
     [{"numerator": {}, "denominator": {}}, ABSENT]),
    ("att-1", [{"data": "aGVsbG8="}], [{"data": "aGVsbG8=", "contentType": "text/plain"}]),
    ("cpt-2", [{"value": "1"}], [{"value": "1", "system": "phone"}]),
    ("exp-1", [{"language": "text/cql"}], [{"expression": "x"}, {"reference": "x:y"}]),
    ("tim-1", [{"duration": 1}], [{"duration": 1, "durationUnit": "h"}]),
    ("tim-2", [{"period": 1}], [{"period": 1, "periodUnit": "d"}]),
    ("tim-4", [{"duration": -0.5}], [{"duration": 0}, {}]),
    ("tim-5", [{"period": -1}], [{"period": 1}, {}]),
    ("tim-6", [{"periodMax": 1}], [{"periodMax": 2, "period": 1}]),
    ("tim-7", [{"durationMax": 1}], [{"durationMax": 2, "duration": 1}]),
    ("tim-8", [{"countMax": 1}], [{"countMax": 2, "count": 1}]),
    ("tim-9", [{"offset": 1}, {"offset": 1, "when": ["MORN", "CD"]}],
     [{"offset": 1, "when": ["ACM"]}, {"when": ["C"]}]),
    ("tim-10", [{"timeOfDay": ["08:00:00"], "when": ["HS"]}], [{"timeOfDay": ["08:00:00"]}]),
    ("trd-1", [{"data": [1], "timingDate": "2019"}], [{"data": [1]}]),
    ("trd-2", [{"condition": {}}], [{"condition": {}, "data": [1]}]),
    ("trd-3", [{"type": "named-event"}, {"type": "periodic"}, {"type": "data-added"}],
     [{"type": "named-event", "name": "x"}, {"type": "periodic", "timingDate": "2019"},
      {"type": "data-added", "data": [1]}]),
    ("obs-3", [{"type": {"text": "x"}}], [{"low": {"value": 1}}, {"text": "x"}]),
    ("obs-6", [{"dataAbsentReason": {}, "valueInteger": 1}], [{"valueInteger": 1}]),
    ("obs-7", [{"valueInteger": 1, "code": coded("a", "b"), "component": [
        {"code": {"text": "x"}}, {"code": coded("a", "b")}]}],
     [{"valueInteger": 1, "code": coded("a", "b"), "component": [{"code": coded("a", "c")}]},
      {"code": coded("a", "b"), "component": [{"code": coded("a", "b")}]}]),
    ("con-1", [{"type": {}}], [{"summary": {}}]),
    ("con-2", [{"id": "x"}], [{"detail": []}]),
    ("con-4", [{"abatementString": "x"},
               {"abatementAge": {}, "clinicalStatus": coded(CLINICAL, "active")}],
     [{"abatementAge": {}, "clinicalStatus": coded(CLINICAL, "remission")}, {}]),
    ("con-5", [{"verificationStatus": coded(WRONG, "entered-in-error"), "clinicalStatus": {}}],
     [{"verificationStatus": coded(WRONG, "entered-in-error")},
      {"verificationStatus": coded(WRONG, "confirmed"), "clinicalStatus": {}}]),
    ("ppc-1", [{}], [{"policy": []}, {"policyRule": {}}]),
    ("mdd-1", [{"whenPrepared": "2019-03-15", "whenHandedOver": "2019-03-14"}],
     [{"whenPrepared": "2019-03-14", "whenHandedOver": "2019-03-14T08:00:00+08:00"}]),
    ("prr-1", [{"orderDetail": []}], [{"orderDetail": [], "code": {}}]),
    ("inv-1", [{"authoredOn": "2019-03-15", "lastModified": "2019-03-14"}], [{}]),
    ("pat-1", [{"gender": "female"}], [{"organization": {}}]),
    ("org-1", [{"active": True}], [{"name": "x"}, {"identifier": []}]),
    ("org-2", [{"address": [{"use": "work"}, {"use": "home"}]}], [{"address": [{"use": "work"}]}]),
    ("org-3", [{"telecom": [{"use": "home"}]}], [{"telecom": [{"use": "mobile"}]}]),
    ("grp-1", [{"member": [], "actual": False}], [{"member": [], "actual": True}, {}]),
    ("lst-1", [{"entry": [], "emptyReason": {}}], [{"emptyReason": {}}]),
    ("lst-2", [{"mode": "working", "entry": [{"deleted": True}]}],
     [{"mode": "changes", "entry": [{"deleted": True}]}]),
    ("lst-3", [{"mode": "changes", "entry": [{"date": "2019"}]}],
     [{"mode": "working", "entry": [{"date": "2019"}]}]),
    ("que-1", [{"type": "group"}, {"type": "display", "item": []}],
     [{"type": "group", "item": []}, {"type": "string"}]),
    ("que-2", [{"item": [{"linkId": "a", "item": [{"linkId": "a"}]}]}],
     [{"item": [{"linkId": "a", "item": [{"linkId": "b"}]}]}]),
    ("que-3", [{"type": "display", "code": []}], [{"type": "string", "code": []}]),
    ("que-4", [{"answerOption": [], "answerValueSet": "x:y"}], [{"answerOption": []}]),
    ("que-5", [{"type": "boolean", "answerOption": []}], [{"type": "choice", "answerOption": []}]),
    ("que-6", [{"type": "display", "repeats": False}], [{"type": "string", "required": True}]),
    ("que-7", [{"operator": "exists", "answerInteger": 1}],
     [{"operator": "exists", "answerBoolean": False}, {"operator": "=", "answerInteger": 1}]),
    ("que-8", [{"type": "group", "initial": []}], [{"type": "string", "initial": []}]),
    ("que-9", [{"type": "display", "readOnly": False}], [{"type": "string", "readOnly": True}]),
    ("que-10", [{"type": "date", "maxLength": 1}], [{"type": "text", "maxLength": 1}]),
    ("que-11", [{"answerOption": [], "initial": []}], [{"initial": []}]),
    ("que-12", [{"enableWhen": [1, 2, 3]}],
     [{"enableWhen": [1, 2, 3], "enableBehavior": "all"}, {"enableWhen": [1, 2]}]),
    ("que-13", [{"initial": [1, 2]}], [{"initial": [1, 2], "repeats": True}, {"initial": [1]}]),
    ("mea-1", [{"group": [{"stratifier": [{"code": {}, "component": []}]}]}],
     [{"group": [{"stratifier": [{"component": []}]}]}]),
    ("mrp-1", [{"type": "data-collection", "group": []}], [{"type": "summary", "group": []}]),
    ("mrp-2", [{"group": [{"stratifier": [{"stratum": [{"measureScore": {}}]}]}]}],
     [{"group": [{"stratifier": [{"stratum": [{"value": {}}, {"component": []}]}]}]}]),
    ("csd-1", [{"concept": [{"code": "a"}, {"code": "b", "concept": [{"code": "a"}]}]}],
     [{"concept": [{"code": "a"}, {"code": "A"}]}]),
    ("nsd-1", [{"kind": "root", "uniqueId": [{"type": "uuid"}]}],
     [{"kind": "root", "uniqueId": [{"type": "oid"}]}]),
    ("nsd-2", [{"uniqueId": [{"type": "oid", "preferred": True}] * 2}],
     [{"uniqueId": [{"type": "oid", "preferred": True}, {"type": "oid"}]}]),
    ("spd-1", [{"xpath": "x"}], [{"xpath": "x", "xpathUsage": "normal"}]),
    ("spd-2", [{"type": "token", "chain": []}], [{"type": "reference", "chain": []}]),
    ("sdf-4", [{"abstract": False}], [{"abstract": True}, {"baseDefinition": "x:y"}]),
    ("sdf-6", [{}], [{"snapshot": {}}]),
]  # fmt: skip

OF_TYPES = [invariant for invariant in INVARIANTS if invariant not in PARTS]
"""Those of inner parts have their cases in test_validate_parts."""

BY_KEY = {invariant.key: invariant for invariant in OF_TYPES}

ELSEWHERE = {"dom-2", "dom-3", "dom-4", "dom-5", "ref-1"}
"""Kept by the walk itself."""

VACUOUS = {"ppc-2", "ppc-3", "ppc-4", "ppc-5"}
"""R4 words them with the system `something`, which no coding has."""

LEFT_OUT = {
    *("eld-2", "eld-5", "eld-6", "eld-7", "eld-8", "eld-11", "eld-13", "eld-14", "eld-15"),
    *("eld-16", "eld-18", "eld-19", "eld-22", "ig-2", "sdf-1", "sdf-5", "sdf-9", "sdf-11"),
    *("sdf-14", "sdf-15", "sdf-15a", "sdf-16", "sdf-17", "sdf-18", "sdf-19", "sdf-21", "sdf-22"),
    "sdf-23",
}
"""Of definitions of profiles and guides: asked by `$validate` only."""


def read(element: dict[str, Any]) -> dict[str, Any]:
    return parse_json(dump_json(element))


@pytest.mark.parametrize(("key", "broken", "kept"), CASES, ids=[case[0] for case in CASES])
def test_an_invariant_tells_what_breaks_it_from_what_keeps_it(key, broken, kept):
    holds = BY_KEY[key].holds
    assert not any(holds(read(each)) for each in broken)
    assert all(holds(read(each)) for each in kept)


def test_every_invariant_has_a_case_and_its_own_key():
    assert [case[0] for case in CASES] == [invariant.key for invariant in OF_TYPES]


def test_every_error_of_the_standard_is_asked_kept_elsewhere_or_listed_as_left_out():
    registry = load_registry()
    types = {path.partition(".")[0] for path in registry.elements}
    of_standard = {
        invariant.key
        for each in types
        for invariant in registry.invariants(each)
        if invariant.severity == "error"
    }
    asked = BY_KEY.keys() - {"ext-1"}  # the standard has it on Element, not on a listed type
    assert of_standard == asked | ELSEWHERE | VACUOUS | LEFT_OUT


def test_every_invariant_is_asked_of_types_that_exist():
    elements = load_registry().elements
    assert all(path in elements for each in INVARIANTS for path in each.paths)


@pytest.mark.parametrize(
    ("first", "second", "after"),
    [
        ("2019-03-15", "2019-03-14", True),
        ("2019-03-14", "2019-03-14", False),
        ("2019-03", "2019-03-01", False),
        ("2019-04", "2019-03-31", True),
        ("2019-03-14T08:00:01+08:00", "2019-03-14T00:00:00Z", True),
        ("2019-03-14T08:00:00+08:00", "2019-03-14T00:00:00Z", False),
        ("2019-03-14", "2019-03-13T20:00:00Z", False),  # 04:00 of the 14th in Shanghai
        ("2019-03-15", "2019-03-13T08:00:00Z", True),
        (None, "2019", False),
        ("2019-99", "2018", False),  # its form is told elsewhere
    ],
)
def test_after_means_certainly_after(first, second, after):
    assert is_after(first, second) is after
