"""What a value of a search parameter asks of a row `r`, as SQL with every value bound.
https://hl7.org/fhir/R4/search.html#prefix
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from app.fhir.criteria import (
    Amount,
    DateRange,
    Parts,
    Reference,
    Text,
    Token,
    TypedIdentifier,
    Value,
    Words,
)
from app.fhir.folding import exact, fold
from app.fhir.index import PAIR
from app.fhir.layout import Home, TypeLayout
from app.fhir.literals import UCUM
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
            return [_identifier_entry(code, value)]
        if value.code is None:
            return [f"{code}@{value.system}"]
        if value.system is None:
            return [f"{code}:{value.code}"]
        return [f"{code}={value.system}|{value.code}"]
    if isinstance(value, TypedIdentifier):
        return [f"{code}^{value.system}|{value.code}|{value.value}"]
    if isinstance(value, Reference):
        if value.url is not None:
            return [f"{code}={value.url}"]
        if value.resource_type is None:
            return [f"{code}:{value.id}"]
        return [f"{code}={value.resource_type}/{value.id}"]
    if modifier == "above":
        return [f"{code}={address}" for address in _addresses_above(text_of(value))]
    return [f"{code}={text_of(value)}"]


def _identifier_entry(code: str, value: Token) -> str:
    """A token on Reference.identifier. https://hl7.org/fhir/R4/search.html#reference"""
    if value.code is None:
        return f"{code}@{value.system}"
    return f"{code}^{value.code}" if value.system is None else f"{code}#{value.system}|{value.code}"


