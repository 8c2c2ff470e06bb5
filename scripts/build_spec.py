"""Turn a folder of FHIR R4 definitions into the compact data of app/fhir/spec/.

    python scripts/build_spec.py FOLDER

FOLDER holds search-parameters, required-bindings, reference-targets, summary-elements,
compartments and invariants as JSON. What is kept: the resource types of spec/types.json and the
data types that they use. Elements (types, cardinality, order) come from fhir.resources' R4B models,
less what R4B added to R4. The same input gives the same bytes, one fact per line.

https://hl7.org/fhir/R4/downloads.html · https://hl7.org/fhir/R4B/diff.html
"""

from __future__ import annotations

import json
import re
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fhir.resources.R4B import get_fhir_model_class

SPEC = Path(__file__).parent.parent / "app" / "fhir" / "spec"
COMMON = "Resource"

RESOURCE_TYPES = "http://hl7.org/fhir/ValueSet/resource-types"
"""Names every resource type of R4: references may point to types that are not listed."""

ADDED_BY_R4B = {"CodeableReference", "RatioRange"}
"""Data types that R4 does not have; the models offer them in value[x]."""

ADDED_CHOICES = {("PlanDefinition", "subject[x]"): {"canonical"}}
"""Choices of an R4 element that only R4B has."""

EXAMPLES = re.compile(r"http://hl7\.org/fhir/SearchParameter/example(-.*)?")
"""Illustrations of how to define a search parameter, shipped with the standard, not parts of it."""

SLIPS = {"value.as(DateTime)": "value.as(dateTime)"}
"""The standard's type is spelled with a small d."""

SWAPPED = {"http://hl7.org/fhir/SearchParameter/DocumentReference-relationship"}
"""R4 gives the component `relatesto` (a reference) the path of `relation` (a token) and the other
way round; R5 repaired it."""

ANY_TARGET = 140
"""More targets than this mean any type (148 in all, less the abstract ones)."""

Facts = dict[str, Any]


def main(folder: Path) -> None:
    """Write every file of the spec folder, or stop at the first fact that does not fit."""
    listed: list[str] = json.loads((SPEC / "types.json").read_text())
    elements = build_elements(listed)
    kept = {name for name in elements if "." not in name}
    write("elements.json", elements)
    write("search-parameters.json", build_parameters(load(folder, "search-parameters"), listed))
    for name in ("reference-targets", "summary-elements", "invariants"):
        facts = load(folder, name)
        write(f"{name}.json", {key: facts[key] for key in sorted(facts) if key in kept})
    write("required-bindings.json", build_bindings(load(folder, "required-bindings"), kept))
    write("compartments.json", build_compartments(load(folder, "compartments"), listed))


def load(folder: Path, name: str) -> Any:
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


def write(name: str, facts: Mapping[str, Any]) -> None:
    """Two levels on lines of their own, what lies below on one line."""
    blocks = (f" {as_text(key)}: {block(value)}" for key, value in facts.items())
    text = "{\n" + ",\n".join(blocks) + "\n}\n"
    (SPEC / name).write_text(text, encoding="utf-8")


def block(value: Any) -> str:
    if isinstance(value, dict) and value:
        lines = (f"  {as_text(key)}: {as_text(item)}" for key, item in value.items())
        return "{\n" + ",\n".join(lines) + "\n }"
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(f"  {as_text(item)}" for item in value) + "\n ]"
    return as_text(value)


def as_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


# Search parameters


def build_parameters(facts: list[Facts], listed: list[str]) -> Facts:
    """{type: {code: parameter}}; `Resource` holds what every type has."""
    usable = [f for f in facts if "expression" in f and not EXAMPLES.fullmatch(f["url"])]
    codes = {fact["url"]: fact["code"] for fact in usable}
    found: dict[str, Facts] = {name: {} for name in [COMMON, *sorted(listed)]}
    for fact in usable:
        for base in fact["base"]:
            if base in found:
                add_parameter(found[base], base, fact, codes)
    return {name: dict(sorted(entries.items())) for name, entries in found.items()}


def add_parameter(entries: Facts, base: str, fact: Facts, codes: Mapping[str, str]) -> None:
    if fact["code"] in entries:
        raise SystemExit(f"search-parameters: {base}.{fact['code']} is defined twice")
    entries[fact["code"]] = {
        "type": fact["type"],
        "url": fact["url"],
        "expression": part_for(base, fact["expression"]),
        **({"target": sorted(fact["target"])} if is_selective(fact.get("target", [])) else {}),
        **({"component": build_components(fact, codes)} if "component" in fact else {}),
    }


def is_selective(targets: list[str]) -> bool:
    """The standard spells "any resource" as a list of nearly all types."""
    return 0 < len(targets) < ANY_TARGET


def build_components(fact: Facts, codes: Mapping[str, str]) -> list[Facts]:
    expressions = [correct(component["expression"]) for component in fact["component"]]
    if fact["url"] in SWAPPED:
        expressions.reverse()
    definitions = [codes[component["definition"]] for component in fact["component"]]
    return [
        {"code": code, "expression": expression}
        for code, expression in zip(definitions, expressions, strict=True)
    ]


