"""A recording of a computer's screen: windows, dialogs, bars of progress, notices and themes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from livestar.synth.canvas import Canvas
from livestar.synth.family import Casting, Family, Stage
from livestar.synth.grammar import Grammar, same
from livestar.synth.motion import arrive, ease, lerp, sway
from livestar.synth.palette import PAINT, Colour, darker, lighter
from livestar.synth.question import Ask
from livestar.synth.sprite import shadow
from livestar.synth.story import LEAD_S, Beat, Draft
from livestar.synth.texture import between, gradient, noise
from livestar.synth.windows import CONTENTS

APPS = ("mail", "notes", "photos", "music", "maps")
BARS = ("red", "green", "blue", "purple")
DEEDS = ("save", "delete", "update", "print")
CHOICES = ("yes", "no")
LEVELS = ("ten", "thirty", "fifty", "seventy", "ninety")
NOTICES = ("red", "yellow", "green", "blue")
CORNERS = ("left", "right")
THEMES = ("light", "dark")
_PERCENT = {"ten": 10, "thirty": 30, "fifty": 50, "seventy": 70, "ninety": 90}
_PAPER: dict[str, Colour] = {"light": (246, 246, 244), "dark": (44, 46, 54)}
_INK: dict[str, Colour] = {"light": (40, 42, 48), "dark": (232, 234, 238)}


@dataclass(frozen=True, slots=True)
class Desktop:
    """The theme, the open window if any (`app` with a `bar`), and what happens over it."""

    action: str
    theme: str
    app: str = ""
    bar: str = ""
    detail: str = ""
    deed: str = ""


class Screen(Stage[Desktop]):
    """Windows open and close; dialogs are answered; downloads make progress; notices come."""

    def __init__(self, casting: Casting) -> None:
        super().__init__(casting)
        self._left, self._top = self.dice.uniform(26, 40), self.dice.uniform(32, 44)
        self._phase = self.dice.random()
        self._taskbar_below = self.dice.random() < 0.6

    def invent(self, before: Draft[Desktop] | None) -> Draft[Desktop]:
        """Answers a dialog, goes on with a download, or does something new."""
        desk = before.prop if before else Desktop("close", self.dice.choice(THEMES))
        if desk.action == "dialog":
            choice = self.dice.choice(CHOICES)
            after = replace(desk, action="choose", detail=choice)
            return self._draft({"event": "choose", "choice": choice}, after)
        if desk.action == "progress" and desk.detail != "ninety":
            return self._progress(desk, LEVELS.index(desk.detail) + 1)
        actions = ["open", "open", "dialog", "progress", "notice", "theme"] + ["close"] * bool(desk.app)
        return self._begin(self.dice.choice(actions), replace(desk, detail="", deed=""))

    def _begin(self, action: str, desk: Desktop) -> Draft[Desktop]:
        if action == "open":
            window = self.casting.pick(app=APPS, bar=BARS)
            return self._draft({"event": "open", **window}, replace(desk, action="open", **window))
        if action == "close":
            return self._draft({"event": "close"}, replace(desk, action="close", app="", bar=""))
        if action == "dialog":
            deed = self.dice.choice(DEEDS)
            return self._draft({"event": "dialog", "deed": deed}, replace(desk, action="dialog", deed=deed))
        if action == "progress":
            return self._progress(desk, self.dice.randrange(3))
        if action == "notice":
            notice = self.casting.pick(notice=NOTICES, corner=CORNERS)
            detail = f"{notice['notice']} {notice['corner']}"
            return self._draft({"event": "notice", **notice}, replace(desk, action="notice", detail=detail))
        theme = "dark" if desk.theme == "light" else "light"
        return self._draft({"event": "theme", "theme": theme}, replace(desk, action="theme", theme=theme))

    def _progress(self, desk: Desktop, first: int) -> Draft[Desktop]:
        level = self.dice.choice(LEVELS[first:])
        return self._draft(
            {"event": "progress", "level": level}, replace(desk, action="progress", detail=level)
        )

    def _draft(self, facts: dict[str, str], desk: Desktop) -> Draft[Desktop]:
        state = {"theme": desk.theme, "app": desk.app or "none"}
        if desk.app:
            state["bar"] = desk.bar
        if desk.deed:
            state["deed"] = desk.deed
        kept = ("choice", "level", "notice", "corner")
        return Draft(facts, {**state, **{key: facts[key] for key in kept if key in facts}}, desk)

    def paint_backdrop(self, canvas: Canvas, dice: Random) -> None:
        """Paints the wallpaper and a few icons."""
        top, bottom = dice.choice([
            ((70, 110, 150), (160, 190, 200)),
            ((110, 90, 130), (210, 170, 170)),
            ((60, 100, 96), (150, 180, 140)),
            ((120, 110, 100), (196, 186, 170)),
        ])  # fmt: skip
        canvas.lay(gradient(top, bottom), [(0, 0), (224, 0), (224, 224), (0, 224)])
        hills = between(noise(dice), darker(bottom, 0.35), bottom)
        crest = dice.uniform(110, 150)
        canvas.lay(hills, [(-20, crest + 30), (244, crest - 20), (244, 240), (-20, 240)])
        for i in range(4):
            y = 30 + 38 * i
            canvas.box(6, y, 20, y + 12, dice.choice([(220, 200, 130), (180, 190, 200), (200, 180, 170)]))
            canvas.box(6, y + 14, 20, y + 16, (230, 230, 230))

    def draw(self, canvas: Canvas, beat: Beat[Desktop], since_s: float, t_s: float) -> None:
        """Draws the task bar, window, whatever lies over it, and the pointer."""
        desk = beat.draft.prop
        self._draw_taskbar(canvas, desk.theme, t_s)
        if desk.app:
            opening = arrive(since_s, -LEAD_S, 0) if desk.action == "open" else 1.0
            self._draw_window(canvas, desk, 0.5 + 0.5 * opening, t_s)
        if desk.action in _OVERLAYS:
            _OVERLAYS[desk.action](canvas, desk, since_s)
        self._draw_pointer(canvas, desk, since_s, t_s)

    def _draw_taskbar(self, canvas: Canvas, theme: str, t_s: float) -> None:
        if theme == "dark":
            canvas.veil((10, 12, 24), 0.5)
        top = 196.0 if self._taskbar_below else 0.0
        canvas.box(0, top, 224, top + 28, _PAPER[theme])
        middle = top + (11 if self._taskbar_below else 17)
        for i in range(5):
            canvas.box(22 + 20 * i, middle - 5, 33 + 20 * i, middle + 6, lighter((96, 120, 160), 0.1 * i))
        minute = int(t_s / 13) % 60
        canvas.text(184, middle, f"9:{minute:02d}", 7, _INK[theme])

    def _draw_window(self, canvas: Canvas, desk: Desktop, size: float, t_s: float) -> None:
        left, top = self._left, self._top
        right, bottom = left + 154 * size, top + 140 * size
        canvas.sprite(shadow(), (left + right) / 2, (top + bottom) / 2 + 5, 200 * size, feet=False)
        canvas.box(left, top, right, bottom, _PAPER[desk.theme])
        canvas.box(left, top, right, top + 24, PAINT[desk.bar])
        canvas.text(left + 46, top + 12, desk.app.title(), 12, (255, 255, 255))
        for i, tone in enumerate(((240, 240, 240), (200, 204, 210))):
            canvas.disc(right - 12 - 14 * i, top + 12, 4, tone)
        if size > 0.9:
            CONTENTS[desk.app](canvas, left + 10, top + 34, _INK[desk.theme], t_s)

    def _draw_pointer(self, canvas: Canvas, desk: Desktop, since_s: float, t_s: float) -> None:
        """The pointer wanders; only on a button of a dialog does it mean something."""
        x, y = 118 + 60 * sway(t_s, 19, self._phase), 176 + 12 * sway(t_s, 13)
        if desk.action == "choose":
            share = ease(since_s, -LEAD_S, 0)
            target = (80.0, 142.0) if desk.detail == "yes" else (144.0, 142.0)
            x, y = lerp(x, target[0] + 8, share), lerp(y, target[1] + 2, share)
        arrow = [(0, 0), (0, 15), (3.6, 11.6), (6.2, 17), (8.4, 16), (6, 10.6), (11, 10.4)]
        canvas.polygon([(x + dx, y + dy) for dx, dy in arrow], (250, 250, 250))
        canvas.lines([(x + dx, y + dy) for dx, dy in arrow], (20, 20, 24), 1, closed=True)


def _draw_dialog(canvas: Canvas, desk: Desktop, since_s: float) -> None:
    grow = 0.7 + 0.3 * arrive(since_s, -LEAD_S, 0) if desk.action == "dialog" else 1.0
    half_w, half_h = 70 * grow, 48 * grow
    canvas.sprite(shadow(), 112, 120, 190, squash=0.75, feet=False)
    canvas.box(112 - half_w, 112 - half_h, 112 + half_w, 112 + half_h, _PAPER[desk.theme])
    edge = [(112 - half_w, 112 - half_h), (112 + half_w, 112 - half_h), (112 + half_w, 112 + half_h),
            (112 - half_w, 112 + half_h)]  # fmt: skip
    canvas.lines(edge, (120, 126, 140), 1.6, closed=True)
    canvas.disc(66, 94, 13, (236, 170, 40))
    canvas.text(66, 94, "!", 15, (255, 255, 255))
    canvas.text(130, 94, f"{desk.deed.title()}?", 16, _INK[desk.theme])
    for x, choice in ((80, "yes"), (144, "no")):
        pressed = desk.action == "choose" and desk.detail == choice
        face = (40, 110, 230) if pressed else (196, 200, 208)
        canvas.box(x - 27, 128, x + 26, 152, face)
        canvas.text(x, 140, choice.title(), 11, (255, 255, 255) if pressed else (30, 32, 38))


def _draw_progress(canvas: Canvas, desk: Desktop, since_s: float) -> None:
    percent = _PERCENT[desk.detail]
    canvas.sprite(shadow(), 112, 116, 200, squash=0.5, feet=False)
    canvas.box(34, 78, 190, 146, _PAPER[desk.theme])
    canvas.lines([(34, 78), (190, 78), (190, 146), (34, 146)], (120, 126, 140), 1.6, closed=True)
    canvas.text(112, 96, f"{percent} %", 17, _INK[desk.theme])
    canvas.box(46, 116, 178, 134, (176, 180, 188))
    shown = percent * lerp(0.8, 1.0, arrive(since_s, -LEAD_S, 0))
    canvas.box(46, 116, 46 + 132 * shown / 100, 134, (30, 150, 240))


def _draw_notice(canvas: Canvas, desk: Desktop, since_s: float) -> None:
    colour, corner = desk.detail.split()
    slide = lerp(-60, 0, arrive(since_s, -LEAD_S, 0))
    left = 20.0 + slide if corner == "left" else 118.0 - slide
    canvas.box(left, 30, left + 86, 76, darker(PAINT[colour], 0.35))
    canvas.box(left + 2, 32, left + 84, 74, PAINT[colour])
    canvas.disc(left + 18, 53, 10, (250, 250, 250))
    canvas.text(left + 18, 53, "i", 12, darker(PAINT[colour], 0.2))
    for i, width in enumerate((44, 36, 40)):
        canvas.box(left + 36, 42 + 9 * i, left + 36 + width, 46 + 9 * i, (250, 250, 250))


_OVERLAYS: dict[str, Callable[[Canvas, Desktop, float], None]] = {
    "dialog": _draw_dialog,
    "choose": _draw_dialog,
    "progress": _draw_progress,
    "notice": _draw_notice,
}


GRAMMAR = Grammar(
    {
        "app": same(*APPS),
        "bar": same(*BARS),
        "deed": same(*DEEDS),
        "choice": same(*CHOICES),
        "level": same(*LEVELS),
        "notice": same(*NOTICES),
        "corner": same(*CORNERS),
        "theme": same(*THEMES),
    },
    {
        "open": (
            "the {app} window opens with a {bar} bar at the top",
            "a window for {app} with a {bar} bar appears on the screen",
            "on the screen the {app} window with a {bar} bar opens",
        ),
        "close": (
            "the window closes and leaves the screen empty again",
            "the screen is empty after the window has been closed",
            "no window is left on the screen after it closes",
        ),
        "dialog": (
            "a dialog asks if the user wants to {deed} the file",
            "a question appears whether to {deed} the file or not",
            "the screen asks the user to {deed} the file",
        ),
        "choose": (
            "the user answers it with {choice} by the blue button",
            "the pointer goes to {choice} and the button turns blue",
            "the button {choice} turns blue as the user clicks it",
        ),
        "progress": (
            "the bar of the download shows {level} percent on the screen",
            "the download is at {level} percent of the file",
            "a download bar on the screen stands at {level} percent",
        ),
        "notice": (
            "a {notice} notice slides in at the top on the {corner}",
            "at the top on the {corner} a {notice} notice appears",
            "in the upper {corner} corner a {notice} notice comes up",
        ),
        "theme": (
            "the colours of the screen change to the {theme} theme",
            "the user changes the screen to the {theme} theme",
            "all bars and windows now use the {theme} theme",
        ),
    },
    meanwhile=frozenset({"notice", "progress"}),
)

ASKS = (
    Ask("window", "app", "Which window is open now?", "Which window is open?", "Before this, which window was open?",
        "And which window is it?", "And which window was it?", "Is the {} window open?"),
    Ask("window", "bar", "What colour is the bar of the window now?", "What colour is the bar of the window?",
        "Before this, what colour was the bar of the window?", "And what colour is the bar?",
        "And what colour was the bar?", "Is the bar of the window {}?"),
    Ask("theme", "theme", "Is the theme light or dark now?", "Is the theme light or dark?",
        "Before this, was the theme light or dark?", "And is it light or dark?", "And was it light or dark?",
        "Is the theme {}?"),
    Ask("dialog", "deed", "What does the dialog ask for now?", "What does the dialog ask for?",
        "Before this, what did the dialog ask for?", "And what does it ask for?", "And what did it ask for?",
        "Does the dialog ask to {} the file?"),
    Ask("dialog", "choice", "Which button is blue now?", "Which button is blue?", "Before this, which button was blue?",
        "And which button is blue?", "And which button was blue?"),
    Ask("download", "level", "How many percent does the download show now?", "How many percent does the download show?",
        "Before this, how many percent did the download show?", "And how many percent?", "And how many percent?",
        "Is the download at {} percent?"),
    Ask("notice", "notice", "What colour is the notice now?", "What colour is the notice?",
        "Before this, what colour was the notice?", "And what colour is it?", "And what colour was it?",
        "Is the notice {}?"),
    Ask("notice", "corner", "In which corner is the notice now?", "In which corner is the notice?",
        "Before this, in which corner was the notice?", "And in which corner is it?", "And in which corner was it?",
        "Is the notice on the {}?"),
)  # fmt: skip

FAMILY = Family(
    name="screen",
    description="a recording of a screen with windows, dialogs, downloads, notices and two themes",
    grammar=GRAMMAR,
    asks=ASKS,
    pairs=(("app", "bar"), ("notice", "corner")),
    held_out=frozenset({
        (("app", "mail"), ("bar", "green")),
        (("app", "maps"), ("bar", "red")),
        (("app", "music"), ("bar", "purple")),
        (("notice", "yellow"), ("corner", "right")),
    }),
    stage=Screen,
)  # fmt: skip
