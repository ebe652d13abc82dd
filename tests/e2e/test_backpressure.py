"""More than the disk takes: the surplus is told 503 at once, memory stays under its bound, and when
the surplus ends, everybody is served as before."""
import json
import re
import subprocess
import threading
import time

import pytest

from failing import HAS_SANITIZER, Failing
from harness import DEADLINE_S, own_memory, wait_until

MIB = 1 << 20
UNLIMITED = ["--limit-minute", "1000000", "--limit-hour", "1000000"]
SYNC_S = 0.25  # of a slow disk
REQUEST_BYTES = 16 * 1024  # of one that waits, beside a large body: stream, record, submission
SUBMITTED_MAX = 128 * MIB  # ingest/receive.c: bodies at the writer
KEPT_MAX = 128 * MIB  # by the allocator, afterwards
INFLIGHT_MAX = 256 * MIB  # ingest/http.h: bodies that are being received


class Watch(threading.Thread):
    """Peak of the server's own memory."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.ended = pid, threading.Event()
        self.base = self.peak = own_memory(pid)
        self.start()

    def run(self):
        while not self.ended.wait(0.02):
            self.peak = max(self.peak, own_memory(self.pid))

    def finish(self):
        self.ended.set()
        self.join()
        return self.peak - self.base


@pytest.fixture
def slow_disk(make_server):
    """A server whose disk takes its time, and a key."""
    server = make_server(start=False)
    failing = Failing(server.folder)
    server.environment = failing.environment
    server.start()
    key = server.create_key("*:write", "*:read", flags=UNLIMITED)
    failing.set("sync", delay_s=SYNC_S)
    return server, key


def queue_length(server):
    text = server.request("GET", "/metrics", base=server.admin).body.decode()
    return int(re.search(r"^postern_writer_queue (\d+)", text, re.MULTILINE)[1])


def takes_s(server, key, number):
    """A lone sender's wait; it must be taken."""
    started = time.monotonic()
    answer = server.post("workorder", {"workOrderNumber": number, "title": "t"}, key)
    assert answer.status in (200, 503), answer
    return time.monotonic() - started if answer.status == 200 else DEADLINE_S


def load(server, key, folder, record, requests, connections, streams):
    """All at once; how many were taken, and how many refused. There is nothing else."""
    body = folder / "body"
    body.write_text(json.dumps(record))
    done = subprocess.run(["h2load", "-n", str(requests), "-c", str(connections), "-m", str(streams),
                           "-t", "1", "-d", body, "-H", f"X-API-Key: {key.key}",
                           "-H", "Content-Type: application/json",
                           server.https + "/api/webhook/workorder"],
                          capture_output=True, text=True, timeout=240)
    counts = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", done.stdout)
    taken, _, wrong, refused = (int(count) for count in counts.groups())
    assert wrong == 0 and taken + refused == requests, done.stdout
    return taken, refused


def wait_until_over(server, key):
    wait_until(lambda: queue_length(server) == 0, "nothing waits any more")
    wait_until(lambda: takes_s(server, key, "after") < 2 * SYNC_S + 0.25, "as quick as the disk")


def test_a_surplus_of_requests_is_refused_and_forgotten(slow_disk, tmp_path):
    server, key = slow_disk
    record = {"workOrderNumber": "many", "title": "t", "extra": "x" * 400}
    watch = Watch(server.process.pid)
    # 12,500 at once, of which the writer lets 8,192 wait at most.
    taken, refused = load(server, key, tmp_path, record, 30000, 125, 100)
    assert taken > 0 and refused > 0
    wait_until_over(server, key)
    if not HAS_SANITIZER:
        assert watch.finish() < 12500 * REQUEST_BYTES
    assert server.tool("store", "check").returncode == 0


def test_a_surplus_of_bytes_is_refused_and_forgotten(slow_disk, tmp_path):
    server, key = slow_disk
    record = {"workOrderNumber": "large", "title": "t", "extra": "x" * (MIB - 200)}
    watch = Watch(server.process.pid)
    # 800 MiB at once, 1.2 GiB in all.
    taken, refused = load(server, key, tmp_path, record, 1200, 40, 20)
    assert taken > 0 and refused > 0
    wait_until_over(server, key)
    if not HAS_SANITIZER:
        assert watch.finish() < SUBMITTED_MAX + 2 * INFLIGHT_MAX
        wait_until(lambda: own_memory(watch.pid) - watch.base < KEPT_MAX, "it was given back")
    assert server.tool("store", "check").returncode == 0
