"""Clients below the level of libraries, for what a library would not send: bytes, HTTP/2 frames; and
http_echo, the HTTP layer with nothing behind it, to send them to.

    with Wire(echo.clear) as wire:            # or echo.tls; h2=True sends the preface
        wire.send(b"GET /hello HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
        assert wire.answer().status == 200
"""
import json
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import hpack

from harness import BUILD, DEADLINE_S, SANITIZER_REPORT, cpu_s, wait_until

PROGRAM = BUILD / "tests/support/http_echo"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, \
    CONTINUATION = range(10)
END_STREAM, END_HEADERS, ACK, PADDED, HAS_PRIORITY = 0x1, 0x4, 0x1, 0x8, 0x20
NO_ERROR, PROTOCOL_ERROR, STREAM_CLOSED, REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM = 0, 1, 5, 7, 8, 11


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + \
        struct.pack(">I", stream) + payload


def settings(**pairs):
    numbers = {"initial_window": 4, "header_table": 1}
    return frame(SETTINGS, payload=b"".join(struct.pack(">HI", numbers[name], value)
                                            for name, value in pairs.items()))


def rst(stream, code=CANCEL):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def window_update(stream, increment):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))


def head(path="/hello", method="GET", *more, scheme="https"):
    """A header block that leaves the dynamic table alone, so that it can be sent again and again."""
    fields = [(":method", method), (":scheme", scheme), (":path", path), (":authority", "x"), *more]
    block = b""
    for name, value in fields:
        name, value = name.encode(), value if isinstance(value, bytes) else str(value).encode()
        block += b"\x00" + hpack_string(name) + hpack_string(value)
    return block


def hpack_string(text):
    return hpack_int(len(text), 7) + text


def hpack_int(number, prefix_bits, first=0):
    mask = (1 << prefix_bits) - 1
    if number < mask:
        return bytes([first | number])
    out, number = bytes([first | mask]), number - mask
    while number >= 128:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def request(stream, path="/hello", method="GET", *more, body=None):
    """Frames of a whole request; body=b"" sends an empty DATA frame."""
    block = head(path, method, *more)
    if body is None:
        return frame(HEADERS, END_HEADERS | END_STREAM, stream, block)
    out = frame(HEADERS, END_HEADERS, stream, block)
    pieces = [body[i:i + 16384] for i in range(0, len(body), 16384)] or [b""]
    for piece in pieces[:-1]:
        out += frame(DATA, 0, stream, piece)
    return out + frame(DATA, END_STREAM, stream, pieces[-1])


@dataclass
class Answer:
    status: int = 0
    headers: dict = field(default_factory=dict)
    body: bytes = b""
    is_ended: bool = False
    head_bytes: int = 0  # HTTP/2: of the last header block, as encoded
    reset: int = None  # the code of RST_STREAM

    def json(self):
        return json.loads(self.body)


class Closed(Exception):
    """The server closed the connection."""


