"""Resources in short. https://hl7.org/fhir/R4/search.html#summary"""

from __future__ import annotations

from typing import Any

import pytest

from app.fhir.codec import dump_json, parse_json
from app.fhir.summary import SUBSETTED, elements, summarise
from tests.fhir_support import facts

OBSERVATION = b"""{"resourceType": "Observation", "id": "a", "meta": {"versionId": "3"},
  "text": {"status": "generated", "div": "<div xmlns='http://www.w3.org/1999/xhtml'>x</div>"},
  "extension": [{"url": "http://example.org/a", "valueString": "b"}],
  "modifierExtension": [{"url": "http://example.org/m", "valueBoolean": true}],
  "status": "final", "_status": {"id": "s1"},
  "code": {"coding": [{"system": "http://loinc.org", "code": "777-3"}]},
  "valueQuantity": {"value": 8.60, "unit": "g",
    "extension": [{"url": "http://example.org/q", "valueQuantity": {"value": 1E-2}}]},
  "note": [{"text": "seen"}],
  "referenceRange": [{"low": {"value": 1}}],
  "component": [{"code": {"text": "c"}, "valueInteger": 1, "interpretation": [{"text": "H"}]}]}"""


def shortened(mode: Any, body: bytes = OBSERVATION) -> Any:
    return parse_json(summarise(facts()[0], body, mode))


def keys(resource: Any) -> str:
    return " ".join(key for key in resource if key not in ("resourceType", "id", "meta"))


def test_true_keeps_what_the_standard_marks():
    summary = shortened("true")
    assert keys(summary) == "modifierExtension status _status code valueQuantity component"
    assert keys(summary["component"][0]) == "code valueInteger"


def test_text_keeps_the_narrative_and_mandatory_elements():
    assert keys(shortened("text")) == "text modifierExtension status _status code"


def test_data_leaves_out_the_narrative_only():
    whole = keys(parse_json(OBSERVATION)).replace("text ", "", 1)
    assert keys(shortened("data")) == whole


def test_decimals_keep_their_digits_and_values_their_extensions():
    body = summarise(facts()[0], OBSERVATION, "true")
    assert b'"value":8.60' in body
    assert b'"valueQuantity":{"value":1E-2}' in body


@pytest.mark.parametrize("mode", ["true", "text", "data"])
def test_a_part_is_tagged_as_one_once(mode):
    once = summarise(facts()[0], OBSERVATION, mode)
    meta = parse_json(summarise(facts()[0], once, mode))["meta"]
    assert meta == {"versionId": "3", "tag": [dict(SUBSETTED)]}


def test_other_tags_stay():
    tag = {"system": "http://example.org", "code": "x"}
    body = dump_json(parse_json(OBSERVATION) | {"meta": {"tag": [tag]}})
    assert shortened("true", body)["meta"]["tag"] == [tag, dict(SUBSETTED)]


def test_elements_come_with_the_mandatory_ones():
    body = elements(facts()[0], OBSERVATION, ["note", "value"])
    found = keys(parse_json(body))
    assert found == "modifierExtension status _status code valueQuantity note"


def test_a_code_system_in_short_has_no_concepts():
    body = b"""{"resourceType": "CodeSystem", "url": "http://example.org/c", "status": "active",
      "content": "complete", "description": "d", "concept": [{"code": "a"}]}"""
    assert keys(shortened("true", body)) == "url status content"


def test_an_attachment_in_short_has_no_data():
    body = b"""{"resourceType": "DocumentReference", "status": "current", "content":
      [{"attachment": {"contentType": "text/plain", "data": "QQ==", "title": "t"}}]}"""
    attachment = shortened("true", body)["content"][0]["attachment"]
    assert attachment == {"contentType": "text/plain", "title": "t"}


def test_a_part_that_contains_itself_is_shortened_at_every_depth():
    body = b"""{"resourceType": "QuestionnaireResponse", "status": "completed",
      "item": [{"linkId": "1", "text": "t", "item": [{"linkId": "2", "text": "u"}]}]}"""
    assert keys(shortened("true", body)) == "status"
    kept = parse_json(elements(facts()[0], body, ["item"]))["item"][0]
    assert kept == {"linkId": "1", "text": "t", "item": [{"linkId": "2", "text": "u"}]}


def test_every_type_has_a_summary_with_its_mandatory_elements():
    registry = facts()[0]
    for name in registry.types:
        body = dump_json({"resourceType": name} | {
            element: "x" for element in registry.elements[name] if element not in ("id", "meta")
        })  # fmt: skip
        kept = parse_json(summarise(registry, body, "true"))
        required = {k for k, e in registry.elements[name].items() if e.required and not e.choice}
        assert required <= kept.keys(), name
