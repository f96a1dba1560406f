"""The one question that every memory policy answers."""

from __future__ import annotations

from typing import Protocol

from livestar.memory.ledger import Forget, Ledger


class ForgetPolicy(Protocol):
    """Chooses what the trunk should forget. Pure: equal ledgers get equal plans, whatever came before."""

    def plan(self, ledger: Ledger) -> Forget:
        """Returns what to drop now; an empty plan when everything may stay."""
        ...
