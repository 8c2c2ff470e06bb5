"""Feeds: raw messages, their keys, deliveries and acknowledgements, processing, facts.

The runtime role appends messages and cannot alter or delete one. It may delete a message's data key
(purging) and rewrap it, and moves processing and facts on.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    create table feeds.message (
      id bigint generated always as identity primary key,
      feed text collate "C" not null,
      sha256 bytea not null,
      size bigint not null,
      received timestamptz not null,
      kind text collate "C" not null,
      format text collate "C" not null,
      media_type text collate "C" not null,
      message_type text collate "C" not null,
      control_id text collate "C" not null,
      control_id_reused boolean not null,
      charset_declared text collate "C" not null,
      charset_used text collate "C" not null,
      charset_mismatch boolean not null,
      batch bytea,
      constraint message_feed_format_sha256 unique (feed, format, sha256)
    )
    """,
    "create index message_newest on feeds.message (feed, id desc)",
    "create index message_control_id on feeds.message (feed, control_id)",
    """
    create table feeds.message_content (
      message_id bigint primary key references feeds.message,
      ciphertext bytea not null
    )
    """,
    """
    create table feeds.message_key (
      message_id bigint primary key references feeds.message,
      kek_id text collate "C" not null,
      wrapped bytea not null
    )
    """,
    """
    create table feeds.delivery (
      id bigint generated always as identity primary key,
      message_id bigint not null references feeds.message,
      received timestamptz not null
    )
    """,
    "create index delivery_message on feeds.delivery (message_id)",
    """
    create table feeds.acknowledgement (
      message_id bigint primary key references feeds.message,
      code text collate "C" not null,
      body bytea not null
    )
    """,
    """
    create table feeds.processing (
      message_id bigint primary key references feeds.message,
      state text collate "C" not null,
      started integer not null,
      finished integer not null,
      claimed_until timestamptz not null
    )
    """,
    "create index processing_pending on feeds.processing (message_id) where state = 'pending'",
    """
    create table feeds.fact (
      message_id bigint references feeds.message,
      ordinal integer,
      feed text collate "C" not null,
      place text collate "C" not null,
      byte_start integer not null,
      byte_end integer not null,
      field text collate "C",
      outcome text collate "C" not null,
      reason text collate "C",
      detail text collate "C" not null,
      reviews text[] collate "C" not null,
      code text collate "C" not null,
      system text collate "C" not null,
      analyte text collate "C" not null,
      order_token text collate "C" not null,
      subject text collate "C",
      waiting_keys bytea[] not null,
      effective timestamptz,
      ordered timestamptz not null,
      resource_type text collate "C",
      resource_id text collate "C",
      resource_version integer,
      fingerprint bytea,
      state text collate "C" not null,
      attempt integer not null,
      mapping_version text collate "C" not null,
      updated timestamptz not null,
      primary key (message_id, ordinal)
    )
    """,
    """
    create index fact_open on feeds.fact (feed, message_id desc, ordinal) where state = 'open'
    """,
    """
    create index fact_open_reason on feeds.fact (reason, message_id desc, ordinal)
      where state = 'open'
    """,
    "create index fact_waiting on feeds.fact using gin (waiting_keys) where outcome = 'waiting'",
    "create index fact_subject on feeds.fact (subject, analyte, effective)",
    "create index fact_resource on feeds.fact (resource_id)",
    """
    grant select, insert on feeds.message, feeds.message_content, feeds.delivery,
      feeds.acknowledgement to ssci_runtime
    """,
    "grant select, insert, update, delete on feeds.message_key to ssci_runtime",
    "grant select, insert, update on feeds.processing, feeds.fact to ssci_runtime",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
