"""API keys and their limits, as a sender meets them."""
import base64
import socket
import time

import pytest

from harness import wait_until
from wire import Wire, address_of, request, settings

RECORD = {"vendorNumber": "V-1", "name": "Acme"}
LIMIT_HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset",
                 "RateLimit-Policy", "RateLimit")


def post(server, headers, record=RECORD):
    return server.post("vendor", record, None, headers=headers)


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_all_three_header_forms_are_taken(shared_server):
    key = shared_server.create_key("vendor:write")
    for headers in ({"X-API-Key": key.key}, {"Authorization": f"Bearer {key.key}"},
                    {"Authorization": f"bearer {key.key}"},
                    {"Authorization": basic(key.id, key.key)}):
        assert post(shared_server, headers).status == 200


def test_whatever_is_wrong_with_a_key_the_answer_is_the_same(shared_server):
    key = shared_server.create_key("vendor:write")
    disabled = shared_server.create_key("vendor:write")
    expired = shared_server.create_key("vendor:write", flags=["--expires", "2020-01-01T00:00:00Z"])
    shared_server.tool("keys", "disable", disabled.id)
    wait_until(lambda: post(shared_server, {"X-API-Key": disabled.key}).status == 401, "disabled")
    typo = key.key[:-1] + ("0" if key.key[-1] != "0" else "1")
    answers = [post(shared_server, headers) for headers in (
        {}, {"X-API-Key": ""}, {"X-API-Key": "psn_nonsense"}, {"X-API-Key": typo},
        {"X-API-Key": disabled.key}, {"X-API-Key": expired.key}, {"Authorization": "Bearer x"},
        {"Authorization": basic("key_01h455vb4pex5vsknk084sn02q", key.key)},
        {"Authorization": basic("", key.key)}, {"Authorization": "Digest x"})]
    assert {answer.status for answer in answers} == {401}
    assert all("WWW-Authenticate" in answer.headers for answer in answers)
    bodies = [{name: value for name, value in answer.json().items() if name != "instance"}
              for answer in answers]
    assert all(body == bodies[0] for body in bodies)
    assert bodies[0]["type"] == "/problems/unauthorized"
    assert not any(name in answer.headers for answer in answers for name in LIMIT_HEADERS)


def test_a_missing_scope_is_named(shared_server):
    key = shared_server.create_key("vendor:write")
    answer = shared_server.post("project", {"projectNumber": "P", "name": "x"}, key)
    assert answer.status == 403
    assert answer.json()["type"] == "/problems/forbidden"
    assert "project:write" in answer.json()["detail"]
    assert "vendor:read" in shared_server.get("vendor", "V-1", key).json()["detail"]
    answer = shared_server.request("GET", "/api/events", key=key)
    assert answer.status == 403
    assert "events:read" in answer.json()["detail"]


def test_the_star_stands_for_every_record_type(shared_server):
    key = shared_server.create_key("*:write")
    assert shared_server.post("vendor", RECORD, key).status == 200
    assert shared_server.post("project", {"projectNumber": "P", "name": "x"}, key).status == 200
    assert shared_server.get("vendor", "V-1", key).status == 403
    assert shared_server.request("GET", "/api/events", key=key).status == 403


def test_a_key_may_be_bound_to_addresses(shared_server):
    here = shared_server.create_key("vendor:write", flags=["--allow", "127.0.0.0/8"])
    elsewhere = shared_server.create_key("vendor:write", flags=["--allow", "192.0.2.0/24"])
    assert shared_server.post("vendor", RECORD, here).status == 200
    assert shared_server.post("vendor", RECORD, elsewhere).status == 403


def test_a_key_works_and_stops_within_a_second_of_the_tools_word(shared_server):
    key = shared_server.create_key("vendor:write")

    def status():
        return shared_server.post("vendor", RECORD, key).status

    assert status() == 200
    for command, wanted in (("disable", 401), ("enable", 200), ("delete", 401)):
        shared_server.tool("keys", command, key.id)
        started = time.monotonic()
        wait_until(lambda: status() == wanted, command, 10)
        assert time.monotonic() - started < 10


