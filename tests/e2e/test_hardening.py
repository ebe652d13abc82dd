"""What the server gave up is gone in the running process, whoever started it; the parts, one by one,
are in tests/unit/ingest/test_hardening.c."""
import errno
import os
import re
import shutil
import socket
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest

from failing import HAS_SANITIZER
from harness import BUILD, POSTERND, SCHEMAS, Server, wait_until

NOBODY = 65534
KEPT_CAPABILITIES = 1 << 1 | 1 << 10  # ingest/hardening.c: DAC_OVERRIDE, NET_BIND_SERVICE
SCOPED_VERSION = 6  # of Landlock: it bounds signals too

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user, which needs root")
no_sanitizer = pytest.mark.skipif(HAS_SANITIZER, reason="the leak checker needs what is given up")


def statuses(server):
    """/proc's status of each thread."""
    for thread in Path(f"/proc/{server.process.pid}/task").iterdir():
        lines = (thread / "status").read_text().splitlines()
        yield dict(line.split(":\t", 1) for line in lines)


def landlock_version(server):
    return int(re.search(r'"hardened","landlock":(\d+),"seccomp":"on"', server.log())[1])


def test_every_thread_has_given_up_what_it_does_not_need(server):
    # Requests first, so that threads that are made late would be there.
    assert server.request("GET", "/api/events").status == 401
    threads = list(statuses(server))
    assert len(threads) > 3
    for status in threads:
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == "2"
        for which in ("CapPrm", "CapEff", "CapInh", "CapAmb"):
            assert int(status[which], 16) & ~KEPT_CAPABILITIES == 0, (which, status[which])
        if os.geteuid() == 0:
            assert int(status["CapBnd"], 16) & ~KEPT_CAPABILITIES == 0


def test_no_core_file_is_written(server):
    limits = Path(f"/proc/{server.process.pid}/limits").read_text()
    assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE)


def test_what_is_in_force_is_logged(server):
    assert landlock_version(server) >= 0
    assert ("runs as root" in server.log()) == (os.geteuid() == 0)


# The data directory.

def test_a_new_data_directory_is_for_its_owner_alone(server):
    assert stat.S_IMODE(server.data.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_data_directory_that_others_may_enter_is_closed(make_server, mode):
    server = make_server(start=False)
    server.data.mkdir(parents=True)
    server.data.chmod(mode)
    server.start()
    assert stat.S_IMODE(server.data.stat().st_mode) == 0o700
    server.stop()
    server.data.chmod(mode)  # with everything in it that a server leaves
    server.start()
    assert stat.S_IMODE(server.data.stat().st_mode) == 0o700


def test_a_directory_that_holds_other_things_stays_as_it_is(make_server):
    server = make_server(start=False)
    server.data.mkdir(parents=True)
    server.data.chmod(0o755)
    (server.data / "somebody-elses").touch()
    server.start()
    assert stat.S_IMODE(server.data.stat().st_mode) == 0o755
    assert stat.S_IMODE((server.data / "store").stat().st_mode) == 0o700
    assert "chmod 700" in server.log()


# Taken over.

@pytest.fixture
def attempts(make_server, tmp_path):
    """(a server in which everything was tried, what became of each attempt)"""
    alien = tmp_path / "alien"
    alien.write_text("x")
    server = make_server(start=False)
    server.data.mkdir(parents=True)
    report = server.data / "report"
    name = f"postern-test-{os.getpid()}"
    server.environment = {"LD_PRELOAD": str(BUILD / "tests/support/libintruder.so"),
                          "INTRUDER_REPORT": str(report), "INTRUDER_ALIEN": str(alien),
                          "INTRUDER_ABSTRACT": name}
    with socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind("\0" + name)
        abstract.listen()
        server.start()
        wait_until(lambda: report.read_text().endswith("end 0\n"), "everything was tried")
    lines = [line.rsplit(" ", 1) for line in report.read_text().splitlines()]
    return server, {name: int(code) for name, code in lines}


EXPECTED = {
    "read an alien file": errno.EACCES,
    "write an alien file": errno.EACCES,
    "make a file elsewhere": errno.EACCES,
    "make a file in /etc": errno.EACCES,
    "remove an alien file": errno.EACCES,
    "look at another process": errno.EACCES,
    "give a file away": errno.EPERM,
    "read what the resolver reads": 0,
    "set the clock": errno.EPERM,
    "load a program into the kernel": errno.EPERM,
    "make an io_uring": errno.ENOSYS,
    "open a packet socket": errno.EAFNOSUPPORT,
    "open an internet socket": 0,
    "make a process": errno.EPERM,
    "trace another process": errno.EPERM,
    "signal another process": errno.EPERM,
    "connect to an abstract socket": errno.EPERM,
    "become another user": errno.EPERM,
    "make a namespace": errno.EPERM,
    "mount": errno.EPERM,
    "run a program": errno.EPERM,
    "end": 0,
}
NEEDS_LANDLOCK = [name for name, code in EXPECTED.items() if code == errno.EACCES]
NEEDS_SCOPES = ["signal another process", "connect to an abstract socket"]


@no_sanitizer
def test_who_takes_the_process_over_gets_nowhere(attempts):
    server, found = attempts
    expected = dict(EXPECTED)
    version = landlock_version(server)
    for name in (NEEDS_LANDLOCK if version < 1 else []) + \
            (NEEDS_SCOPES if version < SCOPED_VERSION else []):
        del expected[name], found[name]  # what the kernel lacks
    assert found == expected
    assert server.request("GET", "/api/events").status == 401


# As operators run it: as a user of its own.

class Unprivileged(Server):
    """A server that root starts as somebody else, from a place that anybody can read."""

    def __init__(self, folder):
        super().__init__(folder, schemas=folder / "schemas")
        self.program = folder / "posternd"
        shutil.copy(POSTERND, self.program)
        shutil.copytree(SCHEMAS, self.schemas)
        folder.chmod(0o755)
        self.data.mkdir(mode=0o700)
        os.chown(self.data, NOBODY, NOBODY)

    def command(self, *more):
        return [*as_nobody(self.program), *super().command(*more)[1:]]


def as_nobody(*words):
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
            *map(str, words)]


