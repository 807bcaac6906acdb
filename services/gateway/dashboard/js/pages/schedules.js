// Recurring tasks: seen, made, changed and removed.

import * as api from "../api.js";
import { act, ask, h, note, show } from "../dom.js";
import { CATEGORIES, word, PRIORITIES, when } from "../format.js";
import { field, head, table } from "../parts.js";

export async function schedules(page, _parameters, signal) {
  const list = h("div");
  const editor = h("div");
  const load = async () => {
    const found = await api.get("/schedules?limit=200", signal);
    show(list, table([
      { title: "Schedule", cell: (one) => h("span", { class: "mono" }, one.id) },
      { title: "Cron", cell: (one) => [h("code", {}, one.cron), h("div", { class: "sub" }, one.time_zone)] },
      { title: "Next run", class: "nowrap", cell: (one) => when(one.next_run_at) },
      { title: "Task", cell: (one) => [h("div", {}, `${word(one.category)}, ${one.priority.toLowerCase()}`), h("code", { class: "sub" }, JSON.stringify(one.payload))] },
      { title: "", class: "nowrap right", cell: (one) => [
        h("button", { type: "button", class: "small", "aria-label": `Change ${one.id}`, onclick: () => edit(editor, one, load) }, "Change"), " ",
        h("button", { type: "button", class: "small danger", "aria-label": `Remove ${one.id}`, onclick: (event) => removeOne(event, one, load) }, "Remove…")] },
    ], found.schedules, "Nothing recurs yet."),
    found.next !== undefined ? h("p", { class: "small muted" }, "There are more than 200; the API lists them all.") : null);
  };
  show(page,
    head("Schedules", "The broker keeps and fires them: they run whether or not a gateway is up.",
      h("button", { type: "button", class: "main", onclick: () => edit(editor, null, load) }, "New schedule")),
    editor, h("section", { class: "panel" }, list));
  await load();
}

async function removeOne(event, { id }, done) {
  const sure = await ask({ title: `Remove ${id}?`, body: [h("p", {}, "It does not run any more. Tasks that it has queued do.")], action: "Remove it", danger: true });
  if (!sure) return;
  await act(event.target, () => api.remove(`/schedules/${encodeURIComponent(id)}`));
  await done();
}

function edit(place, known, done) {
  const payload = h("textarea", { name: "payload", rows: 6, spellcheck: "false" });
  payload.value = JSON.stringify(known?.payload ?? { operation: "probe" }, null, 2);
  const save = async (event) => {
    event.preventDefault();
    const { id, payload: text, ...rest } = Object.fromEntries([...new FormData(event.target)].filter(([, value]) => value !== ""));
    let body;
    try {
      body = { ...rest, payload: JSON.parse(text ?? "") };
    } catch (error) {
      return note(`The payload is no JSON: ${error.message}`, true);
    }
    // What this form does not show stays as it was.
    if (known) {
      body.max_retries = known.max_retries;
      if (known.timeout_seconds) body.timeout = known.timeout_seconds;
      if (known.keep_outcome) body.keep_outcome = known.keep_outcome;
    }
    const saved = await act(event.submitter, () => known ? api.put(`/schedules/${encodeURIComponent(known.id)}`, body) : api.post("/schedules", id ? { ...body, id } : body));
    if (!saved) return;
    note(`${saved.id} runs next ${saved.next_run_at ? new Date(saved.next_run_at).toLocaleString() : "never"}`);
    show(place);
    await done();
  };
  show(place, h("form", { class: "panel stack", onsubmit: save },
    h("h2", {}, known ? `Change ${known.id}` : "New schedule"),
    h("div", { class: "form" },
      known ? null : field("Name (optional)", "id", { placeholder: "nightly-verify", spellcheck: "false" }),
      field("Cron", "cron", { value: known?.cron ?? "0 3 * * *", required: true, spellcheck: "false" }),
      field("Time zone", "time_zone", { value: known?.time_zone ?? "UTC", required: true, spellcheck: "false" }),
      field("Category", "category", { options: CATEGORIES.map((name) => [name, word(name)]), value: known?.category ?? "maintenance" }),
      field("Priority", "priority", { options: PRIORITIES.map((name) => [name, word(name)]), value: known?.priority ?? "BULK" }),
      h("label", { class: "wide" }, h("span", {}, "Payload, as the category takes it"), payload),
      h("div", { class: "actions wide" }, h("button", { class: "main" }, "Save"), h("button", { type: "button", onclick: () => show(place) }, "Close")))));
  place.querySelector("input").focus();
}
