"""XML of HL7 V3 as a tree of elements with the bytes each stands on, read by expat without document
types: hence no entities of its own, nothing external, nothing that grows.

https://www.w3.org/TR/xml/ · https://docs.python.org/3/library/pyexpat.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from app.mappings.frame import Span

MAX_DEPTH = 100
MAX_ELEMENTS = 200_000
XSI_TYPE = "http://www.w3.org/2001/XMLSchema-instance type"


@dataclass(slots=True)
class XmlElement:
    """One element: its local name (of any namespace), attributes by local name, text, children.
    `type` is its xsi:type without prefix."""

    name: str
    attributes: dict[str, str] = field(repr=False)
    start: int
    end: int = 0
    type: str = ""
    text: str = field(default="", repr=False)
    children: list[XmlElement] = field(default_factory=list, repr=False)

    @property
    def span(self) -> Span:
        return Span(self.start, self.end)

    def get(self, name: str) -> str:
        return self.attributes.get(name, "").strip()

    def child(self, *path: str) -> XmlElement | None:
        """The first child of that name, and so on down the path."""
        found = self
        for name in path:
            below = next((each for each in found.children if each.name == name), None)
            if below is None:
                return None
            found = below
        return found

    def all(self, name: str) -> Iterator[XmlElement]:
        return (each for each in self.children if each.name == name)

    def walk(self) -> Iterator[XmlElement]:
        """This element and all below it, in document order."""
        waiting = [self]
        while waiting:
            element = waiting.pop()
            yield element
            waiting += reversed(element.children)


@dataclass(frozen=True, slots=True)
class Malformed:
    """Why the bytes are no XML that is read, and where."""

    line: int
    column: int
    rule: str

    @property
    def detail(self) -> str:
        return f"{self.rule}: line {self.line}, column {self.column}"


class _Refused(Exception):  # noqa: N818 – carries a rule, is never told
    pass


def parse_elements(data: bytes) -> XmlElement | Malformed:
    """The root; never raises."""
    return _Reader(data).read()


class _Reader:
    """The handlers of one document; `_open` are the elements not yet ended."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._open: list[XmlElement] = []
        self._root: XmlElement | None = None
        self._number = 0
        self._parser = expat.ParserCreate("utf-8", namespace_separator=" ")
        self._parser.buffer_text = True
        self._parser.XmlDeclHandler = self._declare
        self._parser.StartDoctypeDeclHandler = self._refuse_type
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._add_text

    def read(self) -> XmlElement | Malformed:
        try:
            self._parser.Parse(self._data, True)
        except expat.ExpatError as problem:
            return Malformed(problem.lineno, problem.offset + 1, expat.ErrorString(problem.code))
        except _Refused as problem:
            parser = self._parser
            return Malformed(parser.CurrentLineNumber, parser.CurrentColumnNumber + 1, str(problem))
        return self._root or Malformed(1, 1, "no element")

    def _declare(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if encoding is not None and encoding.lower() not in ("utf-8", "us-ascii"):
            raise _Refused("the document must be in UTF-8")

    def _refuse_type(self, *_: object) -> None:
        raise _Refused("a document type declaration is not allowed")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._number += 1
        if len(self._open) >= MAX_DEPTH or self._number > MAX_ELEMENTS:
            raise _Refused(f"more than {MAX_DEPTH} levels or {MAX_ELEMENTS} elements")
        kind = attributes.get(XSI_TYPE, "").rpartition(":")[2].strip()
        local = {name.rpartition(" ")[2]: value for name, value in attributes.items()}
        element = XmlElement(
            tag.rpartition(" ")[2], local, self._parser.CurrentByteIndex, type=kind
        )
        if self._open:
            self._open[-1].children.append(element)
        else:
            self._root = element
        self._open.append(element)

    def _end(self, _tag: str) -> None:
        """expat stands before an end tag, but behind a tag that is its own end."""
        element, index = self._open.pop(), self._parser.CurrentByteIndex
        holds_nothing = not element.children and not element.text
        if holds_nothing and self._data[index - 2 : index] == b"/>":
            element.end = index
        else:
            element.end = self._data.find(b">", index) + 1

    def _add_text(self, text: str) -> None:
        if self._open:
            self._open[-1].text += text
