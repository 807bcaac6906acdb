"""The steps that a case is made of: each is something a client does, and answers with what came of it."""

import base64
import copy
import hashlib
import time

from .expect import ask_of, differences, short
from .values import CaseError, Mismatch, at, body_of, fill_in, readable

# How long something may take that is bound to happen. Only what goes wrong takes as long.
WITHIN = 30
REPEATED_EVERY = 0.05
# How much longer than necessary is listened for what should not come.
LISTENED_ON = 0.5
FINAL = {"$one_of": ["completed", "failed", "cancelled", "expired"]}


def seconds(text):
    if not isinstance(text, str) or not text.endswith("s"):
        raise CaseError(f"a time is written like 10s, not {text!r}")
    return float(text[:-1])


class Client:
    """What a case can do, by one driver. An operation is a method, its arguments are the step's."""

    def __init__(self, driver):
        self.driver = driver

    def _with_body(self, op, operation, **more):
        body = body_of(operation)
        answer = self.driver.do(op, body, **operation, **more)
        return answer, body

    def publish(self, operation, _):
        """Publishes to JetStream, and waits for the PubAck. Answers with what was sent as well."""
        answer, body = self._with_body("publish", operation)
        return {**answer, "sent": base64.b64encode(body).decode()}

    def send(self, operation, _):
        """Publishes, and waits for nothing."""
        return self._with_body("send", operation)[0]

    def burst(self, operation, _):
        """Publishes many, none of which waits for the PubAck of another; `{n}` in the text is its number."""
        answer = self.driver.do("burst", **operation)
        if "sequences" in answer:
            sequences = answer["sequences"]
            return {"acks": len(sequences), "distinct": len(set(sequences))}
        return answer

    def request(self, operation, within):
        """Asks, and waits for one answer."""
        answer, _ = self._with_body("request", operation, timeout_ms=int(within * 1000))
        return self._seen(answer)

    def subscribe(self, operation, _):
        """Listens; what comes is kept until it is received."""
        return self.driver.do("subscribe", **operation)

    def receive(self, operation, within):
        """Takes messages of a subscription until one is as `until` says; answers with all of them."""
        until = operation.pop("until")
        deadline = time.monotonic() + within
        messages = []
        while (left := deadline - time.monotonic()) > 0:
            for message in self._next(operation["name"], left):
                messages.append(message)
                if not list(differences(until, message)):
                    return {"messages": messages, "last": message}
        last = f"; the last of {len(messages)} was {short(messages[-1])}" if messages else ""
        raise Mismatch(f"nothing came within {within:g} s that is as {short(until)}{last}")

    def collect(self, operation, within):
        """Takes messages until `count` of those that are as `where` says differ in what `distinct` leads to."""
        where, path, count = operation["where"], operation["distinct"], operation["count"]
        deadline = time.monotonic() + within
        found = []
        while len(set(found)) < count and (left := deadline - time.monotonic()) > 0:
            found += self._values(operation["name"], left, where, path)
        # What comes twice comes soon after.
        until = time.monotonic() + LISTENED_ON
        while (left := until - time.monotonic()) > 0:
            found += self._values(operation["name"], left, where, path)
        return {"messages": len(found), "distinct": len(set(found))}

    def _values(self, name, left, where, path):
        return [at(path, message) for message in self._next(name, left) if not list(differences(where, message))]

    def _next(self, name, left):
        # In small bites, so that a driver is never asked to be patient for long.
        timeout_ms = max(1, int(min(left, 5) * 1000))
        answer = self.driver.do("receive", name=name, max=1000, timeout_ms=timeout_ms)
        return [readable(message) for message in answer["messages"]]

    def get(self, operation, _):
        """Looks the last message of a subject up, by the stream's direct get."""
        return self._seen(self.driver.do("get", **operation))

    def outcome(self, operation, within):
        """Looks a task's record up until that is its outcome; answers with the record."""
        category, task_id = operation["category"], operation["id"]
        deadline = time.monotonic() + within
        while True:
            answer = self.get({"stream": "RESULTS", "subject": f"results.{category}.{task_id}"}, within)
            record = answer.get("message", {}).get("json")
            if record and not list(differences(FINAL, record.get("status"))):
                return record
            if time.monotonic() > deadline:
                raise Mismatch(f"task {task_id} has no outcome after {within:g} s; its record: {short(answer)}")
            time.sleep(REPEATED_EVERY)

    def put_object(self, operation, _):
        return self._with_body("put_object", operation)[0]

    def get_object(self, operation, _):
        answer = self.driver.do("get_object", **operation)
        if "body" in answer:
            return readable({"subject": "", "body": answer["body"]})
        return answer

    def sha256(self, operation, _):
        """What a client computes by itself: the digest of a text, and its first 32 digits."""
        digest = hashlib.sha256(operation["text"].encode()).hexdigest()
        return {"hex": digest, "first_32": digest[:32]}

    @staticmethod
    def _seen(answer):
        if "message" not in answer:
            return answer
        message = readable(answer["message"])
        headers = {name.lower(): value for name, value in message["headers"].items()}
        if "nats-service-error-code" in headers:
            # The services API has a refusal come back as a message.
            refused = {"kind": "service", "code": int(headers["nats-service-error-code"]),
                       "message": headers.get("nats-service-error", "")}
            return {"refused": refused, "message": message}
        return {"message": message}


OPERATIONS = [name for name in vars(Client) if not name.startswith("_")]
BESIDE = ("expect", "save", "within", "eventually")


def operation_of(step):
    names = [name for name in step if name in OPERATIONS]
    unknown = [name for name in step if name not in OPERATIONS and name not in BESIDE]
    if len(names) != 1 or unknown:
        raise CaseError(f"a step has one operation ({', '.join(OPERATIONS)}) and {', '.join(BESIDE)} where wanted, not {', '.join(step)}")
    return names[0]


def run_step(step, client, variables):
    """Does it and holds the answer against `expect`; with `eventually` again and again until that is so."""
    name = operation_of(step)
    within = seconds(step.get("within", f"{WITHIN}s"))
    wanted = fill_in(step.get("expect", {}), variables)
    deadline = time.monotonic() + within
    while True:
        operation = fill_in(copy.deepcopy(step[name]), variables)
        answer = getattr(client, name)(operation, within)
        found = list(differences(wanted, answer))
        if not found:
            break
        if not step.get("eventually") or time.monotonic() > deadline:
            raise Mismatch(f"{name}: " + "; ".join(found))
        time.sleep(REPEATED_EVERY)
    # A refusal is never an answer that nobody has thought of.
    refused = answer.get("refused") if isinstance(answer, dict) else None
    if refused and "refused" not in wanted and not ask_of(wanted):
        raise Mismatch(f"{name} was refused: {short(refused)}")
    for variable, path in step.get("save", {}).items():
        variables[variable] = at(path, answer)


def run_case(case, client, variables):
    """Raises `Mismatch` where what came is not what the case expects."""
    variables = dict(variables)
    for number, step in enumerate(case["steps"], start=1):
        try:
            run_step(step, client, variables)
        except Mismatch as mismatch:
            raise Mismatch(f"step {number}, {mismatch}") from None
        except CaseError as error:
            raise CaseError(f"step {number}: {error}") from None
