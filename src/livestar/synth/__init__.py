"""SynthStar: procedural streaming videos with exact ground truth for all five OmniStar tasks."""

from livestar.synth.catalogue import FamilyInfo, families, make_clip, parse_facts
from livestar.synth.clip import Clip, Event, compositions_in
from livestar.synth.question import Grounding, QuestionChain, StandingQuestion
from livestar.synth.split import Split

__all__ = [
    "Clip",
    "Event",
    "FamilyInfo",
    "Grounding",
    "QuestionChain",
    "Split",
    "StandingQuestion",
    "compositions_in",
    "families",
    "make_clip",
    "parse_facts",
]
