"""The message browser and the lists of quarantine: filters as plain records → one statement each.

Pages follow keys, newest first, so that the hundredth page costs what the first does. Every filter
has an index; what is to be found by several is walked by the narrowest of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from app.database import ReadConnection
from app.mappings.dictionary.site import FeedSetting
from app.mappings.result_key import keyed_token
from app.mappings.working.quarantine import FACT_COLUMNS

FactState = Literal["open", "resolved", "dismissed"]
MessageState = Literal["pending", "done", "open", "resolved", "dismissed"]
FACT_STATES = ("open", "resolved", "dismissed")
MESSAGE_STATES = ("pending", "done", *FACT_STATES)
SKEW = timedelta(hours=1)
"""By how much the order of numbering may differ from that of receipt: a message is numbered when it
is committed."""


@dataclass(frozen=True, slots=True)
class Query:
    sql: str
    values: tuple[Any, ...] = field(repr=False)


class _Binder:
    def __init__(self) -> None:
        self.values: list[Any] = []

    def __call__(self, value: Any) -> str:
        self.values.append(value)
        return f"${len(self.values)}"


# Messages


@dataclass(frozen=True, slots=True)
class Received:
    """A time of receipt at or after `since` and before `before`."""

    since: datetime | None = None
    before: datetime | None = None


ALWAYS = Received()


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """What a list of one feed's messages is restricted to; None and () restrict nothing.

    `subject`, `code`, `reason`, `orders` (keyed tokens, any of them) and the states of facts hold
    for one and the same fact of the message.
    """

    feed: str
    subject: str | None = None
    code: str | None = None
    reason: str | None = None
    orders: tuple[str, ...] = ()
    state: MessageState | None = None
    control_id: str | None = None
    message_type: str | None = None
    sha256: bytes | None = None
    received: Received = ALWAYS

    @property
    def by_fact(self) -> bool:
        asked = (self.subject, self.code, self.reason)
        return any(each is not None for each in asked) or bool(self.orders) or self.of_fact_state

    @property
    def of_fact_state(self) -> bool:
        return self.state in FACT_STATES


MESSAGE_COLUMNS = (
    "m.id, m.feed, m.sha256, m.size, m.received, m.kind, m.format, m.media_type, m.message_type,"
    " m.control_id, m.control_id_reused, m.charset_declared, m.charset_used, m.charset_mismatch,"
    " p.state, p.started, p.finished"
)


def select_messages(
    wanted: MessageFilter, formats: Sequence[str], before: int | None, count: int
) -> Query:
    """Messages, newest first, one more than `count` if there are more. `formats` are all there
    are: with them a hash is found in the index that keeps messages unique."""
    bind = _Binder()
    feed = bind(wanted.feed)
    driver = "f.message_id" if wanted.by_fact else "m.id"
    conditions = _of_message(wanted, formats, bind)
    joins = ""
    if wanted.by_fact:
        if conditions:
            joins = "JOIN feeds.message m ON m.id = f.message_id"
            conditions += [f"m.feed = {feed}", *_id_bounds(wanted.received, feed, "m.id", bind)]
        conditions += [f"f.feed = {feed}", *_of_fact(wanted, bind)]
    else:
        conditions.append(f"m.feed = {feed}")
    if wanted.state in ("pending", "done"):
        joins += f" JOIN feeds.processing q ON q.message_id = {driver}"
        conditions.append(f"q.state = '{wanted.state}'")
    conditions += _id_bounds(wanted.received, feed, driver, bind)
    if before is not None:
        conditions.append(f"{driver} < {bind(before)}")
    table = "feeds.fact f" if wanted.by_fact else "feeds.message m"
    distinct = "DISTINCT " if wanted.by_fact else ""
    page = (
        f"SELECT {distinct}{driver} AS id FROM {table} {joins} WHERE {' AND '.join(conditions)}"
        f" ORDER BY 1 DESC LIMIT {bind(count + 1)}"
    )
    return Query(
        f"SELECT {MESSAGE_COLUMNS} FROM ({page}) page JOIN feeds.message m ON m.id = page.id"
        " LEFT JOIN feeds.processing p ON p.message_id = m.id ORDER BY m.id DESC",
        tuple(bind.values),
    )


def _of_message(wanted: MessageFilter, formats: Sequence[str], bind: _Binder) -> list[str]:
    conditions = []
    if wanted.control_id is not None:
        conditions.append(f"m.control_id = {bind(wanted.control_id)}")
    if wanted.message_type is not None:
        conditions.append(f"m.message_type = {bind(wanted.message_type)}")
    if wanted.sha256 is not None:
        known = f"m.format = ANY({bind(list(formats))})"
        conditions.append(f"{known} AND m.sha256 = {bind(wanted.sha256)}")
    if wanted.received.since is not None:
        conditions.append(f"m.received >= {bind(wanted.received.since)}")
    if wanted.received.before is not None:
        conditions.append(f"m.received < {bind(wanted.received.before)}")
    return conditions


def _of_fact(wanted: MessageFilter, bind: _Binder) -> list[str]:
    conditions = []
    for column in ("subject", "code"):
        value = getattr(wanted, column)
        if value is not None:
            conditions.append(f"f.{column} = {bind(value)}")
            conditions += ["f.code <> ''"] if column == "code" else []
    if wanted.reason is not None:
        column = "resolved_reason" if wanted.state == "resolved" else "reason"
        conditions.append(f"f.{column} = {bind(wanted.reason)}")
    if wanted.orders:
        conditions.append(f"f.order_token = ANY({bind(list(wanted.orders))})")
        conditions.append("f.order_token <> ''")
    if wanted.of_fact_state:
        conditions.append(f"f.state = '{wanted.state}'")
    return conditions


def _id_bounds(received: Received, feed: str, id: str, bind: _Binder) -> list[str]:
    """Between which numbers the messages of a time must be: so that a list by code or subject need
    not walk through all that came later."""
    bounds = []
    if received.since is not None:
        earlier = (
            f"SELECT b.id FROM feeds.message b WHERE b.feed = {feed}"
            f" AND b.received < {bind(received.since - SKEW)}"
            " ORDER BY b.received DESC, b.id DESC LIMIT 1"
        )
        bounds.append(f"{id} > coalesce(({earlier}), 0)")
    if received.before is not None:
        later = (
            f"SELECT b.id FROM feeds.message b WHERE b.feed = {feed}"
            f" AND b.received >= {bind(received.before + SKEW)} ORDER BY b.received, b.id LIMIT 1"
        )
        bounds.append(f"{id} < coalesce(({later}), {2**63 - 1})")
    return bounds


async def fetch_messages(
    connection: ReadConnection,
    wanted: MessageFilter,
    formats: Sequence[str],
    before: int | None,
    count: int,
) -> Sequence[Any]:
    query = select_messages(wanted, formats, before, count)
    return await connection.fetch(query.sql, *query.values)


async def fetch_message(connection: ReadConnection, feed: str, message_id: int) -> Any | None:
    """One message of a feed with its number of deliveries and the time of the last."""
    return await connection.fetchrow(
        f"SELECT {MESSAGE_COLUMNS}, 1 + d.number AS deliveries,"
        " coalesce(d.last, m.received) AS last_delivered"
        " FROM feeds.message m LEFT JOIN feeds.processing p ON p.message_id = m.id,"
        " LATERAL (SELECT count(*) AS number, max(d.received) AS last FROM feeds.delivery d"
        " WHERE d.message_id = m.id) d WHERE m.feed = $1 AND m.id = $2",
        feed,
        message_id,
    )


ORDER_KINDS = ("filler", "placer", "specimen")


def order_tokens(secret: bytes, setting: FeedSetting, number: str) -> tuple[str, ...]:
    """The tokens that stand for an order, placer or specimen number of a feed."""
    return tuple(
        keyed_token(secret, setting.key_authority, kind, number.strip()) for kind in ORDER_KINDS
    )


# Facts


@dataclass(frozen=True, slots=True)
class Page:
    """Where a listing goes on: below this message, and within it after this ordinal."""

    message_id: int
    ordinal: int


@dataclass(frozen=True, slots=True)
class FactFilter:
    """What a list of quarantine is restricted to; None restricts nothing. A resolved fact has the
    reason for which it had been open."""

    feeds: tuple[str, ...]
    state: FactState = "open"
    reason: str | None = None
    code: str | None = None
    subject: str | None = None


def select_facts(wanted: FactFilter, after: Page | None, count: int) -> Query:
    """Facts, newest message first, one more than `count` if there are more."""
    bind = _Binder()
    limit = bind(count + 1)
    common = [f"f.state = '{wanted.state}'"]
    if wanted.reason is not None:
        column = "resolved_reason" if wanted.state == "resolved" else "reason"
        common.append(f"f.{column} = {bind(wanted.reason)}")
    if wanted.code is not None:
        common.append(f"f.code = {bind(wanted.code)} AND f.code <> ''")
    if wanted.subject is not None:
        common.append(f"f.subject = {bind(wanted.subject)}")
    if after is not None:
        message, ordinal = bind(after.message_id), bind(after.ordinal)
        common.append(
            f"f.message_id <= {message} AND (f.message_id < {message} OR f.ordinal > {ordinal})"
        )
    order = "ORDER BY f.message_id DESC, f.ordinal LIMIT"
    parts = [
        f"(SELECT f.* FROM feeds.fact f WHERE {' AND '.join([f'f.feed = {bind(feed)}', *common])}"
        f" {order} {limit})"
        for feed in wanted.feeds
    ]
    joined = " UNION ALL ".join(parts)
    return Query(f"SELECT {FACT_COLUMNS} FROM ({joined}) f {order} {limit}", tuple(bind.values))


async def fetch_quarantine(
    connection: ReadConnection, wanted: FactFilter, after: Page | None, count: int
) -> Sequence[Any]:
    query = select_facts(wanted, after, count)
    return await connection.fetch(query.sql, *query.values)
