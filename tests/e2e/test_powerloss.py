"""A power cut at any moment loses nothing that was acknowledged, and leaves a sound store.

The server, and tools beside it, run under a recorder of the store's writes and syncs while senders
note how far the recording was when each answer came. Then the file is built as a cut would have
left it at many points (POSTERN_TEST_CUTS, 40 unless set), and held against what was acknowledged.
"""
import http.client
import json
import os
import random
import shutil
import threading

import pytest

from harness import BUILD, Receiver, Server, wait_until
from powerloss import FATES, WRITE, Disk, choose_cuts, read_log

CUTS = int(os.environ.get("POSTERN_TEST_CUTS", "40"))
SEED = int(os.environ.get("POSTERN_TEST_SEED", random.randrange(1 << 32)))
SENDERS = 4
REQUESTS = 60  # of each sender
UNLIMITED = ["--limit-minute", "1000000", "--limit-hour", "1000000"]


class Sender(threading.Thread):
    """Changes records of its own, one request at a time, and notes every acknowledgement."""

    def __init__(self, number, port, key, log):
        super().__init__(daemon=True)
        self.number, self.port, self.key, self.log = number, port, key, log
        self.random = random.Random(SEED + number)
        self.sent = {}  # record key -> [content, content, …]; None: deleted
        self.acknowledged = []  # (place in the log, record key, how many contents, event ids)
        self.error = None

    def run(self):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            for i in range(REQUESTS):
                self.one(connection, i)
            connection.close()
        except Exception as error:  # told by the main thread
            self.error = error

    def one(self, connection, i):
        living = [key for key, contents in self.sent.items() if contents[-1] is not None]
        kind = self.random.choice(["new", "new", "update", "delete"]) if living else "new"
        key = f"S{self.number}-{i}" if kind == "new" else self.random.choice(living)
        content = None if kind == "delete" else {
            "workOrderNumber": key, "title": f"title {i}",
            "unknownToTheSchema": "d" * self.random.choice([0, 100, 3000, 20000])}
        self.sent.setdefault(key, []).append(content)
        path = "/api/webhook/workorder"
        if kind == "delete":
            connection.request("DELETE", f"{path}/{key}", headers={"X-API-Key": self.key})
        else:
            connection.request("POST", path, json.dumps(content),
                               {"X-API-Key": self.key, "Content-Type": "application/json"})
        response = connection.getresponse()
        answer = response.read()
        place = self.log.stat().st_size
        assert response.status == 200, (response.status, answer)
        self.acknowledged.append((place, key, len(self.sent[key]),
                                  [event["id"] for event in json.loads(answer)["events"]]))


class Recording:
    """A server's life: the file before it, the log of it, what was acknowledged, and when."""

    def __init__(self, folder, receiver):
        self.folder = folder
        self.log = folder / "recording"
        self.server = server = Server(folder / "server")
        server.start()
        server.create_endpoint(receiver.url)
        key = server.create_key("*:write", "*:read", flags=UNLIMITED).key
        victim = {"workOrderNumber": "victim", "title": "to be erased"}
        assert server.post("workorder", victim, key).status == 200
        server.stop()
        file = server.data / "store/data.mdb"
        self.base = file.read_bytes()
        self.notes = []  # (place in the log, what, id), of tools
        server.environment = {"LD_PRELOAD": str(BUILD / "tests/support/libpowerloss.so"),
                              "POWERLOSS_FILE": str(file), "POWERLOSS_LOG": str(self.log),
                              "ASAN_OPTIONS": "verify_asan_link_order=0:"
                                              + os.environ.get("ASAN_OPTIONS", "")}
        server.start()
        port = int(server.http.rsplit(":", 1)[1])
        self.senders = [Sender(i, port, key, self.log) for i in range(SENDERS)]
        for sender in self.senders:
            sender.start()
        self.administer()
        for sender in self.senders:
            sender.join()
            assert sender.error is None, sender.error
        wait_until(lambda: "pending" not in server.tool("--output", "csv", "deliveries", "list")
                   .stdout, "all was delivered")
        server.stop()
        self.entries = read_log(self.log)

    def administer(self):
        """Keys made and a record erased by the tools, while the server writes too."""
        for i in range(5):
            made = self.server.tool_json("keys", "create", "--label", f"k{i}",
                                         environment=self.server.environment)
            self.notes.append((self.log.stat().st_size, "key", made["id"]))
        self.server.tool("records", "erase", "victim", environment=self.server.environment)
        self.notes.append((self.log.stat().st_size, "erased", "victim"))


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    receiver = Receiver(tmp_path_factory.mktemp("receiver"))
    folder = tmp_path_factory.mktemp("recording")
    yield Recording(folder, receiver)
    receiver.close()