def part_for(base: str, expression: str) -> str:
    """The alternatives of a shared expression that begin at `base`."""
    parts = [part.strip() for part in expression.split("|")]
    mine = [part for part in parts if re.match(rf"\(?{base}\b", part)]
    if not mine:
        raise SystemExit(f"search-parameters: {expression!r} has no part for {base}")
    return " | ".join(map(correct, mine))


def correct(expression: str) -> str:
    for wrong, right in SLIPS.items():
        expression = expression.replace(wrong, right)
    return expression


# Elements


def build_elements(listed: list[str]) -> Facts:
    """{type: {element: "Type|Type min..max"}} of the listed types and all that they reach.

    A part of a type is a type named by its path (`Observation.component`); where the standard
    refers back to such a part (`Questionnaire.item.item`), so does the element.
    """
    elements: Facts = {}
    pending = [COMMON, *listed]
    while pending:
        name = pending.pop()
        if name not in elements and name[0].isupper():
            described = describe(name)
            elements.update(described)
            pending.extend(types_in(described))
    return dict(sorted(elements.items()))


def types_in(described: Facts) -> Iterator[str]:
    for element in described.values():
        for spelled in element.values():
            yield from (name for name in spelled.split(" ")[0].split("|") if "." not in name)


def describe(name: str) -> Facts:
    """The type `name` and its parts, in document order: a reference back meets a known part."""
    described: Facts = {}
    describe_part(get_fhir_model_class(name), name, {}, described)
    return described


def describe_part(model: Any, path: str, paths: dict[Any, str], described: Facts) -> None:
    paths[model] = path
    entries = described.setdefault(path, {})
    for alias, field in ordered_fields(model):
        inner, many = unwrap(field.annotation)
        part = part_model(inner, model)
        if part is not None and part not in paths:
            describe_part(part, f"{path}.{alias}", paths, described)
        add_element(entries, path, alias, field, type_name(inner, paths), many)


def add_element(entries: Facts, path: str, alias: str, field: Any, kind: str, many: bool) -> None:
    choice = field.json_schema_extra.get("one_of_many")
    key = f"{choice}[x]" if choice else alias
    if kind in ADDED_BY_R4B or kind in ADDED_CHOICES.get((path, key), ()):
        return
    if key in entries:
        earlier, cardinality = entries[key].split(" ")
        entries[key] = f"{earlier}|{kind} {cardinality}"
    else:
        entries[key] = f"{kind} {int(is_required(field))}..{'*' if many else '1'}"


def ordered_fields(model: Any) -> Iterator[tuple[str, Any]]:
    """(name in JSON, field) in the standard's order."""
    by_name = {field.alias: field for field in model.model_fields.values()}
    yield from ((name, by_name[name]) for name in model.elements_sequence())


def is_required(field: Any) -> bool:
    extra = field.json_schema_extra
    marked = extra.get("element_required") or extra.get("one_of_many_required")
    return bool(marked) or field.is_required()


def unwrap(annotation: Any) -> tuple[Any, bool]:
    """(what an Optional or List holds, whether there was a List)."""
    origin = typing.get_origin(annotation)
    if origin is list:
        return unwrap(typing.get_args(annotation)[0])[0], True
    if origin in (typing.Union, types.UnionType):
        inner = [kind for kind in typing.get_args(annotation) if kind is not types.NoneType]
        if len(inner) == 1:
            return unwrap(inner[0])
    return annotation, False


def part_model(inner: Any, owner: Any) -> Any:
    """The model of a part: it stands in its owner's module, where each type has one of its own."""
    if not hasattr(inner, "get_model_klass"):
        return None
    model = inner.get_model_klass()
    return model if model.__module__ == owner.__module__ else None


def type_name(inner: Any, paths: Mapping[Any, str]) -> str:
    if inner is bool:
        return "boolean"
    if typing.get_origin(inner) is typing.Annotated:
        mark = type(typing.get_args(inner)[-1]).__name__
        return "uuid" if mark == "UuidVersion" else mark[0].lower() + mark[1:]
    model = inner.get_model_klass()
    return paths.get(model, model.__name__)


# Value sets and compartments


def build_bindings(facts: Facts, kept: set[str]) -> Facts:
    """{bindings: {path: value set}, valueSets: {url: {system: [code]}}}."""
    bindings = {
        path: url
        for name in sorted(kept & facts["bindings"].keys())
        for path, url in facts["bindings"][name].items()
    }
    needed = {*bindings.values(), RESOURCE_TYPES}
    value_sets = {
        url: by_system(facts["valueSets"][url])
        for url in sorted(needed)
        if url in facts["valueSets"]
    }
    return {"bindings": bindings, "valueSets": value_sets}


def by_system(codes: list[Facts]) -> dict[str, list[str]]:
    systems: dict[str, list[str]] = {}
    for coding in codes:
        systems.setdefault(coding["system"], []).append(coding["code"])
    return systems


def build_compartments(facts: Facts, listed: list[str]) -> Facts:
    """{compartment: {type: [parameter]}}; a type that is the compartment itself has `_id`."""
    return {
        name: {
            kind: ["_id" if code == "{def}" else code for code in members[kind]]
            for kind in sorted(members.keys() & set(listed))
        }
        for name, members in sorted(facts.items())
        if name in listed
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
