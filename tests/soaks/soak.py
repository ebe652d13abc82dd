"""The soak: hours of everything at once, and a look at memory, descriptors, disk and latency.

Load: senders that make, change, patch and delete records, in batches too, over connections that
they keep or drop; clients that send nonsense; receivers of which one always answers, one fails
now and then and one is down; the tools beside the server; a reload each half minute. The pace is
steady and moderate (--rate), because what is looked for is growth, not speed.

Judgement: the samples after the warm-up (the first third) are split in two halves. The medians of
anonymous memory (RssAnon: the store's map is the disk's cache and does not count) and of
descriptors must not grow by more than GROWTH allows. History makes the store's file grow; that is
drawn and not judged.
"""
import argparse
import csv
import http.client
import json
import random
import re
import socket
import statistics
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/e2e"))
from harness import BUILD, QuietServer, Server, curl  # noqa: E402

UNLIMITED = ["--limit-minute", "1000000", "--limit-hour", "1000000"]
# What may come between the two halves: allocator noise, not a leak that an hour would show.
GROWTH = {"rss_anon_kib": (0.10, 6 * 1024), "descriptors": (0.10, 8)}
KEPT_RECORDS = 200  # of each sender; more are deleted
COLUMNS = ["seconds", "rss_anon_kib", "rss_kib", "descriptors", "store_kib", "requests", "p50_ms",
           "p99_ms", "pending"]


class Worker(threading.Thread):
    """Does step() at its pace until told to stop; its first error ends the soak."""

    def __init__(self, soak, period_s):
        super().__init__(daemon=True)
        self.soak, self.period_s, self.error = soak, period_s, None

    def run(self):
        try:
            while not self.soak.ended.wait(self.period_s):
                self.step()
        except Exception as error:  # told by the main thread
            self.error = error


class Sender(Worker):
    def __init__(self, soak, number, period_s):
        super().__init__(soak, period_s)
        self.number, self.random = number, random.Random(number)
        self.connection, self.made, self.states = None, 0, {}

    def step(self):
        if self.connection is None or self.random.random() < 0.01:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.soak.port, timeout=60)
        living = list(self.states)
        kind = self.random.choice(["new", "update", "patch", "same", "batch", "read"])
        if len(living) > KEPT_RECORDS:
            kind = "delete"
        if kind == "new" or kind == "batch" or not living:
            self.make(5 if kind == "batch" else 1)
            return
        key = self.random.choice(living)
        path = f"/api/webhook/workorder/{key}"
        if kind == "delete":
            self.send("DELETE", path)
            del self.states[key]
        elif kind == "read":
            found = json.loads(self.send("GET", path))
            assert found["title"] == self.states[key]["title"], (found, self.states[key])
        elif kind == "patch":
            title = self.title()
            self.send("PATCH", path, {"title": title})
            self.states[key] = {**self.states[key], "title": title}
        else:
            record = self.states[key] if kind == "same" else self.record(key)
            self.send("POST", "/api/webhook/workorder", record)
            self.states[key] = record

    def make(self, count):
        records = []
        for _ in range(count):
            self.made += 1
            records.append(self.record(f"S{self.number}-{self.made}"))
        body = "".join(json.dumps(record) + "\n" for record in records)
        self.send("POST", "/api/webhook/workorder", body if count > 1 else records[0])
        self.states.update({record["workOrderNumber"]: record for record in records})

    def title(self):
        return f"title {self.random.getrandbits(40):x}"

    def record(self, key):
        return {"workOrderNumber": key, "title": self.title(),
                "status": self.random.choice(["draft", "in_progress", "completed"]),
                "extra": "x" * int(self.random.paretovariate(1.2) * 200 % 20000)}

    def send(self, method, path, body=None):
        headers = {"X-API-Key": self.soak.key}
        if body is not None:
            headers["Content-Type"] = "application/x-ndjson" if isinstance(body, str) \
                else "application/json"
            body = body if isinstance(body, str) else json.dumps(body)
        if self.random.random() < 0.1 and method == "POST":
            headers["Idempotency-Key"] = f"{self.number}-{self.random.getrandbits(60)}"
        self.connection.request(method, path, body, headers)
        response = self.connection.getresponse()
        answer = response.read()
        assert response.status == 200, (method, path, response.status, answer[:500])
        return answer


