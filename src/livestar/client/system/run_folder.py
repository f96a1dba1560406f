"""The temporary folder of a running system: gone when it ends, however it ends."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

# Outlives us by a moment: when its stdin closes without a word, we were killed. The services are killed with us; a second for
# the last of them to let go of its files.
_GUARD = 'read -r word; [ "$word" = done ] || { sleep 1; rm -rf "$@"; rmdir "${2%/*}" 2>/dev/null; }'


class RunFolder:
    """Makes the folder; `remove` takes it away, and so does a small helper when this process is killed.

    Attributes:
        path: the folder.
    """

    def __init__(self, note: Path) -> None:
        """`note`: a file that goes with it when this process is killed, with its folder when nothing else is in that."""
        self.path = Path(tempfile.mkdtemp(prefix="livestar-"))
        self._guard = subprocess.Popen(  # noqa: S603 - our own script
            ["/bin/sh", "-c", _GUARD, "livestar-guard", str(self.path), str(note)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def remove(self) -> None:
        """Removes it. May be called again."""
        shutil.rmtree(self.path, ignore_errors=True)
        with suppress(OSError, ValueError):
            self._guard.communicate(b"done\n", timeout=5)
