"""The operations of the FHIR API (`$validate` …): one record each, found by level, type and name.
https://hl7.org/fhir/R4/operations.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from app.errors import Category, SsciError, error
from app.fhir import media
from app.fhir.dispatch import allowed, wrong_method
from app.fhir.exchange import Request, Response
from app.fhir.model import Json
from app.fhir.operations.answers import answer_issues
from app.fhir.operations.everything import OPERATIONS as EVERYTHING
from app.fhir.operations.lastn import OPERATIONS as LASTN
from app.fhir.operations.meta import OPERATIONS as META
from app.fhir.operations.record import Asked, Level, Operation
from app.fhir.operations.stats import OPERATIONS as STATS
from app.fhir.operations.terminology import OPERATIONS as TERMINOLOGY
from app.fhir.operations.validation import OPERATIONS as VALIDATION
from app.fhir.operations.versions import OPERATIONS as VERSIONS
from app.fhir.unhurried import unhurried

if TYPE_CHECKING:
    from app.fhir.http import FhirApp

__all__ = ["OPERATIONS", "Asked", "Level", "Operation", "answer", "describe", "find_operation"]

OPERATIONS: tuple[Operation, ...] = (
    *EVERYTHING,
    *LASTN,
    *META,
    *STATS,
    *TERMINOLOGY,
    *VALIDATION,
    *VERSIONS,
)


Operations = Sequence[Operation]


def find_operation(
    level: Level, resource_type: str | None, name: str, among: Operations = OPERATIONS
) -> Operation | None:
    """The operation that is called so there; `name` with or without `$`."""
    bare = name.removeprefix("$")
    for operation in among:
        if operation.name == bare and operation.is_for(level, resource_type):
            return operation
    return None


def describe(
    level: Level, resource_type: str | None = None, among: Operations = OPERATIONS
) -> list[Json]:
    """The operations as a CapabilityStatement lists them: at the system level those of `rest`, at
    the other levels those of a resource type. https://hl7.org/fhir/R4/capabilitystatement.html"""
    levels: tuple[Level, ...] = ("system",) if level == "system" else ("type", "instance")
    return [
        {
            "name": operation.name,
            "definition": operation.definition,
            "documentation": _places(operation, resource_type),
        }
        for operation in among
        if any(operation.is_for(each, resource_type) for each in levels)
    ]


def _places(operation: Operation, resource_type: str | None) -> str:
    """Where it answers and how it is called: its definition may know more places."""
    prefixes = {"system": "", "type": f"{resource_type}/", "instance": f"{resource_type}/[id]/"}
    levels = ("system",) if resource_type is None else ("type", "instance")
    addresses = [
        f"{prefixes[level]}${operation.name}" for level in levels if level in operation.levels
    ]
    return f"{' or '.join(operation.methods)} {', '.join(addresses)}"


async def answer(app: FhirApp, request: Request) -> Response:
    """Carry out the operation at the end of `request.path`, whose types and ids are checked."""
    operation = _operation_at(request.path, app.operations)
    if request.method not in operation.methods:
        raise wrong_method(request.method, allowed(operation.methods))
    try:
        read = await unhurried(len(request.body), _with_resource, app, request)
    except SsciError as problem:
        if operation.judges_body and _is_of_an_element(problem):
            return answer_issues([replace(each, severity="fatal") for each in problem.issues], "")
        raise
    return await operation.run(app, read)


def methods_at(path: tuple[str, ...], among: Operations = OPERATIONS) -> tuple[str, ...]:
    """By which methods the operation at this address can be called; 404 if there is none."""
    return _operation_at(path, among).methods


def _operation_at(path: tuple[str, ...], among: Operations) -> Operation:
    level, resource_type = _place(path)
    operation = find_operation(level, resource_type, path[-1], among)
    if operation is None:
        raise _unknown(level, resource_type, among)
    return operation


def _is_of_an_element(problem: SsciError) -> bool:
    """Whether it is wrong in its place. Where no resource can be read there is none to judge."""
    is_placed = all(issue.expression for issue in problem.issues)
    return problem.category == Category.INCORRECT and is_placed


def _with_resource(app: FhirApp, request: Request) -> Request:
    """The request with its body parsed, in whichever format it came."""
    if request.method != "POST" or request.resource is not None or not request.body.strip():
        return request
    content_type = request.headers.get("content-type", "")
    resource = media.parse_body(content_type, request.body, app.registry)
    return replace(request, resource=resource)


def _place(path: tuple[str, ...]) -> tuple[Level, str | None]:
    """`$name`, `[type]/$name`, `[type]/[id]/$name` or `[type]/[id]/_history/[version]/$name`."""
    if len(path) == 1:
        return "system", None
    return ("type" if len(path) == 2 else "instance"), path[0]


def _unknown(level: Level, resource_type: str | None, among: Operations) -> SsciError:
    known = sorted(f"${each.name}" for each in among if each.is_for(level, resource_type))
    return error(
        Category.NOT_FOUND,
        f"there is no such operation here; there are: {', '.join(known)}",
        code="not-supported",
    )
