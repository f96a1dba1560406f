"""A kitchen board from above: food comes, is cut, tipped into a bowl; jugs pour and cloths wipe."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random

from livestar.synth.canvas import Canvas
from livestar.synth.family import Casting, Family, Stage
from livestar.synth.food import cut, heap, whole
from livestar.synth.grammar import Grammar, same
from livestar.synth.motion import arrive, ease, lerp, sway
from livestar.synth.palette import PAINT, Colour, darker, lighter
from livestar.synth.question import Ask
from livestar.synth.sprite import Sketch, Sprite, shadow
from livestar.synth.story import LEAD_S, Beat, Draft
from livestar.synth.texture import planks, rough, tiles

FOODS = ("tomato", "carrot", "cucumber", "lemon", "onion", "loaf")
FORMS = ("slices", "cubes", "halves")
BOWLS = ("left", "right")
JUGS = ("red", "green", "blue", "white")
CLOTHS = ("red", "yellow", "green", "blue", "white")
_MIDDLE = (112.0, 138.0)
_BOWL_X = {"left": 52.0, "right": 172.0}
_BOWL_Y = 50.0
_SKINS = ((236, 190, 156), (196, 142, 106), (124, 84, 62))


@dataclass(frozen=True, slots=True)
class Dish:
    """What lies where: `contents` are those of the left and the right bowl."""

    action: str
    food: str = ""
    detail: str = ""
    contents: tuple[str, str] = ("", "")


class Kitchen(Stage[Dish]):
    """Place, cut, tip; then perhaps pour or wipe."""

    def __init__(self, casting: Casting) -> None:
        super().__init__(casting)
        self._skin = self.dice.choice(_SKINS)
        self._sleeve = self.dice.choice([(70, 80, 120), (90, 90, 90), (150, 120, 90), (236, 236, 230)])
        self._bowl = self.dice.choice([(226, 228, 230), (176, 196, 214), (206, 186, 160)])
        self._tilt_deg = self.dice.uniform(-5, 5)
        self._steam = self.dice.random()

    def invent(self, before: Draft[Dish] | None) -> Draft[Dish]:
        """Follows the recipe."""
        dish = before.prop if before else Dish("wipe")
        if dish.action == "place":
            return self._cut(dish)
        if dish.action == "cut":
            return self._tip(dish)
        action = self.dice.choice(["place", "place", "pour", "wipe"])
        return self._place(dish) if action == "place" else self._other(action, dish)

    def _place(self, dish: Dish) -> Draft[Dish]:
        food = self.dice.choice(FOODS)
        after = replace(dish, action="place", food=food, detail="")
        return Draft({"event": "place", "food": food}, {"food": food, "form": "whole"}, after)

    def _cut(self, dish: Dish) -> Draft[Dish]:
        form = self.casting.pick(food=(dish.food,), form=FORMS)["form"]
        facts = {"event": "cut", "food": dish.food, "form": form}
        return Draft(facts, {"food": dish.food, "form": form}, replace(dish, action="cut", detail=form))

    def _tip(self, dish: Dish) -> Draft[Dish]:
        bowl = self.dice.choice(BOWLS)
        left, right = dish.contents
        contents = (dish.food, right) if bowl == "left" else (left, dish.food)
        after = Dish("tip", dish.food, bowl, contents)
        return Draft({"event": "tip", "bowl": bowl}, {"food": dish.food, "bowl": bowl}, after)

    def _other(self, action: str, dish: Dish) -> Draft[Dish]:
        if action == "wipe":
            cloth = self.dice.choice(CLOTHS)
            return Draft(
                {"event": "wipe", "cloth": cloth}, {"cloth": cloth}, Dish("wipe", "", cloth, dish.contents)
            )
        jug = self.casting.pick(jug=JUGS, bowl=BOWLS)
        after = Dish("pour", jug["jug"], jug["bowl"], dish.contents)
        return Draft({"event": "pour", **jug}, jug, after)

    def paint_backdrop(self, canvas: Canvas, dice: Random) -> None:
        """Paints counter, board and small things that never move."""
        counter = dice.choice(["slate", "tiles", "planks"])
        if counter == "tiles":
            texture = tiles(dice, dice.choice([(196, 202, 206), (150, 176, 182)]), 6, (128, 130, 134))
        elif counter == "planks":
            texture = planks(dice, dice.choice([(120, 84, 58), (88, 66, 52)]), 6)
        else:
            texture = rough(dice, dice.choice([(92, 96, 104), (134, 130, 126)]), 0.35)
        canvas.lay(texture, [(0, 0), (224, 0), (250, 224), (-26, 224)])
        canvas.sprite(shadow(), 114, 146, 230, squash=0.62, feet=False)
        wood = dice.choice([(206, 164, 112), (186, 138, 88), (216, 184, 138)])
        top = dice.uniform(82, 88)
        canvas.lay(planks(dice, wood, 5, gap=0.2), [(34, top), (190, top), (206, 196), (18, 196)])
        canvas.polygon([(18, 196), (206, 196), (206, 203), (18, 203)], darker(wood, 0.4))
        canvas.ellipse(184, 184, 5, 4, darker(wood, 0.6))
        canvas.sprite(_shaker(), 112, 72, 16)
        for x in _BOWL_X.values():
            self._paint_bowl(canvas, x)

    def _paint_bowl(self, canvas: Canvas, x: float) -> None:
        canvas.sprite(shadow(), x + 3, _BOWL_Y + 8, 84, squash=0.7, feet=False)
        canvas.ellipse(x, _BOWL_Y, 33, 25, darker(self._bowl, 0.25))
        canvas.ellipse(x, _BOWL_Y - 2, 33, 25, self._bowl)
        canvas.ellipse(x, _BOWL_Y - 1, 28, 20.5, darker(self._bowl, 0.3))
        canvas.ellipse(x, _BOWL_Y + 2, 22, 15, darker(self._bowl, 0.15))

    def draw(self, canvas: Canvas, beat: Beat[Dish], since_s: float, t_s: float) -> None:
        """Draws the bowls' contents, the food, and hands with what they hold."""
        dish = beat.draft.prop
        for name, food in zip(BOWLS, dish.contents, strict=True):
            hidden = dish.action == "tip" and name == dish.detail and since_s < -0.1
            if food and not hidden:
                canvas.sprite(heap(food), _BOWL_X[name], _BOWL_Y, 52, squash=0.8, feet=False)
        _DRAW[dish.action](self, canvas, dish, since_s, t_s)
        self._draw_fly(canvas, t_s)

    def _draw_place(self, canvas: Canvas, dish: Dish, since_s: float, _t_s: float) -> None:
        drop = arrive(since_s, -LEAD_S, 0)
        x, y = _MIDDLE[0], lerp(260, _MIDDLE[1], drop)
        self._draw_food(canvas, dish.food, x, y)
        away = ease(since_s, 0.4, 1.4)
        if away < 1:
            self._draw_hand(canvas, x + 14 + 60 * away, y + 22 + 100 * away)

    def _draw_cut(self, canvas: Canvas, dish: Dish, since_s: float, t_s: float) -> None:
        x, y = _MIDDLE
        if since_s < -0.12:
            self._draw_food(canvas, dish.food, x, y)
        else:
            canvas.sprite(shadow(), x, y + 8, 116, squash=0.55, feet=False)
            canvas.sprite(cut(dish.food, dish.detail), x, y, 98, angle_deg=self._tilt_deg, feet=False)
        chop = abs(sway(t_s, 1.1)) * 7
        canvas.sprite(_knife(), x + 60, y - 8 - chop, 92, angle_deg=-74, feet=False)
        self._draw_hand(canvas, x + 74, y + 44 - chop)

    def _draw_tip(self, canvas: Canvas, dish: Dish, since_s: float, _t_s: float) -> None:
        x = _BOWL_X[dish.detail] + 9 * sway(since_s, 1.9)
        y = _BOWL_Y + 3 * sway(since_s, 1.9, 0.25)
        canvas.lines([(x, y), (x + 26, y + 30)], (226, 196, 150), 5)
        canvas.ellipse(x, y, 7, 5, (206, 172, 124), 45)
        self._draw_hand(canvas, x + 26, y + 30)

    def _draw_pour(self, canvas: Canvas, dish: Dish, since_s: float, t_s: float) -> None:
        x = _BOWL_X[dish.detail]
        inward = 1 if dish.detail == "left" else -1
        swing = arrive(since_s, -LEAD_S, 0)
        jug_x, jug_y = x + inward * lerp(110, 44, swing), lerp(-40, 44, swing)
        wave = 1.2 * sway(t_s, 0.5)
        canvas.ellipse(x, _BOWL_Y + 1, 24 + wave, 16, (150, 190, 226))
        canvas.lines([(x + inward * 16, jug_y - 10), (x + inward * 4, _BOWL_Y)], (190, 218, 240), 4.5)
        canvas.sprite(_jug(dish.food), jug_x, jug_y, 62, angle_deg=-38 * inward, flip=inward < 0, feet=False)
        self._draw_hand(canvas, jug_x + inward * 34, jug_y + 30)

    def _draw_wipe(self, canvas: Canvas, dish: Dish, since_s: float, t_s: float) -> None:
        swing = arrive(since_s, -LEAD_S, 0)
        x = _MIDDLE[0] + 36 * sway(since_s, 2.6)
        y = lerp(250, _MIDDLE[1] + 4, swing) + 8 * sway(since_s, 1.3)
        canvas.sprite(_cloth(dish.detail), x, y, 74, feet=False, angle_deg=8 * sway(t_s, 1.9))
        self._draw_hand(canvas, x + 10, y + 6)

    def _draw_food(self, canvas: Canvas, food: str, x: float, y: float) -> None:
        canvas.sprite(shadow(), x, y + 12, 92, squash=0.4, feet=False)
        canvas.sprite(whole(food), x, y, 88, angle_deg=self._tilt_deg, feet=False)

    def _draw_hand(self, canvas: Canvas, x: float, y: float) -> None:
        canvas.sprite(_hand(self._skin, self._sleeve), x + 24, y + 24, 58, angle_deg=-12, feet=False)

    def _draw_fly(self, canvas: Canvas, t_s: float) -> None:
        """A fly wanders about the counter; nobody tells of it."""
        phase = self._steam
        x, y = 112 + 96 * sway(t_s, 17, phase), 112 + 90 * sway(t_s, 11, phase * 3)
        canvas.disc(x, y, 1.5, (30, 30, 34))


