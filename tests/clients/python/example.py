"""Publishes a scraping task and waits for its outcome, then asks about what the fleet has read.

python3 example.py [URL], with the server's address in NATS_URL.
"""

import asyncio
import json
import os
import sys
import uuid

import nats

FINAL = ("completed", "failed", "cancelled", "expired")


async def run(nc, category, priority, payload):
    """Submits a task and returns its record once that is its outcome."""
    # With an id of our own we can listen before we publish, so that nothing is missed.
    task_id = f"example-{uuid.uuid4()}"
    records = await nc.subscribe(f"outcomes.{category}.{task_id}")
    # The PubAck means that the task is stored; from then on it ends in exactly one outcome.
    await nc.jetstream().publish(f"tasks.{category}.{priority}.{task_id}", json.dumps(payload).encode())
    while True:
        message = await records.next_msg(timeout=60)
        record = json.loads(message.data)
        if record["status"] in FINAL:
            await records.unsubscribe()
            return record


async def main():
    url = sys.argv[1] if len(sys.argv) > 1 else "https://example.com/"
    nc = await nats.connect(os.environ.get("NATS_URL", "nats://127.0.0.1:4222"))

    page = await run(nc, "scraping", "normal", {"url": url})
    if page["status"] != "completed":
        sys.exit(f"the page could not be scraped: {page}")
    print("title: ", page["result"]["title"])

    answer = await run(nc, "query", "critical", {"query": "How long does the warranty last?"})
    print("answer:", answer["result"]["answer"])
    print("from:  ", answer["result"]["sources"])
    await nc.close()


asyncio.run(main())
