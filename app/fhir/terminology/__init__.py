"""Code systems, value sets and concept maps that the server holds, and what can be asked of them:
expand, validate, look up, subsume, translate. https://hl7.org/fhir/R4/terminology-service.html
"""

from app.fhir.terminology.code_systems import CodeSystem, Concept, read_code_system
from app.fhir.terminology.expansion import Member, Members, expand
from app.fhir.terminology.held import StoredTerminology
from app.fhir.terminology.library import Library, build_library
from app.fhir.terminology.lookup import look_up, subsumes
from app.fhir.terminology.presentation import View, build_expansion
from app.fhir.terminology.standard import standard_resources
from app.fhir.terminology.translation import Dependency, Direction, translate
from app.fhir.terminology.validation import (
    Coded,
    Verdict,
    Wish,
    check_any,
    check_in_code_system,
    check_in_value_set,
)

__all__ = [
    "CodeSystem",
    "Coded",
    "Concept",
    "Dependency",
    "Direction",
    "Library",
    "Member",
    "Members",
    "StoredTerminology",
    "Verdict",
    "View",
    "Wish",
    "build_expansion",
    "build_library",
    "check_any",
    "check_in_code_system",
    "check_in_value_set",
    "expand",
    "look_up",
    "read_code_system",
    "standard_resources",
    "subsumes",
    "translate",
]
