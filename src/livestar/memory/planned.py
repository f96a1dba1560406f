"""A plan that somebody else has made in time, or else our own."""

from __future__ import annotations

from livestar.memory.ledger import Forget, Ledger
from livestar.memory.policy import ForgetPolicy


class PlannedElsewhere:
    """Uses the plan that was offered last if it was made for exactly the ledger at hand, and else plans here.

    Whoever plans elsewhere uses a policy that equals `local`. Policies are pure, so what is forgotten is the same whether the
    offer is early, late, lost or made for another ledger; only where it is computed differs.

    `offer` may be called from another thread than `plan`.

    Attributes:
        local: the policy.
        num_taken: plans of others that were used.
        num_own: plans that were made here.
    """

    def __init__(self, local: ForgetPolicy) -> None:
        self.local = local
        self.num_taken = 0
        self.num_own = 0
        self._offered: tuple[str, Forget] | None = None

    def offer(self, version: str, forget: Forget) -> None:
        """Takes a plan for the ledger of this version (`Ledger.version`); it replaces the one before."""
        self._offered = (version, forget)

    def plan(self, ledger: Ledger) -> Forget:
        """Returns what to drop now."""
        offered = self._offered
        if offered is not None and offered[0] == ledger.version:
            self.num_taken += 1
            return offered[1]
        self.num_own += 1
        return self.local.plan(ledger)