_DRAW = {
    "place": Kitchen._draw_place,
    "cut": Kitchen._draw_cut,
    "tip": Kitchen._draw_tip,
    "pour": Kitchen._draw_pour,
    "wipe": Kitchen._draw_wipe,
}


@lru_cache(maxsize=16)
def _hand(skin: Colour, sleeve: Colour) -> Sprite:
    """Returns a hand that reaches to the upper left."""
    sketch = Sketch(60, 60)
    sketch.lines([(34, 34), (58, 58)], sleeve, 20)
    sketch.lines([(30, 30), (40, 40)], skin, 14)
    sketch.ellipse(24, 24, 12, 10, skin, 45)
    for x, y in ((6, 16), (9, 9), (17, 5), (26, 6)):
        sketch.lines([(23, 22), (x, y)], skin, 5)
    for x, y in ((8, 17), (11, 11), (18, 7)):
        sketch.lines([(21, 21), (x, y)], darker(skin, 0.2), 0.8)
    return sketch.finish()


@lru_cache(maxsize=1)
def _knife() -> Sprite:
    sketch = Sketch(92, 20)
    sketch.polygon([(2, 10), (16, 3), (60, 3), (60, 17), (10, 16)], (206, 212, 218))
    sketch.polygon([(4, 12), (60, 14), (60, 17), (10, 16)], (240, 244, 248))
    sketch.round_box(60, 4, 90, 14, 4, (48, 40, 38))
    for x in (66, 75, 84):
        sketch.ellipse(x, 9, 1.4, 1.4, (190, 190, 190))
    return sketch.finish()