class Nuisance(Worker):
    """What strangers send: no key, no JSON, no HTTP, half of a request, TLS handshakes."""

    def step(self):
        soak = self.soak
        one = random.randrange(5)
        if one == 0:
            curl(soak.server.https + "/api/events", headers={"X-API-Key": "psn_wrong"})
        elif one == 1:
            answer = soak.server.post("workorder", "{" * random.randrange(200), soak.key)
            assert answer.status == 400, answer
        else:
            with socket.create_connection(("127.0.0.1", soak.port), 10) as sock:
                sock.sendall([b"\x16\x03\x01" + random.randbytes(200), b"POST /api/webhook/workor",
                              b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + random.randbytes(100)][one - 2])


class Operator(Worker):
    """The tools, and a reload, beside the load."""

    def step(self):
        server = self.soak.server
        made = server.tool_json("keys", "create", "--label", "soak")
        server.tool("status")
        server.tool("deliveries", "list", "--limit", "5")
        server.tool("keys", "delete", made["id"])
        server.reload()


class CountingReceiver:
    """A subscriber that counts; answers 500 to every nth request."""

    def __init__(self, fail_every=0):
        self.count = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                receiver.count += 1
                fails = fail_every and receiver.count % fail_every == 0
                self.send_response(500 if fails else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = QuietServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Soak:
    def __init__(self, folder, options):
        self.ended = threading.Event()
        self.server = Server(folder / "server", ["--retry-schedule", "1s,2s,4s",
                                                 "--retain-deliveries", "1m"]).start()
        self.port = int(self.server.http.rsplit(":", 1)[1])
        self.key = self.server.create_key("*:write", "*:read", flags=UNLIMITED).key
        for url in (CountingReceiver().url, CountingReceiver(20).url, "http://127.0.0.1:9/"):
            self.server.create_endpoint(url)
        senders = 4
        self.senders = [Sender(self, i, senders / options.rate) for i in range(senders)]
        self.workers = [*self.senders, Nuisance(self, 0.5), Operator(self, 30)]
        self.buckets = {}
        self.started = time.monotonic()
        for worker in self.workers:
            worker.start()

    def sample(self):
        proc = Path(f"/proc/{self.server.process.pid}")
        status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
        metrics = curl(self.server.admin + "/metrics").body.decode()
        p50, p99, requests = self.latency(metrics)
        return {"seconds": round(time.monotonic() - self.started, 1),
                "rss_anon_kib": int(status["RssAnon"].split()[0]),
                "rss_kib": int(status["VmRSS"].split()[0]),
                "descriptors": len(list((proc / "fd").iterdir())),
                "store_kib": (self.server.data / "store/data.mdb").stat().st_size // 1024,
                "requests": requests, "p50_ms": p50, "p99_ms": p99,
                "pending": int(re.search(r'deliveries\{state="pending"\} (\d+)', metrics)[1])}

    def latency(self, metrics):
        """Of the requests since the last sample: the bucket that holds the quantile, in ms."""
        found = {float(le): int(count) for le, count in re.findall(
            r'^postern_\w+_seconds_bucket\{le="([^"]+)"\} (\d+)$', metrics, re.MULTILINE)}
        fresh = {le: count - self.buckets.get(le, 0) for le, count in found.items()}
        self.buckets = found
        total = max(fresh.values())

        def quantile(part):
            return next((le * 1000 for le in sorted(fresh)
                         if le != float("inf") and fresh[le] >= part * total), 10000)
        return quantile(0.5), quantile(0.99), total

    def errors(self):
        return [f"{type(worker).__name__}: {worker.error}" for worker in self.workers
                if worker.error]

    def finish(self):
        """Everything that was acknowledged is there, and the store is sound."""
        self.ended.set()
        for worker in self.workers:
            worker.join()
        wrong = self.errors()
        self.server.stop()
        found = {}
        for line in self.server.tool("records", "export", "workorder").stdout.splitlines():
            record = json.loads(line)
            found[record["key"]] = record["data"]
        for sender in self.senders:
            lost = [key for key, state in sender.states.items()
                    if found.get(key, {}).get("title") != state["title"]]
            if lost and not wrong:
                wrong.append(f"missing or old: {lost[:5]}")
        check = self.server.tool("store", "check", check=False)
        if check.returncode:
            wrong.append(check.stdout + check.stderr)
        return wrong


def judge(samples):
    """What grew after the warm-up."""
    steady = samples[len(samples) // 3:]
    half = len(steady) // 2
    wrong = []
    for column, (part, allowed) in GROWTH.items():
        first = statistics.median(sample[column] for sample in steady[:half])
        last = statistics.median(sample[column] for sample in steady[half:])
        print(f"{column}: {first:.0f}, then {last:.0f}")
        if last - first > max(part * first, allowed):
            wrong.append(f"{column} goes on growing: {first:.0f}, then {last:.0f}")
    return wrong


def draw(samples, path):
    """One panel for each column, time to the right."""
    width, height, margin = 860, 120, 60
    panels = []
    span = max(samples[-1]["seconds"], 1)
    for i, column in enumerate(COLUMNS[1:]):
        top = i * (height + 40) + 30
        high = max(sample[column] for sample in samples) or 1
        points = " ".join(f"{margin + sample['seconds'] / span * width:.1f},"
                          f"{top + height - sample[column] / high * height:.1f}"
                          for sample in samples)
        panels.append(
            f'<text x="{margin}" y="{top - 6}">{column}: {samples[-1][column]:g}, '
            f'at most {high:g}</text>'
            f'<rect x="{margin}" y="{top}" width="{width}" height="{height}" fill="none" '
            f'stroke="#ccc"/><polyline points="{points}" fill="none" stroke="#06c"/>')
    bottom = (len(COLUMNS) - 1) * (height + 40) + 20
    path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" width="{width + 2 * margin}" '
                    f'height="{bottom + 20}" font-family="sans-serif" font-size="13">'
                    f'<rect width="100%" height="100%" fill="#fff"/>{"".join(panels)}'
                    f'<text x="{margin}" y="{bottom}">{span / 60:.1f} minutes</text></svg>\n')


def main():
    parser = argparse.ArgumentParser(prog="tests/soak")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=100, help="requests a second (100)")
    parser.add_argument("--out", type=Path, default=BUILD / "soak", help="folder (build/soak)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    samples, is_cut_short = [], False
    period_s = min(10, max(0.5, options.minutes * 60 / 120))
    with tempfile.TemporaryDirectory(prefix="postern-soak-") as folder, \
            open(options.out / "soak.csv", "w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        soak = Soak(Path(folder), options)
        try:
            while time.monotonic() - soak.started < options.minutes * 60 and not soak.errors():
                time.sleep(period_s)
                samples.append(soak.sample())
                table.writerow(samples[-1])
                file.flush()
        except KeyboardInterrupt:
            is_cut_short = True
        wrong = soak.finish()
    requests = sum(sample["requests"] for sample in samples)
    if is_cut_short:
        print(f"cut short after {requests} requests: whether it grows was not judged")
    else:
        draw(samples, options.out / "soak.svg")
        wrong += judge(samples)
        print(f"{requests} requests in {options.minutes:g} minutes; see {options.out}/soak.svg")
    for line in wrong:
        print(f"FAILED {line}")
    return 1 if wrong or is_cut_short else 0


if __name__ == "__main__":
    sys.exit(main())
