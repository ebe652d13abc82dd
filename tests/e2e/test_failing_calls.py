"""System calls of the running server fail: disk, memory, sockets. Clients are told 503 or see their
connection break, nothing acknowledged is lost, nothing refused is stored, and when the calls succeed
again the server goes on by itself."""
import errno
import http.client
import json
import os
import socket
import subprocess
import threading

import pytest

from failing import HAS_SANITIZER, Failing
from harness import DEADLINE_S, clean_environment, curl, wait_until
from wire import Echo, Wire

UNLIMITED = ["--limit-minute", "1000000", "--limit-hour", "1000000"]
SENDERS = 4
SOME = 8  # so many of something show that it goes on

needs_own_allocator = pytest.mark.skipif(HAS_SANITIZER, reason="the sanitizer's own allocator")


class Sender(threading.Thread):
    """Creates one record after the other and keeps what became of each."""

    def __init__(self, senders, number):
        super().__init__(daemon=True)
        self.senders, self.number, self.made = senders, number, 0
        self.acknowledged = {}  # record key -> event id
        self.refused = []
        self.unanswered = []
        self.wrong = None

    def run(self):
        connection = None
        while not self.senders.ended.is_set() and not self.wrong:
            key = f"{self.number}-{self.made}"
            self.made += 1
            try:
                connection = connection or http.client.HTTPConnection(
                    "127.0.0.1", self.senders.port(), timeout=DEADLINE_S)
                self.send(connection, key)
            except (OSError, http.client.HTTPException):
                self.unanswered.append(key)
                connection = None
                self.senders.ended.wait(0.01)  # the server may be starting
        if connection:
            connection.close()

    def send(self, connection, key):
        body = json.dumps({"workOrderNumber": key, "title": "t", "extra": "x" * 2000})
        connection.request("POST", "/api/webhook/workorder", body,
                           {"X-API-Key": self.senders.key.key, "Content-Type": "application/json"})
        response = connection.getresponse()
        answer = json.loads(response.read())
        if response.status == 200:
            self.acknowledged[key] = answer["events"][0]["id"]
        elif response.status == 503 and int(response.getheader("Retry-After", 0)) > 0:
            self.refused.append(key)
        else:
            self.wrong = (response.status, answer)


class Senders:
    def __init__(self, server, receiver):
        self.server, self.receiver = server, receiver
        server.create_endpoint(receiver.url)
        self.key = server.create_key("*:write", "*:read", "events:read", flags=UNLIMITED)
        self.ended = threading.Event()
        self.all = [Sender(self, i) for i in range(SENDERS)]
        for sender in self.all:
            sender.start()

    def port(self):
        return int(self.server.http.rsplit(":", 1)[1])

    def wait_for(self, what, count=SOME, each=True):
        """Until each sender (or all together) has so many more of these."""
        before = [len(getattr(one, what)) for one in self.all]

        def more():
            assert not any(one.wrong for one in self.all), [one.wrong for one in self.all]
            now = [len(getattr(one, what)) - was for one, was in zip(self.all, before)]
            return min(now) >= count if each else sum(now) >= count
        wait_until(more, f"more {what}")

    def finish(self):
        """Ends them, and holds the store against what they were told."""
        self.ended.set()
        for sender in self.all:
            sender.join(DEADLINE_S)
            assert sender.wrong is None, sender.wrong
        found = {json.loads(line)["key"]
                 for line in self.server.tool("records", "export", "workorder").stdout.splitlines()}
        unknown = found
        for sender in self.all:
            assert sender.acknowledged.keys() <= found, "something acknowledged is lost"
            assert not found & set(sender.refused), "something refused is stored"
            unknown = unknown - sender.acknowledged.keys() - set(sender.unanswered)
        assert not unknown, "nobody sent these"
        events = set().union(*[one.acknowledged.values() for one in self.all])
        wait_until(lambda: events <= {one.json()["id"] for one in self.receiver.of_event()},
                   "everything acknowledged was delivered")
        assert self.server.tool("store", "check").returncode == 0


@pytest.fixture
def begin(make_server, receiver):
    """begin(memory=False): a server whose calls can fail, and senders at work."""
    begun = []

    def make(memory=False):
        server = make_server("--retry-schedule", "1s,1s,1s,1s,1s,1s,1s,1s", start=False)
        failing = Failing(server.folder, memory)
        server.environment = failing.environment
        server.start()
        senders = Senders(server, receiver)
        begun.append(senders)
        senders.wait_for("acknowledged")
        return server, failing, senders

    yield make
    for senders in begun:
        senders.ended.set()


# The disk.

@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
@pytest.mark.parametrize("kind", ["write", "sync"])
def test_while_the_disk_fails_records_are_refused_and_the_rest_goes_on(begin, kind, error):
    server, failing, senders = begin()
    with failing.of(kind, error):
        senders.wait_for("refused")
        assert curl(server.admin + "/healthz").status == 200
        known = next(iter(senders.all[0].acknowledged))
        assert server.get("workorder", known, senders.key).status in (200, 429)
    assert failing.failed(kind) > 0
    senders.wait_for("acknowledged")
    senders.finish()


@pytest.mark.parametrize("every", [2, 3, 7])
@pytest.mark.parametrize("kind", ["write", "sync"])
def test_a_disk_that_fails_now_and_then_loses_nothing(begin, kind, every):
    """Pages and meta page take turns in failing."""
    _, failing, senders = begin()
    with failing.of(kind, errno.EIO, every=every):
        wait_until(lambda: failing.failed(kind) > 20, "many calls have failed")
    senders.wait_for("acknowledged")
    senders.finish()


