"""A basketball game seen from the stand: attacks, baskets, misses, time-outs and the referee."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random

from livestar.synth.canvas import Canvas
from livestar.synth.family import Casting, Family, Stage
from livestar.synth.grammar import Grammar, same
from livestar.synth.motion import arrive, lerp, ramp, sway
from livestar.synth.palette import PAINT, Colour, darker, lighter
from livestar.synth.question import Ask
from livestar.synth.sprite import Sketch, Sprite, shadow
from livestar.synth.story import LEAD_S, Beat, Draft
from livestar.synth.texture import planks, rough

TEAMS = ("red", "yellow", "green", "blue", "white", "black")
SIDES = ("left", "right")
CARDS = ("yellow", "red", "blue")
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_FLOOR = 92.0
_RIM = {"left": (46.0, 84.0), "right": (178.0, 84.0)}
_FEET = 194.0


@dataclass(frozen=True, slots=True)
class Play:
    """The score of the home and the guest team, and what `team` does at `detail`."""

    action: str
    score: tuple[int, int] = (0, 0)
    team: str = ""
    detail: str = ""


class Court(Stage[Play]):
    """A team attacks a hoop, then scores or misses; the others may answer; pauses in between."""

    def __init__(self, casting: Casting) -> None:
        super().__init__(casting)
        self._teams = tuple(self.dice.sample(TEAMS, 2))
        self._wall = self.dice.choice([(84, 60, 70), (60, 72, 96), (72, 84, 72)])
        self._phase = self.dice.random()
        self._size = self.dice.uniform(0.94, 1.08)

    def invent(self, before: Draft[Play] | None) -> Draft[Play]:
        """Finishes an attack, or begins something else."""
        play = before.prop if before else Play("pause", (self.dice.randrange(3), self.dice.randrange(3)))
        if play.action == "attack":
            return self._shoot(play)
        action = self.dice.choice(["attack", "attack", "attack", "card", "huddle"])
        if max(play.score) == 9:
            return self._draft({"event": "reset"}, Play("reset"))
        if action == "card":
            card = self.dice.choice(CARDS)
            return self._draft({"event": "card", "card": card}, Play("card", play.score, "", card))
        team = self.dice.choice(self._teams)
        side = self._pick_side(team, action)
        key = "team" if action == "attack" else "group"
        return self._draft({"event": action, key: team, "side": side}, Play(action, play.score, team, side))

    def _pick_side(self, team: str, action: str) -> str:
        if action == "attack":
            return self.casting.pick(team=(team,), side=SIDES)["side"]
        return self.dice.choice(SIDES)

    def _shoot(self, play: Play) -> Draft[Play]:
        if self.dice.random() < 0.45:
            return self._draft({"event": "miss", "side": play.detail}, replace(play, action="miss"))
        home, guest = play.score
        score = (home + 1, guest) if play.team == self._teams[0] else (home, guest + 1)
        facts = {"event": "goal", "side": play.detail, "home": NUMBERS[score[0]], "guest": NUMBERS[score[1]]}
        return self._draft(facts, replace(play, action="goal", score=score))

    def _draft(self, facts: dict[str, str], play: Play) -> Draft[Play]:
        home, guest = (NUMBERS[points] for points in play.score)
        seen = {key: value for key, value in facts.items() if key in ("card", "group")}
        if play.action in ("attack", "goal", "miss"):
            seen |= {"team": play.team, "side": play.detail}
        return Draft(facts, {"score": f"{home} to {guest}", **seen}, play)

    def paint_backdrop(self, canvas: Canvas, dice: Random) -> None:
        """Paints stand, crowd, floor, lines and hoops."""
        canvas.lay(rough(dice, self._wall, 0.2), [(0, 0), (224, 0), (224, _FLOOR), (0, _FLOOR)])
        for row in range(5):
            y = 30 + 12 * row
            for seat in range(19):
                x = 4 + 12.2 * seat + 6 * (row % 2) + dice.uniform(-1.5, 1.5)
                shirt = dice.choice([(104, 96, 110), (120, 110, 104), (92, 104, 116), (130, 122, 126)])
                canvas.ellipse(x, y + 6, 5, 5, shirt)
                canvas.disc(x, y - 1, 3, dice.choice([(200, 164, 140), (140, 100, 78)]))
        wood = dice.choice([(206, 156, 100), (190, 138, 92), (214, 172, 120)])
        canvas.lay(planks(dice, wood, 14, gap=0.16), [(0, _FLOOR), (224, _FLOOR), (300, 224), (-76, 224)])
        band = dice.choice([(60, 66, 92), (96, 58, 60), (58, 84, 70)])
        canvas.box(0, _FLOOR - 8, 224, _FLOOR, band)
        _paint_lines(canvas)
        for side in SIDES:
            _paint_hoop(canvas, side)

    def draw(self, canvas: Canvas, beat: Beat[Play], since_s: float, t_s: float) -> None:
        """Draws waving fans, the score board, players, ball and referee."""
        play = beat.draft.prop
        self._draw_fans(canvas, t_s)
        self._draw_board(canvas, play)
        if play.action == "card":
            self._draw_referee(canvas, play, since_s, t_s)
        elif play.action == "huddle":
            self._draw_huddle(canvas, play, since_s, t_s)
        elif play.action == "reset":
            _draw_ball(canvas, 112, 170)
        else:
            self._draw_attack(canvas, play, beat.seconds, since_s, t_s)

    def _draw_attack(self, canvas: Canvas, play: Play, seconds: float, since_s: float, t_s: float) -> None:
        side = -1 if play.detail == "left" else 1
        attacks = play.action == "attack"
        share = lerp(0, arrive(since_s, -LEAD_S, 0), 0.5) + 0.5 * min(1, max(0, since_s / seconds))
        x = 112 + side * (lerp(-36, 14, share) if attacks else 14)
        rival = self._teams[0] if play.team == self._teams[1] else self._teams[1]
        self._draw_player(
            canvas, rival, 112 - side * 62 + 5 * sway(t_s, 5), _FEET - 26, 0.8, side, t_s, runs=False
        )
        self._draw_player(canvas, play.team, x, _FEET, 1.12, side, t_s, runs=attacks)
        rim_x, rim_y = _RIM[play.detail]
        if attacks:
            bounce = abs(sway(t_s, 0.9)) ** 0.7
            _draw_ball(canvas, x + side * 25, lerp(_FEET - 6, _FEET - 34, bounce))
        elif play.action == "goal":
            drop = arrive(since_s, -LEAD_S, 0.0)
            _draw_ball(canvas, lerp(x, rim_x, drop), lerp(140, rim_y + 14, drop))
            _draw_net(canvas, rim_x, rim_y)
            _draw_rays(canvas, rim_x, rim_y + 4, t_s)
        else:
            fall = ramp(since_s, 1.3, 1.9) ** 2
            rim_ball = rim_y - 14 - 6 * abs(sway(since_s, 0.9))
            _draw_ball(canvas, rim_x - side * lerp(20, -2, fall), lerp(rim_ball, 186, fall))

    def _draw_player(
        self, canvas: Canvas, team: str, x: float, y: float, size: float, side: int, t_s: float, *, runs: bool
    ) -> None:
        size *= self._size
        pose = int(t_s * 5) if runs else 1
        canvas.sprite(shadow(), x, y - 1, 40 * size, squash=0.25, feet=False)
        canvas.sprite(player(team, pose % 4), x, y, 38 * size, flip=side < 0)

    def _draw_huddle(self, canvas: Canvas, play: Play, since_s: float, t_s: float) -> None:
        side = -1 if play.detail == "left" else 1
        spread = lerp(2.4, 1.0, arrive(since_s, -LEAD_S, 0))
        for i, (dx, dy) in enumerate(((-22, -16), (22, -16), (0, -24), (-30, 4), (30, 4), (0, 10))):
            sways = 1.5 * sway(t_s, 2, i * 0.2)
            x = 112 + side * 48 + dx * spread + sways
            self._draw_player(canvas, play.team, x, 178 + dy, 0.86, -1 if dx > 0 else 1, t_s, runs=False)

    def _draw_referee(self, canvas: Canvas, play: Play, since_s: float, t_s: float) -> None:
        lift = arrive(since_s, -LEAD_S, 0)
        canvas.sprite(shadow(), 104, 208, 56, squash=0.25, feet=False)
        canvas.sprite(_referee(), 104, 210, 62)
        y = lerp(150, 96, lift) + 1.5 * sway(t_s, 1.3)
        canvas.lines([(118, 146), (138, y + 22)], (34, 34, 38), 8)
        canvas.disc(138, y + 20, 5, (226, 180, 146))
        canvas.polygon(
            [(127, y - 22), (151, y - 22), (151, y + 14), (127, y + 14)], darker(PAINT[play.detail], 0.3)
        )
        canvas.polygon([(128, y - 21), (150, y - 21), (150, y + 13), (128, y + 13)], PAINT[play.detail])

    def _draw_board(self, canvas: Canvas, play: Play) -> None:
        canvas.box(70, 8, 154, 56, (18, 18, 22))
        canvas.lines([(70, 8), (154, 8), (154, 56), (70, 56)], (120, 122, 128), 2, closed=True)
        for x, points, team in ((90, play.score[0], self._teams[0]), (134, play.score[1], self._teams[1])):
            canvas.text(x, 28, str(points), 23, (255, 214, 90))
            canvas.box(x - 14, 46, x + 14, 53, PAINT[team])
            canvas.lines(
                [(x - 14, 46), (x + 14, 46), (x + 14, 53), (x - 14, 53)], (150, 150, 150), 0.7, closed=True
            )
        canvas.text(112, 28, ":", 16, (255, 214, 90))

    def _draw_fans(self, canvas: Canvas, t_s: float) -> None:
        """Arms that go up in the crowd, and a clock hand: nobody tells of them."""
        for i in range(9):
            x, y = (i * 83 + 11) % 222, 34 + 12 * (i % 5)
            wave = sway(t_s, 2.2 + 0.3 * i, self._phase * i)
            if wave > 0:
                canvas.lines([(x, y + 4), (x + 4, y - 7 * wave)], (200, 164, 140), 2)


def _paint_lines(canvas: Canvas) -> None:
    white = (236, 232, 224)
    canvas.lines([(22, 106), (202, 106), (238, 214), (-14, 214)], white, 1.8, closed=True)
    canvas.lines([(112, 106), (112, 214)], white, 1.8)
    canvas.ellipse(112, 152, 34, 17, white, width=1.8)
    for side in (-1, 1):
        x = 112 + side * 98
        inner = 112 + side * 58
        canvas.polygon([(x, 128), (inner, 128), (inner + side * 4, 172), (x + side * 14, 172)], (160, 84, 60))
        canvas.lines([(x, 128), (inner, 128), (inner + side * 4, 172), (x + side * 14, 172)], white, 1.6)


def _paint_hoop(canvas: Canvas, side: str) -> None:
    x, y = _RIM[side]
    out = -1 if side == "left" else 1
    canvas.lines([(x + out * 40, 150), (x + out * 36, y - 6), (x + out * 18, y - 16)], (60, 62, 70), 5)
    board = [(x + out * 12, y - 44), (x + out * 22, y - 40), (x + out * 22, y + 2), (x + out * 12, y - 2)]
    canvas.polygon(board, (240, 242, 244))
    canvas.lines(board, (190, 40, 40), 1.8, closed=True)
    _draw_net(canvas, x, y)


def _draw_net(canvas: Canvas, x: float, y: float) -> None:
    for i in range(-2, 3):
        canvas.lines([(x + i * 6, y), (x + i * 3.6, y + 20)], (240, 240, 240), 1)
    for depth in (7, 14):
        canvas.lines(
            [(x - 12 + depth * 0.3, y + depth), (x + 12 - depth * 0.3, y + depth)], (240, 240, 240), 1
        )
    canvas.ellipse(x, y, 13, 4, (244, 110, 30), width=2.6)


def _draw_rays(canvas: Canvas, x: float, y: float, t_s: float) -> None:
    reach = 25 + 4 * sway(t_s, 0.8)
    for dx, dy in ((-1, -0.4), (-0.8, 0.7), (1, -0.4), (0.8, 0.7), (-0.5, -1), (0.5, -1)):
        canvas.lines([(x + 17 * dx, y + 17 * dy), (x + reach * dx, y + reach * dy)], (255, 240, 120), 3)


def _draw_ball(canvas: Canvas, x: float, y: float) -> None:
    canvas.disc(x, y, 8, (120, 54, 14))
    canvas.disc(x, y, 7.3, (242, 124, 32))
    canvas.lines([(x - 7, y), (x + 7, y)], (90, 40, 14), 1)
    canvas.lines([(x, y - 7), (x, y + 7)], (90, 40, 14), 1)
    canvas.disc(x - 2.5, y - 3, 1.8, (255, 190, 120))


@lru_cache(maxsize=64)
def player(team: str, pose: int) -> Sprite:
    """Returns a player in the team's colour who faces right, 38 by 64 units."""
    colour: Colour = PAINT[team]
    skin = (186, 128, 92)
    stride = (-1.0, 0.2, 1.0, 0.2)[pose]
    sketch = Sketch(38, 64)
    for swing in (-stride, stride):
        foot = 18 + 9 * swing
        sketch.lines([(18, 40), (18 + 5 * swing, 50), (foot, 60)], skin, 5)
        sketch.lines([(foot - 1, 61.4), (foot + 4, 61.4)], (236, 236, 236), 3.4)
    sketch.round_box(9, 34, 28, 47, 3, darker(colour, 0.18))
    sketch.lines([(13, 20), (6, 28), (8, 36)], skin, 4)
    sketch.round_box(9, 15, 28, 37, 4, colour)
    sketch.box(14, 21, 23, 23.5, lighter(colour, 0.7) if team != "white" else (120, 130, 150))
    sketch.box(17, 21, 20, 32, lighter(colour, 0.7) if team != "white" else (120, 130, 150))
    sketch.lines([(25, 20), (31, 27), (35, 33)], skin, 4)
    sketch.ellipse(19.5, 8, 6, 6.8, skin)
    sketch.ellipse(18, 5, 6.2, 4.4, (36, 26, 22))
    return sketch.finish()


