"""One order number, two patients: where the right patient's result goes after the wrong one's.

A laboratory that withdrew a result as the wrong patient's (OBX-11 W) reports it again for the right
one under the same order. The withdrawn result keeps its id; the other gets one of its own.
"""

from __future__ import annotations

from dataclasses import replace

from app.fhir import Json
from app.mappings.facts import Candidate, Fact
from app.mappings.result_key import keyed_id


def id_for_subject(secret: bytes, id: str, subject: str) -> str:
    """The id under which a second subject's result of the same order is stored."""
    return keyed_id(secret, "for-subject", id, subject)


def relocate(fact: Fact, secret: bytes) -> Fact:
    """The fact with its result and companions under ids of its subject's own."""
    if fact.candidate is None or fact.subject is None:
        return fact
    number = fact.subject.number
    return replace(
        fact,
        resource_id=id_for_subject(secret, fact.resource_id, number),
        candidate=_move(fact.candidate, secret, number),
        companions=tuple(_move(each, secret, number) for each in fact.companions),
    )


def _move(candidate: Candidate, secret: bytes, subject: str) -> Candidate:
    resource = {**candidate.resource, "id": id_for_subject(secret, candidate.id, subject)}
    specimen = resource.get("specimen")
    if isinstance(specimen, list):
        resource["specimen"] = [_move_reference(each, secret, subject) for each in specimen]
    elif specimen:
        resource["specimen"] = _move_reference(specimen, secret, subject)
    return replace(candidate, resource=resource)


def _move_reference(reference: Json, secret: bytes, subject: str) -> Json:
    kind, _, id = str(reference["reference"]).partition("/")
    return {**reference, "reference": f"{kind}/{id_for_subject(secret, id, subject)}"}
