"""`python -m services NAME` starts a service; with `--parent PID` it goes when that process, which started it, goes."""

from __future__ import annotations

import sys
from importlib import import_module

from livestar.service.parent import die_with

SERVICES = {
    "ingest": "services.ingest.main",
    "vision": "services.vision.main",
    "memory": "services.memory.main",
    "decoder": "services.decoder.main",
    "gateway": "services.gateway.main",
    "jobs": "services.jobs.main",
}
"""Where each service's `main() -> int` is; imported only when it is started."""


def main() -> int:
    """Runs the service that the command line names."""
    match sys.argv[1:]:
        case [name] if name in SERVICES:
            pass
        case [name, "--parent", pid] if name in SERVICES and pid.isdecimal():
            die_with(int(pid))
        case _:
            sys.stderr.write(f"usage: python -m services {{{','.join(SERVICES)}}} [--parent PID]\n")
            return 2
    return int(import_module(SERVICES[name]).main())


if __name__ == "__main__":
    sys.exit(main())
