"""Polling a FHIR server of the hospital: what is asked, what a page says, what the file holds."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.errors import SsciError
from app.mappings.polling.http import read_retry_after
from app.mappings.polling.pages import PollFailure, build_first_url, read_page
from app.mappings.polling.plan import PollPlan, find_plan, read_plans
from tests.feed_support import site
from tests.fhir_feed_support import HIS_BASE, bundle, dump, observation, patient

PLAN = PollPlan("pumch-lis", HIS_BASE, ("Observation",))
URL = f"{HIS_BASE}/Observation?_sort=_lastUpdated"
AT = datetime(2019, 3, 14, 2, 15, tzinfo=UTC)


def page(*resources: dict, url: str = "", mode: str = "match") -> bytes:
    links = [{"relation": "next", "url": url}] if url else []
    entries = [{"resource": each, "search": {"mode": mode}} for each in resources]
    return dump({"resourceType": "Bundle", "type": "searchset", "link": links, "entry": entries})


def test_everything_since_the_watermark_is_asked_for_with_the_overlap_before_it():
    url = build_first_url(PLAN, "Observation", AT, 50)
    assert url.startswith(f"{HIS_BASE}/Observation?_lastUpdated=ge2019-03-14T02:10:00.000Z&")
    assert "&_sort=_lastUpdated&_count=50&_include=Observation:subject" in url


def test_the_first_round_begins_at_the_date_that_is_set_or_at_the_beginning():
    assert "_lastUpdated" not in build_first_url(PLAN, "Observation", None, 9).replace(
        "_sort=_lastUpdated", ""
    )
    since = PollPlan("pumch-lis", HIS_BASE, ("Observation",), since="2019-01-01")
    assert "?_lastUpdated=ge2019-01-01&" in build_first_url(since, "Observation", None, 9)


def test_a_page_tells_what_matched_and_the_newest_change():
    read = read_page(page(observation(), observation("10")), URL, PLAN)
    assert (read.matches, read.newest, read.next_url) == (2, AT, "")
    assert read_page(page(patient(), mode="include"), URL, PLAN).matches == 0


@pytest.mark.parametrize(
    ("link", "followed"),
    [
        (f"{HIS_BASE}?_getpages=7", f"{HIS_BASE}?_getpages=7"),
        ("https://HIS.pumch.example:443/x", "https://HIS.pumch.example:443/x"),
        ("?page=2", f"{HIS_BASE}/Observation?page=2"),
        ("/other/2", "https://his.pumch.example/other/2"),
    ],
)
def test_the_next_page_of_the_same_server_is_followed(link, followed):
    assert read_page(page(observation(), url=link), URL, PLAN).next_url == followed


@pytest.mark.parametrize(
    "link",
    [
        "https://elsewhere.example/fhir?page=2",
        "http://his.pumch.example/fhir?page=2",
        "https://his.pumch.example:8443/fhir?page=2",
        "https://u:p@his.pumch.example/fhir",
        "//169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "https://his.pumch.example:x/",
        "https://[/",
    ],
)
def test_a_link_to_another_server_is_not_followed(link):
    with pytest.raises(PollFailure):
        read_page(page(observation(), url=link), URL, PLAN)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"<html>", dump({"resourceType": "OperationOutcome"}), bundle(observation()),
     b'{"resourceType":"Bundle","type":"searchset","entry":{}}',
     b'{"resourceType":"Bundle","type":"searchset","entry":[1]}',
     b'{"resourceType":"Bundle","type":"searchset","link":[{"relation":"next","url":1}]}'],
)  # fmt: skip
def test_what_is_no_page_ends_the_round(body):
    with pytest.raises(PollFailure):
        read_page(body, URL, PLAN)


def test_retry_after_is_seconds_or_a_time():
    assert read_retry_after("7", AT) == 7
    assert read_retry_after("Thu, 14 Mar 2019 02:16:00 GMT", AT) == 60
    assert read_retry_after("Thu, 14 Mar 2019 02:00:00 GMT", AT) == 0
    assert read_retry_after("", AT) is None
    assert read_retry_after("soon", AT) is None


# The file


GOOD = f"""
[feeds.pumch-lis]
base_url = "{HIS_BASE}/"
types = ["Observation"]
interval_seconds = 30
since = 2019-01-01
token_url = "https://his.pumch.example/token"
client_id = "ssci"
"""


def plans(folder: Path, text: str, secrets: str = "pumch-lis=s3cret") -> list[PollPlan]:
    path = folder / "polling.toml"
    path.write_text(text, encoding="utf-8")
    return read_plans(path, secrets, site())


def test_a_server_is_set_per_feed_and_its_secret_is_never_shown(tmp_path):
    (plan,) = plans(tmp_path, GOOD)
    assert (plan.feed, plan.base_url, plan.interval) == ("pumch-lis", HIS_BASE, 30)
    assert plan.oauth is not None
    assert plan.oauth.secret == "s3cret"
    assert "s3cret" not in repr(plan)
    assert find_plan([plan], "pumch-lis") is plan


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("[feeds.pumch-lis]", "[feeds.nobody]", "feeds.nobody"),
        ('["Observation"]', '["Sandwich"]', "types"),
        ('["Observation"]', "[]", "types"),
        ("interval_seconds = 30", "interval_seconds = 0", "interval_seconds"),
        ("interval_seconds = 30", 'interval_seconds = "x"', "interval_seconds"),
        ("interval_seconds = 30", "interval = 30", "no such key"),
        (f'"{HIS_BASE}/"', '"http://his.pumch.example/fhir"', "must be https"),
        (f'"{HIS_BASE}/"', '"https://u:p@his.pumch.example/fhir"', "no place"),
        (f'"{HIS_BASE}/"', '"https://his.pumch.example/fhir?x=1"', "query"),
        (f'"{HIS_BASE}/"', "7", "base_url"),
        ("2019-01-01", '"yesterday"', "since"),
        ('client_id = "ssci"', "", "client_id"),
        ("[feeds.pumch-lis]", "[feeds.pumch-lis", "SSCI_POLLING"),
        ('client_id = "ssci"', 'client_id = "ssci"\nincludes = {Observation = ["_x=1&y"]}',
         "includes"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_file_is_told_with_its_key(tmp_path, old, new, told):
    assert old in GOOD
    with pytest.raises(SsciError) as problem:
        plans(tmp_path, GOOD.replace(old, new), "nobody=s" if "nobody" in new else "pumch-lis=s")
    assert told in str(problem.value)


@pytest.mark.parametrize("secrets", ["", "pumch-lis", "=x", "other=x pumch-lis=y"])
def test_a_missing_or_unused_secret_is_told_without_it(tmp_path, secrets):
    with pytest.raises(SsciError) as problem:
        plans(tmp_path, GOOD, secrets)
    assert "SSCI_POLLING_SECRETS" in str(problem.value)
    assert "=y" not in str(problem.value)


def test_http_is_taken_on_this_machine_or_where_the_file_says_so(tmp_path):
    local = '[feeds.pumch-lis]\nbase_url = "http://127.0.0.1:8080/fhir"\n'
    assert plans(tmp_path, local, "")[0].base_url == "http://127.0.0.1:8080/fhir"
    plain = '[feeds.pumch-lis]\nbase_url = "http://his/fhir"\nplain_http = true\n'
    assert plans(tmp_path, plain, "")[0].oauth is None
