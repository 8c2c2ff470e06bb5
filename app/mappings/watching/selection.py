"""Which messages a replay takes: criteria over their facts as they stand, as one statement."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from app.errors import Category, error
from app.mappings.watching.browsing import ALWAYS, Query, Received

MAX_MESSAGES_NAMED = 10_000


@dataclass(frozen=True, slots=True)
class Selection:
    """Messages with at least one fact for which all of this holds; None and () restrict nothing.

    `state` `open`: facts that are open; `any`: also those that are stored, as after a change of the
    site's dictionary.
    """

    feed: str | None = None
    reason: str | None = None
    code: str | None = None
    subject: str | None = None
    mapping_version: str | None = None
    received: Received = ALWAYS
    messages: tuple[int, ...] = ()
    state: Literal["open", "any"] = "open"

    @property
    def is_empty(self) -> bool:
        return self == Selection(state=self.state)

    def describe(self) -> str:
        """The criteria as JSON, as they are kept with the batch."""
        told: dict[str, Any] = {
            name: value
            for name in ("feed", "reason", "code", "subject", "mapping_version")
            if (value := getattr(self, name)) is not None
        }
        for name in ("since", "before"):
            if (moment := getattr(self.received, name)) is not None:
                told[f"received_{name}"] = moment.isoformat()
        if self.messages:
            told["messages"] = list(self.messages)
        return json.dumps({**told, "state": self.state}, ensure_ascii=False)


def check_selection(selection: Selection) -> None:
    """INCORRECT where nothing is selected by: nobody replays everything by mistake."""
    if selection.is_empty:
        told = (
            "name at least one of feed, reason, code, subject, mapping_version, received, messages"
        )
        raise error(Category.INCORRECT, told, expression="selection")
    if len(selection.messages) > MAX_MESSAGES_NAMED:
        told = f"at most {MAX_MESSAGES_NAMED} messages can be named"
        raise error(Category.INCORRECT, told, expression="messages")


def select_replayed(selection: Selection, feeds: tuple[str, ...], first: int = 1) -> Query:
    """The ids of the messages, ascending, as the only column `message_id`; the first parameter is
    number `first`. Messages without their bytes, and of feeds that the site does not have, are left
    out."""
    values: list[Any] = []

    def bind(value: Any) -> str:
        values.append(value)
        return f"${first + len(values) - 1}"

    wanted = [feed for feed in feeds if selection.feed in (None, feed)]
    conditions = [
        f"f.feed = ANY({bind(wanted)})",
        "m.kind = 'message'",
        "EXISTS (SELECT FROM feeds.message_key k WHERE k.message_id = m.id)",
        "EXISTS (SELECT FROM feeds.message_content c WHERE c.message_id = m.id)",
    ]
    if selection.state == "open":
        conditions.append("f.state = 'open'")
    for column in ("reason", "code", "subject", "mapping_version"):
        if (value := getattr(selection, column)) is not None:
            conditions.append(f"f.{column} = {bind(value)}")
    if selection.received.since is not None:
        conditions.append(f"m.received >= {bind(selection.received.since)}")
    if selection.received.before is not None:
        conditions.append(f"m.received < {bind(selection.received.before)}")
    if selection.messages:
        conditions.append(f"f.message_id = ANY({bind(list(selection.messages))}::bigint[])")
    sql = (
        "SELECT DISTINCT f.message_id FROM feeds.fact f JOIN feeds.message m ON m.id = f.message_id"
        f" WHERE {' AND '.join(conditions)} ORDER BY f.message_id"
    )
    return Query(sql, tuple(values))
