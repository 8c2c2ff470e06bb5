"""The CapabilityStatement, derived from what is built. https://hl7.org/fhir/R4/capabilitystatement.html"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from app.fhir.layout import Home, Layout, TypeLayout
from app.fhir.model import Json
from app.fhir.registry import Registry

FHIR_VERSION = "4.0.1"
INTERACTIONS = ("read", "vread", "update", "delete", "history-instance", "create", "search-type")
SYSTEM_INTERACTIONS = ("transaction",)
_TYPE_OF_SPECIAL: Mapping[str, str] = {"_id": "token", "_lastUpdated": "date"}


def build_capability(
    registry: Registry, layout: Layout, base_url: str, version: str, started: datetime
) -> Json:
    """What this server does: types, interactions, search parameters."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": started.isoformat(timespec="seconds"),
        "kind": "instance",
        "software": {"name": "ssci-fhir", "version": version},
        "implementation": {
            "description": "FHIR R4 API of the SSCI trial (NCT03688191)",
            "url": base_url,
        },
        "fhirVersion": FHIR_VERSION,
        "format": ["application/fhir+json", "json"],
        "rest": [
            {
                "mode": "server",
                "resource": [_resource(layout[name]) for name in registry.types],
                "interaction": [{"code": code} for code in SYSTEM_INTERACTIONS],
            }
        ],
    }


def _resource(place: TypeLayout) -> Json:
    includes = sorted(
        f"{place.resource_type}:{code}"
        for code, home in place.homes.items()
        if home.parameter.type == "reference"
    )
    resource: Json = {
        "type": place.resource_type,
        "interaction": [{"code": code} for code in INTERACTIONS],
        "versioning": "versioned-update",
        "readHistory": True,
        "updateCreate": True,
        "conditionalCreate": False,
        "conditionalRead": "not-supported",
        "conditionalUpdate": False,
        "conditionalDelete": "not-supported",
        "referencePolicy": ["literal", "logical"],
    }
    if includes:
        resource["searchInclude"] = includes
    resource["searchParam"] = [_parameter(home) for _, home in sorted(place.homes.items())]
    return resource


def _parameter(home: Home) -> Json:
    parameter = home.parameter
    return {
        "name": parameter.code,
        "definition": parameter.url,
        "type": _TYPE_OF_SPECIAL.get(parameter.code, parameter.type),
    }
