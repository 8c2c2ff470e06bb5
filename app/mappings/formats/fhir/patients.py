"""Whom a FHIR resource is about: the Patient in the same document, a contained one, or the
identifier in the reference. https://hl7.org/fhir/R4/references.html#logical

A Patient's id is a name within the hospital's server and no hospital number: where nothing else is
told the facts wait.
"""

from __future__ import annotations

from app.fhir import Json
from app.mappings.dictionary.code_systems import Systems
from app.mappings.formats.fhir.bundle import Document, Entry
from app.mappings.formats.fhir.shapes import REFERENCE, find_wrong
from app.mappings.formats.fhir.values import codes_of
from app.mappings.formats.row_records import read_birth_date
from app.mappings.records import Identifier, Patient, PatientRecord

NO_PATIENT = "not a patient"
"""The key of facts about devices, groups and places."""
UNSAID = PatientRecord(())


def find_patient(entry: Entry, document: Document, systems: Systems) -> Patient:
    """The key of the patient; None where nothing is said of one."""
    if entry.type == "Patient":
        return read_patient(entry.resource, systems)
    subject = entry.resource.get("subject")
    if not subject or find_wrong(subject, REFERENCE, "subject"):
        return None
    if _names_another_type(subject):
        return NO_PATIENT
    found = document.find(subject, entry)
    if found is not None and found.get("resourceType") != "Patient":
        return NO_PATIENT
    told = read_patient(found, systems) if found else UNSAID
    extra = _read_identifiers([subject.get("identifier", {})], systems)
    numbers = tuple(dict.fromkeys((*told.identifiers, *extra)))
    return PatientRecord(numbers, told.names, told.birth_date)


def _names_another_type(reference: Json) -> bool:
    kind = reference.get("type") or ""
    if not kind and "/" in (text := str(reference.get("reference", ""))):
        kind = text.split("/_history/", 1)[0].split("/")[-2]
    return kind in ("Device", "Group", "Location", "Substance", "Medication")


def read_patient(resource: Json, systems: Systems) -> PatientRecord:
    """Identifiers that are in use, names and birth date."""
    numbers = _read_identifiers(resource.get("identifier", []), systems)
    names = tuple(dict.fromkeys(_names(resource)))
    return PatientRecord(tuple(numbers), names, read_birth_date(resource.get("birthDate", "")))


def _read_identifiers(identifiers: list[Json], systems: Systems) -> list[Identifier]:
    found = []
    for each in identifiers:
        number = each.get("value", "").strip()
        if number and each.get("use") != "old":
            system = each.get("system", "")
            kind = next(iter(codes_of([each.get("type", {})])), "")
            authority, known = systems.patient(system) or (system, "")
            found.append(Identifier(number, kind or known, authority))
    return found


def _names(resource: Json) -> list[str]:
    """Each name as text, with its first given name and with all."""
    names = []
    for each in resource.get("name", []):
        family, given = each.get("family", ""), each.get("given", [])
        parts = (
            each.get("text", ""),
            f"{family} {' '.join(given[:1])}",
            f"{family} {' '.join(given)}",
        )
        names += [name.strip() for name in parts]
    return [name for name in names if name]
