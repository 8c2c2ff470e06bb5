"""What a candidate does to what is stored: the rules that keep order of arrival harmless.

An older result never downgrades a newer one, final never becomes preliminary, a correction needs
its original, a re-send writes nothing. Pure: decided again after a lost race.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from app.fhir import Json, dump_json, equal
from app.mappings.facts import Candidate, Fact, ResultOrder
from app.mappings.parsing.statuses import WRONG_PATIENT, rank
from app.mappings.reasons import Failure, Reason
from app.mappings.resources import (
    DESCRIPTION_ORDER,
    MAPPING_VERSION,
    RESULT_ORDER,
    RESULT_STATUS,
    REVIEW,
    STATUS_REVIEWS,
    UNIT_SUSPECT_SCALE,
    VALUE_ORDER,
    read_order,
)

CHANGED = frozenset({"corrected", "amended"})
FORGETTABLE = frozenset({RESULT_ORDER, DESCRIPTION_ORDER, MAPPING_VERSION})
SUBJECT_NAMES = ("subject", "patient", "individual")
VALUE_KEYS = ("valueQuantity", "dataAbsentReason", "dosage")


@dataclass(frozen=True, slots=True)
class Decision:
    """`resource` is what to write for `store`, else None. `elsewhere`: under an id of the subject's
    own. `review`: nothing is written, a person is to look. `resend`: an earlier message said the
    same, and nothing follows from it again."""

    kind: Literal["store", "unchanged", "superseded", "refused", "elsewhere", "review"]
    resource: Json | None = None
    reason: Reason | None = None
    detail: str = ""
    resend: bool = False


Rule = Callable[[Json, Candidate], Decision]


def decide(stored: Json | None, candidate: Candidate) -> Decision:
    """The decision about one candidate, given what is stored under its id: by the rule of its type,
    else the newer replaces the older."""
    if stored is None:
        return _decide_new(candidate)
    if _subject(stored) != _subject(candidate.resource):
        return _decide_other_subject(stored)
    return RULES.get(candidate.resource_type, decide_replacement)(stored, candidate)


def decide_replacement(stored: Json, candidate: Candidate) -> Decision:
    """The newer replaces the older, or is merged into it as the candidate says."""
    order = read_order(stored)
    if order is not None and _begins_again(candidate, order):
        return _said_before(candidate)
    if order is not None and not candidate.orders_itself and candidate.order.is_older_than(order):
        if candidate.said_before is not None:
            return _said_before(candidate)
        return _superseded("older than what is stored")
    wanted = _wanted(stored, candidate)
    if isinstance(wanted, Failure):
        return _refused(wanted.reason, wanted.detail)
    return _decide_content(stored, candidate, wanted)


def _begins_again(candidate: Candidate, order: ResultOrder) -> bool:
    return (
        candidate.is_first
        and candidate.said_before is not None
        and not order.of_result.is_older_than(candidate.order.of_result)
    )


def decide_supplement(stored: Json, candidate: Candidate) -> Decision:
    """Of a participant's own data: what is stored stays, what it lacks is added; anything else than
    what is stored is for a person to look at."""
    told = {key: value for key, value in candidate.resource.items() if key not in HEAD_KEYS}
    differing = sorted(key for key in told if key in stored and stored[key] != told[key])
    if differing:
        detail = f"{' and '.join(differing)}: not as enrolled"
        return Decision("review", reason=Reason.PATIENT_MISMATCH, detail=detail)
    if all(key in stored for key in told):
        return Decision("unchanged")
    return Decision("store", {**stored, **told})


HEAD_KEYS = frozenset({"resourceType", "id", "meta", "extension"})


def decide_result(stored: Json, candidate: Candidate) -> Decision:
    """Of results and doses also: a first report does not undo its correction, status and value
    are ordered each by itself, and what is preliminary gives way to what is not, whatever their
    times: so final never becomes preliminary, also where the final arrives later."""
    order = read_order(stored)
    if order is not None and _is_first_report_again(stored, candidate, order):
        return _said_before(candidate)
    early = _is_early(stored) and not _is_early(candidate.resource)
    if order is not None and not early and candidate.order.is_older_than(order):
        return _decide_older(stored, candidate)
    wanted = _wanted(stored, candidate)
    if isinstance(wanted, Failure):
        return _refused(wanted.reason, wanted.detail)
    if _is_early(wanted) and not _is_early(stored):
        return _superseded("a final result never becomes preliminary")
    return _decide_content(stored, candidate, wanted)


def _is_early(resource: Json) -> bool:
    """Registered or preliminary."""
    return rank(str(resource.get("status"))) < rank("final")


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "Observation": decide_result,
        "MedicationAdministration": decide_result,
        "Patient": decide_supplement,
    }
)
"""Resource type → what decides when something of the same subject is stored under the id."""


def _wanted(stored: Json, candidate: Candidate) -> Json | Failure:
    if candidate.merge is not None:
        return candidate.merge(stored, candidate.resource)
    if candidate.keeps_value:
        return _restate(stored, candidate.resource)
    return {**_link_of(stored), **candidate.resource}


def _link_of(stored: Json) -> Json:
    """What a result is based on: said once, it is not lost where a later message names no order."""
    return {key: stored[key] for key in LINKS if key in stored}


LINKS = frozenset({"basedOn"})
"""Found in the store, not said by the message: no content."""


def _decide_content(stored: Json, candidate: Candidate, wanted: Json) -> Decision:
    if same_content(stored, wanted):
        return Decision("unchanged", resend=candidate.said_before is not None)
    if candidate.weak and not _same_value(stored, wanted):
        return _refused(Reason.WEAK_KEY_CONFLICT, "no order number, and another value is stored")
    return Decision("store", wanted)


def _decide_other_subject(stored: Json) -> Decision:
    """A result withdrawn as the wrong patient's does not stand in the way of the right one's."""
    if stored.get("status") == "entered-in-error" and _letter(stored) == WRONG_PATIENT:
        return Decision("elsewhere")
    return _refused(Reason.PATIENT_MISMATCH, "this result was stored for another subject")


def _is_first_report_again(stored: Json, candidate: Candidate, order: ResultOrder) -> bool:
    """Whether a first report is sent once more after its correction: a laboratory that takes a
    correction back says so by another, or by a later OBX-19 or OBR-22."""
    return (
        candidate.said_before is not None
        and stored.get("status") in CHANGED
        and candidate.resource.get("status") not in CHANGED | {"entered-in-error"}
        and not candidate.keeps_value
        and not order.of_result.is_older_than(candidate.order.of_result)
    )


def _said_before(candidate: Candidate) -> Decision:
    told = f"said before by message {candidate.said_before}"
    return Decision("unchanged", detail=told, resend=True)


def _decide_older(stored: Json, candidate: Candidate) -> Decision:
    """Older than what is stored: only a value may still count, where what is stored changed the
    status alone and took its value from something older yet."""
    valued = read_order(stored, VALUE_ORDER)
    if (
        valued is not None
        and (valued.is_older_than(candidate.order) or _has_early_value(stored))
        and not candidate.keeps_value
        and rank(str(candidate.resource["status"])) == 2
    ):
        return Decision("store", _restate(candidate.resource, stored))
    if candidate.said_before is not None:
        return _said_before(candidate)
    return _superseded("older than what is stored")


def _has_early_value(stored: Json) -> bool:
    """Whether the value was preliminary when the status changed."""
    orders = [item for item in stored.get("extension", []) if item.get("url") == VALUE_ORDER]
    return any(part.get("url") == "status" for item in orders for part in item["extension"])


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
    """Whom a resource is about, under whichever name its type has for that."""
    found = next((resource[name] for name in SUBJECT_NAMES if name in resource), None)
    return found.get("reference") if isinstance(found, dict) else None


def _same_value(one: Json, two: Json) -> bool:
    return all(equal(one.get(key), two.get(key)) for key in VALUE_KEYS)


def _letter(resource: Json) -> str:
    extensions = resource.get("extension", [])
    letters = [item["valueCode"] for item in extensions if item.get("url") == RESULT_STATUS]
    return str(letters[0]) if letters else ""


STATUS_EXTENSIONS = frozenset({RESULT_ORDER, RESULT_STATUS, MAPPING_VERSION})


def _restate(valued: Json, told: Json) -> Json:
    """The value of one resource under the status of another, with its letter, order and review
    tags; the order of the value stays beside."""
    replaced = STATUS_EXTENSIONS | {VALUE_ORDER}
    kept = [item for item in valued.get("extension", []) if item["url"] not in replaced]
    added = [item for item in told.get("extension", []) if item["url"] in STATUS_EXTENSIONS]
    by_url: dict[str, Json] = {item["url"]: item for item in valued.get("extension", [])}
    if order := by_url.get(VALUE_ORDER) or by_url.get(RESULT_ORDER):
        added.append({**order, "url": VALUE_ORDER, **_early_parts(valued, order)})
    meta = dict(valued.get("meta", {}))
    tags = [tag for tag in meta.pop("tag", []) if not _is_status_review(tag)]
    tags += [tag for tag in told.get("meta", {}).get("tag", []) if _is_status_review(tag)]
    if tags:
        meta["tag"] = tags
    return {**valued, "meta": meta, "extension": [*kept, *added], "status": told["status"]}


def _early_parts(valued: Json, order: Json) -> Json:
    """That a value is a preliminary one, told beside its order."""
    if not _is_early(valued):
        return {}
    early = {"url": "status", "valueCode": valued["status"]}
    return {"extension": [*order["extension"], early]}


def _is_status_review(tag: Json) -> bool:
    return tag.get("system") == REVIEW and tag.get("code") in STATUS_REVIEWS


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
    apart = {"id", "meta", "text", *LINKS}
    content = {key: value for key, value in resource.items() if key not in apart}
    content["extension"] = [
        item for item in resource.get("extension", []) if item.get("url") not in FORGETTABLE
    ]
    meta = resource.get("meta", {})
    content["tag"] = [tag for tag in meta.get("tag", []) if not _is_scale_suspicion(tag)]
    content["security"] = meta.get("security", [])
    return content


def _is_scale_suspicion(tag: Json) -> bool:
    return tag.get("system") == REVIEW and tag.get("code") == UNIT_SUSPECT_SCALE


def decide_companion(stored: Json | None, candidate: Candidate, results: list[Json]) -> Decision:
    """The decision about what came with facts; `results` are references to the facts that were not
    refused."""
    if not results:
        return Decision("refused")
    if candidate.resource_type == GATHERING:
        return merge_report(stored, candidate, results)
    return decide(stored, candidate)


GATHERING = "DiagnosticReport"


def merge_report(stored: Json | None, candidate: Candidate, results: list[Json]) -> Decision:
    """A report gathers the results of all its messages; its own data are those of the newest."""
    if not results:
        return Decision("refused")
    if stored is None:
        return Decision("store", {**candidate.resource, "result": results})
    if _subject(stored) != _subject(candidate.resource):
        return _refused(Reason.PATIENT_MISMATCH, "this report was stored for another subject")
    known = [*stored.get("result", [])]
    references = {result.get("reference") for result in known}
    known += [result for result in results if result["reference"] not in references]
    order = read_order(stored)
    older = order is not None and candidate.order.is_older_than(order)
    wanted = {**_link_of(stored), **(stored if older else candidate.resource), "result": known}
    return Decision("unchanged") if same_content(stored, wanted) else Decision("store", wanted)
