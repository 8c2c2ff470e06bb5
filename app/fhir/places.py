"""Where something is in a resource, kept as a chain while walking and told as FHIRPath at need.
http://hl7.org/fhirpath/
"""

from __future__ import annotations

from typing import Any

Place = tuple[Any, str, int | None]
"""(place of the parent or None, name, position in its list or None)."""


def render_place(place: Place) -> str:
    """The FHIRPath expression of a place: `Observation.component[2].valueQuantity.value`."""
    parts: list[str] = []
    here: Place | None = place
    while here is not None:
        here, name, position = here
        parts.append(name if position is None else f"{name}[{position}]")
    return ".".join(reversed(parts))
