// What the fleet is doing right now: figures, the last hour, every queue, every breaker.

import * as api from "../api.js";
import { timeChart } from "../charts.js";
import { h, show } from "../dom.js";
import { count, duration, percent, rate, when } from "../format.js";
import { repeat } from "../live.js";
import { table, taskLink } from "../parts.js";
import { breakers } from "../breakers.js";
import { queues } from "../queues.js";
import { loadSeries } from "../series.js";

const EVERY = 2_000;
const SERIES_EVERY = 10_000;

export async function overview(page, _parameters, signal) {
  const head = h("div", { class: "stack" });
  const figures = h("dl", { class: "figures" });
  const ended = timeChart({ title: "Tasks a minute, by outcome", kind: "bars", format: rate, none: "No task has ended in this hour" });
  const waits = timeChart({ title: "Wait before the first attempt", kind: "lines", format: duration, none: "No task has started in this hour" });
  const queueBoard = queues();
  const breakerBoard = breakers();
  const failures = h("section", { class: "panel", "aria-label": "Latest failures" });
  show(page, head, figures, h("div", { class: "two" }, ended, waits), queueBoard, h("div", { class: "two" }, breakerBoard, failures));

  let series = null;
  let seriesAt = -Infinity;
  await repeat(EVERY, signal, async () => {
    const now = performance.now();
    const isDue = now - seriesAt >= SERIES_EVERY;
    const [health, stats, sizes, workers, states, letters, fresh] = await Promise.all([
      api.get("/health", signal).catch(unhealthy), api.get("/stats", signal), api.get("/queues", signal), api.get("/workers", signal),
      api.get("/circuit-breakers", signal), api.get("/tasks?state=failed&limit=6", signal).catch(() => null), isDue ? loadSeries(signal) : null,
    ]);
    if (fresh) {
      [series, seriesAt] = [fresh, now];
      ended.update(series.ended);
      waits.update(series.waits);
    }
    show(head, ...headline(health, sizes, workers));
    show(figures, ...numbers(series, sizes, workers));
    queueBoard.update({ sizes, workers, stats });
    breakerBoard.update(states, health);
    show(failures, h("h2", {}, "Latest failures"), latest(letters));
  });
}

/** An unhealthy fleet answers 503 with the same document. */
function unhealthy(error) {
  if (error.problem && "problems" in error.problem) return error.problem;
  throw error;
}

function headline(health, sizes, workers) {
  const sentence = health.healthy ? "The fleet is up and working" : "The fleet needs attention";
  const what = `${workers.total.busy} of ${workers.total.slots} slots are busy, ${sizes.total.size === 0 ? "no task waits" : `${count(sizes.total.size)} tasks wait`}.`;
  const problems = health.problems.length === 0 ? null
    : h("div", { class: health.healthy ? "alert warn" : "alert", role: "alert" }, h("ul", {}, health.problems.map((text) => h("li", {}, text))));
  return [h("div", { class: "head" }, h("div", {}, h("h1", {}, sentence), h("p", {}, what))), problems];
}

function numbers(series, sizes, workers) {
  const hour = series?.hour;
  return [
    figure("Tasks a minute", rate(hour?.perMinute), "mean of the last five minutes"),
    figure("Wait, 95th percentile", duration(hour?.wait95), "last five minutes, before the first attempt"),
    figure("Success rate", percent(hour?.success), hour ? `${count(hour.failed)} failed in the last hour` : "last hour"),
    figure("Waiting", count(sizes.total.size), `${workers.total.busy} of ${workers.total.slots} slots busy`),
  ];
}

function figure(name, value, text) {
  return h("div", { class: "figure panel" }, h("dt", {}, name), h("dd", {}, value), h("p", {}, text));
}

function latest(found) {
  const rows = found?.tasks ?? [];
  const columns = [
    { title: "Task", cell: (row) => taskLink(row.task_id) },
    { title: "Why", cell: (row) => h("span", { title: row.error?.message }, row.error?.code ?? "") },
    { title: "When", class: "nowrap", cell: (row) => when(row.updated_at) },
  ];
  return [table(columns, rows, "No task has failed for good. Those that do are kept here, with their payload, to be run again."),
    rows.length > 0 ? h("p", { class: "small" }, h("a", { href: "#/dead-letters" }, "All dead letters")) : null];
}
