// The running list of what was said. Each item lights up while the picture shows its moment.

import { byId, make, say } from "./dom.js";
import { clock, span } from "./units.js";

const NEAR_PX = 48;

export class NarrationList {
  /** `onSeek(at)`: somebody picks a moment. */
  constructor(onSeek) {
    this.list = byId("narration");
    this.latest = byId("to-latest");
    this.onSeek = onSeek;
    this.following = true;
    this.list.addEventListener("scroll", () => this.scrolled(), { passive: true });
    this.latest.addEventListener("click", () => this.toLatest());
    new ResizeObserver(() => this.following && this.toLatest()).observe(this.list);
  }

  show(story) {
    this.story = story;
    this.rows = new Map();
    this.current = null;
    this.announced = performance.now() + 1500;
    this.list.replaceChildren(make("li", { class: "none" }, "Silence so far: the first frame is on its way."));
    story.said.forEach((item) => this.update(item));
    this.toLatest();
  }

  update(item) {
    if (!this.rows.size) this.list.replaceChildren();
    let row = this.rows.get(item);
    if (!row) {
      row = item.notice ? noticeRow(item) : this.saidRow(item);
      this.rows.set(item, row);
      this.list.append(row.element);
      this.tellHeld();
    }
    if (!item.notice) {
      say(row.words, item.text);
      row.button.classList.toggle("saying", !item.done);
      // Only what happens while somebody listens, not what is caught up with.
      if (item.done && performance.now() > this.announced) say(byId("announce"), item.text);
    }
    if (this.following) this.toLatest();
  }

  drop(item) {
    this.rows.get(item)?.element.remove();
    this.rows.delete(item);
  }

  /** Says how long each sentence held; the last one holds until now. */
  tellHeld() {
    const said = this.story.said.filter((item) => !item.notice);
    said.slice(-3).forEach((item, index, some) => {
      const row = this.rows.get(item);
      if (!row || !item.done) return;
      const end = some[index + 1] ? some[index + 1].at : this.story.newest;
      say(row.held, some[index + 1] ? `held for ${span(end - item.at)}` : `holding for ${span(Math.max(0, end - item.at))}`);
    });
  }

  /** Lights up what the picture shows. */
  setCurrent(item) {
    if (item === this.current) return;
    this.rows.get(this.current)?.button?.removeAttribute("aria-current");
    this.rows.get(item)?.button?.setAttribute("aria-current", "true");
    this.current = item;
  }

  saidRow(item) {
    const time = make("time", { datetime: `PT${item.at.toFixed(3)}S` }, clock(item.at));
    const words = make("span", { class: "words" });
    const held = make("span", { class: "held" });
    const button = make("button", { class: "said", type: "button", onclick: () => this.onSeek(item.at) }, time, make("span", {}, words, held));
    return { element: make("li", {}, button), button, words, held };
  }

  scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.list;
    this.following = scrollHeight - scrollTop - clientHeight < NEAR_PX;
    this.latest.hidden = this.following;
  }

  toLatest() {
    this.list.scrollTop = this.list.scrollHeight;
    this.following = true;
    this.latest.hidden = true;
  }
}

function noticeRow(item) {
  return { element: make("li", { class: item.bad ? "notice bad" : "notice" }, item.text) };
}

