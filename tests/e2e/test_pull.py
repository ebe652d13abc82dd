"""GET /api/events: in sequence, without a gap, and held until there is one."""
import re
import threading
import time

import pytest

from harness import cpu_s, curl, own_memory, wait_until
from wire import Wire, address_of, request


@pytest.fixture
def key(server):
    return server.create_key("*:write", "*:read", "events:read",
                             flags=["--limit-minute", "100000", "--limit-hour", "100000"])


def pull(server, key, query=""):
    return server.request("GET", f"/api/events{query}", key=key)


def vendors(server, key, count, prefix="V"):
    return server.batch("vendor", [{"vendorNumber": f"{prefix}-{i}", "name": "n"}
                                   for i in range(count)], key)


def test_events_come_in_sequence_without_a_gap(server, key):
    vendors(server, key, 25)
    seen, after = [], 0
    while True:
        page = pull(server, key, f"?after={after}&limit=10").json()
        if not page["data"]:
            break
        seen += page["data"]
        after = page["nextAfter"]
    assert [event["sequence"] for event in seen] == list(range(1, 26))
    assert seen[0]["event"] == "vendor.created"
    assert seen[0]["data"]["vendorNumber"] == "V-0"
    assert set(seen[0]) == {"id", "event", "timestamp", "sequence", "data"}


def test_a_filter_skips_but_says_how_far_it_came(server, key):
    vendors(server, key, 5)
    server.post("project", {"projectNumber": "P", "name": "n"}, key)
    page = pull(server, key, "?type=project.*").json()
    assert [event["event"] for event in page["data"]] == ["project.created"]
    assert page["nextAfter"] == 6


def test_an_update_shows_what_was_before(server, key):
    server.post("vendor", {"vendorNumber": "V", "name": "old"}, key)
    server.patch("vendor", "V", {"name": "new", "status": "active"}, key)
    event = pull(server, key, "?after=1").json()["data"][0]
    assert event["previous"] == {"name": "old", "status": None}
    assert event["data"]["name"] == "new"


def test_wait_holds_the_answer_until_there_is_an_event(server, key):
    answers = []
    thread = threading.Thread(target=lambda: answers.append(pull(server, key, "?wait=30s")))
    thread.start()
    time.sleep(0.3)
    assert not answers
    started = time.monotonic()
    vendors(server, key, 1)
    thread.join(20)
    assert answers and answers[0].json()["data"][0]["sequence"] == 1
    assert time.monotonic() - started < 20


def test_a_wait_without_events_ends_with_an_empty_page(server, key):
    page = pull(server, key, "?wait=1s").json()
    assert page["data"] == []
    assert page["nextAfter"] == 0


def test_waiting_clients_do_not_hold_up_a_stop(make_server):
    server = make_server()
    key = server.create_key("events:read")
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(pull(server, key, "?wait=60s")))
               for _ in range(5)]
    for thread in threads:
        thread.start()

    wait_until(lambda: inflight(server) >= 5, "all wait")
    server.stop()
    for thread in threads:
        thread.join(20)
    assert [answer.status for answer in answers] == [200] * 5


@pytest.mark.parametrize("query", ["?after=x", "?after=-1", "?limit=0", "?limit=1001", "?wait=2h",
                                   "?wait=x", "?type=Not%20One", "?since=1h"])
def test_wrong_parameters_are_told(server, key, query):
    answer = pull(server, key, query)
    assert answer.status == 400
    assert answer.json()["type"] == "/problems/invalid-request"


def inflight(server):
    """Requests under way, but for the one that asks."""
    text = curl(server.admin + "/metrics").body.decode()
    return int(re.search(r"^postern_inflight_requests (\d+)", text, re.MULTILINE).group(1)) - 1


def test_a_thousand_waiting_clients_cost_no_time_and_little_memory(server, key):
    pull(server, key)  # what a first request takes is taken
    pid = server.process.pid
    memory_before = own_memory(pid)
    connections = [Wire(address_of(server.http), h2=True) for _ in range(20)]
    streams = range(1, 2 * 50, 2)
    for connection in connections:
        connection.send(*(request(stream, "/api/events?wait=60s", "GET", ("x-api-key", key.key))
                          for stream in streams))
    wait_until(lambda: inflight(server) >= 1000, "all wait")
    cpu_before, begun = cpu_s(pid), time.monotonic()
    time.sleep(2)
    share = (cpu_s(pid) - cpu_before) / (time.monotonic() - begun)
    grown = (own_memory(pid) - memory_before) / (1 << 20)
    assert vendors(server, key, 1).status == 200
    for connection in connections:
        with connection:
            for stream in streams:
                event = connection.stream(stream).json()["data"][0]
                assert event["data"]["vendorNumber"] == "V-0"
    assert share < 0.25, "waiting is no work"
    assert grown < 100, "MiB for a thousand that wait"
