"""The network that turns frames into visual tokens, on one thread that owns it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from livestar.api.v1 import common_pb2
from livestar.core.errors import BadImage, LiveStarError
from livestar.media.image import ImageKind, decode_image, resize_frame
from livestar.model import LoadedModel
from livestar.model.identity import model_id
from services.vision.metrics import VisionMetrics

T = TypeVar("T")
Outcome = common_pb2.Tensor | LiveStarError

TYPES = {
    torch.float32: common_pb2.TENSOR_TYPE_FLOAT32,
    torch.float16: common_pb2.TENSOR_TYPE_FLOAT16,
    torch.bfloat16: common_pb2.TENSOR_TYPE_BFLOAT16,
}
KINDS: dict[int, ImageKind] = {common_pb2.IMAGE_FORMAT_JPEG: "JPEG", common_pb2.IMAGE_FORMAT_PNG: "PNG"}


@dataclass(frozen=True)
class Description:
    """What a network is; see DescribeResponse in vision.proto."""

    model_id: str
    image_size: int
    num_tokens: int
    token_width: int
    dtype: common_pb2.TensorType.ValueType


class Encoder:
    """Encodes frames. Belongs to the event loop; torch runs on a thread of its own, where the model was loaded.

    Args:
        metrics: of the process.
    """

    def __init__(self, metrics: VisionMetrics) -> None:
        self._metrics = metrics
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="torch")
        self._model: LoadedModel | None = None

    async def load(
        self, folder: Path, *, dtype: torch.dtype, device: torch.device, threads: int
    ) -> Description:
        """Loads a checkpoint, and says what it is.

        Raises:
            CheckpointError: the folder does not hold one.
        """

        def work() -> Description:
            torch.set_num_threads(threads)
            self._model = LoadedModel.from_directory(folder, dtype=dtype, device=device)
            size = self._model.network.config.vision_config.image_size
            # The first pass is the slowest.
            tokens = self._model.see([np.zeros((size, size, 3), np.uint8)])
            return Description(model_id(folder), size, tokens.shape[1], tokens.shape[2], TYPES[tokens.dtype])

        return await self._on_thread(work)

    async def encode(self, images: Sequence[common_pb2.Image]) -> list[Outcome]:
        """Visual tokens [16, D] of each image, or why there are none; a bad image harms no other."""
        return await self._on_thread(lambda: self._encode(images))

    def close(self) -> None:
        """Waits for the pass under way."""
        self._thread.shutdown()

    def _encode(self, images: Sequence[common_pb2.Image]) -> list[Outcome]:
        started_s = time.monotonic()
        frames = [_unpacked(image) for image in images]
        good = [frame for frame in frames if not isinstance(frame, LiveStarError)]
        self._metrics.unpacking.observe(time.monotonic() - started_s)
        tokens = iter(self._see(good) if good else [])
        return [frame if isinstance(frame, LiveStarError) else next(tokens) for frame in frames]

    def _see(self, frames: list[NDArray[np.uint8]]) -> list[Outcome]:
        assert self._model, "load first"
        size = self._model.network.config.vision_config.image_size
        started_s = time.monotonic()
        try:
            tokens_BVD = self._model.see([resize_frame(frame, size) for frame in frames]).cpu()
        except RuntimeError as error:
            if len(frames) == 1:
                return [BadImage(f"the network cannot encode this frame: {str(error).splitlines()[0]}.")]
            # One of them may be the reason, or their number.
            return [outcome for frame in frames for outcome in self._see([frame])]
        self._metrics.forward.observe(time.monotonic() - started_s)
        self._metrics.batch.observe(len(frames))
        return [_packed(tokens_VD) for tokens_VD in tokens_BVD]

    async def _on_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _unpacked(image: common_pb2.Image) -> NDArray[np.uint8] | LiveStarError:
    try:
        kind = KINDS.get(image.format)
        if kind is None:
            raise BadImage(f"a frame comes as JPEG or PNG, not as {image.format}.")
        return decode_image(image.data, kind, image.width, image.height)
    except LiveStarError as error:
        return error


def _packed(tokens_VD: torch.Tensor) -> Outcome:
    if not torch.isfinite(tokens_VD).all():
        return BadImage("the visual tokens of this frame are not finite.")
    data = tokens_VD.contiguous().view(torch.uint8).numpy().tobytes()
    return common_pb2.Tensor(dtype=TYPES[tokens_VD.dtype], shape=list(tokens_VD.shape), data=data)
