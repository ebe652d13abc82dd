"""How long the tool takes on a large store: fills one through the server, then times the commands.

    /usr/bin/python3 tests/benchmarks/tool_on_a_million.py [RECORDS]      (POSTERN_BUILD: as for e2e)
"""
import json
import os
import sys
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "e2e"))
from harness import POSTERN, SCHEMAS, Server, clean_environment  # noqa: E402

BATCH = 1000
COMMANDS = [
    ("a page by type and time", "records list workorder --since 1h --limit 100"),
    ("a scan for what few have", "records list workorder --where status=on_hold"),
    ("a scan for what none has", "records list workorder --where status=none"),
    ("one by its key", "records get WO-0000001"),
    ("its events", "events list --record WO-0000001"),
    ("an export", "records export workorder"),
    ("status", "status"),
    ("a check", "store check"),
]


def record(number):
    return {"workOrderNumber": f"WO-{number:07}", "title": "Replace pump seal", "priority": "high",
            "status": "scheduled" if number % 1000 else "on_hold", "description": "x" * 300}


def fill(server, count):
    key = server.create_key("*:write", flags=["--limit-minute", 1000000, "--limit-hour", 1000000])
    connection = HTTPConnection(server.http.removeprefix("http://"))
    headers = {"X-API-Key": key.key, "Content-Type": "application/x-ndjson"}
    for start in range(0, count, BATCH):
        lines = "".join(json.dumps(record(number)) + "\n"
                        for number in range(start, min(start + BATCH, count)))
        connection.request("POST", "/api/webhook/workorder", lines, headers)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        answer.read()


def run(server, words):
    """Seconds, and the MiB of its own memory (the mapped store is everybody's)."""
    command = [POSTERN, "--data", server.data, "--schemas", SCHEMAS, *words.split()]
    begun = time.monotonic()
    with open(os.devnull, "w") as nowhere:
        pid = os.posix_spawn(command[0], [str(word) for word in command], clean_environment(),
                             file_actions=[(os.POSIX_SPAWN_DUP2, nowhere.fileno(), 1),
                                           (os.POSIX_SPAWN_DUP2, nowhere.fileno(), 2)])
        own = 0
        while os.waitpid(pid, os.WNOHANG)[0] == 0:
            text = Path(f"/proc/{pid}/status").read_text()
            own = max([own, *(int(line.split()[1]) for line in text.splitlines()
                              if line.startswith("RssAnon"))])
            time.sleep(0.002)
    return time.monotonic() - begun, own / 1024


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000000
    with tempfile.TemporaryDirectory() as folder:
        server = Server(folder).start()
        begun = time.monotonic()
        fill(server, count)
        seconds = time.monotonic() - begun
        print(f"{count} records in batches of {BATCH}: {seconds:.1f} s, {count / seconds:.0f} a second")
        for name, words in COMMANDS:
            seconds, memory = run(server, words)
            print(f"{seconds * 1000:8.0f} ms {memory:6.1f} MiB  {name}: postern {words}")
        server.stop()


if __name__ == "__main__":
    main()
