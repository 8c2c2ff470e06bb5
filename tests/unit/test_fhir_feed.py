"""The hospital's own FHIR as facts. https://hl7.org/fhir/R4/bundle.html"""

from __future__ import annotations

from typing import Any

import pytest

from app.fhir import dump_json
from app.mappings.facts import Fact
from app.mappings.formats.fhir.decoder import read_fhir
from app.mappings.reasons import Outcome, Reason
from app.mappings.subjects import PatientClaim
from tests.feed_support import (
    HIS,
    LIS,
    MRN,
    map_bytes,
    map_one,
    message,
    msh,
    obr,
    obx,
    oru,
    pid,
    ras,
    resource_of,
    site,
)
from tests.fhir_feed_support import (
    CODES,
    FILLERS,
    HIS_BASE,
    LOINC,
    MRNS,
    PLACERS,
    SPECIMENS,
    TESTS,
    administration,
    bundle,
    concept,
    condition,
    dump,
    encounter,
    identifier,
    observation,
    patient,
    prescription,
    quantity,
    report,
)


def facts_of(*resources: Any, feed: str = LIS, **more: Any) -> dict[str, Fact]:
    found = map_bytes(bundle(*resources, **more), feed, format="fhir")
    assert [fact.ordinal for fact in found] == list(range(len(found)))
    return {fact.place: fact for fact in found}


def fact_of(resource: Any, *around: Any, feed: str = LIS) -> Fact:
    """The fact of a resource that stands in a Bundle behind its Patient."""
    return facts_of(patient(), resource, *around, feed=feed)["entry[1]"]


def claims_of(data: bytes, feed: str = LIS) -> list[PatientClaim]:
    return list(read_fhir(data, site().feeds[feed], site()).claims.values())


# The same by HL7 and by FHIR


def test_a_result_by_fhir_is_the_result_that_hl7_tells():
    by_hl7, by_fhir = map_one(oru()), fact_of(observation(), report())
    assert resource_of(by_fhir) == resource_of(by_hl7)
    assert by_fhir.resource_id == by_hl7.resource_id
    assert [each.resource for each in by_fhir.companions] == [
        each.resource for each in by_hl7.companions
    ]


def test_a_result_with_a_specimen_has_the_identity_and_the_specimen_that_hl7_gives_it():
    by_hl7 = map_bytes(message(msh(), pid(), obr(), obx(), "SPM|1|^S1"))[0]
    specimen = {
        "resourceType": "Specimen",
        "id": "S",
        "identifier": [identifier(SPECIMENS, "S1")],
    }
    taken = observation(specimen={"reference": "Specimen/S"})
    by_fhir = fact_of(taken, report(), specimen)
    assert {each.id for each in by_fhir.companions} == {each.id for each in by_hl7.companions}
    assert resource_of(by_fhir)["specimen"] == resource_of(by_hl7)["specimen"]


def test_a_dose_by_fhir_is_the_dose_that_hl7_tells():
    by_hl7, by_fhir = map_one(ras(), HIS), fact_of(administration(), feed=HIS)
    assert by_fhir.resource_id == by_hl7.resource_id
    assert resource_of(by_fhir)["dosage"] == resource_of(by_hl7)["dosage"]


@pytest.mark.parametrize(
    ("change", "around"),
    [
        ({"identifier": [identifier(FILLERS, "L1"), identifier(TESTS, "x")]}, ()),
        ({"basedOn": [{"identifier": identifier(FILLERS, "L1")}]}, ()),
        (
            {"basedOn": [{"reference": "ServiceRequest/Q"}]},
            ({"resourceType": "ServiceRequest", "id": "Q",
              "identifier": [identifier(FILLERS, "L1")]},),
        ),
        (
            {"basedOn": [{"reference": "ServiceRequest/Q"}]},
            ({"resourceType": "ServiceRequest", "id": "Q", "identifier": [
                {"type": concept("http://terminology.hl7.org/CodeSystem/v2-0203", "FILL"),
                 "value": "L1"}]},),
        ),
    ],
)  # fmt: skip
def test_the_order_number_counts_wherever_the_server_puts_it(change, around):
    wanted = fact_of(observation(identifier=[]), report(code={}))
    found = fact_of(observation(identifier=[]) | change, *around)
    assert found.resource_id == wanted.resource_id


