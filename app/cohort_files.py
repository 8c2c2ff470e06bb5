"""`ssci simulate`: a synthetic cohort as files, one participant in memory at a time.

cohort.json                              participants and seed; says that the rest is generated
enrolment.json                           bodies of POST /trial/subjects, one per line
messages/SSCI-001/0001-pumch-lis.hl7     in the order of sending; the name ends in the feed, and in
                                         .json for case report forms
manifest.ndjson                          per message: file, feed, kind, time of sending, sha256
bundles/SSCI-001.json                    the same facts as a FHIR transaction Bundle
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from app.errors import Category, error
from app.simulation import (
    Message,
    Participant,
    build_bundle,
    build_case_report_forms,
    build_enrolment,
    build_messages,
    simulate_participants,
)

SUFFIXES = {"hl7v2": "hl7", "json": "json"}


@dataclass(frozen=True, slots=True)
class Order:
    """What to write. The same order gives the same files, byte for byte."""

    participants: int
    seed: int
    messages: bool = True
    bundles: bool = True


def write_cohort(order: Order, folder: Path, advance: Callable[[], None]) -> int:
    """Write the cohort into `folder` (new, empty, or holding the same cohort); how many messages.

    INCORRECT if the folder holds anything else. `advance` is called after each participant.
    """
    _claim(order, folder)
    written = 0
    with ExitStack() as files:
        enrolment = files.enter_context(_text(folder / "enrolment.json"))
        manifest = files.enter_context(_text(folder / "manifest.ndjson"))
        bundles = files.enter_context(_text(folder / "bundles.ndjson"))
        for participant in simulate_participants(order.participants, order.seed):
            _write_enrolment(enrolment, participant)
            if order.messages:
                written += _write_messages(folder, manifest, participant)
            if order.bundles:
                _write_line(bundles, build_bundle(participant))
            advance()
        enrolment.write("\n]\n")
    return written


def _claim(order: Order, folder: Path) -> None:
    mark, content = folder / "cohort.json", json.dumps(asdict(order)) + "\n"
    if folder.exists() and not folder.is_dir():
        raise error(Category.INCORRECT, "is a file: name a folder", expression=str(folder))
    if mark.exists():
        same = mark.read_text(encoding="utf-8") == content
    else:
        same = not folder.exists() or not any(folder.iterdir())
    if not same:
        raise error(
            Category.INCORRECT,
            "holds something else already: name an empty or new folder",
            expression=str(folder),
        )
    folder.mkdir(parents=True, exist_ok=True)
    mark.write_text(content, encoding="utf-8")


def _write_enrolment(file: TextIO, participant: Participant) -> None:
    body = json.dumps(build_enrolment(participant), ensure_ascii=False)
    file.write(("[\n" if participant.person.number == 1 else ",\n") + body)


def _write_messages(folder: Path, manifest: TextIO, participant: Participant) -> int:
    number = participant.person.subject_number
    (folder / "messages" / number).mkdir(parents=True, exist_ok=True)
    both = (*build_messages(participant), *build_case_report_forms(participant))
    messages = sorted(both, key=lambda each: each.sent)
    for place, message in enumerate(messages, start=1):
        name = f"messages/{number}/{place:04d}-{message.feed}.{SUFFIXES[message.format]}"
        (folder / name).write_bytes(message.payload)
        _write_line(manifest, _manifest_line(name, message))
    return len(messages)


def _manifest_line(name: str, message: Message) -> dict[str, str]:
    return {
        "file": name,
        "feed": message.feed,
        "kind": message.kind,
        "sent": message.sent.isoformat(),
        "sha256": hashlib.sha256(message.payload).hexdigest(),
    }


def _write_line(file: TextIO, content: Mapping[str, Any]) -> None:
    file.write(json.dumps(content, ensure_ascii=False) + "\n")


def _text(path: Path) -> TextIO:
    return path.open("w", encoding="utf-8", newline="\n")
