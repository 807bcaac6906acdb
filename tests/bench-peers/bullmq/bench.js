// BullMQ: node bench.js REDIS_PORT TASKS CONCURRENCY ROUND_TRIPS; prints one line of JSON.
import { Queue, QueueEvents, Worker } from "bullmq";

const [port, tasks, concurrency, roundTrips] = process.argv.slice(2).map(Number);
const PAYLOAD = { query: "How do I reset the device to its factory settings?", brand: "acme" };
const CHUNK = 500; // jobs of one addBulk

const connection = { host: "127.0.0.1", port, maxRetriesPerRequest: null };
const queue = new Queue("bench", { connection });
const events = new QueueEvents("bench", { connection });
// Finished jobs keep their result, as ours do.
const worker = new Worker("bench", async () => null, { connection, concurrency, autorun: false });
await events.waitUntilReady();
await worker.waitUntilReady();
worker.run();

const began = performance.now();
for (let sent = 0; sent < tasks; sent += CHUNK) {
  const jobs = Math.min(CHUNK, tasks - sent);
  await queue.addBulk(Array.from({ length: jobs }, () => ({ name: "task", data: PAYLOAD })));
}
while ((await queue.getCompletedCount()) < tasks) {
  await new Promise((resolve) => setTimeout(resolve, 5));
}
const seconds = (performance.now() - began) / 1e3;

const trips = [];
for (let n = 0; n < roundTrips; n++) {
  const sent = performance.now();
  const job = await queue.add("task", PAYLOAD);
  await job.waitUntilFinished(events);
  trips.push(performance.now() - sent);
}
trips.sort((a, b) => a - b);
const at = (q) => trips[Math.min(trips.length - 1, Math.floor(q * trips.length))];
console.log(JSON.stringify({ tasks_per_second: tasks / seconds, p50_ms: at(0.5), p99_ms: at(0.99) }));
process.exit(0);
