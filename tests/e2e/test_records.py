"""Writing and reading records: actions, revisions, preconditions, pages, what is refused and how."""
import json
import re
import threading
import time

import pytest

WORKORDER = {"workOrderNumber": "WO-1", "title": "Install HVAC System", "status": "scheduled"}


@pytest.fixture
def key(shared_server):
    return shared_server.create_key("*:write", "*:read", "events:read",
                                    flags=["--limit-minute", "100000", "--limit-hour", "100000"])


@pytest.fixture
def number(request):
    """A record key of this test's own."""
    return f"{request.function.__name__[:60]}-{time.monotonic_ns()}"


def events_of(answer):
    return [event["event"] for event in answer.json()["events"]]


def test_a_created_record_is_answered_as_the_contract_says(shared_server, key, number):
    answer = shared_server.post("workorder", {**WORKORDER, "workOrderNumber": number}, key)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    body = answer.json()
    assert list(body) == ["id", "type", "key", "action", "revision", "receivedAt", "events"]
    assert re.fullmatch(r"wo_[0-7][0-9a-hjkmnp-tv-z]{25}", body["id"])
    assert (body["type"], body["key"], body["action"], body["revision"]) == (
        "workorder", number, "created", 1)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", body["receivedAt"])
    assert events_of(answer) == ["workorder.created"]
    assert re.fullmatch(r"evt_[0-9a-z]{26}", body["events"][0]["id"])
    assert answer.headers["ETag"] == '"1"'


def test_the_same_key_again_updates_and_the_same_content_changes_nothing(shared_server, key,
                                                                         number):
    record = {**WORKORDER, "workOrderNumber": number}
    first = shared_server.post("workorder", record, key).json()
    changed = shared_server.post("workorder", {**record, "status": "in_progress"}, key)
    assert changed.json()["action"] == "updated"
    assert changed.json()["id"] == first["id"]
    assert changed.json()["revision"] == 2
    assert events_of(changed) == ["workorder.updated", "workorder.started"]
    # Equal by value: other order, other number form, other white space.
    same = shared_server.post("workorder", json.dumps(
        {"status": "in_progress", **{k: v for k, v in reversed(list(record.items()))
                                     if k != "status"}}, indent=3), key)
    assert same.json()["action"] == "unchanged"
    assert same.json()["revision"] == 2
    assert same.json()["events"] == []


def test_a_record_can_be_posted_by_its_id(shared_server, key, number):
    record = {**WORKORDER, "workOrderNumber": number}
    made = shared_server.post("workorder", record, key).json()
    answer = shared_server.post("workorder", {**record, "id": made["id"], "title": "New"}, key)
    assert answer.json()["action"] == "updated"
    renamed = shared_server.post(
        "workorder", {**record, "id": made["id"], "workOrderNumber": number + "b"}, key)
    assert renamed.json()["key"] == number + "b"
    assert shared_server.get("workorder", number, key).status == 404
    assert shared_server.get("workorder", number + "b", key).json()["id"] == made["id"]


@pytest.mark.parametrize("given", ["wo_01h455vb4pex5vsknk084sn02q", "emp_01h455vb4pex5vsknk084sn02q",
                                   "nonsense", 5, None])
def test_an_id_that_no_record_has_is_refused_at_its_pointer(shared_server, key, number, given):
    answer = shared_server.post(
        "workorder", {**WORKORDER, "workOrderNumber": number, "id": given}, key)
    assert answer.status == 400
    assert answer.json()["type"] == "/problems/invalid-record"
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/id"]
    assert shared_server.get("workorder", number, key).status == 404


def test_a_key_cannot_be_taken_from_another_record(shared_server, key, number):
    shared_server.post("workorder", {**WORKORDER, "workOrderNumber": number}, key)
    other = shared_server.post(
        "workorder", {**WORKORDER, "workOrderNumber": number + "x"}, key).json()
    answer = shared_server.patch("workorder", other["id"], {"workOrderNumber": number}, key)
    assert answer.status == 400
    assert answer.json()["errors"][0]["pointer"] == "/workOrderNumber"


