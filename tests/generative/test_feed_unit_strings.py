"""Unit strings of sirolimus levels: none gets a silently wrong factor. https://ucum.org/ucum

The oracle knows one form, a mass per volume, and computes the factor from the two prefixes.
"""

from __future__ import annotations

import random
import re
from decimal import Decimal

from app.mappings.parsing.units import Unit, parse_unit

PREFIXES = {
    "k": 3,
    "": 0,
    "d": -1,
    "c": -2,
    "m": -3,
    "u": -6,
    "mc": -6,
    "n": -9,
    "p": -12,
    "f": -15,
}
VOLUMES = {"cc": -3, "cm3": -3, "dm3": 0, "m3": 3, "mm3": -6, "um3": -15}
MASS = re.compile(r"(k|m|mc|u|n|p|f)?g")
LITRES = re.compile(r"([dcmunpf]?)[lL]")
WORDS = {"纳克": "ng", "微克": "ug", "毫克": "mg", "毫升": "ml", "升": "l", "毫": "m"}
WIDE = str.maketrans("／ｎｇｍＬｌµμ", "/ngmLluu")

PIECES = [
    *("n", "u", "µ", "μ", "m", "mc", "p", "k", "g", "G", "L", "l", "mL", "ml", "dL", "cc", "uL"),
    *(
        "/",
        "／",
        ".",
        "-1",
        "10",
        "*",
        "^",
        "3",
        " ",
        "纳克",
        "毫升",
        "微克",
        "mol",
        "U",
        "%",
        "{x}",
    ),
]
MASSES = [
    "ng",
    "ug",
    "µg",
    "μg",
    "mcg",
    "mg",
    "pg",
    "g",
    "kg",
    "fg",
    "纳克",
    "微克",
    "nmol",
    "ｎｇ",
]
BELOW = ["mL", "ml", "L", "l", "dL", "dl", "uL", "μL", "cc", "毫升", "升", "mm3", "cm3", "nL", "fL"]


def oracle(text: str) -> Decimal | None:
    """The factor to ng/mL, or None for what is no mass per volume."""
    text = "".join(text.translate(WIDE).split())
    text = re.sub(r"\{[^{}]*\}", "", text)
    text = re.sub(r"\.([dcmunpf]?[lL])-1$", r"/\1", text)
    for word, code in WORDS.items():
        text = text.replace(word, code)
    mass, found, volume = text.partition("/")
    weighed, litres = MASS.fullmatch(mass), LITRES.fullmatch(volume)
    if not found or weighed is None or (litres is None and volume not in VOLUMES):
        return None
    below = PREFIXES[litres[1]] if litres else VOLUMES[volume]
    return Decimal(10) ** (PREFIXES[weighed[1] or ""] - below + 6)


def draw(random: random.Random) -> str:
    if random.random() < 0.4:
        return "".join(random.choice(PIECES) for _ in range(random.randint(1, 6)))
    text = random.choice(MASSES) + random.choice(["/", "／", " / ", "."]) + random.choice(BELOW)
    if random.random() < 0.6:
        place = random.randrange(len(text) + 1)
        text = text[:place] + random.choice(PIECES) + text[place + random.randint(0, 1) :]
    return text


def test_no_accepted_unit_string_of_a_level_has_a_silently_wrong_factor() -> None:
    source = random.Random(20190314)
    texts = {draw(source) for _ in range(COUNT)}
    accepted = 0
    for text in sorted(texts):
        found = parse_unit(text, "mass-concentration", {})
        if isinstance(found, Unit):
            accepted += 1
            assert oracle(text) == found.factor, text
    assert accepted > 50


COUNT = 20_000
