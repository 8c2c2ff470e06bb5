"""The answer to a V3 message: MCCI_IN000002UV01, as the platform standard's services give it.

AA: kept, with a detail for each fact that failed; AE: not kept, or nothing that could be read.
"""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

from app.mappings.formats.decoding import Acknowledgement, Receipt
from app.mappings.forms import shown_control
from app.mappings.reasons import Outcome

INTERACTION = "MCCI_IN000002UV01"
CODES = {"accept": "AA", "error": "AE", "reject": "AE"}
MAX_TOLD = 100


def acknowledge_v3(receipt: Receipt) -> Acknowledgement:
    """The acknowledgement; its id is the number under which the message is kept."""
    code = CODES[receipt.verdict]
    facts = receipt.facts or ()
    failed = [fact for fact in facts if fact.outcome is Outcome.QUARANTINED]
    details = [
        _detail(f"{fact.place} {fact.field} {fact.reason}: {fact.detail}")
        for fact in failed[:MAX_TOLD]
    ]
    target = receipt.read.head.control_id if receipt.read else ""
    created = receipt.received.strftime("%Y%m%d%H%M%S")
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<{INTERACTION} ITSVersion="XML_1.0" xmlns="urn:hl7-org:v3">'
        f'<id extension="{receipt.id}"/>'
        f'<creationTime value="{created}"/>'
        f'<interactionId root="2.16.840.1.113883.1.6" extension="{INTERACTION}"/>'
        '<processingCode code="P"/><processingModeCode/><acceptAckCode code="NE"/>'
        f'<acknowledgement typeCode="{code}"><targetMessage><id extension={_quote(target)}/>'
        f"</targetMessage>{''.join(details)}</acknowledgement></{INTERACTION}>\n"
    )
    private = bool(target) and not shown_control(target)
    return Acknowledgement(code, body.encode(), private=private)


def _detail(text: str) -> str:
    words = " ".join(text.split())
    return f"<acknowledgementDetail><text value={_quote(words)}/></acknowledgementDetail>"


def _quote(text: str) -> str:
    """As an attribute, without the control characters that XML cannot hold."""
    kept = "".join(sign for sign in text if sign.isprintable() and sign not in "\ufffe\uffff")
    return quoteattr(kept)
