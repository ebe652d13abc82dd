"""The servers that ./tests/bench measures, and what the kernel says of each.

A Process starts in its constructor and ends in stop(); Running ends all of them, however the run ends.
`run(case, seconds)` gives requests, errors, rate, p50/p99/p999 (ms), cpu_us, written_bytes, memory_mib.
"""
import base64
import contextlib
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
HERE = ROOT / "tests/benchmarks"
BUILD = ROOT / os.environ.get("POSTERN_BUILD", "build")
BODY = HERE / "workorder.json"
TYPES = ROOT / "schemas/types"
LIMIT = "1000000000"


class Running:
    """What was started: stopped in reverse, once, also when the run is cut short."""

    def __init__(self, folder):
        self.stack = contextlib.ExitStack()
        self.folder = Path(self.stack.enter_context(
            tempfile.TemporaryDirectory(prefix="postern-bench-", dir=folder)))
        self.folder.chmod(0o711)  # PostgreSQL's own user passes through

    def __enter__(self):
        return self

    def __exit__(self, *_):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.stack.close()

    def start(self, kind, *args, **options):
        folder = self.folder / kind.name
        folder.mkdir(exist_ok=True)
        server = kind(folder, *args, **options)
        self.stack.callback(server.stop)
        return server


class Process:
    stop_signal = signal.SIGTERM
    key = "bench"

    def __init__(self, folder, command, **more):
        self.folder = folder
        self.next_start = 1
        # A session of its own: Ctrl-C is for us, and we stop what we started.
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL,
                                        stderr=(folder / "errors").open("a"), text=True,
                                        start_new_session=True, **more)

    def takes(self, case):
        return True

    def pids(self):
        found, wanted = [], [self.process.pid]
        while wanted:
            pid = wanted.pop()
            found.append(pid)
            with contextlib.suppress(OSError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    wanted += [int(word) for word in (task / "children").read_text().split()]
        return found

    def used(self):
        """CPU seconds and bytes in write calls, of all its processes and those that they waited for.

        Not the kernel's write_bytes: for one page written, that counts the whole folio.
        """
        cpu_s, written = 0, 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                cpu_s += sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")
                written += int(line_of(f"/proc/{pid}/io", "wchar:"))
        return cpu_s, written

    def memory_mib(self):
        """Anonymous and shared memory: what cannot be dropped, unlike the store's mapped pages."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                total += int(line_of(f"/proc/{pid}/status", "RssAnon:"))
        shared = [0]
        for pid in self.pids():
            with contextlib.suppress(OSError):
                shared.append(int(line_of(f"/proc/{pid}/status", "RssShmem:")))
        return (total + max(shared)) / 1024

    def addresses(self):
        """The TLS and the cleartext address that it prints when it serves."""
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.name} did not start: {(self.folder / 'errors').read_text()[-2000:]}")
        return line.split()

    def load(self, words, seconds):
        done = subprocess.run([BUILD / "tests/benchmarks/load", "--seconds", str(seconds),
                               "--key", self.key, *words],
                              capture_output=True, text=True, timeout=seconds + 60)
        if not done.stdout:
            sys.exit(f"load {self.name}: {done.stderr}")
        result = json.loads(done.stdout)
        if result["errors"]:
            print(f"{self.name}: {result['errors']} errors: {done.stderr.strip()}")
        return result

    def to(self, protocol, connections, streams):
        address = self.tls if "TLS" in protocol else self.clear
        return ["--to", address.split("//")[1], *(["--tls"] if "TLS" in protocol else []),
                *(["--h1"] if "h1" in protocol else []),
                "--connections", str(connections), "--streams", str(streams)]

    def send(self, to, seconds, *more, lines=1):
        """New records; every one of them has a number of its own."""
        result = self.load([*to, "--start", str(self.next_start), *more, BODY], seconds)
        self.next_start += (result["requests"] + result["errors"] + 4096) * lines
        return result

    def run(self, case, seconds, *more):
        before_cpu, before_written = self.used()
        with self.watched_memory() as peak:
            result = self.send(self.to(case.protocol, case.connections, case.streams), seconds, *more)
        cpu_s, written = self.used()
        count = max(1, result["requests"])
        return {**result, "cpu_us": 1e6 * (cpu_s - before_cpu) / count,
                "written_bytes": (written - before_written) / count, "memory_mib": peak[0]}

    @contextlib.contextmanager
    def watched_memory(self):
        """The most that it has meanwhile, as the one element of a list."""
        peak, is_over = [self.memory_mib()], threading.Event()

        def watch():
            while not is_over.wait(0.1):
                peak[0] = max(peak[0], self.memory_mib())
        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield peak
        finally:
            is_over.set()
            thread.join()

    def settle(self):
        """What its last run has left to do is done: nobody else is to pay for it."""
        os.sync()

    def stop(self):
        if self.process.poll() is not None:
            return
        self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Postern(Process):
    name = "postern"

    def __init__(self, folder):
        self.data = folder / "data"
        began = time.monotonic()
        super().__init__(folder, [
            BUILD / "ingest/posternd", "--data", self.data, "--schemas", TYPES,
            "--listen", "127.0.0.1:0", "--listen-cleartext", "127.0.0.1:0",
            "--admin-listen", "127.0.0.1:0", "--deliver-http", "--deliver-allow", "127.0.0.0/8"],
            stdout=subprocess.PIPE)
        self.addresses()
        self.start_s = time.monotonic() - began
        found = json.loads((self.data / "posternd.json").read_text())
        self.tls, self.clear = found["listen"][0], found["cleartext"][0]
        self.admin = found["admin"]
        self.key = self.tool("keys", "create", "--label", "bench", "--limit-minute", LIMIT,
                             "--limit-hour", LIMIT, "--scope", "*:write", "--scope", "*:read")["key"]

    def command(self, *words, output="json"):
        return [BUILD / "tools/postern", "--data", self.data, "--schemas", TYPES, "--output", output,
                *words]

    def tool(self, *words):
        done = subprocess.run(self.command(*words), capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"postern {' '.join(words)}: {done.stderr}")
        return json.loads(done.stdout)

    def metric(self, name):
        with urllib.request.urlopen(f"{self.admin}/metrics", timeout=10) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith(f"{name} "):
                    return float(line.split()[1])
        return 0.0

    def fill(self, records):
        """By batches of 1,000 lines; returns the records a second."""
        to = self.to("h2 clear", 2, 2)
        done = self.send(to, 3600, "--lines", "1000", "--count", str(max(1, records // 1000)),
                         lines=1000)
        return done["rate"] * 1000

    def disk_bytes(self):
        return sum(path.stat().st_blocks * 512 for path in self.data.rglob("*") if path.is_file())


class Floor(Process):
    name = "floor"

    def __init__(self, folder, tls_folder, is_keeping=True):
        super().__init__(folder, [BUILD / "tests/benchmarks/floor",
                                  folder / "data" if is_keeping else "-", os.cpu_count(),
                                  tls_folder / "cert.pem", tls_folder / "key.pem"],
                         stdout=subprocess.PIPE)
        self.tls, self.clear = self.addresses()


class Sink(Floor):
    """Answers 200 and keeps nothing: what deliveries go to."""
    name = "sink"

    def __init__(self, folder, tls_folder):
        super().__init__(folder, tls_folder, is_keeping=False)


class Node(Process):
    name = "node"

    def __init__(self, folder, tls_folder, packages, processes):
        super().__init__(folder, ["node", HERE / "node_service.mjs", folder / "data",
                                  TYPES / "workorder.schema.json", tls_folder / "cert.pem",
                                  tls_folder / "key.pem", processes],
                         stdout=subprocess.PIPE, cwd=packages)
        self.tls, self.clear = self.addresses()

    def takes(self, case):
        return case.protocol != "h2 clear"  # its HTTP/2 is for TLS alone


class Postgres(Process):
    """Debian's PostgreSQL on a Unix socket, with its own settings, but that it does not vacuum in the others'
    time; pgbench is its generator."""
    name = "postgres"
    stop_signal = signal.SIGINT  # its "fast" shutdown

    def __init__(self, folder):
        self.programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
        # It refuses to run as root.
        self.user = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
        self.as_user = {"user": self.user, "group": self.user, "extra_groups": []} \
            if os.getuid() == 0 else {}
        if os.getuid() == 0:
            shutil.chown(folder, self.user, self.user)
        data = folder / "data"
        subprocess.run([self.programs / "initdb", "--auth=trust", "-D", data], check=True, cwd=folder,
                       stdout=subprocess.DEVNULL, **self.as_user)
        super().__init__(folder, [self.programs / "postgres", "-D", data, "-k", folder,
                                  "-c", "listen_addresses=", "-c", "max_connections=300",
                                  "-c", "shared_buffers=256MB", "-c", "autovacuum=off"],
                         stdout=subprocess.DEVNULL, cwd=folder, **self.as_user)
        self.client = ["-h", folder, "-U", self.user]
        deadline = time.monotonic() + 30
        while subprocess.run([self.programs / "pg_isready", *self.client],
                             stdout=subprocess.DEVNULL).returncode != 0:
            if time.monotonic() > deadline:
                sys.exit(f"PostgreSQL: {(folder / 'errors').read_text()[-2000:]}")
            time.sleep(0.1)
        self.sql("-f", HERE / "postgres_tables.sql")
        self.script = folder / "record.sql"
        # In base64, because pgbench takes a colon for the beginning of a variable.
        body = base64.b64encode(BODY.read_bytes().strip()).decode()
        self.script.write_text((HERE / "postgres_record.sql").read_text().replace("@BODY@", body))

    def sql(self, *words):
        subprocess.run([self.programs / "psql", *self.client, "-q", "-v", "ON_ERROR_STOP=1", *words,
                        "postgres"], check=True)

    def settle(self):
        self.sql("-c", "CHECKPOINT")
        super().settle()

    def takes(self, case):
        """It speaks no HTTP, so once per number of clients is enough; and nobody has 1,024 sessions."""
        return case.protocol == "h2 TLS" and case.connections * case.streams <= 256

    def send(self, to, seconds, *more, lines=1):
        clients = to
        logs = Path(tempfile.mkdtemp(prefix="log-", dir=self.folder))
        done = subprocess.run([self.programs / "pgbench", *self.client, "-n", "-M", "prepared",
                               "-f", self.script, "-c", str(clients), "-j", str(min(clients, 2)),
                               "-T", str(max(2, round(seconds))), "-l", "--log-prefix", logs / "log",
                               "postgres"], capture_output=True, text=True, timeout=seconds + 60)
        if done.returncode != 0:
            sys.exit(f"pgbench: {done.stderr[-2000:]}")
        times_us = sorted(int(line.split()[2]) for file in logs.iterdir()
                          for line in file.read_text().splitlines())
        shutil.rmtree(logs)

        def percentile(fraction):
            return times_us[min(len(times_us) - 1, int(fraction * len(times_us)))] / 1000

        # Its own rate leaves out the time in which it connects.
        rate = float(re.search(r"^tps = ([0-9.]+)", done.stdout, re.MULTILINE)[1])
        return {"requests": len(times_us), "errors": 0, "rate": rate, "p50": percentile(0.5),
                "p99": percentile(0.99), "p999": percentile(0.999)}

    def to(self, protocol, connections, streams):
        return connections * streams


def line_of(path, name):
    for line in Path(path).read_text().splitlines():
        if line.startswith(name):
            return line.split()[1]
    return 0
