// The held caption's perplexity against the gate's threshold, over the last minute. Log scale: the distance is what the gate sees.

import { byId, say } from "./dom.js";
import { NARRATION } from "./story.js";
import { clock } from "./units.js";

const WINDOW_S = 60;
const MARGIN = { top: 14, right: 14, bottom: 22, left: 42 };
const TICKS = [1, 1.02, 1.05, 1.1, 1.2, 1.5, 2, 3, 5, 10, 20, 50, 100, 1000, 1e4, 1e6];
const RULES = {
  first: "nothing was held yet", perplexity: "it no longer fitted", max_silence: "it had been silent for as long as it may",
  not_finite: "the likelihood was not finite", holds: "it still holds", min_gap: "it spoke too recently",
  unconfirmed: "the next frame has to confirm", probe: "it only measures",
};

export class Chart {
  /** `onSeek(at)`: somebody points at a moment. */
  constructor(onSeek) {
    this.canvas = byId("chart");
    this.tip = byId("chart-tip");
    this.onSeek = onSeek;
    this.channel = NARRATION;
    this.playhead = null;
    this.chosen = null;
    this.scale = { low: 0, high: 0.5 };
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    document.addEventListener("themechange", () => { this.colours = null; this.draw(); });
    this.canvas.addEventListener("pointermove", (event) => this.choose(this.nearest(event.offsetX)));
    this.canvas.addEventListener("pointerleave", () => this.choose(null));
    this.canvas.addEventListener("click", (event) => this.seek(this.nearest(event.offsetX)));
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.canvas.addEventListener("blur", () => this.choose(null));
  }

  show(story, channel = NARRATION) {
    this.story = story;
    this.channel = channel;
    this.chosen = null;
    this.draw();
  }

  setPlayhead(at) {
    if (this.playhead !== at) {
      this.playhead = at;
      this.draw();
    }
  }

