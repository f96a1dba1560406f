// Numbers of the wire, and numbers for people.

/** A number of the protos' JSON form: 64-bit integers come as text, zero is left out, NaN is "NaN". */
export const number = (value) => (value === undefined || value === null ? 0 : Number(value));

/** Seconds of a `*_ns` field. */
export const seconds = (ns) => number(ns) / 1e9;

/** 4:07, or 1:02:07. */
export function clock(s) {
  const whole = Math.max(0, Math.floor(s + 1e-6));
  const parts = [Math.floor(whole / 60) % 60, whole % 60].map((n) => String(n).padStart(2, "0"));
  const hours = Math.floor(whole / 3600);
  return hours ? `${hours}:${parts.join(":")}` : `${Number(parts[0])}:${parts[1]}`;
}

/** 7 s, 2 min, 3 h. */
export function span(s) {
  if (s < 90) return `${Math.max(0, Math.round(s))} s`;
  return s < 5400 ? `${Math.round(s / 60)} min` : `${(s / 3600).toFixed(1)} h`;
}

/** `running` of STREAM_STATE_RUNNING. */
export const plain = (name, prefix) => (name || "").replace(prefix, "").toLowerCase();

export const stateOf = (stream) => plain(stream.state, "STREAM_STATE_");

export const FINAL = new Set(["stopped", "ended", "failed"]);
