"""Chains of questions and answers: what a follow-up question may refer to."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

MAX_CHAINS = 16


@dataclass(frozen=True)
class Chain:
    """The turns of one chain, as ids, oldest first: each a question with its answer."""

    name: str
    turns: tuple[tuple[int, ...], ...]


class Dialogue:
    """Earlier turns of each chain, as ids, bounded in length and in number of chains (the longest unused one goes).

    Turns live beside the trunk, not in it: a user's words never reach the narration, and parallel chains do not see each other.
    """

    def __init__(self, max_chain_tokens: int) -> None:
        self._max_chain_tokens = max_chain_tokens
        self._chains: OrderedDict[str, list[tuple[int, ...]]] = OrderedDict()

    @property
    def chains(self) -> tuple[Chain, ...]:
        """Every chain, the longest unused one first."""
        return tuple(Chain(name, tuple(turns)) for name, turns in self._chains.items())

    def restore(self, chains: Iterable[Chain]) -> None:
        """Takes over the chains of a saved stream."""
        self._chains = OrderedDict((chain.name, list(chain.turns)) for chain in chains)

    def history(self, chain: str) -> tuple[int, ...]:
        """Ids of the chain's earlier turns, oldest first; whole turns, as many as fit."""
        return tuple(token for turn in self._chains.get(chain, []) for token in turn)

    def add(self, chain: str, turn: tuple[int, ...]) -> None:
        """Appends a question and its answer to a chain."""
        turns = self._chains.setdefault(chain, [])
        self._chains.move_to_end(chain)
        turns.append(turn)
        while turns and sum(map(len, turns)) > self._max_chain_tokens:
            turns.pop(0)
        while len(self._chains) > MAX_CHAINS:
            self._chains.popitem(last=False)