class Wire:
    def __init__(self, address, h2=False, receive_buffer=None, mss=None, timeout_s=DEADLINE_S,
                 first=b"", session=None, context=None):
        self.sock = socket.socket()
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if mss:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, mss)
        self.sock.settimeout(timeout_s)
        self.sock.connect(address[:2])
        self.begin(address, h2, first, session, context)

    @classmethod
    def from_socket(cls, sock, address, h2=False):
        """Of a socket that is connected already."""
        wire = cls.__new__(cls)
        wire.sock = sock
        wire.begin(address, h2)
        return wire

    def begin(self, address, h2, first=b"", session=None, context=None):
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if address[2]:
            context = context or client_context(["h2"] if h2 else ["http/1.1"])
            self.sock = context.wrap_socket(self.sock, server_hostname="localhost", session=session)
        self.input = b""
        self.streams = {}
        self.goaways = []  # (last stream, code)
        self.frames = []   # (kind, flags, stream, payload) of other kinds
        self.decoder = hpack.Decoder()
        self.is_http2 = h2
        if h2:
            self.send(PREFACE + (first or settings()))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def reset(self):
        """Ends it with RST, not FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.sock.detach())

    def half_close(self):
        socket.socket.shutdown(self.sock, socket.SHUT_WR)  # of TCP, not TLS's farewell

    def send(self, *parts):
        self.sock.sendall(b"".join(parts))

    def send_until_closed(self, data, seconds):
        """Sends it again and again; how many bytes it took until the server closed, or the time was
        over (None)."""
        sent, end = 0, time.monotonic() + seconds
        self.sock.settimeout(0.5)
        while time.monotonic() < end:
            try:
                sent += self.sock.send(data)
            except (TimeoutError, ssl.SSLWantWriteError):
                continue
            except OSError:
                return sent
        return None

    def read_some(self):
        try:
            data = self.sock.recv(65536)
        except (ConnectionError, ssl.SSLError) as error:
            raise Closed(str(error)) from None
        if not data:
            raise Closed("end of file")
        self.input += data

    def is_closed(self, seconds=DEADLINE_S):
        """Reads until the server closes; false if it does not in that time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.sock.settimeout(max(0.01, end - time.monotonic()))
            try:
                self.read_some()
                if self.is_http2:
                    self.take_frames()
                else:
                    self.input = self.input[-65536:]
            except Closed:
                return True
            except TimeoutError:
                return False
        return False

    # HTTP/1

    def read_until(self, mark):
        while mark not in self.input:
            self.read_some()
        before, self.input = self.input.split(mark, 1)
        return before

    def answer(self, has_body=True):
        """The next answer of HTTP/1."""
        lines = self.read_until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        answer = Answer(int(lines[0].split()[1]))
        for line in lines[1:]:
            name, value = line.split(":", 1)
            answer.headers[name.lower()] = value.strip()
        length = int(answer.headers.get("content-length", 0)) if has_body else 0
        while len(self.input) < length:
            self.read_some()
        answer.body, self.input = self.input[:length], self.input[length:]
        return answer

    # HTTP/2

    def take_frames(self):
        while len(self.input) >= 9:
            length = int.from_bytes(self.input[:3], "big")
            if len(self.input) < 9 + length:
                return
            kind, flags = self.input[3], self.input[4]
            stream = int.from_bytes(self.input[5:9], "big") & 0x7fffffff
            payload, self.input = self.input[9:9 + length], self.input[9 + length:]
            self.take(kind, flags, stream, payload)

    def take(self, kind, flags, stream, payload):
        answer = self.streams.setdefault(stream, Answer()) if stream else None
        if kind == HEADERS:
            answer.head_bytes = len(payload)
            for name, value in self.decoder.decode(payload):
                if name == ":status":
                    answer.status = int(value)
                else:
                    answer.headers[name] = value
        elif kind == DATA:
            answer.body += payload
        elif kind == RST_STREAM:
            answer.reset = int.from_bytes(payload, "big")
        elif kind == GOAWAY:
            self.goaways.append(struct.unpack(">II", payload[:8]))
        else:
            self.frames.append((kind, flags, stream, payload))
        if kind in (HEADERS, DATA) and flags & END_STREAM:
            answer.is_ended = True

    def read_frames(self, condition, what="the frames"):
        """Reads until condition() is true."""
        end = time.monotonic() + DEADLINE_S
        self.take_frames()
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"{what}: not in time")
            self.read_some()
            self.take_frames()

    def stream(self, number):
        """The answer on that stream, when it is complete or reset."""
        def is_over():
            answer = self.streams.get(number)
            return answer and (answer.is_ended or answer.reset is not None)
        self.read_frames(is_over, f"an answer on stream {number}")
        return self.streams[number]

    def count(self, kind):
        return sum(1 for one in self.frames if one[0] == kind)


def client_context(alpn=("h2",)):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


class Echo:
    """http_echo, running."""

    def __init__(self, folder, *flags, admin=None, environment=None, before=()):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.cert, self.key = self.folder / "cert.pem", self.folder / "key.pem"
        self.log_path = self.folder / "stderr"
        self.out_path = self.folder / "stdout"
        command = [*before, PROGRAM, "--tls", self.cert, self.key, *flags]
        if admin:
            command += ["--admin", admin]
        with open(self.log_path, "wb") as log, open(self.out_path, "wb") as out:
            self.process = subprocess.Popen([str(word) for word in command], stdout=out, stderr=log,
                                            stdin=subprocess.DEVNULL,
                                            env={**os.environ, **(environment or {})})
        self.has_sanitizer = b"__asan_init" in PROGRAM.read_bytes()
        announced = wait_until(self.announcement, "http_echo serves")
        self.pid = announced["pid"]
        self.clear = address_of(announced["cleartext"])
        self.tls = address_of(announced["tls"])
        self.admin = announced.get("admin")

    def announcement(self):
        if self.process.poll() is not None:
            raise AssertionError(f"http_echo ended with {self.process.returncode}\n{self.log()}")
        lines = self.out_path.read_text().splitlines(keepends=True)
        return json.loads(lines[0]) if lines and lines[0].endswith("\n") else None

    def log(self):
        return self.log_path.read_text(errors="replace")

    def output(self):
        return self.out_path.read_text().splitlines()[1:]

    def stats(self):
        with Wire(self.clear) as wire:
            wire.send(b"GET /stats HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return wire.answer().json()

    def is_serving(self, deadline_s=10):
        with Wire(self.clear, timeout_s=deadline_s) as wire:
            wire.send(b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return wire.answer().body == b"hello"

    def others(self):
        """Connections besides the one that asks."""
        return self.stats()["connections_now"] - 1

    def memory(self):
        return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text())[1]) << 10

    def cpu_s(self):
        return cpu_s(self.pid)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self, deadline_s=DEADLINE_S):
        """SIGTERM: drains and exits 0, in silence."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            status = self.process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"no end {deadline_s} s after SIGTERM") from None
        log = self.log()
        assert not SANITIZER_REPORT.search(log), log
        assert status == 0, f"exit status {status}\n{log}"
        assert log == "", f"something was written to standard error:\n{log[:2000]}"


def address_of(url):
    parts = urlsplit(url)
    return parts.hostname, parts.port, parts.scheme == "https"
