"""SIGTERM while clients are at it: what was taken is answered, what cannot be finished is said to be
safe to send again, and the end comes in time."""
import signal
import socket
import threading
import time

import pytest

from harness import wait_until
from test_http import TRANSPORTS, ask, connect, send_request
from wire import (DATA, END_HEADERS, END_STREAM, HEADERS, REFUSED_STREAM, Closed, Echo, Wire, frame,
                  head, request, settings, window_update)

ALL_STREAMS = 2 ** 31 - 1


DRAIN_MS = 40000  # so that an end long before can be told from one at the deadline


@pytest.fixture
def make_echo(tmp_path):
    made = []

    def make(*flags):
        made.append(Echo(tmp_path / f"echo{len(made)}", "--drain-ms", DRAIN_MS, *flags))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def ends_early(echo):
    started = time.monotonic()
    assert echo.process.wait(60) == 0
    assert time.monotonic() - started < DRAIN_MS / 2000


def drain(echo):
    echo.signal(signal.SIGTERM)
    wait_until(lambda: is_refused(echo.clear), "the listener is closed")


def is_refused(address):
    try:
        socket.create_connection(address[:2]).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        pass
    return False


def test_with_nobody_there_the_end_is_immediate(make_echo):
    echo = make_echo()
    assert echo.is_serving()
    wait_until(lambda: echo.others() == 0)
    echo.signal(signal.SIGTERM)
    ends_early(echo)


@pytest.mark.parametrize("count", [1, 50])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_requests_in_flight_are_answered(make_echo, transport, count):
    echo = make_echo()
    count = count if transport.startswith("h2") else 1
    with connect(echo, transport) as wire:
        for i in range(count):
            send_request(wire, transport, "/delay?1500", "POST", b"body", stream=2 * i + 1)
        wait_until(lambda: echo.stats()["inflight_requests"] == count + 1)
        drain(echo)
        if transport.startswith("h2"):
            assert all(wire.stream(2 * i + 1).json()["bytes"] == 4 for i in range(count))
            assert wire.is_closed(10)
            assert [last for last, code in wire.goaways] == [ALL_STREAMS, 2 * count - 1]
            assert {code for last, code in wire.goaways} == {0}
        else:
            answer = wire.answer()
            assert (answer.json()["bytes"], answer.headers["connection"]) == (4, "close")
            assert wire.is_closed(10)
    ends_early(echo)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_idle_connections_are_closed_after_a_grace(make_echo, transport):
    echo = make_echo()
    with connect(echo, transport) as wire:
        assert ask(wire, transport).body == b"hello"
        drain(echo)
        started = time.monotonic()
        assert wire.is_closed(10)
        assert 0.5 < time.monotonic() - started < DRAIN_MS / 2000
        if transport.startswith("h2"):
            assert wire.goaways == [(ALL_STREAMS, 0), (1, 0)]
    ends_early(echo)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_request_that_was_on_its_way_is_still_taken(make_echo, transport):
    echo = make_echo()
    with connect(echo, transport) as wire:
        assert ask(wire, transport).body == b"hello"
        drain(echo)
        answer = ask(wire, transport, stream=3)
        assert answer.body == b"hello"
        assert wire.is_closed(10)
    ends_early(echo)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_connections_that_wait_to_be_accepted_are_served(make_echo, transport):
    echo = make_echo()
    echo.signal(signal.SIGSTOP)
    try:
        address = echo.tls if transport in ("h1s", "h2") else echo.clear
        waiting = [socket.create_connection(address[:2], timeout=30) for _ in range(40)]
        echo.signal(signal.SIGTERM)
    finally:
        echo.signal(signal.SIGCONT)
    for raw in waiting:
        wire = Wire.from_socket(raw, address, h2=transport.startswith("h2"))
        assert ask(wire, transport).body == b"hello"
        wire.close()
    ends_early(echo)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_an_upload_that_takes_longer_than_a_second_is_taken(make_echo, transport):
    echo = make_echo()
    with connect(echo, transport) as wire:
        if transport.startswith("h2"):
            wire.send(frame(HEADERS, END_HEADERS, 1, head("/echo", "POST")),
                      frame(DATA, 0, 1, b"x" * 1000))
        else:
            wire.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n" + b"x" * 1000)
        wait_until(lambda: echo.stats()["requests_ever"] > 0 and echo.others() == 1)
        drain(echo)
        for i in range(4):
            time.sleep(0.6)  # what takes its time is the point
            last = END_STREAM if i == 3 else 0
            wire.send(frame(DATA, last, 1, b"x" * 1000) if transport.startswith("h2")
                      else b"x" * 1000)
        answer = wire.stream(1) if transport.startswith("h2") else wire.answer()
        assert answer.json()["bytes"] == 5000
    ends_early(echo)