def test_a_local_code_is_the_identity_also_if_loinc_stands_first():
    codings = [
        {"system": LOINC, "code": "777-3"},
        {"system": TESTS, "code": "PLT"},
    ]
    fact = fact_of(observation(code={"coding": codings}), report())
    assert fact.resource_id == map_one(oru()).resource_id


def test_components_are_results_of_their_own_in_the_panel_of_their_observation():
    parts = [
        {"code": concept(TESTS, "PLT"), "valueQuantity": {"value": 38, "unit": "10*9/L"}},
        {"code": concept(TESTS, "WBC"), "valueQuantity": {"value": 6, "unit": "10*9/L"}},
    ]
    whole = observation(
        code=concept(TESTS, "CBC"),
        identifier=[identifier(FILLERS, "L1"), identifier("https://lis.pumch.example/sub-id", "1")],
        component=parts,
    )
    del whole["valueQuantity"]
    data = bundle(patient(), whole)
    found = {fact.place: fact for fact in map_bytes(data, LIS, format="fhir")}
    count = found["entry[1].component[0]"]
    assert count.resource_id == map_one(oru()).resource_id
    assert found["entry[1].component[1]"].outcome is Outcome.NOT_COLLECTED
    assert b'"PLT"' in data[count.span.start : count.span.end]
    assert b'"WBC"' not in data[count.span.start : count.span.end]


# Places


def test_a_fact_points_at_the_bytes_of_its_resource():
    data = bundle(patient(), observation(), report())
    fact = map_bytes(data, LIS, format="fhir")[1]
    assert fact.place == "entry[1]"
    assert data[fact.span.start : fact.span.end] == dump(observation())


def test_a_single_resource_is_taken_as_it_is():
    alone = observation(subject={"identifier": identifier(MRNS, MRN)})
    (fact,) = map_bytes(b" \n" + dump(alone) + b"\n", LIS, format="fhir")
    assert (fact.place, fact.outcome, fact.span.start) == ("resource", None, 2)


def test_of_a_broken_entry_only_its_own_fact_fails():
    data = bundle(patient(), observation("1"), observation("9"), report())
    broken = data.replace(b'"status":"final"', b'"status":["final"]', 1)
    found = {fact.place: fact for fact in map_bytes(broken, LIS, format="fhir")}
    assert found["entry[1]"].reason is Reason.FHIR_INVALID
    assert found["entry[1]"].field == "Observation.status"
    assert found["entry[2]"].candidate is not None


# Patients


@pytest.mark.parametrize(
    "subject",
    [
        {"reference": "Patient/17"},
        {"reference": f"{HIS_BASE}/Patient/17"},
        {"reference": f"{HIS_BASE}/Patient/17/_history/3"},
        {"reference": "Patient/99", "identifier": identifier(MRNS, MRN)},
        {"identifier": {"value": MRN}},
    ],
)
def test_the_patient_is_found_by_reference_or_by_the_identifier_in_it(subject):
    claims = claims_of(bundle(patient(), observation(subject=subject)))
    assert {claim.mrns for claim in claims} == {(("PUMCH", MRN),)}


def test_the_patient_may_be_contained_or_named_by_a_urn():
    held = observation(subject={"reference": "#p"}, contained=[patient("p")])
    assert [claim.mrns for claim in claims_of(dump(held))] == [(("PUMCH", MRN),)]
    urn = "urn:uuid:0b0d2f0c-4a83-4bd7-8f9c-0b8a6f0f2a11"
    entries = [
        {"fullUrl": urn, "resource": patient()},
        {"resource": observation(subject={"reference": urn})},
    ]
    data = dump({"resourceType": "Bundle", "type": "transaction", "entry": entries})
    assert {claim.mrns for claim in claims_of(data)} == {(("PUMCH", MRN),)}


def test_a_patient_elsewhere_is_unknown_and_the_fact_waits():
    (fact,) = map_bytes(dump(observation()), LIS, subjects=(), format="fhir")
    assert (fact.outcome, fact.reason) == (Outcome.WAITING, Reason.PATIENT_UNKNOWN)


