"""Orders and prescriptions → ServiceRequest and MedicationRequest. HL7 v2.5.1 chapter 4;
https://hl7.org/fhir/R4/medicationrequest.html · https://hl7.org/fhir/R4/servicerequest.html"""

from __future__ import annotations

import pytest

from tests.feed_support import (
    HIS,
    TABLET,
    map_bytes,
    map_one,
    message,
    msh,
    oml,
    pid,
    rde,
    resource_of,
)


def test_a_prescription_has_dose_frequency_route_and_period() -> None:
    request = resource_of(map_one(rde(), HIS))
    assert (request["resourceType"], request["status"], request["intent"]) == (
        "MedicationRequest",
        "active",
        "order",
    )
    (line,) = request["dosageInstruction"]
    assert line["timing"]["repeat"] == {
        "boundsPeriod": {"start": "2019-03-14T08:00:00+08:00", "end": "2019-03-17T08:00:00+08:00"},
        "frequency": 1,
        "period": 1,
        "periodUnit": "d",
    }
    assert line["route"]["coding"][0]["code"] == "PO"
    dose = line["doseAndRate"][0]["doseQuantity"]
    assert (str(dose["value"]), dose["code"]) == ("2", "mg")
    assert request["authoredOn"] == "2019-03-14T07:30:00+08:00"


def test_tablets_are_known_in_milligrams() -> None:
    request = resource_of(map_one(rde(amount="2", unit="片"), HIS))
    dose = request["dosageInstruction"][0]["doseAndRate"][0]["doseQuantity"]
    assert (dose["unit"], str(dose["extension"][0]["valueQuantity"]["value"])) == ("片", "2")


@pytest.mark.parametrize(
    ("control", "state", "medication", "service"),
    [
        ("NW", "", "active", "active"),
        ("XO", "", "active", "active"),
        ("HD", "", "on-hold", "on-hold"),
        ("RL", "", "active", "active"),
        ("CA", "", "cancelled", "revoked"),
        ("DC", "", "stopped", "revoked"),
        ("CA", "IP", "cancelled", "revoked"),
        ("SC", "CM", "completed", "completed"),
        ("SC", "DC", "stopped", "revoked"),
        ("RE", "", "active", "active"),
        ("NW", "IP", "active", "active"),
    ],
)
def test_status_is_that_of_control_and_state(
    control: str, state: str, medication: str, service: str
) -> None:
    prescribed = resource_of(map_one(rde(control=control, state=state), HIS))
    ordered = resource_of(map_one(oml(control=control, state=state), HIS))
    assert (prescribed["status"], ordered["status"]) == (medication, service)
    letters = "/".join(filter(None, (control, state)))
    assert letters in [item.get("valueCode") for item in ordered["extension"]]


@pytest.mark.parametrize(
    ("pattern", "repeat"),
    [
        ("QD", (1, 1, "d")),
        ("BID", (2, 1, "d")),
        ("Q8H", (1, 8, "h")),
        ("QOD", (1, 2, "d")),
        ("每日一次", (1, 1, "d")),
        ("5ID", (5, 1, "d")),
    ],
)
def test_repeat_patterns(pattern: str, repeat: tuple[int, int, str]) -> None:
    found = resource_of(map_one(rde(pattern=pattern), HIS))["dosageInstruction"][0]["timing"]
    told = found["repeat"]
    assert (told["frequency"], told["period"], told["periodUnit"]) == repeat


def test_the_timing_of_older_versions_is_read_from_rxe_1() -> None:
    data = message(
        msh("RDE^O11", f12="2.3"),
        pid(),
        "ORC|NW|P1",
        f"RXE|^BID^^201903140800+0800^201903200800+0800|{TABLET}|1||mg",
    )
    (line,) = resource_of(map_one(data, HIS))["dosageInstruction"]
    assert line["timing"]["repeat"]["frequency"] == 2
    assert line["timing"]["repeat"]["boundsPeriod"]["end"] == "2019-03-20T08:00:00+08:00"


def test_two_timings_are_two_lines_with_their_own_doses() -> None:
    data = message(
        msh("RDE^O11^RDE_O11"),
        pid(),
        "ORC|NW|P1",
        f"RXE||{TABLET}|2||mg",
        "TQ1|1|2^mg|QD||||20190314|20190316",
        "TQ1|2|1^mg|QD||||20190317",
    )
    lines = resource_of(map_one(data, HIS))["dosageInstruction"]
    doses = [str(line["doseAndRate"][0]["doseQuantity"]["value"]) for line in lines]
    assert ([line["sequence"] for line in lines], doses) == ([1, 2], ["2", "1"])


