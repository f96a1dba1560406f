"""The page in a real browser, over a gateway that is told a story and shows a clip."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fakes.gateway import RunningGateway, running_gateway
from fakes.live_preview import LivePreview, write_segments
from fakes.storyteller import Storyteller
from livestar.api.v1 import common_pb2, events_pb2
from livestar.bus import Address, EmbeddedRedis, RedisLink
from livestar.synth import make_clip

playwright = pytest.importorskip("playwright.async_api")

BROWSER = os.environ.get("LIVESTAR_BROWSER") or shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.anyio,
    pytest.mark.skipif(not BROWSER, reason="no Chromium is installed; LIVESTAR_BROWSER may name one"),
]

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--autoplay-policy=no-user-gesture-required",
)
FPS = 12
SECONDS = 16
SAID = (
    (0, "A person walks over the road."),
    (4, "Then a bus stops."),
    (8, "The light turns green."),
    (12, "Next, a car."),
)
STANDING = "What colour is the light?"
HOSTILE = "<img src=x onerror=alert(1)><script>document.title='owned'</script> & \u202e\u0000 </p>"


@pytest.fixture(scope="module")
def segments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("segments")
    clip = make_clip("traffic", 7, float(SECONDS))
    pictures = (clip.render(number / FPS, 224) for number in range(SECONDS * FPS))
    assert write_segments(folder, pictures, FPS) == SECONDS
    return folder


@dataclass
class Seen:
    """A page, and whatever it complained about."""

    page: playwright.Page
    gateway: RunningGateway
    preview: LivePreview
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", lambda message: self._note(message.type, message.text))
        self.page.on("pageerror", lambda error: self._note("error", str(error)))
        self.page.on("dialog", lambda dialog: self._note("error", f"dialog: {dialog.message}"))
        self.page.set_default_timeout(15_000)

    def _note(self, kind: str, text: str) -> None:
        # The browser itself says this of every answer that is no 2xx; a picture that has not begun is one.
        if kind in ("error", "warning") and "404 (Not Found)" not in text:
            self.complaints.append(text)

    async def text(self, selector: str) -> str:
        return (await self.page.text_content(selector)) or ""

    async def see(self, condition: str) -> None:
        """Waits until it is so. From here: the page's policy lets nobody evaluate anything in it again and again."""
        try:
            async with asyncio.timeout(15):
                while not await self.page.evaluate(condition):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"never seen: {condition}; complaints: {self.complaints}") from None


@asynccontextmanager
async def looking(
    redis_url: str, segments: Path, *, width: int = 1280, height: int = 860, **settings: object
) -> AsyncIterator[Seen]:
    async with running_gateway(redis_url, **settings) as gateway, LivePreview(segments, SECONDS) as preview:
        address = Address("ingest-1", "127.0.0.1:1", f"127.0.0.1:{preview.port}")
        announcing = asyncio.create_task(gateway.directory.keep_announcing("ingest", address))
        async with playwright.async_playwright() as started:
            browser = await started.chromium.launch(executable_path=BROWSER, args=list(FLAGS))
            page = await browser.new_page(viewport={"width": width, "height": height})
            yield Seen(page, gateway, preview)
            await browser.close()
        announcing.cancel()


@pytest.fixture
async def seen(redis_server: EmbeddedRedis, redis_link: RedisLink, segments: Path) -> AsyncIterator[Seen]:
    async with looking(redis_server.url, segments) as page:
        yield page
    assert page.complaints == []


async def begun(gateway: RunningGateway, name: str = "door") -> Storyteller:
    teller = await gateway.stream(name, title="Front door")
    await teller.state("starting")
    await teller.state("running")
    return teller


async def narrate(seen: Seen, teller: Storyteller, seconds: int = SECONDS) -> None:
    """A frame a second, at the pace of the picture."""
    seen.preview.begin()
    captions = dict(SAID)
    for second in range(seconds):
        await asyncio.sleep(max(0.0, second - seen.preview.time_s))
        teller.next_frame()
        if second in captions:
            await teller.speak(captions[second])
        else:
            await teller.silent(0.2 + 0.01 * (second % 3))