def test_two_patients_under_one_name_are_nobody():
    other = patient(mrn="T000000002")
    data = bundle(patient(), other, observation(), report())
    found = {fact.place: fact for fact in map_bytes(data, LIS, format="fhir")}
    assert found["entry[2]"].reason is Reason.PATIENT_UNKNOWN


def test_a_number_of_another_kind_or_out_of_use_is_no_hospital_number():
    told = patient(
        identifier=[
            identifier(MRNS, MRN) | {"use": "old"},
            {"type": concept("http://terminology.hl7.org/CodeSystem/v2-0203", "NI"), "value": "1"},
        ]
    )
    assert claims_of(dump(told))[0].mrns == ()


def test_names_and_birth_date_are_compared_with_those_enrolled():
    told = patient(
        name=[{"text": "测试一", "family": "测试", "given": ["一"]}], birthDate="1979-05-04"
    )
    (claim,) = claims_of(dump(told))
    assert set(claim.names) == {"测试一", "测试 一"}
    assert claim.birth_date == "19790504"


def test_what_is_about_a_device_is_no_subjects():
    fact = fact_of(observation(subject={"reference": "Device/3"}))
    assert fact.outcome is Outcome.NOT_SUBJECT_DATA


def test_nobody_is_quarantined():
    told = observation()
    del told["subject"]
    assert fact_of(told).reason is Reason.STRUCTURE


# Status and value


@pytest.mark.parametrize(
    ("status", "letter", "needs_original"),
    [
        ("preliminary", "P", False),
        ("final", "F", False),
        ("amended", "A", False),
        ("corrected", "C", False),
        ("entered-in-error", "D", True),
        ("cancelled", "X", False),
        ("registered", "I", False),
    ],
)
def test_each_status_is_judged_as_the_letter_that_means_it(status, letter, needs_original):
    fact = fact_of(observation(status=status), report())
    extensions = {each["url"]: each for each in resource_of(fact)["extension"]}
    found = [each["valueCode"] for each in extensions.values() if "valueCode" in each]
    assert found == [letter]
    assert fact.candidate is not None
    assert fact.candidate.needs_original is needs_original


def test_an_unknown_status_is_quarantined():
    fact = fact_of(observation(status="unknown"), report())
    assert (fact.reason, fact.field) == (Reason.STATUS_UNMAPPED, "Observation.status")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"valueQuantity": {"value": 38}}, None),
        ({"valueQuantity": {"value": 38, "unit": "mg"}}, Reason.UNIT_DIMENSION),
        ({"valueQuantity": {"value": 99999, "unit": "10*9/L"}}, Reason.VALUE_IMPLAUSIBLE),
        ({"valueQuantity": {"value": 2, "comparator": "<", "unit": "10*9/L"}}, None),
        ({"valueQuantity": {"value": 2, "comparator": "ad", "unit": "10*9/L"}},
         Reason.VALUE_UNPARSABLE),
        ({"valueString": "38"}, None),
        ({"valueString": "血小板聚集"}, None),
        ({"valueString": "1O2"}, Reason.VALUE_UNPARSABLE),
        ({"valueInteger": 38}, None),
        ({"valueBoolean": True}, Reason.VALUE_UNPARSABLE),
        ({"valueRange": {"low": {"value": 1}, "high": {"value": 2}}}, Reason.VALUE_UNPARSABLE),
        ({"valuePeriod": {"start": "2019"}}, Reason.VALUE_UNPARSABLE),
        ({"valueString": "38", "valueInteger": 38}, Reason.FHIR_INVALID),
        ({"valueString": "38", "dataAbsentReason": {"text": "?"}}, Reason.FHIR_INVALID),
    ],
)  # fmt: skip
def test_values_obey_the_rules_of_every_feed(value, reason):
    told = observation()
    del told["valueQuantity"]
    fact = fact_of(told | value, report())
    assert fact.reason is reason, fact.detail


def test_why_there_is_no_value_is_carried():
    told = observation(
        dataAbsentReason=concept(
            "http://terminology.hl7.org/CodeSystem/data-absent-reason", "error"
        )
    )
    del told["valueQuantity"]
    stored = resource_of(fact_of(told, report()))
    assert stored["dataAbsentReason"]["coding"][0]["code"] == "error"


def test_digits_are_those_sent():
    data = bundle(patient(), observation(value="38.60"), report())
    fact = map_bytes(data, LIS, format="fhir")[1]
    assert b'"value":38.60' in dump_json(resource_of(fact))


