"""What may be shown of a header or a code as it was sent. Something else in its place – a name, a
citizen's number, because the columns of a table were shifted – is not shown.
"""

from __future__ import annotations

import re

_LONG_NUMBER = re.compile(r"\d{8}")
_TYPE = re.compile(r"[A-Za-z0-9_^.\-]{1,60}", re.ASCII)
_CHARSET = re.compile(r"[\x20-\x7e]{1,100}")
_CODE = re.compile(r"[A-Za-z0-9][\x21-\x7e]{0,63}")
_SYSTEM = re.compile(r"[\x21-\x7e]{1,200}")
_WORD = re.compile(r"[\x21-\x7e]{1,20}")


def shown_type(text: str) -> str:
    """A message type, as `ORU^R01`, or a resource type; '' for what is not of that form."""
    return _shown(_TYPE, text)


def shown_charset(text: str) -> str:
    return _shown(_CHARSET, text)


def shown_code(text: str) -> str:
    """A code that no dictionary knows."""
    return _shown(_CODE, text)


def shown_system(text: str) -> str:
    return _shown(_SYSTEM, text)


def shown_word(text: str) -> str:
    """A short header field, as MSH-11 or MSH-12."""
    return _shown(_WORD, text)


def _shown(form: re.Pattern[str], text: str) -> str:
    return text if form.fullmatch(text) and not _LONG_NUMBER.search(text) else ""
