"""What `ssci send` sends: messages found in files, folders and standard input, and the record of
those that are acknowledged, by which an interrupted back-fill goes on."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from app.errors import Category, error
from app.mappings.frame import find_frames
from app.mappings.mllp.blocks import START, Block, Framing

STDIN = "-"
RECORD_HEAD = "ssci-send 1 "
NO_LIMIT = 2**62


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message as it was found; `control_id` is MSH-10 as bytes, `accept` and `application`
    the conditions of MSH-15 and 16."""

    data: bytes = field(repr=False)
    digest: str
    control_id: bytes = field(repr=False)
    accept: str = ""
    application: str = ""

    @property
    def tells_success(self) -> bool:
        """Whether its receiver would acknowledge it when it is accepted (HL7 table 0155)."""
        asked = {self.accept, self.application} - {""}
        return not asked or bool(asked & {"AL", "SU"})


def find_files(paths: Sequence[Path]) -> list[Path]:
    """The files given, and those in the folders given, by name. INCORRECT: there is none such."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(each for each in path.rglob("*") if _is_file(each))
        elif str(path) == STDIN or path.is_file():
            found.append(path)
        else:
            raise error(Category.INCORRECT, "no such file or folder", expression=str(path))
    return found


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".")


def read_file(path: Path) -> bytes:
    return sys.stdin.buffer.read() if str(path) == STDIN else path.read_bytes()


def read_messages(data: bytes) -> tuple[list[Outgoing], int]:
    """The messages of a file: one, a batch, or several in MLLP blocks, without the envelopes; and
    how many parts of it are no whole message, which are not to be sent."""
    blocks, broken = _blocks_of(data)
    found: list[Outgoing] = []
    for block in blocks:
        spans = find_frames(block).messages
        found += [read_outgoing(block[span.start : span.end]) for span in spans]
        broken += not spans
    return found, broken


def _blocks_of(data: bytes) -> tuple[list[bytes], int]:
    if START not in data[:64]:
        return [data], 0
    framing = Framing(NO_LIMIT)
    events = [*framing.feed(data), *framing.close()]
    blocks = [event.data for event in events if isinstance(event, Block)]
    return blocks, len(events) - len(blocks)


def read_outgoing(data: bytes) -> Outgoing:
    fields = read_fields(data, b"MSH")
    id, accept, application = (_field(fields, n - 1) for n in (10, 15, 16))
    digest = hashlib.sha256(data).hexdigest()
    return Outgoing(
        data,
        digest,
        id,
        *(each.decode("ascii", "replace").upper() for each in (accept, application)),
    )


def read_fields(data: bytes, name: bytes) -> list[bytes]:
    """The fields of the first segment of this name, the name itself first; [] if there is none.

    Split as text, as a separator may be the second byte of a GBK character.
    """
    start = data.find(b"MSH")
    if start < 0:
        return []
    header = data[start:]
    separator = header[3:4]
    for line in header.replace(b"\n", b"\r").split(b"\r"):
        if line.startswith(name + separator) and separator.isascii():
            text, codec = _decode(line)
            return [part.encode(codec) for part in text.split(separator.decode())]
    return []


def _decode(line: bytes) -> tuple[str, str]:
    for codec in ("utf-8", "gb18030"):
        try:
            return line.decode(codec), codec
        except UnicodeDecodeError:
            continue
    return line.decode("latin-1"), "latin-1"


def _field(fields: Sequence[bytes], place: int) -> bytes:
    return fields[place].strip() if place < len(fields) else b""


class Record:
    """The digests of the messages that were acknowledged at one address, in a file of which each
    line is written when its acknowledgement has come."""

    def __init__(self, path: Path, address: str) -> None:
        """Opens or makes it. INCORRECT: the file is another address's, or no record at all."""
        self._path = path
        self._known: set[str] = set()
        if path.exists():
            self._read(address)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        self._file: IO[str] = os.fdopen(os.open(path, flags, 0o600), "a", encoding="ascii")
        if self._file.tell() == 0:
            self._write(RECORD_HEAD + address)

    def _read(self, address: str) -> None:
        lines = self._path.read_text(encoding="utf-8", errors="replace").split("\n")
        if lines[0] and lines[0] != RECORD_HEAD + address:
            reason = "is the record of another address, or none: name another file"
            raise error(Category.INCORRECT, reason, expression=str(self._path))
        self._known = {line for line in lines[1:-1] if len(line) == 64}
        if lines[-1]:
            self._path.write_text("\n".join([*lines[:-1], ""]), encoding="ascii")

    def __contains__(self, digest: str) -> bool:
        return digest in self._known

    def add(self, digest: str) -> None:
        self._known.add(digest)
        self._write(digest)

    def _write(self, line: str) -> None:
        self._file.write(f"{line}\n")
        self._file.flush()

    def close(self) -> None:
        os.fsync(self._file.fileno())
        self._file.close()
