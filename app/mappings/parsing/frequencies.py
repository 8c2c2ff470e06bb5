"""How often a medicine is to be taken: repeat patterns → FHIR Timing.repeat.

HL7 v2.5.1 table 0335; https://hl7.org/fhir/R4/datatypes.html#Timing. A pattern that is not known is
a failure: how often is never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from app.mappings.elements import Element
from app.mappings.parsing.values import fold_word
from app.mappings.reasons import Failure, Reason


@dataclass(frozen=True, slots=True)
class Frequency:
    """`times` in each `period` of `unit`; once, where `count` says so; only if needed."""

    times: int = 0
    period: int = 0
    unit: str = ""
    count: int = 0
    as_needed: bool = False


DAILY = Frequency(1, 1, "d")
PATTERNS: Mapping[str, Frequency] = MappingProxyType(
    {
        **dict.fromkeys(("qd", "qday", "daily", "qam", "qpm", "qhs", "qn", "hs", "qm"), DAILY),
        **dict.fromkeys(("每日一次", "每天一次", "每晚一次", "每晨一次"), DAILY),
        **dict.fromkeys(("bid", "每日两次", "每日二次", "每天两次"), Frequency(2, 1, "d")),
        **dict.fromkeys(("tid", "每日三次", "每天三次"), Frequency(3, 1, "d")),
        **dict.fromkeys(("qid", "每日四次"), Frequency(4, 1, "d")),
        **dict.fromkeys(("qod", "隔日一次", "隔天一次"), Frequency(1, 2, "d")),
        **dict.fromkeys(("qw", "qwk", "每周一次"), Frequency(1, 1, "wk")),
        **dict.fromkeys(("biw", "每周两次"), Frequency(2, 1, "wk")),
        **dict.fromkeys(("tiw", "每周三次"), Frequency(3, 1, "wk")),
        **dict.fromkeys(("once", "stat", "st", "一次", "立即"), Frequency(count=1)),
        **dict.fromkeys(("prn", "必要时"), Frequency(as_needed=True)),
    }
)
EVERY = re.compile(r"q(\d{1,3})([smhdwl])", re.ASCII)
TIMES_A_DAY = re.compile(r"(\d{1,2})id", re.ASCII)
UNITS: Mapping[str, str] = MappingProxyType(
    {"s": "s", "m": "min", "h": "h", "d": "d", "w": "wk", "l": "mo"}
)


def parse_frequency(text: str) -> Frequency | Failure | None:
    """None where nothing was sent."""
    word = fold_word(text).replace(".", "")
    if not word or text == '""':
        return None
    if found := PATTERNS.get(word):
        return found
    if (match := EVERY.fullmatch(word)) and int(match[1]):
        return Frequency(1, int(match[1]), UNITS[match[2]])
    if (match := TIMES_A_DAY.fullmatch(word)) and int(match[1]):
        return Frequency(int(match[1]), 1, "d")
    return Failure(Reason.CODE_UNMAPPED, "no known repeat pattern", Element.FREQUENCY)
