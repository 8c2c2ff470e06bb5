"""Invariants of clinical, administrative and workflow resources."""

from __future__ import annotations

from collections.abc import Callable

from app.fhir.invariants.questions import (
    Invariant,
    Node,
    apart,
    has,
    has_choice,
    has_coding,
    is_after,
    needs,
    nodes,
)

CLINICAL_STATUS = "http://terminology.hl7.org/CodeSystem/condition-clinical"
VERIFICATION_STATUS = "http://terminology.hl7.org/CodeSystem/condition-ver-status"


def _component_repeats_no_code(node: Node) -> bool:
    if not has_choice(node, "value"):
        return True
    own = list(nodes(node, "code", "coding"))
    return not any(coding in own for coding in nodes(node, "component", "code", "coding"))


def _abated_condition_is_over(node: Node) -> bool:
    return not has_choice(node, "abatement") or has_coding(
        node.get("clinicalStatus", {}), CLINICAL_STATUS, "resolved", "remission", "inactive"
    )


def _wrong_condition_has_no_status(node: Node) -> bool:
    is_wrong = has_coding(
        node.get("verificationStatus", {}), VERIFICATION_STATUS, "entered-in-error"
    )
    return not is_wrong or not has(node, "clinicalStatus")


def _only_uses(uses: str, *path: str) -> Callable[[Node], bool]:
    return lambda node: all(each.get("use") != uses for each in nodes(node, *path))


CLINICAL: tuple[Invariant, ...] = (
    Invariant(
        "obs-3",
        ("Observation.referenceRange",),
        "A reference range needs `low`, `high` or `text`",
        lambda node: has(node, "low", "high", "text"),
    ),
    Invariant(
        "obs-6",
        ("Observation",),
        "`dataAbsentReason` stands only where there is no `value[x]`",
        lambda node: not (has(node, "dataAbsentReason") and has_choice(node, "value")),
    ),
    Invariant(
        "obs-7",
        ("Observation",),
        "With a `value[x]`, no component may have the code of the observation itself",
        _component_repeats_no_code,
    ),
    Invariant(
        "con-1",
        ("Condition.stage",),
        "A stage needs `summary` or `assessment`",
        lambda node: has(node, "summary", "assessment"),
    ),
    Invariant(
        "con-2",
        ("Condition.evidence",),
        "Evidence needs `code` or `detail`",
        lambda node: has(node, "code", "detail"),
    ),
    Invariant(
        "con-4",
        ("Condition",),
        "An abated condition has the clinical status resolved, remission or inactive",
        _abated_condition_is_over,
    ),
    Invariant(
        "con-5",
        ("Condition",),
        "A condition entered in error has no `clinicalStatus`",
        _wrong_condition_has_no_status,
    ),
    Invariant(
        "ppc-1",
        ("Consent",),
        "A consent needs `policy` or `policyRule`",
        lambda node: has(node, "policy", "policyRule"),
    ),
    Invariant(
        "mdd-1",
        ("MedicationDispense",),
        "`whenHandedOver` must not be before `whenPrepared`",
        lambda node: not is_after(node.get("whenPrepared"), node.get("whenHandedOver")),
    ),
    Invariant(
        "prr-1",
        ("ServiceRequest",),
        "`orderDetail` needs `code`",
        needs("orderDetail", "code"),
    ),
    Invariant(
        "inv-1",
        ("Task",),
        "`lastModified` must not be before `authoredOn`",
        lambda node: not is_after(node.get("authoredOn"), node.get("lastModified")),
    ),
    Invariant(
        "pat-1",
        ("Patient.contact",),
        "A contact needs `name`, `telecom`, `address` or `organization`",
        lambda node: has(node, "name", "telecom", "address", "organization"),
    ),
    Invariant(
        "org-1",
        ("Organization",),
        "An organization needs `identifier` or `name`",
        lambda node: has(node, "identifier", "name"),
    ),
    Invariant(
        "org-2",
        ("Organization",),
        "An organization's address is never of use `home`",
        _only_uses("home", "address"),
    ),
    Invariant(
        "org-3",
        ("Organization",),
        "An organization's telecom is never of use `home`",
        _only_uses("home", "telecom"),
    ),
    Invariant(
        "grp-1",
        ("Group",),
        "Only an actual group (`actual` true) has members",
        lambda node: not has(node, "member") or node.get("actual") is True,
    ),
    Invariant(
        "lst-1",
        ("List",),
        "`emptyReason` stands only in a list without entries",
        apart("emptyReason", "entry"),
    ),
    Invariant(
        "lst-2",
        ("List",),
        "`entry.deleted` stands only in a list of mode `changes`",
        lambda node: (
            node.get("mode") == "changes"
            or not any(has(entry, "deleted") for entry in nodes(node, "entry"))
        ),
    ),
    Invariant(
        "lst-3",
        ("List",),
        "`entry.date` stands only in a list of mode `working`",
        lambda node: (
            node.get("mode") == "working"
            or not any(has(entry, "date") for entry in nodes(node, "entry"))
        ),
    ),
)
