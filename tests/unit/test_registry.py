"""The facts of R4 and how a bad one stops the start. https://hl7.org/fhir/R4/searchparameter-registry.html"""

import json
import shutil
from importlib.resources import files
from pathlib import Path

import pytest

from app.errors import SsciError
from app.fhir.registry import load_registry


@pytest.fixture(scope="module")
def registry():
    return load_registry()


def test_fifty_types_are_listed_and_all_of_r4_is_known(registry):
    assert len(registry.types) == len(set(registry.types)) == 50
    assert registry.known_types > set(registry.types)
    assert len(registry.known_types) == 148


COMMON = {"_id", "_lastUpdated", "_tag", "_profile", "_security", "_source"}


def test_every_type_has_the_common_parameters(registry):
    for name in registry.types:
        assert registry.parameters(name).keys() >= COMMON, name
    assert registry.parameters("Binary").keys() == COMMON


def test_a_type_that_is_not_listed_has_no_parameters(registry):
    assert registry.parameters("Substance") == {}


def test_a_shared_parameter_is_cut_down_to_its_type(registry):
    code = registry.parameters("MedicationRequest")["code"]
    assert code.expression == "(MedicationRequest.medication as CodeableConcept)"
    assert code.values == ("CodeableConcept",)


def test_the_examples_of_the_standard_are_not_parameters(registry):
    """Search parameters named example… in the definitions only show how to define one."""
    assert set(registry.parameters("Condition")["subject"].targets) == {"Patient", "Group"}
    assert "part-agree" not in registry.parameters("Patient")
    assert registry.parameters("Patient")["_id"].url.endswith("/Resource-id")


def test_parameters_without_expression_are_left_out(registry):
    assert (
        not {"_text", "_content", "_query", "_filter", "age"}
        & registry.parameters("Patient").keys()
    )


MANY = [
    ("Observation", "status", False),
    ("Observation", "date", False),  # effective[x] may be one of four types, but only one
    ("Observation", "value-quantity", False),
    ("Observation", "category", True),
    ("Observation", "combo-code", True),
    ("Observation", "subject", False),
    ("Condition", "onset-date", False),
    ("Patient", "deceased", False),
    ("Patient", "family", True),
    ("DocumentReference", "identifier", True),
]


@pytest.mark.parametrize(("resource_type", "code", "many"), MANY)
def test_many_says_whether_values_may_repeat(registry, resource_type, code, many):
    assert registry.parameters(resource_type)[code].many is many


def test_components_are_resolved_to_parameters_of_the_same_type(registry):
    composite = registry.parameters("Observation")["code-value-quantity"]
    assert [(c.code, c.expression, c.type) for c in composite.components] == [
        ("code", "code", "token"),
        ("value-quantity", "value.as(Quantity)", "quantity"),
    ]


def test_the_swapped_components_of_relationship_fit_their_parameters(registry):
    composite = registry.parameters("DocumentReference")["relationship"]
    assert [(c.code, c.expression, c.type) for c in composite.components] == [
        ("relatesto", "target", "reference"),
        ("relation", "code", "token"),
    ]


def test_the_date_of_code_value_date_is_spelled_as_the_type_is(registry):
    composite = registry.parameters("Observation")["code-value-date"]
    assert composite.components[1].expression == "value.as(dateTime) | value.as(Period)"


def test_a_code_implies_the_system_of_its_binding(registry):
    system = "http://hl7.org/fhir/observation-status"
    assert registry.code_system_of("Observation.status", "final") == system
    assert registry.code_system_of("Observation.status", "finale") is None
    assert registry.code_system_of("Observation.code", "final") is None
    assert registry.parameters("Observation")["status"].systems["final"] == system
    assert registry.parameters("Observation")["code"].systems == {}


def test_required_codes_name_code_and_system(registry):
    codes = registry.required_codes("Quantity.comparator")
    assert set(codes.systems) == {"<", "<=", ">=", ">"}
    assert ("http://hl7.org/fhir/quantity-comparator", "<") in codes.codings
    assert registry.required_codes("Observation.category") is None


def test_reference_targets_are_known_and_empty_for_any(registry):
    assert registry.reference_targets("Observation.encounter") == ("Encounter",)
    assert registry.reference_targets("Observation.focus") == ()
    assert registry.parameters("Observation")["focus"].targets == ()
    assert registry.reference_targets("MedicationRequest.medication[x]") == ("Medication",)


