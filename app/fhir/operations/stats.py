"""`Observation/$stats`: statistics of a subject's measurements over a time.
https://hl7.org/fhir/R4/observation-operation-stats.html

One Observation of statistics per code, a component per statistic; where the observations measure in
components (blood pressure), each of these has its own, coded by both. Without `duration` or
`period` all measurements count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from app.errors import Category, error
from app.fhir.codec import decimal, is_number, parse_json
from app.fhir.conditions import Binder
from app.fhir.criteria import Condition, Token
from app.fhir.exchange import Request, Response
from app.fhir.model import Json
from app.fhir.operations.answers import answer_parameters
from app.fhir.operations.measurements import Series, build_series
from app.fhir.operations.observations import (
    IS_NO_MISTAKE,
    OBSERVATION,
    conditions_of,
    parse_selection,
)
from app.fhir.operations.parameters import (
    Parameters,
    boolean,
    listed,
    missing,
    positive,
    read_known,
    refused,
    required_text,
    structure,
    text,
    texts,
)
from app.fhir.operations.record import Asked, Level, Operation
from app.fhir.operations.statistics import COUNTS, STATISTICS, SYSTEM, compute, display_of

if TYPE_CHECKING:
    from app.fhir.http import FhirApp

MAX_SOURCES = 10_000
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
MAX_HOURS = 24 * 366 * 200
_PARAMETERS = (
    "subject",
    "code",
    "system",
    "coding",
    "duration",
    "period",
    "statistic",
    "include",
    "limit",
)
_IS_VALID = f"{IS_NO_MISTAKE} AND (r.tokens @> ARRAY['status:cancelled']) IS NOT TRUE"
_ABSENT = {
    "coding": [
        {"system": "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "unknown"}
    ],
    "text": "too few measurements",
}


@dataclass(frozen=True, slots=True)
class Wish:
    """What the client asked for; `span` as a Period where it limits the measurements."""

    subject: str
    codings: tuple[Token, ...]
    statistics: tuple[str, ...]
    span: Mapping[str, str]
    include: bool
    limit: int


async def tell_statistics(app: FhirApp, request: Request) -> Response:
    """Parameters: a `statistics` per code and, where asked for, each `source`."""
    wish = parse_wish(read_known(request, _PARAMETERS), datetime.now(UTC))
    answers: list[Json] = []
    for coding in wish.codings:
        sources = await _sources(app, request, wish, coding)
        statistics = build_statistics(wish, coding, sources)
        answers.append({"name": "statistics", "resource": statistics})
        if wish.include:
            kept = sources[: wish.limit]
            answers += [{"name": "source", "resource": each} for each in kept]
    return answer_parameters(answers)


def parse_wish(parameters: Parameters, now: datetime) -> Wish:
    """400 for what is missing, malformed or a statistic that is not computed here."""
    statistics = listed(parameters, "statistic")
    if not statistics:
        raise missing("statistic")
    for name in statistics:
        if name not in STATISTICS and name not in COUNTS:
            known = ", ".join(sorted([*STATISTICS, *COUNTS]))
            raise refused("statistic", f"'{name[:64]}' is not computed here (these are: {known})")
    return Wish(
        required_text(parameters, "subject"),
        tuple(_codings(parameters)),
        tuple(dict.fromkeys(statistics)),
        _span(parameters, now),
        boolean(parameters, "include", False),
        positive(parameters, "limit", MAX_SOURCES),
    )


def _codings(parameters: Parameters) -> Iterator[Token]:
    system = text(parameters, "system")
    codes = texts(parameters, "code")
    for code in codes:
        given, bar, bare = code.rpartition("|")
        yield Token(given or None if bar else system, bare)
    codings = parameters.get("coding", ())
    for coding in codings:
        if not isinstance(coding, dict) or not isinstance(coding.get("code"), str):
            raise refused("coding", "must be a Coding with a code, given in a Parameters body")
        held = coding.get("system")
        yield Token(held if isinstance(held, str) else None, coding["code"])
    if not codes and not codings:
        raise missing("code")


def _span(parameters: Parameters, now: datetime) -> dict[str, str]:
    period = structure(parameters, "period")
    hours = _hours(parameters)
    if period is not None and hours is not None:
        raise refused("duration", "excludes 'period'")
    if hours is not None:
        start = now - timedelta(seconds=float(hours) * 3600)
        return {"start": start.isoformat(timespec="seconds"), "end": now.isoformat("T", "seconds")}
    span = {name: (period or {}).get(name) for name in ("start", "end")}
    if any(value is not None and not isinstance(value, str) for value in span.values()):
        raise refused("period", "must be a Period")
    return {name: value for name, value in span.items() if value is not None}


def _hours(parameters: Parameters) -> Decimal | None:
    values = parameters.get("duration", ())
    if not values:
        return None
    hours = _number(values[0]) if len(values) == 1 else None
    if hours is None or not 0 < hours <= MAX_HOURS:
        raise refused("duration", f"must be one number of hours above 0, at most {MAX_HOURS}")
    return hours


def _number(value: Any) -> Decimal | None:
    if is_number(value):
        return decimal(value)
    is_text = isinstance(value, str) and _NUMBER.fullmatch(value)
    return Decimal(value) if is_text else None


async def _sources(app: FhirApp, request: Request, wish: Wish, coding: Token) -> list[Json]:
    """The valid observations, newest first."""
    given = [("subject", wish.subject)]
    for prefix, name in (("ge", "start"), ("le", "end")):
        if name in wish.span:
            given.append(("date", prefix + wish.span[name]))
    search = parse_selection(app, request, given)
    is_coded = Condition("code", None, (coding,))
    bind = Binder()
    where = conditions_of(app, request, search, bind, is_coded)
    async with app.store.searching() as connection:
        rows = await connection.fetch(
            f"SELECT r.body FROM fhir.observation r WHERE {where} AND {_IS_VALID}"
            f" ORDER BY r.date_to DESC, r.id DESC LIMIT {MAX_SOURCES + 1}",
            *bind.values,
        )
    if len(rows) > MAX_SOURCES:
        raise error(
            Category.FORBIDDEN,
            f"more than {MAX_SOURCES} observations; ask for a shorter time",
            code="too-costly",
        )
    return [parse_json(row["body"]) for row in rows]


def build_statistics(wish: Wish, coding: Token, sources: Sequence[Json]) -> Json:
    """The Observation of one code's statistics."""
    components = [
        _component(series, statistic)
        for series in build_series(sources)
        for statistic in wish.statistics
    ]
    built: Json = {
        "resourceType": OBSERVATION,
        "status": "final",
        "code": sources[0]["code"] if sources else {"coding": [_coding_of(coding)]},
        "subject": sources[0].get("subject") if sources else {"reference": wish.subject},
    }
    if wish.span:
        built["effectivePeriod"] = dict(wish.span)
    return built | {"component": components}


