"""Hospital numbers that change: each addition, removal and merge, by keyed hash.

The runtime role may take a number from a subject; that it was there stays on record.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    create table identity.mrn_change (
      id bigint generated always as identity primary key,
      subject text collate "C" not null
        constraint mrn_change_subject references identity.subject_identity,
      authority text collate "C" not null,
      mrn_hmac bytea not null,
      action text collate "C" not null,
      caller text collate "C" not null,
      changed timestamptz not null
    )
    """,
    "create index mrn_change_of_subject on identity.mrn_change (subject)",
    "grant select, insert on identity.mrn_change to ssci_runtime",
    "grant delete on identity.subject_mrn to ssci_runtime",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
