"""What case report forms bring to the trial database: bleeding, treatment beside sirolimus, where a
dose is known from, and more of adverse events and of the end of participation.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

COLUMNS = {
    "subject": ('reason text collate "C"',),
    "dose": ('source text collate "C"', "total numeric"),
    "adverse_event": (
        'soc text collate "C"',
        'grading text collate "C"',
        'action text collate "C"',
        "resolved date",
    ),
}

TABLES = {
    "bleeding": """
      status text collate "C" not null,
      assessed boolean not null,
      grade integer,
      sites text[] collate "C" not null,
    """,
    "treatment": """
      kind text collate "C" not null,
      class text collate "C" not null,
      drug text collate "C",
      status text collate "C" not null,
      amount numeric,
      unit text collate "C",
      daily_mg numeric,
      prednisone_mg numeric,
    """,
}


def upgrade() -> None:
    for table, added in COLUMNS.items():
        for column in added:
            op.execute(f"alter table trial.{table} add column {column}")
    for name, columns in TABLES.items():
        _create(name, columns)


def _create(name: str, columns: str) -> None:
    op.execute(
        f"""
        create table trial.{name} (
          resource_type text collate "C",
          resource_id text collate "C",
          resource_version integer,
          subject text collate "C" not null,
          {columns}
          clinical_from timestamptz,
          clinical_to timestamptz,
          precision text collate "C",
          clinical_date date,
          system tstzrange not null,
          primary key (resource_type, resource_id, resource_version)
        )
        """
    )
    kind = "kind, " if "kind text" in columns else ""
    op.execute(f"create index {name}_subject on trial.{name} (subject, {kind}clinical_from)")
    op.execute(f"create index {name}_system on trial.{name} (lower(system))")
    op.execute(f"grant select, insert, update (system) on trial.{name} to ssci_runtime")
