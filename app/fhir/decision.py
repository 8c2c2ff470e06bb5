"""What an operation makes of what is stored: a pure decision, taken under the resource's lock.
https://hl7.org/fhir/R4/http.html#versioning
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from app.errors import Category, SsciError, error
from app.fhir.codec import dump_json, equal
from app.fhir.model import (
    ANY_VERSION,
    Change,
    Create,
    Delete,
    DeleteMatching,
    Json,
    Method,
    Moment,
    Operation,
    Revise,
    Update,
)
from app.fhir.rows import with_meta

Key = tuple[str, str]
Check = Callable[[Json], None]
Plain = Create | Update | Delete | Revise
"""An operation on a resource whose id is known: no criteria are left in it."""

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Held:
    """What is stored under a key before the decision: `version` 0 if there never was anything."""

    version: int = 0
    last_updated: datetime = _NEVER
    resource: Json | None = None


NOTHING = Held()


def key_of(operation: Operation) -> Key:
    if isinstance(operation, Delete | Revise):
        return operation.resource_type, operation.id
    assert not isinstance(operation, DeleteMatching)  # resolved before it is decided
    assert operation.id is not None  # given when it was prepared
    return operation.resource["resourceType"], operation.id


def decide(
    operations: Sequence[Plain],
    held: Mapping[Key, Held],
    moment: Moment,
    check: Check,
    decided: dict[Key, Change],
    places: Mapping[Key, str],
) -> None:
    """Add the change of each operation to `decided`; SsciError if one can't be carried out."""
    for operation in operations:
        key = key_of(operation)
        earlier = decided.get(key)
        with placing(places.get(key)):
            if earlier and not _was_kept(earlier) and not isinstance(operation, Revise):
                raise error(
                    Category.INCORRECT,
                    f"{key[0]}/{key[1]} is written more than once in one transaction",
                    code="duplicate",
                )
            decided[key] = _decide_one(operation, held.get(key, NOTHING), earlier, moment, check)


def _was_kept(change: Change) -> bool:
    """By a conditional create that found it: another operation may still be for it."""
    return change.kind == "unchanged" and change.method == "POST"


@contextmanager
def placing(place: str | None) -> Iterator[None]:
    """Say of a refusal where in the Bundle it arose."""
    try:
        yield
    except SsciError as refusal:
        raise placed(refusal, place) if place else refusal from None


def placed(refusal: SsciError, place: str) -> SsciError:
    """The same refusal, its expressions beginning at `place` instead of the resource's type."""
    issues = []
    for issue in refusal.issues:
        _, dot, rest = (issue.expression or "").partition(".")
        issues.append(replace(issue, expression=f"{place}{dot}{rest}"))
    return SsciError(refusal.category, tuple(issues), refusal.status, refusal.headers)


def _decide_one(
    operation: Plain, held: Held, earlier: Change | None, moment: Moment, check: Check
) -> Change:
    if not isinstance(operation, Create):
        check_match(operation.if_match, held)
    if isinstance(operation, Delete):
        return _deletion(operation, held, moment)
    if isinstance(operation, Revise):
        return _revision(operation, held, earlier, moment, check)
    if isinstance(operation, Update) and held.resource is not None:
        _check_absent(operation)
    method: Method = "POST" if isinstance(operation, Create) else "PUT"
    return _content_change(key_of(operation), held, operation.resource, moment, method)


def check_match(if_match: int | None, held: Held) -> None:
    if if_match is None or (held.resource and if_match in (ANY_VERSION, held.version)):
        return
    current = f"the current version is {held.version}" if held.resource else "there is none"
    asked = f"version {if_match or '*'}" if if_match >= 0 else "a version of another form"
    raise precondition_failed(f"If-Match asks for {asked}, but {current}")


def _check_absent(operation: Update) -> None:
    if operation.if_absent:
        raise precondition_failed("If-None-Match: * asks that there be none, but there is one")
    if operation.if_unused:
        text = "nothing matches the criteria, and the id of the resource belongs to another"
        raise error(Category.CONFLICT, text)


def precondition_failed(text: str, *, code: str = "conflict") -> SsciError:
    return error(Category.CONFLICT, text, code=code, status=412)


def _revision(
    operation: Revise, held: Held, earlier: Change | None, moment: Moment, check: Check
) -> Change:
    after = operation.revise(earlier.after if earlier else held.resource)
    if after is not None:
        check(after)
    elif earlier is not None:
        return earlier
    method: Method = earlier.method if earlier else operation.method
    return _content_change(key_of(operation), held, after, moment, method)


def _deletion(operation: Delete, held: Held, moment: Moment) -> Change:
    found = held.resource is not None
    return Change(
        "delete" if found else "unchanged",
        operation.resource_type,
        operation.id,
        held.version + found,
        moment.last_updated,
        held.resource,
        None,
        None,
        "DELETE",
    )


def _content_change(
    key: Key, held: Held, after: Json | None, moment: Moment, method: Method
) -> Change:
    before = held.resource
    if after is None or (before is not None and equal(_content(before), _content(after))):
        body = dump_json(before) if before is not None else None
        at = held.last_updated if before is not None else moment.last_updated
        return Change("unchanged", *key, held.version, at, before, before, body, method)
    version = held.version + 1
    kept = with_meta(after, key[1], version, moment.last_updated)
    return Change(
        "create" if before is None else "update",
        *key,
        version,
        moment.last_updated,
        before,
        kept,
        dump_json(kept),
        method,
    )


def _content(resource: Json) -> Json:
    """What makes a version: all but the id and the stamps of the server."""
    meta = {
        key: value
        for key, value in (resource.get("meta") or {}).items()
        if key not in ("versionId", "lastUpdated")
    }
    content = {key: value for key, value in resource.items() if key not in ("id", "meta")}
    return content | {"meta": meta} if meta else content
