"""The case report forms: their fields, as the site fills them in. One description drives reading,
checking, the JSON Schema and the CSV templates.

Nothing here is free text: every field is a code, a number or a date, so that nothing that a record
holds can name a person. Adverse events by CTCAE (https://ctep.cancer.gov, terms are free), how
serious they are by ICH E2A, bleeding by the WHO scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import cache
from types import MappingProxyType

from app.mappings.crf.codes import (
    ACTIONS_TAKEN,
    CAUSALITIES,
    CRITERIA,
    OUTCOMES,
    load_activity_items,
    load_terms,
    load_treatments,
)
from app.trial import load_protocol, reasons_for

MAX_RECORD = 9999
MAX_VERSION = 9999


class Kind(StrEnum):
    """What a field holds. `codes`: several, in CSV joined by `|`; `scores`: numbers by name, in CSV
    `name=1|other=2`."""

    CODE = "code"
    CODES = "codes"
    DATE = "date"
    NUMBER = "number"
    WHOLE = "whole"
    FLAG = "flag"
    SCORES = "scores"


@dataclass(frozen=True, slots=True)
class Field:
    """`example` as a CSV cell; '' leaves it out of the example. `ahead`: a date may lie in the
    future."""

    name: str
    kind: Kind
    text: str
    needed: bool = False
    choices: tuple[str, ...] = ()
    low: Decimal | None = None
    high: Decimal | None = None
    example: str = ""
    ahead: bool = False


@dataclass(frozen=True, slots=True)
class Form:
    """`resource_type`: what a record of it becomes."""

    name: str
    title: str
    resource_type: str
    fields: tuple[Field, ...]

    @property
    def all_fields(self) -> tuple[Field, ...]:
        """Those of every record first."""
        return (*HEAD, *self.fields)


RECORD, CORRECT, DELETE = "record", "correct", "delete"


def _code(
    name: str, text: str, choices: tuple[str, ...], example: str = "", *, needed: bool = False
) -> Field:
    return Field(name, Kind.CODE, text, needed, choices, example=example)


def _codes(name: str, text: str, choices: tuple[str, ...], example: str = "") -> Field:
    return Field(name, Kind.CODES, text, choices=choices, example=example)


def _date(
    name: str, text: str, example: str = "", *, needed: bool = False, ahead: bool = False
) -> Field:
    return Field(name, Kind.DATE, text, needed, example=example, ahead=ahead)


def _flag(name: str, text: str, example: str = "", *, needed: bool = False) -> Field:
    return Field(name, Kind.FLAG, text, needed, example=example)


def _number(
    name: str,
    text: str,
    low: int,
    high: int,
    example: str = "",
    kind: Kind = Kind.NUMBER,
    *,
    needed: bool = False,
) -> Field:
    limits = (Decimal(low), Decimal(high))
    return Field(name, kind, text, needed, (), *limits, example)


HEAD = (
    Field("form", Kind.CODE, "Which form this is a record of", needed=True),
    Field(
        "subject",
        Kind.CODE,
        "Subject number; never a hospital number or a name",
        needed=True,
        example="SSCI-001",
    ),
    _number(
        "record",
        "Number of the record: counts from 1 per form and subject, stays the same when corrected",
        *(1, MAX_RECORD, "1", Kind.WHOLE),
        needed=True,
    ),
    _code(
        "action",
        "`correct` replaces what was recorded under this number, `delete` says it was an error",
        (RECORD, CORRECT, DELETE),
        RECORD,
    ),
    _number(
        "version",
        "Of two with the same `recorded` the higher one is the newer",
        *(1, MAX_VERSION, "", Kind.WHOLE),
    ),
    _date(
        "recorded",
        "When this was recorded or corrected, to the day or better; the latest one counts",
        "2019-03-14T10:15:00+08:00",
        needed=True,
    ),
)
"""Of every record."""


@cache
def forms() -> Mapping[str, Form]:
    """The forms by name."""
    found = (
        _adverse_event(),
        _activity_score(),
        _bleeding(),
        _rescue_treatment(),
        _concomitant_treatment(),
        _prescription(),
        _home_dose(),
        _visit(),
        _disposition(),
    )
    return MappingProxyType({form.name: form for form in found})


@cache
def field_names() -> tuple[str, ...]:
    """The fields of all forms, each once."""
    return tuple(dict.fromkeys(each.name for form in forms().values() for each in form.all_fields))


def _adverse_event() -> Form:
    fields = (
        _code("term", "CTCAE term", tuple(load_terms()), "Mucositis oral", needed=True),
        _code("ctcae_version", "Version of CTCAE; 5.0 if empty", ("5.0", "6.0"), "5.0"),
        _number("grade", "CTCAE grade, 5 is death", 1, 5, "2", Kind.WHOLE, needed=True),
        _date("onset", "First day: year, month or day", "2019-03-02", needed=True),
        _date("end", "Last day, once it has ended", "2019-03-12"),
        _flag("serious", "Serious by ICH E2A", "no", needed=True),
        _codes("seriousness_criteria", "Of ICH E2A; of a serious event", tuple(CRITERIA)),
        _code(
            "causality",
            "Relation to sirolimus",
            tuple(CAUSALITIES),
            "possibly-related",
            needed=True,
        ),
        _flag("expected", "Expected of sirolimus by its reference safety information", "yes"),
        _code(
            "action_taken", "With sirolimus", tuple(ACTIONS_TAKEN), "dose-not-changed", needed=True
        ),
        _code("outcome", "So far", tuple(OUTCOMES), "recovered", needed=True),
        _date("first_recorded", "Day of first record; that of `recorded` if empty"),
    )
    return Form("adverse-event", "Adverse event", "AdverseEvent", fields)


def _activity_score() -> Form:
    instruments = tuple(load_protocol().activity_instruments)
    items = tuple(dict.fromkeys(each.item for each in load_activity_items().values()))
    fields = (
        _code("instrument", "Activity instrument", instruments, "SLEDAI-2K", needed=True),
        _date("assessed_on", "Day of assessment", "2019-03-14", needed=True),
        _flag("assessed", "`no`: it was to be assessed and was not; `yes` if empty", "yes"),
        _number("total", "The instrument's total", 0, 200, "7"),
        Field(
            "items",
            Kind.SCORES,
            "The items that make the total, by name; those of SLEDAI-2K and ESSDAI that are left"
            " out score 0",
            choices=items,
            example="arthritis=4|low-complement=2|thrombocytopenia=1",
        ),
        _number(
            "platelet_item",
            "What the item for platelets adds to the total; needed without items",
            0,
            6,
        ),
    )
    return Form(
        "activity-score", "Activity of the connective tissue disease", "Observation", fields
    )


BLEEDING_SITES = (
    *("skin", "oral", "nasal", "gastrointestinal", "genitourinary", "pulmonary", "intracranial"),
    *("ocular", "other"),
)


def _bleeding() -> Form:
    fields = (
        _date("assessed_on", "Day of assessment", "2019-03-14", needed=True),
        _flag("assessed", "Whether bleeding was looked for", "yes", needed=True),
        _number("grade", "WHO bleeding scale, 0 is none", 0, 4, "1", Kind.WHOLE),
        _codes("sites", "Where, from grade 1 on", BLEEDING_SITES, "skin|oral"),
    )
    return Form("bleeding", "Bleeding", "Observation", fields)


UNITS = ("mg", "g", "ug", "[IU]", "{unit}")


def _rescue_treatment() -> Form:
    drugs = tuple(code for code, each in load_treatments().items() if each.use == "rescue")
    fields = (
        _code("treatment", "What was given", drugs, "ivig", needed=True),
        _date("start", "First day", "2019-03-12", needed=True),
        _date("end", "Last day; that of the start if empty", "2019-03-13"),
        _number("amount", "Amount of one dose", 0, 100_000, "20"),
        _code("unit", "Of the amount, in UCUM; `{unit}` counts blood products", UNITS, "g"),
    )
    return Form("rescue-treatment", "Rescue treatment", "MedicationAdministration", fields)


def _concomitant_treatment() -> Form:
    drugs = tuple(code for code, each in load_treatments().items() if each.use == "background")
    fields = (
        _code("treatment", "What is taken", drugs, "prednisone", needed=True),
        _number("daily_mg", "mg a day; of a steroid it is needed", 0, 10_000, "10"),
        _date("start", "First day at this dose: year, month or day", "2019-01-05", needed=True),
        _date("end", "Last day at this dose, once it has ended", ""),
    )
    return Form("concomitant-treatment", "Concomitant treatment", "MedicationStatement", fields)


SIROLIMUS = "sirolimus"


def _prescription() -> Form:
    background = tuple(code for code, each in load_treatments().items() if each.use == "background")
    fields = (
        _code("treatment", "What is prescribed", (SIROLIMUS, *background), SIROLIMUS, needed=True),
        _number("daily_mg", "mg a day", 0, 10_000, "2", needed=True),
        _date("start", "First day", "2019-03-11", needed=True, ahead=True),
        _date("end", "Last day, if one was set", "2019-03-13", ahead=True),
        _code(
            "status",
            "`active` if empty",
            ("active", "on-hold", "completed", "stopped"),
            "completed",
        ),
    )
    return Form("prescription", "Prescribed regimen", "MedicationRequest", fields)


DIARY, PILL_COUNT = "diary", "pill-count"


def _home_dose() -> Form:
    fields = (
        _code("source", "How it is known", (DIARY, PILL_COUNT), DIARY, needed=True),
        _date("start", "Day of the dose; of a pill count its first day", "2019-03-12", needed=True),
        _date("end", "Last day of a pill count"),
        _flag("taken", "Diary: whether it was taken", "yes"),
        _number("dose_mg", "Diary: mg taken", 0, 40, "1"),
        _number("dispensed", "Pill count: tablets handed out", 0, 1000),
        _number("returned", "Pill count: tablets brought back", 0, 1000),
        _number("tablet_mg", "Pill count: mg in a tablet", 0, 5),
    )
    return Form("home-dose", "Sirolimus taken at home", "MedicationAdministration", fields)


def _visit() -> Form:
    protocol = load_protocol()
    visits = (protocol.baseline.code, *(visit.code for visit in protocol.visits))
    fields = (
        _code("visit", "Visit of the protocol", visits, "M1", needed=True),
        _code("status", "What became of it", ("done", "missed", "planned"), "done", needed=True),
        _date(
            "date", "Day of the visit; of a missed one the day it was due", "2019-03-14", ahead=True
        ),
    )
    return Form("visit", "Visit", "Encounter", fields)


DISPOSITIONS = ("completed", "withdrawn", "screen-failed")


def _disposition() -> Form:
    reasons = dict.fromkeys(code for change in DISPOSITIONS for code in reasons_for(change))
    fields = (
        _code("status", "How participation ended", DISPOSITIONS, "withdrawn", needed=True),
        _code("reason", "Why", tuple(reasons), "lost-to-follow-up", needed=True),
        _date("date", "Last day of participation", "2019-03-14", needed=True),
    )
    return Form("disposition", "End of participation", "ResearchSubject", fields)
