"""What the machine does to a server: disks that fill, descriptors that run out, clocks that jump,
stores that are damaged or not its own, processes that are stopped. Nothing acknowledged is lost,
nothing refused is stored, and when the fault is over the server goes on by itself."""
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness import DEADLINE_S, clean_environment, clock_files, cpu_s, curl, wait_until

UNLIMITED = ["--limit-minute", "1000000", "--limit-hour", "1000000"]
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
DAY_S = 86400

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system, which needs root")


def work_order(number, **more):
    return {"workOrderNumber": number, "title": f"Order {number}", **more}


def ready(server):
    return curl(server.admin + "/readyz")


def start_failing(server):
    """Its start must fail, with status 1 and one sentence, which is returned."""
    done = subprocess.run(server.command(), capture_output=True, text=True, timeout=DEADLINE_S,
                          stdin=subprocess.DEVNULL, env=clean_environment(**server.environment))
    assert done.returncode == 1, (done.returncode, done.stderr)
    said = [line for line in done.stderr.splitlines() if line.startswith("posternd: ")]
    assert len(said) == 1, done.stderr
    return said[0]


def contents(folder):
    """All files' bytes and modes, but what every opening writes: the two locks."""
    return {path: (path.stat().st_mode, path.stat().st_uid,
                   path.read_bytes() if path.is_file() else None)
            for path in sorted(folder.rglob("*"))
            if path.name not in ("lock.mdb", "posternd.lock")}


# The disk is full.

@contextmanager
def mounted(folder, size):
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "none", folder],
                   check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder):
    """Takes all room there is; returns the file to remove."""
    ballast = folder / "ballast"
    with open(ballast, "ab", buffering=0) as file:
        for size in (65536, 4096):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                pass
    return ballast


def post_until_full(server, key):
    """The records that were taken, then the first that was not and its answer."""
    taken = []
    for number in (f"F-{i}" for i in range(3000)):
        answer = server.post("workorder", work_order(number, extra="x" * 3000), key, http="1.1",
                             base=server.http)
        if answer.status != 200:
            return taken, number, answer
        taken.append(number)
    raise AssertionError("the disk never was full")


@pytest.fixture
def small_disk(make_server):
    """A server whose data directory is a file system of 2 MB."""
    server = make_server(start=False)
    with mounted(server.data, "2m"):
        server.start()
        yield server
        server.stop()


@needs_root
def test_a_full_disk_refuses_and_recovers_by_itself(small_disk, receiver):
    server = small_disk
    server.create_endpoint(receiver.url)
    key = server.create_key("*:write", "*:read", flags=UNLIMITED)
    assert server.post("workorder", work_order("first"), key).status == 200
    ballast = fill(server.data)
    taken, refused, answer = post_until_full(server, key)
    taken.append("first")
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.json()["type"] == "/problems/unavailable"
    assert "disk" in answer.json()["detail"]
    assert ready(server).status == 503
    assert curl(server.admin + "/healthz").status == 200
    # A batch is refused whole, and reads go on.
    batch = server.batch("workorder", [work_order(f"B-{i}", extra="x" * 9000) for i in range(20)],
                         key)
    assert all(line["status"] == 503 for line in batch.ndjson())
    assert server.get("workorder", taken[-1], key).status == 200
    assert server.get("workorder", refused, key).status == 404
    wait_until(lambda: "the disk is full" in server.log(), "it is logged")
    # Nobody sends anything, and still it learns that there is room.
    ballast.unlink()
    wait_until(lambda: ready(server).status == 200, "it is ready again")
    assert server.post("workorder", work_order(refused), key).status == 200
    assert server.get("workorder", "B-0", key).status == 404
    # One event for each record that was taken, none for the others; all delivered.
    events = server.tool_json("events", "list", "--type", "workorder.*")
    assert sorted(one["key"] for one in events) == sorted([*taken, refused])
    receiver.wait_for(len(taken) + 1, "workorder.created")
    assert server.tool("store", "check").returncode == 0


@needs_root
def test_a_disk_that_takes_a_part_of_a_commit_is_called_full(small_disk):
    """The system then writes less than it was told to, which is no error of its own."""
    server = small_disk
    key = server.create_key("*:write", flags=UNLIMITED)
    ballast = fill(server.data)
    post_until_full(server, key)
    for pages in (1, 2, 4, 8, 16):  # each stays the file's; together far fewer than are needed
        os.truncate(ballast, ballast.stat().st_size - pages * 4096)
        batch = server.batch("workorder", [work_order(f"B-{i}", extra="x" * 9000)
                                           for i in range(40)], key)
        assert {line["detail"] for line in batch.ndjson()} == {"the server's disk is full"}
        assert ready(server).status == 503
        fill(server.data)