def test_every_answer_to_a_valid_key_tells_its_windows(shared_server):
    key = shared_server.create_key("vendor:write")
    first = shared_server.post("vendor", RECORD, key)
    second = shared_server.post("vendor", {}, key)
    third = shared_server.request("GET", "/api/nowhere", key=key)
    assert [answer.status for answer in (first, second, third)] == [200, 400, 404]
    for left, answer in zip((49, 48, 47), (first, second, third)):
        assert answer.headers["X-RateLimit-Limit"] == "50"
        assert answer.headers["X-RateLimit-Remaining"] == str(left)
        assert abs(int(answer.headers["X-RateLimit-Reset"]) - time.time() - 60) < 10
        assert answer.headers["RateLimit-Policy"] == '"minute";q=50;w=60, "hour";q=1000;w=3600'
        minute, hour = answer.headers["RateLimit"].split(", ")
        assert minute.startswith(f'"minute";r={left};t=')
        assert hour.startswith(f'"hour";r={left + 950};t=')
        assert 0 < int(minute.rsplit("=", 1)[1]) <= 60


@pytest.mark.parametrize("table", [4096, 0])
def test_the_second_answer_of_a_connection_repeats_no_names(shared_server, table):
    key = shared_server.create_key("vendor:read", flags=["--limit-minute", "7"])
    with Wire(address_of(shared_server.https), h2=True, first=settings(header_table=table)) as wire:
        wire.decoder.max_allowed_table_size = wire.decoder.header_table_size = table
        answers = []
        for stream, credential in ((1, key.key), (3, "wrong"), (5, key.key), (7, key.key)):
            wire.send(request(stream, "/api/webhook/vendor", "GET", ("x-api-key", credential)))
            answers.append(wire.stream(stream))
    assert [answer.status for answer in answers] == [200, 401, 200, 200]
    first, refused, second, third = answers
    assert refused.headers["content-type"] == "application/problem+json"
    assert len({answer.headers["x-request-id"] for answer in answers}) == 4
    assert [one.headers["x-ratelimit-remaining"] for one in (first, second, third)] == ["6", "5", "4"]
    for one in (first, second, third):
        assert one.headers["content-type"] == "application/json"
        assert one.headers["server"] == "Postern"
        assert one.headers["x-ratelimit-limit"] == "7"
        assert set(one.headers) == set(first.headers)
    saved = first.head_bytes - second.head_bytes
    assert saved > 100 if table else abs(saved) < 10
    assert abs(second.head_bytes - third.head_bytes) < 10


def test_the_request_over_the_limit_is_refused_and_told_when(shared_server):
    key = shared_server.create_key("vendor:write", flags=["--limit-minute", "3"])
    for _ in range(3):
        assert shared_server.post("vendor", RECORD, key).status == 200
    for _ in range(2):  # refused requests do not count, nor change when there is room again
        answer = shared_server.post("vendor", RECORD, key)
        assert answer.status == 429
        assert answer.json()["type"] == "/problems/rate-limited"
        assert answer.json()["violated-policies"] == ["minute"]
        assert 0 < int(answer.headers["Retry-After"]) <= 60
        assert answer.headers["X-RateLimit-Remaining"] == "0"


def test_a_tight_hour_is_what_the_headers_show(shared_server):
    key = shared_server.create_key("vendor:write", flags=["--limit-hour", "2"])
    assert shared_server.post("vendor", RECORD, key).headers["X-RateLimit-Limit"] == "2"
    shared_server.post("vendor", RECORD, key)
    answer = shared_server.post("vendor", RECORD, key)
    assert answer.status == 429
    assert answer.json()["violated-policies"] == ["hour"]
    assert 3500 < int(answer.headers["Retry-After"]) <= 3600


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_counts_survive(make_server, how):
    server = make_server()
    key = server.create_key("vendor:write")
    for i in range(20):
        assert server.post("vendor", {**RECORD, "name": f"n{i}"}, key).status == 200
    if how == "stop":  # a proper stop forgets nothing at all
        for _ in range(5):
            assert server.post("vendor", {}, key).status == 400
    getattr(server, how)()
    server.start()
    left = 29 if how == "kill" else 24
    assert server.post("vendor", RECORD, key).headers["X-RateLimit-Remaining"] == str(left)


