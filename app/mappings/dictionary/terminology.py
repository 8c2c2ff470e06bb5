"""A site's dictionary as FHIR terminology: code systems of its local codes and units, and concept
maps to LOINC, RxNorm, ATC and UCUM. Built from the site data, one version per mapping version.

https://hl7.org/fhir/R4/codesystem.html · https://hl7.org/fhir/R4/conceptmap.html
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from importlib import resources
from typing import Any

from app.fhir import Caller, Change, Json, Revise, Store, copy_json
from app.mappings.dictionary.site import ANY_PANEL, MedicationEntry, Site, TestEntry
from app.mappings.parsing.units import CLASSES
from app.mappings.resources import (
    ATC,
    BASE,
    LOCAL_MEDICATIONS,
    LOCAL_TESTS,
    LOINC,
    RXNORM,
    UCUM,
)

CALLER = Caller("mapping")
LOCAL_UNITS = f"{BASE}/CodeSystem/pumch-unit"
LOCAL_PANELS = f"{BASE}/CodeSystem/pumch-panel"
BY_PANEL = f"{BASE}/mapping/panel"
BY_CLASS = f"{BASE}/mapping/analyte-class"
PUBLIC = frozenset({"LN", "RXNORM", "RXN", "ATC", "WC"})
"""Systems of source codes, in capitals, that are no codes of the site's own."""


@dataclass(frozen=True, slots=True)
class System:
    """A code system of ours: its concepts (code → display)."""

    url: str
    name: str
    title: str
    concepts: Mapping[str, str]

    @property
    def id(self) -> str:
        return self.url.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Match:
    """What a code means in another system; `depends`: where only (property, value)."""

    system: str
    code: str
    display: str
    equivalence: str
    comment: str = ""
    depends: tuple[str, str] | None = None


def build_terminology(site: Site) -> list[Json]:
    """Every resource of the dictionary, each with its id."""
    panels = System(LOCAL_PANELS, "PumchPanel", "Panels of the mapping", _panel_names(site))
    tests = System(LOCAL_TESTS, "PumchLisTest", "Tests and panels of the laboratory", _tests(site))
    medications = System(
        LOCAL_MEDICATIONS, "PumchHisMedication", "Medicines of the hospital", _medications(site)
    )
    units = System(LOCAL_UNITS, "PumchUnit", "Spellings of units", _units())
    systems = (tests, medications, units, panels)
    return [
        *(_code_system(each, site) for each in systems),
        *(_value_set(each, site) for each in systems),
        _concept_map(site, tests, "loinc", "Loinc", LOINC, _match_tests(site)),
        _concept_map(site, tests, "panel", "Panel", LOCAL_PANELS, _match_panels(site)),
        _concept_map(site, medications, "rxnorm", "Rxnorm", RXNORM, _match_drugs(site, RXNORM)),
        _concept_map(site, medications, "atc", "Atc", ATC, _match_drugs(site, ATC)),
        _concept_map(site, units, "ucum", "Ucum", UCUM, _match_units()),
    ]


async def load_mapping_terminology(store: Store, site: Site) -> list[Change]:
    """Store the dictionary in one transaction; what is stored already stays as it is."""
    operations = [
        Revise(resource["resourceType"], resource["id"], _as_built(resource))
        for resource in build_terminology(site)
    ]
    return await store.write(CALLER, operations)


def _as_built(resource: Json) -> Any:
    return lambda _: copy_json(resource)


# Concepts


def _own_tests(site: Site) -> Iterator[tuple[str, str, TestEntry]]:
    """(code, panel, entry) of codes that are the laboratory's own."""
    for (_, panel, code, system), entry in site.tests.items():
        if system.upper() not in PUBLIC:
            yield code, panel, entry


def _own_medications(site: Site) -> Iterator[tuple[str, MedicationEntry]]:
    for (_, code, system), entry in site.medications.items():
        if system.upper() not in PUBLIC:
            yield code, entry


def _own_panels(site: Site) -> Iterator[tuple[str, str]]:
    for (_, code, system), panel in site.panels.items():
        if system.upper() not in PUBLIC:
            yield code, panel


def _tests(site: Site) -> Mapping[str, str]:
    shown = {code: entry.local_display for code, _, entry in _own_tests(site)}
    return {code: shown.get(code, "") for code in (*shown, *dict(_own_panels(site)))}


def _panel_names(site: Site) -> Mapping[str, str]:
    return dict.fromkeys(site.panels.values(), "")


def _medications(site: Site) -> Mapping[str, str]:
    return {code: entry.display for code, entry in _own_medications(site)}


