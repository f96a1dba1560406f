// The events of one stream, for as long as it is looked at: resumed behind the last one, whatever breaks in between.

import { Problem, events, streamPath } from "./api.js";

const FIRST_PAUSE_MS = 500;
const MAX_PAUSE_MS = 8000;
const SILENT_MS = 40_000;

export class Feed {
  /** `onEvent(type, event)` for each event; `onStatus(state, words)`: "connecting", "open", "waiting", "over", "gone". */
  constructor(stream, after, { onEvent, onStatus }) {
    this.stream = stream;
    this.last = after;
    this.onEvent = onEvent;
    this.onStatus = onStatus;
    this.over = false;
    this.run();
  }

  close() {
    this.over = true;
    this.connection?.abort();
  }

  async run() {
    let pause = FIRST_PAUSE_MS;
    while (!this.over) {
      this.onStatus("connecting");
      let words = "The connection was lost";
      try {
        for await (const type of this.connected()) {
          pause = FIRST_PAUSE_MS;
          if (type === "lagging") words = "This page did not keep up";
        }
      } catch (error) {
        if (this.over) return;
        if (error instanceof Problem && !error.retryable) {
          this.over = true;
          this.onStatus("gone", error.message);
          return;
        }
        words = error.name === "AbortError" ? "The connection fell silent" : error.message;
      }
      if (this.over) return;
      this.onStatus("waiting", words);
      await new Promise((resolve) => setTimeout(resolve, pause * (0.5 + Math.random() / 2)));
      pause = Math.min(pause * 2, MAX_PAUSE_MS);
    }
  }

  async *connected() {
    this.connection = new AbortController();
    let watchdog;
    const alive = () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => this.connection.abort(), SILENT_MS);
    };
    alive();
    try {
      const path = streamPath(this.stream, `/events?after=${this.last}`);
      for await (const told of events("GET", path, { signal: this.connection.signal })) {
        alive();
        this.onStatus("open");
        if (!told.data) continue;
        const event = JSON.parse(told.data);
        if (told.type === "error") throw new Problem(event.status, event);
        const sequence = Number(event.sequence || 0);
        // At least once from here to there; exactly once from here on.
        if (sequence && sequence <= this.last) continue;
        if (sequence) this.last = sequence;
        if (event.events_missed) this.last = Math.max(this.last, Number(event.events_missed.oldest_sequence) - 1);
        this.onEvent(told.type, event);
        yield told.type;
        if (this.over) return;
      }
    } finally {
      clearTimeout(watchdog);
      this.connection.abort();
    }
  }

  finish() {
    this.over = true;
    this.onStatus("over");
  }
}
