"""What a Quantity is in other words: the same amount in units that can be compared.
https://hl7.org/fhir/R4/search.html#quantity · https://hl7.org/fhir/R4/extensibility.html

A laboratory's own unit (`万/μL`) is no UCUM code; whoever knows its meaning says the amount again
in an extension of the Quantity. Which extensions do so is data (`[quantities]` of
`spec/layout.toml`). Statistics compute with the amount that was sent if its unit is UCUM's, else
with the first such extension whose unit is; a search finds, and a sort orders, by all of them.
A comparator holds of the amount in every unit.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from importlib.resources import files

from app.fhir.literals import UCUM
from app.fhir.model import Json
from app.fhir.ucum import canonical

_ONE = Decimal(1)


@cache
def _equivalent() -> frozenset[str]:
    text = (files("app.fhir") / "spec" / "layout.toml").read_text("utf-8")
    return frozenset(tomllib.loads(text)["quantities"]["equivalent"])


def equivalents(quantity: Json) -> Iterator[Json]:
    """The Quantities by which extensions of this one say the same amount again."""
    for extension in quantity.get("extension") or ():
        if extension.get("url") in _equivalent():
            held = extension.get("valueQuantity")
            if isinstance(held, dict) and "value" in held:
                yield _compared(quantity) | held


def comparable(quantity: Json) -> Json:
    """The Quantity to compute with; the one sent where none is in a unit of UCUM's."""
    if "value" not in quantity:
        return quantity
    forms = (quantity, *equivalents(quantity))
    return next((each for each in forms if _is_measured(each)), quantity)


def _compared(quantity: Json) -> Json:
    return {"comparator": quantity["comparator"]} if "comparator" in quantity else {}


def _is_measured(quantity: Json) -> bool:
    code = quantity.get("code")
    if quantity.get("system") != UCUM or not isinstance(code, str):
        return False
    return canonical(_ONE, code) is not None
