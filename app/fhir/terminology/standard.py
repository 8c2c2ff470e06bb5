"""The value sets and code systems of required bindings, as the resources that the standard would
have them be. https://hl7.org/fhir/R4/terminologies-valuesets.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from app.fhir.model import Json
from app.fhir.registry import CodeSet, Registry
from app.fhir.terminology.library import Need

VERSION = "4.0.1"


@lru_cache(maxsize=4)
def standard_resources(registry: Registry) -> Mapping[Need, Json]:
    """By type and canonical URL, without version."""
    sets = {code_set.url: code_set for code_set in _code_sets(registry)}
    resources: dict[Need, Json] = {
        ("ValueSet", url): _value_set(code_set) for url, code_set in sets.items()
    }
    for url, (codes, complete) in _systems(sets.values()).items():
        resources["CodeSystem", url] = _code_system(url, codes, complete)
    return resources


def _code_sets(registry: Registry) -> Iterator[CodeSet]:
    for owner, children in registry.elements.items():
        for element in children.values():
            if code_set := registry.required_codes(f"{owner}.{element.path_name}"):
                yield code_set


def _systems(sets: Iterable[CodeSet]) -> Mapping[str, tuple[list[str], bool]]:
    """The codes of each system; complete where a value set of the same name takes them all."""
    systems: dict[str, tuple[list[str], bool]] = {}
    for code_set in sets:
        for system, code in sorted(code_set.codings):
            codes, complete = systems.get(system, ([], False))
            if code not in codes:
                codes.append(code)
            systems[system] = codes, complete or _name(system) == _name(code_set.url)
    return systems


def _name(url: str) -> str:
    return url.rpartition("/")[2]


def _value_set(code_set: CodeSet) -> Json:
    includes: dict[str, list[Json]] = {}
    for system, code in sorted(code_set.codings):
        includes.setdefault(system, []).append({"code": code})
    return _head("ValueSet", code_set.url) | {
        "compose": {
            "include": [{"system": system, "concept": held} for system, held in includes.items()]
        }
    }


def _code_system(url: str, codes: list[str], complete: bool) -> Json:
    return _head("CodeSystem", url) | {
        "caseSensitive": True,
        "content": "complete" if complete else "fragment",
        "concept": [{"code": code} for code in codes],
    }


def _head(resource_type: str, url: str) -> Json:
    """Versions are known of the standard's own resources only."""
    version = {"version": VERSION} if url.startswith("http://hl7.org/fhir/") else {}
    name = "".join(part.capitalize() for part in _name(url).split("-"))
    return {"resourceType": resource_type, "url": url, **version, "name": name, "status": "active"}
