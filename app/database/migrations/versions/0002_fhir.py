"""The tables of the FHIR store: one per resource type, its history, narrow tables of hot tokens.

The statements stand in 0002_fhir.sql, printed from the registry by scripts/fhir_migration.py.
"""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, their indexes and the runtime role's grants."""
    text = Path(__file__).with_suffix(".sql").read_text("utf-8")
    for statement in text.split(";\n"):
        if statement.strip():
            op.execute(statement)
