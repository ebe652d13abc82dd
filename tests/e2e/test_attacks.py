"""What hostile clients do to the HTTP layer, and what it may cost: bounded processor time and memory,
others served meanwhile, no line in the log, no descriptor or request left behind.

The numbers in the names' docstrings are what h2o did before the guard stood before it.
"""
import contextlib
import ctypes
import os
import random
import signal
import socket
import threading
import time

import pytest

from harness import repeating, wait_until
from wire import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY,
                  HAS_PRIORITY, HEADERS, PADDED, PING, PREFACE, PRIORITY, PROTOCOL_ERROR, Closed,
                  Echo, Wire, frame, head, hpack_int, request, rst, settings, window_update)

MIB = 1 << 20
PINGS = frame(PING, payload=bytes(8))
BOTH = ["clear", "tls"]


@pytest.fixture
def make_echo(tmp_path):
    made = []

    def make(*flags, **more):
        made.append(Echo(tmp_path / f"echo{len(made)}", *flags, **more))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def echo(make_echo):
    return make_echo()


@contextlib.contextmanager
def bounded(echo, cpu_s=2.0, memory=32 * MIB):
    """The attack inside costs no more than that, and another client is served all the time."""
    echo.is_serving()
    cpu, before = echo.cpu_s(), echo.memory()
    served, failed, peak = [0], [], [before]

    def be_served():
        try:
            started = time.monotonic()
            assert echo.is_serving()
            served[0] += 1
            peak[0] = max(peak[0], echo.memory())
            if time.monotonic() - started > 10:
                failed.append("waited over 10 s")
        except Exception as error:  # noqa: BLE001
            failed.append(repr(error))

    with repeating(be_served):
        yield
    assert echo.process.poll() is None, "the process died"
    assert not failed, failed
    assert served[0] > 0
    if not echo.has_sanitizer:  # which keeps what is freed, and takes its time
        assert peak[0] - before <= memory, f"{(peak[0] - before) / MIB:.1f} MiB"
        spent = echo.cpu_s() - cpu
        assert spent <= cpu_s + served[0] * 0.002, f"{spent:.2f} s"


def is_calm(echo):
    wait_until(lambda: echo.others() == 0, "all connections are gone")
    wait_until(lambda: echo.stats()["inflight_requests"] == 1, "all requests are gone")
    assert echo.stats()["inflight_bytes"] == 0


def quietly(wire, *parts):
    """The server may close in the middle of it."""
    with contextlib.suppress(OSError):
        wire.send(*parts)


# --- asserts inside h2o ---

@pytest.mark.parametrize("where", BOTH)
def test_a_window_update_after_the_last_byte(echo, where):
    """Process abort: update_stream_output_window, the answer just fitting the window."""
    for _ in range(20):
        with Wire(getattr(echo, where), h2=True, first=settings(initial_window=9)) as wire:
            get = request(1, "/nowhere")
            filler = frame(0x0b, 0, 0, bytes(8192 - len(PREFACE) - 15 - len(get) - 9 - 13))
            quietly(wire, get, filler, window_update(1, 1))
            assert wire.stream(1).status == 404
            quietly(wire, window_update(1, 1000), settings(initial_window=100))
            wire.send(request(3, "/nowhere"), window_update(3, 1000))
            assert wire.stream(3).body == b"not here\n"


@pytest.mark.parametrize("where", BOTH)
@pytest.mark.parametrize("pings", [6000, 8000, 10000, 12000])
def test_window_changes_while_the_answer_is_stuck_in_the_socket(echo, where, pings):
    """Process abort: the same, the writes held up by a client that does not read."""
    with bounded(echo):
        wire = Wire(getattr(echo, where), h2=True, receive_buffer=2048, mss=536, timeout_s=2)
        with contextlib.suppress(OSError, Closed):
            wire.send(PINGS * pings)
            wire.send(request(1), request(3, "/big?20000"))
            for _ in range(200):
                wire.send(settings(initial_window=0), settings(initial_window=1000))
                wire.sock.recv(512)
            for _ in range(100):
                wire.send(settings(initial_window=0), settings(initial_window=1000),
                          window_update(1, 1), window_update(3, 1))
                wire.sock.recv(4096)
        wire.close()
    is_calm(echo)


