"""Results as HL7 V3-style XML: `POOR_IN200901UV` and the clinical documents of the hospital
platform standard WS/T 846, whatever their vendor calls the elements between.

What is read is what the shapes have in common: a patient's role with its ids, observations with
code and value, and what stands around each: the report or battery with its ids, code and times, and
the specimen. Systems are OIDs (`systems.csv`). The answer is MCCI_IN000002UV01.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from app.mappings.context import Context, Resolutions
from app.mappings.dictionary.code_systems import Systems
from app.mappings.dictionary.site import FeedSetting, Site
from app.mappings.elements import Element, Elements
from app.mappings.facts import Fact
from app.mappings.formats.decoding import Decoder, Head, Read, find_control, header_text
from app.mappings.formats.flat_results import FlatResult, map_flat_results, settle_mentions
from app.mappings.formats.row_records import read_birth_date, read_time
from app.mappings.formats.v3xml.ack import acknowledge_v3
from app.mappings.formats.v3xml.elements import Malformed, XmlElement, parse_elements
from app.mappings.formats.v3xml.reads import BESIDE
from app.mappings.forms import shown_type
from app.mappings.frame import Span
from app.mappings.reasons import Failure, Reason
from app.mappings.records import (
    NO_CODING,
    Coding,
    Identifier,
    OrderRecord,
    PatientRecord,
    ResultRecord,
)
from app.mappings.result_key import OrderNumbers
from app.mappings.rules.results import MAX_CODE_LENGTH
from app.mappings.subjects import read_claim

ROOTS = ("POOR_IN200901UV", "clinicalDocument", "ClinicalDocument")
REPORTS = frozenset({"observationReport", "organizer", "observationRequest", "act", "section"})
MAX_RESULTS = 10_000
NEGATED = "negated"
"""What `negationInd` makes of a status: the message says that this was not observed."""

STATUSES: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("completed", "final"), "F"),
        **dict.fromkeys(("active", "preliminary"), "P"),
        "corrected": "C",
        "amended": "A",
        **dict.fromkeys(("aborted", "cancelled"), "X"),
        "nullified": "D",
    }
)
"""ActStatus → HL7 table 0085; any other word is judged as it is."""

ELEMENTS: Elements = MappingProxyType(
    {
        Element.SUBJECT: "patient/id",
        Element.NAME: "patient/name",
        Element.BIRTH_DATE: "patient/birthTime",
        Element.CODE: "observation/code",
        Element.SUB_ID: "observation/id",
        Element.VALUE: "observation/value",
        Element.UNIT: "observation/value/@unit",
        Element.REFERENCE: "observation/referenceRange",
        Element.FLAG: "observation/interpretationCode",
        Element.STATUS: "observation/statusCode",
        Element.TIME: "observation/effectiveTime",
        Element.ORDER_TIME: "specimen/effectiveTime",
    }
)
EXAMPLE = """<POOR_IN200901UV xmlns="urn:hl7-org:v3" ITSVersion="XML_1.0"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><id extension="42"/>
<creationTime value="20190314101500"/><controlActProcess><subject><observationReport>
<id root="2.999.3.1" extension="L1"/><code code="CBC" codeSystem="2.999.1.1"/>
<recordTarget><patient><id root="2.999.2.1" extension="T000000001"/></patient></recordTarget>
<component><observation><code code="PLT" codeSystem="2.999.1.1"/><statusCode code="completed"/>
<effectiveTime value="20190314080000"/><value xsi:type="PQ" value="38" unit="10*9/L"/>
</observation></component></observationReport></subject></controlActProcess></POOR_IN200901UV>
"""


@dataclass(frozen=True, slots=True)
class Found:
    """An observation that is a result, and what it stands in, outermost first."""

    place: str
    element: XmlElement
    around: tuple[XmlElement, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class V3Content:
    """The bytes and their root; of a message that is taken also the message in it, its results,
    and whom it is about."""

    data: bytes = field(repr=False)
    root: XmlElement = field(repr=False)
    message: XmlElement | None = field(default=None, repr=False)
    found: tuple[Found, ...] = field(default=(), repr=False)
    patient: PatientRecord | None = field(default=None, repr=False)


def read_v3(data: bytes, setting: FeedSetting, site: Site) -> Read:
    """Finds the results, and whom the message is about."""
    whole = Span(0, len(data))
    root = parse_elements(data)
    if isinstance(root, Malformed):
        failure = Failure(Reason.PARSE, root.detail)
        return Read(None, whole, Head("V3", "", "", "utf-8"), failure)
    head = _read_head(root, setting)
    message = _find_message(root)
    if message is None:
        failure = Failure(Reason.UNSUPPORTED_TYPE, "no message of this kind is taken", Element.TYPE)
        return Read(V3Content(data, root), whole, head, failure)
    found = tuple(_find_results(message))
    if len(found) > MAX_RESULTS:
        failure = Failure(Reason.STRUCTURE, f"a message may have {MAX_RESULTS} results")
        return Read(V3Content(data, root), whole, head, failure)
    roles = find_roles(message)
    if len({tuple(sorted(each.get("extension") for each in _ids(role))) for role in roles}) > 1:
        failure = Failure(Reason.STRUCTURE, "more than one patient", Element.SUBJECT)
        return Read(V3Content(data, root), whole, head, failure)
    patient = _read_patient(roles[0], site.systems) if roles else None
    content = V3Content(data, root, message, found, patient)
    processing = message.child("processingCode")
    if control := find_control(processing.get("code") if processing else "", setting):
        return Read(content, whole, head, controls=(None, patient), control=control)
    if patient is None:
        return Read(content, whole, head)
    claims = {patient: read_claim(patient, setting, site)}
    return Read(content, whole, head, claims=claims)


def _read_head(root: XmlElement, setting: FeedSetting) -> Head:
    message = _find_message(root) or root
    told = message.child("id")
    declared = header_text(setting.transport_charset)
    mismatch = declared.lower() not in ("", "utf-8", "utf8")
    control = told.get("extension") if told else ""
    return Head(shown_type(message.name), header_text(control), declared, "utf-8", mismatch)


def _find_message(root: XmlElement) -> XmlElement | None:
    """The message itself, also within a SOAP envelope."""
    return next((each for each in root.walk() if each.name.startswith(ROOTS)), None)


def _find_results(message: XmlElement) -> Iterator[Found]:
    """Observations with a code and a value, below which no others stand."""
    waiting: list[tuple[XmlElement, tuple[XmlElement, ...]]] = [(message, ())]
    number = 0
    while waiting:
        element, around = waiting.pop()
        if element.name == "observation" and _is_result(element):
            yield Found(f"observation[{number}]", element, around)
            number += 1
        elif element.name != "observationRange":
            waiting += [(child, (*around, element)) for child in reversed(element.children)]


def _is_result(element: XmlElement) -> bool:
    has_others = any(each.name == "observation" for each in element.walk() if each is not element)
    return (
        element.child("code") is not None
        and not has_others
        and bool(element.child("value") or element.child("result"))
    )


# Patient


def find_roles(message: XmlElement) -> list[XmlElement]:
    """The elements that name a patient by number."""
    named = (each for each in message.walk() if each.name in ("patientRole", "patient"))
    return [each for each in named if any(_ids(each))]


def _read_patient(role: XmlElement, systems: Systems) -> PatientRecord:
    ids = [each for each in _ids(role) if each.get("extension")]
    person = find_person(role)
    birth = person.child("birthTime")
    names = [text for each in person.all("name") if (text := _name(each))]
    return PatientRecord(
        tuple(_identifier(each, systems) for each in ids),
        tuple(dict.fromkeys(names)),
        read_birth_date(birth.get("value")) if birth else "",
    )


def find_person(role: XmlElement) -> XmlElement:
    """The element that has the name and the birth date."""
    return next((each for each in role.walk() if each.child("birthTime") is not None), role)


def _ids(element: XmlElement) -> Iterator[XmlElement]:
    """`<id extension=…/>`, and `<id><item extension=…/></id>`."""
    for each in element.all("id"):
        items = list(each.all("item"))
        yield from items or (each,)


def _identifier(element: XmlElement, systems: Systems) -> Identifier:
    root = element.get("root")
    authority, kind = systems.patient(root) or (root, "" if root else "MR")
    return Identifier(element.get("extension"), kind, authority)


def _name(element: XmlElement) -> str:
    """The text, or the parts of `<item><part value=…/></item>`."""
    parts = [each.get("value") for each in element.walk() if each.name == "part"]
    told = [each.text.strip() for each in element.walk() if each.text.strip()]
    return " ".join(filter(None, parts)) or " ".join(told)


# Results


def map_v3(read: Read, context: Context, subjects: Resolutions) -> list[Fact]:
    """A fact per observation."""
    content: V3Content = read.content
    assert content.message is not None  # of a message without failure
    sent, systems = _read_time(content.message.child("creationTime")), context.site.systems
    flat = [_read_flat(each, content.patient, sent, systems) for each in content.found]
    return settle_mentions(map_flat_results(flat, context, subjects))


def _read_flat(
    found: Found, patient: PatientRecord | None, sent: str, systems: Systems
) -> FlatResult:
    element, numbers = found.element, _read_numbers(found, systems)
    order = OrderRecord(
        found.place,
        element.span,
        patient,
        ELEMENTS,
        OrderNumbers(
            numbers.get("filler", ""), numbers.get("placer", ""), numbers.get("specimen", "")
        ),
        _read_panel(found, systems),
        is_report=False,
        collected=_read_collected(found),
        sent=sent,
    )
    return order, _read_result(found, numbers.get("sub_id", ""), systems)


def _read_numbers(found: Found, systems: Systems) -> dict[str, str]:
    """Numbers of known systems: of the result, then of what is around it, the nearest first; the
    specimen's stands beside."""
    numbers: dict[str, str] = {}
    for element in (found.element, *reversed(found.around)):
        for each in (*_ids(element), *_ids_beside(element)):
            role, namespace = systems.number(each.get("root")) or ("", "")
            number = each.get("extension")
            if role and number:
                numbers.setdefault(role, f"{number}^{namespace}" if namespace else number)
    return numbers


