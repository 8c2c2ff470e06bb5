"""Forms that the standard's own examples use and a strict server might wrongly refuse.
https://hl7.org/fhir/R4/references.html · https://hl7.org/fhir/R4/json.html#primitive
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from app.errors import SsciError
from tests.fhir_support import open_validator

ABSENT = {
    "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
    "valueCode": "unknown",
}
PICTURE = {"resourceType": "Binary", "id": "i", "contentType": "image/png", "data": "YQ=="}


def observation(**content: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, **content}


def to(reference: str) -> dict[str, Any]:
    return observation(subject={"reference": reference})


def showing(html: str) -> dict[str, Any]:
    div = f'<div xmlns="http://www.w3.org/1999/xhtml">{html}</div>'
    return observation(text={"status": "generated", "div": div})


def containing(resource: dict[str, Any], **content: Any) -> dict[str, Any]:
    return observation(contained=[resource], **content)


LEGAL: dict[str, dict[str, Any]] = {
    "a reference to what is not here": to("Patient/unknown"),
    "an absolute reference": to("http://example.org/fhir/Patient/1/_history/2"),
    "a reference to another kind of server": to("http://example.org/whatever?x=1"),
    "a uuid": to("urn:uuid:04121321-4AF5-424c-a0e1-ed3aab1c349d"),
    "an oid": to("urn:oid:1.2.3"),
    "a fragment of another resource": to("Patient/1#x"),
    "a logical reference": observation(subject={"type": "Patient", "identifier": {"value": "1"}}),
    "a display only": observation(subject={"display": "x"}),
    "a status that is an extension only": {
        "resourceType": "Observation",
        "_status": {"extension": [ABSENT]},
        "code": {"text": "x"},
    },
    "extensions in a list of primitives": {
        "resourceType": "Patient",
        "name": [{"given": ["a", None], "_given": [None, {"extension": [ABSENT]}]}],
    },
    "extensions in place of a list": {
        "resourceType": "Patient",
        "name": [{"_given": [{"extension": [ABSENT]}]}],
    },
    "an id on a primitive": {"resourceType": "Patient", "gender": "male", "_gender": {"id": "x"}},
    "an extension whose value is extended": observation(
        extension=[{"url": "http://x", "_valueString": {"extension": [ABSENT]}}]
    ),
    "a contained value set named by a canonical": {
        "resourceType": "Questionnaire",
        "status": "draft",
        "contained": [{"resourceType": "ValueSet", "id": "v", "status": "draft"}],
        "item": [{"linkId": "1", "type": "choice", "answerValueSet": "#v"}],
    },
    "a contained resource that refers to its container": containing(
        {
            "resourceType": "Provenance",
            "id": "p",
            "target": [{"reference": "#"}],
            "recorded": "2019-03-14T00:00:00Z",
            "agent": [{"who": {"display": "x"}}],
        }
    ),
    "a contained resource of a type that is not stored": containing(
        {"resourceType": "Substance", "id": "s", "code": {"text": "x"}},
        extension=[{"url": "http://x", "valueReference": {"reference": "#s"}}],
    ),
    "a contained collection": containing(
        {
            "resourceType": "Bundle",
            "id": "b",
            "type": "collection",
            "entry": [{"fullUrl": "http://x/Patient/1", "resource": {"resourceType": "Patient"}}],
        },
        extension=[{"url": "http://x", "valueReference": {"reference": "#b"}}],
    ),
    "a contained picture shown in the narrative": containing(
        PICTURE, text=showing('<img alt="x" src="#i"/>')["text"]
    ),
    "a contained resource linked to in the narrative": containing(
        PICTURE, text=showing("<a href='#i'>x</a>")["text"]
    ),
    "a comment, an anchor and languages in a narrative": showing(
        '<a name="x"/><!-- c --><p lang="en" xml:lang="en">x</p>'
    ),
    "a leap second": observation(valueTime="23:59:60"),
    "an exponent": observation(valueQuantity={"value": Decimal("1E-3")}),
    "profile, source and labels": observation(
        meta={"profile": ["http://x|1"], "source": "#abc", "tag": [{"display": "x"}]}
    ),
    "white space in base64": {"resourceType": "Binary", "contentType": "a/b", "data": "YWJj\nZGVm"},
    "a definition without element ids": {
        "resourceType": "StructureDefinition",
        "url": "http://x",
        "name": "X",
        "status": "draft",
        "kind": "resource",
        "abstract": False,
        "type": "Patient",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
        "derivation": "constraint",
        "differential": {"element": [{"path": "Patient"}]},
    },
}


@pytest.mark.parametrize("resource", LEGAL.values(), ids=LEGAL)
def test_what_the_standard_allows_is_accepted(resource: dict[str, Any]) -> None:
    assert open_validator().validate(resource, resource["resourceType"]) is None


def test_a_contained_resource_that_nothing_refers_to_is_refused() -> None:
    with pytest.raises(SsciError, match="dom-3"):
        open_validator().validate(containing(PICTURE, text=showing("i")["text"]), "Observation")
