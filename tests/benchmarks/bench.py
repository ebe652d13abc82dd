"""Durable acceptance of work orders, and what an operator waits for, beside what bounds them.

Each case of the acceptance table runs all servers one after the other, several rounds, so that all
meet the same noise; the ratios of the medians are what counts. Servers and generator share the
machine. docs/performance.md says how to read it.
"""
import argparse
import signal
import subprocess
import sys
from pathlib import Path

from parts import Bench, machine, validate
from servers import Running

PARTS = ["validate", "disk", "accept", "node", "postgres", "batches", "deliver", "queries", "restart"]


def read_options():
    parser = argparse.ArgumentParser(prog="tests/bench", description=__doc__)
    parser.add_argument("--only", type=lambda text: text.split(","), default=PARTS, metavar="PART,…",
                        help=f"of {', '.join(PARTS)}")
    parser.add_argument("--seconds", type=float, help="of each run (3; with --quick 1)")
    parser.add_argument("--rounds", type=int, help="runs of each case (3; with --quick 1)")
    parser.add_argument("--quick", action="store_true", help="the cases of interest only")
    parser.add_argument("--fill", type=int, default=0, metavar="N",
                        help="first put N records into the store (1000000)")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg",
                        help="draw the acceptance table's TLS cases, instead of running the others")
    parser.add_argument("--dir", default="/var/tmp", help="where the stores are: on the disk that is "
                        "measured (/var/tmp)")
    parser.add_argument("--node-processes", type=int, default=1, metavar="N",
                        help="of the Node service (1)")
    options = parser.parse_args()
    unknown = set(options.only) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    usual = 1 if options.quick else 3
    options.seconds = options.seconds or usual
    options.rounds = options.rounds or usual
    return options


def warn_of_memory(folder):
    kind = subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, text=True).stdout
    if kind.strip() in ("tmpfs", "ramfs"):
        print(f"WARNING: {folder} is in memory: syncing costs nothing there. See --dir.")


def interrupted(*_):
    raise KeyboardInterrupt


def main():
    options = read_options()
    signal.signal(signal.SIGTERM, interrupted)
    print(machine())
    warn_of_memory(options.dir)
    with Running(options.dir) as running:
        if "validate" in options.only:
            validate(running)
        if options.only == ["validate"]:
            return
        bench = Bench(running, options)
        if options.fill:
            bench.fill()
        if "disk" in options.only:
            bench.disk()
        if {"accept", "node", "postgres"} & set(options.only):
            bench.accept()
        for part in ("batches", "deliver", "queries", "restart"):
            if part in options.only:
                getattr(bench, part)()
        bench.goals()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
