"""What a source says, before any rule: results, doses and patients as texts, whatever their format.

Readers (one per format) make these records; the rules (`rules/`) turn
them into facts. Readers resolve escapes and cut outer blanks; they judge nothing. Two vocabularies
are common to all: status letters are those of HL7 tables 0085 (results), 0123 (reports) and 0322
(administrations), value types those of table 0125 (`NM`, `SN`, `ST`; '' is text that may hold a
number). Readers of other formats translate their own words to them.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from app.mappings.elements import Elements, no_elements
from app.mappings.frame import Span
from app.mappings.result_key import OrderNumbers
from app.numerous import numerous

Patient = Hashable | None
"""Whom a record is about: a key of the reader's own, the same as in `Read.claims`; None: nobody."""


@dataclass(frozen=True, slots=True)
class Identifier:
    """A patient's number, the kind of number, and who gave it, as sent."""

    number: str = field(repr=False)
    kind: str = ""
    authority: str = ""


@dataclass(frozen=True, slots=True)
class PatientRecord:
    """Who a source says a patient is. `names` in every spelling that may be the enrolled one;
    `birth_date` as eight digits, else ''."""

    identifiers: tuple[Identifier, ...] = field(repr=False)
    names: tuple[str, ...] = field(default=(), repr=False)
    birth_date: str = field(default="", repr=False)


@numerous(frozen=True, slots=True)
class Coding:
    """A code with the system as the site's dictionary names it (`99MRC`, `LN`)."""

    code: str = ""
    system: str = ""
    display: str = ""


NO_CODING = Coding()
NO_NUMBERS = OrderNumbers()


@numerous(frozen=True, slots=True)
class ResultRecord:
    """One result. `span` is in bytes of the message.

    `codings` are tried in order. `components` are those of the value, of which `value_text` is the
    whole; `repeated`: several values were sent. `absent_reason`: the source says by a code that
    there is no value (http://terminology.hl7.org/CodeSystem/data-absent-reason).
    """

    place: str
    span: Span
    elements: Elements = field(default_factory=no_elements, repr=False)
    codings: tuple[Coding, ...] = (NO_CODING,)
    sub_id: str = ""
    value_type: str = ""
    components: tuple[str, ...] = field(default=(), repr=False)
    value_text: str = field(default="", repr=False)
    repeated: bool = False
    absent_reason: str = ""
    unit: str = ""
    reference: str = ""
    flags: tuple[str, ...] = ()
    status: str = ""
    collected: str = ""
    analysed: str = ""
    reported: str = ""
    notes: tuple[str, ...] = field(default=(), repr=False)

    @property
    def coding(self) -> Coding:
        """The first coding."""
        return self.codings[0] if self.codings else NO_CODING


@dataclass(frozen=True, slots=True)
class OrderRecord:
    """What holds for the results of one order (one panel of one specimen).

    `is_report`: the order itself was sent, not its results alone. `observed` is the report's own
    clinical time, `collected` the time that holds for results without one; `sent` is when the
    message was sent.
    """

    place: str
    span: Span
    patient: Patient = field(default=None, repr=False)
    elements: Elements = field(default_factory=no_elements, repr=False)
    numbers: OrderNumbers = NO_NUMBERS
    panel: Coding = NO_CODING
    results: tuple[ResultRecord, ...] = ()
    notes: tuple[str, ...] = field(default=(), repr=False)
    is_report: bool = True
    status: str = ""
    observed: str = ""
    collected: str = ""
    reported: str = ""
    sent: str = ""


@dataclass(frozen=True, slots=True)
class DoseRecord:
    """One administration, or that there was none. `counter` tells doses of one order apart;
    `action` is A, U or D (HL7 table 0206), '' for A."""

    place: str
    span: Span
    patient: Patient = field(default=None, repr=False)
    elements: Elements = field(default_factory=no_elements, repr=False)
    numbers: OrderNumbers = NO_NUMBERS
    counter: str = ""
    codings: tuple[Coding, ...] = (NO_CODING,)
    start: str = ""
    end: str = ""
    amount: str = field(default="", repr=False)
    unit: str = ""
    status: str = ""
    action: str = ""
    entered: str = ""
    ordered: str = ""
    sent: str = ""

    @property
    def coding(self) -> Coding:
        """The first coding."""
        return self.codings[0] if self.codings else NO_CODING
