"""Settings of the gateway."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr

from livestar.service import GATEWAY_PORT, GRPC_PORTS, HTTP_PORTS, Names, Port, ServiceSettings

Positive = Annotated[float, Field(gt=0, le=3600)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]


class GatewaySettings(ServiceSettings, env_prefix="LIVESTAR_GATEWAY_"):
    """What the gateway can be told, beside what every service can.

    Attributes:
        port: of the page and the HTTP interface; 0 takes a free one.
        token: every call has to bring it (Authorization: Bearer …), the page's own files excepted; empty: everybody may call.
        allowed_hosts: names under which the gateway may be called; empty: addresses, names without a dot and those that end in
            .local, .internal or .svc, so that no page of the web reaches a gateway on a desk by a name of its own. "*": any.
            Separated by commas, as are the next.
        allowed_origins: pages of other origins that may call (CORS), such as https://cameras.example; empty: none.
        max_body_bytes: of a request.
        body_s: what a request's body gets to arrive, seconds.
        heartbeat_s: a subscription says at least so often that it lives.
        max_queue: events that wait for one subscriber; one more, and it is disconnected.
        kept_events: newest events of a watched stream that are kept in memory for those who come or resume.
        max_subscribers: at a time, over all streams.
        stalled_s: a peer that takes nothing for so long is cut off.
        answer_s: what a question gets to be answered.
        probe_s: what a source gets to show its first frame before its stream is created.
    """

    grpc_port: Port = GRPC_PORTS["gateway"]
    http_port: Port = HTTP_PORTS["gateway"]
    port: Port = GATEWAY_PORT
    token: SecretStr = SecretStr("")
    allowed_hosts: Names = ()
    allowed_origins: Names = ()
    max_body_bytes: Annotated[int, Field(ge=1024, le=16 * 2**20)] = 128 * 1024
    body_s: Positive = 10.0
    heartbeat_s: Positive = 15.0
    max_queue: Annotated[int, Field(ge=16, le=1_000_000)] = 1024
    kept_events: Count = 2048
    max_subscribers: Count = 4096
    stalled_s: Positive = 20.0
    answer_s: Positive = 60.0
    probe_s: Positive = 8.0