@lru_cache(maxsize=1)
def _referee() -> Sprite:
    sketch = Sketch(62, 112)
    for x in (22, 38):
        sketch.box(x - 5, 66, x + 5, 106, (34, 34, 40))
        sketch.round_box(x - 7, 104, x + 8, 111, 3, (20, 20, 22))
    sketch.round_box(12, 30, 49, 70, 6, (238, 238, 238))
    for x in (15, 24, 33, 42):
        sketch.box(x, 30, x + 4, 70, (34, 34, 38))
    sketch.lines([(15, 36), (6, 54), (12, 68)], (34, 34, 38), 8)
    sketch.ellipse(31, 17, 11, 13, (226, 180, 146))
    sketch.ellipse(30, 9, 11.4, 7, (70, 50, 36))
    return sketch.finish()


GRAMMAR = Grammar(
    {
        "team": same(*TEAMS),
        "group": same(*TEAMS),
        "side": same(*SIDES),
        "card": same(*CARDS),
        "home": same(*NUMBERS),
        "guest": same(*NUMBERS),
    },
    {
        "attack": (
            "a player in {team} runs with the ball to the {side} hoop",
            "the team in {team} attacks the hoop on the {side}",
            "towards the {side} hoop runs a {team} player with the ball",
        ),
        "goal": (
            "the ball drops into the {side} hoop and it is {home} to {guest}",
            "the shot at the {side} hoop scores and it stands {home} to {guest}",
            "in the {side} hoop goes the ball for {home} to {guest}",
        ),
        "miss": (
            "the shot misses the {side} hoop and the ball bounces off",
            "the ball does not go into the {side} hoop and falls",
            "at the {side} hoop the ball falls down beside the net",
        ),
        "card": (
            "the referee stops the game and shows a {card} card",
            "a {card} card is held up by the referee",
            "the referee comes forward and holds up a {card} card",
        ),
        "huddle": (
            "the players in {group} meet in a circle on the {side}",
            "on the {side} all players in {group} stand close together",
            "the whole team in {group} comes together on the {side}",
        ),
        "reset": (
            "a new game begins and the score is zero again",
            "the score goes back to zero for a new game",
            "for a new game the score starts at zero again",
        ),
    },
)

