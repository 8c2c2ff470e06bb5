"""Small tables of doses and counts, as a person writes them, turned into endpoint answers.

Times are read in Asia/Shanghai; `2019-01-01` is known to the day, `2019-01` to the month.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from app.endpoints.analyses.answering import compute_answer
from app.endpoints.catalogue import CATALOGUE, PLATELETS
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.reading.columns import (
    ABSENT,
    ANALYTIC_SUSPECT,
    COMPARATOR,
    NEVER,
    NO_DAY,
    NOT_TIMED,
    OTHER_UNIT,
    SCALE_SUSPECT,
    STATUS,
    Packed,
    pack,
)
from app.endpoints.reading.records import (
    ActivityScore,
    AdverseEvent,
    Attendance,
    Bleeding,
    ClinicalTime,
    Cut,
    Demographic,
    Diagnosis,
    Dose,
    Eligibility,
    Measurement,
    Record,
    Request,
    Rows,
    Source,
    Subject,
    Treatment,
)
from app.endpoints.reading.statements import IMPOSSIBLE
from app.endpoints.reading.tables import Tables
from app.trial import load_protocol

ZONE = ZoneInfo("Asia/Shanghai")
PROTOCOL = load_protocol()
CUT = Cut("2030-01-01", datetime(2030, 1, 2, tzinfo=ZONE), datetime(2030, 1, 2, tzinfo=UTC))
PRECISIONS = {4: "year", 7: "month", 10: "day"}
KIND_IDS = {PLATELETS: "count", "sirolimus": "level"}
ALL_RECORDS = (
    *(Subject, Demographic, Diagnosis, Measurement, Dose, Attendance, AdverseEvent),
    *(ActivityScore, Bleeding, Treatment, Eligibility),
)

ONE_DOSE = """
    subject  | taken            | mg
    SSCI-001 | 2019-01-01T08:00 | 2
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked, and of which records."""

    request: Request
    records: tuple[Record, ...] = field(default=())

    @property
    def tables(self) -> Tables:
        return build_tables(self.records)

    @property
    def cohort(self) -> Cohort:
        return Cohort(self.request, self.tables)


def read_table(text: str) -> list[dict[str, str]]:
    """Rows by column name; empty cells are left out."""
    lines = [line.strip() for line in text.strip().splitlines()]
    header, *rows = [[cell.strip() for cell in line.split("|")] for line in lines]
    return [{k: v for k, v in zip(header, row, strict=True) if v} for row in rows]


def clinical_time(text: str | None, last: str | None = None) -> ClinicalTime | None:
    """`last` is the last day of a period; `-` of one that goes on."""
    if text is None:
        return None
    whole = text + "-01-01"[: max(0, 10 - len(text))]
    begin = datetime.fromisoformat(whole).replace(tzinfo=ZONE)
    return build_time(begin, PRECISIONS.get(len(text), "second"), last)


def build_time(begin: datetime, precision: str, last: str | None = None) -> ClinicalTime:
    day = begin.astimezone(ZONE).date()
    known = None if precision in ("year", "month") else day
    last_day = None if last == "-" else date.fromisoformat(last) if last else day
    return ClinicalTime(begin.astimezone(UTC), precision, known, last_day)


def hash_text(text: str) -> int:
    """Stands for PostgreSQL's hashtextextended."""
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def build_tables(records: Iterable[Record], listed: bool = True) -> Tables:
    """As the statistics process makes them of what the database gave."""
    found = list(records)
    by_kind: dict[type[Record], list[Record]] = {kind: [] for kind in ALL_RECORDS}
    for each in found:
        by_kind[type(each)].append(each)
    numbers = sorted({each.subject for each in found})
    return Tables(
        Rows(by_kind),
        tuple(numbers),
        np.array([hash_text(number) for number in numbers], np.int64),
        pack_counts(each for each in found if isinstance(each, Measurement)),
        pack_doses(each for each in found if isinstance(each, Dose)),
        listed,
    )


