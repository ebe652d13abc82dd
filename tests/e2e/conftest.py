"""Fixtures of the end-to-end tests; what they give is in harness.py."""
import pytest

from harness import POSTERN, POSTERND, Receiver, Server


def pytest_configure():
    for program in (POSTERND, POSTERN):
        if not program.exists():
            raise pytest.UsageError(f"{program} is missing: run tools/build, or set POSTERN_BUILD")


def finish(server):
    """Stops it the proper way; its log is shown by pytest where the test failed."""
    print(server.log())
    server.stop()
    server.assert_no_sanitizer_report()


@pytest.fixture
def make_server(tmp_path):
    """make_server(*flags, …): a started server; stopped, and its exit checked, after the test."""
    servers = []

    def make(*flags, start=True, **more):
        server = Server(tmp_path / f"server{len(servers)}", flags, **more)
        servers.append(server)
        return server.start() if start else server

    yield make
    for server in servers:
        finish(server)


@pytest.fixture
def server(make_server):
    """A server with default limits that may deliver to loopback."""
    return make_server()


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory):
    """One server for all tests of a file that only send requests, each with a key of its own."""
    server = Server(tmp_path_factory.mktemp("shared")).start()
    yield server
    finish(server)


@pytest.fixture
def make_receiver(tmp_path):
    """make_receiver(tls=False): a subscriber on loopback."""
    receivers = []

    def make(**more):
        receiver = Receiver(tmp_path / f"receiver{len(receivers)}", **more)
        receivers.append(receiver)
        return receiver

    yield make
    for receiver in receivers:
        receiver.close()


@pytest.fixture
def receiver(make_receiver):
    return make_receiver()
