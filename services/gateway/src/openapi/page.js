// The page at /api/docs: every call of openapi.json, to read and to try. It asks nobody but the
// gateway that it came from, and builds what it shows from nodes, so that nothing in the
// description or in an answer is ever taken for markup.
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];
const EVENTS = "text/event-stream";
const keyField = document.getElementById("key");
let spec = { paths: {} };

function node(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== undefined && child !== ""));
  return made;
}

function resolve(thing) {
  let found = thing || {};
  for (let step = 0; found.$ref && step < 20; step += 1) {
    found = found.$ref.slice(2).split("/").reduce((at, part) => at[part.replaceAll("~1", "/")], spec);
  }
  return found;
}

// A value that fits a schema, as far as anybody needs for a start.
function sample(schemaOrRef, depth = 0) {
  const schema = resolve(schemaOrRef);
  if (schema.example !== undefined) return schema.example;
  if (schema.examples?.length) return schema.examples[0];
  if (schema.default !== undefined) return schema.default;
  if (schema.const !== undefined) return schema.const;
  if (schema.enum) return schema.enum[0];
  const choice = schema.oneOf || schema.anyOf;
  if (choice) return sample(choice.find((one) => resolve(one).type !== "null") || choice[0], depth);
  if (schema.allOf) {
    const parts = schema.allOf.map((part) => sample(part, depth));
    return parts.every((part) => part && typeof part === "object") ? Object.assign({}, ...parts) : parts[0];
  }
  const type = Array.isArray(schema.type) ? schema.type.find((one) => one !== "null") : schema.type;
  if (type === "object" || schema.properties) {
    if (depth > 5) return {};
    const entries = Object.entries(schema.properties || {});
    return Object.fromEntries(entries.map(([name, part]) => [name, sample(part, depth + 1)]));
  }
  if (type === "array") return depth > 5 ? [] : [sample(schema.items, depth + 1)];
  if (type === "integer" || type === "number") return schema.minimum ?? 0;
  if (type === "boolean") return false;
  if (type === "string") return schema.format === "date-time" ? "2026-01-01T00:00:00Z" : "text";
  return null;
}

function json(value) {
  return JSON.stringify(value, null, 2);
}

function parameters(operation) {
  return (operation.parameters || []).map(resolve).map((parameter) => {
    const id = `${operation.operationId}-${parameter.name}`;
    const label = `${parameter.name}${parameter.required ? " (required)" : ""}`;
    const input = node("input", { id, name: parameter.name, autocomplete: "off" });
    const row = node("div", { class: "field" },
      node("label", { for: id }, label, node("span", { class: "gist" }, parameter.in)), input,
      node("small", {}, parameter.description || ""));
    return { parameter, input, row };
  });
}

function request(path, fields, body, wantsEvents) {
  let url = path;
  const query = new URLSearchParams();
  const headers = {};
  for (const { parameter, input } of fields) {
    if (parameter.in === "path") url = url.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    else if (input.value === "") continue;
    else if (parameter.in === "query") query.set(parameter.name, input.value);
    else headers[parameter.name] = input.value;
  }
  if (keyField.value) headers.Authorization = `Bearer ${keyField.value}`;
  if (wantsEvents) headers.Accept = EVENTS;
  if (body) headers["Content-Type"] = "application/json";
  return { url: query.size ? `${url}?${query}` : url, headers };
}

function curl(method, { url, headers }, body) {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const shown = Object.entries(headers).map(([name, value]) =>
    `-H ${quoted(`${name}: ${name === "Authorization" ? "Bearer $KEY" : value}`)}`);
  const data = body ? [`-d ${quoted(body)}`] : [];
  return [`curl -N -X ${method.toUpperCase()} ${quoted(location.origin + url)}`, ...shown, ...data].join(" \\\n  ");
}

async function show(answer, target, since) {
  const took = () => `${Math.round(performance.now() - since)} ms`;
  const status = node("p", { class: answer.ok ? "good" : "bad" }, `${answer.status} ${answer.statusText}`);
  const head = [...answer.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
  const text = node("pre", { tabindex: 0 });
  target.replaceChildren(status, node("pre", { tabindex: 0 }, head), text);
  const type = answer.headers.get("content-type") || "";
  if (type.startsWith(EVENTS)) {
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) text.append(part.value);
  } else {
    const body = await answer.text();
    text.append(type.includes("json") && body ? json(JSON.parse(body)) : body);
  }
  status.append(`, ${took()}`);
}

