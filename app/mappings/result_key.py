"""Identity of results, administrations, specimens and reports: keyed HMACs.

A plain hash of an order number or an MRN can be enumerated, so everything is HMAC-SHA-256 with the
installation's key, which never rotates: the same result has the same id for ever.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

FIRST = "1"


@dataclass(frozen=True, slots=True)
class OrderNumbers:
    """The numbers of one order as sent: filler (OBR-3, ORC-3), placer (OBR-2, ORC-2), specimen."""

    filler: str = field(default="", repr=False)
    placer: str = field(default="", repr=False)
    specimen: str = field(default="", repr=False)

    @property
    def strongest(self) -> tuple[str, str] | None:
        """Which number identifies the order, and the number; None if none was sent."""
        for kind in ("filler", "placer", "specimen"):
            if number := getattr(self, kind):
                return kind, number
        return None


@dataclass(frozen=True, slots=True)
class ResultKey:
    """The resource id of a result; `weak` if only patient, code and time identify it."""

    id: str
    weak: bool


def result_key(
    secret: bytes,
    authority: str,
    numbers: OrderNumbers,
    panel: tuple[str, str],
    test: tuple[str, str],
    sub_id: str,
    date: str,
    patient: str,
    time: str,
) -> ResultKey:
    """FEEDS 2. `date` is '' unless the feed's order numbers restart; `patient` and `time` count
    only where there is no order and no specimen. The sub-id counts in its normal form."""
    order, sub_id = numbers.strongest, normal_sub_id(sub_id)
    if order is None:
        return ResultKey(keyed_id(secret, "weak", authority, patient, *test, sub_id, time), True)
    return ResultKey(
        keyed_id(secret, "result", authority, *order, *panel, *test, sub_id, date), False
    )


def normal_sub_id(text: str) -> str:
    """A sub-id (OBX-4) as part of an identity: `1` is none. What one format numbers, another leaves
    out; and a first result that is corrected alone does not tell that there was a second."""
    return "" if text == FIRST else text


def keyed_id(secret: bytes, *parts: str) -> str:
    """A resource id: the HMAC's first 16 bytes written as a UUID."""
    value = int.from_bytes(_digest(secret, parts)[:16], "big")
    text = f"{value & ~_UUID_MARKS | _VERSION_5:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


_UUID_MARKS = 0xF000 << 64 | 0xC000 << 48
_VERSION_5 = 0x5000 << 64 | 0x8000 << 48
"""Version and variant, where RFC 9562 has them."""


def keyed_token(secret: bytes, *parts: str) -> str:
    """What stands for an order or specimen number in FHIR."""
    return _digest(secret, ("token", *parts)).hex()[:32]


def _digest(secret: bytes, parts: tuple[str, ...]) -> bytes:
    """Every part with its length, so that no two lists of parts read the same."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in parts]
    data = b"".join([len(part).to_bytes(4, "big") + part for part in encoded])
    return hmac.digest(secret, data, "sha256")
