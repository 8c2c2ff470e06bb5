"""Everything that is known of one participant, in order of time, with the version of the resource
that each entry was read from.

Nothing that was recorded after the cut is told: of a period that went on at the cutoff the last day
is null. What no figure uses is told too, with `notUsed`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from app.endpoints.analyses.responding import find_rule
from app.endpoints.answers import Answer, build_source, encode_answer, format_instant
from app.endpoints.cohort.activity import explain_unusable_score
from app.endpoints.cohort.bleeding import explain_unusable_bleeding
from app.endpoints.cohort.calendar import to_date, to_day
from app.endpoints.cohort.cohort import NOT_GIVEN, Cohort
from app.endpoints.cohort.dosing import DayDose, Dosing, key_of
from app.endpoints.cohort.events import Event
from app.endpoints.cohort.horizon import HELD_STATUSES, find_end, last_day_of_cut
from app.endpoints.cohort.listing import elapsed_of, name_reason, number_or_none, study_day
from app.endpoints.cohort.responses import UNJUDGED, Responses, name_level
from app.endpoints.cohort.troughs import NOT_TREATED, Level
from app.endpoints.cohort.visit_responses import WHY, find_visit_responses
from app.endpoints.figures.summaries import rounded
from app.endpoints.reading.columns import NO_DAY
from app.endpoints.reading.records import (
    ActivityScore,
    Attendance,
    Bleeding,
    ClinicalTime,
    Dose,
    Measurement,
    Record,
    Request,
    Source,
    Treatment,
)
from app.endpoints.reading.tables import Tables

NOT_DONE = "status does not say that it was given"
NOT_HELD = "status does not say that it took place"

LENGTHS = {"year": 4, "month": 7}
"""Characters of a date that is known only so far."""


def compute_timeline(request: Request, tables: Tables) -> bytes:
    """The bytes of `request.view` (`timeline:<subject number>`) as `json`, `svg` or `png`."""
    number = request.view.partition(":")[2]
    cohort = Cohort(request, tables)
    if request.format == "json":
        return encode_answer(build_timeline(cohort, number))
    from app.endpoints.plots.timeline import draw_timeline

    return draw_timeline(cohort, number, request.format)


def build_timeline(cohort: Cohort, number: str) -> Answer:
    """One participant's lists; all are empty of whom nothing is known under this cut."""
    request = cohort.request
    row = cohort.position.get(number)
    told = _Story(cohort, row) if row is not None else None
    return {
        "subject": number,
        "cutoff": request.cut.cutoff,
        "asOf": format_instant(request.cut.as_of),
        "software": request.software,
        "protocol": cohort.protocol.version,
        "definition": f"{request.definition.id} {request.definition.version}",
        "rule": find_rule(cohort).id,
        "participation": told.participation() if told else None,
        "platelets": list(told.platelets()) if told else [],
        "doses": list(told.doses()) if told else [],
        "dosesNotUsed": list(told.doses_not_used()) if told else [],
        "levels": list(told.levels()) if told else [],
        "adverseEvents": list(told.events()) if told else [],
        "treatments": list(told.treatments()) if told else [],
        "visits": list(told.visits()) if told else [],
        "bleeding": list(told.bleeding()) if told else [],
        "activity": list(told.activity()) if told else [],
        "responses": list(told.responses()) if told else [],
    }


