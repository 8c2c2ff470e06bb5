"""A `_filter` expression becomes criteria like those of plain parameters.
https://hl7.org/fhir/R4/search_filter.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from app.errors import SsciError
from app.fhir.criteria import (
    AllOf,
    AnyOf,
    Chain,
    Condition,
    Criterion,
    Text,
    all_of,
    any_of,
)
from app.fhir.criteria import Not as NotOf
from app.fhir.filter import And, Filter, Not, Or, Step, Test, parse_filter
from app.fhir.layout import Home, Layout, TypeLayout
from app.fhir.literals import Reading, refused

ParseCondition = Callable[[Reading, TypeLayout, str, str], Criterion]
"""Reads one parameter without chains: (reading, place, name with modifier, value)."""

Targets = Callable[[Layout, Home], Sequence[str]]

_ORDERED = frozenset({"date", "number", "quantity"})
_PREFIXES: Mapping[str, str] = {
    **{operator: operator for operator in ("eq", "gt", "lt", "ge", "le", "ap", "sa", "eb")},
    "po": "ap",
}
_OF_STRING: Mapping[str, str] = {"eq": "equals", "co": "contains", "sw": "", "ew": "ends"}
_OF_TOKEN: Mapping[str, str] = {
    "eq": "",
    "ss": "above",
    "sb": "below",
    "in": "in",
    "ni": "not-in",
    "co": "text",
}
_INTERNAL = frozenset({"equals", "ends"})
"""Ways to compare a string that no modifier names."""


def parse_filter_criterion(
    reading: Reading,
    place: TypeLayout,
    text: str,
    parse_condition: ParseCondition,
    targets_of: Targets,
) -> Criterion:
    """What the expression asks, or a 400 that names the place of what is wrong in it."""
    mapper = _Mapper(reading, parse_condition, targets_of)
    return mapper.criterion(place, parse_filter(text))


class _Mapper:
    def __init__(
        self, reading: Reading, parse_condition: ParseCondition, targets_of: Targets
    ) -> None:
        self._reading = reading
        self._parse_condition = parse_condition
        self._targets_of = targets_of

    def criterion(self, place: TypeLayout, tree: Filter) -> Criterion:
        match tree:
            case And(parts):
                return AllOf(tuple(self.criterion(place, part) for part in parts))
            case Or(parts):
                return AnyOf(tuple(self.criterion(place, part) for part in parts))
            case Not(part):
                return NotOf(self.criterion(place, part))
            case Test():
                return self._test(place, tree)

    def _test(self, place: TypeLayout, test: Test) -> Criterion:
        step, rest = test.path[0], test.path[1:]
        home = place.homes.get(step.name)
        if home is None:
            known = f"{place.resource_type} has no search parameter '{step.name}'"
            raise refused("_filter", known, place)
        if rest:
            return self._chain(home, step, Test(rest, test.operator, test.value))
        if step.filter is not None:
            raise refused("_filter", f"'{step.name}[…]' must lead on to a parameter")
        return self._leaf(place, home, test.operator, test.value)

    def _chain(self, home: Home, step: Step, rest: Test) -> Criterion:
        if home.parameter.type != "reference":
            raise refused("_filter", f"'{step.name}' is not a reference and can't be chained")
        found: list[Criterion] = []
        problems: list[SsciError] = []
        for target in self._targets_of(self._reading.layout, home):
            place = self._reading.layout[target]
            try:
                held = [self.criterion(place, step.filter)] if step.filter else []
                found.append(Chain(step.name, target, all_of([*held, self._test(place, rest)])))
            except SsciError as problem:
                problems.append(problem)
        if not found:
            text = f"'{step.name}' leads to no type of this server"
            raise problems[0] if problems else refused("_filter", text)
        return any_of(found)

    def _leaf(self, place: TypeLayout, home: Home, operator: str, value: str) -> Criterion:
        code = home.parameter.code
        if operator == "ne":
            return NotOf(self._leaf(place, home, "eq", value))
        if operator == "pr":
            missing = "false" if value == "true" else "true"
            return self._parse_condition(self._reading, place, f"{code}:missing", missing)
        modifier, prefix = _form(home, operator)
        if modifier in _INTERNAL:
            return Condition(code, modifier, (Text(value),))
        name = f"{code}:{modifier}" if modifier else code
        text = value if home.kind == "composite" else _escaped(value)
        return self._parse_condition(self._reading, place, name, prefix + text)


def _form(home: Home, operator: str) -> tuple[str, str]:
    """(modifier, prefix) that say the same of a plain parameter."""
    kind = home.parameter.type
    if home.kind == "id" and operator == "eq":
        return "", ""
    if kind in _ORDERED and operator in _PREFIXES and (operator != "po" or kind == "date"):
        return "", _PREFIXES[operator]
    if home.kind == "strings" and operator in _OF_STRING:
        return _OF_STRING[operator], ""
    if kind == "token" and home.kind != "id" and operator in _OF_TOKEN:
        return _OF_TOKEN[operator], ""
    if (kind == "reference" and operator in ("eq", "re")) or operator == "eq":
        return "", ""
    if kind == "uri" and operator in ("ss", "sb"):
        return _OF_TOKEN[operator], ""
    raise refused("_filter", f"'{operator}' has no meaning for the {kind} '{home.parameter.code}'")


def _escaped(text: str) -> str:
    r"""`\`, `,` and `$` mean themselves in a filter; `|` parts a token as ever."""
    return re.sub(r"([,$\\])", r"\\\1", text)
