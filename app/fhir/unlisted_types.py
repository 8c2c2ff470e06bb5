"""The elements of types that can only come contained, read from the models of fhir.resources.

The listed types and the data types are in the registry; importing a model costs 20 ms, so each is
read when it is first met. https://hl7.org/fhir/R4/references.html#contained
"""

from __future__ import annotations

import importlib
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from app.fhir.registry import Element, Elements


def describe(name: str) -> Elements:
    """The type `name` and its parts from the models of fhir.resources; KeyError if it has none."""
    try:
        module = importlib.import_module(f"fhir.resources.R4B.{name.lower()}")
    except ModuleNotFoundError:
        raise KeyError(name) from None
    paths = _paths_of_parts(name, getattr(module, name))
    return {path: _describe_elements(model, paths) for model, path in paths.items()}


def _paths_of_parts(name: str, root: Any) -> dict[Any, str]:
    """Each part's model under the path that defines it: `ObservationComponent` is the model of
    `Observation.component`; elsewhere (`Questionnaire.item.item`) a part is only used again."""
    paths = {root: name}
    for model in (pending := [root]):
        for element, field in _fields(model):
            part = _model_of(_unwrap(field.annotation)[0])
            if part and part.__name__ == f"{model.__name__}{element[0].upper()}{element[1:]}":
                paths[part] = f"{paths[model]}.{element}"
                pending.append(part)
    return paths


def _describe_elements(model: Any, paths: Mapping[Any, str]) -> dict[str, Element]:
    elements: dict[str, Element] = {}
    for name, field in _fields(model):
        choice = field.json_schema_extra.get("one_of_many")
        inner, many = _unwrap(field.annotation)
        kind = _type_name(inner, paths)
        earlier = elements.get(choice or name)
        elements[choice or name] = Element(
            name=choice or name,
            types=(*earlier.types, kind) if earlier else (kind,),
            required=_is_required(field),
            many=many,
            choice=choice is not None,
        )
    return elements


def _is_required(field: Any) -> bool:
    extra = field.json_schema_extra
    marked = extra.get("element_required") or extra.get("one_of_many_required")
    return bool(marked) or bool(field.is_required())


def _fields(model: Any) -> Iterator[tuple[str, Any]]:
    for name, field in model.model_fields.items():
        if (field.json_schema_extra or {}).get("element_property"):
            yield field.alias or name, field


def _unwrap(annotation: Any) -> tuple[Any, bool]:
    """(what an Optional or List holds, whether there was a List)."""
    origin = typing.get_origin(annotation)
    if origin is list:
        return _unwrap(typing.get_args(annotation)[0])[0], True
    if origin in (typing.Union, types.UnionType):
        inner = [kind for kind in typing.get_args(annotation) if kind is not types.NoneType]
        if len(inner) == 1:
            return _unwrap(inner[0])
    return annotation, False


def _model_of(inner: Any) -> Any:
    return inner.get_model_klass() if hasattr(inner, "get_model_klass") else None


def _type_name(inner: Any, paths: Mapping[Any, str]) -> str:
    if inner is bool:
        return "boolean"
    if typing.get_origin(inner) is typing.Annotated:
        mark = type(typing.get_args(inner)[-1]).__name__
        return "uuid" if mark == "UuidVersion" else mark[0].lower() + mark[1:]
    model = _model_of(inner)
    return paths.get(model, str(model.__name__))
