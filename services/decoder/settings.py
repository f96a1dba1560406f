"""Settings of the decoder."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from livestar.service import GRPC_PORTS, HTTP_PORTS, Port, ServiceSettings, local_address

Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, le=3600)]


class DecoderSettings(ServiceSettings, env_prefix="LIVESTAR_DECODER_"):
    """See `ServiceSettings`.

    Attributes:
        model: 'nano', which is shipped, or a checkpoint folder.
        dtype: of weights and cache.
        device: 'cpu', 'cuda' or 'cuda:N'.
        threads: of PyTorch; one a process is best on busy cores.
        memory: address (host:port) of the memory service.
        num_pages: pages of the KV pool; they bound memory and the number of streams.
        page_size: token rows a page.
        max_streams: streams of this process at most, beside what the pool can hold.
        max_caption_tokens: where a stream does not say.
        max_question_tokens: longer questions are refused.
        max_chain_tokens: earlier questions and answers that a follow-up sees.
        max_channels: standing questions and probes of one stream.
        max_open_questions: of one stream.
        positions: what forgetting does to the rows that stay; 'recomputed' makes a restored stream exactly equal.
        lease_ttl_s: a stream whose owner is gone is taken over after so long.
        reconcile_s: how often the registry is looked through.
        hole_s: how long a frame that nobody announced as dropped is waited for.
        answer_s: what open questions get when their stream ends or is handed over.
        end_s: a stream that is over, and of which no last message comes, is closed after so long.
        settle_s: a stream that was given up is not taken again for so long.
        balance_s: a decoder with more than its share of the streams gives one away so often; 0: never.
    """

    grpc_port: Port = GRPC_PORTS["decoder"]
    http_port: Port = HTTP_PORTS["decoder"]
    model: str = "nano"
    dtype: Literal["float32", "bfloat16"] = "float32"
    device: str = "cpu"
    threads: Count = 1
    memory: str = local_address("memory")
    num_pages: Count = 8192
    page_size: Count = 16
    max_streams: Count = 256
    max_caption_tokens: Count = 128
    max_question_tokens: Count = 128
    max_chain_tokens: Annotated[int, Field(ge=0)] = 256
    max_channels: Annotated[int, Field(ge=0)] = 8
    max_open_questions: Annotated[int, Field(ge=0)] = 4
    positions: Literal["contiguous", "recomputed"] = "contiguous"
    lease_ttl_s: Seconds = 4.0
    reconcile_s: Seconds = 0.25
    hole_s: Seconds = 2.0
    answer_s: Seconds = 5.0
    end_s: Seconds = 10.0
    settle_s: Seconds = 2.0
    balance_s: Annotated[float, Field(ge=0, le=3600)] = 5.0
