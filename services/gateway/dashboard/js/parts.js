// What more than one page shows.

import { h } from "./dom.js";
import { CATEGORIES, count, word, PRIORITIES } from "./format.js";

export function head(title, text, ...actions) {
  return h("div", { class: "head" },
    h("div", {}, h("h1", {}, title), text ? h("p", {}, text) : null),
    h("div", { class: "row" }, actions));
}

/** A table whose columns are { title, cell(row), number }. Says `none` where there are no rows. */
export function table(columns, rows, none) {
  if (rows.length === 0) return h("p", { class: "empty" }, none);
  const align = (column) => (column.number ? "number" : null);
  return h("div", { class: "scroll" }, h("table", {},
    h("thead", {}, h("tr", {}, columns.map((column) => h("th", { scope: "col", class: align(column) }, column.title)))),
    h("tbody", {}, rows.map((row) => h("tr", { class: "pick" }, columns.map((column) => h("td", { class: align(column) ?? column.class }, column.cell(row))))))));
}

export function taskLink(id) {
  return h("a", { class: "mono", href: `#/tasks/${encodeURIComponent(id)}` }, id);
}

/** A labelled field; `options` makes it a choice of [value, text] or plain texts. */
export function field(label, name, { options, ...attributes } = {}) {
  const input = options
    ? h("select", { name, ...attributes }, options.map((option) => {
        const [value, text] = Array.isArray(option) ? option : [option, option];
        return h("option", { value, selected: value === attributes.value }, text);
      }))
    : h("input", { name, ...attributes });
  return h("label", {}, h("span", {}, label), input);
}

export const categoryOptions = () => [["", "Any"], ...CATEGORIES.map((name) => [name, word(name)])];
export const priorityOptions = [["", "Any"], ...PRIORITIES.map((name) => [name, word(name)])];

export const tint = (name) => `var(--${name.toLowerCase()})`;

/** How many tasks of each priority wait, against the longest queue of all. */
export function backlog(byPriority, longest) {
  const known = PRIORITIES.map((name) => [name, byPriority[name] ?? 0]).filter(([, waiting]) => waiting > 0);
  const text = known.map(([name, waiting]) => `${count(waiting)} ${name.toLowerCase()}`).join(", ") || "nothing waits";
  return h("div", { class: "backlog", role: "img", "aria-label": text, title: text },
    known.map(([name, waiting]) => h("i", { tint: tint(name), style: { width: `${100 * waiting / Math.max(longest, 1)}%` } })));
}

export function json(value) {
  return h("pre", { class: "code", tabindex: 0 }, typeof value === "string" ? value : JSON.stringify(value, null, 2));
}

/** A link only where it leads to the web: what a task says is not trusted. */
export function outside(url, text = url) {
  return /^https?:\/\//.test(url) ? h("a", { href: url, rel: "noopener noreferrer", target: "_blank" }, text) : h("span", {}, text);
}
