"""Which of the study's profiles a resource may claim in `meta.profile`: those that it meets.
https://hl7.org/fhir/R4/profiling.html#resources

Pure. A claim that does not hold would be refused by the store; so it is made last, when what is to
be written is known, and taken away again from what no longer meets its profile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

from app.fhir import Json, Profile, Surroundings, compile_profile, meets_profile
from app.trial.protocol_file import load_protocol
from app.trial.study import build_study

_WITHOUT_VALUE = frozenset({"registered", "cancelled", "entered-in-error"})


def _has_value_or_reason(observation: Json) -> bool:
    return (
        observation.get("status") in _WITHOUT_VALUE
        or "dataAbsentReason" in observation
        or any(name.startswith("value") for name in observation)
    )


def _has_dose_if_given(administration: Json) -> bool:
    dose = administration.get("dosage", {}).get("dose", {})
    return administration.get("status") != "completed" or "value" in dose


CONSTRAINTS: Mapping[str, Callable[[Json], bool]] = {
    "ssci-plt-1": _has_value_or_reason,
    "ssci-sir-1": _has_value_or_reason,
    "ssci-dose-1": _has_dose_if_given,
    "ssci-pat-1": lambda patient: len(patient.get("birthDate", "1975")) == 4,
}
"""The FHIRPath constraints of the profiles, as functions: they are asked of every result."""


def claiming(resource: Json) -> Json:
    """The resource with claims of the study's profiles that it meets, and no other of them."""
    meta = resource.get("meta", {})
    own = study_profiles()
    met = [url for url, profile in own.items() if _meets(profile, resource)]
    foreign = [url for url in meta.get("profile", ()) if url not in own]
    if [*foreign, *met] == meta.get("profile", []):
        return resource
    kept = {name: value for name, value in meta.items() if name != "profile"}
    profiles = {"profile": [*foreign, *met]} if foreign or met else {}
    head = {name: resource[name] for name in ("resourceType", "id") if name in resource}
    return head | {"meta": profiles | kept} | {k: v for k, v in resource.items() if k != "meta"}


def _meets(profile: Profile, resource: Json) -> bool:
    return (
        profile.type == resource["resourceType"]
        and all(CONSTRAINTS[each.key](resource) for each in profile.constraints)
        and meets_profile(profile, resource)
    )


@cache
def study_profiles() -> Mapping[str, Profile]:
    """The profiles of what the service itself writes, by URL."""
    resources = build_study(load_protocol())
    sets = {each["url"]: _codes(each) for each in resources if each["resourceType"] == "ValueSet"}
    profiles = (
        compile_profile(each, Surroundings(sets))
        for each in resources
        if each["resourceType"] == "StructureDefinition" and each["kind"] == "resource"
    )
    return {
        profile.url: profile
        for profile in profiles
        if all(each.key in CONSTRAINTS for each in profile.constraints)
    }


def _codes(value_set: Json) -> frozenset[tuple[str, str]]:
    return frozenset(
        (include["system"], concept["code"])
        for include in value_set.get("compose", {}).get("include", ())
        for concept in include.get("concept", ())
    )
