"""What is asked of a FHIR server, and what a page of its answer says. Pure.

https://hl7.org/fhir/R4/search.html#lastUpdated · https://hl7.org/fhir/R4/http.html#paging
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from app.errors import SsciError
from app.fhir import Json, parse_json
from app.mappings.formats.fhir.shapes import TEXT, find_wrong
from app.mappings.formats.json.spans import Broken, find_items, find_members
from app.mappings.polling.plan import PollPlan

PAGE = {
    "resourceType": TEXT,
    "type": TEXT,
    "meta": {"lastUpdated": TEXT},
    "link": [{"relation": TEXT, "url": TEXT}],
    "entry": [{"resource": {"meta": {"lastUpdated": TEXT}}, "search": {"mode": TEXT}}],
}
PORTS = {"http": 80, "https": 443}


class PollFailure(Exception):  # noqa: N818 – an end of a round, told by its text
    """Why a round ended: a text without addresses, names or values of the server."""


class PageTooLarge(PollFailure):
    """A page has more bytes than a delivery may have."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page read. `matches` are the resources asked for, without what was included; `newest` is
    the last change among them, `served` when the server put the page together."""

    matches: int
    digests: frozenset[bytes]
    next_url: str = field(default="", repr=False)
    newest: datetime | None = None
    served: datetime | None = None


def build_first_url(plan: PollPlan, kind: str, watermark: datetime | None, size: int) -> str:
    """The first page of everything that changed since the watermark, the overlap before it."""
    since = plan.since
    if watermark is not None:
        since = write_instant(watermark - timedelta(seconds=plan.overlap))
    parts = [
        *([f"_lastUpdated=ge{quote(since, safe=':')}"] if since else []),
        "_sort=_lastUpdated",
        f"_count={size}",
        *plan.includes.get(kind, ()),
    ]
    return f"{plan.base_url}/{kind}?{'&'.join(parts)}"


def write_instant(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_page(body: bytes, url: str, plan: PollPlan) -> Page:
    """Raises PollFailure for what is no page of a search, or points to another server."""
    try:
        page = parse_json(body)
    except SsciError:
        raise PollFailure("the answer is no JSON object") from None
    if page.get("resourceType") != "Bundle" or page.get("type") != "searchset":
        raise PollFailure("the answer is no Bundle of the type searchset")
    if wrong := find_wrong(page, PAGE, "Bundle"):
        raise PollFailure(f"{wrong}: another JSON type than R4 gives it")
    entries: list[Json] = page.get("entry", [])
    matched = [each["resource"] for each in entries if _is_match(each)]
    times = [_read_instant(each.get("meta", {})) for each in matched]
    return Page(
        len(matched),
        frozenset(_digest_entries(body)),
        _read_next(page, url, plan),
        max(filter(None, times), default=None),
        _read_instant(page.get("meta", {})),
    )


def _is_match(entry: Json) -> bool:
    return "resource" in entry and entry.get("search", {}).get("mode", "match") == "match"


def _read_instant(meta: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(meta.get("lastUpdated", ""))
        return found.astimezone(UTC) if found.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _digest_entries(body: bytes) -> Iterable[bytes]:
    """A digest of each entry's bytes: what was kept before need not be kept again."""
    members = find_members(body)
    spans = [] if isinstance(members, Broken) else [at for key, at in members if key == "entry"]
    items = find_items(body, spans[0]) if spans else []
    for span in [] if isinstance(items, Broken) else items:
        yield hashlib.sha256(body[span.start : span.end]).digest()[:16]


def _read_next(page: Json, url: str, plan: PollPlan) -> str:
    """The next page's address; only the server that is set may be asked."""
    links = page.get("link", [])
    told = [each.get("url", "") for each in links if each.get("relation") == "next"]
    if not told:
        return ""
    following = _join(url, told[0])
    if _origin(following) != _origin(plan.base_url):
        raise PollFailure("the link to the next page leads to another server: not followed")
    return following


def _join(url: str, link: str) -> str:
    try:
        return urljoin(url, link)
    except ValueError:
        return ""


def _origin(url: str) -> tuple[str, str, int | None, str | None] | None:
    """Scheme, host and port (RFC 6454); None for what is no address."""
    try:
        parts: SplitResult = urlsplit(url)
        port = parts.port or PORTS.get(parts.scheme)
        return parts.scheme, (parts.hostname or "").lower(), port, parts.username
    except ValueError:
        return None
