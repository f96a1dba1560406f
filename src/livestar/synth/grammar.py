"""Facts into sentences and back: small templates whose inverse is exact."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from random import Random

Facts = Mapping[str, str]
Words = Mapping[str, Mapping[str, tuple[str, ...]]]
"""For every slot, for every value, the ways to say it; within a slot no two values share one."""

EVENT = "event"
"""The fact that names the kind of event; every event has it."""

_CONNECTIVES = ("Then", "Next,", "After that,", "Now")
_MEANWHILE = "Meanwhile,"
_OPENING = re.compile(r"(?:then|next|after that|now|meanwhile),? ")
_SLOT = re.compile(r"\{(\w+)\}")
_ARTICLE = re.compile(r"\b(a) (?=[aeiou])")


def same(*values: str) -> dict[str, tuple[str, ...]]:
    """Returns the slot whose values are said as they are written."""
    return {value: (value,) for value in values}


class Grammar:
    """The sentences of one family.

    Args:
        words: how values are said.
        kinds: for every kind of event, its templates: lower case, no full stop, `{slot}` for a value.
        meanwhile: kinds that go on beside what was there before, and may begin with "Meanwhile".
    """

    def __init__(
        self, words: Words, kinds: Mapping[str, tuple[str, ...]], meanwhile: frozenset[str] = frozenset()
    ) -> None:
        self._words = words
        self._kinds = kinds
        self._meanwhile = meanwhile

    def tell(self, facts: Facts, dice: Random, *, first: bool) -> tuple[str, ...]:
        """Says the facts once with every template, in random order; a clip's first event has no connective."""
        templates = list(self._kinds[facts[EVENT]])
        dice.shuffle(templates)
        return tuple(
            self._open(self._fill(t, facts, dice), facts[EVENT], dice, first=first) for t in templates
        )

    def parse(self, text: str) -> dict[str, str]:
        """Returns the facts that a text states; a text that breaks off gives those before the break."""
        plain = _normal(text)
        readings = [self._read(kind, pattern, plain) for kind, pattern in self._patterns]
        return max(readings, key=lambda facts: (EVENT in facts, len(facts)), default={})

    def query(self, facts: Facts, dice: Random) -> str:
        """Says the facts as a sentence of its own."""
        return self.tell(facts, dice, first=True)[0]

    @property
    def texts(self) -> tuple[str, ...]:
        """All templates and words, for counting the vocabulary."""
        ways = [way for values in self._words.values() for forms in values.values() for way in forms]
        return (*_CONNECTIVES, _MEANWHILE, *ways, *(t for kind in self._kinds.values() for t in kind))

    def _fill(self, template: str, facts: Facts, dice: Random) -> str:
        return _SLOT.sub(lambda m: dice.choice(self._words[m[1]][facts[m[1]]]), template)

    def _open(self, clause: str, kind: str, dice: Random, *, first: bool) -> str:
        clause = with_articles(clause)
        if first:
            return f"{clause[0].upper()}{clause[1:]}."
        openings = (*_CONNECTIVES, _MEANWHILE) if kind in self._meanwhile else _CONNECTIVES
        return f"{dice.choice(openings)} {clause}."

    @cached_property
    def _patterns(self) -> list[tuple[str, re.Pattern[str]]]:
        return [(kind, self._pattern(t)) for kind, templates in self._kinds.items() for t in templates]

    def _pattern(self, template: str) -> re.Pattern[str]:
        """Nests the template's parts so that the match reaches as far as the text follows it."""
        *parts, tail = _SLOT.split(template)
        pattern = rf"(?P<whole>{re.escape(tail)}$)?"
        while parts:
            slot = parts.pop()
            literal = re.escape(parts.pop())
            pattern = f"(?:{literal}{self._alternatives(slot)}{pattern})" + ("?" if parts else "")
        return re.compile(pattern)

    def _alternatives(self, slot: str) -> str:
        ways = sorted({w for forms in self._words[slot].values() for w in forms}, key=len, reverse=True)
        return rf"\b(?P<{slot}>{'|'.join(map(re.escape, ways))})\b"

    def _read(self, kind: str, pattern: re.Pattern[str], plain: str) -> dict[str, str]:
        if not (match := pattern.match(plain)):
            return {}
        groups = match.groupdict()
        whole = groups.pop("whole") is not None
        facts = {slot: self._values[slot, way] for slot, way in groups.items() if way is not None}
        return {EVENT: kind, **facts} if whole else facts

    @cached_property
    def _values(self) -> dict[tuple[str, str], str]:
        return {
            (slot, way): value
            for slot, values in self._words.items()
            for value, forms in values.items()
            for way in forms
        }


def with_articles(text: str) -> str:
    """Writes "an" where the next word begins with a vowel."""
    return _ARTICLE.sub(r"\1n ", text)


def _normal(text: str) -> str:
    plain = " ".join(text.lower().split()).rstrip(".!? ")
    return re.sub(r"\ban ", "a ", _OPENING.sub("", plain, count=1) if _OPENING.match(plain) else plain)
