"""Resources as FHIR XML and back, losing nothing: digits, order, extensions of primitives.

What XML says is read strictly, as a schema would: elements in the standard's order, no unknown
names, no text. Bodies become the JSON that says the same, and that is then judged like any other.
https://hl7.org/fhir/R4/xml.html · https://hl7.org/fhir/R4/json.html#xml
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import orjson

from app.errors import Category, SsciError, error
from app.fhir.codec import LosslessFloat, dump_json, parse_json
from app.fhir.model import Json
from app.fhir.narrative import find_trouble
from app.fhir.places import Place, render_place
from app.fhir.registry import Registry
from app.fhir.shapes import RESOURCE, RESOURCE_TYPE, Property
from app.fhir.xml_shapes import PRIMITIVE, VALUE, XHTML_TYPE, XmlShape, XmlShapes, shapes_of
from app.fhir.xml_tree import FHIR, XmlNode, parse_tree, place_of, refuse_at

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
_UNUSUAL = re.compile("[^ !#-%'-;=?-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_XML_DECLARATION = re.compile(r"\s*<\?xml\s[^>]*\?>")


def dump_xml(resource: Json, registry: Registry, *, pretty: bool = False) -> bytes:
    """The resource as FHIR XML in UTF-8. A 406 names what XML cannot tell, such as a control sign.

    Numbers are as `parse_json` gives them.
    """
    writer = _Writer(shapes_of(registry), pretty)
    writer.write_resource(resource, (None, str(resource.get(RESOURCE_TYPE)), None), 0)
    return (_DECLARATION + "".join(writer.parts)).encode()


def parse_xml(data: bytes, registry: Registry) -> Json:
    """The resource that `data` spells, equal to what `parse_json` gives for the same in JSON.

    A 400 names line and column, and the element where it is in a resource.
    """
    reader = _Reader(shapes_of(registry), data)
    return parse_json(dump_json(reader.read_resource(parse_tree(data), None)))


# JSON → XML


@dataclass(frozen=True, slots=True)
class _Writer:
    """`parts` are the tags written so far, each behind its line break if `pretty`."""

    shapes: XmlShapes
    pretty: bool
    parts: list[str] = field(default_factory=list)

    def write_resource(self, resource: Json, place: Place, depth: int) -> None:
        name = resource.get(RESOURCE_TYPE)
        shape = self.shapes.resource(name)
        if shape is None:
            raise _untellable(place, "it is no resource type of R4")
        namespace = f' xmlns="{FHIR}"' if depth == 0 else ""
        children = {key: value for key, value in resource.items() if key != RESOURCE_TYPE}
        self._write(shape, f"{name}{namespace}", children, place, depth)

    def _write(self, shape: XmlShape, tag: str, node: Json, place: Place, depth: int) -> None:
        attributes = "".join(
            _attribute(name, node[name], place if name == VALUE else (place, name, None))
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

    def _write_property(self, each: Property, node: Json, place: Place, depth: int) -> None:
        name = each.name
        value = node.get(name)
        beside = node.get(f"_{name}") if each.is_primitive else None
        if not each.repeats:
            self._write_value(each, value, beside, (place, name, None), depth)
            return
        pairs = zip_longest(value or (), beside or ())
        for n, (item, item_beside) in enumerate(pairs):
            self._write_value(each, item, item_beside, (place, name, n), depth)

    def _write_value(
        self, each: Property, value: Any, beside: Any, place: Place, depth: int
    ) -> None:
        if each.type == XHTML_TYPE:
            self._line(depth, _embedded(value, place))
        elif each.is_primitive and not beside and value is not None:
            self._line(depth, f"<{each.name}{_attribute(VALUE, value, place)}/>")
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


def _names_in_order(shape: XmlShape, node: Json, place: Place) -> list[str]:
    given: dict[str, int] = {}
    for key in node:
        if key not in shape.attributes:
            name = key.removeprefix("_")
            position = shape.positions.get(name)
            if position is None:
                raise _untellable((place, name, None), "there is no such element in FHIR R4")
            given[name] = position
    return sorted(given, key=given.__getitem__)


def _attribute(name: str, value: Any, place: Place) -> str:
    text = value if type(value) is str else _text_of(value)
    if _UNUSUAL.search(text):
        if _NOT_IN_XML.search(text):
            reason = "it holds a control sign or another sign that XML does not have"
            raise _untellable(place, reason)
        text = _ESCAPED.sub(lambda found: _ESCAPES[found[0]], text)
    return f' {name}="{text}"'


def _text_of(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, LosslessFloat):
        return bytes(value).decode()
    return str(value)


def _embedded(div: str, place: Place) -> str:
    """A narrative as part of the document: checked again, for it could break out of its place."""
    trouble = find_trouble(div)
    if trouble:
        raise _untellable(place, trouble)
    return _XML_DECLARATION.sub("", div, count=1).strip()


def _untellable(place: Place, reason: str) -> SsciError:
    return error(
        Category.UNSUPPORTED,
        f"This can't be told in XML: {reason}. Ask for application/fhir+json",
        expression=render_place(place),
        code="not-supported",
        status=406,
    )


# XML → JSON


@dataclass(frozen=True, slots=True)
class _Reader:
    """What a document says in JSON; `data` tells line and column of what it may not say."""

    shapes: XmlShapes
    data: bytes

    def read_resource(self, node: XmlNode, place: Place | None) -> Json:
        shape = self.shapes.resource(node.name)
        if shape is None or node.xhtml is not None:
            raise self._refused(node, "This is no resource type of FHIR R4", place)
        read = self._read_object(shape, node, place or (None, node.name, None))
        return {RESOURCE_TYPE: node.name} | read

    def _read_object(self, shape: XmlShape, node: XmlNode, place: Place) -> Json:
        found = self._read_attributes(node, shape.attributes, place)
        last: Property | None = None
        for child in node.children:
            each = self._property_of(shape, child, place)
            if last is not None and each is not last:
                self._check_order(shape, last, child, place)
            if each.repeats:
                self._append(found, each, child, place)
            elif each.name in found or f"_{each.name}" in found:
                below = (place, each.name, None)
                raise self._refused(child, "This element may stand only once", below)
            else:
                self._set(found, each, child, (place, each.name, None))
            last = each
        return found

    def _read_attributes(self, node: XmlNode, known: tuple[str, ...], place: Place) -> Json:
        for name in node.attributes:
            if name not in known:
                what = f"`{name}`" if _NAME.fullmatch(name) else "here"
                sentence = f"An attribute {what} is not allowed on this element"
                raise self._refused(node, sentence, place)
        return {name: node.attributes[name] for name in known if name in node.attributes}

    def _property_of(self, shape: XmlShape, node: XmlNode, place: Place) -> Property:
        """What the node is."""
        name = node.name
        each = shape.properties.get(name)
        if each is None:
            below = (place, name, None) if _NAME.fullmatch(name) else place
            raise self._refused(node, "There is no such element in FHIR R4 here", below)
        if (each.type == XHTML_TYPE) != (node.xhtml is not None):
            below = (place, name, None)
            raise self._refused(node, "This element is of the wrong namespace", below)
        return each

    def _check_order(self, shape: XmlShape, last: Property, node: XmlNode, place: Place) -> None:
        if shape.positions[node.name] < shape.positions[last.name]:
            order = f"`{node.name}` must stand before `{last.name}`"
            sentence = f"{order}: FHIR orders the elements in XML"
            raise self._refused(node, sentence, (place, node.name, None))

    def _set(self, found: Json, each: Property, node: XmlNode, place: Place) -> None:
        value, beside = self._read_value(each, node, place)
        if value is not None:
            found[each.name] = value
        if beside is not None:
            found[f"_{each.name}"] = beside

    def _append(self, found: Json, each: Property, node: XmlNode, place: Place) -> None:
        """To the values and to what stands beside them; a column begins with its first item."""
        values, besides = found.get(each.name), found.get(f"_{each.name}")
        count = len(besides or () if values is None else values)
        value, beside = self._read_value(each, node, (place, each.name, count))
        if values is None and value is not None:
            values = found[each.name] = [None] * count
        if besides is None and beside is not None:
            besides = found[f"_{each.name}"] = [None] * count
        if values is not None:
            values.append(value)
        if besides is not None:
            besides.append(beside)

    def _read_value(self, each: Property, node: XmlNode, place: Place) -> tuple[Any, Json | None]:
        """(the value or None, a primitive's id and extensions or None)."""
        if each.is_primitive:
            return self._read_primitive(each, node, place)
        if each.type != RESOURCE:
            return self._read_object(self.shapes.shape(each.type), node, place), None
        if len(node.children) != 1 or node.attributes:
            sentence = "This element must hold one resource, and nothing else"
            raise self._refused(node, sentence, place)
        return self.read_resource(node.children[0], place), None

    def _read_primitive(
        self, each: Property, node: XmlNode, place: Place
    ) -> tuple[Any, Json | None]:
        if node.xhtml is not None:
            return node.xhtml, None
        beside = self._read_object(PRIMITIVE, node, place)
        if not beside:
            raise self._refused(node, "The element is empty: leave it out instead (ele-1)", place)
        text = beside.pop(VALUE, None)
        value = None if text is None else self._value_of(each.type, text, node, place)
        return value, beside or None

    def _value_of(self, kind: str, text: str, node: XmlNode, place: Place) -> Any:
        if kind == "boolean":
            if text not in _BOOLEANS:
                raise self._refused(node, "The value must be true or false", place, code="value")
            return _BOOLEANS[text]
        if kind == "decimal" or kind in _INTEGER_TYPES:
            return self._number_of(kind, text, node, place)
        return text

    def _number_of(self, kind: str, text: str, node: XmlNode, place: Place) -> orjson.Fragment:
        """The digits as they are; a plus sign, which JSON does not have, falls."""
        pattern, what = (_DECIMAL, "number") if kind == "decimal" else (_INTEGER, "whole number")
        if not pattern.fullmatch(text):
            raise self._refused(node, f"The value must be a {what}", place, code="value")
        return orjson.Fragment(text.removeprefix("+"))

    def _refused(
        self, node: XmlNode, sentence: str, place: Place | None, code: str = "structure"
    ) -> SsciError:
        expression = None if place is None else render_place(place)
        return refuse_at(*place_of(self.data, node.at), sentence, expression, code)
