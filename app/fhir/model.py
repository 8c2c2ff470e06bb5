"""The records that cross the border of the FHIR server: who calls, what to write, what changed.

A contributor turns the changes of a transaction into further statements of the same transaction
(trial projection, audit, outbox): a pure function, applied in the order in which `main` lists it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from app.fhir.request import SearchRequest

Json = dict[str, Any]
"""A resource as parsed JSON. Decimals are `decimal.Decimal` or the codec's lossless number."""


@dataclass(frozen=True, slots=True)
class Restriction:
    """What a caller may see: per resource type, searches of which one must match.

    `None` in `searches` means everything; an absent type means nothing of it.
    """

    searches: Mapping[str, tuple[SearchRequest, ...]] | None = None

    @property
    def is_open(self) -> bool:
        return self.searches is None


EVERYTHING = Restriction()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, for audit and access. `name` is a client or a service part, never a person's."""

    name: str
    restriction: Restriction = EVERYTHING
    request_id: str | None = None


ANY_VERSION = 0
"""As `if_match`: whichever version is current, but there must be one."""

Method = Literal["POST", "PUT", "PATCH", "DELETE"]
"""How a version came to be, as the history tells it."""


@dataclass(frozen=True, slots=True)
class Create:
    """Store a new resource; its id is given by the server unless `id` is set (feeds).

    `if_none_exist`: what one resource matches already is left as it is (412 for several).
    """

    resource: Json
    id: str | None = None
    if_none_exist: SearchRequest | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """Store `resource` under its type and `id`, created if absent.

    `if_match`: the version that must be current (412 otherwise). `if_absent`: 412 if there is one.
    `where`: the one resource that matches is updated (412 for several); `id` is then the id that a
    new one gets, where none matches (409 if that is taken: `if_unused`).
    """

    resource: Json
    id: str
    if_match: int | None = None
    where: SearchRequest | None = None
    if_absent: bool = False
    if_unused: bool = False


@dataclass(frozen=True, slots=True)
class Delete:
    resource_type: str
    id: str
    if_match: int | None = None


@dataclass(frozen=True, slots=True)
class DeleteMatching:
    """Delete what matches: one resource, or `several` (else 412 for several). None is no error."""

    where: SearchRequest
    several: bool = False
    if_match: int | None = None


@dataclass(frozen=True, slots=True)
class Revise:
    """Decide under the row's lock: `revise(stored or None)` gives the resource to store, or None
    to leave what is stored as it is. Pure: it may be called again after a lost race.

    `where`: the one resource that matches is meant, whatever `id` says (404 for none, 412 for
    several). `method`: how the history tells it.
    """

    resource_type: str
    id: str
    revise: Callable[[Json | None], Json | None]
    if_match: int | None = None
    where: SearchRequest | None = None
    method: Method = "PUT"


Operation = Create | Update | Delete | DeleteMatching | Revise

Kind = Literal["create", "update", "delete", "unchanged"]


@dataclass(frozen=True, slots=True)
class Moment:
    """When a transaction writes: `last_updated` is unique to it and never decreases (UTC, µs)."""

    xid: int
    last_updated: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """What one operation did. `version` is the version that is current afterwards (for a deletion:
    the version of the tombstone); `body` the stored bytes of `after`."""

    kind: Kind
    resource_type: str
    id: str
    version: int
    last_updated: datetime
    before: Json | None = field(repr=False)
    after: Json | None = field(repr=False)
    body: bytes | None = field(repr=False)
    method: Method = "PUT"


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL to run in the writing transaction: once, or once per row of `rows` (pipelined).

    Placeholders are `$1 …`; values are of the Python types asyncpg takes for the columns.
    """

    sql: str
    rows: Sequence[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Copy:
    """Many rows for one table, made as they are sent; a row may be a line of `copy_text`."""

    table: str
    columns: tuple[str, ...]
    rows: Iterable[tuple[Any, ...] | str]


class Contributor(Protocol):
    def __call__(
        self, caller: Caller, changes: Sequence[Change], moment: Moment
    ) -> Sequence[Statement]: ...
