"""A participant's facts as the messages of the two hospital systems, dirt included.

Every kind of dirt has a rate, and the manifest names what each message is: a reader can see what
the service had to cope with. Equal participant, equal bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from random import Random

from app.simulation import panel
from app.simulation.draws import seeded
from app.simulation.hl7 import (
    GB18030,
    UTF8,
    Administration,
    Header,
    Patient,
    Report,
    Result,
    build_oru,
    build_ras,
)
from app.simulation.participant import Count, Dose, Level, Participant
from app.simulation.person import Person

LIS = "pumch-lis"
PHARMACY = "pumch-his"

GB18030_SHARE = 0.10
CORRECTED_SHARE = 0.02
WRONG_PATIENT_SHARE = 0.006
REPEATED_SHARE = 0.03
SENT_AGAIN_SHARE = 0.02
QUALITY_CONTROL_SHARE = 0.03
STRANGER_SHARE = 0.05
ARROW_SHARE = 0.02


@dataclass(frozen=True, slots=True)
class Message:
    """One message: the feed it goes to, when it was sent, its bytes, what kind it is, and in which
    format the feed receives it."""

    feed: str
    sent: datetime
    kind: str
    payload: bytes
    format: str = "hl7v2"


@dataclass(slots=True)
class Clerk:
    """Numbers the orders and messages of one participant; the only thing here that counts."""

    prefix: str
    orders: int = 0
    messages: int = 0

    def order(self) -> str:
        self.orders += 1
        return f"{self.prefix}{self.orders:04d}"

    def control_id(self) -> str:
        self.messages += 1
        return f"M{self.prefix[:-6]}-{self.prefix[-6:]}-{self.messages:04d}"


def build_messages(participant: Participant) -> tuple[Message, ...]:
    """All messages about a participant (and what arrives in between), in the order of sending."""
    person, seed = participant.person, participant.seed
    random = seeded(seed, "messages", person.number)
    clerk = Clerk(f"{seed % 1000:03d}{person.number:06d}")
    messages: list[Message] = []
    for count in participant.counts:
        messages.extend(_count_messages(random, clerk, person, count))
    for level in participant.levels:
        messages.extend(_level_messages(random, clerk, person, level))
    for dose in participant.doses:
        messages.extend(_dose_messages(random, clerk, person, dose))
    return tuple(sorted(messages, key=lambda message: message.sent))


def build_further_count(participant: Participant) -> Message:
    """One more platelet count, 142 ×10⁹/L four weeks after the last one: to send by hand."""
    person, drawn = participant.person, participant.counts[-1].drawn + timedelta(days=28)
    clerk = Clerk(f"X{participant.seed % 1000:03d}{person.number:06d}")
    results = (Result(panel.PLATELETS, "142", panel.USUAL_PLATELET_UNIT, "100-350"),)
    report = _report(clerk, panel.CBC_PANEL, drawn, drawn + timedelta(hours=2), results)
    header = Header("LIS", "ORU^R01^ORU_R01", clerk.control_id(), report.reported)
    return Message(LIS, header.sent, "count", build_oru(header, _patient(person), report))


# Blood counts


def _count_messages(
    random: Random, clerk: Clerk, person: Person, count: Count
) -> Iterator[Message]:
    """The count, its deliveries, and what else the laboratory sends around it."""
    patient, report = _patient(person), _count_report(random, clerk, count)
    if random.random() < CORRECTED_SHARE:
        yield from _corrected(random, clerk, patient, report)
    else:
        kind = "count-clumped" if count.clumped else "count"
        yield from _delivered(random, clerk, patient, report, kind)
    yield from _bystanders(random, clerk, person, count)


def _bystanders(random: Random, clerk: Clerk, person: Person, count: Count) -> Iterator[Message]:
    if random.random() < WRONG_PATIENT_SHARE:
        yield from _wrong_patient(random, clerk, _patient(person), count)
    if random.random() < QUALITY_CONTROL_SHARE:
        yield _quality_control(random, clerk, count)
    if random.random() < STRANGER_SHARE:
        report = _count_report(random, clerk, Count(count.drawn, random.randint(120, 340)))
        yield _report_message(random, clerk, _stranger(random), report, "non-participant")


def _count_report(random: Random, clerk: Clerk, count: Count) -> Report:
    results = [_other_result(random, analyte) for analyte in panel.OTHER_ANALYTES]
    results.insert(12, _platelet_result(random, count))
    return _report(
        clerk,
        panel.CBC_PANEL,
        count.drawn,
        count.drawn + timedelta(minutes=random.randint(60, 300)),
        tuple(results),
    )


def _platelet_result(random: Random, count: Count) -> Result:
    written = panel.write_platelets(random, count.platelets)
    low = count.platelets < 100
    arrow = " ↓" if low and random.random() < ARROW_SHARE else ""
    return Result(
        code=panel.PLATELETS,
        value=written.value + arrow,
        unit=written.unit,
        reference="100-350" if written.unit == panel.USUAL_PLATELET_UNIT else "",
        flag="A" if count.clumped else "L" if low else "",
        value_type="ST" if arrow else "NM",
        notes=("血小板聚集，建议枸橼酸抗凝复查",) if count.clumped else (),
    )


def _other_result(random: Random, analyte: panel.Analyte) -> Result:
    return Result(analyte.code, analyte.draw(random), analyte.unit, analyte.reference)


def _corrected(random: Random, clerk: Clerk, patient: Patient, report: Report) -> Iterator[Message]:
    """A wrong figure first; two hours later the right one, alone, with the same order and OBX-4."""
    right = next(result for result in report.results if result.code == panel.PLATELETS)
    wrong = replace(right, value=str(random.randint(2, 12)), unit=panel.USUAL_PLATELET_UNIT)
    first = tuple(wrong if result is right else result for result in report.results)
    yield _report_message(random, clerk, patient, replace(report, results=first), "count")
    second = replace(
        report,
        reported=report.reported + timedelta(hours=2),
        results=(replace(right, status="C"),),
        status="C",
    )
    yield _report_message(random, clerk, patient, second, "count-corrected")


def _wrong_patient(
    random: Random, clerk: Clerk, patient: Patient, count: Count
) -> Iterator[Message]:
    """Somebody else's count under this participant's number, then withdrawn with W."""
    drawn = count.drawn + timedelta(minutes=20)
    report = _count_report(random, clerk, Count(drawn, random.randint(150, 320)))
    yield _report_message(random, clerk, patient, report, "count-of-another")
    withdrawn = replace(
        report,
        reported=report.reported + timedelta(hours=3),
        results=tuple(replace(result, status="W") for result in report.results),
        status="C",
    )
    yield _report_message(random, clerk, patient, withdrawn, "wrong-patient")


def _quality_control(random: Random, clerk: Clerk, count: Count) -> Message:
    control = Patient("QC-LEVEL-2", "QC", None, "")
    results = (Result(panel.PLATELETS, str(random.randint(212, 228)), "10*9/L", "205-235"),)
    drawn = count.drawn.replace(hour=6)
    report = _report(clerk, panel.CONTROL_PANEL, drawn, drawn + timedelta(minutes=5), results)
    return _report_message(random, clerk, control, report, "quality-control", processing="Q")


def _stranger(random: Random) -> Patient:
    number = random.randint(1, 999_999)
    return Patient(f"N{number:09d}", f"测试非受试者{number:06d}", date(1970, 1, 1), "F")


# Levels and doses


def _level_messages(
    random: Random, clerk: Clerk, person: Person, level: Level
) -> Iterator[Message]:
    written = panel.write_level(random, level.ng_ml)
    result = Result(panel.SIROLIMUS_LEVEL, written.value, written.unit, "6-15")
    if written.value.startswith("<"):
        result = replace(result, value_type="ST")
    reported = level.drawn + timedelta(hours=random.randint(6, 30))
    report = _report(clerk, panel.LEVEL_PANEL, level.drawn, reported, (result,))
    yield from _delivered(random, clerk, _patient(person), report, "level")


def _dose_messages(random: Random, clerk: Clerk, person: Person, dose: Dose) -> Iterator[Message]:
    order = clerk.order()
    header = Header(
        application="HIS",
        message_type="RAS^O17^RAS_O17",
        control_id=clerk.control_id(),
        sent=dose.given + timedelta(minutes=random.randint(5, 40)),
    )
    given = Administration(
        placer=f"P{order}",
        filler=f"A{order}",
        drug=panel.SIROLIMUS_TABLET,
        given=dose.given,
        milligrams=f"{dose.mg:g}" if dose.taken else "0",
        completion="CP" if dose.taken else "RE",
    )
    kind = "dose" if dose.taken else "dose-refused"
    message = Message(PHARMACY, header.sent, kind, build_ras(header, _patient(person), given))
    yield message
    if random.random() < REPEATED_SHARE:
        yield replace(message, sent=message.sent + timedelta(minutes=3), kind="repeated")


# Delivery


def _delivered(
    random: Random, clerk: Clerk, patient: Patient, report: Report, kind: str
) -> Iterator[Message]:
    """Once; sometimes the same bytes again, sometimes the same report under a new message id."""
    message = _report_message(random, clerk, patient, report, kind)
    yield message
    if random.random() < REPEATED_SHARE:
        yield replace(message, sent=message.sent + timedelta(minutes=5), kind="repeated")
    if random.random() < SENT_AGAIN_SHARE:
        yield _report_message(random, clerk, patient, report, "sent-again", hours_later=12)


def _report_message(
    random: Random,
    clerk: Clerk,
    patient: Patient,
    report: Report,
    kind: str,
    *,
    processing: str = "P",
    hours_later: int = 0,
) -> Message:
    header = Header(
        application="LIS",
        message_type="ORU^R01^ORU_R01",
        control_id=clerk.control_id(),
        sent=report.reported + timedelta(minutes=1, hours=hours_later),
        charset=GB18030 if random.random() < GB18030_SHARE else UTF8,
        processing=processing,
    )
    return Message(LIS, header.sent, kind, build_oru(header, patient, report))


def _report(
    clerk: Clerk, code: str, collected: datetime, reported: datetime, results: tuple[Result, ...]
) -> Report:
    order = clerk.order()
    return Report(f"P{order}", f"L{order}", f"S{order}", code, collected, reported, results)


def _patient(person: Person) -> Patient:
    sex = "F" if person.female else "M"
    return Patient(person.mrn, person.name, person.birth_date, sex)
