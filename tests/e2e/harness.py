"""What the end-to-end tests drive Postern with: the server, its tools, requests, a receiver.

    def test_a_record_is_kept(server):
        key = server.create_key("workorder:write", "workorder:read")
        answer = server.post("workorder", {"workOrderNumber": "WO-1", "title": "x"}, key)
        assert answer.status == 200

Nothing here sleeps for a guessed time: wait_until() looks for a condition until a deadline.
The binaries are taken from the folder that POSTERN_BUILD names (build).
"""
import contextlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / os.environ.get("POSTERN_BUILD", "build")
POSTERND = BUILD / "ingest/posternd"
POSTERN = BUILD / "tools/postern"
SCHEMAS = ROOT / "schemas/types"
DEADLINE_S = 30  # generous: sanitizers on a busy machine
SANITIZER_REPORT = re.compile(r"(ERROR: (Address|Leak|Thread)Sanitizer|runtime error:)")

# Free on loopback, and told that loopback may be delivered to.
SERVER_FLAGS = ["--listen", "127.0.0.1:0", "--listen-cleartext", "127.0.0.1:0",
                "--admin-listen", "127.0.0.1:0"]
DELIVER_TO_LOOPBACK = ["--deliver-allow", "127.0.0.0/8", "--deliver-http"]


def wait_until(condition, what="the condition", deadline_s=DEADLINE_S):
    """Returns the first true value of condition(), which is called again and again."""
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {deadline_s} s")
        time.sleep(0.01)


def cpu_s(pid):
    """Processor seconds that the process has used, its children's not counted."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def own_memory(pid):
    """Its anonymous memory, in bytes; the store's map is the disk's cache and does not count."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+)", status)[1]) << 10


def clock_files(pid):
    """libfaketime's shared memory for that process. A server cannot remove its own: it reaches no file
    but those of its data directory by then."""
    paths = Path("/dev/shm", f"faketime_shm_{pid}"), Path("/dev/shm", f"sem.faketime_sem_{pid}")
    return [path for path in paths if path.exists()]


@contextlib.contextmanager
def repeating(step):
    """Calls step() again and again beside what happens inside; what it raises is raised at the end."""
    stop, errors = threading.Event(), []

    def run():
        try:
            step()
            while not stop.wait(0.01):
                step()
        except Exception as error:  # raised below, in the test's own thread
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if errors:
        raise errors[0]


