"""What to keep of a long stream: pure policies over a ledger of what the trunk holds."""

from livestar.memory.baselines import Fifo, KeepEverything, RandomDrop, Recent, Uniform
from livestar.memory.bound import BoundedMemory
from livestar.memory.budget import TokenBudget
from livestar.memory.ledger import CaptionEntry, Forget, FrameEntry, Ledger, apply
from livestar.memory.peak_end import ProbabilisticPeakEnd, PublishedPeakEnd
from livestar.memory.planned import PlannedElsewhere
from livestar.memory.policy import ForgetPolicy

__all__ = [
    "BoundedMemory",
    "CaptionEntry",
    "Fifo",
    "Forget",
    "ForgetPolicy",
    "FrameEntry",
    "KeepEverything",
    "Ledger",
    "PlannedElsewhere",
    "ProbabilisticPeakEnd",
    "PublishedPeakEnd",
    "RandomDrop",
    "Recent",
    "TokenBudget",
    "Uniform",
    "apply",
]
