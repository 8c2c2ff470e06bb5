"""The XHTML that a Narrative may hold: formatting, tables, links and images; nothing active.

https://hl7.org/fhir/R4/narrative.html (txt-1, txt-2)
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

_XHTML = "{http://www.w3.org/1999/xhtml}"
_XML = "{http://www.w3.org/XML/1998/namespace}"

_ELEMENTS = (
    "a abbr acronym b big blockquote br caption cite code col colgroup dd dfn div dl dt em h1 h2 h3"
    " h4 h5 h6 hr i img kbd li ol p pre q s samp small span strike strong sub sup table tbody td"
    " tfoot th thead tr tt u ul var"
)
_ATTRIBUTES = (
    "abbr accesskey align alt axis bgcolor border cellhalign cellpadding cellspacing cellvalign"
    " char charoff charset cite class colspan compact coords dir frame headers height href hreflang"
    " hspace id lang longdesc name nowrap rel rev rowspan rules scope shape span src start style"
    " summary tabindex title type valign value vspace width"
)
ELEMENTS = frozenset(_ELEMENTS.split())
ATTRIBUTES = frozenset(_ATTRIBUTES.split()) | {f"{_XML}lang", f"{_XML}space"}
_LINKS = ("href", "src", "cite", "longdesc")

_MARKUP_DECLARATION = re.compile(r"<!(DOCTYPE|ENTITY|ELEMENT|ATTLIST|NOTATION)", re.IGNORECASE)
_IGNORED_IN_LINKS = re.compile(r"[\x00-\x20]+")
_ACTIVE = ("javascript:", "vbscript:", "data:text/")


def find_trouble(div: str) -> str | None:
    """What makes `div` no legal narrative, or None. The sentence repeats none of its text."""
    if _MARKUP_DECLARATION.search(div):
        return "The narrative may declare no document type or entity"
    try:
        root = ElementTree.fromstring(div)
    except ElementTree.ParseError as problem:
        line, column = problem.position
        return f"The narrative is not well-formed XML (line {line}, column {column})"
    except ValueError:
        return "The narrative is not well-formed XML"
    return _find_trouble(root)


def _find_trouble(root: ElementTree.Element) -> str | None:
    if root.tag != f"{_XHTML}div":
        return 'The narrative must be one <div xmlns="http://www.w3.org/1999/xhtml">'
    for element in root.iter():
        if trouble := _element_trouble(element):
            return trouble
    if not "".join(root.itertext()).strip() and root.find(f".//{_XHTML}img") is None:
        return "The narrative must have text or an image (txt-2)"
    return None


def _element_trouble(element: ElementTree.Element) -> str | None:
    tag = str(element.tag)
    if not (tag.startswith(_XHTML) and tag.removeprefix(_XHTML) in ELEMENTS):
        return "The narrative has an element that is not plain formatting (txt-1)"
    if not ATTRIBUTES.issuperset(element.attrib):
        return "The narrative has an attribute that is not plain formatting (txt-1)"
    if any(_is_active(element.attrib.get(name, "")) for name in _LINKS):
        return "The narrative has a link that runs a program (txt-1)"
    return None


def _is_active(link: str) -> bool:
    """As browsers read it: they skip white space, also inside the scheme."""
    return _IGNORED_IN_LINKS.sub("", link).lower().startswith(_ACTIVE)