@lru_cache(maxsize=1)
def _shaker() -> Sprite:
    sketch = Sketch(16, 28)
    sketch.round_box(2, 8, 14, 27, 3, (226, 230, 232))
    sketch.round_box(3, 1, 13, 9, 3, (130, 134, 140))
    return sketch.finish()


@lru_cache(maxsize=16)
def _jug(paint: str) -> Sprite:
    """Returns a jug whose spout is on the left."""
    colour = PAINT[paint]
    sketch = Sketch(62, 54)
    sketch.lines([(44, 14), (58, 16), (58, 36), (42, 42)], darker(colour, 0.2), 5)
    sketch.polygon([(4, 6), (14, 2), (46, 2), (44, 30), (48, 50), (12, 50), (16, 30), (13, 14)], colour)
    sketch.lines([(20, 8), (21, 46)], lighter(colour, 0.5), 3)
    sketch.lines([(8, 5), (44, 5)], darker(colour, 0.35), 2.4)
    return sketch.finish()


@lru_cache(maxsize=16)
def _cloth(paint: str) -> Sprite:
    colour = PAINT[paint]
    sketch = Sketch(74, 50)
    edge = [(3, 8), (22, 3), (44, 7), (70, 3), (72, 26), (68, 46), (46, 43), (24, 48), (4, 43), (7, 24)]
    sketch.polygon(edge, colour)
    for y in (14, 36):
        sketch.lines(
            [(6, y), (30, y + 2), (68, y - 2)],
            lighter(colour, 0.45) if paint != "white" else (180, 190, 205),
            3,
        )
    for x in (22, 46):
        sketch.lines([(x, 6), (x - 3, 25), (x + 2, 45)], darker(colour, 0.22), 1.2)
    return sketch.finish()


