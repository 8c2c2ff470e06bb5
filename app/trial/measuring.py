"""How an endpoint is measured in FHIR: the scoring of its Measure and the groups that it reports.

https://hl7.org/fhir/R4/measure.html · https://hl7.org/fhir/R4/codesystem-measure-scoring.html
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from app.trial.protocol import EndpointDefinition, Protocol

PROPORTION = "proportion"
CONTINUOUS = "continuous-variable"
COHORT = "cohort"

INITIAL = "initial-population"
DENOMINATOR = "denominator"
NUMERATOR = "numerator"
MEASURED = "measure-population"

SCORINGS: Mapping[str, str] = MappingProxyType(
    {
        "platelet-change": CONTINUOUS,
        "complete-remission": PROPORTION,
        "response-rate": PROPORTION,
        "response-month-6": PROPORTION,
        "sustained-response": PROPORTION,
        "serious-adverse-events": PROPORTION,
        "adverse-events": PROPORTION,
    }
)
"""Every other endpoint counts its cohort: its figures are no single score."""

POPULATIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        PROPORTION: (INITIAL, DENOMINATOR, NUMERATOR),
        CONTINUOUS: (INITIAL, MEASURED),
        COHORT: (INITIAL,),
    }
)
"""The populations that a scoring has."""

STRATIFIERS = ("baseline", "ctd", "sex", "age")

ALL = "all"
"""The group of an endpoint that is not reported by visit."""

_BY_VISIT = frozenset({"platelet-change", "response-rate"})


def scoring_of(definition: EndpointDefinition) -> str:
    return SCORINGS.get(definition.id, COHORT)


def groups_of(definition: EndpointDefinition, protocol: Protocol) -> tuple[str, ...]:
    """The codes of its groups: visits, or ALL."""
    if definition.id in _BY_VISIT:
        return tuple(visit.code for visit in protocol.visits)
    return (ALL,)
