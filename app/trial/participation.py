"""How a subject's participation ends: withdrawn, screen failure, completed; or goes on, where the
end was recorded in error. Every change is a new version of ResearchSubject, Consent and the cohort.

The last day of participation is ResearchSubject.period.end: what was collected on it still belongs
to the study, what was collected later does not (`EnrolledSubject.covers`). Consent becomes inactive
only where it was withdrawn; how long it covered collection is its provision's period in every case.
https://hl7.org/fhir/R4/researchsubject.html · https://hl7.org/fhir/R4/consent.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache, partial
from pathlib import Path

from app.errors import Category, Issue, error, errors
from app.fhir import Caller, Json, Revise, copy_json, parse_json
from app.trial.codes import (
    ENROLLED_GROUP_ID,
    PARTICIPATION_REASON,
    PARTICIPATION_REASONS,
    coding,
    reference,
)
from app.trial.enrolment import Trial
from app.trial.identity import fetch_all_mrns
from app.trial.reading import extension, first_code
from app.trial.subjects import SubjectSummary, fetch_subject

STATUSES: Mapping[str, str] = {
    "withdrawn": "withdrawn",
    "screen-failed": "ineligible",
    "completed": "off-study",
    "on-study": "on-study",
}
"""Change → https://hl7.org/fhir/R4/valueset-research-subject-status.html"""

ON_STUDY = "on-study"
CONSENT_WITHDRAWN = "consent-withdrawn"
REASONS_FILE = Path(__file__).with_name("study") / "CodeSystem-participation-reason.json"


@dataclass(frozen=True, slots=True)
class Reason:
    """`changes`: for which changes of participation it may be given."""

    code: str
    display: str
    changes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Disposition:
    """A change of participation: to `change` (a key of STATUSES), with `on` as its last day (for
    on-study: the day it was found to be an error)."""

    change: str
    on: date
    reason: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """`changed` is False where it was recorded so already. `stored_after`: how many values are
    stored that were collected after the last day, before the end was known."""

    number: str
    changed: bool
    stored_after: int


@cache
def load_reasons() -> Mapping[str, Reason]:
    """The reasons by code, as the study's code system has them."""
    concepts = parse_json(REASONS_FILE.read_bytes())["concept"]
    return {each["code"]: _reason(each) for each in concepts}


def _reason(concept: Json) -> Reason:
    changes = frozenset(each["valueCode"] for each in concept["property"])
    return Reason(concept["code"], concept["display"], changes)


def reasons_for(change: str) -> list[str]:
    return [each.code for each in load_reasons().values() if change in each.changes]


async def record_participation(
    trial: Trial, caller: Caller, number: str, disposition: Disposition
) -> Recorded:
    """Record the end of a subject's participation, or that it goes on.

    The same again writes nothing. When it goes on, what waits for the subject is processed.
    NOT_FOUND: no such subject. UNPROCESSABLE: date or reason are not possible. CONFLICT: it has
    ended otherwise already, or a screen failure has taken a dose.
    """
    subject = await fetch_subject(trial.database, number)
    if subject is None:
        reason = "nobody was enrolled under this number"
        raise error(Category.NOT_FOUND, reason, expression="number")
    check_disposition(disposition, subject, trial.today)
    if disposition.change == "screen-failed":
        await _refuse_dosed(trial, number)
    changes = await trial.store.write(caller, build_revisions(number, disposition))
    if disposition.change == ON_STUDY:
        await _replay(trial, number)
    changed = any(each.kind != "unchanged" for each in changes)
    after = 0 if disposition.change == ON_STUDY else await _count_after(trial, number, disposition)
    return Recorded(number, changed, after)


def check_disposition(disposition: Disposition, subject: SubjectSummary, today: date) -> None:
    """Raises UNPROCESSABLE with every problem."""
    if issues := list(_problems(disposition, subject, today)):
        raise errors(Category.UNPROCESSABLE, issues)


def _problems(disposition: Disposition, subject: SubjectSummary, today: date) -> Iterator[Issue]:
    if disposition.on > today:
        yield Issue("business-rule", "lies in the future", "on")
    if subject.consent_date is not None and disposition.on < subject.consent_date:
        yield Issue("business-rule", "lies before the day of consent", "on")
    if disposition.reason not in (allowed := reasons_for(disposition.change)):
        told = f"must be one of {', '.join(allowed)}"
        yield Issue("business-rule", told, "reason")


# The resources


