"""The acknowledgement of formats that have none of their own: JSON that counts the outcomes. The
facts stand beside it in the answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from app.fhir import dump_json
from app.mappings.formats.decoding import Acknowledgement, Receipt


def summarise(receipt: Receipt, told: Mapping[str, Any]) -> Acknowledgement:
    """Accepted or not, outcomes and reasons with their numbers (null while pending), and `told`:
    what the format has to say of the whole."""
    facts = receipt.facts
    summary = {
        "accepted": receipt.verdict == "accept",
        "outcomes": None if facts is None else Counter(str(fact.outcome) for fact in facts),
        "reasons": None if facts is None else Counter(str(f.reason) for f in facts if f.reason),
        **told,
    }
    return Acknowledgement(receipt.verdict, dump_json(summary))
