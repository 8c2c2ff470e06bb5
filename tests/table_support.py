"""Tables as hospitals export them, for tests of the CSV and JSON feeds."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

from tests.feed_support import MRN

RESULT: Mapping[str, str] = {
    "病历号": MRN,
    "检验单号": "L1",
    "组合代码": "CBC",
    "项目代码": "PLT",
    "结果": "38",
    "单位": "10*9/L",
    "结果状态": "已审核",
    "采集时间": "2019/3/14 8:00",
}
DOSE: Mapping[str, str] = {
    "病历号": MRN,
    "医嘱号": "A1",
    "药品代码": "SIR1",
    "剂量": "2",
    "单位": "mg",
    "执行状态": "已执行",
    "执行时间": "2019/3/14 8:30",
}


def result(**columns: str) -> dict[str, str]:
    return {**RESULT, **columns}


def dose(**columns: str) -> dict[str, str]:
    return {**DOSE, **columns}


def table(*rows: Mapping[str, str], separator: str = ",", charset: str = "utf-8-sig") -> bytes:
    """The rows under the columns of all of them, as a spreadsheet saves them."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return write(
        [names, *([row.get(name, "") for name in names] for row in rows)], separator
    ).encode(charset)


def write(rows: Sequence[Sequence[str]], separator: str = ",") -> str:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator, lineterminator="\r\n").writerows(rows)
    return text.getvalue()
