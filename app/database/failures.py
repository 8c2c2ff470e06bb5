"""What PostgreSQL and its driver raise, as our errors: the one place where that is decided.

Only failures of the connection, the server or its resources are translated, and those that any
statement may meet. A broken constraint stays asyncpg's: its meaning belongs to whoever wrote the
statement. The original is the error's `__cause__`.
https://www.postgresql.org/docs/18/errcodes-appendix.html
"""

from __future__ import annotations

import asyncpg

from app.errors import Category, SsciError, error

DISK_FULL = "53100"
TOO_MANY_CONNECTIONS = "53300"
READ_ONLY = "25006"
CANCELLED = "57014"
LOCK_TIMEOUT = "55P03"
NOT_ACCEPTING = "55000"
"""Of a connection that is refused: the database allows none. Of a statement it has another
meaning."""
LOST_RACES = {"40001", "40P01"}
NUL_CHARACTER = {"22021", "22P05"}
PROGRAM_LIMIT = "54000"
UNAVAILABLE_CLASSES = ("08", "53", "57", "58")
DRIVER_FAILURES = (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError)

REASONS = {
    DISK_FULL: "The database's disk is full; nothing was stored. Free some space.",
    TOO_MANY_CONNECTIONS: "The database has no connection to spare.",
    READ_ONLY: "The database accepts no writes at the moment.",
}


def unavailable(diagnostics: str, retry_after: int = 1) -> SsciError:
    """503 with Retry-After."""
    return error(Category.UNAVAILABLE, diagnostics, headers={"Retry-After": str(retry_after)})


def translated(failure: BaseException, *, writing: bool, lost: bool) -> SsciError | None:
    """Our error for `failure`, or None for what is not the database's own trouble.

    `lost`: the connection is closed, or was never made; else what the driver complains about is
    how it was called.
    """
    if isinstance(failure, asyncpg.PostgresError):
        if lost and failure.sqlstate == NOT_ACCEPTING:
            return unavailable("The database accepts no connections at the moment.", 5)
        return _of_state(failure.sqlstate or "", writing)
    if isinstance(failure, TimeoutError):
        return unavailable("The database does not answer.", 5)
    if lost and isinstance(failure, DRIVER_FAILURES):
        return unavailable("The database can't be reached.")
    return None


class OutcomeUnknownError(SsciError):
    """The connection broke while it committed: it may be stored, so it must not be repeated."""


def outcome_unknown() -> SsciError:
    told = unavailable(
        "The connection to the database broke during the commit: whether it was stored is not "
        "known. Read before you repeat it."
    )
    return OutcomeUnknownError(told.category, told.issues, told.status, told.headers)


def _of_state(state: str, writing: bool) -> SsciError | None:
    if state == CANCELLED:
        return _timed_out(writing)
    if state in NUL_CHARACTER:
        return error(Category.INCORRECT, "The text holds a character that can't be stored (NUL).")
    if state == PROGRAM_LIMIT:
        return error(Category.UNPROCESSABLE, "A value is too long to be indexed.", code="too-long")
    if state in LOST_RACES or state == LOCK_TIMEOUT:
        return unavailable("Another request was writing the same; repeat this one.")
    if state.startswith(UNAVAILABLE_CLASSES) or (writing and state == READ_ONLY):
        return unavailable(REASONS.get(state, "The database is not available at the moment."), 5)
    return None


def _timed_out(writing: bool) -> SsciError:
    if writing:
        return unavailable("The database took too long to store this; nothing was stored.", 5)
    return error(
        Category.INCORRECT,
        "Answering this would take longer than the server allows: narrow it down.",
        code="too-costly",
    )
