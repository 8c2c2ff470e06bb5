"""The inbox: every delivery's bytes, encrypted and durable before anything else happens to them.

Each message has a data key of its own (AES-256-GCM), wrapped by the installation's key-encryption
key. (feed, format, sha256) is unique: the same bytes again are another delivery of
the same message.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.database import Database, ReadConnection, WriteConnection
from app.errors import Category, SsciError, error

NONCE_BYTES = 12
KEY_BYTES = 32
MAX_MEDIA_TYPE = 199


@dataclass(frozen=True, slots=True)
class FeedKeys:
    """`kek` wraps the messages' data keys (`former` ones still unwrap); `result_hmac` makes
    identities and never rotates. 32 bytes each."""

    kek: bytes = field(repr=False)
    result_hmac: bytes = field(repr=False)
    former: tuple[bytes, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        for key in (self.kek, self.result_hmac, *self.former):
            if len(key) != KEY_BYTES:
                raise error(Category.FAULT, f"feed keys: each key has {KEY_BYTES} bytes")

    @property
    def kek_id(self) -> str:
        return kek_id(self.kek)

    def by_id(self, id: str) -> bytes | None:
        return next((key for key in (self.kek, *self.former) if kek_id(key) == id), None)


def kek_id(kek: bytes) -> str:
    """A key's name: it says nothing about the key."""
    return hashlib.sha256(b"ssci key id" + kek).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Sealed:
    ciphertext: bytes = field(repr=False)
    kek_id: str
    wrapped: bytes = field(repr=False)


def seal(keys: FeedKeys, feed: str, sha256: bytes, data: bytes) -> Sealed:
    """Encrypts under a new data key, bound to the message's feed and hash."""
    place = _place(feed, sha256)
    data_key = AESGCM.generate_key(8 * KEY_BYTES)
    ciphertext = _encrypt(data_key, data, place)
    return Sealed(ciphertext, keys.kek_id, _encrypt(keys.kek, data_key, place))


def unseal(keys: FeedKeys, feed: str, sha256: bytes, sealed: Sealed) -> bytes:
    """The message's bytes. FAULT where the key is missing or the row was altered."""
    kek = keys.by_id(sealed.kek_id)
    if kek is None:
        raise error(Category.FAULT, "raw message: its key-encryption key is not there")
    place = _place(feed, sha256)
    try:
        return _decrypt(_decrypt(kek, sealed.wrapped, place), sealed.ciphertext, place)
    except (InvalidTag, ValueError):
        raise error(Category.FAULT, "raw message: it does not open") from None


def rewrap(keys: FeedKeys, feed: str, sha256: bytes, kek_id: str, wrapped: bytes) -> bytes:
    """The message's data key, wrapped by the current key. FAULT as for `unseal`."""
    kek = keys.by_id(kek_id)
    if kek is None:
        raise error(Category.FAULT, "raw message: its key-encryption key is not there")
    place = _place(feed, sha256)
    try:
        return _encrypt(keys.kek, _decrypt(kek, wrapped, place), place)
    except (InvalidTag, ValueError):
        raise error(Category.FAULT, "raw message: its key does not open") from None


def _place(feed: str, sha256: bytes) -> bytes:
    return f"feeds.message/{feed}/".encode() + sha256


def _encrypt(key: bytes, data: bytes, place: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, data, place)


def _decrypt(key: bytes, sealed: bytes, place: bytes) -> bytes:
    return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place)


# Keeping


@dataclass(frozen=True, slots=True)
class Incoming:
    """One message to be kept, with what its header says. `data` is None for one too large."""

    feed: str
    kind: str
    format: str
    media_type: str
    sha256: bytes
    size: int
    received: datetime
    data: bytes | None = field(repr=False)
    message_type: str = ""
    control_id: str = ""
    charset_declared: str = ""
    charset_used: str = ""
    charset_mismatch: bool = False
    batch: bytes | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """Where a message is: `duplicate` if its bytes were there before. `received` and `attempt`
    are those of the first delivery."""

    id: int
    duplicate: bool
    received: datetime
    control_id_reused: bool


