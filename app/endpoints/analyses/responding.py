"""What all endpoints of response share: the rule that was asked for, responses at visits, rates
over all members with their sensitivity analyses, and inputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from app.endpoints.answers import Answer, Input
from app.endpoints.cohort.bleeding import (
    BLEEDS,
    NO_BLEEDING,
    NOT_ASSESSED,
    explain_unusable_bleeding,
)
from app.endpoints.cohort.choosing import take
from app.endpoints.cohort.cohort import NOT_GIVEN, RESCUE, Cohort
from app.endpoints.cohort.members import Members
from app.endpoints.cohort.placing import exactly
from app.endpoints.cohort.responses import (
    COMPLETE,
    COMPOSITE,
    PARTIAL,
    Responses,
    name_level,
)
from app.endpoints.cohort.visit_responses import VisitResponses, find_visit_responses
from app.endpoints.figures.proportions import compute_proportion
from app.endpoints.reading.records import Bleeding, R, Treatment
from app.trial import ResponseRule

Flags = NDArray[np.bool_]

METHODS = {
    "denominator": "every member of the population; who is missing at a visit does not respond",
    "clopper-pearson": "exact two-sided interval, each tail at most half of 1 - confidence",
    "wilson": "score interval without continuity correction",
    "confirmation": "where the rule asks for it: a run of responding counts that lasts at least "
    "its days, with no confirmed loss within; a response begins at the run's first count. A loss "
    "is a run of counts without response; one such count alone neither loses nor breaks a response",
    "bleeding": "the nearest assessment within the protocol's days speaks for a count; where there "
    "is none, the count is classified as without bleeding and counted as not assessed",
    "rescue": "composite: no response after rescue treatment",
    "stopped": "composite: no response after the last day on sirolimus, known from a stopped last "
    "prescription that neither dose nor prescription followed, or from early withdrawal",
    "thresholds": "counts at or above, none after rescue or stop",
}

NOTES = (
    "A partial response is impossible from a baseline of half the rule's limit up: see strata.",
    "Under the registry's rule a count of exactly 100 is neither complete nor partial.",
    "A complete response needs no baseline; without one a partial response can't be told, and the "
    "participant is missing unless the response is complete.",
)


def find_rule(cohort: Cohort) -> ResponseRule:
    """The rule that was asked for, or the definition's, or the protocol's default."""
    request, rules = cohort.request, cohort.protocol.response_rules
    name = request.parameters.get("rule") or request.definition.response_rule
    return next((rule for rule in rules if rule.id == name), None) or next(
        rule for rule in rules if rule.default
    )


def find_definition_rule(cohort: Cohort) -> ResponseRule | None:
    name = cohort.request.definition.response_rule
    return next((rule for rule in cohort.protocol.response_rules if rule.id == name), None)


@dataclass(frozen=True, eq=False)
class Judged:
    """A cohort's responses under one rule, with those of the sensitivity analyses."""

    cohort: Cohort
    rule: ResponseRule

    @property
    def interval(self) -> str:
        return self.cohort.request.parameters.get("interval", "clopper-pearson")

    @cached_property
    def responses(self) -> Responses:
        return self.cohort.responses(self.rule)

    @cached_property
    def visits(self) -> VisitResponses:
        return find_visit_responses(self.cohort, self.responses)

    @cached_property
    def policy(self) -> VisitResponses:
        """Treatment policy: rescue and stops change nothing."""
        responses = self.cohort.responses(self.rule, composite=False)
        return find_visit_responses(self.cohort, responses)

    @cached_property
    def single(self) -> VisitResponses:
        """By the visit's count alone, unconfirmed."""
        rule = replace(self.rule, response_confirmation_days=None)
        return find_visit_responses(self.cohort, self.cohort.responses(rule))

    def rate(self, flags: Flags) -> Answer:
        """How many of these participants."""
        interval = self.interval
        events = int(np.count_nonzero(flags))
        return compute_proportion(events, len(flags), self.cohort.confidence, interval)


def judge(cohort: Cohort) -> Judged:
    return Judged(cohort, find_rule(cohort))