def test_without_any_order_number_the_key_is_weak():
    fact = fact_of(observation(identifier=[]))
    assert fact.candidate is not None
    assert fact.candidate.weak


def test_a_time_of_collection_may_be_the_specimens():
    specimen = {
        "resourceType": "Specimen",
        "id": "S",
        "collection": {"collectedDateTime": "2019-03-14T07:50:00+08:00"},
    }
    told = observation(specimen={"reference": "Specimen/S"})
    del told["effectiveDateTime"]
    stored = resource_of(fact_of(told, report(), specimen))
    assert stored["effectiveDateTime"] == "2019-03-14T07:50:00+08:00"


# What is not mapped


def test_a_result_that_is_no_laboratorys_is_not_collected():
    pulse = observation(
        category=[
            concept("http://terminology.hl7.org/CodeSystem/observation-category", "vital-signs")
        ],
        code=concept(LOINC, "8867-4"),
    )
    assert fact_of(pulse).outcome is Outcome.NOT_COLLECTED


def test_a_code_that_the_dictionary_lacks_is_quarantined():
    fact = fact_of(observation(code=concept(TESTS, "XYZ")), report())
    assert (fact.reason, fact.field) == (Reason.CODE_UNMAPPED, "Observation.code")


@pytest.mark.parametrize(
    ("resource", "outcome", "reason"),
    [
        ({"resourceType": "Practitioner", "id": "1"}, Outcome.NOT_COLLECTED, None),
        ({"resourceType": "OperationOutcome", "id": "1"}, Outcome.NOT_RECORDED, None),
        ({"resourceType": "Sandwich", "id": "1"}, Outcome.QUARANTINED, Reason.UNSUPPORTED_TYPE),
        (report(), Outcome.NOT_RECORDED, None),
        (observation(modifierExtension=[{"url": "x"}]), Outcome.QUARANTINED, Reason.FHIR_INVALID),
        (observation(implicitRules="urn:x"), Outcome.QUARANTINED, Reason.FHIR_INVALID),
        (prescription(intent="plan"), Outcome.NOT_RECORDED, None),
        (prescription(doNotPerform=True), Outcome.NOT_RECORDED, None),
    ],
)
def test_each_entry_has_a_fact_that_says_why_nothing_is_stored_of_it(resource, outcome, reason):
    fact = fact_of(resource)
    assert (fact.outcome, fact.reason) == (outcome, reason)


def test_only_post_and_put_bring_data():
    entries = [
        {"request": {"method": "DELETE", "url": "Observation/9"}},
        {"resource": observation(), "request": {"method": "PATCH", "url": "Observation/9"}},
        {"resource": observation(), "request": {"method": "PUT", "url": "Observation/9"}},
        {},
    ]
    data = dump({"resourceType": "Bundle", "type": "batch", "entry": entries})
    found = [fact.reason for fact in map_bytes(data, LIS, format="fhir")]
    unsupported = [Reason.UNSUPPORTED_TYPE] * 2
    assert found == [*unsupported, Reason.PATIENT_UNKNOWN, Reason.STRUCTURE]


@pytest.mark.parametrize(
    ("data", "reason", "readable"),
    [
        (b"", Reason.PARSE, False),
        (b"[]", Reason.PARSE, False),
        (b"{", Reason.PARSE, False),
        (b"MSH|^~\\&|", Reason.PARSE, False),
        (b'{"a":1}', Reason.STRUCTURE, True),
        (b'{"resourceType":"Bundle","type":"history"}', Reason.UNSUPPORTED_TYPE, True),
        (b'{"resourceType":"Bundle","type":"batch"}', Reason.STRUCTURE, True),
        (b'{"resourceType":"Bundle","type":"batch","entry":{}}', Reason.STRUCTURE, True),
        (b'{"resourceType":"Bundle","resourceType":"Patient"}', Reason.PARSE, False),
        ('{"resourceType":"Patient","id":"测"}'.encode("gbk"), Reason.CHARSET_UNDECODABLE, False),
    ],
)
def test_what_is_no_fhir_is_one_failure_of_the_whole(data, reason, readable):
    read = read_fhir(data, site().feeds[LIS], site())
    (fact,) = map_bytes(data, LIS, format="fhir")
    assert fact.reason is reason
    assert (read.content is not None) is readable