GRAMMAR = Grammar(
    {
        "food": same(*FOODS),
        "form": same(*FORMS),
        "bowl": same(*BOWLS),
        "jug": same(*JUGS),
        "cloth": same(*CLOTHS),
    },
    {
        "place": (
            "a hand puts a {food} on the wooden board",
            "the cook lays a {food} down on the board",
            "a whole {food} is put in the middle of the board",
        ),
        "cut": (
            "the cook cuts the {food} into {form} with a knife",
            "the knife cuts the {food} on the board into {form}",
            "with a knife the {food} is cut into {form}",
        ),
        "tip": (
            "the cook tips it into the bowl on the {bowl}",
            "all of it goes into the {bowl} bowl behind the board",
            "it is moved from the board to the {bowl} bowl",
        ),
        "pour": (
            "the cook pours water from a {jug} jug into the {bowl} bowl",
            "a {jug} jug pours water into the bowl on the {bowl}",
            "water runs from a {jug} jug into the {bowl} bowl",
        ),
        "wipe": (
            "a hand wipes the empty board with a {cloth} cloth",
            "the cook takes a {cloth} cloth and wipes the board",
            "the board is wiped clean with a {cloth} cloth",
        ),
    },
)

ASKS = (
    Ask("food", "food", "What food is worked on now?", "What food is it?", "Before this, what food was it?",
        "And what food is it?", "And what food was it?", "Is the food a {}?"),
    Ask("food", "form", "In what form is the food on the board now?", "In what form is the food?",
        "Before this, in what form was the food?", "And in what form is it?", "And in what form was it?"),
    Ask("food", "bowl", "Which bowl is being filled now?", "Which bowl is being filled?",
        "Before this, which bowl was being filled?", "And into which bowl does it go?",
        "And into which bowl did it go?", "Is the {} bowl being filled?"),
    Ask("jug", "jug", "What colour is the jug now?", "What colour is the jug?",
        "Before this, what colour was the jug?", "And what colour is the jug?", "And what colour was the jug?",
        "Is the jug {}?"),
    Ask("cloth", "cloth", "What colour is the cloth on the board now?", "What colour is the cloth?",
        "Before this, what colour was the cloth?", "And what colour is it?", "And what colour was it?",
        "Is the cloth {}?"),
)  # fmt: skip

FAMILY = Family(
    name="kitchen",
    description="a kitchen board from above where food is cut, tipped into bowls and wiped away",
    grammar=GRAMMAR,
    asks=ASKS,
    pairs=(("food", "form"), ("jug", "bowl")),
    held_out=frozenset({
        (("food", "carrot"), ("form", "cubes")),
        (("food", "onion"), ("form", "halves")),
        (("food", "lemon"), ("form", "slices")),
        (("jug", "blue"), ("bowl", "left")),
    }),
    stage=Kitchen,
)  # fmt: skip
