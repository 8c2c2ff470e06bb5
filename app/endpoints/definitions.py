"""What the protocol file says about an endpoint, as the records that computing needs.

Checked when the service starts: a definition that can't be computed as written stops it.
"""

from __future__ import annotations

from app.endpoints.model import ChangeRules
from app.errors import Category, error
from app.trial import EndpointDefinition, Protocol

PLATELET_CHANGE = "platelet-change"
PLATELETS = "platelets"
QUANTILE = "SAS-2"


def find_definition(protocol: Protocol, endpoint: str) -> EndpointDefinition:
    """The default version of an endpoint; FAULT if the protocol has none."""
    definition = protocol.endpoints.get(endpoint)
    if definition is None:
        raise error(Category.FAULT, "is not defined", expression=f"protocol: endpoints.{endpoint}")
    return definition


def build_change_rules(protocol: Protocol) -> ChangeRules:
    """The rules of the platelet change; FAULT for quartiles that are not implemented."""
    if protocol.statistics.quantile != QUANTILE:
        reason = f"only {QUANTILE} is implemented"
        raise error(Category.FAULT, reason, expression="protocol: statistics.quantile")
    platelets = protocol.measurements[PLATELETS]
    return ChangeRules(
        unit=platelets.unit,
        baseline_days=protocol.baseline.window_days,
        same_day_date_only_is_baseline=protocol.baseline.same_day_date_only_is_baseline,
        visits=protocol.visits,
        measurement_statuses=platelets.valid_statuses,
        dose_statuses=protocol.dosing.first_dose_statuses,
        stratum_below=protocol.response.baseline_stratum,
        confidence=float(protocol.statistics.confidence_level) / 100,
    )