def test_a_map_that_cannot_be_made_ends_the_start_with_a_sentence(make_server):
    server = make_server(start=False)
    failing = Failing(server.folder)
    server.environment = failing.environment
    failing.set("map", errno.ENOMEM)
    done = subprocess.run(server.command(), capture_output=True, text=True, timeout=DEADLINE_S,
                          stdin=subprocess.DEVNULL, env=clean_environment(**server.environment))
    assert failing.failed("map") > 0
    assert done.returncode == 1
    assert "posternd: open store: " in done.stderr and "memory" in done.stderr
    failing.set("map")
    server.start()


# Memory.

@needs_own_allocator
@pytest.mark.parametrize("every", [1, 2, 3, 10, 100])
def test_a_writer_without_memory_refuses_and_goes_on_when_there_is_some(begin, every):
    _, failing, senders = begin(memory=True)
    with failing.of("memory", errno.ENOMEM, every=every, thread="writer"):
        senders.wait_for("refused", each=False)
    senders.wait_for("acknowledged")
    senders.finish()


@needs_own_allocator
@pytest.mark.parametrize("every", [1, 2, 5, 20])
def test_deliveries_without_memory_are_made_when_there_is_some(begin, every):
    server, failing, senders = begin(memory=True)
    with failing.of("memory", errno.ENOMEM, every=every, thread="deliver"):
        wait_until(lambda: failing.failed("memory") > 2, "some allocations have failed")
        senders.wait_for("acknowledged")
    senders.finish()
    assert server.tool_json("deliveries", "list", "--status", "failed") == []


@needs_own_allocator
@pytest.mark.parametrize("every", [1, 2, 5, 50])
def test_without_memory_in_all_of_it_but_the_loops_nothing_is_lost(begin, every):
    server, failing, senders = begin(memory=True)
    with failing.of("memory", errno.ENOMEM, every=every, thread="!http"):
        server.reload()
        wait_until(lambda: "reloaded in part" in server.log(), "it says so")
        wait_until(lambda: failing.failed("memory") > 20, "many allocations have failed")
    senders.wait_for("acknowledged")
    senders.finish()


@needs_own_allocator
@pytest.mark.parametrize("every", [1, 3, 100])
def test_a_reload_without_memory_leaves_everything_as_it_was(begin, every):
    server, failing, senders = begin(memory=True)
    with failing.of("memory", errno.ENOMEM, every=every, thread="posternd"):
        server.reload()
        wait_until(lambda: "reloaded in part" in server.log(), "it says so")
        senders.wait_for("acknowledged")
    server.reload()
    wait_until(lambda: '"reloaded"' in server.log(), "it is reloaded")
    senders.finish()


@needs_own_allocator
def test_a_process_that_dies_for_want_of_memory_has_lost_nothing(begin):
    """h2o gives up where it gets no memory: whoever supervises the server starts it again."""
    server, failing, senders = begin(memory=True)
    for i in range(3):
        failing.set("memory", errno.ENOMEM, every=10 * i + 1, thread="http")
        wait_until(lambda: server.process.poll() is not None, "it has died")
        failing.set("memory")
        server.process = None
        server.start()
        senders.wait_for("acknowledged")
    senders.finish()


# Sockets.

def named(value):
    return errno.errorcode[value] if isinstance(value, int) else value


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENOBUFS, errno.ECONNABORTED], ids=named)
def test_connections_that_cannot_be_accepted_cost_those_that_are_open_nothing(begin, error):
    server, failing, senders = begin()
    with failing.of("accept", error, every=2):
        waiting = []
        for _ in range(20):
            waiting.append(socket.create_connection(("127.0.0.1", senders.port()), DEADLINE_S))
        wait_until(lambda: failing.failed("accept") > 5, "accepting has failed")
        senders.wait_for("acknowledged")
    for sock in waiting:
        sock.close()
    assert server.get("workorder", "0-0", senders.key).status == 200
    senders.finish()


def test_a_connection_whose_reads_fail_ends_alone(begin):
    _, failing, senders = begin()
    with failing.of("receive", errno.ECONNRESET, every=20):
        wait_until(lambda: failing.failed("receive") > 5, "reads have failed")
        senders.wait_for("acknowledged")
    senders.finish()


@pytest.mark.parametrize("error", [errno.ECONNRESET, errno.ENOBUFS], ids=named)
def test_an_answer_that_the_kernel_does_not_take_ends_its_connection(tmp_path, error):
    """h2o does not look at a failed write again; the guard's progress timer ends it."""
    failing = Failing(tmp_path)
    echo = Echo(tmp_path / "echo", "--progress-ms", 1000, environment=failing.environment)
    with Wire(echo.clear) as stuck:
        failing.set("send", error, once=True)
        stuck.send(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
        assert stuck.is_closed()
    assert failing.failed("send") == 1
    assert echo.is_serving()
    wait_until(lambda: echo.others() == 0, "nothing of it is left")
    echo.stop()


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENETUNREACH, errno.EADDRNOTAVAIL],
                         ids=named)
def test_deliveries_that_cannot_connect_are_made_later(begin, receiver, error):
    _, failing, senders = begin()
    with failing.of("connect", error):
        receiver.close_connections()
        wait_until(lambda: failing.failed("connect") > 2, "connections have failed")
        senders.wait_for("acknowledged")
    senders.finish()
