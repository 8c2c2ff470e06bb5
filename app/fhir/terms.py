"""Value sets and hierarchies in a search: `:in`, `:not-in`, `:above` and `:below` of tokens.
https://hl7.org/fhir/R4/search.html#modifiers

They are resolved to codes before a statement is made, so that compiling stays pure.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from app.fhir.criteria import (
    AllOf,
    AnyOf,
    Chain,
    Condition,
    Criterion,
    Has,
    Not,
    Text,
    Token,
    conditions_in,
)
from app.fhir.literals import refused
from app.fhir.parameters import TERMINOLOGY_MODIFIERS
from app.fhir.request import SearchRequest

MAX_CODES = 10_000
"""Codes that one condition may stand for."""

Codes = frozenset[tuple[str, str]]
"""(system, code)"""


class Terminology(Protocol):
    """Who knows value sets and code systems; SsciError for one that is not held."""

    async def expand(self, url: str) -> Codes: ...

    async def below(self, system: str, code: str) -> Codes: ...

    async def above(self, system: str, code: str) -> Codes: ...


async def resolve_terms(request: SearchRequest, terminology: Terminology) -> SearchRequest:
    """The same search with codes in the place of value sets and hierarchies."""
    if request.parts:
        parts = tuple([await resolve_terms(part, terminology) for part in request.parts])
        return replace(request, parts=parts)
    if not any(_asks(criterion) for criterion in request.conditions):
        return request
    resolved = tuple([await _resolve(each, terminology) for each in request.conditions])
    return replace(request, conditions=resolved)


def _asks(criterion: Criterion) -> bool:
    if isinstance(criterion, Chain | Has):
        return _asks(criterion.criterion)
    if isinstance(criterion, Not | AllOf | AnyOf):
        inner = (criterion.criterion,) if isinstance(criterion, Not) else criterion.criteria
        return any(_asks(each) for each in inner)
    return any(needs_terms(condition) for condition in conditions_in((criterion,)))


def needs_terms(condition: Condition) -> bool:
    """Whether a token is asked of through a value set or a hierarchy (`:below` an address is
    another matter: its value is a text, and the text of `:in` names the value set)."""
    if condition.modifier in ("in", "not-in"):
        return True
    return condition.modifier in TERMINOLOGY_MODIFIERS and any(
        isinstance(value, Token) for value in condition.values
    )


async def _resolve(criterion: Criterion, terminology: Terminology) -> Criterion:
    match criterion:
        case Chain() | Has() | Not():
            return replace(criterion, criterion=await _resolve(criterion.criterion, terminology))
        case AllOf() | AnyOf():
            inner = tuple([await _resolve(each, terminology) for each in criterion.criteria])
            return replace(criterion, criteria=inner)
        case Condition() if needs_terms(criterion):
            return await _resolve_condition(criterion, terminology)
    return criterion


async def _resolve_condition(condition: Condition, terminology: Terminology) -> Condition:
    codes: set[tuple[str, str]] = set()
    for value in condition.values:
        if isinstance(value, Text):
            codes |= await terminology.expand(value.value)
        elif isinstance(value, Token):
            codes |= await _related(condition, value, terminology)
    if len(codes) > MAX_CODES:
        name = f"{condition.code}:{condition.modifier}"
        raise refused(name, f"it stands for more than {MAX_CODES} codes", code="too-costly")
    tokens = tuple(Token(system, code) for system, code in sorted(codes))
    return Condition(condition.code, "not" if condition.modifier == "not-in" else None, tokens)


async def _related(condition: Condition, token: Token, terminology: Terminology) -> Codes:
    name = f"{condition.code}:{condition.modifier}"
    if not token.system or token.code is None:
        raise refused(name, "takes [system]|[code]")
    if condition.modifier == "above":
        return await terminology.above(token.system, token.code)
    return await terminology.below(token.system, token.code)
