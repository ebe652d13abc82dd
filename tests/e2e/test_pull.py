"""GET /api/events: in sequence, without a gap, and held until there is one."""
import threading
import time

import pytest

from harness import curl, wait_until


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

    def inflight():
        text = curl(server.admin + "/metrics").body.decode()
        return next(line for line in text.splitlines()
                    if line.startswith("postern_inflight_requests "))

    wait_until(lambda: int(inflight().split()[1]) >= 5, "all wait")
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
