"""Which services make the system on one machine, how they are told where to listen, and in which order they stop."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import livestar
from livestar.client.sample_clip import SAMPLE
from livestar.core.errors import FailedPrecondition, Unavailable

HOST = "127.0.0.1"
STOP_ORDER = (("gateway", "ingest"), ("jobs", "vision", "decoder"), ("memory",))
"""Each group is asked to stop together; the next one when they are gone, so that what is under way still arrives."""

DRAIN_S = 5.0
"""What a service gets to finish, when its environment says nothing else."""

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class SystemSettings:
    """How the system runs on this machine.

    Attributes:
        port: of the page and the HTTP interface.
        model: a shipped model's name, or a checkpoint folder.
        redis_url: an address; empty starts a Redis of our own.
        logs: folder for the logs; None: a temporary one.
        files: folders of recordings that may be watched, beside this folder, the user's own and the shipped clip.
        jobs_dir: folder for what jobs write; made with the first one.
        start_s: what all of it gets to become ready, seconds.
    """

    port: int = 8080
    model: str = "nano"
    redis_url: str = ""
    logs: Path | None = None
    files: tuple[Path, ...] = ()
    jobs_dir: Path = Path("livestar-jobs")
    start_s: float = 120.0


@dataclass(frozen=True)
class ServicePlan:
    """How to start one service.

    Attributes:
        name: its name.
        command: what to run.
        settings: its variables, beside those that all have.
    """

    name: str
    command: Sequence[str]
    settings: dict[str, str] = field(default_factory=dict)


def services_of(settings: SystemSettings) -> tuple[ServicePlan, ...]:
    """Every service, each with what only it is told.

    Raises:
        FailedPrecondition: this is not a source checkout.
        Unavailable: the port is in use.
    """
    check_port(settings.port)
    memory = free_port()
    roots = (Path.cwd(), Path.home(), SAMPLE.parent, *settings.files)
    own: dict[str, dict[str, str]] = {
        "memory": {"GRPC_PORT": str(memory)},
        "vision": {"MODEL": settings.model},
        "decoder": {"MODEL": settings.model, "MEMORY": f"{HOST}:{memory}"},
        "ingest": {"ROOTS": os.pathsep.join(str(root.resolve()) for root in roots)},
        "gateway": {"PORT": str(settings.port)},
        "jobs": {
            "GATEWAY": f"http://{HOST}:{settings.port}",
            "OUT_DIR": str(settings.jobs_dir.resolve()),
            "MODEL": settings.model,
        },
    }
    source_root()
    command = (sys.executable, "-m", "services")
    parent = ("--parent", str(os.getpid()))
    return tuple(ServicePlan(name, (*command, name, *parent), values) for name, values in own.items())


def environment_of(plan: ServicePlan, *, redis_url: str, temporary: Path) -> dict[str, str]:
    """All variables of a service: ours, over those of this process, which go before our defaults."""
    prefix = f"LIVESTAR_{plan.name.upper()}_"
    paths = [str(source_root()), str(source_root() / "src"), os.environ.get("PYTHONPATH", "")]
    given = {
        "REDIS_URL": redis_url,
        f"{prefix}REDIS_URL": redis_url,
        f"{prefix}HTTP_PORT": "0",
        f"{prefix}GRPC_PORT": "0",
        f"{prefix}LOG_FORMAT": "json",
        # That a service is ready is told at this level.
        f"{prefix}LOG_LEVEL": "DEBUG" if os.environ.get(f"{prefix}LOG_LEVEL") == "DEBUG" else "INFO",
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "PYTHONUNBUFFERED": "1",
        # Everything temporary of theirs goes with our own folder, however we end.
        "TMPDIR": str(temporary),
        **{prefix + name: value for name, value in plan.settings.items()},
    }
    return {f"{prefix}DRAIN_S": f"{DRAIN_S:g}", **dict.fromkeys(THREADS, "1")} | os.environ | given


def source_root() -> Path:
    """The folder that holds `services/`.

    Raises:
        FailedPrecondition: this is not a source checkout.
    """
    root = Path(livestar.__file__).resolve().parents[2]
    if not (root / "services" / "__main__.py").is_file():
        raise FailedPrecondition(
            "the services are not part of the installed package: run this in a source checkout, or use the image"
        )
    return root


def check_port(port: int) -> None:
    """Passes when the port can be listened on.

    Raises:
        Unavailable: it cannot.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise Unavailable(
                f"port {port} cannot be listened on ({error.strerror}): stop what uses it, or choose another with --port"
            ) from None


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
