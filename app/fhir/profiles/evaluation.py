"""The process in which FHIRPath is evaluated: questions on stdin, answers on stdout, then it ends.
https://hl7.org/fhirpath/

Run as a file, without the application: it starts quickly, and may be killed when it takes too long.
Answers are true, false or null: the expression can't be evaluated, or says neither.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import fhirpathpy
from fhirpathpy.models import models

MAX_SECONDS = 20
MAX_MEMORY = 1 << 30


def main() -> None:
    _limit()
    question = json.load(sys.stdin)
    resource = question["resource"]
    json.dump([_holds(rule, resource) for rule in question["rules"]], sys.stdout)


def _limit() -> None:
    """Whatever the expressions are, the process stays small and ends (POSIX only)."""
    if sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CPU, (MAX_SECONDS, MAX_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))


def _holds(rule: dict[str, str], resource: dict[str, Any]) -> bool | None:
    """Whether the rule holds for every element at its path."""
    path, expression = rule["path"], rule["expression"]
    contexts = path.partition(".")[2]
    whole = f"{contexts}.all({expression})" if contexts else expression
    try:
        known = {"rootResource": resource, "context": resource}
        found = fhirpathpy.evaluate(resource, whole, known, models["r4"])
    except Exception:
        return None
    return all(each is not False for each in found) if found else None


if __name__ == "__main__":
    main()
