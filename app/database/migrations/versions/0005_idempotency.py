"""Idempotency keys of deliveries: which bytes a key was sent with, and what was answered.

Keys stand as keyed hashes: a sender may have made them of an order number. They expire, so the
runtime role deletes.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    create table feeds.idempotency (
      feed text collate "C",
      key_hmac bytea,
      request_sha256 bytea not null,
      bound timestamptz not null,
      status integer,
      media_type text collate "C",
      location text collate "C",
      body bytea,
      primary key (feed, key_hmac)
    )
    """,
    "create index idempotency_bound on feeds.idempotency (bound)",
    "grant select, insert, update, delete on feeds.idempotency to ssci_runtime",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
