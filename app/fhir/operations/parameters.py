"""The parameters of an operation: from the query string, a Parameters resource, or a bare resource.
https://hl7.org/fhir/R4/operations.html#request · https://hl7.org/fhir/R4/parameters.html

A value is text where it came in the query string, else JSON as its type has it; the getters take
both and refuse (400) what does not fit, naming the parameter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from app.errors import Category, SsciError, error
from app.fhir.codec import is_number
from app.fhir.exchange import Request
from app.fhir.model import Json
from app.fhir.queries import split_query

Parameters = Mapping[str, tuple[Any, ...]]
"""Values by name, in order. A parameter with parts is `{"part": […]}`."""

_OF_THE_ANSWER = frozenset({"_format", "_pretty"})


def read_parameters(request: Request, bare: str = "resource") -> Parameters:
    """All parameters; a body that is no Parameters resource is the parameter `bare`."""
    found: dict[str, list[Any]] = {}
    for name, value in split_query(request.query):
        if name not in _OF_THE_ANSWER:
            found.setdefault(name, []).append(value)
    if request.method == "POST" and request.resource is not None:
        for name, value in _of_body(request.resource, bare):
            found.setdefault(name, []).append(value)
    return {name: tuple(values) for name, values in found.items()}


def check_known(parameters: Parameters, known: Iterable[str]) -> None:
    """400 for a parameter that the operation does not have."""
    unknown = sorted(parameters.keys() - set(known))
    if unknown:
        have = ", ".join(sorted(known)) or "none"
        raise refused(unknown[0], f"is no parameter of this operation (it has: {have})")


def is_lenient(request: Request) -> bool:
    return "handling=lenient" in request.headers.get("prefer", "").replace(" ", "")


def read_known(request: Request, known: Iterable[str], bare: str = "resource") -> Parameters:
    """As `read_parameters`, strict about names unless the client prefers lenient handling."""
    parameters, names = read_parameters(request, bare), frozenset(known)
    if is_lenient(request):
        return {name: values for name, values in parameters.items() if name in names}
    check_known(parameters, names)
    return parameters


def texts(parameters: Parameters, name: str) -> tuple[str, ...]:
    """The values of a parameter that is text (string, code, uri, date …)."""
    for value in parameters.get(name, ()):
        if not isinstance(value, str) or not value:
            raise refused(name, "must be text")
    return parameters.get(name, ())


def text(parameters: Parameters, name: str) -> str | None:
    found: str | None = _single(name, texts(parameters, name))
    return found


def listed(parameters: Parameters, name: str) -> tuple[str, ...]:
    """The values of a parameter that may come repeated, with commas, or both."""
    return tuple(part for value in texts(parameters, name) for part in value.split(",") if part)


def required_text(parameters: Parameters, name: str) -> str:
    value = text(parameters, name)
    if value is None:
        raise missing(name)
    return value


def boolean(parameters: Parameters, name: str, default: bool) -> bool:
    value = _single(name, parameters.get(name, ()))
    if value is None:
        return default
    if value not in (True, False, "true", "false") or is_number(value):
        raise refused(name, "must be true or false")
    return value in (True, "true")


def positive(parameters: Parameters, name: str, default: int) -> int:
    """A whole number of at least 1, at most nine digits."""
    value = _single(name, parameters.get(name, ()))
    if value is None:
        return default
    digits = str(value) if isinstance(value, str | int) else ""
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10 and int(digits) > 0):
        raise refused(name, "must be a whole number of at least 1")
    return int(digits)


def structure(parameters: Parameters, name: str) -> Json | None:
    """A value that is an object: a resource, a Coding, a Meta …"""
    value = _single(name, parameters.get(name, ()))
    if value is not None and not isinstance(value, dict):
        raise refused(name, "must be a structure, given in a Parameters body")
    return value


def refused(name: str, rule: str) -> SsciError:
    """400: the parameter `name` breaks `rule`."""
    place = f"Parameters.parameter.where(name = '{name}')" if name.isidentifier() else None
    return error(Category.INCORRECT, f"{name[:64]}: {rule}", expression=place, code="invalid")


def missing(name: str) -> SsciError:
    return error(Category.INCORRECT, f"{name}: the parameter is missing", code="required")


def _single(name: str, values: tuple[Any, ...]) -> Any:
    if len(values) > 1:
        raise refused(name, "may be given only once")
    return values[0] if values else None


def _of_body(body: Json, bare: str) -> Iterator[tuple[str, Any]]:
    if body.get("resourceType") != "Parameters":
        yield bare, body
        return
    held = body.get("parameter", [])
    if not isinstance(held, list):
        raise error(Category.INCORRECT, "must be a list", expression="Parameters.parameter")
    for position, each in enumerate(held):
        yield _of_parameter(each, f"Parameters.parameter[{position}]")


def _of_parameter(parameter: Any, place: str) -> tuple[str, Any]:
    name = parameter.get("name") if isinstance(parameter, dict) else None
    if not isinstance(name, str) or not name:
        raise error(Category.INCORRECT, "needs a name", expression=place, code="required")
    values = [value for key, value in parameter.items() if _is_value(key)]
    if len(values) != 1:
        rule = "needs one of value[x], resource and part"
        raise error(Category.INCORRECT, rule, expression=place, code="structure")
    return name, values[0] if "part" not in parameter else {"part": values[0]}


def _is_value(key: str) -> bool:
    return key in ("resource", "part") or (key.startswith("value") and len(key) > len("value"))