@needs_root
def test_on_a_full_disk_deliveries_are_made_and_their_outcomes_kept_later(small_disk, receiver):
    server = small_disk
    server.create_endpoint(receiver.url)
    key = server.create_key("*:write", flags=UNLIMITED)
    receiver.hold()
    assert server.post("workorder", work_order("held"), key).status == 200
    receiver.wait_for(1, "workorder.created")
    ballast = fill(server.data)
    post_until_full(server, key)
    receiver.release()
    time.sleep(0.5)  # for outcomes that find no room; nothing to wait for may ever be seen
    ballast.unlink()
    wait_until(lambda: ready(server).status == 200, "it is ready again")
    wait_until(lambda: server.tool_json("deliveries", "list", "--status", "pending") == [],
               "every outcome is stored")
    assert server.tool("store", "check").returncode == 0


@needs_root
def test_a_full_disk_can_be_cleared_by_erasing_or_says_that_it_cannot(small_disk):
    server = small_disk
    key = server.create_key("*:write", "*:read", flags=UNLIMITED)
    fill(server.data)
    taken, _, _ = post_until_full(server, key)
    for number in taken[:10]:
        gone = server.delete("workorder", number, key)
        assert gone.status in (200, 503)
        assert server.get("workorder", number, key).status == (404 if gone.status == 200 else 200)
        erased = server.tool("records", "erase", number, check=False)
        assert erased.returncode == 0 or "disk is full" in erased.stderr
    assert server.tool("store", "check").returncode == 0


@needs_root
def test_a_server_starts_on_a_full_disk_and_says_where_it_is_once_there_is_room(make_server):
    server = make_server("--listen-cleartext", "127.0.0.1:0", start=False)
    with mounted(server.data, "2m"):
        server.start()
        server.stop()
        ballast = fill(server.data)
        log, out = open(server.log_path, "ab"), open(server.out_path, "ab")
        server.process = subprocess.Popen(server.command(), stdin=subprocess.DEVNULL, stdout=out,
                                          stderr=log, env=clean_environment())
        wait_until(lambda: "no run file yet" in server.log(), "it starts")
        assert not (server.data / "posternd.json.new").exists()
        ballast.unlink()
        wait_until(server.is_ready, "the run file is there")
        assert server.request("GET", "/api/events").status == 401
        server.stop()


@needs_root
def test_a_full_disk_without_a_lock_file_is_told_at_start(make_server):
    server = make_server(start=False)
    with mounted(server.data, "2m"):
        server.start()
        server.stop()
        (server.data / "store/lock.mdb").unlink()
        fill(server.data)
        assert "No space left" in start_failing(server)
        done = server.tool("records", "list", "workorder", check=False)
        assert done.returncode == 1 and done.stderr.startswith("postern: ")


@needs_root
def test_a_read_only_file_system_is_told_and_left_alone(make_server):
    server = make_server(start=False)
    with mounted(server.data, "8m"):
        server.start()
        key = server.create_key("*:write")
        assert server.post("workorder", work_order("kept"), key).status == 200
        server.stop()
        subprocess.run(["mount", "-o", "remount,ro", server.data], check=True)
        before = contents(server.data)
        assert "Read-only file system" in start_failing(server)
        assert contents(server.data) == before
        subprocess.run(["mount", "-o", "remount,rw", server.data], check=True)
        server.start()
        server.stop()


# Descriptors run out.

def test_without_descriptors_connections_that_are_open_are_served(make_server, receiver):
    server = make_server("--retry-schedule", "1s,1s,1s,1s")
    server.create_endpoint(receiver.url)
    key = server.create_key("*:write", "*:read", flags=UNLIMITED)
    address = ("127.0.0.1", int(server.http.rsplit(":", 1)[1]))

    def post(sock, number):
        body = json.dumps(work_order(number)).encode()
        sock.sendall(b"POST /api/webhook/workorder HTTP/1.1\r\nHost: x\r\nX-API-Key: %s\r\n"
                     b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                     % (key.key.encode(), len(body), body))
        return sock.recv(65536)

    pid = server.process.pid
    with socket.create_connection(address, DEADLINE_S) as kept:
        assert b" 200 " in post(kept, "D-0")
        receiver.wait_for(1, "workorder.created")
        used = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        subprocess.run(["prlimit", "--pid", str(pid), f"--nofile={used}:"], check=True)
        # They are connected by the kernel, and wait.
        waiting = [socket.create_connection(address, DEADLINE_S) for _ in range(20)]
        for i in range(1, 20):
            assert b" 200 " in post(kept, f"D-{i}")
        before = cpu_s(pid)
        time.sleep(1)  # the span over which the processor's time is measured
        assert cpu_s(pid) - before < 0.5
        subprocess.run(["prlimit", "--pid", str(pid), "--nofile=1000:"], check=True)
        for i, sock in enumerate(waiting):
            assert b" 200 " in post(sock, f"W-{i}")
            sock.close()
    receiver.wait_for(40, "workorder.created")
    # A shortage of our own is no fault of the endpoint's.
    assert server.tool_json("deliveries", "list", "--status", "failed") == []


