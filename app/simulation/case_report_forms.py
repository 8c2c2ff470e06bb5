"""A participant's case report forms as the site sends them: JSON, a delivery per day of recording.

Everything follows from what the participant's counts and doses say, with draws of its own, so that
the hospital's messages stay as they are. Adverse events at the rates published for sirolimus.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from random import Random
from typing import Any

from app.simulation.doses import LOADING_DAYS, LOADING_MG, STARTING_MG
from app.simulation.draws import bounded_gauss, seeded
from app.simulation.feeds import Message
from app.simulation.participant import CHINA, PLANNED_VISITS, Participant
from app.simulation.person import RHEUMATOID, SCLERODERMA, SJOGREN, SLE, Response

CRF = "pumch-crf"
CRF_FORMAT = "json"
FOLLOW_UP_DAYS = 30
DIARY_LAST_DAY = 14
TRANSFUSION_DAYS = frozenset({42, 45, 48})
NOT_ASSESSED_SHARE = 0.05
CORRECTED_SHARE = 0.03
MISSED_DOSE_SHARE = 0.03
EVENTS = (
    ("Mucositis oral", 0.30, (1, 2)),
    ("Hyperlipidemia", 0.22, (1, 2)),
    ("Upper respiratory infection", 0.20, (1, 2)),
    ("Lung infection", 0.03, (3,)),
)
"""CTCAE term, share of participants, grades; of grade 3 on the event is serious."""

SLEDAI_ITEMS = (
    *(("low-complement", 2), ("increased-dna-binding", 2), ("rash", 2), ("arthritis", 4)),
    *(("mucosal-ulcers", 2), ("alopecia", 2), ("leukopenia", 1), ("fever", 1)),
)
ESSDAI_ITEMS = (("biological", 1), ("articular", 2), ("glandular", 2), ("cutaneous", 3))
SKIN = ("face", "chest", "fingers-right", "fingers-left", "hand-right", "hand-left")
ALL_SKIN = (
    *("face", "chest", "abdomen"),
    *(
        f"{part}-{side}"
        for part in ("fingers", "hand", "forearm", "upper-arm", "thigh", "leg", "foot")
        for side in ("right", "left")
    ),
)

Fields = dict[str, Any]


@dataclass(slots=True)
class Book:
    """The records of one participant; numbers them per form."""

    subject: str
    start: date
    records: list[tuple[date, Fields]]
    numbers: dict[str, int]

    def add(self, form: str, day: int, fields: Mapping[str, Any]) -> Fields:
        """A new record, written on that day."""
        self.numbers[form] = self.numbers.get(form, 0) + 1
        on = self.start + timedelta(days=day)
        record = {
            "form": form,
            "subject": self.subject,
            "record": self.numbers[form],
            "recorded": _at(on).isoformat(),
            **fields,
        }
        self.records.append((on, record))
        return record

    def correct(self, record: Fields, days_later: int, changes: Mapping[str, Any]) -> None:
        moment = datetime.fromisoformat(record["recorded"]) + timedelta(days=days_later)
        told = {"action": "correct", "recorded": moment.isoformat()}
        self.records.append((moment.date(), {**record, **told, **changes}))

    def day(self, day: int) -> str:
        return (self.start + timedelta(days=day)).isoformat()


def build_case_report_forms(participant: Participant, subject: str = "") -> tuple[Message, ...]:
    """All records about a participant in the order of recording; `subject` is the number enrolled
    under, where it is not the cohort's own."""
    person = participant.person
    random = seeded(participant.seed, "case-report-forms", person.number)
    book = Book(subject or person.subject_number, participant.first_dose, [], {})
    _add_visits(random, book, participant)
    _add_treatment(random, book, participant)
    _add_doses(random, book, participant)
    _add_events(random, book, participant)
    _add_disposition(book, participant)
    by_day: dict[date, list[Fields]] = {}
    for on, record in sorted(book.records, key=lambda each: each[0]):
        by_day.setdefault(on, []).append(record)
    return tuple(_deliver(on, records) for on, records in by_day.items())


def _deliver(on: date, records: list[Fields]) -> Message:
    body = json.dumps({"records": records}, ensure_ascii=False, indent=1)
    sent = _at(on) + timedelta(hours=1)
    return Message(CRF, sent, "case-report-forms", body.encode(), CRF_FORMAT)


def _at(on: date) -> datetime:
    return datetime.combine(on, time(16, tzinfo=CHINA))


def _day_of(participant: Participant, moment: datetime) -> int:
    return (moment.date() - participant.first_dose).days


def _counts_by_day(participant: Participant) -> dict[int, int]:
    """The last count of each day, clumped ones left out."""
    sound = [count for count in participant.counts if not count.clumped]
    return {_day_of(participant, count.drawn): count.platelets for count in sound}


