"""The HTTP layer by itself: protocols, limits, clients that leave, certificates."""
import os
import select
import signal
import socket
import ssl
import stat
import subprocess
import time

import pytest

from harness import DEADLINE_S, curl, wait_until
from wire import (CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, NO_ERROR, PRIORITY,
                  PROGRAM, PROTOCOL_ERROR, RST_STREAM, SETTINGS, Closed, Echo, Wire, address_of,
                  client_context, frame, head, request, rst, settings)

LIMIT = 65536
GET = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
TRANSPORTS = ["h1", "h1s", "h2c", "h2"]


@pytest.fixture
def make_echo(tmp_path):
    made = []

    def make(*flags, **more):
        made.append(Echo(tmp_path / f"echo{len(made)}", *flags, **more))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture(scope="module")
def echo(tmp_path_factory):
    one = Echo(tmp_path_factory.mktemp("echo"), "--body-max", LIMIT)
    yield one
    one.stop()


def connect(echo, transport, **more):
    address = echo.tls if transport in ("h1s", "h2") else echo.clear
    return Wire(address, h2=transport.startswith("h2"), **more)


def ask(wire, transport, path="/hello", method="GET", body=None, headers=(), stream=1):
    """One request, by either protocol, and its answer."""
    send_request(wire, transport, path, method, body, headers, stream)
    return wire.stream(stream) if transport.startswith("h2") else wire.answer(method != "HEAD")


def send_request(wire, transport, path="/hello", method="GET", body=None, headers=(), stream=1):
    if transport.startswith("h2"):
        wire.send(request(stream, path, method, *headers, body=body))
        return
    lines = [f"{method} {path} HTTP/1.1", "Host: x", *(f"{n}: {v}" for n, v in headers)]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    wire.send("\r\n".join([*lines, "", ""]).encode() + (body or b""))


# --- protocols ---

@pytest.mark.parametrize("offered,chosen", [(["h2", "http/1.1"], "h2"), (["http/1.1", "h2"], "h2"),
                                            (["http/1.1"], "http/1.1"), (["spdy/3"], None),
                                            ([], None)])
def test_alpn_prefers_http2(echo, offered, chosen):
    with Wire(echo.tls, context=client_context(offered)) as wire:
        assert wire.sock.selected_alpn_protocol() == chosen


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_tls_is_refused(echo, version):
    context = client_context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with pytest.raises((ssl.SSLError, ConnectionError)):
        Wire(echo.tls, context=context)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_new_tls_is_served_and_a_session_is_resumed_on_any_loop(echo, version):
    context = client_context(["http/1.1"])
    context.minimum_version = context.maximum_version = version
    with Wire(echo.tls, context=context) as wire:
        wire.send(GET)
        assert wire.answer().body == b"hello"
        session = wire.sock.session
    for _ in range(8):
        with Wire(echo.tls, context=context, session=session) as wire:
            wire.send(GET)
            assert wire.answer().body == b"hello"
            assert wire.sock.session_reused


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_request_says_what_was_sent(echo, transport):
    with connect(echo, transport) as wire:
        answer = ask(wire, transport, "/echo?a=%20b&c", "POST", b"12345", [("x-test", "v")])
        got = answer.json()
        assert (got["method"], got["path"], got["query"], got["bytes"]) == \
            ("POST", "/echo", "a=%20b&c", 5)
        assert (got["host"], got["x-test"], got["peer"]) == ("x", "v", "127.0.0.1")
        assert got["port"] == wire.sock.getsockname()[1]
        assert got["http2"] == transport.startswith("h2")
        assert answer.headers["server"] == "Postern"
        assert int(answer.headers["content-length"]) == len(answer.body)
        assert "date" in answer.headers


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_head_has_the_length_and_no_body(echo, transport):
    with connect(echo, transport) as wire:
        answer = ask(wire, transport, "/hello", "HEAD")
        assert (answer.status, answer.headers["content-length"], answer.body) == (200, "5", b"")
        assert ask(wire, transport, "/hello", stream=3).body == b"hello"


def test_requests_in_one_connection_are_answered_in_order(echo):
    with Wire(echo.clear) as wire:
        wire.send(b"".join(f"GET /echo?{i} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
                           for i in range(100)))
        assert [wire.answer().json()["query"] for _ in range(100)] == [str(i) for i in range(100)]