function call(path, method, operation) {
  const fields = parameters(operation);
  const media = resolve(operation.requestBody).content?.["application/json"];
  const example = media && (media.example ?? sample(media.schema));
  const area = media && node("textarea", { id: `${operation.operationId}-body`, spellcheck: "false" });
  if (area) area.value = json(example);
  const streams = Object.values(operation.responses || {}).some((one) => resolve(one).content?.[EVENTS]);
  const isOnlyStream = streams && !resolve(operation.responses["200"]).content?.["application/json"];
  const events = node("input", { type: "checkbox", id: `${operation.operationId}-events`, checked: isOnlyStream });
  const answer = node("div", { "aria-live": "polite" });
  let running = new AbortController();
  const stop = node("button", { type: "button", hidden: true, onclick: () => running.abort() }, "Stop");

  async function send(submitted) {
    submitted.preventDefault();
    running.abort();
    running = new AbortController();
    const body = area?.value.trim() || undefined;
    const asked = request(path, fields, body, events.checked);
    const command = node("pre", { tabindex: 0 }, curl(method, asked, body));
    const target = node("div");
    answer.replaceChildren(node("h3", {}, "Request"), command, node("h3", {}, "Answer"), target);
    stop.hidden = false;
    try {
      const options = { method: method.toUpperCase(), headers: asked.headers, body, signal: running.signal };
      const since = performance.now();
      await show(await fetch(asked.url, options), target, since);
    } catch (error) {
      target.append(node("p", { class: "bad" }, error.name === "AbortError" ? "Stopped." : String(error)));
    }
    stop.hidden = true;
  }

  const answers = Object.entries(operation.responses || {}).map(([status, one]) => {
    const response = resolve(one);
    const schema = response.content?.["application/json"]?.schema;
    return node("details", {}, node("summary", {}, `${status} `, node("span", { class: "gist" }, response.description || "")),
      schema ? node("pre", { tabindex: 0 }, json(sample(schema))) : "");
  });
  return node("form", { class: "call", onsubmit: send },
    node("p", {}, operation.description || ""),
    ...fields.map((field) => field.row),
    ...(area ? [node("h3", {}, node("label", { for: area.id }, "Body")), area] : []),
    ...(streams ? [node("p", {}, events, " ", node("label", { for: events.id }, "as server-sent events"))] : []),
    node("p", {}, node("button", {}, "Send"), " ", stop), answer,
    node("h3", {}, "Answers"), ...answers);
}

function entry(path, method, operation) {
  const body = node("div");
  const details = node("details", {
    id: operation.operationId,
    ontoggle: () => { if (details.open && !body.hasChildNodes()) body.append(call(path, method, operation)); },
  },
  node("summary", {}, node("span", { class: "method" }, method.toUpperCase()), node("span", { class: "path" }, path),
    node("span", { class: "gist" }, operation.summary || "")), body);
  details.dataset.text = `${method} ${path} ${operation.summary || ""} ${operation.description || ""}`.toLowerCase();
  return details;
}

function render() {
  document.getElementById("about").textContent = `${spec.info.description || ""} Version ${spec.info.version}.`;
  const groups = new Map();
  for (const [path, item] of Object.entries(spec.paths)) {
    for (const method of METHODS.filter((one) => item[one])) {
      const tag = item[method].tags?.[0] || "other";
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(entry(path, method, item[method]));
    }
  }
  const sections = [...groups].map(([tag, entries]) => node("section", {}, node("h2", {}, tag), ...entries));
  document.getElementById("calls").replaceChildren(...sections);
  const named = location.hash && document.getElementById(location.hash.slice(1));
  if (named) { named.open = true; named.scrollIntoView(); }
}

function find(event) {
  const words = event.target.value.toLowerCase().split(/\s+/);
  for (const section of document.querySelectorAll("section")) {
    const entries = [...section.querySelectorAll(":scope > details")];
    for (const one of entries) one.hidden = !words.every((word) => one.dataset.text.includes(word));
    section.hidden = entries.every((one) => one.hidden);
  }
}

document.getElementById("find").addEventListener("input", find);
document.getElementById("access").addEventListener("submit", (event) => event.preventDefault());
fetch("openapi.json").then((answer) => answer.json()).then((read) => { spec = read; render(); })
  .catch((error) => { document.getElementById("about").textContent = `openapi.json cannot be read: ${error}`; });