def _last_day(participant: Participant) -> int:
    if participant.left_on is not None:
        return (participant.left_on - participant.first_dose).days
    drawn = max(_day_of(participant, count.drawn) for count in participant.counts)
    return max(drawn, *(_day_of(participant, dose.given) for dose in participant.doses))


# Visits, activity, bleeding


def _add_visits(random: Random, book: Book, participant: Participant) -> None:
    counts, last = _counts_by_day(participant), _last_day(participant)
    _add_attended(random, book, participant, "BL", 0, counts.get(0, 30))
    for planned in PLANNED_VISITS:
        if planned.day - planned.tolerance > last:
            break
        days = [day for day in counts if abs(day - planned.day) <= planned.tolerance]
        code = f"M{planned.month}"
        if days:
            day = min(days, key=lambda each: abs(each - planned.day))
            _add_attended(random, book, participant, code, day, counts[day])
        elif planned.day + planned.tolerance <= last:
            day = planned.day + planned.tolerance
            due = {"date": book.day(planned.day)}
            book.add("visit", day, {"visit": code, "status": "missed", **due})


def _add_attended(
    random: Random, book: Book, participant: Participant, code: str, day: int, platelets: int
) -> None:
    book.add("visit", day, {"visit": code, "status": "done", "date": book.day(day)})
    book.add("bleeding", day, _bleeding(random, book.day(day), platelets))
    book.add("activity-score", day, _activity(random, participant, book.day(day), day, platelets))


def _bleeding(random: Random, on: str, platelets: int) -> Fields:
    if random.random() < NOT_ASSESSED_SHARE:
        return {"assessed_on": on, "assessed": False}
    likely = 0.6 if platelets < 20 else 0.15 if platelets < 50 else 0.02
    grade = 0 if random.random() >= likely else random.choice((1, 1, 2))
    sites = {"sites": random.sample(("skin", "oral", "nasal"), grade)} if grade else {}
    return {"assessed_on": on, "assessed": True, "grade": grade, **sites}


def _activity(
    random: Random, participant: Participant, on: str, day: int, platelets: int
) -> Fields:
    """The instrument of the disease; activity falls where sirolimus works."""
    profile = participant.person.profile
    works = profile.response is not Response.NONE
    share = max(0.25, 1 - day / 240) if works else 1.0
    given: Fields = {"assessed_on": on}
    if profile.disease is SLE:
        return given | _sledai(random, share, platelets)
    if profile.disease is SJOGREN:
        return given | _essdai(random, share, platelets)
    if profile.disease is SCLERODERMA:
        return given | _skin_score(random, share)
    if profile.disease is RHEUMATOID:
        return given | {"instrument": "DAS28", "total": round(random.uniform(2.4, 5.1) * share, 2)}
    return given | {"instrument": "PhGA", "total": round(random.uniform(2, 6) * share, 1)}


def _sledai(random: Random, share: float, platelets: int) -> Fields:
    wanted = bounded_gauss(random, 8, 3, 1, 18) * share
    items = _items_worth(random, SLEDAI_ITEMS, wanted)
    if platelets < 100:
        items["thrombocytopenia"] = 1
    return {"instrument": "SLEDAI-2K", "total": sum(items.values()), "items": items}


def _essdai(random: Random, share: float, platelets: int) -> Fields:
    items = _items_worth(random, ESSDAI_ITEMS, random.uniform(2, 8) * share)
    if platelets < 150:
        items["haematological"] = 6 if platelets < 50 else 4 if platelets < 100 else 2
    return {"instrument": "ESSDAI", "total": sum(items.values()), "items": items}


def _items_worth(
    random: Random, items: tuple[tuple[str, int], ...], wanted: float
) -> dict[str, int]:
    found: dict[str, int] = {}
    for item, score in random.sample(items, len(items)):
        if sum(found.values()) + score <= wanted:
            found[item] = score
    return found


def _skin_score(random: Random, share: float) -> Fields:
    items = dict.fromkeys(ALL_SKIN, 0)
    for part in SKIN:
        items[part] = round(random.randint(0, 3) * share)
    return {"instrument": "mRSS", "total": sum(items.values()), "items": items}


# Treatment and doses


def _add_treatment(random: Random, book: Book, participant: Participant) -> None:
    """Prednisone, tapered where sirolimus works, and what else the disease is treated with."""
    daily = random.choice((5.0, 7.5, 10.0, 15.0, 20.0))
    works = participant.person.profile.response is not Response.NONE
    last = _last_day(participant)
    steps = [(-60, daily), *([(61, daily / 2), (150, daily / 4)] if works else [])]
    steps = [(day, dose) for day, dose in steps if day <= last]
    for place, (day, dose) in enumerate(steps):
        following = steps[place + 1][0] if place + 1 < len(steps) else None
        end = {"end": book.day(following - 1)} if following is not None else {}
        drug = {"treatment": "prednisone", "daily_mg": dose}
        known = max(0, following or 0, day)
        book.add("concomitant-treatment", known, {**drug, "start": book.day(day), **end})
    if participant.person.profile.disease in (SLE, SJOGREN):
        taken = {"treatment": "hydroxychloroquine", "daily_mg": 400, "start": book.day(-200)}
        book.add("concomitant-treatment", 0, taken)
    _add_rescue(book, participant)


