"""XML as a tree of elements, read by expat under the rules of FHIR: no document type, hence no
entities and nothing external; no text beside attributes; XHTML kept as it was written.

https://hl7.org/fhir/R4/xml.html · https://hl7.org/fhir/R4/security.html#xml
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NoReturn
from xml.parsers import expat

from app.errors import Category, SsciError, error
from app.fhir.codec import MAX_DEPTH

FHIR = "http://hl7.org/fhir"
XHTML = "http://www.w3.org/1999/xhtml"
_IGNORED_ATTRIBUTES = frozenset(
    f"http://www.w3.org/2001/XMLSchema-instance {name}"
    for name in ("schemaLocation", "noNamespaceSchemaLocation")
)
_START_TAG = re.compile(rb"<([^\s/>]+)")
_LINE_END = re.compile("\r\n?")  # which any XML processor reads as \n
_WHITE = " \t\r\n"
_UTF_8 = frozenset({"utf-8", "us-ascii"})


@dataclass(slots=True)
class XmlNode:
    """An element of the FHIR namespace, or an XHTML one, of which `xhtml` is the whole text.

    `at` is its first byte. Not frozen, which would take as long as the rest of the reading.
    """

    name: str
    attributes: dict[str, str]
    at: int
    xhtml: str | None = None
    children: list[XmlNode] = field(default_factory=list)


def place_of(data: bytes, at: int) -> tuple[int, int]:
    """Line and column, both from 1, of a byte of a document in UTF-8."""
    before = data[:at].decode(errors="replace").removeprefix("\ufeff")
    lines = _LINE_END.sub("\n", before).split("\n")
    return len(lines), len(lines[-1]) + 1


def parse_tree(data: bytes) -> XmlNode:
    """The root element of `data`, or a 400 that names line and column."""
    if b"\0" in data:  # as in UTF-16, which expat would read by its byte order mark
        raise refuse_at(1, 1, "Not well-formed XML: the document must be in UTF-8")
    return _Reader(data).read()


def refuse_at(
    line: int, column: int, sentence: str, expression: str | None = None, code: str = "structure"
) -> SsciError:
    """A 400 that tells the place in the document, and in the resource where it is known."""
    diagnostics = f"{sentence} (line {line}, column {column})"
    return error(Category.INCORRECT, diagnostics, expression=expression, code=code)


class _Reader:
    """The handlers of one document. `_open` are the FHIR elements not yet ended."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._open: list[XmlNode] = []
        self._root: XmlNode | None = None
        self._xhtml_depth = 0
        self._xhtml_start = 0
        self._names: dict[str, str | None] = {}
        self._declared: list[str | None] = []
        self._namespaces: dict[str | None, list[str | None]] = {}
        self._needed = ""
        self._parser = self._create_parser()

    def _create_parser(self) -> expat.XMLParserType:
        parser = expat.ParserCreate("utf-8", namespace_separator=" ")
        parser.XmlDeclHandler = self._declaration
        parser.StartDoctypeDeclHandler = self._document_type
        parser.StartNamespaceDeclHandler = self._start_namespace
        parser.EndNamespaceDeclHandler = self._end_namespace
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        return parser

    def read(self) -> XmlNode:
        try:
            self._parser.Parse(self._data, True)
        except expat.ExpatError as problem:
            sentence = f"Not well-formed XML: {expat.ErrorString(problem.code)}"
            raise refuse_at(problem.lineno, problem.offset + 1, sentence) from None
        assert self._root is not None, "a well-formed document has a root"
        return self._root

    def _refuse(self, sentence: str) -> NoReturn:
        line, column = self._place()
        raise refuse_at(line, column, sentence)

    def _place(self) -> tuple[int, int]:
        return self._parser.CurrentLineNumber, self._parser.CurrentColumnNumber + 1

    # ---- handlers

    def _declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if encoding is not None and encoding.lower() not in _UTF_8:
            self._refuse("The document must be in UTF-8 and say so, or say nothing")

    def _document_type(self, *_: object) -> None:
        self._refuse("A document type declaration is not allowed")

    def _start_namespace(self, prefix: str | None, uri: str | None) -> None:
        self._declared.append(prefix)
        self._namespaces.setdefault(prefix, []).append(uri)

    def _end_namespace(self, prefix: str | None) -> None:
        self._namespaces[prefix].pop()

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        declared, self._declared = self._declared, []
        if len(self._open) + self._xhtml_depth >= MAX_DEPTH:
            self._refuse(f"Elements nest more than {MAX_DEPTH} deep")
        if self._xhtml_depth:
            self._xhtml_depth += 1
            return
        name = self._name_of(tag)
        if name is not None:
            self._start_element(name, attributes)
        elif tag.startswith(f"{XHTML} ") and self._open:
            self._start_xhtml(declared)
        else:
            self._refuse(f"An element must be of the namespace {FHIR}")

    def _name_of(self, tag: str) -> str | None:
        """The name of an element of FHIR; few are there, and often."""
        if tag not in self._names:
            namespace, _, name = tag.rpartition(" ")
            self._names[tag] = name if namespace == FHIR else None
        return self._names[tag]

    def _start_element(self, name: str, attributes: dict[str, str]) -> None:
        if not _IGNORED_ATTRIBUTES.isdisjoint(attributes):
            attributes = {k: text for k, text in attributes.items() if k not in _IGNORED_ATTRIBUTES}
        node = XmlNode(name, attributes, self._parser.CurrentByteIndex)
        if self._open:
            self._open[-1].children.append(node)
        else:
            self._root = node
        self._open.append(node)

    def _end(self, tag: str) -> None:
        if not self._xhtml_depth:
            self._open.pop()
            return
        self._xhtml_depth -= 1
        if not self._xhtml_depth:
            self._end_xhtml(tag.rpartition(" ")[2])

    def _text(self, text: str) -> None:
        if not self._xhtml_depth and text.strip(_WHITE):
            self._refuse("Text is not allowed here: values stand in the attribute `value`")

    # ---- XHTML, taken from the document as it is written

    def _start_xhtml(self, declared: list[str | None]) -> None:
        self._xhtml_depth = 1
        self._xhtml_start = self._parser.CurrentByteIndex
        outer = {
            prefix: uris[-1]
            for prefix, uris in self._namespaces.items()
            if uris and uris[-1] == XHTML and prefix not in declared
        }
        self._needed = "".join(_declare(prefix, uri) for prefix, uri in outer.items())

    def _end_xhtml(self, name: str) -> None:
        start = self._xhtml_start
        opened = _START_TAG.match(self._data, start)
        assert opened is not None, "expat found a start tag here"
        rest = self._data[opened.end() : self._end_of_tag(opened[1])]
        written = _LINE_END.sub("\n", f"{opened[0].decode()}{self._needed}{rest.decode()}")
        self._open[-1].children.append(XmlNode(name, {}, start, written))

    def _end_of_tag(self, name: bytes) -> int:
        """expat stands before an end tag, but behind a tag that is its own end (`<div/>`)."""
        index = self._parser.CurrentByteIndex
        is_end_tag = self._data.startswith(b"</" + name, index)
        return self._data.index(b">", index) + 1 if is_end_tag else index


def _declare(prefix: str | None, uri: str | None) -> str:
    return f' xmlns{f":{prefix}" if prefix else ""}="{uri}"'