# Medicines, visits, diagnoses


@pytest.mark.parametrize(
    ("status", "stored"),
    [("completed", "completed"), ("stopped", "completed"), ("not-done", "not-done"),
     ("entered-in-error", "entered-in-error")],
)  # fmt: skip
def test_an_administration_has_the_status_that_the_rules_give_it(status, stored):
    fact = fact_of(administration(status=status), feed=HIS)
    assert resource_of(fact)["status"] == stored


def test_a_medicine_may_be_a_resource_of_its_own():
    medication = {"resourceType": "Medication", "id": "X", "code": concept(CODES, "SIR1")}
    told = administration(medicationReference={"reference": "Medication/X"})
    del told["medicationCodeableConcept"]
    facts = facts_of(patient(), told, medication, feed=HIS)
    assert facts["entry[1]"].analyte == "sirolimus"


def test_a_prescription_brings_dose_frequency_route_and_when_it_was_ordered():
    stored = resource_of(fact_of(prescription(), feed=HIS))
    (instruction,) = stored["dosageInstruction"]
    assert instruction["timing"] == {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}}
    assert instruction["route"]["coding"][0]["code"] == "PO"
    assert stored["authoredOn"] == "2019-03-13T15:00:00+08:00"
    assert stored["status"] == "active"


@pytest.mark.parametrize(
    ("repeat", "kept"),
    [
        ({"frequency": 2, "period": 1, "periodUnit": "d"}, True),
        ({"frequency": 1, "period": 2, "periodUnit": "d"}, True),
        ({"frequency": 1, "period": 8, "periodUnit": "h"}, True),
        ({"frequency": 3, "period": 1, "periodUnit": "wk"}, False),
        ({"frequency": 1, "periodMax": 2, "period": 1, "periodUnit": "d"}, False),
    ],
)
def test_a_timing_is_kept_whole_or_the_prescription_is_quarantined(repeat, kept):
    told = prescription()
    told["dosageInstruction"][0]["timing"] = {"repeat": repeat}
    fact = fact_of(told, feed=HIS)
    if kept:
        (instruction,) = resource_of(fact)["dosageInstruction"]
        assert instruction["timing"] == {"repeat": repeat}
    else:
        assert fact.field == "MedicationRequest.dosageInstruction.timing"


MG = quantity("2", "mg")
UPPER = MG | {"comparator": "<"}


def instructed(**dosage: Any) -> dict[str, Any]:
    told = prescription()
    told["dosageInstruction"][0] |= dosage
    return told


@pytest.mark.parametrize(
    "resource",
    [
        administration(dosage={"dose": UPPER}),
        instructed(doseAndRate=[{"doseQuantity": UPPER}]),
        instructed(doseAndRate=[{"doseRange": {"low": MG, "high": UPPER}}]),
        instructed(doseAndRate=[{"doseRange": {"low": MG | {"comparator": ">="}, "high": MG}}]),
        instructed(doseAndRate=[{"doseRange": {"high": MG}}]),
        instructed(doseAndRate=[{"doseRange": {"low": MG}}]),
        instructed(doseAndRate=[{"doseQuantity": MG, "doseRange": {"low": MG, "high": MG}}]),
        instructed(doseAndRate=[{"doseRange": {"low": quantity("1", "mg"),
                                               "high": quantity("2", "g")}}]),
    ],
)  # fmt: skip
def test_a_dose_of_which_a_bound_is_told_is_quarantined(resource):
    fact = fact_of(resource, feed=HIS)
    assert fact.reason is Reason.VALUE_UNPARSABLE
    assert fact.field in ("MedicationAdministration.dosage.dose",
                          "MedicationRequest.dosageInstruction.doseAndRate")  # fmt: skip
    assert fact.candidate is None


DAILY = {"frequency": 1, "period": 1, "periodUnit": "d"}


