"""Tables read as spreadsheets save them: charset, separator, header, rows. RFC 4180."""

from __future__ import annotations

import codecs
import csv
import io
import time
from dataclasses import replace

import pytest

from app.mappings.dictionary.columns import Header
from app.mappings.formats.csv.delimited import find_rows
from app.mappings.formats.csv.receipts import write_table
from app.mappings.formats.csv.spreadsheet import MAX_ROWS, Table, read_table
from app.mappings.formats.row_records import read_birth_date, read_time
from app.mappings.reasons import Reason
from tests.feed_support import LIS, map_bytes, site
from tests.table_support import result, table, write


def read(data: bytes, charset: str = "", feed_codec: str = "gb18030") -> Table:
    found = read_table(data, site().columns[LIS], feed_codec, charset)
    assert found is not None
    return found


def values(found: Table, element: str = "value") -> list[str]:
    return [row.texts[element] for row in found.rows]


def header(*names: str) -> Header:
    return site().columns[LIS].read_header(names)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("charset", ["utf-8-sig", "gb18030", "utf-16"])
def test_every_separator_is_found_by_the_header_in_every_charset(
    separator: str, charset: str
) -> None:
    found = read(table(result(备注="溶血;见,备注"), separator=separator, charset=charset))
    assert (found.separator, found.mismatch) == (separator, False)
    assert found.rows[0].texts["note"] == "溶血;见,备注"


def test_the_separator_that_excel_names_in_its_first_line_counts() -> None:
    found = read(b"sep=;\r\n" + table(result(), separator=";", charset="gb18030"))
    assert (found.separator, found.rows[0].number) == (";", 2)


def test_rows_are_numbered_as_a_spreadsheet_shows_them() -> None:
    first = result(备注="one\nline\r\nmore")
    data = table(first, result(), charset="gb18030").replace(b"\r\nT", b"\r\n\r\n,,,\r\nT", 1)
    found = read(data)
    assert [row.number for row in found.rows] == [4, 5]
    assert found.blank == 2


@pytest.mark.parametrize("charset", ["utf-8-sig", "gb18030", "utf-16", "utf-16-be"])
def test_a_row_stands_on_exactly_its_own_bytes(charset: str) -> None:
    mark = codecs.BOM_UTF16_BE if charset == "utf-16-be" else b""
    rows = [result(备注="𠮷 \U0001f600 \n ↓"), result(检验单号="L2")]
    data = mark + table(*rows, charset=charset)
    codec = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le"}.get(charset, charset)
    lines = write([[row.get(name, "") for name in [*result(), "备注"]] for row in rows])
    told = [data[row.span.start : row.span.end].decode(codec) for row in read(data).rows]
    assert "\r\n".join([*told, ""]) == lines


def test_the_feeds_charset_is_used_where_none_is_declared() -> None:
    found = read(table(result(备注="溶血"), charset="gb18030"))
    assert (found.declared, found.codec, found.mismatch) == ("", "gb18030", False)


def test_bytes_that_contradict_the_feeds_charset_are_read_by_their_header_and_flagged() -> None:
    found = read(table(result(备注="溶血"), charset="utf-8"))
    assert (found.codec, found.mismatch, values(found)) == ("utf-8", True, ["38"])


def test_a_declared_charset_that_the_header_contradicts_is_flagged() -> None:
    found = read(table(result(), charset="gb18030"), charset="utf-8")
    assert (found.declared, found.codec, found.mismatch) == ("utf-8", "gb18030", True)


def test_a_declared_charset_is_kept_where_the_file_ends_within_a_character() -> None:
    data = table(result(), result(备注="溶血"), charset="utf-8")[:-3]
    found = read(data, charset="utf-8")
    assert (found.codec, found.mismatch) == ("utf-8", False)
    assert [row.undecodable for row in found.rows] == [False, True]


def test_one_byte_that_is_no_character_spoils_its_own_row() -> None:
    rows = [result(备注=f"说明{n}") for n in range(5)]
    data = table(*rows, charset="gb18030").replace("说明2".encode("gb18030"), b"\xff\xff")
    found = read(data)
    assert [row.undecodable for row in found.rows] == [False, False, True, False, False]


