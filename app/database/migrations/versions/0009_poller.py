"""How far the hospital's FHIR servers have been read: a row per feed, server and resource type.

`claimed_until` is the lease of the process that asks now, `due` when to ask again.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    create table feeds.poller (
      feed text collate "C",
      source text collate "C",
      resource_type text collate "C",
      watermark timestamptz,
      started timestamptz,
      succeeded timestamptz,
      failures integer not null default 0,
      problem text collate "C" not null default '',
      kept bigint not null default 0,
      claimed_until timestamptz not null default '-infinity',
      due timestamptz not null default '-infinity',
      primary key (feed, source, resource_type)
    )
    """,
    "grant select, insert, update on feeds.poller to ssci_runtime",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
