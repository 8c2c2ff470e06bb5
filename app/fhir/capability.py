"""The CapabilityStatement, derived from what is built: routes, formats, operations, parameters.
https://hl7.org/fhir/R4/capabilitystatement.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from app.fhir import operations
from app.fhir.dispatch import ROUTES, SYSTEM_INTERACTIONS, TYPE_INTERACTIONS
from app.fhir.including import MAX_INCLUDED, MAX_ROUNDS
from app.fhir.layout import Home, Layout, TypeLayout
from app.fhir.media import ADVERTISED
from app.fhir.model import Json
from app.fhir.parameters import SPECIAL, modifiers_of, targets_of
from app.fhir.patch import PATCH_FORMATS
from app.fhir.registry import Registry
from app.fhir.terminology.capability import build_terminology

FHIR_VERSION = "4.0.1"
BASE_PROFILE = "http://hl7.org/fhir/StructureDefinition"
TRIAL_USE = (
    "rest.resource.supportedProfile",
    "rest.resource.versioning",
    "rest.resource.readHistory",
    "rest.resource.updateCreate",
    "rest.resource.conditionalCreate",
    "rest.resource.conditionalRead",
    "rest.resource.conditionalUpdate",
    "rest.resource.conditionalDelete",
    "rest.resource.referencePolicy",
    "rest.resource.searchInclude",
    "rest.resource.searchRevInclude",
)
"""The elements used here that are not normative in R4."""
_NO_PROFILES: Mapping[str, Sequence[str]] = MappingProxyType({})
_TYPE_OF_SPECIAL: Mapping[str, str] = {"_id": "token", "_lastUpdated": "date"}
_DOCUMENTATION = (
    "Search is strict: an unknown parameter is refused, unless the client sends"
    " `Prefer: handling=lenient`. Beside the parameters of a type every search takes _count, _sort,"
    " _include and _revinclude (also `:iterate` and `*`; at most"
    f" {MAX_INCLUDED} resources, {MAX_ROUNDS} rounds), _total, _summary and _elements. References"
    " chain to any parameter of their targets."
)


def build_capability(
    registry: Registry,
    layout: Layout,
    base_url: str,
    version: str,
    started: datetime,
    conditional_delete: str = "single",
    profiles: Mapping[str, Sequence[str]] = _NO_PROFILES,
    among: Sequence[operations.Operation] = operations.OPERATIONS,
) -> Json:
    """What this server does: types, interactions, search parameters, operations (those `among`).
    `profiles`: by type, those it holds and checks."""
    return {
        "resourceType": "CapabilityStatement",
        **_head("Capabilities", f"{base_url}/metadata", base_url, version, started),
        "fhirVersion": FHIR_VERSION,
        "format": list(ADVERTISED),
        "patchFormat": list(PATCH_FORMATS),
        "rest": [_rest(registry, layout, conditional_delete, profiles, among)],
    }


def build_terminology_capability(
    systems: Iterable[Json],
    expansion: Mapping[str, str],
    base_url: str,
    version: str,
    started: datetime,
) -> Json:
    """What can be asked about terminology: the code systems held and the parameters of `$expand`.
    https://hl7.org/fhir/R4/terminologycapabilities.html"""
    url = f"{base_url}/metadata?mode=terminology"
    return {
        "resourceType": "TerminologyCapabilities",
        **_head("TerminologyCapabilities", url, base_url, version, started),
        **build_terminology(systems, expansion),
    }


def _head(name: str, url: str, base_url: str, version: str, started: datetime) -> Json:
    return {
        "url": url,
        "version": version,
        "name": f"Ssci{name}",
        "title": "FHIR R4 API of the SSCI trial",
        "status": "active",
        "date": started.isoformat(timespec="seconds"),
        "kind": "instance",
        "software": {"name": "ssci-fhir", "version": version},
        "implementation": {
            "description": "FHIR R4 API of the SSCI trial (NCT03688191)",
            "url": base_url,
        },
    }


