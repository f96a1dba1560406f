"""Video in and out: frames sampled by presentation time, delivered at the pace of life, written as H.264."""

from livestar.media.pace import Clock, pace
from livestar.media.video import SampledFrame, Tap, VideoSource
from livestar.media.writer import write_video

__all__ = ["Clock", "SampledFrame", "Tap", "VideoSource", "pace", "write_video"]
