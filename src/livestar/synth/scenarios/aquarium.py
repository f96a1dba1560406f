"""An aquarium: animals swim in, hide and come in schools; the lamp changes, the chest opens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random
from typing import NamedTuple

import numpy as np

from livestar.synth.animals import animal
from livestar.synth.canvas import Canvas, Pixels
from livestar.synth.family import Casting, Family, Stage
from livestar.synth.grammar import Grammar, same
from livestar.synth.motion import arrive, ease, lerp, sway
from livestar.synth.palette import Colour, darker, mix
from livestar.synth.question import Ask
from livestar.synth.sprite import Sketch, Sprite, shadow
from livestar.synth.story import LEAD_S, Beat, Draft
from livestar.synth.texture import gradient, rough

COLOURS = ("red", "orange", "yellow", "green", "purple", "white")
ANIMALS = ("fish", "turtle", "crab", "seahorse", "jellyfish")
COUNTS = ("two", "three", "four")
PLACES = ("rock", "plant")
LAMPS = ("white", "blue", "pink")
SIDES = ("left", "right")
_WATER: dict[str, tuple[Colour, Colour]] = {
    "white": ((120, 190, 216), (44, 112, 150)),
    "blue": ((40, 84, 214), (14, 28, 104)),
    "pink": ((244, 186, 206), (204, 132, 158)),
}
_TUBE: dict[str, Colour] = {"white": (255, 255, 246), "blue": (110, 160, 255), "pink": (255, 150, 210)}
_FLOOR = 176.0


@dataclass(frozen=True, slots=True)
class Tank:
    """Who swims under which lamp: `detail` is a side, a place or a number."""

    action: str
    lamp: str
    animal: str = ""
    colour: str = ""
    detail: str = ""


class Moment(NamedTuple):
    """The length of the event, the time since its start and that of the clip, all in seconds."""

    seconds: float
    since_s: float
    t_s: float


class Aquarium(Stage[Tank]):
    """An animal comes, then perhaps hides; schools, food, the lamp and the chest in between."""

    def __init__(self, casting: Casting) -> None:
        super().__init__(casting)
        self._swap = self.dice.random() < 0.5
        self._phase = self.dice.random()
        self._size = self.dice.uniform(0.95, 1.1)

    def invent(self, before: Draft[Tank] | None) -> Draft[Tank]:
        """Goes on with the animal, or brings something new."""
        tank = before.prop if before else Tank("chest", self.dice.choice(LAMPS))
        if tank.action == "swim" and self.dice.random() < 0.6:
            place = self.dice.choice(PLACES)
            seen = {"animal": tank.animal, "colour": tank.colour, "place": place}
            state = {"lamp": tank.lamp, "chest": "closed", **seen}
            return Draft({"event": "hide", "place": place}, state, replace(tank, action="hide", detail=place))
        action = self.dice.choice(["swim", "swim", "swim", "school", "school", "lamp", "chest", "feed"])
        return self._begin(action, tank.lamp)

    def _begin(self, action: str, lamp: str) -> Draft[Tank]:
        if action == "lamp":
            lamp = self.dice.choice([other for other in LAMPS if other != lamp])
            return Draft(
                {"event": "lamp", "lamp": lamp}, {"lamp": lamp, "chest": "closed"}, Tank("lamp", lamp)
            )
        if action in ("chest", "feed"):
            chest = "open" if action == "chest" else "closed"
            return Draft({"event": action}, {"lamp": lamp, "chest": chest}, Tank(action, lamp))
        if action == "school":
            school = self.casting.pick(count=COUNTS, colour=COLOURS, animal=("fish",))
            tank = Tank("school", lamp, "fish", school["colour"], school["count"])
            facts = {"event": "school", "count": school["count"], "colour": school["colour"]}
            return Draft(facts, {"lamp": lamp, "chest": "closed", **school}, tank)
        subject = self.casting.pick(animal=ANIMALS, colour=COLOURS, side=SIDES)
        tank = Tank("swim", lamp, subject["animal"], subject["colour"], subject["side"])
        return Draft({"event": "swim", **subject}, {"lamp": lamp, "chest": "closed", **subject}, tank)

    def paint_backdrop(self, canvas: Canvas, dice: Random) -> None:
        """Paints sand, stones and coral; water and lamp are drawn with the moment."""
        sand = dice.choice([(206, 182, 136), (190, 170, 150), (176, 168, 160)])
        sheet = rough(dice, sand, 0.3)
        canvas.lay(sheet, [(-20, _FLOOR), (244, _FLOOR), (300, 224), (-76, 224)])
        for _ in range(9):
            x, y = dice.uniform(4, 220), dice.uniform(_FLOOR + 14, 216)
            canvas.ellipse(
                x, y, dice.uniform(2, 6), dice.uniform(1.6, 4), darker(sand, dice.uniform(0.2, 0.5))
            )

    def draw(self, canvas: Canvas, beat: Beat[Tank], since_s: float, t_s: float) -> None:
        """Draws water, things at the back, animals, things in front, bubbles and the lamp."""
        tank = beat.draft.prop
        sheet = _water(canvas.pixels.shape[0], tank.lamp)
        rows = sheet.shape[0]
        canvas.pixels[:rows] = sheet
        self._draw_rays(canvas, tank.lamp, t_s)
        _draw_chest(canvas, 112, opened=tank.action == "chest")
        self._draw_places(canvas, t_s)
        if tank.action in _DRAW:
            _DRAW[tank.action](self, canvas, tank, Moment(beat.seconds, since_s, t_s))
        if tank.action == "hide":
            self._draw_place(canvas, tank.detail, t_s)
        self._draw_bubbles(canvas, t_s, many=tank.action == "chest")
        canvas.box(0, 0, 224, 14, (44, 46, 50))
        canvas.box(20, 9, 204, 18, _TUBE[tank.lamp])

    def _draw_swim(self, canvas: Canvas, tank: Tank, now: Moment) -> None:
        side = -1 if tank.detail == "left" else 1
        share = arrive(now.since_s, -LEAD_S, 0)
        x = 112 + side * lerp(lerp(150, 66, share), 16, ease(now.since_s, -1, now.seconds + 1))
        self._draw_animal(canvas, tank, x, now.t_s, leftwards=side > 0)

    def _draw_animal(self, canvas: Canvas, tank: Tank, x: float, t_s: float, *, leftwards: bool) -> None:
        y = _FLOOR + 12 if tank.animal == "crab" else 112 + 7 * sway(t_s, 4, self._phase)
        width = {"seahorse": 40.0, "jellyfish": 46.0}.get(tank.animal, 58.0) * self._size
        tilt = 4 * sway(t_s, 1.3)
        if tank.animal == "crab":
            canvas.sprite(shadow(), x, y + 16, 66, squash=0.2, feet=False)
        canvas.sprite(
            animal(tank.animal, tank.colour), x, y, width, flip=leftwards, angle_deg=tilt, feet=False
        )

    def _draw_hide(self, canvas: Canvas, tank: Tank, now: Moment) -> None:
        """Behind the place, but for its front half."""
        home = self._place_x(tank.detail)
        leftwards = home > 112
        x = home + (-1 if leftwards else 1) * lerp(60, 27, arrive(now.since_s, -LEAD_S, 0.1))
        y = _FLOOR + 12 if tank.animal == "crab" else 142 + 3 * sway(now.t_s, 3)
        width = 40.0 if tank.animal == "seahorse" else 54.0
        canvas.sprite(animal(tank.animal, tank.colour), x, y, width, flip=leftwards, feet=False)

    def _draw_school(self, canvas: Canvas, tank: Tank, now: Moment) -> None:
        count = COUNTS.index(tank.detail) + 2
        middle = lerp(lerp(-120, 0, arrive(now.since_s, -LEAD_S, 0)), 10, now.since_s / now.seconds)
        for i in range(count):
            x = 106 + middle + (i - (count - 1) / 2) * 41
            y = 92 + (20 if i % 2 else -14) + 4 * sway(now.t_s, 2.7, i * 0.3)
            canvas.sprite(
                animal("fish", tank.colour), x, y, 40, angle_deg=4 * sway(now.t_s, 1.1, i * 0.2), feet=False
            )

    def _draw_feed(self, canvas: Canvas, _tank: Tank, now: Moment) -> None:
        y = lerp(-50, 42, arrive(now.since_s, -LEAD_S, 0))
        canvas.sprite(_hand(), 112, y, 46, feet=False)
        for i in range(26):
            fall = ((i * 0.37 + now.since_s * 0.16) % 1.0) * 104
            x = 112 + (i * 29 % 61 - 30) * (0.5 + fall / 130) + 3 * sway(now.t_s, 2, i * 0.2)
            canvas.disc(x, 56 + fall, 2.2, (214, 120, 40))

    def _draw_rays(self, canvas: Canvas, lamp: str, t_s: float) -> None:
        tone = mix(_WATER[lamp][0], (255, 255, 255), 0.16)
        for i in range(3):
            x = 40 + 62 * i + 12 * sway(t_s, 9, i * 0.3 + self._phase)
            canvas.polygon([(x, 18), (x + 13, 18), (x - 12, 150), (x - 38, 150)], tone)

    def _place_x(self, place: str) -> float:
        return 46.0 if (place == "rock") != self._swap else 180.0

    def _draw_places(self, canvas: Canvas, t_s: float) -> None:
        for place in PLACES:
            self._draw_place(canvas, place, t_s)

    def _draw_place(self, canvas: Canvas, place: str, t_s: float) -> None:
        x = self._place_x(place)
        if place == "rock":
            canvas.sprite(_rock(), x, 196, 66)
            return
        for i in range(8):
            lean = 5 * sway(t_s, 3.1, i * 0.17)
            root = x - 24 + 7 * i
            tip = root + lean + (i % 3 - 1) * 7, 106 + 9 * (i * 5 % 4)
            blade = [
                (root - 4, 196),
                (root + lean / 2 - 4, 150),
                tip,
                (root + lean / 2 + 4, 150),
                (root + 4, 196),
            ]
            canvas.polygon(blade, ((22, 84, 44), (34, 104, 50))[i % 2])

    def _draw_bubbles(self, canvas: Canvas, t_s: float, *, many: bool) -> None:
        """A few bubbles always rise; the open chest sends up many."""
        for i in range(26 if many else 5):
            rise = (t_s * 0.22 + i * 0.171 + self._phase) % 1
            x = (
                112 + (i * 37 % 31 - 15) + 4 * sway(t_s, 1.6, i * 0.3)
                if many
                else 24 + i * 43 + 3 * sway(t_s, 2)
            )
            radius = 3.4 + i % 3 if many else 1.6
            canvas.ellipse(x, 172 - 150 * rise, radius, radius, (226, 242, 250), width=1)


_DRAW: dict[str, Callable[[Aquarium, Canvas, Tank, Moment], None]] = {
    "swim": Aquarium._draw_swim,
    "hide": Aquarium._draw_hide,
    "school": Aquarium._draw_school,
    "feed": Aquarium._draw_feed,
}


@lru_cache(maxsize=8)
def _water(size: int, lamp: str) -> Pixels:
    canvas = Canvas(np.zeros((size, size, 3), np.uint8))
    canvas.lay(gradient(*_WATER[lamp]), [(0, 0), (224, 0), (224, _FLOOR + 2), (0, _FLOOR + 2)])
    return canvas.pixels[: int(_FLOOR * canvas.scale)].copy()


def _draw_chest(canvas: Canvas, x: float, *, opened: bool) -> None:
    canvas.sprite(shadow(), x, 193, 58, squash=0.2, feet=False)
    canvas.box(x - 23, 174, x + 23, 193, (122, 78, 40))
    canvas.box(x - 23, 182, x + 23, 184, (84, 52, 26))
    canvas.box(x - 4, 176, x + 4, 184, (226, 190, 70))
    if not opened:
        canvas.polygon([(x - 23, 174), (x - 20, 163), (x + 20, 163), (x + 23, 174)], (146, 96, 52))
        return
    canvas.polygon([(x - 23, 168), (x - 21, 144), (x + 21, 144), (x + 23, 168)], (92, 58, 30))
    canvas.polygon([(x - 21, 175), (x - 15, 165), (x, 161), (x + 15, 165), (x + 21, 175)], (252, 210, 70))
    for i in range(7):
        canvas.disc(x - 15 + 5 * i, 168 - (i % 3) * 2, 2.6, (255, 236, 140))


@lru_cache(maxsize=1)
def _rock() -> Sprite:
    sketch = Sketch(70, 84)
    sketch.polygon(
        [(3, 84), (8, 50), (18, 30), (30, 6), (44, 2), (54, 24), (64, 46), (68, 84)], (104, 102, 108)
    )
    sketch.polygon([(30, 6), (44, 2), (40, 34), (22, 48), (18, 30)], (138, 136, 140))
    sketch.polygon([(40, 34), (54, 24), (64, 46), (52, 66)], (84, 82, 90))
    sketch.polygon([(8, 50), (22, 48), (30, 72), (10, 80)], (120, 118, 122))
    return sketch.finish(1.1, 0.7, 9)


@lru_cache(maxsize=1)
def _hand() -> Sprite:
    sketch = Sketch(46, 52)
    skin = (186, 128, 92)
    sketch.round_box(12, 0, 34, 26, 4, skin)
    sketch.ellipse(23, 28, 14, 11, skin)
    for x in (12, 19, 26, 33):
        sketch.lines([(x, 30), (x + (x - 23) * 0.1, 46)], skin, 5.4)
        sketch.lines([(x + 3.4, 36), (x + 3.4, 44)], darker(skin, 0.25), 0.7)
    sketch.box(10, 0, 36, 14, (40, 60, 110))
    return sketch.finish()


GRAMMAR = Grammar(
    {
        "animal": same(*ANIMALS),
        "colour": same(*COLOURS),
        "side": same(*SIDES),
        "place": same(*PLACES),
        "count": same(*COUNTS),
        "lamp": same(*LAMPS),
    },
    {
        "swim": (
            "a {colour} {animal} moves into the tank from the {side}",
            "from the {side} a {colour} {animal} comes through the water",
            "a {colour} {animal} comes into view from the {side}",
        ),
        "hide": (
            "it goes down to the {place} and hides behind it",
            "it hides behind the {place} at the bottom of the tank",
            "half of it hides behind the {place} in the tank",
        ),
        "school": (
            "a school of {count} {colour} fish swims through the water",
            "there are {count} {colour} fish that swim in a school",
            "{count} {colour} fish swim through the tank in a row",
        ),
        "lamp": (
            "the lamp above turns {lamp} and nothing swims in the water",
            "under a {lamp} lamp the water of the tank is empty",
            "the lamp over the empty tank changes to {lamp}",
        ),
        "chest": (
            "the chest on the sand opens and many bubbles rise",
            "many bubbles rise from the open chest on the sand",
            "the chest full of gold opens and lets bubbles rise",
        ),
        "feed": (
            "a hand drops food into the water from above",
            "somebody puts food into the tank with a hand",
            "from above a hand lets food fall into the tank",
        ),
    },
    meanwhile=frozenset({"feed", "chest"}),
)

ASKS = (
    Ask("animal", "animal", "What animal is in the tank now?", "What animal is it?",
        "Before this, what animal was in the tank?", "And what animal is it?", "And what animal was it?",
        "Is the animal a {}?"),
    Ask("animal", "colour", "What colour are the animals in the tank now?", "What colour are the animals in the tank?",
        "Before this, what colour were the animals in the tank?", "And what colour is it?", "And what colour was it?",
        "Are the animals in the tank {}?"),
    Ask("animal", "place", "Behind what does the animal hide now?", "Behind what does the animal hide?",
        "Before this, behind what did the animal hide?", "And behind what does it hide?",
        "And behind what did it hide?", "Does the animal hide behind the {}?"),
    Ask("animal", "side", "From which side did the animal come?", "From which side did the animal come?",
        "Before this, from which side did the animal come?", "And from which side did it come?",
        "And from which side did it come?"),
    Ask("lamp", "lamp", "What colour is the lamp above the tank now?", "What colour is the lamp above the tank?",
        "Before this, what colour was the lamp above the tank?", "And what colour is it?",
        "And what colour was it?", "Is the lamp above the tank {}?"),
    Ask("school", "count", "How many fish are in the school now?", "How many fish are in the school?",
        "Before this, how many fish were in the school?", "And how many are there?", "And how many were there?",
        "Are there {} fish in the school?"),
    Ask("chest", "chest", "Is the chest open or closed now?", "Is the chest open or closed?",
        "Before this, was the chest open or closed?", "And is it open or closed?", "And was it open or closed?",
        "Is the chest {}?"),
)  # fmt: skip

FAMILY = Family(
    name="aquarium",
    description="an aquarium with animals that swim, hide and school, a lamp and a treasure chest",
    grammar=GRAMMAR,
    asks=ASKS,
    pairs=(("animal", "colour"), ("count", "colour")),
    held_out=frozenset({
        (("animal", "turtle"), ("colour", "red")),
        (("animal", "crab"), ("colour", "green")),
        (("animal", "jellyfish"), ("colour", "yellow")),
        (("count", "three"), ("colour", "purple")),
    }),
    stage=Aquarium,
)  # fmt: skip
