"""100,000 unit strings: none gets a silently wrong factor. https://ucum.org/ucum

The oracle reads a string by its own, narrow grammar: a power of ten (or a word for one) per volume.
Whatever the service accepts must be such a string, with the same factor.
"""

from __future__ import annotations

import random
import re
from decimal import Decimal

from app.mappings.parsing.units import Unit, parse_unit

VOLUMES = {
    "L": 0,
    "l": 0,
    "dL": -1,
    "dl": -1,
    "cL": -2,
    "mL": -3,
    "ml": -3,
    "ML": -3,
    "uL": -6,
    "ul": -6,
    "µL": -6,
    "μL": -6,
    "μl": -6,
    "µl": -6,
    "nL": -9,
    "nl": -9,
    "pL": -12,
    "pl": -12,
    "fL": -15,
    "fl": -15,
    "mm3": -6,
    "mm^3": -6,
    "cumm": -6,
    "UL": -6,
    "um3": -15,
    "cm3": -3,
    "dm3": 0,
    "m3": 3,
    "dm-3": 0,
}
WORDS = {
    "": 0,
    "cells": 0,
    "{cells}": 0,
    "个": 0,
    "K": 3,
    "k": 3,
    "千": 3,
    "THOU": 3,
    "Thou": 3,
    "thou": 3,
    "THOUS": 3,
    "Thousand": 3,
    "thousand": 3,
    "Tsd": 3,
    "Tsd.": 3,
    "万": 4,
    "G": 9,
    "GPt": 9,
    "Gpt": 9,
    "Giga": 9,
    "giga": 9,
    "GIGA": 9,
}
SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
WIDE = str.maketrans("０１２３４５６７８９＾＊／", "0123456789^*/")
POWER = re.compile(r"[x×X*]?10(?:\^|\*\*|\*|E|e|~)(\d{1,2})")

PIECES = [
    *("10", "9", "3", "12", "4", "^", "*", "**", "E", "e", "~", "x", "×", "⁹", "³", "/", "L", "l"),
    *("uL", "µL", "μL", "mL", "dL", "nL", "fL", "mm3", "K", "k", "G", "M", "T", "万", "千", "个"),
    *(
        "cells",
        "{cells}",
        "{plt}",
        "THOU",
        "Tsd",
        "g",
        "ng",
        "mol",
        "%",
        ".",
        "-1",
        " ",
        "１０",
        "／",
    ),
]


def oracle(text: str) -> Decimal | None:
    """The factor to 10*9/L, or None for what this grammar does not know."""
    text = re.sub("[⁰¹²³⁴⁵⁶⁷⁸⁹]+", lambda run: "^" + run.group().translate(SUPERSCRIPTS), text)
    text = "".join(text.translate(WIDE).split())
    text = re.sub(r"\{[^{}]*\}", "", text)
    text = text.replace(".dm-3", "/dm3")
    text = re.sub(r"(?:^|(?<=\d)|(?<=[a-z]))\.?([dcmunpf]?[Ll]|μL|µL)-1$", r"/\1", text)
    amount, found, volume = text.rpartition("/")
    if not found or volume not in VOLUMES:
        return None
    power = POWER.fullmatch(amount)
    if power is None and amount not in WORDS:
        return None
    exponent = int(power[1]) if power else WORDS[amount]
    return Decimal(10) ** (exponent - VOLUMES[volume] - 9)


POWERS = ["10*", "10^", "10**", "10E", "10e", "x10^", "×10*", "*10^", "１０^", "10~", "10"]


def draw(random: random.Random) -> str:
    """Half of the strings are put together anyhow, half look like a count with a slip in it."""
    if random.random() < 0.5:
        return "".join(random.choice(PIECES) for _ in range(random.randint(1, 6)))
    power = random.choice(POWERS) + random.choice(["9", "3", "6", "11", "12", "4", "09", "⁹", "-9"])
    amount = random.choice([power, power, random.choice(list(WORDS))])
    text = amount + random.choice(["/", "/", "／", " / ", "."]) + random.choice(list(VOLUMES))
    if random.random() < 0.5:
        place = random.randrange(len(text) + 1)
        text = text[:place] + random.choice(PIECES) + text[place + random.randint(0, 1) :]
    return text


def test_no_accepted_unit_string_has_a_silently_wrong_factor() -> None:
    source = random.Random(20190314)
    texts: set[str] = set()
    while len(texts) < 100_000:
        texts.add(draw(source))
    accepted = 0
    for text in sorted(texts):
        found = parse_unit(text, "count", {})
        if isinstance(found, Unit):
            accepted += 1
            assert oracle(text) == found.factor, text
    assert accepted > 500
