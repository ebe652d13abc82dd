"""./tests/surplus: what a surplus of requests, and of bytes, does to those who are served, and to memory.

The disk: every sync takes --sync-ms longer (tests/support/failing.c). The surplus: h2load, at a
steady rate that is over what such a disk takes; each request makes a new record. Beside it somebody
asks ten times a second, before, meanwhile and afterwards, over connections of their own.
"""
import argparse
import http.client
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "e2e"))
from failing import Failing  # noqa: E402
from harness import Server, own_memory  # noqa: E402

MIB, KIB = 1 << 20, 1 << 10
UNLIMITED = ["--limit-minute", "1000000", "--limit-hour", "1000000"]
PATH = "/api/webhook/timeoff"
PERIOD_S = 0.1  # between two requests beside the surplus
USUAL_S = 3  # how long it is watched before, and afterwards
GRACE_S = 1.0  # after the surplus; then all is as usual
# SECURITY.md, "What it takes in memory".
RECEIVED_MAX, SUBMITTED_MAX, WAITING_MAX, TRANSACTION_MAX = 256 * MIB, 128 * MIB, 8192, 64 * MIB
PER_REQUEST, PER_CONNECTION = 12 * KIB, 50 * KIB
READ_MAX = int(Path("/proc/sys/net/ipv4/tcp_rmem").read_text().split()[2])  # of a connection, at once


@dataclass
class Surplus:
    name: str
    body_bytes: int
    clients: int
    streams: int
    rate: int  # requests a second

    def memory_bound(self):
        """By that table: bodies, requests that wait, connections, a transaction."""
        under_way = self.clients * self.streams
        return (min(RECEIVED_MAX, under_way * self.body_bytes)
                + min(self.clients * READ_MAX, under_way * self.body_bytes)
                + min(SUBMITTED_MAX, WAITING_MAX * self.body_bytes)
                + under_way * PER_REQUEST + self.clients * PER_CONNECTION + TRANSACTION_MAX)


SURPLUSES = [Surplus("requests", 400, 100, 100, 10000), Surplus("bytes", MIB - 1000, 40, 20, 240)]


