"""Lets system calls of a running server fail, or take long: the other side of
tests/support/failing.c, which says what each kind is.

    failing = Failing(server.folder)
    server.environment = failing.environment
    server.start()
    with failing.of("sync", errno.EIO, every=3):
        ...
    assert failing.failed("sync")

A test that lets calls fail asks afterwards whether any did.
"""
import contextlib
import mmap
import os
import struct

from harness import BUILD, POSTERND

KINDS = ["write", "sync", "map", "memory", "accept", "send", "receive", "connect"]
RULE = struct.Struct("<IIII16sQQ16x")
COUNTS_AT = 32
HAS_SANITIZER = b"__asan_init" in POSTERND.read_bytes() if POSTERND.exists() else False


class Failing:
    def __init__(self, folder, memory=False):
        """`memory`: allocations can fail too. The process is started with `environment`."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "failing"  # mapped before a server gives up all folders but its own
        path.write_bytes(bytes(RULE.size * len(KINDS)))
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 0)
        library = "libfailing_memory.so" if memory else "libfailing.so"
        self.environment = {"LD_PRELOAD": str(BUILD / "tests/support" / library),
                            "FAILING_RULES": str(path),
                            "ASAN_OPTIONS": "verify_asan_link_order=0:"
                                            + os.environ.get("ASAN_OPTIONS", "")}

    def set(self, kind, error=0, every=1, delay_s=0.0, thread="", once=False):
        at = KINDS.index(kind) * RULE.size
        # The error puts a rule in force: the old one ends first, the new one begins last.
        self.map[at:at + 4] = struct.pack("<I", 0)
        self.map[at + 4:at + COUNTS_AT] = struct.pack("<III16s", every, int(delay_s * 1e6), once,
                                                      thread.encode())
        self.map[at:at + 4] = struct.pack("<I", error)

    @contextlib.contextmanager
    def of(self, kind, error=0, **how):
        self.set(kind, error, **how)
        try:
            yield
        finally:
            self.set(kind)

    def failed(self, kind):
        return self.counts(kind)[1]

    def calls(self, kind):
        return self.counts(kind)[0]

    def counts(self, kind):
        at = KINDS.index(kind) * RULE.size + COUNTS_AT
        return struct.unpack("<QQ", self.map[at:at + 16])
