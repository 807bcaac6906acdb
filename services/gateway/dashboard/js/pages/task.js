// One task: its way in time, why it waits, what came out.

import * as api from "../api.js";
import { act, ask, h, s, show } from "../dom.js";
import { clock, duration, word, OUTCOMES, relative, state, when } from "../format.js";
import { repeat } from "../live.js";
import { json, outside, taskLink } from "../parts.js";

const EVERY = 1_000;

export async function task(page, id, signal) {
  let shown = "";
  let isOver = false;
  const look = async () => {
    const found = await api.get(`/tasks/${encodeURIComponent(id)}`, signal);
    isOver = OUTCOMES.includes(found.status);
    const now = JSON.stringify(found);
    // A finished task changes no more; redrawing it would lose a selection.
    if (isOver && now === shown) return;
    shown = now;
    show(page, ...draw(found, look));
  };
  await repeat(EVERY, signal, async () => { if (!isOver) await look(); });
}

function draw(found, look) {
  return [
    h("div", { class: "head" },
      h("div", {}, h("p", { class: "small" }, h("a", { href: "#/tasks" }, "Tasks")), h("h1", { class: "mono", style: { fontSize: "19px" } }, found.task_id)),
      h("div", { class: "row" }, state(found.status), traceLink(found), actions(found, look))),
    waiting(found),
    found.error ? h("div", { class: "alert" }, h("strong", {}, found.error.code), h("p", {}, found.error.message)) : null,
    found.progress && !OUTCOMES.includes(found.status) ? progress(found.progress) : null,
    h("section", { class: "panel" }, h("h2", {}, "In time"), timeline(found), steps(found)),
    h("section", { class: "panel" }, facts(found)),
    found.result !== undefined ? h("section", { class: "panel" }, h("h2", {}, "Result"), json(found.result)) : null,
    h("section", { class: "panel" }, h("h2", {}, "Payload"), payload(found)),
  ];
}

function traceLink(found) {
  return found.trace_url ? outside(found.trace_url, "Trace") : null;
}

function actions(found, look) {
  const path = `/tasks/${encodeURIComponent(found.task_id)}`;
  const cancel = async (event) => {
    const sure = await ask({ title: "Cancel this task?", body: [h("p", {}, "If it runs it is stopped. This cannot be taken back.")], action: "Cancel the task", danger: true });
    if (sure && await act(event.target, () => api.post(`${path}/cancel`))) await look();
  };
  const again = async (event) => {
    const made = await act(event.target, () => api.post(`${path}/retry`));
    if (made) location.hash = `#/tasks/${encodeURIComponent(made.task_id)}`;
  };
  if (!OUTCOMES.includes(found.status)) return h("button", { type: "button", class: "danger", onclick: cancel }, "Cancel…");
  return found.status === "completed" ? null : h("button", { type: "button", onclick: again }, "Run again");
}

function waiting({ waiting: why }) {
  if (!why) return null;
  const place = why.position ? ` It is number ${why.position} in its queue.` : "";
  const start = why.estimated_start_at ? ` It should start ${relative(why.estimated_start_at)}.` : "";
  return h("div", { class: "alert warn" }, h("strong", {}, `Waiting: ${why.cause.replaceAll("_", " ")}`), h("p", {}, `${why.message}.${place}${start}`));
}

function progress({ percent, message, at }) {
  return h("section", { class: "panel stack" },
    h("label", {}, h("span", {}, `${percent.toFixed(0)} %${message ? ` – ${message}` : ""}, `, when(at)), h("progress", { max: 100, value: percent })));
}

function facts(found) {
  const fact = (name, value) => (value === null || value === undefined ? null : h("div", {}, h("dt", {}, name), h("dd", {}, value)));
  return h("dl", { class: "facts" },
    fact("Category", word(found.category)), fact("Priority", word(found.priority)), fact("Brand", found.brand),
    fact("Submitted", when(found.submitted_at)), fact("Runs at", found.run_at ? when(found.run_at) : null),
    fact("Attempt", found.attempt), fact("Retries", found.retries), fact("Last attempt ran for", found.duration_seconds === undefined ? null : duration(found.duration_seconds)),
    fact("Next attempt", found.retry_at ? when(found.retry_at) : null), fact("Deadline", found.deadline ? when(found.deadline) : null),
    fact("Outcome", found.keep_outcome === "failures" ? "recorded only if it fails" : null), fact("From", origin(found.origin)));
}

