"""A landscape in time lapse: weather and time of day change; balloons and boats come by."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from math import sin
from random import Random

import cv2
import numpy as np

from livestar.synth.canvas import Canvas, Pixels
from livestar.synth.family import Casting, Family, Stage
from livestar.synth.grammar import Grammar, same
from livestar.synth.motion import arrive, ease, lerp, sway
from livestar.synth.palette import PAINT, Colour, darker, lighter, mix
from livestar.synth.question import Ask
from livestar.synth.sprite import Sketch, Sprite, glow
from livestar.synth.story import LEAD_S, Beat, Draft
from livestar.synth.texture import gradient, planks, rough

SKIES = ("clear", "cloudy", "rain", "snow", "storm", "rainbow")
TIMES = ("day", "evening", "night")
COLOURS = ("red", "yellow", "green", "purple", "orange", "white")
SIDES = ("left", "right")
_LIGHT: dict[str, tuple[Colour, Colour]] = {
    "day": ((92, 156, 226), (206, 226, 240)),
    "evening": ((96, 70, 130), (250, 150, 80)),
    "night": ((8, 12, 36), (34, 44, 84)),
}
_OVERCAST: dict[str, tuple[Colour, Colour]] = {
    "day": ((128, 136, 146), (182, 188, 194)),
    "evening": ((86, 70, 84), (178, 120, 90)),
    "night": ((16, 18, 26), (44, 48, 60)),
}
_DUSK: dict[str, Colour] = {"day": (40, 44, 50), "evening": (46, 24, 40), "night": (6, 8, 24)}
_LAND_LIGHT = {"day": 0.0, "evening": 0.32, "night": 0.66}
_LAKE_TOP = 150.0


@dataclass(frozen=True, slots=True)
class Sky:
    """What the sky shows, and who comes by."""

    weather: str
    time: str
    action: str = "weather"
    colour: str = ""
    side: str = ""


class Weather(Stage[Sky]):
    """Either the weather, the time of day, or a visitor changes; one at a time."""

    def __init__(self, casting: Casting) -> None:
        super().__init__(casting)
        self._phase = self.dice.random()
        self._clouds = [
            (self.dice.random(), self.dice.uniform(22, 62), self.dice.uniform(44, 74)) for _ in range(5)
        ]
        self._lake = _LAKE_TOP + self.dice.uniform(-6, 6)
        self._hill = self.dice.uniform(0, 6)
        self._mill_x = self.dice.choice([36.0, 186.0])
        self._leaf = self.dice.choice([(86, 128, 60), (120, 124, 58), (70, 112, 72)])

    def invent(self, before: Draft[Sky] | None) -> Draft[Sky]:
        """Changes one thing."""
        sky = before.prop if before else Sky("clear", "day")
        action = self.dice.choice(["weather", "weather", "time", "balloon", "boat"])
        if action == "weather":
            return self._weather(self._turn(sky))
        if action == "time":
            time = self.dice.choice([t for t in TIMES if t != sky.time])
            weather = sky.weather if self._fits(sky.weather, time) else "clear"
            return self._weather(Sky(weather, time))
        subject = self.casting.pick(visitor=(action,), colour=COLOURS, side=SIDES)
        facts = {"event": action, "colour": subject["colour"], "side": subject["side"]}
        calm = sky.weather if self._fits(sky.weather, sky.time) else "clear"
        after = replace(sky, weather=calm, action=action, colour=subject["colour"], side=subject["side"])
        return Draft(facts, {"weather": calm, "time": sky.time, **subject}, after)

    def _turn(self, sky: Sky) -> Sky:
        choices = [w for w in SKIES if w != sky.weather and self._fits(w, sky.time)]
        return Sky(self.dice.choice(choices), sky.time)

    def _fits(self, weather: str, time: str) -> bool:
        possible = time == "day" or weather != "rainbow"
        return possible and self.casting.allows({"weather": weather, "time": time})

    def _weather(self, sky: Sky) -> Draft[Sky]:
        seen = {"weather": sky.weather, "time": sky.time}
        return Draft({"event": "weather", **seen}, seen, sky)

    def paint_backdrop(self, canvas: Canvas, dice: Random) -> None:
        """Paints nothing but the land in daylight; `draw` lays sky and light over it."""
        canvas.lay(gradient((60, 110, 150), (92, 140, 168)), [(0, 140), (224, 140), (224, 224), (0, 224)])
        far = dice.choice([(110, 124, 150), (128, 122, 140), (104, 130, 140)])
        canvas.polygon([(-8, self._lake), *_crest(self._hill), (240, self._lake)], far)
        _hills(canvas, dice, mix(far, self._leaf, 0.6), 134, 9, self._lake)
        meadow = rough(dice, self._leaf, 0.3)
        canvas.lay(
            meadow, [(-10, self._lake - 7), (234, self._lake - 7), (234, self._lake), (-10, self._lake)]
        )
        shore = [(-40, 208), (264, 200), (264, 240), (-40, 240)]
        canvas.lay(rough(dice, self._leaf, 0.4), shore)
        canvas.lay(planks(dice, (130, 98, 66), 4), [(96, 192), (120, 192), (132, 224), (90, 224)])
        _house(canvas, dice, 224 - self._mill_x, self._lake - 4)

    def draw(self, canvas: Canvas, beat: Beat[Sky], since_s: float, t_s: float) -> None:
        """Draws waves, light on the land, sky, visitors, and what falls."""
        sky = beat.draft.prop
        _draw_waves(canvas, self._lake, t_s)
        grey = sky.weather in _FALLS or sky.weather == "cloudy"
        shade = _LAND_LIGHT[sky.time] + 0.12 * grey
        canvas.veil(_DUSK[sky.time], shade)
        self._draw_sky(canvas, sky, t_s, grey=grey)
        self._draw_mill(canvas, t_s, shade)
        if sky.action == "boat":
            self._draw_boat(canvas, sky, beat.seconds, since_s, t_s)
        elif sky.action == "balloon":
            self._draw_balloon(canvas, sky, beat.seconds, since_s, t_s)
        if sky.weather in _FALLS:
            _FALLS[sky.weather](canvas, t_s)

    def _draw_sky(self, canvas: Canvas, sky: Sky, t_s: float, *, grey: bool) -> None:
        size = canvas.pixels.shape[0]
        scene = Canvas(_sky_sheet(size, *(_OVERCAST if grey else _LIGHT)[sky.time]).copy())
        if not grey:
            self._draw_sun(scene, sky.time, t_s)
        if sky.weather == "rainbow":
            _draw_rainbow(scene)
        self._draw_clouds(scene, sky, t_s, grey=grey)
        if sky.weather == "storm":
            self._draw_lightning(scene, t_s)
        cv2.copyTo(scene.pixels, _sky_mask(size, self._hill), canvas.pixels)

    def _draw_sun(self, canvas: Canvas, time: str, t_s: float) -> None:
        x = 60 + 100 * ((t_s / 200 + self._phase) % 1)
        if time == "night":
            for i in range(40):
                star = Random(i)  # noqa: S311 - the same stars each night
                canvas.disc(
                    star.uniform(0, 224), star.uniform(0, 100), star.uniform(0.4, 1.0), (226, 226, 240)
                )
            canvas.disc(x, 34, 13, (240, 240, 220))
            canvas.disc(x + 6, 31, 11, _LIGHT["night"][0])
            return
        y, colour = (38, (255, 246, 190)) if time == "day" else (88, (255, 190, 90))
        canvas.sprite(glow(colour, 0.8), x, y, 90, feet=False)
        canvas.disc(x, y, 14, lighter(colour, 0.3))

    def _draw_clouds(self, canvas: Canvas, sky: Sky, t_s: float, *, grey: bool) -> None:
        white = {"day": (246, 248, 250), "evening": (226, 150, 140), "night": (70, 76, 100)}[sky.time]
        tone = mix(white, (64, 68, 76), 0.62 if sky.weather in ("storm", "rain") else 0.3) if grey else white
        for i, (phase, y, width) in enumerate(self._clouds if grey else self._clouds[:1]):
            x = ((phase + t_s / 90) % 1) * 330 - 50
            canvas.sprite(
                _cloud(tone), x, y - 8 * grey, width * (1.7 if grey else 0.7), feet=False, flip=i % 2 == 0
            )

    def _draw_lightning(self, canvas: Canvas, t_s: float) -> None:
        x = 70 + 80 * self._phase + 14 * sin(int(t_s * 2) * 2.4)
        bolt = [(x, 8), (x - 10, 40), (x + 4, 44), (x - 8, 76), (x + 6, 80), (x - 10, 122)]
        canvas.lines(bolt, (190, 180, 255), 7)
        canvas.lines(bolt, (255, 252, 220), 3.4)

    def _draw_mill(self, canvas: Canvas, t_s: float, shade: float) -> None:
        """A windmill turns all the time, and nobody tells of it."""
        x, y = self._mill_x, self._lake - 34
        canvas.polygon(
            [(x - 5, y), (x + 5, y), (x + 9, self._lake - 3), (x - 9, self._lake - 3)],
            darker((214, 208, 196), shade),
        )
        for blade in range(4):
            turn = 90 * blade + 60 * t_s + 360 * self._phase
            canvas.ellipse(x, y, 19, 2, darker((90, 74, 60), shade), turn)

    def _draw_boat(self, canvas: Canvas, sky: Sky, seconds: float, since_s: float, t_s: float) -> None:
        x = _crossing(sky.side, seconds, since_s)
        y = self._lake + 34 + sway(t_s, 2.2)
        canvas.sprite(_boat(sky.colour), x, y, 56, flip=sky.side == "right", angle_deg=2 * sway(t_s, 3))

    def _draw_balloon(self, canvas: Canvas, sky: Sky, seconds: float, since_s: float, t_s: float) -> None:
        x, y = _crossing(sky.side, seconds, since_s), 92 + 4 * sway(t_s, 5)
        canvas.sprite(_balloon(sky.colour), x, y + 26, 44)


def _crossing(side: str, seconds: float, since_s: float) -> float:
    share = lerp(lerp(-0.2, 0.2, arrive(since_s, -LEAD_S, 0)), 0.44, ease(since_s, -1, seconds + 1) ** 1.3)
    return 224 * (share if side == "left" else 1 - share)


def _ridge(x: float, hill: float) -> float:
    return 116 - 9 * sin(x / 31 + hill) - 5 * sin(x / 13 + 2 * hill)


def _crest(hill: float) -> list[tuple[float, float]]:
    return [(float(x), _ridge(x, hill)) for x in range(-8, 241, 8)]


def _draw_waves(canvas: Canvas, lake: float, t_s: float) -> None:
    for i in range(12):
        y = lake + 5 + i * 4
        x = (37 * i + 9 * sway(t_s, 4 + i % 3, i * 0.13)) % 224
        canvas.lines([(x - 10, y), (x + 12, y)], (128, 172, 196), 0.9)


def _hills(canvas: Canvas, dice: Random, colour: Colour, base: float, height: float, foot: float) -> None:
    phase = dice.uniform(0, 6)
    crest = [(float(x), base - height * sin(x / 37 + phase) * 0.6) for x in range(-8, 240, 8)]
    canvas.polygon([(-8, foot), *crest, (240, foot)], colour)
    canvas.lines(crest, lighter(colour, 0.15), 1.5)


def _house(canvas: Canvas, dice: Random, x: float, ground: float) -> None:
    wall = dice.choice([(226, 214, 190), (190, 120, 96), (206, 206, 210)])
    canvas.box(x - 15, ground - 17, x + 15, ground, wall)
    canvas.polygon([(x - 19, ground - 16), (x, ground - 30), (x + 19, ground - 16)], (140, 62, 50))
    canvas.box(x - 10, ground - 12, x - 3, ground - 5, (60, 66, 80))
    canvas.box(x + 3, ground - 12, x + 9, ground, (96, 66, 46))


def _draw_rainbow(canvas: Canvas) -> None:
    bands = [(214, 50, 50), (244, 140, 40), (250, 224, 70), (70, 180, 90), (60, 110, 220), (130, 70, 180)]
    for i, colour in enumerate(bands):
        canvas.ellipse(112, 128, 104 - 4.4 * i, 100 - 4.4 * i, lighter(colour, 0.15), width=5)


def _scatter(count: int) -> list[tuple[float, float]]:
    dice = Random(count)  # noqa: S311 - the same drops each time; where they are moves with time
    return [(dice.random(), dice.random()) for _ in range(count)]


_DROPS, _FLAKES = _scatter(64), _scatter(70)


def _draw_rain(canvas: Canvas, t_s: float) -> None:
    for across, phase in _DROPS:
        x, y = across * 236, ((phase + t_s * 1.4) % 1) * 244 - 8
        canvas.lines([(x, y), (x - 4, y + 17)], (186, 204, 226), 1.3)


def _draw_snow(canvas: Canvas, t_s: float) -> None:
    for i, (across, phase) in enumerate(_FLAKES):
        x = across * 230 + 8 * sway(t_s, 3 + i % 4, phase)
        y = ((phase + t_s * (0.12 + 0.02 * (i % 4))) % 1) * 230
        canvas.disc(x, y, 2.1 + 0.5 * (i % 3), (252, 252, 255))
    for x in range(-10, 240, 14):
        canvas.ellipse(x, 222, 16, 13, (236, 240, 246))


_FALLS = {"rain": _draw_rain, "storm": _draw_rain, "snow": _draw_snow}


@lru_cache(maxsize=32)
def _sky_sheet(size: int, top: Colour, bottom: Colour) -> Pixels:
    canvas = Canvas(np.zeros((size, size, 3), np.uint8))
    canvas.lay(gradient(top, bottom), [(0, 0), (224, 0), (224, 136), (0, 136)])
    return canvas.pixels


@lru_cache(maxsize=8)
def _sky_mask(size: int, hill: float) -> Pixels:
    canvas = Canvas(np.zeros((size, size, 3), np.uint8))
    canvas.polygon([(-8, -8), *_crest(hill), (240, -8)], (255, 255, 255))
    return canvas.pixels[:, :, 0].copy()


@lru_cache(maxsize=32)
def _cloud(colour: Colour) -> Sprite:
    sketch = Sketch(80, 36)
    for x, y, r in ((16, 22, 12), (32, 15, 14), (48, 17, 13), (63, 23, 11), (40, 24, 14)):
        sketch.ellipse(x, y, r, r * 0.85, colour)
    return sketch.finish(1.08, 0.82)


@lru_cache(maxsize=16)
def _balloon(paint: str) -> Sprite:
    colour = PAINT[paint]
    sketch = Sketch(44, 58)
    sketch.ellipse(22, 20, 20, 19, colour)
    sketch.polygon([(5, 29), (39, 29), (27, 44), (17, 44)], colour)
    sketch.ellipse(22, 20, 8, 19, darker(colour, 0.18))
    sketch.ellipse(13, 14, 4, 8, lighter(colour, 0.4), 20)
    for x in (17.5, 26.5):
        sketch.lines([(x, 43), (x, 50)], (60, 50, 40), 0.8)
    sketch.box(16, 49, 28, 57, (128, 88, 48))
    return sketch.finish()


@lru_cache(maxsize=16)
def _boat(paint: str) -> Sprite:
    colour = PAINT[paint]
    sketch = Sketch(56, 56)
    sketch.polygon([(27, 2), (27, 42), (52, 42)], colour)
    sketch.polygon([(23, 8), (23, 42), (5, 42)], darker(colour, 0.15))
    sketch.lines([(25, 1), (25, 46)], (90, 66, 44), 1.8)
    sketch.polygon([(2, 45), (54, 45), (47, 55), (9, 55)], (110, 76, 50))
    sketch.box(3, 45, 53, 47, (226, 220, 206))
    return sketch.finish()


GRAMMAR = Grammar(
    {
        "weather": {
            "clear": ("clear",),
            "cloudy": ("cloudy",),
            "rain": ("rainy",),
            "snow": ("snowy",),
            "storm": ("stormy",),
            "rainbow": ("bright with a rainbow",),
        },
        "time": same(*TIMES),
        "colour": same(*COLOURS),
        "side": same(*SIDES),
    },
    {
        "weather": (
            "it is {time} over the lake and the sky is {weather}",
            "the sky over the lake at {time} is {weather}",
            "over the lake it is {time} and the weather is {weather}",
        ),
        "balloon": (
            "a {colour} balloon floats over the hills from the {side}",
            "from the {side} a {colour} balloon floats across the sky",
            "a {colour} balloon comes over the lake from the {side}",
        ),
        "boat": (
            "a boat with a {colour} sail crosses the lake from the {side}",
            "from the {side} a boat with a {colour} sail comes by",
            "a {colour} sail appears on the lake from the {side}",
        ),
    },
    meanwhile=frozenset({"balloon", "boat"}),
)

ASKS = (
    Ask("sky", "weather", "What is the weather now?", "What is the weather?", "Before this, what was the weather?",
        "And what is the weather?", "And what was the weather?", "Is the weather {}?"),
    Ask("sky", "time", "What time of the day is it now?", "What time of the day is it?",
        "Before this, what time of the day was it?", "And what time is it?", "And what time was it?", "Is it {}?"),
    Ask("visitor", "visitor", "What passes over the lake now?", "What passes over the lake?",
        "Before this, what passed over the lake?", "And what is it?", "And what was it?", "Is a {} passing?"),
    Ask("visitor", "colour", "What colour is the balloon or sail now?", "What colour is the balloon or sail?",
        "Before this, what colour was the balloon or sail?", "And what colour is it?", "And what colour was it?",
        "Is the balloon or sail {}?"),
    Ask("visitor", "side", "From which side did the balloon or boat come?",
        "From which side did the balloon or boat come?", "Before this, from which side did the balloon or boat come?",
        "And from which side did it come?", "And from which side did it come?"),
)  # fmt: skip

FAMILY = Family(
    name="weather",
    description="a landscape with a lake in time lapse: weather, time of day, balloons and boats",
    grammar=GRAMMAR,
    asks=ASKS,
    pairs=(("weather", "time"), ("visitor", "colour")),
    held_out=frozenset({
        (("weather", "snow"), ("time", "evening")),
        (("weather", "rain"), ("time", "night")),
        (("visitor", "balloon"), ("colour", "green")),
        (("visitor", "boat"), ("colour", "yellow")),
    }),
    stage=Weather,
)  # fmt: skip
