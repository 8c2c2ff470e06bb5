"""Which FHIR servers of the hospital are asked, for what and how often: a TOML file, checked at
start. Client secrets stand apart, in a setting.

https://www.rfc-editor.org/rfc/rfc6749#section-4.4
"""

from __future__ import annotations

import ipaddress
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from app.errors import Category, SsciError, error
from app.mappings.dictionary.site import Site

SETTING = "SSCI_POLLING"
FORMAT = "fhir"
PATIENTS = (
    "Observation",
    "MedicationAdministration",
    "MedicationRequest",
    "Encounter",
    "Condition",
)
INCLUDES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Observation": (
            "_include=Observation:subject",
            "_include=Observation:based-on",
            "_include=Observation:specimen",
            "_revinclude=DiagnosticReport:result",
        ),
        "MedicationAdministration": (
            "_include=MedicationAdministration:subject",
            "_include=MedicationAdministration:request",
            "_include=MedicationAdministration:medication",
        ),
        "MedicationRequest": (
            "_include=MedicationRequest:subject",
            "_include=MedicationRequest:medication",
        ),
        "Encounter": ("_include=Encounter:subject",),
        "Condition": ("_include=Condition:subject",),
    }
)
"""Type → what is asked for with it: whom it is about, and what its identity and code stand on."""
INCLUDE = re.compile(r"_(rev)?include(:iterate)?=[A-Za-z]+:[a-z-]+(:[A-Za-z]+)?")
KEYS = frozenset(
    {
        *("base_url", "types", "interval_seconds", "overlap_seconds", "page_size", "since"),
        *("includes", "token_url", "client_id", "scope", "ca_file", "plain_http"),
    }
)


@dataclass(frozen=True, slots=True)
class OAuth:
    """Client credentials for a token of the server."""

    token_url: str
    client_id: str
    secret: str = field(repr=False)
    scope: str = ""


@dataclass(frozen=True, slots=True)
class PollPlan:
    """One feed's server. `overlap` is asked for again each time, for what the server shows late;
    `since`: where to begin; '' for the beginning."""

    feed: str
    base_url: str
    types: tuple[str, ...]
    interval: float = 60.0
    overlap: float = 300.0
    page_size: int = 100
    since: str = ""
    includes: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: INCLUDES)
    oauth: OAuth | None = None
    ca_file: Path | None = None


