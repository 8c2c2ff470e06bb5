"""What the fields of a case report form must say together: one function per form, each rule with
the field it points at.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from types import MappingProxyType

from app.mappings.crf.codes import ActivityItem, items_of, load_treatments
from app.mappings.crf.forms import DIARY, Form
from app.mappings.crf.records import Problem, Values, check_times, lies_before
from app.mappings.reasons import Reason
from app.trial import load_protocol, reasons_for

RECOVERED = frozenset({"recovered", "recovered-with-sequelae", "fatal"})
SUMMED = frozenset({"SLEDAI-2K", "ESSDAI", "mRSS", "MMT-8"})
PRESENT_ONLY = frozenset({"SLEDAI-2K", "ESSDAI"})
"""Of these the items that are left out score 0; of the others all items must be there."""
HIGHEST: Mapping[str, int] = MappingProxyType(
    {"SLEDAI-2K": 105, "ESSDAI": 123, "DAS28": 10, "mRSS": 51, "MMT-8": 80, "PhGA": 10}
)
DAS28_TOLERANCE = 0.05

Check = Callable[[Values], Iterator[Problem]]


def check_rules(form: Form, values: Values) -> Iterator[Problem]:
    """The rules of times, then those of the form."""
    yield from check_times(form, values)
    yield from RULES[form.name](values)


def _wrong(field: str, text: str, part: str = "") -> Problem:
    return Problem(field, Reason.STRUCTURE, text, part)


def _needs(values: Values, *fields: str, where: str) -> Iterator[Problem]:
    for field in fields:
        if field not in values:
            yield _wrong(field, f"is missing: needed {where}")


def _excludes(values: Values, *fields: str, where: str) -> Iterator[Problem]:
    for field in fields:
        if field in values:
            yield _wrong(field, f"must be empty {where}")


def _ends_after(values: Values, first: str, last: str) -> Iterator[Problem]:
    if first in values and last in values and lies_before(values[last], values[first]):
        yield Problem(last, Reason.TIME_INVALID, f"lies before {first}")


def _check_adverse_event(values: Values) -> Iterator[Problem]:
    criteria, fatal = values.get("seriousness_criteria", ()), values["outcome"] == "fatal"
    yield from _ends_after(values, "onset", "end")
    if values["serious"] and not criteria:
        yield _wrong("seriousness_criteria", "is missing: a serious event meets at least one")
    if criteria and not values["serious"]:
        yield _wrong("seriousness_criteria", "must be empty of an event that is not serious")
    if fatal != (values["grade"] == 5):
        yield _wrong("grade", "5 and the outcome fatal belong together")
    if fatal and "death" not in criteria:
        yield _wrong("seriousness_criteria", "must name death: the outcome is fatal")
    if "end" in values and values["outcome"] not in RECOVERED | {"unknown"}:
        yield _wrong("end", "must be empty while the event goes on")


# Activity


def _check_activity_score(values: Values) -> Iterator[Problem]:
    if not values.get("assessed", True):
        fields = ("total", "items", "platelet_item")
        yield from _excludes(values, *fields, where="where nothing was assessed")
        return
    yield from _needs(values, "total", where="where the score was assessed")
    if "total" in values:
        yield from _check_total(values)


def _check_total(values: Values) -> Iterator[Problem]:
    instrument, items = values["instrument"], values.get("items", {})
    if values["total"] > HIGHEST.get(instrument, 200):
        detail = f"is more than {instrument} can be"
        yield Problem("total", Reason.VALUE_IMPLAUSIBLE, detail)
    yield from _check_items(instrument, items)
    yield from _check_platelet_item(values, items)
    if items and not _agrees(instrument, items, values["total"]):
        yield Problem("total", Reason.VALUE_IMPLAUSIBLE, "is not what the items come to")


def _check_items(instrument: str, items: Mapping[str, Decimal]) -> Iterator[Problem]:
    known = items_of(instrument)
    for item, score in items.items():
        if item not in known:
            yield Problem("items", Reason.CODE_UNMAPPED, f"is no item of {instrument}", item)
        elif known[item].scores and score not in known[item].scores:
            yield Problem("items", Reason.VALUE_IMPLAUSIBLE, "is no score of this item", item)
        elif score < 0:
            yield Problem("items", Reason.VALUE_IMPLAUSIBLE, "must not be negative", item)
    if items and instrument not in PRESENT_ONLY:
        yield from _check_complete(instrument, items, known)


def _check_complete(
    instrument: str, items: Mapping[str, Decimal], known: Mapping[str, ActivityItem]
) -> Iterator[Problem]:
    lacking = [item for item in known if item not in items]
    if instrument == "DAS28":
        lacking = [item for item in lacking if item not in ("esr", "crp")]
        if ("esr" in items) == ("crp" in items):
            yield _wrong("items", "of DAS28 are with either esr or crp")
    if lacking:
        yield _wrong("items", f"lack {', '.join(lacking)}")


def _check_platelet_item(values: Values, items: Mapping[str, Decimal]) -> Iterator[Problem]:
    instrument, given = values["instrument"], values.get("platelet_item")
    name = platelet_item_of(instrument)
    if not load_protocol().activity_instruments[instrument].platelet_item or name is None:
        if given is not None:
            yield _wrong("platelet_item", f"must be empty: {instrument} has none")
    elif given is None and not items and values["total"] != 0:
        yield _wrong("platelet_item", "is missing: needed where the items are not given")
    elif given is not None and given not in items_of(instrument)[name].scores:
        yield Problem("platelet_item", Reason.VALUE_IMPLAUSIBLE, "is no score of this item")
    elif given is not None and items and given != items.get(name, 0):
        yield Problem("platelet_item", Reason.VALUE_IMPLAUSIBLE, f"is not what {name} scores")
    elif given is not None and given > values["total"]:
        yield Problem("platelet_item", Reason.VALUE_IMPLAUSIBLE, "is more than the total")


def platelet_item_of(instrument: str) -> str | None:
    """The instrument's own item that scores platelets."""
    return next((name for name, each in items_of(instrument).items() if each.platelets), None)


