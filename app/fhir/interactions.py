"""The interactions: reading, searching, histories; and writing, where a request becomes an
operation of the store and its changes the answer. https://hl7.org/fhir/R4/http.html
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from app.errors import Category, Issue, SsciError, error
from app.fhir import media, operations
from app.fhir.binary import BINARY, read_binary
from app.fhir.codec import dump_json
from app.fhir.exchange import Request, Response
from app.fhir.history import Stored, build_history, parse_history
from app.fhir.including import MAX_INCLUDED
from app.fhir.links import localised
from app.fhir.metadata import capabilities
from app.fhir.model import (
    Change,
    Create,
    Delete,
    DeleteMatching,
    Json,
    Operation,
    Revise,
    Update,
)
from app.fhir.outcome import build_information, build_warnings
from app.fhir.patch import Patch, parse_patch
from app.fhir.preconditions import (
    if_match,
    is_if_none_match_any,
    is_lenient,
    is_not_modified,
    parse_criteria,
    preferred_return,
    returned_as,
    version_headers,
)
from app.fhir.queries import split_query
from app.fhir.request import (
    SearchRequest,
    parse_compartment_search,
    parse_search,
    parse_system_search,
)
from app.fhir.rows import new_id
from app.fhir.searchset import abridge, build_searchset
from app.fhir.terminology import StoredTerminology
from app.fhir.terms import resolve_terms
from app.fhir.unhurried import unhurried
from app.fhir.writing import Work

if TYPE_CHECKING:
    from app.fhir.http import FhirApp

Interaction = Callable[["FhirApp", Request], Awaitable[Response]]
Write = Callable[["FhirApp", Request], Operation]
Parameters = list[tuple[str, str]]

_VERSION = re.compile("[1-9][0-9]{0,8}")
FORM = "application/x-www-form-urlencoded"


# ---- reading


async def read(app: FhirApp, request: Request) -> Response:
    resource_type, id = request.path
    stored = await app.store.read(request.caller, resource_type, id)
    if stored is None:
        raise _unknown(resource_type, id)
    return _found(app, request, stored)


async def read_version(app: FhirApp, request: Request) -> Response:
    resource_type, id, _, version = request.path
    stored = None
    if _VERSION.fullmatch(version):
        stored = await app.store.read_version(request.caller, resource_type, id, int(version))
    if stored is None:
        raise error(Category.NOT_FOUND, f"{resource_type}/{id} has no version '{version[:64]}'")
    return _found(app, request, stored)


def _unknown(resource_type: str, id: str) -> SsciError:
    return error(Category.NOT_FOUND, f"{resource_type}/{id} is not known")


_OF_A_READ = frozenset({"_format", "_pretty", "_summary", "_elements"})
_OF_A_WRITE = frozenset({"_format", "_pretty"})


def _shape_of_read(app: FhirApp, request: Request) -> SearchRequest | None:
    """What `_summary` and `_elements` ask of a read; a 400 for a parameter it does not have."""
    known = known_parameters(request, _OF_A_READ, "a read")
    return parse_search(app.reading(request), request.path[0], known) if known else None


def known_parameters(request: Request, names: frozenset[str], what: str) -> Parameters:
    """The parameters of these names; a 400 for any other, unless the client is lenient."""
    parameters = split_query(request.query)
    unknown = [name for name, _ in parameters if name not in names]
    if unknown and not is_lenient(request.headers):
        text = f"{unknown[0][:64]}: {what} has no parameters but {', '.join(sorted(names))}"
        raise error(Category.INCORRECT, text, expression=f"http.{unknown[0][:64]}")
    return [each for each in parameters if each[0] in names]


def _found(app: FhirApp, request: Request, stored: Stored) -> Response:
    """The version, 304 if the client has it, 410 if it tells of a deletion."""
    shape = _shape_of_read(app, request)
    headers = version_headers(stored.version, stored.last_updated)
    if stored.body is None:
        raise error(
            Category.NOT_FOUND,
            f"{stored.resource_type}/{stored.id} was deleted in version {stored.version}",
            code="deleted",
            status=410,
            headers={name.decode(): value.decode() for name, value in headers},
        )
    if is_not_modified(request.headers, stored.version, stored.last_updated):
        return Response(304, b"", headers, stored.last_updated)
    body = abridge(app.registry, shape, stored.body) if shape else stored.body
    return Response(200, body, headers, stored.last_updated)


async def history(app: FhirApp, request: Request) -> Response:
    """Of a resource, of a type, or of everything."""
    place = request.path[:-1]
    asked, ignored = parse_history(
        place,
        split_query(request.query),
        app.settings.zone,
        lenient=is_lenient(request.headers),
    )
    page = await app.store.history_page(request.caller, asked)
    if asked.id is not None and not page.versions and not asked.used and asked.cursor is None:
        raise _unknown(*place)
    outcome = dump_json(build_warnings(_ignored(ignored))) if ignored else None
    return Response(200, build_history(request.base_url, request.path, asked, page, outcome))


def _ignored(issues: Sequence[Issue]) -> list[Issue]:
    return [
        Issue(issue.code, f"ignored: {issue.diagnostics}", issue.expression, "warning")
        for issue in issues
    ]


# ---- searching


async def search(app: FhirApp, request: Request) -> Response:
    return await _search(app, request, split_query(request.query))


async def search_form(app: FhirApp, request: Request) -> Response:
    """The same searches, with parameters in the body as well."""
    parameters = split_query(request.query) + form_parameters(request)
    return await _search(app, request, parameters)


def form_parameters(request: Request) -> Parameters:
    """The parameters in the body of a search, if it has one; 415 if that is no form."""
    if not request.body and not request.headers.get("content-type"):
        return []
    if media.parse_media_type(request.headers.get("content-type", "")).name != FORM:
        text = f"the body must be {FORM}, in UTF-8"
        raise error(
            Category.UNSUPPORTED,
            text,
            expression="http.Content-Type",
            code="not-supported",
            status=415,
        )
    return split_query(_text_of(request.body))


def _text_of(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise error(
            Category.INCORRECT, f"the body is not UTF-8 at byte {problem.start}", code="structure"
        ) from None


async def _search(app: FhirApp, request: Request, parameters: Parameters) -> Response:
    search = _parsed_search(app, request, parameters)
    terminology = StoredTerminology(app.store, app.registry, request.base_url, request.caller)
    search = await resolve_terms(search, terminology)
    page = await app.store.search(request.caller, search)
    outcome = _search_outcome(search.ignored, page.truncated)
    return Response(200, build_searchset(request.base_url, search, page, outcome, app.registry))


def _search_outcome(ignored: Sequence[Issue], truncated: bool) -> Json | None:
    issues = _ignored(ignored)
    if truncated:
        text = f"this page includes only the first {MAX_INCLUDED} resources that belong to it"
        issues.append(Issue("too-costly", text, severity="warning"))
    return build_warnings(issues) if issues else None


def _parsed_search(app: FhirApp, request: Request, parameters: Parameters) -> SearchRequest:
    reading, lenient = app.reading(request), is_lenient(request.headers)
    place = [part for part in request.path if part != "_search"]
    if not place:
        return parse_system_search(reading, parameters, lenient=lenient)
    if len(place) == 1:
        return parse_search(reading, place[0], parameters, lenient=lenient)
    compartment, id, resource_type = place
    wanted = None if resource_type == "*" else resource_type
    return parse_compartment_search(reading, compartment, id, wanted, parameters, lenient=lenient)


# ---- writing: from requests to operations of the store


def create(app: FhirApp, request: Request) -> Operation:
    known_parameters(request, _OF_A_WRITE, "a create")
    criteria = request.headers.get("if-none-exist")
    return Create(
        _resource(app, request),
        new_id(),
        _criteria(app, request, criteria, "http.If-None-Exist") if criteria is not None else None,
    )


def update(app: FhirApp, request: Request) -> Operation:
    known_parameters(request, _OF_A_WRITE, "an update by id")
    resource, id = _resource(app, request), request.path[1]
    if resource.get("id") != id:
        raise error(
            Category.INCORRECT,
            f"the resource's id must be present and equal the id in the address, '{id}'",
            expression=f"{request.path[0]}.id",
            code="value",
        )
    headers = request.headers
    return Update(resource, id, if_match(headers), if_absent=is_if_none_match_any(headers))


def conditional_update(app: FhirApp, request: Request) -> Operation:
    resource = _resource(app, request)
    id = resource.get("id")
    return Update(
        resource,
        id if isinstance(id, str) else new_id(),
        if_match(request.headers),
        _criteria(app, request, request.query, "http"),
    )


def delete(_app: FhirApp, request: Request) -> Operation:
    known_parameters(request, _OF_A_WRITE, "a delete by id")
    resource_type, id = request.path
    return Delete(resource_type, id, if_match(request.headers))


def conditional_delete(app: FhirApp, request: Request) -> Operation:
    criteria = _criteria(app, request, request.query, "http")
    several = app.settings.conditional_delete == "multiple"
    return DeleteMatching(criteria, several, if_match(request.headers))


def patch(app: FhirApp, request: Request) -> Operation:
    known_parameters(request, _OF_A_WRITE, "a patch by id")
    resource_type, id = request.path
    return Revise(
        resource_type,
        id,
        _revision(_patch(app, request), f"{resource_type}/{id}"),
        if_match(request.headers),
        method="PATCH",
    )


def conditional_patch(app: FhirApp, request: Request) -> Operation:
    return Revise(
        request.path[0],
        new_id(),
        _revision(_patch(app, request), request.path[0]),
        if_match(request.headers),
        _criteria(app, request, request.query, "http"),
        "PATCH",
    )


def _criteria(app: FhirApp, request: Request, query: str, expression: str) -> SearchRequest:
    return parse_criteria(app.reading(request), request.path[0], query, expression)


def _patch(app: FhirApp, request: Request) -> Patch:
    if request.resource is not None:
        return parse_patch("application/fhir+json", request.resource, app.registry)
    return parse_patch(request.headers.get("content-type", ""), request.body, app.registry)


def _revision(patch: Patch, name: str) -> Callable[[Json | None], Json | None]:
    def revise(stored: Json | None) -> Json | None:
        if stored is None:
            raise error(Category.NOT_FOUND, f"{name} is not known or was deleted")
        return patch(stored)

    return revise


def _resource(app: FhirApp, request: Request) -> Json:
    resource = request.resource
    if resource is None and request.path[0] == BINARY:
        resource = read_binary(request, app.registry)
    elif resource is None:
        content_type = request.headers.get("content-type", "")
        if not request.body and not content_type:
            text = "a resource is needed"
            raise error(Category.INCORRECT, text, expression=request.path[0], code="required")
        resource = media.parse_body(content_type, request.body, app.registry)
        resource = localised(resource, request.body, request.base_url)
    if resource.get("resourceType") != request.path[0]:
        raise error(
            Category.INCORRECT,
            f"the body must be a resource of type {request.path[0]}",
            expression="resourceType",
            code="structure",
        )
    return resource


# ---- writing: from changes to the answer


def answer_write(request: Request, changes: Sequence[Change]) -> Response:
    """201 with Location for a new resource, 200 or 204 otherwise; the body as `Prefer` asks."""
    if request.method == "DELETE":
        return _deleted(request, changes)
    (change,) = changes
    path = f"{change.resource_type}/{change.id}/_history/{change.version}"
    headers = (
        *version_headers(change.version, change.last_updated),
        (b"location", f"{request.base_url}/{path}".encode()),
    )
    wanted = preferred_return(request.headers)
    body = change.body or b""
    if wanted == "minimal":
        body = b""
    elif wanted == "OperationOutcome":
        body = dump_json(build_information(_told(change)))
    status = 201 if change.kind == "create" else 200
    return Response(status, body, (*headers, *returned_as(request.headers)), change.last_updated)


def _told(change: Change) -> str:
    name = f"{change.resource_type}/{change.id}"
    if change.kind == "unchanged":
        return f"{name}: unchanged, no new version was written; it is still at {change.version}"
    return f"{name}: {change.kind}d, version {change.version}"


def _deleted(request: Request, changes: Sequence[Change]) -> Response:
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if len(changes) == 1 and changes[0].version:
        headers = ((b"etag", b'W/"%d"' % changes[0].version),)
    wanted = preferred_return(request.headers)
    if wanted != "representation":  # of which there is none
        headers += returned_as(request.headers)
    if wanted != "OperationOutcome":
        return Response(204, headers=headers)
    count = sum(change.kind == "delete" for change in changes)
    told = f"{count} resource{'' if count == 1 else 's'} deleted"
    return Response(200, dump_json(build_information(told)), headers)


def _writing(write: Write) -> Interaction:
    """The interaction that carries out one operation."""

    async def interaction(app: FhirApp, request: Request) -> Response:
        operation = await unhurried(len(request.body), write, app, request)
        work = Work(
            [operation],
            check_references=app.settings.check_references,
            size=len(request.body),
        )
        (changes,) = await app.store.carry_out(request.caller, work)
        return answer_write(request, changes)

    return interaction


# ---- the table


WRITES: Mapping[str, Write] = {
    "create": create,
    "update": update,
    "conditional-update": conditional_update,
    "patch": patch,
    "conditional-patch": conditional_patch,
    "delete": delete,
    "conditional-delete": conditional_delete,
}
READS: Mapping[str, Interaction] = {
    "capabilities": capabilities,
    "read": read,
    "vread": read_version,
    "history-instance": history,
    "history-type": history,
    "history-system": history,
    "search-system": search,
    "search-system-form": search_form,
    "search-type": search,
    "search-type-form": search_form,
    "search-compartment": search,
    "search-compartment-form": search_form,
}
INTERACTIONS: Mapping[str, Interaction] = {
    **READS,
    **{name: _writing(write) for name, write in WRITES.items()},
    "operation": operations.answer,
}
