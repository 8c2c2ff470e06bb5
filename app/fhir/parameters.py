"""One parameter of a query (`code`, `subject:Patient.name`, `_has:…`) becomes a criterion.
https://hl7.org/fhir/R4/search.html#modifiers · https://hl7.org/fhir/R4/search.html#chaining
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from app.errors import SsciError
from app.fhir.criteria import (
    AllOf,
    AnyOf,
    Chain,
    Condition,
    Criterion,
    Has,
    Parts,
    Reference,
    Text,
    Value,
    all_of,
    any_of,
)
from app.fhir.filtering import parse_filter_criterion
from app.fhir.layout import Home, Layout, TypeLayout
from app.fhir.literals import (
    Reading,
    parse_local,
    parse_value,
    refused,
    split_escaped,
    unescape,
)

MAX_VALUES = 500
MAX_DEPTH = 10
"""Links of one chain, `_has` included."""
MAX_WAYS = 60
"""Combinations of target types that a chain without types may stand for."""

_MODIFIERS: Mapping[str, Mapping[str, str]] = {
    "token": {
        "missing": "",
        "not": "",
        "text": "",
        "in": "terminology",
        "not-in": "terminology",
        "above": "terminology",
        "below": "terminology",
        "of-type": "Identifier",
    },
    "reference": {"missing": "", "identifier": ""},
    "canonical": {"missing": "", "above": "", "below": ""},
    "uri": {"missing": "", "above": "", "below": ""},
    "string": {"missing": "", "exact": "", "contains": "", "text": ""},
    "date": {"missing": ""},
    "number": {"missing": ""},
    "quantity": {"missing": ""},
}
"""By parameter type (`canonical`: references of that kind): modifier → what it needs (a FHIR type
among the values; codes)."""

_FEW_MODIFIERS: Mapping[str, frozenset[str]] = {
    "id": frozenset({"missing", "not"}),
    "last_updated": frozenset({"missing"}),
    "words": frozenset(),
    "composite": frozenset(),
}
_CODED = frozenset({"CodeableConcept", "Coding", "code"})
_HINTS: Mapping[str, str] = {"_totalMethod": ": the standard's name is _total"}
"""What clients of other servers send, and what they mean."""
TERMINOLOGY_MODIFIERS = frozenset({"in", "not-in", "above", "below"})


class Special(NamedTuple):
    """A parameter that is no search parameter of a type but a way to search."""

    type: str
    form: str
    documentation: str


SPECIAL: Mapping[str, Special] = {
    "_has": Special(
        "special",
        "_has:[type]:[reference]:[parameter]=[value]",
        "what such a resource refers to; may be nested, hold a chain, and end one",
    ),
    "_list": Special("special", "_list=[id]", "the items of a List"),
    "_filter": Special(
        "special", "_filter=[expression]", "tests of search parameters joined by and, or, not"
    ),
}
"""What every type takes besides its search parameters."""


def modifiers_of(home: Home) -> frozenset[str]:
    """The modifiers that this parameter takes (types of a reference not counted)."""
    if home.kind in _FEW_MODIFIERS:
        return _FEW_MODIFIERS[home.kind]
    known = _MODIFIERS["canonical" if home.holds_canonicals else home.parameter.type].items()
    return frozenset(modifier for modifier, needs in known if _is_met(home, needs))


def _is_met(home: Home, needs: str) -> bool:
    if needs == "terminology":
        return not _CODED.isdisjoint(home.parameter.values)
    return not needs or needs in home.parameter.values


def parse_criterion(
    reading: Reading, place: TypeLayout, name: str, value: str, depth: int = 0
) -> Criterion:
    """What the parameter asks of a resource of this type, or a 400 that names it."""
    if depth > MAX_DEPTH:
        raise refused(name, f"a chain has at most {MAX_DEPTH} links", code="too-costly")
    if name.startswith("_has:"):
        return _parse_has(reading, place, name, value, depth)
    if name == "_list":
        return _parse_list(reading, place, value)
    if name == "_filter":
        return parse_filter_criterion(reading, place, value, _parse_condition, targets_of)
    if name.partition(":")[0] in SPECIAL:
        raise refused(name, f"the form is {SPECIAL[name.partition(':')[0]].form}")
    head, dot, rest = name.partition(".")
    if dot:
        return _parse_chain(reading, place, head, rest, value, depth)
    return _parse_condition(reading, place, name, value)


def _parse_has(reading: Reading, place: TypeLayout, name: str, value: str, depth: int) -> Criterion:
    parts = name.split(":", 3)
    if len(parts) < 4 or not parts[3]:
        raise refused(name, "the form is _has:[type]:[reference]:[parameter]")
    _, source, code, rest = parts
    home = _reference(reading, source, code)
    if home is None:
        raise refused(name, f"'{source}:{code}' is not a reference search parameter")
    if place.resource_type not in targets_of(reading.layout, home):
        raise refused(name, f"'{source}:{code}' does not refer to {place.resource_type}")
    inner = parse_criterion(reading, reading.layout[source], rest, value, depth + 1)
    return Has(source, code, inner)


def _parse_list(reading: Reading, place: TypeLayout, value: str) -> Criterion:
    """https://hl7.org/fhir/R4/search.html#list"""
    home = _reference(reading, "List", "item")
    if home is None or place.resource_type not in targets_of(reading.layout, home):
        raise refused("_list", f"there are no lists of {place.resource_type}")
    ids = [unescape(text).removeprefix("List/") for text in split_escaped(value, ",")]
    if any(id.startswith("$") for id in ids):
        raise refused("_list", "functional lists are not kept here", code="not-supported")
    return Has("List", "item", Condition("_id", None, tuple(Text(id) for id in ids)))