def test_a_corrupt_tls_record_while_pongs_wait(echo):
    """Process abort, in the build on libuv."""
    with bounded(echo):
        wire = Wire(echo.tls, h2=True, receive_buffer=2048, timeout_s=2)
        with contextlib.suppress(OSError):
            wire.send(PINGS * 100000)
        raw = Wire.__new__(Wire)
        raw.sock = socket.socket(fileno=wire.sock.detach())
        raw.sock.settimeout(0.5)
        with contextlib.suppress(OSError):
            raw.sock.send(b"\x17\x03\x03\x00\x20" + b"x" * 32)
            while raw.sock.recv(65536):
                pass
        raw.close()
    is_calm(echo)


@pytest.mark.parametrize("where", BOTH)
def test_clients_that_reset_leave_no_descriptor(echo, where):
    """A descriptor each, in the build on libuv."""
    echo.is_serving()
    wait_until(lambda: echo.others() == 0)
    base = echo.descriptors()
    for _ in range(50):
        wire = Wire(getattr(echo, where), h2=True)
        wire.send(request(1, "/big?100000"))
        wire.reset()
    is_calm(echo)
    wait_until(lambda: echo.descriptors() <= base)


@pytest.mark.parametrize("where", BOTH)
@pytest.mark.parametrize("size", [8192, 16384, 81920])
def test_bursts_that_fill_a_read_exactly(echo, where, size):
    """The connection was closed, in the build on libuv with TLS."""
    with Wire(getattr(echo, where)) as wire:
        for _ in range(20):
            fields = f"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n"
            wire.send(fields.encode(), b"x" * size)
            assert wire.answer().json()["bytes"] == size


# --- CONTINUATION after GOAWAY ---

def test_a_continuation_that_comes_after_goaway(make_echo):
    """The loop looked at the frame for ever without taking it: a hang at shutdown."""
    echo = make_echo("--drain-ms", 2000)
    with Wire(echo.clear, h2=True) as wire:
        wire.send(request(1, "/delay?2500"))
        wire.send(frame(HEADERS, END_STREAM, 3, head()))
        wait_until(lambda: echo.stats()["inflight_requests"] == 2)
        echo.signal(signal.SIGTERM)
        wire.read_frames(lambda: len(wire.goaways) == 2)
        quietly(wire, frame(CONTINUATION, END_HEADERS, 3, b""))
        assert wire.is_closed()
    assert echo.process.wait(10) == 0


# --- header bombs ---

def bomb_blocks():
    one_byte = b"\x82\x86\x84\x41\x01x" + b"\x90" * 300000
    literal = head() + b"\x40\x01a\x82vv" + b"\xbe" * 300000
    updates = b"\x20\x3f\xe1\x1f" * 60000 + head()
    return [one_byte, literal, updates]


@pytest.mark.parametrize("which", range(3))
@pytest.mark.parametrize("where", BOTH)
def test_header_bombs(echo, where, which):
    """47 MB of memory for 400 KB sent; 4.7 GB for a hundred streams of it."""
    block = bomb_blocks()[which]
    pieces = [block[i:i + 16384] for i in range(0, len(block), 16384)]
    with bounded(echo):
        for _ in range(10):
            with Wire(getattr(echo, where), h2=True) as wire:
                quietly(wire, frame(HEADERS, END_STREAM, 1, pieces[0]),
                        *[frame(CONTINUATION, 0, 1, piece) for piece in pieces[1:-1]],
                        frame(CONTINUATION, END_HEADERS, 1, pieces[-1]))
                assert wire.is_closed(10)
    is_calm(echo)


