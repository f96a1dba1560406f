"""The note that a running system leaves for the other commands of the same user, so that they find it."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from livestar.core.errors import FailedPrecondition


@dataclass(frozen=True)
class RunningSystem:
    """Where a system of this user can be reached on this machine.

    Attributes:
        pid: the process that runs it.
        gateway_url: address of its gateway.
        redis_url: address of its Redis; may hold a password.
    """

    pid: int
    gateway_url: str
    redis_url: str

    @classmethod
    def note(cls) -> Path:
        """The file of a system that this process runs."""
        return _path() / f"system-{os.getpid()}.json"

    @classmethod
    def find(cls) -> Self | None:
        """The system that was started last and still runs; None: there is none."""
        with suppress(OSError, FailedPrecondition):
            notes = sorted(_checked(_path()).glob("system-*.json"), key=lambda path: path.stat().st_mtime_ns)
            for note in reversed(notes):
                with suppress(OSError, ValueError, TypeError):
                    found = cls(**json.loads(note.read_text(encoding="utf-8")))
                    if _runs(found.pid):
                        return found
        return None

    def announce(self) -> None:
        """Leaves the note, for this user's eyes only.

        Raises:
            FailedPrecondition: somebody else has taken its place.
        """
        note = self.note()
        note.parent.mkdir(mode=0o700, exist_ok=True)
        _checked(note.parent)
        with suppress(FileNotFoundError):
            note.unlink()
        handle = os.open(note, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(asdict(self), file)

    def withdraw(self) -> None:
        """Takes the note away."""
        with suppress(OSError):
            (note := self.note()).unlink()
            note.parent.rmdir()


def _path() -> Path:
    return Path(tempfile.gettempdir()) / f"livestar-{os.getuid()}"


def _checked(folder: Path) -> Path:
    """The folder, if only this user can write there: in a place that all share, anybody may have made it."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise FailedPrecondition(f"{folder} is not this user's own: remove it")
    return folder


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
