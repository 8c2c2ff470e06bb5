"""Six participants small enough to check on paper. `@30` is the day 30 days after the first dose
(for SSCI-006, who never had one, after the day it was planned for)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta

from app.endpoints.reading.records import Demographic, Diagnosis, Record, Source
from tests.activity_support import read_scores
from tests.deviation_support import read_attendances, read_consents, read_eligibility
from tests.endpoint_support import read_counts, read_doses, read_table, read_treatments
from tests.event_support import read_events
from tests.response_support import read_bleeding

T0 = date(2019, 1, 1)

SUBJECTS = """
    subject  | consent | on   | age | status     | ended | reason
    SSCI-001 | yes     | @-14 | 35  | off-study  | @365  | completed
    SSCI-002 | yes     | @-14 | 50  | on-study   |       |
    SSCI-003 | yes     | @-14 | 28  | on-study   |       |
    SSCI-004 | yes     | @-14 | 62  | withdrawn  | @75   | withdrawal-by-subject
    SSCI-005 | yes     | @-14 | 45  | withdrawn  | @100  | death
    SSCI-006 | yes     | @-14 | 33  | on-study   |       |
"""
PEOPLE = {
    "SSCI-001": ("female", "SLE"),
    "SSCI-002": ("female", "pSS"),
    "SSCI-003": ("male", "SLE"),
    "SSCI-004": ("female", "SLE"),
    "SSCI-005": ("female", "SLE"),
    "SSCI-006": ("female", "RA"),
}
ELIGIBILITY = """
    subject  | on   | refractory
    SSCI-001 | @-14 |
    SSCI-002 | @-14 | overridden
    SSCI-003 | @-14 |
    SSCI-004 | @-14 |
    SSCI-005 | @-14 |
    SSCI-006 | @-14 |
"""
COUNTS = """
    subject  | collected | value | status    | id
    SSCI-001 | @-1       | 20    | final     | 1-base
    SSCI-001 | @30       | 60    | final     | 1-m1
    SSCI-001 | @61       | 110   | corrected | 1-m2
    SSCI-001 | @122      | 120   | final     | 1-m4
    SSCI-001 | @183      | 150   | final     | 1-m6
    SSCI-001 | @365      | 160   | final     | 1-m12
    SSCI-002 | @-1       | 40    | final     | 2-base
    SSCI-002 | @30       | 90    | final     | 2-m1
    SSCI-002 | @61       | 130   | final     | 2-m2
    SSCI-002 | @122      | 95    | final     | 2-m4
    SSCI-002 | @183      | 50    | final     | 2-m6
    SSCI-003 | @-1       | 10    | final     | 3-base
    SSCI-003 | @30       | 15    | final     | 3-m1
    SSCI-003 | @183      | 30    | final     | 3-m6
    SSCI-003 | @365      | 45    | final     | 3-m12
    SSCI-004 | @-1       | 30    | final     | 4-base
    SSCI-004 | @30       | 70    | final     | 4-m1
    SSCI-004 | @61       | 80    | final     | 4-m2
    SSCI-005 | @-1       | 50    | final     | 5-base
    SSCI-005 | @30       | 40    | final     | 5-m1
    SSCI-005 | @61       | 45    | final     | 5-m2
    SSCI-006 | @-1       | 25    | final     | 6-base
"""
DOSES = """
    subject  | taken      | last | mg | origin     | total
    SSCI-001 | @0T08:00   |      | 2  |            |
    SSCI-001 | @1T08:00   |      | 2  |            |
    SSCI-001 | @2T08:00   |      | 2  |            |
    SSCI-001 | @3         | @364 |    | pill-count | 362
    SSCI-001 | @59T08:00  |      | 1  |            |
    SSCI-001 | @60T08:00  |      | 1  |            |
    SSCI-001 | @119T08:00 |      | 1  |            |
    SSCI-001 | @120T08:00 |      | 1  |            |
    SSCI-002 | @0T08:00   |      | 2  |            |
    SSCI-002 | @1T08:00   |      | 2  |            |
    SSCI-002 | @2T08:00   |      | 2  |            |
    SSCI-002 | @3         | @182 |    | pill-count | 180
    SSCI-003 | @0T08:00   |      | 2  |            |
    SSCI-003 | @1T08:00   |      | 2  |            |
    SSCI-003 | @2T08:00   |      | 2  |            |
    SSCI-003 | @3         | @182 |    | pill-count | 90
    SSCI-004 | @0T08:00   |      | 2  |            |
    SSCI-004 | @1T08:00   |      | 2  |            |
    SSCI-004 | @2T08:00   |      | 2  |            |
    SSCI-004 | @3         | @74  |    | pill-count | 72
    SSCI-005 | @0T08:00   |      | 2  |            |
    SSCI-005 | @1T08:00   |      | 2  |            |
    SSCI-005 | @2T08:00   |      | 2  |            |
    SSCI-005 | @3         | @99  |    | pill-count | 97
