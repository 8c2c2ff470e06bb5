"""Any table that Python's csv module writes is read back the same; nothing that arrives in part, or
as noise, raises. https://docs.python.org/3/library/csv.html"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.mappings.facts import Fact
from app.mappings.formats.csv.delimited import find_rows
from app.mappings.formats.csv.spreadsheet import read_table
from app.mappings.formats.json.decoder import EXAMPLE, read_items
from tests.feed_support import HIS, LIS, map_bytes, site
from tests.table_support import dose, result, table

CHARSETS = ("utf-8", "utf-8-sig", "gb18030", "utf-16")
CELLS = st.text(
    st.one_of(
        st.sampled_from("\",;\t\r\n'= 溶血珅誠𠮷é\\|^~"),
        st.characters(codec="utf-8", exclude_characters="\0"),
    ),
    max_size=12,
)
FORMS = (
    (csv.QUOTE_MINIMAL, "\r\n"),
    *((csv.QUOTE_ALL, end) for end in ("\r\n", "\n", "\r")),
)
"""With another line end the module leaves line ends of other kinds in cells without marks."""


def written(rows: Sequence[Sequence[str]], separator: str, quoting: int, end: str) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator, quoting=quoting, lineterminator=end).writerows(rows)
    return text.getvalue()


@settings(deadline=None, max_examples=300)
@given(
    rows=st.lists(st.lists(CELLS, min_size=1, max_size=5), min_size=1, max_size=5),
    separator=st.sampled_from(",;\t"),
    form=st.sampled_from(FORMS),
    charset=st.sampled_from(("utf-8", "gb18030")),
)
def test_any_table_is_read_back_cell_by_cell(
    rows: list[list[str]], separator: str, form: tuple[int, str], charset: str
) -> None:
    quoting, end = form
    data = written(rows, separator, quoting, end).encode(charset)
    found = list(find_rows(data, separator.encode()))
    assert [[cell.decode(charset) for cell in row.cells] for row in found] == rows
    assert all(row.closed and row.ended for row in found)
    assert b"".join(data[row.span.start : row.span.end] + end.encode() for row in found) == data


@settings(deadline=None, max_examples=200)
@given(
    notes=st.lists(CELLS, min_size=1, max_size=5),
    separator=st.sampled_from(",;\t"),
    charset=st.sampled_from(CHARSETS),
)
def test_any_text_in_a_results_table_is_read_back(
    notes: list[str], separator: str, charset: str
) -> None:
    rows = [result(检验单号=f"L{n}", 备注=note) for n, note in enumerate(notes)]
    data = table(*rows, separator=separator, charset=charset)
    found = read_table(data, site().columns[LIS], "gb18030", charset.removesuffix("-sig"))
    assert found is not None
    assert [row.texts["note"] for row in found.rows] == [note.strip() for note in notes]
    assert [row.number for row in found.rows] == list(range(2, len(notes) + 2))


def check(facts: list[Fact], data: bytes) -> None:
    assert facts
    for ordinal, fact in enumerate(facts):
        assert fact.ordinal == ordinal
        assert fact.outcome is not None or fact.candidate is not None
        assert 0 <= fact.span.start <= fact.span.end <= len(data)


@pytest.mark.parametrize("charset", CHARSETS)
def test_a_table_cut_at_any_byte_has_an_outcome(charset: str) -> None:
    rows = [result(备注='溶血, "见备注"\n𠮷'), result(检验单号="L2", 姓名="测试一")]
    data = table(*rows, charset=charset)
    for end in range(len(data)):
        check(map_bytes(data[:end], LIS, format="csv"), data)


def test_doses_cut_at_any_byte_have_an_outcome() -> None:
    data = table(dose(姓名="测试一"), dose(医嘱号="A2"), charset="gb18030", separator=";")
    for end in range(len(data)):
        check(map_bytes(data[:end], HIS, format="csv"), data)


def test_json_cut_at_any_byte_has_an_outcome() -> None:
    data = EXAMPLE.encode()
    for end in range(len(data)):
        check(map_bytes(data[:end], LIS, format="json"), data)


@settings(deadline=None, max_examples=300)
@given(
    head=st.sampled_from((b"", b"\xef\xbb\xbf", b"\xff\xfe", b"sep=;\n", table(result()))),
    noise=st.binary(max_size=200),
    format=st.sampled_from(("csv", "json")),
)
def test_noise_has_an_outcome(head: bytes, noise: bytes, format: str) -> None:
    data = head + noise
    check(map_bytes(data, LIS, format=format), data)


@settings(deadline=None, max_examples=200)
@given(place=st.integers(0, 10_000), byte=st.integers(0, 255), charset=st.sampled_from(CHARSETS))
def test_one_wrong_byte_has_an_outcome(place: int, byte: int, charset: str) -> None:
    data = bytearray(
        table(*(result(检验单号=f"L{n}", 备注="溶血") for n in range(3)), charset=charset)
    )
    data[place % len(data)] = byte
    check(map_bytes(bytes(data), LIS, format="csv"), bytes(data))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(deadline=None, max_examples=300)
@given(
    given=st.lists(JSON_VALUES, min_size=1, max_size=5),
    indent=st.sampled_from((None, 0, 3)),
    ascii_only=st.booleans(),
)
def test_a_span_of_json_parses_to_its_result(
    given: list[object], indent: int | None, ascii_only: bool
) -> None:
    text = json.dumps({"results": given}, indent=indent, ensure_ascii=ascii_only)
    data = text.encode("utf-8", "replace")
    found = read_items(data)
    assert isinstance(found, list)
    assert [json.loads(data[each.span.start : each.span.end]) for each in found] == json.loads(
        data
    )["results"]
