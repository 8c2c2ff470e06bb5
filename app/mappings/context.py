"""What mapping a message needs beside the message itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.mappings.dictionary.site import FeedSetting, Site
from app.mappings.facts import Source
from app.mappings.reasons import Failure
from app.mappings.records import Patient
from app.mappings.subjects import Subject


@dataclass(frozen=True, slots=True)
class Context:
    """The site's data, the feed's setting, the key of identities, the source of the message."""

    site: Site
    setting: FeedSetting
    secret: bytes = field(repr=False)
    source: Source


Resolutions = Mapping[Patient, Subject | Failure]
"""What each patient came to (None: facts that are about nobody)."""