def test_elements_tell_type_cardinality_and_key(registry):
    value = registry.elements["Observation"]["value"]
    assert value.choice
    assert value.path_name == "value[x]"
    assert value.key("Quantity") == "valueQuantity"
    assert value.key("dateTime") == "valueDateTime"
    status = registry.elements["Observation"]["status"]
    assert (status.types, status.required, status.many) == (("code",), True, False)
    assert status.key("code") == "status"


def test_elements_keep_the_order_of_the_standard(registry):
    names = list(registry.elements["Period"])
    assert names == ["id", "extension", "start", "end"]


def test_a_reference_back_names_the_part_it_refers_to(registry):
    item = registry.elements["Questionnaire.item"]["item"]
    assert item.types == ("Questionnaire.item",)


def test_what_only_r4b_has_is_left_out(registry):
    assert registry.elements["PlanDefinition"]["subject"].types == (
        "CodeableConcept",
        "Reference",
    )
    assert "CodeableReference" not in registry.elements["Extension"]["value"].types
    assert "RatioRange" not in registry.elements


def test_the_summary_holds_the_marked_elements(registry):
    assert "Observation.value[x]" in registry.summary("Observation")
    assert "Observation.note" not in registry.summary("Observation")


def test_a_compartment_names_the_parameters_that_lead_into_it(registry):
    patient = registry.compartment("Patient")
    assert patient["Observation"] == ("subject", "performer")
    assert patient["Patient"] == ("link",)
    assert registry.compartment("Encounter")["Encounter"] == ("_id",)
    assert "RelatedPerson" not in registry.compartments
    assert registry.compartment("RelatedPerson") == {}


def test_invariants_are_kept(registry):
    found = {invariant.key: invariant for invariant in registry.invariants("Observation")}
    assert found["obs-6"].severity == "error"
    assert "dataAbsentReason" in found["obs-6"].expression


# Bad entries


@pytest.fixture
def folder(tmp_path) -> Path:
    copied = tmp_path / "spec"
    shutil.copytree(str(files("app.fhir") / "spec"), copied)
    return copied


def change(folder: Path, name: str, edit) -> str:
    """The error with which the start stops once `edit` has changed the file's content."""
    facts = json.loads((folder / name).read_text())
    edit(facts)
    (folder / name).write_text(json.dumps(facts))
    return stopped(folder)


def stopped(folder: Path) -> str:
    with pytest.raises(SsciError) as caught:
        load_registry(folder)
    return str(caught.value)


def parameter(**changes):
    def edit(facts):
        facts["Observation"]["status"].update(changes)

    return edit


BAD_PARAMETERS = {
    "an unknown kind": (parameter(type="tokn"), "the type 'tokn' is unknown"),
    "an unparsable expression": (parameter(expression="Observation.status."), "a name is missing"),
    "an unclosed call": (
        parameter(expression="Observation.value.as(Quantity"),
        "parenthesis is missing",
    ),
    "an unreadable expression": (parameter(expression="Observation#status"), "cannot read '#st"),
    "an element that is not there": (
        parameter(expression="Observation.state"),
        "there is no element 'state' there",
    ),
    "a type that is not there": (
        parameter(expression="(Observation.value as Age)"),
        "nothing there has the type 'Age'",
    ),
    "a function out of the subset": (
        parameter(expression="Observation.status.first()"),
        "first() is not in the subset",
    ),
    "a condition out of the subset": (
        parameter(expression="Observation.subject.where(reference.exists() or true)"),
        "parenthesis is missing",
    ),
    "an unknown target": (parameter(target=["Patiant"]), "unknown targets ['Patiant']"),
    "components of what is no composite": (
        parameter(component=[{"code": "code", "expression": "code"}]),
        "components belong to composites",
    ),
    "no url": (lambda facts: facts["Observation"]["status"].pop("url"), "'url' is missing"),
}


@pytest.mark.parametrize(("edit", "reason"), BAD_PARAMETERS.values(), ids=BAD_PARAMETERS)
def test_a_bad_search_parameter_stops_with_file_key_and_reason(folder, edit, reason):
    message = change(folder, "search-parameters.json", edit)
    assert message.startswith("app/fhir/spec/search-parameters.json: Observation.status: ")
    assert reason in message


