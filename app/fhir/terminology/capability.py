"""What can be asked about terminology, as a TerminologyCapabilities: derived from the code systems
held, the filters of value sets and the parameters of `$expand`.
https://hl7.org/fhir/R4/terminologycapabilities.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from app.fhir.model import Json
from app.fhir.terminology.filters import HIERARCHY_OPERATORS, PROPERTY_OPERATORS
from app.fhir.terminology.library import choose

HELD_CONTENT = frozenset({"complete", "fragment"})
"""The `content` of code systems whose concepts are there to be asked."""


def build_terminology(systems: Iterable[Json], expansion: Mapping[str, str]) -> Json:
    """The elements that tell of terminology; `expansion`: parameter of `$expand` → what it does."""
    by_url: dict[str, list[Json]] = {}
    for system in systems:
        if system.get("url") and system.get("content") in HELD_CONTENT:
            by_url.setdefault(system["url"], []).append(system)
    held = [_code_system(url, versions) for url, versions in sorted(by_url.items())]
    return {
        **({"codeSystem": held} if held else {}),
        "expansion": {
            "hierarchical": False,
            "paging": True,
            "incomplete": True,
            "parameter": [
                {"name": name, **({"documentation": text} if text else {})}
                for name, text in expansion.items()
            ],
            "textFilter": "Every word must occur in the code, the display or a designation,"
            " in any order; upper and lower case are the same.",
        },
        "codeSearch": "explicit",
        "validateCode": {"translations": False},
        "translation": {"needsMap": False},
    }


def _code_system(url: str, held: Sequence[Json]) -> Json:
    default = choose(held, None)
    by_version: dict[str | None, Json] = {each.get("version"): each for each in held}
    if len(by_version) > 1:  # where there are several, one without a name can't be told of
        by_version.pop(None, None)
    versions = [
        _version(each, len(by_version) == 1 or each is default) for each in by_version.values()
    ]
    return {"uri": url, "version": versions, "subsumption": True}


def _version(system: Json, is_default: bool) -> Json:
    named: Json = {"code": system["version"]} if system.get("version") else {}
    language: Json = {"language": [system["language"]]} if system.get("language") else {}
    declared = [each["code"] for each in system.get("property", ()) if each.get("code")]
    codes = ("display", "definition", *declared)
    filters = {code: list(PROPERTY_OPERATORS) for code in codes}
    filters["concept"] = [*HIERARCHY_OPERATORS, *PROPERTY_OPERATORS]
    properties: Json = {"property": declared} if declared else {}
    return {
        **named,
        "isDefault": is_default,
        "compositional": False,
        **language,
        "filter": [{"code": code, "op": operators} for code, operators in filters.items()],
        **properties,
    }
