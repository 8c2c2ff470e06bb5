"""How operations answer. https://hl7.org/fhir/R4/operations.html#response"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from app.errors import Issue
from app.fhir.codec import dump_json
from app.fhir.exchange import Response
from app.fhir.model import Json
from app.fhir.outcome import build_warnings


def answer_resource(resource: Json) -> Response:
    return Response(200, dump_json(resource))


def answer_issues(issues: Sequence[Issue], otherwise: str) -> Response:
    """An OperationOutcome with `issues`; where there are none, the sentence `otherwise`."""
    told = list(issues) or [Issue("informational", otherwise, severity="information")]
    return answer_resource(build_warnings(told))


def answer_parameters(parameters: Iterable[Json]) -> Response:
    held = list(parameters)
    return answer_resource({"resourceType": "Parameters"} | ({"parameter": held} if held else {}))
