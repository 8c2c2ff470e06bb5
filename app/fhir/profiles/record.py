"""A profile, compiled: what it asks of each element beyond what R4 asks.
https://hl7.org/fhir/R4/profiling.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

CodeList = frozenset[tuple[str, str]]
"""(system, code) of a value set."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """A FHIRPath rule on the elements at `path` (`Observation.component`)."""

    key: str
    severity: str
    human: str
    expression: str
    path: str


@dataclass(frozen=True, slots=True)
class Discriminator:
    """How slices are told apart: `path` below the sliced element, () for the element itself."""

    kind: str
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """What is asked of one element. None or empty: nothing.

    `name` is spelled as in the path (`value[x]`); `expected` is a fixed value (`is_fixed`: all of
    it) or a pattern; `targets` are the types a reference may point to; `codes` those of a required
    binding to the value set `binding`; `closed`: an item must be of a slice.
    """

    name: str
    least: int = 0
    most: int | None = None
    expected: Any = field(default=None, hash=False)
    is_fixed: bool = False
    types: tuple[str, ...] = ()
    targets: frozenset[str] = frozenset()
    binding: str | None = None
    codes: CodeList | None = None
    children: tuple[Node, ...] = ()
    discriminators: tuple[Discriminator, ...] = ()
    slices: tuple[tuple[str, Node], ...] = ()
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Profile:
    """`base`: the profile that it derives from, None for a type of R4. `unchecked` says in
    sentences what of the profile is not checked."""

    url: str
    type: str
    root: Node
    base: str | None
    constraints: tuple[Constraint, ...]
    unchecked: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a definition refers to, as far as it is known: the codes of value sets, and the types
    that other profiles constrain, by canonical URL."""

    value_sets: Mapping[str, CodeList] = field(default_factory=dict, hash=False)
    types: Mapping[str, str] = field(default_factory=dict, hash=False)