def read_plans(path: Path, secrets: str, site: Site) -> list[PollPlan]:
    """The plans of a file; INCORRECT names file, key and reason. `secrets`: FEED=SECRET, separated
    by blanks."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else problem
        raise _refuse(f"{path}: {reason}") from problem
    feeds = _table(table, "feeds")
    known = _read_secrets(secrets)
    if unused := sorted(known.keys() - feeds.keys()):
        raise _refuse(f"SSCI_POLLING_SECRETS: {unused[0]}: no feed of this name is polled")
    return [_read_plan(name, value, known.get(name, ""), site) for name, value in feeds.items()]


def _read_secrets(text: str) -> dict[str, str]:
    pairs = [each.partition("=") for each in text.split()]
    if not all(feed and secret for feed, _, secret in pairs):
        raise _refuse("SSCI_POLLING_SECRETS: must be FEED=SECRET, several separated by blanks")
    return {feed: secret for feed, _, secret in pairs}


def _read_plan(feed: str, value: Any, secret: str, site: Site) -> PollPlan:
    where = f"feeds.{feed}"
    if not isinstance(value, dict):
        raise _refuse(f"{where}: must be a table")
    if unknown := sorted(value.keys() - KEYS):
        raise _refuse(f"{where}.{unknown[0]}: no such key; known: {', '.join(sorted(KEYS))}")
    setting = site.feeds.get(feed)
    if setting is None or FORMAT not in setting.formats:
        raise _refuse(f"{where}: the site has no feed of this name that takes {FORMAT}")
    plain = _of(value, "plain_http", where, bool, False)
    return PollPlan(
        feed,
        _address(value, "base_url", where, plain).rstrip("/"),
        _types(value, where),
        _number(value, "interval_seconds", where, 60, 1, 86_400),
        _number(value, "overlap_seconds", where, 300, 0, 7 * 86_400),
        int(_number(value, "page_size", where, 100, 1, 1000)),
        _since(value, where),
        _includes(value, where),
        _oauth(value, where, secret, plain),
        Path(_of(value, "ca_file", where, str)) if "ca_file" in value else None,
    )


def _oauth(value: Mapping[str, Any], where: str, secret: str, plain: bool) -> OAuth | None:
    if not any(key in value for key in ("token_url", "client_id", "scope")) and not secret:
        return None
    if not secret:
        raise _refuse(f"SSCI_POLLING_SECRETS: {where.removeprefix('feeds.')}: is missing")
    address = _address(value, "token_url", where, plain)
    client, scope = _of(value, "client_id", where, str), _of(value, "scope", where, str, "")
    return OAuth(address, client, secret, scope)


def _address(value: Mapping[str, Any], key: str, where: str, plain: bool) -> str:
    """https; http on this machine alone, or where the file says that it may be."""
    text: str = _of(value, key, where, str)
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError as problem:
        raise _refuse(f"{where}.{key}: no web address") from problem
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise _refuse(f"{where}.{key}: must be an https address without a query")
    if parts.username is not None:
        raise _refuse(f"{where}.{key}: names and secrets have no place in an address")
    if parts.scheme == "http" and not plain and not _is_loopback(host):
        raise _refuse(f"{where}.{key}: must be https, or plain_http = true where it cannot be")
    return text


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _types(value: Mapping[str, Any], where: str) -> tuple[str, ...]:
    found = _texts(_of(value, "types", where, list, list(PATIENTS)), f"{where}.types")
    if not found or len(set(found)) < len(found) or not set(found) <= set(PATIENTS):
        raise _refuse(f"{where}.types: must be some of {', '.join(PATIENTS)}, each once")
    return found


def _includes(value: Mapping[str, Any], where: str) -> Mapping[str, tuple[str, ...]]:
    given = _of(value, "includes", where, dict, {})
    found = {key: _texts(each, f"{where}.includes.{key}") for key, each in given.items()}
    for key, texts in found.items():
        if key not in PATIENTS or not all(INCLUDE.fullmatch(text) for text in texts):
            reason = "must be lists of _include=Type:parameter by one of the types"
            raise _refuse(f"{where}.includes.{key}: {reason}")
    return MappingProxyType({**INCLUDES, **found})


def _since(value: Mapping[str, Any], where: str) -> str:
    since = value.get("since", "")
    if isinstance(since, datetime) or not (since == "" or isinstance(since, date)):
        raise _refuse(f"{where}.since: must be a date")
    return str(since)


def _number(
    value: Mapping[str, Any], key: str, where: str, default: float, least: float, most: float
) -> float:
    found = value.get(key, default)
    if isinstance(found, bool) or not isinstance(found, int | float) or not least <= found <= most:
        raise _refuse(f"{where}.{key}: must be a number from {least} to {most}")
    return found


def _texts(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise _refuse(f"{where}: must be a list of texts")
    return tuple(value)


def _table(table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = table.get(key)
    if not isinstance(value, dict) or not value or len(table) > 1:
        raise _refuse("must be tables [feeds.NAME], at least one, and nothing else")
    return value


def _of(value: Mapping[str, Any], key: str, where: str, kind: type, default: Any = None) -> Any:
    found = value.get(key, default)
    if not isinstance(found, kind):
        raise _refuse(f"{where}.{key}: must be a {kind.__name__}")
    return found


def _refuse(reason: str) -> SsciError:
    return error(Category.INCORRECT, reason, expression=SETTING)


def find_plan(plans: Sequence[PollPlan], feed: str) -> PollPlan:
    """The plan of a feed; INCORRECT if it has none."""
    found = next((plan for plan in plans if plan.feed == feed), None)
    if found is None:
        raise _refuse(f"feeds.{feed}: no server is set for this feed")
    return found
