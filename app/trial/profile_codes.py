"""The value sets that the study's profiles bind to, as far as they follow from the protocol.
https://hl7.org/fhir/R4/valueset.html · https://hl7.org/fhir/R4/profiling.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.fhir import Json
from app.trial.codes import ATC, BASE, LOINC, RXNORM, SERIOUSNESS, UCUM
from app.trial.protocol import MeasurementKind, Protocol


def build_profile_value_sets(protocol: Protocol) -> list[Json]:
    """The codes and units of each measurement, the study medication, how serious an event is."""
    sets = [each for kind in protocol.measurements.values() for each in _of_measurement(kind)]
    medication = protocol.medication
    codes = [medication.atc, medication.atc_former]
    sets += [
        ("study-medication", "Study medication", [(RXNORM, [medication.rxnorm]), (ATC, codes)]),
        ("adverse-event-seriousness", "Seriousness", [(SERIOUSNESS, ["Non-serious", "Serious"])]),
    ]
    return [_value_set(id, title, protocol.version, include) for id, title, include in sets]


Include = tuple[str, Sequence[str]]
"""(code system, codes)"""


def _of_measurement(kind: MeasurementKind) -> Iterator[tuple[str, str, list[Include]]]:
    yield kind.kind, kind.title, [(LOINC, sorted(kind.counted))]
    yield f"{kind.kind}-units", f"{kind.title}: units", [(UCUM, sorted(kind.conversions))]


def _value_set(id: str, title: str, version: str, include: Sequence[Include]) -> Json:
    return {
        "resourceType": "ValueSet",
        "id": id,
        "url": f"{BASE}/ValueSet/{id}",
        "version": version,
        "name": "".join(part.capitalize() for part in id.split("-")),
        "title": title,
        "status": "active",
        "experimental": False,
        "compose": {
            "include": [
                {"system": system, "concept": [{"code": code} for code in codes]}
                for system, codes in include
            ]
        },
    }
