"""What a search asks of a resource, as plain frozen records: values, conditions and how they join.
https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Token:
    """`system` None: any; "": none. `code` None: any code of the system."""

    system: str | None
    code: str | None


@dataclass(frozen=True, slots=True)
class TypedIdentifier:
    """The value of `:of-type`: an identifier by the coding of its type and its value."""

    system: str
    code: str
    value: str


@dataclass(frozen=True, slots=True)
class Reference:
    """`resource_type` None: any type with this id. `url`: an absolute or canonical address."""

    resource_type: str | None = None
    id: str | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class DateRange:
    """A date with its prefix; the interval is what the value's precision spans."""

    prefix: str
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Amount:
    """A number or quantity with its implicit range, `value` ± half a unit of the last digit.

    `unit` is the key that index values carry: "" any, `|code`, `system|code`. `canonical` is the
    same amount in base units, where the unit is one of UCUM's.
    """

    prefix: str
    value: Decimal
    low: Decimal
    high: Decimal
    unit: str
    canonical: Amount | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Text:
    value: str


@dataclass(frozen=True, slots=True)
class Words:
    """All of these words, folded; one that ends in `*` begins a word."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Parts:
    """The values of a composite, one per component."""

    values: tuple[Value, ...]


Value = Token | TypedIdentifier | Reference | DateRange | Amount | Text | Words | Parts


@dataclass(frozen=True, slots=True)
class Condition:
    """One parameter of the query: any of `values` must match."""

    code: str
    modifier: str | None
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Chain:
    """The reference `code` leads to a resource of the type `target` that meets the criterion."""

    code: str
    target: str
    criterion: Criterion


@dataclass(frozen=True, slots=True)
class Has:
    """A resource of the type `source` that meets the criterion refers here by its `code`."""

    source: str
    code: str
    criterion: Criterion


@dataclass(frozen=True, slots=True)
class AllOf:
    criteria: tuple[Criterion, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    criteria: tuple[Criterion, ...]


@dataclass(frozen=True, slots=True)
class Not:
    criterion: Criterion


Criterion = Condition | Chain | Has | AllOf | AnyOf | Not


def flatten(criteria: Iterable[Criterion]) -> Iterator[Criterion]:
    """The same criteria, those inside an AllOf beside the others."""
    for criterion in criteria:
        if isinstance(criterion, AllOf):
            yield from flatten(criterion.criteria)
        else:
            yield criterion


def all_of(criteria: Iterable[Criterion]) -> Criterion:
    held = tuple(flatten(criteria))
    return held[0] if len(held) == 1 else AllOf(held)


def any_of(criteria: Iterable[Criterion]) -> Criterion:
    held = tuple(criteria)
    return held[0] if len(held) == 1 else AnyOf(held)


def conditions_in(criteria: Iterable[Criterion]) -> Iterator[Condition]:
    """Every condition on the resource itself (none that a chain leads to)."""
    for criterion in criteria:
        if isinstance(criterion, Condition):
            yield criterion
        elif isinstance(criterion, AllOf | AnyOf):
            yield from conditions_in(criterion.criteria)
        elif isinstance(criterion, Not):
            yield from conditions_in((criterion.criterion,))
