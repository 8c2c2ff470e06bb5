"""Resources → trial rows: clinical time, canonical values, corrections and deletions.
https://hl7.org/fhir/R4/datatypes.html
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from app.fhir import Change, Json, Moment, parse_json
from app.trial import build_projection, load_protocol
from app.trial.clinical_time import parse_clinical_time
from app.trial.codes import (
    ACTIVITY,
    ADVERSE_EVENT_BACKPORT,
    AGE_AT_CONSENT,
    CANONICAL_QUANTITY,
    DIAGNOSES,
    MEDICATION_ID,
    REVIEW,
    SERIOUSNESS,
    VISITS,
)
from app.trial.projection import CLOSE, INSERT
from app.trial.trial_rows import build_context, project_resource
from tests.trial_support import CALLER, ZONE

PROTOCOL = load_protocol()
CONTEXT = build_context(PROTOCOL, ZONE)
T1 = datetime(2020, 1, 1, tzinfo=UTC)
UCUM = "http://unitsofmeasure.org"
LOINC = "http://loinc.org"


def rows(resource: Json) -> dict[str, Any]:
    return {row.table: row.values for row in project_resource(resource, CONTEXT)}


def quantity(value: Any, code: str | None = "10*9/L", **more: Any) -> Json:
    coded = {"system": UCUM, "code": code} if code else {}
    return {"value": value, "unit": code or "as sent", **coded, **more}


def platelets(value: Any = None, loinc: str = "777-3", **elements: Any) -> Json:
    return {
        "resourceType": "Observation",
        "id": "p1",
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": loinc}]},
        "subject": {"reference": "Patient/SSCI-001"},
        "effectiveDateTime": "2019-03-14T08:30:00+08:00",
        **({"valueQuantity": value} if value else {}),
        **elements,
    }


# Time


@pytest.mark.parametrize(
    ("text", "begin", "end", "precision", "day"),
    [
        ("2019", "2018-12-31T16:00", "2019-12-31T16:00", "year", None),
        ("2019-03", "2019-02-28T16:00", "2019-03-31T16:00", "month", None),
        ("2019-03-14", "2019-03-13T16:00", "2019-03-14T16:00", "day", "2019-03-14"),
        ("2019-03-14T08:30:00", "2019-03-14T00:30", "2019-03-14T00:30:01", "second", "2019-03-14"),
        ("2019-03-14T20:00:00Z", "2019-03-14T20:00", "2019-03-14T20:00:01", "second", "2019-03-15"),
        (
            "2019-03-14T08:30:00.5+08:00",
            "2019-03-14T00:30:00.5",
            "2019-03-14T00:30:00.6",
            "millisecond",
            "2019-03-14",
        ),
        ("2019-03-14T08:30-05:00", "2019-03-14T13:30", "2019-03-14T13:31", "minute", "2019-03-14"),
    ],
)
def test_a_time_is_an_interval_read_in_the_trials_zone(
    text: str, begin: str, end: str, precision: str, day: str | None
):
    time = parse_clinical_time(text, ZONE)
    assert time is not None
    assert time.columns == (
        datetime.fromisoformat(begin).replace(tzinfo=UTC),
        datetime.fromisoformat(end).replace(tzinfo=UTC),
        precision,
        date.fromisoformat(day) if day else None,
    )


@pytest.mark.parametrize("text", ["yesterday", "2019-02-30", "", None, 2019, "0000", "2019-13"])
def test_what_is_no_time_gives_none(text: object):
    assert parse_clinical_time(text, ZONE) is None


def test_a_period_is_as_precise_as_its_start_and_may_be_open():
    closed = {"start": "2019-03-14", "end": "2019-03-16"}
    encounter = {
        "resourceType": "Encounter",
        "status": "finished",
        "type": [{"coding": [{"system": VISITS, "code": "M1"}]}],
        "subject": {"reference": "Patient/SSCI-001"},
    }
    found = rows(encounter | {"period": closed})["visit"]
    still = rows(encounter | {"period": {"start": "2019-03-14"}})["visit"]
    assert found["clinical_to"] - found["clinical_from"] == timedelta(days=3)
    assert (found["visit"], found["precision"]) == ("M1", "day")
    assert still["clinical_to"] is None
    assert rows(encounter | {"period": {"end": "2019-03-14"}})["visit"]["clinical_from"] is None


def test_a_result_without_a_time_keeps_its_row():
    given = platelets(quantity(30))
    del given["effectiveDateTime"]
    found = rows(given)["measurement"]
    assert (found["value"], found["clinical_from"], found["precision"]) == (30, None, None)


# Values


def test_a_value_keeps_its_digits():
    given = parse_json(b'{"resourceType":"Observation","v":{"value":8.60}}')
    value = rows(platelets(quantity(given["v"]["value"])))["measurement"]["value"]
    assert str(value) == "8.60"


@pytest.mark.parametrize(
    ("value", "code", "canonical"),
    [
        (30, "10*9/L", Decimal(30)),
        (30, "10*3/uL", Decimal(30)),
        (30000, "/uL", Decimal(30)),
        (3, "10*4/uL", Decimal(30)),
        (Decimal("0.3"), "10*11/L", Decimal(30)),
    ],
)
def test_a_ucum_unit_is_converted_exactly(value: Any, code: str, canonical: Decimal):
    found = rows(platelets(quantity(value, code)))["measurement"]
    assert (found["value"], found["unit"]) == (canonical, "10*9/L")


@pytest.mark.parametrize("code", ["G/L", "K/uL", "mg/L", None])
def test_a_unit_without_an_exact_factor_gives_no_value(code: str | None):
    found = rows(platelets(quantity(30, code)))["measurement"]
    assert (found["value"], found["unit"]) == (None, code or "as sent")


def test_a_unit_code_of_another_system_is_not_taken_for_ucum():
    given = quantity(30) | {"system": "urn:local"}
    assert rows(platelets(given))["measurement"]["value"] is None


def test_the_canonical_quantity_beside_the_sent_one_is_taken():
    beside = {"url": CANONICAL_QUANTITY, "valueQuantity": quantity(30)}
    on_resource = platelets(quantity(3, None, unit="万/μL"), extension=[beside])
    on_value = platelets(quantity(3, None, unit="万/μL", extension=[beside]))
    assert rows(on_resource)["measurement"]["value"] == 30
    assert rows(on_value)["measurement"]["value"] == 30


def test_the_comparator_of_the_sent_value_counts_beside_a_canonical_one():
    beside = {"url": CANONICAL_QUANTITY, "valueQuantity": quantity(20)}
    given = platelets(quantity(2, None, comparator="<"), extension=[beside])
    assert rows(given)["measurement"]["comparator"] == "<"


def test_what_the_analyser_or_a_reviewer_doubts_is_told():
    tags = [{"system": REVIEW, "code": "analytic-suspect"}]
    found = rows(platelets(quantity(30), meta={"tag": tags}))["measurement"]
    assert (found["analytic_suspect"], found["scale_suspect"]) == (True, False)


def test_an_absent_value_is_told_with_its_reason():
    reason = {"coding": [{"system": "x", "code": "unsatisfactory"}], "text": "clumped"}
    found = rows(platelets(dataAbsentReason=reason))["measurement"]
    assert (found["value"], found["data_absent_reason"]) == (None, "unsatisfactory")
    assert (
        rows(platelets(dataAbsentReason={"text": "see note"}))["measurement"]["data_absent_reason"]
        == "text-only"
    )


@pytest.mark.parametrize("loinc", ["74775-8", "49497-1", "6690-2"])
def test_a_test_that_does_not_count_gives_no_row(loinc: str):
    assert rows(platelets(quantity(30), loinc)) == {}


def test_an_uncounted_code_beside_a_counted_one_keeps_the_result_out():
    both = [{"system": LOINC, "code": code} for code in ("777-3", "74775-8")]
    assert rows(platelets(quantity(30), code={"coding": both})) == {}


@pytest.mark.parametrize(
    "subject",
    [
        None,
        {"reference": "Group/g"},
        {"reference": "https://elsewhere.example/Patient/SSCI-001"},
        {"identifier": {"value": "SSCI-001"}},
        {"reference": "#p"},
    ],
)
def test_a_result_of_nobody_here_gives_no_row(subject: Any):
    given = platelets(quantity(30))
    del given["subject"]
    assert rows(given | ({"subject": subject} if subject else {})) == {}


@pytest.mark.parametrize("status", ["entered-in-error", "cancelled", "registered", "preliminary"])
def test_a_status_that_does_not_count_keeps_its_row(status: str):
    assert rows(platelets(quantity(30), status=status))["measurement"]["status"] == status


# Other tables


def test_a_sirolimus_trough_is_a_measurement_in_ng_per_ml():
    found = rows(platelets(quantity(1, "ug/dL"), "29247-4"))["measurement"]
    assert (found["kind"], found["value"], found["unit"]) == ("sirolimus", 10, "ng/mL")


def dose(**elements: Any) -> Json:
    return {
        "resourceType": "MedicationAdministration",
        "id": "d1",
        "status": "completed",
        "subject": {"reference": "Patient/SSCI-001"},
        "effectiveDateTime": "2019-03-14",
        "dosage": {"dose": quantity(2, "mg")},
        **elements,
    }


RXNORM = {"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "35302"}


@pytest.mark.parametrize(
    "medication",
    [
        {"medicationCodeableConcept": {"coding": [RXNORM]}},
        {
            "medicationCodeableConcept": {
                "coding": [{"system": "http://www.whocc.no/atc", "code": "L04AA10"}]
            }
        },
        {"medicationReference": {"reference": "Medication/sirolimus"}},
        {
            "contained": [{"resourceType": "Medication", "id": "m", "code": {"coding": [RXNORM]}}],
            "medicationReference": {"reference": "#m"},
        },
    ],
)
def test_sirolimus_is_a_dose_however_it_is_named(medication: Json):
    found = rows(dose(**medication))["dose"]
    assert (found["amount"], found["unit"], found["precision"]) == (2, "mg", "day")


@pytest.mark.parametrize(
    "medication",
    [
        {"medicationCodeableConcept": {"text": "sirolimus"}},
        {"medicationCodeableConcept": {"coding": [RXNORM | {"code": "8640"}]}},
        {"medicationReference": {"reference": "Medication/other"}},
        {},
    ],
)
def test_another_drug_or_a_bare_word_is_no_dose(medication: Json):
    assert rows(dose(**medication)) == {}


def test_a_dose_in_another_mass_unit_is_converted_and_a_tablet_is_not():
    given = {"medicationReference": {"reference": "Medication/sirolimus"}}
    micrograms = rows(dose(**given, dosage={"dose": quantity(500, "ug")}))["dose"]
    tablets = rows(dose(**given, dosage={"dose": quantity(2, "{tbl}")}))["dose"]
    assert micrograms["amount"] == Decimal("0.5")
    assert (tablets["amount"], tablets["unit"]) == (None, "{tbl}")


def test_an_adverse_event_is_read_by_the_research_backport():
    criteria = {
        "url": f"{ADVERSE_EVENT_BACKPORT}/seriousness-criteria",
        "extension": [
            {"url": "criterionCode", "valueCodeableConcept": {"coding": [{"code": "C84266"}]}},
            {"url": "criterionPresent", "valueBoolean": True},
        ],
    }
    relatedness = {"url": "entityRelatedness", "valueCodeableConcept": {"coding": [{"code": "R"}]}}
    suspect = {
        "url": f"{ADVERSE_EVENT_BACKPORT}/suspect-entity",
        "extension": [{"url": "causality", "extension": [relatedness]}],
    }
    grade = {
        "url": f"{ADVERSE_EVENT_BACKPORT}/ae-grade",
        "valueCodeableConcept": {"coding": [{"code": "3"}]},
    }
    outcome = "http://terminology.hl7.org/CodeSystem/adverse-event-outcome"
    found = rows(
        {
            "resourceType": "AdverseEvent",
            "id": "a1",
            "actuality": "actual",
            "subject": {"reference": "Patient/SSCI-001"},
            "date": "2019-03-14",
            "event": {"coding": [{"code": "x", "display": "Pneumonia"}]},
            "seriousness": {"coding": [{"system": SERIOUSNESS, "code": "serious"}]},
            "outcome": {"coding": [{"code": "C49494"}, {"system": outcome, "code": "resolved"}]},
            "extension": [criteria, suspect, grade],
            "modifierExtension": [
                {"url": f"{ADVERSE_EVENT_BACKPORT}/status", "valueCode": "completed"}
            ],
        }
    )["adverse_event"]
    names = ("status", "term", "serious", "seriousness_criteria", "grade", "outcome", "causality")
    assert [found[name] for name in names] == [
        "completed",
        "Pneumonia",
        True,
        ["C84266"],
        3,
        "resolved",
        "R",
    ]


def test_an_activity_score_is_told_with_its_platelet_item():
    found = rows(
        {
            "resourceType": "Observation",
            "id": "s1",
            "status": "final",
            "code": {"coding": [{"system": ACTIVITY, "code": "SLEDAI-2K"}]},
            "subject": {"reference": "Patient/SSCI-001"},
            "effectiveDateTime": "2019-03-14",
            "valueQuantity": {"value": 8},
            "component": [
                {
                    "code": {"coding": [{"system": ACTIVITY, "code": "platelet-item"}]},
                    "valueInteger": 1,
                }
            ],
        }
    )["activity_score"]
    assert (found["kind"], found["value"], found["platelet_item"]) == ("SLEDAI-2K", 8, 1)


def test_a_research_subject_is_told_with_consent_and_age():
    age = {"url": AGE_AT_CONSENT, "valueQuantity": {"value": 38, "code": "a"}}
    found = rows(
        {
            "resourceType": "ResearchSubject",
            "id": "SSCI-001",
            "extension": [age],
            "status": "on-study",
            "period": {"start": "2017-09-01"},
            "study": {"reference": "ResearchStudy/SSCI"},
            "individual": {"reference": "Patient/SSCI-001"},
        }
    )["subject"]
    assert (
        found["study"],
        found["age_at_consent"],
        found["clinical_date"],
        found["synthetic"],
    ) == (
        "SSCI",
        38,
        date(2017, 9, 1),
        False,
    )


def test_only_a_disease_of_the_protocol_is_a_diagnosis():
    condition = {
        "resourceType": "Condition",
        "id": "c1",
        "subject": {"reference": "Patient/SSCI-001"},
        "code": {"coding": [{"system": DIAGNOSES, "code": "SLE"}]},
    }
    unknown = {"coding": [{"system": DIAGNOSES, "code": "COLD"}]}
    assert rows(condition)["diagnosis"]["code"] == "SLE"
    assert rows(condition | {"code": unknown}) == {}


def test_other_types_give_no_rows():
    assert rows({"resourceType": "Basic", "id": "b1"}) == {}


@pytest.mark.parametrize("broken", [None, "x", 5, [], {}, [{}], ["x"], {"coding": "x"}, [None]])
@pytest.mark.parametrize("element", ["code", "subject", "valueQuantity", "meta", "extension"])
def test_an_unexpected_shape_never_fails(element: str, broken: Any):
    found = rows(platelets(quantity(30)) | {element: broken})
    assert set(found) <= {"measurement"}


# Changes


def change(kind: Any, version: int, after: Json | None, minute: int = 0) -> Change:
    at = T1 + timedelta(minutes=minute)
    return Change(kind, "Observation", "p1", version, at, None, after, b"")


def statements(*changes: Change) -> list[tuple[str, list[tuple[Any, ...]]]]:
    contribute = build_projection(PROTOCOL, ZONE)
    made = contribute(CALLER, changes, Moment(1, changes[0].last_updated))
    return [(each.sql, list(each.rows)) for each in made]


def test_a_new_resource_inserts_one_current_row():
    [(sql, [row])] = statements(change("create", 1, platelets(quantity(30))))
    assert sql == INSERT["measurement"]
    assert row[:4] == ("Observation", "p1", 1, "SSCI-001")
    assert row[-2:] == (T1, None)


def test_a_correction_closes_the_version_before_and_opens_its_own():
    made = statements(change("update", 2, platelets(quantity(83)), minute=5))
    later = T1 + timedelta(minutes=5)
    closed = [("Observation", "p1", 2, later)]
    assert (CLOSE["measurement"], closed) in made
    inserted = [rows for sql, rows in made if sql == INSERT["measurement"]]
    assert [row[2:4] + row[-2:] for [row] in inserted] == [(2, "SSCI-001", later, None)]


def test_closing_comes_before_opening():
    made = [sql for sql, _ in statements(change("update", 2, platelets(quantity(83))))]
    assert made.index(CLOSE["measurement"]) < made.index(INSERT["measurement"])


def test_a_deletion_closes_and_opens_nothing():
    made = [sql for sql, _ in statements(change("delete", 2, None))]
    tables = ("measurement", "activity_score", "bleeding")
    assert sorted(made) == sorted(CLOSE[table] for table in tables)


def test_a_correction_that_is_no_longer_of_the_trial_only_closes():
    made = [sql for sql, _ in statements(change("update", 2, platelets(quantity(1), "6690-2")))]
    assert CLOSE["measurement"] in made
    assert not [sql for sql in made if sql.startswith("INSERT")]


def test_what_is_unchanged_writes_nothing():
    assert statements(change("unchanged", 1, platelets(quantity(30)))) == []


def test_many_changes_are_one_statement_per_table():
    made = statements(*(change("create", 1, platelets(quantity(n))) for n in range(50)))
    assert [len(rows) for _, rows in made] == [50]


DAILY: Json = {"frequency": 1, "period": 1, "periodUnit": "d"}


@pytest.mark.parametrize(
    ("more", "daily"),
    [
        ({}, Decimal(2)),
        ({"asNeededBoolean": True}, None),
        ({"timing": {"repeat": {**DAILY, "count": 1}}}, None),
        ({"timing": {"repeat": {**DAILY, "when": ["ACM"]}}}, Decimal(2)),
    ],
)
def test_a_dose_as_needed_or_a_number_of_times_has_no_amount_a_day(
    more: Json, daily: Decimal | None
) -> None:
    dose = {"doseQuantity": {"value": 2, "unit": "mg", "system": UCUM, "code": "mg"}}
    prescribed = {
        "resourceType": "MedicationRequest",
        "status": "active",
        "subject": {"reference": "Patient/SSCI-001"},
        "medicationReference": {"reference": f"Medication/{MEDICATION_ID}"},
        "dosageInstruction": [{"timing": {"repeat": DAILY}, "doseAndRate": [dose], **more}],
    }
    assert rows(prescribed)["treatment"]["daily_mg"] == daily
