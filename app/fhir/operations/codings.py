"""The codes in the parameters of an operation: code and system, a Coding, or a CodeableConcept.
https://hl7.org/fhir/R4/valueset-operation-validate-code.html
"""

from __future__ import annotations

from typing import Any

from app.fhir.model import Json
from app.fhir.operations.parameters import Parameters, missing, refused, structure, text
from app.fhir.terminology import Coded

MAX_CODINGS = 100


def read_codes(parameters: Parameters, version: str) -> tuple[Coded, ...]:
    """What is to be looked at; `version` is the name of the parameter with the system's version.

    400 unless it is given in exactly one of the three ways.
    """
    given = [name for name in ("code", "coding", "codeableConcept") if name in parameters]
    if not given:
        raise missing("code")
    if len(given) > 1:
        raise refused(given[1], f"can't be given beside '{given[0]}'")
    if given[0] == "code":
        return (_plain(parameters, version),)
    held = structure(parameters, given[0])
    assert held is not None  # its name is among the parameters
    if given[0] == "coding":
        return (read_coding(held, "coding"),)
    codings = held.get("coding", [])
    if not isinstance(codings, list) or len(codings) > MAX_CODINGS:
        raise refused("codeableConcept", f"has a list of at most {MAX_CODINGS} codings")
    return tuple(read_coding(each, "codeableConcept") for each in codings)


def read_coding(coding: Any, name: str) -> Coded:
    """A Coding that has a code."""
    if not isinstance(coding, dict) or "code" not in coding:
        raise refused(name, "a Coding with a code is needed")
    parts = {key: _text_of(coding, key, name) for key in ("system", "version", "display")}
    return Coded(_text_of(coding, "code", name) or "", **parts)


def _plain(parameters: Parameters, version: str) -> Coded:
    return Coded(
        text(parameters, "code") or "",
        text(parameters, "system"),
        text(parameters, version),
        text(parameters, "display"),
    )


def _text_of(coding: Json, key: str, name: str) -> str | None:
    value = coding.get(key)
    if value is not None and (not isinstance(value, str) or not value):
        raise refused(name, f"the Coding's {key} must be text")
    return value