# The clock jumps.

class Clock:
    """The wall clock of a server, through libfaketime; the monotonic one runs on."""

    def __init__(self, server):
        # In the data directory: the server reads no other files once it has started.
        self.file = server.data / "clock"
        server.data.mkdir(parents=True)
        self.step(0)
        server.environment = {"LD_PRELOAD": str(FAKETIME), "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                              "FAKETIME_TIMESTAMP_FILE": str(self.file), "FAKETIME_NO_CACHE": "1",
                              "ASAN_OPTIONS": "verify_asan_link_order=0:"
                                              + os.environ.get("ASAN_OPTIONS", "")}

    def step(self, seconds):
        """To so many seconds off the true time."""
        fresh = self.file.with_suffix(".new")
        fresh.write_text(f"{seconds:+d}\n")
        fresh.rename(self.file)


@pytest.fixture
def clocked(make_server):
    if FAKETIME is None:
        pytest.skip("libfaketime is not installed")
    server = make_server(start=False)
    clock = Clock(server)
    server.start()
    yield server, clock
    server.stop()
    assert not any(clock_files(pid) for pid in server.pids)


@pytest.mark.parametrize("steps", [[DAY_S, 0], [-DAY_S, 0], [-DAY_S, DAY_S, -DAY_S]])
@pytest.mark.parametrize("restarts", [False, True])
def test_clock_steps_keep_ids_in_order_and_lock_nobody_out(clocked, steps, restarts):
    server, clock = clocked
    key = server.create_key("*:write", "*:read", "events:read")
    ids, events = [], []

    def post(number):
        answer = server.post("workorder", work_order(number), key)
        assert answer.status == 200, (number, answer.body)
        assert int(answer.headers["X-RateLimit-Remaining"]) < 50
        reset = int(answer.headers["X-RateLimit-Reset"])
        ids.append(answer.json()["id"])
        events.append(answer.json()["events"][0]["id"])
        return answer.json()["receivedAt"], reset

    for i in range(5):
        post(f"before-{i}")
    for n, seconds in enumerate(steps):
        clock.step(seconds)
        if restarts:
            server.restart()
        for i in range(5):
            post(f"after-{n}-{i}")
    assert ids == sorted(ids) and len(set(ids)) == len(ids)
    assert events == sorted(events)
    found = server.request("GET", "/api/events?limit=100", key=key).json()["data"]
    assert [one["sequence"] for one in found] == list(range(1, len(ids) + 1))
    assert server.tool("store", "check").returncode == 0


def test_a_used_up_limit_does_not_become_a_day_when_the_clock_goes_back(clocked):
    server, clock = clocked
    clock.step(DAY_S)
    key = server.create_key("*:write", flags=["--limit-minute", "3"])
    for i in range(3):
        assert server.post("workorder", work_order(f"L-{i}"), key).status == 200
    assert server.post("workorder", work_order("L-3"), key).status == 429
    for restarts in (False, True):
        clock.step(0)
        if restarts:
            server.restart()
        answer = server.post("workorder", work_order("L-3"), key)
        if answer.status == 429:
            assert int(answer.headers["Retry-After"]) <= 60
        else:
            assert answer.status == 200


def test_deliveries_go_on_when_the_clock_goes_back(clocked, receiver):
    server, clock = clocked
    server.create_endpoint(receiver.url)
    key = server.create_key("*:write")
    clock.step(DAY_S)
    assert server.post("workorder", work_order("future"), key).status == 200
    receiver.wait_for(1, "workorder.created")
    clock.step(0)
    assert server.post("workorder", work_order("present"), key).status == 200
    receiver.wait_for(2, "workorder.created")


# The store is not as it should be.

def crc32c(data):
    """RFC 3720's, by bits: the test's own, so that it does not believe the product's."""
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


@pytest.fixture
def stopped(make_server):
    server = make_server()
    key = server.create_key("*:write")
    for i in range(20):
        assert server.post("workorder", work_order(f"S-{i}"), key).status == 200
    server.stop()
    return server


FORMAT = 2


