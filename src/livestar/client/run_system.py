"""Runs the system for a command: tells what starts, stops on Ctrl-C and SIGTERM, shows a service's last words."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console
from rich.text import Text

from livestar.client.plain_text import printable
from livestar.client.system import ServiceEnded, System, SystemSettings


@contextmanager
def running_system(settings: SystemSettings) -> Iterator[System]:
    """The system, ready. Ctrl-C, SIGTERM and a terminal that closes end what is done within, quietly.

    Raises:
        ServiceEnded: a service ended by itself; its last lines are on stderr.
        LiveStarError: see `System`.
    """
    errors = Console(stderr=True)

    def tell(line: str) -> None:
        errors.print(Text(line, style="dim"), soft_wrap=True)

    before = {signum: signal.signal(signum, _interrupt) for signum in (signal.SIGTERM, signal.SIGHUP)}
    system = System(settings, tell)
    try:
        with system:
            yield system
            tell("stopping …")
    except KeyboardInterrupt:
        # How people end it, and how a supervisor does: not a failure.
        tell("stopped")
    except ServiceEnded as error:
        for line in error.last_lines:
            errors.print(Text(f"  {printable(line)}", style="dim"), soft_wrap=True)
        raise
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt
