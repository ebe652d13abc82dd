"""The tools binary as an operator and a script use it: every command, its output and exit status."""
import base64
import hmac
import csv
import io
import json
import re
import subprocess
import threading

import pytest

from harness import DEADLINE_S, POSTERN, SCHEMAS, clean_environment, wait_until

KEY_ID = re.compile(r"key_[0-9a-hjkmnp-tv-z]{26}")


def run(*words, stdin=None, environment=None):
    """`postern WORDS…` with no data directory named."""
    return subprocess.run([str(word) for word in [POSTERN, *words]], input=stdin, text=True,
                          stdin=subprocess.DEVNULL if stdin is None else None, timeout=60,
                          capture_output=True, env=clean_environment(**(environment or {})))


def work_order(number, **more):
    return {"workOrderNumber": number, "title": f"Order {number}", **more}


@pytest.fixture(scope="module")
def writer(shared_server):
    """A key that is no test's own: limits are no subject here."""
    return shared_server.create_key("*:write", "*:read", "events:read", label="writer",
                                    flags=["--limit-minute", "100000", "--limit-hour", "100000"])


# Usage.

@pytest.mark.parametrize("words, message", [
    ((), "no command given"),
    (("frobnicate",), "no command \"frobnicate\""),
    (("keys",), "`keys` what?"),
    (("keys", "creat"), "did you mean create?"),
    (("keys", "create"), "--label L is missing"),
    (("keys", "create", "--label", ""), "--label"),
    (("keys", "create", "--label", "x", "--scope", "nonsense"), "--scope"),
    (("keys", "create", "--label", "x", "--allow", "10.0.0.1/8"), "--allow"),
    (("keys", "show"), "ID is missing"),
    (("keys", "list", "--nonsense"), "no option --nonsense"),
    (("records", "list", "workorder", "--since", "yesterday"), "--since"),
    (("records", "list", "workorder", "--where", "x"), "MEMBER=VALUE"),
    (("deliveries", "list", "--status", "lost"), "pending|delivered|failed"),
    (("--output", "xml", "keys", "list"), "--output"),
    (("endpoints", "create"), "--url U is missing"),
    (("endpoints", "create", "--url", "ftp://example.com/"), "scheme"),
    (("endpoints", "create", "--url", "https://example.com/", "--retry-schedule", "1"), "1m,5m"),
    (("endpoints", "create", "--url", "https://example.com/", "--header", "Host: x"), "Host"),
    (("completion", "fish"), "bash or zsh"),
    (("--data", "", "keys", "list"), "--data"),
])
def test_wrong_usage_exits_2_and_says_what_is_right(words, message):
    done = run(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert message in done.stderr


@pytest.mark.parametrize("words", [
    ("--help",), ("-h",), ("help",), ("keys", "--help"), ("help", "records"),
    ("keys", "create", "--help"), ("help", "endpoints", "create"), ("listen", "--help"),
])
def test_help_goes_to_standard_output_and_exits_0(words):
    done = run(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: postern")


def test_the_version_is_told():
    assert re.fullmatch(r"postern \d+\.\d+\.\d+\n", run("--version").stdout)


@pytest.mark.parametrize("words", [
    ("keys", "list"), ("records", "list", "workorder"), ("status",), ("store", "check"),
])
def test_without_a_store_it_says_where_it_looked(tmp_path, words):
    done = run("--data", tmp_path / "nowhere", *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"no store in {tmp_path}/nowhere" in done.stderr


@pytest.mark.parametrize("closed, status", [("<&-", 0), (">&-", 1), ("2>&-", 0), (">&- 2>&-", 1)])
def test_closed_streams_never_become_the_stores_files(shared_server, closed, status):
    command = f"{POSTERN} --data {shared_server.data} keys create --label x {closed}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, env=clean_environment())
    assert done.returncode == status
    shared_server.tool("store", "check")


def test_the_data_directory_may_come_from_the_environment(shared_server):
    done = run("keys", "list", environment={"POSTERN_DATA": str(shared_server.data)})
    assert done.returncode == 0


@pytest.mark.parametrize("words", [
    ("keys", "show", "key_01jd0000000000000000000000"), ("keys", "show", "nonsense"),
    ("keys", "delete", "key_01jd0000000000000000000000"),
    ("endpoints", "show", "ep_01jd0000000000000000000000"),
    ("events", "show", "evt_01jd0000000000000000000000"), ("events", "show", "999999999"),
    ("deliveries", "show", "dlv_01jd0000000000000000000000"),
    ("deliveries", "retry", "dlv_01jd0000000000000000000000"),
    ("records", "get", "no such"), ("records", "list", "nonsense"),
    ("records", "history", "wo_01jd0000000000000000000000"),
    ("records", "erase", "no such"), ("schemas", "show", "nonsense"),
    ("rejections", "list", "--key", "key_01jd0000000000000000000000"),
    ("reports", "delete", "rpt_01jd0000000000000000000000"),
])
def test_what_is_not_there_exits_1_and_points_on(shared_server, words):
    done = shared_server.tool("--schemas", shared_server.schemas, *words, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.search(r"^postern: no .*postern (\w+) list", done.stderr)


def test_completion_is_valid_bash():
    script = run("completion", "bash").stdout
    assert subprocess.run(["bash", "-n"], input=script, text=True).returncode == 0
    words = subprocess.run(
        ["bash", "-c", script + "\nCOMP_WORDS=(postern keys cr); COMP_CWORD=2; _postern; "
         "echo ${COMPREPLY[@]}"], capture_output=True, text=True).stdout
    assert words == "create\n"


# Keys.

def status_with(server, key, path="/api/webhook/workorder"):
    return server.request("GET", path, key=key).status


def test_a_key_is_shown_once_and_works_at_once(shared_server):
    made = shared_server.tool_json("keys", "create", "--label", "ERP", "--scope", "*:read")
    assert KEY_ID.fullmatch(made["id"])
    assert re.fullmatch(r"psn_[0-9A-Za-z]{36}", made["key"])
    wait_until(lambda: status_with(shared_server, made["key"]) == 200, "the key works", 2)
    everything = shared_server.tool("keys", "list").stdout \
        + shared_server.tool("keys", "show", made["id"]).stdout \
        + shared_server.tool("audit", "list").stdout
    assert made["id"] in everything
    assert made["key"] not in everything


def test_a_key_writes_every_type_by_default(shared_server):
    made = shared_server.tool_json("keys", "create", "--label", "plain")
    assert made["scopes"] == ["*:write"]


def test_a_keys_settings_are_listed(shared_server):
    made = shared_server.tool_json(
        "keys", "create", "--label", "full", "--scope", "vendor:write", "--scope", "events:read",
        "--limit-minute", 5, "--limit-hour", 60, "--expires", "90d", "--allow", "192.0.2.0/24",
        "--allow", "::1")
    shown = shared_server.tool_json("keys", "show", made["id"])
    assert shown in shared_server.tool_json("keys", "list")
    assert shown["label"] == "full"
    assert shown["scopes"] == ["vendor:write", "events:read"]
    assert (shown["limitMinute"], shown["limitHour"]) == (5, 60)
    assert shown["expiresAt"] > shown["createdAt"]
    assert shown["lastUsedAt"] is None
    assert shown["enabled"] is True
    assert [cidr.split("/")[0] for cidr in shown["allow"]] == ["192.0.2.0", "::1"]


def test_an_update_changes_only_what_it_names(shared_server):
    made = shared_server.tool_json("keys", "create", "--label", "old", "--limit-minute", 7)
    changed = shared_server.tool_json("keys", "update", made["id"], "--label", "new",
                                      "--allow", "10.0.0.0/8")
    assert (changed["label"], changed["limitMinute"], changed["allow"]) == \
        ("new", 7, ["10.0.0.0/8"])
    assert shared_server.tool_json("keys", "update", made["id"], "--allow-any")["allow"] == []
    assert shared_server.tool("keys", "update", made["id"], check=False).returncode == 2


def test_a_disabled_key_is_refused_until_it_is_enabled(shared_server):
    key = shared_server.create_key("*:read")
    assert shared_server.tool_json("keys", "disable", key.id)["enabled"] is False
    wait_until(lambda: status_with(shared_server, key) == 401, "disabled", 2)
    assert shared_server.tool_json("keys", "enable", key.id)["enabled"] is True
    wait_until(lambda: status_with(shared_server, key) == 200, "enabled", 2)


def test_rotation_ends_the_old_key_unless_there_is_grace(shared_server):
    key = shared_server.create_key("*:read")
    second = shared_server.tool_json("keys", "rotate", key.id, "--grace", "1h")
    assert second["id"] == key.id
    wait_until(lambda: status_with(shared_server, second["key"]) == 200, "the second works", 2)
    assert status_with(shared_server, key) == 200
    third = shared_server.tool_json("keys", "rotate", key.id)
    wait_until(lambda: status_with(shared_server, third["key"]) == 200, "the third works", 2)
    # Each loop of the server hears of it by itself.
    wait_until(lambda: [status_with(shared_server, old) for old in (second["key"], key)]
               == [401, 401], "the old ones are refused", 2)


def test_a_deleted_key_is_gone(shared_server):
    key = shared_server.create_key("*:read")
    assert shared_server.tool_json("keys", "delete", key.id)["id"] == key.id
    wait_until(lambda: status_with(shared_server, key) == 401, "deleted", 2)
    assert shared_server.tool("keys", "show", key.id, check=False).returncode == 1


def test_a_key_given_for_an_id_is_not_repeated(shared_server):
    made = shared_server.tool_json("keys", "create", "--label", "x")
    done = shared_server.tool("keys", "show", made["key"], check=False)
    assert done.returncode == 1
    assert made["key"] not in done.stderr


def test_a_store_can_be_prepared_before_the_first_start(make_server):
    server = make_server(start=False)
    server.data.mkdir(parents=True)
    made = server.tool_json("keys", "create", "--label", "early", "--scope", "*:read")
    endpoint = server.tool_json("endpoints", "create", "--url", "https://example.com/")
    server.start()
    assert status_with(server, made["key"]) == 200
    assert [one["id"] for one in server.tool_json("endpoints", "list")] == [endpoint["id"]]


def test_a_mistyped_data_directory_makes_no_second_store(tmp_path):
    done = run("--data", tmp_path / "typo", "keys", "create", "--label", "x")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no such directory" in done.stderr and not (tmp_path / "typo").exists()
    (tmp_path / "notes.txt").write_text("mine")
    done = run("--data", tmp_path, "keys", "create", "--label", "x")
    assert (done.returncode, done.stdout) == (1, "")
    assert [entry.name for entry in tmp_path.iterdir()] == ["notes.txt"]


# Events.

def test_a_records_events_are_listed_and_shown(shared_server, writer):
    made = shared_server.post("workorder", work_order("T-EV", status="in_progress"), writer).json()
    listed = shared_server.tool_json("events", "list", "--record", "T-EV")
    assert [one["event"] for one in listed] == ["workorder.started", "workorder.created"]
    assert {one["id"] for one in listed} == {one["id"] for one in made["events"]}
    shown = shared_server.tool_json("events", "show", listed[0]["id"])
    assert shown["sequence"] == listed[0]["sequence"]
    assert shown["body"]["data"]["workOrderNumber"] == "T-EV"
    assert shared_server.tool_json("events", "show", shown["sequence"]) == shown


def test_events_are_narrowed_by_type_and_time(shared_server, writer):
    shared_server.post("employee", {"employeeNumber": "T-E", "firstName": "A", "lastName": "B"},
                       writer)
    assert {one["event"] for one in shared_server.tool_json("events", "list", "--type",
                                                             "employee.*")} == {"employee.created"}
    assert shared_server.tool_json("events", "list", "--until", "1h") == []
    assert len(shared_server.tool_json("events", "list", "--limit", 1)) == 1


class Running:
    """`postern WORDS…` that goes on; its lines as they come."""

    def __init__(self, *words):
        self.process = subprocess.Popen([str(word) for word in [POSTERN, *words]], text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env=clean_environment())
        self.lines = []
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.process.stdout),
                                       daemon=True)
        self.reader.start()

    def wait_for(self, condition, what):
        """condition(lines)"""
        return wait_until(lambda: condition(list(self.lines)), what)

    def items(self):
        return [json.loads(line) for line in list(self.lines)]

    def end(self):
        """Waits for its end; its exit status. What it printed is complete then."""
        status = self.process.wait(DEADLINE_S)
        self.reader.join(DEADLINE_S)
        self.process.stderr.close()
        return status

    def stop(self):
        self.process.terminate()
        return self.end()


def test_tail_prints_events_as_they_happen(shared_server, writer):
    tail = Running("--data", shared_server.data, "--output", "ndjson", "events", "tail",
                   "--type", "vendor.*", "--since", "1h")
    shared_server.post("vendor", {"vendorNumber": "T-TAIL", "name": "V"}, writer)
    wait_until(lambda: "T-TAIL" in [one["key"] for one in tail.items()], "the event")
    assert {one["event"].split(".")[0] for one in tail.items()} == {"vendor"}
    assert tail.stop() == 0


# Endpoints.

def test_an_endpoints_secret_is_shown_once(shared_server):
    made = shared_server.tool_json("endpoints", "create", "--url", "https://example.com/hook",
                                   "--event", "workorder.*", "--event", "vendor.created",
                                   "--description", "ours", "--retry-schedule", "1s,2m,3h",
                                   "--timeout", "5s", "--header", "X-Token: hidden-value")
    assert made["id"].startswith("ep_") and made["secret"].startswith("whsec_")
    shown = shared_server.tool_json("endpoints", "show", made["id"])
    assert "secret" not in shown
    assert shown["url"] == "https://example.com/hook"
    assert shown["events"] == ["workorder.*", "vendor.created"]
    assert shown["retrySchedule"] == ["1s", "2m", "3h"]
    assert (shown["timeoutMs"], shown["enabled"], shown["state"]) == (5000, True, "enabled")
    assert "hidden-value" not in json.dumps(shown)
    assert shown in shared_server.tool_json("endpoints", "list")
    assert shared_server.tool_json("endpoints", "delete", made["id"])["state"] == "deleted"
    assert shown["id"] not in [one["id"] for one in shared_server.tool_json("endpoints", "list")]


@pytest.mark.parametrize("url, reason", [
    ("https://127.0.0.1/", "127.0.0.1"), ("https://10.1.2.3/", "private"),
    ("https://169.254.169.254/", "169.254.169.254"), ("https://[::1]/", "::1"),
    ("http://example.com/", "only https"), ("https://localhost/", "127.0.0.1"),
])
def test_urls_that_would_not_be_delivered_to_are_refused(make_server, url, reason):
    server = make_server(start=False, deliver_to_loopback=False)
    done = server.tool("endpoints", "create", "--url", url, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert reason in done.stderr and "--deliver-allow" in done.stderr


def test_the_servers_exceptions_hold_for_the_tool_and_its_own_flags_too(make_server):
    told = make_server()
    told.tool("endpoints", "create", "--url", "http://127.0.0.1:9/")
    not_told = make_server(deliver_to_loopback=False)
    words = ("endpoints", "create", "--url", "http://127.0.0.1:9/")
    assert not_told.tool(*words, check=False).returncode == 1
    not_told.tool(*words, "--deliver-http", "--deliver-allow", "127.0.0.0/8")
    done = run("--data", not_told.data, *words, environment={
        "POSTERN_DELIVER_HTTP": "true", "POSTERN_DELIVER_ALLOW": "192.0.2.0/24,127.0.0.1"})
    assert done.returncode == 0


def test_an_endpoint_is_updated_in_what_is_named(shared_server):
    made = shared_server.tool_json("endpoints", "create", "--url", "https://example.com/a",
                                   "--event", "vendor.*", "--retry-schedule", "1s")
    changed = shared_server.tool_json("endpoints", "update", made["id"], "--url",
                                      "https://example.com/b", "--retry-schedule", "default")
    assert (changed["url"], changed["events"], changed["retrySchedule"]) == \
        ("https://example.com/b", ["vendor.*"], None)
    assert shared_server.tool("endpoints", "update", made["id"], check=False).returncode == 2
    done = shared_server.tool("endpoints", "update", made["id"], "--url", "https://10.0.0.1/",
                              check=False)
    assert done.returncode == 1
    shared_server.tool("endpoints", "delete", made["id"])


def test_two_secrets_live_and_each_is_rotated_alone(server, tmp_path):
    listener = Running("listen", "--port", "0", "--output", "json")
    listener.wait_for(lambda lines: lines, "its URL")
    endpoint = server.create_endpoint(listener.items()[0]["url"])
    second = server.tool_json("endpoints", "rotate-secret", endpoint["id"], "--slot", "2")
    first = server.tool_json("endpoints", "rotate-secret", endpoint["id"])
    assert (first["slot"], second["slot"], second["secrets"]) == (1, 2, 2)
    kept = server.tool_json("endpoints", "drop-secret", endpoint["id"], "--slot", "1")
    assert kept["secrets"] == 1
    done = server.tool("endpoints", "drop-secret", endpoint["id"], "--slot", "1", check=False)
    assert done.returncode == 1
    assert len({endpoint["secret"], first["secret"], second["secret"]}) == 3
    assert listener.stop() == 0


def test_a_test_event_reaches_the_endpoint_whatever_it_wants(server, receiver):
    endpoint = server.create_endpoint(receiver.url, "vendor.created")
    tested = server.tool_json("endpoints", "test", endpoint["id"], "--wait", "20s")
    assert tested["status"] == "delivered"
    assert receiver.wait_for(1)[0].headers["X-Webhook-ID"] == tested["delivery"]
    assert receiver.deliveries[0].json()["event"] == "webhook.test"
    server.tool("endpoints", "disable", endpoint["id"])
    assert server.tool("endpoints", "test", endpoint["id"], check=False).returncode == 1
    assert server.tool_json("endpoints", "show", endpoint["id"])["disabledReason"] \
        == "by the operator"
    assert server.tool_json("endpoints", "enable", endpoint["id"])["disabledReason"] is None


# Deliveries.

@pytest.fixture
def delivering(server, receiver):
    """A server that has delivered two events to an endpoint: (server, key, endpoint)."""
    key = server.create_key("*:write")
    endpoint = server.create_endpoint(receiver.url, flags=["--retry-schedule", "1s"])
    for number in (1, 2):
        assert server.post("workorder", work_order(f"D-{number}"), key).status == 200
    receiver.wait_for(2)
    wait_until(lambda: not server.tool_json("deliveries", "list", "--status", "pending"))
    return server, key, endpoint


def test_deliveries_are_listed_and_shown_with_their_attempts(delivering):
    server, _, endpoint = delivering
    listed = server.tool_json("deliveries", "list", "--endpoint", endpoint["id"])
    assert [one["status"] for one in listed] == ["delivered", "delivered"]
    assert {one["endpoint"] for one in listed} == {endpoint["id"]}
    assert [one["attempts"] for one in listed] == [1, 1]
    assert server.tool_json("deliveries", "list", "--status", "failed") == []
    assert len(server.tool_json("deliveries", "list", "--event", "workorder.*")) == 2
    assert server.tool_json("deliveries", "list", "--event", "vendor.*") == []
    shown = server.tool_json("deliveries", "show", listed[0]["id"])
    assert (shown["event"], shown["eventId"]) == ("workorder.created", listed[0]["eventId"])
    attempt, = shown["attempts"]
    assert (attempt["number"], attempt["status"], attempt["error"]) == (1, 200, None)
    assert "X-Webhook-ID: " + shown["id"] in attempt["requestHeaders"]


def test_a_retry_sends_a_delivery_again_under_its_id(delivering, receiver):
    server, _, _ = delivering
    ids = [one["id"] for one in server.tool_json("deliveries", "list")]
    again = server.tool_json("deliveries", "retry", *ids)
    assert {one["id"] for one in again} == set(ids)
    sent = receiver.wait_for(4)
    assert {one.headers["X-Webhook-ID"] for one in sent} == set(ids)
    done = server.tool("deliveries", "retry", ids[0], "dlv_nonsense", check=False)
    assert done.returncode == 1


def test_a_replay_delivers_past_events_anew(delivering, receiver):
    server, _, endpoint = delivering
    replay = ("deliveries", "replay", "--endpoint", endpoint["id"], "--since", "1h")
    dry = server.tool_json(*replay, "--dry-run")
    assert (dry["dryRun"], dry["deliveries"]) == (True, 2)
    assert len(server.tool_json("deliveries", "list")) == 2
    assert server.tool_json(*replay, "--missing")["deliveries"] == 0
    assert server.tool_json(*replay, "--event", "vendor.*")["deliveries"] == 0
    assert server.tool_json(*replay)["deliveries"] == 2
    assert len({one.headers["X-Webhook-ID"] for one in receiver.wait_for(4)}) == 4


def test_a_replay_of_what_is_missing_reaches_back_before_the_endpoint(delivering, make_receiver):
    server, key, _ = delivering
    late_receiver = make_receiver()
    late = server.create_endpoint(late_receiver.url)
    server.post("workorder", work_order("D-3"), key)
    late_receiver.wait_for(1)
    wait_until(lambda: not server.tool_json("deliveries", "list", "--status", "pending"))
    replayed = server.tool_json("deliveries", "replay", "--endpoint", late["id"], "--since", "1h",
                                "--missing")
    assert (replayed["deliveries"], replayed["deliveredBefore"]) == (2, 1)
    numbers = [one.json()["data"]["workOrderNumber"] for one in late_receiver.wait_for(3)]
    assert sorted(numbers) == ["D-1", "D-2", "D-3"]


# Rejections, audit, reports, schemas, status.

def test_refusals_are_listed_with_their_reason(shared_server):
    key = shared_server.create_key("vendor:write")
    assert shared_server.post("workorder", work_order("R-1"), key).status == 403
    assert shared_server.post("vendor", {"name": "no number"}, key).status == 400
    listed = wait_until(lambda: (found := shared_server.tool_json(
        "rejections", "list", "--key", key.id)) and len(found) == 2 and found)
    listed.sort(key=lambda one: one["status"])  # each loop of the server notes its own
    assert [one["status"] for one in listed] == [400, 403]
    assert "vendorNumber" in listed[0]["reason"]
    assert (listed[1]["method"], listed[1]["route"], listed[1]["address"]) == \
        ("POST", "/api/webhook/workorder", "127.0.0.1")
    only = shared_server.tool_json("rejections", "list", "--key", key.id, "--status", 403)
    assert only == [listed[1]]
    assert shared_server.tool_json("rejections", "list", "--until", "1h") == []


def test_every_change_is_audited(shared_server):
    made = shared_server.tool_json("keys", "create", "--label", "audited")
    shared_server.tool("keys", "disable", made["id"])
    entries = [one for one in shared_server.tool_json("audit", "list", "--since", "1h")
               if one["object"] == made["id"]]
    assert [one["act"] for one in entries] == ["keys disable", "keys create"]
    assert "uid" in entries[0]["who"] and "pid" in entries[0]["origin"]
    assert "label=audited" in entries[1]["detail"]


def test_a_reports_schedule_is_told_to_its_endpoint(server, receiver):
    server.create_endpoint(receiver.url, "report.*")
    made = server.tool_json("reports", "create", "--every", "day", "--at", "06:30")
    told = receiver.wait_for(1, "report.scheduled")[0].json()
    assert told["data"] == {"schedule": made["id"], "every": "day", "nextAt": made["nextAt"]}


def test_reports_are_scheduled_listed_and_ended(shared_server):
    made = shared_server.tool_json("--schemas", shared_server.schemas, "reports", "create",
                                   "--every", "day", "--at", "06:30", "--type", "workorder")
    assert (made["every"], made["at"], made["types"]) == ("day", "06:30", ["workorder"])
    assert made["nextAt"].endswith("T06:30:00.000Z")
    assert made in shared_server.tool_json("reports", "list")
    shared_server.tool("reports", "delete", made["id"])
    assert made not in shared_server.tool_json("reports", "list")
    assert shared_server.tool("reports", "create", "--every", "day", "--at", "24:00",
                              check=False).returncode == 2
    assert shared_server.tool("reports", "create", "--every", "year", check=False).returncode == 2


def schemas(*words, **more):
    return run("--schemas", SCHEMAS, "--output", "json", "schemas", *words, **more)


def test_the_five_types_are_listed_and_shown():
    listed = {one["type"]: one for one in json.loads(schemas("list").stdout)}
    assert set(listed) >= {"workorder", "project", "employee", "vendor", "timeoff"}
    assert (listed["workorder"]["idPrefix"], listed["workorder"]["key"]) == \
        ("wo", "workOrderNumber")
    assert listed["timeoff"]["events"][0] == "timeoff.requested"
    shown = json.loads(schemas("show", "workorder").stdout)
    assert shown["x-postern"]["type"] == "workorder"


def test_a_schema_file_is_checked(tmp_path):
    assert json.loads(schemas("check", SCHEMAS / "vendor.schema.json").stdout)["valid"] is True
    bad = tmp_path / "bad.schema.json"
    bad.write_text(json.dumps({"type": "object", "x-postern": {"type": "bad", "nonsense": 1}}))
    done = schemas("check", bad)
    assert done.returncode == 1
    assert "bad.schema.json" in done.stderr and "/x-postern" in done.stderr


def test_a_document_is_validated_as_the_server_would(tmp_path):
    good = schemas("validate", "workorder", "-", stdin=json.dumps(work_order("V-1", prioriy="x")))
    assert good.returncode == 0
    assert json.loads(good.stdout)["warnings"][0]["pointer"] == "/prioriy"
    bad = schemas("validate", "workorder", "-", stdin='{"title": 5}')
    assert bad.returncode == 1
    said = json.loads(bad.stdout)
    assert said["valid"] is False
    assert {(one["pointer"], one["keyword"]) for one in said["errors"]} == \
        {("/workOrderNumber", "required"), ("/title", "type")}
    broken = schemas("validate", "workorder", "-", stdin='{"a":1,\n"a":2}')
    assert broken.returncode == 1
    assert json.loads(broken.stdout)["line"] == 2


def test_status_tells_what_there_is(delivering):
    server, _, endpoint = delivering
    said = server.tool_json("status")
    assert (said["server"], said["pid"]) == ("running", server.addresses["pid"])
    assert (said["records"], said["events"], said["deliveriesDelivered"]) == (2, 2, 2)
    assert (said["endpoints"], said["endpointsFailing"], said["failingEndpoints"]) == (1, 0, [])
    assert said["oldestPending"] is None
    assert said["diskFreeBytes"] > 0
    server.tool("endpoints", "disable", endpoint["id"])
    assert server.tool_json("status")["failingEndpoints"][0]["id"] == endpoint["id"]
    assert (said["listen"], said["oldestPendingSeconds"]) == (server.addresses["listen"], None)
    server.stop()
    assert server.tool_json("status")["server"] == "stopped"


def test_status_tells_a_crash_from_a_stop(make_server):
    server = make_server()
    server.kill()
    assert server.tool_json("status")["server"] == "stopped (not cleanly)"


def test_deliveries_and_status_tell_the_last_error(make_server):
    server = make_server()
    endpoint = server.create_endpoint("http://127.0.0.1:1/nobody")
    server.post("vendor", {"vendorNumber": "E-1", "name": "x"}, server.create_key("*:write"))

    def listed():
        return server.tool_json("deliveries", "list", "--endpoint", endpoint["id"])
    wait_until(lambda: listed() and listed()[0]["attempts"] > 0, "an attempt was made")
    error = listed()[0]["lastError"]
    assert error and listed()[0]["status"] == "pending"
    said = server.tool_json("status")
    assert said["failingEndpoints"][0]["lastError"] == error
    assert said["oldestPendingSeconds"] >= 0
    shown = server.tool("deliveries", "show", listed()[0]["id"]).stdout
    assert error in shown and "http://127.0.0.1:1/nobody" in shown
    server.tool("endpoints", "delete", endpoint["id"])
    assert listed()[0]["lastError"] == "endpoint deleted"


def test_a_servers_own_schemas_folder_is_found(make_server, tmp_path):
    for file in SCHEMAS.glob("*.json"):
        (tmp_path / file.name).write_text(file.read_text())
    more = json.loads((SCHEMAS / "vendor.schema.json").read_text().replace("vendor", "carrier"))
    more["x-postern"].update(type="carrier", idPrefix="car")
    (tmp_path / "carrier.schema.json").write_text(json.dumps(more))
    server = make_server(schemas=tmp_path)
    assert "carrier" in [one["type"] for one in server.tool_json("schemas", "list")]


# Slips that are told, and what stays known of the deleted.

def test_a_second_erasure_finds_nothing_to_erase(shared_server):
    key = shared_server.create_key("*:write")
    made = shared_server.post("vendor", {"vendorNumber": "T-ER2", "name": "x"}, key).json()
    assert [shared_server.tool_json("records", "erase", made["id"])["revisions"]
            for _ in range(2)] == [1, 0]
    rows = csv.DictReader(io.StringIO(shared_server.tool(
        "--output", "csv", "records", "list", "vendor", "--deleted").stdout))
    assert {row["id"]: row["erased"] for row in rows}[made["id"]] == "yes"


def test_rejections_still_name_a_deleted_key(shared_server):
    key = shared_server.create_key("*:read", label="gone soon")
    assert shared_server.post("vendor", {"vendorNumber": "x", "name": "x"}, key).status == 403
    shared_server.tool("keys", "delete", key.id)
    wait_until(lambda: shared_server.tool_json("rejections", "list", "--key", key.id), "it is told")
    row = shared_server.tool_json("rejections", "list", "--key", key.id)[0]
    assert (row["key"], row["label"]) == (key.id, "gone soon (deleted)")


@pytest.mark.parametrize("words, hint", [
    (("keys", "create", "--label", "x", "--scope", "workorders:write"), "mean workorder:write?"),
    (("endpoints", "create", "--url", "https://example.com/", "--event", "workorders.created"),
     "mean workorder.created?"),
    (("endpoints", "create", "--url", "https://example.com/", "--event", "vendors.*"),
     "mean vendor.*?"),
])
def test_what_matches_nothing_is_done_and_noted(shared_server, words, hint):
    done = shared_server.tool("--schemas", SCHEMAS, *words)
    assert "note: no " in done.stderr and hint in done.stderr


@pytest.mark.parametrize("words", [
    ("keys", "create", "--label", "x", "--scope", "*:write", "--scope", "events:read"),
    ("endpoints", "create", "--url", "https://example.com/", "--event", "*"),
    ("endpoints", "create", "--url", "https://example.com/", "--event", "vendor.*"),
    ("endpoints", "create", "--url", "https://example.com/", "--event", "webhook.test"),
])
def test_what_matches_something_gets_no_note(shared_server, words):
    assert "note" not in shared_server.tool("--schemas", SCHEMAS, *words).stderr


def test_what_is_no_backup_is_not_restored(tmp_path):
    (tmp_path / "other").mkdir()
    done = run("--data", tmp_path / "new", "store", "restore", tmp_path / "other")
    assert done.returncode == 1 and "is no backup" in done.stderr
    assert not (tmp_path / "new").exists()


# The store.

def test_a_backup_taken_while_serving_is_a_data_directory(delivering, tmp_path):
    server, _, _ = delivering
    backup, restored = tmp_path / "backup", tmp_path / "restored"
    server.tool("store", "backup", backup)
    assert server.tool("store", "backup", backup, check=False).returncode == 1
    listed = server.tool_json("records", "list", "workorder")
    assert json.loads(run("--data", backup, "-o", "json", "records", "list", "workorder").stdout) \
        == listed
    assert run("--data", backup, "store", "check").returncode == 0
    assert server.tool("store", "restore", backup, check=False).returncode == 1
    assert run("--data", restored, "store", "restore", backup).returncode == 0
    assert json.loads(run("--data", restored, "-o", "json", "records", "list",
                          "workorder").stdout) == listed
    assert run("--data", restored, "store", "restore", backup).returncode == 1


def test_a_store_in_use_is_whole_and_its_sizes_are_told(delivering):
    server, _, _ = delivering
    checked = server.tool_json("store", "check")
    assert (checked["ok"], checked["problems"], checked["events"]) == (True, [], 2)
    said = server.tool_json("store", "stat")
    assert {one["name"]: one["rows"] for one in said["tables"]}["events"] == 2


# The receiver for development, and its sibling.

def test_listen_prints_deliveries_and_their_signatures(server):
    key = server.create_key("*:write")
    probe = Running("listen", "--port", "0", "--output", "json")
    probe.wait_for(lambda lines: lines, "its URL")
    url = probe.items()[0]["url"]
    port = url.rsplit(":", 1)[1]
    assert probe.stop() == 0
    endpoint = server.create_endpoint(url, flags=["--retry-schedule", "1s,1s"])
    listener = Running("listen", "--port", port, "--secret", endpoint["secret"], "--fail-first",
                       "1", "--count", "2", "--output", "json")
    listener.wait_for(lambda lines: lines, "its URL")
    server.post("workorder", work_order("L-1"), key)
    assert listener.end() == 0
    first, second = listener.items()[1:]
    assert (first["status"], first["retry"], second["status"], second["retry"]) == (503, 0, 200, 1)
    assert first["id"] == second["id"]
    for one in (first, second):
        assert (one["event"], one["signature"], one["standardSignature"]) == \
            ("workorder.created", "good", "good")
        assert one["body"]["data"]["workOrderNumber"] == "L-1"


def test_listen_tells_a_wrong_secret_and_a_taken_port(server):
    listener = Running("listen", "--port", "0", "--secret",
                       "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
    listener.wait_for(lambda lines: lines, "its URL")
    url = re.search(r"http://127\.0\.0\.1:\d+", listener.lines[0])[0]
    taken = run("listen", "--port", url.rsplit(":", 1)[1])
    assert taken.returncode == 1 and taken.stderr
    endpoint = server.create_endpoint(url)
    server.tool("endpoints", "test", endpoint["id"], "--wait", "20s")
    listener.wait_for(lambda lines: len(lines) > 1, "the delivery")
    assert "X-Webhook-Signature bad  webhook-signature bad" in listener.lines[1]
    assert listener.stop() == 0


SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


def hex_signature(secret, timestamp, body):
    return hmac.new(secret, f"{timestamp}.{body}".encode(), "sha256").hexdigest()


def verify(signature, body, *more, timestamp=1763643600):
    return run("verify", "--secret", SECRET, "--timestamp", timestamp, "--signature", signature,
               *more, "-", stdin=body)


def test_verify_tells_a_good_signature():
    assert verify(hex_signature(SECRET.encode(), 1763643600, "{}"), "{}").returncode == 0
    decoded = base64.b64decode(SECRET[6:])
    mac = hmac.new(decoded, b"dlv_1.1763643600.{}", "sha256").digest()
    standard = "v1," + base64.b64encode(mac).decode()
    assert verify(standard, "{}", "--id", "dlv_1").returncode == 0
    assert verify(f"v1,AAAA {standard}", "{}", "--id", "dlv_1").returncode == 0
    assert verify(standard, "{}").returncode == 2


@pytest.mark.parametrize("signature, body, hint", [
    (hex_signature(SECRET.encode(), 1763643600, "{}"), "{}\n", "line break"),
    (hex_signature(base64.b64decode(SECRET[6:]), 1763643600, "{}"), "{}", "decoded secret"),
    (hmac.new(SECRET.encode(), b"{}", "sha256").hexdigest(), "{}", "body alone"),
    (hex_signature(SECRET.encode(), 1763643600, "{}"), "[]", "byte for byte"),
    (hex_signature(SECRET.encode(), 1763643600, '{"a":[1,2]}'), '{"a": [1, 2]}', "reformatted"),
    (hex_signature(SECRET.encode(), 1763643600, "{}\r\n"), "{}", "line break"),
    ("abc", "{}", "malformed"),
])
def test_verify_names_the_likely_mistake(signature, body, hint):
    done = verify(signature, body)
    assert done.returncode == 1
    assert hint in done.stderr


def test_verify_tells_timestamp_age_and_reason():
    good = hex_signature(SECRET.encode(), 1763643600, "{}")
    said = json.loads(run("--output", "json", "verify", "--secret", SECRET, "--timestamp",
                          1763643600000, "--signature", good, "-", stdin="{}").stdout)
    assert (said["signature"], said["timestamp"]) == ("bad", "2025-11-20T13:00:00.000Z")
    assert "milliseconds" in said["reason"] and said["ageSeconds"] > 0
    done = run("verify", "--secret", f" {SECRET}", "--timestamp", 1763643600, "--signature", good,
               "-", stdin="{}")
    assert done.returncode == 1 and "white space" in done.stderr


def test_verify_minds_the_age_only_when_asked():
    good = hex_signature(SECRET.encode(), 1763643600, "{}")
    assert verify(good, "{}", "--tolerance", "5m").returncode == 1