def test_http_1_0_ends_with_its_answer(echo):
    with Wire(echo.clear) as wire:
        wire.send(b"GET /hello HTTP/1.0\r\n\r\n")
        assert wire.answer().headers["connection"] == "close"
        assert wire.is_closed()


def test_upgrade_to_h2c_is_not_taken(echo):
    with Wire(echo.clear) as wire:
        wire.send(b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade, HTTP2-Settings"
                  b"\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAA\r\n\r\n")
        assert wire.answer().body == b"hello"
        wire.send(GET)
        assert wire.answer().body == b"hello"


def test_a_target_in_absolute_form_is_its_path(echo):
    with Wire(echo.clear) as wire:
        wire.send(b"GET http://other.example/echo?q HTTP/1.1\r\nHost: x\r\n\r\n")
        got = wire.answer().json()
        assert (got["path"], got["query"]) == ("/echo", "q")


def test_a_chunked_body_is_put_together_and_its_trailers_are_no_headers(echo):
    with Wire(echo.clear) as wire:
        wire.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                  b"5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\nX-Trailer: t\r\n\r\n")
        got = wire.answer().json()
        assert (got["bytes"], got["x-trailer"]) == (11, None)
        wire.send(GET)
        assert wire.answer().body == b"hello"


def test_trailers_of_http2_are_no_headers(echo):
    with Wire(echo.tls, h2=True) as wire:
        wire.send(frame(HEADERS, END_HEADERS, 1, head("/echo", "POST")),
                  frame(DATA, 0, 1, b"12345"),
                  frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x00\x09x-trailer\x01t"))
        got = wire.stream(1).json()
        assert (got["bytes"], got["x-trailer"]) == (5, None)


@pytest.mark.parametrize("size", [0, 30, 31, 100, 158, 159, 1000, 4095, 4096, 65536])
def test_a_client_with_another_header_table_can_read_us(echo, size):
    with Wire(echo.tls, h2=True, first=settings(header_table=size)) as wire:
        wire.decoder.max_allowed_table_size = size
        wire.decoder.header_table_size = size
        for stream in range(1, 20, 2):
            wire.send(request(stream, f"/echo?{stream}"))
            answer = wire.stream(stream)
            assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
        wire.send(settings(header_table=0))
        wire.read_frames(lambda: wire.count(SETTINGS) == 3)
        wire.decoder.max_allowed_table_size = 0
        wire.decoder.header_table_size = 0
        for stream in range(21, 40, 2):
            wire.send(request(stream))
            assert wire.stream(stream).headers["server"] == "Postern"


# --- expectations ---

def test_100_continue_comes_before_the_body(echo):
    with Wire(echo.clear) as wire:
        wire.send(b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"
                  b"Expect: 100-continue\r\n\r\n")
        assert wire.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue"
        wire.send(b"body")
        assert wire.answer().body == b"body"


def test_a_body_that_will_be_refused_is_not_asked_for(echo):
    with Wire(echo.clear) as wire:
        wire.send(b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n"
                  b"Expect: 100-continue\r\n\r\n")
        answer = wire.answer()
        assert (answer.status, answer.headers["connection"]) == (413, "close")


def test_another_expectation_is_417(echo):
    with Wire(echo.clear) as wire:
        wire.send(b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: magic\r\n\r\nbody")
        answer = wire.answer()
        assert answer.status == 417
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == 417


# --- bodies and their limits ---

def chunked(body, size=4096):
    return b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + size]), body[i:i + size])
                    for i in range(0, len(body), size)) + b"0\r\n\r\n"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_body_of_exactly_the_limit_is_taken(echo, transport):
    with connect(echo, transport) as wire:
        length = [("content-length", LIMIT)] if transport.startswith("h2") else []
        assert ask(wire, transport, "/echo", "POST", b"x" * LIMIT, length).json()["bytes"] == LIMIT


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_one_byte_more_than_announced_may_be_is_413(echo, transport):
    with connect(echo, transport) as wire:
        length = [("content-length", LIMIT + 1)] if transport.startswith("h2") else []
        assert ask(wire, transport, "/body", "POST", b"x" * (LIMIT + 1), length).status == 413


