"""./tests/crash: kill -9 under load, then look whether everything acknowledged is there.

Posters create, change, patch and delete records of their own and remember what was acknowledged, and
what was under way when the server died: that alone may or may not have happened. After each
kill the server is started again, and

- `postern store check` finds nothing wrong (sequence without gaps, every event's deliveries, …),
- every record is as acknowledged, or as the one request under way would have left it,
- every acknowledged event is among those that can be pulled, in a sequence without gaps,
- and at the end the receiver was sent each event, one record's in order.

Prints TAP: a case a round, and one for the deliveries.
"""
import argparse
import http.client
import json
import os
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/e2e"))
from harness import POSTERN, Receiver, Server, wait_until  # noqa: E402

LIMITS = ["--limit-minute", "100000000", "--limit-hour", "100000000"]
# Where the code can be told to die; each is passed many times a second under load.
POINTS = ["writer_applied", "txn_before_commit", "txn_after_commit", "writer_committed"]
GONE = None  # the state of a record that does not exist


class Poster(threading.Thread):
    """Sends one request after the other for records of its own, until told to stop."""

    def __init__(self, number, seed, fleet):
        super().__init__(daemon=True)
        self.number = number
        self.random = random.Random(seed)
        self.fleet = fleet
        self.states = {}  # record key -> acknowledged content, or GONE
        self.pending = None  # (record key, content) under way when the server died
        self.events = []  # ids of acknowledged events
        self.acknowledged = 0
        self.error = None

    def run(self):
        try:
            while self.fleet.wait_for_go():
                self.work()
        except Exception as error:  # told by the main thread
            self.error = f"poster {self.number}: {type(error).__name__}: {error}"
            raise

    def work(self):
        """Until the connection breaks."""
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.fleet.port, timeout=20)
            while self.fleet.is_going():
                self.one(connection)
        except (OSError, http.client.HTTPException):
            self.fleet.lost()
        finally:
            connection.close()

    def one(self, connection):
        keys = [key for key, state in self.states.items() if state is not GONE]
        kind = self.random.choice(["new", "new", "update", "patch", "delete", "batch"])
        if kind in ("update", "patch", "delete") and not keys:
            kind = "new"
        if kind == "batch":
            self.batch(connection)
            return
        key = self.random.choice(keys) if kind not in ("new",) else self.new_key()
        content = self.content(key)
        path, method, body = "/api/webhook/workorder", "POST", content
        if kind == "patch":
            path, method = f"{path}/{key}", "PATCH"
            body = {"title": content["title"]}
            content = {**self.states[key], **body}
        elif kind == "delete":
            path, method, body, content = f"{path}/{key}", "DELETE", None, GONE
        self.pending = [(key, content)]
        status, answer = self.send(connection, method, path, json.dumps(body) if body else None)
        if status == 503:
            self.pending = None
            return
        assert status == 200, (status, answer[:300])
        self.acknowledge(json.loads(answer), key, content)
        self.pending = None

    def batch(self, connection):
        records = [self.content(self.new_key()) for _ in range(5)]
        self.pending = [(record["workOrderNumber"], record) for record in records]
        status, answer = self.send(connection, "POST", "/api/webhook/workorder",
                                   "".join(json.dumps(record) + "\n" for record in records),
                                   "application/x-ndjson")
        if status == 200:
            for line, record in zip(answer.splitlines(), records):
                self.acknowledge(json.loads(line), record["workOrderNumber"], record)
        else:
            assert status == 503, (status, answer[:300])
        self.pending = None

    def send(self, connection, method, path, body, content_type="application/json"):
        connection.request(method, path, body, {"X-API-Key": self.fleet.key,
                                                "Content-Type": content_type})
        response = connection.getresponse()
        return response.status, response.read()

    def acknowledge(self, answer, key, content):
        self.states[key] = content
        self.events += [event["id"] for event in answer["events"]]
        self.acknowledged += 1

    def new_key(self):
        return f"P{self.number}-{len(self.states)}-{self.random.getrandbits(40):x}"

    def content(self, key):
        record = {"workOrderNumber": key, "title": f"t{self.random.getrandbits(60):x}",
                  "status": self.random.choice(["draft", "in_progress", "completed"])}
        if self.random.random() < 0.2:
            record["description"] = "d" * self.random.randrange(9000)
        return record


class Fleet:
    """The posters, and the signal that they may send."""

    def __init__(self, posters, seed, key):
        self.key = key
        self.port = 0
        self.condition = threading.Condition()
        self.going = False
        self.ended = False
        self.working = 0
        self.posters = [Poster(i, seed * 1000 + i, self) for i in range(posters)]
        for poster in self.posters:
            poster.start()

    def go(self, port):
        with self.condition:
            self.port = port
            self.going = True
            self.working = len(self.posters)
            self.condition.notify_all()

    def halt(self):
        """No more requests; returns when none is under way."""
        with self.condition:
            self.going = False
        wait_until(lambda: self.working == 0 or any(poster.error for poster in self.posters),
                   "the posters have stopped", 60)

    def end(self):
        with self.condition:
            self.ended = True
            self.condition.notify_all()

    def is_going(self):
        return self.going

    def lost(self):
        with self.condition:
            self.going = False

    def wait_for_go(self):
        with self.condition:
            if self.working and self.port:
                self.working -= 1
            while not self.going and not self.ended:
                self.condition.wait()
            return not self.ended

    def acknowledged(self):
        return sum(poster.acknowledged for poster in self.posters)