def clean_environment(**extra):
    """Ours without POSTERN_ variables, which would be settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("POSTERN_")}
    return {**kept, **extra}


@dataclass
class Key:
    id: str
    key: str


class Headers:
    """Looked up without regard to case; get_all() where a name comes more than once."""

    def __init__(self, pairs):
        self.pairs = pairs

    def get_all(self, name):
        return [value for given, value in self.pairs if given.lower() == name.lower()]

    def get(self, name, default=None):
        values = self.get_all(name)
        return values[0] if values else default

    def __getitem__(self, name):
        value = self.get(name)
        if value is None:
            raise KeyError(f"{name}; there are {[given for given, _ in self.pairs]}")
        return value

    def __contains__(self, name):
        return self.get(name) is not None


@dataclass
class Answer:
    status: int
    version: str  # "1.1" or "2"
    headers: Headers
    body: bytes

    def json(self):
        return json.loads(self.body)

    def ndjson(self):
        return [json.loads(line) for line in self.body.splitlines() if line]


def curl(url, method="GET", body=None, headers=None, http="2", timeout_s=DEADLINE_S, extra=()):
    """One request. http: "1.1", "2" (over TLS, or upgraded to 1.1), "2-prior" (h2c).
    `headers` is a dict or a list of pairs; `body` bytes, str, or anything that JSON can say."""
    flag = {"1.1": "--http1.1", "2": "--http2", "2-prior": "--http2-prior-knowledge"}[http]
    pairs = list(headers.items()) if isinstance(headers, dict) else list(headers or [])
    if body is not None and not isinstance(body, (bytes, str)):
        body = json.dumps(body)
    with tempfile.TemporaryDirectory() as folder:
        head_file, body_file = Path(folder, "head"), Path(folder, "body")
        command = ["curl", "-sS", "-k", "--path-as-is", flag, "-X", method, "-D", head_file,
                   "-o", body_file, "--max-time", str(timeout_s), "-w", "%{http_version}"]
        if method == "HEAD":
            command.append("--head")
        for name, value in pairs:
            command += ["-H", f"{name}: {value}" if value != "" else f"{name};"]
        if body is not None:
            command += ["--data-binary", "@-"]
            if not any(name.lower() == "content-type" for name, _ in pairs):
                command += ["-H", "Content-Type: application/json"]
        command += [*extra, url]
        done = subprocess.run(command, input=body.encode() if isinstance(body, str) else body,
                              stdin=subprocess.DEVNULL if body is None else None,
                              capture_output=True, timeout=timeout_s + 10)
        if done.returncode != 0:
            raise ConnectionError(f"curl: {done.stderr.decode(errors='replace').strip()}")
        # The last block is the answer's; those before are 100 Continue and the like.
        head = head_file.read_bytes().decode("latin-1").split("\r\n\r\n")
        block = [part for part in head if part.strip()][-1].split("\r\n")
        parsed = [tuple(part.strip() for part in line.split(":", 1)) for line in block[1:]]
        content = body_file.read_bytes() if body_file.exists() else b""
    return Answer(int(block[0].split()[1]), done.stdout.decode().strip(), Headers(parsed), content)


class Server:
    """posternd on a data directory of its own."""

    def __init__(self, folder, flags=(), deliver_to_loopback=True, schemas=SCHEMAS,
                 environment=None):
        self.folder = Path(folder)
        self.data = self.folder / "data"
        self.schemas = schemas
        self.flags = [*(DELIVER_TO_LOOPBACK if deliver_to_loopback else []), *flags]
        self.environment = environment or {}
        self.process = None
        self.pids = []  # of all its lives
        self.log_path = self.folder / "posternd.stderr"
        self.out_path = self.folder / "posternd.stdout"

    # Life.

    def command(self, *more):
        return [str(word) for word in [POSTERND, "--data", self.data, "--schemas", self.schemas,
                                       *SERVER_FLAGS, *self.flags, *more]]

    def start(self, *more_flags):
        assert self.process is None, "it runs already"
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.data / "posternd.json").unlink(missing_ok=True)
        with open(self.log_path, "ab") as log, open(self.out_path, "ab") as out:
            self.process = subprocess.Popen(self.command(*more_flags), stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=log,
                                            env=clean_environment(**self.environment))
        self.pids.append(self.process.pid)
        wait_until(self.is_ready, "posternd is ready")
        return self

    def is_ready(self):
        if self.process.poll() is not None:
            status, self.process = self.process.returncode, None
            raise AssertionError(f"posternd ended with {status}\n{self.log()}")
        try:
            self.addresses = json.loads((self.data / "posternd.json").read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return False
        return self.addresses["pid"] == self.process.pid

    def stop(self):
        """SIGTERM: must drain and exit 0, without a sanitizer's complaint."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            self.process = None
            raise AssertionError(f"no end {DEADLINE_S} s after SIGTERM\n{self.log()}") from None
        self.process = None
        self.remove_clocks()
        self.assert_no_sanitizer_report()
        assert status == 0, f"exit status {status} after SIGTERM\n{self.log()}"

    def kill(self):
        """As a power cut takes it: no warning, nothing flushed."""
        self.process.kill()
        self.process.wait()
        self.process = None
        self.remove_clocks()

    def remove_clocks(self):
        """Of lives that are over."""
        for pid in self.pids:
            for path in clock_files(pid):
                path.unlink()

    def restart(self, *more_flags):
        self.stop()
        return self.start(*more_flags)

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def assert_no_sanitizer_report(self):
        assert not SANITIZER_REPORT.search(self.log()), self.log()

    # Addresses.

    @property
    def https(self):
        return self.addresses["listen"][0]

    @property
    def http(self):
        return self.addresses["cleartext"][0]

    @property
    def admin(self):
        return self.addresses["admin"]

    # Requests.

    def request(self, method, path, body=None, key=None, headers=None, http="2", base=None, **more):
        pairs = list(headers.items()) if isinstance(headers, dict) else list(headers or [])
        if key is not None:
            pairs.append(("X-API-Key", key.key if isinstance(key, Key) else key))
        return curl((base or self.https) + path, method, body, pairs, http, **more)

    def post(self, record_type, record, key, **more):
        return self.request("POST", f"/api/webhook/{record_type}", record, key, **more)

    def get(self, record_type, name, key, **more):
        return self.request("GET", f"/api/webhook/{record_type}/{name}", key=key, **more)

    def patch(self, record_type, name, patch, key, **more):
        return self.request("PATCH", f"/api/webhook/{record_type}/{name}", patch, key, **more)

    def delete(self, record_type, name, key, **more):
        return self.request("DELETE", f"/api/webhook/{record_type}/{name}", key=key, **more)

    def batch(self, record_type, records, key, headers=None, **more):
        lines = "".join(record if isinstance(record, str) else json.dumps(record) + "\n"
                        for record in records)
        return self.request("POST", f"/api/webhook/{record_type}", lines, key,
                            [("Content-Type", "application/x-ndjson"), *(headers or {}).items()],
                            **more)

    # Tools.

    def tool(self, *words, check=True, stdin=None, timeout_s=60, environment=None):
        """`postern WORDS…`; the CompletedProcess with text. check: its exit status must be 0."""
        done = subprocess.run([str(word) for word in [POSTERN, "--data", self.data, *words]],
                              input=stdin, stdin=subprocess.DEVNULL if stdin is None else None,
                              capture_output=True, text=True, timeout=timeout_s,
                              env=clean_environment(**(environment or {})))
        assert not SANITIZER_REPORT.search(done.stderr), done.stderr
        if check:
            assert done.returncode == 0, f"postern {' '.join(map(str, words))}: exit status " \
                                         f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def tool_json(self, *words, **more):
        return json.loads(self.tool("--output", "json", *words, **more).stdout)

    def create_key(self, *scopes, label="test", flags=()):
        """A key that the server knows already (it sees changes within a second)."""
        words = ["keys", "create", "--label", label, *flags]
        for scope in scopes:
            words += ["--scope", scope]
        made = self.tool_json(*words)
        if self.process:
            # Asked with a key made later, so that no request counts against this one's limits.
            probe = self.tool_json("keys", "create", "--label", "probe")["key"]
            wait_until(lambda: self.request("GET", "/api/events", key=probe).status != 401,
                       "the server knows the key", 10)
        return Key(made["id"], made["key"])

    def create_endpoint(self, url, *events, flags=()):
        words = ["endpoints", "create", "--url", url, *flags]
        for event in events:
            words += ["--event", event]
        return self.tool_json(*words)


