"""Receipts and templates as CSV, for those who sent a table: opened in a spreadsheet they are as
they were meant. https://owasp.org/www-community/attacks/CSV_Injection
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

RECEIPT = ("row", "outcome", "reason", "detail", "resource", "field", "message")
ROW = re.compile(r"row\[(\d+)\]")
COMMANDS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
PENDING = "pending"


def write_receipt(messages: Iterable[tuple[int, Sequence[Any] | None]]) -> bytes:
    """A line per fact of these messages (id, rows of the listing), one for a message that is not
    processed yet (None). `row` is the spreadsheet's number, or the fact's place."""
    lines: list[Sequence[str]] = [RECEIPT]
    for id, facts in messages:
        if facts is None:
            lines.append(("", PENDING, "", "", "", "", str(id)))
        lines += [_line(id, fact) for fact in facts or ()]
    return write_table(lines)


def _line(message_id: int, fact: Mapping[str, Any]) -> Sequence[str]:
    match = ROW.fullmatch(fact["place"])
    version = fact["resource_version"]
    resource = f"{fact['resource_type']}/{fact['resource_id']}/_history/{version}"
    return (
        match[1] if match else fact["place"],
        fact["outcome"],
        fact["reason"] or "",
        fact["detail"],
        resource if version else "",
        fact["field"] or "",
        str(message_id),
    )


def write_table(lines: Iterable[Sequence[str]]) -> bytes:
    """As spreadsheets read it: UTF-8 with its mark, CR LF, no cell that they would calculate."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerows([mask(cell) for cell in line] for line in lines)
    return codecs.BOM_UTF8 + text.getvalue().encode("utf-8", "replace")


def mask(cell: str) -> str:
    """A text that a spreadsheet would take for a command gets a `'` before it."""
    return f"'{cell}" if cell.startswith(COMMANDS) else cell
