"""Where messages and segments begin and end, found on bytes before anything is decoded.

A carriage return or line feed is never part of a UTF-8 or GB 18030 character, but the separators
`|^~\\` are the second byte of 126 GBK characters each: so frames and segments are cut on bytes,
and fields only after decoding. Batches: HL7 v2.5.1 section 2.10.3.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice

from app.numerous import numerous

BOM = b"\xef\xbb\xbf"

HEADER = re.compile(
    rb"(?:\A|(?<=[\r\n\x0b\x1c]))(?:\xef\xbb\xbf)?[ \t]*(MSH|FHS|BHS|BTS|FTS)(?=\W)"
)
LINE_END = re.compile(rb"\r\n|\r|\n")
SEGMENT = re.compile(rb"[A-Z][A-Z0-9]{2}")
PADDING = b" \t\x0b\x1c\x00"

SEGMENT_NAMES = """
ABS ACC ADD AFF AIG AIL AIP AIS AL1 APR ARQ ARV AUT BHS BLC BLG BPO BPX BTS BTX CDM CER CM0 CM1
CM2 CNS CON CSP CSR CSS CTD CTI CTR DB1 DG1 DMI DRG DSC DSP ECD ECR EDU EQP EQU ERR EVN FAC FHS
FT1 FTS GOL GP1 GP2 GT1 IAM IIM ILT IN1 IN2 IN3 INV IPC IPR ISD ITM IVC IVT LAN LCC LCH LDP LOC
LRL MFA MFE MFI MRG MSA MSH NCK NDS NK1 NPU NSC NST NTE OBR OBX ODS ODT OM1 OM2 OM3 OM4 OM5 OM6
OM7 ORC ORG OVR PAC PCE PCR PD1 PDA PDC PEO PES PID PKG PMT PR1 PRA PRB PRC PRD PRT PSG PSH PSL
PSS PTH PV1 PV2 PYE QAK QID QPD QRD QRF QRI RCP RDF RDT REL RF1 RFI RGS RMI ROL RQ1 RQD RXA RXC
RXD RXE RXG RXO RXR RXV SAC SCD SCH SCP SDD SFT SID SLT SPM STF STZ TCC TCD TQ1 TQ2 TXA UAC UB1
UB2 URD URS VAR VND
"""
KNOWN_SEGMENTS = frozenset(SEGMENT_NAMES.split())


@numerous(frozen=True, slots=True)
class Span:
    """Bytes `start` to `end` (exclusive)."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Frames:
    """The messages of one delivery, and the envelope segments around them (FHS BHS BTS FTS)."""

    messages: tuple[Span, ...]
    envelope: tuple[Span, ...]


def find_frames(body: bytes) -> Frames:
    """Cuts a delivery into messages. One message keeps every byte of the body; no `MSH`: none."""
    if body.startswith(b"MSH") and HEADER.match(body) and _count_names(body) == 1:
        return Frames((Span(0, len(body)),), ())
    headers = list(HEADER.finditer(body))
    starts = [match.start() for match in headers] + [len(body)]
    pieces = [
        (match.group(1), Span(match.start(), end))
        for match, end in zip(headers, starts[1:], strict=True)
    ]
    messages = tuple(span for name, span in pieces if name == b"MSH")
    envelope = tuple(span for name, span in pieces if name != b"MSH")
    if len(messages) == 1 and not envelope:
        messages = (Span(0, len(body)),)
    return Frames(messages, envelope)


HEADER_NAMES = (b"MSH", b"FHS", b"BHS", b"BTS", b"FTS")


def _count_names(body: bytes) -> int:
    """No fewer than there are headers."""
    return sum(body.count(name) for name in HEADER_NAMES)


def has_more_headers(body: bytes, limit: int) -> bool:
    """Whether a delivery has more messages and envelope segments than this, without finding all."""
    if _count_names(body) <= limit:
        return False
    return next(islice(HEADER.finditer(body), limit, None), None) is not None


def is_ended(data: bytes, segment: Span) -> bool:
    """Whether a line end stands behind a segment: else its sender may have cut it off."""
    return LINE_END.search(data, segment.end) is not None


def find_segments(data: bytes) -> list[Span]:
    """The segments of one message from its `MSH` on; continuation lines belong to the segment
    before them, blank lines to none. Empty if there is no `MSH`."""
    start = data.find(b"MSH")
    if start < 0 or len(data) < start + 4:
        return []
    separator = data[start + 3 : start + 4]
    plain = _find_plain_segments(data, start, separator)
    return plain or _join_continuations(data, _find_lines(data, start), separator)


def _find_plain_segments(data: bytes, start: int, separator: bytes) -> list[Span]:
    """The same for a message as the standard has it: a carriage return after every segment, and
    nothing else between them. Empty if it is not."""
    if b"\n" in data or separator == b"\r":
        return []
    spans: list[Span] = []
    for line in data[start:].split(b"\r"):
        end = start + len(line)
        if line:
            if line[3:4] != separator or not SEGMENT.match(line) or line[-1:] in PADDING:
                return []
            spans.append(Span(start, end))
        start = end + 1
    return spans


@dataclass(frozen=True, slots=True)
class _Line:
    span: Span
    after: bytes  # the line end before this line


def _find_lines(data: bytes, start: int) -> list[_Line]:
    lines, position, after = [], start, b""
    for match in LINE_END.finditer(data, start):
        lines.append(_Line(Span(position, match.start()), after))
        position, after = match.end(), match.group()
    lines.append(_Line(Span(position, len(data)), after))
    return lines


def _join_continuations(data: bytes, lines: list[_Line], separator: bytes) -> list[Span]:
    main = lines[1].after[:1] if len(lines) > 1 else b"\r"
    segments: list[Span] = []
    for line in lines:
        if not data[line.span.start : line.span.end].strip(PADDING):
            continue
        if not segments or _begins_segment(data, line, separator, main):
            segments.append(_without_padding(data, line.span))
        else:
            segments[-1] = Span(segments[-1].start, line.span.end)
    return segments


def _begins_segment(data: bytes, line: _Line, separator: bytes, main: bytes) -> bool:
    span = _without_padding(data, line.span)
    name = data[span.start : span.start + 3]
    if not SEGMENT.fullmatch(name):
        return False
    if data[span.start + 3 : span.start + 4] not in (separator, b""):
        return False
    if span.end - span.start > 3 and line.after[:1] == main:
        return True
    return name.decode("ascii") in KNOWN_SEGMENTS or name[:1] == b"Z"


def _without_padding(data: bytes, span: Span) -> Span:
    start = span.start
    while start < span.end and data[start : start + 1] in (b" ", b"\t", b"\x0b", b"\x1c", b"\x00"):
        start += 1
    end = span.end
    while end > start and data[end - 1 : end] in (b"\x1c", b"\x00"):
        end -= 1
    return Span(start, end)
