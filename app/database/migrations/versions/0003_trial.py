"""The trial database and the identity tables, with what the runtime role may do there.

Trial rows are inserted and their system time is closed, nothing else; identity rows are inserted.
Rebuilding the trial tables (which empties them) is the owner's.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = {
    "subject": """
      study text collate "C" not null,
      status text collate "C" not null,
      consent text collate "C",
      arm text collate "C",
      age_at_consent integer,
      ended date,
      synthetic boolean not null,
    """,
    "demographic": """
      gender text collate "C",
      birth_year integer,
    """,
    "diagnosis": """
      code text collate "C" not null,
      clinical_status text collate "C",
      verification text collate "C",
    """,
    "measurement": """
      kind text collate "C" not null,
      code text collate "C" not null,
      status text collate "C" not null,
      value numeric,
      unit text collate "C",
      comparator text collate "C",
      data_absent_reason text collate "C",
      analytic_suspect boolean not null,
      scale_suspect boolean not null,
    """,
    "dose": """
      status text collate "C" not null,
      amount numeric,
      unit text collate "C",
    """,
    "visit": """
      visit text collate "C" not null,
      status text collate "C" not null,
    """,
    "adverse_event": """
      status text collate "C" not null,
      actuality text collate "C" not null,
      term text collate "C",
      serious boolean,
      seriousness_criteria text[] collate "C" not null,
      grade integer,
      severity text collate "C",
      outcome text collate "C",
      causality text collate "C",
      expected boolean,
      recorded timestamptz,
    """,
    "activity_score": """
      kind text collate "C" not null,
      status text collate "C" not null,
      value numeric,
      platelet_item numeric,
      data_absent_reason text collate "C",
    """,
}

IDENTITY = (
    """
    create table identity.subject_identity (
      subject text collate "C" primary key,
      sequence integer not null constraint subject_identity_sequence unique,
      name_hmac bytea,
      birth_date_hmac bytea,
      birth_date_key text collate "C",
      birth_date_ciphertext bytea,
      request_hmac bytea not null,
      idempotency_hmac bytea constraint subject_identity_idempotency unique,
      created timestamptz not null
    )
    """,
    """
    create table identity.subject_mrn (
      authority text collate "C",
      mrn_hmac bytea,
      subject text collate "C" not null
        constraint subject_mrn_subject references identity.subject_identity,
      mrn_key text collate "C" not null,
      mrn_ciphertext bytea not null,
      created timestamptz not null,
      primary key (authority, mrn_hmac)
    )
    """,
    "create index subject_mrn_of_subject on identity.subject_mrn (subject)",
    """
    create table identity.override_reason (
      subject text collate "C"
        constraint override_reason_subject references identity.subject_identity,
      criterion text collate "C",
      reason_key text collate "C" not null,
      reason_ciphertext bytea not null,
      created timestamptz not null,
      primary key (subject, criterion)
    )
    """,
    """
    grant select, insert on identity.subject_identity, identity.subject_mrn,
      identity.override_reason to ssci_runtime
    """,
)


def upgrade() -> None:
    for name, columns in TABLES.items():
        _create(name, columns)
    for statement in IDENTITY:
        op.execute(statement)


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
