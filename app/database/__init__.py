"""PostgreSQL: the embedded server, roles, pools (reading and writing are different types),
migrations. Knows nothing of FHIR, the trial or the feeds."""

from app.database.backup import back_up, restore
from app.database.connection import ReadConnection, WriteConnection
from app.database.copying import copy_text
from app.database.embedded import EmbeddedServer, start_embedded
from app.database.failures import OutcomeUnknownError
from app.database.migration import current_revision, migrate, newest_revision
from app.database.opening import (
    Addresses,
    Source,
    open_database,
    prepare,
    reached_server,
    wait_for_server,
)
from app.database.pool import Database, Limits
from app.database.restore import adopt_cluster

__all__ = [
    "Addresses",
    "Database",
    "EmbeddedServer",
    "Limits",
    "OutcomeUnknownError",
    "ReadConnection",
    "Source",
    "WriteConnection",
    "adopt_cluster",
    "back_up",
    "copy_text",
    "current_revision",
    "migrate",
    "newest_revision",
    "open_database",
    "prepare",
    "reached_server",
    "restore",
    "start_embedded",
    "wait_for_server",
]
