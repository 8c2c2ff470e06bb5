"""Results that come one by one, each with what it says of its order (rows, JSON objects) → facts.

Several may say something of the same result, as the export of a history does: then the newest by
its own times counts, and the others are superseded, as if they had come in messages of their own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace

from app.fhir import Json, equal
from app.mappings.context import Context, Resolutions
from app.mappings.elements import Element
from app.mappings.facts import Fact
from app.mappings.reasons import Failure, Outcome, Reason
from app.mappings.records import OrderRecord, ResultRecord
from app.mappings.result_key import normal_sub_id
from app.mappings.rules.results import map_orders
from app.mappings.working.decisions import FORGETTABLE

FlatResult = tuple[OrderRecord, ResultRecord]


def map_flat_results(
    given: Sequence[FlatResult], context: Context, subjects: Resolutions
) -> list[Fact]:
    """A fact per result, in no particular order."""
    facts: list[Fact] = []
    for layer in _cut_layers(given):
        facts += map_orders(_gather(layer), context, subjects)
    return facts


def _cut_layers(given: Iterable[FlatResult]) -> list[list[FlatResult]]:
    """Layers in which no result is told twice: the first mention of each, the second of each …"""
    layers: list[list[FlatResult]] = []
    seen: Counter[Hashable] = Counter()
    for order, result in given:
        time = "" if order.numbers.strongest else result.collected
        codes = frozenset((each.code, each.system) for each in result.codings)
        sub_id = normal_sub_id(result.sub_id)
        key = (order.patient, order.numbers, order.panel.code, codes, sub_id, time)
        if seen[key] == len(layers):
            layers.append([])
        layers[seen[key]].append((order, result))
        seen[key] += 1
    return layers


def _gather(layer: Iterable[FlatResult]) -> list[OrderRecord]:
    """The orders with their results."""
    orders: dict[Hashable, OrderRecord] = {}
    results: dict[Hashable, list[ResultRecord]] = {}
    for order, result in layer:
        key = _order_key(order, result)
        orders.setdefault(key, order)
        results.setdefault(key, []).append(result)
    return [replace(order, results=tuple(results[key])) for key, order in orders.items()]


def _order_key(order: OrderRecord, result: ResultRecord) -> Hashable:
    """What results of one order have in common; without any number also the time."""
    own = replace(order, place="", span=None, elements=None)  # type: ignore[arg-type]
    return own, "" if order.numbers.strongest else result.collected


def settle_mentions(facts: Sequence[Fact]) -> list[Fact]:
    """Of facts under the same id one stays to be stored: what is said twice is unchanged, what is
    older is superseded, and what cannot be told apart is quarantined. Ordinals by place."""
    groups: dict[tuple[str, str], list[Fact]] = {}
    settled = []
    for fact in facts:
        if fact.candidate is None:
            settled.append(fact)
        else:
            groups.setdefault((fact.resource_type, fact.resource_id), []).append(fact)
    for group in groups.values():
        settled += [_without_loss(fact) for fact in _settle_group(group)]
    ordered = sorted(settled, key=lambda fact: fact.span.start)
    return [replace(fact, ordinal=ordinal) for ordinal, fact in enumerate(ordered)]


def _settle_group(group: Sequence[Fact]) -> list[Fact]:
    kept = group[0]
    ended: list[Fact] = []
    for fact in group[1:]:
        if _resource(fact) == _resource(kept):
            ended.append(fact.settled(Outcome.UNCHANGED, f"repeats {kept.place}"))
        elif fact.candidate and fact.candidate.weak:
            ended.append(_clash(fact, kept))
        elif _is_older(fact, kept):
            ended.append(_superseded(fact, kept))
            kept = _with_original(kept, fact)
        elif _is_older(kept, fact):
            ended.append(_superseded(kept, fact))
            kept = _with_original(fact, kept)
        else:
            ended.append(_clash(fact, kept))
    return [kept, *ended]


def _resource(fact: Fact) -> object:
    return fact.candidate.resource if fact.candidate else None


def _is_older(one: Fact, other: Fact) -> bool:
    return bool(one.order and other.order and one.order.is_older_than(other.order))


def _superseded(fact: Fact, newer: Fact) -> Fact:
    detail = f"older than {newer.place} of the same message"
    return fact.settled(Outcome.SUPERSEDED, detail, Reason.OUT_OF_ORDER)


def _with_original(newer: Fact, older: Fact) -> Fact:
    """A correction of what stands in the same message has its original; what only withdraws it, or
    changes its status, does not say its value."""
    if newer.candidate is None or older.candidate is None or newer.candidate.keeps_value:
        return newer
    needed = newer.candidate.needs_original and older.candidate.needs_original
    return replace(newer, candidate=replace(newer.candidate, needs_original=needed))


def _without_loss(fact: Fact) -> Fact:
    """Tables say less than messages: what only leaves out writes no version."""
    candidate = fact.candidate
    if candidate is None or candidate.keeps_value or candidate.merge is not None:
        return fact
    return replace(fact, candidate=replace(candidate, merge=keep_fuller))


def keep_fuller(stored: Json, sent: Json) -> Json:
    """What is stored, if it says all that was sent; else what was sent."""
    return stored if _says(stored, sent) else sent


def _says(stored: Json, sent: Json) -> bool:
    parts = sent.keys() - {"id", "meta", "extension", "text"}
    if not all(equal(stored.get(part), sent[part]) for part in parts):
        return False
    told = [each for each in sent.get("extension", []) if each["url"] not in FORGETTABLE]
    known = stored.get("extension", [])
    tags = stored.get("meta", {}).get("tag", [])
    return all(any(equal(each, other) for other in known) for each in told) and all(
        any(equal(each, other) for other in tags) for each in sent.get("meta", {}).get("tag", [])
    )


def _clash(fact: Fact, kept: Fact) -> Fact:
    detail = f"another value than {kept.place} for the same result, and no time tells the newer"
    return fact.failed(Failure(Reason.WEAK_KEY_CONFLICT, detail, Element.VALUE))
