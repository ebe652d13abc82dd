"""Receivers that speak HTTP/2, and misuse it: streams reset, connections taken away, windows that never
open. What they cost, and that everything arrives once they behave."""
import json
import socket
import ssl
import threading
import time
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import pytest

from harness import make_certificate, wait_until
from test_delivery import FOREVER, accept, deliveries, order, writer_of


class Http2Receiver:
    """behaviour: ok, reset (each stream), goaway (after each answer), stall (no answer, no window),
    headers (without end), refuse (REFUSED_STREAM), silent (accepts and says nothing, not even TLS)"""

    def __init__(self, folder, behaviour):
        self.behaviour = behaviour
        self.taken = []
        self.certificate = make_certificate(folder)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.certificate, Path(folder, "receiver.key"))
        self.context.set_alpn_protocols(["h2"])
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"https://127.0.0.1:{self.listener.getsockname()[1]}/hook"
        self.connections = 0
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(plain,), daemon=True).start()

    def serve(self, plain):
        try:
            if self.behaviour == "silent":
                time.sleep(3600)
            connection = self.context.wrap_socket(plain, server_side=True)
            self.talk(connection)
        except (OSError, h2.exceptions.ProtocolError):
            pass
        finally:
            plain.close()

    def talk(self, connection):
        settings = h2.config.H2Configuration(client_side=False)
        h2c = h2.connection.H2Connection(config=settings)
        h2c.initiate_connection()
        connection.sendall(h2c.data_to_send())
        bodies = {}
        while True:
            data = connection.recv(65536)
            if not data:
                return
            for event in h2c.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    bodies[event.stream_id] = [dict(event.headers), b""]
                elif isinstance(event, h2.events.DataReceived):
                    bodies[event.stream_id][1] += event.data
                    if self.behaviour != "stall":
                        h2c.acknowledge_received_data(event.flow_controlled_length,
                                                      event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    self.answer(h2c, event.stream_id, *bodies.pop(event.stream_id))
            connection.sendall(h2c.data_to_send())

    def answer(self, h2c, stream, headers, body):
        if self.behaviour == "reset":
            h2c.reset_stream(stream, 2)
        elif self.behaviour == "refuse":
            h2c.reset_stream(stream, 7)
        elif self.behaviour == "headers":
            h2c.send_headers(stream, [(":status", "200")] + [("x-more", "y" * 4000)] * 20, True)
        elif self.behaviour != "stall":
            self.taken.append((headers, body))
            h2c.send_headers(stream, [(":status", "200")], True)
            if self.behaviour == "goaway":
                h2c.close_connection()

    def close(self):
        self.listener.close()


@pytest.fixture
def make_http2_receiver(tmp_path):
    receivers = []

    def make(behaviour):
        receivers.append(Http2Receiver(tmp_path / f"http2-{len(receivers)}", behaviour))
        return receivers[-1]

    yield make
    for receiver in receivers:
        receiver.close()


def cpu_s(server):
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


@pytest.mark.parametrize("behaviour", ["reset", "refuse", "goaway", "headers", "stall", "silent"])
def test_a_receiver_that_misuses_http2_gets_everything_once_it_behaves(
        make_server, make_http2_receiver, behaviour):
    receiver = make_http2_receiver(behaviour)
    server = make_server("--deliver-ca", receiver.certificate, "--deliver-timeout", "2s", *FOREVER)
    server.create_endpoint(receiver.url)
    key = writer_of(server)
    accepted = {accept(server, key, order(i))["events"][0]["id"] for i in range(20)}
    wait_until(lambda: any(one["attempts"] for one in deliveries(server)), "an attempt ended")
    receiver.behaviour = "ok"
    wait_until(lambda: len(deliveries(server, "--status", "delivered")) == 20, "all delivered", 60)
    assert {json.loads(body)["id"] for _, body in receiver.taken} == accepted


def test_http2_receivers_that_hang_cost_no_processor_time(make_server, make_http2_receiver):
    stalled, silent = make_http2_receiver("stall"), make_http2_receiver("silent")
    server = make_server("--deliver-ca", stalled.certificate)
    for receiver in (stalled, silent):
        server.create_endpoint(receiver.url)
    key = writer_of(server)
    for i in range(20):
        accept(server, key, order(i, description="x" * 5000))
    wait_until(lambda: stalled.connections and silent.connections, "both are connected to")
    before_s, begin = cpu_s(server), time.monotonic()
    wait_until(lambda: time.monotonic() - begin > 2, "two seconds")
    assert cpu_s(server) - before_s < 1


def test_a_body_beyond_the_receivers_window_is_sent_as_it_opens(make_server, make_http2_receiver):
    receiver = make_http2_receiver("ok")
    server = make_server("--deliver-ca", receiver.certificate)
    server.create_endpoint(receiver.url)
    large = {f"part{i}": "x" * 9000 for i in range(100)}
    accept(server, writer_of(server), order(1, **large))
    wait_until(lambda: receiver.taken, "it arrived")
    headers, body = receiver.taken[0]
    assert len(body) > 900_000
    assert int(headers[b"content-length"] if b"content-length" in headers
               else headers["content-length"]) == len(body)