@pytest.mark.parametrize("transport", ["h2c", "h2"])
@pytest.mark.parametrize("size", [LIMIT + 1, 40 * LIMIT])
@pytest.mark.parametrize("is_announced", [True, False])
def test_over_http2_the_413_comes_on_its_stream_and_the_connection_lives_on(echo, transport, size,
                                                                            is_announced):
    more = [("content-length", size)] if is_announced else []
    with connect(echo, transport) as wire:
        for stream in (1, 3, 5):
            answer = ask(wire, transport, "/body", "POST", b"x" * size, more, stream)
            assert (answer.status, answer.is_ended, answer.reset) in \
                ((413, True, None), (413, True, NO_ERROR))
        assert ask(wire, transport, "/hello", stream=7).body == b"hello"
        assert ask(wire, transport, "/body", "POST", b"fits", stream=9).body == b"fits"
        assert not wire.goaways


def test_a_stream_whose_body_is_refused_is_told_to_stop(echo):
    with Wire(echo.tls, h2=True) as wire:
        wire.send(frame(HEADERS, END_HEADERS, 1,
                        head("/body", "POST", ("content-length", 10 ** 9))))
        wire.read_frames(lambda: 1 in wire.streams and wire.streams[1].reset is not None)
        assert (wire.streams[1].status, wire.streams[1].reset) == (413, NO_ERROR)


def test_chunks_over_the_limit_are_413_while_the_client_still_sends(echo):
    with Wire(echo.clear) as wire:
        wire.send(b"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
                  chunked(b"x" * 8 * LIMIT))
        answer = wire.answer()
        assert (answer.status, answer.headers["connection"]) == (413, "close")


def test_chunks_of_exactly_the_limit_are_taken(echo):
    with Wire(echo.clear) as wire:
        wire.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
                  chunked(b"x" * LIMIT))
        assert wire.answer().json()["bytes"] == LIMIT


@pytest.mark.parametrize("http", ["1.1", "2"])
def test_curl_sees_413_for_a_large_upload_without_trying_again(echo, http, tmp_path):
    big = tmp_path / "big"
    big.write_bytes(b"x" * (8 << 20))
    before = echo.stats()["requests_ever"]
    url = f"https://127.0.0.1:{echo.tls[1]}/body"
    for extra in (["--data-binary", f"@{big}"], ["-T", str(big), "-X", "POST"],
                  ["-T", "-", "-X", "POST"]):
        done = subprocess.run(["curl", "-sSk", f"--http{http}", *extra, url, "-o", "/dev/null", "-w",
                               "%{http_code}"], stdin=open(big), capture_output=True, text=True)
        assert (done.stdout, done.returncode) == ("413", 0), done.stderr
    assert echo.stats()["requests_ever"] - before == 4


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_bodies_over_the_budget_are_503_and_what_was_held_is_given_back(make_echo, transport):
    echo = make_echo("--body-max", 100000, "--inflight-max", 150000, "--threads", 1)
    length = [("content-length", 100000)] if transport.startswith("h2") else []
    with connect(echo, transport) as first, connect(echo, transport) as second:
        send_request(first, transport, "/hold", "POST", b"x" * 100000, length)
        wait_until(lambda: echo.stats()["inflight_bytes"] >= 100000)
        answer = ask(second, transport, "/body", "POST", b"x" * 100000, length)
        assert (answer.status, answer.headers.get("retry-after")) == (503, "1")
        with connect(echo, transport) as third:
            assert ask(third, transport, "/release", "POST").status == 204
    wait_until(lambda: echo.stats()["inflight_bytes"] == 0)
    with connect(echo, transport) as wire:
        assert ask(wire, transport, "/echo", "POST", b"x" * 100000, length).status == 200


def test_a_body_that_outgrows_the_budget_while_it_is_sent_is_503(make_echo):
    echo = make_echo("--body-max", 100000, "--inflight-max", 150000, "--threads", 1)
    for transport in TRANSPORTS:
        with connect(echo, transport) as first, connect(echo, transport) as second:
            send_request(first, transport, "/hold", "POST", b"x" * 90000)
            wait_until(lambda: echo.stats()["inflight_bytes"] >= 90000)
            if transport.startswith("h2"):
                second.send(frame(HEADERS, END_HEADERS, 1, head("/body", "POST")),
                            *[frame(DATA, 0, 1, b"x" * 10000) for _ in range(9)])
                assert second.stream(1).status == 503
            else:
                second.send(b"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
                            chunked(b"x" * 90000))
                assert second.answer().status == 503
            with connect(echo, transport) as third:
                assert ask(third, transport, "/release", "POST").status == 204
        wait_until(lambda: echo.stats()["inflight_bytes"] == 0)


