"""Questions about a clip, each with its exact answer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Grounding:
    """Online temporal grounding: all intervals (start_s, end_s) during which the query is true."""

    query: str
    intervals: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class StandingQuestion:
    """A question asked once; from each time_s on, its answer is the one beside it."""

    text: str
    answers: tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True)
class QuestionChain:
    """Turns (time_s, question, answer) in rising time; a later turn may lean on an earlier one."""

    turns: tuple[tuple[float, str, str], ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """How a family asks for one key of its state.

    `topic` names what is asked about: within a topic a question may follow another one. `standing` is
    asked once for the whole clip, where a state without the key is answered "none"; `now` is asked
    where the key is present; `before` about the preceding event, followed up by `and_was`; `check`
    holds `{}` for a value and is answered yes or no.
    """

    topic: str
    key: str
    standing: str
    now: str
    before: str
    and_is: str
    and_was: str
    check: str = ""