def _ids_beside(element: XmlElement) -> Iterator[XmlElement]:
    for child in element.children:
        if child.name in BESIDE:
            for each in child.walk():
                yield from _ids(each)


def _read_panel(found: Found, systems: Systems) -> Coding:
    """The code of the nearest report or battery around."""
    for element in reversed(found.around):
        code = element.child("code")
        if element.name in REPORTS and code is not None and code.get("code"):
            return _read_coding(code, systems)
    return NO_CODING


def _read_coding(element: XmlElement, systems: Systems) -> Coding:
    code, system = element.get("code"), systems.code(element.get("codeSystem"))
    return Coding(code[:MAX_CODE_LENGTH], system[:MAX_CODE_LENGTH], element.get("displayName"))


def _read_codings(element: XmlElement | None, systems: Systems) -> tuple[Coding, ...]:
    if element is None:
        return (NO_CODING,)
    told = (element, *element.all("translation"))
    return tuple(_read_coding(each, systems) for each in told)


def _read_collected(found: Found) -> str:
    """When the specimen around was taken."""
    for element in reversed(found.around):
        for each in element.all("specimen"):
            times = [inner for inner in each.walk() if inner.name == "effectiveTime"]
            if text := next((text for time in times if (text := _read_time(time))), ""):
                return text
    return ""


