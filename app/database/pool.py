"""The database as the rest of the service sees it: `reading()`, `writing()`.

A small pool of held connections per kind. Lending does nothing on the wire (asyncpg's own pool
resets a connection at every return, which costs a third of the throughput of small reads): a
connection that comes back clean is lent again as it is, and one that may not be clean is cleaned
aside or thrown away. The connection used last is lent first, so that few are busy and warm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, NoReturn, TypeVar

import asyncpg

from app.database.connection import ReadConnection, WriteConnection, connect
from app.database.failures import DRIVER_FAILURES, outcome_unknown, translated, unavailable
from app.errors import Category, SsciError, error

CLEANING_SECONDS = 1.0  # a request to cancel may arrive too early and be lost; then we hang up
SILENCE_SECONDS = 10.0  # on top of the statement timeout, before a connection counts as dead
CLOSING_SECONDS = 5.0

Held = TypeVar("Held", ReadConnection, WriteConnection)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of the database one process may take, and for how long."""

    read_connections: int = 8
    write_connections: int = 8
    wait_seconds: float = 5.0
    read_timeout_seconds: float = 10.0
    write_timeout_seconds: float = 60.0
    lock_timeout_seconds: float = 20.0


class _Losses:
    """How often a connection was lost, in all pools of a process: where one was, the server may
    have gone, and what lies idle is not to be trusted with a transaction."""

    def __init__(self) -> None:
        self.count = 0


class _Pool(Generic[Held]):
    """At most `size` connections of one kind, lent one at a time."""

    def __init__(
        self,
        open_one: Callable[[], Coroutine[Any, Any, Held]],
        size: int,
        wait_seconds: float,
        losses: _Losses,
    ) -> None:
        self._losses = losses
        self._trusted_until = losses.count
        self._open_one: Callable[[], Coroutine[Any, Any, Held]] = open_one
        self._wait_seconds = wait_seconds
        self._permits = asyncio.Semaphore(size)
        self._idle: list[Held] = []
        self._cleaning: set[asyncio.Task[None]] = set()
        self._closed = False

    async def acquire(self) -> Held:
        if self._permits.locked():
            await self._wait_for_permit()
        else:
            await self._permits.acquire()
        try:
            return self._take_idle() or await self._open_one()
        except BaseException:
            self._permits.release()
            raise

    async def _wait_for_permit(self) -> None:
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._permits.acquire()
        except TimeoutError:
            raise unavailable("The server is busy: no database connection came free.") from None

    def _take_idle(self) -> Held | None:
        if self._closed:
            raise unavailable("The server is shutting down.")
        if self._trusted_until != self._losses.count:
            self._trusted_until = self._losses.count
            self._drop_idle()
        while self._idle:
            held = self._idle.pop()
            if not held.raw.is_closed():
                return held
        return None

    def _drop_idle(self) -> None:
        idle, self._idle = self._idle, []
        for held in idle:
            held.raw.terminate()

    def give_back(self, held: Held) -> None:
        """Lend it to the next; one that is broken is replaced when it is needed."""
        if not held.raw.is_closed():
            if self._closed:
                held.raw.terminate()
            else:
                self._idle.append(held)
        self._permits.release()

    async def clean(self, held: Held, failure: BaseException) -> None:
        """End whatever it was doing; then lend it to the next. Aside, so that no cancellation
        stops it; one that was not cancelled sees the end of it."""
        if held.raw.is_closed() or isinstance(failure, DRIVER_FAILURES):
            self._losses.count += 1
            held.raw.terminate()
        task = asyncio.create_task(self._clean(held))
        self._cleaning.add(task)
        task.add_done_callback(self._cleaning.discard)
        if isinstance(failure, Exception):
            await asyncio.shield(task)

    async def _clean(self, held: Held) -> None:
        try:
            if not held.raw.is_closed():
                async with asyncio.timeout(CLEANING_SECONDS):
                    await held.raw.execute("ROLLBACK")
        except Exception:
            held.raw.terminate()
        finally:
            self.give_back(held)

    async def close(self) -> None:
        """Wait a little for what is lent, then close everything."""
        self._closed = True
        if self._cleaning:
            await asyncio.wait(self._cleaning, timeout=CLEANING_SECONDS)
        idle, self._idle = self._idle, []
        for held in idle:
            try:
                await held.raw.close(timeout=CLOSING_SECONDS)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                held.raw.terminate()


