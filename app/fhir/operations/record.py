"""What an operation is: its name, where it may be called, and the function that answers it.
https://hl7.org/fhir/R4/operations.html
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from app.fhir.dispatch import ANY_TYPE
from app.fhir.exchange import Request, Response

if TYPE_CHECKING:
    from app.fhir.http import FhirApp

Level = Literal["system", "type", "instance"]
Run = Callable[["FhirApp", Request], Awaitable[Response]]
Form = Literal[
    "text", "boolean", "positive", "whole", "decimal", "date", "instant", "types", "versioned"
]


@dataclass(frozen=True, slots=True)
class Asked:
    """A parameter that a query string can hold. `needed_at`: where a GET must have it; `not_at`:
    where it has no place."""

    name: str
    documentation: str
    form: Form = "text"
    needed_at: frozenset[Level] = frozenset()
    not_at: frozenset[Level] = frozenset()


@dataclass(frozen=True, slots=True)
class Operation:
    """`name` without `$`; `resource_types` empty: any; `definition` the canonical URL of its
    OperationDefinition. Only an operation that does not affect state may be called by GET.
    `judges_body`: what is wrong with an element of the body is its answer, not an error.
    `of_any_type`: may be called as `Resource/$name`, of a resource of any type.
    `answers`: the type of resource that comes back. `asked`: what a GET may say; with `is_search`
    also the search parameters of the type."""

    name: str
    resource_types: frozenset[str]
    levels: frozenset[Level]
    run: Run
    affects_state: bool
    definition: str
    judges_body: bool = False
    of_any_type: bool = False
    answers: str = "Parameters"
    asked: tuple[Asked, ...] = ()
    is_search: bool = False

    def is_for(self, level: Level, resource_type: str | None) -> bool:
        """Whether it may be called there; `resource_type` None at the system level."""
        if level not in self.levels:
            return False
        if resource_type == ANY_TYPE:
            return self.of_any_type
        return level == "system" or not self.resource_types or resource_type in self.resource_types

    @property
    def methods(self) -> tuple[str, ...]:
        return ("POST",) if self.affects_state else ("GET", "POST")
