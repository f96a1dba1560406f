"""Response-silence decoding over many streams: the gate, the two forms of decoding, and the engine that batches them."""

from livestar.engine.engine import Engine, EngineSettings, Pass
from livestar.engine.gate import Gate, GateSettings, Verdict
from livestar.engine.settings import Mode, StreamSettings
from livestar.engine.snapshot import StreamChange, StreamSnapshot

__all__ = [
    "Engine",
    "EngineSettings",
    "Gate",
    "GateSettings",
    "Mode",
    "Pass",
    "StreamChange",
    "StreamSettings",
    "StreamSnapshot",
    "Verdict",
]
