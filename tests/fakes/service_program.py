"""A stand-in for a service: `python service_program.py NAME BEHAVIOUR FOLDER [--parent PID]`. Logs like one, stops like one."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from livestar.service.parent import die_with


def say(message: str, **fields: str) -> None:
    line = {"level": "INFO", "service": sys.argv[1], "message": message, **fields}
    sys.stderr.write(json.dumps(line) + "\n")
    sys.stderr.flush()


def main() -> int:
    name, behaviour, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    if "--parent" in sys.argv:
        die_with(int(sys.argv[-1]))
    (folder / f"{name}.pid").write_text(str(os.getpid()))
    (folder / f"{name}.env").write_text(json.dumps(dict(os.environ)))
    Path(tempfile.mkdtemp(prefix=f"{name}-")).joinpath("preview.ts").write_bytes(b"x")
    if behaviour == "refuses":
        say("127.0.0.1:7303 cannot be listened on (Address already in use): free the port or set another one")
        return 1
    stopping = []
    signal.signal(signal.SIGTERM, signal.SIG_IGN if behaviour == "deaf" else lambda *_: stopping.append(1))
    if behaviour != "mute":
        say("ready", event="ready", grpc="127.0.0.1:1", http="127.0.0.1:2")
    ends_s = time.monotonic() + (0.5 if behaviour == "dies" else 120)
    while not stopping and time.monotonic() < ends_s:
        time.sleep(0.01)
    if not stopping:
        say("the pool is out of pages", error="Traceback …\nlivestar.core.errors.CapacityExceeded: none left")
        return 3
    with (folder / "order").open("a") as order:
        order.write(f"{name}\n")
    say("drained")
    return 0


if __name__ == "__main__":
    sys.exit(main())
