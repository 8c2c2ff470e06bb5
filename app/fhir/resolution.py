"""Conditional operations become operations on known ids. https://hl7.org/fhir/R4/http.html#ccreate

The searches run inside the writing transaction, under advisory locks on the type and the normalised
criteria: whoever asks the same waits until the first has committed, and then finds what it wrote.
That suffices for writers that use the same criteria, however these are spelled. It does not bind
writers that describe the same thing by other criteria, or that create without any.

The locks come before `fhir.begin_write()`: who waits has no place in the order of writers yet, so
versions follow each other in time, and pollers are not held back. Everything that a transaction
locks it locks in one order; what still crosses is found by PostgreSQL and tried again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from app.errors import Category, SsciError, error
from app.fhir.decision import Key, Plain, key_of, placing, precondition_failed
from app.fhir.links import relink
from app.fhir.model import Create, Delete, DeleteMatching, Operation, Revise, Update
from app.fhir.request import Condition, Criterion, SearchRequest

MAX_LOCKED = 256
"""Resources that a transaction locks by advisory lock. A larger one locks its rows alone, and is
tried again where another writer has come between."""

MAX_DELETED = 1000
"""The most resources that one conditional delete takes."""

Find = Callable[[SearchRequest, int], Awaitable[Sequence[tuple[str, int]]]]
"""(criteria, at most) → ids and versions of what matches."""


@dataclass(slots=True)
class Resolved:
    """`plain` has one group per operation; `moved` leads from provisional addresses to the actual
    ones; `seen` are the versions that the searches found."""

    plain: list[list[Plain]] = field(default_factory=list)
    moved: dict[str, str] = field(default_factory=dict)
    seen: dict[Key, int] = field(default_factory=dict)


def criteria_of(operation: Operation) -> SearchRequest | None:
    if isinstance(operation, Create):
        return operation.if_none_exist
    if isinstance(operation, Update | Revise | DeleteMatching):
        return operation.where
    return None


def normalise(criteria: SearchRequest) -> str:
    """One text for all spellings of the same criteria (order, escapes, order of values)."""
    return f"{criteria.resource_type}?{sorted(map(_text, criteria.conditions))}"


def _text(criterion: Criterion) -> str:
    if isinstance(criterion, Condition):
        return f"{criterion.code}:{criterion.modifier}={sorted(map(repr, criterion.values))}"
    return repr(criterion)


def criteria_names(
    operations: Iterable[Operation], references: Iterable[SearchRequest]
) -> set[str]:
    """What the criteria of a transaction are locked by."""
    asked = (criteria_of(operation) for operation in operations)
    return {normalise(each) for each in (*asked, *references) if each is not None}


def id_names(operations: Iterable[Operation]) -> set[str]:
    """What the known ids of a transaction are locked by; new ones need no lock."""
    names = {
        "/".join(key_of(operation))
        for operation in operations
        if not isinstance(operation, Create | DeleteMatching) and criteria_of(operation) is None
    }
    return names if len(names) <= MAX_LOCKED else set()


def lock_keys(names: Iterable[str]) -> list[int]:
    """The advisory locks for these names, in the order in which all transactions take them."""
    return sorted(
        int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)
        for name in names
    )


async def resolve(operations: Sequence[Operation], places: Sequence[str], find: Find) -> Resolved:
    """Carry out the searches of all operations, in their order; an error names the place."""
    resolved = Resolved()
    created: dict[str, Key] = {}
    gone: set[Key] = set()
    for number, operation in enumerate(operations):
        criteria = criteria_of(operation)
        if criteria is None:
            assert not isinstance(operation, DeleteMatching)
            group: list[Plain] = [operation]
        else:
            with placing(places[number] if places else None):
                group = await _resolve_one(operation, criteria, find, resolved, created, gone)
        resolved.plain.append(group)
        gone |= {key_of(each) for each in group if isinstance(each, Delete)}
    if resolved.moved:
        resolved.plain = [relinked(group, resolved.moved) for group in resolved.plain]
    return resolved


async def _resolve_one(
    operation: Operation,
    criteria: SearchRequest,
    find: Find,
    resolved: Resolved,
    created: dict[str, Key],
    gone: set[Key],
) -> list[Plain]:
    resource_type = criteria.resource_type
    if isinstance(operation, DeleteMatching):
        matches = await find(criteria, MAX_DELETED if operation.several else 1)
        return _deletions(operation, resource_type, matches, resolved)
    matches = await find(criteria, 1 + len(gone))
    matches = [match for match in matches if (resource_type, match[0]) not in gone]
    if len(matches) > 1:
        raise _several(criteria)
    if matches:
        key = (resource_type, matches[0][0])
        resolved.seen[key] = matches[0][1]
        return [_on_match(operation, key, resolved)]
    return [await _on_nothing(operation, criteria, resolved, created, find)]


def _deletions(
    operation: DeleteMatching,
    resource_type: str,
    matches: Sequence[tuple[str, int]],
    resolved: Resolved,
) -> list[Plain]:
    limit = MAX_DELETED if operation.several else 1
    if len(matches) > limit:
        raise _several(operation.where, limit)
    resolved.seen |= {(resource_type, id): version for id, version in matches}
    return [Delete(resource_type, id, operation.if_match) for id, _ in matches]


def _on_match(operation: Operation, key: Key, resolved: Resolved) -> Plain:
    """What is asked of the one resource that matches."""
    if isinstance(operation, Update):
        given = operation.resource.get("id")
        if given is not None and given != key[1]:
            raise error(
                Category.INCORRECT,
                "the id of the resource is not that of the one that matches",
                expression=f"{key[0]}.id",
                code="value",
            )
        _move(resolved, key[0], operation.id, key[1])
        return replace(operation, id=key[1], where=None)
    if isinstance(operation, Revise):
        return replace(operation, id=key[1], where=None)
    assert isinstance(operation, Create)
    assert operation.id is not None
    _move(resolved, key[0], operation.id, key[1])
    return keep(key)


def keep(key: Key) -> Revise:
    """Leave the resource as it is: what a conditional create does with the one that matches."""
    return Revise(*key, lambda _stored: None, method="POST")


def _move(resolved: Resolved, resource_type: str, provisional: str, actual: str) -> None:
    if provisional != actual:
        resolved.moved[f"{resource_type}/{provisional}"] = f"{resource_type}/{actual}"


async def _on_nothing(
    operation: Operation,
    criteria: SearchRequest,
    resolved: Resolved,
    created: dict[str, Key],
    find: Find,
) -> Plain:
    """What is asked where nothing matches; the same criteria twice mean the same new resource."""
    if isinstance(operation, Revise):
        raise error(Category.NOT_FOUND, f"no {criteria.resource_type} matches the criteria")
    assert isinstance(operation, Create | Update)
    name = normalise(criteria)
    key = key_of(operation)
    if name in created:
        _move(resolved, key[0], key[1], created[name][1])
        known = created[name]
        return keep(known) if isinstance(operation, Create) else replace(operation, id=known[1])
    created[name] = key
    if isinstance(operation, Create):
        return replace(operation, if_none_exist=None)
    return replace(operation, where=None, if_unused=True)


def relinked(group: Iterable[Plain], addresses: Mapping[str, str]) -> list[Plain]:
    """The operations with the references in what they write replaced."""
    return [_relinked(each, addresses) for each in group]


def _relinked(operation: Plain, addresses: Mapping[str, str]) -> Plain:
    if isinstance(operation, Create | Update):
        return replace(operation, resource=relink(operation.resource, addresses))
    if isinstance(operation, Revise):
        before = operation.revise
        return replace(operation, revise=lambda stored: relink(before(stored), addresses))
    return operation


async def resolve_references(references: Mapping[str, SearchRequest], find: Find) -> dict[str, str]:
    """Provisional address → address of the one resource that the reference's criteria match."""
    found: dict[str, str] = {}
    for provisional, criteria in references.items():
        matches = await find(criteria, 1)
        if len(matches) > 1:
            raise _several(criteria)
        if not matches:
            raise precondition_failed(
                f"a reference by criteria: no {criteria.resource_type} matches", code="not-found"
            )
        found[provisional] = f"{criteria.resource_type}/{matches[0][0]}"
    return found


def _several(criteria: SearchRequest, limit: int = 1) -> SsciError:
    return precondition_failed(
        f"more than {limit} of the type {criteria.resource_type} match the criteria",
        code="multiple-matches",
    )
