"""What ./tests/bench measures, a function a part; each prints its table as it goes."""
import os
import shutil
import statistics
import subprocess
import time
from collections import namedtuple

import plot
from servers import BODY, BUILD, HERE, Floor, Node, Postern, Postgres, Sink

Case = namedtuple("Case", "protocol connections streams")
H2 = [(1, 1), (1, 16), (1, 64), (4, 64), (16, 64)]
CASES = [Case("h1 clear", clients, 1) for clients in (1, 16, 64, 256, 1024)]
CASES += [Case("h2 clear", *shape) for shape in H2]
CASES += [Case("h2 TLS", *shape) for shape in H2]
LONE, BUSY, MANY = Case("h2 TLS", 1, 1), Case("h2 TLS", 4, 64), Case("h2 TLS", 1000, 1)
HALF = Case("h2 TLS", 4, 32)
QUICK_CASES = [LONE, BUSY]
FILL_FOR_QUERIES = 100000

HEADINGS = f"{'':<26} {'':<9} {'req/s':>8} {'/floor':>7} {'p50 ms':>8} {'p99 ms':>8} " \
           f"{'p99.9':>8} {'CPU us':>7} {'written':>8} {'MiB':>6}"


def median(results):
    return {name: statistics.median(result[name] for result in results) for name in results[0]}


def order_of_round(servers, turn):
    """0, 1, n-1, 2, n-2, …, all moved on by the round's number (Williams 1949): with an even number of them
    each comes right behind each other one once in n rounds."""
    count = len(servers)
    first_row = [(at + 1) // 2 if at % 2 else (count - at // 2) % count for at in range(count)]
    return [servers[(at + turn) % count] for at in first_row]


def show(title, who, result, floor_rate=None):
    ratio = f"{result['rate'] / floor_rate:.2f}" if floor_rate else ""
    print(f"{title:<26} {who:<9} {result['rate']:>8,.0f} {ratio:>7} {result['p50']:>8.2f} "
          f"{result['p99']:>8.2f} {result['p999']:>8.2f} {result['cpu_us']:>7.1f} "
          f"{result['written_bytes']:>8,.0f} {result['memory_mib']:>6.0f}", flush=True)


def title_of(case):
    count = case.connections * case.streams
    noun = "client" if case.streams == 1 else "stream"
    return f"{case.protocol}, {count:,} {noun}{'' if count == 1 else 's'}"


def npm_packages(folder, *names):
    subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder,
                    *names], check=True, stdout=subprocess.DEVNULL)


def has_node(what):
    if shutil.which("node") and shutil.which("npm"):
        return True
    print(f"{what}: node and npm are not installed here")
    return False


