"""Who is in the cohort: permuted blocks of twenty that carry the published result.

Published at month 6: response 12 of 20 (CR 10, PR 2); SLE 14: CR 9, PR 1; others 6: CR 1, PR 1, no
responder with Sjögren's. https://doi.org/10.1093/rheumatology/keaa645
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from app.simulation.draws import bounded_gauss, seeded

FIRST_CONSENT = date(2017, 9, 1)
RECRUITING_DAYS = 365


class Response(StrEnum):
    """What sirolimus does for a participant (rule REGISTRY at month 6)."""

    COMPLETE = "CR"
    PARTIAL = "PR"
    NONE = "NR"


@dataclass(frozen=True, slots=True)
class Disease:
    """A connective-tissue disease: the protocol's code, text, SNOMED CT where one is verified."""

    code: str
    text: str
    snomed: str | None


SLE = Disease("SLE", "Systemic lupus erythematosus", "55464009")
SJOGREN = Disease("pSS", "Primary Sjögren's syndrome", "83901003")
RHEUMATOID = Disease("RA", "Rheumatoid arthritis", "69896004")
SCLERODERMA = Disease("SSc", "Systemic sclerosis", "89155008")
MIXED = Disease("MCTD", "Mixed connective tissue disease", None)
UNDIFFERENTIATED = Disease("UCTD", "Undifferentiated connective tissue disease", None)


@dataclass(frozen=True, slots=True)
class Profile:
    """One place in a block: the disease, what sirolimus will do, and whether follow-up is lost."""

    disease: Disease
    response: Response
    leaves_early: bool = False


BLOCK: tuple[Profile, ...] = (
    *(Profile(SLE, Response.COMPLETE) for _ in range(9)),
    Profile(SLE, Response.PARTIAL),
    *(Profile(SLE, Response.NONE) for _ in range(3)),
    Profile(SLE, Response.NONE, leaves_early=True),
    Profile(UNDIFFERENTIATED, Response.COMPLETE),
    Profile(MIXED, Response.PARTIAL),
    Profile(SJOGREN, Response.NONE),
    Profile(SJOGREN, Response.NONE, leaves_early=True),
    Profile(RHEUMATOID, Response.NONE),
    Profile(SCLERODERMA, Response.NONE),
)
"""10 % leave early, all of them non-responders: people on whom a drug works stay."""


@dataclass(frozen=True, slots=True)
class Person:
    """A synthetic participant as the hospital knows them; `number` counts from 1."""

    number: int
    mrn: str
    name: str
    female: bool
    birth_date: date
    weight_kg: float
    consented: date
    profile: Profile

    @property
    def subject_number(self) -> str:
        return f"SSCI-{self.number:03d}"

    @property
    def age_at_consent(self) -> int:
        """Completed years."""
        born, consented = self.birth_date, self.consented
        before_birthday = (consented.month, consented.day) < (born.month, born.day)
        return consented.year - born.year - before_birthday


def generate_people(count: int, seed: int) -> Iterator[Person]:
    """`count` people in the order of consent, spread over the year of recruitment."""
    for number in range(1, count + 1):
        yield generate_person(number, count, seed)


def generate_person(number: int, count: int, seed: int) -> Person:
    random = seeded(seed, "person", number)
    female = random.random() < 0.83
    consented = _consent_date(number, count)
    age = bounded_gauss(random, 38, 12, 16.5, 79.5)
    return Person(
        number=number,
        mrn=f"T{seed % 1000:03d}{number:06d}",
        name=_name(number),
        female=female,
        birth_date=consented - timedelta(days=round(age * 365.25)),
        weight_kg=round(bounded_gauss(random, 57 if female else 68, 9, 40, 100), 1),
        consented=consented,
        profile=_profile(number, seed),
    )


def _consent_date(number: int, count: int) -> date:
    return FIRST_CONSENT + timedelta(days=(number - 1) * RECRUITING_DAYS // count)


def _profile(number: int, seed: int) -> Profile:
    block, place = divmod(number - 1, len(BLOCK))
    order = list(BLOCK)
    seeded(seed, "block", block).shuffle(order)
    return order[place]


def _name(number: int) -> str:
    """Says that it is a test; some end in characters whose GBK bytes contain `|` and `\\`."""
    tail = {3: "珅", 5: "誠"}.get(number % 7, "")
    return f"测试{tail}{number:03d}"