"""
LEVELS = """
    subject  | collected  | value
    SSCI-001 | @60T07:30  | 8
    SSCI-001 | @120T07:30 | 18
    SSCI-003 | @30T07:30  | 5
"""
TREATMENTS = """
    subject  | given | last | kind       | group     | drug       | status    | prednisone
    SSCI-002 | @50   |      | rescue     | ivig      |            | completed |
    SSCI-001 | @-60  | -    | background | steroid   | prednisone | active    | 10
    SSCI-003 | @-60  | @100 | background | steroid   | prednisone | completed | 20
"""
EVENTS = """
    subject  | id   | onset | ended | term       | soc | grade | serious | related | criteria
    SSCI-001 | ae-1 | @40   | @47   | Stomatitis | GI  | 2     | no      | related |
    SSCI-002 | ae-2 | @-5   | @-3   | Headache   | NS  | 1     | no      | no      |
    SSCI-002 | ae-3 | @200  | @210  | Pneumonia  | Inf | 3     | yes     | no      | hospitalization
    SSCI-005 | ae-4 | @95   | @100  | Sepsis     | Inf | 5     | yes     | no      | death
"""
SCORES = """
    subject  | assessed | kind      | value | item
    SSCI-001 | @-1      | SLEDAI-2K | 8     | 1
    SSCI-001 | @183     | SLEDAI-2K | 2     | 0
    SSCI-001 | @365     | SLEDAI-2K | 0     | 0
    SSCI-002 | @-1      | ESSDAI    | 10    | 2
    SSCI-002 | @183     | ESSDAI    | 6     | 1
    SSCI-003 | @-1      | SLEDAI-2K | 6     | 1
    SSCI-003 | @183     | SLEDAI-2K | 5     | 1
    SSCI-004 | @-1      | SLEDAI-2K | 10    | 1
    SSCI-004 | @30      | SLEDAI-2K | 6     | 1
    SSCI-005 | @-1      | SLEDAI-2K | 4     | 1
"""
VISITS = """
    subject  | visit | on
    SSCI-001 | M1    | @30
    SSCI-001 | M2    | @61
    SSCI-001 | M4    | @122
    SSCI-001 | M6    | @183
    SSCI-001 | M12   | @365
"""
BLEEDING = """
    subject  | on | grade
    SSCI-001 | 61 | 0
"""

Shifts = Mapping[str, int]


def build_six(shifts: Shifts | None = None) -> tuple[Record, ...]:
    """All records, each participant's dates later by so many days."""
    later = shifts or {}
    return (
        *read_consents(dated(SUBJECTS, later)),
        *_people(),
        *read_eligibility(dated(ELIGIBILITY, later)),
        *read_counts(dated(COUNTS, later)),
        *read_counts(dated(LEVELS, later), "sirolimus"),
        *read_doses(dated(DOSES, later)),
        *read_treatments(dated(TREATMENTS, later)),
        *read_events(dated(EVENTS, later)),
        *read_scores(dated(SCORES, later)),
        *read_attendances(dated(VISITS, later)),
        *_bleeding(later),
    )


def dated(table: str, shifts: Shifts) -> str:
    """The table with dates instead of `@` days, by the subject that each line begins with."""
    return "\n".join(_dated_line(line, shifts) for line in table.splitlines())


def _dated_line(line: str, shifts: Shifts) -> str:
    later = shifts.get(line.split("|")[0].strip(), 0)

    def date_of(found: re.Match[str]) -> str:
        return (T0 + timedelta(days=int(found[1]) + later)).isoformat()

    return re.sub(r"@(-?\d+)", date_of, line)


def _bleeding(shifts: Shifts) -> tuple[Record, ...]:
    rows = read_table(BLEEDING)
    cells = [
        f"{row['subject']} | {int(row['on']) + shifts.get(row['subject'], 0)} | {row['grade']}"
        for row in rows
    ]
    return read_bleeding("\n".join(["subject | on | grade", *cells]))


def _people() -> tuple[Record, ...]:
    found: list[Record] = []
    for number, (gender, ctd) in PEOPLE.items():
        found.append(Demographic(number, None, Source("Patient", number, 1), gender, None))
        source = Source("Condition", number, 1)
        found.append(Diagnosis(number, None, source, ctd, "active", "confirmed"))
    return tuple(found)
