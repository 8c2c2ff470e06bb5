"""Whether a resource may be stored: the standard's rules and the patient policy, told all at once.

400 (incorrect) where the JSON cannot be the resource: no or another `resourceType`, null, an object
where an array belongs, a number in quotes. 422 (unprocessable) where it can, but breaks a rule:
unknown, missing or empty elements, forms of primitives, value sets, targets, invariants, policy.
https://hl7.org/fhir/R4/http.html#create · https://hl7.org/fhir/R4/validation.html
"""

from __future__ import annotations

from app.errors import Category, Issue, SsciError, error, errors
from app.fhir.model import Json
from app.fhir.patient_policy import PatientPolicy
from app.fhir.registry import Registry
from app.fhir.rules import RuleBook
from app.fhir.shapes import RESOURCE_TYPE
from app.fhir.structure import Findings, walk_resource

__all__ = ["PatientPolicy", "Validator"]


class Validator:
    """Checks resources against R4 as the registry has it. Rules are compiled when first needed."""

    def __init__(self, registry: Registry, patient_policy: PatientPolicy) -> None:
        self._book = RuleBook(registry)
        self._policy = patient_policy

    def validate(self, resource: Json, resource_type: str) -> None:
        """Return if `resource` is a legal `resource_type`; else raise all that is wrong with it.

        The issues name their places as FHIRPath and repeat no values. `resource` nests no deeper
        than the codec lets pass.
        """
        self._check_type(resource, resource_type)
        found = Findings()
        walk_resource(self._book, self._policy, found, resource, (None, resource_type, None))
        if found.count:
            raise _refused(found)

    def _check_type(self, resource: Json, resource_type: str) -> None:
        if not isinstance(resource, dict):
            raise error(Category.INCORRECT, "A resource must be a JSON object", code="structure")
        if RESOURCE_TYPE not in resource:
            raise _wrong_type(f"`resourceType` is missing; {resource_type} is expected", "required")
        if resource[RESOURCE_TYPE] != resource_type:
            raise _wrong_type(f"`resourceType` must be {resource_type} here", "structure")
        if not self._book.is_resource_type(resource_type):
            raise _wrong_type("This is no resource type of FHIR R4", "not-supported")


def _wrong_type(sentence: str, code: str) -> SsciError:
    return error(Category.INCORRECT, sentence, code=code, expression=RESOURCE_TYPE)


def _refused(found: Findings) -> SsciError:
    issues = list(found.issues)
    if found.count > len(issues):
        sentence = f"{found.count - len(issues)} more issues are not listed"
        issues.append(Issue("incomplete", sentence, severity="information"))
    category = Category.INCORRECT if found.malformed else Category.UNPROCESSABLE
    return errors(category, issues)
