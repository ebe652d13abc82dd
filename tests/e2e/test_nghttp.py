"""nghttp2's own client and load generator against the server: an HTTP/2 implementation that is not
ours and not h2o's, in the ways in which it can be asked to speak."""
import json
import re
import subprocess

import pytest

from harness import DEADLINE_S

UNLIMITED = ["--limit-minute", "1000000", "--limit-hour", "1000000"]
WHERE = ["https", "http"]
MIB = 1 << 20
CONNECTION_MAX = 32 * MIB  # ingest/http.h: bodies that one connection may hold


@pytest.fixture(scope="module")
def key(shared_server):
    return shared_server.create_key("*:write", "*:read", flags=UNLIMITED)


@pytest.fixture
def bodies(tmp_path):
    """(a small record's file, a large one's)"""
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_text(json.dumps({"vendorNumber": "small", "name": "x"}))
    large.write_text(json.dumps({"vendorNumber": "large", "name": "x", "more": "y" * 900000}))
    return small, large


def run(program, server, where, key, *options):
    done = subprocess.run([program, *map(str, options), "-H", f"x-api-key: {key.key}",
                           "-H", "content-type: application/json",
                           getattr(server, where) + "/api/webhook/vendor"],
                          capture_output=True, text=True, timeout=2 * DEADLINE_S)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def nghttp(server, where, key, *options):
    """All that it said, without colours; the requests' statuses."""
    said = re.sub(r"\x1b\[[0-9;]*m", "", run("nghttp", server, where, key, "-v", *options))
    for bad in ("not processed", "recv GOAWAY", "[ERROR]", "PROTOCOL_ERROR", "INTERNAL_ERROR"):
        assert bad not in said, said
    return said, [int(status) for status in re.findall(r":status: (\d+)", said)]


OPTIONS = {
    "as it comes": [],
    "with padding": ["-b", "100"],
    "waiting for 100 Continue": ["--expect-continue"],
    "without priorities": ["--no-dep"],
    "with a weight": ["--weight=1"],
    "with trailers": ["--trailer", "checksum: x"],
    "without a length": ["--no-content-length"],
    "with small windows": ["-w", "12", "-W", "12"],
    "without a table for our fields": ["--header-table-size=0"],
    "without a table for its fields": ["--encoder-header-table-size=0"],
    "with a table that shrinks": ["--header-table-size=4096", "--header-table-size=100"],
    "waiting, with a small table": ["--expect-continue", "--header-table-size=100"],
    "many at once": ["-m", "30"],
}


@pytest.mark.parametrize("how", OPTIONS)
@pytest.mark.parametrize("where", WHERE)
def test_nghttp_uploads_records(shared_server, key, bodies, where, how):
    for body in bodies:
        options = [*OPTIONS[how], "-d", body]
        said, statuses = nghttp(shared_server, where, key, *options)
        continued = statuses.count(100)
        assert continued == ("--expect-continue" in options)
        statuses = [status for status in statuses if status != 100]
        assert statuses == [200] * (30 if how == "many at once" else 1), said


@pytest.mark.parametrize("where", WHERE)
def test_nghttp_reads(shared_server, key, bodies, where):
    nghttp(shared_server, where, key, "-d", bodies[1])
    said, statuses = nghttp(shared_server, where, key, "-m", "20", "-w", "12")
    assert statuses == [200] * 20, said
    assert said.count("large") >= 20


@pytest.mark.parametrize("where", WHERE)
def test_of_more_bodies_than_a_connection_may_hold_only_the_surplus_is_refused(
        shared_server, key, bodies, where):
    """nghttp sends a piece of each in turn: all were almost there when the budget was used up."""
    _, statuses = nghttp(shared_server, where, key, "-m", "60", "-d", bodies[1])
    fitting = CONNECTION_MAX // bodies[1].stat().st_size
    assert len(statuses) == 60 and set(statuses) == {200, 503}
    assert statuses.count(200) >= fitting - 2, statuses


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("clients, streams, threads", [(1, 1, 1), (10, 100, 1), (40, 10, 2)])
def test_h2load_gets_an_answer_to_everything(shared_server, key, bodies, where, clients, streams,
                                             threads):
    said = run("h2load", shared_server, where, key, "-n", "2000", "-c", clients, "-m", streams,
               "-t", threads, "-d", bodies[0])
    assert "status codes: 2000 2xx, 0 3xx, 0 4xx, 0 5xx" in said
    assert "2000 succeeded, 0 failed, 0 errored, 0 timeout" in said