PLAIN = "MRN,filler order number,panel code,test code,result,unit,status,collection time,note\r\n"
ROW = "T000000001,L1,CBC,PLT,38,10*9/L,F,2019-03-14,"


def test_a_declared_charset_that_most_rows_contradict_is_not_believed() -> None:
    data = f"{PLAIN}{ROW}溶血\r\n{ROW}聚集\r\n{ROW}plain\r\n".encode("gb18030")
    found = read(data, charset="utf-8", feed_codec="utf-8")
    assert (found.codec, [row.undecodable for row in found.rows]) == ("utf-8", [True, True, False])
    found = read(data, charset="utf-8")
    assert (found.codec, found.mismatch, values(found, "note")) == (
        "gb18030",
        True,
        ["溶血", "聚集", "plain"],
    )


def test_half_a_character_of_utf_16_spoils_the_last_row() -> None:
    data = f"{PLAIN}{ROW}\r\n{ROW}溶血".encode("utf-16")
    assert [row.undecodable for row in read(data).rows] == [False, False]
    assert [row.undecodable for row in read(data[:-1]).rows] == [False, True]


def test_text_that_is_also_utf_8_is_flagged() -> None:
    found = read(f"{PLAIN}{ROW}张三\r\n".encode())
    assert (found.codec, found.mismatch) == ("gb18030", True)


@pytest.mark.parametrize(
    ("row", "trouble"),
    [
        (b'T000000001,L1,"CBC,PLT,38,10*9/L,F,2019\r\n', "a quotation mark"),
        (b"T000000001,L1,CBC,PLT,38,10*9/L,F,2019,more\r\n", "more cells"),
        (b"T000000001,L1,CBC,PLT,38\r\n", "fewer cells"),
        (b"T000000001,L1,CBC,PLT,3\x008,10*9/L,F,2019\r\n", "a NUL"),
    ],
)
def test_a_sick_row_says_what_is_wrong_and_leaves_the_others_alone(
    row: bytes, trouble: str
) -> None:
    sound = table(result(), result(检验单号="L2"))
    head, first, second, _ = sound.split(b"\r\n")
    found = read(b"\r\n".join([head, first, row.strip(), second, b""]))
    assert [each.trouble[: len(trouble)] for each in found.rows] == ["", trouble, ""]


def test_trailing_separators_are_no_cells_too_many() -> None:
    data = table(result()).replace(b"\r\n", b",,,\r\n")
    found = read(data)
    assert (found.rows[0].trouble, found.header.ignored) == ("", ())


def test_cells_at_the_end_that_are_not_needed_may_be_left_out() -> None:
    data = table(result(备注="", 参考范围="")).replace(b",,\r\n", b"\r\n")
    assert read(data).rows[0].trouble == ""


def test_a_row_without_its_end_may_not_be_short() -> None:
    data = table(result(备注="", 参考范围="")).removesuffix(b",,\r\n")
    assert read(data).rows[0].trouble.startswith("fewer cells")


def test_formulas_are_texts() -> None:
    given = result(备注='=HYPERLINK("x")', 结果="@SUM(A1)")
    (row,) = read(table(given)).rows
    assert (row.texts["note"], row.texts["value"]) == ('=HYPERLINK("x")', "@SUM(A1)")


@pytest.mark.parametrize(
    "data", [b"", b"\r\n\r\n", b"\xef\xbb\xbf", b"\xff\xfe", b"PK\x03\x04\0\0"]
)
def test_what_holds_no_header_is_no_table(data: bytes) -> None:
    assert read_table(data, site().columns[LIS], "gb18030", "") is None


def test_width_case_blanks_and_signs_of_a_column_name_do_not_count() -> None:
    found = header("ＭＲＮ", " Order_Number ", "test-code", "COLLECTION TIME:")
    assert set(found.places) == {"subject", "order", "code", "time"}


def test_columns_that_mean_nothing_are_ignored_by_a_named_rule() -> None:
    found = header("病历号", "联系电话", "颜色", "", "住院号 20190314001")
    assert [(each.told, each.rule) for each in found.ignored] == [
        ("联系电话", "direct-identifier"),
        ("column 3", "unknown-column"),
        ("column 5", "unknown-column"),
    ]


