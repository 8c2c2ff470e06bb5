"""The folder of an embedded server, below the data directory: its places, owner and passwords."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

from app.database.binaries import (
    SYSTEM_HOME,
    Account,
    can_enter,
    failed_start,
    server_account,
    short_hash,
)

DATABASE = "ssci"
LONGEST_SOCKET_PATH = 107  # sun_path of unix(7), less its closing NUL
SOCKET_NAME = ".s.PGSQL.5432"
FILES = ("start.lock", "users.lock", "server.lock", "server.log")


@dataclass(frozen=True, slots=True)
class Home:
    """The places of one embedded server, all of them owned by `account`."""

    folder: Path
    account: Account

    @property
    def cluster(self) -> Path:
        return self.folder / "cluster"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    @property
    def start_lock(self) -> Path:
        return self.folder / "start.lock"

    @property
    def users_lock(self) -> Path:
        return self.folder / "users.lock"

    @property
    def server_lock(self) -> Path:
        return self.folder / "server.lock"

    @property
    def socket_folder(self) -> Path:
        """`socket/`, or a private folder in the system's temporary one where paths are too long."""
        own = self.folder / "socket"
        if len(os.fsencode(own / SOCKET_NAME)) <= LONGEST_SOCKET_PATH:
            return own
        return Path(tempfile.gettempdir()) / f"ssci-{short_hash(str(self.folder))}"

    def dsn(self, role: str, password: str, database: str = DATABASE) -> str:
        return f"postgresql://{role}:{password}@/{database}?host={self.socket_folder}&port=5432"


@dataclass(frozen=True, slots=True)
class Passwords:
    owner: str = field(repr=False)
    runtime: str = field(repr=False)


def prepared_home(data_dir: Path) -> Home:
    """The home below `data_dir`, made where it is missing; an error that says what to do."""
    try:
        return _prepared(data_dir.resolve() / "postgres")
    except OSError as failure:
        raise failed_start(
            f"The data directory {data_dir} can't be used ({failure.strerror}): give this user "
            "write permission, free some space, or name another directory with --data-dir."
        ) from failure


def _prepared(link: Path) -> Home:
    link.parent.mkdir(parents=True, exist_ok=True)
    account = server_account(link)
    if account.switch and not link.exists() and not can_enter(link.parent, account):
        _link_to_system_home(link)
    home = Home(link.resolve(), account)
    _make_folder(home.folder, account)
    _make_folder(home.socket_folder, account)
    if home.socket_folder.is_symlink() or home.socket_folder.stat().st_uid != account.uid:
        raise failed_start(f"{home.socket_folder} belongs to somebody else: remove it.")
    for name in FILES:
        with contextlib.suppress(FileExistsError):
            os.close(create_private(home.folder / name, account))
    return home


def _link_to_system_home(link: Path) -> None:
    """A random name: a data directory that was deleted and made anew must not find old data."""
    SYSTEM_HOME.mkdir(mode=0o755, parents=True, exist_ok=True)
    target = SYSTEM_HOME / secrets.token_hex(6)
    target.mkdir(mode=0o700)
    link.unlink(missing_ok=True)  # a link whose target is gone
    link.symlink_to(target)


def _make_folder(folder: Path, account: Account) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    if account.switch and folder.stat().st_uid == 0:
        os.chown(folder, account.uid, account.gid)


def create_private(path: Path, account: Account) -> int:
    """A new, open file of the account's own, mode 0600; FileExistsError if there is one."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    if account.switch:
        os.fchown(file, account.uid, account.gid)
    return file


def write_private(path: Path, text: str, account: Account) -> None:
    """A durable file, mode 0600, in place of what may have been left of an earlier one."""
    path.unlink(missing_ok=True)
    with os.fdopen(create_private(path, account), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def passwords_of(home: Home) -> Passwords:
    """The home's passwords, generated the first time."""
    path = home.folder / "passwords.json"
    try:
        if not path.exists() and not home.cluster.exists():
            fresh = Passwords(secrets.token_urlsafe(32), secrets.token_urlsafe(32))
            write_private(path.with_suffix(".new"), json.dumps(asdict(fresh)), home.account)
            path.with_suffix(".new").rename(path)
        return Passwords(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as failure:
        raise failed_start(
            f"{path} can't be read or written ({type(failure).__name__}): start the service as the "
            "user who made it, or restore it from a backup."
        ) from failure