@pytest.mark.parametrize(
    "timing",
    [
        {"repeat": DAILY | {"when": ["ACM"], "offset": 30}},
        {"repeat": DAILY | {"timeOfDay": ["08:00:00", "20:00:00"]}},
        {"repeat": DAILY | {"duration": 2, "durationMax": 3, "durationUnit": "h"}},
        {"repeat": DAILY | {"boundsDuration": quantity("14", "d")}},
        {"repeat": DAILY | {"boundsRange": {"low": quantity("1", "wk"),
                                            "high": quantity("2", "wk")}}},
        {"repeat": DAILY | {"count": 1, "countMax": 3}},
        {"repeat": {"when": ["HS"]}},
        {"event": ["2019-03-14T08:00:00+08:00", "2019-03-15"]},
    ],
)  # fmt: skip
def test_when_a_medicine_is_to_be_taken_is_kept_as_it_is_told(timing):
    (instruction,) = resource_of(fact_of(instructed(timing=timing), feed=HIS))["dosageInstruction"]
    assert instruction["timing"] == timing


def test_what_is_taken_as_needed_keeps_how_often_it_may_be():
    told = instructed(asNeededBoolean=True)
    (instruction,) = resource_of(fact_of(told, feed=HIS))["dosageInstruction"]
    assert instruction["timing"] == {"repeat": DAILY}
    assert instruction["asNeededBoolean"] is True


def test_rates_and_greatest_doses_are_kept_and_no_extension_with_them():
    ratio = {"numerator": MG, "denominator": quantity("1", "d")}
    limits = {"maxDosePerPeriod": ratio, "maxDosePerAdministration": MG, "maxDosePerLifetime": MG}
    extended = {**MG, "extension": [{"url": "http://example.org/x", "valueString": "y"}]}
    told = instructed(doseAndRate=[{"doseQuantity": MG, "rateQuantity": extended}], **limits)
    (instruction,) = resource_of(fact_of(told, feed=HIS))["dosageInstruction"]
    assert instruction["doseAndRate"][0]["rateQuantity"] == MG
    assert {key: instruction[key] for key in limits} == limits


def test_a_time_that_is_none_quarantines_the_prescription():
    fact = fact_of(instructed(timing={"event": ["tomorrow"]}), feed=HIS)
    assert fact.reason is Reason.TIME_INVALID
    assert fact.field == "MedicationRequest.dosageInstruction.timing"


MODIFIER = {"modifierExtension": [{"url": "http://example.org/not", "valueBoolean": True}]}


@pytest.mark.parametrize(
    ("resource", "place"),
    [
        (instructed(**MODIFIER), "dosageInstruction.modifierExtension"),
        (instructed(timing={"repeat": DAILY} | MODIFIER),
         "dosageInstruction.timing.modifierExtension"),
        (administration(dosage={"dose": MG} | MODIFIER), "dosage.modifierExtension"),
        (observation(referenceRange=[{"text": "1-2"} | MODIFIER]),
         "referenceRange.modifierExtension"),
        (observation(contained=[{"resourceType": "Specimen", "id": "S"} | MODIFIER]),
         "contained.modifierExtension"),
        (observation(contained=[{"resourceType": "Specimen", "implicitRules": "urn:x"}]),
         "contained.implicitRules"),
        (observation(component=[{"T000000009": MODIFIER}]), "component.*.modifierExtension"),
    ],
)  # fmt: skip
def test_a_modifier_at_any_depth_quarantines_its_entry(resource, place):
    fact = fact_of(resource, feed=HIS)
    assert (fact.outcome, fact.reason) == (Outcome.QUARANTINED, Reason.FHIR_INVALID)
    assert fact.field == f"{resource['resourceType']}.{place}"


def test_a_modifier_whose_name_is_written_with_escapes_is_found():
    data = bundle(patient(), instructed(**MODIFIER)).replace(b"modifierE", b"modifier\\u0045")
    facts = {each.place: each for each in map_bytes(data, HIS, format="fhir")}
    assert facts["entry[1]"].reason is Reason.FHIR_INVALID


def test_a_medicine_with_a_modifier_is_not_the_medicine_of_what_refers_to_it():
    medication = {"resourceType": "Medication", "id": "X", "code": concept(CODES, "SIR1")}
    told = administration(medicationReference={"reference": "Medication/X"})
    del told["medicationCodeableConcept"]
    facts = facts_of(patient(), told, medication | MODIFIER, feed=HIS)
    assert facts["entry[1]"].reason is Reason.CODE_UNMAPPED
    assert facts["entry[2]"].reason is Reason.FHIR_INVALID