@pytest.mark.parametrize("where", BOTH)
def test_a_small_header_bomb_on_every_stream(echo, where):
    block = head() + b"\x40\x01a\x7f\x81\x1e" + b"v" * 4000 + b"\xbe" * 12000
    with bounded(echo):
        with Wire(getattr(echo, where), h2=True) as wire:
            for i in range(100):
                quietly(wire, frame(HEADERS, END_HEADERS | END_STREAM, 2 * i + 1, block))
            assert wire.is_closed(10)
    is_calm(echo)


@pytest.mark.parametrize("payload", [b"", b"\x00\x01a\x01b"])
def test_endless_continuations(echo, payload):
    """65 million frames a second, a whole core, for as long as the client liked."""
    with bounded(echo):
        with Wire(echo.clear, h2=True) as wire:
            wire.send(frame(HEADERS, END_STREAM, 1, head()))
            assert wire.send_until_closed(frame(CONTINUATION, 0, 1, payload) * 1000, 10) is not None
    is_calm(echo)


def test_a_continuation_for_another_stream(echo):
    with Wire(echo.clear, h2=True) as wire:
        wire.send(frame(HEADERS, END_HEADERS, 1, head("/echo", "POST")), frame(DATA, 0, 1, b"part"),
                  frame(HEADERS, END_STREAM, 3, head()),
                  frame(CONTINUATION, END_HEADERS, 1, b""))
        assert wire.is_closed(10)
        assert wire.goaways[-1][1] == PROTOCOL_ERROR
    is_calm(echo)


# --- streams begun and broken off ---

@pytest.mark.parametrize("where", BOTH)
@pytest.mark.parametrize("path", ["/hello", "/delay?1000", "/nowhere"])
def test_rapid_reset(echo, where, path):
    """218,000 requests a second from one connection, each of them carried out."""
    with bounded(echo):
        before = echo.stats()["requests_ever"]
        with Wire(getattr(echo, where), h2=True) as wire:
            stream = 1
            while stream < 200000:
                burst = b"".join(request(stream + 2 * i, path) + rst(stream + 2 * i)
                                 for i in range(100))
                try:
                    wire.send(burst)
                except OSError:
                    break
                stream += 200
            assert stream < 200000, "it went on to the end"
        wait_until(lambda: echo.others() == 0)
    assert echo.stats()["guard_closed"] == 1
    assert echo.stats()["requests_ever"] - before < 3000
    is_calm(echo)


@pytest.mark.parametrize("provoke", ["window", "data", "overflow"])
def test_resets_that_the_server_is_made_to_send(echo, provoke):
    """175,000 requests a second, the same way round."""
    bad = {"window": lambda s: window_update(s, 0),
           "data": lambda s: frame(DATA, 0, s, b"x"),
           "overflow": lambda s: window_update(s, 0x7fffffff)}[provoke]
    with bounded(echo):
        before = echo.stats()["requests_ever"]
        with Wire(echo.clear, h2=True) as wire:
            stream = 1
            while stream < 200000:
                burst = b"".join(request(stream + 2 * i, "/delay?1000") + bad(stream + 2 * i)
                                 for i in range(100))
                try:
                    wire.send(burst)
                except OSError:
                    break
                stream += 200
            assert stream < 200000, "it went on to the end"
    assert echo.stats()["requests_ever"] - before < 3000
    is_calm(echo)


def test_cancelling_now_and_then_is_no_attack(echo):
    with Wire(echo.clear, h2=True) as wire:
        for i in range(2000):
            stream = 4 * i + 1
            wire.send(request(stream, "/delay?0"), rst(stream), request(stream + 2))
            assert wire.stream(stream + 2).status == 200
        assert not wire.goaways


# --- floods ---

