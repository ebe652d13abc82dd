"""The soak in its shortest form: the script works, and nothing grows as fast as that."""
import os
import subprocess
import sys

import pytest

from harness import ROOT


@pytest.mark.skipif("ASAN_OPTIONS" in os.environ, reason="freed memory is kept in quarantine there")
def test_half_a_minute_of_everything_grows_nothing(tmp_path):
    done = subprocess.run([sys.executable, ROOT / "tests/soaks/soak.py", "--minutes", "0.4",
                           "--rate", "60", "--out", tmp_path], capture_output=True, text=True,
                          timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "soak.csv").read_text().count("\n") > 10
    assert (tmp_path / "soak.svg").read_text().startswith("<svg")
