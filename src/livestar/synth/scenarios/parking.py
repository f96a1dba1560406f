"""A parking lot with numbered bays: vehicles come in, park and leave; a barrier; people."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from livestar.synth.canvas import Canvas
from livestar.synth.family import Casting, Family, Stage
from livestar.synth.grammar import Grammar, same
from livestar.synth.motion import arrive, ease, lerp, sway
from livestar.synth.palette import darker
from livestar.synth.people import walker
from livestar.synth.question import Ask
from livestar.synth.sprite import glow, shadow
from livestar.synth.story import LEAD_S, Beat, Draft
from livestar.synth.texture import gradient, rough
from livestar.synth.vehicles import SIDE_WIDTHS, rear_view, side_view

COLOURS = ("red", "yellow", "green", "blue", "white", "black")
KINDS = ("car", "van")
BAYS = ("one", "two", "three", "four", "five")
COATS = ("red", "yellow", "green", "blue", "purple")
SIDES = ("left", "right")
COUNTS = ("zero", "one", "two", "three", "four", "five")
_LANE = 184.0
_ROW = 112.0
_PITCH = 36.0

Vehicle = tuple[str, str]
"""Colour and kind."""
Bays = tuple[Vehicle | None, ...]


@dataclass(frozen=True, slots=True)
class Lot:
    """Who stands in which bay, and what moves: `detail` is a bay or a side."""

    action: str
    bays: Bays
    moving: Vehicle | None = None
    detail: str = ""
    barrier: str = "closed"


class Parking(Stage[Lot]):
    """Who comes in parks; who backs out drives away; the barrier and walkers in between."""

    def __init__(self, casting: Casting) -> None:
        super().__init__(casting)
        self._size = self.dice.uniform(0.95, 1.08)
        self._cat = self.dice.random()

    def invent(self, before: Draft[Lot] | None) -> Draft[Lot]:
        """Finishes what a vehicle has begun, or begins something new."""
        lot = before.prop if before else self._opening()
        if lot.action == "enter":
            return self._park(lot)
        if lot.action == "back":
            side = self.dice.choice(SIDES)
            return self._draft({"event": "exit", "to": side}, replace(lot, action="exit", detail=side))
        taken = sum(bay is not None for bay in lot.bays)
        actions = ["walk", "barrier"] + ["enter"] * (2 * (taken < 5)) + ["back"] * (2 * (taken > 0))
        action = self.dice.choice(actions)
        return {"walk": self._walk, "barrier": self._barrier, "enter": self._enter, "back": self._back}[
            action
        ](lot)

    def _opening(self) -> Lot:
        bays = [self._vehicle() if self.dice.random() < 0.5 else None for _ in BAYS]
        return Lot("start", tuple(bays), barrier=self.dice.choice(["open", "closed"]))

    def _vehicle(self) -> Vehicle:
        cast = self.casting.pick(colour=COLOURS, vehicle=KINDS)
        return cast["colour"], cast["vehicle"]

    def _draft(self, facts: dict[str, str], lot: Lot) -> Draft[Lot]:
        taken = sum(bay is not None for bay in lot.bays)
        state = {"parked": COUNTS[taken], "barrier": lot.barrier}
        state |= {
            f"bay {n}": "free" if bay is None else "taken" for n, bay in zip(BAYS, lot.bays, strict=True)
        }
        if lot.moving:
            state |= {"colour": lot.moving[0], "vehicle": lot.moving[1]}
        return Draft(facts, {**state, **{k: v for k, v in facts.items() if k in ("bay", "coat")}}, lot)

    def _enter(self, lot: Lot) -> Draft[Lot]:
        colour, kind = vehicle = self._vehicle()
        side = self.dice.choice(SIDES)
        facts = {"event": "enter", "colour": colour, "vehicle": kind, "side": side}
        return self._draft(facts, Lot("enter", lot.bays, vehicle, side, lot.barrier))

    def _park(self, lot: Lot) -> Draft[Lot]:
        free = [i for i, bay in enumerate(lot.bays) if bay is None]
        i = self.dice.choice(free)
        bays = (*lot.bays[:i], lot.moving, *lot.bays[i + 1 :])
        return self._draft(
            {"event": "park", "bay": BAYS[i]}, Lot("park", bays, lot.moving, BAYS[i], lot.barrier)
        )

    def _back(self, lot: Lot) -> Draft[Lot]:
        i = self.dice.choice([i for i, bay in enumerate(lot.bays) if bay is not None])
        vehicle = lot.bays[i]
        assert vehicle is not None
        bays = (*lot.bays[:i], None, *lot.bays[i + 1 :])
        facts = {"event": "back", "colour": vehicle[0], "vehicle": vehicle[1], "bay": BAYS[i]}
        return self._draft(facts, Lot("back", bays, vehicle, BAYS[i], lot.barrier))

    def _walk(self, lot: Lot) -> Draft[Lot]:
        coat, side = self.dice.choice(COATS), self.dice.choice(SIDES)
        facts = {"event": "walk", "coat": coat, "side": side}
        return self._draft(facts, Lot("walk", lot.bays, None, f"{coat} {side}", lot.barrier))

    def _barrier(self, lot: Lot) -> Draft[Lot]:
        barrier = "open" if lot.barrier == "closed" else "closed"
        return self._draft(
            {"event": "barrier", "barrier": barrier}, Lot("barrier", lot.bays, None, "", barrier)
        )

    def paint_backdrop(self, canvas: Canvas, dice: Random) -> None:
        """Paints trees, a wall, asphalt and the numbered bays."""
        sky = dice.choice([(150, 190, 230), (186, 196, 206), (210, 206, 200)])
        canvas.lay(gradient(sky, (226, 228, 228)), [(0, 0), (224, 0), (224, 40), (0, 40)])
        leaf = dice.choice([(70, 104, 60), (96, 112, 60), (128, 104, 56)])
        for _ in range(16):
            x, r = dice.uniform(-10, 234), dice.uniform(14, 26)
            canvas.ellipse(x, dice.uniform(24, 34), r, r * 0.8, darker(leaf, dice.uniform(0, 0.35)))
        wall = dice.choice([(170, 150, 132), (150, 156, 158), (182, 172, 156)])
        canvas.lay(rough(dice, wall, 0.25), [(0, 42), (224, 42), (224, 64), (0, 64)])
        asphalt = dice.choice([(112, 112, 114), (124, 120, 116), (104, 108, 114)])
        canvas.lay(rough(dice, asphalt, 0.28), [(0, 62), (224, 62), (320, 224), (-96, 224)])
        for i in range(6):
            x = 112 + (i - 2.5) * _PITCH
            canvas.lines([(112 + (x - 112) * 0.93, 66), (x, _ROW + 4)], (232, 230, 220), 2)
        for i, _ in enumerate(BAYS):
            canvas.text(_bay_x(i), 132, str(i + 1), 18, (240, 228, 130))
        canvas.lines([(0, 148), (224, 148)], (214, 212, 204), 1.6)

    def draw(self, canvas: Canvas, beat: Beat[Lot], since_s: float, t_s: float) -> None:
        """Draws parked vehicles, what moves, the barrier and a lamp in front."""
        lot = beat.draft.prop
        for i, bay in enumerate(lot.bays):
            if bay and not (lot.action == "park" and lot.detail == BAYS[i]):
                self._draw_rear(canvas, bay, _bay_x(i), _ROW)
        self._draw_cat(canvas, t_s)
        if lot.moving:
            self._draw_moving(canvas, lot, beat.seconds, since_s)
        elif lot.action == "walk":
            self._draw_walker(canvas, lot, beat.seconds, since_s, t_s)
        swing = ease(since_s, -LEAD_S, 0.0) if lot.action == "barrier" else 1.0
        _draw_barrier(canvas, swing if lot.barrier == "open" else 1 - swing)

    def _draw_rear(self, canvas: Canvas, vehicle: Vehicle, x: float, y: float) -> None:
        canvas.sprite(shadow(), x, y - 1, 38, squash=0.3, feet=False)
        canvas.sprite(rear_view(vehicle[1], vehicle[0]), x, y, 32 * self._size)

    def _draw_side(self, canvas: Canvas, vehicle: Vehicle, x: float, *, leftwards: bool) -> None:
        width = SIDE_WIDTHS[vehicle[1]] * self._size * 1.12
        canvas.sprite(shadow(), x, _LANE, width * 1.1, squash=0.14, feet=False)
        canvas.sprite(side_view(vehicle[1], vehicle[0]), x, _LANE, width, flip=leftwards)

    def _draw_moving(self, canvas: Canvas, lot: Lot, seconds: float, since_s: float) -> None:
        assert lot.moving is not None
        if lot.action == "enter":
            side = -1 if lot.detail == "left" else 1
            x = 112 + side * lerp(150, 10, arrive(since_s, -LEAD_S, 1.2))
            self._draw_side(canvas, lot.moving, x, leftwards=side > 0)
        elif lot.action == "exit":
            side = -1 if lot.detail == "left" else 1
            x = 112 + side * lerp(0, 104, ease(since_s, -LEAD_S, seconds + 1.5))
            self._draw_side(canvas, lot.moving, x, leftwards=side < 0)
        else:
            i = BAYS.index(lot.detail)
            parks = lot.action == "park"
            rest = 1 - arrive(since_s, -LEAD_S, 0.5) if parks else arrive(since_s, -LEAD_S, 0.5)
            y = lerp(_ROW, _LANE - 18, rest)
            self._draw_rear(canvas, lot.moving, _bay_x(i), y)
            lamps = (255, 40, 30) if parks else (255, 250, 230)
            for dx in (-11, 11):
                canvas.sprite(glow(lamps, 0.9), _bay_x(i) + dx, y - 9, 17, feet=False)

    def _draw_walker(self, canvas: Canvas, lot: Lot, seconds: float, since_s: float, t_s: float) -> None:
        coat, side = lot.detail.split()
        share = lerp(0.16, 0.58, (since_s + LEAD_S) / seconds)
        x = 224 * (share if side == "left" else 1 - share)
        canvas.sprite(shadow(), x, 176, 34, squash=0.25, feet=False)
        canvas.sprite(
            walker(coat, int(t_s * 5), look=len(coat), carries=True), x, 177, 27, flip=side == "right"
        )

    def _draw_cat(self, canvas: Canvas, t_s: float) -> None:
        """A cat on the wall, of which nobody tells."""
        x = 112 + 90 * sway(t_s, 40, self._cat)
        canvas.ellipse(x, 39, 6, 3, (60, 52, 48))
        canvas.disc(x + 6, 37, 2.4, (60, 52, 48))
        canvas.lines([(x - 6, 39), (x - 9, 34 + sway(t_s, 2))], (60, 52, 48), 1.4)


def _bay_x(i: int) -> float:
    return 112 + (i - 2) * _PITCH


def _draw_barrier(canvas: Canvas, openness: float) -> None:
    foot, length = (20.0, 214.0), 66.0
    canvas.box(16, 196, 28, 222, (216, 150, 30))
    canvas.box(16, 196, 28, 199, (250, 200, 90))
    up, along = lerp(0.05, 0.98, openness), lerp(1.0, 0.02, openness)
    tip = foot[0] + length * along, foot[1] - 12 - length * up
    base = foot[0], foot[1] - 12
    canvas.lines([base, tip], (240, 240, 236), 7)
    for share in (0.1, 0.34, 0.58, 0.82):
        a = lerp(base[0], tip[0], share), lerp(base[1], tip[1], share)
        b = lerp(base[0], tip[0], share + 0.12), lerp(base[1], tip[1], share + 0.12)
        canvas.lines([a, b], (210, 30, 34), 7)


GRAMMAR = Grammar(
    {
        "colour": same(*COLOURS),
        "vehicle": same(*KINDS),
        "coat": same(*COATS),
        "side": same(*SIDES),
        "to": same(*SIDES),
        "bay": same(*BAYS),
        "barrier": {"open": ("opens",), "closed": ("closes",)},
    },
    {
        "enter": (
            "a {colour} {vehicle} drives into the lot from the {side}",
            "from the {side} a {colour} {vehicle} comes into the parking lot",
            "a {colour} {vehicle} comes from the {side} and looks for a bay",
        ),
        "park": (
            "it turns in and parks in bay number {bay}",
            "it finds a free place and parks in bay {bay}",
            "it stops in bay {bay} and stays parked there",
        ),
        "back": (
            "the {colour} {vehicle} in bay {bay} backs out to the lane",
            "the {colour} {vehicle} leaves bay {bay} and backs out",
            "out of bay {bay} the {colour} {vehicle} backs to the lane",
        ),
        "exit": (
            "it drives along the lane and away to the {to}",
            "it turns and leaves the parking lot to the {to}",
            "it goes off along the lane to the {to}",
        ),
        "walk": (
            "a person in a {coat} coat walks past the bays from the {side}",
            "from the {side} somebody in a {coat} coat walks over the lot",
            "somebody with a {coat} coat comes from the {side} with a bag",
        ),
        "barrier": (
            "the barrier in front of the parking lot {barrier}",
            "at the front of the lot the barrier {barrier}",
            "the striped barrier at the entry of the lot {barrier}",
        ),
    },
    meanwhile=frozenset({"walk", "barrier"}),
)

ASKS = (
    Ask("count", "parked", "How many vehicles are parked in the bays now?", "How many vehicles are parked?",
        "Before this, how many vehicles were parked?", "And how many are parked?", "And how many were parked?"),
    Ask("vehicle", "colour", "What colour is the vehicle that moves now?", "What colour is the vehicle that moves?",
        "Before this, what colour was the vehicle that moved?", "And what colour is it?", "And what colour was it?",
        "Is the vehicle that moves {}?"),
    Ask("vehicle", "vehicle", "What kind of vehicle moves now?", "What kind of vehicle moves?",
        "Before this, what kind of vehicle moved?", "And what kind is it?", "And what kind was it?",
        "Is the vehicle that moves a {}?"),
    Ask("vehicle", "bay", "Which bay does a vehicle use now?", "Which bay does the vehicle use?",
        "Before this, which bay did the vehicle use?", "And which bay does it use?", "And which bay did it use?",
        "Does the vehicle use bay {}?"),
    Ask("barrier", "barrier", "Is the barrier open or closed now?", "Is the barrier open or closed?",
        "Before this, was the barrier open or closed?", "And is it open or closed?",
        "And was it open or closed?", "Is the barrier {}?"),
    Ask("person", "coat", "What colour is the coat of the person now?", "What colour is the coat of the person?",
        "Before this, what colour was the coat of the person?", "And what colour is it?",
        "And what colour was it?", "Is the coat of the person {}?"),
    *(Ask("bays", f"bay {n}", f"Is bay {n} free or taken now?", f"Is bay {n} free or taken?",
          f"Before this, was bay {n} free or taken?", f"And is bay {n} free or taken?",
          f"And was bay {n} free or taken?") for n in BAYS),
)  # fmt: skip

FAMILY = Family(
    name="parking",
    description="a parking lot with five numbered bays, a barrier and people who walk by",
    grammar=GRAMMAR,
    asks=ASKS,
    pairs=(("colour", "vehicle"),),
    held_out=frozenset({
        (("colour", "green"), ("vehicle", "van")),
        (("colour", "yellow"), ("vehicle", "car")),
    }),
    stage=Parking,
)  # fmt: skip