async def test_the_picture_plays_with_the_caption_of_its_moment(seen: Seen) -> None:
    teller = await begun(seen.gateway)
    await seen.page.goto(seen.gateway.url)
    await narrate(seen, teller)
    await seen.see(
        "document.querySelector('#video').readyState >= 2 && document.querySelector('#video').currentTime > 1"
    )
    assert not await seen.page.is_visible("#no-picture")
    # The picture comes after the narration: its caption is of its own moment, not the newest.
    moments = await seen.page.evaluate(
        """async () => {
          const found = [];
          for (let tries = 0; tries < 40; tries += 1) {
            await new Promise((resolve) => setTimeout(resolve, 100));
            found.push([document.querySelector('#clock').textContent, document.querySelector('#caption-text').textContent]);
          }
          return found;
        }"""
    )
    checked = 0
    for clock, caption in moments:
        if not clock:
            continue
        minutes, seconds = clock.split(":")
        at = int(minutes) * 60 + int(seconds)
        fitting = [text for start, text in SAID if start <= at]
        assert caption in (fitting[-1], ""), (clock, caption)
        checked += caption == fitting[-1]
    assert checked > 10
    assert await seen.text(".said[aria-current] .words") in {text for _, text in SAID}


async def test_narration_chart_and_figures_follow_the_stream(seen: Seen) -> None:
    teller = await begun(seen.gateway)
    await seen.page.goto(seen.gateway.url)
    await narrate(seen, teller, 6)
    await seen.see("document.querySelectorAll('.said').length === 2")
    assert await seen.page.locator(".said .words").all_text_contents() == [text for _, text in SAID[:2]]
    assert await seen.page.locator(".said time").all_text_contents() == ["0:00", "0:04"]
    assert await seen.text(".said .held") == "held for 4 s"
    await seen.see("document.querySelector('#status-text').textContent === 'Live, 0.2 s behind'")
    await seen.see("document.querySelector('#figures').textContent.startsWith('2 spoken, 4 silent')")
    assert await seen.page.title() == "Front door · LiveStar"
    label = await seen.page.get_attribute("#chart", "aria-label")
    assert label is not None
    assert "spoke 2 times" in label
    painted = await seen.page.evaluate(
        """() => { const canvas = document.querySelector('#chart');
          return new Set(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data).size; }"""
    )
    assert painted > 20


async def test_a_question_is_answered_in_pieces(seen: Seen) -> None:
    await begun(seen.gateway)
    seen.gateway.decoder.pause_s = 0.5
    await seen.page.goto(seen.gateway.url)
    # Only now somebody listens to the keyboard.
    await seen.see("!document.querySelector('#stage').hidden")
    await seen.page.keyboard.press("/")
    await seen.page.keyboard.type("How many cars?")
    await seen.page.keyboard.press("Enter")
    await seen.see("document.querySelector('.asked.answering .a .words')?.textContent.startsWith('Two ')")
    await seen.see("document.querySelector('.asked .a .words').textContent === 'Two cars are parked.'")
    await seen.see("document.querySelector('.asked .at').textContent === 'as of 0:06'")
    assert await seen.text(".asked .q") == "How many cars?"
    assert await seen.page.input_value("#question") == ""


async def test_a_question_of_somebody_else_is_seen_once_and_ones_own_too(seen: Seen) -> None:
    teller = await begun(seen.gateway)
    await seen.page.goto(seen.gateway.url)
    await seen.page.fill("#question", "Mine?")
    await seen.page.press("#question", "Enter")
    await seen.see("document.querySelector('.asked .at').textContent")
    for number, text in ((1, "Mine?"), (2, "Theirs?")):
        await teller.tell(question=events_pb2.QuestionAsked(question_id=number, text=text))
        await teller.tell(text_piece=events_pb2.TextPiece(question_id=number, text="Two cars are parked."))
        await teller.tell(answer=events_pb2.Answer(question_id=number, text="Two cars are parked."))
    await seen.see("document.querySelectorAll('.asked:not(.answering)').length === 2")
    assert await seen.page.locator(".asked .q").all_text_contents() == ["Mine?", "Theirs?"]
    assert await seen.page.locator(".asked .a .words").all_text_contents() == ["Two cars are parked."] * 2