def _coding_of(token: Token) -> Json:
    return ({"system": token.system} if token.system else {}) | {"code": token.code}


def _component(series: Series, statistic: str) -> Json:
    display = COUNTS.get(statistic) or display_of(statistic)
    own = list(series.code.get("coding", ())) if series.code else []
    code: Json = {"coding": [*own, {"system": SYSTEM, "code": statistic, "display": display}]}
    if series.code and not own and "text" in series.code:
        code["text"] = series.code["text"]
    return {"code": code} | _value(series, statistic)


def _value(series: Series, statistic: str) -> dict[str, Any]:
    if statistic in COUNTS:
        counted = series.total if statistic == "total-count" else len(series.values)
        return {"valueQuantity": {"value": counted}}
    value = compute(statistic, series.values)
    if value is None:
        return {"dataAbsentReason": _ABSENT}
    unit = _squared(series.unit) if statistic == "variance" else series.unit
    return {"valueQuantity": {"value": Decimal(format(value, "f"))} | unit}


def _squared(unit: Json) -> Json:
    """A variance is in squared units; UCUM has no simple code for all of those."""
    shown = unit.get("unit") or unit.get("code")
    return {"unit": f"({shown})2"} if shown else {}


_ALWAYS: frozenset[Level] = frozenset({"type"})
_ASKED = (
    Asked("subject", "Whose Observations: a reference", needed_at=_ALWAYS),
    Asked("code", "`code` or `system|code`; may be repeated", needed_at=_ALWAYS),
    Asked("system", "The system of the codes that name none"),
    Asked("duration", "Hours up to now", "decimal"),
    Asked("statistic", "Names of statistics, separated by commas", needed_at=_ALWAYS),
    Asked("include", "Whether to answer the Observations too", "boolean"),
    Asked("limit", "How many of them at most", "positive"),
)

OPERATIONS = (
    Operation(
        "stats",
        frozenset({OBSERVATION}),
        frozenset({"type"}),
        tell_statistics,
        affects_state=False,
        definition="http://hl7.org/fhir/OperationDefinition/Observation-stats",
        asked=_ASKED,
    ),
)