def test_a_replacement_names_the_prescription_before_it() -> None:
    data = message(
        msh("RDE^O11^RDE_O11"),
        pid(),
        *("ORC|RP|P1", f"RXE||{TABLET}|2||mg", "ORC|RO|P2", f"RXE||{TABLET}|1||mg"),
    )
    old, new = (resource_of(fact) for fact in map_bytes(data, HIS))
    assert (old["status"], new["status"]) == ("stopped", "active")
    assert new["priorPrescription"]["identifier"] == old["identifier"][0]


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"drug": "ASA^阿司匹林^99PUMCH"}, "CODE_UNMAPPED", "RXE-2"),
        ({"amount": "two"}, "VALUE_UNPARSABLE", "RXE-3"),
        ({"amount": "900"}, "VALUE_IMPLAUSIBLE", "RXE-3"),
        ({"unit": ""}, "UNIT_UNMAPPED", "RXE-5"),
        ({"pattern": "now and then"}, "CODE_UNMAPPED", "TQ1-3"),
        ({"route": "??"}, "CODE_UNMAPPED", "RXR-1"),
        ({"control": "ZZ"}, "STATUS_UNMAPPED", "ORC-1"),
        ({"control": ""}, "STATUS_UNMAPPED", "ORC-1"),
        ({"control": "SC"}, "STATUS_UNMAPPED", "ORC-5"),
        ({"control": "NW", "state": "??"}, "STATUS_UNMAPPED", "ORC-5"),
        ({"order": ""}, "STRUCTURE", "ORC-2"),
        ({"ordered": "20191399"}, "TIME_INVALID", "ORC-9"),
        ({"start": "2019-99"}, "TIME_INVALID", "TQ1-7"),
        ({"end": "20180101"}, "TIME_INVALID", "TQ1-8"),
    ],
)
def test_what_cannot_be_mapped_names_its_reason_and_field(
    fields: dict[str, str], reason: str, field: str
) -> None:
    fact = map_one(rde(**fields), HIS)
    assert (fact.reason, fact.field, fact.candidate) == (reason, field, None)


def test_a_cancellation_does_not_fail_for_a_dose_it_does_not_change() -> None:
    assert resource_of(map_one(rde(control="CA", amount="two"), HIS))["status"] == "cancelled"


@pytest.mark.parametrize(
    "data",
    [rde(drug="PRED5^泼尼松^99PUMCH"), oml(code="LFT^肝功能^99PUMCH")],
    ids=["medicine", "test"],
)
def test_what_the_protocol_does_not_collect_is_told_with_its_reason(data: bytes) -> None:
    fact = map_one(data, HIS)
    assert (fact.outcome, fact.candidate) == ("not-collected", None)
    assert fact.detail


def test_an_unknown_test_is_quarantined_by_its_code() -> None:
    fact = map_one(oml(code="ZZZ^?^99PUMCH"), HIS)
    assert (fact.reason, fact.field) == ("CODE_UNMAPPED", "OBR-4")


@pytest.mark.parametrize("kind", ["OML^O21^OML_O21", "ORM^O01^ORM_O01"])
def test_a_blood_count_ordered_is_a_service_request(kind: str) -> None:
    request = resource_of(map_one(oml(kind=kind), HIS))
    assert request["resourceType"] == "ServiceRequest"
    assert request["code"]["coding"][0]["code"] == "CBC"
    assert "P-7" not in str(request)


@pytest.mark.parametrize("kind", ["OMP^O09^OMP_O09", "ORM^O01^ORM_O01"])
def test_a_medicine_ordered_by_rxo_is_a_medication_request(kind: str) -> None:
    data = message(msh(kind), pid(), "ORC|NW|P1", f"RXO|{TABLET}|1||mg", "RXR|PO", "TQ1|||QD")
    request = resource_of(map_one(data, HIS))
    assert request["resourceType"] == "MedicationRequest"
    assert request["dosageInstruction"][0]["route"]["coding"][0]["code"] == "PO"


def test_the_order_as_encoded_stands_before_the_order_as_asked_for() -> None:
    data = message(
        msh("RDE^O11^RDE_O11"),
        pid(),
        *("ORC|NW|P1", "TQ1|||BID", f"RXO|{TABLET}|1||mg", "RXR|PO"),
        *(f"RXE||{TABLET}|2||mg", "TQ1|||QD", "RXR|SL"),
    )
    (line,) = resource_of(map_one(data, HIS))["dosageInstruction"]
    assert line["timing"]["repeat"]["frequency"] == 1
    assert line["route"]["coding"][0]["code"] == "SL"
    assert str(line["doseAndRate"][0]["doseQuantity"]["value"]) == "2"


def test_an_orc_after_its_obr_is_that_orders() -> None:
    data = message(msh("OML^O21"), pid(), "OBR|1|P1||CBC^血常规^99PUMCH", "ORC|CA|P1")
    assert resource_of(map_one(data, HIS))["status"] == "revoked"


def test_an_order_that_does_not_say_of_what_is_quarantined() -> None:
    fact = map_one(message(msh("ORM^O01"), pid(), "ORC|CA|P1"), HIS)
    assert (fact.place, fact.reason, fact.field) == ("ORC[1]", "STRUCTURE", "ORC-2")


def test_observations_beside_an_order_are_no_results() -> None:
    data = message(msh("OML^O21"), pid(), "ORC|NW|P1", "OBR|1|P1||CBC^^99PUMCH", "OBX|1|NM|PLT||38")
    facts = map_bytes(data, HIS)
    assert [(fact.place, fact.outcome) for fact in facts] == [
        ("OBR[1]", None),
        ("OBX[1]", "not-collected"),
    ]


def test_what_could_not_be_done_changes_no_order() -> None:
    fact = map_one(rde(control="UC"), HIS)
    assert (fact.outcome, fact.detail) == ("not-recorded", "ORC-1 UC: changes no order")


def test_two_orders_of_one_number_in_one_message_are_not_confused() -> None:
    data = message(
        msh("RDE^O11"),
        pid(),
        *("ORC|NW|P1", f"RXE||{TABLET}|2||mg", "ORC|NW|P1", f"RXE||{TABLET}|1||mg"),
    )
    first, second = map_bytes(data, HIS)
    assert first.candidate is not None
    assert (second.reason, second.field) == ("WEAK_KEY_CONFLICT", "ORC[2]-2")