def test_bytes_of_bodies_that_never_end_are_given_back_when_the_client_leaves(echo):
    for transport in TRANSPORTS:
        with connect(echo, transport) as wire:
            if transport.startswith("h2"):
                wire.send(frame(HEADERS, END_HEADERS, 1, head("/body", "POST")),
                          frame(DATA, 0, 1, b"x" * 16384))
            else:
                wire.send(b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n")
                wait_until(lambda: echo.others() >= 1)
                wire.send(b"x" * 20000)

            def is_held():
                # Bytes that came in one piece with the head are counted when more follow.
                if not transport.startswith("h2"):
                    wire.send(b"x")
                return echo.stats()["inflight_bytes"] >= 16384

            wait_until(is_held)
        wait_until(lambda: echo.stats()["inflight_bytes"] == 0)


# --- heads and their limits ---

@pytest.mark.parametrize("sent", [b"this is not http\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
                                  b"GET /hello HTTP/1.1\r\nHost : x\r\n\r\n",
                                  b"GET /hello HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n"])
def test_what_is_not_http_is_a_400_problem(echo, sent):
    with Wire(echo.clear) as wire:
        wire.send(sent)
        answer = wire.answer()
        assert (answer.status, answer.json()["status"]) == (400, 400)
        assert answer.headers["content-type"] == "application/problem+json"
        assert wire.is_closed()


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("fields", [[("x-long", "v" * 40000)],
                                    [(f"x-{i}", "v") for i in range(120)]])
def test_a_head_over_the_limits_is_431(echo, transport, fields):
    with connect(echo, transport) as wire:
        if transport.startswith("h2"):
            block = head("/hello", "GET", *fields)
            pieces = [block[i:i + 16000] for i in range(0, len(block), 16000)]
            wire.send(frame(HEADERS, END_STREAM | (END_HEADERS if len(pieces) == 1 else 0), 1,
                            pieces[0]))
            for piece in pieces[1:]:
                wire.send(frame(CONTINUATION, END_HEADERS if piece is pieces[-1] else 0, 1, piece))
            assert wire.stream(1).status == 431
            wire.send(request(3))
            assert wire.stream(3).body == b"hello"
        else:
            assert ask(wire, transport, headers=fields).status == 431


@pytest.mark.parametrize("path", ["/a b", "/\x7f", "no-slash", "/a\xff", "/%00/\n"])
def test_a_path_of_http2_that_is_none_is_400(echo, path):
    with Wire(echo.tls, h2=True) as wire:
        wire.send(request(1, path))
        answer = wire.stream(1)
        assert (answer.status, answer.headers["content-type"]) == (400, "application/problem+json")
        wire.send(request(3))
        assert wire.stream(3).body == b"hello"


@pytest.mark.parametrize("name,value", [("x-a", b"a\0b"), ("x-a", b"a\rb"), ("x-a", b"a\nx-api-key: k"),
                                        ("x-a", b"a\x01b"), ("x-a", b"a\x7fb"), ("x a", b"b"),
                                        ("x:a", b"b"), ("x\0a", b"b"), ("x\na", b"b")])
def test_a_field_of_http2_with_a_character_that_none_may_have_is_400(echo, name, value):
    """RFC 9113 section 8.2.1: or it could become two fields behind a proxy that speaks HTTP/1."""
    with Wire(echo.tls, h2=True) as wire:
        wire.send(request(1, "/hello", "GET", (name, value)))
        answer = wire.stream(1)
        assert (answer.status, answer.headers["content-type"]) == (400, "application/problem+json")
        wire.send(request(3, "/hello", "GET", ("x-a", b" \xc3\xa4 ")))
        assert wire.stream(3).body == b"hello"


@pytest.mark.parametrize("name,value", [("X-A", "b"), ("connection", "close"), ("te", "gzip"),
                                        ("transfer-encoding", "chunked"), ("upgrade", "h2c"),
                                        (":path", "/other"), (":method", "POST"), (":unknown", "x"),
                                        ("content-length", "five")])
def test_a_field_that_http2_forbids_ends_the_connection(echo, name, value):
    """RFC 9113 sections 8.2, 8.2.2 and 8.3."""
    with Wire(echo.tls, h2=True) as wire:
        wire.send(request(1, "/hello", "GET", (name, value)))
        assert wire.is_closed()
        assert [code for _, code in wire.goaways] == [PROTOCOL_ERROR]


@pytest.mark.parametrize("length", ["0", "4", "6"])
def test_a_body_of_another_length_than_it_says_is_no_request(echo, length):
    """A body that was cut is not taken for a shorter one."""
    with Wire(echo.tls, h2=True) as wire:
        wire.send(request(1, "/body", "POST", ("content-length", length), body=b"hello"))
        assert wire.stream(1).reset == PROTOCOL_ERROR
        wire.send(request(3))
        assert wire.stream(3).body == b"hello"


# --- what h2spec asks for beyond the above ---

FRAME_SIZE_ERROR = 6
BROKEN_FRAMES = {
    "DATA on no stream": (frame(DATA, 0, 0, b"x"), PROTOCOL_ERROR),
    "PRIORITY on no stream": (frame(PRIORITY, 0, 0, b"\0\0\0\x01\xff"), PROTOCOL_ERROR),
    "PRIORITY that is too short": (frame(PRIORITY, 0, 1, bytes(4)), FRAME_SIZE_ERROR),
    "PRIORITY that is too long": (frame(PRIORITY, 0, 1, bytes(6)), FRAME_SIZE_ERROR),
}


@pytest.mark.parametrize("which", BROKEN_FRAMES)
def test_a_broken_frame_ends_the_connection_with_its_error(echo, which):
    broken, error = BROKEN_FRAMES[which]
    with Wire(echo.tls, h2=True) as wire:
        wire.send(broken)
        assert wire.is_closed()
        assert [code for _, code in wire.goaways] == [error]


# --- clients that leave ---

def taken(echo):
    """Requests for /delay, answered or not."""
    stats = echo.stats()
    return stats["delayed"] + stats["inflight_requests"] - 1  # the one that asks


WAYS_TO_LEAVE = [(transport, way) for transport in TRANSPORTS
                 for way in ("reset", "close", "half_close", "rst_stream")
                 if way != "rst_stream" or transport.startswith("h2")]


@pytest.mark.parametrize("when", ["waiting", "answered"])
@pytest.mark.parametrize("transport,way", WAYS_TO_LEAVE)
def test_a_client_that_leaves_takes_nothing_with_it(make_echo, transport, when, way):
    echo = make_echo()
    count = 20 if transport.startswith("h2") else 1
    echo.is_serving()
    wait_until(lambda: echo.others() == 0)
    base = echo.descriptors()
    for round_ in range(1, 6):
        wire = connect(echo, transport)
        path = "/delay?150" if when == "waiting" else "/hello"
        for i in range(count):
            send_request(wire, transport, path, "POST", b"x" * 1000, stream=2 * i + 1)
        if when == "waiting":
            wait_until(lambda: taken(echo) == round_ * count)
        elif transport.startswith("h2"):
            wire.stream(2 * count - 1)
        else:
            wire.answer()
        if way == "rst_stream":
            wire.send(*[rst(2 * i + 1) for i in range(count)])
            wire.close()
        else:
            getattr(wire, way)()
            if way == "half_close" and when == "waiting" and transport.startswith("h1"):
                assert wire.answer().status == 200  # still listening: still answered
            if way == "half_close":
                wire.close()
    wait_until(lambda: echo.others() == 0, "connections go")
    wait_until(lambda: echo.stats()["inflight_requests"] == 1, "exchanges go")
    assert echo.stats()["inflight_bytes"] == 0
    wait_until(lambda: echo.descriptors() <= base, "descriptors go")
    if when == "waiting":
        assert echo.stats()["delayed"] == 5 * count, "work that was begun is finished"


@pytest.mark.parametrize("transport", ["h2c", "h2"])
def test_a_waiting_request_is_told_that_its_client_left(make_echo, transport):
    echo = make_echo()
    with connect(echo, transport) as wire:
        wire.send(request(1, "/hold"), request(3, "/hold"))
        wait_until(lambda: echo.stats()["inflight_requests"] == 3)
        wire.send(rst(1))
        wait_until(lambda: echo.stats()["gone"] == 1)
    wait_until(lambda: echo.stats()["gone"] == 2)
    assert echo.stats()["inflight_requests"] == 1


# --- the admin listener ---

def test_the_admin_socket_is_for_its_group_only_and_speaks_http1(make_echo, tmp_path):
    path = tmp_path / "admin.sock"
    echo = make_echo(admin=path)
    assert echo.admin == f"unix:{path}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    answer = curl("http://x/echo", extra=["--unix-socket", str(path)], http="1.1")
    assert (answer.json()["listener"], answer.json()["peer"]) == (2, "127.0.0.1")
    echo.stop()
    assert not path.exists()


def test_a_stale_admin_socket_is_replaced_and_a_live_one_is_not(make_echo, tmp_path):
    path = tmp_path / "admin.sock"
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(path))
    make_echo(admin=path)
    done = subprocess.run([PROGRAM, "--admin", path], capture_output=True, text=True, timeout=30)
    assert (done.returncode, "another process listens there" in done.stderr) == (1, True)
    assert curl("http://x/hello", extra=["--unix-socket", str(path)], http="1.1").body == b"hello"


