"""Rows of tables → facts: the same rules and identities as for HL7 messages."""

from __future__ import annotations

import pytest

from app.mappings.facts import Fact
from app.mappings.reasons import Outcome, Reason
from tests.feed_support import HIS, LIS, MRN, map_bytes, map_one, oru, ras, resource_of, value_of
from tests.table_support import dose, result, table


def rows(*given: dict[str, str], feed: str = LIS) -> list[Fact]:
    return map_bytes(table(*given), feed, format="csv")


def one(feed: str = LIS, **columns: str) -> Fact:
    (fact,) = rows(dose(**columns) if feed == HIS else result(**columns), feed=feed)
    return fact


def test_a_row_becomes_an_observation() -> None:
    fact = one()
    assert (fact.place, fact.code, fact.system) == ("row[2]", "PLT", "99MRC")
    observation = resource_of(fact)
    assert value_of(observation) == "38"
    assert observation["effectiveDateTime"] == "2019-03-14T08:00:00+08:00"
    assert observation["status"] == "final"


def test_a_result_has_one_identity_in_csv_and_in_hl7() -> None:
    assert one(子编号="1").resource_id == map_one(oru()).resource_id


def test_a_namespace_beside_the_order_number_is_part_of_it_as_in_hl7() -> None:
    sent = oru(order="L1^LIS")
    assert one(子编号="1", 单号系统="LIS").resource_id == map_one(sent).resource_id


def test_a_dose_has_one_identity_in_csv_and_in_hl7() -> None:
    fact = one(HIS, 执行序号="1")
    assert fact.resource_id == map_one(ras(), HIS).resource_id
    assert resource_of(fact)["status"] == "completed"


def test_a_dose_that_was_not_given_says_so() -> None:
    assert resource_of(one(HIS, 执行状态="未执行"))["status"] == "not-done"


@pytest.mark.parametrize(
    ("column", "text", "reason"),
    [
        ("结果", "1O2", Reason.VALUE_UNPARSABLE),
        ("单位", "furlong", Reason.UNIT_UNMAPPED),
        ("结果状态", "也许", Reason.STATUS_UNMAPPED),
        ("采集时间", "14.03.2019", Reason.TIME_INVALID),
        ("项目代码", "???", Reason.CODE_UNMAPPED),
    ],
)
def test_a_failure_names_its_column(column: str, text: str, reason: Reason) -> None:
    fact = one(**{column: text})
    assert (fact.reason, fact.field) == (reason, column)


def test_one_sick_row_does_not_block_the_others() -> None:
    data = table(result(), result(检验单号="L2"), result(检验单号="L3"))
    head, first, second, third, _ = data.split(b"\r\n")
    facts = map_bytes(b"\r\n".join([head, first, second + b",x", third, b""]), LIS, format="csv")
    assert [fact.reason for fact in facts] == [None, Reason.PARSE, None]
    assert [fact.ordinal for fact in facts] == [0, 1, 2]
    assert facts[2].place == "row[4]"


@pytest.mark.parametrize("column", ["病历号", "检验单号", "标本号"])
def test_a_number_that_a_spreadsheet_shortened_is_not_taken_for_one(column: str) -> None:
    fact = one(**{"标本号": "S1", column: "2.01903E+11"})
    assert (fact.reason, fact.field) == (Reason.PARSE, column)


def test_a_number_kept_as_text_by_a_formula_is_the_number() -> None:
    assert one(检验单号='="L1"').resource_id == one().resource_id


def test_a_row_without_a_patient_number_is_quarantined() -> None:
    fact = one(病历号="")
    assert (fact.outcome, fact.reason) == (Outcome.QUARANTINED, Reason.STRUCTURE)


def test_a_header_that_lacks_columns_says_which() -> None:
    (fact,) = rows({"病历号": MRN, "结果": "38", "张三": "x"})
    assert fact.place == "header"
    assert "检验单号 (order)" in fact.detail
    assert "张三" not in fact.detail


def test_two_columns_of_one_meaning_are_refused() -> None:
    (fact,) = rows(result(MRN=MRN))
    assert fact.detail == "several columns mean the same: 病历号 (subject)"


def test_a_header_without_rows_is_quarantined() -> None:
    (fact,) = map_bytes(table(result()).split(b"\r\n")[0], LIS, format="csv")
    assert fact.reason is Reason.STRUCTURE


def test_a_note_of_clumps_in_another_row_makes_the_count_of_its_order_suspect() -> None:
    clump = result(项目代码="PLTCLUMP", 项目名称="血小板聚集", 结果="阳性", 单位="")
    count, _ = rows(result(), clump)
    other, _ = rows(result(检验单号="L2"), clump)
    assert count.reviews == (Reason.ANALYTIC_SUSPECT,)
    assert other.reviews == ()


def test_of_a_history_in_one_file_the_newest_counts() -> None:
    facts = rows(
        result(结果状态="更正", 结果="83", 报告时间="2019/3/14 12:00"),
        result(报告时间="2019/3/14 10:00"),
        result(报告时间="2019/3/14 10:00"),
    )
    assert [fact.outcome for fact in facts] == [None, Outcome.SUPERSEDED, Outcome.SUPERSEDED]
    assert value_of(resource_of(facts[0])) == "83"
    assert facts[0].candidate is not None
    assert not facts[0].candidate.needs_original


def test_the_same_row_twice_counts_once() -> None:
    first, second = rows(result(), result())
    assert (first.outcome, second.outcome) == (None, Outcome.UNCHANGED)
    assert second.detail == "repeats row[2]"


def test_values_that_nothing_tells_apart_are_not_chosen_from() -> None:
    first, second = rows(result(), result(结果="83"))
    assert first.outcome is None
    assert (second.reason, second.field) == (Reason.WEAK_KEY_CONFLICT, "结果")


def test_doses_that_nothing_tells_apart_are_not_chosen_from() -> None:
    facts = rows(dose(), dose(剂量="3"), dose(执行时间="2019/3/15 8:30"), feed=HIS)
    assert [fact.reason for fact in facts] == [None, Reason.WEAK_KEY_CONFLICT, None]