class Trial:
    def __init__(self, folder, options):
        self.random = random.Random(options.seed)
        self.receiver = Receiver(folder / "receiver")
        self.server = Server(folder / "server", ["--retry-schedule", "1s,1s,1s,1s,1s,1s,1s,1s"])
        self.server.start()
        self.server.create_endpoint(self.receiver.url)
        key = self.server.create_key("*:write", "*:read", "events:read", flags=LIMITS).key
        self.key = key
        self.fleet = Fleet(options.posters, options.seed, key)
        self.seen = {}  # event id -> sequence
        self.last_sequence = 0
        self.server.kill()

    def round(self, point):
        """One life of the server; what is wrong afterwards, or None."""
        self.server.environment = {}
        if point:
            self.server.environment["POSTERN_FAULT_POINT"] = \
                f"{point}:{self.random.randrange(1, 400)}"
        try:
            self.server.start()
        except AssertionError:
            if not point:
                raise
        if self.server.process and self.server.process.poll() is None:
            self.fleet.go(int(self.server.http.rsplit(":", 1)[1]))
            self.die(point)
        self.server.process = None
        return self.examine()

    def die(self, point):
        process = self.server.process
        end = time.monotonic() + (30 if point else self.random.uniform(0.05, 0.8))
        while time.monotonic() < end and process.poll() is None:
            time.sleep(0.005)
        process.kill()
        process.wait()
        self.fleet.halt()

    def examine(self):
        errors = [poster.error for poster in self.fleet.posters if poster.error]
        if errors:
            return "\n".join(errors)
        check = self.server.tool("store", "check", check=False)
        if check.returncode != 0:
            return check.stdout + check.stderr
        self.server.environment = {}
        self.server.start()
        try:
            return self.compare_records() or self.compare_events()
        finally:
            self.server.kill()

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1",
                                                int(self.server.http.rsplit(":", 1)[1]), timeout=30)
        connection.request("GET", path, headers={"X-API-Key": self.key})
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response.status, body

    def stored(self, key):
        status, body = self.get(f"/api/webhook/workorder/{key}")
        if status == 404:
            return GONE
        record = json.loads(body)
        record.pop("id")
        return record

    def compare_records(self):
        for poster in self.fleet.posters:
            pending = dict(poster.pending or [])
            for key, content in pending.items():
                found = self.stored(key)
                if found != content and found != poster.states.get(key, GONE):
                    return f"{key}: {found}, neither before nor after what was under way"
                poster.states[key] = found
            poster.pending = None
            # All that changed lately, and a sample of the rest: a full look each round would be
            # quadratic; the store check has looked at every row.
            keys = list(poster.states)
            for key in keys[-30:] + self.random.sample(keys, min(10, len(keys))):
                found = self.stored(key)
                if found != poster.states[key]:
                    return f"{key}: acknowledged {poster.states[key]}, found {found}"
        return None

    def compare_events(self):
        while True:
            status, body = self.get(f"/api/events?after={self.last_sequence}&limit=1000")
            if status != 200:
                return f"GET /api/events: {status} {body[:200]}"
            events = json.loads(body)["data"]
            for event in events:
                if event["sequence"] != self.last_sequence + 1:
                    return f"event {event['sequence']} follows {self.last_sequence}"
                self.last_sequence = event["sequence"]
                self.seen[event["id"]] = event["sequence"]
            if not events:
                break
        for poster in self.fleet.posters:
            for event in poster.events:
                if event not in self.seen:
                    return f"{event} was acknowledged and is not there"
            poster.events = []
        return None

    def deliveries(self):
        """Every event must come, and one record's in order (each first delivery of it counts)."""
        self.server.environment = {}
        self.server.start()
        try:
            wait_until(lambda: len(self.delivered()) >= self.last_sequence, "all was delivered", 240)
        except AssertionError as error:
            return f"{error}: {len(self.delivered())} of {self.last_sequence}"
        order = {}
        for event in self.delivered().values():
            record, sequence = event["data"]["id"], event["sequence"]
            if sequence < order.get(record, 0):
                return f"{record}: event {sequence} came after {order[record]}"
            order[record] = sequence
        check = self.server.tool("store", "check", check=False)
        return None if check.returncode == 0 else check.stdout + check.stderr

    def delivered(self):
        """First deliveries by sequence, in the order in which they came."""
        first = {}
        for delivery in self.receiver.of_event():
            event = delivery.json()
            first.setdefault(event["sequence"], event)
        return first


def say(number, name, wrong):
    print(f"{'not ok' if wrong else 'ok'} {number} - {name}", flush=True)
    for line in (wrong or "").splitlines():
        print(f"# {line}")


def main():
    parser = argparse.ArgumentParser(prog="tests/crash")
    parser.add_argument("--rounds", type=int, default=12, help="kills (12)")
    parser.add_argument("--posters", type=int, default=16, help="clients at once (16)")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    print(f"# seed {options.seed}\n1..{options.rounds + 1}")
    failed = 0
    with tempfile.TemporaryDirectory(prefix="postern-crash-") as folder:
        trial = Trial(Path(folder), options)
        for i in range(options.rounds):
            point = POINTS[i // 2 % len(POINTS)] if i % 2 else None
            wrong = trial.round(point)
            say(i + 1, f"killed {'at ' + point if point else 'at a random moment'}: "
                f"{trial.fleet.acknowledged()} acknowledged so far, none lost", wrong)
            failed += bool(wrong)
            if wrong:
                break
        wrong = "a round before it failed" if failed else trial.deliveries()
        say(options.rounds + 1, f"{trial.last_sequence} events were all delivered, in order", wrong)
        trial.fleet.end()
        if trial.server.process:
            trial.server.kill()
        trial.receiver.close()
    return 1 if failed or wrong else 0


if __name__ == "__main__":
    sys.exit(main())
