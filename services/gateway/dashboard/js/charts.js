// Charts over time, in SVG. A chart is read with the pointer, or with the arrow keys: what is at
// the place stands in words beside the title, so that nobody needs to see the colours.

import { h, s, show } from "./dom.js";
import { clock } from "./format.js";

const HEIGHT = 190;
const LEFT = 46;
const BOTTOM = 22;
const TOP = 8;

/**
 * A figure whose `update({ times, series })` draws it: times in milliseconds, one value (or null)
 * for each in every series. `kind` is "bars" (stacked) or "lines".
 */
export function timeChart({ title, kind, format, none }) {
  const reading = h("p", { class: "reading", "aria-live": "polite" });
  const legend = h("p", { class: "legend" });
  const svg = s("svg", { tabindex: 0, role: "img" });
  const figure = h("figure", { class: "chart panel" },
    h("figcaption", {}, h("h2", {}, title), reading), svg, legend);
  let data = { times: [], series: [] };
  let at = null;

  const draw = () => drawChart(svg, { ...data, kind, format, at, none });
  const read = (index) => {
    at = index;
    reading.textContent = index === null ? "" : sentence(data, index, format);
    draw();
  };
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const share = (event.clientX - box.left - LEFT) / Math.max(1, box.width - LEFT);
    const index = Math.round(share * (data.times.length - 1));
    if (data.times.length > 0) read(Math.min(Math.max(index, 0), data.times.length - 1));
  });
  svg.addEventListener("pointerleave", () => read(null));
  svg.addEventListener("blur", () => read(null));
  svg.addEventListener("keydown", (event) => {
    const last = data.times.length - 1;
    const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
    if (!(event.key in steps) || last < 0) return;
    event.preventDefault();
    read(Math.min(Math.max((at ?? last) + steps[event.key], 0), last));
  });
  new ResizeObserver(draw).observe(svg);

  figure.update = (next) => {
    data = next;
    if (at !== null && at >= data.times.length) at = null;
    show(legend, data.series.map(({ name, color }) => h("span", {}, h("i", { tint: color }), name)));
    svg.setAttribute("aria-label", `${title}. ${summary(data, format)} Use the arrow keys to read values.`);
    if (at !== null) reading.textContent = sentence(data, at, format);
    draw();
  };
  return figure;
}

function sentence({ times, series }, index, format) {
  const values = series.map(({ name, values }) => `${name} ${format(values[index])}`);
  return `${clock(times[index])}: ${values.join(", ")}`;
}

function summary({ series }, format) {
  return series.map(({ name, values }) => {
    const known = values.filter((value) => value !== null);
    return known.length === 0 ? `${name}: nothing.` : `${name}: at most ${format(Math.max(...known))}, last ${format(known.at(-1))}.`;
  }).join(" ");
}

function drawChart(svg, { times, series, kind, format, at, none }) {
  const width = Math.max(svg.clientWidth, 200);
  svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  const stacked = kind === "bars";
  const totals = times.map((_, i) => combine(series.map(({ values }) => values[i] ?? 0), stacked));
  const { top, step } = scale(Math.max(0, ...totals));
  const plot = { width: width - LEFT - 4, height: HEIGHT - TOP - BOTTOM };
  const y = (value) => TOP + plot.height * (1 - value / top);
  const x = (index) => LEFT + (times.length < 2 ? plot.width / 2 : plot.width * index / (times.length - 1));
  const place = { x, y, width: plot.width, count: times.length };
  const empty = totals.every((total) => total === 0);
  svg.replaceChildren(
    ...gridLines(y, width, top, step, format),
    ...timeLabels(times, x),
    ...(stacked ? bars(series, place) : series.map((one) => line(one, place))),
    ...(at === null || at >= times.length ? [] : [s("line", { class: "cursor", x1: x(at), x2: x(at), y1: TOP, y2: TOP + plot.height })]),
    ...(empty ? [s("text", { x: LEFT + plot.width / 2, y: TOP + plot.height / 2, "text-anchor": "middle" }, none)] : []),
  );
}

const combine = (values, stacked) => stacked ? values.reduce((sum, value) => sum + value, 0) : Math.max(0, ...values);

/** A round upper end, and a round step to it. */
function scale(highest) {
  if (!(highest > 0)) return { top: 1, step: 1 };
  const rough = highest / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough);
  return { top: step * Math.ceil(highest / step - 1e-9), step };
}

function gridLines(y, width, top, step, format) {
  const lines = [];
  for (let value = 0; value <= top + step / 2; value += step) {
    lines.push(s("line", { class: "grid", x1: LEFT, x2: width, y1: y(value), y2: y(value) }));
    lines.push(s("text", { x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, format(value)));
  }
  return lines;
}

function timeLabels(times, x) {
  if (times.length < 2) return [];
  const places = [0, 0.25, 0.5, 0.75, 1].map((share) => Math.round(share * (times.length - 1)));
  return [...new Set(places)].map((index, i, all) => {
    const anchor = i === 0 ? "start" : i === all.length - 1 ? "end" : "middle";
    return s("text", { x: x(index), y: HEIGHT - 4, "text-anchor": anchor }, clock(times[index]).slice(0, 5));
  });
}

function bars(series, { x, y, width, count }) {
  const wide = Math.max(1.5, width / Math.max(count, 1) - 1.5);
  const shapes = [];
  for (let index = 0; index < count; index += 1) {
    let below = 0;
    for (const { values, color } of series) {
      const value = values[index] ?? 0;
      if (value > 0) {
        const height = Math.max(y(below) - y(below + value), 1);
        shapes.push(s("rect", { x: x(index) - wide / 2, y: y(below + value), width: wide, height, style: { fill: color } }));
        below += value;
      }
    }
  }
  return shapes;
}

/** Interrupted where nothing is known; a single value is a dot. */
function line({ values, color, dashed }, { x, y }) {
  let path = "";
  values.forEach((value, index) => {
    if (value === null) return;
    const begins = index === 0 || values[index - 1] === null;
    path += `${begins ? "M" : "L"}${x(index).toFixed(1)} ${y(value).toFixed(1)}`;
    if (begins && (values[index + 1] ?? null) === null) path += "h0.1";
  });
  return s("path", { class: "line", d: path, "stroke-dasharray": dashed ? "4 4" : null, style: { stroke: color } });
}