async def test_standing_questions_show_their_present_answer(seen: Seen) -> None:
    teller = await begun(seen.gateway)
    await seen.page.goto(seen.gateway.url)
    await seen.page.fill("#question", STANDING)
    await seen.page.click("#pin")
    await seen.see("document.querySelector('.chip .answer')?.textContent === 'no answer yet'")
    (name,) = seen.gateway.decoder.channels["door"]
    teller.next_frame()
    await teller.speak("It is red.", channel=name)
    await seen.see("document.querySelector('.chip .answer').textContent === 'It is red.'")
    teller.next_frame()
    await teller.speak("It is green.", channel=name)
    await seen.see("document.querySelector('.chip .answer').textContent === 'It is green.'")
    await seen.page.click(".chip .asks")
    await seen.see("document.querySelector('#chart').getAttribute('aria-label').includes('spoke 2 times')")
    await seen.page.click(".chip .remove")
    await seen.see("!document.querySelector('.chip')")
    assert seen.gateway.decoder.channels["door"] == {}


async def test_a_source_is_added_and_a_bad_one_is_explained(seen: Seen) -> None:
    await seen.page.goto(seen.gateway.url)
    await seen.page.click("#empty-add")
    await seen.page.fill("[name=source]", "gopher://camera/1")
    await seen.page.click("#add-submit")
    await seen.see("document.querySelector('#add-problem').textContent.includes('has to begin with')")
    assert await seen.page.get_attribute("[name=source]", "aria-invalid") == "true"
    await seen.page.fill("[name=source]", "rtsp://camera/1")
    await seen.page.fill("[name=id]", "yard")
    await seen.page.fill("[name=standing]", "Who is there?\n\nIs it open?")
    await seen.page.click("#add-submit")
    await seen.see("document.querySelector('#picker-name').textContent === 'yard'")
    (info,) = await seen.gateway.registry.unfinished()
    assert [channel.text for channel in info.spec.settings.channels] == ["Who is there?", "Is it open?"]
    await seen.see("document.querySelectorAll('.chip').length === 2")
    assert not await seen.page.is_visible("#add-dialog")
    seen.complaints = [one for one in seen.complaints if "422" not in one]


async def test_text_from_outside_is_only_ever_text(seen: Seen) -> None:
    teller = await seen.gateway.stream("door", title=HOSTILE.replace("\u0000", ""))
    await teller.state("starting", HOSTILE)
    await teller.state("running")
    await seen.gateway.stream("other", title="<b>bold</b>")
    await seen.page.goto(f"{seen.gateway.url}/#/door")
    kind = common_pb2.CHANNEL_KIND_STANDING
    await teller.tell(
        channel_changed=events_pb2.ChannelChanged(channel="q", kind=kind, text=HOSTILE, open=True)
    )
    teller.next_frame()
    await teller.speak(HOSTILE)
    await teller.speak(HOSTILE, channel="q")
    await teller.tell(question=events_pb2.QuestionAsked(question_id=1, text=HOSTILE))
    await teller.tell(answer=events_pb2.Answer(question_id=1, text=HOSTILE))
    await seen.see("document.querySelector('.asked .a .words')?.textContent.startsWith('<img')")
    await seen.page.click("#picker")
    for selector in (
        ".said .words",
        "#caption-text",
        ".chip .answer",
        ".chip .asks",
        ".asked .q",
        ".asked .a .words",
        ".notice",
    ):
        assert "<script>document.title='owned'</script>" in await seen.text(selector), selector
    assert await seen.page.locator("main img, main script, #picker-list b").count() == 0
    assert not (await seen.page.title()).startswith("owned")


async def test_markup_is_refused_by_the_browser_itself(seen: Seen) -> None:
    """Whatever a script of ours did wrong: trusted types and the content security policy stand behind it."""
    await seen.page.goto(seen.gateway.url)
    refused = await seen.page.evaluate(
        """() => { try { document.body.innerHTML = '<b>x</b>'; return 'allowed'; } catch (error) { return error.name; } }"""
    )
    assert refused == "TypeError"
    await seen.page.evaluate(
        """() => { try { const script = document.createElement('p'); script.setAttribute('onclick', 'document.title = "owned"');
          document.body.append(script); script.click(); } catch (refused) { return refused.name; } }"""
    )
    assert await seen.page.title() != "owned"
    seen.complaints.clear()


