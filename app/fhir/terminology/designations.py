"""The names of a concept in several languages.
https://hl7.org/fhir/R4/codesystem-definitions.html#CodeSystem.concept.designation
"""

from __future__ import annotations

from collections.abc import Iterable

from app.fhir.model import Json


def designations_of(concept: Json) -> tuple[Json, ...]:
    """Those of a concept that have a value."""
    return tuple(each for each in concept.get("designation", ()) if "value" in each)


def display_in(language: str | None, display: str | None, named: Iterable[Json]) -> str | None:
    """The name in this language (`zh` is content with `zh-CN`), else the display as it is."""
    if language is None:
        return display
    wanted = [part.partition(";")[0].strip().lower() for part in language.split(",")]
    held = [(each.get("language", "").lower(), each["value"]) for each in named]
    for tag in wanted:
        for spoken, value in held:
            if spoken == tag or spoken.startswith(f"{tag}-"):
                return str(value)
    return display


def wanted_designations(named: Iterable[Json]) -> list[Json]:
    """Each once, as a resource holds them."""
    found: list[Json] = []
    for each in named:
        kept: Json = {key: each[key] for key in ("language", "use", "value") if key in each}
        if kept not in found:
            found.append(kept)
    return found


def is_name(text: str, display: str | None, named: Iterable[Json]) -> bool:
    """Whether the text is a name of the concept; case and white space do not count."""
    names = [display or "", *(each["value"] for each in named)]
    return _folded(text) in {_folded(name) for name in names if name}


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())
