"""docker-compose.yml says what the services understand: a misspelt variable would end a service at its start."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from services.__main__ import SERVICES

from livestar.service import GRPC_PORTS, HTTP_PORTS, ServiceSettings

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))[
    "services"
]


def settings_of(service: str) -> type[ServiceSettings]:
    module = importlib.import_module(f"services.{service}.settings")
    [kind] = [
        kind
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, ServiceSettings) and kind is not ServiceSettings
    ]
    return kind


def have_settings() -> list[str]:
    return [name for name in SERVICES if (ROOT / "services" / name / "settings.py").is_file()]


def test_every_service_and_a_redis_that_keeps_what_it_is_told() -> None:
    assert set(COMPOSE) == {"redis", *SERVICES}
    redis = " ".join(COMPOSE["redis"]["command"])
    assert "--appendonly yes" in redis
    assert "--maxmemory-policy noeviction" in redis
    assert COMPOSE["redis"]["volumes"] == ["redis:/data"]


@pytest.mark.parametrize("name", sorted(COMPOSE))
def test_each_is_bounded_watched_and_comes_back(name: str) -> None:
    service = COMPOSE[name]
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize("name", have_settings())
def test_each_variable_is_a_setting(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    service = COMPOSE[name]
    assert service["command"] == [name]
    kind = settings_of(name)
    for variable, value in service["environment"].items():
        assert variable == "REDIS_URL" or variable.removeprefix(kind.prefix()).lower() in kind.model_fields, (
            variable
        )
        # Variables of the host take their defaults.
        monkeypatch.setenv(variable, re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value))
    settings = kind.from_environment()
    assert settings.redis_url.get_secret_value() == "redis://redis:6379/0"
    assert settings.host == "0.0.0.0"
    assert settings.advertised(1) not in ("0.0.0.0:1", ":1"), "others could not reach it"
    assert f":{HTTP_PORTS[name]}/readyz" in service["healthcheck"]["test"][-1]
    assert settings.http_port == HTTP_PORTS[name]


def test_addresses_name_services_and_their_ports() -> None:
    assert COMPOSE["decoder"]["environment"]["LIVESTAR_DECODER_MEMORY"] == f"memory:{GRPC_PORTS['memory']}"
    assert COMPOSE["jobs"]["environment"]["LIVESTAR_JOBS_GATEWAY"] == "http://gateway:8080"
    assert all("ports" not in COMPOSE[name] for name in COMPOSE if name != "gateway"), (
        "only the edge is published"
    )
    assert COMPOSE["gateway"]["ports"] == ["${LIVESTAR_PUBLISH:-127.0.0.1:8080}:8080"]


def test_the_image_holds_no_weights_and_does_not_run_as_root() -> None:
    dockerfile = (ROOT / "deploy" / "docker" / "Dockerfile").read_text(encoding="utf-8")
    assert "\nUSER 10001\n" in dockerfile
    assert "models" not in dockerfile
    assert "models" not in (ROOT / ".dockerignore").read_text(encoding="utf-8")
