"""The answers to the eligibility criteria, a row per version of the form: `answers` stand in the
order of `criteria`.
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    create table trial.eligibility (
      resource_type text collate "C",
      resource_id text collate "C",
      resource_version integer,
      subject text collate "C" not null,
      status text collate "C" not null,
      criteria text[] collate "C" not null,
      answers text[] collate "C" not null,
      clinical_from timestamptz,
      clinical_to timestamptz,
      precision text collate "C",
      clinical_date date,
      system tstzrange not null,
      primary key (resource_type, resource_id, resource_version)
    )
    """,
    "create index eligibility_subject on trial.eligibility (subject, clinical_from)",
    "create index eligibility_system on trial.eligibility (lower(system))",
    "grant select, insert, update (system) on trial.eligibility to ssci_runtime",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
