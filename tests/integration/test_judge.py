from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from fakes.judge_server import Answer, drips, fails, judge_server, says, scores
from livestar.client.cli import main
from livestar.core.errors import FailedPrecondition, InvalidInput
from livestar.evaluation.judge import Judge, Judgement, JudgeSettings, NotJudged, judge_report
from livestar.evaluation.judge_prompt import RUBRICS, Dimension
from livestar.evaluation.synth_export import export_clip

pytestmark = pytest.mark.integration

PAIRS = (("A dog barks.", "A dog is barking."), ("It runs away.", ""))
KEY = "sk-secret"


def settings(url: str, **changes: float) -> JudgeSettings:
    quick = {"attempt_timeout_s": 5.0, "video_timeout_s": 20.0, "pause_s": 0.01, "concurrent": 1} | changes
    return JudgeSettings(url, "some-model", KEY, **quick)  # type: ignore[arg-type]


def judged(*answers: Answer, **changes: float) -> tuple[Judgement | NotJudged, int]:
    """The judgement of one video, and how many requests it took."""
    with judge_server(*answers) as server:
        found = Judge(settings(server.url, **changes)).judge({"a": PAIRS})["a"]
        return found, len(server.requests)


def test_a_video_takes_two_requests() -> None:
    with judge_server(scores(8), scores(6)) as server:
        found = Judge(settings(server.url)).judge({"a": PAIRS})
    got = judge_report("some-model", found)
    assert (got["sem_cor"], got["sum_fluen"], got["videos"], got["not_judged"]) == (8, 6, 1, [])
    assert isinstance(got["dimensions"], dict)
    assert len(got["dimensions"]) == len(Dimension)
    for request, headers, rubric in zip(server.requests, server.headers, RUBRICS, strict=True):
        assert (request["model"], request["temperature"]) == ("some-model", 0)
        assert request["messages"] == rubric.messages(PAIRS)
        assert headers["authorization"] == f"Bearer {KEY}"


def test_what_is_meant_for_openai_does_not_go_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_ADMIN_KEY"):
        monkeypatch.setenv(name, f"private-{name}")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/elsewhere")
    with judge_server(scores(8)) as server:
        found = Judge(JudgeSettings(server.url, "some-model", pause_s=0.01)).judge({"a": PAIRS})
    assert not isinstance(found["a"], NotJudged)
    assert not [value for headers in server.headers for value in headers.values() if "private" in value]


@pytest.mark.parametrize(
    "bad",
    [
        says("As a language model, I cannot."),
        says(""),
        says(None),
        fails(200, "<html>hello</html>"),
        fails(200, '{"choices": []}'),
        fails(200, "[1, 2"),
        fails(500),
        fails(503, ""),
        fails(429),
        lambda handler, _: handler.connection.close(),
    ],
)
def test_after_one_bad_answer_it_is_asked_again(bad: Answer) -> None:
    found, requests = judged(bad, scores(7))
    assert not isinstance(found, NotJudged)
    assert set(found.values()) == {7}
    assert requests == 3


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (says("Semantic Accuracy: ten"), "does not keep to the form, 3 times"),
        (fails(500), "HTTP 500, 3 times"),
        (lambda handler, _: handler.connection.close(), "cannot be reached, 3 times"),
    ],
)
def test_what_stays_bad_is_given_up_and_said(bad: Answer, reason: str) -> None:
    found, requests = judged(bad)
    assert isinstance(found, NotJudged)
    assert reason in found.reason
    assert requests == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_what_cannot_get_better_is_not_asked_again(status: int) -> None:
    found, requests = judged(fails(status))
    assert found == NotJudged(f"the endpoint answers with HTTP {status}")
    assert requests == 1


def stalls(_: object, __: object) -> None:
    time.sleep(3)


@pytest.mark.parametrize("slow", [stalls, drips(3)])
def test_a_slow_answer_is_given_up(slow: Answer) -> None:
    began_s = time.monotonic()
    found, requests = judged(slow, attempt_timeout_s=0.5, attempts=2)
    assert found == NotJudged("no answer within 0.5 s, 2 times in a row")
    assert requests == 2
    assert time.monotonic() - began_s < 15


