"""Answers as CSV (RFC 4180, UTF-8): figures as one row per figure, listings as they stand.

A figure's row is what CDISC calls an analysis result: which group, which statistic, its value, and
the reason where there is none (https://www.cdisc.org/standards/foundational/analysis-results-standard).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from app.endpoints.answers import Answer

HEAD = ("endpoint", "definitionVersion", "cutoff", "asOf", "population", "subgroup", "level")
FIGURE = ("group", "statistic", "value", "reason")

EVERY = "*"
"""In `reasons`: why every figure of a group that is null is."""

GROUPING = ("visit", "name", "level", "rule", "instrument", "term", "soc", "category", "group")
"""Keys whose text tells which group the figures beside it are of."""


def encode_csv(answer: Answer, view: str) -> bytes:
    rows = _listed(answer) if view == "subjects" else list(_figures(answer))
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns or list(HEAD + FIGURE), lineterminator="\r\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue().encode()


def _listed(answer: Answer) -> list[Mapping[str, Any]]:
    return list(answer["rows"] if "rows" in answer else answer["subjects"])


def _figures(answer: Answer) -> Iterator[Mapping[str, Any]]:
    head = _head(answer)
    for figure in walk_figures(answer["figures"]):
        yield {**head, "subgroup": None, "level": None, **figure}
    for part in answer["subgroups"]:
        for figure in walk_figures(part["figures"]):
            yield {**head, "subgroup": part["subgroup"], "level": part["level"], **figure}


def _head(answer: Answer) -> Answer:
    return {
        "endpoint": answer["endpoint"],
        "definitionVersion": answer["definition"]["version"],
        "cutoff": answer["cutoff"],
        "asOf": answer["asOf"],
        "population": answer["population"]["name"],
    }


def walk_figures(
    node: Any, path: tuple[str, ...] = (), group: tuple[str, ...] = ()
) -> Iterator[Mapping[str, Any]]:
    """Every number of nested figures, with its path as the statistic's name and the texts of the
    lists' entries as its group."""
    if isinstance(node, Mapping):
        yield from _walk_mapping(node, path, group)
    elif isinstance(node, list):
        for number, entry in enumerate(node):
            own = _name_of(entry) or (str(number) if isinstance(entry, Mapping) else None)
            yield from walk_figures(entry, path, (*group, own) if own else group)


def _walk_mapping(
    node: Mapping[str, Any], path: tuple[str, ...], group: tuple[str, ...]
) -> Iterator[Mapping[str, Any]]:
    reasons = node.get("reasons") or {}
    withheld = reasons.get(EVERY) if isinstance(reasons, Mapping) else None
    for name, value in node.items():
        if name in ("reasons", "subjects"):
            continue
        if isinstance(value, (Mapping, list)):
            yield from walk_figures(value, (*path, name), group)
        elif _is_figure(name, value, reasons) or (withheld and value is None):
            yield {
                "group": " / ".join(group) or None,
                "statistic": ".".join((*path, name)),
                "value": value,
                "reason": reasons.get(name, withheld) if isinstance(reasons, Mapping) else None,
            }


def _is_figure(name: str, value: Any, reasons: Any) -> bool:
    return name in reasons or (isinstance(value, (int, float)) and not isinstance(value, bool))


def _name_of(entry: Any) -> str | None:
    if not isinstance(entry, Mapping):
        return None
    texts = (entry.get(key) for key in GROUPING)
    return next((text for text in texts if isinstance(text, str)), None)


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "Y" if value else "N"
    if isinstance(value, (list, tuple)):
        return "; ".join(str(each) for each in _plain(value))
    if isinstance(value, Mapping):
        return "; ".join(f"{name}={each}" for name, each in value.items())
    return _guarded(value) if isinstance(value, str) else value


def _plain(values: Iterable[Any]) -> Iterator[Any]:
    return (_cell(each) for each in values)


def _guarded(text: str) -> str:
    """A text that a spreadsheet would take for a formula is told as text."""
    return f"'{text}" if text[:1] in "=+@\t\r" and text else text
