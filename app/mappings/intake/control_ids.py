"""Control ids (MSH-10) as they are kept beside a message, where they are not encrypted: as sent if
they have the form of a control id (`forms.shown_control`), else as a keyed token, by which a
message is still found and a reuse still seen. The acknowledgement repeats what was sent.
"""

from __future__ import annotations

import re

from app.mappings.forms import shown_control
from app.mappings.result_key import keyed_token

TOKEN = re.compile(r"hidden-[0-9a-f]{32}")


def control_id_as_kept(secret: bytes, feed: str, sent: str) -> str:
    """The control id that stands for the one sent; of what is kept already the same again."""
    if not sent or TOKEN.fullmatch(sent):
        return sent
    return shown_control(sent) or f"hidden-{keyed_token(secret, 'control-id', feed, sent)}"
