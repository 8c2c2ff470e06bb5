"""Every sirolimus level as a row: what it is as a trough, where it lies, and why it is not used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from app.endpoints.analyses.exposure_rows import iterate_doses
from app.endpoints.analyses.trough_time import choose_for_visit, measure_time
from app.endpoints.answers import Answer, Input, build_source
from app.endpoints.cohort.calendar import to_date
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.listing import format_day, format_moment, study_day
from app.endpoints.cohort.members import Members
from app.endpoints.cohort.troughs import PLACES, Level
from app.endpoints.figures.summaries import rounded
from app.endpoints.reading.records import Source


def build_subject_rows(cohort: Cohort, members: Members) -> Answer:
    """One entry per participant, one row per level."""
    rows = members.rows.tolist()
    return {
        "unit": cohort.protocol.measurements["sirolimus"].unit,
        "subjects": [_subject(cohort, row) for row in rows],
        "rows": [each for row in rows for each in _rows(cohort, row)],
    }


def iterate_inputs(cohort: Cohort, members: Members) -> Iterator[Input]:
    """Troughs with their visit, levels of unknown timing, and the doses that timing rests on."""
    for row in members.rows.tolist():
        number = cohort.numbers[row]
        yield from iterate_doses(cohort, row)
        visits = _visits(cohort, row)
        for level in cohort.levels[row]:
            if level.may_be_trough:
                used = "trough" if level.is_valid else "level of unknown timing"
                yield Input(number, used, visits.get(level.record.source), level.record.source)


def _visits(cohort: Cohort, row: int) -> dict[Source, str]:
    """The visit of each level that was chosen for one."""
    visits = cohort.protocol.visits
    chosen = ((visit.code, choose_for_visit(cohort.levels[row], visit)) for visit in visits)
    return {level.record.source: code for code, level in chosen if level}


def _subject(cohort: Cohort, row: int) -> Answer:
    levels, dosing = cohort.levels[row], cohort.dosings[row]
    places = Counter(level.place for level in levels if level.is_valid)
    time = measure_time(cohort, row, lambda level: level.is_valid)
    duration = dosing.duration if dosing else None
    return {
        "USUBJID": cohort.numbers[row],
        "TRTSDT": to_date(dosing.first).isoformat() if dosing else None,
        "levels": len(levels),
        "valid": sum(places.values()),
        **{place: places[place] for place in PLACES},
        "daysBelow": rounded(time.below),
        "daysInside": rounded(time.inside),
        "daysAbove": rounded(time.above),
        "daysSkipped": rounded(time.skipped),
        "percentInside": None if time.fraction is None else rounded(100 * time.fraction),
        "treatmentDays": duration,
        "coverage": rounded(100 * time.interpolated / duration) if duration else None,
    }


def _rows(cohort: Cohort, row: int) -> Iterator[Answer]:
    visits = _visits(cohort, row)
    for level in cohort.levels[row]:
        yield _row(cohort, level, visits.get(level.record.source))


def _row(cohort: Cohort, level: Level, visit: str | None) -> Answer:
    record = level.record
    written = None if record.value is None else f"{record.comparator or ''}{record.value:f}"
    return {
        "USUBJID": record.subject,
        "ADT": format_day(record.when),
        "ADTM": format_moment(cohort, record.when),
        "ADY": study_day(level.elapsed),
        "elapsed": level.elapsed,
        "AVAL": None if level.bound or record.value is None else float(record.value),
        "AVALC": written,
        "AVALU": record.unit,
        "hoursAfterDose": None if level.hours is None else rounded(level.hours),
        "place": level.place,
        "visit": visit,
        "notUsed": None if level.is_valid else level.finding,
        **build_source(record.source),
    }