FLOODS = {
    "ping": PINGS * 500,
    "settings": settings(initial_window=1000) * 200 + settings(initial_window=2000) * 200,
    "settings ack": frame(4, ACK) * 1000,
    "priority": b"".join(frame(PRIORITY, 0, 2 * i + 1, b"\x80\0\0\x03\xff") for i in range(2, 500)),
    "unknown": frame(0x42, 0xff, 1, b"?" * 20) * 500,
    "window": window_update(0, 1) * 500,
    "rst of what was": rst(1) * 500,
    "data on what was": frame(DATA, 0, 1, b"x" * 10) * 500,
    "empty data": frame(DATA, 0, 3) * 1000,
    "one byte data": frame(DATA, 0, 3, b"x") * 500,
    "padding": frame(DATA, PADDED, 3, b"\xff" + bytes(255)) * 100,
    "goaway": frame(GOAWAY, 0, 0, bytes(8)) * 500,
}


@pytest.mark.parametrize("kind", FLOODS)
@pytest.mark.parametrize("where", BOTH)
def test_floods_of_frames_are_ended(echo, where, kind):
    """Connections that were open for ever; for unknown types, 2.4 MB of log for 0.9 MB sent."""
    with bounded(echo, cpu_s=4):
        with Wire(getattr(echo, where), h2=True) as wire:
            wire.send(request(1))
            assert wire.stream(1).status == 200
            wire.send(frame(HEADERS, END_HEADERS, 3, head("/body", "POST")))
            assert wire.send_until_closed(FLOODS[kind], 20) is not None
    is_calm(echo)


@pytest.mark.parametrize("kind", ["ping", "settings"])
def test_floods_of_a_client_that_does_not_read(make_echo, kind):
    echo = make_echo("--progress-ms", 2000)
    with bounded(echo, cpu_s=4):
        with Wire(echo.clear, h2=True, receive_buffer=4096) as wire:
            wire.send(request(1))
            assert wire.send_until_closed(FLOODS[kind], 30) is not None
    is_calm(echo)


def test_a_few_unknown_frames_are_ignored_in_silence(echo):
    with Wire(echo.tls, h2=True) as wire:
        wire.send(frame(0x10, 0, 0, b"\0\0\0\x01u=1"), frame(0x0b, 0, 1, b"x"), request(1))
        assert wire.stream(1).body == b"hello"


def test_priorities_are_read_and_have_no_effect(echo):
    with Wire(echo.tls, h2=True) as wire:
        for i, stream in enumerate(range(1, 200, 2)):
            block = (stream - 2 if stream > 1 else 0) | 0x80000000
            payload = block.to_bytes(4, "big") + b"\x10" + head()
            flags = END_HEADERS | END_STREAM | HAS_PRIORITY
            if i % 2:
                payload, flags = b"\x03" + payload + bytes(3), flags | PADDED
            wire.send(frame(HEADERS, flags, stream, payload),
                      frame(PRIORITY, 0, stream, b"\x80\0\0\x01\xff"),
                      frame(PRIORITY, 0, stream + 100, b"\0\0\0\x01\xff"))
        assert all(wire.stream(stream).body == b"hello" for stream in range(1, 200, 2))


def test_data_for_a_refused_body_is_thrown_away_only_so_long(echo):
    with bounded(echo):
        with Wire(echo.clear, h2=True) as wire:
            wire.send(frame(HEADERS, END_HEADERS, 1,
                            head("/body", "POST", ("content-length", 10 ** 12))))
            sent = wire.send_until_closed(frame(DATA, 0, 1, bytes(16384)), 30)
            assert sent is not None and sent < 256 * MIB
    is_calm(echo)


# --- clients that stand still ---

SLOW = ("--header-ms", 1000, "--progress-ms", 2000)


def trickle(wire, data, every_s=0.2):
    """A byte now and then, until the server closes; seconds until then."""
    started, at = time.monotonic(), 0
    while time.monotonic() - started < 20:
        with contextlib.suppress(OSError):
            wire.send(data[at:at + 1])
        at = min(at + 1, len(data))
        if wire.is_closed(every_s):
            return time.monotonic() - started
    return None


