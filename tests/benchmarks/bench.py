"""./tests/bench: durable acceptance of work orders, beside what bounds it, in one run.

Each case runs Postern and the bare floor (the same HTTP server, writer and group commit, one row a
body) one after the other, several rounds, so that both meet the same noise; the ratio of the medians
is what counts. Servers and generator share the machine.
"""
import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / os.environ.get("POSTERN_BUILD", "build")
BODY = ROOT / "tests/benchmarks/workorder.json"
LIMIT = "1000000000"

# name, TLS, connections, streams each
CASES = [
    ("h2 TLS, 1 client", True, 1, 1),
    ("h2 TLS, 16 streams", True, 1, 16),
    ("h2 TLS, 64 streams", True, 1, 64),
    ("h2 TLS, 256 streams", True, 4, 64),
    ("h2 TLS, 1,024 streams", True, 16, 64),
    ("h2 clear, 256 streams", False, 4, 64),
]


class Process:
    """A server under test: its addresses, CPU time, memory and data on disk."""

    def __init__(self, command, data, **more):
        self.data = data
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, text=True, **more)

    def cpu_s(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def anonymous_mib(self):
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) / 1024
        return 0.0

    def disk_bytes(self):
        return sum(path.stat().st_blocks * 512 for path in self.data.rglob("*") if path.is_file())

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        shutil.rmtree(self.data, ignore_errors=True)


class Postern(Process):
    name = "postern"

    def __init__(self, folder):
        data = folder / "postern"
        super().__init__([BUILD / "ingest/posternd", "--data", data, "--schemas",
                          ROOT / "schemas/types", "--listen", "127.0.0.1:0", "--listen-cleartext",
                          "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"], data,
                         stdout=subprocess.DEVNULL)
        found = wait_for_json(data / "posternd.json")
        self.tls, self.clear = found["listen"][0], found["cleartext"][0]
        made = subprocess.run([BUILD / "tools/postern", "--data", data, "--output", "json", "keys",
                               "create", "--label", "bench", "--limit-minute", LIMIT,
                               "--limit-hour", LIMIT], check=True, capture_output=True, text=True)
        self.key = json.loads(made.stdout)["key"]


class Floor(Process):
    name = "floor"
    key = "none"

    def __init__(self, folder, tls_folder):
        data = folder / "floor"
        super().__init__([BUILD / "tests/benchmarks/floor", data, os.cpu_count(),
                          tls_folder / "cert.pem", tls_folder / "key.pem"], data,
                         stdout=subprocess.PIPE)
        self.tls, self.clear = self.process.stdout.readline().split()


def wait_for_json(path, deadline_s=30):
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        try:
            return json.loads(path.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            time.sleep(0.02)
    sys.exit(f"{path}: the server did not start")


class Generator:
    """Runs the load; every request of a run has a number of its own."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.next_start = 1

    def run(self, server, is_tls, connections, streams, is_random=False):
        address = (server.tls if is_tls else server.clear).split("//")[1]
        before = server.cpu_s()
        done = subprocess.run(
            [BUILD / "tests/benchmarks/load", "--to", address, *(["--tls"] if is_tls else []),
             "--connections", str(connections), "--streams", str(streams), "--seconds",
             str(self.seconds), "--key", server.key, "--start", str(self.next_start),
             *(["--random"] if is_random else []), BODY],
            capture_output=True, text=True, timeout=self.seconds + 60)
        if not done.stdout:
            sys.exit(f"load: {done.stderr}")
        result = json.loads(done.stdout)
        self.next_start += result["requests"] + 1000
        result["cpu_us"] = 1e6 * (server.cpu_s() - before) / max(1, result["requests"])
        if result["errors"]:
            print(f"{server.name}: {result['errors']} errors: {done.stderr.strip()}")
        return result


def median(results, name):
    return statistics.median(result[name] for result in results)


def row(name, who, results, base=None):
    rate = median(results, "rate")
    ratio = f"{rate / base:6.2f}" if base else "      "
    print(f"{name:<24} {who:<10} {rate:>9,.0f} {ratio} {median(results, 'p50'):>8.2f} "
          f"{median(results, 'p99'):>8.2f} {median(results, 'p999'):>8.2f} "
          f"{median(results, 'cpu_us'):>8.1f}")
    return rate


def accept(generator, rounds, cases):
    print(f"{'durable acceptance':<24} {'':<10} {'req/s':>9} {'/floor':>6} {'p50 ms':>8} "
          f"{'p99 ms':>8} {'p99.9':>8} {'CPU us':>8}")
    with tempfile.TemporaryDirectory(prefix="postern-bench-") as folder:
        folder = Path(folder)
        postern = Postern(folder)
        floor = Floor(folder, postern.data / "tls")
        for name, is_tls, connections, streams in cases:
            results = {postern: [], floor: []}
            for _ in range(rounds):
                for server in (floor, postern):
                    results[server].append(generator.run(server, is_tls, connections, streams))
            base = row(name, "floor", results[floor])
            row(name, "postern", results[postern], base)
        random = [generator.run(postern, True, 4, 64, is_random=True) for _ in range(rounds)]
        row("  … random record keys", "postern", random)
        status = subprocess.run([BUILD / "tools/postern", "--data", postern.data, "--output",
                                 "json", "status"], check=True, capture_output=True, text=True)
        records = json.loads(status.stdout)["records"]
        print(f"\n{records:,} records; {postern.disk_bytes() / max(1, records):,.0f} bytes on disk "
              f"a record of {BODY.stat().st_size} bytes; "
              f"{postern.anonymous_mib():.0f} MiB resident beyond the page cache")
        postern.stop()
        floor.stop()


def validate():
    """One core: our scan and check, cJSON's bare parse, and ajv where Node is there."""
    print("\nvalidation of the same work order, one core")
    for program in ("json_bench", "schema_bench"):
        done = subprocess.run([BUILD / "tests/benchmarks" / program], capture_output=True,
                              text=True, check=True)
        print(done.stdout.rstrip())
    if not shutil.which("node") or not shutil.which("npm"):
        print("JSON.parse and ajv: node and npm are not installed here")
        return
    with tempfile.TemporaryDirectory(prefix="postern-bench-") as folder:
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder,
                        "ajv@8", "ajv-formats@3"], check=True, stdout=subprocess.DEVNULL)
        here = ROOT / "tests/benchmarks"
        done = subprocess.run(["node", here / "ajv.mjs", here / "workorder-22.schema.json", BODY],
                              cwd=folder, capture_output=True, text=True)
        print(done.stdout.rstrip() or done.stderr)


def main():
    parser = argparse.ArgumentParser(prog="tests/bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5, help="of each run (5)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each case (3)")
    parser.add_argument("--quick", action="store_true", help="one round of the cases of interest")
    options = parser.parse_args()
    cases = [CASES[0], CASES[3]] if options.quick else CASES
    validate()
    accept(Generator(options.seconds), 1 if options.quick else options.rounds, cases)


if __name__ == "__main__":
    main()
