"""JSON Patch and JSON merge patch on parsed JSON, whose numbers keep their digits.
https://www.rfc-editor.org/rfc/rfc6902 · https://www.rfc-editor.org/rfc/rfc7396
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.errors import Category, SsciError, error
from app.fhir.codec import copy_json, equal
from app.fhir.model import Json

MAX_STEPS = 1000
Pointer = tuple[str, ...]

_POINTER = re.compile(r"(/([^~/]|~[01])*)*")
_POSITION = re.compile(r"0|[1-9][0-9]{0,6}")
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "add": ("value",),
    "replace": ("value",),
    "test": ("value",),
    "remove": (),
    "move": ("from",),
    "copy": ("from",),
}


@dataclass(frozen=True, slots=True)
class Step:
    """One operation; `place` names it in errors."""

    op: str
    path: Pointer
    source: Pointer
    value: Any
    place: str


def parse_json_patch(document: Any) -> Callable[[Json], Any]:
    """The patch; 400 for a document that is none."""
    if not isinstance(document, list) or len(document) > MAX_STEPS:
        raise _malformed(f"a JSON Patch is a list of at most {MAX_STEPS} operations", "patch")
    steps = [_parse_step(each, f"patch[{number}]") for number, each in enumerate(document)]

    def patched(resource: Json) -> Any:
        tree = copy_json(resource)
        for step in steps:
            tree = _apply(tree, step)
        return tree

    return patched


def merge(target: Any, patch: Any) -> Any:
    """JSON merge patch: null removes, an object merges, anything else replaces."""
    if not isinstance(patch, dict):
        return copy_json(patch)
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged


def _parse_step(given: Any, place: str) -> Step:
    op = given.get("op") if isinstance(given, dict) else None
    needs = _NEEDS.get(op) if isinstance(op, str) else None
    if needs is None:
        raise _malformed(f"op must be one of {', '.join(_NEEDS)}", place)
    for name in needs:
        if name not in given:
            raise _malformed(f"{op} needs '{name}'", place)
    source = _parse_pointer(given["from"], f"{place}.from") if "from" in needs else ()
    path = _parse_pointer(given.get("path"), f"{place}.path")
    if op == "move" and path[: len(source)] == source and path != source:
        raise _malformed("a value can't be moved into itself", place)
    return Step(str(op), path, source, given.get("value"), place)


def _parse_pointer(text: Any, place: str) -> Pointer:
    if not isinstance(text, str) or not _POINTER.fullmatch(text):
        raise _malformed("must be a JSON Pointer, such as /status or /note/0/text", place)
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:])


def _apply(tree: Any, step: Step) -> Any:
    if step.op == "test":
        if not equal(_read(tree, step.path, step), step.value):
            raise _failed(step, "the value there is another: the test failed")
        return tree
    if step.op == "remove":
        return _remove(tree, step.path, step)
    if step.op == "replace":
        return _set(tree, step.path, copy_json(step.value), step, replacing=True)
    value = copy_json(step.value)
    if step.op in ("move", "copy"):
        value = copy_json(_read(tree, step.source, step))
    if step.op == "move":
        tree = _remove(tree, step.source, step)
    return _set(tree, step.path, value, step, replacing=False)


def _read(tree: Any, pointer: Pointer, step: Step) -> Any:
    for part in pointer:
        if isinstance(tree, dict) and part in tree:
            tree = tree[part]
        elif isinstance(tree, list):
            tree = tree[_position(part, len(tree) - 1, step)]
        else:
            raise _failed(step, "there is nothing at that place")
    return tree


def _position(part: str, last: int, step: Step) -> int:
    if not _POSITION.fullmatch(part) or int(part) > last:
        raise _failed(step, "there is no such position in the list")
    return int(part)


def _remove(tree: Any, pointer: Pointer, step: Step) -> Any:
    if not pointer:
        return None
    parent = _read(tree, pointer[:-1], step)
    _read(parent, pointer[-1:], step)
    if isinstance(parent, list):
        del parent[int(pointer[-1])]
    else:
        del parent[pointer[-1]]
    return tree


def _set(tree: Any, pointer: Pointer, value: Any, step: Step, *, replacing: bool) -> Any:
    if not pointer:
        return value
    parent, last = _read(tree, pointer[:-1], step), pointer[-1]
    if replacing:
        _read(parent, (last,), step)
    if isinstance(parent, list) and replacing:
        parent[int(last)] = value
    elif isinstance(parent, list):
        parent.insert(len(parent) if last == "-" else _position(last, len(parent), step), value)
    elif isinstance(parent, dict):
        parent[last] = value
    else:
        raise _failed(step, "what stands there has no elements")
    return tree


def _malformed(text: str, place: str) -> SsciError:
    return error(Category.INCORRECT, text, expression=place)


def _failed(step: Step, text: str) -> SsciError:
    return error(Category.UNPROCESSABLE, f"{step.op}: {text}", expression=step.place)
