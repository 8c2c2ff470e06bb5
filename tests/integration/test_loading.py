"""Loading files of resources: streamed, idempotent, each failure told by its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.database import Database
from app.fhir import Store, parse_json
from app.loading import Loaded, load_files
from app.simulation import build_bundle, simulate_participants
from tests.fhir_support import CALLER, store_on

Resource = dict[str, Any]


@pytest.fixture
def store(database: Database) -> Store:
    return store_on(database)


class Loader:
    """Loads files and keeps what was complained about and how far it came."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.folder = store, folder
        self.complaints: list[str] = []
        self.bytes_done = 0

    async def __call__(self, name: str, text: str) -> Loaded:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        self.complaints.clear()
        self.bytes_done = 0
        return await load_files(self.store, [path], self._advance, self.complaints.append)

    def _advance(self, size: int) -> None:
        self.bytes_done += size


@pytest.fixture
def load(store: Store, tmp_path: Path) -> Loader:
    return Loader(store, tmp_path)


def patient(id: str | None = "p1", **more: object) -> Resource:
    return {"resourceType": "Patient", **({"id": id} if id else {}), **more}


def lines(*resources: Resource) -> str:
    return "".join(json.dumps(resource) + "\n" for resource in resources)


def bundle(*entries: Resource) -> str:
    return json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": list(entries)})


async def test_every_line_becomes_a_resource(load, store):
    loaded = await load("a.ndjson", lines(patient("a"), patient("b"), patient("c")))
    assert loaded.kinds == {"create": 3}
    assert (await store.read(CALLER, "Patient", "c")).version == 1


async def test_loading_again_changes_nothing(load, store):
    text = lines(patient("a"), patient(None, gender="female"))
    await load("a.ndjson", text)
    assert (await load("a.ndjson", text)).kinds == {"unchanged": 2}
    assert (await store.read(CALLER, "Patient", "a")).version == 1


async def test_a_changed_line_becomes_a_new_version(load, store):
    await load("a.ndjson", lines(patient("a")))
    loaded = await load("a.ndjson", lines(patient("a", gender="male")))
    assert loaded.kinds == {"update": 1}
    assert (await store.read(CALLER, "Patient", "a")).version == 2


async def test_a_bad_line_is_named_and_the_others_are_stored(load):
    text = lines(patient("a")) + "{broken\n\n" + lines(patient("b", gender="tall"), patient("c"))
    loaded = await load("a.ndjson", text)
    assert loaded.kinds == {"create": 2}
    assert loaded.failures == 2
    assert [complaint.split(": ")[0].rsplit("/", 1)[1] for complaint in load.complaints] == [
        "a.ndjson:2",
        "a.ndjson:4",
    ]


async def test_progress_ends_at_the_size_of_the_file(load):
    text = lines(*(patient(f"p{number}") for number in range(7)))
    await load("a.ndjson", text)
    assert load.bytes_done == len(text.encode())


async def test_one_resource_twice_in_a_file_leaves_the_later_one(load, store):
    await load("a.ndjson", lines(patient("a", gender="male"), patient("a", gender="female")))
    stored = await store.read(CALLER, "Patient", "a")
    assert parse_json(stored.body)["gender"] == "female"


async def test_a_bundle_is_stored_wholly_or_not_at_all(load, store):
    loaded = await load(
        "a.json",
        bundle({"resource": patient("a")}, {"resource": patient("b", gender="tall")}),
    )
    assert loaded.failures == 1
    assert await store.read(CALLER, "Patient", "a") is None


async def test_references_within_a_bundle_are_resolved(load, store):
    subject = {"fullUrl": "urn:uuid:1", "resource": patient(None, gender="female")}
    group = {
        "resourceType": "Group",
        "id": "g",
        "type": "person",
        "actual": True,
        "member": [{"entity": {"reference": "urn:uuid:1"}}],
    }
    text = bundle(
        {**subject, "request": {"method": "POST", "url": "Patient"}},
        {"fullUrl": "urn:uuid:2", "resource": group},
    )
    assert (await load("a.json", text)).kinds == {"create": 2}
    assert (await load("a.json", text)).kinds == {"unchanged": 2}
    stored = parse_json((await store.read(CALLER, "Group", "g")).body)
    kind, _, id = stored["member"][0]["entity"]["reference"].partition("/")
    assert kind == "Patient"
    assert (await store.read(CALLER, "Patient", id)).version == 1


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        ({"request": {"method": "DELETE", "url": "Patient/a"}}, "Bundle.entry[0].resource"),
        (
            {"resource": patient("a"), "request": {"method": "DELETE", "url": "Patient/a"}},
            "Bundle.entry[0].request",
        ),
        (
            {
                "resource": patient("a"),
                "request": {"method": "POST", "url": "Patient", "ifNoneExist": "identifier=x"},
            },
            "Bundle.entry[0].request",
        ),
    ],
)
async def test_what_a_load_can_not_do_is_refused_by_place(load, entry, place):
    loaded = await load("a.json", bundle(entry))
    assert loaded.failures == 1
    assert f"a.json: {place}: " in load.complaints[0]


async def test_decimals_keep_their_digits(load, store):
    observation = (
        '{"resourceType": "Observation", "id": "o", "status": "final",'
        ' "code": {"text": "level"}, "valueQuantity": {"value": 8.60}}\n'
    )
    await load("a.ndjson", observation)
    assert b"8.60" in (await store.read(CALLER, "Observation", "o")).body


async def test_a_simulated_participant_can_be_loaded_twice(load):
    participant = next(iter(simulate_participants(20, seed=1)))
    text = json.dumps(build_bundle(participant))
    loaded = await load("a.json", text)
    assert load.complaints == []
    assert loaded.kinds["create"] == len(build_bundle(participant)["entry"])
    assert set((await load("a.json", text)).kinds) == {"unchanged"}
