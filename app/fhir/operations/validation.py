"""`$validate`: whether a resource is legal R4, could be stored here, and meets profiles.
https://hl7.org/fhir/R4/resource-operation-validate.html

The answer is 200 with an OperationOutcome whether the resource is good or not; a 4xx says that the
question was not understood. Beyond what is asked of every resource stored, the FHIRPath constraints
of profiles and of R4's conformance types are evaluated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from app.errors import Category, Issue, SsciError, error
from app.fhir.codec import parse_json
from app.fhir.dispatch import ANY_TYPE
from app.fhir.exchange import Request, Response
from app.fhir.history import Stored
from app.fhir.invariants import check_conformance, covered_keys
from app.fhir.model import ANY_VERSION, Json
from app.fhir.operations.answers import answer_issues
from app.fhir.operations.parameters import (
    Parameters,
    missing,
    read_known,
    refused,
    structure,
    text,
    texts,
)
from app.fhir.operations.record import Asked, Operation
from app.fhir.preconditions import if_match
from app.fhir.profiles import Profile, Rule, check_profile, claimed, evaluate
from app.fhir.registry import Registry
from app.fhir.unhurried import unhurried

if TYPE_CHECKING:
    from app.fhir.http import FhirApp

MODES = ("create", "update", "delete", "profile")
MAX_RULES = 300


async def validate(app: FhirApp, request: Request) -> Response:
    """All issues found; one that says so where there are none."""
    parameters = read_known(request, ("resource", "mode", "profile"))
    mode, profiles = _mode(request, parameters), texts(parameters, "profile")
    resource = structure(parameters, "resource")
    _check_given(mode, resource, profiles)
    issues: list[Issue] = []
    if len(request.path) > 2:
        stored = await _stored(app, request, mode)
        issues += _check_version(request, stored, mode)
        if mode == "delete":
            return answer_issues(issues, "the resource may be deleted")
        resource = parse_json(stored.body or b"") if resource is None else resource
    if resource is None:
        raise missing("resource")
    issues += _check_place(request, resource, mode)
    issues += await examine(app, resource, profiles, len(request.body))
    return answer_issues(issues, "no issues were found")


def _mode(request: Request, parameters: Parameters) -> str | None:
    mode = text(parameters, "mode")
    if mode is not None and mode not in MODES:
        raise refused("mode", f"must be one of {', '.join(MODES)}")
    if mode in ("update", "delete", "profile") and len(request.path) == 2:
        raise refused("mode", f"'{mode}' is asked of a resource: [type]/[id]/$validate")
    return mode


def _check_given(mode: str | None, resource: Json | None, profiles: Sequence[str]) -> None:
    """What each mode needs: the standard's value set ResourceValidationMode says."""
    if mode in ("create", "update") and resource is None:
        raise missing("resource")
    if mode == "profile" and resource is not None:
        raise refused("resource", "'profile' is asked of what is stored: the body has no resource")
    if mode == "profile" and not profiles:
        raise missing("profile")


async def _stored(app: FhirApp, request: Request, mode: str | None) -> Stored:
    """What the address names; on an update there may be nothing yet, for that would create it."""
    resource_type, id = request.path[:2]
    stored = await app.store.read(request.caller, resource_type, id)
    if mode == "update" and (stored is None or stored.body is None):
        return Stored(resource_type, id, 0, datetime.now(UTC), True, None)
    if stored is None:
        raise error(Category.NOT_FOUND, f"{resource_type}/{id} is not known")
    if stored.body is None:
        text = f"{resource_type}/{id} was deleted"
        raise error(Category.NOT_FOUND, text, code="deleted", status=410)
    return stored


def _check_version(request: Request, stored: Stored, mode: str | None) -> Iterator[Issue]:
    wanted = if_match(request.headers) if mode in ("update", "delete") else None
    if wanted is None or (stored.body and wanted in (ANY_VERSION, stored.version)):
        return
    if stored.body is None:
        yield Issue("conflict", "there is no version of it", "http.If-Match")
    else:
        yield Issue("conflict", f"the current version is {stored.version}", "http.If-Match")