class Others(threading.Thread):
    """Senders beside the surplus: (begun, seconds, status) of each request. Watches memory, too."""

    def __init__(self, server, key):
        super().__init__(daemon=True)
        self.pid, self.key = server.process.pid, key
        self.port = int(server.http.rsplit(":", 1)[1])
        self.ended, self.error = threading.Event(), None
        self.asked, self.base = [], own_memory(self.pid)
        self.peak = self.base
        self.start()

    def run(self):
        """Asks in time, also while earlier requests wait: else the slow ones would be few."""
        watch = threading.Thread(target=self.watch)
        watch.start()
        asking = []
        while not self.ended.wait(PERIOD_S):
            asking.append(threading.Thread(target=self.ask))
            asking[-1].start()
        for thread in [watch, *asking]:
            thread.join()

    def ask(self):
        begun = time.monotonic()
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            connection.request("POST", PATH, record(0), {"X-API-Key": self.key.key,
                                                         "Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            connection.close()
            self.asked.append((begun, time.monotonic() - begun, answer.status))
        except Exception as error:  # told by the main thread
            self.error = error
            self.ended.set()

    def watch(self):
        while not self.ended.wait(0.02):
            self.peak = max(self.peak, own_memory(self.pid))

    def between(self, begin, end):
        """(latencies of those taken, how many were refused) of requests that began then."""
        chosen = [(seconds, status) for begun, seconds, status in self.asked if begin <= begun < end]
        return [seconds for seconds, status in chosen if status == 200], \
            sum(status != 200 for _, status in chosen)


def record(more):
    return json.dumps({"employeeNumber": "E-1", "type": "vacation", "startDate": "2026-12-01",
                       "endDate": "2026-12-02", "more": "x" * more})


def press(server, key, surplus, folder, seconds):
    """The surplus itself; (taken, refused)."""
    body = Path(folder, surplus.name)
    body.write_text(record(surplus.body_bytes))
    done = subprocess.run(
        ["h2load", "-D", str(seconds), "--warm-up-time", "0", "-c", str(surplus.clients),
         "-m", str(surplus.streams), "--rps", str(surplus.rate // surplus.clients), "-d", str(body),
         "-H", f"x-api-key: {key.key}", "-H", "content-type: application/json", server.https + PATH],
        capture_output=True, text=True, timeout=seconds + 120)
    counts = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", done.stdout)
    taken, _, wrong, refused = (int(count) for count in counts.groups())
    if wrong or re.search(r"[1-9]\d* errored", done.stdout):
        raise AssertionError(done.stdout)
    return taken, refused


def of(latencies):
    if not latencies:
        return "none taken"
    ordered = sorted(latencies)
    return f"median {ordered[len(ordered) // 2] * 1000:.0f} ms, longest {ordered[-1] * 1000:.0f} ms"


def trial(surplus, options, folder):
    """Prints the figures; what is wrong with them."""
    server = Server(Path(folder, f"server-{surplus.name}"))
    failing = Failing(server.folder)
    server.environment = failing.environment
    server.start()
    try:
        key = server.create_key("*:write", flags=UNLIMITED)
        failing.set("sync", delay_s=options.sync_ms / 1000)
        others = Others(server, key)
        time.sleep(USUAL_S)
        begun = time.monotonic()
        taken, refused = press(server, key, surplus, folder, options.seconds)
        ended = time.monotonic()
        others.ended.wait(GRACE_S + USUAL_S)
        others.ended.set()
        others.join()
        if others.error:
            return [f"a sender beside it: {others.error!r}"]
        wrong = tell(surplus, others, begun, ended, taken, refused)
        check = server.tool("store", "check", check=False)
        return wrong + ([check.stdout + check.stderr] if check.returncode else [])
    finally:
        server.stop()


def tell(surplus, others, begun, ended, taken, refused):
    usual, _ = others.between(0, begun)
    meanwhile, refused_meanwhile = others.between(begun, ended)
    second, refused_second = others.between(ended, ended + GRACE_S)
    after, refused_after = others.between(ended + GRACE_S, float("inf"))
    bound, used = surplus.memory_bound(), others.peak - others.base
    print(f"a surplus of {surplus.name}: {surplus.rate} a second of {surplus.body_bytes} bytes, "
          f"for {ended - begun:.0f} s")
    print(f"  taken            {taken}, refused with 503: {refused}")
    print(f"  memory           {used / MIB:.0f} MiB more at most; bound {bound / MIB:.0f} MiB")
    print(f"  before           {of(usual)}")
    print(f"  meanwhile        {of(meanwhile)}; {refused_meanwhile} refused")
    print(f"  the next second  {of(second)}; {refused_second} refused")
    print(f"  after that       {of(after)}; {refused_after} refused")
    wrong = []
    if taken == 0 or refused == 0:
        wrong.append("it was no surplus, or nothing was served")
    if used > bound:
        wrong.append("memory went over its bound")
    if refused_after or max(after) > 2 * max(usual) + 0.1:
        wrong.append(f"{GRACE_S:g} s after the surplus it was not as before")
    return [f"{surplus.name}: {one}" for one in wrong]


def main():
    parser = argparse.ArgumentParser(prog="tests/surplus")
    parser.add_argument("--seconds", type=int, default=60, help="of each surplus (60)")
    parser.add_argument("--sync-ms", type=int, default=250, help="that a sync takes longer (250)")
    parser.add_argument("--only", choices=[one.name for one in SURPLUSES])
    options = parser.parse_args()
    wrong = []
    with tempfile.TemporaryDirectory(prefix="postern-surplus-", dir="/var/tmp") as folder:
        for surplus in SURPLUSES:
            if options.only in (None, surplus.name):
                wrong += trial(surplus, options, folder)
    for line in wrong:
        print(f"FAILED {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
