from __future__ import annotations

import pytest
from pydantic import SecretStr, ValidationError

from livestar.core.errors import InvalidInput
from livestar.service import (
    GRPC_PORTS,
    HTTP_PORTS,
    Names,
    Port,
    ServiceSettings,
    local_address,
    settings_or_exit,
)

pytestmark = pytest.mark.unit


class EchoSettings(ServiceSettings, env_prefix="LIVESTAR_ECHO_"):
    grpc_port: Port = 7399
    size: int = 3
    password: SecretStr = SecretStr("")
    hosts: Names = ()


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)


def test_defaults_then_the_variables_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    assert EchoSettings.from_environment().size == 3
    monkeypatch.setenv("LIVESTAR_ECHO_SIZE", "5")
    monkeypatch.setenv("LIVESTAR_ECHOES_SIZE", "another service's")
    monkeypatch.setenv("SIZE", "7")
    settings = EchoSettings.from_environment()
    assert (settings.size, settings.grpc_port) == (5, 7399)
    with pytest.raises(ValidationError):
        settings.size = 6


def test_redis_is_found_by_the_prefixed_variable_then_the_shared_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def url() -> str:
        return EchoSettings.from_environment().redis_url.get_secret_value()

    assert url() == "redis://127.0.0.1:6379/0"
    monkeypatch.setenv("REDIS_URL", "redis://shared/0")
    assert url() == "redis://shared/0"
    monkeypatch.setenv("LIVESTAR_ECHO_REDIS_URL", "redis://own/0")
    assert url() == "redis://own/0"


def test_an_unknown_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVESTAR_ECHO_SIZ", "5")
    with pytest.raises(
        InvalidInput, match=r"^LIVESTAR_ECHO_SIZ: no such setting; there are LIVESTAR_ECHO_ADVERTISE_HOST"
    ):
        EchoSettings.from_environment()


def test_a_bad_value_is_named_and_not_quoted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LIVESTAR_ECHO_SIZE", "hunter2")
    with pytest.raises(SystemExit) as left:
        settings_or_exit(EchoSettings)
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("LIVESTAR_ECHO_SIZE: ")
    assert "hunter2" not in said


def test_a_list_is_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVESTAR_ECHO_HOSTS", "cameras.example, gate.example,")
    assert EchoSettings.from_environment().hosts == ("cameras.example", "gate.example")


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:hunter2@h/0")
    assert "hunter2" not in repr(EchoSettings.from_environment())


def test_others_reach_a_port_under_the_advertised_host(monkeypatch: pytest.MonkeyPatch) -> None:
    assert EchoSettings.from_environment().advertised(7) == "127.0.0.1:7"
    monkeypatch.setenv("LIVESTAR_ECHO_ADVERTISE_HOST", "decoder-0.decoder")
    assert EchoSettings.from_environment().advertised(7) == "decoder-0.decoder:7"


def test_no_two_services_share_a_port() -> None:
    ports = [*GRPC_PORTS.values(), *HTTP_PORTS.values()]
    assert len(set(ports)) == len(ports)
    assert local_address("memory") == f"127.0.0.1:{GRPC_PORTS['memory']}"
