// The page, put together: one stream is looked at, its story is told to every view.

import { AboutPanel } from "./about.js";
import { AddDialog } from "./add.js";
import { call, onTokenWanted, setToken, streamPath } from "./api.js";
import { AskPanel } from "./ask.js";
import { Chart } from "./chart.js";
import { byId, say } from "./dom.js";
import { Feed } from "./feed.js";
import { NarrationList } from "./narration.js";
import { Picker, titleOf } from "./picker.js";
import { Player } from "./player.js";
import { NARRATION, Story } from "./story.js";
import { FINAL, number, span, stateOf } from "./units.js";

const HISTORY = 2500;
const FRESH_S = 1.5;
const QUIET_S = 12;
const narrow = matchMedia("(max-width: 600px)");

class Page {
  constructor() {
    const seek = (at) => this.seek(at);
    this.chart = new Chart(seek);
    this.narration = new NarrationList(seek);
    this.player = new Player((at) => this.showMoment(at));
    this.ask = new AskPanel((channel) => this.chart.show(this.story, channel || NARRATION));
    this.about = new AboutPanel(() => this.forgotten());
    this.picker = new Picker({ onPick: (id) => this.go(id), onList: (streams) => this.listed(streams) });
    new AddDialog((id) => { this.go(id); this.picker.refresh(); });
    addEventListener("hashchange", () => this.fromAddress());
    setInterval(() => this.tellStatus(), 500);
    document.addEventListener("keydown", (event) => this.key(event));
  }

  async begin() {
    await this.picker.refresh();
    this.fromAddress();
  }

