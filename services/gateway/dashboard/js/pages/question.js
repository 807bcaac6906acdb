// A question, its answer as it is written, and the sources with the very words quoted.

import * as api from "../api.js";
import { h, show } from "../dom.js";
import { duration, percent } from "../format.js";
import { field, head, outside, taskLink } from "../parts.js";

export async function question(page, parameters, signal) {
  const out = h("div", { class: "stack", "aria-live": "polite" });
  const form = h("form", { class: "ask panel", onsubmit: (event) => { event.preventDefault(); run(); } },
    field("Question", "query", { required: true, maxlength: 2000, value: parameters.get("q") ?? "", placeholder: "How long is the warranty?" }),
    field("Brand (optional)", "brand", { value: parameters.get("brand") ?? "" }),
    h("button", { class: "main", style: { alignSelf: "end", padding: "10px 20px" } }, "Ask"));
  let asked = null;
  const run = async () => {
    asked?.abort();
    asked = new AbortController();
    const body = Object.fromEntries([...new FormData(form)].filter(([, value]) => value !== ""));
    const here = AbortSignal.any([signal, asked.signal]);
    try {
      await answer(out, body, here);
    } catch (error) {
      if (!here.aborted) show(out, h("div", { class: "alert" }, error.message));
    }
  };
  show(page, head("Ask", "Questions are answered from the indexed documents, and from nothing else."), form, out);
  form.elements.query.focus();
  if (parameters.get("q")) await run();
}

async function answer(out, body, signal) {
  const began = performance.now();
  const text = h("p", { class: "answer" });
  show(out, h("section", { class: "panel" }, h("p", { class: "muted small" }, "Looking …"), text));
  for await (const { event, data } of api.events("/query", { method: "POST", body, signal })) {
    if (event === "token") text.append(data.text);
    else if (event === "restart") text.textContent = "";
    else if (event === "error") throw new Error([data.detail ?? data.title, data.remedy].filter(Boolean).join(" – "));
    else if (event === "result") show(out, ...draw(data, (performance.now() - began) / 1_000));
  }
}

function draw(task, seconds) {
  if (task.status !== "completed") {
    return [h("div", { class: "alert" }, h("strong", {}, task.error?.code ?? task.status), h("p", {}, task.error?.message ?? "No answer came in time. "), taskLink(task.task_id))];
  }
  const { result } = task;
  return [
    h("section", { class: "panel stack" },
      result.found === false ? h("span", { class: "tag warn" }, "not in the documents") : null,
      h("p", { class: "answer" }, withCitations(result)),
      h("p", { class: "row small muted" },
        h("span", { class: "meter", role: "img", "aria-label": `Confidence ${percent(result.confidence)}` }, h("i", { style: { width: `${100 * result.confidence}%` } })),
        `confidence ${percent(result.confidence)}`, h("span", { class: "tag" }, result.mode), h("span", { class: "tag" }, `${result.retrieval} search`),
        result.degraded ? h("span", { class: "tag warn" }, "degraded") : null, `in ${duration(seconds)}`, taskLink(task.task_id))),
    result.citations.length > 0 ? h("section", { class: "stack" }, h("h2", {}, "Sources"), sources(result)) : null,
    h("details", {}, h("summary", {}, `The ${result.passages.length} passages that were found`), h("ul", { class: "sources", style: { marginTop: "10px" } }, result.passages.map(passage))),
  ];
}

/** [1] after a sentence leads to its source. */
function withCitations({ answer, citations }) {
  const numbered = citations.map(({ quote }, index) => ({ quote, number: index + 1 }));
  const parts = [];
  let rest = answer;
  for (const { quote, number } of numbered) {
    const at = rest.indexOf(quote);
    if (at < 0) continue;
    parts.push(rest.slice(0, at + quote.length), reference(number));
    rest = rest.slice(at + quote.length);
  }
  return [...parts, ...marks(rest, citations.length)];
}

/** A language model writes its citations itself. */
function marks(text, known) {
  return text.split(/(\[\d+\])/).map((part) => {
    const number = Number(part.match(/^\[(\d+)\]$/)?.[1]);
    return number >= 1 && number <= known ? reference(number) : part;
  });
}

function reference(number) {
  const lead = (event) => { event.preventDefault(); document.getElementById(`source-${number}`)?.scrollIntoView({ block: "center" }); };
  return h("a", { href: `#source-${number}`, onclick: lead, "aria-label": `Source ${number}` }, `[${number}]`);
}

function sources({ citations, passages }) {
  return h("ol", { class: "sources" }, citations.map((citation, index) => {
    const passage = passages.find((one) => one.document_id === citation.document_id && one.chunk === citation.chunk);
    return h("li", { id: `source-${index + 1}` },
      h("h3", {}, `[${index + 1}] `, citation.url ? outside(citation.url, citation.title || citation.url) : citation.title || citation.document_id),
      h("p", { style: { whiteSpace: "pre-line" } }, marked(passage?.text ?? citation.quote, citation.quote)));
  }));
}

function marked(text, quote) {
  const at = quote ? text.indexOf(quote) : -1;
  return at < 0 ? [text] : [text.slice(0, at), h("mark", {}, quote), text.slice(at + quote.length)];
}

function passage({ title, url, text }) {
  return h("li", {}, h("h3", {}, url ? outside(url, title || url) : title), h("p", { style: { whiteSpace: "pre-line" } }, text));
}
