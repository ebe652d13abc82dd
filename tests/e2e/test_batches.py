"""Batches (NDJSON) and Idempotency-Key."""
import json
import threading
import time

import pytest


@pytest.fixture
def key(shared_server):
    return shared_server.create_key("*:write", "*:read",
                                    flags=["--limit-minute", "100000", "--limit-hour", "100000"])


@pytest.fixture
def prefix(request):
    return f"{request.node.name[:50]}-{time.monotonic_ns()}"


def vendor(number, **more):
    return {"vendorNumber": number, "name": "Acme", **more}


def test_a_batch_is_answered_line_by_line(shared_server, key, prefix):
    answer = shared_server.batch("vendor", [vendor(f"{prefix}-{i}") for i in range(5)], key)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    lines = answer.ndjson()
    assert [line["line"] for line in lines] == [1, 2, 3, 4, 5]
    assert {line["action"] for line in lines} == {"created"}
    assert [line["key"] for line in lines] == [f"{prefix}-{i}" for i in range(5)]


def test_a_bad_line_affects_itself_only(shared_server, key, prefix):
    answer = shared_server.batch("vendor", [
        vendor(f"{prefix}-1"), '{"vendorNumber":}\n', "\n", {"name": "no number"},
        vendor(f"{prefix}-1", status="inactive"), vendor(f"{prefix}-2")], key)
    assert answer.status == 207
    lines = answer.ndjson()
    assert [line["line"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert [line.get("action") or line["type"] for line in lines] == [
        "created", "/problems/invalid-json", "/problems/invalid-json", "/problems/invalid-record",
        "updated", "created"]
    assert lines[3]["errors"][0]["pointer"] == "/vendorNumber"


def test_a_strict_batch_is_all_or_nothing(shared_server, key, prefix):
    strict = {"Prefer": "handling=strict"}
    answer = shared_server.batch("vendor", [
        vendor(f"{prefix}-1"), {"name": "no number"}, vendor(f"{prefix}-2")], key, headers=strict)
    assert answer.status == 207
    assert [line["type"] for line in answer.ndjson()] == [
        "/problems/batch-refused", "/problems/invalid-record", "/problems/batch-refused"]
    assert shared_server.get("vendor", f"{prefix}-1", key).status == 404
    before = shared_server.tool_json("events", "list", "--limit", "1")
    answer = shared_server.batch("vendor", [vendor(f"{prefix}-1"), vendor(f"{prefix}-2")], key,
                                 headers=strict)
    assert answer.status == 200
    assert answer.headers["Preference-Applied"] == "handling=strict"
    after = shared_server.tool_json("events", "list", "--limit", "1")
    # What was given up took no sequence numbers with it.
    assert after[0]["sequence"] == (before[0]["sequence"] if before else 0) + 2


def test_a_batch_counts_as_one_request(shared_server):
    key = shared_server.create_key("vendor:write")
    answer = shared_server.batch("vendor", [vendor(f"count-{i}") for i in range(100)], key)
    assert answer.status == 200
    assert answer.headers["X-RateLimit-Remaining"] == "49"


def test_a_batch_has_at_most_a_thousand_lines(shared_server, key, prefix):
    lines = [vendor(f"{prefix}-{i}") for i in range(1001)]
    assert shared_server.batch("vendor", lines[:1000], key).status == 200
    assert shared_server.batch("vendor", lines, key).status == 413
    assert shared_server.batch("vendor", [], key).status == 400


def idempotent(key):
    return {"Idempotency-Key": key}


def test_the_same_request_again_gets_the_first_answer_again(shared_server, key, prefix):
    record = vendor(prefix)
    first = shared_server.post("vendor", record, key, headers=idempotent(prefix))
    again = shared_server.post("vendor", record, key, headers=idempotent(f'"{prefix}"'))
    assert first.status == again.status == 200
    assert again.body == first.body
    assert again.json()["action"] == "created"
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["ETag"] == first.headers["ETag"]


def test_another_request_with_the_same_key_is_422(shared_server, key, prefix):
    shared_server.post("vendor", vendor(prefix), key, headers=idempotent(prefix))
    answer = shared_server.post("vendor", vendor(prefix, name="Other"), key,
                                headers=idempotent(prefix))
    assert answer.status == 422
    assert answer.json()["type"] == "/problems/idempotency-mismatch"
    other = shared_server.create_key("*:write")
    assert shared_server.post("vendor", vendor(prefix, name="Other"), other,
                              headers=idempotent(prefix)).status == 200


def test_duplicates_in_flight_get_one_answer(shared_server, key, prefix):
    answers = []

    def post():
        answers.append(shared_server.post("timeoff", {
            "employeeNumber": prefix, "type": "vacation", "startDate": "2026-12-01",
            "endDate": "2026-12-02"}, key, headers=idempotent(prefix)))

    threads = [threading.Thread(target=post) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({answer.body for answer in answers}) == 1
    assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == 7


def test_a_kept_answer_survives_a_kill(make_server):
    server = make_server()
    key = server.create_key("*:write")
    first = server.post("vendor", vendor("V-1"), key, headers=idempotent("k"))
    server.kill()
    server.start()
    again = server.post("vendor", vendor("V-1"), key, headers=idempotent("k"))
    assert again.body == first.body
    assert again.headers["Idempotent-Replayed"] == "true"


def test_another_request_is_told_before_its_body_is_judged(shared_server, key, prefix):
    shared_server.post("vendor", vendor(prefix), key, headers=idempotent(prefix))
    assert shared_server.post("vendor", {"name": "x"}, key,
                              headers=idempotent(prefix)).status == 422
    assert shared_server.post("project", {}, key, headers=idempotent(prefix)).status == 422


def test_a_batch_that_stored_nothing_does_not_use_up_the_key(shared_server, key, prefix):
    answer = shared_server.batch("vendor", [{"name": "x"}], key, headers=idempotent(prefix))
    assert answer.status == 207
    answer = shared_server.batch("vendor", [vendor(prefix)], key, headers=idempotent(prefix))
    assert answer.status == 200
    assert "Idempotent-Replayed" not in answer.headers


def test_a_blank_end_of_a_batch_is_no_line(shared_server, key, prefix):
    answer = shared_server.batch("vendor", [vendor(prefix), "\n", "\r\n"], key)
    assert answer.status == 200
    assert len(answer.ndjson()) == 1


def test_a_refused_body_does_not_use_up_the_key(shared_server, key, prefix):
    assert shared_server.post("vendor", {"name": "x"}, key,
                              headers=idempotent(prefix)).status == 400
    assert shared_server.post("vendor", vendor(prefix), key,
                              headers=idempotent(prefix)).status == 200


def test_a_malformed_key_is_told(shared_server, key, prefix):
    for wrong in ('""', "x" * 256):
        answer = shared_server.post("vendor", vendor(prefix), key, headers=idempotent(wrong))
        assert answer.status == 400
        assert answer.json()["type"] == "/problems/invalid-request"


def test_a_batch_can_be_replayed(shared_server, key, prefix):
    records = [vendor(f"{prefix}-{i}") for i in range(3)]
    first = shared_server.batch("vendor", records, key, headers=idempotent(prefix))
    again = shared_server.batch("vendor", records, key, headers=idempotent(prefix))
    assert again.body == first.body
    assert json.loads(again.body.splitlines()[0])["action"] == "created"