def test_what_is_read_is_what_was_sent_with_the_id_first(shared_server, key, number):
    record = {**WORKORDER, "workOrderNumber": number, "customFields": {"b": 1, "a": [None, "ü"]}}
    made = shared_server.post("workorder", record, key).json()
    for name in (number, made["id"]):
        answer = shared_server.get("workorder", name, key)
        assert answer.status == 200
        assert answer.json() == {"id": made["id"], **record}
        assert list(answer.json())[0] == "id"
        assert answer.headers["ETag"] == '"1"'


def test_numbers_keep_the_digits_that_a_double_cannot_hold(shared_server, key, number):
    shared_server.post("workorder", f'{{"workOrderNumber":"{number}","title":"x","customFields":'
                       '{"big":9007199254740993,"plain":1.50}}', key)
    body = shared_server.get("workorder", number, key).body
    assert b'"big":9007199254740993' in body
    assert b'"plain":1.5}' in body


def test_older_revisions_stay_readable(shared_server, key, number):
    for title in ("one", "two", "three"):
        shared_server.post("workorder", {"workOrderNumber": number, "title": title}, key)
    assert shared_server.get("workorder", number, key).json()["title"] == "three"
    assert shared_server.get("workorder", f"{number}?revision=2", key).json()["title"] == "two"
    assert shared_server.get("workorder", f"{number}?revision=1", key).headers["ETag"] == '"1"'
    assert shared_server.get("workorder", f"{number}?revision=4", key).status == 404
    assert shared_server.get("workorder", f"{number}?revision=x", key).status == 400
    assert shared_server.get("workorder", f"{number}?revision=0", key).status == 400


def test_a_patch_is_merged_and_must_validate(shared_server, key, number):
    shared_server.post("workorder", {**WORKORDER, "workOrderNumber": number,
                                     "description": "old"}, key)
    answer = shared_server.patch("workorder", number, {"status": "completed", "description": None},
                                 key, headers={"Content-Type": "application/merge-patch+json"})
    assert answer.status == 200
    assert answer.json()["action"] == "updated"
    assert events_of(answer) == ["workorder.updated", "workorder.completed"]
    record = shared_server.get("workorder", number, key).json()
    assert record["status"] == "completed"
    assert "description" not in record
    refused = shared_server.patch("workorder", number, {"title": None}, key)
    assert refused.status == 400
    assert [error["pointer"] for error in refused.json()["errors"]] == ["/title"]
    assert shared_server.patch("workorder", number, {"status": "completed"},
                               key).json()["action"] == "unchanged"
    assert shared_server.patch("workorder", "nobody", {"title": "x"}, key).status == 404


