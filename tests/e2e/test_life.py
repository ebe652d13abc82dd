"""Start, stop, reload and what goes wrong at start: posternd as a process."""
import json
import os
import re
import signal
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from harness import (DEADLINE_S, POSTERND, SCHEMAS, SERVER_FLAGS, clean_environment, curl,
                     wait_until)


def posternd(*flags, **environment):
    return subprocess.run([str(word) for word in [POSTERND, *flags]], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=DEADLINE_S,
                          env=clean_environment(**environment))


def test_it_says_where_it_really_listens(make_server):
    server = make_server()
    ready = wait_until(server.out_path.read_text, "the ready line")
    assert re.fullmatch(r"posternd: ready .*\n", ready)
    found = server.addresses
    assert set(found) >= {"pid", "version", "listen", "cleartext", "admin"}
    assert found["pid"] == server.process.pid
    assert re.fullmatch(r"https://127\.0\.0\.1:[1-9]\d*", found["listen"][0])
    assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d*", found["cleartext"][0])
    assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d*", found["admin"])
    for address in (found["listen"][0], found["cleartext"][0], found["admin"]):
        assert address in ready


def test_every_listener_answers(server):
    assert server.request("GET", "/api/events").status == 401
    assert server.request("GET", "/api/events", base=server.http).status == 401
    assert curl(server.admin + "/healthz").status == 200
    assert curl(server.admin + "/readyz").status == 200
    metrics = curl(server.admin + "/metrics")
    assert metrics.status == 200
    assert b"\npostern_info{" in b"\n" + metrics.body


def test_the_admin_listener_may_be_a_unix_socket(make_server, tmp_path):
    path = tmp_path / "admin.sock"
    server = make_server(start=False)
    flags = list(SERVER_FLAGS)
    at = flags.index("--admin-listen")
    server.command = lambda *more: [str(word) for word in [
        POSTERND, "--data", server.data, "--schemas", SCHEMAS, *flags[:at], *flags[at + 2:],
        "--admin-listen", path, *more]]
    server.start()
    assert curl("http://localhost/healthz", extra=["--unix-socket", str(path)]).status == 200
    assert posternd("--data", server.data, "--health").returncode == 0


def test_several_listeners_serve_alike(make_server):
    server = make_server("--listen", "127.0.0.1:0", "--listen-cleartext", "127.0.0.1:0")
    assert len(set(server.addresses["listen"])) == 2
    assert len(set(server.addresses["cleartext"])) == 2
    for address in server.addresses["listen"] + server.addresses["cleartext"]:
        assert curl(address + "/api/events").status == 401


def test_sigterm_and_sigint_end_it_with_0(make_server):
    for number in (signal.SIGTERM, signal.SIGINT):
        server = make_server()
        server.process.send_signal(number)
        assert server.process.wait(DEADLINE_S) == 0
        server.process = None


def test_health_tells_running_from_stopped(make_server):
    server = make_server()
    assert posternd("--data", server.data, "--health").returncode == 0
    server.stop()
    stopped = posternd("--data", server.data, "--health")
    assert stopped.returncode == 1
    assert stopped.stderr


def test_health_of_a_killed_server_is_1(make_server):
    server = make_server()
    server.kill()
    assert posternd("--data", server.data, "--health").returncode == 1


def test_a_second_server_on_the_same_data_is_refused(server):
    second = posternd("--data", server.data, "--schemas", SCHEMAS, *SERVER_FLAGS)
    assert second.returncode == 1
    assert str(server.data) in second.stderr
    assert server.request("GET", "/api/events").status == 401


def test_a_killed_server_leaves_no_lock_behind(make_server):
    server = make_server()
    server.kill()
    server.start()
    assert server.request("GET", "/api/events").status == 401


