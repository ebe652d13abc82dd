"""The ways in which ./tests/crash ends a life of the server, or of a tool beside it.

Each is a class with a list of its instances in DEATHS. A life goes: the server is started with
environment(); the posters begin; during() returns when the server is dead, and says what is wrong,
if so; the store is examined; the server is started again without faults, and after() looks at what
this death in particular may have harmed.

Points are places in the code (fault_point). Who shall die at one must really die there: a process
that lives on until the deadline is a failure, or the test would stop testing when code moves.

To add a point: a fault_point("name") in the code, and a line in DEATHS.
"""
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "e2e"))
from harness import POSTERN, Server, clean_environment, wait_until  # noqa: E402

POINT_DEADLINE_S = 30
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


def run_tool(server, *words, point=None):
    """`postern WORDS…`, killed at that point; what it printed, and its exit status (-9: killed)."""
    environment = dict(server.environment)
    environment.pop("POSTERN_FAULT_POINT", None)
    if point:
        environment["POSTERN_FAULT_POINT"] = point
    return subprocess.run([str(word) for word in [POSTERN, *words]], capture_output=True, text=True,
                          timeout=60, stdin=subprocess.DEVNULL,
                          env=clean_environment(**environment))


class Random:
    """kill -9 at any moment."""
    name = "at a random moment"

    def environment(self, trial):
        return {}

    def during(self, trial):
        end = time.monotonic() + trial.random.uniform(0.02, 0.6)
        while time.monotonic() < end and trial.process.poll() is None:
            time.sleep(0.005)
        return self.kill(trial)

    def kill(self, trial):
        if trial.process.poll() is not None:
            return f"it ended by itself with {trial.process.returncode}\n{trial.server.log()[-3000:]}"
        trial.process.kill()
        trial.process.wait()
        return None

    def after(self, trial):
        return None


class AtPoint(Random):
    """The server dies at one of the first passages of a named point."""

    def __init__(self, point, passages=1, first=1):
        self.point, self.passages, self.first = point, passages, first
        self.name = f"at {point}"

    def environment(self, trial):
        nth = trial.random.randrange(self.first, self.first + self.passages)
        return {"POSTERN_FAULT_POINT": f"{self.point}:{nth}"}

    def during(self, trial):
        end = time.monotonic() + POINT_DEADLINE_S
        while trial.process.poll() is None:
            if time.monotonic() > end:
                trial.process.kill()
                trial.process.wait()
                return f"it never came to {self.point}"
            time.sleep(0.002)
        if trial.process.returncode != -signal.SIGKILL:
            return f"it ended with {trial.process.returncode}\n{trial.server.log()[-3000:]}"
        return None


class WhileGrowing(AtPoint):
    """The map is full soon after the start."""

    def environment(self, trial):
        return {**super().environment(trial), "POSTERN_FAULT_TIGHT_MAP": "1"}


class WhileReloading(AtPoint):
    """A new record type comes with the reload; the next start has it."""

    def during(self, trial):
        self.type = trial.add_record_type()
        wait_until(lambda: trial.fleet.acknowledged() > trial.acknowledged_before,
                   "the posters are under way")
        trial.process.send_signal(signal.SIGHUP)
        return super().during(trial)

    def after(self, trial):
        status, answer = trial.request("POST", f"/api/webhook/{self.type}",
                                       json.dumps({"number": f"{self.type}-1"}))
        return None if status == 200 else f"{self.type}: {status} {answer[:300]}"


class WhileRetaining(AtPoint):
    """Hours have passed since the life before: all projects of then are too old."""

    def environment(self, trial):
        trial.pass_hours(2)
        self.old = [key for poster in trial.fleet.posters for kind, key in poster.states
                    if kind == "project"] + trial.projects
        return super().environment(trial)

    def after(self, trial):
        """The walk is taken up where it was cut, and comes to its end."""
        wait_until(lambda: trial.request("GET", f"/api/webhook/project/{self.old[-1]}")[0] == 404,
                   "what is too old is erased")
        wait_until(lambda: all(trial.request("GET", f"/api/webhook/project/{key}")[0] == 404
                               for key in self.old), "all that is too old is erased")
        trial.forget_projects(self.old)
        return None


class WhileCreating(Random):
    """Another server dies while it makes its store; its next start makes it anew."""
    name = "while the store is made"

    def during(self, trial):
        folder = trial.folder / f"made-{trial.rounds}"
        point = trial.random.choice(["txn_before_commit:1", "txn_after_commit:1",
                                     "txn_before_commit:2", "types_registered:1"])
        server = Server(folder, environment={"POSTERN_FAULT_POINT": point})
        try:
            server.start()
            server.kill()
            return f"it never came to {point}"
        except AssertionError as error:
            if f"ended with {-signal.SIGKILL}" not in str(error):
                return str(error)
        server.environment = {}
        server.start()
        server.stop()
        check = server.tool("store", "check", check=False)
        shutil.rmtree(folder)
        return self.kill(trial) if check.returncode == 0 else check.stdout + check.stderr


