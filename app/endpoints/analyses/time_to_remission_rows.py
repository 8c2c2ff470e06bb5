"""Participants and observations of the time to remission, one by one, with ADaM's names (ADTTE,
ADaM BDS for Time-to-Event Analyses 1.0: https://www.cdisc.org/standards/foundational/adam)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import NamedTuple

from app.endpoints.analyses.time_to_remission_figures import Followed, strategy_of
from app.endpoints.answers import Answer, Input, build_source
from app.endpoints.cohort.calendar import to_date
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.deaths import Death, find_deaths
from app.endpoints.cohort.listing import AFTER_RESCUE, format_day, list_unusable_doses
from app.endpoints.cohort.members import Members
from app.endpoints.cohort.remission import COMPOSITE, ENDINGS, HYPOTHETICAL, Observations
from app.endpoints.reading.records import Source

EVENT = "remission"
CONFIRMING = "confirms the remission"
WITHOUT = "no remission yet"
UNCONFIRMED = "remission, not confirmed"

AFTER_REMISSION = "after the first remission"
NOT_FOLLOWED = "the participant has no day 0"
NOT_LATER = "not after the day of the first dose"
OFF_STUDY = "after the last day on study"


@dataclass(frozen=True, slots=True)
class Looked:
    """What one observation was for; `why_not` where it was not looked at."""

    used_as: str | None
    why_not: str | None
    remits: bool


def explain_observations(
    cohort: Cohort, followed: Followed, seen: Observations
) -> dict[int, dict[int, Looked]]:
    """Of each followed participant (position) the observations (place), in order of time."""
    heeded = strategy_of(cohort) in (COMPOSITE, HYPOTHETICAL)
    inside, courses = set(followed.rows.tolist()), followed.courses
    grouped: dict[int, list[_Seen]] = {}
    for subject, each in zip(seen.subject.tolist(), _each(seen, heeded), strict=True):
        if subject in inside:
            grouped.setdefault(subject, []).append(each)
    return {
        row: _explain(found, int(courses.deciding[row]), bool(courses.event[row]), seen)
        for row, found in grouped.items()
    }


class _Seen(NamedTuple):
    place: int
    elapsed: int
    remits: bool
    set_aside: bool


def _each(seen: Observations, heeded: bool) -> Iterator[_Seen]:
    aside = (seen.after_rescue & heeded).tolist()
    columns = (seen.place.tolist(), seen.elapsed.tolist(), seen.remits.tolist(), aside)
    return (_Seen(*each) for each in zip(*columns, strict=True))


def _explain(
    found: list[_Seen], deciding: int, event: bool, seen: Observations
) -> dict[int, Looked]:
    told, reached = {}, False
    confirming = _confirming(found, deciding, seen.confirmation_days) if event else frozenset()
    for each in found:
        if each.set_aside:
            told[each.place] = Looked(None, AFTER_RESCUE, each.remits)
        elif event and each.place == deciding:
            reached, told[each.place] = True, Looked(EVENT, None, each.remits)
        elif not reached:
            told[each.place] = Looked(UNCONFIRMED if each.remits else WITHOUT, None, each.remits)
        elif each.place in confirming:
            told[each.place] = Looked(CONFIRMING, None, each.remits)
        else:
            told[each.place] = Looked(None, AFTER_REMISSION, each.remits)
    return told


def _confirming(found: list[_Seen], deciding: int, days: int | None) -> frozenset[int]:
    """The observations after a first remission, up to the one that confirms it."""
    if not days:
        return frozenset()
    among = [each for each in found if not each.set_aside]
    first = next(at for at, each in enumerate(among) if each.place == deciding)
    begin, run = among[first].elapsed, list(takewhile(lambda each: each.remits, among[first:]))
    until = next(each.elapsed for each in run if each.elapsed - begin >= days)
    return frozenset(each.place for each in run[1:] if each.elapsed <= until)


def build_subject(
    cohort: Cohort,
    followed: Followed,
    row: int,
    observation: str,
    deciding: Source | None,
    death: Death | None,
) -> Answer:
    """One participant's entry in ADTTE; AVAL in days, without the day that ADaM often adds."""
    courses, dose = followed.courses, cohort.first_dose(row)
    event, time = bool(courses.event[row]), int(courses.time[row])
    ending = ENDINGS[courses.ending[row]].format(observation=observation)
    rescue = cohort.rescues.get(row)
    return {
        "USUBJID": cohort.numbers[row],
        "STARTDT": format_day(dose.when) if dose else None,
        "ADT": to_date(int(cohort.first_doses.day[row]) + time).isoformat(),
        "AVAL": time,
        "CNSR": 0 if event else 1,
        "EVNTDESC": ending if event else None,
        "CNSDTDSC": None if event else ending,
        "intervalLeft": int(courses.clear[row]),
        "intervalRight": time if event else None,
        "firstDose": build_source(dose.source) if dose else None,
        "deciding": build_source(deciding) if deciding else None,
        "rescue": build_source(rescue.source) if rescue else None,
        "death": build_source(death.source) if death else None,
        "unusableDoses": list_unusable_doses(cohort, cohort.numbers[row]),
        "reason": None,
    }


def build_subjects(
    cohort: Cohort,
    followed: Followed,
    members: Members,
    observation: str,
    source_of: Callable[[int], Source],
) -> list[Answer]:
    """One entry per member; of who can't be followed the reason alone."""
    why, deaths = dict(followed.excluded), find_deaths(cohort)
    told = []
    for row in members.rows.tolist():
        number = cohort.numbers[row]
        if number in why:
            told.append(_not_followed(cohort, row, why[number]))
            continue
        place = int(followed.courses.deciding[row])
        source = source_of(place) if place >= 0 else None
        death = deaths.get(row)
        told.append(build_subject(cohort, followed, row, observation, source, death))
    return told


_EMPTY = (
    *("STARTDT", "ADT", "AVAL", "CNSR", "EVNTDESC", "CNSDTDSC", "intervalLeft", "intervalRight"),
    *("firstDose", "deciding", "rescue", "death"),
)


def _not_followed(cohort: Cohort, row: int, reason: str) -> Answer:
    number = cohort.numbers[row]
    return {
        "USUBJID": number,
        **dict.fromkeys(_EMPTY),
        "unusableDoses": list_unusable_doses(cohort, number),
        "reason": reason,
    }


def iterate_course_inputs(
    cohort: Cohort,
    followed: Followed,
    seen: Observations,
    source_of: Callable[[int], Source],
) -> Iterator[Input]:
    """What each course rests on: first dose, rescue, death, and the observations looked at."""
    deaths: Mapping[int, Death] = find_deaths(cohort)
    looked = explain_observations(cohort, followed, seen)
    for row in followed.rows.tolist():
        number = cohort.numbers[row]
        if dose := cohort.first_dose(row):
            yield Input(number, "first dose", None, dose.source)
        if rescue := cohort.rescues.get(row):
            yield Input(number, "rescue", None, rescue.source)
        if death := deaths.get(row):
            yield Input(number, "death", None, death.source)
        for place, told in looked.get(row, {}).items():
            if told.used_as:
                yield Input(number, told.used_as, None, source_of(place))
