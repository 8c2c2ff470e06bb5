"""What a Quantity is in other words: the same amount in units that can be compared.
https://hl7.org/fhir/R4/search.html#quantity · https://hl7.org/fhir/R4/extensibility.html

A laboratory's own unit (`万/μL`) is no UCUM code; whoever knows its meaning says the amount again
in an extension of the Quantity. Which extensions do so is data (`[quantities]` of
`spec/layout.toml`). What is put in order or computed with (sort, statistics) is the amount that
such an extension gives, else the one that was sent; a search finds by both.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from app.fhir.model import Json


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
                yield held


def comparable(quantity: Json) -> Json:
    """The Quantity to compare and to compute with."""
    return next(equivalents(quantity), quantity)
