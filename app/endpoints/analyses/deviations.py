"""Protocol deviations: how many, of how many participants, major and minor, and what could not be
judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from app.endpoints.analyses.analysis import Analysis
from app.endpoints.analyses.deviations_rows import build_subject_rows, iterate_inputs
from app.endpoints.answers import Answer
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.deviating import Deviation, Finding, NotAssessable, is_major
from app.endpoints.cohort.members import Members
from app.endpoints.figures.proportions import compute_proportion
from app.trial import DeviationRule

METHODS = {
    "dose-change-without-reason": "no level on that side of the range and, of a lower dose, no "
    "adverse event within the protocol's days before the change",
    "trough-without-action": "a valid trough outside the range, and no change of dose against it, "
    "no interruption (above the range) and no stop up to the next visit, held or else planned",
    "visit-missed": "recorded as missed; or neither an attendance nor a valid count in its window, "
    "and the participant was seen later, or on study until after its tolerance",
    "interval": "Clopper-Pearson, participants of the population",
}

NOTES = (
    "What can't be judged is counted as not assessable with its reason, and is no deviation.",
    "The reason for a change of dose is not recorded as such: it is read from levels and adverse "
    "events.",
)


def compute_figures(cohort: Cohort, members: Members) -> Answer:
    found = [cohort.deviations[row] for row in members.rows.tolist()]
    rules = cohort.protocol.deviations.values()
    return {
        "confidence": cohort.confidence,
        "n": len(found),
        "participants": [
            {"name": name, **_share(cohort, found, severities)}
            for name, severities in (
                ("any", ("major", "minor")),
                ("major", ("major",)),
                ("minor", ("minor",)),
            )
        ],
        "deviations": [_deviation(cohort, rule, found) for rule in rules],
        "visits": _visits(cohort, found),
    }


def _share(cohort: Cohort, found: Sequence[Sequence[Finding]], severities: Sequence[str]) -> Answer:
    """Participants with a deviation of these severities."""
    with_one = sum(
        any(_severity(cohort, each) in severities for each in findings) for findings in found
    )
    return compute_proportion(with_one, len(found), cohort.confidence)


def _severity(cohort: Cohort, finding: Finding) -> str | None:
    if isinstance(finding, NotAssessable):
        return None
    return "major" if is_major(cohort, finding) else "minor"


def _deviation(cohort: Cohort, rule: DeviationRule, found: Sequence[Sequence[Finding]]) -> Answer:
    mine = [[each for each in findings if each.code == rule.code] for findings in found]
    events = [sum(isinstance(each, Deviation) for each in findings) for findings in mine]
    open_ = Counter(
        each.reason for findings in mine for each in findings if isinstance(each, NotAssessable)
    )
    return {
        "name": rule.code,
        "title": rule.title,
        "severity": rule.severity,
        "events": sum(events),
        "participants": compute_proportion(sum(map(bool, events)), len(mine), cohort.confidence),
        "notAssessable": {"n": sum(open_.values()), "byReason": dict(sorted(open_.items()))},
    }


def _visits(cohort: Cohort, found: Sequence[Sequence[Finding]]) -> list[Answer]:
    """The deviations of each visit."""
    counted = Counter(
        (each.visit, each.code)
        for findings in found
        for each in findings
        if isinstance(each, Deviation) and each.visit
    )
    return [
        {
            "visit": visit.code,
            "missed": counted[visit.code, "visit-missed"],
            "outsideTolerance": counted[visit.code, "visit-outside-tolerance"],
        }
        for visit in cohort.protocol.visits
    ]


PROTOCOL_DEVIATIONS = Analysis(compute_figures, build_subject_rows, iterate_inputs, METHODS, NOTES)
