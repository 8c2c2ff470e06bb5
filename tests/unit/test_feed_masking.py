"""The masked view of raw messages: what names a person is asterisks, byte for byte as long."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mappings.crf.forms import forms
from app.mappings.formats.decoders import DECODERS
from app.mappings.formats.hl7v2.er7 import Message, parse_message
from app.mappings.watching.masking import TIME as TIME_FORM
from app.mappings.watching.masking import Masked, fits, mask
from app.mappings.watching.masks import CUTS
from app.simulation import build_messages, simulate_participants
from tests.crf_support import CRF, CSV, JSON, as_csv, as_json, record
from tests.feed_support import LIS, message, msh, obr, obx, oru, pid, ras, site

NAME = "欧阳标记"
LATIN = "ZQXMARK"
PHONE = "13800138000"
MRN = "T900900901"
BIRTH = "19790504"
DOCTOR = "诸葛标记"
ORDER = "ORD778899"
ADDRESS = "标记路17号"
CARD = "110105197905040018"
MARKS = (NAME, LATIN, PHONE, MRN, BIRTH, DOCTOR, ORDER, ADDRESS, CARD)


def masked(data: bytes, format: str = "hl7v2", feed: str = LIS) -> Masked:
    setting = site().feeds[feed]
    return mask(data, CUTS.get(format), setting, site())


def marked(charset: str = "utf-8", *more: str) -> bytes:
    """A message with an identity in every place that standards have for one."""
    declared = "UNICODE UTF-8" if charset == "utf-8" else "GB 18030-2000"
    person = f"{MRN}^{NAME}^{LATIN}"
    return message(
        msh(f18=declared, f8=LATIN),
        f"EVN|A01|20190314||{LATIN}|{person}",
        pid(
            MRN,
            f2=MRN,
            f4=CARD,
            f5=f"{NAME}^一~{LATIN}^Q",
            f6=LATIN,
            f7=BIRTH,
            f8="F",
            f9=NAME,
            f11=f"{ADDRESS}^^北京",
            f13=f"{PHONE}^PRN",
            f14=PHONE,
            f18=MRN,
            f19=CARD,
            f21=MRN,
        ),
        f"PD1||||{person}",
        f"NK1|1|{NAME}|SPO|{ADDRESS}|{PHONE}",
        f"GT1|1|{MRN}|{NAME}|{LATIN}|{ADDRESS}|{PHONE}",
        f"IN1|1|A|{MRN}||||||||||||{LATIN}||{NAME}|SEL|{BIRTH}|{ADDRESS}",
        f"MRG|{MRN}|||{MRN}|||{NAME}",
        f"PV1|1|I|{ADDRESS}^3|||||{person}|{person}||||||||{person}||{MRN}",
        f"ORC|RE|{ORDER}|{ORDER}|{ORDER}||||||{person}|{person}|{person}",
        obr(ORDER, f2=ORDER, f10=person, f13=NAME, f16=person, f17=PHONE, f20=NAME, f31=NAME),
        f"NTE|1|L|{NAME} {PHONE}",
        obx(f15=LATIN, f16=person, f18=ORDER),
        obx("TXT^报告^99MRC", f"{NAME}的检查 {LATIN}", f2="TX"),
        obx("IDN^证号^99MRC", PHONE, f2="NM"),
        f"NTE|1|L|{LATIN}",
        f"SPM|1|{ORDER}|{ORDER}|BLD",
        f"ZXX|{NAME}|{PHONE}",
        *more,
        charset=charset,
    )


@pytest.mark.parametrize("charset", ["utf-8", "gb18030"])
def test_no_identity_of_a_message_is_shown_and_every_byte_keeps_its_place(charset: str) -> None:
    data = marked(charset)
    found = masked(data)
    assert len(found.data) == len(data)
    shown = found.data.decode(found.codec)
    assert [mark for mark in MARKS if mark in shown] == []
    assert found.hidden > 200


def test_the_result_itself_is_shown() -> None:
    shown = masked(marked()).data.decode()
    line = next(each for each in shown.split("\r") if each.startswith("OBX|1|NM|PLT"))
    assert line.startswith("OBX|1|NM|PLT^血小板计数^99MRC|1|38|10*9/L|||||F|||20190314080000+0800|")
    assert "|CBC^血常规^99MRC|" in shown


def test_the_bytes_of_a_fact_are_where_they_were() -> None:
    data = oru(value="38")
    read = parse_message(data, "gb18030")
    assert isinstance(read, Message)
    span = read.segments[-1].span
    shown = masked(data).data[span.start : span.end]
    assert shown == data[span.start : span.end]


def test_what_names_the_patient_is_masked_wherever_else_it_stands() -> None:
    data = message(msh(f10=MRN), pid(MRN, f5=NAME), obr(panel=f"CBC^{NAME}^99MRC"), obx(unit=MRN))
    shown = masked(data).data.decode()
    assert [mark for mark in (NAME, MRN) if mark in shown] == []


def test_a_name_that_is_also_who_assigned_the_number_is_not_taken_for_the_patients() -> None:
    assert b"|PUMCH|" in masked(oru()).data


def test_segments_that_no_rule_lists_show_their_name_and_separators_alone() -> None:
    shown = masked(message(msh(), "ZPI|1|2", "NK1|1|ab^c")).data
    assert shown.endswith(b"\rZPI|*|*\rNK1|*|**^*\r")


def test_a_line_that_continues_a_field_is_masked_with_it() -> None:
    shown = masked(message(msh(), pid(), obr(), obx()) + f"{LATIN} {NAME}\r".encode()).data
    assert LATIN.encode() not in shown
    assert NAME.encode() not in shown


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_line_ends_stay(end: str) -> None:
    data = message(msh(), pid(), end=end)
    assert masked(data).data.count(end.encode()) == data.count(end.encode())


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("38", True),
        ("<2.0", True),
        ("102 ↑", True),
        ("阳性", True),
        ("溶血", True),
        ("1,234.5", True),
        ("13800138000", False),
        ("110105197905040018", False),
        ("见王医生", False),
        ("Smith", False),
        ("19790504", False),
    ],
)
def test_a_value_is_shown_if_it_is_a_number_or_a_known_word(value: str, shown: bool) -> None:
    data = message(msh(), pid(), obr(), obx(value=value, f2="ST"))
    assert (f"|1|{value}|".encode() in masked(data).data) is shown


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("20190314101500.123+0800", True),
        ("2019", True),
        ("13800138000", False),
        ("19912345678", False),
        ("110105197905040018", False),
    ],
)
def test_a_telephone_number_is_no_time(text: str, allowed: bool) -> None:
    assert fits(text, TIME_FORM) is allowed


@pytest.mark.parametrize("format", ["hl7v2", "v3xml", "csv", "json", "fhir"])
@pytest.mark.parametrize("data", [f"{NAME} {LATIN}\r\n{PHONE}".encode(), b"\xff\xfe\x00MSH", b""])
def test_what_is_nothing_of_its_format_is_masked_as_a_whole(data: bytes, format: str) -> None:
    shown = masked(data, format).data
    assert len(shown) == len(data)
    assert set(shown) <= set(b"*\r\n,")


def test_a_format_without_rules_is_masked_as_a_whole() -> None:
    assert masked(oru(), "unheard-of").data.replace(b"\r", b"").strip(b"*") == b""


@given(st.binary(max_size=300), st.sampled_from([*CUTS]))
def test_any_bytes_are_masked_to_as_many(data: bytes, format: str) -> None:
    assert len(masked(data, format).data) == len(data)


@given(st.integers(0, 900), st.binary(max_size=12))
def test_damaged_messages_show_no_identity_either(place: int, junk: bytes) -> None:
    data = marked("gb18030")
    broken = data[:place] + junk + data[place:]
    found = masked(broken)
    assert len(found.data) == len(broken)
    shown = found.data.decode(found.codec, "replace")
    long = (NAME, PHONE, CARD, DOCTOR, ADDRESS)
    assert [mark for mark in long if mark in shown] == []


def identities(count: int) -> Sequence[tuple[bytes, Sequence[str]]]:
    """Simulated messages with what must not be seen of them."""
    found = []
    for participant in simulate_participants(count, seed=11):
        person = participant.person
        for each in build_messages(participant)[:15]:
            found.append((each.payload, (person.mrn, person.name)))
    return found


def test_no_simulated_message_shows_its_patient() -> None:
    for data, marks in identities(6):
        found = masked(data)
        shown = found.data.decode(found.codec)
        assert len(found.data) == len(data)
        assert [mark for mark in marks if mark in shown] == []


def test_an_administration_shows_its_drug_and_amount() -> None:
    shown = masked(ras(order=ORDER), feed="pumch-his").data.decode()
    assert "|SIR1^西罗莫司片1mg^99PUMCH|2|mg|" in shown
    assert ORDER not in shown


# Tables


def table(*rows: str, charset: str = "gb18030") -> bytes:
    return "".join(f"{row}\r\n" for row in rows).encode(charset)


def test_a_table_shows_the_columns_that_name_nobody() -> None:
    data = table(
        "病历号,姓名,检验单号,项目代码,结果,单位,采集时间,联系电话,备注,别的",
        f"{MRN},{NAME},{ORDER},PLT,38,10*9/L,2019/3/14 8:00,{PHONE},{LATIN},{ADDRESS}",
        f'"{MRN}","{NAME}",{ORDER},PLT,"{NAME}",10*9/L,{PHONE},,"a ""b"" {NAME}",',
    )
    found = masked(data, "csv")
    shown = found.data.decode(found.codec)
    assert len(found.data) == len(data)
    assert [mark for mark in MARKS if mark in shown] == []
    assert "病历号,姓名,检验单号,项目代码,结果,单位,采集时间,联系电话,备注,****" in shown
    assert ",PLT,38,10*9/L,2019/3/14 8:00," in shown


# JSON


def test_a_result_as_json_shows_what_names_nobody() -> None:
    sent = {
        "results": [
            {
                "patient": {
                    "identifiers": [{"number": MRN, "type": "MR"}],
                    "name": NAME,
                    "birth_date": "1979-05-04",
                },
                "order": {"filler": ORDER},
                "codes": [{"code": "PLT", "system": "99MRC", "display": "血小板计数"}],
                "value": 38.0,
                "unit": "10*9/L",
                "status": "final",
                "flags": ["L"],
                "collected": "2019-03-14T08:00:00+08:00",
                "notes": [NAME],
                LATIN: PHONE,
            }
        ]
    }
    data = json.dumps(sent, ensure_ascii=False).encode()
    shown = masked(data, "json").data.decode()
    assert [mark for mark in (*MARKS, "1979-05-04") if mark in shown] == []
    result = json.loads(shown)["results"][0]
    assert (result["value"], result["unit"], result["flags"]) == (38.0, "10*9/L", ["L"])
    assert result["codes"] == sent["results"][0]["codes"]
    assert result["collected"] == "2019-03-14T08:00:00+08:00"


def test_a_name_written_in_escapes_is_not_shown() -> None:
    data = json.dumps({"codes": [{"code": "PLT", "display": NAME}]}).encode()
    assert b"\\u6b27" not in masked(data, "json").data


def test_a_fhir_resource_shows_codes_values_and_times() -> None:
    observation = {
        "resourceType": "Observation",
        "id": MRN,
        "identifier": [{"system": "urn:lis", "value": ORDER}],
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "777-3"}], "text": NAME},
        "subject": {"reference": f"Patient/{MRN}", "display": NAME},
        "effectiveDateTime": "2019-03-14T08:00:00+08:00",
        "valueQuantity": {"value": 38, "unit": "10*9/L"},
        "performer": [{"display": DOCTOR}],
        "note": [{"text": NAME}],
    }
    patient = {
        "resourceType": "Patient",
        "name": [{"family": NAME, "given": [LATIN]}],
        "birthDate": "1979-05-04",
        "telecom": [{"value": PHONE}],
    }
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [
        {"fullUrl": f"urn:{MRN}", "resource": each} for each in (observation, patient)
    ]}  # fmt: skip
    shown = masked(json.dumps(bundle, ensure_ascii=False).encode(), "fhir").data.decode()
    assert [mark for mark in (*MARKS, "1979-05-04") if mark in shown] == []
    result = json.loads(shown)["entry"][0]["resource"]
    assert result["valueQuantity"] == {"value": 38, "unit": "10*9/L"}
    assert result["code"]["coding"] == observation["code"]["coding"]  # type: ignore[index]
    assert result["effectiveDateTime"] == "2019-03-14T08:00:00+08:00"


V3 = DECODERS["v3xml"].example.replace("T000000001", MRN).replace('"L1"', f'"{ORDER}"')


def test_a_v3_message_shows_its_codes_values_and_times() -> None:
    shown = masked(V3.encode(), "v3xml").data.decode()
    for each in (
        *('<code code="CBC" codeSystem="2.999.1.1"/>', '<creationTime value="20190314101500"/>'),
        *('<value xsi:type="PQ" value="38" unit="10*9/L"/>', "<POOR_IN200901UV xmlns="),
        *('<statusCode code="completed"/>', '<effectiveTime value="20190314080000"/>'),
        *('<id root="2.999.2.1" extension="**********"/>', "</observation></component>"),
    ):
        assert each in shown, each


def test_a_v3_message_shows_no_identity_wherever_it_stands() -> None:
    named = "".join(
        f"<{name}>{MARKS[0]}</{name}><{name} value='{each}' extension='{each}' {LATIN}='{each}'/>"
        for name in ("name", "birthTime", "telecom", "part", "text", LATIN, "value", "code")
        for each in MARKS
    )
    attributes = f'code="{LATIN}" displayName="{NAME}" unit="{PHONE}" xmlns:{LATIN}="urn:{PHONE}"'
    told = f"<!-- {NAME} --><patient>{named}</patient><value {attributes}>{NAME}</value>"
    data = V3.replace("<component>", told + f"<![CDATA[{CARD}]]><component>", 1).encode()
    found = masked(data, "v3xml")
    assert len(found.data) == len(data)
    assert b"<patient>" in found.data
    assert [each for each in MARKS if each.encode() in found.data] == []


def test_a_v3_message_that_cannot_be_read_is_masked_as_a_whole() -> None:
    assert set(masked(V3.encode()[:-5], "v3xml").data) <= set(b"*\n")


@pytest.mark.parametrize("form", sorted(forms()))
def test_a_case_report_form_shows_what_its_fields_may_hold(form: str) -> None:
    for data, format in ((as_json(record(form)), JSON), (as_csv([record(form)]), CSV)):
        assert masked(data, format, CRF).hidden == 0, masked(data, format, CRF).data


@pytest.mark.parametrize("mark", [each for each in MARKS if each != BIRTH])
def test_a_case_report_form_shows_no_identity(mark: str) -> None:
    wrong = [{**record("bleeding"), name: mark} for name in record("bleeding")]
    wrong += [{**record("activity-score"), "items": {mark: 1}}, {**record("visit"), mark: mark}]
    for each in wrong:
        for data, format in ((as_json(each), JSON), (as_csv([each]), CSV)):
            found = masked(data, format, CRF).data
            assert len(found) == len(data)
            assert mark.encode() not in found, (each, format)
