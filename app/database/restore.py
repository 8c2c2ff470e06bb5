"""After a dump was restored into another cluster: make the stored transaction ids mean something.

Rows carry the xid of the transaction that wrote them, so that pages hold still and pollers miss
nothing (`pg_visible_in_snapshot`, `xid < pg_snapshot_xmin`). A new cluster counts from the start
again, and ids from the old one would lie in its future, invisible to every poll. They are all set
to 3, the first that any cluster gives: finished, and visible to everybody. `last_updated` keeps
the order.
"""

from __future__ import annotations

import logging

import asyncpg

FIRST_XID = "3"
SCHEMAS = ["fhir", "trial", "identity", "feeds"]

RUNNING_CLUSTER = "select system_identifier from pg_control_system()"
KNOWN_CLUSTER = "select system_identifier from fhir.cluster for update"
ADOPT = "update fhir.cluster set system_identifier = $1, adopted_at = now()"

XID_COLUMNS = """
select format('%I.%I', namespace.nspname, class.relname) as table_name,
       array_agg(quote_ident(attribute.attname)) as columns
from pg_attribute as attribute
join pg_class as class on class.oid = attribute.attrelid
join pg_namespace as namespace on namespace.oid = class.relnamespace
where namespace.nspname = any($1)
  and class.relkind in ('r', 'p') and not class.relispartition
  and attribute.atttypid = 'xid8'::regtype and not attribute.attisdropped
group by 1 order by 1
"""

logger = logging.getLogger(__name__)


async def adopt_cluster(owner_dsn: str) -> bool:
    """Reset stored xids where the database came from another cluster; whether it did.

    Rewrites every row that carries one, in one transaction: slow on a large database, but once.
    """
    connection = await asyncpg.connect(owner_dsn, server_settings={"statement_timeout": "0"})
    try:
        async with connection.transaction():
            running = await connection.fetchval(RUNNING_CLUSTER)
            if await connection.fetchval(KNOWN_CLUSTER) == running:
                return False
            logger.warning("The database was restored from another cluster: resetting its xids")
            for table_name, columns in await connection.fetch(XID_COLUMNS, SCHEMAS):
                await connection.execute(reset_statement(table_name, columns))
            await connection.execute(ADOPT, running)
            return True
    finally:
        await connection.close()


def reset_statement(table_name: str, columns: list[str]) -> str:
    """An update that leaves nulls null, and rows alone that have nothing to reset."""
    values = ", ".join(
        f"{column} = case when {column} is not null then '{FIRST_XID}'::xid8 end"
        for column in columns
    )
    stale = " or ".join(f"{column} <> '{FIRST_XID}'::xid8" for column in columns)
    return f"update {table_name} set {values} where {stale}"
