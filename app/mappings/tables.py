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
    sa.UniqueConstraint("feed", "format", "sha256", name="message_feed_format_sha256"),
    schema=FEEDS,
)
sa.Index("message_newest", message.c.feed, message.c.id.desc())
sa.Index("message_control_id", message.c.feed, message.c.control_id, message.c.id.desc())
sa.Index("message_type", message.c.feed, message.c.message_type, message.c.id.desc())
sa.Index("message_received", message.c.feed, message.c.received, message.c.id)

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

idempotency = sa.Table(
    "idempotency",
    metadata,
    sa.Column("feed", _text(), primary_key=True),
    sa.Column("key_hmac", sa.LargeBinary, primary_key=True),
    _needed("request_sha256", sa.LargeBinary),
    _needed("bound", _instant()),
    sa.Column("status", sa.Integer),
    sa.Column("media_type", _text()),
    sa.Column("location", _text()),
    sa.Column("body", sa.LargeBinary),
    schema=FEEDS,
)
sa.Index("idempotency_bound", idempotency.c.bound)

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
    sa.Column("field", _text()),
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
    sa.Column("resolved_reason", _text()),
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
    fact.c.feed,
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
sa.Index(
    "fact_settled",
    fact.c.feed,
    fact.c.state,
    fact.c.message_id.desc(),
    fact.c.ordinal,
    postgresql_where=fact.c.state.in_(("resolved", "dismissed")),
)
sa.Index(
    "fact_subject_message",
    fact.c.feed,
    fact.c.subject,
    fact.c.message_id.desc(),
    postgresql_where=fact.c.subject.is_not(None),
)
sa.Index(
    "fact_code",
    fact.c.feed,
    fact.c.code,
    fact.c.message_id.desc(),
    postgresql_where=fact.c.code != "",
)
sa.Index(
    "fact_order",
    fact.c.order_token,
    fact.c.message_id.desc(),
    postgresql_where=fact.c.order_token != "",
)
sa.Index(
    "fact_reason",
    fact.c.feed,
    fact.c.reason,
    fact.c.message_id.desc(),
    postgresql_where=fact.c.reason.is_not(None),
)
sa.Index(
    "fact_open_code",
    fact.c.feed,
    fact.c.code,
    fact.c.message_id.desc(),
    fact.c.ordinal,
    postgresql_where=(fact.c.state == "open") & (fact.c.code != ""),
)
sa.Index(
    "fact_open_subject",
    fact.c.feed,
    fact.c.subject,
    fact.c.message_id.desc(),
    fact.c.ordinal,
    postgresql_where=(fact.c.state == "open") & fact.c.subject.is_not(None),
)

sa.Index(
    "fact_code_reason",
    fact.c.feed,
    fact.c.code,
    fact.c.reason,
    fact.c.message_id.desc(),
    fact.c.ordinal,
    postgresql_where=(fact.c.code != "") & fact.c.reason.is_not(None),
)
sa.Index(
    "fact_subject_reason",
    fact.c.feed,
    fact.c.subject,
    fact.c.reason,
    fact.c.message_id.desc(),
    fact.c.ordinal,
    postgresql_where=fact.c.subject.is_not(None) & fact.c.reason.is_not(None),
)
sa.Index(
    "fact_open_code_reason",
    fact.c.feed,
    fact.c.code,
    fact.c.reason,
    fact.c.message_id.desc(),
    fact.c.ordinal,
    postgresql_where=(fact.c.state == "open") & (fact.c.code != ""),
)
sa.Index(
    "fact_settled_reason",
    fact.c.feed,
    fact.c.state,
    fact.c.resolved_reason,
    fact.c.message_id.desc(),
    fact.c.ordinal,
    postgresql_where=fact.c.state.in_(("resolved", "dismissed")),
)
sa.Index(
    "fact_settled_code",
    fact.c.feed,
    fact.c.state,
    fact.c.code,
    fact.c.message_id.desc(),
    fact.c.ordinal,
    postgresql_where=fact.c.state.in_(("resolved", "dismissed")) & (fact.c.code != ""),
)
sa.Index(
    "fact_settled_subject",
    fact.c.feed,
    fact.c.state,
    fact.c.subject,
    fact.c.message_id.desc(),
    fact.c.ordinal,
    postgresql_where=fact.c.state.in_(("resolved", "dismissed")) & fact.c.subject.is_not(None),
)

open_facts = sa.Table(
    "open_facts",
    metadata,
    sa.Column("feed", _text(), primary_key=True),
    sa.Column("reason", _text(), primary_key=True),
    sa.Column("slot", sa.Integer, primary_key=True, autoincrement=False),
    _needed("number", sa.BigInteger),
    schema=FEEDS,
)

dismissal = sa.Table(
    "dismissal",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    _needed("feed", _text()),
    _needed("message_id", sa.BigInteger),
    _needed("ordinal", sa.Integer),
    _needed("action", _text()),
    sa.Column("fact_reason", _text()),
    _needed("person", _text()),
    _needed("reason", _text()),
    _needed("decided", _instant()),
    sa.ForeignKeyConstraint(
        ["message_id", "ordinal"], ["feeds.fact.message_id", "feeds.fact.ordinal"]
    ),
    schema=FEEDS,
)
sa.Index("dismissal_newest", dismissal.c.feed, dismissal.c.id.desc())
sa.Index("dismissal_of_fact", dismissal.c.message_id, dismissal.c.ordinal)

replay = sa.Table(
    "replay",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    _needed("person", _text()),
    _needed("reason", _text()),
    _needed("selection", _text()),
    _needed("mapping_version", _text()),
    _needed("state", _text()),
    _needed("requested", _instant()),
    sa.Column("ended", _instant()),
    _needed("claimed_until", _instant()),
    schema=FEEDS,
)
sa.Index("replay_running", replay.c.id, postgresql_where=replay.c.state == "running")

replay_message = sa.Table(
    "replay_message",
    metadata,
    sa.Column("replay_id", sa.BigInteger, sa.ForeignKey("feeds.replay.id"), primary_key=True),
    sa.Column("message_id", sa.BigInteger, sa.ForeignKey("feeds.message.id"), primary_key=True),
    _needed("done", sa.Boolean),
    _needed("facts", sa.Integer),
    _needed("versions", sa.Integer),
    _needed("unchanged", sa.Integer),
    _needed("failing", sa.Integer),
    schema=FEEDS,
)
sa.Index(
    "replay_message_left",
    replay_message.c.replay_id,
    replay_message.c.message_id,
    postgresql_where=~replay_message.c.done,
)

poller = sa.Table(
    "poller",
    metadata,
    sa.Column("feed", _text(), primary_key=True),
    sa.Column("source", _text(), primary_key=True),
    sa.Column("resource_type", _text(), primary_key=True),
    sa.Column("watermark", _instant()),
    sa.Column("started", _instant()),
    sa.Column("succeeded", _instant()),
    _needed("failures", sa.Integer),
    _needed("problem", _text()),
    _needed("kept", sa.BigInteger),
    _needed("claimed_until", _instant()),
    _needed("due", _instant()),
    schema=FEEDS,
)

ledger = _of_message(
    "ledger",
    _needed("mapped", sa.Integer),
    _needed("carried", sa.Integer),
    _needed("ignored", sa.Integer),
    _needed("unexplained", sa.Integer),
    _needed("paths", ARRAY(_text())),
    _needed("mapping_version", _text()),
)
sa.Index(
    "ledger_unexplained", ledger.c.message_id.desc(), postgresql_where=ledger.c.unexplained > 0
)
