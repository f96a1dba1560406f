"""SynthStar: procedural streaming videos with exact ground truth for all five OmniStar tasks.

    clip = make_clip("traffic", seed=7, seconds=60, split=Split.TRAIN)
    clip.render(12.0)                                    # RGB uint8 [224, 224, 3], any time in any order
    clip.events[2].narration, clip.events[2].facts       # what is told, and what parse_facts finds in it

A clip is a pure function of these four arguments. Rendering is single-threaded work for OpenCV: who renders
in several processes calls `cv2.setNumThreads(1)` in each.
"""

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
