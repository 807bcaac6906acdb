// A trace as a tree of bars. Everything is told by Jaeger's query API, and shown as text.

const shown = document.getElementById("shown");
const KINDS = ["", "", "server", "client", "producer", "consumer"];

document.getElementById("find").addEventListener("submit", async (event) => {
  event.preventDefault();
  const what = event.target.elements.what.value.trim();
  if (/^[0-9a-f]{32}$/.test(what)) return go(what);
  const traces = await ofTask(what);
  if (traces.length === 1) return go(traces[0]);
  say(traces.length === 0 ? `No trace tells of the task ${what} (yet).` : "Several traces tell of it:", traces);
});

function go(trace) {
  location.assign(`${document.baseURI}trace/${trace}`);
}

async function ask(path) {
  const answer = await fetch(new URL(path, document.baseURI));
  if (answer.status === 404) return null;
  if (!answer.ok) throw new Error(`${path} is answered with ${answer.status}`);
  return answer.json();
}

/** Ids of the traces that have a message of this id. */
async function ofTask(task) {
  const found = new Set();
  const tags = encodeURIComponent(JSON.stringify({ "messaging.message.id": task }));
  for (const service of (await ask("api/services")).data ?? []) {
    const traces = await ask(`api/traces?service=${encodeURIComponent(service)}&limit=20&tags=${tags}`);
    for (const trace of traces?.data ?? []) found.add(trace.traceID);
  }
  return [...found];
}

function make(tag, text, attributes = {}) {
  const element = Object.assign(document.createElement(tag), attributes);
  if (text !== undefined) element.textContent = text;
  return element;
}

function say(text, traces = []) {
  shown.replaceChildren(make("p", text));
  for (const trace of traces) {
    const line = make("p");
    line.append(make("a", trace, { href: `trace/${trace}` }));
    shown.append(line);
  }
}

const plain = (value = {}) => {
  const [[kind, inner]] = Object.entries(value).concat([["", ""]]);
  if (kind === "arrayValue") return (inner.values ?? []).map(plain).join(", ");
  return String(inner);
};
const attributes = (of) => (of?.attributes ?? []).map(({ key, value }) => [key, plain(value)]);

/** Spans with numbers for times: milliseconds since the first of them. */
function spansOf(answer) {
  const spans = [];
  for (const { resource, scopeSpans = [] } of answer.result?.resourceSpans ?? []) {
    const service = attributes(resource).find(([key]) => key === "service.name")?.[1] ?? "";
    for (const span of scopeSpans.flatMap((scope) => scope.spans ?? [])) spans.push({ ...span, service });
  }
  const began = spans.reduce((least, span) => (BigInt(span.startTimeUnixNano) < least ? BigInt(span.startTimeUnixNano) : least),
    BigInt(spans[0]?.startTimeUnixNano ?? 0));
  const millis = (nanos) => Number(BigInt(nanos) - began) / 1e6;
  for (const span of spans) [span.from, span.to] = [millis(span.startTimeUnixNano), millis(span.endTimeUnixNano)];
  return spans.sort((a, b) => a.from - b.from || a.to - b.to);
}

function duration(millis) {
  if (millis >= 1000) return `${(millis / 1000).toFixed(2)} s`;
  return millis >= 1 ? `${millis.toFixed(1)} ms` : `${Math.round(millis * 1000)} µs`;
}

function row(span, depth, whole) {
  const details = make("details", undefined, { className: span.status?.code === 2 ? "failed" : "" });
  details.classList.add(KINDS[span.kind] || "internal");
  const line = make("summary");
  const name = make("span", span.name, { className: "name" });
  name.style.paddingInlineStart = `${depth}rem`;
  name.append(make("small", ` ${span.service}`));
  const bar = make("span", undefined, { className: "bar" });
  const filled = make("i");
  filled.style.insetInlineStart = `${(span.from / whole) * 100}%`;
  filled.style.inlineSize = `max(2px, ${((span.to - span.from) / whole) * 100}%)`;
  bar.append(filled);
  line.append(name, bar, make("span", duration(span.to - span.from), { className: "time" }));
  details.append(line, facts(span));
  return details;
}

function facts(span) {
  const list = make("dl");
  const put = (key, value) => list.append(make("dt", key), value instanceof Node ? value : make("dd", value));
  put("starts after", duration(span.from));
  for (const [key, value] of attributes(span)) put(key, value);
  if (span.status?.message) put("status", span.status.message);
  for (const link of span.links ?? []) {
    const to = make("dd");
    to.append(make("a", `${link.traceId} ${link.spanId}`, { href: `trace/${link.traceId}` }));
    put("linked to", to);
  }
  return list;
}

function show(trace, answer) {
  const spans = spansOf(answer);
  const whole = Math.max(...spans.map((span) => span.to), 0.001);
  const ids = new Set(spans.map((span) => span.spanId));
  shown.replaceChildren(make("h1", `${spans[0]?.name ?? "An empty trace"}`),
    make("p", `${spans.length} spans in ${duration(whole)}, trace ${trace}`));
  const branch = (span, depth) => {
    shown.append(row(span, depth, whole));
    if (depth < 40) for (const child of spans.filter((other) => other.parentSpanId === span.spanId)) branch(child, depth + 1);
  };
  for (const root of spans.filter((span) => !ids.has(span.parentSpanId))) branch(root, 0);
}

const trace = /\/trace\/([0-9a-f]{1,32})/.exec(location.pathname)?.[1];
if (trace) {
  ask(`api/v3/traces/${trace}`)
    .then((answer) => (answer ? show(trace, answer) : say(`Jaeger knows no trace ${trace}: spans take a second or so to arrive.`)))
    .catch((error) => say(error.message));
} else {
  say("Every task has a trace: GET /api/hp/tasks/{task_id} and the dashboard name it.");
}