async def test_the_page_goes_on_after_the_gateway_was_away(
    redis_server: EmbeddedRedis, redis_link: RedisLink, segments: Path
) -> None:
    async with looking(redis_server.url, segments) as seen:
        teller = await begun(seen.gateway)
        await seen.page.goto(seen.gateway.url)
        teller.next_frame()
        await teller.speak("Before.")
        await seen.see("document.querySelectorAll('.said').length === 1")
        await seen.page.context.set_offline(True)
        teller.next_frame()
        await teller.speak("Meanwhile.")
        await seen.page.context.set_offline(False)
        await seen.see("document.querySelectorAll('.said').length === 2")
        teller.next_frame()
        await teller.speak("After.")
        await seen.see("document.querySelectorAll('.said').length === 3")
        words = await seen.page.locator(".said .words").all_text_contents()
        assert words == ["Before.", "Meanwhile.", "After."]


async def test_a_stream_that_ends_says_so_and_takes_no_questions(seen: Seen) -> None:
    teller = await begun(seen.gateway)
    await seen.page.goto(seen.gateway.url)
    teller.next_frame()
    await teller.speak("A car.")
    await teller.state("ended", "the source came to its end")
    await seen.see("document.querySelector('#status-text').textContent === 'This stream has ended'")
    assert await seen.page.is_disabled("#question")
    assert await seen.page.locator(".notice").last.text_content() == "ended: the source came to its end"


async def test_streams_are_picked_by_keyboard_and_stopped(seen: Seen) -> None:
    await begun(seen.gateway, "yard")
    await begun(seen.gateway, "door")
    await seen.page.goto(f"{seen.gateway.url}/#/door")
    await seen.see("document.querySelector('#picker-list li + li')")
    await seen.page.focus("#picker")
    await seen.page.keyboard.press("Enter")
    await seen.page.keyboard.press("ArrowDown")
    await seen.page.keyboard.press("Enter")
    await seen.see("location.hash === '#/yard'")
    await seen.page.click(".about-panel summary")
    await seen.page.click("#stop")
    await seen.see("document.querySelector('#about').textContent.includes('stopping')")


async def test_a_token_is_asked_for_once(
    redis_server: EmbeddedRedis, redis_link: RedisLink, segments: Path
) -> None:
    async with looking(redis_server.url, segments, token="a-secret-token") as seen:
        teller = await begun(seen.gateway)
        await seen.page.goto(seen.gateway.url)
        for given in ("wrong", "a-secret-token"):
            await seen.see("document.querySelector('#token-dialog').open")
            await seen.page.fill("[name=token]", given)
            await seen.page.keyboard.press("Enter")
        teller.next_frame()
        await teller.speak("A car.")
        await seen.see("document.querySelector('.said .words')?.textContent === 'A car.'")
        assert not await seen.page.is_visible("#token-dialog")
        await narrate(seen, teller, 5)
        await seen.see("document.querySelector('#video').readyState >= 2")


async def test_a_phone_shows_everything_without_scrolling_sideways(
    redis_server: EmbeddedRedis, redis_link: RedisLink, segments: Path
) -> None:
    async with looking(redis_server.url, segments, width=360, height=740) as seen:
        teller = await begun(seen.gateway)
        await seen.page.goto(seen.gateway.url)
        await narrate(seen, teller, 5)
        await seen.see("document.querySelectorAll('.said').length === 2")
        wide = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        assert await seen.page.evaluate(wide)
        for selector in ("#picker", "#add", "#status", "#chart", "#narration", "#question", "#pin"):
            box = await seen.page.locator(selector).bounding_box()
            assert box is not None, selector
            assert box["x"] >= 0, selector
            assert box["x"] + box["width"] <= 360, selector
        await seen.page.fill("#question", "How many cars?")
        await seen.page.press("#question", "Enter")
        await seen.see("document.querySelector('.asked .a .words').textContent === 'Two cars are parked.'")
        assert seen.complaints == []
