"""CSV and JSON over HTTP: durable first, then every row by itself; receipts and templates."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.database import Database
from app.errors import Category, error
from app.fhir import Store
from app.mappings.working import processing
from tests.feed_support import (
    HIS,
    LIS,
    MRN,
    STRANGER,
    Hospital,
    current,
    hospital,
    oru,
    ras,
    value_of,
)
from tests.table_support import dose, result, table, write
from tests.unit.test_json_decoder import pushed


@pytest.fixture
async def lab(database: Database) -> AsyncIterator[Hospital]:
    async with hospital(database) as opened:
        yield opened


async def post_csv(
    lab: Hospital, data: bytes, feed: str = LIS, media_type: str = "text/csv", **headers: str
) -> httpx.Response:
    return await lab.post(data, feed, "csv", content_type=media_type, **headers)


async def send_rows(lab: Hospital, *rows: dict[str, str], feed: str = LIS) -> list[dict[str, Any]]:
    answer = await post_csv(lab, table(*rows), feed)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["messages"][0]["facts"])


async def send_json(lab: Hospital, *results: dict[str, Any]) -> list[dict[str, Any]]:
    data = json.dumps({"results": results}).encode()
    answer = await lab.post(data, LIS, "json", content_type="application/json")
    assert answer.status_code == 200, answer.text
    return list(answer.json()["messages"][0]["facts"])


def lines_of(answer: httpx.Response) -> list[dict[str, str]]:
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))


KINDS = ("Observation", "MedicationAdministration", "Specimen", "DiagnosticReport", "Provenance")


async def versions(lab: Hospital) -> list[int]:
    return [await lab.count(kind) for kind in KINDS]


async def test_a_table_of_results_is_stored_row_by_row(lab: Hospital) -> None:
    facts = await send_rows(lab, result(), result(检验单号="L2", 结果="1O2"), result(检验单号="L3"))
    assert [(each["position"], each["outcome"], each["field"]) for each in facts] == [
        ("row[2]", "stored", None),
        ("row[3]", "quarantined", "结果"),
        ("row[4]", "stored", None),
    ]
    assert value_of(await lab.read(facts[0]["resource"])) == "38"


async def test_a_file_sent_again_writes_nothing(lab: Hospital) -> None:
    data = table(result(标本号="S1"), result(检验单号="L2"))
    await post_csv(lab, data)
    written = await versions(lab)
    again = await post_csv(lab, data)
    assert again.json()["messages"][0]["duplicate"]
    assert await versions(lab) == written


async def test_a_longer_export_with_the_same_rows_writes_only_the_new_ones(lab: Hospital) -> None:
    await send_rows(lab, result(标本号="S1"), result(检验单号="L2"))
    written = (await versions(lab))[0]
    facts = await send_rows(lab, result(检验单号="L0"), result(标本号="S1"), result(检验单号="L2"))
    assert [each["outcome"] for each in facts] == ["stored", "unchanged", "unchanged"]
    assert (await versions(lab))[0] == written + 1


async def test_replaying_tables_and_json_twice_writes_nothing(lab: Hospital) -> None:
    await send_rows(lab, result(), result(结果="溶血", 检验单号="L2"), result(结果状态="更正"))
    await send_rows(lab, dose(), feed=HIS)
    await send_json(lab, pushed(order={"filler": "L9"}))
    written = await versions(lab)
    for _ in range(2):
        await lab.feeds.process_again([1, 2, 3])
    assert await versions(lab) == written


async def test_the_same_result_by_hl7_and_csv_and_json_is_one(lab: Hospital) -> None:
    by_hl7 = await lab.send_one(oru())
    (by_csv,) = await send_rows(lab, result(子编号="1", 报告时间="2019/3/14 9:55"))
    (by_json,) = await send_json(lab, pushed(reported="2019-03-14T09:55:00+08:00"))
    assert {current(each) for each in (by_hl7, by_csv, by_json)} == {current(by_hl7)}
    assert [each["outcome"] for each in (by_hl7, by_csv, by_json)] == [
        "stored",
        "unchanged",
        "unchanged",
    ]


async def test_a_table_that_leaves_out_what_a_message_said_writes_no_version(
    lab: Hospital,
) -> None:
    first = await lab.send_one(oru(f7="100-350", f8="L"))
    less = result(子编号="1", 报告时间="2019/3/14 9:55")
    (same,) = await send_rows(lab, less)
    (other,) = await send_rows(lab, {**less, "结果": "39"})
    assert (same["outcome"], other["outcome"]) == ("unchanged", "stored")
    assert other["resource"] == f"{current(first)}/_history/2"


async def test_a_correction_by_csv_replaces_what_came_by_hl7(lab: Hospital) -> None:
    first = await lab.send_one(oru())
    (fact,) = await send_rows(
        lab, result(子编号="1", 结果="83", 结果状态="更正", 报告时间="2019/3/14 12:00")
    )
    assert fact["resource"] == f"{current(first)}/_history/2"
    assert value_of(await lab.read(fact["resource"])) == "83"


async def test_the_same_dose_by_hl7_and_csv_is_one(lab: Hospital) -> None:
    by_hl7 = await lab.send_one(ras(), HIS)
    (by_csv,) = await send_rows(
        lab, dose(执行序号="1", 操作="新增", 结束时间="2019/3/14 8:30"), feed=HIS
    )
    assert (current(by_csv), by_csv["outcome"]) == (current(by_hl7), "unchanged")


async def test_rows_of_strangers_wait_and_show_nothing(lab: Hospital) -> None:
    facts = await send_rows(lab, result(病历号=STRANGER), result())
    assert [each["outcome"] for each in facts] == ["waiting", "stored"]
    assert facts[0]["code"] == ""


@pytest.mark.parametrize("separator", [";", "\t"])
@pytest.mark.parametrize("charset", ["gb18030", "utf-8-sig", "utf-16"])
async def test_a_file_in_the_style_of_a_spreadsheet_is_read(
    lab: Hospital, separator: str, charset: str
) -> None:
    rows = [result(备注="复查;\n无聚集"), result(检验单号="L2", 姓名="测试一")]
    answer = await post_csv(lab, table(*rows, separator=separator, charset=charset))
    (message,) = answer.json()["messages"]
    assert [each["outcome"] for each in message["facts"]] == ["stored", "stored"]
    assert message["summary"]["separator"] == separator
    assert not message["summary"]["charset"]["mismatch"]


async def test_the_charset_declared_and_used_are_recorded_and_a_mismatch_is_to_be_reviewed(
    lab: Hospital,
) -> None:
    data = table(result(), charset="gb18030")
    answer = await post_csv(lab, data, media_type="text/csv; charset=utf-8")
    facts = answer.json()["messages"][0]["facts"]
    assert [each["reason"] for each in facts] == [None, "CHARSET_MISMATCH"]
    told = (await lab.client.get("/feeds/pumch-lis/messages/1")).json()
    assert (told["charset_declared"], told["charset_used"]) == ("utf-8", "gb18030")


async def test_the_receipt_lists_columns_read_and_ignored(lab: Hospital) -> None:
    answer = await post_csv(lab, table(result(联系电话="13800000000", 颜色="red")))
    summary = answer.json()["messages"][0]["summary"]
    assert summary["columns"]["病历号"] == "subject"
    assert summary["ignored_columns"] == [
        {"column": "联系电话", "rule": "direct-identifier"},
        {"column": "column 10", "rule": "unknown-column"},
    ]
    assert (summary["outcomes"], summary["rows"]) == ({"stored": 1}, 1)
    assert "13800000000" not in answer.text
    assert MRN not in answer.text


async def test_a_header_that_lacks_columns_is_kept_and_says_which(lab: Hospital) -> None:
    answer = await post_csv(lab, table({"病历号": MRN, "结果": "38"}))
    assert answer.status_code == 200
    (fact,) = answer.json()["messages"][0]["facts"]
    assert (fact["reason"], fact["position"]) == ("STRUCTURE", "header")
    assert "项目代码 (code)" in fact["detail"]


async def test_a_first_row_that_is_no_header_is_not_repeated(lab: Hospital) -> None:
    row = ["T000000001", "测试一", "L1001", "PLT", "38"]
    answer = await post_csv(lab, write([row, row]).encode("gb18030"))
    told = await lab.client.get(answer.headers["location"])
    for text in row[:3]:
        assert text not in answer.text + told.text


async def test_a_receipt_comes_as_a_table_when_asked(lab: Hospital) -> None:
    data = table(result(), result(检验单号="L2", 结果="=1+1"))
    lines = lines_of(await post_csv(lab, data, accept="text/csv"))
    assert [(each["row"], each["outcome"], each["reason"], each["field"]) for each in lines] == [
        ("2", "stored", "", ""),
        ("3", "quarantined", "VALUE_UNPARSABLE", "结果"),
    ]
    assert lines[0]["resource"].startswith("Observation/")


async def test_an_hl7_sender_may_ask_for_a_table_too(lab: Hospital) -> None:
    (line,) = lines_of(await lab.post(oru(), accept="text/csv"))
    assert (line["row"], line["outcome"]) == ("OBX[1]", "stored")


async def test_a_table_that_is_not_processed_yet_is_told_pending(lab: Hospital) -> None:
    answer = await post_csv(lab, table(result()), accept="text/csv", prefer="respond-async")
    assert answer.status_code == 202
    assert [each["outcome"] for each in lines_of(answer)] == ["pending"]
    await lab.feeds.process_pending()
    told = (await lab.client.get(answer.headers["location"])).json()
    assert [each["outcome"] for each in told["facts"]] == ["stored"]


async def test_a_formula_survives_as_text(lab: Hospital) -> None:
    (fact,) = await send_rows(lab, result(结果='=HYPERLINK("http://x")'))
    assert fact["reason"] == "VALUE_UNPARSABLE"


@pytest.mark.parametrize(("language", "first"), [("zh", "病历号"), ("en", "MRN")])
async def test_the_template_can_be_filled_in_and_sent(
    lab: Hospital, language: str, first: str
) -> None:
    answer = await lab.client.get(f"/feeds/{LIS}/csv/template?language={language}")
    names = next(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert (answer.status_code, names[0]) == (200, first)
    given = dict(zip(names, result().values(), strict=False))
    sent = await post_csv(lab, table(dict.fromkeys(names, "") | given))
    assert [each["outcome"] for each in sent.json()["messages"][0]["facts"]] == ["stored"]


async def test_a_feed_without_tables_has_no_template(lab: Hospital) -> None:
    assert (await lab.client.get("/feeds/nowhere/csv/template")).status_code == 404


@pytest.mark.parametrize(
    ("format", "media_type", "body", "status"),
    [
        ("csv", "text/csv", b" \r\n", 400),
        ("csv", "text/csv", b"PK\x03\x04\0\0", 400),
        ("csv", "application/json", b"a,b", 415),
        ("json", "text/plain", b"{}", 415),
        ("json", "application/json", b"[1]", 400),
        ("json", "application/json", b"", 400),
    ],
)
async def test_what_is_not_of_the_format_is_refused(
    lab: Hospital, format: str, media_type: str, body: bytes, status: int
) -> None:
    answer = await lab.post(body, LIS, format, content_type=media_type)
    assert answer.status_code == status


async def test_an_unknown_key_is_refused_with_its_pointer(lab: Hospital) -> None:
    first, second = await send_json(lab, pushed(vlaue=1), pushed())
    assert (first["outcome"], first["field"]) == ("quarantined", "/results/0")
    assert second["outcome"] == "stored"


async def test_thousands_of_rows_are_stored_in_bounded_time(lab: Hospital) -> None:
    rows = [result(检验单号=f"L{n}", 结果=str(n % 400 + 1)) for n in range(2_000)]
    started = time.monotonic()
    answer = await post_csv(lab, table(*rows))
    assert answer.json()["messages"][0]["summary"]["outcomes"] == {"stored": 2_000}
    assert time.monotonic() - started < 60


async def test_a_long_file_is_written_in_parts(
    lab: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processing, "FACTS_AT_ONCE", 2)
    data = table(*(result(检验单号=f"L{n}") for n in range(5)), charset="gb18030")
    answer = await post_csv(lab, data, media_type="text/csv; charset=utf-8")
    (message,) = answer.json()["messages"]
    assert [each["outcome"] for each in message["facts"]] == ["stored"] * 5 + ["review"]
    assert message["summary"]["outcomes"] == {"stored": 5, "review": 1}
    assert await lab.count("Provenance") == 3


async def test_a_file_that_was_written_in_part_is_finished_later(
    lab: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processing, "FACTS_AT_ONCE", 2)
    whole, calls = Store.write, []

    async def fails_later(self: Store, *given: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise error(Category.UNAVAILABLE, "the database is gone")
        return await whole(self, *given)

    with monkeypatch.context() as broken:
        broken.setattr(Store, "write", fails_later)
        answer = await post_csv(lab, table(*(result(检验单号=f"L{n}") for n in range(5))))
    assert answer.status_code == 202
    written = await lab.count("Observation")
    await lab.feeds.process_again([1])
    async with lab.database.writing() as connection:
        await connection.execute("UPDATE feeds.processing SET claimed_until = now()")
    await lab.feeds.process_pending()
    told = (await lab.client.get(answer.headers["location"])).json()
    assert (written, await lab.count("Observation")) == (2, 5)
    assert [each["outcome"] for each in told["facts"]] == ["stored"] * 5