def describe_rule(rule: ResponseRule) -> Answer:
    """The rule as the protocol has it, in words and numbers."""
    return {
        "id": rule.id,
        "version": rule.version,
        "title": rule.title,
        "source": rule.source,
        "complete": _limit(rule.complete_threshold, rule.complete_inclusive),
        "partial": _partial(rule),
        "partialCode": rule.partial_code,
        "bleedingExcludes": rule.bleeding_excludes,
        "responseConfirmation": rule.response_confirmation_days,
        "lossConfirmation": rule.loss_confirmation_days,
        "visit": rule.visit,
    }


def _limit(value: Decimal, inclusive: bool) -> str:
    return f"{'>=' if inclusive else '>'} {value}"


def _partial(rule: ResponseRule) -> str:
    parts = [f"{_limit(rule.partial_multiple, rule.partial_inclusive)} x baseline"]
    if rule.partial_minimum is not None:
        parts.append(f">= {rule.partial_minimum}")
    if rule.partial_below is not None:
        parts.append(f"< {rule.partial_below}")
    return " and ".join(parts)


def build_rates(judged: Judged, at: VisitResponses, rows: NDArray[np.intp], visit: int) -> Answer:
    """Response, complete and partial response of these participants at a visit."""
    level = at.level[rows, visit]
    return {
        "response": judged.rate(level >= PARTIAL),
        "complete": judged.rate(level == COMPLETE),
        "partial": judged.rate(level == PARTIAL),
    }


def build_main_rates(judged: Judged, members: Members, visit: int) -> Answer:
    """By the protocol's strategy for a missed visit: no response, or left out."""
    missed = judged.cohort.protocol.intercurrent_events["missed-visit"].strategies["response"]
    rows = members.rows if missed == COMPOSITE else find_observed(judged, members, visit)
    return build_rates(judged, judged.visits, rows, visit)


def find_observed(judged: Judged, members: Members, visit: int) -> NDArray[np.intp]:
    """The members of whom it is known whether they respond at a visit."""
    rows = members.rows
    observed: NDArray[np.intp] = rows[~judged.visits.missing[rows, visit]]
    return observed


def build_sensitivity(judged: Judged, members: Members, visit: int) -> Answer:
    """Observed cases; treatment policy; the visit's count alone, where the rule confirms."""
    single = judged.rule.response_confirmation_days
    observed = find_observed(judged, members, visit)
    return {
        "observedCases": build_rates(judged, judged.visits, observed, visit),
        "treatmentPolicy": build_rates(judged, judged.policy, members.rows, visit),
        "singleCount": build_rates(judged, judged.single, members.rows, visit) if single else None,
    }


def build_thresholds(judged: Judged, members: Members, visit: int) -> list[Answer]:
    """Counts at or above each of the protocol's thresholds at a visit."""
    chosen = judged.visits.chosen[members.rows, visit]
    values = take(judged.cohort.counts.value, chosen)
    failed = np.zeros(len(chosen), np.bool_)
    failed[chosen >= 0] = judged.responses.failed[chosen[chosen >= 0]]
    return [
        {"name": f">= {limit}", **judged.rate(~failed & (exactly(values) >= float(limit)))}
        for limit in judged.cohort.protocol.response.thresholds
    ]


def build_bleeding(judged: Judged, members: Members, visit: int) -> Answer:
    """What is known of bleeding at the counts of a visit, and how many responses rest on none."""
    chosen = judged.visits.chosen[members.rows, visit]
    responds = (judged.visits.level[members.rows, visit] >= PARTIAL)[chosen >= 0]
    bleeding = judged.responses.bleeding[chosen[chosen >= 0]]
    unknown = bleeding == NOT_ASSESSED
    return {
        "considered": judged.rule.bleeding_excludes,
        "bleeding": int(np.count_nonzero(bleeding == BLEEDS)),
        "noBleeding": int(np.count_nonzero(bleeding == NO_BLEEDING)),
        "notAssessed": int(np.count_nonzero(unknown)),
        "responsesNotAssessed": int(np.count_nonzero(unknown & responds)),
    }


