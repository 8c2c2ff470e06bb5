"""A case report form record as sent → checked values, or every rule that it breaks with its place.

Both formats bring texts by field name; what a text means is decided here, once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from app.mappings.crf.codes import folded
from app.mappings.crf.forms import DELETE, HEAD, Field, Form, Kind, forms
from app.mappings.formats.csv.spreadsheet import Table
from app.mappings.forms import tell_unknown
from app.mappings.frame import Span
from app.mappings.parsing.times import Time, parse_time
from app.mappings.parsing.values import fold, fold_word
from app.mappings.reasons import Failure, Reason

NUMBER = re.compile(r"-?\d{1,9}(?:\.\d{1,6})?", re.ASCII)
MONTH = re.compile(r"(\d{4})-(\d\d)", re.ASCII)
SLASHED = re.compile(r"(\d{4})/(\d{1,2})/(\d{1,2})(?: (\d{1,2}):(\d\d)(:\d\d)?)?", re.ASCII)
FLAGS: Mapping[str, bool] = {
    **dict.fromkeys(("yes", "true", "1", "y", "是"), True),
    **dict.fromkeys(("no", "false", "0", "n", "否"), False),
}
SEVERAL = re.compile(r"[|,;\s]+")
CHOICES_TOLD = 12
"""As many choices as an error lists; of more it names the documentation."""

Values = Mapping[str, Any]
"""By field name: str, tuple[str, ...], Time, Decimal, int, bool, dict[str, Decimal]."""


@dataclass(frozen=True, slots=True)
class CrfRecord:
    """A record as sent: its texts by field name. `pointers`: places are JSON pointers, not columns.
    `unfit`: what is wrong with the shape of a field (a list where a word is expected); `failure`:
    with the whole. `unknown`: keys that no form has; they may be anything and are never told."""

    place: str
    span: Span
    texts: Mapping[str, str] = field(repr=False)
    pointers: bool = False
    unfit: Mapping[str, str] = field(default_factory=dict)
    failure: Failure | None = None
    unknown: tuple[str, ...] = field(default=(), repr=False)

    @property
    def subject(self) -> str:
        return self.texts.get("subject", "").strip()

    def name(self, field: str, part: str = "") -> str:
        """The source's own name of a field; of the whole record if none is named."""
        if not self.pointers:
            return field
        return "/".join(filter(None, (self.place.rstrip("/"), field, part))) or self.place


@dataclass(frozen=True, slots=True)
class CrfContent:
    """The bytes with the records in them; of CSV the table that they are."""

    data: bytes = field(repr=False)
    records: tuple[CrfRecord, ...] = field(default=(), repr=False)
    table: Table | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Problem:
    """A rule that a record breaks; `part` is the item of a field, without `field` it is about the
    record."""

    field: str
    reason: Reason
    text: str
    part: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """What is known of a record: its form and number as far as they are readable."""

    form: Form | None
    values: Values
    problems: tuple[Problem, ...]


def check_record(record: CrfRecord, zone: ZoneInfo) -> Checked:
    """The values of a record and every rule that one of its fields breaks by itself."""
    form = find_form(record)
    if form is None:
        detail = f"must be one of {', '.join(forms())}"
        return Checked(None, {}, (Problem("form", Reason.UNSUPPORTED_TYPE, detail),))
    problems = [Problem(name, Reason.STRUCTURE, text) for name, text in record.unfit.items()]
    problems += _unknown(record, form)
    values: dict[str, Any] = {}
    for each in form.all_fields[2:]:
        if each.name in record.unfit:
            continue
        read = _read(each, record.texts.get(each.name, "").strip(), zone)
        if isinstance(read, Problem):
            problems.append(read)
        elif read is not None:
            values[each.name] = read
    problems += _missing(form, values, {each.field for each in problems})
    return Checked(form, values, tuple(problems))


def find_form(record: CrfRecord) -> Form | None:
    """The form that a record names."""
    return forms().get(folded(tuple(forms())).get(fold_word(record.texts.get("form", "")), ""))


def is_deletion(record: CrfRecord) -> bool:
    return fold_word(record.texts.get("action", "")) == fold_word(DELETE)


def _unknown(record: CrfRecord, form: Form) -> Iterator[Problem]:
    """What has no place in the form, and would be lost in silence: keys that no form has are
    counted, fields of other forms named."""
    known = {each.name for each in form.all_fields}
    if record.unknown:
        yield Problem("", Reason.STRUCTURE, f"has {tell_unknown(record.unknown, known)}")
    for name, text in record.texts.items():
        if name not in known and text.strip():
            yield Problem(name, Reason.STRUCTURE, f"is no field of the form {form.name}")


def _missing(form: Form, values: Values, told: set[str]) -> Iterator[Problem]:
    """A deletion needs no more than what names the record."""
    wanted = HEAD if values.get("action") == DELETE else form.all_fields
    for each in wanted[2:]:
        if each.needed and each.name not in values and each.name not in told:
            yield Problem(each.name, Reason.STRUCTURE, "is missing")


