"""./tests/crash: kill -9 under load, then look whether everything acknowledged is there.

Posters create, change, patch and delete records of their own and remember what was acknowledged, and
what was under way when the server died: that alone may or may not have happened, wholly or not at
all. After each kill

- `postern store check` finds nothing wrong (sequence without gaps, every event's deliveries, …),
- the store holds exactly the records that were acknowledged, as they were acknowledged, and of
  those under way either all of a request or nothing,
- every acknowledged event is among those that can be pulled, in a sequence without gaps.

A store lives for one generation: each way to die (deaths.py) once, in random order. At its end the
receiver must have been sent every event, one record's in order. The next generation begins a new
store, so that a thousand rounds take a thousand times as long as one.

Prints TAP: a case a round, one for each generation's deliveries, and one for the test itself: what is
taken away from what was found must be missed.
"""
import argparse
import http.client
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from deaths import DEATHS, FAKETIME, run_tool
from posters import GONE, Fleet
from harness import SCHEMAS, Server, wait_until

LIMITS = ["--limit-minute", "1000000", "--limit-hour", "1000000"]
FLAGS = ["--retry-schedule", "1s,1s,1s,1s,1s,1s,1s,1s", "--retain-records", "project=1h",
         "--retain-deliveries", "1h"]
SEED_PROJECTS = 40


