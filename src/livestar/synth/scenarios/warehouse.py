"""A conveyor in a warehouse: goods are checked and sorted, the belt halts, forklifts drive by."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from livestar.synth.canvas import Canvas
from livestar.synth.family import Casting, Family, Stage
from livestar.synth.goods import forklift, goods_sprite
from livestar.synth.grammar import Grammar, same
from livestar.synth.motion import arrive, ease, lerp, sway
from livestar.synth.palette import Colour, darker, lighter
from livestar.synth.question import Ask
from livestar.synth.sprite import glow, shadow
from livestar.synth.story import LEAD_S, Beat, Draft
from livestar.synth.texture import between, noise, rough

COLOURS = ("red", "yellow", "green", "blue", "white", "purple")
ITEMS = ("box", "barrel", "sack", "suitcase", "crate")
COUNTS = ("two", "three", "four")
LAMPS = ("red", "green", "blue")
SIDES = ("left", "right")
_GLOWS: dict[str, Colour] = {"red": (255, 44, 40), "green": (60, 245, 110), "blue": (70, 130, 255)}
_BELT_TOP, _BELT_FRONT = 132.0, 156.0
_FEET = 149.0
_GATE_X = 112.0


@dataclass(frozen=True, slots=True)
class Goods:
    """What the belt carries: `action` is what is done there."""

    action: str
    item: str = ""
    colour: str = ""
    detail: str = ""


class Warehouse(Stage[Goods]):
    """Single goods arrive, are checked, then sorted to a side; rows of boxes, halts and forklifts in between."""

    def __init__(self, casting: Casting) -> None:
        super().__init__(casting)
        self._size = self.dice.uniform(0.95, 1.08)
        self._horizon = self.dice.uniform(84, 98)
        self._fan_phase = self.dice.random()

    def invent(self, before: Draft[Goods] | None) -> Draft[Goods]:
        """Goes on with the goods on the belt, or brings something new."""
        goods = before.prop if before else Goods("row")
        if goods.action == "arrive":
            return self._detail(goods, "check", "lamp", LAMPS)
        if goods.action == "check":
            return self._detail(goods, "sort", "pallet", SIDES)
        if goods.action == "halt":
            return Draft({"event": "restart"}, {"sign": "run"}, Goods("restart"))
        return self._fresh()

    def _detail(self, goods: Goods, action: str, key: str, values: tuple[str, ...]) -> Draft[Goods]:
        detail = {key: self.dice.choice(values)}
        state = {"item": goods.item, "colour": goods.colour, "sign": "run", **detail}
        return Draft({"event": action, **detail}, state, replace(goods, action=action, detail=detail[key]))

    def _fresh(self) -> Draft[Goods]:
        action = self.dice.choice(["arrive", "arrive", "arrive", "row", "halt", "forklift"])
        if action == "halt":
            return Draft({"event": "halt"}, {"sign": "stop"}, Goods("halt"))
        if action == "row":
            row = self.casting.pick(count=COUNTS, colour=COLOURS)
            state = {**row, "item": "box", "sign": "run"}
            return Draft({"event": "row", **row}, state, Goods("row", "box", row["colour"], row["count"]))
        if action == "forklift":
            truck = self.casting.pick(forklift=COLOURS, side=SIDES)
            goods = Goods("forklift", "", truck["forklift"], truck["side"])
            return Draft({"event": action, **truck}, {**truck, "sign": "run"}, goods)
        item = self.casting.pick(item=ITEMS, colour=COLOURS)
        return Draft({"event": action, **item}, {**item, "sign": "run"}, Goods(action, **item))

    def paint_backdrop(self, canvas: Canvas, dice: Random) -> None:
        """Paints hall, shelves, floor, belt and scanner gate."""
        wall = dice.choice([(150, 156, 160), (168, 160, 146), (128, 140, 150)])
        canvas.lay(rough(dice, wall, 0.15), [(0, 0), (224, 0), (224, 110), (0, 110)])
        _shelves(canvas, dice, self._horizon)
        floor = dice.choice([(138, 136, 130), (120, 124, 128), (150, 142, 130)])
        canvas.lay(
            rough(dice, floor, 0.22), [(0, self._horizon), (224, self._horizon), (330, 224), (-106, 224)]
        )
        canvas.polygon([(0, 122), (224, 122), (224, 125), (0, 125)], (222, 190, 40))
        for x in (44, 180):
            canvas.polygon([(x - 30, 200), (x + 30, 200), (x + 36, 212), (x - 36, 212)], (160, 120, 74))
            for plank in range(4):
                y = 200.5 + 3 * plank
                canvas.lines([(x - 32, y), (x + 32, y)], (110, 78, 44), 0.8)
        for x in (22, 96, 128, 202):
            canvas.box(x - 3, _BELT_FRONT, x + 3, 190, (70, 74, 80))
        canvas.lay(between(noise(dice, 8), (40, 42, 46), (72, 74, 78)), _belt_quad())
        canvas.box(0, _BELT_FRONT, 224, _BELT_FRONT + 8, (96, 102, 110))
        canvas.box(0, _BELT_FRONT + 6, 224, _BELT_FRONT + 8, (60, 64, 70))

    def draw(self, canvas: Canvas, beat: Beat[Goods], since_s: float, t_s: float) -> None:
        """Draws the moving belt, what it carries, the gate over it and the sign."""
        goods = beat.draft.prop
        self._draw_fan(canvas, t_s)
        if goods.action == "forklift":
            self._draw_forklift(canvas, goods, beat.seconds, since_s)
        halted = goods.action == "halt"
        _draw_rollers(canvas, 0.0 if halted else t_s)
        _draw_gate(canvas, goods.detail if goods.action == "check" else "")
        if goods.action in ("arrive", "check", "sort"):
            self._draw_single(canvas, goods, since_s)
        elif goods.action == "row":
            self._draw_row(canvas, goods, since_s)
        _draw_gate_front(canvas, goods.detail if goods.action == "check" else "")
        _draw_sign(canvas, halted, t_s)

    def _draw_single(self, canvas: Canvas, goods: Goods, since_s: float) -> None:
        x, y, width = _GATE_X, _FEET, 46 * self._size
        if goods.action == "arrive":
            x = lerp(-20, _GATE_X, arrive(since_s, -LEAD_S, 1.4))
        if goods.action == "sort":
            share = ease(since_s, -LEAD_S, 0.12)
            target = 44.0 if goods.detail == "left" else 180.0
            x, y = lerp(_GATE_X, target, share), lerp(_FEET, 205, share) - 40 * share * (1 - share)
            rise = 50 * ease(since_s, 1.2, 2.4)
            _draw_arm(canvas, x, y - width * 0.8 - rise)
        canvas.sprite(shadow(), x, y, width * 1.15, squash=0.2, feet=False)
        canvas.sprite(goods_sprite(goods.item, goods.colour), x, y + 1, width)

    def _draw_row(self, canvas: Canvas, goods: Goods, since_s: float) -> None:
        count = COUNTS.index(goods.detail) + 2
        width, step = 33 * self._size, 44
        fall = (1 - arrive(since_s, -LEAD_S, 0.02)) * -110
        for i in range(count):
            x = 112 + (i - (count - 1) / 2) * step + 3 * ease(since_s, 0, 6)
            canvas.sprite(shadow(), x, _FEET, width * 1.1, squash=0.2, feet=False)
            canvas.sprite(goods_sprite("box", goods.colour), x, _FEET + 1 + fall, width)

    def _draw_forklift(self, canvas: Canvas, goods: Goods, seconds: float, since_s: float) -> None:
        right = goods.detail == "right"
        share = (since_s + LEAD_S) / seconds
        x = lerp(lerp(-40, 52, arrive(since_s, -LEAD_S, 0.02)), 190, share**1.2)
        x = 224 - x if right else x
        canvas.sprite(shadow(), x, 122, 76, squash=0.15, feet=False)
        canvas.sprite(forklift(goods.colour), x, 124, 74, flip=right)

    def _draw_fan(self, canvas: Canvas, t_s: float) -> None:
        """A fan that turns, of which nobody tells."""
        canvas.disc(206, 60, 11, (60, 64, 70))
        for blade in range(3):
            turn = 360 * (t_s / 1.7 + self._fan_phase) + 120 * blade
            canvas.ellipse(206, 60, 9, 2.4, (150, 154, 160), turn)


def _belt_quad() -> list[tuple[float, float]]:
    return [(0, _BELT_TOP), (224, _BELT_TOP), (224, _BELT_FRONT), (0, _BELT_FRONT)]


def _draw_rollers(canvas: Canvas, t_s: float) -> None:
    offset = (t_s * 22) % 28
    for i in range(-1, 9):
        x = i * 28 + offset
        canvas.lines([(x + 6, _BELT_TOP), (x, _BELT_FRONT)], (92, 94, 98), 1.2)


def _draw_gate(canvas: Canvas, lamp: str) -> None:
    canvas.box(74, 66, 81, _BELT_TOP + 4, (176, 180, 186))
    canvas.box(143, 66, 150, _BELT_TOP + 4, (176, 180, 186))
    canvas.box(72, 52, 152, 70, (208, 211, 216))
    canvas.box(72, 67, 152, 70, (140, 144, 150))
    if lamp:
        canvas.polygon([(100, 70), (124, 70), (146, _FEET), (78, _FEET)], darker(_GLOWS[lamp], 0.35))


def _draw_gate_front(canvas: Canvas, lamp: str) -> None:
    canvas.disc(112, 48, 14, (46, 48, 52))
    canvas.disc(112, 48, 12, _GLOWS[lamp] if lamp else (84, 86, 90))
    if lamp:
        canvas.sprite(glow(_GLOWS[lamp], 0.6), 112, 48, 56, feet=False)
        canvas.disc(109, 45, 5, lighter(_GLOWS[lamp], 0.55))


def _draw_arm(canvas: Canvas, x: float, y: float) -> None:
    elbow = (lerp(112, x, 0.4), y - 44)
    canvas.lines([(112, -4), elbow, (x, y - 8)], (214, 120, 24), 7)
    canvas.lines([(112, -4), elbow, (x, y - 8)], (250, 166, 60), 2.4)
    canvas.disc(*elbow, 6, (70, 72, 78))
    canvas.polygon([(x - 16, y - 8), (x + 16, y - 8), (x + 12, y), (x - 12, y)], (70, 72, 78))


def _draw_sign(canvas: Canvas, halted: bool, t_s: float) -> None:  # noqa: FBT001
    canvas.box(16, 22, 66, 52, (24, 26, 30))
    canvas.text(41, 37, "STOP" if halted else "RUN", 13, (255, 70, 60) if halted else (80, 220, 120))
    if halted:
        flash = 0.75 + 0.25 * sway(t_s, 0.8)
        canvas.sprite(glow((255, 60, 40)), 41, 16, 34 * flash, feet=False)
        canvas.disc(41, 16, 5, (255, 90, 70))


def _shelves(canvas: Canvas, dice: Random, horizon: float) -> None:
    for level in range(3):
        y = horizon - 62 + 24 * level
        x = 2.0
        while x < 222:
            width, height = dice.uniform(9, 20), dice.uniform(9, 17)
            card = dice.choice([(176, 138, 92), (160, 122, 80), (188, 156, 112), (140, 140, 136)])
            if dice.random() < 0.8:
                canvas.box(x, y - height, x + width, y, card)
                canvas.box(x, y - height, x + width, y - height + 1.5, lighter(card, 0.25))
                canvas.box(x + width / 2 - 1, y - height, x + width / 2 + 1, y, darker(card, 0.2))
            x += width + dice.uniform(1, 6)
        canvas.box(0, y, 224, y + 3, (70, 84, 120))
    for x in range(-4, 230, 38):
        canvas.box(x, horizon - 84, x + 3, horizon + 2, (60, 74, 108))


GRAMMAR = Grammar(
    {
        "colour": same(*COLOURS),
        "forklift": same(*COLOURS),
        "item": same(*ITEMS),
        "count": same(*COUNTS),
        "lamp": same(*LAMPS),
        "pallet": same(*SIDES),
        "side": same(*SIDES),
    },
    {
        "arrive": (
            "a {colour} {item} rolls along the belt to the scanner",
            "the belt brings a {colour} {item} under the scanner",
            "a {colour} {item} moves on the belt towards the scanner",
        ),
        "check": (
            "the scanner checks it and the lamp turns {lamp}",
            "it is scanned and the lamp above shows {lamp}",
            "the lamp of the scanner lights up {lamp} above it",
        ),
        "sort": (
            "the robot arm puts it down on the {pallet} pallet",
            "it is lifted over to the {pallet} pallet by the robot arm",
            "the robot arm takes it to the pallet on the {pallet}",
        ),
        "row": (
            "{count} {colour} boxes drop onto the belt in a row",
            "a row of {count} {colour} boxes drops onto the belt",
            "there are {count} {colour} boxes in a row on the belt",
        ),
        "halt": (
            "the belt halts and the sign above flashes stop",
            "the sign shows stop and the whole belt stands still",
            "the belt stands still while the sign flashes stop",
        ),
        "restart": (
            "the belt starts again and the sign shows run",
            "the sign shows run again and the belt moves on",
            "the belt moves on empty and the sign shows run",
        ),
        "forklift": (
            "a {forklift} forklift drives past behind the belt from the {side}",
            "from the {side} a {forklift} forklift passes behind the belt",
            "behind the belt a {forklift} forklift comes from the {side}",
        ),
    },
    meanwhile=frozenset({"forklift"}),
)

ASKS = (
    Ask("goods", "item", "What kind of goods is on the belt or pallet now?", "What kind of goods is it?",
        "Before this, what kind of goods was there?", "And what kind is it?", "And what kind was it?", "Is it a {}?"),
    Ask("goods", "colour", "What colour are the goods on the belt or pallet now?", "What colour are the goods?",
        "Before this, what colour were the goods?", "And what colour is it?", "And what colour was it?",
        "Are the goods {}?"),
    Ask("lamp", "lamp", "What colour is the lamp of the scanner now?", "What colour is the lamp of the scanner?",
        "Before this, what colour was the lamp of the scanner?", "And what colour is it?",
        "And what colour was it?", "Is the lamp of the scanner {}?"),
    Ask("row", "count", "How many boxes are in the row now?", "How many boxes are in the row?",
        "Before this, how many boxes were in the row?", "And how many are there?", "And how many were there?",
        "Are there {} boxes in the row?"),
    Ask("pallet", "pallet", "On which pallet are the goods now?", "On which pallet are the goods?",
        "Before this, on which pallet were the goods?", "And on which side?", "And on which side?"),
    Ask("sign", "sign", "What does the sign show now?", "What does the sign show?",
        "Before this, what did the sign show?", "And what does it show?", "And what did it show?",
        "Does the sign show {}?"),
    Ask("forklift", "forklift", "What colour is the forklift now?", "What colour is the forklift?",
        "Before this, what colour was the forklift?", "And what colour is it?", "And what colour was it?",
        "Is the forklift {}?"),
    Ask("forklift", "side", "From which side did the forklift come?", "From which side did the forklift come?",
        "Before this, from which side did the forklift come?", "And from which side did it come?",
        "And from which side did it come?"),
)  # fmt: skip

FAMILY = Family(
    name="warehouse",
    description="a conveyor belt where goods are scanned and sorted, with forklifts behind it",
    grammar=GRAMMAR,
    asks=ASKS,
    pairs=(("colour", "item"), ("colour", "count")),
    held_out=frozenset({
        (("colour", "green"), ("item", "barrel")),
        (("colour", "purple"), ("item", "suitcase")),
        (("colour", "red"), ("item", "crate")),
        (("colour", "yellow"), ("count", "three")),
    }),
    stage=Warehouse,
)  # fmt: skip
