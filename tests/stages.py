"""The stages of ./tests/run: what runs, how its results are counted, how they are told.

A stage is a function that returns Results; an exception or a timeout is one failure of its stage.
Stages go on after a failing one, except that what needs a build is not run where it failed.
To add a stage, write its function and add it to STAGES. A script that prints TAP, or pytest files,
need no code of their own: see tap_script() and pytest_folder().
"""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
JOBS = str(max(2, os.cpu_count() or 2))
OUTPUT_LINES_MAX = 120  # of one failure; its end is what matters
SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1",
    "LSAN_OPTIONS": f"suppressions={ROOT}/tests/support/leaks.supp:print_suppressions=0",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
}


@dataclass
class Results:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failures: list = field(default_factory=list)  # (name, output)

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.failures += other.failures

    def fail(self, name, output):
        self.failed += 1
        self.failures.append((name, output))


class StageError(Exception):
    """The stage could not run; its text is for a person."""


def run(command, timeout_s, env=None):
    """Runs to the end or the timeout, children included; (exit status, output of both streams)."""
    environment = {**os.environ, **(env or {})}
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen([str(word) for word in command], cwd=ROOT, env=environment,
                                   stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=subprocess.STDOUT, start_new_session=True)
        try:
            status = process.wait(timeout_s)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise StageError(f"{' '.join(map(str, command))}: no end after {timeout_s} s\n"
                             + read_output(output)) from None
        return status, read_output(output)


def read_output(file):
    file.seek(0)
    return file.read().decode(errors="replace")


def must_run(command, timeout_s, env=None):
    status, output = run(command, timeout_s, env)
    if status != 0:
        raise StageError(f"{' '.join(map(str, command))}: exit status {status}\n{output}")
    return output


def count_tap(name, output, status):
    """Counts TAP's cases. A program that fails without a failed case is one failure more."""
    results = Results()
    for line in output.splitlines():
        case = re.match(r"\s*(not )?ok\b(?: \d+)?(?: -)?\s*(.*)", line)
        if not case:
            continue
        if re.search(r"# *skip", line, re.IGNORECASE):
            results.skipped += 1
        elif case[1]:
            results.fail(f"{name}: {case[2]}", output)
        else:
            results.passed += 1
    plan = re.search(r"^\s*1\.\.(\d+)", output, re.MULTILINE)
    ran = results.passed + results.failed + results.skipped
    if results.failed == 0 and (status != 0 or ran == 0 or (plan and int(plan[1]) != ran)):
        results.fail(f"{name}: exit status {status}, {ran} of {plan[1] if plan else '?'} cases ran",
                     output)
    # One copy of the output is enough for all its failed cases.
    results.failures = [(title, text if i == 0 else "") for i, (title, text)
                        in enumerate(results.failures)]
    return results


def build():
    must_run(["tools/build"], 900)
    must_run(["meson", "configure", "build", "-Dtests=enabled"], 120)
    must_run(["ninja", "-C", "build"], 900)
    return Results(passed=1)


def build_asan():
    options = ["--werror", "-Db_sanitize=address,undefined", "-Db_lundef=false",
               "-Dtests=enabled"]
    if not (ROOT / "build-asan/build.ninja").exists():
        wipe = ["--wipe"] if (ROOT / "build-asan/meson-private").exists() else []
        must_run(["meson", "setup", *wipe, *options, "build-asan"], 120)
    must_run(["ninja", "-C", "build-asan"], 1200)
    return Results(passed=1)


def rules():
    results = Results()
    for script in sorted((ROOT / "tests/rules").iterdir()):
        if not os.access(script, os.X_OK) or script.is_dir():
            continue
        status, output = run([script], 120)
        if status == 0:
            results.passed += 1
        else:
            results.fail(script.name, output)
    return results


def meson_tests(directory, env=None):
    log = ROOT / directory / "meson-logs/testlog.json"
    log.unlink(missing_ok=True)
    run(["meson", "test", "-C", directory, "--no-rebuild", "--num-processes", JOBS], 1200, env)
    if not log.exists():
        raise StageError(f"{directory}: meson ran no tests")
    results = Results()
    for line in log.read_text(errors="replace").splitlines():
        test = json.loads(line)
        output = test.get("stdout", "") + test.get("stderr", "")
        if "1.." in test.get("stdout", ""):
            counted = count_tap(test["name"], output, test["returncode"])
        else:
            counted = Results()
            if test["result"] == "SKIP":
                counted.skipped = 1
            elif test["result"] in ("OK", "EXPECTEDFAIL"):
                counted.passed = 1
        if test["result"] not in ("OK", "SKIP", "EXPECTEDFAIL") and counted.failed == 0:
            counted.fail(f"{test['name']}: {test['result'].lower()}", output)
        results.add(counted)
    return results


