"""One participant's year: visits with jitter, blood counts, sirolimus levels and doses.

Days are elapsed days since the first dose (day 0). Targets and tolerances are those of the
protocol: months 1, 2, 4, 6 and 12 of 30.4375 days.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from random import Random

from app.simulation.doses import LOADING_DAYS, DoseDay, draw_kinetics, simulate_doses
from app.simulation.draws import bounded_gauss, seeded
from app.simulation.person import Person, Response, generate_people
from app.simulation.platelets import PlateletCourse, draw_course, measure_count

CHINA = timezone(timedelta(hours=8))
SCREENING_DAY = -14
CHECK_DAYS = (7, 14, 21, 90, 270)
FIRST_LEVEL_DAY = 10
MISSED_SHARE = 0.05
CLUMPED_SHARE = 0.005
REFUSED_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class PlannedVisit:
    month: int
    day: int
    tolerance: int


PLANNED_VISITS = (
    PlannedVisit(1, 30, 7),
    PlannedVisit(2, 61, 7),
    PlannedVisit(4, 122, 14),
    PlannedVisit(6, 183, 14),
    PlannedVisit(12, 365, 30),
)


@dataclass(frozen=True, slots=True)
class Count:
    """A blood count: when drawn, platelets ×10⁹/L as the analyser gave them."""

    drawn: datetime
    platelets: int
    clumped: bool = False


@dataclass(frozen=True, slots=True)
class Level:
    """A sirolimus level in whole blood, ng/mL."""

    drawn: datetime
    ng_ml: float


@dataclass(frozen=True, slots=True)
class Dose:
    """A dose that hospital staff gave or saw taken, mg; or one that was refused."""

    given: datetime
    mg: float
    taken: bool = True


@dataclass(frozen=True, slots=True)
class Participant:
    """A person and what happened to them, in the order of time within each kind."""

    person: Person
    seed: int
    first_dose: date
    left_on: date | None
    counts: tuple[Count, ...]
    levels: tuple[Level, ...]
    doses: tuple[Dose, ...]


def simulate_participants(count: int, seed: int) -> Iterator[Participant]:
    """`count` participants, one at a time; equal for equal (count, seed)."""
    for person in generate_people(count, seed):
        yield simulate_participant(person, seed)


def simulate_participant(person: Person, seed: int) -> Participant:
    random = seeded(seed, "course", person.number)
    start = person.consented + timedelta(days=random.randint(1, 7))
    left_day = random.randint(75, 160) if person.profile.leaves_early else None
    visits = _attended_days(random, person, left_day)
    course = draw_course(random, person.profile.response)
    days = _dose_days(random, person, visits)
    return Participant(
        person=person,
        seed=seed,
        first_dose=start,
        left_on=None if left_day is None else start + timedelta(days=left_day),
        counts=_counts(random, start, course, person, visits),
        levels=_levels(random, start, days),
        doses=_observed_doses(random, start, days, visits),
    )


def _attended_days(random: Random, person: Person, left_day: int | None) -> tuple[int, ...]:
    """The days on which the participant came: visits and checks, without those missed."""
    visits = [
        _jittered(random, visit) for visit in PLANNED_VISITS if _attends(random, person, visit)
    ]
    checks = [day + random.randint(-1, 1) for day in CHECK_DAYS if random.random() >= MISSED_SHARE]
    days = sorted({*visits, *checks})
    return tuple(day for day in days if left_day is None or day <= left_day)


def _attends(random: Random, person: Person, visit: PlannedVisit) -> bool:
    """Month 6 is kept by responders: there the cohort is calibrated, and missing counts as none."""
    missed = random.random() < MISSED_SHARE
    return not missed or (visit.month == 6 and person.profile.response is not Response.NONE)


def _jittered(random: Random, visit: PlannedVisit) -> int:
    spread = visit.tolerance
    return visit.day + round(bounded_gauss(random, 0, spread / 2, -spread, spread))


def _dose_days(random: Random, person: Person, visits: tuple[int, ...]) -> tuple[DoseDay, ...]:
    kinetics = draw_kinetics(random, person.weight_kg)
    level_days = frozenset(day for day in visits if day >= FIRST_LEVEL_DAY)
    return simulate_doses(random, kinetics, level_days, max(visits, default=LOADING_DAYS - 1))


def _counts(
    random: Random, start: date, course: PlateletCourse, person: Person, visits: tuple[int, ...]
) -> tuple[Count, ...]:
    counts: list[Count] = []
    for day in (SCREENING_DAY + random.randint(-3, 3), 0, *visits):
        counts.extend(_counts_of_day(random, start, course, day))
    if person.profile.response is Response.NONE and course.baseline < 30:
        counts.append(_transfused_count(random, start, course))
    return tuple(sorted(counts, key=lambda count: count.drawn))


def _counts_of_day(
    random: Random, start: date, course: PlateletCourse, day: int
) -> Iterator[Count]:
    """The day's count; where the tube clumped, a second one from a citrate tube."""
    drawn = _at(random, start, day, hour=7)
    platelets = measure_count(random, course, day)
    if random.random() < CLUMPED_SHARE:
        yield Count(drawn, max(1, round(platelets * random.uniform(0.2, 0.6))), clumped=True)
        drawn += timedelta(hours=2)
    yield Count(drawn, platelets)


def _transfused_count(random: Random, start: date, course: PlateletCourse) -> Count:
    """The spike on the morning after a platelet transfusion."""
    day = random.choice((42, 45, 48))
    platelets = measure_count(random, course, day) + random.randint(20, 45)
    return Count(_at(random, start, day, hour=7), platelets)


def _levels(random: Random, start: date, days: tuple[DoseDay, ...]) -> tuple[Level, ...]:
    return tuple(
        Level(_at(random, start, item.day, hour=8), round(item.level, 1))
        for item in days
        if item.level is not None
    )


def _observed_doses(
    random: Random, start: date, days: tuple[DoseDay, ...], visits: tuple[int, ...]
) -> tuple[Dose, ...]:
    """The loading days on the ward and the dose taken at each later attendance; what is taken at
    home the hospital's systems do not see."""
    observed = {0, 1, 2, *visits}
    return tuple(
        Dose(
            _at(random, start, item.day, hour=10),
            item.mg,
            taken=random.random() >= REFUSED_SHARE or item.day == 0,
        )
        for item in days
        if item.day in observed
    )


def _at(random: Random, start: date, day: int, hour: int) -> datetime:
    moment = datetime.combine(start + timedelta(days=day), time(hour, tzinfo=CHINA))
    return moment + timedelta(minutes=random.randint(0, 59))