def build_revisions(number: str, disposition: Disposition) -> list[Revise]:
    return [
        Revise("ResearchSubject", number, partial(revise_research_subject, disposition)),
        Revise("Consent", f"{number}-consent", partial(revise_consent, disposition)),
        Revise("Group", ENROLLED_GROUP_ID, partial(revise_cohort, disposition, number)),
    ]


def revise_research_subject(disposition: Disposition, stored: Json | None) -> Json | None:
    """CONFLICT where the participation has ended in another way."""
    if stored is None:
        return None
    status, end = STATUSES[disposition.change], disposition.on.isoformat()
    goes_on = disposition.change == ON_STUDY
    ended = (stored.get("period") or {}).get("end")
    if goes_on and ended is None and stored.get("status") == ON_STUDY:
        return None
    if not goes_on and ended is not None and (stored.get("status"), ended) != (status, end):
        raise error(
            Category.CONFLICT,
            f"participation ended on {ended} as {stored.get('status')}: record first that this was"
            " an error (on-study, recorded-in-error)",
            expression="status",
        )
    revised = _with_end(copy_json(stored), "period", None if goes_on else end)
    return _with_reason(revised | {"status": status}, disposition.reason)


def _with_end(holder: Json, name: str, end: str | None) -> Json:
    """`holder` with the end of its period set, or taken away."""
    period = {key: value for key, value in (holder.get(name) or {}).items() if key != "end"}
    period |= {"end": end} if end else {}
    rest = {key: value for key, value in holder.items() if key != name}
    return rest | ({name: period} if period else {})


def _with_reason(resource: Json, reason: str) -> Json:
    others = [
        each for each in resource.get("extension", []) if each.get("url") != PARTICIPATION_REASON
    ]
    told = coding(PARTICIPATION_REASONS, reason, load_reasons()[reason].display)
    stated = {"url": PARTICIPATION_REASON, "valueCodeableConcept": {"coding": [told]}}
    return resource | {"extension": [*others, stated]}


def revise_consent(disposition: Disposition, stored: Json | None) -> Json | None:
    if stored is None:
        return None
    goes_on = disposition.change == ON_STUDY
    withdrawn = disposition.reason == CONSENT_WITHDRAWN
    provision = copy_json(stored.get("provision") or {})
    if "period" not in provision and stored.get("dateTime"):
        provision["period"] = {"start": stored["dateTime"]}
    provision = _with_end(provision, "period", None if goes_on else disposition.on.isoformat())
    status = "inactive" if withdrawn else "active"
    return {**copy_json(stored), "status": status, "provision": provision}


def revise_cohort(disposition: Disposition, number: str, stored: Json | None) -> Json | None:
    if stored is None:
        return None
    members = [_revise_member(disposition, number, each) for each in stored.get("member", [])]
    return {**copy_json(stored), **({"member": members} if members else {})}


def _revise_member(disposition: Disposition, number: str, member: Json) -> Json:
    if member.get("entity") != reference("Patient", number):
        return member
    if disposition.change == ON_STUDY:
        again = _with_end(member, "period", None)
        return {key: value for key, value in again.items() if key != "inactive"}
    return _with_end(member, "period", disposition.on.isoformat()) | {"inactive": True}


def reason_of(research_subject: Json) -> str | None:
    """The code of the latest change's reason, as the resource tells it."""
    return first_code(extension(research_subject, PARTICIPATION_REASON, "CodeableConcept"))


# Asked of the database


async def _refuse_dosed(trial: Trial, number: str) -> None:
    async with trial.database.reading() as connection:
        dosed = await connection.fetchval(
            "SELECT EXISTS (SELECT FROM trial.dose WHERE subject = $1 AND upper_inf(system)"
            " AND amount > 0 AND status = ANY($2))",
            number,
            list(trial.protocol.dosing.first_dose_statuses),
        )
    if dosed:
        reason = "the subject has taken a dose: a screen failure has none"
        raise error(Category.CONFLICT, reason, expression="status")


COUNT_AFTER = " + ".join(
    f"(SELECT count(*) FROM trial.{table} WHERE subject = $1 AND upper_inf(system)"
    " AND clinical_date > $2)"
    for table in ("measurement", "dose", "visit", "activity_score", "adverse_event")
)


async def _count_after(trial: Trial, number: str, disposition: Disposition) -> int:
    async with trial.database.reading() as connection:
        return int(await connection.fetchval(f"SELECT {COUNT_AFTER}", number, disposition.on))


async def _replay(trial: Trial, number: str) -> None:
    async with trial.database.reading() as connection:
        hashes = await fetch_all_mrns(connection, number)
    await trial.replay(hashes)
