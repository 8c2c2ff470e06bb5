"""Messages cut off at any byte, in every format, and characters whose bytes are separators.

What is cut in transport is never taken for whole: an MLLP block has an end and an HTTP body a
length (`test_mllp.py`, `test_feed_evidence.py`). Here the sender itself sent no more than that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from app.fhir import dump_json
from app.mappings.facts import Fact
from app.mappings.formats.hl7v2.er7 import Message, parse_message
from app.mappings.formats.json.decoder import JSON as JSON_RESULTS
from app.mappings.reasons import Reason
from tests.crf_support import CRF, CSV, JSON, as_csv, as_json, record
from tests.feed_support import (
    HIS,
    LIS,
    PLT,
    adt,
    map_bytes,
    map_one,
    message,
    msh,
    obr,
    obx,
    oml,
    oru,
    pid,
    ras,
    rde,
    resource_of,
    segment,
)
from tests.fhir_feed_support import observation, patient, report
from tests.table_support import result, table

OUL = message(
    msh("OUL^R22^OUL_R22"), pid(), "SPM|1|P-L1^L1||BLD^全血^99MRC", obr(), obx(value="120")
)
BUNDLE = {
    "resourceType": "Bundle",
    "type": "collection",
    "entry": [{"resource": each} for each in (patient(), report(), observation(value="120"))],
}
MESSAGES: dict[str, tuple[bytes, str, str]] = {
    "ORU": (oru(value="120", notes=["未见聚集"]), LIS, "hl7v2"),
    "OUL": (OUL, LIS, "hl7v2"),
    "RAS": (ras("20"), HIS, "hl7v2"),
    "ADT A01": (adt("A01", end="20190312080000+0800"), HIS, "hl7v2"),
    "ADT A08": (adt("A08", sex="F", born="19790504"), HIS, "hl7v2"),
    "ADT A40": (adt("A40", merged="T000000002"), HIS, "hl7v2"),
    "RDE": (rde("20"), HIS, "hl7v2"),
    "OML": (oml(), HIS, "hl7v2"),
    "CSV": (table(result(结果="120"), result(检验单号="L2", 结果="340")), LIS, "csv"),
    "JSON": (JSON_RESULTS.example.encode(), LIS, "json"),
    "FHIR": (dump_json(BUNDLE), LIS, "fhir"),
    "CRF CSV": (as_csv([record("adverse-event"), record("home-dose")]), CRF, CSV),
    "CRF JSON": (as_json(record("adverse-event"), record("home-dose")), CRF, JSON),
}


@pytest.mark.parametrize("name", [each for each in MESSAGES if MESSAGES[each][2] != "json"])
def test_a_feed_that_requires_line_ends_takes_nothing_behind_the_last_one(name: str) -> None:
    data, feed, format = MESSAGES[name]
    if not data.endswith((b"\r", b"\n")):
        return
    unended = data.rstrip(b"\r\n")
    whole = map_bytes(data, feed, format=format, segment_end="required")
    facts = map_bytes(unended, feed, format=format, segment_end="required")
    lost = [fact for fact in facts if fact.reason in (Reason.FRAME_BROKEN, Reason.PARSE)]
    assert not any(fact.reason in (Reason.FRAME_BROKEN, Reason.PARSE) for fact in whole)
    assert [fact.detail.endswith("no line end: it may be cut off") for fact in lost] == [True]
    if format == "hl7v2":
        assert facts == lost
        last = data.rstrip(b"\r").rpartition(b"\r")[2][:3].decode()
        assert lost[0].detail.startswith(f"{last}[1] ")


def test_a_merge_needs_its_last_line_end_on_every_feed() -> None:
    data, feed, _ = MESSAGES["ADT A40"]
    (fact,) = map_bytes(data.rstrip(b"\r"), feed)
    assert (fact.reason, fact.place) == (Reason.FRAME_BROKEN, "MSH[1]")
    assert [each.merge is not None for each in map_bytes(data, feed)] == [True]


def test_a_line_end_within_the_last_segment_does_not_end_it() -> None:
    cut = message(msh(), pid(), obr(), obx(), "NTE|1|L|first\nsecond").removesuffix(b"\r")
    (fact,) = map_bytes(cut, segment_end="required")
    assert fact.detail.startswith("NTE[1] ")


def amounts(facts: Sequence[Fact]) -> set[str]:
    """The numbers that would be stored, with their units."""
    resources = [fact.candidate.resource for fact in facts if fact.candidate]
    return {str(found) for each in resources for found in _quantities(each)}


def _quantities(node: Any) -> list[tuple[str, str]]:
    if isinstance(node, list):
        return [found for each in node for found in _quantities(each)]
    if not isinstance(node, dict):
        return []
    here = [(str(node["value"]), str(node.get("unit")))] if "unit" in node else []
    return here + [found for each in node.values() for found in _quantities(each)]


def is_defined(fact: Fact) -> bool:
    return bool(fact.outcome or fact.candidate or fact.merge)


@pytest.mark.parametrize(("data", "feed", "format"), MESSAGES.values(), ids=MESSAGES)
def test_a_message_cut_at_any_byte_has_an_outcome_and_no_other_number(
    data: bytes, feed: str, format: str
) -> None:
    whole = map_bytes(data, feed, format=format)
    assert all(fact.candidate or fact.merge or fact.outcome != "quarantined" for fact in whole)
    for end in range(len(data)):
        facts = map_bytes(data[:end], feed, format=format)
        assert facts, end
        assert all(is_defined(fact) for fact in facts), end
        assert amounts(facts) <= amounts(whole), end


@pytest.mark.parametrize("format", ["FHIR", "JSON", "CRF JSON"])
def test_of_a_document_cut_off_nothing_is_stored(format: str) -> None:
    data, feed, name = MESSAGES[format]
    assert any(fact.candidate for fact in map_bytes(data, feed, format=name))
    for end in range(len(data.rstrip())):
        assert not any(fact.candidate for fact in map_bytes(data[:end], feed, format=name)), end


def test_a_result_is_not_stored_before_its_unit_and_status_came() -> None:
    data = message(msh(), pid(), obr(), obx(value="120", f14=""))
    status = data.rindex(b"F")
    for end in range(data.index(b"OBX"), status + 1):
        assert not any(fact.candidate for fact in map_bytes(data[:end])), data[:end][-20:]
    assert resource_of(map_one(data[: status + 1]))


def ending_in(trail: int) -> list[str]:
    """The two-byte characters of GB 18030 whose second byte this is."""
    found = []
    for lead in range(0x81, 0xFF):
        try:
            found.append(bytes([lead, trail]).decode("gb18030"))
        except UnicodeDecodeError:
            continue
    return found


@pytest.mark.parametrize("trail", [*b"|^~\\"], ids=chr)
def test_no_character_of_gb18030_splits_a_name_a_note_or_a_value(trail: int) -> None:
    characters = ending_in(trail)
    assert len(characters) == 126
    for each in characters:
        text = f"甲{each}乙"
        coded = f"PLT^{text}^99MRC"
        data = message(
            *(msh(f4=each, f18="GB 18030-2000"), pid(f5=f"{text}^{each}"), obr(f3="L1")),
            *(obx(coded, "38"), obx(coded, text, "", f2="ST", f4="2"), f"NTE|1|L|{text}|R"),
            charset="gb18030",
        )
        number, other = map_bytes(data)
        resource = resource_of(number)
        assert (str(resource["valueQuantity"]["value"]), number.place) == ("38", "OBX[1]")
        assert data[number.span.start : number.span.end] == obx(coded, "38").encode("gb18030")
        assert (other.place, data[other.span.start : other.span.end]) == (
            "OBX[2]",
            obx(coded, text, "", f2="ST", f4="2").encode("gb18030"),
        )


@pytest.mark.parametrize("trail", [*b"|^~\\"], ids=chr)
def test_every_character_of_gb18030_comes_back_from_name_note_and_value(trail: int) -> None:
    for each in ending_in(trail):
        text = f"{each}{each}乙{each}"
        data = message(
            msh(f18="GB 18030-2000"),
            pid(f5=f"{text}^{each}~{each}^{text}"),
            segment("OBX", f2="ST", f3=PLT, f5=text, f6="10*9/L"),
            f"NTE|1|L|{text}|{each}",
            charset="gb18030",
        )
        read = parse_message(data, "gb18030")
        assert isinstance(read, Message)
        _, person, value, note = read.segments
        names = [person.text(5, part, time) for time in (1, 2) for part in (1, 2)]
        assert names == [text, each, each, text]
        assert (value.text(5), value.text(6)) == (text, "10*9/L")
        assert (note.text(3), note.text(4)) == (text, each)