def test_secrets_are_readable_by_nobody_else(server):
    for path in [server.data / "master.key", *(server.data / "tls").glob("*key*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_the_self_signed_certificate_stays(make_server):
    server = make_server()
    certificate = (server.data / "tls/cert.pem").read_bytes()
    server.restart()
    assert (server.data / "tls/cert.pem").read_bytes() == certificate


def test_a_lost_master_key_is_told_and_not_made_anew(make_server, receiver):
    server = make_server()
    server.create_endpoint(receiver.url)
    server.stop()
    kept = (server.data / "master.key").read_bytes()
    (server.data / "master.key").unlink()
    done = posternd("--data", server.data, "--schemas", SCHEMAS, *SERVER_FLAGS)
    assert done.returncode == 1
    assert "master.key" in done.stderr and "put the file back" in done.stderr
    assert not (server.data / "master.key").exists()
    (server.data / "master.key").write_bytes(kept)
    (server.data / "master.key").chmod(0o600)
    server.start()


def test_a_port_in_use_is_told(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = posternd("--data", tmp_path / "data", "--schemas", SCHEMAS, "--listen", address,
                        "--admin-listen", "127.0.0.1:0")
    assert done.returncode == 1
    assert address in done.stderr


@pytest.mark.parametrize("flags, environment, message", [
    (["--max-bdy", "5"], {}, "did you mean --max-body?"),
    (["--threads", "none"], {}, "it takes a whole number from 1 to"),
    (["surplus"], {}, 'unexpected argument "surplus"'),
    ([], {"POSTERN_LIMIT_MINUTES": "5"}, "did you mean POSTERN_LIMIT_MINUTE?"),
    (["--config", "/nowhere.json"], {}, "/nowhere.json"),
    (["--schemas", "/nowhere"], {}, "/nowhere"),
    (["--tls-cert", "/nowhere.pem", "--tls-key", "/nowhere.pem"], {}, "/nowhere.pem"),
    (["--deliver-ca", "/nowhere.pem"], {}, "deliver-ca: authorities /nowhere.pem: No such file"),
    (["--deliver-ca", "/etc/passwd"], {}, "no certificate or crl found"),
    (["--master-key-file", "/nowhere.key"], {}, "/nowhere.key"),
])
def test_wrong_settings_end_with_2_and_the_reason(tmp_path, flags, environment, message):
    for command in ([], ["--check"]):
        done = posternd(*command, "--data", tmp_path / "data", *([] if "--schemas" in flags else
                        ["--schemas", SCHEMAS]), *flags, **environment)
        assert done.returncode == 2, done.stderr
        assert message in done.stderr
        assert re.search("^posternd: ", done.stderr, re.MULTILINE)


@pytest.mark.parametrize("text, message", [
    ("{", "schema"),
    ('{"type": 5}', "x.json"),
    ('{"x-postern": {"type": "x", "idPrefix": "x", "key": "k", "surprise": 1}}', "surprise"),
])
def test_a_wrong_schema_ends_with_2_and_its_file(tmp_path, text, message):
    folder = tmp_path / "schemas"
    folder.mkdir()
    (folder / "x.json").write_text(text)
    for command in ([], ["--check"]):
        done = posternd(*command, "--data", tmp_path / "data", "--schemas", folder)
        assert done.returncode == 2, done.stderr
        assert "x.json" in done.stderr
        assert message in done.stderr


def test_check_of_good_settings_is_0_and_makes_nothing(tmp_path):
    done = posternd("--check", "--data", tmp_path / "data", "--schemas", SCHEMAS)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "data").exists()


def test_settings_come_from_file_environment_and_flags(make_server, tmp_path):
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"max-body": 100, "limit-minute": 7, "limit-hour": 70}))
    server = make_server("--config", config, "--limit-hour", "9",
                         environment={"POSTERN_MAX_BODY": "200"})
    key = server.create_key("workorder:write")
    answer = server.post("workorder", {"workOrderNumber": "1", "title": "x" * 100}, key)
    assert answer.status == 200
    assert answer.headers["RateLimit-Policy"] == '"minute";q=7;w=60, "hour";q=9;w=3600'
    assert server.post("workorder", {"workOrderNumber": "1", "title": "x" * 300}, key).status == 413


def test_a_reload_takes_over_limits(make_server, tmp_path):
    config = tmp_path / "config.json"
    config.write_text('{"limit-minute": 7}')
    server = make_server("--config", config)
    key = server.create_key("workorder:write")

    def policy():
        return server.post("workorder", {"workOrderNumber": "1", "title": "x"},
                           key).headers["RateLimit-Policy"]

    assert policy().startswith('"minute";q=7;')
    config.write_text('{"limit-minute": 5')
    server.reload()
    wait_until(lambda: "stay as they were" in server.log(), "the refusal is logged")
    assert policy().startswith('"minute";q=7;')
    config.write_text('{"limit-minute": 1000}')
    server.reload()
    wait_until(lambda: server.log().count("reloaded") >= 2, "the reload is logged")
    assert policy().startswith('"minute";q=1000;')


