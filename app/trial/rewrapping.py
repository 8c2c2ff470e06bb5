"""Rotation of the identity key: ciphertexts of schema `identity` are encrypted anew under the
current key, in batches, while the service goes on.

A row says which key it is under, so that a rotation that was broken off goes on where it ended.
Lookups are keyed hashes under another key, which never rotates, and do not notice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.database import Database, ReadConnection, WriteConnection
from app.errors import SsciError
from app.trial.identity import (
    IdentityKeys,
    birth_date_place,
    decrypt,
    encrypt,
    mrn_place,
    override_reason_place,
)

BATCH = 200


@dataclass(frozen=True, slots=True)
class Sealed:
    """A table with an encrypted column; `key` are the columns of its primary key, with types, from
    which `place` makes the associated data."""

    table: str
    key: tuple[tuple[str, str], ...]
    key_id: str
    ciphertext: str
    place: Callable[..., str]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.key)

    @property
    def select(self) -> str:
        """A batch of rows under other keys than $1, after the key $3 …, locked."""
        names = ", ".join(self.names)
        after = ", ".join(f"${n}::{kind}" for n, (_, kind) in enumerate(self.key, start=3))
        return (
            f"SELECT {names}, {self.key_id} AS key_id, {self.ciphertext} AS ciphertext"
            f" FROM {self.table} WHERE {self.key_id} <> $1 AND ({names}) > ({after})"
            f" ORDER BY {names} LIMIT $2 FOR UPDATE"
        )

    @property
    def update(self) -> str:
        at = " AND ".join(f"{name} = ${n}" for n, name in enumerate(self.names, start=3))
        return f"UPDATE {self.table} SET {self.key_id} = $1, {self.ciphertext} = $2 WHERE {at}"


TABLES = (
    Sealed(
        "identity.subject_mrn",
        (("authority", "text"), ("mrn_hmac", "bytea")),
        "mrn_key",
        "mrn_ciphertext",
        mrn_place,
    ),
    Sealed(
        "identity.subject_identity",
        (("subject", "text"),),
        "birth_date_key",
        "birth_date_ciphertext",
        birth_date_place,
    ),
    Sealed(
        "identity.override_reason",
        (("subject", "text"), ("criterion", "text")),
        "reason_key",
        "reason_ciphertext",
        override_reason_place,
    ),
)
LOWEST = {"text": "", "bytea": b""}


@dataclass(frozen=True, slots=True)
class Rewrapped:
    """How many rows are under the current key now, and how many could not be opened: their key is
    missing, or they were altered."""

    done: int
    failed: int


async def count_by_identity_key(connection: ReadConnection) -> dict[str, int]:
    """How many ciphertexts are under each key."""
    each = " UNION ALL ".join(
        f"SELECT {table.key_id} AS key_id FROM {table.table} WHERE {table.key_id} IS NOT NULL"
        for table in TABLES
    )
    rows = await connection.fetch(
        f"SELECT key_id, count(*) AS number FROM ({each}) AS every GROUP BY key_id ORDER BY key_id"
    )
    return {row["key_id"]: row["number"] for row in rows}


async def rewrap_identity(
    database: Database, keys: IdentityKeys, advance: Callable[[int], None]
) -> Rewrapped:
    """Encrypts everything under the current key. `database` is the owner's: the runtime role can't
    alter identity."""
    done = failed = 0
    for table in TABLES:
        after: tuple[Any, ...] | None = tuple(LOWEST[kind] for _, kind in table.key)
        while after is not None:
            async with database.writing() as connection:
                after, opened, closed = await _rewrap_batch(connection, table, keys, after)
            done, failed = done + opened, failed + closed
            advance(opened + closed)
    return Rewrapped(done, failed)


async def _rewrap_batch(
    connection: WriteConnection, table: Sealed, keys: IdentityKeys, after: tuple[Any, ...]
) -> tuple[tuple[Any, ...] | None, int, int]:
    """One batch: where the next one begins (None: there is none), rows done, rows not opened."""
    rows = await connection.fetch(table.select, keys.current, BATCH, *after)
    renewed = list(_renewed(table, keys, [dict(row) for row in rows]))
    await connection.executemany(table.update, renewed)
    last = tuple(rows[-1][name] for name in table.names) if len(rows) == BATCH else None
    return last, len(renewed), len(rows) - len(renewed)


def _renewed(
    table: Sealed, keys: IdentityKeys, rows: list[Mapping[str, Any]]
) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        at = [row[name] for name in table.names]
        place = table.place(*at)
        try:
            value = decrypt(keys, place, row["key_id"], row["ciphertext"])
        except SsciError:
            continue  # counted by the caller as one that does not open
        yield (*encrypt(keys, place, value), *at)
