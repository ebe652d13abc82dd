"""The clients of ./tests/crash: each works on records of its own and knows what they must be."""
import http.client
import json
import random
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "e2e"))
from harness import wait_until  # noqa: E402

GONE = None  # the state of a record that does not exist


class Poster(threading.Thread):
    """Sends one request after the other, until told to stop or the server is gone."""

    def __init__(self, number, seed, fleet):
        super().__init__(daemon=True)
        self.number = number
        self.random = random.Random(seed)
        self.fleet = fleet
        self.states = {}  # (type, record key) -> acknowledged content, or GONE
        self.living = []  # record keys of work orders that exist
        self.pending = []  # (type, record key, content) under way when the server died
        self.events = []  # ids of acknowledged events that were not pulled yet
        self.acknowledged = 0
        self.made = 0
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
        connection = http.client.HTTPConnection("127.0.0.1", self.fleet.port, timeout=20)
        try:
            while self.fleet.is_going():
                self.one(connection)
        except (OSError, http.client.HTTPException):
            self.fleet.lost()
        finally:
            connection.close()

    def one(self, connection):
        kind = self.random.choice(["new", "new", "update", "patch", "delete", "batch", "project"])
        if kind in ("update", "patch", "delete") and not self.living:
            kind = "new"
        if kind == "batch":
            self.batch(connection)
            return
        if kind == "project":
            key = self.new_key()
            self.send(connection, "POST", "", [("project", key, {"projectNumber": key, "name": "x"})])
            return
        key = self.new_key() if kind == "new" else self.random.choice(self.living)
        content = self.content(key)
        if kind == "patch":
            patch = {"title": content["title"]}
            content = {**self.states["workorder", key], **patch}
            self.send(connection, "PATCH", f"/{key}", [("workorder", key, content)], patch)
        elif kind == "delete":
            self.send(connection, "DELETE", f"/{key}", [("workorder", key, GONE)])
        else:
            self.send(connection, "POST", "", [("workorder", key, content)])

    def batch(self, connection):
        records = [self.content(self.new_key()) for _ in range(5)]
        self.send(connection, "POST", "",
                  [("workorder", record["workOrderNumber"], record) for record in records],
                  "".join(json.dumps(record) + "\n" for record in records))

    def send(self, connection, method, path, intended, body=None):
        """One request; `intended` is what is there once it is acknowledged."""
        self.pending = intended
        headers = {"X-API-Key": self.fleet.key, "Content-Type": "application/json"}
        if isinstance(body, str):
            headers["Content-Type"] = "application/x-ndjson"
        elif method != "DELETE":
            body = json.dumps(body or intended[0][2])
        connection.request(method, f"/api/webhook/{intended[0][0]}{path}", body, headers)
        response = connection.getresponse()
        answer = response.read()
        assert response.status in (200, 503), (response.status, answer[:300])
        if response.status == 200:
            lines = [answer] if len(intended) == 1 else answer.splitlines()
            for line, one in zip(lines, intended):
                self.acknowledge(json.loads(line), *one)
        self.pending = []

    def acknowledge(self, answer, record_type, key, content):
        self.set(record_type, key, content)
        self.events += [event["id"] for event in answer["events"]]
        self.acknowledged += 1

    def set(self, record_type, key, content):
        before = self.states.get((record_type, key), GONE)
        self.states[record_type, key] = content
        if record_type != "workorder" or (before is GONE) == (content is GONE):
            return
        if content is GONE:
            self.living.remove(key)
        else:
            self.living.append(key)

    def settle(self, found):
        """What was under way may have happened, wholly or not at all. `found` is of the store."""
        before = [self.states.get((kind, key), GONE) for kind, key, _ in self.pending]
        after = [content for _, _, content in self.pending]
        now = [found.get((kind, key), GONE) for kind, key, _ in self.pending]
        if now not in (before, after):
            return f"{self.pending}: found {now}, before {before}"
        for (kind, key, _), content in zip(self.pending, now):
            self.set(kind, key, content)
        self.pending = []
        return None

    def new_key(self):
        self.made += 1
        return f"P{self.number}-{self.made}-{self.random.getrandbits(40):x}"

    def content(self, key):
        record = {"workOrderNumber": key, "title": f"t{self.random.getrandbits(60):x}",
                  "status": self.random.choice(["draft", "in_progress", "completed"])}
        if self.random.random() < 0.2:
            record["description"] = "d" * self.random.randrange(9000)
        return record


class Fleet:
    """The posters, and the signal that they may send."""

    def __init__(self, count, seed, key):
        self.key = key
        self.port = 0
        self.condition = threading.Condition()
        self.going = False
        self.ended = False
        self.idle = 0  # posters that wait for the signal
        self.posters = [Poster(i, seed * 1000 + i, self) for i in range(count)]
        for poster in self.posters:
            poster.start()

    def go(self, port):
        with self.condition:
            self.port = port
            self.going = True
            self.condition.notify_all()

    def halt(self):
        """No more requests; returns when none is under way."""
        with self.condition:
            self.going = False
        wait_until(lambda: self.idle == len(self.posters) or self.error(),
                   "the posters have stopped", 60)

    def end(self):
        with self.condition:
            self.ended = True
            self.condition.notify_all()
        for poster in self.posters:
            poster.join(60)

    def is_going(self):
        return self.going

    def lost(self):
        with self.condition:
            self.going = False

    def wait_for_go(self):
        with self.condition:
            self.idle += 1
            while not self.going and not self.ended:
                self.condition.wait()
            self.idle -= 1
            return not self.ended

    def error(self):
        return next((poster.error for poster in self.posters if poster.error), None)

    def acknowledged(self):
        return sum(poster.acknowledged for poster in self.posters)
