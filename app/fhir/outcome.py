"""OperationOutcome: how FHIR tells what went wrong, or right.

https://hl7.org/fhir/R4/operationoutcome.html · https://hl7.org/fhir/R4/valueset-issue-type.html
"""

from __future__ import annotations

from app.errors import ANSWERS, Issue, SsciError
from app.fhir.model import Json

_ISSUE_TYPES = (
    "invalid structure required value invariant security login unknown expired forbidden suppressed"
    " processing not-supported duplicate multiple-matches not-found deleted too-long code-invalid"
    " extension too-costly business-rule conflict transient lock-error no-store exception timeout"
    " incomplete throttled informational"
)
ISSUE_TYPES = frozenset(_ISSUE_TYPES.split())
MAX_ISSUES = 100
SEVERITIES = frozenset({"fatal", "error", "warning", "information"})


def build_outcome(error: SsciError) -> Json:
    """The outcome of a refused or failed request: one entry per issue, never none."""
    code = ANSWERS[error.category].issue_code
    issues = error.issues or (Issue(code, "The request could not be carried out"),)
    if len(issues) > MAX_ISSUES:
        rest = f"{len(issues) - MAX_ISSUES} more issues are not listed"
        issues = (*issues[:MAX_ISSUES], Issue("incomplete", rest, severity="information"))
    return _build([_build_issue(issue, otherwise=code) for issue in issues])


def build_information(diagnostics: str, *, code: str = "informational") -> Json:
    """The outcome of a request that went well, where an outcome was asked for."""
    issue = Issue(code, diagnostics, severity="information")
    return _build([_build_issue(issue, otherwise="informational")])


def build_warnings(issues: list[Issue]) -> Json:
    """What a client should know although its request went well (lenient handling)."""
    return _build([_build_issue(issue, otherwise="informational") for issue in issues])


def _build(issues: list[Json]) -> Json:
    return {"resourceType": "OperationOutcome", "issue": issues}


def _build_issue(issue: Issue, *, otherwise: str) -> Json:
    """`otherwise` is the code where the issue's is none of the standard's."""
    built: Json = {
        "severity": issue.severity if issue.severity in SEVERITIES else "error",
        "code": issue.code if issue.code in ISSUE_TYPES else otherwise,
        "diagnostics": issue.diagnostics,
    }
    if issue.expression:
        built["expression"] = [issue.expression]
    return built