def test_a_patient_with_a_modifier_is_nobodys_number():
    facts = facts_of(patient() | MODIFIER, observation())
    assert facts["entry[0]"].reason is Reason.FHIR_INVALID
    assert facts["entry[1]"].candidate is None
    assert facts["entry[1]"].outcome is Outcome.WAITING


@pytest.mark.parametrize(
    ("status", "stored"),
    [("active", "active"), ("on-hold", "on-hold"), ("stopped", "stopped"),
     ("completed", "completed"), ("cancelled", "cancelled")],
)  # fmt: skip
def test_a_prescription_stands_as_the_server_says(status, stored):
    assert resource_of(fact_of(prescription(status=status), feed=HIS))["status"] == stored


@pytest.mark.parametrize("status", ["active", "on-hold", "revoked", "completed"])
def test_a_laboratory_order_stands_as_the_server_says(status):
    service = {
        "resourceType": "ServiceRequest",
        "id": "Q",
        "status": status,
        "intent": "order",
        "identifier": [identifier(PLACERS, "P-L1")],
        "code": concept(CODES, "CBC"),
        "subject": {"reference": "Patient/17"},
    }
    assert resource_of(fact_of(service, feed=HIS))["status"] == status


def test_a_visit_is_carried_by_class_and_period():
    stored = resource_of(fact_of(encounter(), feed=HIS))
    assert (stored["status"], stored["class"]["code"]) == ("finished", "IMP")
    assert stored["period"]["end"] == "2019-03-12T11:00:00+08:00"


@pytest.mark.parametrize(("code", "wanted"), [("M32.101", True), ("D69.6", True), ("J18.9", False)])
def test_of_diagnoses_those_of_the_trial_are_carried(code, wanted):
    fact = fact_of(condition(code), feed=HIS)
    assert (fact.candidate is not None) is wanted
    if wanted:
        assert resource_of(fact)["onsetDateTime"] == "2015-06"
    else:
        assert fact.outcome is Outcome.NOT_COLLECTED


def test_a_diagnosis_of_the_hospital_is_never_the_enrolled_one():
    stored = resource_of(fact_of(condition(), feed=HIS))
    assert all("ssci.example" not in each["system"] for each in stored["code"]["coding"])


def test_what_an_order_stands_beside_its_results_for_is_its_number():
    service = {
        "resourceType": "ServiceRequest",
        "id": "Q",
        "status": "active",
        "intent": "order",
        "identifier": [identifier(PLACERS, "P-L1")],
        "code": concept(CODES, "CBC"),
        "subject": {"reference": "Patient/17"},
    }
    beside = fact_of(observation(basedOn=[{"reference": "ServiceRequest/Q"}]), service)
    assert beside.candidate is not None
    alone = fact_of(service, feed=HIS)
    assert resource_of(alone)["resourceType"] == "ServiceRequest"


def test_the_same_said_twice_in_a_bundle_is_stored_once():
    found = facts_of(patient(), observation(), observation("10"), report(results=("9", "10")))
    assert found["entry[2]"].outcome is Outcome.UNCHANGED


@pytest.mark.parametrize("component", [None, [None], {"a": 1}, 7])
def test_a_component_of_what_has_none_harms_nothing(component):
    fact = facts_of(patient(component=component), observation())["entry[1]"]
    assert fact.candidate is not None


@pytest.mark.parametrize("subject", [[7], "x", {"reference": 7}, {"identifier": [1]}])
def test_a_subject_that_is_no_reference_harms_nothing(subject):
    basic = {"resourceType": "Basic", "id": "B", "subject": subject, "contained": [7]}
    assert facts_of(basic, observation())["entry[0]"].outcome is Outcome.NOT_COLLECTED


@pytest.mark.parametrize("change", [{"identifier": 7}, {"name": [{"given": "x"}]}])
def test_a_contained_resource_of_another_shape_fails_its_own_entry_alone(change):
    told = observation(contained=[patient("p") | change], subject={"reference": "#p"})
    found = facts_of(patient(), told, observation("8", identifier=[]))
    assert found["entry[1]"].reason is Reason.FHIR_INVALID
    assert found["entry[1]"].field.startswith("Observation.contained.")
    assert found["entry[2]"].reason is None
