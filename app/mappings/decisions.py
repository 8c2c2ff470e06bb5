"""What a candidate does to what is stored: the rules that keep order of arrival harmless.

An older result never downgrades a newer one, final never becomes preliminary, a correction needs
its original, a re-send writes nothing. Pure: decided again after a lost race.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Literal

from app.fhir import Json, dump_json, equal
from app.mappings.facts import Candidate, Fact
from app.mappings.reasons import Reason
from app.mappings.resources import (
    MAPPING_VERSION,
    RESULT_ORDER,
    RESULT_STATUS,
    REVIEW,
    UNIT_SUSPECT_SCALE,
    read_order,
)
from app.mappings.statuses import rank

SETTLED = frozenset({"final", "amended", "corrected", "completed", "not-done"})
FORGETTABLE = frozenset({RESULT_ORDER, MAPPING_VERSION})
VALUE_KEYS = ("valueQuantity", "dataAbsentReason", "dosage")


@dataclass(frozen=True, slots=True)
class Decision:
    """`resource` is what to write for `store`, else None."""

    kind: Literal["store", "unchanged", "superseded", "refused"]
    resource: Json | None = None
    reason: Reason | None = None
    detail: str = ""


def decide(stored: Json | None, candidate: Candidate) -> Decision:
    """The decision about one candidate, given what is stored under its id."""
    if stored is None:
        return _decide_new(candidate)
    if _subject(stored) != _subject(candidate.resource):
        return _refused(Reason.PATIENT_MISMATCH, "this result was stored for another subject")
    order = read_order(stored)
    if order is not None and candidate.order.is_older_than(order):
        return _superseded("older than what is stored")
    wanted = _restate(stored, candidate) if candidate.keeps_value else candidate.resource
    if stored.get("status") in SETTLED and rank(str(wanted["status"])) < 2:
        return _superseded("a final result never becomes preliminary")
    if same_content(stored, wanted):
        return Decision("unchanged")
    if candidate.weak and not _same_value(stored, wanted):
        return _refused(Reason.WEAK_KEY_CONFLICT, "no order number, and another value is stored")
    return Decision("store", wanted)


def _decide_new(candidate: Candidate) -> Decision:
    if candidate.needs_original:
        detail = "nothing is stored that this could correct or withdraw"
        return _refused(Reason.CORRECTION_WITHOUT_ORIGINAL, detail)
    return Decision("store", candidate.resource)


def _refused(reason: Reason, detail: str) -> Decision:
    return Decision("refused", None, reason, detail)


def _superseded(detail: str) -> Decision:
    return Decision("superseded", None, Reason.OUT_OF_ORDER, detail)


def _subject(resource: Json) -> object:
    return (resource.get("subject") or {}).get("reference")


def _same_value(one: Json, two: Json) -> bool:
    return all(equal(one.get(key), two.get(key)) for key in VALUE_KEYS)


def _restate(stored: Json, candidate: Candidate) -> Json:
    """What is stored, with the status, its letter, its order and its review tags replaced."""
    news = candidate.resource
    replaced = {RESULT_ORDER, RESULT_STATUS, MAPPING_VERSION}
    kept = [item for item in stored.get("extension", []) if item.get("url") not in replaced]
    added = [item for item in news.get("extension", []) if item.get("url") in replaced]
    meta = dict(stored.get("meta", {}))
    tags = [*meta.get("tag", [])]
    tags += [tag for tag in news.get("meta", {}).get("tag", []) if tag not in tags]
    if tags:
        meta["tag"] = tags
    return {**stored, "meta": meta, "extension": [*kept, *added], "status": news["status"]}


def same_content(one: Json, two: Json) -> bool:
    """Whether two resources say the same about the patient: when it was sent, under which mapping
    version, and a suspicion that depends on what else is stored are no content."""
    return equal(_content(one), _content(two))


def fingerprint(fact: Fact, secret: bytes) -> bytes | None:
    """What a fact says, as a keyed hash: the same said again under another message id is a re-send,
    also after something newer was said. None for a fact that stores nothing."""
    if fact.candidate is None:
        return None
    order = fact.candidate.order
    times = [str(order.analysed), str(order.reported)]
    said = dump_json([_content(fact.candidate.resource), times])
    return hmac.new(secret, b"said" + said, hashlib.sha256).digest()


def _content(resource: Json) -> Json:
    content = {key: value for key, value in resource.items() if key not in ("id", "meta", "text")}
    content["extension"] = [
        item for item in resource.get("extension", []) if item.get("url") not in FORGETTABLE
    ]
    meta = resource.get("meta", {})
    content["tag"] = [tag for tag in meta.get("tag", []) if not _is_scale_suspicion(tag)]
    content["security"] = meta.get("security", [])
    return content


def _is_scale_suspicion(tag: Json) -> bool:
    return tag.get("system") == REVIEW and tag.get("code") == UNIT_SUSPECT_SCALE


def merge_report(stored: Json | None, candidate: Candidate, results: list[Json]) -> Decision:
    """A report gathers the results of all its messages; its own data are those of the newest."""
    if not results:
        return Decision("refused")
    if stored is None:
        return Decision("store", {**candidate.resource, "result": results})
    if _subject(stored) != _subject(candidate.resource):
        return _refused(Reason.PATIENT_MISMATCH, "this report was stored for another subject")
    known = [*stored.get("result", [])]
    known += [result for result in results if result not in known]
    order = read_order(stored)
    older = order is not None and candidate.order.is_older_than(order)
    wanted = {**(stored if older else candidate.resource), "result": known}
    return Decision("unchanged") if same_content(stored, wanted) else Decision("store", wanted)
