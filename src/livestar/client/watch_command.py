"""`livestar watch`: a video or a live source is narrated, by the running system or in this process."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from livestar.client.options import GatewayOption, TokenOption
from livestar.client.timed_question import TimedQuestion
from livestar.client.watch_options import WatchOptions
from livestar.core.errors import InvalidInput

_gate = partial(typer.Option, rich_help_panel="When to speak")
_questions = partial(typer.Option, rich_help_panel="Questions")
_system = partial(typer.Option, rich_help_panel="Through the running system")
_machine = partial(typer.Option, rich_help_panel="In this process only")
_local_gate = partial(typer.Option, rich_help_panel="When to speak, in this process only")


def watch(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A video file, an address (rtsp://, https:// …), or stream:NAME, which the system watches already.",
        ),
    ],
    fps: Annotated[float, typer.Option(metavar="RATE", help="Frames to watch per second of video.")] = 1.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON line per decision, for programs.")
    ] = False,
    realtime: Annotated[
        bool, typer.Option("--realtime", help="Watch at the pace of life, like a live stream.")
    ] = False,
    alpha: Annotated[
        float | None,
        _gate(
            metavar="FACTOR",
            help="Speak when the last caption has become more perplexing by this factor, at least 1 [default: the model's].",
        ),
    ] = None,
    min_gap: Annotated[
        float, _local_gate(metavar="SECONDS", help="Stay silent for so long after speaking.")
    ] = 0.0,
    max_silence: Annotated[
        float | None, _local_gate(metavar="SECONDS", help="Speak again after so long, whatever happens.")
    ] = None,
    hysteresis: Annotated[
        bool, _local_gate("--hysteresis", help="Let a second frame confirm a small change.")
    ] = False,
    mode: Annotated[
        str, _local_gate(metavar="MODE", help="'branch' (as trained) or 'reference' (as published).")
    ] = "branch",
    ask: Annotated[
        list[str] | None,
        _questions(metavar="SECONDS:TEXT", help="Ask this at that time of the video; repeatable."),
    ] = None,
    standing: Annotated[
        list[str] | None,
        _questions(
            metavar="TEXT", help="Answer this whenever the answer changes, as [q1], [q2] …; repeatable."
        ),
    ] = None,
    gateway: GatewayOption = None,
    token: TokenOption = "",
    name: Annotated[
        str, _system("--id", metavar="NAME", help="Name of the stream [default: it gets one].")
    ] = "",
    keep: Annotated[
        bool, _system("--keep", help="Leave the stream running when this command is interrupted.")
    ] = False,
    local: Annotated[bool, _machine("--local", help="Even where a system runs.")] = False,
    model: Annotated[
        str, _machine(metavar="MODEL", help="'nano', which is shipped, or a checkpoint folder.")
    ] = "nano",
    max_caption_tokens: Annotated[
        int, _machine(metavar="TOKENS", help="Captions are cut off at this length.")
    ] = 256,
    max_trunk_tokens: Annotated[
        int | None,
        _machine(metavar="TOKENS", help="How much of the video is remembered [default: the model's]."),
    ] = None,
    device: Annotated[str, _machine(metavar="NAME", help="'cpu', 'cuda' or 'cuda:N'.")] = "cpu",
    dtype: Annotated[str, _machine(metavar="TYPE", help="'float32' or 'bfloat16'.")] = "float32",
) -> None:
    """Watch a video or a live source and narrate it: a new caption whenever the last one has become perplexing.

    The running system does it, when one runs on this machine or --gateway names one; else this process.

    Examples: livestar watch rtsp://camera/1 --standing "Who is at the door?";
    livestar watch clip.mp4 --ask "12:How many people are there?"
    """
    questions = tuple(map(TimedQuestion.parse, ask or ()))
    if not 0 < fps < float("inf"):
        raise InvalidInput(f"--fps is frames per second, more than 0, not {fps:g}")
    watch = WatchOptions(
        video=source,
        model=model,
        fps=fps,
        as_json=as_json,
        realtime=realtime,
        alpha=alpha,
        min_gap=min_gap,
        max_silence=max_silence,
        hysteresis=hysteresis,
        mode=mode,
        questions=questions,
        standing=tuple(standing or ()),
        max_caption_tokens=max_caption_tokens,
        max_trunk_tokens=max_trunk_tokens,
        device=device,
        dtype=dtype,
    )
    if url := _address(watch, gateway, local=local):
        from livestar.client.gateway_client import GatewayClient
        from livestar.client.watch_remote import watch_remote

        watch_remote(GatewayClient(url, token), watch, name=name, keep=keep)
    else:
        from livestar.client.watch_local import watch_local

        watch_local(watch)


def _address(watch: WatchOptions, gateway: str | None, *, local: bool) -> str | None:
    """The gateway that watches; None: this process does.

    Raises:
        InvalidInput: an option that only this process can follow, and a gateway that is named.
        Unavailable: a stream of the running system is wanted, and none runs.
    """
    from livestar.client.find_gateway import find_gateway, gateway_or_raise

    attached = watch.video.startswith("stream:")
    own = watch.of_this_process()
    if local or (own and not gateway):
        return None
    if own:
        raise InvalidInput(f"{own[0]} cannot be asked of the running system: leave it out, or add --local")
    return gateway_or_raise(gateway) if attached else find_gateway(gateway)