INSERT = """
WITH incoming AS (
  SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::bigint[],
    $6::timestamptz[], $7::text[], $8::text[], $9::text[], $10::boolean[], $11::text[],
    $12::text[], $13::boolean[], $14::bytea[], $15::bytea[], $16::text[], $17::bytea[],
    $18::integer[], $19::double precision[])
  WITH ORDINALITY AS i (feed, format, media_type, sha256, size, received, kind, message_type,
    control_id, reused, declared, used, mismatch, batch, ciphertext, kek_id, wrapped, started,
    seconds, place)
), message AS (
  INSERT INTO feeds.message (feed, sha256, size, received, kind, format, media_type, message_type,
    control_id, control_id_reused, charset_declared, charset_used, charset_mismatch, batch)
  SELECT i.feed, i.sha256, i.size, i.received, i.kind, i.format, i.media_type, i.message_type,
    i.control_id, i.reused OR (i.control_id <> '' AND EXISTS (
      SELECT FROM feeds.message m
      WHERE m.feed = i.feed AND m.control_id = i.control_id AND m.sha256 <> i.sha256)),
    i.declared, i.used, i.mismatch, i.batch
  FROM incoming i ORDER BY i.place
  ON CONFLICT (feed, format, sha256) DO NOTHING
  RETURNING id, feed, format, sha256, received, control_id_reused
), content AS (
  INSERT INTO feeds.message_content SELECT m.id, i.ciphertext
  FROM message m JOIN incoming i USING (feed, format, sha256) WHERE i.ciphertext IS NOT NULL
), key AS (
  INSERT INTO feeds.message_key SELECT m.id, i.kek_id, i.wrapped
  FROM message m JOIN incoming i USING (feed, format, sha256) WHERE i.wrapped IS NOT NULL
), processing AS (
  INSERT INTO feeds.processing
  SELECT m.id, CASE i.kind WHEN 'message' THEN 'pending' ELSE 'done' END, i.started, 0,
    now() + i.seconds * interval '1 second'
  FROM message m JOIN incoming i USING (feed, format, sha256)
)
SELECT id, feed, format, sha256, received, control_id_reused FROM message
"""

FIND = """
SELECT m.id, feed, format, sha256, m.received, m.control_id_reused FROM feeds.message m
JOIN unnest($1::text[], $2::text[], $3::bytea[]) AS i (feed, format, sha256)
  USING (feed, format, sha256)
"""
DELIVER = """
INSERT INTO feeds.delivery (message_id, received) SELECT * FROM unnest($1::bigint[],
  $2::timestamptz[])
"""
ROWS_PER_STATEMENT = 500


@dataclass(frozen=True, slots=True)
class Claim:
    """For how long nobody else takes a message up; `started`: the caller processes it now."""

    seconds: float = 0.0
    started: bool = False


Place = tuple[str, str, bytes]
"""Feed, format and hash: what makes a message."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """The messages of one delivery, each with its claim."""

    incoming: Sequence[Incoming]
    claims: Sequence[Claim]


async def keep_together(
    database: Database, keys: FeedKeys, deliveries: Sequence[Delivery]
) -> list[list[Kept] | BaseException]:
    """Keeps deliveries in one transaction; if it fails for a reason of one of them, each in its
    own. A failure stands in its delivery's place: nothing of it was kept."""
    incoming = [each for delivery in deliveries for each in delivery.incoming]
    claims = [each for delivery in deliveries for each in delivery.claims]
    try:
        async with database.writing() as connection:
            kept = iter(await keep(connection, keys, incoming, claims))
    except Exception as problem:
        if len(deliveries) == 1 or _is_unavailable(problem):
            return [problem] * len(deliveries)
        alone = [await keep_together(database, keys, [each]) for each in deliveries]
        return [end for (end,) in alone]
    return [list(islice(kept, len(each.incoming))) for each in deliveries]


def _is_unavailable(problem: Exception) -> bool:
    return isinstance(problem, SsciError) and problem.category is Category.UNAVAILABLE


async def keep(
    connection: WriteConnection,
    keys: FeedKeys,
    incoming: Sequence[Incoming],
    claims: Sequence[Claim],
) -> list[Kept]:
    """Stores messages, or counts another delivery of those known; where each is, in the order
    given."""
    new: dict[Place, Kept] = {}
    first = _first_of_each(incoming)
    reused = _reused_among(incoming)
    for start in range(0, len(first), ROWS_PER_STATEMENT):
        chosen = first[start : start + ROWS_PER_STATEMENT]
        rows = [_row(keys, incoming[n], reused[n], claims[n]) for n in chosen]
        columns = [list(column) for column in zip(*rows, strict=True)]
        for row in await connection.fetch(INSERT, *columns):
            new[row["feed"], row["format"], row["sha256"]] = _kept(row, duplicate=False)
    known = await _deliver_again(connection, incoming, new, first)
    places = frozenset(first)
    return [
        new[_place_of(each)] if n in places and _place_of(each) in new else known[_place_of(each)]
        for n, each in enumerate(incoming)
    ]


