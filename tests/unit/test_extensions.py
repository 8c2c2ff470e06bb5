"""The definitions of the service's own extensions.
https://hl7.org/fhir/R4/defining-extensions.html
"""

from __future__ import annotations

from app.fhir import Surroundings, check_profile, compile_profile
from app.mappings import resources
from app.trial import codes
from app.trial.extensions import build_extensions

DEFINED = {each["url"]: each for each in build_extensions("1.0.0")}


def test_every_own_extension_is_defined() -> None:
    named = {
        value
        for module in (resources, codes)
        for value in vars(module).values()
        if isinstance(value, str) and value.startswith(f"{codes.BASE}/StructureDefinition/")
    }
    assert named == DEFINED.keys()


def test_a_definition_tells_a_right_extension_from_a_wrong_one() -> None:
    definition = DEFINED[f"{codes.BASE}/StructureDefinition/canonical-quantity"]
    simple = compile_profile(definition, Surroundings())
    right = {"resourceType": "Extension", "url": simple.url, "valueQuantity": {"value": 1}}
    assert check_profile(simple, right) == []
    assert check_profile(simple, right | {"url": "x:y"})
    assert check_profile(simple, {"resourceType": "Extension", "url": simple.url})


def test_a_definition_with_parts_names_those_that_must_be_there() -> None:
    complex_ = DEFINED[f"{codes.BASE}/StructureDefinition/source-order"]["differential"]["element"]
    least = {each["sliceName"]: each["min"] for each in complex_ if "sliceName" in each}
    assert least == {"analysed": 0, "reported": 0, "sent": 0, "received": 1}
