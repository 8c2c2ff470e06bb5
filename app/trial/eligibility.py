"""May this person be enrolled? Pure checks of an enrolment against the protocol, all problems told
together, each with its field and never with a value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from app.errors import Category, Issue, errors
from app.trial.identity import Mrn
from app.trial.protocol import Criterion, Eligibility, Protocol

MET, NOT_MET = "met", "not-met"


@dataclass(frozen=True, slots=True)
class Answer:
    """`answer` is met, not-met or unknown; `override` why the participant is enrolled anyway."""

    answer: str
    override: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What a coordinator asks for. Platelets in 10*9/L."""

    mrns: tuple[Mrn, ...] = field(repr=False)
    name: str | None = field(repr=False)
    gender: str
    birth_date: date | None = field(repr=False)
    birth_year: int
    consent_date: date
    guardian_consent: bool
    diagnosis: str
    screening_platelets: Decimal | None
    answers: Mapping[str, Answer]
    synthetic: bool

    @property
    def age_at_consent(self) -> int | None:
        """Completed years; None where only the birth year is known."""
        return (
            None if self.birth_date is None else years_between(self.birth_date, self.consent_date)
        )

    @property
    def override_reasons(self) -> Mapping[str, str]:
        return {code: each.override for code, each in self.answers.items() if each.override}

    @property
    def possible_ages(self) -> range:
        if (age := self.age_at_consent) is not None:
            return range(age, age + 1)
        oldest = self.consent_date.year - self.birth_year
        return range(oldest - 1, oldest + 1)


def years_between(start: date, end: date) -> int:
    """Completed years; who was born on 29 February completes one on 1 March of common years."""
    return end.year - start.year - ((end.month, end.day) < (start.month, start.day))


def check_enrolment(enrolment: Enrolment, protocol: Protocol, today: date) -> None:
    """Raises UNPROCESSABLE with every problem."""
    eligibility = protocol.eligibility
    issues = [
        *_check_dates(enrolment, today),
        *_check_diagnosis(enrolment, protocol),
        *_check_guardian(enrolment, eligibility),
        *_check_answers(enrolment, eligibility),
        *_check_age(enrolment, eligibility),
        *_check_platelets(enrolment, eligibility),
    ]
    if issues:
        raise errors(Category.UNPROCESSABLE, issues)


def _issue(place: str, reason: str) -> Issue:
    return Issue("business-rule", reason, place)


def _check_dates(enrolment: Enrolment, today: date) -> Iterator[Issue]:
    if enrolment.consent_date > today:
        yield _issue("consentDate", "lies in the future")
    place = "birthYear" if enrolment.birth_date is None else "birthDate"
    if enrolment.possible_ages[-1] < 0:
        yield _issue(place, "lies after consentDate")
    if enrolment.possible_ages[0] > 130:
        yield _issue(place, "lies more than 130 years before consentDate")


def _check_diagnosis(enrolment: Enrolment, protocol: Protocol) -> Iterator[Issue]:
    if enrolment.diagnosis not in protocol.diagnoses:
        yield _issue("diagnosis", f"must be one of {', '.join(protocol.diagnoses)}")


def _check_guardian(enrolment: Enrolment, eligibility: Eligibility) -> Iterator[Issue]:
    if enrolment.possible_ages[0] < eligibility.age_of_majority and not enrolment.guardian_consent:
        yield _issue(
            "guardianConsent",
            f"must be true where the participant is or may be under {eligibility.age_of_majority}",
        )


def _check_answers(enrolment: Enrolment, eligibility: Eligibility) -> Iterator[Issue]:
    for criterion in eligibility.criteria:
        answer = enrolment.answers.get(criterion.code)
        if answer is None:
            yield _issue(_place(criterion), "is not answered: met, not-met or unknown")
        elif answer.answer != criterion.wanted:
            yield from _check_override(criterion, answer)
    known = {criterion.code for criterion in eligibility.criteria}
    if enrolment.answers.keys() - known:
        yield _issue("eligibility", f"has an unknown criterion; known: {', '.join(sorted(known))}")


def _place(criterion: Criterion) -> str:
    return f"eligibility.{criterion.code}"


def _check_override(criterion: Criterion, answer: Answer) -> Iterator[Issue]:
    asked = f"the {criterion.kind} criterion must be {criterion.wanted}"
    if not criterion.overridable:
        yield _issue(_place(criterion), f"{asked}; it can't be overridden")
    elif answer.override is None:
        yield _issue(f"{_place(criterion)}.overrideReason", f"{asked}, or overridden with a reason")


def _check_age(enrolment: Enrolment, eligibility: Eligibility) -> Iterator[Issue]:
    allowed = range(eligibility.age_minimum, eligibility.age_maximum + 1)
    fitting = [age in allowed for age in enrolment.possible_ages]
    yield from _contradicted(enrolment, "age", any(fitting), all(fitting))


def _check_platelets(enrolment: Enrolment, eligibility: Eligibility) -> Iterator[Issue]:
    if enrolment.screening_platelets is not None:
        below = enrolment.screening_platelets < eligibility.platelets_below
        yield from _contradicted(enrolment, "platelets", below, below)


def _contradicted(
    enrolment: Enrolment, criterion: str, possible: bool, certain: bool
) -> Iterator[Issue]:
    answer = enrolment.answers.get(criterion)
    if answer is None:
        return
    if (answer.answer == MET and not possible) or (answer.answer == NOT_MET and certain):
        yield _issue(f"eligibility.{criterion}", "the answer contradicts the other fields")