def build_events(judged: Judged, members: Members) -> Answer:
    """How many members had each intercurrent event, by what it is known."""
    cohort, inside = judged.cohort, members.mask(len(judged.cohort))
    events = cohort.protocol.intercurrent_events
    treated = [row for row in _rows_of(cohort, Treatment, inside) if row.kind == RESCUE]
    groups = [row.group for place, row in cohort.rescues.items() if inside[place]]
    signs = [stop.why for place, stop in cohort.stops.items() if inside[place]]
    return {
        "rescue": _event(events["rescue"].strategies["response"], groups)
        | {"unusable": _count_reasons(explain_unusable_rescue(row) for row in treated)},
        "sirolimusStopped": _event(events["sirolimus-stopped"].strategies["response"], signs),
        "missedVisit": {"strategy": events["missed-visit"].strategies["response"]},
    }


def count_unusable_bleeding(cohort: Cohort, members: Members) -> dict[str, int]:
    """Assessments of the members' bleeding that speak for no count, by reason."""
    rows = _rows_of(cohort, Bleeding, members.mask(len(cohort)))
    return _count_reasons(explain_unusable_bleeding(cohort, row) for row in rows)


def explain_unusable_rescue(row: Treatment) -> str | None:
    """Why a treatment is no rescue at a known time; None if it is."""
    if row.status in NOT_GIVEN:
        return "status says that it was not given"
    return None if row.when else "date not known"


def _rows_of(cohort: Cohort, kind: type[R], inside: Flags) -> list[R]:
    if not cohort.tables.rows.has(kind):
        return []
    places = ((cohort.position.get(row.subject), row) for row in cohort.tables.rows.all(kind))
    return [row for place, row in places if place is not None and inside[place]]


def _count_reasons(reasons: Iterable[str | None]) -> dict[str, int]:
    return dict(sorted(Counter(reason for reason in reasons if reason).items()))


def _event(strategy: str, signs: list[str]) -> Answer:
    counted = {sign: signs.count(sign) for sign in sorted(set(signs))}
    return {"strategy": strategy, "participants": len(signs), "firstBy": counted}


def split_by_baseline(cohort: Cohort, members: Members) -> Iterator[tuple[str, Members]]:
    """Below, and from, the protocol's threshold; who has no baseline last, if anyone."""
    limit = cohort.protocol.response.baseline_stratum
    values = cohort.baseline_value[members.rows]
    yield f"baseline < {limit}", Members(members.rows[values < float(limit)], ())
    yield f"baseline >= {limit}", Members(members.rows[values >= float(limit)], ())
    if np.isnan(values).any():
        yield "baseline not known", Members(members.rows[np.isnan(values)], ())


def name_response(judged: Judged, row: int, visit: int) -> str | None:
    return name_level(judged.rule, int(judged.visits.level[row, visit]))


def iterate_inputs(cohort: Cohort, members: Members) -> Iterator[Input]:
    """First doses, baselines, intercurrent events, every count after the first dose (a response may
    begin, be confirmed or be lost at any), and bleeding where the rule asks for it."""
    judged = judge(cohort)
    visits, chosen = cohort.protocol.visits, judged.visits.chosen
    judgeable = set(judged.responses.order.tolist())
    for row in members.rows.tolist():
        yield from _fixed_inputs(cohort, row)
        at = {count: visits[visit].code for visit, count in enumerate(chosen[row].tolist())}
        for count in cohort.counts_of(row):
            if count in judgeable:
                use = "visit" if count in at else "course"
                source = cohort.measurement(count).source
                yield Input(cohort.numbers[row], use, at.get(count), source)
        if judged.rule.bleeding_excludes:
            yield from _bleeding_inputs(cohort, cohort.numbers[row])


def _fixed_inputs(cohort: Cohort, row: int) -> Iterator[Input]:
    number = cohort.numbers[row]
    if dose := cohort.first_dose(row):
        yield Input(number, "first dose", None, dose.source)
    if rescue := cohort.rescues.get(row):
        yield Input(number, "rescue", None, rescue.source)
    if stop := cohort.stops.get(row):
        yield Input(number, "sirolimus stopped", None, stop.source)
    if cohort.baseline[row] >= 0:
        yield Input(number, "baseline", None, cohort.measurement(cohort.baseline[row]).source)


def _bleeding_inputs(cohort: Cohort, number: str) -> Iterator[Input]:
    for row in cohort.tables.rows.of(Bleeding, number):
        if explain_unusable_bleeding(cohort, row) is None:
            yield Input(number, "bleeding", None, row.source)
