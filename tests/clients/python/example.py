"""Publishes a scraping task and waits for its outcome, then asks about what the fleet has read.

python3 example.py [URL], with the server's address in NATS_URL.
"""

import asyncio
import json
import os
import sys
import uuid

import nats


async def scrape(nc, url):
    """Submits a task by a plain publish, and returns its record once that is its outcome."""
    # With an id of our own we can listen before we publish, so that nothing is missed.
    task_id = f"example-{uuid.uuid4()}"
    records = await nc.subscribe(f"outcomes.scraping.{task_id}")
    # The PubAck means that the task is stored; from then on it ends in exactly one outcome.
    await nc.jetstream().publish(f"tasks.scraping.normal.{task_id}", json.dumps({"url": url}).encode())
    while True:
        record = json.loads((await records.next_msg(timeout=60)).data)
        if record["status"] == "completed":
            return record
        if record["status"] in ("failed", "cancelled", "expired"):
            sys.exit(f"the task has {record['status']}: {record}")


async def ask(nc, question):
    """One request, and the outcome is its reply."""
    reply = await nc.request("fleet.ask.query", json.dumps({"query": question}).encode(), timeout=10)
    if refusal := (reply.headers or {}).get("Nats-Service-Error"):
        sys.exit(f"the question was refused: {refusal}")
    return json.loads(reply.data)


async def main():
    nc = await nats.connect(os.environ.get("NATS_URL", "nats://127.0.0.1:4222"))
    page = await scrape(nc, sys.argv[1] if len(sys.argv) > 1 else "https://example.com/")
    print("title: ", page["result"]["title"])

    answer = await ask(nc, "How long does the warranty last?")
    print("answer:", answer["result"]["answer"])
    print("from:  ", answer["result"]["sources"])
    await nc.close()


asyncio.run(main())
