"""Schemas, the runtime role, the clock that orders all writers, and the safe horizon.

Every transaction that changes FHIR resources begins with `fhir.begin_write()`, which assigns its
xid and its `last_updated` together under a lock, so that their orders agree. The lock belongs to a
subtransaction that is rolled back before the function returns: it is released on every path
(success, error, cancellation, a killed backend) and never held until the commit. What must survive
that rollback does: the top transaction keeps its xid, `setval` is not transactional, and PL/pgSQL
variables keep their values.

`fhir.clock` counts microseconds since 1970 and never runs backwards, also when the machine's clock
does.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMAS = ("fhir", "trial", "identity", "feeds")

RUNTIME_ROLE = """
do $$
begin
  if not exists (select from pg_roles where rolname = 'ssci_runtime') then
    begin
      create role ssci_runtime nologin;
    exception when duplicate_object or unique_violation then
      null;  -- another database of this cluster is being migrated at the same time
    end;
  end if;
  if not pg_has_role(current_user, 'ssci_runtime', 'set') then
    execute format('grant ssci_runtime to %I with inherit false, set true', current_user);
  end if;
  execute format('revoke create, temporary on database %I from public', current_database());
  execute format('grant connect on database %I to ssci_runtime', current_database());
end
$$
"""

TABLES = (
    "create sequence fhir.clock as bigint",
    """
    create table fhir.transaction_log (
      last_updated timestamptz primary key,
      xid xid8 not null
    )
    """,
    "create index transaction_log_xid on fhir.transaction_log (xid, last_updated)",
    "grant select on fhir.transaction_log to ssci_runtime",
    """
    create table fhir.cluster (
      only_row boolean primary key default true check (only_row),
      system_identifier bigint not null,
      adopted_at timestamptz not null default now()
    )
    """,
    """
    insert into fhir.cluster (system_identifier)
    select system_identifier from pg_control_system()
    """,
    "grant select on fhir.cluster to ssci_runtime",
)

TICK = """
create function fhir.tick() returns timestamptz
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  micros bigint;
begin
  select greatest((extract(epoch from clock_timestamp()) * 1000000)::bigint, last_value + 1)
    into micros from fhir.clock;
  perform setval('fhir.clock', micros);
  return timestamptz 'epoch' + micros * interval '1 microsecond';
end
$$
"""

BEGIN_WRITE = """
create function fhir.begin_write(out xid xid8, out last_updated timestamptz)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
  if pg_current_xact_id_if_assigned() is not null then
    raise exception 'fhir.begin_write() must come before any other write of its transaction'
      using errcode = 'active_sql_transaction';
  end if;
  begin
    perform pg_advisory_xact_lock(1397965641, 1);
    xid := pg_current_xact_id();
    last_updated := fhir.tick();
    raise exception using errcode = 'SSCI1', message = 'release the lock';
  exception when sqlstate 'SSCI1' then
    null;
  end;
  insert into fhir.transaction_log (last_updated, xid) values (last_updated, xid);
end
$$
"""

# Assigning our own xid under the lock makes "nobody else is in progress" decidable: it is so
# exactly when our xid is the lowest in progress. (A snapshot's xmin = xmax does not say it: a
# running transaction may be newer than the latest completed one.)
SAFE_HORIZON = """
create function fhir.safe_horizon() returns timestamptz
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  oldest xid8;
  horizon timestamptz;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'fhir.safe_horizon() needs a fresh snapshot: call it in READ COMMITTED'
      using errcode = 'active_sql_transaction';
  end if;
  if pg_current_xact_id_if_assigned() is null then
    begin
      perform pg_advisory_xact_lock(1397965641, 1);
      perform pg_current_xact_id();
      oldest := pg_snapshot_xmin(pg_current_snapshot());
      if oldest = pg_current_xact_id() then
        horizon := fhir.tick();
      end if;
      raise exception using errcode = 'SSCI1', message = 'release the lock';
    exception when sqlstate 'SSCI1' then
      null;
    end;
  end if;
  if horizon is null then
    select log.last_updated into horizon
      from fhir.transaction_log as log
      where log.xid < pg_snapshot_xmin(pg_current_snapshot())
      order by log.xid desc, log.last_updated desc
      limit 1;
  end if;
  return coalesce(horizon, timestamptz 'epoch');
end
$$
"""

FUNCTION_GRANTS = (
    "revoke execute on function fhir.tick(), fhir.begin_write(), fhir.safe_horizon() from public",
    "grant execute on function fhir.begin_write(), fhir.safe_horizon() to ssci_runtime",
)


def upgrade() -> None:
    for schema in SCHEMAS:
        op.execute(f"create schema {schema}")
    op.execute(RUNTIME_ROLE)
    for schema in SCHEMAS:
        op.execute(f"grant usage on schema {schema} to ssci_runtime")
    for statement in (*TABLES, TICK, BEGIN_WRITE, SAFE_HORIZON, *FUNCTION_GRANTS):
        op.execute(statement)
