// The gateway's HTTP interface, with its errors as sentences.

import { serverEvents } from "./sse.js";

const TOKEN = "livestar-token";

export class Problem extends Error {
  constructor(status, document) {
    super(document.detail || document.title || "The gateway does not answer: is it running?");
    this.status = status;
    this.retryable = Boolean(document.retryable) || status === 0;
    this.fields = document.errors || [];
  }
}

let askForToken = null;

/** Who asks for the token when the gateway wants one; resolves when there is one. */
export function onTokenWanted(ask) {
  askForToken = ask;
}

export function setToken(token) {
  sessionStorage.setItem(TOKEN, token);
}

export function authorization() {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { Authorization: `Bearer ${token}` } : {};
}

export const streamPath = (stream, rest = "") => `/v1/streams/${encodeURIComponent(stream)}${rest}`;

async function request(method, path, { body, accept = "application/json", signal } = {}) {
  for (;;) {
    const headers = { Accept: accept, ...authorization() };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    let response;
    try {
      response = await fetch(path, {
        method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body), cache: "no-store",
      });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem(0, {});
    }
    if (response.ok) return response;
    const document = await response.json().catch(() => ({ title: `The gateway answered with status ${response.status}.` }));
    if (response.status !== 401 || !askForToken) throw new Problem(response.status, document);
    await askForToken();
  }
}

export async function call(method, path, options) {
  const response = await request(method, path, options);
  return response.status === 204 ? null : response.json();
}

/** Server-sent events of an answer, as they come. */
export async function* events(method, path, options) {
  const response = await request(method, path, { ...options, accept: "text/event-stream" });
  yield* serverEvents(response.body);
}