def _place_of(incoming: Incoming) -> Place:
    return incoming.feed, incoming.format, incoming.sha256


def _first_of_each(incoming: Sequence[Incoming]) -> list[int]:
    """The indexes at which each message comes for the first time."""
    seen: dict[Place, int] = {}
    for n, each in enumerate(incoming):
        seen.setdefault(_place_of(each), n)
    return list(seen.values())


def _reused_among(incoming: Sequence[Incoming]) -> list[bool]:
    """Whether other bytes stand under the same control id earlier in what is kept together."""
    owners: dict[tuple[str, str], bytes] = {}
    return [
        bool(each.control_id)
        and owners.setdefault((each.feed, each.control_id), each.sha256) != each.sha256
        for each in incoming
    ]


async def _deliver_again(
    connection: WriteConnection,
    incoming: Sequence[Incoming],
    new: Mapping[Place, Kept],
    first: Sequence[int],
) -> dict[Place, Kept]:
    """Counts the further deliveries; the messages they are of."""
    places = set(first)
    again = [
        each for n, each in enumerate(incoming) if n not in places or _place_of(each) not in new
    ]
    if not again:
        return {}
    asked = list({_place_of(each) for each in again})
    rows = await connection.fetch(FIND, *(list(column) for column in zip(*asked, strict=True)))
    known = {
        (row["feed"], row["format"], row["sha256"]): _kept(row, duplicate=True) for row in rows
    }
    if len(known) < len(asked):
        raise error(Category.CONFLICT, "the same message is being received at this moment")
    ids = [known[_place_of(each)].id for each in again]
    await connection.execute(DELIVER, ids, [each.received for each in again])
    return known


def _kept(row: Any, *, duplicate: bool) -> Kept:
    return Kept(row["id"], duplicate, row["received"], row["control_id_reused"])


def _row(keys: FeedKeys, incoming: Incoming, reused: bool, claim: Claim) -> Sequence[object]:
    sealed = None
    if incoming.data is not None:
        sealed = seal(keys, incoming.feed, incoming.sha256, incoming.data)
    return (
        incoming.feed,
        incoming.format,
        incoming.media_type[:MAX_MEDIA_TYPE],
        incoming.sha256,
        incoming.size,
        incoming.received,
        incoming.kind,
        incoming.message_type,
        incoming.control_id,
        reused,
        incoming.charset_declared,
        incoming.charset_used,
        incoming.charset_mismatch,
        incoming.batch,
        sealed.ciphertext if sealed else None,
        sealed.kek_id if sealed else None,
        sealed.wrapped if sealed else None,
        1 if claim.started and incoming.kind == "message" else 0,
        claim.seconds,
    )


# Reading back


@dataclass(frozen=True, slots=True)
class Content:
    """A kept message with its bytes."""

    id: int
    feed: str
    format: str
    sha256: bytes
    received: datetime
    media_type: str
    control_id_reused: bool
    data: bytes = field(repr=False)


CONTENT = """
SELECT m.id, m.feed, m.format, m.sha256, m.received, m.media_type, m.control_id_reused,
  c.ciphertext, k.kek_id, k.wrapped
FROM feeds.message m
JOIN feeds.message_content c ON c.message_id = m.id
JOIN feeds.message_key k ON k.message_id = m.id
WHERE m.id = ANY($1)
"""


async def fetch_content(
    connection: ReadConnection, keys: FeedKeys, message_id: int
) -> Content | None:
    """A kept message; None if its bytes were never kept or its key was destroyed."""
    rows = await fetch_sealed(connection, [message_id])
    return open_content(keys, rows[0]) if rows else None


async def fetch_sealed(connection: ReadConnection, message_ids: Sequence[int]) -> Sequence[Any]:
    """Of kept messages those that may still be opened, as rows for `open_content`."""
    return await connection.fetch(CONTENT, list(message_ids))


def open_content(keys: FeedKeys, row: Any) -> Content:
    """The message of a row. FAULT as for `unseal`."""
    sealed = Sealed(row["ciphertext"], row["kek_id"], row["wrapped"])
    data = unseal(keys, row["feed"], row["sha256"], sealed)
    return Content(
        row["id"],
        row["feed"],
        row["format"],
        row["sha256"],
        row["received"],
        row["media_type"],
        row["control_id_reused"],
        data,
    )
