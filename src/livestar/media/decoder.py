"""Decodes one video stream packet by packet and counts what is damaged."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator

from av.container import InputContainer
from av.error import ExitError, FFmpegError, InvalidDataError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from livestar.core.errors import BadVideo

MAX_BAD_PACKETS = 300
"""Failures in a row that a source may have; more than x264's default distance between keyframes (250)."""


class Decoder:
    """The frames of one stream in presentation order, one packet at a time. Belongs to one thread.

    Args:
        container: open.
        stream: its video stream.
        name: for messages.
        timeout_s: silence that counts as an answer that did not come.
        tap: sees each packet before it is decoded.

    Attributes:
        errors: packets that did not decode, and frames that the decoder marked as damaged, so far.
    """

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        name: str,
        timeout_s: float,
        tap: Callable[[Packet[VideoStream]], None] | None = None,
    ) -> None:
        self.errors = 0
        self._container = container
        self._stream = stream
        self._name = name
        self._timeout_s = timeout_s
        self._tap = tap
        self._failed_in_a_row = 0

    def frames(self) -> Generator[VideoFrame]:
        """Yields every frame that decodes; damaged ones as far as the decoder could conceal the damage.

        Raises:
            BadVideo: more than `MAX_BAD_PACKETS` failures in a row, or the source broke off or fell silent.
        """
        for packet in self._packets():
            try:
                frames = packet.decode()
            except FFmpegError as error:
                self._fail(error)
                continue
            for frame in frames:
                self._failed_in_a_row = 0
                self.errors += frame.is_corrupt
                yield frame

    def _packets(self) -> Iterator[Packet[VideoStream]]:
        packets = self._container.demux(self._stream)
        while True:
            asked_s = time.monotonic()
            try:
                packet = next(packets, None)
            except InvalidDataError as error:
                self._require_answer(asked_s, error)
                self._fail(error)
                # An exception ends PyAV's generator; a new one reads on behind the damage.
                packets = self._container.demux(self._stream)
                continue
            except FFmpegError as error:
                self._require_answer(asked_s, error)
                raise BadVideo(
                    f"{self._name} broke off ({error.strerror}): check the disk or the sender."
                ) from error
            if packet is None:
                return
            if self._tap and packet.size:
                self._tap(packet)
            yield packet

    def _fail(self, error: FFmpegError) -> None:
        self.errors += 1
        self._failed_in_a_row += 1
        if self._failed_in_a_row > MAX_BAD_PACKETS:
            raise BadVideo(
                f"{self._name} is damaged, {self._failed_in_a_row} packets in a row failed: export it again."
            ) from error

    def _require_answer(self, asked_s: float, error: FFmpegError) -> None:
        # PyAV's timeout is an ExitError; some protocols report an interrupted read as invalid data instead.
        if isinstance(error, ExitError) or time.monotonic() - asked_s >= self._timeout_s:
            raise BadVideo(
                f"{self._name} sent nothing for {self._timeout_s:g} s: check that its sender is running."
            ) from error
