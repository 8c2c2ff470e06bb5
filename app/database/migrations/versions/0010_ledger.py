"""The coverage ledger of a message: how many of its leaves were mapped, carried, ignored by a rule,
or are unexplained, and where the unexplained ones stand. Paths only, no values.
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    create table feeds.ledger (
      message_id bigint primary key references feeds.message,
      mapped integer not null,
      carried integer not null,
      ignored integer not null,
      unexplained integer not null,
      paths text[] collate "C" not null,
      mapping_version text collate "C" not null
    )
    """,
    """
    create index ledger_unexplained on feeds.ledger (message_id desc) where unexplained > 0
    """,
    "grant select, insert, update on feeds.ledger to ssci_runtime",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
