"""Serves the category `translate`: python3 handler.py, with the server's address in NATS_URL."""
import asyncio, json, os
import nats

async def main():
    nc, running = await nats.connect(os.environ.get("NATS_URL", "nats://127.0.0.1:4222")), {}

    async def work(request):
        say = lambda kind, body=None: nc.publish(request.reply, json.dumps(body).encode(), headers={"Flotilla-Say": kind})
        try:
            task = json.loads(request.data)
            words = task["text"].split()
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            return await say("reject", {"code": "invalid_payload", "message": repr(error)})
        if task.get("flaky") and request.headers["Flotilla-Attempt"] == "1":
            return await say("retry", {"code": "not_ready", "message": "the dictionary is being loaded", "after": "100ms"})
        for n, word in enumerate(words):
            await say("progress", {"percent": 100 * n / len(words), "message": word})
            pause = asyncio.create_task(asyncio.sleep(task.get("seconds", 0.01)))
            while not pause.done():  # a word that takes long: say that we live
                await asyncio.wait([pause], timeout=int(request.headers["Flotilla-Silence-Max"][:-2]) / 3000)
                await say("heartbeat")
        await say("done", {"text": " ".join(word[::-1] for word in words)})

    async def take(request):  # as many at once as the fleet hands out: slots bound them
        task_id = request.headers["Flotilla-Task-Id"]
        running[task_id] = asyncio.create_task(work(request))
        running[task_id].add_done_callback(lambda _: running.pop(task_id, None))

    async def stop(message):
        if task := running.get(json.loads(message.data)["task_id"]):
            print("stopped", message.subject.split(".")[-1], flush=True)
            task.cancel()

    await nc.subscribe("handlers.translate.stop.*", cb=stop)
    await nc.subscribe("handlers.translate", queue="handlers", cb=take)
    await asyncio.Event().wait()

asyncio.run(main())
