"""Query strings, read and written. https://www.rfc-editor.org/rfc/rfc3986"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote, unquote_plus, urlencode

_KEPT = ":/,$"
"""What stands in a query as it is: readable, and legal for clients that read addresses strictly."""

_OFFSET = re.compile(
    r"(T\d\d(?:(?::|%3A)\d\d){1,2}(?:\.\d+)?)\+(?=\d\d(?::|%3A)\d\d)", re.ASCII | re.IGNORECASE
)
"""A `+` between a time of day and an offset: sent unescaped it is a zone's sign, never a blank."""


def split_query(query: str) -> list[tuple[str, str]]:
    """Names and values in order, percent-decoded, repeated names and empty values kept."""
    if "+" in query:
        query = _OFFSET.sub(r"\1%2B", query)
    pairs = (part.partition("=") for part in query.split("&") if part)
    return [(unquote_plus(name), unquote_plus(value)) for name, _, value in pairs]


def join_query(parameters: Iterable[tuple[str, str]]) -> str:
    """The query that is read back as these parameters."""
    return urlencode(list(parameters), quote_via=quote, safe=_KEPT)