def test_an_unknown_column_is_told_by_its_number_and_the_spelling_it_nearly_is() -> None:
    found = header("病历号", "王测试", "T000000001")
    assert [each.told for each in found.ignored] == ["column 2", "column 3"]
    assert found.names == ("病历号", "", "")
    (near,) = header("病历号", "specimen numbr").ignored
    assert near.told == "column 2 (near specimen number)"


def test_columns_that_mean_the_same_are_told() -> None:
    assert header("病历号", "MRN").doubled == ("subject",)


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("2019/3/14 8:05", "2019-03-14 08:05"),
        ("2019/3/14 8:05:09", "2019-03-14 08:05:09"),
        ("2019年3月14日 8:05", "2019-03-14 08:05"),
        ("2019.03.14", "2019-03-14"),
        ("2019-03-14T08:05:00+08:00", "2019-03-14T08:05:00+08:00".replace("T", " ")),
        ("3/14/2019 8:05", "3/14/2019 8:05"),
        ("43538.336", "43538.336"),
        ("20190314080500", "20190314080500"),
    ],
)
def test_dates_as_spreadsheets_write_them_are_read(sent: str, read: str) -> None:
    assert read_time(sent) == read


def test_birth_dates_are_read_in_every_spelling() -> None:
    spellings = ("1979-05-04", "1979/5/4", "19790504", "1979年5月4日", "1979/5/4 0:00")
    assert {read_birth_date(each) for each in spellings} == {"19790504"}


@pytest.mark.parametrize(
    "data",
    [b'"a,' * 300_000, b'"""b,' * 200_000, b'""""b,' * 200_000, b'"' * 1_000_000, b"\n" * 300_000],
)
def test_reading_is_linear_in_hostile_bytes(data: bytes) -> None:
    started = time.perf_counter()
    sum(1 for _ in find_rows(data, b","))
    read_table(data, site().columns[LIS], "gb18030", "")
    assert time.perf_counter() - started < 10


def test_a_file_may_not_have_more_rows_than_the_bound() -> None:
    row = table(result()).split(b"\r\n")[1] + b"\r\n"
    most = read(table(result()) + row * (MAX_ROWS - 1))
    more = read(table(result()) + row * MAX_ROWS)
    assert (most.overlong, more.overlong) == (False, True)


@pytest.mark.parametrize("more", [b"," * 500_001, b'","' * 500_001, b"x,y\r\n" * 500_001])
def test_a_file_may_not_have_more_cells_than_the_bound(more: bytes) -> None:
    found = read(table(result()) + more)
    assert (found.overlong, found.header.is_sound) == (True, True)
    assert len(found.rows) < MAX_ROWS * 2


def test_a_file_of_too_many_cells_is_refused_by_a_rule_that_says_so() -> None:
    (fact,) = map_bytes(table(result()) + b"," * 500_001, LIS, format="csv")
    assert (fact.reason, fact.detail) == (
        Reason.STRUCTURE,
        "a file may have 10000 rows, 1000 columns and 500000 cells",
    )


def test_the_template_names_the_needed_columns_first() -> None:
    columns = site().columns[LIS]
    assert columns.template(ascii_only=False)[:2] == ["病历号", "检验单号"]
    assert columns.template(ascii_only=True)[:2] == ["MRN", "filler order number"]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1+1"])
def test_what_a_spreadsheet_would_calculate_is_masked_on_the_way_out(text: str) -> None:
    line = write_table([[text, "a=b"]]).decode("utf-8-sig")
    assert next(csv.reader(io.StringIO(line, newline=""))) == [f"'{text}", "a=b"]


def test_a_template_is_a_sound_header() -> None:
    for columns in site().columns.values():
        for ascii_only in (False, True):
            found = columns.read_header(columns.template(ascii_only=ascii_only))
            assert found.is_sound
            assert not found.ignored


def test_constants_stand_where_a_table_says_nothing() -> None:
    columns = replace(site().columns[LIS], constants={"panel": "CBC"})
    data = table({key: value for key, value in result().items() if key != "组合代码"})
    found = read_table(data, columns, "gb18030", "")
    assert found is not None
    assert (found.header.missing, values(found, "panel")) == ((), ["CBC"])
