"""From the SHA-256 of raw bytes, as a Provenance names them, to the message that holds them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from app.database import ReadConnection

_SELECT = """
    select encode(sha256, 'hex'), feed, id, received, format, message_type
    from feeds.message where sha256 = any($1) order by id
"""


@dataclass(frozen=True, slots=True)
class TracedMessage:
    """A stored message; `address` is where its detail is read."""

    feed: str
    id: int
    received: datetime
    format: str
    message_type: str

    @property
    def address(self) -> str:
        return f"/feeds/{self.feed}/messages/{self.id}"


async def fetch_messages_by_hash(
    connection: ReadConnection, hashes: Iterable[str]
) -> Mapping[str, TracedMessage]:
    """The first message of each hash (hexadecimal); what is no hash finds none."""
    known = [bytes.fromhex(each) for each in sorted(set(hashes)) if _is_hash(each)]
    rows = await connection.fetch(_SELECT, known)
    found: dict[str, TracedMessage] = {}
    for sha256, *message in rows:
        found.setdefault(sha256, TracedMessage(*message))
    return found


def _is_hash(text: str) -> bool:
    return len(text) == 64 and all(each in "0123456789abcdef" for each in text)
