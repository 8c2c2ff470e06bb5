"""One result, however its codings are ordered and its sub-id is written, has one id.
docs/decisions/0034-one-result-one-key.md"""

from __future__ import annotations

import json

import pytest

from app.mappings.facts import Fact
from app.mappings.formats.decoders import DECODERS
from app.mappings.reasons import Reason
from tests.feed_support import LIS, map_bytes, map_one, message, msh, obr, obx, oru, pid
from tests.table_support import result, table

LOCAL, LOINC = "PLT^血小板计数^99MRC", "777-3^Platelets^LN"


def facts(*results: str) -> list[Fact]:
    return map_bytes(message(msh(), pid(), obr(), *results))


def ids(*results: str) -> list[str]:
    return [fact.resource_id for fact in facts(*results)]


def test_an_empty_sub_id_is_the_first() -> None:
    assert ids(obx(f4="")) == ids(obx(f4="1"))


def test_other_sub_ids_stay_results_of_their_own() -> None:
    assert len(set(ids(*(obx(f4=each) for each in ("", "2", "01", "1.1", "A"))))) == 5


def test_a_first_result_is_the_same_alone_and_beside_a_second() -> None:
    both = ids(obx(f4="1"), obx(f4="2", value="39"))
    assert ids(obx(f4="1")) == both[:1]
    assert ids(obx(f4="2")) == both[1:]


def test_an_empty_sub_id_beside_a_first_that_says_something_else_is_not_stored_over_it() -> None:
    first, second = facts(obx(f4="1"), obx(f4="", value="39"))
    assert (first.reason, second.reason) == (None, Reason.WEAK_KEY_CONFLICT)


@pytest.mark.parametrize("order", ["L1", ""])
def test_the_same_result_has_one_id_in_every_format(order: str) -> None:
    hl7 = map_one(oru(order=order))
    (csv,) = map_bytes(table(result(检验单号=order)), LIS, format="csv")
    sent = json.loads(DECODERS["json"].example)
    sent = sent.get("results", [sent])[0] | {"order": {"filler": order}}
    sent.pop("sub_id", None)
    (js,) = map_bytes(json.dumps(sent).encode(), LIS, format="json")
    assert {csv.resource_id, js.resource_id} == {hl7.resource_id}


def test_local_and_loinc_codings_make_one_result_in_either_order() -> None:
    local = map_one(oru(f"{LOCAL}^{LOINC}"))
    loinc = map_one(oru(f"{LOINC}^{LOCAL}"))
    assert loinc.resource_id == local.resource_id == map_one(oru(LOCAL)).resource_id
    assert (loinc.code, loinc.system) == ("PLT", "99MRC")


def test_a_file_that_writes_one_result_in_two_ways_tells_its_history() -> None:
    rows = (
        {"子编号": each, "结果": value} for each, value in (("1", "38"), ("", "38"), ("2", "38"))
    )
    found = map_bytes(table(*(result(**row) for row in rows)), LIS, format="csv")
    assert [fact.reason for fact in found] == [None, None, None]
