"""What hostile clients put into requests that are well-formed HTTP: bodies that cost more to read
than to send, patterns that never end, guessed keys. Each costs a bounded piece of processor time and
memory, and another sender is served all the time."""
import contextlib
import http.client
import json
import shutil
import socket

import pytest

import harness
from failing import HAS_SANITIZER
from harness import DEADLINE_S, SCHEMAS, own_memory, repeating

MIB = 1 << 20
UNLIMITED = ["--limit-minute", "1000000", "--limit-hour", "1000000"]
FAILURES_PER_MINUTE = 100  # ingest/authenticate.h


@contextlib.contextmanager
def bounded(server, key, cpu_s, memory):
    """What happens inside costs no more than that, and another sender gets 200 all the time."""
    pid = server.process.pid
    used, before, served, peak = harness.cpu_s(pid), own_memory(pid), [0], [0]
    other = http.client.HTTPConnection("127.0.0.1", port(server), timeout=10)

    def be_served():
        other.request("POST", "/api/webhook/vendor",
                      json.dumps({"vendorNumber": "other", "name": "x"}),
                      {"X-API-Key": key.key, "Content-Type": "application/json"})
        response = other.getresponse()
        answer = response.read()
        served[0] += 1
        peak[0] = max(peak[0], own_memory(pid))
        assert response.status == 200, answer

    with contextlib.closing(other), repeating(be_served):
        yield
    assert server.process.poll() is None
    assert served[0] > 0
    if not HAS_SANITIZER:  # which keeps what is freed, and takes its time
        assert peak[0] - before <= memory, f"{(peak[0] - before) / MIB:.1f} MiB"
        spent = harness.cpu_s(pid) - used - served[0] * 0.001
        assert spent <= cpu_s, f"{spent:.2f} s"


def port(server):
    return int(server.http.rsplit(":", 1)[1])


@pytest.fixture
def key(server):
    return server.create_key("*:write", flags=UNLIMITED)


def filled(begin, piece, end):
    """A body just below the limit."""
    return begin + piece * ((MIB - len(begin) - len(end) - 10) // len(piece)) + end


BOMBS = {
    "arrays in arrays": "[" * (MIB - 10),
    "objects in objects": filled("", '{"a":', ""),
    "an array of nothing": filled('{"workOrderNumber":"b","title":"t","x":[0', ",0", "]}"),
    "empty objects": filled('{"workOrderNumber":"b","title":"t","x":[{}', ",{}", "]}"),
    "one long string of escapes": filled('{"workOrderNumber":"b","title":"', "\\u0000", '"}'),
    "a number of a million digits": filled('{"workOrderNumber":"b","title":"t","x":1', "1", "}"),
    "an exponent": '{"workOrderNumber":"b","title":"t","x":1e' + "9" * 1000 + "}",
    "a million violations": filled('{"workOrderNumber":"b","title":"t","assignments":[1', ",1", "]}"),
    "members that the schema does not know": '{"workOrderNumber":"b","title":"t"' + "".join(
        f',"m{i}":0' for i in range(80000)) + "}",
    "names that begin alike": '{"workOrderNumber":"b","title":"t"' + "".join(
        f',"{"n" * 60}{i:06}":0' for i in range(13000)) + "}",
    "one name again and again": filled('{"workOrderNumber":"b","title":"t"', ',"m":0', "}"),
    # They collide in hashes that only add or multiply by 31 or 33: every pair may be swapped.
    "names that collide in weak hashes": '{"workOrderNumber":"b","title":"t"' + "".join(
        ',"' + "".join("Aa" if i >> bit & 1 else "BB" for bit in range(15)) + '":0'
        for i in range(1 << 14)) + "}",
}


@pytest.mark.parametrize("which", BOMBS)
def test_json_that_costs_more_to_read_than_to_send(server, key, which):
    with bounded(server, key, cpu_s=4, memory=96 * MIB):
        for _ in range(10):
            answer = server.post("workorder", BOMBS[which], key, base=server.http, http="1.1")
            assert answer.status in (200, 400), answer
            assert len(answer.body) < 16 * MIB


EVIL = {"nested repetition": ("^(a+)+$", "a" * 5000 + "!"),
        "alternatives that overlap": ("^(a|aa|a?)*b$", "a" * 5000),
        "a far look": ("^(?=(a*)*c).*$", "a" * 5000)}


@pytest.mark.parametrize("which", EVIL)
def test_a_pattern_that_would_never_end_is_given_up(make_server, tmp_path, which):
    pattern, text = EVIL[which]
    schemas = tmp_path / "schemas"
    shutil.copytree(SCHEMAS, schemas)
    (schemas / "evil.schema.json").write_text(json.dumps({
        "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Evil",
        "type": "object", "required": ["number"],
        "properties": {"number": {"type": "string"}, "text": {"pattern": pattern}},
        "x-postern": {"type": "evil", "idPrefix": "evil", "key": "number",
                      "events": {"created": "evil.created"}}}))
    server = make_server(schemas=schemas)
    key = server.create_key("*:write", flags=UNLIMITED)
    with bounded(server, key, cpu_s=5, memory=64 * MIB):
        for i in range(20):
            answer = server.post("evil", {"number": str(i), "text": text}, key)
            assert answer.status == 400
            assert answer.json()["type"] in ("/problems/too-complex", "/problems/invalid-record")


def guess(server, address, number):
    """A guessed key from that address of loopback; the answer's status."""
    with socket.socket() as sock:
        sock.settimeout(DEADLINE_S)
        sock.bind((address, 0))
        sock.connect(("127.0.0.1", port(server)))
        sock.sendall(b"GET /api/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                     b"X-API-Key: psn_%040d\r\n\r\n" % number)
        return int(sock.recv(65536).split()[1])


def test_keys_guessed_from_one_address_are_throttled_there_and_nowhere_else(server, key):
    with bounded(server, key, cpu_s=3, memory=32 * MIB):
        statuses = [guess(server, "127.0.0.9", i) for i in range(FAILURES_PER_MINUTE + 20)]
        assert statuses[0] == 401 and statuses[-1] == 429
        assert set(statuses) == {401, 429}
        # Another address has its own count. (Few buckets may be shared: one of these is enough.)
        assert 401 in {guess(server, f"127.0.1.{i}", i) for i in range(1, 6)}
        # Who shares the guesser's address and has a key gets in.
        answer = server.post("vendor", {"vendorNumber": "V", "name": "x"}, key,
                             extra=["--interface", "127.0.0.9"], base=server.http, http="1.1")
        assert answer.status == 200


def test_keys_guessed_from_many_addresses_cost_little_and_hit_nobody(server, key):
    with bounded(server, key, cpu_s=6, memory=32 * MIB):
        statuses = [guess(server, f"127.{i % 200}.{i // 200 % 200 + 1}.7", i) for i in range(2000)]
        assert set(statuses) <= {401, 429}


def test_what_one_key_sends_takes_nothing_from_another(server, key):
    greedy = server.create_key("*:write", flags=["--limit-minute", "10"])
    with bounded(server, key, cpu_s=3, memory=32 * MIB):
        answers = [server.post("vendor", {"vendorNumber": "G", "name": "x"}, greedy).status
                   for _ in range(60)]
    assert answers[:10] == [200] * 10 and set(answers[10:]) == {429}