def test_failures_are_throttled_by_address_and_a_valid_key_still_gets_in(make_server):
    server = make_server()
    key = server.create_key("vendor:write")
    answers = [post(server, {"X-API-Key": "psn_wrong"}) for _ in range(110)]
    assert answers[0].status == 401
    assert answers[-1].status == 429
    assert int(answers[-1].headers["Retry-After"]) >= 1
    assert server.post("vendor", RECORD, key).status == 200


def test_refusals_are_kept_without_the_body(make_server):
    server = make_server()
    key = server.create_key("vendor:write")
    server.post("vendor", {"vendorNumber": "V-1", "name": 12345678, "phone": "top-secret"}, key)
    server.post("project", {}, key)

    def both():
        rows = [row for row in server.tool_json("rejections", "list")
                if row["status"] in (400, 403)]
        return rows if {row["status"] for row in rows} == {400, 403} else None

    kept = wait_until(both, "the refusals are kept")
    assert all("12345678" not in str(row) and "top-secret" not in str(row) for row in kept)
    assert any("/name" in str(row) for row in kept)


def test_what_each_key_sent_is_counted(make_server):
    server = make_server()
    key, other = server.create_key("vendor:write"), server.create_key("vendor:write")
    assert server.post("vendor", RECORD, key).status == 200
    assert server.post("vendor", RECORD, key).json()["action"] == "unchanged"
    assert server.post("vendor", {}, key).status == 400
    assert server.post("project", {}, key).status == 403
    lines = [{"vendorNumber": f"B-{number}", "name": "x"} for number in range(9)] + ["{}\n"]
    assert server.batch("vendor", lines, key).status == 207

    def counts(one):
        shown = server.tool_json("keys", "show", one.id)
        return shown["accepted"], shown["refused"]

    wait_until(lambda: counts(key) == (11, 3), "the counts of the last second are written")
    server.restart()
    assert server.post("vendor", RECORD, key).status == 200
    wait_until(lambda: counts(key) == (12, 3), "the counts go on after a restart")
    assert counts(other) == (0, 0)


def read_statuses(answers, count):
    """Of answers one after the other on a connection."""
    statuses = []
    while len(statuses) < count:
        statuses.append(int(answers.readline().split()[1]))
        fields = dict(line.lower().split(b": ", 1) for line in iter(answers.readline, b"\r\n"))
        answers.read(int(fields[b"content-length"]))
    return statuses


def test_a_flood_of_refusals_fills_no_disk(make_server):
    """What is logged a second and loop is bounded, and what is accepted goes on beside it."""
    server = make_server("--threads", "1")
    key = server.create_key("vendor:write", flags=["--limit-minute", 100000])
    flood = b"".join(b"POST /api/webhook/vendor HTTP/1.1\r\nHost: x\r\nX-API-Key: psn_%d\r\n"
                     b"Content-Length: 0\r\n\r\n" % number for number in range(500))
    host, port = server.http.removeprefix("http://").split(":")
    begun = time.monotonic()
    for _ in range(8):
        with socket.create_connection((host, int(port))) as sock, sock.makefile("rb") as answers:
            sock.sendall(flood)
            statuses = read_statuses(answers, 500)
        assert set(statuses) <= {401, 429}
        assert server.post("vendor", RECORD, key).status == 200
    seconds = time.monotonic() - begun
    server.stop()
    logged = [row for row in server.tool_json("rejections", "list") if row["status"] in (401, 429)]
    assert 0 < len(logged) <= 32 * (seconds + 2) < 4000
