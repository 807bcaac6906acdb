// What questions are answered from: listed, added by scraping, retired.

import * as api from "../api.js";
import { act, ask, h, note, show } from "../dom.js";
import { count, when } from "../format.js";
import { field, head, outside, table, taskLink } from "../parts.js";

export async function documents(page, parameters, signal) {
  const list = h("div");
  const made = h("p", { role: "status" });
  let afters = [null];
  const search = h("form", { class: "form", role: "search", onsubmit: (event) => { event.preventDefault(); afters = [null]; load(); } },
    field("Brand", "brand", { value: parameters.get("brand") ?? "" }), h("div", { class: "actions" }, h("button", {}, "Show")));
  const load = async () => {
    const brand = new FormData(search).get("brand").trim();
    const found = await api.get(`/documents${api.search({ brand, after: afters.at(-1), limit: 50 })}`, signal);
    show(list, table([
      { title: "Document", cell: (one) => [h("div", {}, one.title || one.id || one.key), one.url ? h("div", { class: "sub" }, outside(one.url)) : null] },
      { title: "Brand", cell: (one) => one.brand ?? "" },
      { title: "Chunks", number: true, cell: (one) => count(one.chunks) },
      { title: "Embedder", cell: (one) => one.embedder ?? h("span", { class: "tag" }, "words only") },
      { title: "Stored", class: "nowrap", cell: (one) => when(one.stored_at) },
      { title: "", class: "right", cell: (one) => h("button", { type: "button", class: "small danger", "aria-label": `Retire ${one.title || one.id}`, onclick: (event) => retire(event, one, load) }, "Retire…") },
    ], found.documents, "No document is indexed yet. Scrape a page above, or send one to /api/hp/embed."),
    h("div", { class: "row" },
      afters.length > 1 ? h("button", { type: "button", onclick: () => { afters.pop(); load(); } }, "Earlier") : null,
      found.next !== undefined ? h("button", { type: "button", onclick: () => { afters.push(found.next); load(); } }, "Later") : null));
  };
  show(page,
    head("Documents", "What questions are answered from."),
    h("section", { class: "panel stack" }, h("h2", {}, "Scrape a page"), scrape(made), made),
    h("section", { class: "panel stack" }, search, list));
  await load();
}

function scrape(made) {
  const submit = async (event) => {
    event.preventDefault();
    const fields = Object.fromEntries([...new FormData(event.target)].filter(([, value]) => value !== ""));
    const task = await act(event.submitter, () => api.post("/scrape", fields));
    if (task) show(made, "Queued as ", taskLink(task.task_id), "; the page is indexed once that is done.");
  };
  return h("form", { class: "form", onsubmit: submit },
    h("div", { style: { gridColumn: "span 2" } }, field("Address", "url", { type: "url", required: true, placeholder: "https://docs.example.com/" })),
    field("Brand (optional)", "brand"),
    h("div", { class: "actions" }, h("button", { class: "main" }, "Scrape")));
}

async function retire(event, { key, title, id }, done) {
  const sure = await ask({ title: `Retire “${title || id}”?`, body: [h("p", {}, "No question is answered from it any more. Scraping or embedding it again brings it back.")], action: "Retire it", danger: true });
  if (!sure) return;
  if (await act(event.target, () => api.remove(`/documents/${encodeURIComponent(key)}`))) note("Retired");
  await done();
}