@dataclass
class Delivery:
    path: str
    headers: Headers
    body: bytes
    at: float  # monotonic

    def json(self):
        return json.loads(self.body)


class QuietServer(ThreadingHTTPServer):
    """Says nothing of senders that go away, which some tests make them do."""

    def handle_error(self, request, client_address):
        pass


class Receiver:
    """A subscriber on loopback that keeps what it is sent.

    It answers `status`, unless next_statuses holds one; hold() lets requests wait until release().
    tls: serves https with a certificate of its own authority, whose file is `ca`.
    """

    def __init__(self, folder, tls=False):
        self.status = 200
        self.next_statuses = []
        self.answer_headers = {}
        self.answer_body = b""
        self.deliveries = []
        self.connections = []
        self.lock = threading.Lock()
        self.gate = threading.Event()
        self.gate.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                with receiver.lock:
                    receiver.connections.append(self.connection)

            def do_POST(self):
                receiver.take(self)

            def log_message(self, *_):
                pass

        self.server = QuietServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.ca = None
        if tls:
            self.ca = make_certificate(folder)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.ca, Path(folder, "receiver.key"))
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.server.server_port}/hook"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def take(self, handler):
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        with self.lock:
            self.deliveries.append(Delivery(handler.path, Headers(list(handler.headers.items())),
                                            body, time.monotonic()))
            status = self.next_statuses.pop(0) if self.next_statuses else self.status
        self.gate.wait(DEADLINE_S)
        try:
            handler.send_response(status)
            for name, value in self.answer_headers.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(self.answer_body)))
            handler.end_headers()
            handler.wfile.write(self.answer_body)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            pass  # the sender gave up waiting, which some tests want

    def hold(self):
        self.gate.clear()

    def release(self):
        self.gate.set()

    def close_connections(self):
        """All that are open; senders have to connect anew."""
        with self.lock:
            for connection in self.connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self.connections.clear()

    def of_event(self, event=None):
        with self.lock:
            return [one for one in self.deliveries
                    if event is None or one.headers.get("X-Webhook-Event") == event]

    def wait_for(self, count=1, event=None, deadline_s=DEADLINE_S):
        wait_until(lambda: len(self.of_event(event)) >= count,
                   f"{count} deliveries of {event or 'any event'}", deadline_s)
        return self.of_event(event)

    def close(self):
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()


def make_certificate(folder):
    """A certificate for 127.0.0.1 that is its own authority; its path, the key beside it."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    certificate = folder / "receiver.crt"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                    "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
                    "-keyout", folder / "receiver.key", "-out", certificate],
                   check=True, capture_output=True)
    return certificate
