"""tools/quickstart: what a newcomer runs first."""
import os
import signal
import subprocess

import pytest

from harness import DEADLINE_S, ROOT, clean_environment, wait_until

QUICKSTART = ROOT / "tools/quickstart"

pytestmark = pytest.mark.skipif(os.environ.get("POSTERN_BUILD", "build") != "build",
                                reason="it builds and runs build/, not POSTERN_BUILD")


def start(folder, *words):
    return subprocess.Popen([QUICKSTART, *words], stdin=subprocess.DEVNULL, text=True,
                            stdout=open(folder / "out", "w"), stderr=subprocess.STDOUT,
                            env=clean_environment(TMPDIR=str(folder)), start_new_session=True)


def left_behind(folder):
    return [path.name for path in folder.iterdir() if path.name != "out"]


def test_once_it_shows_the_main_job_and_leaves_nothing(tmp_path):
    process = start(tmp_path, "--once")
    status = process.wait(600)
    said = (tmp_path / "out").read_text()
    assert status == 0, said
    assert said.count("200 over HTTP/2") == 3
    assert said.count("X-Webhook-Signature good  webhook-signature good") == 3
    assert left_behind(tmp_path) == []


def test_the_server_stays_until_interrupted_and_then_all_is_gone(tmp_path):
    process = start(tmp_path)
    said = lambda: (tmp_path / "out").read_text()
    wait_until(lambda: process.poll() is not None or "New deliveries appear here" in said(),
               "it is up", 600)
    assert process.poll() is None, said()
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
    assert process.wait(DEADLINE_S) == 0
    assert left_behind(tmp_path) == []
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_wrong_usage_exits_2():
    done = subprocess.run([QUICKSTART, "--twice"], capture_output=True, text=True)
    assert done.returncode == 2 and "--once" in done.stderr