class Bench:
    """The servers that the parts share, and what the goals at the end are judged by."""

    def __init__(self, running, options):
        self.running, self.options = running, options
        self.postern = running.start(Postern)
        self.tls_folder = self.postern.data / "tls"
        self.found, self.p99 = {}, {}

    def baselines(self):
        """Those that take part in the acceptance table, in the order in which they are shown."""
        servers = [self.running.start(Floor, self.tls_folder)]
        if "node" in self.options.only and has_node("a Node service"):
            packages = self.running.folder / "packages"
            npm_packages(packages, "fastify@5", "ajv@8", "ajv-formats@3", "lmdb@3")
            servers.append(self.running.start(Node, self.tls_folder, packages,
                                              self.options.node_processes))
        if "postgres" in self.options.only:
            servers.append(self.running.start(Postgres))
        return servers

    def disk(self):
        """What the medium takes of the same rows, without a network."""
        print("\ndisk: LMDB's group commits of one appended row, and of a record's rows", flush=True)
        subprocess.run([BUILD / "tests/benchmarks/store_bench", self.running.folder,
                        str(min(1, self.options.seconds / 2)), "groups"], check=True)

    def accept(self):
        print(f"\ndurable acceptance, new records of {BODY.stat().st_size} bytes; "
              f"{self.records():,} in the store\n{HEADINGS}")
        baselines = self.baselines()
        for case in self.cases():
            who = [server for server in baselines if server.takes(case)]
            results = self.in_turn([*who, self.postern], case)
            self.found[case] = results
            for name, result in results.items():
                show(title_of(case), name, result, results["floor"]["rate"])
        random = [self.postern.run(BUSY, self.options.seconds, "--random")
                  for _ in range(self.options.rounds)]
        show("  … keys in no order", "postern", median(random), self.found[BUSY]["floor"]["rate"])
        self.half(baselines[0])
        self.many(baselines[0])
        if self.options.plot:
            self.plot()
        for server in reversed(baselines):
            server.stop()

    def in_turn(self, servers, case, *more):
        """The medians, by name. Within as many rounds as there are servers each follows each of the others
        (about) as often, and what one has left the disk to do is done before the next begins."""
        results = {server: [] for server in servers}
        for turn in range(self.options.rounds):
            for server in order_of_round(servers, turn):
                results[server].append(server.run(case, self.options.seconds, *more))
                server.settle()
        return {server.name: median(found) for server, found in results.items()}

    def cases(self):
        if self.options.plot:
            return [case for case in CASES if case.protocol == "h2 TLS"]
        return QUICK_CASES if self.options.quick else CASES

    def plot(self):
        series = {}
        for case, results in self.found.items():
            if isinstance(case, Case):
                for name, result in results.items():
                    series.setdefault(name, []).append(
                        (case.connections * case.streams, result["rate"]))
        plot.draw("Durable acceptance over HTTP/2 and TLS", series, self.options.plot)
        print(f"drawn: {self.options.plot}")

    def half(self, floor):
        """Both with half the streams, and paced at half the rate that Postern takes: what is of the
        machine, the floor has too."""
        rate = f"{self.found[BUSY]['postern']['rate'] / 2:.0f}"
        for title, case, more in (("  … half the streams", HALF, []),
                                  ("  … paced at half the rate", BUSY, ["--rate", rate])):
            results = self.in_turn([floor, self.postern], case, *more)
            self.p99[title.strip()] = results["postern"]["p99"]
            for name, result in results.items():
                show(title, name, result)

    def many(self, floor):
        """Memory: every client has a connection of its own."""
        results = self.in_turn([floor, self.postern], MANY)
        for name, result in results.items():
            show(title_of(MANY), name, result)
        self.found["memory"] = results["postern"]["memory_mib"]

    def records(self):
        return self.postern.tool("status")["records"]

    def fill(self):
        rate = self.postern.fill(self.options.fill)
        print(f"filled with {self.options.fill:,} records in batches of 1,000: "
              f"{rate:,.0f} records/s, {self.postern.disk_bytes() / 2**30:.2f} GiB")

    def batches(self):
        print(f"\nbatches over h2 TLS, 4 at once\n{'lines':>8} {'records/s':>10} {'p50 ms':>8} "
              f"{'p99 ms':>8} {'CPU us a record':>16}")
        for lines in (1, 10, 100, 1000):
            before, _ = self.postern.used()
            result = self.postern.send(self.postern.to("h2 TLS", 1, 4), self.options.seconds,
                                       "--lines", str(lines), lines=lines)
            cpu_s = self.postern.used()[0] - before
            rate = result["rate"] * lines
            print(f"{lines:>8,} {rate:>10,.0f} {result['p50']:>8.2f} {result['p99']:>8.2f} "
                  f"{1e6 * cpu_s / max(1, result['requests'] * lines):>16.1f}", flush=True)
            self.found["batches"] = rate

    def deliver(self):
        """Acceptance with an endpoint subscribed, then how fast the rest goes out."""
        print(f"\ndeliveries: one endpoint (cleartext HTTP/1.1, 256 at once), {title_of(BUSY)}\n"
              f"{HEADINGS}")
        sink = self.running.start(Sink, self.tls_folder)
        show("deliveries off", "postern", self.postern.run(BUSY, self.options.seconds))
        endpoint = self.postern.tool("endpoints", "create", "--url", f"{sink.clear}/hook", "--window",
                                     "256", "--event", "workorder.*")["id"]
        self.wait_for(lambda: self.postern.metric("postern_endpoints") >= 1, 10)
        delivered = 'postern_deliveries{state="delivered"}'
        pending = 'postern_deliveries{state="pending"}'
        before, began = self.postern.metric(delivered), time.monotonic()
        show("deliveries on", "postern", self.postern.run(BUSY, self.options.seconds))
        during, took = self.postern.metric(delivered) - before, time.monotonic() - began
        left, began, before = self.postern.metric(pending), time.monotonic(), before + during
        self.wait_for(lambda: self.postern.metric(pending) == 0, 60)
        after = (self.postern.metric(delivered) - before) / (time.monotonic() - began)
        print(f"delivered beside the load: {during / took:,.0f}/s; the {left:,.0f} left after it: "
              f"{after:,.0f}/s; {self.postern.memory_mib():.0f} MiB")
        self.postern.tool("endpoints", "delete", endpoint)
        sink.stop()

    @staticmethod
    def wait_for(is_so, deadline_s):
        end = time.monotonic() + deadline_s
        while not is_so():
            if time.monotonic() > end:
                print(f"(not within {deadline_s} s)")
                return
            time.sleep(0.1)

    def queries(self):
        count = self.records()
        if count < FILL_FOR_QUERIES:
            self.postern.fill(FILL_FOR_QUERIES)
            count = self.records()
        print(f"\nthe tool, a process a query, {count:,} records\n{'':<44} {'median ms':>10}")
        newest = self.postern.tool("records", "list", "workorder", "--limit", "1")
        key = (newest["data"] if isinstance(newest, dict) else newest)[0]["key"]
        middle = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 2))
        for words in (["records", "get", key],
                      ["records", "list", "workorder", "--limit", "100"],
                      ["records", "list", "workorder", "--until", middle, "--limit", "100"],
                      ["records", "list", "workorder", "--where", "status=cancelled"],
                      ["records", "export", "workorder"], ["status"]):
            rounds = 1 if "export" in words else 3
            took = statistics.median(self.timed(words) for _ in range(rounds))
            a_second = f"{count / took:>12,.0f} records/s" \
                if "export" in words or "--where" in words else ""
            print(f"{' '.join(words):<44.44} {took * 1000:>10.1f}{a_second}", flush=True)
        print("over h2 TLS, 16 streams")
        for path in (f"/api/webhook/workorder/{key}", "/api/webhook/workorder?limit=50"):
            result = self.postern.load([*self.postern.to("h2 TLS", 1, 16), "--path", path],
                                       self.options.seconds)
            print(f"GET {path:<40} {result['p50']:>10.2f}{result['rate']:>12,.0f} requests/s")

    def timed(self, words):
        output = "ndjson" if "export" in words else "json"
        began = time.monotonic()
        subprocess.run(self.postern.command(*words, output=output), check=True,
                       stdout=subprocess.DEVNULL)
        return time.monotonic() - began

    def restart(self):
        """A start on the store as it is by now."""
        count, disk = self.records(), self.postern.disk_bytes()
        memory = self.postern.memory_mib()
        began = time.monotonic()
        self.postern.stop()
        stop_s = time.monotonic() - began
        self.postern = self.running.start(Postern)
        self.found["start"] = self.postern.start_s
        print(f"\n{count:,} records, {disk / max(1, count):,.0f} bytes on disk a record; "
              f"stopped in {stop_s:.2f} s, serving again after {self.postern.start_s:.2f} s; "
              f"{memory:.0f} MiB before, {self.postern.memory_mib():.0f} MiB after")

    def goals(self):
        busy, lone = self.found.get(BUSY, {}), self.found.get(LONE, {})
        rows = []
        for name, least in (("floor", 0.5), ("node", 8), ("postgres", 8)):
            if name in busy:
                ratio = busy["postern"]["rate"] / busy[name]["rate"]
                rows.append((f"256 streams, TLS: at least {least} times {name}", f"{ratio:.2f}",
                             ratio >= least))
        for title, p99 in self.p99.items():
            rows.append((f"{title}: p99 below 5 ms", f"{p99:.2f} ms", p99 < 5))
        if lone:
            more_us = 1000 * (lone["postern"]["p50"] - lone["floor"]["p50"])
            rows.append(("lone client's median at most 150 us over the floor's", f"{more_us:.0f} us",
                         more_us <= 150))
        if "memory" in self.found:
            rows.append(("memory with 1,000 connections below 64 MiB",
                         f"{self.found['memory']:.0f} MiB", self.found["memory"] < 64))
        if "start" in self.found:
            rows.append(("a start within 1 s", f"{self.found['start']:.2f} s",
                         self.found["start"] < 1))
        if "batches" in self.found:
            rows.append(("batches of 1,000: 100,000 records/s", f"{self.found['batches']:,.0f}",
                         self.found["batches"] >= 100000))
        if rows:
            print(f"\n{'goal':<58} {'measured':>12}")
        for goal, measured, is_met in rows:
            print(f"{goal:<58} {measured:>12} {'yes' if is_met else 'NO'}")


def validate(running):
    """One core: our scan and check, cJSON's bare parse, and ajv where Node is there."""
    print("\nvalidation of the same work order, one core", flush=True)
    for program in ("json_bench", "schema_bench"):
        subprocess.run([BUILD / "tests/benchmarks" / program], check=True)
    if not has_node("JSON.parse and ajv"):
        return
    packages = running.folder / "validation"
    npm_packages(packages, "ajv@8", "ajv-formats@3")
    subprocess.run(["node", HERE / "ajv.mjs", HERE / "workorder-22.schema.json", BODY], cwd=packages)


def machine():
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo")
                  if line.startswith("model name")), "?")
    return f"{os.cpu_count()} cores of {model}; Linux {os.uname().release}; " \
           f"load {os.getloadavg()[0]:.1f} at the start"
