"""`Idempotency-Key`: the same key with the same bytes is answered as before, with others refused.

A key is bound to its bytes, durably, before anything is kept; the answer is added when it is final.
What is sent twice at once is kept once all the same: the inbox knows every delivery by its bytes.
https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-idempotency-key-header-07
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from app.database import Database
from app.errors import Category, error
from app.mappings.intake.sealed_answers import open_answer, seal_answer

HEADER = "Idempotency-Key"
LIFETIME = timedelta(days=7)
MAX_LENGTH = 255
QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"', re.ASCII)
BARE = re.compile(r"[!#-+\--:<-~]+", re.ASCII)
"""An RFC 8941 string as the draft asks; and, as most clients send it, the same without marks."""


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """A final answer, as it left."""

    status: int
    media_type: str
    location: str
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Binding:
    """A key that stands for these bytes; `answer` if the request was answered before."""

    feed: str
    key_hmac: bytes = field(repr=False)
    answer: StoredAnswer | None = None


PURGE = """
DELETE FROM feeds.idempotency WHERE (feed, key_hmac) IN (
  SELECT feed, key_hmac FROM feeds.idempotency WHERE bound < $1 ORDER BY bound LIMIT 100
  FOR UPDATE SKIP LOCKED)
"""
BIND = """
INSERT INTO feeds.idempotency (feed, key_hmac, request_sha256, bound) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING
"""
FIND = """
SELECT request_sha256, status, media_type, location, body FROM feeds.idempotency
WHERE feed = $1 AND key_hmac = $2
"""
ANSWER = """
UPDATE feeds.idempotency SET status = $3, media_type = $4, location = $5, body = $6
WHERE feed = $1 AND key_hmac = $2 AND status IS NULL
"""


class Idempotency:
    """The keys of all feeds. `secret` is read at each use: it hides what a key is made of."""

    def __init__(
        self, database: Database, secret: Callable[[], bytes], now: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._secret = secret
        self._now = now

    async def bind(self, feed: str, key: str, format: str, body: bytes) -> Binding:
        """Binds a key to the bytes it was sent with, for seven days.

        Raises SsciError UNPROCESSABLE: it stands for other bytes. UNAVAILABLE: nothing is bound.
        """
        hashed = self._hash(feed, key)
        digest = hashlib.sha256(format.encode() + b"\0" + body).digest()
        now = self._now()
        async with self._database.writing() as connection:
            await connection.execute(PURGE, now - LIFETIME)
            await connection.execute(BIND, feed, hashed, digest, now)
            row = await connection.fetchrow(FIND, feed, hashed)
        if row is None or not hmac.compare_digest(row["request_sha256"], digest):
            reason = "this key was sent before with other bytes: a new request needs a new key"
            raise error(Category.UNPROCESSABLE, reason, expression=HEADER)
        if row["status"] is None:
            return Binding(feed, hashed)
        return Binding(feed, hashed, self._open(row))

    async def settle(self, binding: Binding, answer: StoredAnswer) -> StoredAnswer:
        """Keeps a final answer; the one that was kept first is the answer."""
        place = (binding.feed, binding.key_hmac)
        async with self._database.writing() as connection:
            body = seal_answer(self._secret(), answer.body)
            told = (answer.status, answer.media_type, answer.location, body)
            await connection.execute(ANSWER, *place, *told)
            row = await connection.fetchrow(FIND, *place)
        if row is None or row["status"] is None:
            return answer
        return self._open(row)

    def _open(self, row: Any) -> StoredAnswer:
        body = open_answer(self._secret(), row["body"])
        return StoredAnswer(row["status"], row["media_type"], row["location"], body)

    def _hash(self, feed: str, key: str) -> bytes:
        data = f"idempotency\0{feed}\0{key}".encode()
        return hmac.new(self._secret(), data, hashlib.sha256).digest()


def read_key(sent: list[str]) -> str | None:
    """The key of a request by its header fields; None without one. Raises SsciError INCORRECT."""
    if not sent:
        return None
    text = sent[0].strip(" \t")
    quoted = QUOTED.fullmatch(text)
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else text if BARE.fullmatch(text) else ""
    if len(sent) > 1 or not key or len(key) > MAX_LENGTH:
        reason = (
            f"must be there once, as a string in quotation marks of 1 to {MAX_LENGTH} characters"
        )
        raise error(Category.INCORRECT, reason, expression=HEADER)
    return key
