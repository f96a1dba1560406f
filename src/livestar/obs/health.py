"""Whether this process can work: what /healthz, /readyz and the gRPC health service say."""

from __future__ import annotations

import json
from collections.abc import Callable


class Health:
    """Named checks, each with a reason. Ready: every check passes and the process is not draining.

    A process is not ready until `started()`. Listeners are told when readiness changes. Belongs to one event loop.
    """

    def __init__(self) -> None:
        self._checks: dict[str, str] = {"start": "starting"}
        self._listeners: list[Callable[[bool], None]] = []

    @property
    def ready(self) -> bool:
        """Whether it takes work."""
        return not any(self._checks.values())

    @property
    def draining(self) -> bool:
        """Whether it is on its way out."""
        return bool(self._checks.get("drain"))

    def passes(self, check: str) -> None:
        """This check passes."""
        self._set(check, "")

    def fails(self, check: str, reason: str) -> None:
        """This check fails; `reason` is one sentence without secrets."""
        self._set(check, reason)

    def started(self) -> None:
        """Everything is composed and serving."""
        self.passes("start")

    def drain(self) -> None:
        """No new work from now on; there is no way back."""
        self.fails("drain", "draining")

    def on_change(self, listener: Callable[[bool], None]) -> None:
        """Calls `listener(ready)` now and whenever readiness changes."""
        self._listeners.append(listener)
        listener(self.ready)

    def as_json(self) -> str:
        """{"ready": …, "checks": {name: "ok" or the reason}}."""
        checks = {name: reason or "ok" for name, reason in self._checks.items()}
        return json.dumps({"ready": self.ready, "checks": checks})

    def _set(self, check: str, reason: str) -> None:
        before = self.ready
        self._checks[check] = reason
        if self.ready != before:
            for listener in self._listeners:
                listener(self.ready)
