"""The one error class, its eight categories, and the one table that turns a category into
an HTTP status, a FHIR issue code and an HL7 acknowledgement code.

    SsciError
      category  INCORRECT | UNPROCESSABLE | NOT_FOUND | CONFLICT | FORBIDDEN
                | UNSUPPORTED | UNAVAILABLE | FAULT
      issues    what is wrong, where (a FHIRPath expression or a place in a message), and the rule
      status    only where the category's own status is too coarse (410, 412, 413, 415 …)

Issue codes: https://hl7.org/fhir/R4/valueset-issue-type.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType


class Category(StrEnum):
    INCORRECT = "incorrect"
    UNPROCESSABLE = "unprocessable"
    NOT_FOUND = "not-found"
    CONFLICT = "conflict"
    FORBIDDEN = "forbidden"
    UNSUPPORTED = "unsupported"
    UNAVAILABLE = "unavailable"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Answer:
    """How a category is told in each protocol."""

    http_status: int
    issue_code: str
    ack_code: str


ANSWERS: Mapping[Category, Answer] = MappingProxyType(
    {
        Category.INCORRECT: Answer(400, "invalid", "AR"),
        Category.UNPROCESSABLE: Answer(422, "processing", "AE"),
        Category.NOT_FOUND: Answer(404, "not-found", "AR"),
        Category.CONFLICT: Answer(409, "conflict", "AE"),
        Category.FORBIDDEN: Answer(403, "forbidden", "AR"),
        Category.UNSUPPORTED: Answer(501, "not-supported", "AR"),
        Category.UNAVAILABLE: Answer(503, "transient", "AR"),
        Category.FAULT: Answer(500, "exception", "AR"),
    }
)


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing that is wrong: `code` a FHIR issue type, `expression` where (FHIRPath or place)."""

    code: str
    diagnostics: str
    expression: str | None = None
    severity: str = "error"


@dataclass(eq=False)
class SsciError(Exception):
    """What every part raises; edges turn it into OperationOutcome, JSON or ACK by ANSWERS."""

    category: Category
    issues: tuple[Issue, ...]
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return "; ".join(
            f"{issue.expression}: {issue.diagnostics}" if issue.expression else issue.diagnostics
            for issue in self.issues
        )

    @property
    def http_status(self) -> int:
        return self.status or ANSWERS[self.category].http_status

    @property
    def ack_code(self) -> str:
        return ANSWERS[self.category].ack_code


def error(
    category: Category,
    diagnostics: str,
    *,
    expression: str | None = None,
    code: str | None = None,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> SsciError:
    """An error with one issue; `code` defaults to the category's issue code."""
    issue = Issue(code or ANSWERS[category].issue_code, diagnostics, expression)
    return SsciError(category, (issue,), status, headers or {})


def errors(category: Category, issues: Sequence[Issue], status: int | None = None) -> SsciError:
    """An error with several issues."""
    return SsciError(category, tuple(issues), status)
