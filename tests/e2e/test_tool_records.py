"""The tools binary and records: reading what was received, and erasing it."""
import csv
import io
import json

import pytest

from harness import wait_until


def work_order(number, **more):
    return {"workOrderNumber": number, "title": f"Order {number}", **more}


@pytest.fixture(scope="module")
def writer(shared_server):
    """A key that is no test's own: limits are no subject here."""
    return shared_server.create_key("*:write", "*:read", "events:read", label="writer",
                                    flags=["--limit-minute", "100000", "--limit-hour", "100000"])


def test_a_record_is_got_by_id_and_by_key(shared_server, writer):
    made = shared_server.post("workorder", work_order("T-GET", status="draft"), writer).json()
    by_id = shared_server.tool_json("records", "get", made["id"])
    assert by_id == shared_server.tool_json("records", "get", "T-GET")
    assert (by_id["type"], by_id["key"], by_id["revision"], by_id["deleted"]) == \
        ("workorder", "T-GET", 1, False)
    assert by_id["receivedAt"] == made["receivedAt"]
    assert by_id["data"] == {"id": made["id"], **work_order("T-GET", status="draft")}


def test_every_revision_is_in_the_history(shared_server, writer):
    made = shared_server.post("workorder", work_order("T-HIST"), writer).json()
    shared_server.patch("workorder", "T-HIST", {"title": "second"}, writer)
    shared_server.delete("workorder", "T-HIST", writer)
    history = shared_server.tool_json("records", "history", made["id"])
    assert [one["action"] for one in history] == ["created", "updated", "deleted"]
    assert [one["revision"] for one in history] == [1, 2, 3]
    assert history[1]["data"]["title"] == "second"
    assert shared_server.tool_json("records", "get", made["id"])["deleted"] is True
    first = shared_server.tool_json("records", "get", made["id"], "--revision", 1)
    assert first["data"]["title"] == "Order T-HIST"
    assert shared_server.tool("records", "get", made["id"], "--revision", 9,
                              check=False).returncode == 1
    by_key = shared_server.tool_json("records", "get", "T-HIST")
    assert (by_key["id"], by_key["deleted"]) == (made["id"], True)
    assert len(shared_server.tool_json("events", "list", "--record", "T-HIST")) >= 3


def test_a_key_of_several_types_is_told_apart_by_type(shared_server, writer):
    shared_server.post("vendor", {"vendorNumber": "SAME", "name": "V"}, writer)
    shared_server.post("project", {"projectNumber": "SAME", "name": "P"}, writer)
    done = shared_server.tool("records", "get", "SAME", check=False)
    assert done.returncode == 1
    assert "--type" in done.stderr and "project" in done.stderr and "vendor" in done.stderr
    assert shared_server.tool_json("records", "get", "SAME", "--type", "vendor")["data"]["name"] \
        == "V"


@pytest.fixture(scope="module")
def projects(shared_server, writer):
    """Ten, the third deleted; their keys, newest first."""
    for number in range(10):
        record = {"projectNumber": f"P-{number}", "name": "=1+1" if number == 5 else f"Name, {number}",
                  "status": "active" if number % 2 else "planned"}
        assert shared_server.post("project", record, writer).status == 200
    shared_server.delete("project", "P-3", writer)
    return [f"P-{number}" for number in reversed(range(10))]


def keys_of(items):
    return [one["key"] for one in items if one["key"] != "SAME"]


def test_a_list_is_newest_first_without_deleted_ones(shared_server, projects):
    listed = shared_server.tool_json("records", "list", "project")
    assert keys_of(listed) == [key for key in projects if key != "P-3"]
    listed = shared_server.tool_json("records", "list", "project", "--deleted")
    assert keys_of(listed) == projects


def test_lists_are_narrowed_by_members_limit_and_time(shared_server, projects):
    def listed(*words):
        return keys_of(shared_server.tool_json("records", "list", "project", *words))
    assert listed("--where", "status=active") == ["P-9", "P-7", "P-5", "P-1"]
    assert listed("--where", "status=active", "--where", "/name=Name, 7") == ["P-7"]
    assert listed("--where", "nonsense=1") == []
    assert listed("--limit", 3) == ["P-9", "P-8", "P-7"]
    assert listed("--since", "1h") == listed()
    assert listed("--until", "1h") == []
    assert listed("--since", "2000-01-01T00:00:00Z", "--until", "2000-01-02T00:00:00Z") == []