def _alias_rows() -> list[tuple[str, str, Decimal]]:
    text = resources.files("app.mappings.parsing").joinpath("units.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return [(row["unit"], row["class"], Decimal(row["factor"])) for row in rows]


def _units() -> Mapping[str, str]:
    return {unit: "" for unit, _, _ in _alias_rows()}


# Matches


Matches = Mapping[str, Sequence[Match]]


def _collect(found: Iterable[tuple[str, Match]]) -> Matches:
    """By code, each match once."""
    made: dict[str, dict[Match, None]] = {}
    for code, match in found:
        made.setdefault(code, {})[match] = None
    return {code: tuple(matches) for code, matches in made.items()}


def _match_tests(site: Site) -> Matches:
    return _collect((code, _match_test(panel, entry)) for code, panel, entry in _own_tests(site))


def _match_test(panel: str, entry: TestEntry) -> Match:
    depends = None if panel == ANY_PANEL else (BY_PANEL, panel)
    if not entry.loinc:
        return Match(LOINC, "", "", "unmatched", entry.reason, depends)
    return Match(LOINC, entry.loinc, entry.display, "equivalent", entry.reason, depends)


def _match_panels(site: Site) -> Matches:
    found = (
        (code, Match(LOCAL_PANELS, panel, "", "equivalent")) for code, panel in _own_panels(site)
    )
    return _collect(found)


def _match_drugs(site: Site, system: str) -> Matches:
    return _collect((code, _match_drug(system, entry)) for code, entry in _own_medications(site))


def _match_drug(system: str, entry: MedicationEntry) -> Match:
    """The substance: wider than a medicine of one strength."""
    code = entry.rxnorm if system == RXNORM else entry.atc
    if not code:
        return Match(system, "", "", "unmatched", entry.reason)
    wider = entry.tablet_mg is not None or system == ATC
    return Match(system, code, entry.drug, "wider" if wider else "equivalent", entry.reason)


def _match_units() -> Matches:
    """The unit that values are converted to; the factor stands in the comment. The class of
    analytes is a condition only for a spelling that several classes have."""
    rows = _alias_rows()
    classes = Counter(unit for unit, _, _ in rows)
    return _collect(
        (unit, _match_unit(name, factor, alone=classes[unit] == 1)) for unit, name, factor in rows
    )


def _match_unit(name: str, factor: Decimal, *, alone: bool) -> Match:
    same = factor == 1
    comment = "" if same else f"value × {factor.normalize():f}"
    equivalence = "equivalent" if same else "relatedto"
    depends = None if alone else (BY_CLASS, name)
    return Match(UCUM, CLASSES[name].canonical, "", equivalence, comment, depends)


# Resources


def _head(kind: str, id: str, name: str, title: str, site: Site) -> dict[str, Any]:
    return {
        "resourceType": kind,
        "id": id,
        "url": f"{BASE}/{kind}/{id}",
        "version": site.version,
        "name": name,
        "title": title,
        "status": "active",
        "experimental": False,
    }


def _code_system(system: System, site: Site) -> Json:
    concepts = [
        {"code": code, **({"display": display} if display else {})}
        for code, display in system.concepts.items()
    ]
    return {
        **_head("CodeSystem", system.id, system.name, system.title, site),
        "caseSensitive": True,
        "valueSet": f"{BASE}/ValueSet/{system.id}",
        "content": "complete",
        "count": len(concepts),
        "concept": concepts,
    }


def _value_set(system: System, site: Site) -> Json:
    return {
        **_head("ValueSet", system.id, system.name, system.title, site),
        "compose": {"include": [{"system": system.url}]},
    }


def _concept_map(
    site: Site, source: System, suffix: str, name: str, target: str, matches: Matches
) -> Json:
    elements = [
        {
            "code": code,
            **({"display": source.concepts[code]} if source.concepts[code] else {}),
            "target": [_target(match) for match in found],
        }
        for code, found in matches.items()
    ]
    target_set = (
        target.replace("/CodeSystem/", "/ValueSet/") if BASE in target else target + "?fhir_vs"
    )
    title = f"{source.title} in {target.rpartition('/')[2]}"
    return {
        **_head("ConceptMap", f"{source.id}-{suffix}", f"{source.name}{name}", title, site),
        "sourceUri": f"{BASE}/ValueSet/{source.id}",
        "targetUri": target_set,
        "group": [{"source": source.url, "target": target, "element": elements}],
    }


def _target(match: Match) -> dict[str, Any]:
    made: dict[str, Any] = {"code": match.code, "display": match.display}
    made |= {"equivalence": match.equivalence, "comment": match.comment}
    if match.depends:
        made["dependsOn"] = [{"property": match.depends[0], "value": match.depends[1]}]
    return {key: value for key, value in made.items() if value}
