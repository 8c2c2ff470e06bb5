"""The coverage ledger in the database: counts and unexplained paths, written as a message ends.

The full ledger is computed again from the message's bytes when somebody asks (`ledger_view.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from app.database import ReadConnection
from app.fhir import Statement
from app.mappings.dictionary.site import FeedSetting
from app.mappings.facts import Fact
from app.mappings.formats.decoding import Read
from app.mappings.ledger.leaves import Ledger, build_ledger

logger = logging.getLogger(__name__)

MAX_BYTES = 256 * 1024
"""Of a message whose ledger is made as it ends; that of a longer one would hold up all others."""
Ended = tuple[int, int, Read, FeedSetting, Sequence[Fact], str]
"""A message's id and size, what was read of it by which setting, its facts, the mapping version."""

WRITE = """
INSERT INTO feeds.ledger
SELECT i.id, i.mapped, i.carried, i.ignored, i.unexplained,
  coalesce(string_to_array(nullif(i.paths, ''), E'\\n'), '{}'), i.mapping_version
FROM unnest($1::bigint[], $2::integer[], $3::integer[], $4::integer[], $5::integer[], $6::text[],
  $7::text[]) AS i (id, mapped, carried, ignored, unexplained, paths, mapping_version)
ON CONFLICT (message_id) DO UPDATE SET mapped = excluded.mapped, carried = excluded.carried,
  ignored = excluded.ignored, unexplained = excluded.unexplained, paths = excluded.paths,
  mapping_version = excluded.mapping_version
"""


def ledger_statements(ended: Sequence[Ended]) -> list[Statement]:
    """One statement for the ledgers of these messages; none where no message has one."""
    rows = [row for each in ended if (row := _row(*each)) is not None]
    return [Statement(WRITE, [tuple(zip(*rows, strict=True))])] if rows else []


def _row(
    id: int, size: int, read: Read, setting: FeedSetting, facts: Sequence[Fact], version: str
) -> tuple[Any, ...] | None:
    ledger = _build(id, read, facts, setting) if size <= MAX_BYTES else None
    if ledger is None:
        return None
    paths = "\n".join(" ".join(path.split()) for path in ledger.paths).replace("\0", "")
    counts = (ledger.mapped, ledger.carried, ledger.ignored, ledger.unexplained)
    return (id, *counts, paths, version)


def _build(id: int, read: Read, facts: Sequence[Fact], setting: FeedSetting) -> Ledger | None:
    """A ledger that fails must not hold back the message that it is about."""
    try:
        return build_ledger(read, facts, setting)
    except Exception as problem:
        logger.error("the ledger of message %s: %s", id, type(problem).__name__)
        return None


async def fetch_ledger(connection: ReadConnection, message_id: int) -> Mapping[str, Any] | None:
    """The stored counts and unexplained paths of a message; None where there are none."""
    row = await connection.fetchrow(
        "SELECT mapped, carried, ignored, unexplained, paths, mapping_version FROM feeds.ledger"
        " WHERE message_id = $1",
        message_id,
    )
    return dict(row) if row is not None else None
