"""`Idempotency-Key` and durability, for every format that a feed takes.
https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-idempotency-key-header-07"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from app.database import Database
from app.errors import Category, error
from tests.feed_support import ER7, LIS, Clock, Hospital, hospital, oru
from tests.table_support import result, table
from tests.unit.test_json_decoder import pushed

KEY = '"8e03978e-40d5-43dd-bc93-6894a57f9324"'


def json_body(**keys: Any) -> bytes:
    return json.dumps(pushed(**keys)).encode()


FORMATS = {
    "hl7v2": (ER7, oru(), oru(value="83", id="M2")),
    "csv": ("text/csv", table(result()), table(result(结果="83"))),
    "json": ("application/json", json_body(), json_body(value="83")),
}
BY_FORMAT = pytest.mark.parametrize("format", FORMATS)


@pytest.fixture
async def lab(database: Database) -> AsyncIterator[Hospital]:
    async with hospital(database) as opened:
        yield opened


async def send(lab: Hospital, format: str, place: int = 1, **headers: str) -> httpx.Response:
    sent = FORMATS[format]
    data = sent[place]
    assert isinstance(data, bytes)
    return await lab.post(data, LIS, format, content_type=str(sent[0]), **headers)


async def kept(lab: Hospital) -> tuple[int, int]:
    """Messages and further deliveries."""
    async with lab.database.reading() as connection:
        return (
            await connection.fetchval("SELECT count(*) FROM feeds.message"),
            await connection.fetchval("SELECT count(*) FROM feeds.delivery"),
        )


@BY_FORMAT
async def test_the_same_key_and_bytes_are_answered_as_before(lab: Hospital, format: str) -> None:
    headers = {"accept": "application/json", "idempotency_key": KEY}
    first = await send(lab, format, **headers)
    second = await send(lab, format, **headers)
    assert first.status_code == second.status_code == 200
    assert second.content == first.content
    assert second.headers["location"] == first.headers["location"]
    assert await kept(lab) == (1, 0)


@BY_FORMAT
async def test_the_same_key_with_other_bytes_is_refused_and_nothing_is_kept(
    lab: Hospital, format: str
) -> None:
    await send(lab, format, 1, idempotency_key=KEY)
    answer = await send(lab, format, 2, idempotency_key=KEY)
    assert answer.status_code == 422
    assert answer.json()["issues"] == [
        {
            "place": "Idempotency-Key",
            "reason": "this key was sent before with other bytes: a new request needs a new key",
        }
    ]
    assert await kept(lab) == (1, 0)


async def test_a_key_is_bound_to_its_feed_and_format(lab: Hospital) -> None:
    await send(lab, "csv", idempotency_key=KEY)
    assert (await send(lab, "json", idempotency_key=KEY)).status_code == 422
    other = await lab.post(b"MSH|", "pumch-his", idempotency_key=KEY)
    assert other.status_code != 422


async def test_the_acknowledgement_is_answered_as_before_too(lab: Hospital) -> None:
    first = await send(lab, "hl7v2", idempotency_key=KEY)
    second = await send(lab, "hl7v2", idempotency_key=KEY)
    assert (second.content, second.headers["content-type"]) == (
        first.content,
        first.headers["content-type"],
    )


@BY_FORMAT
async def test_two_at_once_are_kept_once_and_answered_alike(lab: Hospital, format: str) -> None:
    headers = {"accept": "application/json", "idempotency_key": KEY, "prefer": "respond-async"}
    answers = await asyncio.gather(*(send(lab, format, **headers) for _ in range(4)))
    told = [each for each in answers if each.status_code != 409]
    assert {each.status_code for each in told} == {202}
    assert len({each.content for each in told}) == 1
    assert (await kept(lab))[0] == 1


@BY_FORMAT
async def test_an_answer_before_processing_names_the_inbox(lab: Hospital, format: str) -> None:
    answer = await send(lab, format, prefer="respond-async")
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/feeds/{LIS}/messages/1"
    (receipt,) = answer.json()["messages"]
    assert (receipt["inbox_id"], receipt["facts"]) == (1, None)


@pytest.mark.parametrize("bound", [0, 1])
@BY_FORMAT
async def test_what_is_not_durable_is_not_acknowledged_and_binds_no_answer(
    lab: Hospital, format: str, bound: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database goes before the key is bound, or after it."""
    writing, calls = Database.writing, []

    def fails(self: Database) -> Any:
        calls.append(1)
        if len(calls) > bound:
            raise error(Category.UNAVAILABLE, "the disk is full", headers={"Retry-After": "5"})
        return writing(self)

    with monkeypatch.context() as broken:
        broken.setattr(Database, "writing", fails)
        answer = await send(lab, format, idempotency_key=KEY)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert await kept(lab) == (0, 0)
    again = await send(lab, format, idempotency_key=KEY, accept="application/json")
    assert again.status_code == 200
    assert not again.json()["messages"][0]["duplicate"]


async def test_a_key_expires_after_seven_days(lab: Hospital) -> None:
    await send(lab, "csv", 1, idempotency_key=KEY)
    clock = lab.feeds.idempotency._now
    assert isinstance(clock, Clock)
    clock.seconds += int(timedelta(days=7).total_seconds())
    assert (await send(lab, "csv", 2, idempotency_key=KEY)).status_code == 200


async def test_a_key_is_not_kept_in_clear(lab: Hospital) -> None:
    await send(lab, "csv", idempotency_key='"order L1"')
    async with lab.database.reading() as connection:
        (row,) = await connection.fetch("SELECT key_hmac, bound FROM feeds.idempotency")
    assert b"L1" not in bytes(row["key_hmac"])
    assert isinstance(row["bound"], datetime)


@pytest.mark.parametrize("key", ["bare-key_1", '"with \\"marks\\""', '"' + "x" * 255 + '"'])
async def test_keys_are_strings_with_or_without_marks(lab: Hospital, key: str) -> None:
    assert (await send(lab, "csv", idempotency_key=key)).status_code == 200


@pytest.mark.parametrize("key", ['""', '"open', '"' + "x" * 256 + '"', "two words", '"a"; b=1'])
async def test_a_key_of_another_form_is_refused(lab: Hospital, key: str) -> None:
    answer = await send(lab, "csv", idempotency_key=key)
    assert answer.status_code == 400
    assert answer.json()["issues"][0]["place"] == "Idempotency-Key"
    assert await kept(lab) == (0, 0)