def test_a_file_in_place_of_the_admin_socket_is_left_alone(tmp_path):
    path = tmp_path / "precious"
    path.write_text("data")
    done = subprocess.run([PROGRAM, "--admin", path], capture_output=True, text=True, timeout=30)
    assert (done.returncode, path.read_text()) == (1, "data")


def test_a_port_in_use_is_said(echo):
    done = subprocess.run([PROGRAM, "--admin", f"127.0.0.1:{echo.clear[1]}"], capture_output=True,
                          text=True, timeout=30)
    assert done.returncode == 1
    assert f"listen on 127.0.0.1:{echo.clear[1]}: Address already in use" in done.stderr


# --- connections ---

def test_both_loops_get_connections_and_all_are_counted(make_echo):
    echo = make_echo()
    wires = [Wire(echo.clear) for _ in range(64)]
    wait_until(lambda: echo.others() == 64)
    for wire in wires:
        wire.send(GET)
    assert all(wire.answer().body == b"hello" for wire in wires)
    for wire in wires:
        wire.close()
    wait_until(lambda: echo.others() == 0)


def test_at_the_cap_clients_wait_and_are_served_when_others_leave(make_echo):
    echo = make_echo("--connections", 20, "--threads", 2)
    wires = [Wire(echo.clear) for _ in range(20)]
    for wire in wires:
        wire.send(GET)
        assert wire.answer().body == b"hello"
    waiting = [Wire(echo.clear) for _ in range(10)]
    for wire in waiting:
        wire.send(GET)
    cpu = echo.cpu_s()
    time.sleep(1)  # the condition is that nothing happens, and cheaply
    assert echo.cpu_s() - cpu < 0.3
    for wire in wires:
        wire.close()
    assert all(wire.answer().body == b"hello" for wire in waiting)
    for wire in waiting:
        wire.close()


