"""Settings: defaults, refusals, documentation, and how workers get them."""

import os
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.settings import PREFIX, Settings, explain, export_settings, read_settings

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch, tmp_path):
    """No settings from outside; what a test exports is undone."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)
    for name in Settings.model_fields:
        monkeypatch.setenv(f"{PREFIX}{name.upper()}", "")


def refusal(**options):
    with pytest.raises(ValidationError) as caught:
        read_settings(**options)
    return explain(caught.value)


def documented_defaults():
    text = (ROOT / ".env.example").read_text()
    return dict(re.findall(r"^#?(SSCI_[A-Z_]+)=(.*)$", text, re.MULTILINE))


def test_every_setting_is_documented_and_nothing_else():
    assert set(documented_defaults()) == {f"{PREFIX}{n.upper()}" for n in Settings.model_fields}


def test_every_setting_says_what_it_is_for():
    silent = [name for name, field in Settings.model_fields.items() if not field.description]
    assert silent == []


def test_the_documented_values_are_the_defaults(monkeypatch):
    optional = {n for n, field in Settings.model_fields.items() if field.default is None}
    for name, value in documented_defaults().items():
        if name.removeprefix(PREFIX).lower() not in optional:
            monkeypatch.setenv(name, value)
    assert read_settings() == Settings()


def test_options_win_over_the_environment_and_that_over_the_file(monkeypatch, tmp_path):
    (tmp_path / ".env").write_text("SSCI_PORT=1\nSSCI_HOST=file.example\nSSCI_WORKERS=3\n")
    monkeypatch.setenv("SSCI_PORT", "2")
    monkeypatch.setenv("SSCI_HOST", "environment.example")
    settings = read_settings(port=3, host=None)
    assert (settings.port, settings.host, settings.workers) == (3, "environment.example", 3)


def test_workers_read_back_what_was_exported(tmp_path):
    settings = read_settings(
        port=8123,
        no_auth=True,
        data_dir=tmp_path,
        database_url="postgresql://owner:pw@db/ssci",
        zone="Europe/Berlin",
        base_url="https://fhir.example.org/",
        allowed_hosts="one.example,two.example",
    )
    export_settings(settings)
    assert read_settings() == settings


def test_a_misspelled_variable_is_refused(monkeypatch):
    monkeypatch.setenv("SSCI_PROT", "9000")
    with pytest.raises(ValueError, match="SSCI_PROT"):
        read_settings()


def test_a_misspelled_line_of_the_file_is_refused_but_not_other_programs_lines(tmp_path):
    (tmp_path / ".env").write_text("COMPOSE_PROJECT_NAME=x\nSSCI_PORT=5\n")
    assert read_settings().port == 5
    (tmp_path / ".env").write_text("SSCI_PROT=5\n")
    with pytest.raises(ValueError, match="SSCI_PROT"):
        read_settings()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"no_auth": True}, None),
        ({"no_auth": True, "host": "::1"}, None),
        ({"no_auth": True, "host": "localhost"}, None),
        ({"no_auth": True, "host": "127.9.9.9"}, None),
        ({"no_auth": True, "host": "0.0.0.0"}, "can be reached from others"),
        ({"no_auth": True, "host": ""}, "can be reached from others"),
        ({}, "access control is not there yet"),
    ],
)
def test_without_access_control_only_this_machine_is_served(options, problem):
    found = read_settings(**options).access_problem
    assert found == problem or problem in found


@pytest.mark.parametrize(
    ("host", "accepted"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("LocalHost", True),
        ("fhir.example.org", True),
        ("ward.example", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("10.0.0.1", False),
    ],
)
def test_a_service_without_tokens_is_addressed_by_known_hosts_only(monkeypatch, host, accepted):
    monkeypatch.setenv("SSCI_ALLOWED_HOSTS", "ward.example, Other.example")
    settings = read_settings(no_auth=True, base_url="https://fhir.example.org/x")
    assert settings.accepts_host(host) is accepted


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"zone": "Asia/Peking"}, "SSCI_ZONE: .*time zone"),
        ({"port": 70000}, "SSCI_PORT: "),
        ({"database_url": "mysql://owner:hunter2@db/ssci"}, "SSCI_DATABASE_URL: .*postgresql://"),
        ({"base_url": "fhir.example.org"}, "SSCI_BASE_URL: .*https://"),
        ({"patient_policy": "closed"}, "SSCI_PATIENT_POLICY: "),
        ({"runtime_database_url": "postgresql://a:hunter2@b/c"}, "SSCI_DATABASE_URL"),
        ({"allowed_hosts": "http://hunter2"}, "SSCI_ALLOWED_HOSTS: "),
        ({"read_timeout_seconds": 0}, "SSCI_READ_TIMEOUT_SECONDS: "),
    ],
)
def test_a_wrong_value_is_refused_by_name_without_showing_it(options, named):
    told = refusal(**options)
    assert re.search(named, told)
    assert "hunter2" not in told


def test_a_password_is_not_shown():
    settings = read_settings(database_url="postgresql://owner:hunter2@db/ssci")
    assert "hunter2" not in f"{settings!r} {settings}"


def test_the_patient_policy_follows_no_auth_unless_it_is_set():
    assert read_settings().effective_patient_policy == "coded"
    assert read_settings(no_auth=True).effective_patient_policy == "open"
    assert read_settings(no_auth=True, patient_policy="coded").effective_patient_policy == "coded"


def test_settings_do_not_change():
    with pytest.raises(ValidationError, match="frozen"):
        read_settings().port = 1


def test_keys_lie_in_the_data_folder_unless_they_are_put_elsewhere(tmp_path):
    assert read_settings(data_dir=tmp_path).effective_key_file == tmp_path / "keys.json"
    elsewhere = tmp_path / "safe" / "k.json"
    assert read_settings(key_file=elsewhere).effective_key_file == elsewhere
