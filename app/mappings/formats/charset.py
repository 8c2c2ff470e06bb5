"""Which character set a message is in: what MSH-18 declares, what the feed's setting says, and
what the bytes allow. https://terminology.hl7.org/ValueSet-v2-0211.html

"UTF-8 if it decodes, else GBK" is not used: 930 of the 6,763 characters of GB 2312 are also valid
UTF-8, so a guess would silently change text.
"""

from __future__ import annotations

from dataclasses import dataclass

CODECS = {
    "": "",
    "ASCII": "ascii",
    "US-ASCII": "ascii",
    "8859/1": "latin-1",
    "8859/2": "iso8859-2",
    "8859/3": "iso8859-3",
    "8859/4": "iso8859-4",
    "8859/5": "iso8859-5",
    "8859/6": "iso8859-6",
    "8859/7": "iso8859-7",
    "8859/8": "iso8859-8",
    "8859/9": "iso8859-9",
    "8859/15": "iso8859-15",
    "ISO-8859-1": "latin-1",
    "ISO8859-1": "latin-1",
    "UNICODE": "utf-8",
    "UNICODE UTF-8": "utf-8",
    "UNICODE UTF8": "utf-8",
    "UTF-8": "utf-8",
    "UTF8": "utf-8",
    "GB 18030-2000": "gb18030",
    "GB 18030": "gb18030",
    "GB18030": "gb18030",
    "GB18030-2000": "gb18030",
    "GBK": "gb18030",
    "GB2312": "gb18030",
    "GB 2312": "gb18030",
    "BIG-5": "big5",
    "BIG5": "big5",
    "KS X 1001": "euc_kr",
    "CNS 11643-1992": "euc_tw",
    "ISO IR87": "iso2022_jp",
}
"""Names as senders write them (HL7 table 0211 and what is seen in the field) → Python codec."""

UNUSABLE = frozenset({"euc_tw", "iso2022_jp"})
"""Declared sets that Python lacks or that shift state, so that bytes cannot be framed safely."""


@dataclass(frozen=True, slots=True)
class Charset:
    """`declared` is MSH-18 as sent, `codec` what was used; `mismatch` asks for a review;
    `decodable` is false when no permitted reading of the bytes exists."""

    declared: str
    codec: str
    mismatch: bool
    decodable: bool


def codec_of(name: str) -> str | None:
    """The codec for one repetition of MSH-18: '' where none is declared, None if unknown."""
    codec = CODECS.get(name.strip().upper())
    return None if codec in UNUSABLE else codec


def codec_declared(repetitions: tuple[str, ...]) -> str | None:
    """The codec of the first repetition that says more than ASCII; '' if none is declared."""
    found = [codec_of(name) for name in repetitions if name.strip()]
    if not found:
        return ""
    wider = [codec for codec in found if codec not in ("ascii", None)]
    return wider[0] if wider else found[0]


def decodes(data: bytes, codec: str) -> bool:
    try:
        data.decode(codec)
    except UnicodeDecodeError:
        return False
    return True


def choose_charset(data: bytes, repetitions: tuple[str, ...], feed_codec: str) -> Charset:
    """The declared set if the bytes obey it, else the feed's, else (undeclared) UTF-8."""
    declared = "~".join(repetitions)
    wanted = codec_declared(repetitions)
    if data.isascii():
        return Charset(declared, wanted or feed_codec, wanted is None, True)
    for codec in dict.fromkeys(filter(None, (wanted, feed_codec, "utf-8"))):
        if decodes(data, codec):
            return Charset(declared, codec, _mismatch(data, wanted, codec, feed_codec), True)
    return Charset(declared, wanted or feed_codec, True, False)


def _mismatch(data: bytes, wanted: str | None, used: str, feed_codec: str) -> bool:
    if wanted is None or used != (wanted or feed_codec):
        return True
    return used.startswith(("latin", "iso8859")) and decodes(data, "utf-8")
