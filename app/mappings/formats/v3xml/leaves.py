"""The leaves of an XML document: every attribute and every text that is more than blanks, with the
elements that it stands in and its bytes. Declarations of namespaces, comments and instructions are
none. https://www.w3.org/TR/xml/

The document is one that `parse_elements` has read; linear in its bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from app.mappings.formats.v3xml.elements import XmlElement
from app.mappings.frame import Span

NAME = rb"[^\s<>/\"'=]++"
ATTRIBUTE = re.compile(rb"\s++(" + NAME + rb")\s*+=\s*+(\"[^\"<]*+\"|'[^'<]*+')")
TAG = re.compile(rb"<" + NAME + rb"((?:" + ATTRIBUTE.pattern + rb")*+)\s*+/?>")
PIECE = re.compile(rb"<!--.*?-->|<\?.*?\?>|<!\[CDATA\[(.*?)\]\]>|([^<]++)", re.DOTALL)
SHOWN = re.compile(r"[A-Za-z][A-Za-z_-]{0,40}\d{0,2}|[A-Z]{4}_[A-Z]{2}\d{6}[A-Z]{2}\d{0,2}")


class XmlLeaf(NamedTuple):
    """The elements from the root down to where it stands; the attribute's local name, '' for a
    text; the bytes of the value without its quotation marks."""

    chain: tuple[XmlElement, ...]
    attribute: str
    span: Span


def walk_leaves(data: bytes, root: XmlElement) -> Iterator[XmlLeaf]:
    """The leaves, element by element; an element's own before those below it."""
    waiting: list[tuple[XmlElement, ...]] = [(root,)]
    while waiting:
        chain = waiting.pop()
        element = chain[-1]
        tag = TAG.match(data, element.start)
        if tag is not None:
            yield from _attributes(data, tag, chain)
            yield from _texts(data, tag.end(), chain)
        waiting += [(*chain, child) for child in reversed(element.children)]


def _attributes(
    data: bytes, tag: re.Match[bytes], chain: tuple[XmlElement, ...]
) -> Iterator[XmlLeaf]:
    for match in ATTRIBUTE.finditer(data, *tag.span(1)):
        prefix, _, local = match[1].decode().rpartition(":")
        span = Span(match.start(2) + 1, match.end(2) - 1)
        declares = "xmlns" in (prefix, local if not prefix else "")
        if not declares and data[span.start : span.end].strip():
            yield XmlLeaf(chain, local, span)


def _texts(data: bytes, start: int, chain: tuple[XmlElement, ...]) -> Iterator[XmlLeaf]:
    """One leaf for each gap between the tags of the element and of those in it."""
    element = chain[-1]
    if start >= element.end:
        return
    closing = data.rfind(b"</", start, element.end)
    starts = (start, *(child.end for child in element.children))
    ends = (*(child.start for child in element.children), closing)
    for begin, end in zip(starts, ends, strict=True):
        told = [span for span in _pieces(data, begin, end) if span.end > span.start]
        if told:
            yield XmlLeaf(chain, "", Span(told[0].start, told[-1].end))


def _pieces(data: bytes, begin: int, end: int) -> Iterator[Span]:
    """What is written, without outer blanks."""
    for match in PIECE.finditer(data, begin, end):
        number = 1 if match[1] is not None else 2
        text = match[number] or b""
        if stripped := text.strip():
            start = match.start(number) + text.index(stripped)
            yield Span(start, start + len(stripped))


def write_path(leaf: XmlLeaf) -> str:
    """`organizer/component[2]/observation/code/@code`, `…/result/text()`; names that are not
    spelled like an element's, and may therefore be a value, are shown as `*`."""
    steps = [_show(leaf.chain[0].name)]
    for above, element in zip(leaf.chain, leaf.chain[1:], strict=False):
        alike = [each for each in above.children if each.name == element.name]
        number = next(n for n, each in enumerate(alike, start=1) if each is element)
        steps.append(_show(element.name) + (f"[{number}]" if len(alike) > 1 else ""))
    last = f"@{_show(leaf.attribute)}" if leaf.attribute else "text()"
    return "/".join((*steps, last))


def _show(name: str) -> str:
    return name if SHOWN.fullmatch(name) else "*"