ASKS = (
    Ask("score", "score", "What is the score on the board now?", "What is the score?",
        "Before this, what was the score?", "And what is the score?", "And what was the score?", "Is the score {}?"),
    Ask("attack", "team", "Which team has the attack now?", "Which team has the attack?",
        "Before this, which team had the attack?", "And which team is it?", "And which team was it?",
        "Does the {} team have the attack?"),
    Ask("attack", "side", "Which hoop is attacked now?", "Which hoop is attacked?",
        "Before this, which hoop was attacked?", "And which hoop is it?", "And which hoop was it?",
        "Is the {} hoop attacked?"),
    Ask("card", "card", "What colour is the card of the referee now?", "What colour is the card of the referee?",
        "Before this, what colour was the card of the referee?", "And what colour is it?",
        "And what colour was it?", "Is the card of the referee {}?"),
    Ask("huddle", "group", "Which team stands together now?", "Which team stands together?",
        "Before this, which team stood together?", "And which team is it?", "And which team was it?",
        "Does the {} team stand together?"),
)  # fmt: skip

FAMILY = Family(
    name="court",
    description="a basketball game from the stand with attacks, baskets, cards and a score board",
    grammar=GRAMMAR,
    asks=ASKS,
    pairs=(("team", "side"),),
    held_out=frozenset({
        (("team", "green"), ("side", "left")),
        (("team", "black"), ("side", "right")),
    }),
    stage=Court,
)  # fmt: skip
