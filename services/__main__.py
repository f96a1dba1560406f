"""`python -m services NAME` starts a service."""

from __future__ import annotations

import sys
from importlib import import_module

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
    if len(sys.argv) != 2 or sys.argv[1] not in SERVICES:
        sys.stderr.write(f"usage: python -m services {{{','.join(SERVICES)}}}\n")
        return 2
    return int(import_module(SERVICES[sys.argv[1]]).main())


if __name__ == "__main__":
    sys.exit(main())