def test_the_four_formats_say_the_same(shared_server, projects):
    words = ("records", "list", "project", "--where", "projectNumber=P-7")
    document = shared_server.tool_json(*words)
    lines = shared_server.tool("--output", "ndjson", *words).stdout.splitlines()
    rows = list(csv.DictReader(io.StringIO(shared_server.tool(*words, "--output=csv").stdout)))
    table = shared_server.tool(*words).stdout.splitlines()
    assert [json.loads(line) for line in lines] == document
    assert (rows[0]["id"], rows[0]["key"], rows[0]["name"]) == \
        (document[0]["id"], "P-7", "Name, 7")
    assert len(table) == 2 and document[0]["id"] in table[1] and "Name, 7" in table[1]
    assert "\033" not in "".join(table)


def test_csv_is_defused(shared_server, projects):
    done = shared_server.tool("--output", "csv", "records", "list", "project",
                              "--where", "projectNumber=P-5")
    assert next(csv.DictReader(io.StringIO(done.stdout)))["name"] == "'=1+1"


def test_an_export_is_ndjson_of_everything(shared_server, projects):
    lines = shared_server.tool("records", "export", "project").stdout.splitlines()
    assert keys_of(map(json.loads, lines)) == [key for key in projects if key != "P-3"]


def test_long_lists_are_whole_and_in_order(server):
    key = server.create_key("*:write")
    records = [{"vendorNumber": f"L-{number:04}", "name": "x"} for number in range(1000)]
    assert server.batch("vendor", records, key).status == 200
    newest_first = [one["vendorNumber"] for one in reversed(records)]
    assert keys_of(server.tool_json("records", "list", "vendor")) == newest_first
    assert keys_of(server.tool_json("events", "list")) == newest_first
    assert keys_of(server.tool_json("records", "list", "vendor", "--limit", 700)) \
        == newest_first[:700]
    assert keys_of(server.tool_json("records", "list", "vendor", "--where",
                                    "vendorNumber=L-0000")) == ["L-0000"]
    table = server.tool("records", "list", "vendor")
    assert len(table.stdout.splitlines()) == 1 + 100
    assert "--limit N shows more" in table.stderr


def test_an_erased_record_is_gone_for_senders_and_its_key_is_free(server):
    key = server.create_key("*:write", "*:read", "events:read")
    for name in ("E-1", "E-2"):
        assert server.post("vendor", {"vendorNumber": name, "name": "x"}, key).status == 200
    first = server.get("vendor", "E-1", key).json()["id"]
    assert server.post("vendor", {"vendorNumber": "E-1", "name": "y"}, key).status == 200
    server.tool_json("records", "erase", first, "--yes")
    for path in (first, f"{first}?revision=1", "E-1"):
        assert server.get("vendor", path, key).status == 404, path
    page = server.request("GET", "/api/webhook/vendor", key=key).json()
    assert [one["vendorNumber"] for one in page["data"]] == ["E-2"]
    assert keys_of(server.tool_json("records", "list", "vendor")) == ["E-2"]
    assert len(server.tool_json("records", "list", "vendor", "--deleted")) == 2
    again = {"id": first, "vendorNumber": "E-1", "name": "z"}
    assert server.post("vendor", again, key).json()["errors"][0]["pointer"] == "/id"
    new = server.post("vendor", {"vendorNumber": "E-1", "name": "z"}, key).json()
    assert (new["action"], new["revision"]) == ("created", 1) and new["id"] != first
    assert server.tool("store", "check").returncode == 0


def test_nothing_of_an_erased_record_is_in_a_new_backup(make_server, receiver, tmp_path):
    server = make_server()
    key = server.create_key("*:write")
    server.create_endpoint(receiver.url)
    secret = "Zq7-never-to-be-seen-again"
    made = server.post("workorder", work_order("ERASE-ME-9", description=secret), key).json()
    receiver.wait_for(1)
    wait_until(lambda: server.tool_json("deliveries", "list")[0]["status"] == "delivered")
    assert server.tool_json("records", "erase", "ERASE-ME-9")["revisions"] == 1
    shown = server.tool_json("records", "get", made["id"])
    assert (shown["data"], shown["key"], shown["erased"]) == (None, None, True)
    assert server.tool_json("events", "show", "1")["body"] is None
    server.tool("store", "backup", tmp_path / "backup")
    stored = (tmp_path / "backup" / "store" / "data.mdb").read_bytes()
    assert secret.encode() not in stored
    assert b"ERASE-ME-9" not in stored