def _check_place(request: Request, resource: Json, mode: str | None) -> Iterator[Issue]:
    """The resource is of the type, and on an update of the id, of the address."""
    resource_type = request.path[0]
    if resource_type not in (ANY_TYPE, resource.get("resourceType")):
        text = f"the resource must be of type {resource_type}"
        yield Issue("structure", text, "resourceType")
    if mode == "update" and resource.get("id") != request.path[1]:
        text = "the id must be there and equal the id in the address"
        yield Issue("value", text, f"{resource_type}.id")


async def examine(app: FhirApp, resource: Json, asked: Sequence[str], size: int = 0) -> list[Issue]:
    """Everything that is wrong with a resource of about `size` bytes, and what could not be looked
    at."""
    try:
        await unhurried(size, app.store.check, resource)
    except SsciError as problem:
        return list(problem.issues)
    found: list[Issue] = []
    profiles: list[Profile] = []
    urls = list(dict.fromkeys([*claimed(resource), *asked]))
    known = await app.store.profiles.fetch(app.store, urls) if app.store.profiles else {}
    for url in urls:
        held = known.get(url)
        if held is None:
            found.append(_unknown(url, is_asked=url in asked))
        elif isinstance(held, SsciError):
            found.append(Issue("not-supported", str(held), severity="warning"))
        else:
            profiles += [each for each in held if each not in profiles]
    for profile in profiles:
        found += check_profile(profile, resource)
        found += [
            Issue("informational", f"not checked: {each}", severity="information")
            for each in profile.unchecked
        ]
    found += [*check_conformance(resource)]
    return found + await _evaluate(resource, list(_rules(app.registry, resource, profiles)))


def _unknown(url: str, *, is_asked: bool) -> Issue:
    """Asked for, it is an error not to know it; claimed, it is the client's own affair."""
    text = f"the profile {url[:200]} is not known here; the resource was not checked against it"
    return Issue("not-found", text, severity="error" if is_asked else "warning")


_Asked = tuple[Rule, Issue]
"""A FHIRPath rule, and the issue where it does not hold."""


def _rules(registry: Registry, resource: Json, profiles: Sequence[Profile]) -> Iterator[_Asked]:
    resource_type = resource["resourceType"]
    for each in registry.invariants(resource_type):
        if each.severity == "error" and each.key not in covered_keys():
            text = f"the rule {each.key} of R4 does not hold"
            yield Rule(each.path, each.expression), Issue("invariant", text, each.path)
    for profile in profiles:
        if profile.type == resource_type:
            for rule in profile.constraints:
                text = f"{rule.human} ({rule.key}, profile {profile.url})"
                severity = "error" if rule.severity == "error" else "warning"
                issue = Issue("invariant", text, rule.path, severity)
                yield Rule(rule.path, rule.expression), issue


async def _evaluate(resource: Json, asked: Sequence[_Asked]) -> list[Issue]:
    answers = await evaluate(resource, [rule for rule, _ in asked[:MAX_RULES]])
    broken = [issue for (_, issue), holds in zip(asked, answers, strict=False) if holds is False]
    unknown = sum(holds is None for holds in answers) + max(0, len(asked) - MAX_RULES)
    if unknown:
        text = f"{unknown} FHIRPath constraint(s) could not be evaluated"
        broken.append(Issue("incomplete", text, severity="information"))
    return broken


OPERATIONS = (
    Operation(
        "validate",
        frozenset(),
        frozenset({"type", "instance"}),
        validate,
        affects_state=False,
        definition="http://hl7.org/fhir/OperationDefinition/Resource-validate",
        judges_body=True,
        of_any_type=True,
        answers="OperationOutcome",
        asked=(
            Asked("mode", f"What is intended: {', '.join(MODES)}"),
            Asked("profile", "Canonical URL of a profile to check against"),
        ),
    ),
)
