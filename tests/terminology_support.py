"""Code systems as small indented tables, and value sets of them, for tests of terminology."""

from __future__ import annotations

from typing import Any

from app.fhir.terminology import Library, build_library

ANIMALS = "http://example.org/animals"


def code_system(table: str, url: str = ANIMALS, **more: Any) -> dict[str, Any]:
    """Lines of `code "display" property=value …`; indentation nests, by four spaces."""
    lines = [line for line in table.splitlines() if line.strip()]
    margin = min(len(line) - len(line.lstrip()) for line in lines)
    roots: list[dict[str, Any]] = []
    path: list[dict[str, Any]] = []
    for line in lines:
        depth = (len(line) - len(line.lstrip()) - margin) // 4
        concept = _concept(line.strip())
        siblings = path[depth - 1].setdefault("concept", []) if depth else roots
        siblings.append(concept)
        path = [*path[:depth], concept]
    head = {"resourceType": "CodeSystem", "url": url, "status": "active", "content": "complete"}
    return head | {"name": "Animals", "concept": roots} | more


def _concept(text: str) -> dict[str, Any]:
    code, *words = text.split()
    concept: dict[str, Any] = {"code": code}
    for word in words:
        name, _, value = word.partition("=")
        if name == "display":
            concept["display"] = value.replace("_", " ")
        elif name in ("zh", "de"):
            held = concept.setdefault("designation", [])
            held.append({"language": name, "value": value})
        else:
            held = concept.setdefault("property", [])
            held.append({"code": name} | _value(value))
    return concept


def _value(text: str) -> dict[str, Any]:
    if text in ("true", "false"):
        return {"valueBoolean": text == "true"}
    return {"valueInteger": int(text)} if text.isdigit() else {"valueCode": text}


def value_set(
    include: list[Any],
    exclude: list[Any] | None = None,
    url: str = "http://example.org/vs",
    **more: Any,
) -> dict[str, Any]:
    compose = {"include": include} | ({"exclude": exclude} if exclude else {})
    return {"resourceType": "ValueSet", "url": url, "status": "active", "compose": compose} | more


def library(*resources: dict[str, Any]) -> Library:
    return build_library({(each["resourceType"], each["url"]): each for each in resources}, {})
