"""`ssci subject …`: enrolment, the end of participation and hospital numbers from the command line.

Whoever uses the machine can read a command line: hospital numbers, names and birth dates are never
given on it, but in a file, on standard input or at a prompt. No output repeats them.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from pydantic import BaseModel, ValidationError

from app.errors import Category, Issue, SsciError, errors
from app.settings import Settings
from app.terminal import DatabaseUrl, DataDir, settings_of

if TYPE_CHECKING:
    from app.trial import Trial
    from app.trial.schemas import EnrolmentBody

subject = typer.Typer(help="The trial's subjects.", no_args_is_help=True)
mrn = typer.Typer(help="A subject's hospital numbers.", no_args_is_help=True)
subject.add_typer(mrn, name="mrn")

Made = TypeVar("Made")
Body = TypeVar("Body", bound=BaseModel)

Number = Annotated[str, typer.Argument(help="Subject number, such as SSCI-001.")]
On = Annotated[str, typer.Option(help="Last day of participation, YYYY-MM-DD.")]
Reason = Annotated[str, typer.Option(help="Code of the reason; `ssci subject reasons` lists them.")]
MrnFile = Annotated[
    Path | None,
    typer.Option("--file", help="File whose first line is the number; - or none: standard input."),
]
Authority = Annotated[str, typer.Option(help="Who assigned the number.")]


class Answer(StrEnum):
    """Whether a criterion holds."""

    MET = "met"
    NOT_MET = "not-met"
    UNKNOWN = "unknown"


@subject.command()
def enrol(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="JSON as for POST /trial/subjects; - for standard input. Without it, a terminal is"
            " asked for everything.",
            dir_okay=False,
            allow_dash=True,
        ),
    ] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="The same enrolment under the same key is done once.")
    ] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Enrol a subject; prints its number. What waited for it is then processed."""
    settings = settings_of(data_dir=data_dir, database_url=database_url)
    from app.trial import enrol as carry_out
    from app.trial.schemas import EnrolmentBody

    body = _parse(EnrolmentBody, _read_text(file)) if file or not _is_terminal() else _ask()

    async def work(trial: Trial) -> str:
        request = body.to_request(trial.authorities, idempotency_key)
        outcome = await carry_out(trial, _caller("enrol"), request)
        return f"{outcome.number} {'enrolled' if outcome.created else 'was enrolled before'}"

    typer.echo(_with_trial(settings, work))


