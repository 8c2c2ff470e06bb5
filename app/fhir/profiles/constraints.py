"""FHIRPath constraints, evaluated in a process of their own: off the hot path, bounded in time.
https://hl7.org/fhir/R4/elementdefinition.html#ElementDefinition.constraint
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from app.fhir.codec import dump_json
from app.fhir.model import Json

SECONDS = 10.0
COMMAND = (sys.executable, "-I", str(Path(__file__).with_name("evaluation.py")))
_AT_ONCE = asyncio.Semaphore(2)


@dataclass(frozen=True, slots=True)
class Rule:
    """`expression` must be true of every element at `path` (`Observation.component`)."""

    path: str
    expression: str


async def evaluate(
    resource: Json,
    rules: Sequence[Rule],
    *,
    seconds: float = SECONDS,
    command: Sequence[str] = COMMAND,
) -> list[bool | None]:
    """Whether each rule holds; None where that could not be found out (in time)."""
    if not rules:
        return []
    question = dump_json({"resource": resource, "rules": [asdict(rule) for rule in rules]})
    async with _AT_ONCE:
        answer = await _ask(question, seconds, command)
    return answer if len(answer) == len(rules) else [None] * len(rules)


async def _ask(question: bytes, seconds: float, command: Sequence[str]) -> list[bool | None]:
    process = await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(question), seconds)
    except TimeoutError:
        return []
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return _answers(out)


def _answers(out: bytes) -> list[bool | None]:
    try:
        found = orjson.loads(out)
    except orjson.JSONDecodeError:
        return []
    return [each if isinstance(each, bool) else None for each in found]