class Aftermath:
    """A data directory whose store's file is the image; looked at through the tools."""

    def __init__(self, recording, folder):
        self.server = Server(folder / "after")
        shutil.copytree(recording.server.data, self.server.data)
        (self.server.data / "store/lock.mdb").unlink(missing_ok=True)  # memory, not disk

    def put(self, image):
        (self.server.data / "store/data.mdb").write_bytes(image)

    def check(self):
        return self.server.tool("store", "check", check=False)

    def lines(self, *words):
        out = self.server.tool("--output", "ndjson", *words).stdout
        return [json.loads(line) for line in out.splitlines()]


def compare(aftermath, recording, place):
    """What was acknowledged before this place in the log, against what is there."""
    records = {one["key"]: one["data"] for one in aftermath.lines("records", "export", "workorder")}
    events = {one["id"] for one in aftermath.lines("events", "list")}
    delivered = {one["eventId"] for one in aftermath.lines("deliveries", "list")}
    for sender in recording.senders:
        known = {}
        for at, key, count, ids in sender.acknowledged:
            if at <= place:
                known[key] = count
                assert set(ids) <= events, f"{key}: its event is lost"
                assert set(ids) <= delivered, f"{key}: its delivery is lost"
        for key, count in known.items():
            found = records.get(key)
            if found:
                found.pop("id")
            # What was acknowledged last, or what that sender sent after it.
            possible = sender.sent[key][count - 1:]
            assert found in possible, f"{key}: found {str(found)[:200]}"
    keys = {one["id"] for one in aftermath.lines("keys", "list")}
    for at, kind, what in recording.notes:
        if at <= place:
            assert kind != "key" or what in keys
            assert kind != "erased" or what not in records


def test_a_power_cut_loses_nothing_that_was_acknowledged(recording, tmp_path):
    print(f"POSTERN_TEST_SEED={SEED}")
    entries = recording.entries
    assert sum(entry.kind == WRITE for entry in entries) > 200
    chance = random.Random(SEED)
    aftermath, disk = Aftermath(recording, tmp_path), Disk(recording.base, entries)
    for number, cut in enumerate(choose_cuts(entries, CUTS, SEED)):
        disk.advance(cut)
        place = entries[cut].at if cut < len(entries) else recording.log.stat().st_size
        fate = FATES[number % len(FATES)]
        aftermath.put(disk.image(fate, chance))
        check = aftermath.check()
        what = f"cut before entry {cut} of {len(entries)}, unsynced writes {fate}"
        assert check.returncode == 0, f"{what}\n{check.stdout}{check.stderr}"
        try:
            compare(aftermath, recording, place)
        except AssertionError as error:
            raise AssertionError(f"{what}: {error}") from None


def test_every_acknowledgement_came_after_its_sync(recording, tmp_path):
    """The sharpest cuts: exactly where an answer had come, with everything unsynced lost."""
    entries, chance = recording.entries, random.Random(SEED)
    places = sorted(at for sender in recording.senders for at, *_ in sender.acknowledged)
    aftermath, disk = Aftermath(recording, tmp_path), Disk(recording.base, entries)
    for place in sorted(chance.sample(places, min(len(places), max(4, CUTS // 4)))):
        disk.advance(sum(entry.at < place for entry in entries))
        aftermath.put(disk.image("lost", chance))
        assert aftermath.check().returncode == 0
        compare(aftermath, recording, place)


def test_a_server_starts_on_what_a_cut_left(recording, tmp_path):
    entries, chance = recording.entries, random.Random(SEED)
    aftermath, disk = Aftermath(recording, tmp_path), Disk(recording.base, entries)
    disk.advance(len(entries) // 2)
    aftermath.put(disk.image("torn", chance))
    aftermath.server.start()
    key = aftermath.server.create_key("*:write")
    record = {"workOrderNumber": "after", "title": "the cut"}
    assert aftermath.server.post("workorder", record, key).status == 200
    aftermath.server.stop()
    assert aftermath.check().returncode == 0


def test_a_disk_that_ignores_the_sync_is_noticed(recording, tmp_path):
    """The test of these tests: without the sync between pages and meta page, a cut does harm."""
    entries, chance = recording.entries, random.Random(SEED)
    aftermath = Aftermath(recording, tmp_path)
    disk = Disk(recording.base, entries, ignore_syncs=True)
    for cut in choose_cuts(entries, CUTS, SEED)[len(entries) > CUTS:]:
        disk.advance(cut)
        aftermath.put(disk.image("lost", chance))
        if aftermath.check().returncode != 0:
            return
    raise AssertionError("no cut was noticed")
