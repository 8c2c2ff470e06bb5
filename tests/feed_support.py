"""What tests of the feeds share: messages built segment by segment, a directory of subjects in
memory, and a service with its routes over a real database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

import httpx
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from app.database import Database, ReadConnection, WriteConnection
from app.errors import SsciError
from app.fhir import Caller, Store, decimal, parse_json
from app.mappings import (
    FeedKeys,
    Feeds,
    Found,
    PatientClaim,
    Site,
    Subject,
    build_router,
    load_site,
)
from app.mappings.context import Context
from app.mappings.facts import Fact, Source
from app.mappings.formats.decoders import DECODERS
from app.mappings.formats.decoding import map_message
from app.mappings.subjects import Linked, NumberMerge
from tests.trial_support import trial_store

CALLER = Caller("test")
FEED_KEYS = FeedKeys(b"k" * 32, b"r" * 32)
MRN = "T000000001"
STRANGER = "N999999999"
SUBJECT = Subject("SSCI-001", "Patient/SSCI-001", synthetic=True)
LIS = "pumch-lis"
HIS = "pumch-his"
ER7 = "x-application/hl7-v2+er7"

PLT = "PLT^血小板计数^99MRC"
SIROLIMUS = "SIR^雷帕霉素浓度^99PUMCH"
TABLET = "SIR1^西罗莫司片1mg^99PUMCH"


@cache
def site() -> Site:
    return load_site("pumch")


# Messages


def segment(name: str, **fields: str) -> str:
    """`segment("OBX", f3="PLT")` → `OBX|||PLT`: fields by number."""
    numbers = {int(key[1:]): value for key, value in fields.items()}
    return "|".join([name, *(numbers.get(n, "") for n in range(1, max(numbers) + 1))])


def msh(kind: str = "ORU^R01^ORU_R01", **fields: str) -> str:
    """MSH-2 and -7 to -18 may be overridden; field n of MSH is written one place earlier."""
    values = {
        2: "^~\\&",
        3: "LIS",
        4: "PUMCH",
        5: "SSCI",
        6: "PUMCH",
        7: "20190314101500+0800",
        9: kind,
        10: "M1",
        11: "P",
        12: "2.5.1",
        18: "UNICODE UTF-8",
    } | {int(key[1:]): value for key, value in fields.items()}
    return "|".join(["MSH", *(values.get(n, "") for n in range(2, 19))])


def pid(mrn: str = MRN, **fields: str) -> str:
    return segment("PID", **({"f1": "1", "f3": f"{mrn}^^^PUMCH^MR", "f5": "测试^一"} | fields))


def obr(order: str = "L1", panel: str = "CBC^血常规^99MRC", **fields: str) -> str:
    sent = {"f1": "1", "f2": f"P-{order}", "f3": order, "f4": panel, "f7": "20190314080000+0800"}
    if not order:
        sent["f2"] = ""
    return segment("OBR", **(sent | {"f22": "20190314095500+0800", "f25": "F"} | fields))


def obx(code: str = PLT, value: str = "38", unit: str = "10*9/L", **fields: str) -> str:
    sent = {"f1": "1", "f2": "NM", "f3": code, "f4": "1", "f5": value, "f6": unit, "f11": "F"}
    return segment("OBX", **(sent | {"f14": "20190314080000+0800"} | fields))


def message(*segments: str, end: str = "\r", charset: str = "utf-8") -> bytes:
    return "".join(f"{each}{end}" for each in segments).encode(charset)


def oru(
    code: str = PLT,
    value: str = "38",
    unit: str = "10*9/L",
    *,
    status: str = "F",
    sent: str = "20190314101500+0800",
    id: str = "M1",
    mrn: str = MRN,
    order: str = "L1",
    notes: Sequence[str] = (),
    **fields: str,
) -> bytes:
    """An ORU^R01 with one result; `fields` are further fields of OBX."""
    return message(
        msh(f7=sent, f10=id),
        pid(mrn),
        obr(order),
        obx(code, value, unit, f11=status, **fields),
        *(f"NTE|{n}|L|{note}" for n, note in enumerate(notes, start=1)),
    )


def ras(
    amount: str = "2",
    unit: str = "mg",
    *,
    drug: str = TABLET,
    start: str = "20190314083000+0800",
    status: str = "CP",
    action: str = "A",
    sent: str = "20190314090000+0800",
    id: str = "R1",
    order: str = "A1",
    mrn: str = MRN,
) -> bytes:
    """A RAS^O17 with one administration."""
    rxa = segment(
        "RXA",
        f1="0",
        f2="1",
        f3=start,
        f4=start,
        f5=drug,
        f6=amount,
        f7=unit,
        f20=status,
        f21=action,
    )
    orc = f"ORC|RE|P-{order}|{order}" if order else "ORC|RE"
    return message(msh("RAS^O17^RAS_O17", f3="HIS", f7=sent, f10=id), pid(mrn), orc, rxa)


def adt(
    trigger: str,
    *,
    visit: str = "V1",
    kind: str = "I",
    start: str = "20190310080000+0800",
    end: str = "",
    recorded: str = "20190310081500+0800",
    sent: str = "20190312130000+0800",
    mrn: str = MRN,
    merged: str = "",
    sex: str = "",
    born: str = "",
    name: str = "测试^一",
    id: str = "A1",
) -> bytes:
    """An ADT with one visit; with `merged` (A40) an MRG in its place."""
    head = [
        msh(f"ADT^{trigger}", f3="HIS", f7=sent, f10=id),
        segment("EVN", f1=trigger, f2=recorded),
        pid(mrn, f5=name, f7=born, f8=sex),
    ]
    if merged:
        return message(*head, segment("MRG", f1=f"{merged}^^^PUMCH^MR"))
    number = f"{visit}^^^HIS" if visit else ""
    return message(*head, segment("PV1", f1="1", f2=kind, f19=number, f44=start, f45=end))


def rde(
    amount: str = "2",
    unit: str = "mg",
    *,
    control: str = "NW",
    state: str = "",
    drug: str = TABLET,
    pattern: str = "QD",
    start: str = "20190314080000+0800",
    end: str = "20190317080000+0800",
    route: str = "PO^口服",
    order: str = "P-7",
    ordered: str = "20190314073000+0800",
    sent: str = "20190314080000+0800",
    id: str = "E1",
    mrn: str = MRN,
) -> bytes:
    """An RDE^O11 with one prescription."""
    return message(
        msh("RDE^O11^RDE_O11", f3="HIS", f7=sent, f10=id),
        pid(mrn),
        segment("ORC", f1=control, f2=order, f5=state, f9=ordered),
        segment("RXE", f2=drug, f3=amount, f5=unit),
        segment("TQ1", f1="1", f3=pattern, f7=start, f8=end),
        segment("RXR", f1=route),
    )


def oml(
    *,
    kind: str = "OML^O21^OML_O21",
    control: str = "NW",
    state: str = "",
    code: str = "CBC^血常规^99PUMCH",
    order: str = "P-7",
    filler: str = "",
    ordered: str = "20190314073000+0800",
    sent: str = "20190314080000+0800",
    id: str = "O1",
    mrn: str = MRN,
) -> bytes:
    """An order of one test."""
    return message(
        msh(kind, f3="HIS", f7=sent, f10=id),
        pid(mrn),
        segment("ORC", f1=control, f2=order, f3=filler, f5=state, f9=ordered),
        segment("OBR", f1="1", f2=order, f3=filler, f4=code),
    )


# Pure mapping


def map_bytes(
    data: bytes,
    feed: str = LIS,
    subjects: Sequence[Subject] = (SUBJECT,),
    format: str = "hl7v2",
    **changes: Any,
) -> list[Fact]:
    """The facts of a message whose patients all are these subjects; `changes` of the feed's
    setting."""
    setting, decoder = replace(site().feeds[feed], **changes), DECODERS[format]
    read = decoder.read(data, setting, site())
    source = Source(feed, "0" * 64, datetime(2019, 3, 14, 3, tzinfo=UTC), site().version)
    found = {claim: Found(tuple(subjects)) for claim in read.claims.values()}
    context = Context(site(), setting, FEED_KEYS.result_hmac, source)
    return map_message(decoder, read, found, context)


def map_one(data: bytes, feed: str = LIS) -> Fact:
    (fact,) = map_bytes(data, feed)
    return fact


def resource_of(fact: Fact) -> dict[str, Any]:
    assert fact.candidate is not None, (fact.outcome, fact.reason, fact.detail)
    return fact.candidate.resource


# A service


@dataclass(slots=True)
class Directory:
    """Subjects by (authority, MRN); enrol by adding to it."""

    subjects: dict[tuple[str, str], Subject] = field(
        default_factory=lambda: {("PUMCH", MRN): SUBJECT}
    )

    async def find(
        self, connection: ReadConnection, claims: Sequence[PatientClaim]
    ) -> Mapping[PatientClaim, Found]:
        return {
            claim: Found(
                tuple(self.subjects[mrn] for mrn in claim.mrns if mrn in self.subjects),
                tuple(waiting_key(mrn) for mrn in claim.mrns),
            )
            for claim in claims
        }

    async def link(self, connection: WriteConnection, merge: NumberMerge, at: datetime) -> Linked:
        numbers = [*merge.old, *merge.new]
        owners = {self.subjects[mrn].number for mrn in numbers if mrn in self.subjects}
        if len(owners) != 1:
            return Linked("ambiguous" if owners else "unknown")
        subject = next(self.subjects[mrn] for mrn in numbers if mrn in self.subjects)
        added = [mrn for mrn in numbers if mrn not in self.subjects]
        self.subjects |= dict.fromkeys(added, subject)
        return Linked("linked" if added else "unchanged", tuple(map(waiting_key, added)))


def waiting_key(mrn: tuple[str, str]) -> bytes:
    return "|".join(mrn).encode().ljust(32, b".")


class Clock:
    """Moves one second on at every look."""

    def __init__(self) -> None:
        self.seconds = 0

    def __call__(self) -> datetime:
        self.seconds += 1
        return datetime.fromtimestamp(1_552_536_000 + self.seconds, UTC)


@dataclass(slots=True)
class Hospital:
    """A hospital that sends to the service, and a reader of what became of it."""

    database: Database
    store: Store
    feeds: Feeds
    directory: Directory
    client: httpx.AsyncClient

    async def post(
        self, data: bytes, feed: str = LIS, format: str = "hl7v2", **headers: str
    ) -> httpx.Response:
        sent = {"content-type": ER7, **{k.replace("_", "-"): v for k, v in headers.items()}}
        return await self.client.post(f"/feeds/{feed}/{format}", content=data, headers=sent)

    async def send(self, data: bytes, feed: str = LIS) -> list[dict[str, Any]]:
        """The facts of one message, as the caller is told them."""
        answer = await self.post(data, feed, accept="application/json")
        assert answer.status_code == 200, answer.text
        (receipt,) = answer.json()["messages"]
        return list(receipt["facts"])

    async def send_one(self, data: bytes, feed: str = LIS) -> dict[str, Any]:
        (fact,) = await self.send(data, feed)
        return fact

    async def read(self, reference: str) -> dict[str, Any]:
        """`Observation/id`, or one of its versions `Observation/id/_history/2`."""
        kind, id, *version = reference.split("/")
        if version:
            stored = await self.store.read_version(CALLER, kind, id, int(version[1]))
        else:
            stored = await self.store.read(CALLER, kind, id)
        assert stored is not None
        assert stored.body is not None
        return parse_json(stored.body)

    async def count(self, kind: str) -> int:
        """Versions of a resource type, superseded ones included."""
        table = f"fhir.{kind.lower()}"
        async with self.database.reading() as connection:
            return int(
                await connection.fetchval(
                    f"SELECT (SELECT count(*) FROM {table})"
                    f" + (SELECT count(*) FROM {table}_history)"
                )
            )


def value_of(resource: Mapping[str, Any]) -> str:
    return str(decimal(resource["valueQuantity"]["value"]))


def current(fact: Mapping[str, Any]) -> str:
    """The reference without its version."""
    return str(fact["resource"]).split("/_history/")[0]


@asynccontextmanager
async def hospital(
    database: Database, feeds: Feeds | None = None, store: Store | None = None
) -> AsyncIterator[Hospital]:
    store = store or trial_store(database)
    directory = Directory()
    feeds = feeds or Feeds(database, store, site(), FEED_KEYS, directory, now=Clock())
    app = FastAPI()
    app.include_router(build_router(feeds))

    @app.exception_handler(SsciError)
    async def tell(request: Request, problem: SsciError) -> JSONResponse:
        issues = [{"place": each.expression, "reason": each.diagnostics} for each in problem.issues]
        return JSONResponse({"issues": issues}, problem.http_status, dict(problem.headers))

    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://feeds") as client:
        yield Hospital(database, store, feeds, directory, client)