@pytest.mark.parametrize("version, word", [(FORMAT + 1, "newer"), (FORMAT - 1, "older")])
def test_a_store_of_another_format_is_refused_and_left_alone(stopped, version, word):
    def row(version):
        fields = b"\x01" + version.to_bytes(4, "big")
        return b"format" + fields + crc32c(b"format" + fields).to_bytes(4, "big")

    file = stopped.data / "store/data.mdb"
    raw = file.read_bytes()
    assert row(FORMAT) in raw
    file.write_bytes(raw.replace(row(FORMAT), row(version)))
    before = contents(stopped.data)
    assert word in start_failing(stopped)
    assert word in stopped.tool("records", "list", "workorder", check=False).stderr
    assert contents(stopped.data) == before


@pytest.mark.parametrize("keep", [0, 100, 4096, 8192, "all before a record"])
def test_a_truncated_store_is_refused_and_left_alone(stopped, keep):
    """Pages at the end may be missing that are free: a record, with every older copy of it, may not."""
    file = stopped.data / "store/data.mdb"
    raw = file.read_bytes()
    if isinstance(keep, str):
        keep = raw.index(b'"S-0"') // 4096 * 4096
        assert keep >= 8192  # the two meta pages stay
    file.write_bytes(raw[:keep])
    before = contents(stopped.data)
    assert str(file.parent) in start_failing(stopped)
    for words in (["store", "check"], ["records", "list", "workorder"]):
        done = stopped.tool(*words, check=False)
        assert done.returncode == 1
        assert done.stderr or done.stdout
    assert contents(stopped.data) == before


def flip_bits_of(server, row):
    """A bit in each copy of these bytes that the stopped server's store has."""
    file = server.data / "store/data.mdb"
    raw = file.read_bytes()
    assert row in raw
    file.write_bytes(raw.replace(row, row[:-1] + bytes([row[-1] ^ 0x10])))


def test_a_damaged_counter_is_no_zero(stopped):
    fields = b"\x01" + (20).to_bytes(8, "big")
    key = bytes(5)  # how many revisions were stored
    flip_bits_of(stopped, key + fields + crc32c(key + fields).to_bytes(4, "big"))
    done = stopped.tool("status", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "see `postern store check`" in done.stderr
    assert "does not match its check" in stopped.tool("store", "check", check=False).stdout


def test_damaged_events_are_not_no_events(stopped):
    key = stopped.create_key("events:read")
    flip_bits_of(stopped, b"workorder.created")
    stopped.start()
    for query in ("", "?after=20"):  # the last one is damaged too: nobody knows which it is
        assert stopped.request("GET", "/api/events" + query, key=key).status == 503


def test_a_store_directory_without_its_file_is_not_begun_anew(stopped):
    (stopped.data / "store/data.mdb").unlink()
    assert "restore a backup" in start_failing(stopped)
    assert not (stopped.data / "store/data.mdb").exists()


@needs_root
@pytest.mark.parametrize("others", ["data", "data/store"])
def test_what_belongs_to_another_user_is_refused_and_left_alone(stopped, others):
    # Root may use any store, so it runs as somebody else, who owns all but one directory.
    for path in (stopped.folder, *stopped.folder.parents[:-2]):
        os.chmod(path, 0o755)
    for path in (stopped.data, *stopped.data.rglob("*")):
        os.chown(path, 65534, 65534)
    os.chown(stopped.folder / others, 0, 0)
    before = contents(stopped.data)
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *stopped.command()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S,
                          env=clean_environment())
    assert done.returncode == 1
    assert re.search(rf"^posternd: .*{others}.*(denied|belongs to user 0)", done.stderr,
                     re.MULTILINE), done.stderr
    assert contents(stopped.data) == before


# The process is stopped.

def test_a_stopped_process_goes_on_where_it_was(make_server, receiver):
    server = make_server()
    server.create_endpoint(receiver.url)
    key = server.create_key("*:write", "*:read")
    assert server.post("workorder", work_order("before"), key).status == 200
    server.process.send_signal(signal.SIGSTOP)
    status = Path(f"/proc/{server.process.pid}/status")
    try:
        wait_until(lambda: "State:\tT" in status.read_text(), "it has stopped")
        answers = []
        threads = [threading.Thread(target=lambda i=i: answers.append(
            server.post("workorder", work_order(f"during-{i}"), key))) for i in range(5)]
        for thread in threads:
            thread.start()
        # It still holds its store.
        assert str(server.data) in start_failing(server)
    finally:
        server.process.send_signal(signal.SIGCONT)
    for thread in threads:
        thread.join()
    assert [answer.status for answer in answers] == [200] * 5
    receiver.wait_for(6, "workorder.created")