def test_without_descriptors_nothing_spins_and_nothing_is_lost(tmp_path, make_echo):
    echo = make_echo("--connections", 100000)
    echo.is_serving()
    used = echo.descriptors()
    subprocess.run(["prlimit", "--pid", str(echo.pid), f"--nofile={used + 10}:"], check=True)
    wires = [Wire(echo.clear) for _ in range(30)]
    for wire in wires:
        wire.send(GET)
    # Some are served, whichever: each loop takes from its own queue.
    assert select.select([wire.sock for wire in wires], [], [], DEADLINE_S)[0]
    cpu = echo.cpu_s()
    time.sleep(1)
    assert echo.cpu_s() - cpu < 0.3
    subprocess.run(["prlimit", "--pid", str(echo.pid), "--nofile=1000:"], check=True)
    assert all(wire.answer().body == b"hello" for wire in wires)
    for wire in wires:
        wire.close()


# --- certificates ---

def serial(echo):
    context = client_context()
    with Wire(echo.tls, context=context) as wire:
        return wire.sock.getpeercert(binary_form=True)


def make_pair(folder, name):
    cert, key = folder / f"{name}.crt", folder / f"{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                    "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


def reload(echo):
    count = len(echo.output())
    echo.signal(signal.SIGHUP)
    wait_until(lambda: len(echo.output()) > count, "an answer to SIGHUP")
    return echo.output()[-1]


