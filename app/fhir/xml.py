"""Resources as FHIR XML and back, losing nothing: digits, order, extensions of primitives.

What XML says is read strictly, as a schema would: elements in the standard's order, no unknown
names, no text. Bodies become the JSON that says the same, and that is then judged like any other.
https://hl7.org/fhir/R4/xml.html · https://hl7.org/fhir/R4/json.html#xml
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Any

import orjson

from app.errors import Category, SsciError, error
from app.fhir.codec import LosslessFloat, dump_json, parse_json
from app.fhir.model import Json
from app.fhir.narrative import find_trouble
from app.fhir.registry import Registry
from app.fhir.shapes import RESOURCE, RESOURCE_TYPE, Property
from app.fhir.xml_shapes import PRIMITIVE, VALUE, XHTML_TYPE, XmlShape, XmlShapes, shapes_of
from app.fhir.xml_tree import FHIR, XmlNode, parse_tree, refuse_at

_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{0,63}")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)|\+[1-9][0-9]*")
_BOOLEANS = {"true": True, "false": False}
_INTEGER_TYPES = frozenset({"integer", "positiveInt", "unsignedInt"})

_ESCAPED = re.compile(r'[&<>"\t\n\r]')
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"} | {
    sign: f"&#{ord(sign)};" for sign in "\t\n\r"
}
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_XML_DECLARATION = re.compile(r"\s*<\?xml\s[^>]*\?>")


def dump_xml(resource: Json, registry: Registry, *, pretty: bool = False) -> bytes:
    """The resource as FHIR XML in UTF-8. A 406 names what XML cannot tell, such as a control sign.

    Numbers are as `parse_json` gives them.
    """
    writer = _Writer(shapes_of(registry), pretty)
    writer.write_resource(resource, str(resource.get(RESOURCE_TYPE)), 0)
    return (_DECLARATION + "".join(writer.parts)).encode()


def parse_xml(data: bytes, registry: Registry) -> Json:
    """The resource that `data` spells, equal to what `parse_json` gives for the same in JSON.

    A 400 names line and column, and the element where it is in a resource.
    """
    spelled = _read_resource(shapes_of(registry), parse_tree(data), None)
    return parse_json(dump_json(spelled))


# JSON → XML


@dataclass(frozen=True, slots=True)
class _Writer:
    """`parts` are the tags written so far, each behind its line break if `pretty`."""

    shapes: XmlShapes
    pretty: bool
    parts: list[str] = field(default_factory=list)

    def write_resource(self, resource: Json, place: str, depth: int) -> None:
        name = resource.get(RESOURCE_TYPE)
        shape = self.shapes.resource(name)
        if shape is None:
            raise _untellable(place, "it is no resource type of R4")
        namespace = f' xmlns="{FHIR}"' if depth == 0 else ""
        children = {key: value for key, value in resource.items() if key != RESOURCE_TYPE}
        self._write(shape, f"{name}{namespace}", children, place, depth)

    def _write(self, shape: XmlShape, tag: str, node: Json, place: str, depth: int) -> None:
        attributes = "".join(
            _attribute(name, node[name], place if name == VALUE else f"{place}.{name}")
            for name in shape.attributes
            if name in node
        )
        names = _names_in_order(shape, node, place)
        if not names:
            self._line(depth, f"<{tag}{attributes}/>")
            return
        self._line(depth, f"<{tag}{attributes}>")
        for name in names:
            self._write_property(shape.properties[name], node, place, depth + 1)
        self._line(depth, f"</{tag.partition(' ')[0]}>")

    def _write_property(self, each: Property, node: Json, place: str, depth: int) -> None:
        name = each.name
        value, beside = node.get(name), node.get(f"_{name}")
        if not each.repeats:
            self._write_value(each, value, beside, f"{place}.{name}", depth)
            return
        values, besides = value or [], beside or []
        for n in range(max(len(values), len(besides))):
            self._write_value(each, _at(values, n), _at(besides, n), f"{place}.{name}[{n}]", depth)

    def _write_value(self, each: Property, value: Any, beside: Any, place: str, depth: int) -> None:
        if each.type == XHTML_TYPE:
            self._line(depth, _embedded(value, place))
        elif each.is_primitive:
            told = (beside or {}) | ({} if value is None else {VALUE: value})
            self._write(PRIMITIVE, each.name, told, place, depth)
        elif each.type == RESOURCE:
            self._line(depth, f"<{each.name}>")
            self.write_resource(value, place, depth + 1)
            self._line(depth, f"</{each.name}>")
        else:
            self._write(self.shapes.shape(each.type), each.name, value, place, depth)

    def _line(self, depth: int, text: str) -> None:
        self.parts.append(f"\n{'  ' * depth}{text}" if self.pretty else text)


def _names_in_order(shape: XmlShape, node: Json, place: str) -> list[str]:
    given = dict.fromkeys(key.removeprefix("_") for key in node)
    names = [name for name in given if name not in shape.attributes]
    unknown = next((name for name in names if name not in shape.properties), None)
    if unknown is not None:
        raise _untellable(f"{place}.{unknown}", "there is no such element in FHIR R4")
    return sorted(names, key=shape.positions.__getitem__)


def _at(items: list[Any], position: int) -> Any:
    return items[position] if position < len(items) else None


def _attribute(name: str, value: Any, place: str) -> str:
    text = _text_of(value)
    if _NOT_IN_XML.search(text):
        raise _untellable(place, "it holds a control sign or another sign that XML does not have")
    return f' {name}="{_ESCAPED.sub(lambda found: _ESCAPES[found[0]], text)}"'


def _text_of(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, LosslessFloat):
        return bytes(value).decode()
    return str(value)


def _embedded(div: str, place: str) -> str:
    """A narrative as part of the document: checked again, for it could break out of its place."""
    trouble = find_trouble(div)
    if trouble:
        raise _untellable(place, trouble)
    return _XML_DECLARATION.sub("", div, count=1).strip()


def _untellable(place: str, reason: str) -> SsciError:
    return error(
        Category.UNSUPPORTED,
        f"This can't be told in XML: {reason}. Ask for application/fhir+json",
        expression=place,
        code="not-supported",
        status=406,
    )


# XML → JSON


def _read_resource(shapes: XmlShapes, node: XmlNode, place: str | None) -> Json:
    shape = shapes.resource(node.name)
    if shape is None or node.xhtml is not None:
        raise _refused(node, "This is no resource type of FHIR R4", place)
    return {RESOURCE_TYPE: node.name} | _read_object(shapes, shape, node, place or node.name)


def _read_object(shapes: XmlShapes, shape: XmlShape, node: XmlNode, place: str) -> Json:
    found = _read_attributes(node, shape.attributes, place)
    last = ""
    for name, group in groupby(node.children, key=attrgetter("name")):
        nodes = list(group)
        each = _property_of(shape, nodes, place)
        _check_order(shape, last, nodes[0], place)
        is_back = name in found or f"_{name}" in found
        if is_back or (len(nodes) > 1 and not each.repeats):
            raise _refused(nodes[-1], "This element may stand only once", f"{place}.{name}")
        found.update(_read_property(shapes, each, nodes, f"{place}.{name}"))
        last = name
    return found


def _read_attributes(node: XmlNode, known: tuple[str, ...], place: str) -> Json:
    if not node.attributes:
        return {}
    unknown = sorted(node.attributes.keys() - {*known})
    if unknown:
        what = f"`{unknown[0]}`" if _NAME.fullmatch(unknown[0]) else "here"
        raise _refused(node, f"An attribute {what} is not allowed on this element", place)
    return {name: node.attributes[name] for name in known if name in node.attributes}


def _property_of(shape: XmlShape, nodes: list[XmlNode], place: str) -> Property:
    """What the equally named `nodes` are."""
    name = nodes[0].name
    each = shape.properties.get(name)
    if each is None:
        below = f"{place}.{name}" if _NAME.fullmatch(name) else place
        raise _refused(nodes[0], "There is no such element in FHIR R4 here", below)
    for node in nodes:
        if (each.type == XHTML_TYPE) != (node.xhtml is not None):
            raise _refused(node, "This element is of the wrong namespace", f"{place}.{name}")
    return each


def _check_order(shape: XmlShape, last: str, node: XmlNode, place: str) -> None:
    if last and shape.positions[node.name] < shape.positions[last]:
        sentence = f"`{node.name}` must stand before `{last}`: FHIR orders the elements in XML"
        raise _refused(node, sentence, f"{place}.{node.name}")


def _read_property(
    shapes: XmlShapes, each: Property, nodes: list[XmlNode], place: str
) -> Iterator[tuple[str, Any]]:
    """What the element, or the run of its repetitions, is in JSON: `x`, `_x` or both."""
    places = [f"{place}[{n}]" for n in range(len(nodes))] if each.repeats else [place]
    read = _read_primitive if each.is_primitive else _read_complex
    pairs = [read(shapes, each, *there) for there in zip(nodes, places, strict=True)]
    for name, column in zip((each.name, f"_{each.name}"), zip(*pairs, strict=True), strict=True):
        if any(item is not None for item in column):
            yield name, list(column) if each.repeats else column[0]


def _read_complex(
    shapes: XmlShapes, each: Property, node: XmlNode, place: str
) -> tuple[Json, None]:
    if each.type != RESOURCE:
        return _read_object(shapes, shapes.shape(each.type), node, place), None
    if len(node.children) != 1 or node.attributes:
        raise _refused(node, "This element must hold one resource, and nothing else", place)
    return _read_resource(shapes, node.children[0], place), None


def _read_primitive(
    shapes: XmlShapes, each: Property, node: XmlNode, place: str
) -> tuple[Any, Json | None]:
    """(the value or None, its id and extensions or None)."""
    if node.xhtml is not None:
        return node.xhtml, None
    beside = _read_object(shapes, PRIMITIVE, node, place)
    if not beside:
        raise _refused(node, "The element is empty: leave it out instead (ele-1)", place)
    text = beside.pop(VALUE, None)
    value = None if text is None else _value_of(each.type, text, node, place)
    return value, beside or None


def _value_of(kind: str, text: str, node: XmlNode, place: str) -> Any:
    if kind == "boolean":
        if text not in _BOOLEANS:
            raise _refused(node, "The value must be true or false", place, code="value")
        return _BOOLEANS[text]
    if kind == "decimal" or kind in _INTEGER_TYPES:
        return _number_of(kind, text, node, place)
    return text


def _number_of(kind: str, text: str, node: XmlNode, place: str) -> orjson.Fragment:
    """The digits as they are; a plus sign, which JSON does not have, falls."""
    pattern, what = (_DECIMAL, "number") if kind == "decimal" else (_INTEGER, "whole number")
    if not pattern.fullmatch(text):
        raise _refused(node, f"The value must be a {what}", place, code="value")
    return orjson.Fragment(text.removeprefix("+"))


def _refused(node: XmlNode, sentence: str, place: str | None, code: str = "structure") -> SsciError:
    return refuse_at(node.line, node.column, sentence, place, code)
