// The form that watches another source.

import { call } from "./api.js";
import { byId, complain, say } from "./dom.js";

export class AddDialog {
  /** `onCreated(id)`: there is a new stream. */
  constructor(onCreated) {
    this.dialog = byId("add-dialog");
    this.form = byId("add-form");
    this.onCreated = onCreated;
    for (const id of ["add", "empty-add"]) byId(id).addEventListener("click", () => this.open());
    for (const close of this.dialog.querySelectorAll("[data-close]")) close.addEventListener("click", () => this.dialog.close());
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.create(); });
  }

  open() {
    this.mark([]);
    complain(byId("add-problem"), null);
    this.dialog.showModal();
    this.form.elements.source.focus();
  }

  body() {
    const { source, id, fps, pace, alpha, standing, task_prompt: prompt, loop } = this.form.elements;
    const body = { source: source.value.trim(), pace: pace.value, loop: loop.checked };
    if (id.value.trim()) body.id = id.value.trim();
    if (fps.value) body.fps = Number(fps.value);
    if (alpha.value) body.alpha = Number(alpha.value);
    if (prompt.value.trim()) body.task_prompt = prompt.value.trim();
    body.standing = standing.value.split("\n").map((line) => line.trim()).filter(Boolean);
    return body;
  }

  async create() {
    const submit = byId("add-submit");
    submit.disabled = true;
    say(submit, "Looking at it…");
    this.mark([]);
    complain(byId("add-problem"), null);
    try {
      const stream = await call("POST", "/v1/streams", { body: this.body() });
      this.dialog.close();
      this.form.reset();
      this.onCreated(stream.spec.stream_id);
    } catch (error) {
      complain(byId("add-problem"), error);
      this.mark(error.fields?.length ? error.fields.map((one) => one.field) : /^source/.test(error.message) ? ["source"] : []);
    } finally {
      submit.disabled = false;
      say(submit, "Watch");
    }
  }

  /** Marks the fields that cannot work. */
  mark(names) {
    for (const element of this.form.elements) {
      if (!element.name) continue;
      if (names.some((name) => name.split(".")[0] === element.name)) element.setAttribute("aria-invalid", "true");
      else element.removeAttribute("aria-invalid");
    }
    this.form.querySelector("[aria-invalid]")?.focus();
  }
}