@pytest.mark.parametrize("where", BOTH)
@pytest.mark.parametrize("sent", [b"", b"GET /hello HTTP/1.1\r\nHost: x\r\nX-Long: " + b"v" * 1000],
                         ids=["nothing", "a byte now and then"])
def test_slow_heads_of_http1(make_echo, where, sent):
    echo = make_echo(*SLOW)
    with Wire(getattr(echo, where)) as wire:
        assert 0.5 < trickle(wire, sent) < 15
    with Wire(getattr(echo, where)) as wire:  # the second one on a connection, too
        wire.send(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
        assert wire.answer().status == 200
        assert 0.5 < trickle(wire, sent) < 15
    assert echo.stats()["slow_closed"] == 2


HALF_HEADS = {
    "a byte now and then": frame(HEADERS, END_HEADERS | END_STREAM, 1, head() + bytes(500)),
    "no continuation": frame(HEADERS, END_STREAM, 1, head()),
    "continuations now and then": frame(HEADERS, END_STREAM, 1, head()) +
                                  frame(CONTINUATION, 0, 1, b"\x00\x01a\x01b") * 60,
}


@pytest.mark.parametrize("where", BOTH)
@pytest.mark.parametrize("kind", HALF_HEADS)
def test_slow_heads_of_http2(make_echo, where, kind):
    echo = make_echo(*SLOW)
    with Wire(getattr(echo, where), h2=True) as wire:
        assert 0.5 < trickle(wire, HALF_HEADS[kind]) < 15
    is_calm(echo)


def test_a_slow_tls_handshake(make_echo):
    echo = make_echo(*SLOW)
    with Wire((echo.tls[0], echo.tls[1], False)) as wire:
        assert 0.5 < trickle(wire, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)) < 15


def test_a_slow_preface(make_echo):
    echo = make_echo(*SLOW)
    with Wire(echo.clear) as wire:
        assert 0.5 < trickle(wire, PREFACE) < 15


