"""How adverse events are counted: participants once per level, events apart, over person-time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from app.endpoints.answers import Answer
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.events import DEATH_GRADE, Event
from app.endpoints.cohort.members import Members
from app.endpoints.figures.proportions import compute_proportion
from app.endpoints.figures.rates import METHOD, compute_rate
from app.endpoints.figures.summaries import DIGITS

NOT_GRADED = "not graded"
NOT_CODED = "not coded"
MONTHS_OF_A_YEAR = 12

METHODS = {
    "participants": "each participant once per level; interval: Clopper-Pearson",
    "eventRate": "treatment-emergent events over the sum of all participants' days from the first "
    f"to the last dose, both included; {METHOD} interval",
    "incidenceRate": "participants with a treatment-emergent event over the days to their first, "
    f"or to the last dose; {METHOD} interval",
    "year": "12 of the protocol's months",
    "worstGrade": "the highest grade of a participant's events at a level; events by their own",
    "grade": "CTCAE; of an event without one, mild is 1, moderate 2, severe 3",
    "rounding": f"estimates to {DIGITS} significant digits",
}

NOTES = (
    "An event entered in error or only potential counts nowhere: such rows are counted aside.",
    "An event that ended after the cutoff went on at the cutoff: it has neither end nor outcome; "
    "grade, seriousness and action are those that were recorded.",
    "A worsening of what was there before the first dose is recorded as an event of its own and "
    "is judged by its own onset.",
    "Events later than the protocol's days after the last recorded dose are not "
    "treatment-emergent, also where no record says that sirolimus was stopped: "
    "`afterWithoutStop` counts these.",
    "Participants without a first dose known to the day have no person-time: neither they nor "
    "their events are in a rate.",
)

Events = Sequence[Event]
K = TypeVar("K")


def select_events(cohort: Cohort, members: Members) -> list[Event]:
    """Every event of the members, those that count nowhere too."""
    inside = members.mask(len(cohort))
    return [event for event in cohort.events if inside[event.place]]


def keep_counting(events: Iterable[Event]) -> list[Event]:
    return [event for event in events if event.counts]


def keep_emergent(events: Iterable[Event]) -> list[Event]:
    return [event for event in events if event.counts and event.emergent]


def tell_occurrence(cohort: Cohort, members: Members, events: Events) -> Answer:
    """Participants with at least one of the events, out of all members; events apart."""
    who = len({event.place for event in events})
    return {
        "participants": compute_proportion(who, len(members), cohort.confidence),
        "events": len(events),
    }


def tell_categories(
    cohort: Cohort,
    members: Members,
    events: Events,
    categories: Mapping[str, Callable[[Event], bool]],
) -> list[Answer]:
    return [
        {"category": name}
        | tell_occurrence(cohort, members, [event for event in events if belongs(event)])
        for name, belongs in categories.items()
    ]


def tell_grades(events: Events) -> list[Answer]:
    """By grade: participants whose worst it is, and events of it."""
    worst = Counter(find_worst(events).values())
    own = Counter(event.grade for event in events)
    levels: list[int | None] = [*range(1, DEATH_GRADE + 1), None]
    return [
        {"level": name_grade(level), "participants": worst[level], "events": own[level]}
        for level in levels
    ]


def find_worst(events: Events) -> dict[int, int | None]:
    """Of each participant (by position) the highest grade; None where no event has one."""
    worst: dict[int, int | None] = {}
    for event in events:
        known = [each for each in (worst.get(event.place), event.grade) if each is not None]
        worst[event.place] = max(known, default=None)
    return worst


def name_grade(grade: int | None) -> str:
    return NOT_GRADED if grade is None else f"grade {grade}"


def group_by(events: Events, key: Callable[[Event], K | None]) -> dict[K | None, list[Event]]:
    """In alphabetical order of the key, None last."""
    groups: dict[K | None, list[Event]] = {}
    for event in events:
        groups.setdefault(key(event), []).append(event)
    return dict(sorted(groups.items(), key=lambda each: (each[0] is None, str(each[0]))))


def tell_aside(events: Events) -> Answer:
    """Rows that count nowhere, with the reasons."""
    reasons = Counter(event.aside for event in events if event.aside)
    return {"n": sum(reasons.values()), "reasons": dict(sorted(reasons.items()))}


def tell_emergence(cohort: Cohort, events: Events) -> Answer:
    """Of the events that count why they are treatment-emergent or not."""
    from app.endpoints.cohort.events import AFTER

    counting = keep_counting(events)
    reasons = Counter(event.emergence for event in counting)
    stops = cohort.stops
    without = [each for each in counting if each.emergence == AFTER and each.place not in stops]
    return {
        "emergent": sum(event.emergent for event in counting),
        "vague": sum(event.vague for event in counting),
        "worsened": sum(event.worsened for event in counting),
        "afterWithoutStop": len(without),
        "by": [{"name": name, "events": number} for name, number in sorted(reasons.items())],
    }


def tell_rates(cohort: Cohort, members: Members, emergent: Events) -> Answer:
    """The exposure-adjusted event rate and incidence rate, per participant-year."""
    days = find_exposure(cohort, members)
    events = [event for event in emergent if event.place in days]
    at_risk = days | _first_events(cohort, events, days)
    who = len({event.place for event in events})
    return {
        "unit": "per participant-year",
        "withoutPersonTime": len(members) - len(days),
        "eventRate": compute_rate(len(events), _years(cohort, days), cohort.confidence),
        "incidenceRate": compute_rate(who, _years(cohort, at_risk), cohort.confidence),
    }


def find_exposure(cohort: Cohort, members: Members) -> dict[int, int]:
    """Days from the first to the last dose of those whose first dose is known to the day."""
    first, last = cohort.first_doses.day, cohort.last_doses
    return {
        place: last[place] - int(first[place]) + 1
        for place in members.rows.tolist()
        if place in last
    }


def _first_events(cohort: Cohort, events: Events, days: Mapping[int, int]) -> dict[int, int]:
    """Days to each participant's first event, at most those of the exposure."""
    first: dict[int, int] = {}
    for event in events:
        until = _days_until(cohort, event)
        first[event.place] = min(until, first.get(event.place, days[event.place]))
    return first


def _days_until(cohort: Cohort, event: Event) -> int:
    """The day of onset included; 1 where it is not known or earlier."""
    first = int(cohort.first_doses.day[event.place])
    return 1 if event.start is None else max(1, event.start - first + 1)


def _years(cohort: Cohort, days: Mapping[int, int]) -> float:
    return sum(days.values()) / (float(cohort.protocol.month_days) * MONTHS_OF_A_YEAR)


def told(text: str | None) -> str:
    return NOT_CODED if text is None else text


def yes(flag: bool | None) -> Any:
    """ADaM's Y, or null."""
    return "Y" if flag else None
