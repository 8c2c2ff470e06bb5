"""Case report forms over HTTP: documented records in, resources and trial rows out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from app.database import Database
from app.fhir import dump_json
from app.mappings import Feeds, TrialDirectory
from app.mappings.crf.forms import forms
from app.mappings.crf.schema import write_template
from tests.crf_support import CRF, as_csv, as_json, record
from tests.feed_support import FEED_KEYS, Clock, Hospital, hospital, site
from tests.fhir_support import fhir_client
from tests.trial_support import (
    KEYS,
    open_trial,
    person,
    routes_client,
    trial_client,
    trial_store,
)

SUBJECT_FORMS = [name for name in forms() if name != "disposition"]
FHIR_JSON = {"content-type": "application/fhir+json"}


@pytest.fixture
async def site_staff(database: Database) -> AsyncIterator[Hospital]:
    """The service with two enrolled subjects, found as in production."""
    async with trial_client(open_trial(database)) as client:
        for number in (1, 2):
            answer = await client.post("/trial/subjects", json=person(number))
            assert answer.status_code == 201, answer.text
    store = trial_store(database)
    feeds = Feeds(database, store, site(), FEED_KEYS, TrialDirectory(KEYS), now=Clock())
    async with hospital(database, feeds, store) as opened:
        yield opened


async def send(staff: Hospital, body: bytes, kind: str = "json") -> list[dict[str, Any]]:
    """The facts of one delivery."""
    media_type = "application/json" if kind == "json" else "text/csv"
    answer = await staff.client.post(
        f"/feeds/{CRF}/{kind}", content=body, headers={"content-type": media_type}
    )
    assert answer.status_code == 200, answer.text
    (receipt,) = answer.json()["messages"]
    return list(receipt["facts"])


async def send_one(staff: Hospital, form: str, **changes: Any) -> dict[str, Any]:
    (fact,) = await send(staff, as_json(record(form, **changes)))
    return fact


def outcomes(facts: Sequence[dict[str, Any]]) -> list[str]:
    return [fact["outcome"] for fact in facts]


async def versions(staff: Hospital) -> int:
    kinds = ("AdverseEvent", "Observation", "MedicationAdministration", "MedicationStatement")
    more = ("MedicationRequest", "Encounter", "ResearchSubject", "Consent", "Group")
    return sum([await staff.count(kind) for kind in (*kinds, *more)])


async def rows(staff: Hospital, sql: str) -> list[tuple[Any, ...]]:
    async with staff.database.reading() as connection:
        return [tuple(row) for row in await connection.fetch(sql)]


ALL = [record(name) for name in forms()]


@pytest.mark.parametrize(("body", "kind"), [(as_json(*ALL), "json"), (as_csv(ALL), "csv")])
async def test_every_form_is_stored_and_sent_again_it_changes_nothing(
    site_staff: Hospital, body: bytes, kind: str
) -> None:
    before = await versions(site_staff)
    facts = await send(site_staff, body, kind)
    assert outcomes(facts) == ["stored"] * len(forms()), facts
    after = await versions(site_staff)
    assert after == before + len(forms()) + 2  # Consent and cohort come with the disposition
    await send(site_staff, body, kind)
    again = await send(site_staff, body + b"\r\n", kind)
    assert outcomes(again) == ["unchanged"] * len(forms())
    assert await versions(site_staff) == after
    assert await site_staff.count("Provenance") == 1


async def test_json_and_a_table_name_the_same_record(site_staff: Hospital) -> None:
    first = await send(site_staff, as_json(*ALL))
    again = await send(site_staff, as_csv(ALL, ";", "gb18030"), "csv")
    assert outcomes(again) == ["unchanged"] * len(forms()), again
    assert [each["resource"] for each in again] == [each["resource"] for each in first]


@pytest.mark.parametrize("form", SUBJECT_FORMS)
async def test_what_is_stored_is_valid_fhir(
    site_staff: Hospital, database: Database, form: str
) -> None:
    fact = await send_one(site_staff, form)
    resource = await site_staff.read(fact["resource"].split("/_history/")[0])
    async with fhir_client(site_staff.store) as client:
        kind = resource["resourceType"]
        answer = await client.post(
            f"{kind}/$validate", content=dump_json(resource), headers=FHIR_JSON
        )
    issues = [each for each in answer.json()["issue"] if each["severity"] != "information"]
    assert issues == []


async def test_a_monitor_finds_the_bytes_of_a_record(site_staff: Hospital) -> None:
    body = as_csv([record("bleeding"), record("bleeding", record=2, grade=2)])
    facts = await send(site_staff, body, "csv")
    second = facts[1]
    told = body[second["byte_start"] : second["byte_end"]]
    assert second["position"] == "row[3]"
    assert told.startswith(b"bleeding,SSCI-001,2")


# Trial rows


async def test_every_record_has_its_trial_row(site_staff: Hospital) -> None:
    await send(site_staff, as_json(*ALL))
    assert await rows(
        site_staff,
        "SELECT subject, term, soc, grade, grading, serious, causality, expected, outcome, action,"
        " status, clinical_date::text, resolved::text FROM trial.adverse_event",
    ) == [
        (
            *("SSCI-001", "Mucositis oral", "Gastrointestinal disorders", 2, "5.0", False),
            *("possibly-related", True, "resolved", "dose-not-changed", "completed"),
            *("2019-03-02", "2019-03-12"),
        )
    ]
    assert await rows(
        site_staff, "SELECT kind, value, platelet_item, status FROM trial.activity_score"
    ) == [("SLEDAI-2K", 7, 1, "final")]
    assert await rows(site_staff, "SELECT assessed, grade, sites FROM trial.bleeding") == [
        (True, 1, ["skin", "oral"])
    ]
    assert await rows(
        site_staff,
        "SELECT kind, class, drug, status, amount, unit, daily_mg, prednisone_mg"
        " FROM trial.treatment ORDER BY kind",
    ) == [
        ("background", "steroid", "prednisone", "active", 10, "mg", 10, 10),
        ("prescribed", "study-medication", "sirolimus", "completed", 2, "mg", 2, None),
        ("rescue", "ivig", "ivig", "completed", 20, "g", None, None),
    ]
    assert await rows(site_staff, "SELECT amount, source, total, status FROM trial.dose") == [
        (1, "diary", None, "completed")
    ]
    assert await rows(site_staff, "SELECT visit, status, clinical_date::text FROM trial.visit") == [
        ("M1", "finished", "2019-03-14")
    ]
    assert await rows(
        site_staff,
        "SELECT status, reason, ended::text FROM trial.subject"
        " WHERE subject = 'SSCI-001' AND upper_inf(system)",
    ) == [("withdrawn", "lost-to-follow-up", "2019-03-14")]


async def test_a_pill_count_is_a_total_and_no_dose(site_staff: Hospital) -> None:
    count = {"source": "pill-count", "taken": None, "dose_mg": None, "end": "2019-03-13"}
    tablets = {"start": "2019-02-12", "dispensed": 30, "returned": 2, "tablet_mg": 1}
    await send_one(site_staff, "home-dose", **count, **tablets)
    assert await rows(site_staff, "SELECT amount, source, total FROM trial.dose") == [
        (None, "pill-count", 28)
    ]


# Corrections

LATER = "2019-03-14T11:00:00+08:00"
LATEST = "2019-03-14T11:30:00+08:00"


@pytest.mark.parametrize("form", SUBJECT_FORMS)
async def test_a_deletion_leaves_the_record_entered_in_error(
    site_staff: Hospital, form: str
) -> None:
    await send_one(site_staff, form)
    head = {name: record(form)[name] for name in ("form", "subject", "record")}
    (fact,) = await send(site_staff, as_json({**head, "action": "delete", "recorded": LATER}))
    assert (fact["outcome"], fact["resource"].endswith("/2")) == ("stored", True)
    resource = await site_staff.read(fact["resource"])
    modifiers = [each["valueCode"] for each in resource.get("modifierExtension", [])]
    assert [resource.get("status"), *modifiers][-1] == "entered-in-error"
    (again,) = await send(
        site_staff,
        as_json(
            {**head, "action": "delete", "recorded": LATER},
        ),
    )
    assert again["resource"] == fact["resource"]


ORDERS = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("form", "first", "second"),
    [
        ("adverse-event", {"grade": 3}, {"grade": 1}),
        ("bleeding", {"grade": 2}, {"grade": 3}),
        ("home-dose", {"dose_mg": 2}, {"dose_mg": 3}),
        ("concomitant-treatment", {"daily_mg": 20}, {"daily_mg": 5}),
        ("prescription", {"daily_mg": 3}, {"daily_mg": 4}),
        ("visit", {"visit": "M2"}, {"visit": "M4"}),
    ],
)
async def test_the_latest_record_counts_in_whatever_order_they_come(
    site_staff: Hospital, form: str, first: dict[str, Any], second: dict[str, Any], order: Any
) -> None:
    sent = [
        record(form),
        record(form, action="correct", recorded=LATER, **first),
        record(form, action="correct", recorded=LATEST, **second),
    ]
    for place in order:
        await send(site_staff, as_json(sent[place]))
    await site_staff.feeds.process_pending()
    (fact,) = await send(site_staff, as_json(sent[2]) + b" ")
    assert fact["outcome"] == "unchanged"
    stored = await site_staff.read(fact["resource"].split("/_history/")[0])
    ((name, value),) = second.items()
    assert str(value) in dump_json(stored).decode(), name
    other = next(iter(first.values()))
    assert f'"code":"{other}"' not in dump_json(stored).decode()


async def test_a_correction_needs_its_original(site_staff: Hospital) -> None:
    fact = await send_one(site_staff, "bleeding", action="correct")
    assert (fact["outcome"], fact["reason"]) == ("quarantined", "CORRECTION_WITHOUT_ORIGINAL")
    assert fact["field"] == "/records/0/action"


async def test_the_first_day_of_record_survives_a_correction(site_staff: Hospital) -> None:
    fact = await send_one(site_staff, "adverse-event", recorded="2019-03-12", end=None)
    assert fact["reason"] is None, fact
    again = await send_one(site_staff, "adverse-event", action="correct", grade=3, recorded=LATER)
    assert (await site_staff.read(again["resource"]))["recordedDate"] == "2019-03-12"


async def test_versions_of_a_record_in_one_table_come_to_the_latest(site_staff: Hospital) -> None:
    sent = [
        record("bleeding", action="correct", grade=3, recorded=LATEST),
        record("bleeding"),
        record("bleeding", action="correct", grade=2, recorded=LATER),
        {**record("visit", recorded=LATER), "action": "delete"},
        record("visit"),
    ]
    facts = await send(site_staff, as_csv(sent), "csv")
    assert outcomes(facts) == ["stored", "superseded", "superseded", "stored", "superseded"]
    assert (await site_staff.read(facts[0]["resource"]))["valueInteger"] == 3
    assert (await site_staff.read(facts[3]["resource"]))["status"] == "entered-in-error"


async def test_of_the_same_moment_the_higher_version_counts(site_staff: Hospital) -> None:
    await send_one(site_staff, "bleeding", version=1)
    third = await send_one(site_staff, "bleeding", action="correct", version=3, grade=3)
    second = await send_one(site_staff, "bleeding", action="correct", version=2, grade=2)
    assert (third["outcome"], second["outcome"]) == ("stored", "superseded")


# Participation


async def participation(staff: Hospital) -> tuple[Any, ...]:
    subject = await staff.read("ResearchSubject/SSCI-001")
    consent = await staff.read("Consent/SSCI-001-consent")
    cohort = await staff.read("Group/SSCI-enrolled")
    member = cohort["member"][0]
    return (
        *(subject["status"], subject["period"].get("end"), consent["status"]),
        *(member.get("inactive"), member.get("period", {}).get("end")),
    )


async def test_a_disposition_ends_participation_everywhere(site_staff: Hospital) -> None:
    await send_one(site_staff, "disposition", reason="consent-withdrawn")
    end = "2019-03-14"
    assert await participation(site_staff) == ("withdrawn", end, "inactive", True, end)


async def test_another_end_is_refused_until_it_is_a_correction(site_staff: Hospital) -> None:
    await send_one(site_staff, "disposition")
    other = {"status": "completed", "reason": "follow-up-completed", "date": "2019-03-13"}
    refused = await send_one(site_staff, "disposition", **other, recorded=LATER)
    assert (refused["outcome"], refused["reason"]) == ("quarantined", "OUT_OF_ORDER")
    before = await participation(site_staff)
    corrected = await send_one(
        site_staff, "disposition", **other, recorded=LATEST, action="correct"
    )
    assert before[0] == "withdrawn"
    assert corrected["outcome"] == "stored"
    assert await participation(site_staff) == (
        *("off-study", "2019-03-13", "active", True, "2019-03-13"),
    )


async def test_a_deleted_end_is_none(site_staff: Hospital) -> None:
    begun = await participation(site_staff)
    await send_one(site_staff, "disposition", reason="consent-withdrawn")
    head = {"form": "disposition", "subject": "SSCI-001", "record": 1, "recorded": LATER}
    (fact,) = await send(site_staff, as_json({**head, "action": "delete"}))
    assert fact["outcome"] == "stored"
    assert await participation(site_staff) == begun
    (older,) = await send(site_staff, as_json(record("disposition", reason="other")))
    assert older["outcome"] == "superseded"
    assert await participation(site_staff) == begun


async def test_ends_of_several_subjects_in_one_table(site_staff: Hospital) -> None:
    both = [record("disposition"), record("disposition", subject="SSCI-002")]
    assert outcomes(await send(site_staff, as_csv(both), "csv")) == ["stored", "stored"]
    cohort = await site_staff.read("Group/SSCI-enrolled")
    assert [each.get("inactive") for each in cohort["member"]] == [True, True]


# Who, what


async def test_an_unknown_subject_number_waits_and_nothing_is_stored(
    site_staff: Hospital, database: Database
) -> None:
    before = await versions(site_staff)
    fact = await send_one(site_staff, "bleeding", subject="SSCI-003")
    assert (fact["outcome"], fact["reason"], fact["field"]) == (
        *("waiting", "PATIENT_UNKNOWN", "/records/0/subject"),
    )
    assert (fact["code"], fact["subject"]) == ("", None)
    assert await versions(site_staff) == before


async def test_a_record_that_came_before_enrolment_is_taken_up(site_staff: Hospital) -> None:
    early = await send_one(site_staff, "bleeding", subject="SSCI-003")
    assert early["outcome"] == "waiting"
    replay = site_staff.feeds.replay_waiting
    trial = replace(open_trial(site_staff.database), replay=replay)
    async with routes_client(trial) as client:
        answer = await client.post("/trial/subjects", json=person(3))
        assert answer.json()["number"] == "SSCI-003"
    assert await rows(site_staff, "SELECT subject, grade FROM trial.bleeding") == [("SSCI-003", 1)]


async def test_what_a_data_capture_system_asks_for_is_found(site_staff: Hospital) -> None:
    await send(site_staff, as_json(*ALL))
    patient = "Patient/SSCI-001"
    questions = [
        f"AdverseEvent?study=ResearchStudy/SSCI&subject={patient}",
        f"Encounter?patient={patient}&date=ge2019-03-01&date=le2019-03-31",
        f"MedicationRequest?patient={patient}&status=completed",
        f"MedicationStatement?patient={patient}&status=active",
    ]
    async with fhir_client(site_staff.store) as client:
        for question in questions:
            answer = await client.get(f"/{question}" if client.base_url.path == "/" else question)
            assert answer.status_code == 200, answer.text
            assert len(answer.json()["entry"]) == 1, question


async def test_one_bad_row_holds_back_none_of_the_others(site_staff: Hospital) -> None:
    body = as_csv([record("bleeding", grade=9), record("bleeding", record=2)])
    facts = await send(site_staff, body, "csv")
    assert outcomes(facts) == ["quarantined", "stored"]
    assert (facts[0]["reason"], facts[0]["field"]) == ("VALUE_IMPLAUSIBLE", "grade")


async def test_a_readable_record_settles_the_one_that_was_not(site_staff: Hospital) -> None:
    await send_one(site_staff, "bleeding", grade=9)
    await send_one(site_staff, "bleeding", recorded=LATER)
    answer = await site_staff.client.get(f"/feeds/{CRF}/quarantine")
    assert answer.json()["facts"] == []


@pytest.mark.parametrize("form", list(forms()))
async def test_a_template_is_the_table_that_is_read(site_staff: Hospital, form: str) -> None:
    answer = await site_staff.client.get(f"/feeds/{CRF}/csv/template", params={"form": form})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/csv")
    header = answer.content
    assert write_template(form, example=True).encode().startswith(header)


@pytest.mark.parametrize("query", ["", "?form=", "?form=unheard-of"])
async def test_a_template_of_no_form_is_refused(site_staff: Hospital, query: str) -> None:
    answer = await site_staff.client.get(f"/feeds/{CRF}/csv/template{query}")
    assert 400 <= answer.status_code < 500


async def test_the_feed_takes_case_report_forms_alone(site_staff: Hospital) -> None:
    sent = {"content-type": "text/plain"}
    answer = await site_staff.client.post(f"/feeds/{CRF}/hl7v2", content=b"MSH|", headers=sent)
    assert answer.status_code == 404
    for path in ("/feeds/pumch-lis/crf-json", "/feeds/pumch-crf/crf-csv"):
        assert (await site_staff.client.post(path, content=b"{}")).status_code == 404


async def test_what_is_no_table_and_no_json_is_refused_and_kept(site_staff: Hospital) -> None:
    for body, kind, media in ((b"\0\1", "csv", "text/csv"), (b"[1", "json", "application/json")):
        answer = await site_staff.client.post(
            f"/feeds/{CRF}/{kind}", content=body, headers={"content-type": media}
        )
        assert answer.status_code == 400, answer.text
    listing = await site_staff.client.get(f"/feeds/{CRF}/messages")
    assert len(listing.json()["messages"]) == 2
