// The gateway's API, which is on the page's own host. With access keys on, the key is asked for
// once and kept for the tab.

const BASE = "api/hp";
const KEY = "flotilla-key";

/** What the API refused, and why: the problem document's own words. */
export class Refused extends Error {
  constructor(status, problem) {
    const lines = [problem.detail ?? problem.title ?? `the gateway answered ${status}`, problem.remedy];
    super(lines.filter(Boolean).join(" – "));
    this.status = status;
    this.problem = problem;
  }
}

let wanted = null;
/** Told when a key is missing or no longer good; it resolves once there is another. */
export function onKeyWanted(ask) {
  wanted = ask;
}

export function setKey(key) {
  sessionStorage.setItem(KEY, key);
}

function headers(extra) {
  const key = sessionStorage.getItem(KEY);
  return key ? { ...extra, authorization: `Bearer ${key}` } : extra;
}

async function request(path, { method = "GET", body, accept = "application/json", signal } = {}) {
  const send = () => fetch(`${BASE}${path}`, {
    method, signal, cache: "no-store",
    headers: headers(body === undefined ? { accept } : { accept, "content-type": "application/json" }),
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  let response = await send();
  if (response.status === 401 && wanted) {
    await wanted();
    response = await send();
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw new Refused(response.status, problem);
}

async function call(path, options) {
  const response = await request(path, options);
  return response.status === 204 ? null : response.json();
}

export const get = (path, signal) => call(path, { signal });
export const post = (path, body = {}) => call(path, { method: "POST", body });
export const put = (path, body) => call(path, { method: "PUT", body });
export const remove = (path) => call(path, { method: "DELETE" });

/** A query string of what is set. */
export function search(fields) {
  const set = Object.entries(fields).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return set.length === 0 ? "" : `?${new URLSearchParams(set)}`;
}

/**
 * Server-sent events, by fetch: EventSource can send neither a body nor a key.
 * Yields { event, data } with the data parsed.
 */
export async function* events(path, options = {}) {
  const response = await request(path, { ...options, accept: "text/event-stream" });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      rest += value;
      const blocks = rest.split(/\r?\n\r?\n/);
      rest = blocks.pop();
      for (const block of blocks) {
        const found = parse(block);
        if (found) yield found;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function parse(block) {
  let event = "message";
  const data = [];
  for (const line of block.split(/\r?\n/)) {
    if (line.startsWith("event:")) event = line.slice(6).trim();
    else if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
  }
  return data.length === 0 ? null : { event, data: JSON.parse(data.join("\n")) };
}
