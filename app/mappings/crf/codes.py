"""The codes of case report forms: which words the forms take, and what they are in FHIR and CDISC.

CDISC terms by their NCI Thesaurus codes (https://evs.nci.nih.gov): outcome C66768, action C66767,
causality and seriousness as http://hl7.org/fhir/uv/ae-research-backport-ig has them. CTCAE terms,
treatments and items of activity instruments are data beside this file, checked when they are read.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cache
from importlib import resources
from types import MappingProxyType

from app.mappings.dictionary.site import SiteError
from app.mappings.parsing.values import fold_word
from app.mappings.resources import BASE

NCIT = "http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl"
BACKPORT = "http://hl7.org/fhir/uv/ae-research-backport-ig/StructureDefinition"
SERIOUSNESS = "http://terminology.hl7.org/CodeSystem/adverse-event-seriousness"
OUTCOME = "http://terminology.hl7.org/CodeSystem/adverse-event-outcome"

CTCAE_TERM = f"{BASE}/CodeSystem/ctcae-term"
CTCAE_GRADE = f"{BASE}/CodeSystem/ctcae-grade"
ACTIVITY = f"{BASE}/CodeSystem/ctd-activity"
ACTIVITY_ITEM = f"{BASE}/CodeSystem/ctd-activity-item"
PLATELET_ITEM = "platelet-item"
BLEEDING = f"{BASE}/CodeSystem/bleeding"
RESCUE = f"{BASE}/CodeSystem/rescue-treatment"
BACKGROUND = f"{BASE}/CodeSystem/background-treatment"
TREATMENT = f"{BASE}/CodeSystem/treatment"
VISITS = f"{BASE}/CodeSystem/visit"
CRF_RECORD = f"{BASE}/sid/crf-record"

DOSE_SOURCE = f"{BASE}/StructureDefinition/dose-source"
DOSE_TOTAL = f"{BASE}/StructureDefinition/dose-total"
PREDNISONE = f"{BASE}/StructureDefinition/prednisone-equivalent"
SYSTEM_ORGAN_CLASS = f"{BASE}/StructureDefinition/system-organ-class"

Code = tuple[str, str]
"""(code, display)"""

CRITERIA: Mapping[str, Code] = MappingProxyType(
    {
        "death": ("C48275", "Results In Death"),
        "life-threatening": ("C84266", "Is Life Threatening"),
        "hospitalization": ("C83052", "Requires Inpatient Hospitalization"),
        "disability": ("C11338", "Results In Persistent Or Significant Disability"),
        "congenital-anomaly": ("C83117", "Congenital Anomaly or Birth Defect"),
        "medically-important": ("C82521", "Other Medically Important Condition"),
    }
)
CAUSALITIES: Mapping[str, Code] = MappingProxyType(
    {
        "not-related": ("C53256", "Not Related"),
        "unlikely-related": ("C53257", "Unlikely Related"),
        "possibly-related": ("C53258", "Possibly Related"),
        "related": ("C53260", "Related"),
    }
)
OUTCOMES: Mapping[str, tuple[str, Code]] = MappingProxyType(
    {
        "recovered": ("resolved", ("C49498", "Recovered/Resolved")),
        "recovered-with-sequelae": (
            "resolvedWithSequelae",
            ("C49495", "Recovered/Resolved With Sequelae"),
        ),
        "recovering": ("recovering", ("C49496", "Recovering/Resolving")),
        "not-recovered": ("ongoing", ("C49494", "Not Recovered/Not Resolved")),
        "fatal": ("fatal", ("C48275", "Fatal")),
        "unknown": ("unknown", ("C17998", "Unknown")),
    }
)
"""Word → code of R4, and of the NCI Thesaurus: the same element is bound to both."""
ACTIONS_TAKEN: Mapping[str, Code] = MappingProxyType(
    {
        "dose-not-changed": ("C49504", "Dose Not Changed"),
        "dose-reduced": ("C49505", "Dose Reduced"),
        "dose-increased": ("C49503", "Dose Increased"),
        "drug-interrupted": ("C49501", "Drug Interrupted"),
        "drug-withdrawn": ("C49502", "Drug Withdrawn"),
        "not-applicable": ("C48660", "Not Applicable"),
        "unknown": ("C17998", "Unknown"),
    }
)
GRADES: Mapping[int, Code] = MappingProxyType(
    {
        1: ("C41338", "Grade 1 Mild Adverse Event"),
        2: ("C41339", "Grade 2 Moderate Adverse Event"),
        3: ("C41340", "Grade 3 Severe Adverse Event"),
        4: ("C41337", "Grade 4 Life Threatening or Disabling Adverse Event"),
        5: ("C48275", "Death Related to Adverse Event"),
    }
)


@dataclass(frozen=True, slots=True)
class Term:
    """A CTCAE term with its system organ class; `code` is the term made fit for a code."""

    code: str
    display: str
    soc: str


@dataclass(frozen=True, slots=True)
class Treatment:
    """`use`: rescue or background; `factor`: mg of prednisone that one mg is worth, of steroids."""

    code: str
    display: str
    use: str
    kind: str
    atc: str
    factor: Decimal | None


@dataclass(frozen=True, slots=True)
class ActivityItem:
    """`scores`: what it may score, empty where any number will do; `platelets`: it scores them."""

    instrument: str
    item: str
    display: str
    scores: tuple[Decimal, ...]
    platelets: bool


@cache
def load_terms() -> Mapping[str, Term]:
    """CTCAE terms by their spelling."""
    rows = (_term(row["term"], row["soc"]) for _, row in _rows("ctcae.csv"))
    return MappingProxyType({each.display: each for each in rows})


def _term(term: str, soc: str) -> Term:
    return Term(re.sub("[^a-z0-9]+", "-", term.lower()).strip("-"), term, soc)


@cache
def load_treatments() -> Mapping[str, Treatment]:
    """Treatments by code. Raises SiteError naming the line."""
    found = {}
    for line, row in _rows("treatments.csv"):
        factor = _decimal("treatments.csv", line, row["prednisone_factor"])
        if row["use"] not in ("rescue", "background") or row["code"] in found:
            raise SiteError(f"treatments.csv line {line}: use or code")
        found[row["code"]] = Treatment(
            *(row["code"], row["display"], row["use"], row["class"], row["atc"], factor)
        )
    return MappingProxyType(found)


@cache
def load_activity_items() -> Mapping[tuple[str, str], ActivityItem]:
    """Items by (instrument, item). Raises SiteError naming the line."""
    found = {}
    for line, row in _rows("activity_items.csv"):
        texts = row["scores"].split("|") if row["scores"] else []
        scores = [_decimal("activity_items.csv", line, text) for text in texts]
        item = ActivityItem(
            *(row["instrument"], row["item"], row["display"]),
            tuple(score for score in scores if score is not None),
            row["platelets"] == "yes",
        )
        found[item.instrument, item.item] = item
    return MappingProxyType(found)


@cache
def items_of(instrument: str) -> Mapping[str, ActivityItem]:
    """An instrument's items by name; none where the form takes the total alone."""
    found = load_activity_items().items()
    return MappingProxyType({item: each for (of, item), each in found if of == instrument})


@cache
def folded(choices: tuple[str, ...]) -> Mapping[str, str]:
    """The words a field takes by their folded spelling."""
    return MappingProxyType({fold_word(each): each for each in choices})


def _rows(file: str) -> Iterator[tuple[int, dict[str, str]]]:
    text = resources.files("app.mappings.crf").joinpath(file).read_text(encoding="utf-8")
    yield from enumerate(csv.DictReader(text.splitlines()), start=2)


def _decimal(file: str, line: int, text: str) -> Decimal | None:
    try:
        return Decimal(text) if text else None
    except InvalidOperation as problem:
        raise SiteError(f"{file} line {line}: {text!r} is no number") from problem
