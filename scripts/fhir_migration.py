"""Print the DDL of the FHIR tables as the registry and the layout describe them now.

Used once per change of the registry to write an Alembic revision, which is frozen from then on:
    .venv/bin/python scripts/fhir_migration.py > app/database/migrations/versions/<revision>.sql
"""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from app.fhir.layout import load_layout
from app.fhir.registry import load_registry
from app.fhir.tables import SCHEMA, build_tables

GRANTS = {"": "SELECT, INSERT, UPDATE, DELETE", "_history": "SELECT, INSERT"}


def main() -> None:
    metadata = build_tables(load_layout(load_registry()))
    dialect = postgresql.dialect()
    for table in metadata.sorted_tables:
        statements = [sa.schema.CreateTable(table)]
        statements += [sa.schema.CreateIndex(index) for index in _by_name(table)]
        for statement in statements:
            text = str(statement.compile(dialect=dialect)).strip()
            print("\n".join(line.rstrip() for line in text.splitlines()) + ";\n")
        grant = GRANTS["_history" if table.name.endswith("_history") else ""]
        print(f"GRANT {grant} ON {SCHEMA}.{table.name} TO ssci_runtime;\n")


def _by_name(table: sa.Table) -> list[sa.Index]:
    return sorted(table.indexes, key=lambda index: str(index.name))


if __name__ == "__main__":
    main()