  fromAddress() {
    const id = decodeURIComponent(location.hash.replace(/^#\/?/, ""));
    if (id && id !== this.stream) this.look(id);
    else if (!id && this.picker.first) this.look(this.picker.first);
  }

  go(id) {
    const address = `#/${encodeURIComponent(id)}`;
    if (location.hash === address) this.look(id);
    else location.hash = address;
  }

  listed(streams) {
    byId("empty").hidden = Boolean(this.stream) || streams.length > 0;
    const known = streams.find((stream) => stream.spec.stream_id === this.stream);
    if (known) document.title = `${titleOf(known)} · LiveStar`;
    if (!this.stream && this.picker.first) this.look(this.picker.first);
  }

  async look(id) {
    this.feed?.close();
    this.stream = id;
    this.story = new Story();
    this.connection = ["connecting", ""];
    this.heardAt = performance.now();
    byId("empty").hidden = true;
    byId("stage").hidden = false;
    byId("caption").hidden = true;
    this.picker.choose(id);
    this.chart.show(this.story);
    this.narration.show(this.story);
    this.ask.show(id, this.story);
    this.ask.setOver(false);
    this.about.show(id);
    const { story } = this;
    story.addEventListener("change", ({ detail }) => this.changed(detail));
    let info = null;
    try {
      info = await call("GET", streamPath(id));
    } catch (error) {
      if (story === this.story) this.connected("gone", error.message);
      return;
    }
    if (story !== this.story) return;
    story.state = stateOf(info);
    document.title = `${titleOf(info)} · LiveStar`;
    this.ask.setOver(FINAL.has(story.state));
    this.player.show(id, FINAL.has(story.state));
    this.ask.load().catch(() => {});
    this.feed = new Feed(id, Math.max(0, number(info.event_sequence) - HISTORY), {
      onEvent: (type, event) => { if (story === this.story) this.heard(story, type, event); },
      onStatus: (state, words) => { if (story === this.story) this.connected(state, words); },
    });
  }

  heard(story, type, event) {
    this.heardAt = performance.now();
    story.take(type, event);
  }

  changed({ what, item }) {
    if (what === "point") {
      if (item.channel === this.chart.channel) this.chart.draw();
      this.narration.tellHeld();
    } else if (what === "said") {
      this.narration.update(item);
      if (this.player.time === null) this.showMoment(null);
    } else if (what === "dropped") this.narration.drop(item);
    else if (what === "asked") this.ask.update(item);
    else if (what === "unasked") this.ask.drop(item);
    else if (what === "channels") this.ask.updateChannels();
    else if (what === "state") this.stateChanged();
  }

  stateChanged() {
    this.ask.setOver(this.story.over);
    this.player.over = this.story.over;
    if (this.story.over) this.feed?.finish();
    this.picker.refresh();
  }

  /** Shows what was held at the picture's moment; without a picture, what is held now. */
  showMoment(at) {
    if (!this.story) return;
    const item = this.story.captionAt(at === null ? Infinity : at);
    const caption = byId("caption");
    caption.hidden = !item;
    say(byId("caption-text"), item ? item.text : "");
    const fresh = Boolean(item) && (at === null ? this.story.newest : at) - item.at < FRESH_S;
    if (caption.classList.contains("fresh") !== fresh) caption.classList.toggle("fresh", fresh);
    this.narration.setCurrent(item);
    this.chart.setPlayhead(at);
  }

  seek(at) {
    this.player.seek(at);
    const { points } = { points: this.story.pointsOf(this.chart.channel) };
    const point = points.findLast((one) => one.at <= at + 1e-3);
    if (point && at >= this.chart.visible().from) this.chart.choose(point);
  }

  connected(state, words = "") {
    this.connection = [state, words];
    this.tellStatus();
  }

  tellStatus() {
    if (!this.story) return;
    const [connection, words] = this.connection;
    const { state, behind, newest } = this.story;
    const at = this.player.time;
    const quiet = (performance.now() - this.heardAt) / 1000;
    const [mood, text] = connection === "gone" ? ["bad", words || "Gone"]
      : this.story.over ? ["idle", `This stream has ${state === "failed" ? "failed" : state}`.replace("has stopped", "was stopped")]
      : connection === "connecting" ? ["wait", "Connecting"]
      : connection === "waiting" ? ["bad", `Reconnecting: ${words}`]
      : behind === null ? ["wait", state ? state[0].toUpperCase() + state.slice(1) : "Waiting"]
      : quiet > QUIET_S ? ["wait", `Nothing new for ${span(quiet)}`]
      : ["live", `${narrow.matches ? "" : "Live, "}${behind.toFixed(1)} s behind`];
    byId("status").dataset.state = mood;
    say(byId("status-text"), text);
    const lag = at !== null && newest > at ? `picture ${(newest - at).toFixed(0)} s behind` : "";
    const counts = this.story.numFrames ? `${this.story.numSpoken} spoken, ${this.story.numFrames - this.story.numSpoken} silent` : "";
    say(byId("figures"), [counts, lag].filter(Boolean).join(" · "));
  }

  async forgotten() {
    this.feed?.close();
    this.player.stop();
    this.stream = null;
    this.story = null;
    byId("stage").hidden = true;
    history.replaceState(null, "", location.pathname);
    await this.picker.refresh();
  }

  key(event) {
    if (event.target.closest("input, textarea, select, dialog, button, canvas, summary, a") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/") { event.preventDefault(); byId("question").focus(); }
    else if (event.key === " ") { event.preventDefault(); this.player.toggle(); }
    else if (event.key === "l") this.player.goLive();
    else if (event.key === "f") this.player.fullScreen();
  }
}

onTokenWanted(() => new Promise((resolve) => {
  const dialog = byId("token-dialog");
  const form = byId("token-form");
  if (!dialog.open) dialog.showModal();
  form.addEventListener("submit", () => { setToken(form.elements.token.value); form.reset(); resolve(); }, { once: true });
}));

const THEMES = [["", "as the system"], ["dark", "dark"], ["light", "light"]];
byId("theme").addEventListener("click", () => {
  const now = THEMES.findIndex(([name]) => name === (localStorage.getItem("livestar-theme") || ""));
  const [name, words] = THEMES[(now + 1) % THEMES.length];
  if (name) localStorage.setItem("livestar-theme", name);
  else localStorage.removeItem("livestar-theme");
  byId("theme").setAttribute("aria-label", `Theme: ${words}`);
  byId("theme").title = `Theme: ${words}`;
  document.dispatchEvent(new Event("themechosen"));
});

new Page().begin();