class Trial:
    """One store, from its making to its last delivery."""

    def __init__(self, folder, options, seed):
        self.folder = folder
        self.random = random.Random(seed)
        self.clock = {}  # variables that move the server's clock
        self.hours = self.types = self.rounds = 0
        self.acknowledged_before = 0
        self.seen = set()  # ids of events
        self.sequence = 0
        self.last_at_start = 0
        self.excused = set()  # sequences of events of records that are erased now and then
        folder.mkdir()
        self.taken = folder / "deliveries"
        self.receiver = subprocess.Popen([sys.executable, Path(__file__).with_name("receiver.py"),
                                          self.taken], stdout=subprocess.PIPE, text=True)
        url = f"http://127.0.0.1:{self.receiver.stdout.readline().strip()}/"
        self.schemas = folder / "schemas"
        shutil.copytree(SCHEMAS, self.schemas)
        self.server = Server(folder / "server", FLAGS, schemas=self.schemas)
        self.server.start()
        self.server.create_endpoint(url)
        self.key = self.server.create_key("*:write", "*:read", "events:read", flags=LIMITS).key
        self.projects = [f"seed-{i}" for i in range(SEED_PROJECTS)]
        for key in self.projects:
            self.must_request("POST", "/api/webhook/project", {"projectNumber": key, "name": "x"})
        self.server.kill()
        self.fleet = Fleet(options.posters, seed, self.key)

    def close(self):
        self.fleet.end()
        if self.server.process:
            self.server.kill()
        self.receiver.kill()
        self.receiver.wait()
        self.receiver.stdout.close()
        self.remove_clocks()

    @staticmethod
    def remove_clocks():
        """libfaketime's shared memory, which a process that is killed leaves."""
        for path in Path("/dev/shm").glob("*faketime_*_*"):
            if not Path("/proc", path.name.rsplit("_", 1)[1]).exists():
                path.unlink(missing_ok=True)

    # What deaths.py asks for.

    @property
    def process(self):
        return self.server.process

    def request(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port(), timeout=30)
        connection.request(method, path, body, {"X-API-Key": self.key,
                                                "Content-Type": "application/json"})
        response = connection.getresponse()
        answer = response.read()
        connection.close()
        return response.status, answer

    def must_request(self, method, path, record):
        status, answer = self.request(method, path, json.dumps(record))
        assert status == 200, (status, answer)
        return json.loads(answer)

    def port(self):
        return int(self.server.http.rsplit(":", 1)[1])

    def pass_hours(self, hours):
        """As if so long had passed before the next start. Only forward, and for good."""
        assert FAKETIME, "libfaketime is missing"
        self.hours += hours
        self.clock = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": f"+{self.hours * 3600}",
                      "FAKETIME_DONT_FAKE_MONOTONIC": "1"}

    def add_record_type(self):
        self.types += 1
        letters = chr(ord("a") + self.types // 26) + chr(ord("a") + self.types % 26)
        name = f"extra{letters}"
        schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "More",
                  "type": "object", "required": ["number"],
                  "properties": {"number": {"type": "string"}},
                  "x-postern": {"type": name, "idPrefix": f"x{letters}", "key": "number",
                                "events": {"created": f"{name}.created"}}}
        (self.schemas / f"{name}.schema.json").write_text(json.dumps(schema))
        return name

    def make_victim(self):
        """A record to be erased, with content that can be looked for."""
        marker = f"marker{self.random.getrandbits(100):x}"
        key = f"V-{self.rounds}"
        made = self.must_request("POST", "/api/webhook/vendor",
                                 {"vendorNumber": key, "name": marker})
        return {"id": made["id"], "marker": marker.encode()}

    def forget_projects(self, keys):
        """They are erased; their events may not have been sent."""
        for poster in self.fleet.posters:
            for name in [name for name in poster.states if name[1] in set(keys)]:
                del poster.states[name]
        self.projects = [key for key in self.projects if key not in set(keys)]

    def examine_backup(self, place):
        """It is sound, holds what was acknowledged before it was begun, and can be restored."""
        target = self.folder / "restored"
        for words in (["--data", place, "store", "check"],
                      ["--data", target, "store", "restore", place],
                      ["--data", target, "--output", "json", "store", "check"]):
            done = run_tool(self.server, *words)
            if done.returncode != 0:
                return f"{words}: {done.stdout}{done.stderr}"
        shutil.rmtree(target)
        shutil.rmtree(place)
        events = json.loads(done.stdout)["events"]
        return None if events >= self.last_at_start else \
            f"{events} events are in the backup, {self.last_at_start} were acknowledged before"

    # A round.

    def round(self, death):
        """One life of the server; what is wrong afterwards, or None."""
        self.rounds += 1
        self.acknowledged_before = self.fleet.acknowledged()
        self.last_at_start = self.sequence
        environment = death.environment(self)
        self.server.environment = {**environment, **self.clock}
        process = self.start()
        if process is not None:
            self.fleet.go(self.port())
            wrong = death.during(self)
            self.server.process = None
            self.fleet.halt()
            if wrong or self.fleet.error():
                return wrong or self.fleet.error()
        return self.examine(death)

    def start(self):
        """None: it died at its point before it served."""
        try:
            return self.server.start().process
        except AssertionError as error:
            if "ended with -9" not in str(error) or \
                    "POSTERN_FAULT_POINT" not in self.server.environment:
                raise
            return None

    def examine(self, death):
        self.server.environment = dict(self.clock)
        check = run_tool(self.server, "--data", self.server.data, "store", "check")
        if check.returncode != 0:
            return check.stdout + check.stderr
        wrong = self.compare_records()
        if wrong:
            return wrong
        self.server.start()
        try:
            return self.compare_events() or death.after(self)
        finally:
            if self.server.process:
                self.server.kill()

    def export(self, record_type):
        done = run_tool(self.server, "--data", self.server.data, "--output", "ndjson", "records",
                        "export", record_type)
        assert done.returncode == 0, done.stderr
        found = {}
        for line in done.stdout.splitlines():
            record = json.loads(line)
            if not record["deleted"]:
                record["data"].pop("id")
                found[record_type, record["key"]] = record["data"]
        return found

    def compare_records(self):
        """All of them, each time."""
        found = {**self.export("workorder"), **self.export("project")}
        for poster in self.fleet.posters:
            wrong = poster.settle(found)
            if wrong:
                return wrong
        for poster in self.fleet.posters:
            for name, content in poster.states.items():
                now = found.pop(name, GONE)
                if now != content and not (self.hours and name[0] == "project" and now is GONE):
                    return f"{name}: acknowledged {content}, found {now}"
        more = [key for _, key in found if key not in self.projects]
        return f"nobody sent {more}" if more else None

    def compare_events(self, leave_out=0):
        """What can be pulled now; `leave_out`: as if so many were not in the store."""
        while True:
            after = self.sequence + leave_out
            status, body = self.request("GET", f"/api/events?after={after}&limit=1000")
            if status != 200:
                return f"GET /api/events: {status} {body[:200]}"
            events = json.loads(body)["data"]
            for event in events:
                if event["sequence"] != self.sequence + 1:
                    return f"event {event['sequence']} follows {self.sequence}"
                self.sequence = event["sequence"]
                self.seen.add(event["id"])
                if event["event"].startswith(("project.", "vendor.")):
                    self.excused.add(self.sequence)
            if not events:
                break
        for poster in self.fleet.posters:
            for event in poster.events:
                if event not in self.seen:
                    return f"{event} was acknowledged and is not there"
            poster.events = []
        return None

    # The end.

    def deliveries(self):
        """Every event must have come, and one record's in order (the first time of each counts)."""
        self.server.environment = dict(self.clock)
        self.server.start()
        wrong = self.compare_events()
        try:
            wait_until(lambda: not wrong and not self.undelivered(self.delivered()),
                       "all was delivered", 240)
        except AssertionError as error:
            missing = self.undelivered(self.delivered())
            return wrong or f"{error}: {len(missing)} of {self.sequence} are missing: {missing[:20]}"
        disorder = self.disorder(self.delivered())
        if disorder:
            return disorder
        check = self.server.tool("store", "check", check=False)
        return None if check.returncode == 0 else check.stdout + check.stderr

    def undelivered(self, delivered):
        return sorted(set(range(1, self.sequence + 1)) - self.excused - delivered.keys())

    @staticmethod
    def disorder(delivered):
        order = {}
        for sequence, record in delivered.items():
            if sequence < order.get(record, 0):
                return f"{record}: event {sequence} came after {order[record]}"
            order[record] = sequence if record != "-" else 0
        return None

    def controls(self):
        """The test of this test: a record, an event or a delivery less, and two events of a record
        the wrong way round, must each be noticed."""
        self.server.kill()
        self.server.environment = dict(self.clock)
        poster = next(one for one in self.fleet.posters if one.living)
        name = "workorder", poster.living[0]
        kept = poster.states[name]
        poster.states[name] = {**kept, "title": "another"}
        unnoticed = [] if self.compare_records() else ["a record that is not as acknowledged"]
        poster.states[name] = kept
        self.server.start()
        poster.events = ["evt_that_was_never_stored"]
        unnoticed += [] if self.compare_events() else ["an event that is not there"]
        self.sequence -= 2
        unnoticed += [] if self.compare_events(leave_out=1) else ["a gap"]
        delivered = self.delivered()
        last = next(sequence for sequence in reversed(delivered) if sequence not in self.excused)
        less = {sequence: record for sequence, record in delivered.items() if sequence != last}
        unnoticed += [] if self.undelivered(less) else ["a delivery less"]
        swapped = dict(reversed(delivered.items()))
        unnoticed += [] if self.disorder(swapped) else ["deliveries in the wrong order"]
        return f"not noticed: {', '.join(unnoticed)}" if unnoticed else None

    def delivered(self):
        """sequence -> record, in the order in which they came first."""
        time.sleep(0.1)  # wait_until asks more often than so long a file should be read
        first = {}
        for line in self.taken.read_text().splitlines():
            sequence, _, record = line.split(" ")
            first.setdefault(int(sequence), record)
        return first


