"""What a value of a search parameter asks of a row `r`, as SQL with every value bound.
https://hl7.org/fhir/R4/search.html#prefix
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from app.errors import Category, error
from app.fhir.index import fold
from app.fhir.layout import Home, TypeLayout
from app.fhir.request import Amount, DateRange, Reference, Text, Token, Value
from app.fhir.tables import MISSING_FROM


class Binder:
    """Collects values; each call gives the placeholder that stands for one."""

    def __init__(self) -> None:
        self.values: list[Any] = []

    def __call__(self, value: Any) -> str:
        self.values.append(value)
        return f"${len(self.values)}"


def patient_of(value: Value) -> str | None:
    if isinstance(value, Reference) and value.id and value.resource_type in ("Patient", None):
        return value.id
    return None


def is_open_type(value: Value) -> bool:
    return isinstance(value, Reference) and value.resource_type is None


def token_entries(code: str, modifier: str | None, value: Value) -> list[str]:
    if isinstance(value, Token):
        if modifier == "identifier":
            if value.system is None:
                raise error(
                    Category.INCORRECT, f"{code}:identifier takes [system]|[value]", code="invalid"
                )
            return [f"{code}#{value.system}|{value.code or ''}"]
        if value.code is None:
            return [f"{code}@{value.system}"]
        if value.system is None:
            return [f"{code}:{value.code}"]
        return [f"{code}={value.system}|{value.code}"]
    if isinstance(value, Reference):
        if value.url is not None:
            return [f"{code}={value.url}"]
        if value.resource_type is None:
            return [f"{code}:{value.id}"]
        return [f"{code}={value.resource_type}/{value.id}"]
    return [f"{code}={text_of(value)}"]


def text_of(value: Value) -> str:
    if not isinstance(value, Text):
        raise TypeError(f"no text: {value}")
    return value.value


def every(clauses: Iterable[str]) -> str:
    return " AND ".join(clauses) or "TRUE"


def some(clauses: Iterable[str]) -> str:
    held = list(clauses)
    return held[0] if len(held) == 1 else f"({' OR '.join(held)})"


def present(bind: Binder, place: TypeLayout, home: Home) -> str:
    if home.kind in ("id", "last_updated"):
        return "TRUE"
    if home.kind == "interval":
        return f"(r.{home.column}_from < {bind(MISSING_FROM)})"
    if home.kind == "amount":
        return f"(r.{home.column}_min IS NOT NULL)"
    if home.kind == "union":
        return some(present(bind, place, place.homes[part]) for part in home.parts)
    if home.kind == "tokens" and home.on_patient and home.parameter.code == "patient":
        return "(r.patient IS NOT NULL)"
    name = bind(home.parameter.code)
    column = "tokens" if home.kind == "tokens" else "strings"
    return (
        f"EXISTS (SELECT FROM unnest(r.{column}) t WHERE"
        f" split_part(translate(t, '=:@#~', '====='), '=', 1) = {name}::text)"
    )


def value_condition(
    bind: Binder, place: TypeLayout, home: Home, modifier: str | None, value: Value
) -> str:
    if home.kind == "last_updated":
        return _instant_condition(bind, _range_of(value))
    if home.kind == "interval":
        return _interval_condition(bind, home, _range_of(value))
    if home.kind == "amount":
        return _amount_condition(bind, home, value)
    if home.kind == "union":
        return some(
            value_condition(bind, place, place.homes[part], modifier, value) for part in home.parts
        )
    return _string_condition(bind, home.parameter.code, modifier, text_of(value))


def _range_of(value: Value) -> DateRange:
    if not isinstance(value, DateRange):
        raise TypeError(f"no date: {value}")
    return value


def _instant_condition(bind: Binder, value: DateRange) -> str:
    """`_lastUpdated` is one instant on every row."""
    low, high = bind(value.start), bind(value.end)
    at = "r.last_updated"
    both = f"{low}::timestamptz IS NOT NULL AND {high}::timestamptz IS NOT NULL"
    forms = {
        "eq": f"{at} >= {low} AND {at} < {high}",
        "ap": f"{at} >= {low} AND {at} < {high}",
        "ne": f"NOT ({at} >= {low} AND {at} < {high})",
        "ge": f"{at} >= {low} AND {both}",
        "gt": f"{at} >= {high} AND {both}",
        "sa": f"{at} >= {high} AND {both}",
        "lt": f"{at} < {low} AND {both}",
        "eb": f"{at} < {low} AND {both}",
        "le": f"{at} < {high} AND {both}",
    }
    return f"({forms[value.prefix]})"


def interval_condition_on(bind: Binder, start: str, end: str, value: Value) -> str:
    held = _range_of(value)
    low, high = f"{bind(held.start)}::timestamptz", f"{bind(held.end)}::timestamptz"
    return f"({_INTERVAL[held.prefix].format(start=start, end=end, low=low, high=high)})"


def _interval_condition(bind: Binder, home: Home, value: DateRange) -> str:
    start, end = f"r.{home.column}_from", f"r.{home.column}_to"
    if not home.many:
        return interval_condition_on(bind, start, end, value)
    low, high = bind(value.start), bind(value.end)
    typed = {"low": f"{low}::timestamptz", "high": f"{high}::timestamptz"}
    exact = _INTERVAL[value.prefix].format(start="v.f", end="v.t", **typed)
    bound = _BOUND[value.prefix].format(start=start, end=end, **typed)
    values = f"unnest(r.{home.column}_froms, r.{home.column}_tos) AS v(f, t)"
    return f"({bound} AND EXISTS (SELECT FROM {values} WHERE {exact}))"


_INTERVAL: Mapping[str, str] = {
    "eq": "{start} >= {low} AND {start} < {high} AND {end} <= {high}",
    "ne": "({start} < {low} OR {end} > {high}) AND {start} < {end}",
    "gt": "{end} > {high} AND {low} < {high}",
    "ge": "{end} > {low} AND ({end} > {high} OR {start} >= {low})",
    "lt": "{start} < {low} AND {low} < {high}",
    "le": "{start} < {high} AND ({start} < {low} OR {end} <= {high})",
    "sa": "{start} >= {high} AND {end} > {high} AND {low} < {high}",
    "eb": "{end} <= {low} AND {start} < {low} AND {low} < {high}",
    "ap": "{start} < {high} AND {end} > {low}",
}
_BOUND: Mapping[str, str] = {
    "eq": "{start} < {high} AND {end} > {low}",
    "ne": "{start} < {end} AND {low} < {high}",
    "gt": "{end} > {high} AND {low} < {high}",
    "ge": "{end} > {low} AND {low} < {high}",
    "lt": "{start} < {low} AND {low} < {high}",
    "le": "{start} < {high} AND {low} < {high}",
    "sa": "{end} > {high} AND {low} < {high}",
    "eb": "{start} < {low} AND {low} < {high}",
    "ap": "{start} < {high} AND {end} > {low}",
}


def _amount_condition(bind: Binder, home: Home, value: Value) -> str:
    if not isinstance(value, Amount):
        raise TypeError(f"no amount: {value}")
    low, high, exact = (f"{bind(v)}::numeric" for v in (value.low, value.high, value.value))
    unit = f"{bind(value.unit)}::text"
    names = {"low": low, "high": high, "value": exact}
    condition = _AMOUNT[value.prefix].format(start="v.l", end="v.h", **names)
    bound = _AMOUNT_BOUND[value.prefix].format(
        start=f"r.{home.column}_min", end=f"r.{home.column}_max", **names
    )
    used = f"{low} <= {high} AND {exact} IS NOT NULL"
    column = f"r.{home.column}"
    values = f"unnest({column}_units, {column}_lows, {column}_highs) AS v(u, l, h)"
    return (
        f"({bound} AND EXISTS (SELECT FROM {values} WHERE v.u = {unit} AND {condition} AND {used}))"
    )


_AMOUNT: Mapping[str, str] = {
    "eq": "{start} >= {low} AND {end} < {high}",
    "ne": "NOT ({start} >= {low} AND {end} < {high})",
    "gt": "{end} > {value}",
    "ge": "{end} >= {value}",
    "lt": "{start} < {value}",
    "le": "{start} <= {value}",
    "sa": "{start} > {value}",
    "eb": "{end} < {value}",
    "ap": "{start} <= {high} AND {end} >= {low}",
}
_AMOUNT_BOUND: Mapping[str, str] = {
    "eq": "{start} < {high} AND {end} >= {low}",
    "ne": "{start} IS NOT NULL",
    "gt": "{end} > {value}",
    "ge": "{end} >= {value}",
    "lt": "{start} < {value}",
    "le": "{start} <= {value}",
    "sa": "{end} > {value}",
    "eb": "{start} < {value}",
    "ap": "{start} <= {high} AND {end} >= {low}",
}


def _string_condition(bind: Binder, code: str, modifier: str | None, text: str) -> str:
    if modifier == "exact":
        return f"r.strings @> ARRAY[{bind(f'{code}={text[:500]}')}::text]"
    if modifier == "contains":
        needle = bind(fold(text))
        prefix = bind(f"{code}~")
        return (
            f"EXISTS (SELECT FROM unnest(r.strings) s WHERE starts_with(s, {prefix}::text)"
            f" AND strpos(s, {needle}::text) > length({prefix}::text))"
        )
    lexeme = f"{code}~{fold(text)}".replace("\\", "\\\\").replace("'", "''")
    prefix = bind(f"'{lexeme}':*")
    return f"(r.strings <> '{{}}' AND array_to_tsvector(r.strings) @@ {prefix}::text::tsquery)"
