"""A disposition record → the end of participation: ResearchSubject, Consent and the cohort as
`app.trial` writes them, each with the order of the record that told it, so that order of arrival
decides nothing. https://hl7.org/fhir/R4/researchsubject.html
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial

from app.errors import SsciError
from app.fhir import Json
from app.mappings.crf.forms import CORRECT, DELETE
from app.mappings.crf.resources import Entry
from app.mappings.facts import Candidate, ResultOrder, Source
from app.mappings.reasons import Failure, Reason
from app.mappings.resources import (
    MAPPING_VERSION,
    RESULT_ORDER,
    RESULT_STATUS,
    build_common_extensions,
    read_order,
)
from app.trial import Disposition, build_revisions

OWN = frozenset({RESULT_ORDER, RESULT_STATUS, MAPPING_VERSION})
ENDED_OTHERWISE = "participation has ended otherwise: correct or delete what was recorded"

Change = Callable[[Json | None], Json | None]


@dataclass(frozen=True, slots=True)
class Ending:
    """What a record changes: its own resource, what comes with it, and its part of the cohort."""

    participation: Candidate
    consent: Candidate
    cohort: CohortPart


@dataclass(frozen=True, slots=True)
class CohortPart:
    """One member's change of the Group `id`."""

    id: str
    subject: str
    order: ResultOrder
    extensions: tuple[Json, ...]
    change: Change


def build_ending(entry: Entry, source: Source) -> Ending:
    """What ends participation, or what takes its end back."""
    subject, consent, cohort = build_revisions(entry.subject.number, _disposition(entry))
    extensions = tuple(build_common_extensions(entry.action, entry.order, source)[1:])
    corrects = entry.action == CORRECT
    reopened = build_revisions(entry.subject.number, _reopening(entry))
    merges = [
        partial(
            _merge,
            change=each.revise,
            reopen=again.revise if corrects else None,
            extensions=extensions,
        )
        for each, again in zip((subject, consent), reopened, strict=False)
    ]
    patient = {"reference": entry.subject.reference}
    return Ending(
        _candidate(entry, {**_sent(entry, extensions), "individual": patient}, merges[0]),
        _candidate(
            entry,
            {"resourceType": "Consent", "id": consent.id, "extension": [], "patient": patient},
            merges[1],
        ),
        CohortPart(cohort.id, entry.subject.reference, entry.order, extensions, cohort.revise),
    )


def build_cohort(parts: Sequence[CohortPart]) -> Candidate:
    """The cohort with all changes that one message brings."""
    resource: Json = {"resourceType": "Group", "id": parts[0].id, "extension": []}
    return Candidate(
        resource,
        parts[0].order,
        needs_original=True,
        merge=partial(_merge_cohort, parts=tuple(parts)),
        orders_itself=True,
    )


def _disposition(entry: Entry) -> Disposition:
    if entry.action == DELETE:
        return _reopening(entry)
    values = entry.values
    return Disposition(values["status"], _day(values["date"].text), values["reason"])


def _reopening(entry: Entry) -> Disposition:
    return Disposition("on-study", _day(entry.values["recorded"].text), "recorded-in-error")


def _day(text: str) -> date:
    return date.fromisoformat(text[:10])


def _sent(entry: Entry, extensions: Sequence[Json]) -> Json:
    """What the record says, to know it again; written is what `_merge` makes of what is stored."""
    told = _disposition(entry)
    return {
        "resourceType": "ResearchSubject",
        "id": entry.id,
        "extension": list(extensions),
        "status": told.change,
        "period": {"end": told.on.isoformat()},
        "assignedArm": told.reason,
    }


def _candidate(entry: Entry, resource: Json, merge: Callable[..., Json | Failure]) -> Candidate:
    return Candidate(resource, entry.order, needs_original=True, merge=merge)


def _merge(
    stored: Json,
    sent: Json,
    *,
    change: Change,
    reopen: Change | None,
    extensions: Sequence[Json],
) -> Json | Failure:
    """What is stored with its end changed; a correction takes an earlier end back first."""
    base = (reopen(stored) if reopen else None) or stored
    try:
        changed = change(base) or base
    except SsciError:
        return Failure(Reason.OUT_OF_ORDER, ENDED_OTHERWISE)
    return {**changed, "extension": [*_others(changed), *extensions]}


def _others(holder: Json) -> list[Json]:
    return [each for each in holder.get("extension", []) if each.get("url") not in OWN]


def _merge_cohort(stored: Json, sent: Json, *, parts: Sequence[CohortPart]) -> Json:
    for part in parts:
        stored = _change_member(stored, part)
    return stored


def _change_member(group: Json, part: CohortPart) -> Json:
    """The order of what was told of a member stands on the member."""
    member = next((each for each in group.get("member", []) if _is_of(each, part.subject)), None)
    if member is None:
        return group
    known = read_order(member)
    if known is not None and part.order.is_older_than(known):
        return group
    changed = part.change(group) or group
    members = [
        {**each, "extension": [*_others(each), *part.extensions]}
        if _is_of(each, part.subject)
        else each
        for each in changed.get("member", [])
    ]
    return {**changed, "member": members}


def _is_of(member: Json, subject: str) -> bool:
    entity = member.get("entity")
    return isinstance(entity, dict) and entity.get("reference") == subject
