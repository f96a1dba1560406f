from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from google.protobuf.descriptor import FileDescriptor

from livestar.api.v1 import events_pb2
from livestar.core.decision import Action, Ending, Rule

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
NAMES = ("common", "errors", "events", "ingest", "vision", "memory", "decoder", "gateway")


def descriptors() -> list[FileDescriptor]:
    return [import_module(f"livestar.api.v1.{name}_pb2").DESCRIPTOR for name in NAMES]


def test_the_stubs_are_current() -> None:
    checked = subprocess.run(
        [sys.executable, "protos/generate.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr


def test_a_stub_that_is_not_current_is_found(tmp_path: Path) -> None:
    for part in ("protos", "src/livestar/api"):
        for path in (ROOT / part).rglob("*"):
            if path.is_file() and path.suffix in (".proto", ".py", ".pyi"):
                copy = tmp_path / path.relative_to(ROOT)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(path.read_bytes())
    proto = tmp_path / "protos/livestar/v1/vision.proto"
    proto.write_text(proto.read_text().replace("image_size = 2", "picture_size = 2"))
    checked = subprocess.run(
        [sys.executable, "protos/generate.py", "--check"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert checked.returncode == 1
    assert "vision_pb2.py is not current" in checked.stderr
    assert "common_pb2" not in checked.stderr


def test_zero_of_every_enum_says_nothing() -> None:
    enums = [enum for file in descriptors() for enum in file.enum_types_by_name.values()]
    assert len(enums) > 8
    for enum in enums:
        prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", enum.name).upper()
        assert enum.values_by_number[0].name == f"{prefix}_UNSPECIFIED"
        assert all(value.name.startswith(f"{prefix}_") for value in enum.values)


def test_every_field_says_what_it_holds() -> None:
    for name in NAMES:
        lines = (ROOT / f"protos/livestar/v1/{name}.proto").read_text().splitlines()
        fields = [n for n, line in enumerate(lines) if re.match(r"\s+(\w|\.)+( \w+)* = \d+;", line)]
        for number in fields:
            assert lines[number - 1].lstrip().startswith("//"), f"{name}.proto:{number + 1}"


@pytest.mark.parametrize(
    ("core", "proto"), [(Action, events_pb2.Action), (Rule, events_pb2.Rule), (Ending, events_pb2.Ending)]
)
def test_the_protos_say_all_that_the_engine_can_say(
    core: type[Action] | type[Rule] | type[Ending], proto: object
) -> None:
    known = {name.partition("_")[2].lower() for name, _ in proto.items()} - {"unspecified"}  # type: ignore[attr-defined]
    assert known == {value.value for value in core}
