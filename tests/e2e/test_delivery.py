"""Deliveries, from an accepted record to a receiver: order, retries, crashes, isolation, refusals,
signatures as receivers check them."""
import json
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from harness import make_certificate, wait_until

RECEIVERS = Path(__file__).parent / "receivers"
QUICK = ("--retry-schedule", "1s,1s,1s,1s")
FOREVER = ("--retry-schedule", ",".join(["1s"] * 30))


def order(number, **members):
    return {"workOrderNumber": f"WO-{number}", "title": "Pump", **members}


def writer_of(server):
    return server.create_key("workorder:write", "workorder:read", "events:read",
                             flags=["--limit-minute", "100000", "--limit-hour", "100000"])


def accept(server, key, record):
    """The success object. A new key is known to all of the server's loops within a second."""
    def post():
        answer = server.post("workorder", record, key)
        return answer.status != 401 and answer
    answer = wait_until(post, "the key is known", 5)
    assert answer.status == 200, answer.body
    return answer.json()


def deliveries(server, *flags):
    return server.tool_json("deliveries", "list", *flags)


def attempts_of(server, delivery_id):
    return server.tool_json("deliveries", "show", delivery_id)["attempts"]


def wait_for_state(server, state, count=1):
    return wait_until(lambda: (lambda found: len(found) >= count and found)(
        deliveries(server, "--status", state)), f"{count} deliveries {state}")


def failed_attempt(server):
    """The first attempt of the one delivery there is, once it has failed."""
    def look():
        found = deliveries(server)
        attempts = attempts_of(server, found[0]["id"]) if found else []
        return attempts and attempts[0]
    return wait_until(look, "a failed attempt")


# What is sent.

def test_a_record_arrives_as_the_contract_says(server, receiver):
    endpoint = server.create_endpoint(receiver.url, "workorder.*")
    accepted = accept(server, writer_of(server), order(1))
    one, = receiver.wait_for(1)
    body = one.json()
    assert list(body) == ["id", "event", "timestamp", "sequence", "data"]
    assert body["id"] == accepted["events"][0]["id"]
    assert body["event"] == one.headers["X-Webhook-Event"] == "workorder.created"
    assert body["data"] == {"id": accepted["id"], **order(1)}
    assert one.headers["Content-Type"] == "application/json"
    assert one.headers["User-Agent"].startswith("Postern/")
    assert one.headers["X-Webhook-ID"].startswith("dlv_")
    assert one.headers["webhook-id"] == one.headers["X-Webhook-ID"]
    assert one.headers["webhook-timestamp"] == one.headers["X-Webhook-Timestamp"]
    assert one.headers["X-Webhook-Retry"] == "0"
    listed = wait_for_state(server, "delivered")[0]
    assert listed["id"] == one.headers["X-Webhook-ID"]
    assert listed["endpoint"] == endpoint["id"]


def test_an_update_says_what_was_before(server, receiver):
    server.create_endpoint(receiver.url)
    key = writer_of(server)
    accept(server, key, order(1, status="draft"))
    accept(server, key, order(1, status="in_progress", priority="high"))
    sent = receiver.wait_for(3)
    assert [one.json()["event"] for one in sent] == \
        ["workorder.created", "workorder.updated", "workorder.started"]
    assert sent[1].json()["previous"] == {"status": "draft", "priority": None}
    assert "previous" not in sent[2].json()


def test_only_endpoints_that_want_an_event_get_it(server, make_receiver):
    wanted, other = make_receiver(), make_receiver()
    server.create_endpoint(wanted.url, "workorder.created")
    server.create_endpoint(other.url, "vendor.*")
    accept(server, writer_of(server), order(1))
    wanted.wait_for(1)
    assert len(deliveries(server)) == 1
    assert not other.deliveries


# Signatures.

