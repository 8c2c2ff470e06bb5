"""Case report form records → facts: whose, which form, which record, what it becomes.

A record is known by feed, form, subject and record number; of its versions the one recorded last
counts. Several versions of one record in one message come to the latest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta

from app.mappings.context import Context, Resolutions
from app.mappings.crf.disposition import Ending, build_cohort, build_ending
from app.mappings.crf.forms import DELETE, RECORD, Form
from app.mappings.crf.records import Checked, CrfRecord, Problem, check_record
from app.mappings.crf.resources import (
    Entry,
    build_entry,
    delete_stored,
    keep_first_record,
)
from app.mappings.crf.rules import check_rules
from app.mappings.elements import Element
from app.mappings.facts import Candidate, Fact, ResultOrder
from app.mappings.parsing.times import Time
from app.mappings.reasons import Failure, Outcome, Reason
from app.mappings.resources import BASE
from app.mappings.result_key import keyed_id
from app.mappings.subjects import Subject

SYSTEM = f"{BASE}/CodeSystem/case-report-form"
DISPOSITION = "disposition"
PROBLEMS_TOLD = 6
NO_SUBJECT = "subject: is missing"
"""It would wait for an enrolment that it can never be taken up by."""


def map_records(
    records: Iterable[CrfRecord], context: Context, subjects: Resolutions
) -> list[Fact]:
    """A fact per record, in their order."""
    mapped = [
        _map_record(ordinal, record, context, subjects) for ordinal, record in enumerate(records)
    ]
    facts = _latest([fact for fact, _ in mapped])
    return _with_cohort(facts, [ending for _, ending in mapped])


Mapped = tuple[Fact, Ending | None]


def _map_record(ordinal: int, record: CrfRecord, context: Context, subjects: Resolutions) -> Mapped:
    elements = {
        Element.SUBJECT: record.name("subject"),
        Element.ACTION: record.name("action"),
        Element.TYPE: record.name("form"),
    }
    fact = Fact(ordinal, record.place, record.span, elements=elements)
    if record.failure is not None:
        return fact.failed(record.failure), None
    if not record.subject:
        return fact.failed(Failure(Reason.STRUCTURE, NO_SUBJECT, Element.SUBJECT)), None
    subject = subjects[record.subject]
    if isinstance(subject, Failure):
        return fact.failed(subject), None
    return _map_of_subject(replace(fact, subject=subject), record, subject, context)


def _map_of_subject(fact: Fact, record: CrfRecord, subject: Subject, context: Context) -> Mapped:
    checked = check_record(record, context.setting.zone)
    if checked.form is None:
        return _failed(fact, record, checked.problems), None
    form = checked.form
    fact = replace(fact, code=form.name, system=SYSTEM, analyte=form.name)
    id = _record_id(form, checked, subject, context)
    if id and form.name != DISPOSITION:
        fact = replace(fact, resource_type=form.resource_type, resource_id=id)
    if "recorded" in checked.values:
        fact = replace(fact, order=_order(checked, context))
    problems = checked.problems or tuple(_check(form, checked, context))
    if problems:
        return _failed(fact, record, problems), None
    entry = Entry(
        form,
        id,
        subject,
        checked.values["record"],
        checked.values.get("action", RECORD),
        _order(checked, context),
        checked.values,
    )
    return _with_candidate(fact, entry, context)


def _check(form: Form, checked: Checked, context: Context) -> list[Problem]:
    recorded: Time = checked.values["recorded"]
    problems = []
    if recorded.instant > context.source.received + timedelta(days=1):
        text = "lies more than a day after receipt"
        problems.append(Problem("recorded", Reason.TIME_INVALID, text))
    if checked.values.get("action") != DELETE:
        problems += check_rules(form, checked.values)
    return problems


def _failed(fact: Fact, record: CrfRecord, problems: Sequence[Problem]) -> Fact:
    """The first problem counts; all are told."""
    first = problems[0]
    told = "; ".join(_tell(each) for each in problems[:PROBLEMS_TOLD])
    failed = fact.failed(Failure(first.reason, told))
    return replace(failed, field=record.name(first.field, first.part))


def _tell(problem: Problem) -> str:
    part = f" ({problem.part})" if problem.part else ""
    return f"{problem.field}{part}: {problem.text}" if problem.field else problem.text


def _record_id(form: Form, checked: Checked, subject: Subject, context: Context) -> str:
    """'' as long as the record number cannot be read."""
    number = checked.values.get("record")
    if number is None:
        return ""
    if form.name == DISPOSITION:
        return subject.number
    authority = context.setting.key_authority
    parts = ("case-report-form", authority, form.name, subject.number, str(number))
    return keyed_id(context.secret, *parts)


def _order(checked: Checked, context: Context) -> ResultOrder:
    """By `recorded`; at the same moment by `version`, carried as microseconds beside it."""
    recorded: Time = checked.values["recorded"]
    version = checked.values.get("version")
    reported = recorded.instant + timedelta(microseconds=version) if version else None
    return ResultOrder(recorded.instant, reported, None, context.source.received)


def _with_candidate(fact: Fact, entry: Entry, context: Context) -> Mapped:
    effective = None if entry.action == DELETE else _effective(entry)
    fact = replace(fact, effective=effective.instant if effective else None)
    if entry.form.name == DISPOSITION:
        ending = build_ending(entry, context.source)
        ended = replace(
            fact,
            resource_type=entry.form.resource_type,
            resource_id=entry.id,
            candidate=ending.participation,
            companions=(ending.consent,),
        )
        return ended, ending
    resource = build_entry(entry, context.source)
    candidate = Candidate(resource, entry.order, needs_original=entry.action != RECORD)
    if entry.form.resource_type == "AdverseEvent":
        merge = delete_stored if entry.action == DELETE else keep_first_record
        told = "first_recorded" in entry.values
        candidate = replace(candidate, merge=None if told else merge)
    elif entry.action == DELETE:
        candidate = replace(candidate, keeps_value=True)
    reviews = (Reason.RESULT_DELETED,) if entry.action == DELETE else ()
    return replace(fact, candidate=candidate, reviews=reviews), None


CLINICAL = ("onset", "assessed_on", "start")
"""When it happened, by form."""


def _effective(entry: Entry) -> Time | None:
    """None of a disposition: a correction may move the end of participation."""
    names = (*CLINICAL, "date") if entry.form.name != DISPOSITION else CLINICAL
    return next((entry.values[name] for name in names if name in entry.values), None)


# Several versions in one message


def _latest(facts: Sequence[Fact]) -> list[Fact]:
    """Of several versions of one record the latest is stored; the others are told so."""
    by_id: dict[str, list[Fact]] = {}
    for fact in facts:
        if fact.candidate is not None:
            by_id.setdefault(fact.resource_id, []).append(fact)
    settled = {
        each.ordinal: each
        for versions in by_id.values()
        if len(versions) > 1
        for each in _fold(versions)
    }
    return [settled.get(fact.ordinal, fact) for fact in facts]


def _fold(versions: Sequence[Fact]) -> list[Fact]:
    last = versions[0]
    for each in versions[1:]:
        if not _is_older(each, last):
            last = each
    others = [_settle_beside(each, last) for each in versions if each is not last]
    return [_carry(last, [each for each in versions if each is not last]), *others]


def _is_older(one: Fact, other: Fact) -> bool:
    return (
        one.order is not None and other.order is not None and one.order.is_older_than(other.order)
    )


def _settle_beside(fact: Fact, last: Fact) -> Fact:
    if fact.candidate and last.candidate and fact.candidate.resource == last.candidate.resource:
        return fact.settled(Outcome.UNCHANGED, f"repeated by {last.place}")
    detail = f"{last.place} of the same message is a later version of this record"
    return fact.settled(Outcome.SUPERSEDED, detail, Reason.OUT_OF_ORDER)


def _carry(last: Fact, others: Sequence[Fact]) -> Fact:
    """The latest version, whose original may be among the others."""
    candidate = last.candidate
    if candidate is None or last.code == DISPOSITION or not candidate.needs_original:
        return last
    told = [each.candidate for each in others if each.candidate and not _deletes(each.candidate)]
    if all(each.needs_original for each in told):
        return last
    resource = candidate.resource
    if _deletes(candidate):
        valued = max(
            told, key=lambda each: (each.order.instant, each.order.reported or each.order.instant)
        )
        resource = delete_stored(valued.resource, resource)
    return replace(last, candidate=replace(candidate, resource=resource, needs_original=False))


def _deletes(candidate: Candidate) -> bool:
    return candidate.keeps_value or candidate.merge is delete_stored


def _with_cohort(facts: Sequence[Fact], endings: Sequence[Ending | None]) -> list[Fact]:
    """Every record that ends a participation brings the cohort, changed by all of them."""
    ending_of = {
        fact.ordinal: ending
        for fact, ending in zip(facts, endings, strict=True)
        if ending is not None and fact.candidate is not None
    }
    if not ending_of:
        return list(facts)
    cohort = build_cohort([ending.cohort for ending in ending_of.values()])
    return [
        replace(fact, companions=(*fact.companions, cohort)) if fact.ordinal in ending_of else fact
        for fact in facts
    ]