def _rest(
    registry: Registry,
    layout: Layout,
    conditional_delete: str,
    profiles: Mapping[str, Sequence[str]],
    among: Sequence[operations.Operation],
) -> Json:
    referring = _referring(layout)
    rest: Json = {
        "mode": "server",
        "documentation": _DOCUMENTATION,
        "resource": [
            _resource(layout, layout[name], referring.get(name, ()), conditional_delete, among)
            | _supported(profiles.get(name, ()))
            for name in registry.types
        ],
        "interaction": [{"code": code} for code in SYSTEM_INTERACTIONS],
        "searchParam": [
            *(_parameter(home) for _, home in sorted(_common(layout).items())),
            *_special(),
            {
                "name": "_type",
                "type": "special",
                "documentation": "the types to search, separated by commas; default: all",
            },
        ],
        "compartment": [
            f"http://hl7.org/fhir/CompartmentDefinition/{name.lower()}"
            for name in registry.compartments
        ],
    }
    held = operations.describe("system", None, among)
    return rest | {"operation": held} if held else rest


def _common(layout: Layout) -> Mapping[str, Home]:
    """The parameters that every type has."""
    first, *others = layout.values()
    return {
        code: home
        for code, home in first.homes.items()
        if code.startswith("_") and all(code in place.homes for place in others)
    }


def _referring(layout: Layout) -> dict[str, list[str]]:
    """By type, the parameters that refer to it: `Source:code`."""
    found: dict[str, list[str]] = {}
    for place in layout.values():
        for code in _references(layout, place):
            for target in targets_of(layout, place.homes[code]):
                found.setdefault(target, []).append(f"{place.resource_type}:{code}")
    return found


def _references(layout: Layout, place: TypeLayout) -> list[str]:
    """The parameters that refer to any type of this server."""
    return sorted(
        code
        for code, home in place.homes.items()
        if home.parameter.type == "reference" and targets_of(layout, home)
    )


def _resource(
    layout: Layout,
    place: TypeLayout,
    referring: Iterable[str],
    conditional_delete: str,
    among: Sequence[operations.Operation],
) -> Json:
    names = {route.name for route in ROUTES}
    resource: Json = {
        "type": place.resource_type,
        "profile": f"{BASE_PROFILE}/{place.resource_type}",
        "interaction": [{"code": code} for code in TYPE_INTERACTIONS],
        "versioning": "versioned-update",
        "readHistory": "history-instance" in names,
        "updateCreate": True,
        "conditionalCreate": True,
        "conditionalRead": "full-support",
        "conditionalUpdate": "conditional-update" in names,
        "conditionalDelete": conditional_delete,
        "referencePolicy": ["literal", "logical"],
        "searchInclude": [
            "*",
            *(f"{place.resource_type}:{code}" for code in _references(layout, place)),
        ],
        "searchRevInclude": ["*", *sorted(referring)],
        "searchParam": [
            *(_parameter(home) for _, home in sorted(place.homes.items())),
            *_special(),
        ],
    }
    held = operations.describe("type", place.resource_type, among)
    return resource | {"operation": held} if held else resource


def _supported(profiles: Sequence[str]) -> Json:
    return {"supportedProfile": list(profiles)} if profiles else {}


def _special() -> list[Json]:
    return [
        {"name": name, "type": each.type, "documentation": f"`{each.form}`: {each.documentation}"}
        for name, each in SPECIAL.items()
    ]


def _parameter(home: Home) -> Json:
    parameter = home.parameter
    described: Json = {
        "name": parameter.code,
        "definition": parameter.url,
        "type": _TYPE_OF_SPECIAL.get(parameter.code, parameter.type),
    }
    modifiers = ", ".join(f":{modifier}" for modifier in sorted(modifiers_of(home)))
    if parameter.type == "reference":
        modifiers += ", :[type]"
    return described | {"documentation": f"modifiers: {modifiers}"} if modifiers else described