def _add_rescue(book: Book, participant: Participant) -> None:
    """A transfusion on the day before the count that shows it."""
    for day in sorted(TRANSFUSION_DAYS & _counts_by_day(participant).keys()):
        given = {"treatment": "platelet-transfusion", "amount": 1, "unit": "{unit}"}
        book.add("rescue-treatment", day, {**given, "start": book.day(day - 1)})


def _add_doses(random: Random, book: Book, participant: Participant) -> None:
    """Each regimen as prescribed, and what was taken at home between the observed doses."""
    days = [(_day_of(participant, dose.given), dose.mg) for dose in participant.doses]
    _add_regimens(book, days)
    for (day, mg), (following, _) in pairwise(days):
        if following - day > 1 and following <= DIARY_LAST_DAY:
            _add_diary(
                random, book, mg if day >= LOADING_DAYS else STARTING_MG, range(day + 1, following)
            )
        elif following - day > 1:
            _add_count(random, book, mg if day >= LOADING_DAYS else STARTING_MG, day + 1, following)


def _add_regimens(book: Book, days: list[tuple[int, float]]) -> None:
    """2 mg for three days, 1 mg, then each dose that was seen to differ."""
    changes = [(0, LOADING_MG), (LOADING_DAYS, STARTING_MG)]
    for day, mg in days:
        if day > LOADING_DAYS and mg != changes[-1][1]:
            changes.append((day, mg))
    for place, (day, mg) in enumerate(changes):
        regimen = {"treatment": "sirolimus", "daily_mg": mg, "start": book.day(day)}
        record = book.add("prescription", day, regimen)
        if place + 1 < len(changes):
            following = changes[place + 1][0]
            ended = {"end": book.day(following - 1), "status": "completed"}
            book.correct(record, following - day, ended)


def _add_diary(random: Random, book: Book, mg: float, days: range) -> None:
    for day in days:
        taken = random.random() >= MISSED_DOSE_SHARE
        dose = {"taken": True, "dose_mg": mg} if taken else {"taken": False}
        book.add("home-dose", days.stop, {"source": "diary", "start": book.day(day), **dose})


def _add_count(random: Random, book: Book, mg: float, first: int, counted: int) -> None:
    """Tablets of 1 mg, with a week in reserve."""
    days = range(first, counted)
    missed = sum(random.random() < MISSED_DOSE_SHARE for _ in days)
    dispensed = round(mg * (len(days) + 7))
    fields = {
        "source": "pill-count",
        "start": book.day(first),
        "end": book.day(counted - 1),
        "dispensed": dispensed,
        "returned": dispensed - round(mg * (len(days) - missed)),
        "tablet_mg": 1,
    }
    book.add("home-dose", counted, fields)


# Adverse events, end of participation


def _add_events(random: Random, book: Book, participant: Participant) -> None:
    for term, share, grades in EVENTS:
        if random.random() < share:
            _add_event(random, book, _last_day(participant), term, random.choice(grades))


def _add_event(random: Random, book: Book, last: int, term: str, grade: int) -> None:
    onset = random.randint(5, max(6, last - 20))
    lasts = random.randint(4, 18)
    serious = grade >= 3
    event = {
        "term": term,
        "grade": grade,
        "onset": book.day(onset),
        "serious": serious,
        **({"seriousness_criteria": ["hospitalization"]} if serious else {}),
        "causality": random.choice(("possibly-related", "related", "unlikely-related")),
        "expected": not serious,
        "action_taken": "drug-interrupted" if serious else "dose-not-changed",
        "outcome": "recovering",
    }
    record = book.add("adverse-event", onset + 1, event)
    ended = {"outcome": "recovered", "end": book.day(onset + lasts)}
    if random.random() < CORRECTED_SHARE:
        book.correct(record, 2, {"grade": max(1, grade - 1)} if not serious else {})
    book.correct(record, lasts + 1, ended)


def _add_disposition(book: Book, participant: Participant) -> None:
    """The last day of those who stay lies behind their last count by the safety follow-up."""
    last = _last_day(participant)
    if participant.left_on is not None:
        told = {"status": "withdrawn", "reason": "lost-to-follow-up", "date": book.day(last)}
        book.add("disposition", last + 14, told)
        return
    day = last + FOLLOW_UP_DAYS
    told = {"status": "completed", "reason": "follow-up-completed", "date": book.day(day)}
    book.add("disposition", day + 1, told)
