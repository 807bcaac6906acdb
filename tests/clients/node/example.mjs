// Publishes a scraping task and waits for its outcome, then asks about what the fleet has read.
// node example.mjs [URL], with the server's address in NATS_URL.

import { randomUUID } from "node:crypto";
import { connect } from "@nats-io/transport-node";
import { jetstream } from "@nats-io/jetstream";

const nc = await connect({ servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222" });
const js = jetstream(nc);

/** Submits a task by a plain publish, and returns its record once that is its outcome. */
async function scrape(url) {
  // With an id of our own we can listen before we publish, so that nothing is missed.
  const taskId = `example-${randomUUID()}`;
  const records = nc.subscribe(`outcomes.scraping.${taskId}`);
  // The PubAck means that the task is stored; from then on it ends in exactly one outcome.
  await js.publish(`tasks.scraping.normal.${taskId}`, JSON.stringify({ url }));
  for await (const message of records) {
    const record = message.json();
    if (record.status === "completed") return record; // leaving the loop unsubscribes
    if (["failed", "cancelled", "expired"].includes(record.status)) {
      throw new Error(`the task has ${record.status}: ${message.string()}`);
    }
  }
}

/** One request, and the outcome is its reply. */
async function ask(query) {
  const reply = await nc.request("fleet.ask.query", JSON.stringify({ query }), { timeout: 10_000 });
  const refusal = reply.headers?.get("Nats-Service-Error");
  if (refusal) throw new Error(`the question was refused: ${refusal}`);
  return reply.json();
}

const page = await scrape(process.argv[2] ?? "https://example.com/");
console.log("title: ", page.result.title);

const answer = await ask("How long does the warranty last?");
console.log("answer:", answer.result.answer);
console.log("from:  ", answer.result.sources);
await nc.close();
