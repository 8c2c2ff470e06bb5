"""Which order asked for a result: results and orders meet by the numbers that both tell.

The ward's system gives an order its number, the laboratory's says it again with the result; the
feeds differ, and so do the identities of what they store. What both come to is a keyed token of the
number. A result is linked to an order that is stored when the result is processed; the link is not
part of what the result says, so that nothing is written for its sake alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from app.database import ReadConnection
from app.fhir import Json
from app.mappings.context import Context
from app.mappings.dictionary.site import Site
from app.mappings.facts import AskedBy, Candidate, Fact
from app.mappings.result_key import OrderNumbers, keyed_token

ORDERED = "order"
"""The analyte of facts about laboratory orders."""
LINKED_TYPES = frozenset({"Observation", "DiagnosticReport"})

FIND = """
SELECT DISTINCT subject, order_token, feed, code, system, resource_id FROM feeds.fact
WHERE subject = ANY($1) AND analyte = $2 AND order_token = ANY($3)
  AND resource_type = 'ServiceRequest' AND outcome IN ('stored', 'unchanged')
ORDER BY resource_id
"""


def order_token(context: Context, kind: str, number: str) -> str:
    """What stands for an order's number wherever the site's systems tell it. Without the namespace,
    which not every system repeats."""
    return keyed_token(context.secret, context.site.name, "order", kind, number.split("^", 1)[0])


def order_tokens(context: Context, numbers: OrderNumbers) -> tuple[str, ...]:
    """The tokens of an order by its placer's and its filler's number."""
    told = (("placer", numbers.placer), ("filler", numbers.filler))
    return tuple(order_token(context, kind, number) for kind, number in told if number)


async def link_orders(connection: ReadConnection, facts: Sequence[Fact], site: Site) -> list[Fact]:
    """The facts with references to the stored orders of their own subject that asked for them."""
    asked: dict[str, set[str]] = {}
    for fact in facts:
        if fact.candidate and fact.asked_by and fact.subject:
            asked.setdefault(fact.subject.number, set()).update(fact.asked_by.tokens)
    if not asked:
        return list(facts)
    tokens = sorted(set().union(*asked.values()))
    rows: dict[str, list[Any]] = {}
    for row in await connection.fetch(FIND, sorted(asked), ORDERED, tokens):
        rows.setdefault(row["subject"], []).append(row)
    return [_link(fact, rows, site) for fact in facts]


def _link(fact: Fact, rows: Mapping[str, Sequence[Any]], site: Site) -> Fact:
    asked, subject, candidate = fact.asked_by, fact.subject, fact.candidate
    if asked is None or subject is None or candidate is None:
        return fact
    own = [row for row in rows.get(subject.number, ()) if row["order_token"] in asked.tokens]
    ids = _choose(own, asked, site)
    if not ids:
        return fact
    references = [{"reference": f"ServiceRequest/{id}"} for id in ids]
    return replace(
        fact,
        candidate=_based_on(candidate, references),
        companions=tuple(_based_on(each, references) for each in fact.companions),
    )


def _choose(rows: Sequence[Any], asked: AskedBy, site: Site) -> list[str]:
    """The one order under the number; of several those whose results come in the result's panel."""
    ids = list(dict.fromkeys(row["resource_id"] for row in rows))
    if len(ids) < 2:
        return ids
    fitting = []
    for row in rows:
        entry = site.find_order(row["feed"], row["code"], row["system"])
        if entry is not None and entry.service == asked.panel:
            fitting.append(row["resource_id"])
    return list(dict.fromkeys(fitting))


def _based_on(candidate: Candidate, references: list[Json]) -> Candidate:
    if candidate.resource_type not in LINKED_TYPES:
        return candidate
    return replace(candidate, resource={**candidate.resource, "basedOn": references})
