"""Which mapping is active: a site's folder kept below the data directory, under its version.

`mappings/<version>/` holds the folders, `mappings/active` names one of them, `mappings/diffs.json`
what was compared before. Without `active` the site shipped with the service is. A running service
looks every few seconds (`following.py`).
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from app.errors import Category, error
from app.mappings.dictionary.site import FILES, Site, SiteError, load_site, read_site

FOLDER, ACTIVE, DIFFS = "mappings", "active", "diffs.json"
SHIPPED = "shipped"
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\+[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class MappingStore:
    """The mappings of an installation; `name` is the site's."""

    data_dir: Path
    name: str

    @property
    def folder(self) -> Path:
        return self.data_dir / FOLDER

    @property
    def active(self) -> str:
        """The version that is active, '' for the shipped one."""
        try:
            return self.folder.joinpath(ACTIVE).read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return ""

    def load(self) -> Site:
        """The active site, checked. FAULT: not there, not legal, or not what was activated."""
        try:
            return self._load(self.active)
        except SiteError as problem:
            raise error(Category.FAULT, f"mapping: {problem}") from problem

    def _load(self, version: str) -> Site:
        if not version:
            return load_site(self.name)
        if not VERSION.fullmatch(version):
            raise SiteError(f"{self.folder / ACTIVE}: names no version of a mapping")
        try:
            site = read_site(self.name, self.folder / version)
        except SiteError as problem:
            raise SiteError(f"mapping {version}: {problem}") from problem
        if site.version != version:
            raise SiteError(f"mapping {version}: its files were changed, they are {site.version}")
        return site

    def versions(self) -> list[str]:
        """The versions that are kept."""
        found = self.folder.iterdir() if self.folder.is_dir() else ()
        return sorted(each.name for each in found if VERSION.fullmatch(each.name))

    def find(self, given: str) -> Traversable:
        """The folder meant: a path, a version kept here, or `shipped`. NOT_FOUND: none of these."""
        if given == SHIPPED:
            return resources.files("app.mappings").joinpath("sites", self.name)
        if VERSION.fullmatch(given) and (kept := self.folder / given).is_dir():
            return kept
        if not (path := Path(given)).is_dir():
            raise error(Category.NOT_FOUND, "neither a folder nor a version kept here or shipped")
        return path

    # Differences

    def note_diff(self, candidate: str, against: str, counts: Mapping[str, Any]) -> None:
        """Remembers that a candidate was compared with the active mapping."""
        noted = {**self._diffs(), candidate: {"against": against, **counts}}
        self._write(DIFFS, json.dumps(noted, indent=1) + "\n")

    def was_compared(self, candidate: str, against: str) -> bool:
        found = self._diffs().get(candidate)
        return isinstance(found, dict) and found.get("against") == against

    def _diffs(self) -> dict[str, Any]:
        try:
            found = json.loads(self.folder.joinpath(DIFFS).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    # Activation

    def activate(self, source: Traversable, version: str) -> None:
        """Keeps the folder under its version and makes it the active one; durable when it returns.
        Nothing is half done: what was active stays so until the very end."""
        self._keep(source, version)
        self._write(ACTIVE, version + "\n")

    def _keep(self, source: Traversable, version: str) -> None:
        target, draft = self.folder / version, self.folder / f".{version}.new"
        if target.is_dir() and read_site(self.name, target).version == version:
            return
        for stale in (draft, target):
            shutil.rmtree(stale, ignore_errors=True)
        draft.mkdir(parents=True)
        for name in FILES:
            _write_durably(draft / name, source.joinpath(name).read_bytes())
        copied = read_site(self.name, draft).version
        if copied != version:
            raise error(Category.CONFLICT, "the folder changed while it was copied: check it again")
        _sync_folder(draft)
        draft.rename(target)
        _sync_folder(self.folder)

    def _write(self, name: str, text: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = self.folder / f".{name}.new"
        _write_durably(draft, text.encode())
        draft.replace(self.folder / name)
        _sync_folder(self.folder)


def _write_durably(file: Path, data: bytes) -> None:
    with file.open("wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
