"""Protos as JSON answers: their canonical JSON form, with the fields' own names and every field that has a default."""

from __future__ import annotations

from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message
from starlette.responses import JSONResponse


class ProtoAnswer(JSONResponse):
    """A message, or an object of messages, as an answer.

    Args:
        content: plain values.
        status_code: of the answer.
        location: where the thing is that was created.
    """

    def __init__(self, content: object, status_code: int = 200, *, location: str = "") -> None:
        headers = {"Cache-Control": "no-store"} | ({"Location": location} if location else {})
        super().__init__(content, status_code=status_code, headers=headers)


def as_object(message: Message) -> dict[str, Any]:
    """The message as plain values."""
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def as_line(message: Message) -> str:
    """The message on one line of ASCII."""
    return json_format.MessageToJson(
        message, preserving_proto_field_name=True, indent=None, ensure_ascii=True
    )