def _addresses_above(address: str) -> list[str]:
    """The address and those it lies below: `http://a/b/c`, `http://a/b`, `http://a`, each also
    with a `/` at its end. https://hl7.org/fhir/R4/search.html#uri"""
    found = [address]
    start = address.find("://") + 3 if "://" in address else 0
    for end in range(len(address) - 1, start, -1):
        if address[end] == "/":
            found += [address[: end + 1], address[:end]]
    return list(dict.fromkeys(found))


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
    if home.kind == "words":
        return f"EXISTS (SELECT FROM unnest(r.strings) t WHERE starts_with(t, '{home.column}~'))"
    name = bind(home.parameter.code)
    column = "tokens" if home.kind == "tokens" else "strings"
    return (
        f"EXISTS (SELECT FROM unnest(r.{column}) t WHERE"
        f" split_part(translate(t, '=:@#~^>', '======='), '=', 1) = {name}::text)"
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
    if home.kind == "composite":
        return _composite_condition(bind, place, home, value)
    if home.kind == "words":
        return _words_condition(bind, home.parameter.code, value)
    if home.kind == "tokens":
        return _token_condition(bind, home.parameter.code, modifier, text_of(value))
    return _string_condition(bind, home.parameter.code, modifier, text_of(value))


def _token_condition(bind: Binder, code: str, modifier: str | None, text: str) -> str:
    """What is not an entry of `tokens` as a whole: `:text`, and `:below` an address, or below the
    version of one (`|4` and `|4.0` have 4.0.1 below them)."""
    if modifier == "text":
        return _begins(bind, code, text)
    parent = f"{text}." if "|" in text else f"{text.rstrip('/')}/"
    exact, below = bind(f"{code}={text}"), bind(f"{code}={parent}")
    return (
        f"EXISTS (SELECT FROM unnest(r.tokens) t"
        f" WHERE t = {exact}::text OR starts_with(t, {below}::text))"
    )


def _composite_condition(bind: Binder, place: TypeLayout, home: Home, value: Value) -> str:
    """Both parts on one part of the resource."""
    if not isinstance(value, Parts):
        raise TypeError(f"no parts: {value}")
    codes = home.components
    if home.measured:
        forms = [entry[len(codes[0]) :] for entry in token_entries(codes[0], None, value.values[0])]
        column = f"r.{home.column}"
        arrays = ", ".join(f"{column}_{name}" for name in ("codes", "units", "lows", "highs"))
        exact = _exact_amount(bind, value.values[1])
        return (
            f"EXISTS (SELECT FROM unnest({arrays}) AS v(c, u, l, h)"
            f" WHERE v.c = ANY({bind(forms)}::text[]) AND {exact})"
        )
    first, second = (
        [entry[len(code) :] for entry in token_entries(code, None, part)]
        for code, part in zip(codes, value.values, strict=True)
    )
    name = home.parameter.code
    entries = [f"{name}={one}{PAIR}{other}" for one in first for other in second]
    return f"r.tokens && {bind(entries)}::text[]"


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


def _ways(value: Value) -> list[Amount]:
    """The amount as it is to be compared: in base units where its unit is known to be one of
    UCUM's; as given; or, where the unit's system was left open, either."""
    if not isinstance(value, Amount):
        raise TypeError(f"no amount: {value}")
    if value.canonical is None:
        return [value]
    if value.unit.startswith(f"{UCUM}|"):
        return [value.canonical]
    return [value, value.canonical]


def _exact_amount(bind: Binder, value: Value) -> str:
    """What must hold of one entry v(u, l, h)."""
    return some(_exact(bind, way, _names(bind, way)) for way in _ways(value))


def _exact(bind: Binder, amount: Amount, names: Mapping[str, str]) -> str:
    condition = _AMOUNT[amount.prefix].format(start="v.l", end="v.h", **names)
    used = f"{names['low']} <= {names['high']} AND {names['value']} IS NOT NULL"
    return f"(v.u = {bind(amount.unit)}::text AND {condition} AND {used})"


def _names(bind: Binder, amount: Amount) -> dict[str, str]:
    held = {"low": amount.low, "high": amount.high, "value": amount.value}
    return {name: f"{bind(number)}::numeric" for name, number in held.items()}


def _amount_condition(bind: Binder, home: Home, value: Value) -> str:
    return some(_amount_way(bind, home, way, way is not value) for way in _ways(value))


def _amount_way(bind: Binder, home: Home, amount: Amount, scaled: bool) -> str:
    column = f"r.{home.column}"
    kind = "_canonical" if scaled else ""
    names = _names(bind, amount)
    bound = _AMOUNT_BOUND[amount.prefix].format(
        start=f"{column}{kind}_min", end=f"{column}{kind}_max", **names
    )
    values = f"unnest({column}_units, {column}_lows, {column}_highs) AS v(u, l, h)"
    exact = _exact(bind, amount, names)
    return f"({bound} AND EXISTS (SELECT FROM {values} WHERE {exact}))"


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
        return f"r.strings @> ARRAY[{bind(f'{code}={exact(text)}')}::text]"
    if modifier == "equals":
        return _matches(bind, [_lexeme(f"{code}~{fold(text)}")])
    if modifier in ("contains", "ends", "text"):
        return _within(bind, code, modifier, fold(text))
    return _begins(bind, code, text)


_WITHIN: Mapping[str, str] = {
    "contains": "strpos(substr(s, length({prefix}) + 1), {needle}) > 0",
    "ends": "right(s, length({needle})) = {needle}"
    " AND length(s) >= length({prefix}) + length({needle})",
    "text": "to_tsvector('simple', substr(s, length({prefix}) + 1))"
    " @@ plainto_tsquery('simple', {needle})",
}


def _within(bind: Binder, code: str, modifier: str, folded: str) -> str:
    needle, prefix = f"{bind(folded)}::text", f"{bind(f'{code}~')}::text"
    condition = _WITHIN[modifier].format(needle=needle, prefix=prefix)
    return (
        f"EXISTS (SELECT FROM unnest(r.strings) s WHERE starts_with(s, {prefix}) AND {condition})"
    )


def _begins(bind: Binder, code: str, text: str) -> str:
    return _matches(bind, [_lexeme(f"{code}~{fold(text)}") + ":*"])


def _words_condition(bind: Binder, code: str, value: Value) -> str:
    if not isinstance(value, Words):
        raise TypeError(f"no words: {value}")
    return _matches(
        bind,
        [
            _lexeme(f"{code}~{word.removesuffix('*')}") + (":*" if word.endswith("*") else "")
            for word in value.words
        ],
    )


def _lexeme(text: str) -> str:
    doubled = text.replace("\\", "\\\\").replace("'", "''")
    return f"'{doubled}'"


def _matches(bind: Binder, lexemes: Iterable[str]) -> str:
    query = bind(" & ".join(lexemes))
    return f"(r.strings <> '{{}}' AND array_to_tsvector(r.strings) @@ {query}::text::tsquery)"