def pack_counts(rows: Iterable[Measurement]) -> Packed:
    rules = PROTOCOL.measurements[PLATELETS]
    return pack(
        _packed(
            row,
            row.value,
            (row.status not in rules.valid_statuses) * STATUS
            | (row.data_absent_reason is not None) * ABSENT
            | row.analytic_suspect * ANALYTIC_SUSPECT
            | row.scale_suspect * SCALE_SUSPECT
            | (row.comparator is not None) * COMPARATOR
            | (row.unit != rules.unit) * OTHER_UNIT,
        )
        for row in rows
        if row.kind == PLATELETS
    )


def pack_doses(rows: Iterable[Dose]) -> Packed:
    statuses = PROTOCOL.dosing.first_dose_statuses
    return pack(_packed(row, row.amount, (row.status not in statuses) * STATUS) for row in rows)


def _packed(row: Measurement | Dose, value: Decimal | None, flags: int) -> tuple[Any, ...]:
    when, begin, day = row.when, NEVER, NO_DAY
    if when is not None:
        begin = (when.begin - datetime(2000, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
        day = (when.day - date(2000, 1, 1)).days if when.day else NO_DAY
    timed = when is not None and when.has_time
    subject = hash_text(row.subject)
    head = (subject, row.key, row.source.version, begin, day)
    return (*head, _number(value), flags | (not timed) * NOT_TIMED)


def _number(value: Decimal | None) -> float:
    if value is None:
        return float("nan")
    possible = value == 0 or Decimal("0.000001") <= value <= Decimal(1_000_000)
    return float(value) if possible else IMPOSSIBLE


def read_subjects(text: str) -> tuple[Subject, ...]:
    """Columns: subject, consent (yes), status, age, ended, reason."""
    return tuple(_subject(row) for row in read_table(text))


def _subject(row: dict[str, str]) -> Subject:
    number = row["subject"]
    ended = row.get("ended")
    return Subject(
        subject=number,
        when=None,
        source=Source("ResearchSubject", number, 1),
        status=row.get("status", "on-study"),
        consent=f"{number}-consent" if row.get("consent") == "yes" else None,
        arm=None,
        age_at_consent=int(row["age"]) if "age" in row else None,
        ended=date.fromisoformat(ended) if ended else None,
        synthetic=True,
        reason=row.get("reason"),
    )


def read_doses(text: str) -> tuple[Dose, ...]:
    """Columns: subject, taken, last, mg, status, origin, total, id."""
    return tuple(_dose(number, row) for number, row in enumerate(read_table(text)))


def _dose(number: int, row: dict[str, str]) -> Dose:
    id_ = row.get("id", f"dose-{number}")
    return Dose(
        subject=row.get("subject", "SSCI-001"),
        when=clinical_time(row.get("taken"), row.get("last")),
        source=Source("MedicationAdministration", id_, 1),
        key=hash_text(id_),
        status=row.get("status", "completed"),
        amount=Decimal(row["mg"]) if "mg" in row else None,
        unit="mg",
        origin=row.get("origin"),
        total=Decimal(row["total"]) if "total" in row else None,
    )


def read_counts(text: str, kind: str = PLATELETS) -> tuple[Measurement, ...]:
    """Columns: subject, collected, value, unit, comparator, status, review, absent, id."""
    return tuple(_count(number, row, kind) for number, row in enumerate(read_table(text)))


def _count(number: int, row: dict[str, str], kind: str) -> Measurement:
    id_ = row.get("id", f"{KIND_IDS[kind]}-{number}")
    return Measurement(
        subject=row.get("subject", "SSCI-001"),
        when=clinical_time(row.get("collected")),
        source=Source("Observation", id_, 1),
        key=hash_text(id_),
        kind=kind,
        code="777-3" if kind == PLATELETS else "29247-4",
        status=row.get("status", "final"),
        value=Decimal(row["value"]) if "value" in row else None,
        unit=row.get("unit", PROTOCOL.measurements[kind].unit),
        comparator=row.get("comparator"),
        data_absent_reason=row.get("absent"),
        analytic_suspect="clumps" in row.get("review", ""),
        scale_suspect="scale" in row.get("review", ""),
    )


def read_treatments(text: str) -> tuple[Treatment, ...]:
    """Columns: subject, given, last, kind (rescue), group, drug, status, daily, prednisone."""
    return tuple(_treatment(number, row) for number, row in enumerate(read_table(text)))


def _treatment(number: int, row: dict[str, str]) -> Treatment:
    kind = row.get("kind", "rescue")
    types = {"rescue": "MedicationAdministration", "background": "MedicationStatement"}
    return Treatment(
        subject=row.get("subject", "SSCI-001"),
        when=clinical_time(row.get("given"), row.get("last")),
        source=Source(types.get(kind, "MedicationRequest"), row.get("id", f"treated-{number}"), 1),
        kind=kind,
        group=row.get("group", "platelet-transfusion"),
        drug=row.get("drug"),
        status=row.get("status", "completed"),
        amount=Decimal(row["amount"]) if "amount" in row else None,
        unit=row.get("unit"),
        daily_mg=Decimal(row["daily"]) if "daily" in row else None,
        prednisone_mg=Decimal(row["prednisone"]) if "prednisone" in row else None,
    )


def ask(
    endpoint: str,
    records: Sequence[Record],
    *,
    population: str | None = None,
    view: str = "figures",
    **parameters: str,
) -> Asked:
    """A request of an endpoint over records, its own parameters at their defaults."""
    definition = PROTOCOL.endpoints[endpoint]
    defaults = {each.name: each.default(definition) for each in CATALOGUE[endpoint].parameters}
    given = {name: value for name, value in {**defaults, **parameters}.items() if value}
    request = Request(
        definition,
        PROTOCOL,
        ZONE,
        CUT,
        "test",
        population or definition.population,
        view=view,
        parameters=given,
    )
    return Asked(request, tuple(records))


def build_request(
    counts: str = "subject",
    doses: str = ONE_DOSE,
    subjects: str | None = None,
    population: str = "efficacy",
    treatments: str = "subject",
) -> Asked:
    """The platelet change. Without `subjects`, everyone with a count or dose is enrolled."""
    found, taken = read_counts(counts), read_doses(doses)
    enrolled = enrol_all(found, taken) if subjects is None else read_subjects(subjects)
    records = (*enrolled, *found, *taken, *read_treatments(treatments))
    return ask("platelet-change", records, population=population)


def enrol_all(*rows: Iterable[Record]) -> tuple[Subject, ...]:
    """Everyone whom the rows name, with consent."""
    numbers = sorted({row.subject for each in rows for row in each})
    return tuple(_subject({"subject": number, "consent": "yes"}) for number in numbers)


def answer(asked: Asked) -> Any:
    """The figures, with population, inputs, methods and notes beside them."""
    whole = json.loads(compute_answer(asked.request, asked.tables))
    figures = whole.pop("figures")
    return {**whole, **figures}


def whole_answer(asked: Asked) -> Any:
    return json.loads(compute_answer(asked.request, asked.tables))


def subject_answer(asked: Asked) -> Any:
    request = replace(asked.request, view="subjects")
    return json.loads(compute_answer(request, asked.tables))


def candidates(counts: str, doses: str = ONE_DOSE) -> dict[str, Any]:
    """The analysis rows by the count's id."""
    rows = subject_answer(build_request(counts, doses))["rows"]
    return {row["resource"].removeprefix("Observation/"): row for row in rows}


def visit_of(whole: Any, code: str) -> Any:
    return next(visit for visit in whole["visits"] if visit["visit"] == code)