@pytest.fixture(scope="session")
def node():
    """Checks deliveries with node and the standardwebhooks package: node(secret, deliveries)."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.fail("node and npm are not installed: ./tests/run installs them")
    if not (RECEIVERS / "node_modules/standardwebhooks").exists():
        done = subprocess.run(["npm", "install", "--no-package-lock", "--no-audit", "--no-fund"],
                              cwd=RECEIVERS, capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            pytest.fail(f"npm install: {done.stderr}")

    def check(secret, sent):
        lines = [json.dumps({"secret": secret, "body": one.body.decode(),
                             "headers": {name.lower(): value for name, value in one.headers.pairs}})
                 for one in sent]
        done = subprocess.run(["node", "verify.mjs"], cwd=RECEIVERS, input="\n".join(lines),
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]
    return check


AWKWARD = [
    r'"title":"caf\u00e9 \ud83d\ude00 \u2028 \/ \u0000 \u001f \"q\" \\ \n"',
    '"title":"\u2028\u2029 \U0001f600 ü"',
    '"title":"t","x":[1.0,1e21,1e-7,-0,0.1,123456789012345680000,5e-324,1E+2,0.000001]',
    '"title":"t","x":{"b":1,"2":2,"a":3,"1":4,"10":5,"01":6,"4294967295":7,"4294967294":8}',
    '"title":"t","x":{"__proto__":1,"constructor":2,"":3,"\\u0061":4}',
    ' "title" : "t" , "x" : [ [ ] , { } , null , true , false ] ',
]


def test_receivers_in_javascript_verify_both_signatures(server, receiver, node):
    secret = server.create_endpoint(receiver.url)["secret"]
    key = writer_of(server)
    for i, members in enumerate(AWKWARD):
        accept(server, key, f'{{"workOrderNumber":"WO-{i}",{members}}}')
    sent = receiver.wait_for(len(AWKWARD))
    assert node(secret, sent) == [""] * len(sent)


def test_rotating_a_secret_interrupts_no_receiver(server, receiver, node):
    endpoint = server.create_endpoint(receiver.url)
    key = writer_of(server)
    second = server.tool_json("endpoints", "rotate-secret", endpoint["id"], "--slot", "2")["secret"]
    wait_until(lambda: accept(server, key, order(time.monotonic_ns()))
               and " " in receiver.wait_for(1)[-1].headers["webhook-signature"], "two signatures")
    last = receiver.of_event()[-1]
    assert node(endpoint["secret"], [last]) == [""]
    assert node(second, [last])[0].startswith("X-Webhook-Signature")  # the first one signs that


def test_verify_judges_a_delivery_as_received(server, receiver, tmp_path):
    secret = server.create_endpoint(receiver.url)["secret"]
    accept(server, writer_of(server), order(1))
    one, = receiver.wait_for(1)
    body = tmp_path / "body"

    def verify(content, signature):
        body.write_bytes(content)
        return server.tool("verify", "--secret", secret, "--timestamp",
                           one.headers["X-Webhook-Timestamp"], "--signature", signature, body,
                           check=False).returncode

    assert verify(one.body, one.headers["X-Webhook-Signature"]) == 0
    assert verify(one.body + b" ", one.headers["X-Webhook-Signature"]) == 1
    assert verify(one.body, "0" * 64) == 1


# Order and retries.

def test_one_records_events_arrive_in_order_whatever_fails(make_server, receiver):
    server = make_server(*QUICK)
    server.create_endpoint(receiver.url)
    key = writer_of(server)
    receiver.next_statuses = [500, 503, 200, 500, 200]
    for revision in range(6):
        accept(server, key, order(1, priority=["low", "medium"][revision % 2]))
    accept(server, key, order(2))
    wait_until(lambda: len(deliveries(server, "--status", "delivered")) == 7, "all delivered")
    seen = []
    for one in receiver.deliveries:
        body = one.json()
        if body["data"]["workOrderNumber"] == "WO-1" and body["sequence"] not in seen:
            seen.append(body["sequence"])
    assert seen == sorted(seen) and len(seen) == 6


def test_retries_carry_the_same_id_and_a_growing_count(make_server, receiver):
    server = make_server(*QUICK)
    server.create_endpoint(receiver.url)
    receiver.next_statuses = [500, 404, 302]
    accept(server, writer_of(server), order(1))
    sent = receiver.wait_for(4)
    assert len({one.headers["X-Webhook-ID"] for one in sent}) == 1
    assert [one.headers["X-Webhook-Retry"] for one in sent] == ["0", "1", "2", "3"]
    assert len({one.body for one in sent}) == 1
    delivered = wait_for_state(server, "delivered")[0]
    assert [one["status"] for one in attempts_of(server, delivered["id"])] == [500, 404, 302, 200]
    for before, after in zip(sent, sent[1:]):
        assert after.at - before.at >= 0.9


def test_the_fifth_failure_is_final_and_is_told(make_server, make_receiver):
    server = make_server(*QUICK)
    broken, watcher = make_receiver(), make_receiver()
    broken.status = 500
    broken.answer_body = b"x" * 10000
    endpoint = server.create_endpoint(broken.url, "workorder.*")
    server.create_endpoint(watcher.url, "delivery.failed")
    accept(server, writer_of(server), order(1))
    told, = watcher.wait_for(1)
    data = told.json()["data"]
    assert data["endpoint"] == endpoint["id"]
    assert (data["event"], data["attempts"], data["lastStatus"]) == ("workorder.created", 5, 500)
    assert len(broken.deliveries) == 5
    failed, = deliveries(server, "--status", "failed")
    assert failed["id"] == data["delivery"]
    assert len(attempts_of(server, failed["id"])[0]["responseBody"]) == 4096
    broken.status = 200
    server.tool("deliveries", "retry", failed["id"])
    wait_until(lambda: deliveries(server, "--endpoint", endpoint["id"])[0]["status"] == "delivered")
    assert broken.deliveries[-1].headers["X-Webhook-ID"] == failed["id"]


def test_retry_after_is_honoured(make_server, receiver):
    server = make_server(*QUICK)
    server.create_endpoint(receiver.url)
    receiver.next_statuses = [429]
    receiver.answer_headers = {"Retry-After": "4"}
    accept(server, writer_of(server), order(1))
    first, second = receiver.wait_for(2)
    assert second.at - first.at >= 3.9


def test_a_410_disables_the_endpoint_at_once(server, make_receiver):
    gone, watcher = make_receiver(), make_receiver()
    gone.status = 410
    endpoint = server.create_endpoint(gone.url, "workorder.*")
    server.create_endpoint(watcher.url, "endpoint.disabled")
    key = writer_of(server)
    accept(server, key, order(1))
    told, = watcher.wait_for(1)
    assert told.json()["data"]["endpoint"] == endpoint["id"]
    shown = server.tool_json("endpoints", "show", endpoint["id"])
    assert shown["state"] == "disabled" and "410" in shown["disabledReason"]
    accept(server, key, order(2))
    assert len(gone.deliveries) == 1


def test_what_a_disabled_endpoint_missed_can_be_replayed(server, receiver):
    endpoint = server.create_endpoint(receiver.url)
    key = writer_of(server)
    accept(server, key, order(1))
    receiver.wait_for(1)
    server.tool("endpoints", "disable", endpoint["id"])
    accept(server, key, order(2))
    server.tool("endpoints", "enable", endpoint["id"])
    server.tool("deliveries", "replay", "--endpoint", endpoint["id"], "--since", "1h", "--missing")
    sent = receiver.wait_for(2)
    assert [one.json()["data"]["workOrderNumber"] for one in sent] == ["WO-1", "WO-2"]


def test_enabling_an_endpoint_makes_what_waits_due(make_server, receiver):
    server = make_server("--retry-schedule", "1h")
    endpoint = server.create_endpoint(receiver.url)
    receiver.next_statuses = [503]
    receiver.answer_headers = {"Retry-After": "86400"}
    accept(server, writer_of(server), order(1))
    failed_attempt(server)
    server.tool("endpoints", "disable", endpoint["id"])
    server.tool("endpoints", "enable", endpoint["id"])
    first, second = receiver.wait_for(2)
    assert second.headers["X-Webhook-ID"] == first.headers["X-Webhook-ID"]


def test_a_retry_by_hand_counts_on(make_server, receiver):
    server = make_server("--retry-schedule", "1h")
    server.create_endpoint(receiver.url)
    key = writer_of(server)
    accept(server, key, order(1))
    delivered, = wait_for_state(server, "delivered")
    server.tool("deliveries", "retry", delivered["id"])
    assert [one.headers["X-Webhook-Retry"] for one in receiver.wait_for(2)] == ["0", "1"]


# Crashes and stops.

def test_a_killed_server_goes_on_where_it_was(make_server, receiver):
    server = make_server(*FOREVER)
    server.create_endpoint(receiver.url)
    key = writer_of(server)
    accepted = set()
    for life in range(3):
        for i in range(40):
            accepted.add(accept(server, key, order(f"{life}-{i}"))["events"][0]["id"])
        server.kill()
        server.start()
    wait_until(lambda: {one.json()["id"] for one in receiver.of_event()} == accepted,
               "every accepted event arrived")
    wait_until(lambda: not deliveries(server, "--status", "pending"), "nothing is pending")
    ids = {}
    for one in receiver.deliveries:
        ids.setdefault(one.json()["id"], set()).add(one.headers["X-Webhook-ID"])
    assert all(len(deliveries_) == 1 for deliveries_ in ids.values())


def test_an_attempt_cut_by_a_kill_is_made_again_with_the_same_id(make_server, receiver):
    server = make_server()
    server.create_endpoint(receiver.url)
    receiver.hold()
    accept(server, writer_of(server), order(1))
    receiver.wait_for(1)
    server.kill()
    receiver.release()
    server.start()
    first, second = receiver.wait_for(2)
    assert first.headers["X-Webhook-ID"] == second.headers["X-Webhook-ID"]
    assert first.body == second.body
    assert second.headers["X-Webhook-Retry"] == "0"


def test_stopping_takes_the_answers_of_attempts_in_flight(make_server, receiver):
    server = make_server()
    server.create_endpoint(receiver.url)
    receiver.hold()
    accept(server, writer_of(server), order(1))
    receiver.wait_for(1)
    threading.Timer(0.5, receiver.release).start()
    server.stop()
    assert [one["status"] for one in deliveries(server)] == ["delivered"]


# Isolation.

class Nuisance:
    """A receiver that behaves badly: hangs, drips, closes, sends for ever."""

    def __init__(self, behaviour):
        self.behaviour = behaviour
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/hook"
        self.is_open = True
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while self.is_open:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.answer, args=(connection,), daemon=True).start()

    def answer(self, connection):
        try:
            connection.recv(65536)
            if self.behaviour == "close":
                connection.close()
            elif self.behaviour == "endless":
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                while True:
                    connection.sendall(b"x" * 65536)
            elif self.behaviour == "drip":
                connection.sendall(b"HTTP/1.1 200 OK\r\n")
                while True:
                    connection.sendall(b"X-Drip: 1\r\n")
                    time.sleep(0.2)
            else:
                connection.recv(1)
        except OSError:
            pass

    def close(self):
        self.is_open = False
        self.listener.close()


def test_bad_receivers_do_not_slow_down_a_good_one(server, receiver):
    nuisances = [Nuisance(behaviour) for behaviour in
                 ["hang"] * 5 + ["drip"] * 5 + ["close"] * 3 + ["endless"] * 3]
    for nuisance in nuisances:
        server.create_endpoint(nuisance.url, "workorder.*")
    server.create_endpoint("http://127.0.0.1:1/refuses", "workorder.*")
    server.create_endpoint(receiver.url, "workorder.*")
    key = writer_of(server)
    for i in range(100):
        accept(server, key, order(i))
    receiver.wait_for(100, deadline_s=10)
    assert len({one.json()["id"] for one in receiver.of_event()}) == 100
    for nuisance in nuisances:
        nuisance.close()


def test_an_endless_response_counts_as_received(server):
    nuisance = Nuisance("endless")
    server.create_endpoint(nuisance.url)
    accept(server, writer_of(server), order(1))
    delivered, = wait_for_state(server, "delivered")
    assert attempts_of(server, delivered["id"])[0]["responseBody"] == "x" * 4096
    nuisance.close()


def test_a_silent_receiver_is_given_up_after_the_timeout(make_server):
    server = make_server("--deliver-timeout", "1s")
    nuisance = Nuisance("hang")
    server.create_endpoint(nuisance.url)
    accept(server, writer_of(server), order(1))
    attempt = failed_attempt(server)
    assert attempt["error"] == "no answer in time"
    assert 900 <= attempt["durationMs"] <= 10000
    nuisance.close()


# Where it may connect.

def refused(make_server, url):
    """The error of the attempt at a URL that was allowed once and no longer is."""
    server = make_server("--retry-schedule", "1h")
    server.create_endpoint(url)
    server.stop()
    server.flags = ["--retry-schedule", "1h"]
    server.start()
    accept(server, writer_of(server), order(1))
    return failed_attempt(server)["error"]


def test_loopback_is_refused_unless_allowed(make_server, make_receiver, tmp_path):
    receiver = make_receiver(tls=True)
    assert "127.0.0.1 is not allowed (loopback)" in refused(make_server, receiver.url)
    assert not receiver.deliveries


def test_a_name_that_leads_to_loopback_is_refused(make_server, make_receiver):
    receiver = make_receiver(tls=True)
    error = refused(make_server, receiver.url.replace("127.0.0.1", "localhost"))
    assert "is not allowed (loopback)" in error
    assert not receiver.deliveries


def test_plain_http_is_refused_unless_allowed(make_server, receiver):
    server = make_server("--retry-schedule", "1h")
    server.create_endpoint(receiver.url)
    server.stop()
    server.flags = ["--deliver-allow", "127.0.0.0/8"]
    server.start()
    accept(server, writer_of(server), order(1))
    assert "http is not allowed" in failed_attempt(server)["error"]
    assert not receiver.deliveries


def test_a_redirect_to_loopback_is_not_followed(make_server, make_receiver):
    server = make_server("--retry-schedule", "1h")
    inner, outer = make_receiver(), make_receiver()
    outer.status, outer.answer_headers = 307, {"Location": inner.url}
    server.create_endpoint(outer.url)
    accept(server, writer_of(server), order(1))
    assert failed_attempt(server)["status"] == 307
    assert not inner.deliveries


# TLS.

def test_certificates_are_verified(make_server, make_receiver):
    receiver = make_receiver(tls=True)
    server = make_server("--retry-schedule", "1h")
    server.create_endpoint(receiver.url)
    accept(server, writer_of(server), order(1))
    assert "certificate" in failed_attempt(server)["error"].lower()
    assert not receiver.deliveries


def test_an_authority_of_ones_own_is_trusted_when_named(make_server, make_receiver):
    receiver = make_receiver(tls=True)
    server = make_server("--deliver-ca", str(receiver.ca))
    server.create_endpoint(receiver.url)
    accept(server, writer_of(server), order(1))
    receiver.wait_for(1)


def test_http2_receivers_are_spoken_to_in_http2(make_server, tmp_path):
    if not shutil.which("nghttpd"):
        pytest.fail("nghttpd is not installed: ./tests/run installs it")
    certificate = make_certificate(tmp_path)
    (tmp_path / "hook").write_text("taken")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    log = open(tmp_path / "nghttpd.log", "wb")
    nghttpd = subprocess.Popen(["nghttpd", "-v", "-a", "127.0.0.1", "-d", tmp_path, str(port),
                                tmp_path / "receiver.key", certificate], stdout=log, stderr=log)
    try:
        server = make_server("--deliver-ca", str(certificate), *FOREVER)
        server.create_endpoint(f"https://127.0.0.1:{port}/hook")
        key = writer_of(server)
        for i in range(50):
            accept(server, key, order(i))
        done = wait_for_state(server, "delivered", 50)
        assert attempts_of(server, done[0]["id"])[-1]["responseBody"] == "taken"
        spoken = (tmp_path / "nghttpd.log").read_text(errors="replace")
        assert spoken.count(":method: POST") >= 50
        assert spoken.count("SSL/TLS handshake completed") <= 3
    finally:
        nghttpd.kill()
        nghttpd.wait()
        log.close()


def test_a_delivery_begins_at_once(server, receiver):
    """No poll in between: a hundred deliveries in a row, each caused by the one before."""
    server.create_endpoint(receiver.url)
    key = writer_of(server)
    waits = []
    for i in range(50):
        accept(server, key, order(i))
        accepted = time.monotonic()
        waits.append(receiver.wait_for(i + 1)[i].at - accepted)
    assert sorted(waits)[25] < 0.1  # a poll would make it 0.25