class Report:
    def __init__(self):
        self.number = 0
        self.has_failed = False

    def say(self, name, wrong):
        self.number += 1
        print(f"{'not ok' if wrong else 'ok'} {self.number} - {name}", flush=True)
        for line in (wrong or "").splitlines():
            print(f"# {line}")
        self.has_failed |= bool(wrong)


def generation(folder, options, seed, deaths, report):
    trial = Trial(folder, options, seed)
    try:
        for death in deaths:
            wrong = trial.round(death)
            report.say(f"killed {death.name}: {trial.fleet.acknowledged()} acknowledged so far, "
                       "none lost", wrong)
            if wrong:
                return
        report.say(f"{trial.sequence} events were all delivered, in order", trial.deliveries())
        if not report.has_failed:
            report.say("what is taken away is noticed", trial.controls())
    finally:
        trial.close()
        shutil.rmtree(folder)


def main():
    parser = argparse.ArgumentParser(prog="tests/crash")
    parser.add_argument("--rounds", type=int, default=len(DEATHS),
                        help="kills; unless told, each way to die once")
    parser.add_argument("--posters", type=int, default=64, help="clients at once (64)")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    generations = -(-options.rounds // len(DEATHS))
    print(f"# seed {options.seed}\n1..{options.rounds + 2 * generations}", flush=True)
    report, left = Report(), options.rounds
    with tempfile.TemporaryDirectory(prefix="postern-crash-") as folder:
        for i in range(generations):
            seed = options.seed + i
            deaths = random.Random(seed).sample(DEATHS, len(DEATHS))[:left]
            left -= len(deaths)
            generation(Path(folder, str(i)), options, seed, deaths, report)
            if report.has_failed:
                break
    return 1 if report.has_failed else 0


if __name__ == "__main__":
    sys.exit(main())