def test_concurrent_patches_are_all_kept(shared_server, key, number):
    shared_server.post("workorder", {**WORKORDER, "workOrderNumber": number}, key)
    answers = []

    def patch(i):
        answers.append(shared_server.patch("workorder", number, {"customFields": {f"f{i}": i}}, key))

    threads = [threading.Thread(target=patch, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status for answer in answers} == {200}
    fields = shared_server.get("workorder", number, key).json()["customFields"]
    assert fields == {f"f{i}": i for i in range(8)}


def test_a_deleted_record_is_gone_but_not_its_history(shared_server, key, number):
    record = {**WORKORDER, "workOrderNumber": number}
    made = shared_server.post("workorder", record, key).json()
    answer = shared_server.delete("workorder", number, key)
    assert answer.status == 200
    assert (answer.json()["action"], answer.json()["revision"]) == ("deleted", 2)
    assert events_of(answer) == ["workorder.deleted"]
    for name in (number, made["id"], made["id"] + "?revision=1"):
        assert shared_server.get("workorder", name, key).status == 404
    assert shared_server.delete("workorder", number, key).status == 404
    assert shared_server.patch("workorder", made["id"], {"title": "x"}, key).status == 404
    history = shared_server.tool_json("records", "history", made["id"])
    assert len(history) == 2
    again = shared_server.post("workorder", record, key).json()
    assert again["action"] == "created"
    assert again["id"] != made["id"]


def test_if_match_guards_an_update(shared_server, key, number):
    record = {**WORKORDER, "workOrderNumber": number}
    etag = shared_server.post("workorder", record, key).headers["ETag"]
    second = shared_server.patch("workorder", number, {"title": "b"}, key,
                                 headers={"If-Match": etag})
    assert second.status == 200
    for method, body in (("PATCH", {"title": "c"}), ("DELETE", None)):
        stale = shared_server.request(method, f"/api/webhook/workorder/{number}", body, key,
                                      {"If-Match": etag})
        assert stale.status == 412
        assert stale.json()["type"] == "/problems/precondition-failed"
    stale = shared_server.post("workorder", {**record, "title": "c"}, key,
                               headers={"If-Match": etag})
    assert stale.status == 412
    fresh = shared_server.post("workorder", {**record, "title": "c"}, key,
                               headers={"If-Match": f'"9", {second.headers["ETag"]}'})
    assert fresh.status == 200
    assert shared_server.post("workorder", record, key,
                              headers={"If-None-Match": "*"}).status == 412
    cached = shared_server.get("workorder", number, key,
                               headers={"If-None-Match": fresh.headers["ETag"]})
    assert cached.status == 304
    assert shared_server.get("workorder", number, key,
                             headers={"If-Match": etag}).status == 412


def test_a_percent_encoded_key_is_decoded(shared_server, key, number):
    odd = f"{number}/ä %"
    shared_server.post("workorder", {**WORKORDER, "workOrderNumber": odd}, key)
    path = number + "%2F%C3%A4%20%25"
    assert shared_server.get("workorder", path, key).json()["workOrderNumber"] == odd
    assert shared_server.patch("workorder", path, {"title": "x"}, key).status == 200


def test_a_record_without_its_optional_key_is_always_new(shared_server, key):
    record = {"employeeNumber": "E-1", "type": "vacation", "startDate": "2026-12-01",
              "endDate": "2026-12-05"}
    one = shared_server.post("timeoff", record, key).json()
    two = shared_server.post("timeoff", record, key).json()
    assert one["action"] == two["action"] == "created"
    assert one["key"] is None
    assert one["id"] != two["id"]
    assert [event["event"] for event in one["events"]] == ["timeoff.requested"]


def test_a_time_off_that_is_created_approved_was_still_requested(shared_server, key, number):
    answer = shared_server.post("timeoff", {
        "requestNumber": number, "employeeNumber": "E-1", "type": "vacation",
        "startDate": "2026-12-01", "endDate": "2026-12-05", "status": "approved"}, key)
    assert events_of(answer)[0] == "timeoff.requested"
    backwards = shared_server.post("timeoff", {
        "employeeNumber": "E-1", "type": "vacation", "startDate": "2026-12-05",
        "endDate": "2026-12-01"}, key)
    assert backwards.status == 400
    assert backwards.json()["errors"][0]["pointer"] == "/endDate"


def test_unknown_members_are_kept_and_named(shared_server, key, number):
    answer = shared_server.post("workorder", {**WORKORDER, "workOrderNumber": number,
                                              "prioriy": "high"}, key)
    assert answer.status == 200
    assert [warning["pointer"] for warning in answer.json()["warnings"]] == ["/prioriy"]
    assert "priority" in answer.json()["warnings"][0]["detail"]
    assert shared_server.get("workorder", number, key).json()["prioriy"] == "high"


def test_every_violation_is_told(shared_server, key):
    answer = shared_server.post("workorder", {
        "title": 5, "status": "drafty", "scheduledStart": "tomorrow",
        "assignments": [{"employeeId": "e1"}, {"role": "lead"}]}, key)
    assert answer.status == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == "/problems/invalid-record"
    assert problem["status"] == 400
    assert problem["instance"] == answer.headers["X-Request-Id"]
    found = {(error["pointer"], error["keyword"]) for error in problem["errors"]}
    assert found == {("/workOrderNumber", "required"), ("/title", "type"), ("/status", "enum"),
                     ("/scheduledStart", "format"), ("/assignments/1/employeeId", "required")}


@pytest.mark.parametrize("body, line, column, offset", [
    ('{"a":1,}', 1, 8, 7), ('{\n "a": tru }', 2, 7, 8), ("", 1, 1, 0), ('{"a":1}x', 1, 8, 7),
    ('{"a":1,"a":2}', 1, 8, 7),
])
def test_broken_json_is_located(shared_server, key, body, line, column, offset):
    answer = shared_server.post("workorder", body, key)
    assert answer.status == 400
    problem = answer.json()
    assert problem["type"] == "/problems/invalid-json"
    assert (problem["line"], problem["column"], problem["offset"]) == (line, column, offset)
    assert problem["detail"]


@pytest.mark.parametrize("body", ["[]", "5", '"x"', "null"])
def test_json_that_is_no_object_is_an_invalid_record(shared_server, key, body):
    answer = shared_server.post("workorder", body, key)
    assert answer.status == 400
    assert answer.json()["type"] == "/problems/invalid-record"
    assert answer.json()["errors"]


def test_every_problem_has_its_page(shared_server):
    index = shared_server.request("GET", "/problems").body.decode()
    slugs = re.findall(r"/problems/([a-z-]+)", index)
    assert {"invalid-json", "invalid-record", "unauthorized", "forbidden", "not-found",
            "method-not-allowed", "too-large", "unsupported-media-type", "idempotency-mismatch",
            "precondition-failed", "rate-limited", "too-complex", "unavailable"} <= set(slugs)
    for slug in slugs:
        assert shared_server.request("GET", f"/problems/{slug}").status == 200
    assert shared_server.request("GET", "/problems/nothing").status == 404


def test_a_record_key_may_look_like_an_id(shared_server, key):
    odd = "wo_01h455vb4pex5vsknk084sn02q"
    shared_server.post("workorder", {**WORKORDER, "workOrderNumber": odd}, key)
    assert shared_server.get("workorder", odd, key).json()["workOrderNumber"] == odd


def test_white_space_around_a_key_is_no_part_of_it(shared_server, key):
    for http in ("1.1", "2"):
        assert shared_server.request("GET", "/api/webhook/vendor", http=http,
                                     headers={"X-API-Key": key.key + " "}).status == 200


def test_the_documentation_has_an_entry_for_each_type(shared_server, key):
    answer = shared_server.request("GET", "/api/openapi.json", key=key)
    assert answer.status == 200
    document = answer.json()
    assert document["openapi"].startswith("3.1")
    for name in ("workorder", "project", "employee", "vendor", "timeoff"):
        assert "post" in document["paths"][f"/api/webhook/{name}"]
        assert set(document["paths"][f"/api/webhook/{name}/{{record}}"]) >= {"get", "patch",
                                                                            "delete"}
        assert document["components"]["schemas"][name]["properties"]
        schema = shared_server.request("GET", f"/api/schemas/{name}", key=key)
        assert schema.headers["Content-Type"] == "application/schema+json"
        assert schema.json()["x-postern"]["type"] == name
    assert "post" not in document["paths"]["/api/webhook/report"]
    references = set(re.findall(r'"\$ref":"#/components/([^"]+)"', answer.body.decode()))
    for reference in references:
        kind, name = reference.split("/")
        assert name in document["components"][kind]
    assert shared_server.request("GET", "/api/schemas/spaceship", key=key).status == 404
    assert shared_server.request("POST", "/api/openapi.json", "{}", key).status == 405
    assert shared_server.request("GET", "/api/openapi.json").status == 401


def test_content_types(shared_server, key, number):
    record = {**WORKORDER, "workOrderNumber": number}
    for fine in ("application/json; charset=utf-8", "application/vnd.acme+json"):
        assert shared_server.post("workorder", record, key,
                                  headers={"Content-Type": fine}).status == 200
    for wrong in ("text/plain", "application/xml", "application/json; charset=latin1"):
        answer = shared_server.post("workorder", record, key, headers={"Content-Type": wrong})
        assert answer.status == 415
        assert answer.json()["type"] == "/problems/unsupported-media-type"
    assert shared_server.post("workorder", record, key,
                              headers={"Content-Encoding": "gzip"}).status == 415
    assert shared_server.patch("workorder", number, "{}", key,
                               headers={"Content-Type": "application/x-ndjson"}).status == 415


def test_paths_and_methods(shared_server, key):
    assert shared_server.post("spaceship", {}, key).status == 404
    answer = shared_server.request("PUT", "/api/webhook/workorder", "{}", key)
    assert answer.status == 405
    assert {method.strip() for method in answer.headers["Allow"].split(",")} == {
        "GET", "HEAD", "POST"}
    answer = shared_server.request("POST", "/api/webhook/workorder/WO-1", "{}", key)
    assert answer.status == 405
    assert "PATCH" in answer.headers["Allow"]
    assert answer.json()["type"] == "/problems/method-not-allowed"
    assert shared_server.request("GET", "/api/nothing", key=key).status == 404
    assert shared_server.request("GET", "/nothing").status == 404
    assert shared_server.request("GET", "/metrics").status == 404


def test_a_body_over_the_limit_is_413_over_both_protocols(shared_server, key, number):
    big = json.dumps({"workOrderNumber": number, "title": "x", "description": "y" * 1100000})
    for http in ("1.1", "2"):
        answer = shared_server.post("workorder", big, key, http=http)
        assert answer.status == 413
        assert answer.json()["type"] == "/problems/too-large"


def test_pages_are_newest_first_and_their_cursors_stable(make_server):
    server = make_server()
    key = server.create_key("*:write", "*:read", flags=["--limit-minute", "1000"])
    server.batch("vendor", [{"vendorNumber": f"V-{i}", "name": "n"} for i in range(7)], key)

    def page(query=""):
        return server.request("GET", f"/api/webhook/vendor{query}", key=key).json()

    whole = page()
    assert [one["vendorNumber"] for one in whole["data"]] == [f"V-{i}" for i in reversed(range(7))]
    assert whole["nextCursor"] is None
    first = page("?limit=3")
    server.post("vendor", {"vendorNumber": "V-new", "name": "n"}, key)
    server.delete("vendor", "V-2", key)
    second = page(f"?limit=3&cursor={first['nextCursor']}")
    seen = [one["vendorNumber"] for one in first["data"] + second["data"]]
    assert seen == ["V-6", "V-5", "V-4", "V-3", "V-1", "V-0"]
    assert second["nextCursor"] is None
    assert len(page("?since=1h")["data"]) == 7
    assert page("?until=1h")["data"] == []
    for wrong in ("?limit=0", "?limit=501", "?cursor=x", "?since=yesterday", "?page=2"):
        assert server.request("GET", f"/api/webhook/vendor{wrong}", key=key).status == 400


def test_head_is_get_without_the_body(shared_server, key, number):
    shared_server.post("workorder", {**WORKORDER, "workOrderNumber": number}, key)
    answer = shared_server.request("HEAD", f"/api/webhook/workorder/{number}", key=key)
    assert answer.status == 200
    assert answer.headers["ETag"] == '"1"'
    assert int(answer.headers["Content-Length"]) > 50


def test_the_same_new_record_posted_by_many_at_once_is_created_once(shared_server, key, number):
    actions = []

    def post():
        actions.append(shared_server.post(
            "workorder", {**WORKORDER, "workOrderNumber": number}, key).json())

    threads = [threading.Thread(target=post) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one["action"] for one in actions) == ["created"] + ["unchanged"] * 9
    assert len({one["id"] for one in actions}) == 1
