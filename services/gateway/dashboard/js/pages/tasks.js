// Tasks: found by what is known of them, and acted upon many at a time.

import * as api from "../api.js";
import { act, ask, h, note, show } from "../dom.js";
import { count, duration, word, OUTCOMES, state, when } from "../format.js";
import { repeat } from "../live.js";
import { categoryOptions, field, head, priorityOptions, table, taskLink } from "../parts.js";

const EVERY = 4_000;
const STATES = [["", "Any"], ...["queued", "scheduled", "running", "retrying", ...OUTCOMES].map((name) => [name, word(name)])];
const SINCE = [["", "Any time"], ["900", "Last 15 minutes"], ["3600", "Last hour"], ["86400", "Last day"], ["604800", "Last week"]];
const FIELDS = ["category", "priority", "state", "error_class", "text", "brand", "within"];

export async function tasks(page, parameters, signal) {
  const chosen = Object.fromEntries(FIELDS.map((name) => [name, parameters.get(name) ?? ""]));
  const picked = new Set();
  let cursors = [null];
  const list = h("div");
  const status = h("p", { class: "small muted", role: "status" });
  const form = filters(chosen, () => {
    const filter = api.search(values(form));
    history.replaceState(null, "", `#/tasks${filter}`);
    Object.assign(chosen, Object.fromEntries(FIELDS.map((name) => [name, ""])), values(form));
    cursors = [null];
    picked.clear();
    refresh();
  });

  const refresh = async () => {
    const found = await api.get(`/tasks${api.search({ ...query(chosen), cursor: cursors.at(-1), limit: 50 })}`, signal);
    // Not while somebody ticks: the rows would move under the pointer.
    if (list.contains(document.activeElement) && document.activeElement.type === "checkbox" && list.matches(":hover")) return;
    show(list, rows(found.tasks, picked), pages(found));
    status.textContent = told(found);
  };
  const pages = (found) => h("div", { class: "row", style: { marginTop: "12px" } },
    cursors.length > 1 ? h("button", { type: "button", onclick: () => { cursors.pop(); refresh(); } }, "Newer") : null,
    found.next ? h("button", { type: "button", onclick: () => { cursors.push(found.next); refresh(); } }, "Older") : null);

  show(page,
    head("Tasks", "Waiting, running and finished. A finished task is kept for as long as its record is."),
    h("section", { class: "panel", "aria-label": "Filters" }, form),
    h("section", { class: "panel", "aria-label": "Found" },
      h("div", { class: "row" }, status, h("span", { style: { flex: 1 } }), bulk("cancel", picked, chosen), bulk("retry", picked, chosen)), list));
  await repeat(EVERY, signal, refresh);
}

function filters(chosen, apply) {
  const form = h("form", { class: "form", role: "search", onsubmit: (event) => { event.preventDefault(); apply(); }, onchange: apply },
    field("Category", "category", { options: categoryOptions(), value: chosen.category }),
    field("Priority", "priority", { options: priorityOptions, value: chosen.priority }),
    field("State", "state", { options: STATES, value: chosen.state }),
    field("Ended or changed", "within", { options: SINCE, value: chosen.within }),
    field("Error class", "error_class", { value: chosen.error_class, placeholder: "http_404", spellcheck: "false" }),
    field("Error text", "text", { value: chosen.text, placeholder: "contains" }),
    field("Brand", "brand", { value: chosen.brand }));
  return form;
}

const values = (form) => Object.fromEntries([...new FormData(form)].filter(([, value]) => value !== ""));

function query({ within, ...rest }) {
  return { ...rest, since: within ? new Date(Date.now() - within * 1_000).toISOString() : "" };
}

function told(found) {
  const some = found.tasks.length === 0 ? "" : `${count(found.tasks.length)} tasks${found.next ? ", and more" : ""}. `;
  return found.lag > 0 ? `${some}The index is ${count(found.lag)} records behind.` : some;
}

function rows(tasks, picked) {
  const tick = (task) => h("input", {
    type: "checkbox", checked: picked.has(task.task_id), "aria-label": `Choose ${task.task_id}`,
    onchange: (event) => (event.target.checked ? picked.add(task.task_id) : picked.delete(task.task_id)),
  });
  return table([
    { title: h("span", { class: "hidden" }, "Choose"), cell: tick },
    { title: "Task", cell: (task) => [taskLink(task.task_id), task.brand ? h("div", { class: "sub" }, task.brand) : null] },
    { title: "State", cell: (task) => state(task.status) },
    { title: "Category", cell: (task) => word(task.category) },
    { title: "Priority", cell: (task) => word(task.priority) },
    { title: "Ran for", number: true, cell: (task) => duration(task.duration_seconds) },
    { title: "Retries", number: true, cell: (task) => count(task.retries) },
    { title: "Error", cell: (task) => task.error ? [h("div", {}, task.error.code), h("div", { class: "sub" }, task.error.message)] : "" },
    { title: "Changed", class: "nowrap", cell: (task) => when(task.updated_at) },
  ], tasks, "No task is like that. A filter may be too narrow, or the record is gone: finished tasks are kept for as long as streams.results_age_max says.");
}

/** On what is ticked, or on all that the filters find: a dry run says what would be done. */
function bulk(verb, picked, chosen) {
  const run = async (event) => {
    const only = [...picked];
    const filter = only.length > 0 ? { task_ids: only } : query(chosen);
    const set = Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== ""));
    const body = Object.keys(set).length === 0 ? { all: true } : set;
    const dry = await act(event.target, () => api.post(`/tasks/${verb}`, { ...body, dry_run: true }));
    if (!dry) return;
    if (dry.count === 0) return note(`There is no task that could be ${verb === "cancel" ? "cancelled" : "run again"}`);
    const many = `${count(dry.count)}${dry.at_least ? " or more" : ""} task${dry.count === 1 ? "" : "s"}`;
    const what = verb === "cancel" ? `Cancel ${many}` : `Run ${many} again`;
    const sure = await ask({
      title: `${what}?`, action: what, danger: verb === "cancel",
      body: [h("p", {}, only.length > 0 ? "Those that are ticked." : "All that the filters find, on every page."),
        h("p", { class: "muted small" }, verb === "cancel" ? "What runs is stopped; a recorded outcome stays." : "Each runs again as a task of its own, linked to the first.")],
    });
    if (!sure) return;
    await act(event.target, () => through(verb, body));
    picked.clear();
  };
  return h("button", { type: "button", class: verb === "cancel" ? "danger" : "", onclick: run }, verb === "cancel" ? "Cancel…" : "Run again…");
}

/** One call is bounded; a cursor leads on. */
async function through(verb, body) {
  let done = 0;
  let cursor;
  do {
    const part = await api.post(`/tasks/${verb}`, cursor ? { ...body, cursor } : body);
    done += part.count;
    cursor = part.next;
    note(`${count(done)} ${verb === "cancel" ? "cancelled" : "run again"}`);
  } while (cursor);
}
