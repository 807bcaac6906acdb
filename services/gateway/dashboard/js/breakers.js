// The circuit breakers: their state, how near they are to opening, what they did before.

import * as api from "./api.js";
import { act, ask, h, note, show } from "./dom.js";
import { duration, state, when } from "./format.js";
import { field } from "./parts.js";

const TINTS = { closed: "var(--completed)", open: "var(--failed)", half_open: "var(--retried)" };

/** A panel with `update(circuitBreakers, health, history)`; the history is of all, oldest first. */
export function breakers() {
  const body = h("div", { class: "stack" });
  const panel = h("section", { class: "panel", "aria-label": "Circuit breakers" }, h("h2", {}, "Circuit breakers"), body);
  panel.update = ({ circuit_breakers: all }, health, history) => {
    // A button that has the focus would lose it by being made anew.
    const focused = body.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    if (focused && document.activeElement.disabled) return;
    show(body, Object.entries(all).map(([name, breaker]) => one(name, breaker, health.dependencies?.[name], history.filter(({ dependency }) => dependency === name))));
    if (focused) body.querySelector(`[data-key="${focused}"]`)?.focus();
  };
  return panel;
}

function one(name, breaker, dependency, history) {
  const rule = `opens at ${breaker.threshold} failures in a row, for ${duration(breaker.timeout_seconds)}`;
  return h("div", { class: "stack", style: { gap: "4px" } },
    h("div", { class: "row" }, h("h3", {}, name), state(breaker.state), breaker.forced ? h("span", { class: "tag warn" }, "by hand") : null, h("span", { class: "small muted" }, `${breaker.failures} of ${breaker.threshold} failures`),
      h("span", { style: { flex: 1 } }), actions(name, breaker)),
    strip(breaker, history),
    h("p", { class: "small muted" }, breaker.since ? ["Since ", when(breaker.since), breaker.cause ? `: ${breaker.cause}` : "", ". "] : null, `It ${rule}.`),
    dependency ? h("p", { class: "small muted" }, "Asked itself, it is ", state(dependency.status), dependency.detail ? ` – ${dependency.detail}` : "") : null);
}

/** The last hour as a band of states. */
function strip({ state: now }, history) {
  const until = Date.now();
  const from = until - 3_600_000;
  const changes = history.map((change) => ({ at: new Date(change.at).getTime(), to: change.to })).sort((a, b) => a.at - b.at);
  const before = changes.filter((change) => change.at <= from).at(-1)?.to ?? "closed";
  const points = [{ at: from, to: before }, ...changes.filter((change) => change.at > from), { at: until, to: now }];
  const spans = points.slice(0, -1).map((point, i) => ({ ...point, share: (points[i + 1].at - point.at) / (until - from) }));
  const opened = changes.filter((change) => change.at > from && change.to === "open").length;
  const text = `In the last hour it opened ${opened === 1 ? "once" : `${opened} times`}`;
  return h("div", { class: "strip", role: "img", "aria-label": text, title: text },
    spans.map((span) => h("i", { tint: TINTS[span.to], style: { width: `${100 * span.share}%` } })));
}

function actions(name, breaker) {
  const reset = async (event) => {
    const done = await act(event.target, () => api.post(`/circuit-breakers/${name}/reset`));
    if (done) note(`${name} is closed again`);
  };
  const open = async (event) => {
    const sure = await ask({
      title: `Force ${name} open?`, action: "Force open", danger: true,
      body: [h("p", {}, `Nothing calls ${name} until you reset it. Tasks that need it wait, at no cost of an attempt; questions are answered without it.`), field("Why (optional)", "cause", { maxlength: 500 })],
    });
    const cause = sure?.get("cause").trim();
    if (sure && await act(event.target, () => api.post(`/circuit-breakers/${name}/open`, cause ? { cause } : {}))) note(`${name} is open until it is reset`);
  };
  return breaker.state === "closed"
    ? h("button", { type: "button", class: "small", "data-key": name, "aria-label": `Force ${name} open`, onclick: open }, "Force open")
    : h("button", { type: "button", class: "small", "data-key": name, "aria-label": `Reset ${name}`, onclick: reset }, "Reset");
}
