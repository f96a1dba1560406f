// Live figures of the stream, and its end.

import { call, streamPath } from "./api.js";
import { byId, complain, make } from "./dom.js";
import { clock, number, seconds, stateOf } from "./units.js";

const EVERY_MS = 3000;

export class AboutPanel {
  /** `onForgotten()`: the stream is gone. */
  constructor(onForgotten) {
    this.panel = document.querySelector(".about-panel");
    this.onForgotten = onForgotten;
    byId("stop").addEventListener("click", () => this.act("DELETE", ""));
    byId("forget").addEventListener("click", () => this.forget());
    this.panel.addEventListener("toggle", () => this.refresh());
    setInterval(() => { if (this.panel.open && !document.hidden) this.refresh(); }, EVERY_MS);
  }

  show(stream) {
    this.stream = stream;
    complain(byId("about-problem"), null);
    byId("about").replaceChildren();
    this.refresh();
  }

  async refresh() {
    if (!this.panel.open || !this.stream) return;
    try {
      const told = await call("GET", streamPath(this.stream));
      if (told.spec.stream_id === this.stream) this.draw(told);
    } catch (error) {
      complain(byId("about-problem"), error);
    }
  }

  draw(told) {
    const { decoder, capture, behind_frames: behind, num_subscribers: listeners } = told.live;
    const rows = [
      ["State", told.reason ? `${stateOf(told)}: ${told.reason}` : stateOf(told)],
      ["Source", told.spec.source],
      ["Frames per second", String(told.spec.fps)],
      ["Decided", `${number(told.decided_sequence)} frames, to ${clock(seconds(told.decided_pts_ns))}`],
      ["Behind", `${behind} ${behind === 1 ? "frame" : "frames"}`],
      ["Listeners", String(listeners)],
    ];
    if (decoder) {
      const full = decoder.max_trunk_tokens ? ` of ${decoder.max_trunk_tokens}` : "";
      rows.push(["Memory", `${decoder.num_trunk_tokens}${full} tokens, ${decoder.num_kept_frames} frames`]);
    }
    if (capture) rows.push(["Dropped", `${number(capture.num_dropped)} frames`], ["Reconnected", `${number(capture.num_reconnects)} times`]);
    byId("about").replaceChildren(...rows.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
  }

  async act(method, rest) {
    complain(byId("about-problem"), null);
    try {
      await call(method, streamPath(this.stream, rest));
      this.refresh();
      return true;
    } catch (error) {
      complain(byId("about-problem"), error);
      return false;
    }
  }

  async forget() {
    if (!confirm("Stop this stream and remove everything that is kept of it?")) return;
    if (await this.act("DELETE", "?forget=true")) this.onForgotten();
  }
}
