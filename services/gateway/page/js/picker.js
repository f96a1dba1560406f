// Which streams there are, and which one is looked at.

import { call } from "./api.js";
import { byId, make, say } from "./dom.js";
import { FINAL, stateOf } from "./units.js";

const EVERY_MS = 4000;

export const titleOf = (stream) => stream.spec.title || stream.spec.stream_id;

export class Picker {
  /** `onPick(stream)`: somebody wants to see another one. `onList(streams)`: what there is. */
  constructor({ onPick, onList }) {
    this.button = byId("picker");
    this.list = byId("picker-list");
    this.onPick = onPick;
    this.onList = onList;
    this.streams = [];
    this.button.addEventListener("click", () => this.open(this.list.hidden));
    this.list.addEventListener("keydown", (event) => this.key(event));
    document.addEventListener("click", (event) => { if (!event.target.closest(".picker")) this.open(false); });
    document.addEventListener("keydown", (event) => { if (event.key === "Escape") this.open(false, !this.list.hidden); });
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.refresh(); });
    setInterval(() => { if (!document.hidden) this.refresh(); }, EVERY_MS);
  }

  async refresh() {
    try {
      this.streams = (await call("GET", "/v1/streams?page_size=100")).streams;
    } catch {
      // The connection's own state says so.
      return;
    }
    this.draw();
    this.onList(this.streams);
  }

  choose(id) {
    this.chosen = id;
    this.draw();
  }

  draw() {
    const chosen = this.streams.find((stream) => stream.spec.stream_id === this.chosen);
    say(byId("picker-name"), chosen ? titleOf(chosen) : this.chosen || "Pick a stream");
    byId("picker-dot").dataset.state = chosen ? stateOf(chosen) : "";
    this.button.disabled = !this.streams.length;
    const focused = this.list.contains(document.activeElement) ? document.activeElement.dataset.id : null;
    this.list.replaceChildren(...this.streams.map((stream) => this.row(stream)));
    if (focused) this.list.querySelector(`[data-id="${CSS.escape(focused)}"]`)?.focus();
  }

  row(stream) {
    const state = stateOf(stream);
    const dot = make("span", { class: "dot" });
    dot.dataset.state = state;
    const button = make("button", {
      type: "button", "aria-current": stream.spec.stream_id === this.chosen ? "true" : null,
      onclick: () => { this.open(false, true); this.onPick(stream.spec.stream_id); },
    }, dot, make("span", { class: "ellipsis" }, titleOf(stream)), make("span", { class: "what" }, state), make("span", { class: "where ellipsis" }, stream.spec.source));
    button.dataset.id = stream.spec.stream_id;
    return make("li", {}, button);
  }

  open(open, focus = false) {
    this.list.hidden = !open;
    this.button.setAttribute("aria-expanded", String(open));
    if (open) (this.list.querySelector("[aria-current]") || this.list.querySelector("button"))?.focus();
    else if (focus) this.button.focus();
  }

  key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const buttons = [...this.list.querySelectorAll("button")];
    buttons[(buttons.indexOf(document.activeElement) + step + buttons.length) % buttons.length]?.focus();
  }

  /** The one to begin with: the newest that is not over. */
  get first() {
    return (this.streams.find((stream) => !FINAL.has(stateOf(stream))) || this.streams[0])?.spec.stream_id;
  }
}
