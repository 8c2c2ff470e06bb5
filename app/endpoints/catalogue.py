"""What may be asked of each endpoint, and what it reads: all that the web worker knows of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from app.endpoints.reading.records import (
    ActivityScore,
    AdverseEvent,
    Attendance,
    Bleeding,
    Demographic,
    Diagnosis,
    Dose,
    Eligibility,
    Measurement,
    Record,
    Treatment,
)
from app.trial import EndpointDefinition, Protocol

PLATELETS = "platelets"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter of some endpoints: what it may be, and what it is when not given (None: it
    narrows nothing)."""

    name: str
    description: str
    choices: Callable[[Protocol], tuple[str, ...]]
    default: Callable[[EndpointDefinition], str | None] = lambda _definition: None


def _rules(protocol: Protocol) -> tuple[str, ...]:
    return tuple(rule.id for rule in protocol.response_rules)


def _visits(protocol: Protocol) -> tuple[str, ...]:
    return tuple(visit.code for visit in protocol.visits)


RULE = Parameter(
    "rule",
    "Response rule. Default: the definition's",
    _rules,
    lambda definition: definition.response_rule,
)
EVER_RULE = Parameter(
    "rule",
    "Response rule that looks at every count. Default: the definition's",
    lambda protocol: tuple(rule.id for rule in protocol.response_rules if rule.visit is None),
    lambda definition: definition.response_rule,
)
VISIT = Parameter("visit", "One visit only, by its code (M1 … M12). Default: all", _visits)
INTERVAL = Parameter(
    "interval",
    "Interval of a proportion: clopper-pearson (exact) or wilson (score)",
    lambda _protocol: ("clopper-pearson", "wilson"),
    lambda _definition: "clopper-pearson",
)

PARAMETERS: Mapping[str, Parameter] = MappingProxyType(
    {each.name: each for each in (RULE, VISIT, INTERVAL)}
)


@dataclass(frozen=True, slots=True)
class Entry:
    """`needs` are the tables read beside subjects, platelet counts and doses. `plots` by name, the
    first is drawn when none is named; `plot_needs` the tables that one reads beyond `needs`."""

    needs: frozenset[type[Record]]
    parameters: tuple[Parameter, ...] = ()
    plots: tuple[str, ...] = ()
    plot_needs: Mapping[str, frozenset[type[Record]]] = field(default_factory=dict)


RESPONSE_TABLES: frozenset[type[Record]] = frozenset({Treatment, Bleeding})

FOR_DEVIATIONS: frozenset[type[Record]] = frozenset(
    {AdverseEvent, Attendance, Dose, Eligibility, Measurement, Treatment}
)

CATALOGUE: Mapping[str, Entry] = MappingProxyType(
    {
        "adverse-events": Entry(frozenset({AdverseEvent, Dose, Treatment})),
        "ctd-activity": Entry(frozenset({ActivityScore, Treatment}), (VISIT,)),
        "platelet-grade-shift": Entry(frozenset(), (VISIT,)),
        "serious-adverse-events": Entry(frozenset({AdverseEvent, Dose, Treatment})),
        "protocol-deviations": Entry(FOR_DEVIATIONS),
        "disposition": Entry(FOR_DEVIATIONS),
        "baseline-characteristics": Entry(
            frozenset({ActivityScore, Demographic, Diagnosis, Treatment})
        ),
        "exposure": Entry(
            frozenset({Attendance, Dose, Treatment}),
            plots=("swimmer",),
            plot_needs={"swimmer": frozenset({AdverseEvent, Bleeding})},
        ),
        "trough-in-range": Entry(
            frozenset({Attendance, Dose, Measurement, Treatment}), plots=("trough",)
        ),
        "platelet-change": Entry(
            frozenset({Treatment}),
            (VISIT,),
            ("change", "waterfall"),
            {"waterfall": frozenset({Bleeding})},
        ),
        "platelet-change-model": Entry(frozenset({Treatment}), (VISIT,)),
        "complete-remission": Entry(RESPONSE_TABLES, (EVER_RULE, VISIT, INTERVAL)),
        "response-rate": Entry(RESPONSE_TABLES, (RULE, VISIT, INTERVAL), ("rates",)),
        "response-month-6": Entry(RESPONSE_TABLES, (RULE, INTERVAL)),
        "responders": Entry(
            RESPONSE_TABLES | {Diagnosis, Demographic, ActivityScore}, (RULE, VISIT, INTERVAL)
        ),
        "sustained-response": Entry(RESPONSE_TABLES, (EVER_RULE, INTERVAL)),
        "time-to-complete-remission": Entry(
            frozenset({Treatment, AdverseEvent, Bleeding}), (EVER_RULE,), ("kaplan-meier",)
        ),
        "time-to-ctd-remission": Entry(
            frozenset({Treatment, AdverseEvent, ActivityScore}), (), ("kaplan-meier",)
        ),
    }
)

POPULATIONS: Mapping[str, frozenset[type[Record]]] = MappingProxyType(
    {
        "enrolled": frozenset(),
        "safety": frozenset(),
        "efficacy": frozenset(),
        "eligible": frozenset({Eligibility}),
        "per-protocol": FOR_DEVIATIONS,
    }
)
"""Populations that are computed, with the tables that each needs."""

SUBGROUPS: Mapping[str, frozenset[type[Record]]] = MappingProxyType(
    {
        "baseline": frozenset(),
        "ctd": frozenset({Diagnosis}),
        "sex": frozenset({Demographic}),
        "age": frozenset(),
        "activity": frozenset({ActivityScore}),
        "background": frozenset({Treatment}),
    }
)

TIMELINE_TABLES: frozenset[type[Record]] = frozenset(
    {ActivityScore, AdverseEvent, Attendance, Bleeding, Dose, Measurement, Treatment}
)
"""What a participant's timeline reads beside subjects and platelet counts."""