# Fields


def _read(each: Field, text: str, zone: ZoneInfo) -> Any:
    """The value, None for an empty field, or the Problem."""
    return READERS[each.kind](each, text, zone) if text else None


def _read_code(each: Field, text: str, zone: ZoneInfo) -> str | Problem:
    found = folded(each.choices).get(fold_word(text))
    return found if found is not None else Problem(each.name, Reason.CODE_UNMAPPED, _told(each))


def _told(each: Field) -> str:
    if len(each.choices) > CHOICES_TOLD:
        return "is none of the words that the form's documentation lists"
    return f"must be one of {', '.join(each.choices)}"


def _read_codes(each: Field, text: str, zone: ZoneInfo) -> tuple[str, ...] | Problem:
    words = [folded(each.choices).get(fold_word(word)) for word in SEVERAL.split(text) if word]
    found = [word for word in words if word is not None]
    if len(found) < len(words):
        return Problem(each.name, Reason.CODE_UNMAPPED, _told(each))
    return tuple(word for word in each.choices if word in found)


def _read_date(each: Field, text: str, zone: ZoneInfo) -> Time | Problem:
    found = parse_time(_plain_date(fold(text)), zone)
    if isinstance(found, Time):
        return found
    detail = "must be a date: 2019-03-14, 2019-03, 2019, or with time and zone"
    return Problem(each.name, Reason.TIME_INVALID, detail)


def _plain_date(text: str) -> str:
    """A month, and dates as spreadsheets write them, in a form that is read everywhere."""
    if match := MONTH.fullmatch(text):
        return match[1] + match[2]
    if match := SLASHED.fullmatch(text):
        day = f"{match[1]}-{int(match[2]):02d}-{int(match[3]):02d}"
        return f"{day}T{int(match[4]):02d}:{match[5]}{match[6] or ''}" if match[4] else day
    return text


def _read_number(each: Field, text: str, zone: ZoneInfo) -> Decimal | Problem:
    found = _number(text)
    if found is None:
        return Problem(each.name, Reason.VALUE_UNPARSABLE, "must be a number")
    if (each.low is not None and found < each.low) or (each.high is not None and found > each.high):
        detail = f"must lie between {each.low} and {each.high}"
        return Problem(each.name, Reason.VALUE_IMPLAUSIBLE, detail)
    return found


def _number(text: str) -> Decimal | None:
    plain = fold(text)
    return Decimal(plain) if NUMBER.fullmatch(plain) else None


def _read_whole(each: Field, text: str, zone: ZoneInfo) -> int | Problem:
    found = _read_number(each, text, zone)
    if isinstance(found, Problem):
        return found
    if found != found.to_integral_value():
        return Problem(each.name, Reason.VALUE_UNPARSABLE, "must be a whole number")
    return int(found)


def _read_flag(each: Field, text: str, zone: ZoneInfo) -> bool | Problem:
    found = FLAGS.get(fold_word(text))
    if found is None:
        return Problem(each.name, Reason.VALUE_UNPARSABLE, "must be yes or no")
    return found


def _read_scores(each: Field, text: str, zone: ZoneInfo) -> dict[str, Decimal] | Problem:
    found: dict[str, Decimal] = {}
    for part in filter(None, SEVERAL.split(text)):
        name, _, score = part.partition("=")
        item, value = folded(each.choices).get(fold_word(name)), _number(score)
        if item is None:
            return Problem(each.name, Reason.CODE_UNMAPPED, "names an item of no instrument")
        if value is None or item in found:
            detail = "has a score that is no number, or an item twice"
            return Problem(each.name, Reason.VALUE_UNPARSABLE, detail, item)
        found[item] = value
    return found


READERS = {
    Kind.CODE: _read_code,
    Kind.CODES: _read_codes,
    Kind.DATE: _read_date,
    Kind.NUMBER: _read_number,
    Kind.WHOLE: _read_whole,
    Kind.FLAG: _read_flag,
    Kind.SCORES: _read_scores,
}


# Times


def check_times(form: Form, values: Values) -> Iterator[Problem]:
    """Nothing was recorded before it happened (a day is granted to clocks and zones)."""
    recorded: Time | None = values.get("recorded")
    if recorded is None:
        return
    if recorded.precision in ("year", "month"):
        yield Problem("recorded", Reason.TIME_INVALID, "must be known to the day")
    for each in form.fields:
        time = values.get(each.name)
        if not isinstance(time, Time) or each.ahead:
            continue
        if time.instant > recorded.instant + timedelta(days=1):
            yield Problem(each.name, Reason.TIME_INVALID, "lies after the day of recording")


def lies_before(one: Time, other: Time) -> bool:
    """Whether a day is earlier than another, as far as both are known."""
    known = min(len(one.text), len(other.text), 10)
    return one.text[:known] < other.text[:known]
