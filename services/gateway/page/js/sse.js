// Server-sent events of a body. Not EventSource: that one cannot send a token, and hides what went wrong.

const MAX_CHARS = 4 * 1024 * 1024;

export async function* serverEvents(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  let ended = false;
  let event = { id: "", type: "message", data: [] };
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) {
        ended = true;
        return;
      }
      const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
      rest = lines.pop();
      if (rest.length > MAX_CHARS) throw new Error("An event of the gateway is too long.");
      for (const line of lines) {
        if (line === "") {
          // A comment alone is a sign of life: told without data.
          yield { id: event.id, type: event.type, data: event.data.join("\n") };
          event = { id: event.id, type: "message", data: [] };
          continue;
        }
        const colon = line.indexOf(":");
        const [name, text] = colon < 0 ? [line, ""] : [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, "")];
        if (name === "data") event.data.push(text);
        else if (name === "event") event.type = text;
        else if (name === "id") event.id = text;
      }
    }
  } finally {
    if (!ended) reader.cancel().catch(() => {});
  }
}
