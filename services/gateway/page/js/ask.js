// Questions: asked once and answered while the answer is made, or kept standing.

import { call, events, streamPath } from "./api.js";
import { byId, complain, icon, make, say } from "./dom.js";
import { clock, number, plain, seconds } from "./units.js";

let numAsked = 0;

export class AskPanel {
  /** `onChannel(name)`: somebody wants to see a channel's curve. */
  constructor(onChannel) {
    this.form = byId("ask");
    this.input = byId("question");
    this.answers = byId("answers");
    this.chips = byId("standing");
    this.problem = byId("ask-problem");
    this.onChannel = onChannel;
    // Questions of this page follow on from each other.
    this.chain = `page-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`;
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.ask(); });
    byId("pin").addEventListener("click", () => this.stand());
  }

  show(stream, story) {
    this.stream = stream;
    this.story = story;
    this.rows = new Map();
    this.chosen = null;
    this.answers.replaceChildren();
    this.chips.replaceChildren();
    complain(this.problem, null);
  }

  /** Nobody can look into a stream that is over. */
  setOver(over) {
    for (const control of this.form.elements) control.disabled = over;
    this.input.placeholder = over ? "This stream is over" : "What just happened?";
  }

  async ask() {
    const text = this.input.value.trim();
    if (!text) return;
    const { stream, story } = this;
    this.input.value = "";
    complain(this.problem, null);
    numAsked += 1;
    let asked = story.ask(`own-${numAsked}`, { text, at: null, own: true });
    try {
      const body = { text, chain: this.chain };
      for await (const told of events("POST", streamPath(stream, "/questions"), { body })) {
        if (!told.data) continue;
        const reply = JSON.parse(told.data);
        if (told.type === "error") throw new Error(reply.detail);
        if (told.type === "asked") asked = this.taken(story, asked, reply);
        else if (told.type === "piece") this.more(asked, reply.piece);
        else if (told.type === "answer") story.answer(asked.id, reply.answer, seconds(reply.pts_ns));
      }
    } catch (error) {
      asked.failed = error.message;
      asked.done = true;
      this.update(asked);
    }
  }

  /** The question has its number: the same one, told by the events, is this one. */
  taken(story, asked, reply) {
    const id = number(reply.asked.question_id);
    const twin = story.asked.get(id);
    if (twin) this.drop(twin);
    story.asked.delete(asked.id);
    Object.assign(asked, { id, at: seconds(reply.pts_ns) });
    story.asked.set(id, asked);
    this.update(asked);
    return asked;
  }

  more(asked, piece) {
    asked.answer += piece;
    this.update(asked);
  }

  async stand() {
    const text = this.input.value.trim();
    if (!text) { this.input.focus(); return; }
    complain(this.problem, null);
    try {
      const { channel } = await call("POST", streamPath(this.stream, "/channels"), { body: { text } });
      this.input.value = "";
      this.story.opened(channel, text, "standing");
    } catch (error) {
      complain(this.problem, error);
    }
  }

  update(asked) {
    let row = this.rows.get(asked);
    if (!row) {
      const words = make("span", { class: "words" });
      const at = make("span", { class: "at" });
      const answer = make("div", { class: "a" }, words, at);
      row = { element: make("li", { class: "asked" }, make("div", { class: "q" }, asked.text), answer), words, at, answer };
      this.rows.set(asked, row);
      this.answers.append(row.element);
    }
    say(row.words, asked.failed || asked.answer);
    say(row.at, asked.done && !asked.failed && asked.at !== null ? `as of ${clock(asked.answeredAt ?? asked.at)}` : "");
    row.answer.classList.toggle("bad", Boolean(asked.failed));
    row.element.classList.toggle("answering", !asked.done);
    if (asked.own) row.element.scrollIntoView({ block: "nearest" });
  }

  drop(asked) {
    this.rows.get(asked)?.element.remove();
    this.rows.delete(asked);
  }

  /** The chips, as the story has them. */
  updateChannels() {
    const names = new Set();
    for (const channel of this.story.channels.values()) {
      names.add(channel.name);
      const chip = this.chip(channel);
      const answer = chip.querySelector(".answer");
      const text = channel.kind === "probe" ? "measured only" : channel.answer || "no answer yet";
      if (answer.textContent !== text) {
        say(answer, text);
        answer.classList.remove("fresh");
        requestAnimationFrame(() => answer.classList.add("fresh"));
      }
      chip.classList.toggle("chosen", channel.name === this.chosen);
    }
    for (const chip of [...this.chips.children]) if (!names.has(chip.dataset.channel)) chip.remove();
  }

  chip(channel) {
    const known = [...this.chips.children].find((chip) => chip.dataset.channel === channel.name);
    if (known) return known;
    const pick = () => {
      this.chosen = this.chosen === channel.name ? null : channel.name;
      this.onChannel(this.chosen);
      this.updateChannels();
    };
    const chip = make("li", { class: "chip" },
      make("button", { class: "asks", type: "button", title: "Show its curve", onclick: pick }, channel.text),
      make("span", { class: "answer" }),
      make("button", { class: "remove", type: "button", "aria-label": `Close: ${channel.text}`, onclick: () => this.remove(channel.name) }, icon("close")));
    chip.dataset.channel = channel.name;
    this.chips.append(chip);
    return chip;
  }

  async remove(name) {
    try {
      await call("DELETE", streamPath(this.stream, `/channels/${encodeURIComponent(name)}`));
      this.story.channel({ channel: name, open: false });
      if (this.chosen === name) this.onChannel(this.chosen = null);
    } catch (error) {
      complain(this.problem, error);
    }
  }

  /** Channels as the gateway lists them. */
  async load() {
    const { stream, story } = this;
    const { channels } = await call("GET", streamPath(stream, "/channels"));
    for (const one of channels) story.opened(one.channel, one.text, plain(one.kind, "CHANNEL_KIND_"), one.held_text);
  }
}