def test_a_video_has_a_deadline_of_its_own() -> None:
    found, _ = judged(drips(3), video_timeout_s=0.5)
    assert found == NotJudged("no judgement within 0.5 s")


def test_nobody_there() -> None:
    with judge_server(scores(1)) as server:
        url = server.url
    found = Judge(settings(url)).judge({"a": PAIRS})["a"]
    assert isinstance(found, NotJudged)
    assert "cannot be reached" in found.reason


def test_one_video_that_cannot_be_judged_does_not_count() -> None:
    with judge_server(scores(8), scores(8), fails(401), scores(4)) as server:
        found = Judge(settings(server.url)).judge({"a": PAIRS, "b": PAIRS, "c": PAIRS})
    got = judge_report("some-model", found)
    assert (got["sem_cor"], got["videos"]) == (6, 2)
    assert got["not_judged"] == [{"name": "b", "reason": "the endpoint answers with HTTP 401"}]


def test_silence_is_worth_nothing_and_needs_no_judge() -> None:
    with judge_server(fails(500)) as server:
        found = Judge(settings(server.url)).judge({"silent": (("A dog barks.", ""),), "empty": ()})
    assert server.requests == []
    assert found["silent"] == dict.fromkeys(Dimension, 0)
    assert isinstance(found["empty"], NotJudged)


def test_videos_are_judged_side_by_side_but_not_all_at_once() -> None:
    import threading

    lock, now, most = threading.Lock(), 0, 0

    def counted(handler: object, request: dict[str, object]) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.05)
        with lock:
            now -= 1
        scores(5)(handler, request)  # type: ignore[arg-type]

    with judge_server(counted) as server:
        found = Judge(settings(server.url, concurrent=3)).judge({str(i): PAIRS for i in range(12)})
    assert not [outcome for outcome in found.values() if isinstance(outcome, NotJudged)]
    assert 1 < most <= 3


def test_the_key_is_in_no_message() -> None:
    assert KEY not in repr(settings("http://127.0.0.1"))
    assert KEY not in str(judged(fails(401))[0])


@pytest.mark.parametrize("url", ["judge.example", "ftp://judge.example", "http://", "file:///etc/passwd"])
def test_a_url_is_http(url: str) -> None:
    with pytest.raises(InvalidInput, match="http"):
        settings(url)


def test_without_the_package_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(FailedPrecondition, match=r"'livestar\[judge\]'$"):
        Judge(settings("http://127.0.0.1"))


class TestCommand:
    def evaluate(self, monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
        monkeypatch.setattr(sys, "argv", ["livestar", "eval", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        return int(left.value.code or 0)

    @pytest.mark.parametrize("data_format", ["synthstar", "omnistar"])
    def test_the_judge_is_asked_after_watching(
        self,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        tiny_checkpoint: Path,
        tmp_path: Path,
        data_format: str,
    ) -> None:
        monkeypatch.setenv("LIVESTAR_JUDGE_API_KEY", KEY)
        for seed in (1, 2):
            export_clip("court", seed, 4, tmp_path, fps=5, size=64)
        where = ("--model", tiny_checkpoint, "--data", tmp_path, "--tasks", "rng", "--format", data_format)
        with judge_server(scores(9), scores(7), fails(401)) as server:
            ask = ("--judge-url", server.url, "--judge-model", "m", "--semantics", "none")
            assert self.evaluate(monkeypatch, *where, *ask, "--json") == 0
            printed = capsys.readouterr()
            assert self.evaluate(monkeypatch, *where, *ask) == 0
            table = capsys.readouterr()
        got = json.loads(printed.out)
        assert got["judge"]["videos"] + len(got["judge"]["not_judged"]) == 2
        assert server.headers[0]["authorization"] == f"Bearer {KEY}"
        assert "HTTP 401" in table.out
        assert KEY not in printed.out + printed.err + table.out + table.err

    def test_options_that_belong_together(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tiny_checkpoint: Path
    ) -> None:
        where = ("--model", tiny_checkpoint, "--data", tiny_checkpoint)
        assert self.evaluate(monkeypatch, *where, "--judge-url", "http://127.0.0.1") == 2
        assert "give both" in capsys.readouterr().err
