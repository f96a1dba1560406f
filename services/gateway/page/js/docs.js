// The OpenAPI document for people.

import { byId, complain, make } from "./dom.js";

const MAX_DEPTH = 3;

function resolve(document, schema) {
  return schema?.$ref ? document.components.schemas[schema.$ref.split("/").at(-1)] : schema;
}

/** What a value looks like, as lines of text. */
function shape(document, given, depth = 0) {
  const schema = resolve(document, given) || {};
  const options = schema.anyOf || schema.oneOf;
  if (schema.allOf) {
    const parts = schema.allOf.map((part) => resolve(document, part));
    return shape(document, { type: "object", properties: Object.assign({}, ...parts.map((part) => part.properties)) }, depth);
  }
  if (options) return [...new Set(options.map((option) => shape(document, option, depth)))].join(" or ");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.type === "array") return `[${shape(document, schema.items, depth)}, …]`;
  if (schema.type !== "object" || !schema.properties) return schema.type || "any";
  if (depth >= MAX_DEPTH) return "{…}";
  const pad = "  ".repeat(depth + 1);
  const lines = Object.entries(schema.properties).map(([name, value]) => {
    const words = value.description ? `   // ${value.description}` : "";
    return `${pad}"${name}": ${shape(document, value, depth + 1)},${words}`;
  });
  return `{\n${lines.join("\n")}\n${"  ".repeat(depth)}}`;
}

function section(title, ...children) {
  return [make("h3", {}, title), ...children];
}

function parameters(document, list) {
  return make("ul", {}, ...list.map((one) => make("li", {},
    make("code", {}, one.name), ` (${one.in}${one.required ? "" : ", optional"}) ${one.description || shape(document, one.schema)}`)));
}

function bodies(document, content) {
  return Object.entries(content || {}).map(([type, { schema }]) => make("pre", {}, `${type}\n${shape(document, schema)}`));
}

function operation(document, path, method, said) {
  const more = make("div", { class: "more" });
  if (said.parameters?.length) more.append(...section("Parameters", parameters(document, said.parameters)));
  if (said.requestBody) more.append(...section("Body", ...bodies(document, said.requestBody.content)));
  for (const [status, answer] of Object.entries(said.responses)) {
    const detail = Number(status) < 300 ? bodies(document, answer.content) : [];
    more.append(...section(`${status} ${answer.description}`, ...detail));
  }
  return make("details", { class: "operation" },
    make("summary", {}, make("span", { class: "method" }, method.toUpperCase()), make("code", { class: "path" }, path),
      make("span", { class: "says" }, said.summary || "")),
    more);
}

async function show() {
  const document = await (await fetch("/openapi.json")).json();
  const groups = new Map();
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, said] of Object.entries(methods)) {
      const tag = said.tags?.[0] || "other";
      groups.set(tag, [...(groups.get(tag) || []), operation(document, path, method, said)]);
    }
  }
  for (const [tag, operations] of groups) byId("operations").append(make("h2", {}, tag), ...operations);
}

show().catch((error) => complain(byId("docs-problem"), error));
