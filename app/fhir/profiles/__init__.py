"""Profiles: StructureDefinitions that constrain R4's types, compiled and checked.
https://hl7.org/fhir/R4/profiling.html
"""

from app.fhir.profiles.checking import check_profile, meets_profile
from app.fhir.profiles.compilation import compile_profile
from app.fhir.profiles.constraints import Rule, evaluate
from app.fhir.profiles.record import Constraint, Profile, Surroundings
from app.fhir.profiles.shelf import ProfileShelf, claimed

__all__ = [
    "Constraint",
    "Profile",
    "ProfileShelf",
    "Rule",
    "Surroundings",
    "check_profile",
    "claimed",
    "compile_profile",
    "evaluate",
    "meets_profile",
]