def _read_time(element: XmlElement | None) -> str:
    """The moment, or the beginning of an interval."""
    if element is None:
        return ""
    low = element.child("low")
    return read_time(element.get("value") or (low.get("value") if low else ""))


def _read_result(found: Found, sub_id: str, systems: Systems) -> ResultRecord:
    element = found.element
    word = _read_status(found)
    kind, text = _read_value(element)
    value = element.child("value")
    flags = [each.get("code") or each.get("displayName") for each in _flags(element)]
    return ResultRecord(
        found.place,
        element.span,
        ELEMENTS,
        _read_codings(element.child("code"), systems),
        sub_id,
        kind,
        (text,) if text else (),
        text,
        unit=value.get("unit") if value else "",
        reference=_read_reference(element),
        flags=tuple(flag for flag in flags if flag),
        status=STATUSES.get(word, word),
        collected=_read_time(element.child("effectiveTime")),
        notes=tuple(note for note in (_text_of(element.child("text")),) if note),
    )


def _read_status(found: Found) -> str:
    """The result's own status, else that of the nearest around it. One that is denied, or stands in
    what is denied, has none that is known."""
    if any(each.get("negationInd") in ("true", "1") for each in (found.element, *found.around)):
        return NEGATED
    statuses = (each.child("statusCode") for each in (found.element, *reversed(found.around)))
    return next((status.get("code") for status in statuses if status), "")


def _flags(element: XmlElement) -> Sequence[XmlElement]:
    return list(element.all("interpretationCode"))


def _read_value(element: XmlElement) -> tuple[str, str]:
    """Value type and text: of a quantity its number, of a code its name, else what is written; some
    vendors write the value beside the unit."""
    value, beside = element.child("value"), _text_of(element.child("result"))
    if value is None:
        return "", beside
    if value.type in ("PQ", "INT", "REAL"):
        number = value.get("value") or value.text.strip()
        return ("NM", number) if number else ("", beside)
    if value.type in ("CD", "CE", "CV", "CO"):
        return "", value.get("displayName") or value.get("code") or beside
    if value.type.startswith("IVL"):
        return "", _read_interval(value) or beside
    return "", value.get("value") or value.text.strip() or beside


def _read_interval(element: XmlElement) -> str:
    low, high = (element.child(name) for name in ("low", "high"))
    if low is not None and high is not None:
        return f"{low.get('value')}-{high.get('value')}"
    limit, sign = (low, ">") if low is not None else (high, "<")
    if limit is None:
        return ""
    equal = "=" if limit.get("inclusive") in ("", "true") else ""
    return f"{sign}{equal}{limit.get('value')}"


def _read_reference(element: XmlElement) -> str:
    """The reference range: its limits, else its text."""
    ranges = list(element.all("referenceRange"))
    if len(ranges) != 1:
        return ""
    value = next((each for each in ranges[0].walk() if each.name == "value"), None)
    told = _read_interval(value) if value is not None else ""
    text = next((each for each in ranges[0].walk() if each.name == "text"), None)
    return told or _text_of(text)


def _text_of(element: XmlElement | None) -> str:
    return (element.get("value") or element.text.strip()) if element is not None else ""


V3XML = Decoder(
    format="v3xml",
    title="HL7 V3 XML",
    media_types=frozenset({"application/xml", "text/xml", "application/hl7-v3+xml"}),
    whole="message",
    read=read_v3,
    map=map_v3,
    acknowledge=acknowledge_v3,
    answer_type="application/xml",
    elements={Element.TYPE: "message", Element.CHARSET: "charset"},
    example=EXAMPLE,
)
