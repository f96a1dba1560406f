"""`python -m chaos --faults 50 --seed 7` (`make chaos`): one line of JSON; exit 1 if a promise is broken."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from chaos.run import Plan, as_line, chaos, misses


def main() -> int:
    """Runs chaos as the command line says."""
    parser = argparse.ArgumentParser(
        prog="chaos", description="The real system under a seeded schedule of faults."
    )
    parser.add_argument("--faults", type=int, default=50)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--listeners", type=int, default=3, help="subscribers of each stream")
    parser.add_argument("--positions", choices=["recomputed", "contiguous"], default="recomputed")
    parser.add_argument(
        "--folder", type=Path, help="where logs and recordings are kept; a temporary one otherwise"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="livestar-chaos-") as temporary:
        folder = given.folder or Path(temporary)
        told = chaos(Plan(given.faults, given.seed, given.streams, given.listeners, given.positions, folder))
    sys.stdout.write(as_line(told) + "\n")
    for miss in (missed := misses(told)):
        sys.stderr.write(f"chaos: {miss}\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