class Reading:
    """The block of `Database.reading()`."""

    __slots__ = ("_held", "_pool")

    def __init__(self, pool: _Pool[ReadConnection]) -> None:
        self._pool = pool

    async def __aenter__(self) -> ReadConnection:
        self._held = await _acquired(self._pool, writing=False)
        return self._held

    async def __aexit__(
        self, _type: object, failure: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if failure is None or isinstance(failure, SsciError):
            self._pool.give_back(self._held)
            return
        lost = self._held.raw.is_closed()
        await self._pool.clean(self._held, failure)
        if told := translated(failure, writing=False, lost=lost):
            raise told from failure


class Writing:
    """The block of `Database.writing()`: BEGIN, then COMMIT, or ROLLBACK after an exception."""

    __slots__ = ("_held", "_pool")

    def __init__(self, pool: _Pool[WriteConnection]) -> None:
        self._pool = pool

    async def __aenter__(self) -> WriteConnection:
        self._held = await _acquired(self._pool, writing=True)
        try:
            await self._held.raw.execute("BEGIN")
        except BaseException as failure:
            lost = self._held.raw.is_closed()
            await self._pool.clean(self._held, failure)
            _raise_translated(failure, lost=lost)
        return self._held

    async def __aexit__(
        self, _type: object, failure: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if failure is None:
            await self._commit()
            return
        lost = self._held.raw.is_closed()
        await self._pool.clean(self._held, failure)
        if told := translated(failure, writing=True, lost=lost):
            raise told from failure

    async def _commit(self) -> None:
        try:
            word = await self._held.raw.execute("COMMIT")
        except BaseException as failure:
            lost = self._held.raw.is_closed()
            await self._pool.clean(self._held, failure)
            if (lost or isinstance(failure, TimeoutError)) and isinstance(failure, Exception):
                raise outcome_unknown() from failure
            _raise_translated(failure, lost=lost)
        self._pool.give_back(self._held)
        if word != "COMMIT":  # a failed statement's exception was swallowed inside the block
            raise error(Category.FAULT, "The transaction had failed and was rolled back.")


class Database:
    """PostgreSQL as one process uses it. Make it with `Database.open`, end it with `close`."""

    def __init__(
        self,
        readers: _Pool[ReadConnection],
        searchers: _Pool[ReadConnection],
        writers: _Pool[WriteConnection],
    ) -> None:
        self._readers = readers
        self._searchers = searchers
        self._writers = writers

    @classmethod
    async def open(
        cls, dsn: str, limits: Limits | None = None, role: str | None = None
    ) -> Database:
        """Connect as the user of `dsn` (acting as `role`); UNAVAILABLE when it can't."""
        taken = limits or Limits()
        reading_silence = taken.read_timeout_seconds + SILENCE_SECONDS
        writing_silence = taken.write_timeout_seconds + SILENCE_SECONDS

        async def open_reader() -> ReadConnection:
            return ReadConnection(await connect(dsn, _read_session(taken, role), reading_silence))

        async def open_searcher() -> ReadConnection:
            return ReadConnection(await connect(dsn, _search_session(taken, role), reading_silence))

        async def open_writer() -> WriteConnection:
            return WriteConnection(await connect(dsn, _write_session(taken, role), writing_silence))

        losses = _Losses()
        database = cls(
            _Pool(open_reader, taken.read_connections, taken.wait_seconds, losses),
            _Pool(open_searcher, taken.read_connections, taken.wait_seconds, losses),
            _Pool(open_writer, taken.write_connections, taken.wait_seconds, losses),
        )
        try:
            async with database.reading(), database.writing():
                return database
        except BaseException:
            await database.close()
            raise

    def reading(self) -> Reading:
        """`async with database.reading() as c`: a ReadConnection, which keeps its plans. For
        statements whose one good plan is evident, such as a read by key."""
        return Reading(self._readers)

    def searching(self) -> Reading:
        """The same, but each statement is planned for its own values: for those whose good plan
        depends on how common a value is."""
        return Reading(self._searchers)

    def writing(self) -> Writing:
        """`async with database.writing() as c`: a WriteConnection, in a transaction that commits
        when the block ends and rolls back when it raises. A commit that fails raises."""
        return Writing(self._writers)

    async def close(self) -> None:
        for pool in (self._readers, self._searchers, self._writers):
            await pool.close()

    async def __aenter__(self) -> Database:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


async def _acquired(pool: _Pool[Held], *, writing: bool) -> Held:
    try:
        return await pool.acquire()
    except Exception as failure:
        told = translated(failure, writing=writing, lost=True)
        if told is None:
            raise
        raise told from failure


def _raise_translated(failure: BaseException, *, lost: bool) -> NoReturn:
    told = translated(failure, writing=True, lost=lost)
    if told is None:
        raise failure
    raise told from failure


def _session(timeout: float, role: str | None) -> dict[str, str]:
    return {
        "application_name": "ssci",
        "timezone": "UTC",
        "jit": "off",
        "statement_timeout": _milliseconds(timeout),
        **({"role": role} if role else {}),
    }


def _read_session(limits: Limits, role: str | None) -> dict[str, str]:
    return {
        **_session(limits.read_timeout_seconds, role),
        "default_transaction_read_only": "on",
    }


def _search_session(limits: Limits, role: str | None) -> dict[str, str]:
    return {**_read_session(limits, role), "plan_cache_mode": "force_custom_plan"}


def _write_session(limits: Limits, role: str | None) -> dict[str, str]:
    return {
        **_session(limits.write_timeout_seconds, role),
        "lock_timeout": _milliseconds(limits.lock_timeout_seconds),
        "idle_in_transaction_session_timeout": _milliseconds(limits.write_timeout_seconds),
    }


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))
