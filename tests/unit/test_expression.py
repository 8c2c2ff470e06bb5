"""What search expressions find, told by small resources. http://hl7.org/fhirpath/N1/"""

import pytest

from app.errors import SsciError
from app.fhir.expression import Extractor, Value, compile_expression, reference_type
from app.fhir.registry import load_registry


@pytest.fixture(scope="module")
def registry():
    return load_registry()


@pytest.fixture
def find(registry):
    def evaluate(expression, resource):
        found = compile_expression(expression, resource["resourceType"], registry.elements)
        return found(resource)

    return evaluate


@pytest.fixture
def extract(registry):
    def extract_from(resource):
        return Extractor(registry, resource["resourceType"]).extract(resource)

    return extract_from


def observation(**elements):
    return {"resourceType": "Observation", **elements}


def test_a_choice_tells_its_type_by_its_key(find):
    expression = "Observation.effective"
    assert find(expression, observation(effectiveDateTime="2019-03")) == [
        Value("dateTime", "2019-03")
    ]
    period = {"start": "2019-03-01"}
    assert find(expression, observation(effectivePeriod=period)) == [Value("Period", period)]


def test_as_takes_only_its_type(find):
    resource = observation(valueQuantity={"value": 38})
    assert find("(Observation.value as Quantity)", resource) == [Value("Quantity", {"value": 38})]
    assert find("Observation.value.as(CodeableConcept)", resource) == []


def test_repeated_elements_are_flattened_and_nulls_skipped(find):
    resource = observation(
        component=[{"valueString": "a"}, {}, {"valueString": "b"}],
        category=[None, {"text": "c"}],
    )
    assert find("Observation.component.value.ofType(string)", resource) == [
        Value("string", "a"),
        Value("string", "b"),
    ]
    assert find("Observation.category", resource) == [Value("CodeableConcept", {"text": "c"})]


def test_the_sibling_of_a_primitive_is_no_value(find):
    assert find("Observation.status", observation(_status={"extension": []})) == []


def test_an_extension_yields_its_value(find):
    resource = observation(
        extension=[
            {"url": "http://a", "valueString": "x"},
            {"url": "http://b", "valueString": "y"},
            {"url": "http://a", "valueCodeableConcept": {"text": "z"}},
        ]
    )
    assert find("Observation.extension('http://a')", resource) == [
        Value("string", "x"),
        Value("CodeableConcept", {"text": "z"}),
    ]


def test_deceased_is_told_of_every_patient(find):
    expression = "Patient.deceased.exists() and Patient.deceased != false"
    for elements, told in [
        ({}, False),
        ({"deceasedBoolean": False}, False),
        ({"deceasedBoolean": True}, True),
        ({"deceasedDateTime": "2020-01-01"}, True),
    ]:
        patient = {"resourceType": "Patient", **elements}
        assert find(expression, patient) == [Value("boolean", told)], elements


REFERENCES = [
    ({"reference": "Patient/SSCI-001"}, "Patient"),
    ({"reference": "Patient/SSCI-001/_history/3"}, "Patient"),
    ({"reference": "https://other.example/fhir/Patient/1"}, "Patient"),
    ({"reference": "https://other.example/fhir/Patient/1/_history/2"}, "Patient"),
    ({"reference": "https://other.example/Patient/records/Group/1"}, "Group"),
    ({"reference": "urn:uuid:9b2d4a6e-58a7-4f3c-8d1b-0123456789ab"}, None),
    ({"reference": "urn:uuid:9b2d4a6e-58a7-4f3c-8d1b-0123456789ab", "type": "Patient"}, "Patient"),
    ({"identifier": {"value": "1"}, "type": "Device"}, "Device"),
    ({"identifier": {"value": "1"}}, None),
    ({"reference": "#p"}, "Patient"),
    ({"reference": "#absent"}, None),
    ({"reference": "#"}, "Observation"),
    ({"display": "someone"}, None),
]


@pytest.mark.parametrize(("reference", "expected"), REFERENCES)
def test_the_type_of_a_reference_is_told_by_its_address_or_type(reference, expected):
    resource = observation(contained=[{"resourceType": "Patient", "id": "p"}])
    assert reference_type(reference, resource) == expected


def test_only_references_to_the_type_are_found(extract):
    found = extract(observation(subject={"reference": "Group/g"}))
    assert "patient" not in found
    assert [value.type for value in found["subject"]] == ["Reference"]


def test_parameters_without_value_are_not_there(extract):
    assert extract(observation(status="final")) == {"status": [Value("code", "final")]}


def test_extraction_survives_elements_it_does_not_know_or_expect(extract):
    resource = observation(unknown={"a": [1]}, meta="text", component="text", subject=["text"])
    assert extract(resource) == {"subject": [Value("Reference", "text")]}


def test_a_composite_pairs_values_of_one_node(registry):
    resource = observation(
        code={"text": "panel"},
        component=[
            {"code": {"text": "a"}, "valueQuantity": {"value": 1}},
            {"code": {"text": "b"}},
            {"code": {"text": "c"}, "valueQuantity": {"value": 3}},
        ],
    )
    found = Extractor(registry, "Observation").extract_composites(resource)
    rows = found["component-code-value-quantity"]
    assert [(code[0].value["text"], value[0].value["value"]) for code, value in rows] == [
        ("a", 1),
        ("c", 3),
    ]
    assert found["combo-code-value-quantity"] == rows
    assert "code-value-quantity" not in found


def test_a_name_of_another_type_is_refused(registry):
    with pytest.raises(SsciError, match="there is no element 'Patient'"):
        compile_expression("Patient.name", "Observation", registry.elements)


def test_a_condition_on_a_repeated_element_is_refused(registry):
    with pytest.raises(SsciError, match="one single element"):
        compile_expression("Patient.where(name = 'x')", "Patient", registry.elements)
