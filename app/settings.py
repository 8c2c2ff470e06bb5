"""Every setting of the service, read once from the environment (`SSCI_…`) and nowhere else.

`.env.example` documents them; a file `.env` in the working directory is read as well, and the
environment wins over it. A command's options win over both: `read_settings(port=9000)`.
https://docs.pydantic.dev/latest/concepts/pydantic_settings/
"""

from __future__ import annotations

import ipaddress
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX = "SSCI_"
ENV_FILE = ".env"
TEST_PREFIX = "SSCI_TEST_"
MEBIBYTE = 1024 * 1024
NO_ACCESS_CONTROL = (
    "access control is not there yet, so the service can't be opened to anyone who may not see "
    "everything: add --no-auth to serve this machine alone"
)


@lru_cache(maxsize=64)  # asked for each request
def is_loopback(host: str) -> bool:
    """Whether the host is this machine as only itself can reach it."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _known_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"unknown time zone {name!r}; use a name such as Asia/Shanghai or UTC")
    return name


def _postgres_address(address: SecretStr) -> SecretStr:
    if not re.match(r"postgres(ql)?://", address.get_secret_value()):
        raise ValueError("must be an address such as postgresql://user:password@host:5432/database")
    return address


def _carried_version(major: int) -> int:
    if major not in (16, 18):
        raise ValueError("the embedded PostgreSQL is 16 or 18")
    return major


def _web_address(address: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", address):
        raise ValueError("must be an address such as https://fhir.example.org, without a query")
    return address.rstrip("/")


def _split(names: object) -> object:
    return [each.strip() for each in names.split(",")] if isinstance(names, str) else names


def _host_names(names: tuple[str, ...]) -> tuple[str, ...]:
    if not all(re.fullmatch(r"[A-Za-z0-9.-]+|[0-9A-Fa-f:]+", each) for each in names):
        raise ValueError("must be host names without port, separated by commas")
    return tuple(each.lower() for each in names)


HostNames = Annotated[
    tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_host_names)
]


def _origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    if not all(each == "*" or re.fullmatch(r"https?://[^\s/?#]+", each) for each in origins):
        raise ValueError("must be http(s)://host[:port] without a path, separated by commas; or *")
    return origins


def _mllp_ports(ports: tuple[str, ...]) -> tuple[str, ...]:
    for each in ports:
        number = re.fullmatch(r"(?:[a-z0-9-]+=)?(\d{1,5})", each)
        if number is None or int(number[1]) > 65535:
            raise ValueError("must be PORT or FEED=PORT, several of them separated by commas")
    return ports


def _feed_names(names: tuple[str, ...]) -> tuple[str, ...]:
    if not all(re.fullmatch(r"[a-z0-9-]+", each) for each in names):
        raise ValueError("must be names of feeds, separated by commas")
    return names


MllpPorts = Annotated[
    tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_mllp_ports)
]
FeedNames = Annotated[
    tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_feed_names)
]
PostgresAddress = Annotated[SecretStr, AfterValidator(_postgres_address)]
PostgresMajor = Annotated[int, AfterValidator(_carried_version)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
Origins = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_origins)]
Zone = Annotated[str, AfterValidator(_known_zone)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=ENV_FILE,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    workers: int = Field(1, ge=1, le=256, description="Web worker processes.")
    base_url: WebAddress | None = Field(
        None,
        description="Address under which clients reach the service, used in links and Location "
        "headers. Unset: taken from each request's Host.",
    )
    no_auth: bool = Field(
        False, description="Ask for no tokens. Binds loopback addresses only: for trying out."
    )
    allowed_hosts: HostNames = Field(
        (),
        description="Host names, separated by commas, under which browsers may address a service "
        "that asks for no tokens, beside loopback ones and that of base_url.",
    )

    data_dir: Path = Field(
        Path("data"), description="Folder of the embedded database, keys and other state."
    )
    key_file: Path | None = Field(
        None,
        description="File of the encryption keys, mode 0600. Unset: keys.json in the data folder.",
    )

    database_url: PostgresAddress | None = Field(
        None,
        description="PostgreSQL server (16 or newer) of your own, as the owner of the database. "
        "Unset: an embedded PostgreSQL in the data folder.",
    )
    runtime_database_url: PostgresAddress | None = Field(
        None,
        description="The same database as a login that has the role ssci_runtime. Unset: the "
        "owner's address, acting as ssci_runtime.",
    )
    postgres_major: PostgresMajor = Field(18, description="Version of the embedded PostgreSQL.")
    connect_patience_seconds: Seconds = Field(
        60.0, description="How long to wait at start for a database that can't be reached."
    )
    read_connections: int = Field(
        8, ge=1, le=1000, description="Database connections for reading, per worker."
    )
    write_connections: int = Field(
        8, ge=1, le=1000, description="Database connections for writing, per worker."
    )
    pool_wait_seconds: Seconds = Field(
        5.0, description="How long a request waits for a free connection before 503."
    )
    read_timeout_seconds: Seconds = Field(
        10.0, description="Longest a reading statement may take before it is 'too-costly'."
    )
    write_timeout_seconds: Seconds = Field(
        60.0, description="Longest a writing statement may take before 503."
    )

    mllp: MllpPorts = Field(
        (),
        description="Ports on which HL7 v2 is received over MLLP, as FEED=PORT, separated by "
        "commas; PORT alone is for the site's first feed. Unset: none.",
    )
    mllp_host: str | None = Field(
        None, description="Address to listen on for MLLP. Unset: that of host."
    )
    mllp_tls_cert: Path | None = Field(
        None, description="Certificate of the MLLP listener (PEM, with its chain). Unset: no TLS."
    )
    mllp_tls_key: Path | None = Field(
        None, description="Key of that certificate. Unset: it is in the certificate's file."
    )
    mllp_client_ca: Path | None = Field(
        None,
        description="Authorities (PEM) of which MLLP senders must show a certificate. Unset: none "
        "is asked for.",
    )
    mllp_connections: int = Field(
        256, ge=1, le=10_000, description="MLLP connections at once, per worker."
    )
    mllp_in_work: int = Field(
        16,
        ge=1,
        le=1000,
        description="MLLP messages in work at once, per worker, over all connections.",
    )
    mllp_idle_seconds: Seconds = Field(
        3600.0, description="Longest silence of an MLLP connection between messages."
    )
    mllp_block_seconds: Seconds = Field(
        60.0, description="Longest time from an MLLP message's first byte to its last."
    )
    mllp_wait: bool = Field(
        True,
        description="Acknowledge over MLLP when the facts are decided, with an ERR for each that "
        "failed; if not, as soon as the message is durable.",
    )
    mllp_unanswered: FeedNames = Field(
        (),
        description="Feeds, separated by commas, whose MLLP senders do not send again after AR: "
        "their connection is closed unanswered when a message can't be kept.",
    )

    polling: Path | None = Field(
        None,
        description="TOML file of the hospital's FHIR servers that are polled (docs/feeds.md). "
        "Unset: none.",
    )
    polling_secrets: SecretStr | None = Field(
        None,
        description="Client secrets of these servers, as FEED=SECRET, separated by blanks.",
    )

    zone: Zone = Field(
        "Asia/Shanghai", description="Time zone in which dates and times without one are read."
    )
    patient_policy: Literal["coded", "open"] | None = Field(
        None,
        description="What a Patient may hold: 'coded' refuses whatever could identify a person, "
        "'open' takes any legal Patient. Unset: coded, or open under no_auth.",
    )
    check_references: bool = Field(
        False, description="Refuse resources of FHIR clients that refer to what does not exist."
    )
    conditional_delete: Literal["single", "multiple"] = Field(
        "single", description="Whether one conditional delete may remove several resources."
    )
    cors_origins: Origins = Field(
        (),
        description="Origins whose pages may ask the FHIR API from a browser, separated by commas; "
        "* for any.",
    )
    body_limit_bytes: int = Field(
        32 * MEBIBYTE, ge=1024, description="Largest request body; a larger one is a 413."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe messages to log."
    )

    @model_validator(mode="after")
    def _database_addresses_belong_together(self) -> Self:
        if self.runtime_database_url and not self.database_url:
            raise ValueError(
                "SSCI_RUNTIME_DATABASE_URL is set without SSCI_DATABASE_URL, the owner's address"
            )
        return self

    @model_validator(mode="after")
    def _mllp_certificates_belong_together(self) -> Self:
        if (self.mllp_tls_key or self.mllp_client_ca) and not self.mllp_tls_cert:
            raise ValueError(
                "SSCI_MLLP_TLS_KEY or SSCI_MLLP_CLIENT_CA is set without SSCI_MLLP_TLS_CERT"
            )
        return self

    @property
    def effective_mllp_host(self) -> str:
        """The address that is set for MLLP, or that of everything."""
        return self.mllp_host or self.host

    @property
    def access_problem(self) -> str | None:
        """Why the service must not be opened with these settings; None if it may."""
        if not self.no_auth:
            return NO_ACCESS_CONTROL
        if is_loopback(self.host):
            return self._mllp_problem
        return (
            f"--no-auth asks for no tokens and therefore serves this machine alone: {self.host}"
            " can be reached from others; leave --host out or use 127.0.0.1"
        )

    @property
    def _mllp_problem(self) -> str | None:
        host = self.effective_mllp_host
        if not self.mllp or is_loopback(host) or self.mllp_client_ca:
            return None
        return (
            f"anyone who reaches {host} could send results over MLLP: set SSCI_MLLP_CLIENT_CA, so"
            " that senders show a certificate, or use 127.0.0.1 behind a proxy that asks for one"
        )

    def accepts_host(self, name: str) -> bool:
        """Whether a request may be addressed to that host (without port): a page of another site
        must not reach a service that asks for no tokens under a name of its own."""
        own = urlsplit(self.base_url).hostname if self.base_url else None
        known = not self.no_auth or name.lower() in (*self.allowed_hosts, own)
        return known or is_loopback(name)

    @property
    def effective_patient_policy(self) -> Literal["coded", "open"]:
        """The policy that is set, or what follows from `no_auth`."""
        return self.patient_policy or ("open" if self.no_auth else "coded")

    @property
    def effective_key_file(self) -> Path:
        """The key file that is set, or the one in the data folder."""
        return self.key_file or self.data_dir / "keys.json"

    @property
    def zone_info(self) -> ZoneInfo:
        return ZoneInfo(self.zone)


def read_settings(**options: Any) -> Settings:
    """The environment's settings under these options (None: not given).

    ValidationError, told by `explain`, for a value that is wrong; ValueError for a variable
    `SSCI_…` that means nothing, as a misspelled one would otherwise be lost.
    """
    _refuse_unknown_variables()
    return Settings(**{name: value for name, value in options.items() if value is not None})


def explain(failure: ValidationError) -> str:
    """What is wrong, one setting a line, without the values."""
    return "\n".join(
        f"{_variable(str(error['loc'][0])) if error['loc'] else 'Settings'}: {error['msg']}"
        for error in failure.errors(include_input=False, include_url=False, include_context=False)
    )


def export_settings(settings: Settings) -> None:
    """Put the settings into the environment, for worker processes to read."""
    for name in Settings.model_fields:
        value = getattr(settings, name)
        if value is None:
            os.environ.pop(_variable(name), None)
        else:
            os.environ[_variable(name)] = _as_text(value)


def _as_text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def _variable(field: str) -> str:
    return PREFIX + field.upper()


def _refuse_unknown_variables() -> None:
    known = {_variable(name) for name in Settings.model_fields}
    unknown = sorted(
        name
        for name in {*os.environ, *dotenv_values(ENV_FILE)}
        if name.startswith(PREFIX) and not name.startswith(TEST_PREFIX) and name not in known
    )
    if unknown:
        raise ValueError(f"Unknown setting: {', '.join(unknown)}. See .env.example.")
