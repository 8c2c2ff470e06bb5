"""The coverage ledger: every leaf of a message is mapped, carried, or ignored by a named rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import ClassVar

import pytest

from app.mappings import Found
from app.mappings.context import Context
from app.mappings.facts import Source
from app.mappings.formats.decoders import DECODERS
from app.mappings.formats.decoding import map_message
from app.mappings.formats.hl7v2 import er7, fields
from app.mappings.formats.hl7v2.er7 import Segment
from app.mappings.formats.hl7v2.places import Place, parse_place
from app.mappings.formats.hl7v2.reads import READS, find_reads
from app.mappings.ledger.leaves import Ledger, build_ledger, list_entries
from app.mappings.ledger.rules import LedgerRow, build_rules
from app.simulation import build_messages, simulate_participants
from tests.feed_support import (
    FEED_KEYS,
    HIS,
    LIS,
    MRN,
    SUBJECT,
    adt,
    message,
    msh,
    obr,
    obx,
    oml,
    oru,
    pid,
    ras,
    rde,
    segment,
    site,
)

READ_NOTE = "NTE|1|L|标本正常"
SPECIMEN = "SPM|1|S-1^S-2||BLD|||||||||||||20190314080000+0800"


def ledger_of(data: bytes, feed: str = LIS, *, known: bool = True, format: str = "hl7v2") -> Ledger:
    setting, decoder = site().feeds[feed], DECODERS[format]
    read = decoder.read(data, setting, site())
    source = Source(feed, "0" * 64, datetime(2019, 3, 14, 3, tzinfo=UTC), site().version)
    found = Found((SUBJECT,) if known else (), (b"w" * 32,))
    context = Context(site(), setting, FEED_KEYS.result_hmac, source)
    facts = map_message(decoder, read, dict.fromkeys(read.claims.values(), found), context)
    ledger = build_ledger(read, facts, setting)
    assert ledger is not None
    return ledger


def rule_at(data: bytes, path: str, feed: str = LIS) -> str:
    """The rule by which a leaf is ignored, or what else became of it."""
    setting, decoder = site().feeds[feed], DECODERS["hl7v2"]
    read = decoder.read(data, setting, site())
    entries = list_entries(read, (), setting)
    assert entries is not None
    (verdict,) = [each.verdict for each in entries if each.path == path]
    return verdict.rule or verdict.kind


def prescription(*details: str) -> bytes:
    orc = "ORC|RO|P-7|F-7||SC||||20190314073000+0800"
    return message(msh("OMP^O09^OMP_O09"), pid(), orc, *details)


MESSAGES: Sequence[tuple[str, bytes]] = (
    (LIS, oru(f8="L~H", f19="20190314081000+0800", notes=("标本正常",))),
    (LIS, oru(order="")),
    (LIS, message(msh("ORU^R01"), pid(), "ORC|RE|P-1|L-1", obr(f2="", f3=""), obx())),
    (LIS, message(msh("ORU^R01"), pid(), obr(f7=""), obx(f14=""), SPECIMEN)),
    (LIS, message(msh("ORU^R01"), pid(), obr(), obx(unit="10~9/L"), READ_NOTE)),
    (LIS, message(msh("OUL^R22^OUL_R22"), pid(), SPECIMEN, obr(f2="", f3=""), obx())),
    (HIS, ras()),
    (HIS, ras(action="D")),
    (HIS, adt("A01", sex="F", born="19790504")),
    (HIS, adt("A03", end="20190312120000+0800")),
    (HIS, adt("A08", visit="")),
    (
        HIS,
        message(msh("ADT^A08"), "EVN|A08|20190310", pid(), segment("PV1", f2="I", f50="V^^^HIS")),
    ),
    (HIS, adt("A40", merged="T000000002")),
    (HIS, adt("A40", merged="T000000002").removesuffix(b"\r") + "||||||测试^一\r".encode()),
    (HIS, rde()),
    (HIS, rde(control="RO")),
    (HIS, oml()),
    (HIS, oml(kind="ORM^O01^ORM_O01", filler="F-1")),
    (HIS, prescription("RXO|SIR1^西罗莫司片1mg^99PUMCH|2||mg", "RXR|PO^口服")),
    (
        HIS,
        prescription("RXE|^QD^^20190314080000+0800^20190317080000+0800|SIR1^^99PUMCH|2|3|mg^mg"),
    ),
    (
        HIS,
        message(
            msh("OMP^O09^OMP_O09"),
            pid(),
            "ORC|NW|P-7|||||^QD^^20190314080000+0800^20190317080000+0800||20190314073000+0800",
            "RXO|SIR1^^99PUMCH|2||mg",
        ),
    ),
    (
        HIS,
        prescription("TQ1|1|2^mg|QD", "RXO|SIR1^^99PUMCH", "TQ1|1|2^mg|BID||||20190314|20190315"),
    ),
)


@pytest.mark.parametrize(("feed", "data"), MESSAGES)
def test_nothing_of_an_invented_message_is_unexplained(feed: str, data: bytes) -> None:
    ledger = ledger_of(data, feed)
    assert ledger.paths == ()
    assert ledger.mapped > 0


def test_nothing_of_the_simulated_messages_is_unexplained() -> None:
    told = [
        ledger_of(each.payload, each.feed, format=each.format)
        for participant in simulate_participants(2, seed=4)
        for each in build_messages(participant)
    ]
    assert len(told) > 50
    assert {path for each in told for path in each.paths} == set()


def test_a_field_that_no_rule_names_is_unexplained_and_its_value_is_not_told() -> None:
    ledger = ledger_of(oru(f40="secret"))
    assert (ledger.unexplained, ledger.paths) == (1, ("OBX[1]-40.1",))


def test_a_segment_that_no_rule_names_is_unexplained() -> None:
    assert ledger_of(oru() + b"ZLR|1|a^b&c\r").paths == (
        "ZLR[1]-1.1",
        "ZLR[1]-2.1",
        "ZLR[1]-2.2",
        "ZLR[1]-2.2.2",
    )


def test_a_second_repetition_of_a_field_read_once_is_unexplained() -> None:
    assert ledger_of(oru(status="F~C")).paths == ("OBX[1]-11[2].1",)


def test_every_repetition_of_a_patient_number_is_read() -> None:
    data = message(msh(), pid(f3=f"{MRN}^^^PUMCH^MR~9^^^X^PI"), obr(), obx())
    assert rule_at(data, "PID[1]-3[2].1") == "mapped"


def test_names_and_addresses_are_ignored_as_direct_identifiers() -> None:
    data = message(msh(), pid(f11="街1号", f13="1390"), obr(), obx(), "NK1|1|某^人")
    for path in ("PID[1]-11.1", "PID[1]-13.1", "NK1[1]-2.2"):
        assert rule_at(data, path) == "direct-identifier"


def test_the_number_of_an_order_counts_once_where_two_segments_tell_it() -> None:
    data = message(msh(), pid(), "ORC|RE|P-L1|L1", obr(), obx())
    assert rule_at(data, "ORC[1]-3.1") == "alternative"
    assert rule_at(data, "OBR[1]-3.1") == "mapped"


def test_a_note_below_a_patient_is_ignored_and_one_below_a_result_is_read() -> None:
    data = message(msh(), pid(), "NTE|1|L|a", obr(), obx(), "NTE|1|L|b")
    assert rule_at(data, "NTE[1]-3.1") == "loose-note"
    assert rule_at(data, "NTE[2]-3.1") == "mapped"


def test_nothing_of_a_stranger_is_mapped_but_who_it_is() -> None:
    ours, theirs = ledger_of(oru()), ledger_of(oru(), known=False)
    assert theirs.mapped < ours.mapped
    assert theirs.unexplained == 0
    assert theirs.mapped + theirs.carried + theirs.ignored == (
        ours.mapped + ours.carried + ours.ignored
    )


def test_a_message_in_quarantine_is_ignored_as_a_whole() -> None:
    ledger = ledger_of(message(msh("ORU^W01"), pid(), "ZZZ|1"))
    assert (ledger.mapped, ledger.unexplained) == (0, 0)
    assert ledger.ignored > 5


def test_an_unknown_column_of_a_table_is_unexplained() -> None:
    table = (
        "病历号,检验单号,组合代码,项目代码,结果,单位,结果状态,采集时间,姓名,奇怪\r\n"
        f"{MRN},L1,CBC,PLT,38,10*9/L,已审核,2019/3/14 8:00,测试一,x\r\n"
    )
    ledger = ledger_of(table.encode(), format="csv")
    assert ledger.paths == ("column[10]",)
    assert ledger.mapped >= 8


def test_every_value_of_a_json_result_is_mapped_and_a_failed_result_is_ignored() -> None:
    sound = DECODERS["json"].example
    ledger = ledger_of(sound.encode(), format="json")
    assert (ledger.ignored, ledger.unexplained) == (0, 0)
    assert ledger.mapped > 10
    wrong = ledger_of(sound.replace('"unit"', '"unitt"').encode(), format="json")
    assert (wrong.mapped, wrong.ignored) == (0, 1)


# The declared table is what the mappers read


class Tagged(str):
    """A repetition that knows its field."""

    __slots__ = ("field",)
    field: int

    @classmethod
    def of(cls, text: str, field: int) -> Tagged:
        made = cls(text)
        made.field = field
        return made


class Recording(Segment):
    """A segment that writes down which components of it are asked for."""

    asked: ClassVar[set[tuple[str, int, int, int]]] = set()

    def raw(self, field: int) -> str:
        return Tagged.of(super().raw(field), field)

    def repetitions(self, field: int) -> tuple[str, ...]:
        return tuple(Tagged.of(each, field) for each in super().repetitions(field))

    def text(
        self, field: int, component: int = 1, repetition: int = 1, subcomponent: int = 0
    ) -> str:
        self.asked.add((self.name, field, component, subcomponent))
        return super().text(field, component, repetition, subcomponent)

    def part(self, repetition: str, component: int, subcomponent: int = 0) -> str:
        if isinstance(repetition, Tagged):
            self.asked.add((self.name, repetition.field, component, subcomponent))
        return super().part(repetition, component, subcomponent)

    def whole(self, raw: str) -> str:
        if isinstance(raw, Tagged):
            self.asked.add((self.name, raw.field, 0, 0))
        return super().whole(raw)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[tuple[str, int, int, int]]]:
    monkeypatch.setattr(er7, "Segment", Recording)
    monkeypatch.setattr(fields, "MAX_REMEMBERED", -1)
    Recording.asked.clear()
    yield Recording.asked
    Recording.asked.clear()


def _reads(place: Place, name: str, field: int, component: int, sub: int) -> bool:
    return (
        place.segment == name
        and place.fields is not None
        and field in place.fields
        and (component == 0 or component in place.parts)
        and (sub == 0 or sub in place.subs)
    )


NOT_OF_THE_CONTENT = {("MSH", field) for field in (3, 4, 5, 6, 12, 15, 16)}
WHOLE_FIELDS = {("MSH", 1), ("MSH", 2), ("MSH", 18), ("OBX", 5), ("NTE", 3)}
"""Read as one text: which of their components are asked for says nothing."""


@pytest.mark.parametrize(("feed", "data"), MESSAGES)
def test_all_that_a_mapper_asks_for_is_declared(
    feed: str, data: bytes, asked: set[tuple[str, int, int, int]]
) -> None:
    ledger_of(data, feed)
    reads = find_reads(*_type_of(data))
    assert reads is not None
    places = (*reads.mapped, *reads.carried)
    undeclared = {
        each for each in asked if each[:2] not in NOT_OF_THE_CONTENT
        if not any(_reads(place, *each) for place in places)
    }  # fmt: skip
    assert undeclared - GRANTED.get(_type_of(data)[1], set()) == set()


GRANTED: dict[str, set[tuple[str, int, int, int]]] = {
    "A40": {("MSH", 7, 1, 0), ("EVN", 2, 1, 0), ("EVN", 6, 1, 0)}
}
"""Asked for on the way, and not used."""


@pytest.mark.parametrize("key", sorted(READS))
def test_all_that_is_declared_is_asked_for_by_a_mapper(
    key: str, asked: set[tuple[str, int, int, int]]
) -> None:
    for feed, data in MESSAGES:
        code, trigger = _type_of(data)
        if READS.get(f"{code}^{trigger}", READS.get(code)) is READS[key]:
            ledger_of(data, feed)
    for place in (*READS[key].mapped, *READS[key].carried):
        assert place.fields is not None
        for field in place.fields:
            if (place.segment, field) not in WHOLE_FIELDS:
                assert any(_reads(place, *each) and each[1] == field for each in asked), place


def _type_of(data: bytes) -> tuple[str, str]:
    code, trigger, *_ = data.split(b"|")[8].decode().split("^")
    return code, trigger


# Rules as data


def test_places_are_written_as_hl7_writes_them() -> None:
    assert parse_place("NK1") == Place("NK1")
    assert parse_place("PV1-3-18").fields == range(3, 19)
    found = parse_place("PID-3[*].4.1-2")
    assert (found.every, found.parts, found.subs) == (True, range(4, 5), range(1, 3))


@pytest.mark.parametrize("text", ["", "nk1", "PID3", "PID-3.", "PV1-9-3", "PID-3[2].1"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"place|before it begins"):
        parse_place(text)


EXPLAINED = LedgerRow(2, "rule", "not-needed", "nobody needs it")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (LedgerRow(3, "*", "PID-99x", "not-needed"), "line 3: place"),
        (LedgerRow(3, "*", "PID-9", "other"), "line 3: rule: 'other' is not explained"),
        (LedgerRow(3, "oru", "PID-9", "not-needed"), "line 3: message"),
        (LedgerRow(3, "rule", "No Name", "text"), "line 3: a rule needs a name"),
    ],
)
def test_a_wrong_row_names_its_line_and_why(row: LedgerRow, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        build_rules([EXPLAINED, row])


def test_two_rows_about_one_place_are_refused() -> None:
    rows = [
        EXPLAINED,
        LedgerRow(3, "*", "PID-9-11", "not-needed"),
        LedgerRow(4, "ADT", "PID-11.2", "not-needed"),
    ]
    with pytest.raises(ValueError, match=r"line 4: place: PID-11\.2 is named by another row"):
        build_rules(rows)


def test_every_rule_of_the_shipped_site_is_used() -> None:
    rules = site().feeds[LIS].ledger
    of_trees = {*rules.elements.values(), *rules.marks.values()}
    assert {row.rule for row in rules.rows} | of_trees == set(rules.texts)


def test_a_segment_in_a_message_with_other_separators_is_read_with_those() -> None:
    data = oru().replace(b"^", b"$")
    assert ledger_of(data).paths == ()