@pytest.mark.parametrize("transport", ["h1", "h2"])
def test_a_body_of_which_a_byte_comes_now_and_then(make_echo, transport):
    echo = make_echo(*SLOW)
    with Wire(echo.clear, h2=transport == "h2") as wire:
        if transport == "h2":
            wire.send(frame(HEADERS, END_HEADERS, 1, head("/body", "POST")))
            byte = frame(DATA, 0, 1, b"x")
        else:
            wire.send(b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n")
            byte = b"x"
        started = time.monotonic()
        while time.monotonic() - started < 15:
            quietly(wire, byte)
            if wire.is_closed(0.2):
                break
        assert 1.5 < time.monotonic() - started < 14
    is_calm(echo)


def test_pings_do_not_keep_a_connection(make_echo):
    """Open for ever with a PING every half second."""
    echo = make_echo(*SLOW)
    with Wire(echo.clear, h2=True) as wire:
        wire.send(request(1))
        assert wire.stream(1).status == 200
        started = time.monotonic()
        while time.monotonic() - started < 15:
            quietly(wire, PINGS)
            if wire.is_closed(0.2):
                break
        assert 1.5 < time.monotonic() - started < 14
        assert wire.goaways == [(1, 0)], "it was told"


@pytest.mark.parametrize("where", BOTH)
def test_a_window_that_stays_shut(make_echo, where):
    """A hundred answers held for as long as the client liked."""
    echo = make_echo(*SLOW)
    with bounded(echo):
        with Wire(getattr(echo, where), h2=True, first=settings(initial_window=0)) as wire:
            wire.send(*[request(2 * i + 1, "/big?100000") for i in range(100)])
            wait_until(lambda: echo.stats()["requests_ever"] > 100)
            assert wire.is_closed(20)
    is_calm(echo)


@pytest.mark.parametrize("where", BOTH)
def test_an_answer_that_nobody_reads(make_echo, where):
    echo = make_echo(*SLOW)
    with Wire(getattr(echo, where), receive_buffer=4096) as wire:
        wire.send(b"GET /big?20000000 HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: echo.stats()["slow_closed"] == 1)
    is_calm(echo)


def test_a_slow_reader_that_reads_gets_all_of_it(make_echo):
    echo = make_echo(*SLOW)
    with Wire(echo.clear, receive_buffer=65536) as wire:
        wire.send(b"GET /big?4000000 HTTP/1.1\r\nHost: x\r\n\r\n")
        wire.read_until(b"\r\n\r\n")
        got, started = len(wire.input), time.monotonic()
        while got < 4000000:
            data = wire.sock.recv(20000)
            assert data, f"closed after {got}"
            got += len(data)
            if time.monotonic() - started < 5:
                time.sleep(0.02)
        assert time.monotonic() - started > 4


def test_a_request_that_is_being_answered_is_waited_for(make_echo):
    echo = make_echo(*SLOW)
    for h2 in (False, True):
        with Wire(echo.clear, h2=h2) as wire:
            wire.send(request(1, "/delay?4000") if h2 else
                      b"GET /delay?4000 HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (wire.stream(1) if h2 else wire.answer()).status == 200


# --- HTTP/1 that two parsers could read differently ---

BODY = b"\r\n\r\nhello"
AMBIGUOUS = {
    "both length and coding": b"Host: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked" + BODY,
    "coding before length": b"Host: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5" + BODY,
    "two lengths": b"Host: x\r\nContent-Length: 5\r\nContent-Length: 6" + BODY,
    "the same length twice": b"Host: x\r\nContent-Length: 5\r\nContent-Length: 5" + BODY,
    "a list of lengths": b"Host: x\r\nContent-Length: 5, 5" + BODY,
    "a signed length": b"Host: x\r\nContent-Length: +5" + BODY,
    "a negative length": b"Host: x\r\nContent-Length: -5" + BODY,
    "a hexadecimal length": b"Host: x\r\nContent-Length: 0x5" + BODY,
    "an empty length": b"Host: x\r\nContent-Length: " + BODY,
    "a huge length": b"Host: x\r\nContent-Length: 18446744073709551617" + BODY,
    "two codings": b"Host: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity" + BODY,
    "gzip, chunked": b"Host: x\r\nTransfer-Encoding: gzip, chunked" + BODY,
    "chunked, chunked": b"Host: x\r\nTransfer-Encoding: chunked, chunked" + BODY,
    "an unknown coding": b"Host: x\r\nTransfer-Encoding: xchunked" + BODY,
    "a coding with a tab": b"Host: x\r\nTransfer-Encoding: \x0bchunked" + BODY,
    "no host": b"Accept: a" + BODY,
    "two hosts": b"Host: x\r\nHost: y" + BODY,
    "a folded line": b"Host: x\r\nX-Folded: a\r\n b" + BODY,
    "a folded length": b"Host: x\r\nContent-Length:\r\n 5" + BODY,
    "a space before the colon": b"Host: x\r\nContent-Length : 5" + BODY,
    "a bare LF": b"Host: x\nContent-Length: 5" + BODY,
    "a bare LF at the end": b"Host: x\r\nContent-Length: 5\r\n\nhello",
    "a bare CR": b"Host: x\r\nA: b\rContent-Length: 5" + BODY,
    "a NUL": b"Host: x\r\nA: b\0c" + BODY,
    "an empty name": b"Host: x\r\n: b" + BODY,
    "no colon": b"Host: x\r\nContent-Length" + BODY,
}


@pytest.mark.parametrize("kind", AMBIGUOUS)
def test_ambiguous_framing_is_refused(echo, kind):
    """All but a few were answered 200."""
    with Wire(echo.clear) as wire:
        wire.send(b"POST /body HTTP/1.1\r\n" + AMBIGUOUS[kind])
        answer = wire.answer()
        assert (answer.status, answer.headers["connection"]) in \
            ((400, "close"), (413, "close")), answer
        assert wire.is_closed(10)


TARGETS = {
    b"GET  /hello HTTP/1.1": 400, b"GET /a b HTTP/1.1": 400, b"GET\t/hello HTTP/1.1": 400,
    b"GET /a\0b HTTP/1.1": 400, b"GET /a\xff HTTP/1.1": 400, b"GET /a\x7f HTTP/1.1": 400,
    b"GET  HTTP/1.1": 400, b"GET /hello": 400, b"GET /hello HTTP/2.0": 400,
    b"GET /hello HTTP/0.9": 400, b"GET /hello http/1.1": 400, b"G\x01T /hello HTTP/1.1": 400,
    b"G\xc3\xa4T /hello HTTP/1.1": 400, b" GET /hello HTTP/1.1": 400,
    b"GET /" + b"a" * 40000 + b" HTTP/1.1": 431, b"G" * 40000 + b" / HTTP/1.1": 431,
    # Well-formed, and nothing that there is.
    b"GET hello HTTP/1.1": 404, b"GET * HTTP/1.1": 404, b"CONNECT x:80 HTTP/1.1": 404,
    b"GET ftp://x/hello HTTP/1.1": 404, b"GET /hello#a HTTP/1.1": 404,
    b"GET /../../etc/passwd HTTP/1.1": 404, b"GET /%2e%2e/%00%zz HTTP/1.1": 404,
    b"GET /\\..\\ HTTP/1.1": 404,
}


@pytest.mark.parametrize("line", TARGETS, ids=lambda line: repr(line[:24])[2:-1])
def test_odd_request_lines_have_one_meaning(echo, line):
    """Refused, and the connection with them; or taken as they stand, and the next one is the next."""
    with Wire(echo.clear) as wire:
        wire.send(line + b"\r\nHost: x\r\n\r\n", b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
        assert wire.answer().status == TARGETS[line]
        if TARGETS[line] == 404:
            assert wire.answer().body == b"hello"
        else:
            assert wire.is_closed(10) and b"HTTP/1.1" not in wire.input


def test_a_coding_in_http_1_0_is_refused(echo):
    with Wire(echo.clear) as wire:
        wire.send(b"POST /body HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        assert wire.answer().status == 400


CHUNKS = {
    "hexadecimal prefix": b"0x5\r\nhello\r\n0\r\n\r\n",
    "bare LF after the size": b"5\nhello\r\n0\r\n\r\n",
    "bare LF after the data": b"5\r\nhello\n0\r\n\r\n",
    "bare CR after the size": b"5\rhello\r\n0\r\n\r\n",
    "more data than said": b"5\r\nhelloo\r\n0\r\n\r\n",
    "a sign": b"+5\r\nhello\r\n0\r\n\r\n",
    "a space before": b" 5\r\nhello\r\n0\r\n\r\n",
    "no size": b"\r\nhello\r\n0\r\n\r\n",
    "only an extension": b";a=b\r\nhello\r\n0\r\n\r\n",
    "a huge size": b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "a size that wraps": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "a bare LF at the end": b"5\r\nhello\r\n0\r\n\n",
    "a control character in an extension": b"5;a=\x01\r\nhello\r\n0\r\n\r\n",
    "a bare LF in an extension": b"5;a=b\nc\r\nhello\r\n0\r\n\r\n",
    "a bare LF in the trailers": b"5\r\nhello\r\n0\r\nA: b\n\r\n",
}


@pytest.mark.parametrize("kind", CHUNKS)
def test_ambiguous_chunks_are_refused(echo, kind):
    with Wire(echo.clear) as wire:
        wire.send(b"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
                  CHUNKS[kind])
        assert wire.answer().status == 400
        assert wire.is_closed(10)


@pytest.mark.parametrize("kind", ["extension", "trailers"])
def test_extensions_and_trailers_without_end_are_refused(echo, kind):
    begin, more = {"extension": (b"5;", b"e" * 1000), "trailers": (b"0\r\n", b"T: t\r\n" * 100)}[kind]
    with bounded(echo):
        with Wire(echo.clear) as wire:
            wire.send(b"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", begin)
            assert wire.send_until_closed(more, 10) is not None


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_chunks_in_any_pieces_are_put_together(echo, size):
    body = b"5;a=b;c=\"d\"\r\nhello\r\n00006\r\n world\r\nA\r\n0123456789\r\n0\r\nX: y\r\nZ: w\r\n\r\n"
    sent = b"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    with Wire(echo.clear) as wire:
        for at in range(0, len(sent), size):
            wire.send(sent[at:at + size])
            if at % 5 == 0:
                time.sleep(0.001)  # so that they arrive as pieces
        assert wire.answer().body == b"hello world0123456789"
        wire.send(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
        assert wire.answer().body == b"hello"


# --- many at once ---

def test_thousands_of_idle_connections_cost_little(echo):
    with bounded(echo, cpu_s=4, memory=64 * MIB):
        wires = [Wire(echo.clear) for _ in range(2000)] + [Wire(echo.tls) for _ in range(500)]
        wait_until(lambda: echo.others() >= 2500)
        for wire in wires:
            wire.close()
    is_calm(echo)


LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
# Addresses that are not loopback's, on the loopback of a network of the server's own.
OWN_NETWORK = ["unshare", "--net", "sh", "-c",
               'ip link set lo up && ip address add 198.51.100.1/24 dev lo && exec "$0" "$@"']


def connect_in_network_of(pid, address, source):
    """A socket from there to there; it stays in that network when the thread that made it ends."""
    made = []

    def work():
        with open(f"/proc/{pid}/ns/net", "rb") as network:
            if LIBC.setns(network.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
        sock = socket.socket()
        sock.settimeout(30)
        sock.bind((source, 0))
        sock.connect(address[:2])
        made.append(sock)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return made[0]


def is_let_in(pid, address, source, kept):
    sock = connect_in_network_of(pid, address, source)
    try:
        wire = Wire.from_socket(sock, address)
        wire.send(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
        assert wire.answer().body == b"hello"
    except (OSError, Closed):
        sock.close()
        return False
    kept.append(wire)
    return True


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a network of its own, which needs root")
def test_one_address_gets_a_quarter_of_all_connections(make_echo):
    echo = make_echo("--connections", 40, "--tls-listen", "198.51.100.1:0", before=OWN_NETWORK)
    first, other = [], []
    got = [is_let_in(echo.pid, echo.tls, "198.51.100.8", first) for _ in range(15)]
    assert got == [True] * 11 + [False] * 4  # a quarter, and one
    assert all(is_let_in(echo.pid, echo.tls, "198.51.100.9", other) for _ in range(5))
    first.pop().close()
    wait_until(lambda: is_let_in(echo.pid, echo.tls, "198.51.100.8", first), "there is room again")
    for wire in first + other:
        wire.close()


def test_random_frames_do_no_harm(echo):
    chance = random.Random(20261120)
    block = head("/echo", "POST")
    with bounded(echo, cpu_s=20):
        for _ in range(300):
            parts = []
            for _ in range(chance.randrange(1, 40)):
                stream = chance.choice([0, 1, 1, 3, 3, 5, 7, 2, 2 ** 31 - 1])
                payload = chance.choice([b"", block, chance.randbytes(chance.randrange(40)),
                                         chance.randbytes(4), bytes(4), bytes(5), bytes(8)])
                parts.append(frame(chance.randrange(12), chance.choice([0, 1, 4, 5, 8, 0x20, 0xff]),
                                   stream, payload))
            with Wire(chance.choice([echo.clear, echo.tls]), h2=True) as wire:
                quietly(wire, *parts)
                if chance.random() < 0.5:
                    wire.is_closed(0.02)
    is_calm(echo)
