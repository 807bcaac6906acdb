// Numbers, durations and times as people read them.

import { h } from "./dom.js";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export function count(n) {
  if (n === null || n === undefined) return "–";
  return n < 100_000 ? whole.format(n) : compact.format(n);
}

export function percent(share) {
  if (share === null || share === undefined) return "–";
  const value = share * 100;
  return `${value >= 99.95 || value === 0 ? value.toFixed(0) : value.toFixed(1)} %`;
}

/** A number of tasks in a time: 0.3, 12, 4,100. */
export function rate(n) {
  if (n === null || n === undefined) return "–";
  return n > 0 && n < 10 ? n.toFixed(1) : count(n);
}

/** Seconds, in the unit that shows two or three digits. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds <= 0) return "0 s";
  if (seconds < 0.001) return `${(seconds * 1e6).toFixed(0)} µs`;
  if (seconds < 1) return `${(seconds * 1e3).toFixed(seconds < 0.01 ? 1 : 0)} ms`;
  if (seconds < 100) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  if (seconds < 5_400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129_600) return `${(seconds / 3_600).toFixed(1)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

export function clock(at) {
  return new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}

/** "12 s ago", "in 4 min". */
export function relative(at, now = Date.now()) {
  const seconds = (new Date(at).getTime() - now) / 1_000;
  if (Math.abs(seconds) < 1) return "now";
  return seconds < 0 ? `${duration(-seconds)} ago` : `in ${duration(seconds)}`;
}

/** A time that says how long ago it was, and exactly when. */
export function when(at) {
  if (!at) return "–";
  return h("time", { datetime: at, title: new Date(at).toLocaleString() }, relative(at));
}

export function state(name, text = name) {
  return h("span", { class: "state", "data-state": name }, text.replaceAll("_", " "));
}

export const PRIORITIES = ["CRITICAL", "HIGH", "NORMAL", "LOW", "BULK"];
/** Filled with those of the fleet before a page is opened. */
export const CATEGORIES = [];
export const OUTCOMES = ["completed", "failed", "cancelled", "expired"];

/** "CRITICAL" and "scraping" as words of a page: Critical, Scraping. */
export function word(text) {
  return text.charAt(0).toUpperCase() + text.slice(1).toLowerCase().replaceAll("_", " ");
}