@dataclass(frozen=True, eq=False)
class _Story:
    """One participant of a cohort."""

    cohort: Cohort
    row: int

    @property
    def _number(self) -> str:
        return self.cohort.numbers[self.row]

    @cached_property
    def _responses(self) -> Responses:
        return self.cohort.responses(find_rule(self.cohort))

    @cached_property
    def _dosing(self) -> Dosing | None:
        return self.cohort.dosings[self.row]

    @property
    def _first(self) -> int | None:
        first = int(self.cohort.first_doses.day[self.row])
        return None if first == NO_DAY else first

    def participation(self) -> Answer | None:
        """Null where there is no ResearchSubject under this cut."""
        subject = self.cohort.subjects.get(self._number)
        if subject is None:
            return None
        ended, stop = find_end(self.cohort, self.row), self.cohort.stops.get(self.row)
        over = ended is not None or subject.ended is None
        return {
            "status": subject.status if over else None,
            **self._timing(subject),
            "firstDose": self._dose_day("first"),
            "lastDose": self._dose_day("last"),
            "sirolimusStopped": None if stop is None else self._day(stop.day) | {"why": stop.why},
            "ended": None if ended is None else self._day(ended),
            "reason": subject.reason if over else None,
            **build_source(subject.source),
        }

    def _dose_day(self, which: str) -> Answer | None:
        dosing = self._dosing
        if dosing is None:
            return None
        return self._day(dosing.first if which == "first" else dosing.last)

    def _day(self, day: int) -> Answer:
        elapsed = None if self._first is None else day - self._first
        return {"date": to_date(day).isoformat(), "studyDay": study_day(elapsed)}

    def _timing(self, record: Record, last: bool = False) -> Answer:
        """Date as far as it is known, time if it is, study day; the last day of a period."""
        when = record.when
        known = self._day(to_day(record.day)) if record.day else None
        told: Answer = {
            "date": self._written(when),
            "time": self._time(when),
            "studyDay": known["studyDay"] if known else None,
        }
        return told | ({"last": self._last(when)} if last else {})

    def _written(self, when: ClinicalTime | None) -> str | None:
        if when is None:
            return None
        local = when.begin.astimezone(self.cohort.request.zone).date()
        return (when.day or local).isoformat()[: LENGTHS.get(when.precision, 10)]

    def _time(self, when: ClinicalTime | None) -> str | None:
        if when is None or not when.has_time:
            return None
        return when.begin.astimezone(self.cohort.request.zone).isoformat()

    def _last(self, when: ClinicalTime | None) -> Answer | None:
        """None of what went on at the cut."""
        if when is None or when.last_day is None:
            return None
        last = to_day(when.last_day)
        return self._day(last) if last <= last_day_of_cut(self.cohort) else None

    def platelets(self) -> Iterator[Answer]:
        for count in self.cohort.counts_of(self.row):
            yield self._platelet(count)

    def _platelet(self, count: int) -> Answer:
        cohort, counts = self.cohort, self.cohort.counts
        record = cohort.measurement(count)
        reason = int(counts.reason[count])
        return {
            **self._timing(record),
            "elapsed": elapsed_of(cohort, count),
            "value": None if reason else number_or_none(float(counts.value[count])),
            **_as_written(record),
            "usedAs": self._used_as(count),
            "response": name_level(self._responses.rule, int(self._responses.level[count])),
            "afterRescue": bool(cohort.after_rescue[count]),
            "scaleSuspect": bool(counts.scale_suspect[count]),
            "notUsed": name_reason(cohort, reason) if reason else None,
            **build_source(record.source),
        }

    def _used_as(self, count: int) -> str | None:
        """As the platelet change uses it: `baseline`, a visit's code, or nothing."""
        if self.cohort.baseline[self.row] == count:
            return "baseline"
        chosen = self.cohort.visits_before_rescue[self.row].tolist()
        visits = self.cohort.protocol.visits
        return visits[chosen.index(count)].code if count in chosen else None

    def doses(self) -> Iterator[Answer]:
        """Runs of days with the same dose by the same origin; a day that nothing tells is in
        none."""
        days = list(self._dosing.days.items()) if self._dosing else []
        for _, run in groupby(enumerate(days), _run_of):
            yield self._run([told for _, told in run])

    def _run(self, days: list[tuple[int, DayDose]]) -> Answer:
        dose = days[0][1]
        sources = dict.fromkeys(each.source for _, told in days for each in told.doses)
        return {
            **self._day(days[0][0]),
            "last": self._day(days[-1][0]),
            "days": len(days),
            "mg": rounded(float(dose.mg)),
            "unit": "mg/d",
            "origin": dose.origin,
            "sources": [build_source(each) for each in sources],
        }

    def doses_not_used(self) -> Iterator[Answer]:
        dosing = self._dosing
        for dose in self.cohort.tables.rows.of(Dose, self._number):
            reason = dosing.unused.get(key_of(dose)) if dosing else NOT_TREATED
            if reason:
                amount = None if dose.amount is None else f"{dose.amount:f}"
                told = {"written": amount, "unit": dose.unit, "status": dose.status}
                yield self._entry(dose, told, reason, last=True)

    def levels(self) -> Iterator[Answer]:
        """Sirolimus levels, and what each is as a trough."""
        for level in self.cohort.levels[self.row]:
            yield self._entry(level.record, self._level(level), _why_no_trough(level))

    def _level(self, level: Level) -> Answer:
        record = level.record
        numeric = level.place is not None and not level.bound
        return {
            "value": rounded(level.value) if numeric else None,
            **_as_written(record),
            "hoursAfterDose": None if level.hours is None else rounded(level.hours),
            "place": level.place,
            "trough": level.finding,
        }

    def events(self) -> Iterator[Answer]:
        for event in self.cohort.events:
            if event.place == self.row:
                yield self._entry(event.record, self._event(event), event.aside)

    def _event(self, event: Event) -> Answer:
        record = event.record
        last = to_day(record.resolved) if record.resolved else None
        return {
            "last": None if last is None else self._day(last),
            "term": record.term,
            "soc": record.soc,
            "grade": event.grade,
            "serious": event.serious,
            "criteria": list(event.criteria),
            "related": event.related,
            "treatmentEmergent": event.emergent,
            "action": record.action,
            "outcome": record.outcome,
        }

    def treatments(self) -> Iterator[Answer]:
        """Rescue and background treatments, and what was prescribed, sirolimus too."""
        for row in self.cohort.tables.rows.of(Treatment, self._number):
            told = {
                "kind": row.kind,
                "class": row.group,
                "drug": row.drug,
                "status": row.status,
                "dailyMg": None if row.daily_mg is None else rounded(float(row.daily_mg)),
                "intercurrent": self.cohort.rescues.get(self.row) is row,
            }
            yield self._entry(row, told, NOT_DONE if row.status in NOT_GIVEN else None, last=True)

    def visits(self) -> Iterator[Answer]:
        for row in self.cohort.tables.rows.of(Attendance, self._number):
            not_held = None if row.status in HELD_STATUSES else NOT_HELD
            yield self._entry(row, {"visit": row.visit, "status": row.status}, not_held)

    def bleeding(self) -> Iterator[Answer]:
        for row in self.cohort.tables.rows.of(Bleeding, self._number):
            told = {"assessed": row.assessed, "grade": row.grade, "sites": list(row.sites)}
            yield self._entry(row, told, explain_unusable_bleeding(self.cohort, row))

    def activity(self) -> Iterator[Answer]:
        for row in self.cohort.tables.rows.of(ActivityScore, self._number):
            value = None if row.value is None else rounded(float(row.value))
            item = None if row.platelet_item is None else rounded(float(row.platelet_item))
            told = {"instrument": row.kind, "value": value, "plateletItem": item}
            yield self._entry(row, told, explain_unusable_score(self.cohort, row))

    def responses(self) -> Iterator[Answer]:
        """Of each visit of the protocol what the response is, and why there is none."""
        found = find_visit_responses(self.cohort, self._responses)
        for at, visit in enumerate(self.cohort.protocol.visits):
            count = int(found.chosen[self.row, at])
            level = int(found.level[self.row, at])
            target = None if self._first is None else self._day(self._first + visit.target)
            yield {
                "visit": visit.code,
                "target": target,
                "response": None if level == UNJUDGED else name_level(self._responses.rule, level),
                "why": WHY[int(found.why[self.row, at])] or None,
                "count": self._source(count),
            }

    def _source(self, count: int) -> Answer | None:
        return build_source(self.cohort.measurement(count).source) if count >= 0 else None

    def _entry(
        self, record: Record, told: Answer, not_used: str | None, last: bool = False
    ) -> Answer:
        source: Source = record.source
        timing = self._timing(record, last)
        return {**timing, **told, "notUsed": not_used, **build_source(source)}


def _run_of(at: tuple[int, tuple[int, DayDose]]) -> tuple[object, ...]:
    place, (day, told) = at
    return day - place, told.mg, told.origin


def _as_written(record: Measurement) -> Answer:
    written = None if record.value is None else f"{record.comparator or ''}{record.value:f}"
    return {"written": written, "unit": record.unit}


def _why_no_trough(level: Level) -> str | None:
    return None if level.is_valid else level.finding