def test_a_self_signed_certificate_is_for_loopback_and_its_key_is_private(echo):
    text = subprocess.run(["openssl", "x509", "-in", echo.cert, "-noout", "-text"], check=True,
                          capture_output=True, text=True).stdout
    for name in ("DNS:localhost", "IP Address:127.0.0.1", "IP Address:0:0:0:0:0:0:0:1",
                 "NIST CURVE: P-256", "TLS Web Server Authentication"):
        assert name in text
    assert stat.S_IMODE(echo.key.stat().st_mode) == 0o600
    context = ssl.create_default_context(cafile=echo.cert)
    with socket.create_connection(echo.tls[:2]) as raw:
        context.wrap_socket(raw, server_hostname="localhost").close()


def test_a_new_certificate_is_for_new_connections_and_old_ones_go_on(make_echo, tmp_path):
    echo = make_echo()
    before = serial(echo)
    old = Wire(echo.tls, h2=True)
    old.send(request(1))
    assert old.stream(1).body == b"hello"
    cert, key = make_pair(tmp_path, "new")
    os.replace(cert, echo.cert)
    os.replace(key, echo.key)
    assert reload(echo) == "reloaded"
    wait_until(lambda: all(serial(echo) != before for _ in range(8)), "both loops have it")
    old.send(request(3))
    assert old.stream(3).body == b"hello"
    old.close()


@pytest.mark.parametrize("damage", ["no cert", "no key", "empty key", "not a pair", "key with pass phrase"])
def test_a_bad_pair_is_refused_and_the_old_one_serves_on(make_echo, tmp_path, damage):
    echo = make_echo()
    before = serial(echo)
    if damage == "no cert":
        echo.cert.unlink()
    elif damage == "no key":
        echo.key.unlink()
    elif damage == "empty key":
        echo.key.write_text("")
    elif damage == "not a pair":
        os.replace(make_pair(tmp_path, "other")[1], echo.key)
    else:
        subprocess.run(["openssl", "pkey", "-in", echo.key, "-aes128", "-passout", "pass:secret",
                        "-out", tmp_path / "locked"], check=True, capture_output=True)
        os.replace(tmp_path / "locked", echo.key)
    assert reload(echo).startswith("not reloaded: ")
    assert serial(echo) == before


def test_reloads_under_load_fail_nobody(make_echo, tmp_path):
    echo = make_echo()
    pairs = [make_pair(tmp_path, f"pair{i}") for i in range(6)]
    url = f"https://127.0.0.1:{echo.tls[1]}/hello"
    load = subprocess.Popen(["h2load", "-t1", "-c4", "-m8", "-D4", url], stdout=subprocess.PIPE,
                            text=True)
    rounds = 0
    for cert, key in pairs:
        os.replace(cert, echo.cert)
        os.replace(key, echo.key)
        assert reload(echo) == "reloaded"
        for _ in range(20):
            with Wire(echo.tls) as wire:
                wire.send(GET)
                assert wire.answer().body == b"hello"
                rounds += 1
    out = load.communicate(timeout=60)[0]
    assert " 0 failed, 0 errored, 0 timeout" in out, out
    assert rounds == 120


def test_a_connection_that_is_silent_over_reloads_still_shakes_hands(make_echo, tmp_path):
    echo = make_echo()
    silent = [socket.create_connection(echo.tls[:2]) for _ in range(8)]
    wait_until(lambda: echo.others() == 8)
    for i in range(3):
        cert, key = make_pair(tmp_path, f"pair{i}")
        os.replace(cert, echo.cert)
        os.replace(key, echo.key)
        assert reload(echo) == "reloaded"
        serial(echo)
    for raw in silent:
        with client_context(["http/1.1"]).wrap_socket(raw) as sock:
            sock.sendall(GET)
            assert b"200 OK" in sock.recv(4096)