def _reference(reading: Reading, resource_type: str, code: str) -> Home | None:
    place = reading.layout.get(resource_type)
    home = place.homes.get(code) if place else None
    return home if home and home.parameter.type == "reference" else None


def targets_of(layout: Layout, home: Home) -> tuple[str, ...]:
    """The types of this server to which the reference may lead: a canonical to those that have
    such an address."""
    if home.parameter.code == "patient":
        return ("Patient",)
    targets = home.parameter.targets or tuple(layout)
    held = tuple(target for target in targets if target in layout)
    if home.holds_canonicals:
        return tuple(target for target in held if layout[target].is_canonical)
    return held


def _parse_chain(
    reading: Reading, place: TypeLayout, head: str, rest: str, value: str, depth: int
) -> Criterion:
    """`head.rest`: without a type every target counts that has the parameter `rest`."""
    name = f"{head}.{rest}"
    code, _, wanted = head.partition(":")
    home = _reference(reading, place.resource_type, code)
    if home is None:
        raise _unknown(name, place, code)
    targets = targets_of(reading.layout, home)
    if wanted and wanted not in targets:
        raise refused(name, f"'{code}' does not refer to {wanted}")
    found: list[Criterion] = []
    problems: list[SsciError] = []
    for target in (wanted,) if wanted else targets:
        try:
            inner = parse_criterion(reading, reading.layout[target], rest, value, depth + 1)
            found.append(Chain(code, target, inner))
        except SsciError as problem:
            problems.append(problem)
    if not found:
        raise (
            problems[0] if problems else refused(name, f"'{code}' leads to no type of this server")
        )
    if _ways(found) > MAX_WAYS:
        raise refused(name, f"it is open to too many types; name them: {code}:[type].…")
    return any_of(found)


def _ways(criteria: Sequence[Criterion]) -> int:
    """How many sub-selects the criteria stand for."""
    return sum(_ways_of(criterion) for criterion in criteria)


def _ways_of(criterion: Criterion) -> int:
    if isinstance(criterion, Chain | Has):
        return _ways_of(criterion.criterion)
    if isinstance(criterion, AnyOf | AllOf):
        return _ways(criterion.criteria)
    return 1


def _unknown(name: str, place: TypeLayout, code: str) -> SsciError:
    home = place.homes.get(code)
    if home is not None:
        return refused(name, f"'{code}' is not a reference and can't be chained")
    hint = _HINTS.get(code, "")
    return refused(name, f"{place.resource_type} has no search parameter '{code}'{hint}", place)


def _parse_condition(reading: Reading, place: TypeLayout, name: str, value: str) -> Criterion:
    """One parameter, with its modifier and its comma-separated values."""
    code, _, modifier = name.partition(":")
    home = place.homes.get(code)
    if home is None:
        raise _unknown(name, place, code)
    _check_modifier(reading, home, name, modifier)
    texts = split_escaped(_with_offset(home, value), ",")
    if len(texts) > MAX_VALUES:
        raise refused(name, f"more than {MAX_VALUES} values", code="too-costly")
    if home.holds_canonicals and modifier not in _MODIFIERS["canonical"]:
        held = (_parse_canonical(reading, home, name, modifier, unescape(text)) for text in texts)
        return any_of(chain.from_iterable(held))
    values = [parse_value(reading, place, home, name, modifier, text) for text in texts]
    if home.kind == "composite":
        return any_of(_composite(place, home, each) for each in values)
    return Condition(code, modifier or None, tuple(values))


def _parse_canonical(
    reading: Reading, home: Home, name: str, modifier: str, text: str
) -> Iterator[Criterion]:
    """The address as sent; a resource of this server, by `Type/id` or its id, also by what the
    canonical means. https://hl7.org/fhir/R4/references.html#canonical"""
    code, local = home.parameter.code, parse_local(reading, text)
    yield Condition(code, None, (Reference(url=f"{local.type}/{local.id}" if local else text),))
    if local is None and ("/" in text or ":" in text):
        return
    targets = targets_of(reading.layout, home)
    wanted = local.type if local else modifier
    if modifier and wanted != modifier:
        raise refused(name, f"'{text}' is no {modifier}")
    for target in targets:
        if wanted in ("", target):
            by_id = Condition("_id", None, (Text(local.id if local else text),))
            yield Chain(code, target, by_id)


def _with_offset(home: Home, value: str) -> str:
    """A `+` sent unescaped has become a space; in a date it can only be a zone's sign."""
    return value.replace(" ", "+") if home.parameter.type == "date" else value


def _check_modifier(reading: Reading, home: Home, name: str, modifier: str) -> None:
    if not modifier or modifier in modifiers_of(home):
        return
    types = home.parameter.targets or tuple(reading.layout)
    if home.parameter.type == "reference" and modifier in types:
        return
    known = ", ".join(sorted(modifiers_of(home))) or "none"
    raise refused(
        name, f"'{home.parameter.code}' does not take the modifier ':{modifier}' (known: {known})"
    )


def _composite(place: TypeLayout, home: Home, value: Value) -> Criterion:
    """Where the parts stand on the resource itself, all of them must hold of it; where they stand
    on a part of it, the first is asked of the resource too, since an index finds that."""
    assert isinstance(value, Parts)  # parse_value gives nothing else for a composite
    if home.parts:
        return any_of(_composite(place, place.homes[part], value) for part in home.parts)
    pairs = [
        Condition(code, None, (held,))
        for code, held in zip(home.components, value.values, strict=True)
    ]
    if home.at_root:
        return all_of(pairs)
    return all_of([pairs[0], Condition(home.parameter.code, None, (value,))])
