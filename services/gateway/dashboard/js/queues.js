// Every category: its slots, its backlog by priority, its speed, and what can be done about it.

import * as api from "./api.js";
import { act, h, note, show } from "./dom.js";
import { CATEGORIES, count, duration, word, PRIORITIES } from "./format.js";
import { backlog, table, tint } from "./parts.js";

/** A panel with `update({ sizes, workers, stats })`. */
export function queues() {
  const body = h("div");
  const panel = h("section", { class: "panel", "aria-label": "Queues" },
    h("div", { class: "head" }, h("h2", {}, "Queues"),
      h("p", { class: "legend" }, PRIORITIES.map((name) => h("span", {}, h("i", { tint: tint(name) }), word(name))))), body);
  let seen = null;
  panel.update = (state) => {
    // A button that has the focus would lose it by being made anew.
    if (body.contains(document.activeElement) && document.activeElement.disabled) return;
    const focused = body.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    seen = state;
    show(body, board(seen));
    if (focused) body.querySelector(`[data-key="${focused}"]`)?.focus();
  };
  return panel;
}

function board({ sizes, workers, stats }) {
  const rows = CATEGORIES.map((name) => ({
    name, queue: sizes.queues[`${name}_queue`], workers: workers.workers[name], stats: stats.by_category[name],
    oldest: oldest(stats.by_queue[name]),
  })).filter((row) => row.queue);
  const longest = Math.max(...rows.map((row) => row.queue.size));
  return table([
    { title: "Category", cell: (row) => h("a", { href: `#/tasks?category=${row.name}` }, word(row.name)) },
    { title: "Slots", cell: slots },
    { title: "Waiting", number: true, cell: (row) => count(row.queue.size) },
    { title: "By priority", cell: (row) => backlog(row.queue.by_priority, longest) },
    { title: "Oldest", number: true, cell: (row) => duration(row.oldest) },
    { title: "Runs, p95", number: true, cell: (row) => duration(row.stats?.duration_seconds.p95) },
    { title: "Waits, p95", number: true, cell: (row) => duration(row.stats?.wait_seconds.p95) },
    { title: "Done", number: true, cell: (row) => count(row.stats?.completed) },
    { title: "Failed", number: true, cell: (row) => count(row.stats?.failed) },
    { title: "", class: "nowrap right", cell: controls },
  ], rows, "This gateway knows of no category.");
}

/** Among all priorities; null where nothing waits or runs. */
function oldest(lanes) {
  const ages = Object.values(lanes).map((lane) => lane.oldest_age_seconds).filter((age) => age !== null);
  return ages.length > 0 ? Math.max(...ages) : null;
}

function slots({ name, workers }) {
  if (!workers || workers.slots === 0) return h("span", { class: "tag bad" }, "no live worker");
  const text = `${workers.busy} of ${workers.slots} slots of ${name} are busy`;
  if (workers.slots > 30) return h("span", { title: text }, `${workers.busy} / ${workers.slots}`);
  return h("span", { class: "slots", role: "img", "aria-label": text, title: text },
    Array.from({ length: workers.slots }, (_, i) => h("i", { class: i < workers.busy ? "busy" : "" })));
}

function controls({ name, queue }) {
  const isPaused = queue.paused.length === PRIORITIES.length;
  const some = queue.paused.length > 0 && !isPaused;
  const verb = queue.paused.length > 0 ? "resume" : "pause";
  const toggle = async (event) => {
    await act(event.target, () => api.post(`/queues/${name}/${verb}`));
    note(verb === "pause" ? `${word(name)} takes no new tasks until it is resumed` : `${word(name)} goes on`);
  };
  return [
    isPaused ? h("span", { class: "tag warn" }, "paused") : null,
    some ? h("span", { class: "tag warn" }, `${queue.paused.map((p) => p.toLowerCase()).join(", ")} paused`) : null,
    " ",
    h("button", { type: "button", class: "small", "data-key": name, "aria-label": `${word(verb)} ${name}`, onclick: toggle }, word(verb)),
  ];
}
