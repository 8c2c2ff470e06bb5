"""What the V3 decoder reads of a message, by where it stands, and what becomes of it: the coverage
ledger's list of what is mapped. Paths are below the result, the patient's role or what stands
around results; `@name` is an attribute, `#` the text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from app.mappings.ledger.entries import Verdict

TEXT = "#"
CODING = ("@code", "@codeSystem", "@displayName")
WRITTEN = ("@value", TEXT)
LIMITS = ("low/@value", "low/@inclusive", "high/@value", "high/@inclusive")
NUMBERS = ("@root", "@extension")


def _each(verdict: Verdict, path: str, parts: Sequence[str]) -> Iterator[tuple[str, Verdict]]:
    return ((f"{path}/{part}", verdict) for part in parts)


VALUE = Verdict("mapped", "content", "Observation.value[x]")
CODE = Verdict("mapped", "content", "Observation.code")
STATE = Verdict("mapped", "state", "Observation.status")
MOMENT = Verdict("mapped", "moment", "Observation.effective[x]")
FLAG = Verdict("mapped", "content", "Observation.interpretation")
RANGE = Verdict("mapped", "content", "Observation.referenceRange")
KEY = Verdict("mapped", "key", "Observation.id, Observation.identifier")
NOTE = Verdict("mapped", "decision", "Observation.value[x]")
WHO = Verdict("mapped", "identity", "Observation.subject")
CONTROL_ID = Verdict("mapped", "decision", "the message's control id")
SENT = Verdict("carried", "order", "extension(result-order)")
REAL = Verdict("mapped", "decision", "whether the message is one of production")

RESULT: Mapping[str, Verdict] = MappingProxyType(
    {
        **dict(_each(CODE, "code", CODING)),
        **dict(_each(CODE, "code/translation", CODING)),
        **dict(_each(KEY, "id", NUMBERS)),
        **dict(_each(KEY, "id/item", NUMBERS)),
        "statusCode/@code": STATE,
        "@negationInd": STATE,
        **dict(_each(MOMENT, "effectiveTime", ("@value", "low/@value"))),
        **dict(_each(FLAG, "interpretationCode", ("@code", "@displayName"))),
        **dict(_each(NOTE, "text", WRITTEN)),
        **dict(_each(VALUE, "result", WRITTEN)),
        **dict(_each(VALUE, "value", ("@type", "@unit"))),
    }
)
AROUND: Mapping[str, Verdict] = MappingProxyType(
    {
        **dict(_each(KEY, "id", NUMBERS)),
        **dict(_each(KEY, "id/item", NUMBERS)),
        "statusCode/@code": STATE,
        "@negationInd": STATE,
    }
)
PANEL: Mapping[str, Verdict] = MappingProxyType(dict(_each(KEY, "code", CODING)))
MESSAGE: Mapping[str, Verdict] = MappingProxyType(
    {
        "id/@extension": CONTROL_ID,
        "creationTime/@value": SENT,
        "creationTime/low/@value": SENT,
        "processingCode/@code": REAL,
    }
)
ROLE: Mapping[str, Verdict] = MappingProxyType(
    {**dict(_each(WHO, "id", NUMBERS)), **dict(_each(WHO, "id/item", NUMBERS))}
)


def find_result_use(steps: tuple[str, ...], kind: str) -> Verdict | None:
    """Of a leaf below a result whose value is of that type."""
    path = "/".join(steps)
    if steps[0] == "value" and path not in RESULT:
        return VALUE if path.removeprefix("value/") in _value_parts(kind) else None
    if steps[0] == "referenceRange":
        tail = {"/".join(steps[-2:]), "/".join(steps[-3:])}
        told = {*(f"value/{part}" for part in LIMITS), *(f"text/{part}" for part in WRITTEN)}
        return RANGE if tail & told else None
    return RESULT.get(path) or find_number_use(steps)


def _value_parts(kind: str) -> Sequence[str]:
    """As `_read_value` of the decoder reads them."""
    if kind in ("CD", "CE", "CV", "CO"):
        return ("@displayName", "@code")
    return LIMITS if kind.startswith("IVL") else WRITTEN


BESIDE = frozenset({"specimen", "specimenRole", "specimenNatural", "order", "inFulfillmentOf"})
"""Where numbers stand beside a result or what is around it."""


def find_number_use(steps: tuple[str, ...]) -> Verdict | None:
    """Of a leaf in what stands beside."""
    within = steps[:-2] if steps[-2:-1] == ("item",) else steps[:-1]
    found = steps[0] in BESIDE and within[-1] == "id" and steps[-1] in NUMBERS
    return KEY if found else None


TAKEN = ("/effectiveTime/@value", "/effectiveTime/low/@value")


def find_around_use(steps: tuple[str, ...], *, panel: bool) -> Verdict | None:
    """Of a leaf below what stands around results; `panel`: its code names one."""
    path = "/".join(steps)
    if steps[0] == "specimen" and path.endswith(TAKEN):
        return MOMENT
    found = AROUND.get(path) or (PANEL.get(path) if panel else None)
    return found or find_number_use(steps)


def find_person_use(steps: tuple[str, ...]) -> Verdict | None:
    """Of a leaf below the element that has the patient's name and birth date."""
    if steps[0] == "name":
        return WHO if steps[-1] == TEXT or steps[-2:] == ("part", "@value") else None
    return WHO if steps == ("birthTime", "@value") else None
