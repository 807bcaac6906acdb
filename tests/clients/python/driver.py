"""The conformance driver of nats-py: does what it is told, a line of JSON each (see ../README.md)."""

import asyncio
import base64
import json
import sys
from importlib.metadata import version

import nats
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError

# As long as the busiest machine may need to store ten thousand messages.
BURST_WITHIN = 60


def refused(kind, error, code=None):
    return {"refused": {"kind": kind, "message": str(error), **({"code": code} if code else {})}}


def body_of(request):
    return base64.b64decode(request.get("body", ""))


def told(message):
    return {"subject": message.subject, "headers": message.headers or {},
            "body": base64.b64encode(message.data or b"").decode()}


class Driver:
    def __init__(self, connection):
        self.nc = connection
        self.js = connection.jetstream(timeout=30, publish_async_max_pending=20_000)
        self.subscriptions = {}

    async def publish(self, request):
        ack = await self.js.publish(request["subject"], body_of(request), headers=request.get("headers"))
        return {"ack": {"stream": ack.stream, "seq": ack.seq, "duplicate": bool(ack.duplicate)}}

    async def send(self, request):
        await self.nc.publish(request["subject"], body_of(request), headers=request.get("headers"))
        return {}

    async def burst(self, request):
        futures = []
        for n in range(request["count"]):
            body = request["text"].replace("{n}", str(n)).encode()
            futures.append(await self.js.publish_async(request["subject"], body, headers=request.get("headers")))
        acks = await asyncio.wait_for(asyncio.gather(*futures), BURST_WITHIN)
        return {"sequences": [ack.seq for ack in acks]}

    async def request(self, request):
        answer = await self.nc.request(request["subject"], body_of(request), headers=request.get("headers"),
                                       timeout=request["timeout_ms"] / 1000)
        return {"message": told(answer)}

    async def subscribe(self, request):
        self.subscriptions[request["name"]] = await self.nc.subscribe(request["subject"])
        await self.nc.flush()
        return {}

    async def receive(self, request):
        subscription = self.subscriptions[request["name"]]
        messages = []
        try:
            messages.append(await subscription.next_msg(timeout=request["timeout_ms"] / 1000))
            while len(messages) < request["max"] and subscription.pending_msgs:
                messages.append(await subscription.next_msg())
        except nats.errors.TimeoutError:
            pass
        return {"messages": [told(message) for message in messages]}

    async def get(self, request):
        message = await self.js.get_last_msg(request["stream"], request["subject"], direct=True)
        return {"message": told(message)}

    async def put_object(self, request):
        store = await self.js.object_store(request["bucket"])
        await store.put(request["name"], body_of(request))
        return {}

    async def get_object(self, request):
        store = await self.js.object_store(request["bucket"])
        found = await store.get(request["name"])
        return {"body": base64.b64encode(found.data).decode()}

    async def do(self, request):
        try:
            return await getattr(self, request["op"])(request)
        except (nats.errors.NoRespondersError, NoStreamResponseError) as error:
            return refused("no_responders", error)
        except nats.errors.MaxPayloadError as error:
            return refused("too_large", error)
        except NotFoundError as error:
            return refused("not_found", error, error.err_code)
        except APIError as error:
            return refused("api", error, error.err_code)
        except nats.errors.TimeoutError as error:
            return refused("timeout", error)
        except Exception as error:  # whatever it is, it is told and fails the case
            return {"error": f"{type(error).__name__}: {error}"}


async def main():
    connection = await nats.connect(sys.argv[1])
    driver = Driver(connection)
    print(json.dumps({"library": f"nats-py {version('nats-py')}"}), flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await driver.do(json.loads(line))), flush=True)
    await connection.close()


asyncio.run(main())
