// What is known of the stream that is looked at, from its events. Bounded, whatever the stream's length.

import { FINAL, number, plain, seconds } from "./units.js";

export const NARRATION = "narration";
const MAX_POINTS = 7200;
const MAX_SAID = 500;
const MAX_ASKED = 100;

const GAPS = {
  ingest_dropped: "the stream was behind", lost: "lost on the way", decoder_dropped: "the decoder was behind",
  unreadable: "they could not be read",
};

/** Tells `change` with {what, item}: "point", "said", "notice", "asked", "channels", "state". */
export class Story extends EventTarget {
  constructor() {
    super();
    this.points = new Map();
    this.said = [];
    this.asked = new Map();
    this.channels = new Map();
    this.state = "";
    this.behind = null;
    this.newest = 0;
    this.numFrames = 0;
    this.numSpoken = 0;
  }

  /** Takes an event of the feed. */
  take(type, event) {
    const at = seconds(event.pts_ns);
    if (type === "decision") this.decided(event, event.decision, at);
    else if (type === "text_piece") this.piece(event.text_piece, at);
    else if (type === "question") this.question(event.question, at);
    else if (type === "answer") this.answer(number(event.answer.question_id), event.answer, at);
    else if (type === "channel_changed") this.channel(event.channel_changed);
    else if (type === "state_changed") this.stateChanged(event.state_changed, at);
    else if (type === "frames_missing") this.missing(event.frames_missing, at);
    else if (type === "gap") this.notice(at || this.newest, "Earlier events are no longer kept", false);
    else if (type === "failure") this.notice(at, event.failure.message || "Something failed", true);
  }

  decided(event, decision, at) {
    const channel = decision.channel;
    const spoke = decision.action === "ACTION_SPEAK";
    const point = {
      at, spoke, nll: number(decision.nll), reference: number(decision.reference_nll), alpha: number(decision.alpha) || 1,
      text: decision.text || "", rule: plain(decision.rule, "RULE_"), fresh: number(decision.new_reference_nll),
    };
    point.threshold = point.reference + Math.log(point.alpha);
    const points = this.pointsOf(channel);
    points.push(point);
    if (points.length > MAX_POINTS) points.splice(0, points.length - MAX_POINTS);
    if (channel === NARRATION) {
      this.newest = Math.max(this.newest, at);
      this.numFrames += 1;
      const taken = seconds(event.captured_at_ns);
      if (taken) this.behind = Math.max(0, seconds(event.decided_at_ns) - taken);
      if (spoke) this.spoke(point);
    } else if (this.channels.has(channel)) {
      this.channels.get(channel).answer = point.text;
      this.channels.get(channel).at = spoke ? at : this.channels.get(channel).at;
      this.tell("channels", channel);
    }
    this.tell("point", { channel, point });
  }

  spoke(point) {
    this.numSpoken += 1;
    const saying = this.saying(point.at);
    Object.assign(saying, { text: point.text, done: true, point });
    this.tell("said", saying);
  }

  /** The sentence that is being said, or a new one. */
  saying(at) {
    const last = this.said.at(-1);
    if (last && !last.notice && !last.done) return last;
    return this.add({ at, text: "", done: false });
  }

  add(item) {
    this.said.push(item);
    if (this.said.length > MAX_SAID) this.tell("dropped", this.said.shift());
    return item;
  }

  piece(piece, at) {
    if (piece.question_id) {
      this.answering(number(piece.question_id), piece.text, at);
    } else if (piece.channel === NARRATION) {
      const saying = this.saying(at);
      saying.text += piece.text;
      this.tell("said", saying);
    }
  }

  notice(at, text, bad) {
    this.tell("said", this.add({ at, text, bad, notice: true, done: true }));
  }

  missing(missing, at) {
    const count = number(missing.last_sequence) - number(missing.first_sequence) + 1;
    const why = GAPS[plain(missing.reason, "GAP_REASON_")] || "for a reason unknown to this page";
    this.notice(at, `${count} ${count === 1 ? "frame" : "frames"} missing: ${why}`, true);
  }

  stateChanged(change, at) {
    this.state = plain(change.state, "STREAM_STATE_");
    const words = change.reason ? `${this.state}: ${change.reason}` : this.state;
    if (this.state !== "running" || change.reason) this.notice(at, words, this.state === "failed");
    this.tell("state", this.state);
  }

  get over() {
    return FINAL.has(this.state);
  }

  /** A question of anybody; what this page asked itself is `own` and answered by its own call. */
  question(question, at) {
    const id = number(question.question_id);
    if (!this.asked.has(id)) this.ask(id, { text: question.text || "", at });
  }

  ask(id, { text, at, own = false }) {
    const asked = { id, text, at, own, answer: "", done: false, failed: "" };
    this.asked.set(id, asked);
    if (this.asked.size > MAX_ASKED) {
      const [oldest, item] = this.asked.entries().next().value;
      this.asked.delete(oldest);
      this.tell("unasked", item);
    }
    this.tell("asked", asked);
    return asked;
  }

  answering(id, text, at) {
    const asked = this.asked.get(id);
    if (!asked || asked.own || asked.done) return;
    asked.answer += text;
    asked.answeredAt = at;
    this.tell("asked", asked);
  }

  answer(id, answer, at) {
    const asked = this.asked.get(id);
    if (!asked) return;
    Object.assign(asked, { answer: answer.text || "", done: true, answeredAt: at });
    this.tell("asked", asked);
  }

  channel(change) {
    if (change.channel === NARRATION) return;
    if (!change.open) this.channels.delete(change.channel);
    else if (!this.channels.has(change.channel)) this.opened(change.channel, change.text || "", plain(change.kind, "CHANNEL_KIND_"));
    this.tell("channels", change.channel);
  }

  /** A channel that is open, as the gateway lists it. */
  opened(name, text, kind, answer = "") {
    const known = this.channels.get(name);
    if (kind === "narration") return;
    this.channels.set(name, { name, text, kind: kind || "standing", answer: known?.answer || answer, at: known?.at ?? null });
    this.tell("channels", name);
  }

  pointsOf(channel) {
    if (!this.points.has(channel)) this.points.set(channel, []);
    return this.points.get(channel);
  }

  /** What was held at a moment of the video. */
  captionAt(at) {
    for (let index = this.said.length - 1; index >= 0; index -= 1) {
      const item = this.said[index];
      if (!item.notice && item.at <= at + 1e-3 && item.text) return item;
    }
    return null;
  }

  tell(what, item) {
    this.dispatchEvent(new CustomEvent("change", { detail: { what, item } }));
  }
}
