"""The families by name, and what can be made of them."""

from __future__ import annotations

from dataclasses import dataclass

from livestar.synth.clip import Clip
from livestar.synth.family import Family
from livestar.synth.scenarios import aquarium, court, kitchen, parking, screen, traffic, warehouse, weather
from livestar.synth.split import Split

_MODULES = (traffic, warehouse, kitchen, court, parking, weather, aquarium, screen)
_FAMILIES: dict[str, Family] = {module.FAMILY.name: module.FAMILY for module in _MODULES}


@dataclass(frozen=True, slots=True)
class FamilyInfo:
    """A family's name and one line about it."""

    name: str
    description: str


def families() -> tuple[FamilyInfo, ...]:
    """Returns all families."""
    return tuple(FamilyInfo(family.name, family.description) for family in _FAMILIES.values())


def make_clip(family: str, seed: int, seconds: float, split: Split = Split.TEST) -> Clip:
    """Returns the clip that these four determine.

    Raises:
        ValueError: there is no such family, the seed is not in [0, 2**40), or the clip is shorter than 3 s.
    """
    return Clip(family_named(family), seed, seconds, split)


def parse_facts(family: str, text: str) -> dict[str, str]:
    """Returns the facts that a narration states; facts that the text does not state are missing.

    Raises:
        ValueError: there is no such family.
    """
    return family_named(family).grammar.parse(text)


def family_named(name: str) -> Family:
    """Returns the family of this name.

    Raises:
        ValueError: there is no such family.
    """
    if name not in _FAMILIES:
        raise ValueError(f"no family {name!r}; there are {', '.join(_FAMILIES)}")
    return _FAMILIES[name]
