// The last hour, or day, as charts take it.

import * as api from "./api.js";
import { OUTCOMES, PRIORITIES, word } from "./format.js";
import { tint } from "./parts.js";

/** A bar is this many stretches wide: ten seconds each in an hour, ten minutes in a day. */
const BAR = { hour: 6, day: 3 };
const RECENT_SECONDS = 300;

export async function loadSeries(range, signal) {
  const [all, byPriority] = await Promise.all([
    api.get(`/stats/series?range=${range}`, signal),
    api.get(`/stats/series?range=${range}&by=priority`, signal),
  ]);
  const points = all.lines[0].points;
  const bars = groups(points, BAR[range]);
  const perMinute = 60 / (all.step_seconds * BAR[range]);
  const times = points.map((point) => Date.parse(point.at));
  return {
    ended: {
      times: bars.map((bar) => Date.parse(bar[0].at)),
      series: OUTCOMES.map((name) => ({ name: word(name), color: tint(name), values: bars.map((bar) => sum(bar, name) * perMinute) })),
    },
    waits: {
      times,
      series: [
        { name: "p95", color: "var(--retried)", values: points.map((point) => point.wait?.p95 ?? null) },
        { name: "p50", color: "var(--completed)", values: points.map((point) => point.wait?.p50 ?? null) },
      ],
    },
    waiting: {
      times: bars.map((bar) => Date.parse(bar[0].at)),
      series: PRIORITIES.map((name) => ({ name: word(name), color: tint(name), values: groups(lineOf(byPriority, name), BAR[range]).map(most) })),
    },
    busy: {
      times,
      series: [
        { name: "Busy", color: "var(--completed)", values: points.map((point) => point.busy ?? null) },
        { name: "Slots", color: "var(--muted)", dashed: true, values: points.map((point) => point.slots ?? null) },
      ],
    },
    recent: recent(points, all.step_seconds),
    total: total(points),
    breakers: all.breakers,
  };
}

/** So that the last group ends with the last point. */
function groups(points, size) {
  const found = [];
  for (let end = points.length; end > 0; end -= size) found.unshift(points.slice(Math.max(0, end - size), end));
  return found;
}

const sum = (points, name) => points.reduce((all, point) => all + point[name], 0);
const most = (points) => Math.max(0, ...points.map((point) => point.waiting ?? 0));

function lineOf({ lines }, name) {
  return lines.find(({ priority }) => priority?.toUpperCase() === name)?.points ?? [];
}

/** The last five minutes; of the waits the worst stretch, as percentiles do not add up. */
function recent(points, step) {
  const last = points.slice(-Math.max(1, Math.round(RECENT_SECONDS / step)));
  const ended = OUTCOMES.reduce((all, name) => all + sum(last, name), 0);
  const waits = last.map((point) => point.wait?.p95).filter((wait) => wait !== undefined);
  return { perMinute: ended * 60 / (last.length * step), wait95: waits.length > 0 ? Math.max(...waits) : null };
}

function total(points) {
  const [completed, failed] = [sum(points, "completed"), sum(points, "failed")];
  return { failed, success: completed + failed > 0 ? completed / (completed + failed) : null };
}