def can_look_into(pid):
    """May somebody of the same user read that process's memory, or attach to it?"""
    code = "import ctypes, sys; sys.exit(ctypes.CDLL(None).ptrace(0x4206, int(sys.argv[1]), 0, 0))"
    read = subprocess.run(as_nobody("cat", f"/proc/{pid}/environ"), capture_output=True)
    attach = subprocess.run(as_nobody("/usr/bin/python3", "-c", code, pid))
    return read.returncode == 0, attach.returncode == 0


@needs_root
@no_sanitizer
def test_a_server_without_privileges_serves_and_cannot_be_looked_into():
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="postern-nobody-") as folder:
        server = Unprivileged(Path(folder))
        server.start()
        try:
            for status in statuses(server):
                assert status["Uid"].split() == [str(NOBODY)] * 4
                assert {int(status[which], 16) for which in ("CapPrm", "CapEff", "CapAmb")} == {0}
                assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
            assert "runs as root" not in server.log()
            key = server.create_key("*:write")
            assert server.post("vendor", {"vendorNumber": "V", "name": "x"}, key).status == 200
            assert can_look_into(server.process.pid) == (False, False)
            # The test of this test: a process that does not forbid it can be.
            with subprocess.Popen(as_nobody("sleep", "60")) as other:
                wait_until(lambda: Path(f"/proc/{other.pid}/comm").read_text() == "sleep\n")
                assert can_look_into(other.pid) == (True, True)
                other.kill()
        finally:
            server.stop()


@no_sanitizer
def test_the_program_is_built_as_the_security_page_says():
    def said(*what):
        return subprocess.run(["readelf", "-W", *what, POSTERND], capture_output=True, text=True,
                              check=True).stdout

    assert re.search(r"FLAGS_1\).*\bNOW\b.*\bPIE\b", said("-d"))
    assert "GNU_RELRO" in said("-l")
    assert re.search(r"GNU_STACK .* RW  ", said("-l"))
    symbols = said("--dyn-syms")
    assert "__stack_chk_fail@" in symbols
    assert re.search(r" __(?!stack)\w+_chk@", symbols)