def unit():
    return meson_tests("build")


def unit_asan():
    return meson_tests("build-asan", SANITIZERS)


def pytest_folder(folder, binaries, timeout_s, env=None):
    report = ROOT / binaries / "meson-logs" / f"{Path(folder).name}.xml"
    report.unlink(missing_ok=True)
    status, output = run(
        [sys.executable, "-m", "pytest", "-q", "-n", "3", "-p", "no:cacheprovider", "--durations=5",
         f"--junit-xml={report}", folder],
        timeout_s, {"POSTERN_BUILD": binaries, "PYTHONDONTWRITEBYTECODE": "1", **(env or {})})
    if not report.exists():
        raise StageError(f"pytest {folder}: exit status {status}\n{output}")
    results = Results()
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        name = f"{case.get('classname', '').split('.')[-1]}::{case.get('name')}"
        wrong = [child for child in case if child.tag in ("failure", "error")]
        if wrong:
            text = "\n".join((child.text or child.get("message") or "") for child in wrong)
            if results.failures and results.failures[-1][0] == name:
                # Failed, and its fixtures after it: one case.
                results.failures[-1] = (name, results.failures[-1][1] + "\n" + text)
            else:
                results.fail(name, text)
        elif case.find("skipped") is not None:
            results.skipped += 1
        else:
            results.passed += 1
    if status not in (0, 1) or (status == 1 and results.failed == 0):
        results.fail(f"pytest: exit status {status}", output)
    return results


def tap_script(script, timeout_s):
    if not (ROOT / script).exists():
        raise StageError(f"{script} is missing")
    status, output = run([script], timeout_s)
    return count_tap(script, output, status)


def e2e():
    return pytest_folder("tests/e2e", "build", 900)


def e2e_asan():
    return pytest_folder("tests/e2e", "build-asan", 1200, SANITIZERS)


def suite(script, timeout_s):
    """A suite that others wrote: the script ends with "N passed, N failed" and names what failed."""
    status, output = run([script], timeout_s)
    found = re.search(r"^(\d+) passed, (\d+) failed$", output, re.MULTILINE)
    if not found:
        raise StageError(f"{script}: exit status {status}\n{output}")
    results = Results(passed=int(found[1]), failed=int(found[2]))
    if results.failed:
        results.failures.append((script, output))
    elif status != 0:
        results.fail(script, output)
    return results


def conformance():
    results = Results()
    for script in sorted((ROOT / "tests/conformance").glob("run-*")):
        results.add(suite(script, 300))
    return results


def crash():
    return tap_script("tests/crash", 600)


def container():
    return tap_script("tests/container/run", 900)


# (name, function, what must have passed before)
STAGES = [
    ("build", build, None),
    ("rules", rules, None),
    ("unit", unit, "build"),
    ("conformance", conformance, "build"),
    ("build-asan", build_asan, None),
    ("unit-asan", unit_asan, "build-asan"),
    ("e2e", e2e, "build"),
    ("e2e-asan", e2e_asan, "build-asan"),
    ("crash", crash, "build"),
    ("container", container, None),
]


def show_failure(name, output):
    print(f"    FAILED {name}")
    lines = output.strip().splitlines()
    if len(lines) > OUTPUT_LINES_MAX:
        print(f"      … {len(lines) - OUTPUT_LINES_MAX} lines above this are left out")
        lines = lines[-OUTPUT_LINES_MAX:]
    for line in lines:
        print(f"      {line}")


def run_stage(name, function, needs, done):
    results = Results()
    started = time.monotonic()
    if needs in done and done[needs].failed:
        results.fail(name, f"not run, because the stage {needs} failed")
    else:
        try:
            results = function()
        except StageError as error:
            results.fail(name, str(error))
        except Exception as error:  # a defect of this file must not look like success
            results.fail(name, f"{type(error).__name__}: {error}")
    counts = f"{results.passed} passed, {results.failed} failed"
    if results.skipped:
        counts += f", {results.skipped} skipped"
    print(f"{name:<12} {counts}  ({time.monotonic() - started:.0f} s)")
    for failure in results.failures:
        show_failure(*failure)
    sys.stdout.flush()
    return results


def main():
    wanted = sys.argv[1:]
    unknown = set(wanted) - {name for name, _, _ in STAGES}
    if unknown:
        print(f"unknown stage {' '.join(sorted(unknown))}; there are "
              + " ".join(name for name, _, _ in STAGES), file=sys.stderr)
        return 2
    total, done = Results(), {}
    for name, function, needs in STAGES:
        if wanted and name not in wanted:
            continue
        done[name] = run_stage(name, function, needs, done)
        total.add(done[name])
    summary = f"{total.passed} passed, {total.failed} failed"
    print(summary + (f", {total.skipped} skipped" if total.skipped else ""))
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