@subject.command("list")
def list_subjects(data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """The subjects' numbers and statuses."""
    settings = settings_of(data_dir=data_dir, database_url=database_url)
    from app.trial import fetch_subjects

    async def work(trial: Trial) -> None:
        after = ""
        while page := await fetch_subjects(trial.database, after, 500):
            for each in page:
                typer.echo(f"{each.number} {each.status}")
            after = page[-1].number

    _with_trial(settings, work)


@subject.command()
def reasons() -> None:
    """The reasons for which participation ends."""
    from app.trial import reasons_for

    for command, change in CHANGES.items():
        typer.echo(f"{command}: {', '.join(reasons_for(change))}")


CHANGES: Mapping[str, str] = {
    "withdraw": "withdrawn",
    "screen-fail": "screen-failed",
    "complete": "completed",
    "resume": "on-study",
}


@subject.command()
def withdraw(
    number: Number,
    on: On,
    reason: Reason,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """The subject left the study: nothing collected after that day is taken over."""
    _record(
        "withdraw", number, on, reason, settings_of(data_dir=data_dir, database_url=database_url)
    )


@subject.command("screen-fail")
def screen_fail(
    number: Number,
    on: On,
    reason: Reason,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """The subject turned out not to be eligible, before the first dose."""
    settings = settings_of(data_dir=data_dir, database_url=database_url)
    _record("screen-fail", number, on, reason, settings)


@subject.command()
def complete(
    number: Number,
    on: On,
    reason: Reason = "follow-up-completed",
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """The subject took part to the end."""
    _record(
        "complete", number, on, reason, settings_of(data_dir=data_dir, database_url=database_url)
    )


@subject.command()
def resume(
    number: Number,
    on: On,
    reason: Reason = "recorded-in-error",
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """The end of participation was recorded in error: the subject takes part."""
    _record("resume", number, on, reason, settings_of(data_dir=data_dir, database_url=database_url))


@mrn.command()
def add(
    number: Number,
    file: MrnFile = None,
    authority: Authority = "PUMCH",
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Add a hospital number; what waited for it is then processed."""
    settings = settings_of(data_dir=data_dir, database_url=database_url)
    _change_mrn("add", number, file, authority, settings)


@mrn.command()
def remove(
    number: Number,
    file: MrnFile = None,
    authority: Authority = "PUMCH",
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Take a hospital number from the subject; it keeps at least one."""
    settings = settings_of(data_dir=data_dir, database_url=database_url)
    _change_mrn("remove", number, file, authority, settings)


def _record(command: str, number: str, on: str, reason: str, settings: Settings) -> None:
    from app.trial import record_participation
    from app.trial.schemas import StatusBody

    body = _valid(StatusBody, {"status": CHANGES[command], "on": on, "reason": reason})

    async def work(trial: Trial) -> str:
        disposition = body.to_disposition()
        recorded = await record_participation(trial, _caller(command), number, disposition)
        text = f"{number} {body.status}" + ("" if recorded.changed else ", as recorded before")
        later = f"; {recorded.stored_after} stored values were collected later: review them"
        return text + (later if recorded.stored_after else "")

    typer.echo(_with_trial(settings, work))


def _change_mrn(
    action: str, number: str, file: Path | None, authority: str, settings: Settings
) -> None:
    from app.trial import change_mrn
    from app.trial.schemas import MrnChangeBody

    sent = {"action": action, "mrn": _read_mrn(file), "authority": authority}
    body = _valid(MrnChangeBody, sent)

    async def work(trial: Trial) -> str:
        change = body.to_change(trial.authorities)
        outcome = await change_mrn(trial, _caller(f"mrn {action}"), number, change)
        done = "" if outcome.changed else " already"
        return f"{number}: {action}{'' if action[-1] == 'e' else 'e'}d{done}; {outcome.count} now"

    typer.echo(_with_trial(settings, work))


def _with_trial(settings: Settings, work: Callable[[Trial], Awaitable[Made]]) -> Made:
    from app.main import open_services

    async def run() -> Made:
        async with open_services(settings) as services:
            return await work(services.trial)

    return asyncio.run(run())


def _caller(command: str) -> Any:
    from app.fhir import Caller

    return Caller(f"ssci subject {command}")


# Reading what must not stand on the command line


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _read_text(file: Path | None) -> str:
    try:
        if file is None or str(file) == "-":
            return sys.stdin.buffer.read().decode("utf-8-sig")
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise errors(Category.INCORRECT, [Issue("invalid", "the input is not UTF-8")]) from None


def _read_mrn(file: Path | None) -> str:
    if file is None and _is_terminal():
        return str(typer.prompt("Hospital number", hide_input=True, confirmation_prompt=True))
    lines = [line.strip() for line in _read_text(file).splitlines() if line.strip()]
    if len(lines) != 1:
        told = Issue("invalid", "one hospital number is needed, on a line of its own")
        raise errors(Category.INCORRECT, [told])
    return lines[0]


def _parse(model: type[Body], text: str) -> Body:
    """As strictly as over HTTP: no name twice, no NaN."""
    from app.fhir import parse_json

    try:
        sent = parse_json(text.encode())
    except SsciError as refused:
        told = [
            Issue(each.code, "the input is not JSON as it should be") for each in refused.issues
        ]
        raise errors(Category.INCORRECT, told[:1]) from None
    return _valid(model, sent)


def _valid(model: type[Body], sent: object) -> Body:
    """INCORRECT by field and rule, without the values."""
    try:
        return model.model_validate_json(_as_json(sent))
    except ValidationError as refused:
        issues = [
            Issue("invalid", each["msg"], ".".join(map(str, each["loc"])))
            for each in refused.errors(include_input=False, include_url=False)
        ]
        raise errors(Category.INCORRECT, issues) from None


def _as_json(sent: object) -> bytes:
    from app.fhir import dump_json

    return dump_json(sent)


def _ask() -> EnrolmentBody:
    """Asks for everything; what is hidden is asked for twice."""
    from app.trial import load_protocol
    from app.trial.schemas import EnrolmentBody

    protocol = load_protocol()
    sent: dict[str, Any] = {
        "mrn": typer.prompt("Hospital number", hide_input=True, confirmation_prompt=True),
        "authority": typer.prompt("Assigned by", default="PUMCH"),
        "name": typer.prompt("Name (empty: not checked)", default="", show_default=False),
        "gender": typer.prompt("Gender (female, male, other, unknown)"),
        "birthDate": typer.prompt("Birth date (YYYY-MM-DD)"),
        "consentDate": typer.prompt("Date of consent (YYYY-MM-DD)"),
        "guardianConsent": typer.confirm("Did a guardian consent as well?", default=False),
        "diagnosis": typer.prompt(f"Diagnosis ({', '.join(protocol.diagnoses)})"),
        "eligibility": {
            each.code: _ask_criterion(each.text, each.wanted, each.overridable)
            for each in protocol.eligibility.criteria
        },
        "synthetic": typer.confirm("Is this an invented person, for trying out?", default=False),
    }
    return _valid(EnrolmentBody, {key: value for key, value in sent.items() if value != ""})


def _ask_criterion(text: str, wanted: str, overridable: bool) -> dict[str, str]:
    answers = ", ".join(each.value for each in Answer)
    given: dict[str, str] = {"answer": typer.prompt(f"{text} ({answers})")}
    if given["answer"] != wanted and overridable:
        given["overrideReason"] = typer.prompt("Why is the person enrolled all the same?")
    return given
