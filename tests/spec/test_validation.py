"""What may be stored and what is refused, with place and rule.

https://hl7.org/fhir/R4/validation.html · https://hl7.org/fhir/R4/json.html
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from app.errors import SsciError
from app.fhir.codec import copy_json, dump_json, parse_json
from app.fhir.patient_policy import PatientPolicy
from app.fhir.registry import load_registry
from app.fhir.validate import Validator
from tests.legal_resources import LEAST, MOST, PATIENT, PLATELETS, TEXT, least

Json = dict[str, Any]
Validate = Callable[[Json], None]

GONE = object()
SUBJECT_NUMBER = "https://ssci.example/fhir/sid/subject-number"


@pytest.fixture(scope="module")
def validate() -> Validate:
    policy = PatientPolicy("open")
    validator = Validator(load_registry(), policy)
    return lambda resource: validator.validate(resource, resource["resourceType"])


def with_changes(resource: Json, changes: dict[str, Any]) -> Json:
    """`resource` with values set at places such as `component[0].code`, or taken away (GONE)."""
    changed = copy_json(resource)
    for place, value in changes.items():
        names = re.split(r"[.\[\]]+", place.rstrip("]"))
        *steps, last = [int(name) if name.isdigit() else name for name in names]
        node = changed
        for step in steps:
            node = node[step]
        if value is GONE:
            del node[last]
        else:
            node[last] = value
    # through JSON, so that numbers are what a request would bring
    return parse_json(dump_json(changed))


def refusal(validate: Validate, resource: Json) -> SsciError:
    with pytest.raises(SsciError) as caught:
        validate(resource)
    return caught.value


@pytest.mark.parametrize("resource_type", LEAST)
def test_the_least_legal_resource_of_each_type_is_accepted(validate, resource_type):
    validate(least(resource_type))


@pytest.mark.parametrize("resource", MOST, ids=lambda resource: resource["resourceType"])
def test_rich_resources_are_accepted(validate, resource):
    validate(resource)


def test_every_listed_type_has_a_least_legal_resource():
    assert set(load_registry().types) == set(LEAST)


NOT_NEEDED = {("Consent", "patient")}
"""Only ppc-2 to ppc-5 ask for it, and as R4 words them they never apply."""


@pytest.mark.parametrize(
    ("resource_type", "name"),
    sorted({(each, name) for each in LEAST for name in LEAST[each]} - NOT_NEEDED),
)
def test_each_element_of_the_least_resource_is_needed(validate, resource_type, name):
    found = refusal(validate, with_changes(least(resource_type), {name: GONE}))
    assert found.http_status == 422
    assert found.issues[0].code in ("required", "invariant")


# (what is changed in the platelet count, status, place, words of the diagnostics)
CHANGES: list[tuple[Json, int, str, str]] = [
    # kinds of JSON
    ({"status": 1}, 400, "status", "must be a string, not a number"),
    ({"status": None}, 400, "status", "not null"),
    ({"status": ["final"]}, 400, "status", "not an array"),
    ({"status": {"value": "final"}}, 400, "status", "not an object"),
    ({"category": {"text": "x"}}, 400, "category", "must be an array, not an object"),
    ({"category": [None]}, 400, "category[0]", "must be an object, not null"),
    ({"subject": [PATIENT]}, 400, "subject", "must be an object, not an array"),
    ({"subject": "Patient/SSCI-001"}, 400, "subject", "must be an object, not a string"),
    ({"valueQuantity.value": "38"}, 400, "valueQuantity.value", "must be a number, not a string"),
    ({"valueQuantity.value": True}, 400, "valueQuantity.value", "not a boolean"),
    ({"component[0].valueQuantity.value": "9"}, 400, "component[0].valueQuantity.value", "number"),
    ({"valueQuantity": GONE, "valueInteger": "1"}, 400, "valueInteger", "must be a whole number"),
    ({"valueQuantity": GONE, "valueBoolean": "true"}, 400, "valueBoolean", "true or false"),
    ({"valueQuantity": GONE, "valueBoolean": 1}, 400, "valueBoolean", "true or false"),
    ({"meta.profile": ["x:y", None]}, 400, "meta.profile[1]", "must be a string, not null"),
    # nothing is empty
    ({"status": ""}, 422, "status", "empty"),
    ({"category": []}, 422, "category", "empty"),
    ({"category[0]": {}}, 422, "category[0]", "empty"),
    ({"subject": {}}, 422, "subject", "empty"),
    ({"subject": {"id": "x"}}, 422, "subject", "ele-1"),
    ({"component[0].code": {}}, 422, "component[0].code", "empty"),
    ({"_status": {}}, 422, "status", "empty"),
    ({"_status": {"extension": []}}, 422, "status.extension", "empty"),
    ({"meta.profile": [""]}, 422, "meta.profile[0]", "empty"),
    # elements
    ({"valueQuantities": 1}, 422, "valueQuantities", "no such element"),
    ({"component[1].value": 1}, 422, "component[1].value", "no such element"),
    ({"fhir_comments": ["x"]}, 422, "fhir_comments", "no such element"),
    ({"val ue": ["x"]}, 422, "", "no name of a FHIR element"),
    ({"_subject": {"id": "x"}}, 422, "_subject", "no such element"),
    ({"_status": {"id": "x", "value": 1}}, 422, "status.value", "no such element"),
    ({"status": GONE}, 422, "status", "must have `status`"),
    ({"component[0].code": GONE}, 422, "component[0].code", "must have `code`"),
    ({"valueString": "x"}, 422, "valueString", "`valueQuantity` and `valueString`"),
    ({"_valueString": {"extension": [{"url": "x:y", "valueCode": "z"}]}}, 422, "valueString",
     "Only one of"),
    ({"component[1].dataAbsentReason": TEXT, "component[1].valueInteger": 1.0}, 422,
     "component[1].valueInteger", "without fraction"),
    ({"extension[0].url": GONE}, 422, "extension[0].url", "must have `url`"),
    ({"text.status": GONE}, 422, "text.status", "must have `status`"),
    # forms
    ({"id": "x" * 65}, 422, "id", "1 to 64"),
    ({"id": "a_b"}, 422, "id", "letters, digits"),
    ({"issued": "2019-03-14T08:00:00"}, 422, "issued", "with Z or"),
    ({"issued": "2019-03-14"}, 422, "issued", "instant"),
    ({"effectivePeriod.start": "2019-02-30"}, 422, "effectivePeriod.start", "no such day"),
    ({"effectivePeriod.end": "2019-03-14T24:00:00Z"}, 422, "effectivePeriod.end", "dateTime"),
    ({"meta.profile": ["a b"]}, 422, "meta.profile[0]", "no spaces"),
    ({"language": " en"}, 422, "language", "no spaces around"),
    ({"extension[1].extension[2].valueBase64Binary": "a"}, 422,
     "extension[1].extension[2].valueBase64Binary", "base64"),
    ({"text.div": "<div>x</div>"}, 422, "text.div", "xmlns"),
    # value sets
    ({"status": "done"}, 422, "status", "registered"),
    ({"status": "FINAL"}, 422, "status", "http://hl7.org/fhir/ValueSet/observation-status"),
    ({"valueQuantity.comparator": "="}, 422, "valueQuantity.comparator", "< | <= | > | >="),
    ({"text.status": "fine"}, 422, "text.status", "narrative-status"),
    # references
    ({"subject.reference": "patient/SSCI-001"}, 422, "subject.reference", "case matters"),
    ({"subject": {"reference": "Organization/1"}}, 422, "subject.reference",
     "Patient | Group | Device | Location"),
    ({"subject": {"reference": "https://x.example/fhir/Specimen/1"}}, 422, "subject.reference",
     "must be to Patient"),
    ({"subject": {"reference": "SSCI-001"}}, 422, "subject.reference", "`Type/id`"),
    ({"subject": {"reference": "Patient/"}}, 422, "subject.reference", "`Type/id`"),
    ({"subject": {"reference": "Patient/a b"}}, 422, "subject.reference", "`Type/id`"),
    ({"subject": {"reference": "urn:uuid:1"}}, 422, "subject.reference", "`urn:uuid:…`"),
    ({"subject": {"reference": "#s1"}}, 422, "subject.reference", "must be to Patient"),
    ({"subject": {"reference": "#"}}, 422, "subject.reference", "ref-1"),
    ({"specimen.reference": "#nobody"}, 422, "specimen.reference", "ref-1"),
    ({"subject.type": "Group"}, 422, "subject.type", "Reference.type must be"),
    ({"subject": {"type": "Specimen", "display": "x"}}, 422, "subject.type", "must be to Patient"),
    ({"subject": {"type": "patient", "display": "x"}}, 422, "subject.type", "case matters"),
    ({"performer[0].reference": "Device/1"}, 422, "performer[0].reference", "Practitioner"),
    # contained resources
    ({"contained[0].resourceType": "Nonsense"}, 400, "contained[0].resourceType", "must name"),
    ({"contained[0].resourceType": GONE}, 400, "contained[0].resourceType", "must name"),
    ({"contained[0].id": GONE}, 422, "contained[0]", "needs an `id`"),
    ({"contained[0].meta": {"versionId": "1"}}, 422, "contained[0].meta.versionId", "dom-4"),
    ({"contained[0].meta": {"security": [TEXT]}}, 422, "contained[0].meta.security", "dom-5"),
    ({"contained[0].contained": [{"resourceType": "Basic"}]}, 422,
     "contained[0].contained[0]", "dom-2"),
    ({"specimen": GONE}, 422, "contained[0]", "dom-3"),
    ({"contained[0].status": "x"}, 422, "contained[0].status", "specimen-status"),
    ({"contained[1].code": GONE}, 422, "contained[1].code", "must have `code`"),
    ({"contained[1].instance[0].expiry": 1}, 400, "contained[1].instance[0].expiry", "string"),
    # invariants
    ({"dataAbsentReason": TEXT}, 422, "", "obs-6"),
    ({"component[0].code.coding[0].code": "777-3"}, 422, "", "obs-7"),
    ({"component[0].referenceRange[0]": {"type": TEXT}}, 422, "component[0].referenceRange[0]",
     "obs-3"),
    ({"extension[0].extension": [{"url": "x:y", "valueCode": "z"}]}, 422, "extension[0]", "ext-1"),
    ({"extension[0].valueQuantity": GONE}, 422, "extension[0]", "ext-1"),
    ({"extension[0].valueQuantity.system": GONE}, 422, "extension[0].valueQuantity", "qty-3"),
    ({"effectivePeriod.end": "2019-03-13"}, 422, "effectivePeriod", "per-1"),
    ({"effectivePeriod.end": "2019-02"}, 422, "effectivePeriod", "per-1"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "status", "place", "words"), CHANGES)
def test_a_broken_platelet_count_is_refused_with_place_and_rule(
    validate, changes, status, place, words
):
    found = refusal(validate, with_changes(PLATELETS, changes))
    expression = f"Observation.{place}".rstrip(".")
    assert found.http_status == status
    told = [issue.diagnostics for issue in found.issues if issue.expression == expression]
    assert any(words in diagnostics for diagnostics in told), str(found)


# (type, what is changed in its least resource, place, words)
OTHERS: list[tuple[str, Json, str, str]] = [
    ("PlanDefinition", {"subjectCanonical": "x:y"}, "subjectCanonical", "no such element"),
    ("ActivityDefinition", {"subjectCanonical": "x:y"}, "subjectCanonical", "no such element"),
    ("Basic", {"extension": [{"url": "x:y", "valueRatioRange": {"lowNumerator": {"value": 1}}}]},
     "extension[0].valueRatioRange", "no such element"),
    ("Basic", {"extension": [{"url": "x:y", "valueMeta": {"profile": ["a b"]}}]},
     "extension[0].valueMeta.profile[0]", "no spaces"),
    ("MedicationRequest", {"medicationReference": GONE}, "",
     "one of `medicationCodeableConcept`, `medicationReference`"),
    ("MedicationAdministration", {"effectiveDateTime": GONE}, "", "`effectivePeriod`"),
    ("Condition", {"clinicalStatus": TEXT}, "clinicalStatus", "active | inactive"),
    ("Condition", {"clinicalStatus": {"coding": [{"code": "active"}]}}, "clinicalStatus", "active"),
    ("Condition", {"abatementString": "x"}, "", "con-4"),
    ("Condition", {"stage": [{"type": TEXT}]}, "stage[0]", "con-1"),
    ("Condition", {"evidence": [{"id": "x", "extension": [{"url": "x:y", "valueCode": "z"}]}]},
     "evidence[0]", "con-2"),
    ("Condition", {"onsetAge": {"value": 0, "code": "a", "system": "http://unitsofmeasure.org"}},
     "onsetAge", "age-1"),
    ("Group", {"member": [{"entity": PATIENT}]}, "", "grp-1"),
    ("Patient", {"contact": [{"gender": "female"}]}, "contact[0]", "pat-1"),
    ("Patient", {"telecom": [{"value": "1"}]}, "telecom[0]", "cpt-2"),
    ("Patient", {"photo": [{"data": "aGVsbG8="}]}, "photo[0]", "att-1"),
    ("Patient", {"gender": "f"}, "gender", "female"),
    ("Patient", {"multipleBirthInteger": 2147483648}, "multipleBirthInteger", "2147483647"),
    ("Patient", {"name": [{"given": ["a"], "_given": [None, {"id": "x"}]}]}, "name[0].given",
     "equal length"),
    ("Patient", {"name": [{"_given": [None]}]}, "name[0].given", "empty"),
    ("Patient", {"_birthDate": {"extension": [{"valueCode": "z"}]}}, "birthDate.extension[0].url",
     "must have `url`"),
    ("Organization", {"name": GONE}, "", "org-1"),
    ("Organization", {"address": [{"use": "home"}]}, "", "org-2"),
    ("Organization", {"telecom": [{"use": "home"}]}, "", "org-3"),
    ("List", {"entry": [{"item": PATIENT}], "emptyReason": TEXT}, "", "lst-1"),
    ("List", {"entry": [{"item": PATIENT, "deleted": True}]}, "", "lst-2"),
    ("List", {"mode": "changes", "entry": [{"item": PATIENT, "date": "2019"}]}, "", "lst-3"),
    ("Consent", {"policyRule": GONE}, "", "ppc-1"),
    ("ServiceRequest", {"orderDetail": [TEXT]}, "", "prr-1"),
    ("ServiceRequest", {"occurrenceTiming": {"repeat": {"duration": 1}}},
     "occurrenceTiming.repeat", "tim-1"),
    ("ServiceRequest", {"occurrenceTiming": {"repeat": {"period": -1, "periodUnit": "d"}}},
     "occurrenceTiming.repeat", "tim-5"),
    ("ServiceRequest", {"occurrenceTiming": {"repeat": {"when": ["C"], "offset": 1}}},
     "occurrenceTiming.repeat", "tim-9"),
    ("ServiceRequest", {"occurrenceTiming": {"repeat": {
        "when": ["HS"], "timeOfDay": ["08:00:00"]}}}, "occurrenceTiming.repeat", "tim-10"),
    ("ServiceRequest", {"quantityRatio": {"numerator": {"value": 1}}}, "quantityRatio", "rat-1"),
    ("ServiceRequest", {"quantityRange": {"low": {"value": 2}, "high": {"value": 1.99}}},
     "quantityRange", "rng-2"),
    ("Task", {"authoredOn": "2019-03-15", "lastModified": "2019-03-14"}, "", "inv-1"),
    ("MedicationDispense", {"whenPrepared": "2019-03-15", "whenHandedOver": "2019-03-14"}, "",
     "mdd-1"),
    ("MeasureReport", {"type": "data-collection", "group": [{"code": TEXT}]}, "", "mrp-1"),
    ("Measure", {"group": [{"stratifier": [{"id": "x", "extension": [
        {"url": "x:y", "valueCode": "z"}]}]}]}, "", "mea-1"),
    ("CodeSystem", {"concept": [{"code": "a", "concept": [{"code": "a"}]}]}, "", "csd-1"),
    ("NamingSystem", {"kind": "root", "uniqueId": [{"type": "uuid", "value": "x"}]}, "", "nsd-1"),
    ("SearchParameter", {"xpath": "x"}, "", "spd-1"),
    ("SearchParameter", {"chain": ["x"]}, "", "spd-2"),
    ("StructureDefinition", {"differential": GONE}, "", "sdf-6"),
    ("StructureDefinition", {"baseDefinition": GONE}, "", "sdf-4"),
    ("Questionnaire", {"item": [{"linkId": "a", "type": "group"}]}, "item[0]", "que-1"),
    ("Questionnaire", {"item": [{"linkId": "a", "type": "string"}] * 2}, "", "que-2"),
    ("Questionnaire", {"item": [{"linkId": "a", "type": "display", "code": [{"code": "x"}]}]},
     "item[0]", "que-3"),
    ("Questionnaire", {"item": [{"linkId": "a", "type": "boolean", "answerValueSet": "x:y"}]},
     "item[0]", "que-5"),
    ("Questionnaire", {"item": [{"linkId": "a", "type": "display", "required": False}]},
     "item[0]", "que-6"),
    ("Questionnaire", {"item": [{"linkId": "a", "type": "string", "enableWhen": [
        {"question": "b", "operator": "exists", "answerInteger": 1}]}]},
     "item[0].enableWhen[0]", "que-7"),
    ("Questionnaire", {"item": [{"linkId": "a", "type": "display", "readOnly": True}]},
     "item[0]", "que-9"),
    ("Questionnaire", {"item": [{"linkId": "a", "type": "date", "maxLength": 3}]},
     "item[0]", "que-10"),
    ("Questionnaire", {"item": [{"linkId": "a", "type": "string",
                                 "initial": [{"valueString": "x"}] * 2}]}, "item[0]", "que-13"),
    ("Provenance", {"target": [PATIENT], "agent": [{"who": {"reference": "Observation/1"}}]},
     "agent[0].who.reference", "Practitioner"),
    ("Provenance", {"entity": [{"role": "source", "what": PATIENT, "agent": [{"who": {
        "reference": "Observation/1"}}]}]}, "entity[0].agent[0].who.reference", "Practitioner"),
    ("ValueSet", {"compose": {"include": [{"system": "x:y"}], "exclude": [
        {"system": "x:y", "filter": [{"property": "p", "op": "?", "value": "v"}]}]}},
     "compose.exclude[0].filter[0].op", "is-a"),
    ("Binary", {"data": "no base64!"}, "data", "base64"),
    ("DocumentReference", {"content": []}, "content", "empty"),
    ("Endpoint", {"address": "a b"}, "address", "no spaces"),
]  # fmt: skip


@pytest.mark.parametrize(("resource_type", "changes", "place", "words"), OTHERS)
def test_a_broken_resource_is_refused_with_place_and_rule(
    validate, resource_type, changes, place, words
):
    found = refusal(validate, with_changes(least(resource_type), changes))
    expression = f"{resource_type}.{place}".rstrip(".")
    assert found.http_status == 422
    told = [issue.diagnostics for issue in found.issues if issue.expression == expression]
    assert any(words in diagnostics for diagnostics in told), str(found)


ACCEPTED: list[tuple[str, Json]] = [
    ("Task", {"authoredOn": "2019-03-14", "lastModified": "2019-03-13T20:00:00Z"}),
    ("Encounter", {"period": {"start": "2019-03-14T10:00:00Z", "end": "2019-03-14T10:00:00Z"}}),
    ("Encounter", {"period": {"start": "2019-03-14", "end": "2019"}}),
    ("Encounter", {"period": {"start": "2016-12-31T23:59:60Z"}}),
    ("Encounter", {"period": {"start": "0001-01-01T00:00:00+14:00", "end": "0001"}}),
    ("Condition", {"clinicalStatus": {"extension": [{"url": "x:y", "valueCode": "unknown"}]}}),
    ("Patient", {"name": [{"given": ["a", None], "_given": [None, {"extension": [
        {"url": "x:y", "valueCode": "z"}]}]}]}),
    ("Patient", {"birthDate": "1980-02-29", "_birthDate": {"id": "b"}}),
    ("ServiceRequest", {"subject": {"display": "someone"}}),
    ("ServiceRequest", {"subject": {"reference": "https://x.example/fhir/Thing/1"}}),
    ("ServiceRequest", {"quantityRange": {"low": {"value": 2, "unit": "g"},
                                          "high": {"value": 1, "unit": "kg"}}}),
    ("Binary", {"data": "aGVs\nbG8="}),
]  # fmt: skip


@pytest.mark.parametrize(("resource_type", "changes"), ACCEPTED)
def test_legal_corners_are_accepted(validate, resource_type, changes):
    validate(with_changes(least(resource_type), changes))


def test_all_issues_are_told_at_once(validate):
    found = refusal(validate, with_changes(PLATELETS, {"status": "x", "issued": "x", "code": GONE}))
    places = {issue.expression for issue in found.issues}
    assert places == {"Observation.status", "Observation.issued", "Observation.code"}


def test_after_fifty_issues_the_others_are_counted(validate):
    found = refusal(validate, {"resourceType": "Patient", "name": [{"use": "x"}] * 60})
    assert len(found.issues) == 51
    assert found.issues[-1].diagnostics == "10 more issues are not listed"
    assert found.issues[-1].severity == "information"


@pytest.mark.parametrize(
    ("resource", "words"),
    [
        ({}, "`resourceType` is missing"),
        ({"resourceType": "Patient"}, "must be Observation"),
        ({"resourceType": None}, "must be Observation"),
    ],
)
def test_another_type_than_expected_is_refused_as_incorrect(resource, words):
    validator = Validator(load_registry(), PatientPolicy("open"))
    found = refusal(lambda given: validator.validate(given, "Observation"), resource)
    assert (found.http_status, found.issues[0].expression) == (400, "resourceType")
    assert words in found.issues[0].diagnostics


@pytest.mark.parametrize("resource_type", ["Nonsense", "Quantity", "Citation", "os", "observation"])
def test_a_type_that_r4_does_not_have_is_refused(resource_type):
    validator = Validator(load_registry(), PatientPolicy("open"))
    found = refusal(
        lambda given: validator.validate(given, resource_type), {"resourceType": resource_type}
    )
    assert (found.http_status, found.issues[0].code) == (400, "not-supported")


# Patient policy

NUMBER = {"system": SUBJECT_NUMBER, "value": "SSCI-001"}
CODED: list[tuple[Json, str]] = [
    ({"name": [{"text": "SECRET"}]}, "name"),
    ({"telecom": [{"system": "phone", "value": "SECRET"}]}, "telecom"),
    ({"address": [{"city": "SECRET"}]}, "address"),
    ({"photo": [{"url": "SECRET"}]}, "photo"),
    ({"contact": [{"name": {"text": "SECRET"}}]}, "contact"),
    ({"link": [{"other": PATIENT, "type": "seealso"}]}, "link"),
    (
        {
            "text": {
                "status": "generated",
                "div": '<div xmlns="http://www.w3.org/1999/xhtml">SECRET</div>',
            }
        },
        "text",
    ),
    ({"birthDate": "1980-01"}, "birthDate"),
    ({"birthDate": "1980-01-02"}, "birthDate"),
    ({"identifier": [{"system": "urn:oid:1.2", "value": "SECRET"}]}, "identifier[0]"),
    ({"identifier": [{"value": "SECRET"}]}, "identifier[0]"),
    ({"extension": [{"url": "x:y", "valueString": "SECRET"}]}, "extension[0]"),
    ({"extension": [{"url": "x:y", "valueDateTime": "1980-01-02"}]}, "extension[0]"),
    ({"extension": [{"url": "x:y", "valueCodeableConcept": {"text": "SECRET"}}]}, "extension[0]"),
    (
        {
            "extension": [
                {"url": "x:y", "extension": [{"url": "z", "valueAddress": {"city": "SECRET"}}]}
            ]
        },
        "extension[0].extension[0]",
    ),
    (
        {
            "_birthDate": {
                "extension": [{"url": "x:y", "valueDateTime": "1980-01-02T03:04:05+08:00"}]
            }
        },
        "birthDate.extension[0]",
    ),
    ({"maritalStatus": {"extension": [{"url": "x:y", "valueString": "SECRET"}]}},
     "maritalStatus"),
    ({"id": "SECRET"}, "id"),
    ({"id": "SSCI-001-SECRET"}, "id"),
    ({"meta": {"source": "urn:mrn:SECRET"}}, "meta"),
    ({"meta": {"extension": [{"url": "x:y", "valueString": "SECRET"}]}}, "meta"),
    ({"meta": {"tag": [{"system": "x:y", "code": "a", "display": "SECRET"}]}}, "meta.tag[0]"),
    ({"meta": {"security": [{"code": "a", "display": "SECRET"}]}}, "meta.security[0]"),
    ({"identifier": [{"system": SUBJECT_NUMBER, "value": "SECRET"}]}, "identifier[0].value"),
    ({"identifier": [{"system": SUBJECT_NUMBER}]}, "identifier[0].value"),
    ({"identifier": [NUMBER | {"assigner": {"display": "SECRET"}}]}, "identifier[0]"),
    ({"identifier": [NUMBER | {"type": {"text": "SECRET"}}]}, "identifier[0]"),
    ({"maritalStatus": {"text": "SECRET"}}, "maritalStatus"),
    ({"communication": [{"language": {"text": "SECRET"}}]}, "communication"),
    ({"generalPractitioner": [{"display": "SECRET"}]}, "generalPractitioner"),
    ({"managingOrganization": {"display": "SECRET"}}, "managingOrganization"),
    ({"deceasedDateTime": "1980-01-02"}, "deceasedDateTime"),
    ({"multipleBirthInteger": 2}, "multipleBirthInteger"),
    ({"language": "zh"}, "language"),
    ({"_gender": {"id": "SECRET"}, "gender": "male"}, "gender"),
    ({"extension": [{"url": "x:y", "id": "SECRET", "valueCode": "a"}]}, "extension[0]"),
    ({"extension": [{"url": "x:y", "valueCoding": {"code": "a", "display": "SECRET"}}]},
     "extension[0]"),
    ({"extension": [{"url": "x:y", "valueCodeableConcept":
                     {"coding": [{"code": "a", "display": "SECRET"}]}}]}, "extension[0]"),
    ({"extension": [{"url": "x:y", "valueQuantity": {"value": 1, "unit": "SECRET"}}]},
     "extension[0]"),
    ({"modifierExtension": [{"url": "x:y", "valueCode": "SECRET"}]}, "modifierExtension"),
]  # fmt: skip


@pytest.fixture(scope="module")
def validate_coded() -> Validate:
    policy = PatientPolicy("coded", frozenset({SUBJECT_NUMBER}), re.compile(r"SSCI-\d{3,}"))
    validator = Validator(load_registry(), policy)
    return lambda resource: validator.validate(resource, resource["resourceType"])


@pytest.mark.parametrize(("elements", "place"), CODED)
def test_a_coded_patient_holds_nothing_that_identifies(validate_coded, elements, place):
    found = refusal(validate_coded, {"resourceType": "Patient", **elements})
    assert found.http_status == 422
    assert [issue.expression for issue in found.issues] == [f"Patient.{place}"]
    assert found.issues[0].code == "business-rule"
    assert "SECRET" not in str(found)
    assert "1980" not in str(found)


@pytest.mark.parametrize(("elements", "place"), CODED)
def test_an_open_patient_may_hold_all_that_r4_allows(validate, elements, place):
    validate({"resourceType": "Patient", **elements})


@pytest.mark.parametrize("resource_type", ["Patient", "RelatedPerson", "Person"])
def test_the_policy_holds_for_contained_persons(validate_coded, resource_type):
    person = {"resourceType": resource_type, "id": "SSCI-001", "name": [{"text": "SECRET"}]}
    if resource_type == "RelatedPerson":
        person["patient"] = PATIENT
    extension = {"url": "x:y", "valueReference": {"reference": "#SSCI-001"}}
    basic = {**least("Basic"), "contained": [person], "extension": [extension]}
    found = refusal(validate_coded, basic)
    assert [issue.expression for issue in found.issues] == ["Basic.contained[0].name"]


def test_a_coded_patient_may_hold_subject_number_gender_and_year(validate_coded):
    patient = {"resourceType": "Patient", "id": "SSCI-001", "identifier": [NUMBER]}
    validate_coded(patient | {"gender": "female", "birthDate": "1980"})


OWN = {"reference": "Patient/SSCI-001"}
MRN = {"system": "urn:oid:1.2", "value": "SECRET"}


@pytest.mark.parametrize(
    "subject",
    [
        OWN,
        OWN | {"display": "SSCI-001", "type": "Patient", "identifier": NUMBER},
        {"reference": "https://ssci.example/fhir/Patient/SSCI-001/_history/2"},
        {"reference": "Patient/0c5a5d8e-2f2e-4f0f-9f3c-1f1e6f0d8a11"},
        {"reference": "urn:uuid:0c5a5d8e-2f2e-4f0f-9f3c-1f1e6f0d8a11"},
        {"identifier": NUMBER, "display": "SSCI-001"},
        {"reference": "Device/analyser", "display": "Analyser of the ward"},
        {"type": "Group", "display": "Control group"},
    ],
)
def test_a_reference_to_a_patient_says_who_it_is_to_this_server(validate_coded, subject):
    validate_coded({**least("Observation"), "subject": subject})


@pytest.mark.parametrize(
    ("subject", "place"),
    [
        (OWN | {"display": "SECRET"}, "display"),
        (OWN | {"display": "SSCI-002"}, "display"),
        (OWN | {"identifier": MRN}, "identifier"),
        (OWN | {"identifier": NUMBER | {"value": "SECRET"}}, "identifier.value"),
        (OWN | {"identifier": NUMBER | {"assigner": {"display": "SECRET"}}}, "identifier"),
        ({"identifier": MRN}, "identifier"),
        ({"type": "Patient", "identifier": MRN}, "identifier"),
        ({"type": "Patient", "display": "SECRET"}, "display"),
        ({"display": "SECRET"}, "display"),
        ({"reference": "Patient/SECRET"}, "reference"),
        ({"reference": "https://his.example/fhir/Patient/SECRET"}, "reference"),
        ({"reference": "https://his.example/mrn?SECRET"}, "reference"),
        ({"reference": "urn:oid:1.2.3.4"}, "reference"),
        ({"reference": "urn:mrn:SECRET"}, "reference"),
        (
            {
                "reference": "urn:uuid:0c5a5d8e-2f2e-4f0f-9f3c-1f1e6f0d8a11",
                "display": "SECRET",
            },
            "display",
        ),
    ],
)
def test_a_reference_to_a_patient_says_nothing_that_identifies(
    validate_coded, validate, subject, place
):
    observation = {**least("Observation"), "subject": subject}
    found = refusal(validate_coded, observation)
    assert found.http_status == 422
    assert [issue.expression for issue in found.issues] == [f"Observation.subject.{place}"]
    assert "SECRET" not in str(found)
    validate(observation)


@pytest.mark.parametrize(
    ("resource", "place"),
    [
        (
            {**least("Observation"), "performer": [{"type": "Patient", "display": "SECRET"}]},
            "Observation.performer[0].display",
        ),
        (
            {**least("Observation"), "focus": [OWN | {"display": "SECRET"}]},
            "Observation.focus[0].display",
        ),
        (
            {**least("Group"), "actual": True, "member": [{"entity": {"display": "SECRET"}}]},
            "Group.member[0].entity.display",
        ),
        (
            {**least("ResearchSubject"), "individual": {"identifier": MRN}},
            "ResearchSubject.individual.identifier",
        ),
        (
            {
                **least("Basic"),
                "extension": [{"url": "x:y", "valueReference": OWN | {"display": "SECRET"}}],
            },
            "Basic.extension[0].valueReference.display",
        ),
    ],
)
def test_references_to_patients_are_asked_wherever_they_stand(validate_coded, resource, place):
    found = refusal(validate_coded, resource)
    assert [issue.expression for issue in found.issues] == [place]


def test_a_performer_who_is_no_patient_may_have_a_name(validate_coded):
    validate_coded({**least("Observation"), "performer": [{"display": "Dr. Lin"}]})


def test_a_coded_patient_may_hold_labels_and_coded_extensions(validate_coded):
    validate_coded(
        {
            "resourceType": "Patient",
            "id": "SSCI-001",
            "meta": {
                "profile": ["https://ssci.example/p"],
                "tag": [{"system": "x:y", "code": "a"}],
            },
            "identifier": [NUMBER | {"use": "official"}],
            "active": True,
            "deceasedBoolean": False,
            "_birthDate": {"extension": [{"url": "x:y", "valueCode": "unknown"}]},
            "extension": [
                {"url": "x:a", "valueQuantity": {"value": 1, "system": "x:u", "code": "kg"}},
                {"url": "x:b", "extension": [{"url": "c", "valueCoding": {"code": "1"}}]},
            ],
        }
    )


def test_the_policy_leaves_other_types_alone(validate_coded):
    validate_coded({"resourceType": "Practitioner", "name": [{"text": "Investigator"}]})
