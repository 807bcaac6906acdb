// What the fleet is doing right now: figures, the last hour, every queue, every breaker.

import * as api from "../api.js";
import { timeChart } from "../charts.js";
import { h, note, show } from "../dom.js";
import { count, duration, percent, rate, when } from "../format.js";
import { repeat } from "../live.js";
import { field, table, taskLink } from "../parts.js";
import { breakers } from "../breakers.js";
import { queues } from "../queues.js";
import { loadSeries } from "../series.js";

const EVERY = 2_000;
const SERIES_EVERY = 10_000;

export async function overview(page, _parameters, signal) {
  const head = h("div", { class: "stack" });
  const figures = h("dl", { class: "figures" });
  const charts = {
    ended: timeChart({ title: "Tasks a minute, by outcome", kind: "bars", format: rate, none: "No task has ended in this time" }),
    waits: timeChart({ title: "Wait before the first attempt", kind: "lines", format: duration, none: "No task has started in this time" }),
    waiting: timeChart({ title: "Waiting, by priority", kind: "bars", format: count, none: "Nothing has waited in this time" }),
    busy: timeChart({ title: "Busy slots", kind: "lines", format: count, none: "No slot was busy in this time" }),
  };
  const queueBoard = queues();
  const breakerBoard = breakers();
  const failures = h("section", { class: "panel", "aria-label": "Latest failures" });

  let range = "hour";
  let series = null;
  let seriesAt = -Infinity;
  const ranges = field("Charts show", "range", {
    options: [["hour", "the last hour"], ["day", "the last day"]], value: range,
    onchange: (event) => { range = event.target.value; refreshSeries().catch((error) => note(error.message, true)); },
  });
  ranges.classList.add("inline");
  const refreshSeries = async () => {
    seriesAt = performance.now();
    const wanted = range;
    const fresh = await loadSeries(wanted, signal);
    // Somebody may have chosen another range meanwhile.
    if (wanted !== range) return;
    series = fresh;
    for (const [name, chart] of Object.entries(charts)) chart.update(series[name]);
  };
  show(page, head, figures, h("div", { class: "row" }, ranges),
    h("div", { class: "two" }, Object.values(charts)), queueBoard, h("div", { class: "two" }, breakerBoard, failures));

  await repeat(EVERY, signal, async () => {
    const isDue = performance.now() - seriesAt >= SERIES_EVERY;
    const [health, stats, sizes, workers, states, failed] = await Promise.all([
      api.get("/health", signal).catch(unhealthy), api.get("/stats", signal), api.get("/queues", signal), api.get("/workers", signal),
      api.get("/circuit-breakers", signal), api.get("/tasks?state=failed&limit=6", signal), isDue ? refreshSeries() : null,
    ]);
    show(head, headline(health, sizes, workers));
    show(figures, numbers(series, range, sizes, workers));
    queueBoard.update({ sizes, workers, stats });
    breakerBoard.update(states, health, stats.breaker_history);
    show(failures, h("h2", {}, "Latest failures"), latest(failed));
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

function numbers(series, range, sizes, workers) {
  const failed = series ? `${count(series.total.failed)} failed in the last ${range}` : `in the last ${range}`;
  return [
    figure("Tasks a minute", rate(series?.recent.perMinute), range === "hour" ? "over the last five minutes" : "over the last ten minutes"),
    figure("Wait, 95th percentile", duration(series?.recent.wait95), "before the first attempt, at its worst lately"),
    figure("Success rate", percent(series?.total.success), failed),
    figure("Waiting", count(sizes.total.size), `${workers.total.busy} of ${workers.total.slots} slots busy`),
  ];
}

function figure(name, value, text) {
  return h("div", { class: "figure panel" }, h("dt", {}, name), h("dd", {}, value), h("p", {}, text));
}

function latest({ tasks }) {
  const columns = [
    { title: "Task", cell: (task) => taskLink(task.task_id) },
    { title: "Why", cell: (task) => h("span", { title: task.error?.message }, task.error?.code ?? "") },
    { title: "When", class: "nowrap", cell: (task) => when(task.updated_at) },
  ];
  return [table(columns, tasks, "No task has failed for good. Those that do are kept with their payload, to be run again."),
    tasks.length > 0 ? h("p", { class: "small" }, h("a", { href: "#/dead-letters" }, "All dead letters")) : null];
}
