// Dead letters: what failed for good, with its payload, to be mended and run again.

import * as api from "../api.js";
import { act, ask, h, note, show } from "../dom.js";
import { count, word, when } from "../format.js";
import { categoryOptions, field, head, json, priorityOptions, table, taskLink } from "../parts.js";

export async function letters(page, parameters, signal) {
  const list = h("div");
  const opened = h("div");
  let afters = [null];
  const form = h("form", { class: "form", role: "search", onsubmit: (event) => { event.preventDefault(); restart(); }, onchange: () => restart() },
    field("Category", "category", { options: categoryOptions(), value: parameters.get("category") ?? "" }),
    field("Error class", "code", { value: parameters.get("code") ?? "", placeholder: "http_404", spellcheck: "false" }),
    field("Error text", "text", { value: parameters.get("text") ?? "", placeholder: "contains" }));
  const filter = () => Object.fromEntries([...new FormData(form)].filter(([, value]) => value !== ""));
  const restart = () => { afters = [null]; return load().catch((error) => note(error.message, true)); };

  const load = async () => {
    const found = await api.get(`/dead-letters${api.search({ ...filter(), after: afters.at(-1), limit: 50 })}`, signal);
    const open = (letter) => () => edit(opened, letter.task_id, restart);
    show(list, table([
      { title: "Task", cell: (letter) => taskLink(letter.task_id) },
      { title: "Category", cell: (letter) => word(letter.category) },
      { title: "Why", cell: (letter) => [h("div", {}, letter.reason.code), h("div", { class: "sub" }, letter.reason.message)] },
      { title: "Attempts", number: true, cell: (letter) => count(letter.failed_attempts.length) },
      { title: "Died", class: "nowrap", cell: (letter) => when(letter.died_at) },
      { title: "", class: "right", cell: (letter) => h("button", { type: "button", class: "small", "aria-label": `Open ${letter.task_id}`, onclick: open(letter) }, "Open") },
    ], found.dead_letters, "There is no dead letter like that. Tasks that fail for good are kept here with their payload."),
    h("div", { class: "row" },
      afters.length > 1 ? h("button", { type: "button", onclick: () => { afters.pop(); load(); } }, "Older") : null,
      found.next !== undefined ? h("button", { type: "button", onclick: () => { afters.push(found.next); load(); } }, "Newer") : null));
  };

  show(page,
    head("Dead letters", "Tasks that failed for good. Running one again makes a task of its own, linked to the first.",
      h("button", { type: "button", onclick: (event) => requeueAll(event, filter(), restart) }, "Run all of these again…")),
    h("section", { class: "panel" }, form), opened, h("section", { class: "panel" }, list));
  await load();
}

async function requeueAll(event, filter, done) {
  const dry = await act(event.target, () => api.post("/dead-letters/requeue", { filter, dry_run: true }));
  if (!dry) return;
  if (dry.count === 0) return note("There is no dead letter like that");
  const sure = await ask({
    title: `Run ${count(dry.count)}${dry.more ? " or more" : ""} tasks again?`, action: "Run them again",
    body: [h("p", {}, "They are queued at the rate that you set, so that what made them fail is not flooded."), field("Tasks a second", "rate", { type: "number", min: "0.01", step: "any", value: "10", required: true })],
  });
  if (!sure) return;
  const made = await act(event.target, () => api.post("/dead-letters/requeue", { filter, rate_per_second: Number(sure.get("rate")) }));
  if (made) note(`${count(made.count)} tasks run again${made.more ? "; there are more" : ""}`);
  await done();
}

async function edit(place, id, done) {
  const path = `/dead-letters/${encodeURIComponent(id)}`;
  let letter;
  try {
    letter = await api.get(path);
  } catch (error) {
    return note(error.message, true);
  }
  const isJson = letter.payload !== undefined;
  const area = h("textarea", { name: "payload", rows: 12, spellcheck: "false", "aria-label": "Payload" });
  area.value = isJson ? JSON.stringify(letter.payload, null, 2) : letter.payload_base64;
  area.readOnly = !isJson;
  const priority = field("Priority", "priority", { options: [["", `As before: ${letter.priority}`], ...priorityOptions.slice(1)], value: "" });
  const close = () => show(place);
  const requeue = async (event) => {
    event.preventDefault();
    const chosen = priority.querySelector("select").value;
    const body = chosen ? { priority: chosen } : {};
    if (isJson && area.value !== JSON.stringify(letter.payload, null, 2)) {
      try {
        body.payload = JSON.parse(area.value);
      } catch (error) {
        return note(`The payload is no JSON: ${error.message}`, true);
      }
    }
    const made = await act(event.submitter, () => api.post(`${path}/requeue`, body));
    if (!made) return;
    location.hash = `#/tasks/${encodeURIComponent(made.task_id)}`;
  };
  const discard = async (event) => {
    const sure = await ask({ title: "Throw this dead letter away?", body: [h("p", {}, "Its payload is gone then. The record of the failure stays.")], action: "Throw it away", danger: true });
    if (!sure) return;
    await act(event.target, () => api.remove(path));
    close();
    await done();
  };
  show(place, h("form", { class: "panel stack", onsubmit: requeue },
    h("h2", {}, "Dead letter ", taskLink(id)),
    h("p", {}, h("strong", {}, letter.reason.code), ` ${letter.reason.message}`),
    isJson ? null : h("p", { class: "muted" }, "The payload is no JSON; it is shown in base64 and runs as it came."),
    area,
    h("details", {}, h("summary", {}, "Headers and attempts"), json({ headers: Object.fromEntries(letter.headers), attempts: letter.failed_attempts })),
    h("div", { class: "form" }, priority, h("div", { class: "actions" }, h("button", { class: "main" }, "Run again"), h("button", { type: "button", class: "danger", onclick: discard }, "Throw away…"), h("button", { type: "button", onclick: close }, "Close")))));
  place.scrollIntoView({ block: "nearest" });
  area.focus({ preventScroll: true });
}
