// The conformance driver of nats.js: does what it is told, a line of JSON each (see ../README.md).

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { connect, errors, headers } from "@nats-io/transport-node";
import { jetstream, JetStreamApiError, jetstreamManager } from "@nats-io/jetstream";
import { Objm } from "@nats-io/obj";

const OPTIONS = { timeout: 30_000 };
// As long as the busiest machine may need to store ten thousand messages.
const BURST_WITHIN = 60_000;
const MESSAGE_NOT_FOUND = 10037;

function headersOf(request) {
  if (!request.headers) return undefined;
  const made = headers();
  for (const [name, value] of Object.entries(request.headers)) made.append(name, value);
  return made;
}

const bodyOf = (request) => Buffer.from(request.body ?? "", "base64");

function told(message) {
  const found = message.headers ?? message.header;
  const all = {};
  for (const name of found?.keys() ?? []) all[name] = found.get(name);
  return { subject: message.subject, headers: all, body: Buffer.from(message.data).toString("base64") };
}

// A subscription as a queue: what has come, and who waits for more.
class Inbox {
  constructor(connection, subject) {
    this.messages = [];
    this.wake = () => {};
    connection.subscribe(subject, {
      callback: (error, message) => {
        if (error) throw error;
        this.messages.push(message);
        this.wake();
      },
    });
  }

  async take(max, milliseconds) {
    if (this.messages.length === 0) {
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, milliseconds);
        this.wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return this.messages.splice(0, max);
  }
}

const nc = await connect({ servers: process.argv[2] });
const js = jetstream(nc, OPTIONS);
const jsm = await jetstreamManager(nc, OPTIONS);
const objects = new Objm(js);
const inboxes = new Map();

const operations = {
  async publish(request) {
    const ack = await js.publish(request.subject, bodyOf(request), { headers: headersOf(request) });
    return { ack: { stream: ack.stream, seq: ack.seq, duplicate: ack.duplicate } };
  },

  async send(request) {
    nc.publish(request.subject, bodyOf(request), { headers: headersOf(request) });
    return {};
  },

  async burst(request) {
    const acks = [];
    for (let n = 0; n < request.count; n += 1) {
      const body = request.text.replaceAll("{n}", String(n));
      acks.push(js.publish(request.subject, body, { headers: headersOf(request), timeout: BURST_WITHIN }));
    }
    return { sequences: (await Promise.all(acks)).map((ack) => ack.seq) };
  },

  async request(request) {
    const options = { timeout: request.timeout_ms, headers: headersOf(request) };
    return { message: told(await nc.request(request.subject, bodyOf(request), options)) };
  },

  async subscribe(request) {
    inboxes.set(request.name, new Inbox(nc, request.subject));
    await nc.flush();
    return {};
  },

  async receive(request) {
    const messages = await inboxes.get(request.name).take(request.max, request.timeout_ms);
    return { messages: messages.map(told) };
  },

  async get(request) {
    const found = await jsm.direct.getMessage(request.stream, { last_by_subj: request.subject });
    if (!found) return refused("not_found", "there is no such message");
    return { message: told(found) };
  },

  async put_object(request) {
    const store = await objects.open(request.bucket);
    await store.putBlob({ name: request.name }, bodyOf(request));
    return {};
  },

  async get_object(request) {
    const store = await objects.open(request.bucket);
    const found = await store.getBlob(request.name);
    if (!found) return refused("not_found", "there is no such object");
    return { body: Buffer.from(found).toString("base64") };
  },
};

const refused = (kind, message, code) => ({ refused: { kind, message, code } });

function refusal(error) {
  // The library wraps what went wrong in what it was doing.
  for (let cause = error; cause; cause = cause.cause) {
    if (cause instanceof errors.NoRespondersError) return refused("no_responders", cause.message);
    if (cause instanceof errors.TimeoutError) return refused("timeout", cause.message);
    if (cause instanceof JetStreamApiError) {
      return refused(cause.code === MESSAGE_NOT_FOUND ? "not_found" : "api", cause.message, cause.code);
    }
    if (cause instanceof errors.InvalidArgumentError && cause.message.includes("max_payload")) {
      return refused("too_large", cause.message);
    }
  }
  return { error: `${error.name}: ${error.message}` };
}

const { version } = JSON.parse(readFileSync(new URL("node_modules/@nats-io/jetstream/package.json", import.meta.url)));
console.log(JSON.stringify({ library: `@nats-io/jetstream ${version}` }));
for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  let answer;
  try {
    answer = await operations[request.op](request);
  } catch (error) {
    answer = refusal(error);
  }
  console.log(JSON.stringify(answer));
}
await nc.close();