  /** Draws once in the next frame, however often it is asked to. */
  draw() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => { this.waiting = 0; this.paint(); });
  }

  visible() {
    const points = this.story ? this.story.pointsOf(this.channel) : [];
    const to = Math.max(this.story?.newest ?? 0, WINDOW_S);
    const from = to - WINDOW_S;
    let first = points.length;
    while (first > 0 && points[first - 1].at >= from - 2) first -= 1;
    return { points: points.slice(first), from, to };
  }

  paint() {
    const { canvas } = this;
    const ratio = devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width || !height) return;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    context.font = "11.5px system-ui, sans-serif";
    this.colours ??= palette(canvas);
    const { points, from, to } = this.visible();
    this.fit(points);
    const inner = { w: width - MARGIN.left - MARGIN.right, h: height - MARGIN.top - MARGIN.bottom };
    this.x = (at) => MARGIN.left + ((at - from) / (to - from)) * inner.w;
    this.y = (nll) => MARGIN.top + (1 - (nll - this.scale.low) / (this.scale.high - this.scale.low)) * inner.h;
    this.grid(context, width, height, from, to);
    context.save();
    context.beginPath();
    context.rect(MARGIN.left, 0, inner.w, height - MARGIN.bottom + 1);
    context.clip();
    this.curves(context, points);
    context.restore();
    this.marks(context, points, height, from);
    this.head(context, height, from, to);
    this.describe(points);
  }

  /** Fits the axis to what is seen; grows at once, shrinks slowly, so that it does not jump. */
  fit(points) {
    const values = points.flatMap((point) => [point.nll, point.threshold]).filter(Number.isFinite);
    if (!values.length) return;
    const top = Math.max(...values);
    const bottom = Math.min(...values, top - 0.08);
    const room = (top - bottom) * 0.18 + 0.02;
    const wanted = { low: Math.max(0, bottom - room), high: top + room };
    const slow = (old, next, outwards) => (outwards ? next : old + (next - old) * 0.12);
    this.scale.low = slow(this.scale.low, wanted.low, wanted.low < this.scale.low);
    this.scale.high = slow(this.scale.high, wanted.high, wanted.high > this.scale.high);
  }

  grid(context, width, height, from, to) {
    const { colours } = this;
    context.strokeStyle = colours.line;
    context.fillStyle = colours.faint;
    context.lineWidth = 1;
    context.textAlign = "right";
    context.textBaseline = "middle";
    let last = Infinity;
    for (const tick of TICKS) {
      const y = Math.round(this.y(Math.log(tick))) + 0.5;
      if (y < MARGIN.top - 6 || y > height - MARGIN.bottom || last - y < 26) continue;
      last = y;
      stroke(context, [[MARGIN.left, y], [width - MARGIN.right, y]]);
      context.fillText(tick >= 1e4 ? tick.toExponential(0) : String(tick), MARGIN.left - 8, y);
    }
    context.textAlign = "center";
    context.textBaseline = "alphabetic";
    const step = width < 460 ? 20 : 10;
    for (let at = Math.ceil(from / step) * step; at <= to; at += step) {
      context.fillText(clock(at), Math.min(Math.max(this.x(at), MARGIN.left + 10), width - MARGIN.right - 8), height - 6);
    }
  }

  curves(context, points) {
    const { colours } = this;
    for (const held of clips(points)) {
      const ends = [held[0].at, held.at(-1).at].map((at) => [this.x(at), this.y(held[0].threshold)]);
      context.setLineDash([5, 4]);
      context.strokeStyle = colours.threshold;
      context.lineWidth = 1.5;
      stroke(context, ends);
      context.setLineDash([]);
      const curve = held.filter((point) => Number.isFinite(point.nll)).map((point) => [this.x(point.at), this.y(point.nll)]);
      this.overshoot(context, curve, ends[0][1]);
      context.strokeStyle = colours.curve;
      context.lineWidth = 2;
      context.lineJoin = "round";
      if (curve.length === 1) disc(context, curve[0], 2, colours.curve);
      stroke(context, curve);
    }
  }

  /** Shades what lies above the threshold. */
  overshoot(context, curve, limit) {
    if (curve.length < 2) return;
    context.save();
    context.beginPath();
    context.rect(0, 0, this.canvas.clientWidth, limit);
    context.clip();
    context.beginPath();
    context.moveTo(curve[0][0], limit);
    for (const [x, y] of curve) context.lineTo(x, y);
    context.lineTo(curve.at(-1)[0], limit);
    context.fillStyle = this.colours.over;
    context.fill();
    context.restore();
  }

  marks(context, points, height, from) {
    const { colours } = this;
    for (const point of points) {
      if (!point.spoke || point.at < from) continue;
      const x = this.x(point.at);
      context.globalAlpha = 0.35;
      context.strokeStyle = colours.spoke;
      context.lineWidth = 1;
      stroke(context, [[x, MARGIN.top], [x, height - MARGIN.bottom]]);
      context.globalAlpha = 1;
      disc(context, [x, Number.isFinite(point.nll) ? this.y(point.nll) : height - MARGIN.bottom - 5], 4.5, colours.spoke);
    }
  }

  head(context, height, from, to) {
    for (const [at, colour, dash] of [[this.playhead, this.colours.soft, [2, 3]], [this.chosen?.at, this.colours.text, []]]) {
      if (at === null || at === undefined || at < from || at > to) continue;
      context.strokeStyle = colour;
      context.lineWidth = 1;
      context.setLineDash(dash);
      stroke(context, [[this.x(at), MARGIN.top - 6], [this.x(at), height - MARGIN.bottom]]);
      context.setLineDash([]);
    }
    if (this.chosen && Number.isFinite(this.chosen.nll)) disc(context, [this.x(this.chosen.at), this.y(this.chosen.nll)], 3.5, this.colours.text);
  }

  nearest(x) {
    if (!this.x) return null;
    const { points, from } = this.visible();
    let best = null;
    for (const point of points) {
      if (point.at >= from && (!best || Math.abs(this.x(point.at) - x) < Math.abs(this.x(best.at) - x))) best = point;
    }
    return best;
  }

  choose(point) {
    this.chosen = point;
    this.tip.hidden = !point;
    if (point) {
      const title = document.createElement("strong");
      const lines = told(point).map((text) => Object.assign(document.createElement("span"), { textContent: text }));
      title.textContent = `${clock(point.at)} ${point.spoke ? "spoke" : "silent"}`;
      this.tip.replaceChildren(title, ...lines);
      const left = this.x(point.at) + 12;
      const width = this.tip.offsetWidth;
      this.tip.style.left = `${left + width > this.canvas.clientWidth ? Math.max(0, left - width - 24) : left}px`;
    }
    this.draw();
  }

  seek(point) {
    if (point) this.onSeek(point.at);
  }

  key(event) {
    const { points } = this.visible();
    if (event.key === "Enter") return this.seek(this.chosen);
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (!step || !points.length) return undefined;
    event.preventDefault();
    const index = this.chosen ? points.indexOf(this.chosen) : points.length - 1;
    const point = points[Math.min(points.length - 1, Math.max(0, this.chosen ? index + step : index))];
    this.choose(point);
    say(byId("chart-said"), `${clock(point.at)}, ${point.spoke ? "spoke" : "silent"}. ${told(point).join(". ")}`);
    return undefined;
  }

  describe(points) {
    const last = points.at(-1);
    const spoken = points.filter((point) => point.spoke).length;
    const words = last
      ? `Perplexity ${figure(last.nll)} against a threshold of ${figure(last.threshold)}; spoke ${spoken} times in the last minute. Arrow keys go through the frames.`
      : "Chart of perplexity against the threshold: nothing yet.";
    if (this.canvas.getAttribute("aria-label") !== words) this.canvas.setAttribute("aria-label", words);
  }
}

/** Points a caption: each has a reference of its own, from the moment when it was spoken to the one when it no longer fitted. */
function clips(points) {
  const found = [];
  let clip = [];
  for (const point of points) {
    if (Number.isFinite(point.threshold)) clip.push(point);
    if (!point.spoke) continue;
    if (clip.length) found.push(clip);
    clip = Number.isFinite(point.fresh) ? [{ at: point.at, nll: point.fresh, threshold: point.fresh + Math.log(point.alpha) }] : [];
  }
  return clip.length ? [...found, clip] : found;
}

function told(point) {
  const lines = [RULES[point.rule] || point.rule];
  if (Number.isFinite(point.nll)) lines.push(`perplexity ${figure(point.nll)}, threshold ${figure(point.threshold)}`);
  return lines;
}

function figure(nll) {
  if (!Number.isFinite(nll)) return "none";
  const value = Math.exp(nll);
  return value >= 1e4 ? value.toExponential(1) : value.toPrecision(3);
}

function stroke(context, path) {
  context.beginPath();
  path.forEach(([x, y], index) => (index ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.stroke();
}

function disc(context, [x, y], radius, colour) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = colour;
  context.fill();
}

function palette(element) {
  const style = getComputedStyle(element);
  const names = ["line", "faint", "soft", "text", "curve", "threshold", "over", "spoke"];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}
