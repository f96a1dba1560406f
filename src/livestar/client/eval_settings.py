"""What a user typed for an evaluation, as settings; a value that a settings class refuses is the user's to mend."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from livestar.core.errors import InvalidInput
from livestar.engine import GateSettings, Mode
from livestar.evaluation.memory_choice import MemoryChoice
from livestar.evaluation.synth_export import ANNOTATIONS, CONVERSATIONS, NARRATIONS
from livestar.evaluation.synthstar_watch import DEFAULT_STREAM, WatchSettings
from livestar.evaluation.synthstar_watched import Task

ChoiceT = TypeVar("ChoiceT", bound=StrEnum)


def watch_settings(
    *,
    tasks: str,
    mode: str,
    memory: str,
    alpha: float,
    question_alpha: float | None,
    query_below: float | None,
    max_trunk_tokens: int,
) -> WatchSettings:
    """Settings from the options of the command line.

    Raises:
        InvalidInput: naming the option, or what is wrong with its value.
    """
    names = [name.strip() for name in ",".join(Task if tasks == "all" else [tasks]).split(",")]
    try:
        stream = replace(
            DEFAULT_STREAM,
            mode=_one_of(Mode, mode, "--mode"),
            gate=GateSettings(alpha),
            max_trunk_tokens=max_trunk_tokens,
        )
        question_gate = None if question_alpha is None else GateSettings(question_alpha)
    except ValueError as error:
        raise InvalidInput(str(error)) from error
    wanted = frozenset(_one_of(Task, name, "--tasks is 'all' or a list of", verb="") for name in names)
    chosen = _one_of(MemoryChoice, memory, "--memory")
    return WatchSettings(stream, question_gate, wanted, chosen, query_below)


def alpha_list(text: str | None) -> tuple[float, ...]:
    """The alphas of a curve; none when the option was left out.

    Raises:
        InvalidInput: one is no number.
    """
    try:
        return tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError as error:
        raise InvalidInput(f"--alphas is a list of numbers such as 1.0,1.03,1.1, not '{text}'") from error


def budget_list(text: str | None) -> tuple[int | None, ...]:
    """The budgets of a curve, None for `all`; none when the option was left out.

    Raises:
        InvalidInput: one is neither a whole number nor `all`.
    """
    try:
        return tuple(None if part.strip() == "all" else int(part) for part in text.split(",")) if text else ()
    except ValueError as error:
        raise InvalidInput(
            f"--memories is a list of whole numbers, or 'all', such as 300,600,all, not '{text}'"
        ) from error


class DataFormat(StrEnum):
    """Whose annotations a folder is scored with."""

    SYNTHSTAR = "synthstar"
    OMNISTAR = "omnistar"


def format_of(folder: Path, name: str) -> DataFormat:
    """The format of this name; with `auto` SynthStar's where its annotations are there, then OmniStar's.

    Raises:
        InvalidInput: there is no such format, or the folder holds no annotations.
    """
    if name != "auto":
        return _one_of(DataFormat, name, "--format is 'auto' or one of", verb="")
    if (folder / ANNOTATIONS).is_file():
        return DataFormat.SYNTHSTAR
    if any((folder / file).is_file() for file in (NARRATIONS, CONVERSATIONS)):
        return DataFormat.OMNISTAR
    raise InvalidInput(f"{folder} holds no annotated clip: write some with 'livestar synth render'")


def _one_of(choices: type[ChoiceT], name: str, option: str, verb: str = " is one of") -> ChoiceT:
    if name not in list(choices):
        raise InvalidInput(f"{option}{verb} {', '.join(choices)}, not '{name}'")
    return choices(name)
