// Publishes a scraping task and waits for its outcome, then asks about what the fleet has read.
// node example.mjs [URL], with the server's address in NATS_URL.

import { randomUUID } from "node:crypto";
import { connect } from "@nats-io/transport-node";
import { jetstream } from "@nats-io/jetstream";

const FINAL = ["completed", "failed", "cancelled", "expired"];

const nc = await connect({ servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222" });
const js = jetstream(nc);

/** Submits a task and returns its record once that is its outcome. */
async function run(category, priority, payload) {
  // With an id of our own we can listen before we publish, so that nothing is missed.
  const taskId = `example-${randomUUID()}`;
  const records = nc.subscribe(`outcomes.${category}.${taskId}`);
  // The PubAck means that the task is stored; from then on it ends in exactly one outcome.
  await js.publish(`tasks.${category}.${priority}.${taskId}`, JSON.stringify(payload));
  for await (const message of records) {
    const record = message.json();
    if (FINAL.includes(record.status)) return record; // leaving the loop unsubscribes
  }
}

const url = process.argv[2] ?? "https://example.com/";
const page = await run("scraping", "normal", { url });
if (page.status !== "completed") throw new Error(`the page could not be scraped: ${JSON.stringify(page)}`);
console.log("title: ", page.result.title);

const answer = await run("query", "critical", { query: "How long does the warranty last?" });
console.log("answer:", answer.result.answer);
console.log("from:  ", answer.result.sources);
await nc.close();
