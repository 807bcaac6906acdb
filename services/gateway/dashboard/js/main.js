// Which address shows which page, and what all pages share.

import * as api from "./api.js";
import { ask, h, show } from "./dom.js";
import { CATEGORIES } from "./format.js";
import { documents } from "./pages/documents.js";
import { letters } from "./pages/letters.js";
import { overview } from "./pages/overview.js";
import { question } from "./pages/question.js";
import { schedules } from "./pages/schedules.js";
import { task } from "./pages/task.js";
import { tasks } from "./pages/tasks.js";

const PAGES = [
  { path: "/", title: "Overview", open: overview },
  { path: "/tasks", title: "Tasks", open: tasks },
  { path: "/dead-letters", title: "Dead letters", open: letters },
  { path: "/schedules", title: "Schedules", open: schedules },
  { path: "/documents", title: "Documents", open: documents },
  { path: "/ask", title: "Ask", open: question },
];

const main = document.getElementById("main");
let leave = null;

/**
 * A page is a function of (element, rest of the path, search parameters, signal): it draws itself
 * and goes on until the signal aborts.
 */
async function route() {
  leave?.abort();
  leave = new AbortController();
  const [path, query = ""] = (location.hash.slice(1) || "/").split("?");
  const parameters = new URLSearchParams(query);
  const single = path.match(/^\/tasks\/(.+)$/);
  const page = single ? { title: single[1], open: task, path: "/tasks" } : PAGES.find((known) => known.path === path);
  const shown = h("div", { class: "page" });
  show(main, shown);
  mark(page?.path);
  if (!page) {
    document.title = "Not found · Flotilla";
    show(shown, h("h1", {}, "There is no such page"), h("p", {}, h("a", { href: "#/" }, "Go to the overview")));
    return;
  }
  document.title = `${single ? decodeURIComponent(page.title) : page.title} · Flotilla`;
  const { signal } = leave;
  try {
    await learn(signal);
    await page.open(shown, single ? decodeURIComponent(single[1]) : parameters, signal);
  } catch (error) {
    if (!signal.aborted) show(shown, h("div", { class: "alert" }, h("p", {}, error.message)));
  }
}

/** The fleet's settings may define categories of their own; they stay while its gateway runs. */
async function learn(signal) {
  if (CATEGORIES.length > 0) return;
  const { categories } = await api.get("/categories", signal);
  CATEGORIES.push(...categories.map(({ name }) => name));
}

function mark(path) {
  for (const link of document.querySelectorAll("#nav a")) {
    if (link.getAttribute("href") === `#${path}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function navigation() {
  const links = PAGES.map(({ path, title }) => h("a", { href: `#${path}` }, title));
  show(document.getElementById("nav"), links, h("a", { href: "api/docs" }, "API"));
}

/** Follows the system until somebody chooses; the choice is kept. */
function theme() {
  const button = document.getElementById("theme");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => localStorage.getItem("flotilla-theme");
  const apply = () => {
    const now = chosen() ?? (dark.matches ? "dark" : "light");
    document.documentElement.dataset.theme = now;
    button.textContent = now === "dark" ? "Light" : "Dark";
    button.setAttribute("aria-label", `Use the ${now === "dark" ? "light" : "dark"} theme`);
  };
  button.addEventListener("click", () => {
    localStorage.setItem("flotilla-theme", document.documentElement.dataset.theme === "dark" ? "light" : "dark");
    apply();
  });
  dark.addEventListener("change", apply);
  apply();
}

let asking = null;
function askForKey() {
  const field = h("label", {}, h("span", {}, "API key"), h("input", { name: "key", type: "password", autocomplete: "off", required: true }));
  asking ??= ask({ title: "This gateway asks for an API key", body: [h("p", { class: "muted" }, "It is kept in this tab until you close it. 'flotilla keys new' makes one."), field], action: "Use this key" })
    .then((data) => {
      if (data?.get("key")) api.setKey(data.get("key").trim());
    })
    .finally(() => { asking = null; });
  return asking;
}

theme();
navigation();
api.onKeyWanted(askForKey);
addEventListener("hashchange", () => { route(); main.focus(); });
route();