def test_an_unknown_component_stops_the_start(folder):
    def edit(facts):
        facts["Observation"]["code-value-quantity"]["component"][0]["code"] = "cod"

    message = change(folder, "search-parameters.json", edit)
    assert "Observation.code-value-quantity: there is no parameter 'cod'" in message


def test_a_component_that_leads_nowhere_stops_the_start(folder):
    def edit(facts):
        facts["Observation"]["code-value-quantity"]["component"][0]["expression"] = "cod"

    message = change(folder, "search-parameters.json", edit)
    assert "Observation.code-value-quantity: there is no element 'cod'" in message


def test_a_redefined_common_parameter_stops_the_start(folder):
    def edit(facts):
        facts["Observation"]["_id"] = facts["Resource"]["_id"]

    message = change(folder, "search-parameters.json", edit)
    assert "search-parameters.json: Observation: a common code is redefined" in message


def test_parameters_of_a_type_that_is_not_listed_stop_the_start(folder):
    message = change(folder, "search-parameters.json", lambda facts: facts.update(Substance={}))
    assert "search-parameters.json: Substance: the type is not listed" in message


def test_a_duplicate_key_stops_the_start(folder):
    path = folder / "compartments.json"
    path.write_text('{"Patient": {}, "Patient": {}}')
    assert stopped(folder).endswith("compartments.json: the file: 'Patient' stands there twice")


def test_a_missing_file_stops_the_start(folder):
    (folder / "invariants.json").unlink()
    assert "app/fhir/spec/invariants.json: the file: " in stopped(folder)


def edit_binding(facts):
    facts["bindings"]["Observation.state"] = "http://hl7.org/fhir/ValueSet/observation-status"


OTHER_FILES = {
    "an unknown listed type": (
        "types.json",
        lambda facts: facts.append("Observashun"),
        "types.json: Observashun: ",
    ),
    "a type listed twice": (
        "types.json",
        lambda facts: facts.append("Patient"),
        "types.json: Patient: it is listed twice",
    ),
    "an element of unknown type": (
        "elements.json",
        lambda facts: facts["Observation"].update(status="Kode 1..1"),
        "elements.json: Observation.status: the type 'Kode' is unknown",
    ),
    "an element of strange cardinality": (
        "elements.json",
        lambda facts: facts["Observation"].update(status="code 1..2"),
        "elements.json: Observation.status: '1..2' is no cardinality",
    ),
    "a binding of no element": (
        "required-bindings.json",
        edit_binding,
        "required-bindings.json: Observation.state: 'Observation.state' is no element",
    ),
    "targets of no element": (
        "reference-targets.json",
        lambda facts: facts["Observation"].update({"Observation.subjekt": ["Patient"]}),
        "reference-targets.json: Observation.subjekt: ",
    ),
    "an unknown reference target": (
        "reference-targets.json",
        lambda facts: facts["Observation"].update({"Observation.subject": ["Patiant"]}),
        "reference-targets.json: Observation.subject: unknown targets ['Patiant']",
    ),
    "a summary of no element": (
        "summary-elements.json",
        lambda facts: facts["Observation"].append("Observation.value"),
        "summary-elements.json: Observation.value: ",
    ),
    "a compartment by an unknown parameter": (
        "compartments.json",
        lambda facts: facts["Patient"].update(Observation=["subjekt"]),
        "compartments.json: Patient.Observation: there are no parameters ['subjekt']",
    ),
    "a compartment of a type that is not listed": (
        "compartments.json",
        lambda facts: facts.update(Substance={"Observation": ["subject"]}),
        "compartments.json: Substance.Observation: the compartment's type is not listed",
    ),
    "an invariant without severity": (
        "invariants.json",
        lambda facts: facts["Observation"]["obs-6"].pop("severity"),
        "invariants.json: Observation: ",
    ),
}


@pytest.mark.parametrize(("name", "edit", "start"), OTHER_FILES.values(), ids=OTHER_FILES)
def test_a_bad_entry_stops_with_file_key_and_reason(folder, name, edit, start):
    assert change(folder, name, edit).startswith(f"app/fhir/spec/{start}")