def test_an_upload_that_does_not_end_is_refused_as_safe_to_send_again(make_echo):
    echo = make_echo("--drain-ms", 1500)
    with Wire(echo.tls, h2=True) as wire:
        wire.send(frame(HEADERS, END_HEADERS, 1, head("/echo", "POST")), frame(DATA, 0, 1, b"x"))
        wait_until(lambda: echo.stats()["inflight_bytes"] == 1)
        drain(echo)
        assert wire.stream(1).reset == REFUSED_STREAM
        assert wire.is_closed(10)
    ends_early(echo)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_what_is_never_answered_does_not_hold_up_the_end(make_echo, transport):
    echo = make_echo("--drain-ms", 1000)
    with connect(echo, transport) as wire:
        send_request(wire, transport, "/hold")
        wait_until(lambda: echo.stats()["inflight_requests"] == 2)
        echo.signal(signal.SIGTERM)
        assert wire.is_closed(10)
    ends_early(echo)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_client_that_does_not_read_does_not_hold_up_the_end(make_echo, transport):
    echo = make_echo("--drain-ms", 1000)
    with connect(echo, transport, receive_buffer=4096) as wire:
        if transport.startswith("h2"):
            wire.send(window_update(0, 1 << 30), settings(initial_window=1 << 30))
        send_request(wire, transport, "/big?20000000")
        wait_until(lambda: echo.stats()["requests_ever"] > 1)
        echo.signal(signal.SIGTERM)
        ends_early(echo)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_slow_reader_gets_the_whole_answer(make_echo, transport):
    echo = make_echo()
    size = 3000000
    with connect(echo, transport, receive_buffer=65536) as wire:
        if transport.startswith("h2"):
            wire.send(window_update(0, 1 << 30), settings(initial_window=1 << 30))
        send_request(wire, transport, f"/big?{size}")
        wait_until(lambda: echo.stats()["requests_ever"] > 1)
        drain(echo)
        got, started = 0, time.monotonic()
        try:
            while True:
                wire.read_some()
                if time.monotonic() - started < 2:
                    time.sleep(0.005)
        except Closed:
            pass
        if transport.startswith("h2"):
            wire.take_frames()
            got = len(wire.streams[1].body)
        else:
            got = len(wire.input.split(b"\r\n\r\n", 1)[1])
        assert got == size
    ends_early(echo)


def test_half_sent_requests_and_handshakes_do_not_hold_up_the_end(make_echo):
    echo = make_echo("--drain-ms", 1500)
    raw = [socket.create_connection(echo.tls[:2]) for _ in range(5)]
    for one in raw[:3]:
        one.sendall(b"\x16\x03\x01\x02\x00\x01")
    clear = [socket.create_connection(echo.clear[:2]) for _ in range(5)]
    for one in clear[:3]:
        one.sendall(b"GET /hello HT")
    wait_until(lambda: echo.others() == 10)
    echo.signal(signal.SIGTERM)
    ends_early(echo)
    for one in raw + clear:
        one.close()


def test_under_load_no_answer_is_lost(make_echo):
    """Clients on kept connections until told to go: each request sent is answered or refused."""
    echo = make_echo()
    answered, lost = [0], []

    def run():
        try:
            with Wire(echo.clear, h2=True) as wire:
                for stream in range(1, 1000000, 2):
                    wire.send(request(stream, "/delay?5"))
                    wire.read_frames(lambda: wire.goaways or (
                        stream in wire.streams and wire.streams[stream].is_ended))
                    if wire.goaways:
                        assert wire.stream(stream).status == 200
                        return
                    answered[0] += 1
        except (OSError, Closed, AssertionError) as error:
            lost.append(repr(error))

    clients = [threading.Thread(target=run) for _ in range(10)]
    for one in clients:
        one.start()
    wait_until(lambda: answered[0] > 100)
    echo.signal(signal.SIGTERM)
    for one in clients:
        one.join(30)
    assert not lost
    ends_early(echo)