function origin(found) {
  if (!found) return null;
  return Object.entries(found).map(([what, value]) => h("div", {}, `${what.replaceAll("_", " ")} `, typeof value === "string" && what !== "schedule" ? taskLink(value) : String(value)));
}

/** Spans of { from, to, kind, text }: waiting, attempts, and the pauses between them. */
function spans(found) {
  const time = (at) => new Date(at).getTime();
  const end = time(found.completed_at ?? found.failed_at ?? found.cancelled_at ?? found.expired_at ?? new Date().toISOString());
  const attempts = found.attempts.map(({ number, started_at, duration_seconds, error }) => ({
    from: time(started_at), to: time(started_at) + duration_seconds * 1_000, kind: "failed", text: `Attempt ${number} failed after ${duration(duration_seconds)}: ${error.code}`,
  }));
  const isShown = found.attempts.some(({ number }) => number === found.attempt);
  if (found.started_at && !isShown) {
    const ran = found.status === "completed" ? `completed after ${duration(found.duration_seconds)}` : found.status;
    attempts.push({ from: time(found.started_at), to: end, kind: found.status, text: `Attempt ${found.attempt ?? 1} ${ran}` });
  }
  const all = [];
  let at = time(found.submitted_at);
  for (const attempt of attempts) {
    if (attempt.from - at > 0) all.push({ from: at, to: attempt.from, kind: "pause", text: `${all.length === 0 ? "Waited" : "Backed off"} for ${duration((attempt.from - at) / 1_000)}` });
    all.push(attempt);
    at = Math.max(at, attempt.to);
  }
  if (end - at > 1 && !isShown) all.push({ from: at, to: end, kind: "pause", text: `Waiting for ${duration((end - at) / 1_000)}` });
  return all;
}

const TINT = { failed: "var(--failed)", completed: "var(--completed)", running: "var(--completed)", cancelled: "var(--cancelled)" };

function timeline(found) {
  const all = spans(found);
  if (all.length === 0) return null;
  const [from, to] = [all[0].from, Math.max(...all.map((span) => span.to))];
  const x = (at) => 100 * (at - from) / Math.max(to - from, 1);
  const shape = (span) => s("rect", {
    x: `${x(span.from)}%`, width: `${Math.max(x(span.to) - x(span.from), 0.4)}%`, y: span.kind === "pause" ? 9 : 2, height: span.kind === "pause" ? 4 : 18, rx: 2,
    style: { fill: span.kind === "pause" ? "var(--line)" : TINT[span.kind] ?? "var(--muted)" },
  }, s("title", {}, span.text));
  const text = `${duration((to - from) / 1_000)} from its submission: ${all.map((span) => span.text).join(". ")}`;
  return h("figure", {}, s("svg", { width: "100%", height: 24, role: "img", "aria-label": text }, all.map(shape)),
    h("p", { class: "row small muted" }, h("span", {}, clock(from)), h("span", { style: { flex: 1 } }), h("span", {}, clock(to))));
}

function steps(found) {
  const rows = [{ at: found.submitted_at, text: "Submitted" }];
  for (const { number, started_at, duration_seconds, worker, error } of found.attempts) {
    rows.push({ at: started_at, text: [`Attempt ${number} on ${worker} failed after ${duration(duration_seconds)}: `, h("strong", {}, error.code), ` ${error.message}`] });
  }
  if (found.started_at && !found.attempts.some(({ number }) => number === found.attempt)) rows.push({ at: found.started_at, text: `Attempt ${found.attempt ?? 1} started` });
  for (const ending of OUTCOMES) if (found[`${ending}_at`]) rows.push({ at: found[`${ending}_at`], text: word(ending) });
  return h("ol", { class: "events" }, rows.map(({ at, text }) => h("li", {}, h("time", { datetime: at, title: at }, clock(at)), h("div", {}, text))));
}

/** Kept until the task is completed, and with its dead letter. */
function payload(found) {
  const place = h("div");
  api.get(`/tasks/${encodeURIComponent(found.task_id)}/payload`)
    .then((kept) => show(place, json(kept.payload ?? kept.payload_base64)))
    .catch((error) => show(place, h("p", { class: "muted" }, error.status === 410 ? "It is kept no more: a payload stays until its task is completed, and with a dead letter." : error.message)));
  return place;
}
