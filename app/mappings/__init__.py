"""Hospital feeds in, FHIR resources out: the inbox of raw messages, decoders, the mapping from
facts to resources, result keys, quarantine and acknowledgements. What is particular to a site is
data in `sites/<site>/`.

    transport → inbox (raw, durable) → acknowledgement
              → decode → group → facts → resources + fact states (one transaction)

    transport   routes, feeds · mllp/ · polling/ · sending/ (the other end, for tests)
    kept        intake/
    understood  formats/ and crf/ → records → rules/ with dictionary/, parsing/ → facts, resources
    written     working/
    looked at   watching/, ledger/
    a site      sites/ (data), activation/ (before it is used)
"""

from app.mappings.dictionary.site import Site, SiteError, load_site
from app.mappings.feeds import Feeds
from app.mappings.intake.inbox import FeedKeys
from app.mappings.routes import build_router
from app.mappings.subjects import Found, PatientClaim, Subject, SubjectDirectory, TrialDirectory

__all__ = [
    "FeedKeys",
    "Feeds",
    "Found",
    "PatientClaim",
    "Site",
    "SiteError",
    "Subject",
    "SubjectDirectory",
    "TrialDirectory",
    "build_router",
    "load_site",
]
