"""`$versions`: the versions of FHIR that the server speaks.
https://hl7.org/fhir/R4/capabilitystatement-operation-versions.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.fhir.exchange import Request, Response
from app.fhir.operations.answers import answer_parameters
from app.fhir.operations.parameters import read_known
from app.fhir.operations.record import Operation

if TYPE_CHECKING:
    from app.fhir.http import FhirApp

SPOKEN = "4.0"
"""As `fhirVersion` of a media type is written: major and minor."""


async def tell_versions(_app: FhirApp, request: Request) -> Response:
    read_known(request, ())
    return answer_parameters(
        [{"name": "version", "valueCode": SPOKEN}, {"name": "default", "valueCode": SPOKEN}]
    )


OPERATIONS = (
    Operation(
        "versions",
        frozenset(),
        frozenset({"system"}),
        tell_versions,
        affects_state=False,
        definition="http://hl7.org/fhir/OperationDefinition/CapabilityStatement-versions",
    ),
)
