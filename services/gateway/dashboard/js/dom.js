// Elements, made without markup: nothing that a task or a page says can become HTML.

/** h("a", { href: "#/", class: "x", onclick: f }, "text", child, …) */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same within an SVG. */
export function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "tint") element.style.setProperty("--tint", value);
    else if (name === "style") Object.assign(element.style, value);
    else if (name in element && typeof value !== "string" && !(element instanceof SVGElement)) element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Replaces what is in an element, unless that would take the focus or an open menu away. */
export function show(element, ...children) {
  element.replaceChildren(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
}

let notes = null;
/** A short word at the bottom of the page; errors stay longer. */
export function note(text, isBad = false) {
  notes ??= document.getElementById("notes");
  const shown = h("div", { class: isBad ? "bad" : "" }, text);
  notes.append(shown);
  setTimeout(() => shown.remove(), isBad ? 10_000 : 4_000);
}

/** Asks before something that cannot be taken back. Resolves to the form's data, or null. */
export function ask({ title, body = [], action, danger = false }) {
  return new Promise((resolve) => {
    const cancel = h("button", { type: "button", onclick: () => dialog.close() }, "Keep as it is");
    const form = h("form", { method: "dialog" },
      h("h2", {}, title), body,
      h("div", { class: "row" }, h("button", { class: danger ? "danger" : "main", value: "yes" }, action), cancel));
    const dialog = h("dialog", { "aria-label": title }, form);
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes" ? new FormData(form) : null);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Runs what a button does: one at a time, errors told. */
export async function act(button, work) {
  button.disabled = true;
  try {
    return await work();
  } catch (error) {
    note(error.message, true);
  } finally {
    button.disabled = false;
  }
}