class InBackup(Random):
    """The tool dies, and some time later the server."""

    def __init__(self, point, passages=1):
        self.point, self.passages = point, passages
        self.name = f"the backup at {point}, then the server"

    def during(self, trial):
        self.place = trial.folder / f"backup-{trial.rounds}"
        nth = trial.random.randrange(1, 1 + self.passages)
        done = run_tool(trial.server, "--data", trial.server.data, "store", "backup", self.place,
                        point=f"{self.point}:{nth}")
        if done.returncode != -signal.SIGKILL:
            return f"the tool never came to {self.point}: {done.returncode} {done.stderr}"
        return super().during(trial)

    def after(self, trial):
        if self.point == "backup_named":
            return trial.examine_backup(self.place)
        return self.is_refused(trial) or self.is_made_again(trial)

    def is_refused(self, trial):
        """Half a backup has not the name of one, and nothing takes it for one."""
        if (self.place / "store").exists():
            return "half a backup has the name of a whole one"
        target = trial.folder / "from-half"
        for words in (["--data", self.place, "store", "check"],
                      ["--data", target, "store", "restore", self.place]):
            done = run_tool(trial.server, *words)
            if done.returncode != 1 or not done.stderr:
                return f"half a backup was taken: {words} {done.returncode} {done.stdout}"
        return f"{target} was made" if (target / "store").exists() else None

    def is_made_again(self, trial):
        done = run_tool(trial.server, "--data", trial.server.data, "store", "backup", self.place)
        return done.stderr if done.returncode != 0 else trial.examine_backup(self.place)


class UnderBackup(Random):
    """The server dies while the tool copies; what the tool makes is whole all the same."""
    name = "the server while a backup is made"

    def during(self, trial):
        self.place = trial.folder / f"backup-{trial.rounds}"
        tool = subprocess.Popen([str(POSTERN), "--data", str(trial.server.data), "store", "backup",
                                 str(self.place)], stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                                env=clean_environment(**trial.server.environment))
        wait_until(lambda: self.place.exists() or tool.poll() is not None, "the tool has begun")
        wrong = self.kill(trial)
        status = tool.wait(60)
        return wrong or (f"the tool ended with {status}" if status else None)

    def after(self, trial):
        return trial.examine_backup(self.place)


class InErase(Random):
    """The tool dies while it erases a record; done again, nothing of it is left in the file."""

    def __init__(self, point, passages=1):
        self.point, self.passages = point, passages
        self.name = f"the erasure at {point}, then the server"

    def during(self, trial):
        self.victim = trial.make_victim()
        nth = trial.random.randrange(1, 1 + self.passages)
        done = run_tool(trial.server, "--data", trial.server.data, "records", "erase",
                        self.victim["id"], "--yes", point=f"{self.point}:{nth}")
        if done.returncode != -signal.SIGKILL:
            return f"the tool never came to {self.point}: {done.returncode} {done.stderr}"
        return super().during(trial)

    def after(self, trial):
        status, _ = trial.request("GET", f"/api/webhook/vendor/{self.victim['id']}")
        if status != 404:
            return f"the erased record is there: {status}"
        trial.server.kill()  # or a reader of it could hold old pages
        done = run_tool(trial.server, "--data", trial.server.data, "records", "erase",
                        self.victim["id"], "--yes")
        file = (trial.server.data / "store/data.mdb").read_bytes()
        trial.server.start()
        if done.returncode != 0:
            return f"it cannot be erased again: {done.stderr}"
        return "its content is still in the file" if self.victim["marker"] in file else None


DEATHS = [
    AtPoint("writer_applied", 150),
    AtPoint("txn_before_commit", 150),
    AtPoint("txn_after_commit", 150),
    AtPoint("writer_committed", 150),
    AtPoint("answer_due", 1500),
    WhileGrowing("map_growing"),
    WhileGrowing("map_grown"),
    AtPoint("attempt_due", 300),
    AtPoint("attempt_answered", 300),
    AtPoint("outcomes_applied", 50),
    AtPoint("outcomes_committed", 50),
    WhileReloading("types_registering", first=2),
    WhileReloading("types_registered", first=2),
    WhileReloading("types_reloaded"),
    AtPoint("housekeeping_applied", 4),
    WhileRetaining("retention_erased", 20),
    WhileCreating(),
    InBackup("backup_row", 150),
    InBackup("backup_copied"),
    InBackup("backup_named"),
    UnderBackup(),
    InErase("erase_committed"),
    InErase("scrub_zeroed", 5),
    Random(),
    Random(),
]
