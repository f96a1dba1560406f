"""A junction in town, seen from across the road: vehicles, a traffic light, people on the crossing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from livestar.synth.canvas import Canvas
from livestar.synth.family import Casting, Family, Stage
from livestar.synth.grammar import Grammar, same
from livestar.synth.motion import arrive, ease, lerp, sway
from livestar.synth.palette import Colour, darker, lighter, mix
from livestar.synth.people import walker
from livestar.synth.question import Ask
from livestar.synth.sprite import glow, shadow
from livestar.synth.story import LEAD_S, Beat, Draft
from livestar.synth.texture import gradient, rough
from livestar.synth.vehicles import SIDE_WIDTHS, side_view

COLOURS = ("red", "yellow", "green", "blue", "white", "black")
VEHICLES = ("car", "van", "truck", "bus", "scooter")
COATS = ("red", "yellow", "green", "blue", "white", "black")
SIDES = ("left", "right")
_LAMPS: dict[str, Colour] = {"red": (255, 40, 36), "yellow": (255, 205, 40), "green": (50, 240, 110)}
_STOP_LINES = {"left": 88.0, "right": 150.0}
_PEOPLE = ("purple", "grey", "brown")


@dataclass(frozen=True, slots=True)
class Scene:
    """Who is on the road: `action` is what the subject does there."""

    action: str
    light: str
    colour: str = ""
    vehicle: str = ""
    side: str = ""


class Traffic(Stage[Scene]):
    """The light rules: vehicles pass on green, wait on red; people cross on red."""

    def __init__(self, casting: Casting) -> None:
        super().__init__(casting)
        self._horizon = self.dice.uniform(64, 84)
        self._size = self.dice.uniform(0.96, 1.1)
        self._zebra_x = self.dice.uniform(118, 126)
        self._pole_left = self.dice.random() < 0.5
        self._passers = [
            (self.dice.choice(_PEOPLE), self.dice.random(), self.dice.uniform(40, 70)) for _ in range(3)
        ]

    def invent(self, before: Draft[Scene] | None) -> Draft[Scene]:
        """Lets whoever waits go; else brings a vehicle, a person, or another light."""
        scene = before.prop if before else Scene("empty", self.dice.choice(["red", "green"]))
        if scene.action == "wait":
            return self._go(scene)
        kinds = {"red": ["wait", "wait", "cross", "light"], "yellow": ["light"]}
        kind = self.dice.choice(kinds.get(scene.light, ["pass", "pass", "pass", "light"]))
        if kind == "light":
            return self._change(scene)
        if kind == "cross":
            coat, side = self.dice.choice(COATS), self.dice.choice(SIDES)
            facts = {"event": "cross", "coat": coat, "side": side}
            return Draft(facts, {"light": "red", "coat": coat}, Scene("cross", "red", coat, "", side))
        subject = self.casting.pick(colour=COLOURS, vehicle=VEHICLES, side=SIDES)
        state = {"light": scene.light, **subject}
        return Draft({"event": kind, **subject}, state, Scene(kind, scene.light, **subject))

    def _go(self, scene: Scene) -> Draft[Scene]:
        to = "right" if scene.side == "left" else "left"
        state = {"light": "green", "colour": scene.colour, "vehicle": scene.vehicle, "side": scene.side}
        return Draft({"event": "go", "to": to}, state, replace(scene, action="go", light="green"))

    def _change(self, scene: Scene) -> Draft[Scene]:
        after = {"red": ["green"], "green": ["yellow", "red"], "yellow": ["red"]}
        light = self.dice.choice(after[scene.light])
        return Draft({"event": "light", "light": light}, {"light": light}, Scene("empty", light))

    def paint_backdrop(self, canvas: Canvas, dice: Random) -> None:
        """Paints houses, pavement and road."""
        horizon = self._horizon
        sky = dice.choice([(120, 170, 225), (170, 190, 210), (196, 200, 206), (150, 195, 235)])
        canvas.lay(gradient(sky, lighter(sky, 0.5)), [(0, 0), (224, 0), (224, horizon), (0, horizon)])
        _houses(canvas, dice, horizon)
        pavement = dice.choice([(168, 160, 150), (150, 152, 156), (176, 166, 148)])
        canvas.lay(rough(dice, pavement, 0.2), [(0, horizon), (224, horizon), (300, 224), (-76, 224)])
        asphalt = dice.choice([(104, 104, 108), (116, 114, 112), (94, 97, 102)])
        x = self._zebra_x
        side_road = [(x - 9, horizon), (x + 9, horizon), (x + 34, 112), (x - 34, 112)]
        canvas.lay(rough(dice, asphalt, 0.22), side_road)
        canvas.lay(rough(dice, asphalt, 0.25), [(-30, 112), (254, 112), (300, 196), (-76, 196)])
        _road_marks(canvas, x)

    def draw(self, canvas: Canvas, beat: Beat[Scene], since_s: float, t_s: float) -> None:
        """Draws passers-by, the subject, the light and a pole in front of it all."""
        scene = beat.draft.prop
        self._draw_passers(canvas, t_s)
        left_behind = self._light_x < 112
        if scene.vehicle:
            self._draw_vehicle(canvas, scene, beat.seconds, since_s, t_s)
        elif scene.action == "cross":
            self._draw_pedestrian(canvas, scene, beat.seconds, since_s, t_s)
        self._draw_light(canvas, scene.light)
        canvas.box(*((8, 0, 11, 224) if not left_behind else (213, 0, 216, 224)), (74, 78, 80))

    @property
    def _light_x(self) -> float:
        return 36.0 if self._pole_left else 188.0

    def _draw_vehicle(self, canvas: Canvas, scene: Scene, seconds: float, since_s: float, t_s: float) -> None:
        near = scene.side == "left"
        base, size = (188.0, self._size * 1.12) if near else (150.0, self._size * 0.98)
        width = SIDE_WIDTHS[scene.vehicle] * size
        heading = 1 if near else -1
        centre = 112 - heading * self._way(scene, width, seconds, since_s)
        y = base + 0.35 * sway(t_s, 0.4)
        sprite = side_view(scene.vehicle, scene.colour)
        canvas.sprite(shadow(), centre, base + 1, width * 1.12, squash=0.13, feet=False)
        canvas.sprite(sprite, centre, y, width, flip=not near)
        if scene.action == "wait" and since_s > 0:
            tail = centre - heading * width * 0.48
            canvas.sprite(glow((255, 30, 20)), tail, y - 10, 16, feet=False)

    def _way(self, scene: Scene, width: float, seconds: float, since_s: float) -> float:
        """How far the vehicle still is from the middle of the picture, against its heading."""
        outside = 112 + width / 2
        stop = 112 - (_STOP_LINES["left"] if scene.side == "left" else 224 - _STOP_LINES["right"]) + width / 2
        if scene.action == "wait":
            return lerp(outside - 10, stop, arrive(since_s, -LEAD_S, 0.6))
        if scene.action == "go":
            return lerp(stop, -outside + 30, ease(since_s, -LEAD_S, seconds + 0.8))
        inside = outside - 24 - 0.8 * width
        if since_s < 0:
            return lerp(outside, inside, (since_s + LEAD_S) / LEAD_S)
        return lerp(inside, -outside + 26, since_s / (seconds - LEAD_S))

    def _draw_pedestrian(
        self, canvas: Canvas, scene: Scene, seconds: float, since_s: float, t_s: float
    ) -> None:
        share = ease(since_s, -LEAD_S - 0.6, seconds + 0.6)
        way = 1 if scene.side == "left" else -1
        x = self._zebra_x + way * lerp(-52, 12, share)
        sprite = walker(scene.colour, int(t_s * 5), look=len(scene.colour))
        canvas.sprite(shadow(), x, 186, 34, squash=0.25, feet=False)
        canvas.sprite(sprite, x, 186, 36, flip=scene.side == "right")

    def _draw_light(self, canvas: Canvas, light: str) -> None:
        x = self._light_x
        canvas.box(x - 2, 70, x + 2, 120, (60, 62, 66))
        canvas.box(x - 13, 12, x + 13, 76, (34, 36, 40))
        canvas.box(x - 11, 14, x + 11, 74, (20, 21, 24))
        for lamp, y in (("red", 25), ("yellow", 44), ("green", 63)):
            lit = lamp == light
            canvas.disc(x, y, 8.6, _LAMPS[lamp] if lit else mix(_LAMPS[lamp], (24, 24, 26), 0.84))
            if lit:
                canvas.sprite(glow(_LAMPS[lamp], 0.55), x, y, 40, feet=False)
                canvas.disc(x - 1, y - 1, 4, lighter(_LAMPS[lamp], 0.5))

    def _draw_passers(self, canvas: Canvas, t_s: float) -> None:
        """Small people on the far pavement and a pigeon: nobody tells of them."""
        for coat, phase, period_s in self._passers:
            x = (((t_s / period_s + phase) % 1) * 290) - 30
            y = self._horizon + 22 + 8 * phase
            canvas.sprite(walker(coat, int(t_s * 4 + phase * 4)), x, y, 10)
        bird = (t_s * 14 + 500 * self._passers[0][1]) % 420
        wing = 2 * sway(t_s, 0.5)
        canvas.lines([(bird - 4, 20 - wing), (bird, 21), (bird + 4, 20 - wing)], (60, 60, 66), 1)


def _houses(canvas: Canvas, dice: Random, horizon: float) -> None:
    x = -10.0
    while x < 230:
        width, top = dice.uniform(34, 62), dice.uniform(6, horizon - 34)
        wall = dice.choice(
            [(176, 132, 108), (198, 184, 160), (150, 140, 140), (188, 160, 128), (134, 120, 122)]
        )
        canvas.lay(
            rough(dice, wall, 0.18), [(x, top), (x + width, top), (x + width, horizon + 4), (x, horizon + 4)]
        )
        canvas.box(x + width - 3, top, x + width, horizon + 4, darker(wall, 0.3))
        for row in range(int((horizon - top - 8) // 13)):
            for column in range(int((width - 6) // 11)):
                glass = mix((60, 76, 92), (190, 180, 130), 0.6 * dice.random() ** 3)
                left, upper = x + 5 + 11 * column, top + 6 + 13 * row
                canvas.box(left, upper, left + 6, upper + 8, glass)
        x += width


def _road_marks(canvas: Canvas, zebra_x: float) -> None:
    canvas.box(0, 110, 224, 113, (190, 186, 178))
    canvas.box(0, 196, 224, 200, (178, 174, 166))
    for x in range(-10, 230, 26):
        canvas.polygon([(x, 152), (x + 14, 152), (x + 14.5, 154), (x - 0.5, 154)], (216, 214, 204))
    for row in range(6):
        y = 116 + row * 13
        spread = 25 + row * 2.6
        canvas.polygon(
            [(zebra_x - spread, y), (zebra_x + spread, y), (zebra_x + spread + 1, y + 6), (zebra_x - spread - 1, y + 6)],
            (226, 224, 216),
        )  # fmt: skip


GRAMMAR = Grammar(
    {
        "colour": same(*COLOURS),
        "vehicle": same(*VEHICLES),
        "coat": same(*COATS),
        "side": same(*SIDES),
        "to": same(*SIDES),
        "light": same("red", "yellow", "green"),
    },
    {
        "pass": (
            "a {colour} {vehicle} drives across the junction from the {side}",
            "a {colour} {vehicle} comes from the {side} and passes the junction",
            "from the {side} a {colour} {vehicle} drives through on green",
        ),
        "wait": (
            "a {colour} {vehicle} comes from the {side} and waits at the red light",
            "a {colour} {vehicle} from the {side} stops in front of the red light",
            "from the {side} a {colour} {vehicle} rolls up to the red light and stops",
        ),
        "go": (
            "the light turns green and it drives off to the {to}",
            "it gets a green light and goes on to the {to}",
            "as the light is green it moves off to the {to}",
        ),
        "light": (
            "the traffic light turns {light} while the road is empty",
            "the light over the empty road changes to {light}",
            "the traffic light shows {light} and no vehicle is near",
        ),
        "cross": (
            "a person in a {coat} coat walks over the crossing from the {side}",
            "somebody with a {coat} coat crosses the road from the {side}",
            "from the {side} a person in a {coat} coat walks over the road",
        ),
    },
)

ASKS = (
    Ask("light", "light", "What colour is the traffic light now?", "What colour is the traffic light?",
        "Before this, what colour was the traffic light?", "And what colour is it?", "And what colour was it?",
        "Is the traffic light {}?"),
    Ask("vehicle", "colour", "What colour is the vehicle on the road now?", "What colour is the vehicle?",
        "Before this, what colour was the vehicle?", "And what colour is it?", "And what colour was it?",
        "Is the vehicle {}?"),
    Ask("vehicle", "vehicle", "What kind of vehicle is on the road now?", "What kind of vehicle is it?",
        "Before this, what kind of vehicle was on the road?", "And what kind is it?", "And what kind was it?",
        "Is the vehicle a {}?"),
    Ask("vehicle", "side", "From which side did the vehicle come?", "From which side did the vehicle come?",
        "Before this, from which side did the vehicle come?", "And from which side did it come?",
        "And from which side did it come?"),
    Ask("person", "coat", "What colour is the coat of the person on the crossing now?",
        "What colour is the coat of the person?", "Before this, what colour was the coat of the person?",
        "And what colour is it?", "And what colour was it?", "Is the coat of the person {}?"),
)  # fmt: skip

FAMILY = Family(
    name="traffic",
    description="a junction in town with a traffic light, vehicles and people who cross",
    grammar=GRAMMAR,
    asks=ASKS,
    pairs=(("colour", "vehicle"),),
    held_out=frozenset({
        (("colour", "green"), ("vehicle", "truck")),
        (("colour", "yellow"), ("vehicle", "bus")),
        (("colour", "white"), ("vehicle", "scooter")),
        (("colour", "red"), ("vehicle", "van")),
    }),
    stage=Traffic,
)  # fmt: skip
