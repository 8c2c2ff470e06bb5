"""MLLP blocks found in a stream of bytes, without any input or output of its own.

    <SB 0x0B> message <EB 0x1C> <CR 0x0D>

HL7 v2.5.1 appendix C; HL7 "Transport Specification: MLLP", release 2. Tolerated beside: anything
between blocks (heartbeats, line ends, the rest of a broken block), an end without CR, and 0x0B or
0x1C inside a text. A new block may begin at any time; inside a block only where a header segment
follows, as 0x0B is also the line break that is pasted from word processors.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

START = b"\x0b"
END = b"\x1c"
ENDING = END + b"\r"
FRAMING_BYTES = START + END

BOUNDARY = re.compile(rb"\x1c(?:[\r\n]|(?=\x0b))|\x0b(?=(?:\xef\xbb\xbf)?(?:MSH|FHS|BHS))")
"""Where a block ends, or another one begins inside it."""

UNDECIDED = re.compile(rb"(?:\x1c|\x0b(?:\xef(?:\xbb(?:\xbf(?:MS?|FH?|BH?)?)?)?|MS?|FH?|BH?)?)\Z")
"""The last bytes so far, where the next ones decide whether they are a boundary."""

LONGEST_UNDECIDED = 6
HEAD_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Block:
    """What stood between start and end, every byte of it."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class TooLarge:
    """A block above the limit, told as soon as it is: its first bytes up to one after the limit.
    The rest is dropped up to its end."""

    head: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class HalfBlock:
    """A block that has no end: another one began, or the stream ended. Its first bytes."""

    head: bytes = field(repr=False)


Event = Block | TooLarge | HalfBlock


class Framing:
    """One stream. `feed` it chunks of any length: how a stream is cut changes nothing."""

    def __init__(self, max_bytes: int) -> None:
        self.in_block = False
        self.opened = 0
        self.outside = 0
        self._limit = max_bytes
        self._bytes = bytearray()
        self._scanned = 0
        self._dropping = False

    @property
    def held(self) -> int:
        """How many bytes are kept until the end of their block comes."""
        return len(self._bytes)

    @property
    def awaits_last_byte(self) -> bool:
        """Whether an end has come without its CR: after a short wait, `settle`."""
        return self.in_block and self._bytes[-1:] == END

    def feed(self, chunk: bytes) -> list[Event]:
        """What these bytes complete, in the order of the stream."""
        self._bytes += chunk
        events: list[Event] = []
        while self._enter() and self._leave(events):
            pass
        return events

    def settle(self) -> list[Event]:
        """The block whose end came without CR."""
        return self.feed(b"\r") if self.awaits_last_byte else []

    def close(self) -> list[Event]:
        """What the end of the stream makes of the rest."""
        if self.awaits_last_byte:
            return self.settle()
        return self.give_up()

    def give_up(self) -> list[Event]:
        """Drops the block that is not complete yet, up to its end."""
        if not self.in_block or self._dropping:
            return []
        head = bytes(self._bytes[:HEAD_BYTES])
        self._drop()
        return [HalfBlock(head)]

    def _enter(self) -> bool:
        """Whether the stream is in a block, which it may be about to enter."""
        if self.in_block:
            return True
        start = self._bytes.find(START)
        skipped = len(self._bytes) if start < 0 else start
        self.outside += skipped
        del self._bytes[: skipped + 1]
        if start >= 0:
            self._begin()
        return self.in_block

    def _leave(self, events: list[Event]) -> bool:
        """Goes on to the next boundary; False if it is not there yet."""
        boundary = BOUNDARY.search(self._bytes, self._scanned)
        self._scanned = boundary.start() if boundary else self._decided()
        if self._scanned > self._limit and not self._dropping:
            events.append(TooLarge(bytes(self._bytes[: self._limit + 1])))
            self._dropping = True
        if boundary is None:
            if self._dropping:
                self._drop()
            return False
        self._close_block(events, boundary.start(), boundary.end())
        return True

    def _close_block(self, events: list[Event], end: int, after: int) -> None:
        begins = self._bytes[end : end + 1] == START
        if not self._dropping and not begins:
            events.append(Block(bytes(self._bytes[:end])))
        elif not self._dropping and end:
            events.append(HalfBlock(bytes(self._bytes[: min(end, HEAD_BYTES)])))
        del self._bytes[:after]
        self.in_block = self._dropping = False
        if begins:
            self._begin()

    def _begin(self) -> None:
        self.in_block, self._dropping, self._scanned = True, False, 0
        self.opened += 1

    def _drop(self) -> None:
        self._scanned = self._decided()
        del self._bytes[: self._scanned]
        self._scanned, self._dropping = 0, True

    def _decided(self) -> int:
        tail = UNDECIDED.search(self._bytes[-LONGEST_UNDECIDED:])
        return len(self._bytes) - (len(tail.group()) if tail else 0)


def wrap(payload: bytes) -> bytes:
    """A block. What would break it is left out of the payload."""
    return START + payload.translate(None, FRAMING_BYTES) + ENDING
