"""Invariants of data types. https://hl7.org/fhir/R4/datatypes.html"""

from __future__ import annotations

from typing import Any

from app.fhir.invariants.questions import (
    Invariant,
    Node,
    apart,
    has,
    has_choice,
    is_after,
    needs,
    not_negative,
    number,
)

UCUM = "http://unitsofmeasure.org"


def _extension_is_simple_or_complex(node: Node) -> bool:
    return has(node, "extension") != has_choice(node, "value")


def _is_measured_in(node: Node, code: str | None = None) -> bool:
    """The part that age-1, cnt-3 and dis-1 share."""
    if "value" in node and not has(node, "code"):
        return False
    system_fits = node.get("system", UCUM) == UCUM
    return system_fits and (code is None or node.get("code", code) == code)


def _is_age(node: Node) -> bool:
    value = number(node, "value")
    return _is_measured_in(node) and (value is None or value > 0)


def _is_count(node: Node) -> bool:
    value = node.get("value")
    return _is_measured_in(node, "1") and (value is None or isinstance(value, int))


def _is_duration(node: Node) -> bool:
    return not has(node, "code") or (node.get("system") == UCUM and has(node, "value"))


def _range_rises(node: Node) -> bool:
    low, high = node.get("low", {}), node.get("high", {})
    if any(low.get(name) != high.get(name) for name in ("system", "code", "unit")):
        return True
    least, most = number(low, "value"), number(high, "value")
    return least is None or most is None or least <= most


def _ratio_is_whole(node: Node) -> bool:
    numerator, denominator = has(node, "numerator"), has(node, "denominator")
    return numerator == denominator and (numerator or has(node, "extension"))


def _offset_has_an_event(node: Node) -> bool:
    meals = {"C", "CM", "CD", "CV"}
    return not has(node, "offset") or (has(node, "when") and not meals & set(_when(node)))


def _when(node: Node) -> list[Any]:
    return [code for code in node.get("when", ()) if code is not None]


def _trigger_is_whole(node: Node) -> bool:
    kind = node.get("type", "")
    return (
        (kind != "named-event" or has(node, "name"))
        and (kind != "periodic" or has_choice(node, "timing"))
        and (not kind.startswith("data-") or has(node, "data"))
    )


DATA_TYPES: tuple[Invariant, ...] = (
    Invariant(
        "ext-1",
        ("Extension",),
        "An extension has either a value or extensions, not both and not neither",
        _extension_is_simple_or_complex,
    ),
    Invariant(
        "qty-3",
        ("Quantity", "Age", "Count", "Distance", "Duration"),
        "A coded unit (`code`) needs the `system` of its code",
        needs("code", "system"),
    ),
    Invariant(
        "age-1",
        ("Age",),
        f"An age is above 0 and has a unit `code`; its system is {UCUM}",
        _is_age,
    ),
    Invariant(
        "cnt-3",
        ("Count",),
        f"A count is a whole number with the unit `code` 1; its system is {UCUM}",
        _is_count,
    ),
    Invariant(
        "dis-1",
        ("Distance",),
        f"A distance has a unit `code`; its system is {UCUM}",
        _is_measured_in,
    ),
    Invariant(
        "drt-1",
        ("Duration",),
        f"A duration with a unit `code` has a value and the system {UCUM}",
        _is_duration,
    ),
    Invariant(
        "per-1",
        ("Period",),
        "The start of a period must not be after its end",
        lambda node: not is_after(node.get("start"), node.get("end")),
    ),
    Invariant(
        "rng-2",
        ("Range",),
        "The low end of a range must not be above its high end",
        _range_rises,
    ),
    Invariant(
        "rat-1",
        ("Ratio",),
        "A ratio has a numerator and a denominator; without both it has extensions only",
        _ratio_is_whole,
    ),
    Invariant(
        "att-1",
        ("Attachment",),
        "An attachment with `data` needs `contentType`",
        needs("data", "contentType"),
    ),
    Invariant(
        "cpt-2",
        ("ContactPoint",),
        "A contact point with `value` needs `system`",
        needs("value", "system"),
    ),
    Invariant(
        "exp-1",
        ("Expression",),
        "An expression needs `expression` or `reference`",
        lambda node: has(node, "expression", "reference"),
    ),
    Invariant(
        "tim-1",
        ("Timing.repeat",),
        "`duration` needs `durationUnit`",
        needs("duration", "durationUnit"),
    ),
    Invariant(
        "tim-2",
        ("Timing.repeat",),
        "`period` needs `periodUnit`",
        needs("period", "periodUnit"),
    ),
    Invariant(
        "tim-4", ("Timing.repeat",), "`duration` must not be negative", not_negative("duration")
    ),
    Invariant("tim-5", ("Timing.repeat",), "`period` must not be negative", not_negative("period")),
    Invariant(
        "tim-6", ("Timing.repeat",), "`periodMax` needs `period`", needs("periodMax", "period")
    ),
    Invariant(
        "tim-7",
        ("Timing.repeat",),
        "`durationMax` needs `duration`",
        needs("durationMax", "duration"),
    ),
    Invariant("tim-8", ("Timing.repeat",), "`countMax` needs `count`", needs("countMax", "count")),
    Invariant(
        "tim-9",
        ("Timing.repeat",),
        "`offset` needs `when`, and not C, CM, CD or CV",
        _offset_has_an_event,
    ),
    Invariant(
        "tim-10",
        ("Timing.repeat",),
        "`timeOfDay` and `when` exclude each other",
        apart("timeOfDay", "when"),
    ),
    Invariant(
        "trd-1",
        ("TriggerDefinition",),
        "`data` and `timing[x]` exclude each other",
        lambda node: not (has(node, "data") and has_choice(node, "timing")),
    ),
    Invariant(
        "trd-2", ("TriggerDefinition",), "`condition` needs `data`", needs("condition", "data")
    ),
    Invariant(
        "trd-3",
        ("TriggerDefinition",),
        "A named event needs `name`, a periodic one `timing[x]`, one on data `data`",
        _trigger_is_whole,
    ),
)