def test_a_reload_adds_a_record_type(make_server, tmp_path):
    folder = tmp_path / "schemas"
    folder.mkdir()
    for path in SCHEMAS.glob("*.json"):
        (folder / path.name).write_bytes(path.read_bytes())
    server = make_server(schemas=folder)
    key = server.create_key("*:write", "*:read")
    assert server.post("crate", {"crateNumber": "C-1"}, key).status == 404
    (folder / "crate.json").write_text(json.dumps({
        "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Crate",
        "type": "object", "required": ["crateNumber"],
        "properties": {"crateNumber": {"type": "string"}},
        "x-postern": {"type": "crate", "idPrefix": "crt", "key": "crateNumber",
                      "columns": ["crateNumber"],
                      "events": {"created": "crate.created", "updated": "crate.updated",
                                 "deleted": "crate.deleted"}}}))
    server.reload()
    answer = wait_until(lambda: (lambda a: a if a.status == 200 else None)(
        server.post("crate", {"crateNumber": "C-1"}, key)), "the type is known")
    assert answer.json()["id"].startswith("crt_")
    assert answer.json()["events"][0]["event"] == "crate.created"
    (folder / "crate.json").write_text("{")
    server.reload()
    wait_until(lambda: "crate.json" in server.log(), "the reason is logged")
    assert server.post("crate", {"crateNumber": "C-2"}, key).status == 200


def test_a_reload_takes_over_a_certificate(make_server, tmp_path):
    from harness import make_certificate
    server = make_server()
    made = make_certificate(tmp_path / "new")

    def served():
        return subprocess.run(["openssl", "s_client", "-connect", server.https[8:]],
                              input=b"", capture_output=True, timeout=DEADLINE_S).stdout

    before = served()
    (server.data / "tls/cert.pem").write_bytes(made.read_bytes())
    (server.data / "tls/key.pem").write_bytes((made.parent / "receiver.key").read_bytes())
    server.reload()
    body = b"".join(made.read_bytes().splitlines()[1:-1])
    assert body not in before.replace(b"\n", b"")
    wait_until(lambda: body in served().replace(b"\n", b""), "the new certificate is served")


def test_help_and_version(tmp_path):
    for flag in ("--help", "-h"):
        done = posternd(flag)
        assert done.returncode == 0
        for setting in ("--data", "--schemas", "--listen", "--listen-cleartext", "--admin-listen",
                        "--tls-cert", "--tls-key", "--threads", "--max-body", "--limit-minute",
                        "--limit-hour", "--retry-schedule", "--deliver-allow", "--deliver-http",
                        "--deliver-ca", "--deliver-timeout", "--retain-deliveries", "--log-format",
                        "--log-level", "--check", "--health", "--config"):
            assert setting in done.stdout
    version = posternd("--version")
    assert version.returncode == 0
    assert re.search(r"\d+\.\d+\.\d+", version.stdout)


def test_logs_are_json_where_there_is_no_terminal(make_server):
    server = make_server()
    server.stop()
    lines = server.log().splitlines()
    assert lines
    for line in lines:
        assert {"time", "level", "message"} <= set(json.loads(line))


def test_the_build_directory_knows_its_schemas(tmp_path):
    """Without --schemas, binaries straight from a build use the source tree's schema files."""
    done = posternd("--check", "--data", tmp_path / "data")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("given, reason", [
    ("vendr=400d", 'the schemas have no record type "vendr"'),
    ("vendor=400d,vendor=1d", '"vendor" is there twice'),
])
def test_records_kept_for_a_time_must_be_of_a_type_that_there_is(tmp_path, given, reason):
    for command in ([], ["--check"]):
        done = posternd(*command, "--data", tmp_path / "data", "--schemas", SCHEMAS,
                        "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
                        "--retain-records", given)
        assert done.returncode == 2
        assert f"setting retain-records: {reason}" in done.stderr
