"""The tables of the feeds (schema `feeds`), as SQLAlchemy metadata.

Raw messages never change: `message`, `message_content`, `delivery` and `acknowledgement` are
append-only for the runtime role. The data key of a message stands apart, so that keys can be
rewrapped, and a message purged by destroying its key.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

FEEDS = "feeds"

metadata = sa.MetaData()


def _text() -> sa.Text:
    return sa.Text(collation="C")


def _instant() -> sa.DateTime:
    return sa.DateTime(timezone=True)


def _needed(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def _of_message(name: str, *columns: sa.Column[Any]) -> sa.Table:
    """A table with one row per message."""
    key = sa.Column(
        "message_id", sa.BigInteger, sa.ForeignKey("feeds.message.id"), primary_key=True
    )
    return sa.Table(name, metadata, key, *columns, schema=FEEDS)


message = sa.Table(
    "message",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    _needed("feed", _text()),
    _needed("sha256", sa.LargeBinary),
    _needed("size", sa.BigInteger),
    _needed("received", _instant()),
    _needed("kind", _text()),
    _needed("format", _text()),
    _needed("media_type", _text()),
    _needed("message_type", _text()),
    _needed("control_id", _text()),
    _needed("control_id_reused", sa.Boolean),
    _needed("charset_declared", _text()),
    _needed("charset_used", _text()),
    _needed("charset_mismatch", sa.Boolean),
    sa.Column("batch", sa.LargeBinary),
    sa.UniqueConstraint("feed", "sha256", name="message_feed_sha256"),
    schema=FEEDS,
)
sa.Index("message_newest", message.c.feed, message.c.id.desc())
sa.Index("message_control_id", message.c.feed, message.c.control_id)

message_content = _of_message("message_content", _needed("ciphertext", sa.LargeBinary))

message_key = _of_message(
    "message_key", _needed("kek_id", _text()), _needed("wrapped", sa.LargeBinary)
)

delivery = sa.Table(
    "delivery",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("message_id", sa.BigInteger, sa.ForeignKey("feeds.message.id"), nullable=False),
    _needed("received", _instant()),
    schema=FEEDS,
)
sa.Index("delivery_message", delivery.c.message_id)

acknowledgement = _of_message(
    "acknowledgement", _needed("code", _text()), _needed("body", sa.LargeBinary)
)

processing = _of_message(
    "processing",
    _needed("state", _text()),
    _needed("started", sa.Integer),
    _needed("finished", sa.Integer),
    _needed("claimed_until", _instant()),
)
sa.Index(
    "processing_pending",
    processing.c.message_id,
    postgresql_where=processing.c.state == "pending",
)

fact = sa.Table(
    "fact",
    metadata,
    sa.Column("message_id", sa.BigInteger, sa.ForeignKey("feeds.message.id"), primary_key=True),
    sa.Column("ordinal", sa.Integer, primary_key=True, autoincrement=False),
    _needed("feed", _text()),
    _needed("place", _text()),
    _needed("byte_start", sa.Integer),
    _needed("byte_end", sa.Integer),
    sa.Column("field", sa.Integer),
    _needed("outcome", _text()),
    sa.Column("reason", _text()),
    _needed("detail", _text()),
    _needed("reviews", ARRAY(_text())),
    _needed("code", _text()),
    _needed("system", _text()),
    _needed("analyte", _text()),
    _needed("order_token", _text()),
    sa.Column("subject", _text()),
    _needed("waiting_keys", ARRAY(sa.LargeBinary)),
    sa.Column("effective", _instant()),
    _needed("ordered", _instant()),
    sa.Column("resource_type", _text()),
    sa.Column("resource_id", _text()),
    sa.Column("resource_version", sa.Integer),
    sa.Column("fingerprint", sa.LargeBinary),
    _needed("state", _text()),
    _needed("attempt", sa.Integer),
    _needed("mapping_version", _text()),
    _needed("updated", _instant()),
    schema=FEEDS,
)
sa.Index(
    "fact_open",
    fact.c.feed,
    fact.c.message_id.desc(),
    fact.c.ordinal,
    postgresql_where=fact.c.state == "open",
)
sa.Index(
    "fact_open_reason",
    fact.c.reason,
    fact.c.message_id.desc(),
    fact.c.ordinal,
    postgresql_where=fact.c.state == "open",
)
sa.Index(
    "fact_waiting",
    fact.c.waiting_keys,
    postgresql_using="gin",
    postgresql_where=fact.c.outcome == "waiting",
)
sa.Index("fact_subject", fact.c.subject, fact.c.analyte, fact.c.effective)
sa.Index("fact_resource", fact.c.resource_id)
