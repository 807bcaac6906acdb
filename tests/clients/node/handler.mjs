// Serves the category `translate`: node handler.mjs, with the server's address in NATS_URL.
import { setTimeout as sleep } from "node:timers/promises";
import { connect, headers } from "@nats-io/transport-node";

const nc = await connect({ servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222" });
const running = new Map();

function say(request, kind, body = null) {
  const named = headers();
  named.set("Flotilla-Say", kind);
  request.respond(JSON.stringify(body), { headers: named });
}

async function work(request, signal) {
  const task = request.json();
  if (task.flaky && request.headers.get("Flotilla-Attempt") === "1") {
    return say(request, "retry", { code: "not_ready", message: "the dictionary is being loaded", after: "100ms" });
  }
  const words = task.text.split(" ");
  for (const [n, word] of words.entries()) {
    say(request, "progress", { percent: (100 * n) / words.length, message: word });
    await sleep(1_000 * (task.seconds ?? 0.01), null, { signal });
  }
  say(request, "done", { text: words.map((word) => [...word].reverse().join("")).join(" ") });
}

nc.subscribe("handlers.translate.stop.*", { callback: (_, told) => running.get(told.json().task_id)?.abort() });
for await (const request of nc.subscribe("handlers.translate", { queue: "handlers" })) {
  const [id, stop] = [request.headers.get("Flotilla-Task-Id"), new AbortController()];
  running.set(id, stop);
  const beat = setInterval(() => say(request, "heartbeat"), parseInt(request.headers.get("Flotilla-Silence-Max")) / 3);
  work(request, stop.signal)
    .catch((error) => stop.signal.aborted ? console.log("stopped", id) : say(request, "reject", { code: "invalid_payload", message: error.message }))
    .finally(() => { clearInterval(beat); running.delete(id); });
}