def _agrees(instrument: str, items: Mapping[str, Decimal], total: Decimal) -> bool:
    if instrument in SUMMED:
        return sum(items.values()) == total
    if instrument == "DAS28" and min(items.values()) >= 0:
        expected = _das28(items)
        return expected is None or abs(expected - float(total)) <= DAS28_TOLERANCE
    return True


def _das28(items: Mapping[str, Decimal]) -> float | None:
    """DAS28-ESR or DAS28-CRP with four variables. https://doi.org/10.1002/art.1780380107 and
    https://doi.org/10.1136/ard.2007.072652; None where an item is missing."""
    names = ("tender-joints", "swollen-joints", "global-health")
    if any(name not in items for name in names):
        return None
    tender, swollen, health = (float(items[name]) for name in names)
    joints = 0.56 * math.sqrt(tender) + 0.28 * math.sqrt(swollen) + 0.014 * health
    if items.get("esr", 0) > 0:
        return joints + 0.70 * math.log(float(items["esr"]))
    if "crp" in items:
        return joints + 0.36 * math.log(float(items["crp"]) + 1) + 0.96
    return None


# Bleeding, treatment, doses, visits


def _check_bleeding(values: Values) -> Iterator[Problem]:
    if not values["assessed"]:
        yield from _excludes(values, "grade", "sites", where="where bleeding was not assessed")
        return
    yield from _needs(values, "grade", where="where bleeding was assessed")
    if values.get("grade", 0) > 0:
        yield from _needs(values, "sites", where="from grade 1 on")
    else:
        yield from _excludes(values, "sites", where="without bleeding")


def _check_rescue(values: Values) -> Iterator[Problem]:
    yield from _ends_after(values, "start", "end")
    if ("amount" in values) != ("unit" in values):
        yield _wrong(
            "unit" if "amount" in values else "amount", "is missing: amount and unit go together"
        )
    if values.get("amount") == 0:
        yield Problem("amount", Reason.VALUE_IMPLAUSIBLE, "must be above 0")


def _check_concomitant(values: Values) -> Iterator[Problem]:
    yield from _ends_after(values, "start", "end")
    if load_treatments()[values["treatment"]].kind == "steroid":
        yield from _needs(values, "daily_mg", where="of a steroid")


def _check_prescription(values: Values) -> Iterator[Problem]:
    yield from _ends_after(values, "start", "end")
    if values["treatment"] == "sirolimus" and values["daily_mg"] > 40:
        yield Problem("daily_mg", Reason.VALUE_IMPLAUSIBLE, "must lie between 0 and 40")


DIARY_FIELDS = ("taken", "dose_mg")
COUNT_FIELDS = ("end", "dispensed", "returned", "tablet_mg")


def _check_home_dose(values: Values) -> Iterator[Problem]:
    if values["source"] == DIARY:
        yield from _excludes(values, *COUNT_FIELDS, where="of a diary")
        yield from _check_diary(values)
        return
    yield from _excludes(values, *DIARY_FIELDS, where="of a pill count")
    yield from _needs(values, *COUNT_FIELDS, where="of a pill count")
    yield from _ends_after(values, "start", "end")
    if values.get("returned", 0) > values.get("dispensed", 0):
        yield Problem("returned", Reason.VALUE_IMPLAUSIBLE, "is more than was dispensed")


def _check_diary(values: Values) -> Iterator[Problem]:
    if values["start"].precision in ("year", "month"):
        yield Problem("start", Reason.TIME_INVALID, "must be known to the day")
    if not values.get("taken", True):
        yield from _excludes(values, "dose_mg", where="where no dose was taken")
    else:
        yield from _needs(values, "dose_mg", where="where a dose was taken")
        if values.get("dose_mg") == 0:
            yield Problem("dose_mg", Reason.VALUE_IMPLAUSIBLE, "must be above 0 where it was taken")


def _check_visit(values: Values) -> Iterator[Problem]:
    if values["status"] == "done":
        yield from _needs(values, "date", where="of a visit that was done")
        recorded, date = values["recorded"], values.get("date")
        if date is not None and lies_before(recorded, date):
            yield Problem("date", Reason.TIME_INVALID, "lies after the day of recording")


def _check_disposition(values: Values) -> Iterator[Problem]:
    allowed = reasons_for(values["status"])
    if values["reason"] not in allowed:
        yield Problem("reason", Reason.CODE_UNMAPPED, f"must be one of {', '.join(allowed)}")
    if values["date"].precision in ("year", "month"):
        yield Problem("date", Reason.TIME_INVALID, "must be known to the day")


RULES: Mapping[str, Check] = MappingProxyType(
    {
        "adverse-event": _check_adverse_event,
        "activity-score": _check_activity_score,
        "bleeding": _check_bleeding,
        "rescue-treatment": _check_rescue,
        "concomitant-treatment": _check_concomitant,
        "prescription": _check_prescription,
        "home-dose": _check_home_dose,
        "visit": _check_visit,
        "disposition": _check_disposition,
    }
)
"""Called for records whose needed fields are all readable."""
