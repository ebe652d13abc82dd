"""Builds the store's file as a power cut would have left it, from what tests/support/powerloss.c saw.

The model: what was written before a sync that returned is on the disk; of what was written since,
any sectors may be, in any order, and others not. A write under way at the cut counts as written
since. Sectors of 512 bytes are whole: disks promise that, and no more.
"""
import random
import struct
from dataclasses import dataclass
from pathlib import Path

WRITE, SYNC_ALL, SYNC_ONE, EXTEND, UNKNOWN = 1, 2, 3, 4, 5
ENTRY = struct.Struct("<IIQQQ")
SECTOR = 512
# What becomes of the writes that no sync covers.
FATES = ("lost", "written", "some", "torn")


@dataclass
class Entry:
    at: int  # offset in the log: the order of all that happened
    kind: int
    place: int
    offset: int
    data: bytes


def read_log(path):
    """The entries; an unfinished last one (the recorder was killed) is left out."""
    raw, at, entries = Path(path).read_bytes(), 0, []
    while at + ENTRY.size <= len(raw):
        kind, _, place, offset, length = ENTRY.unpack_from(raw, at)
        if at + ENTRY.size + length > len(raw):
            break
        entries.append(Entry(at, kind, place, offset, raw[at + ENTRY.size:at + ENTRY.size + length]))
        at += ENTRY.size + length
    return entries


class Disk:
    """The file at successive cuts: what is surely there, and what is only on its way."""

    def __init__(self, base, entries, ignore_syncs=False):
        self.durable = bytearray(base)
        self.pending = []
        self.entries = entries
        self.next = 0
        self.ignore_syncs = ignore_syncs

    def advance(self, count):
        """To just after the first `count` entries."""
        while self.next < count:
            self.take(self.entries[self.next])
            self.next += 1

    def take(self, entry):
        if entry.kind in (WRITE, EXTEND):
            self.pending.append(entry)
        elif entry.kind == UNKNOWN:
            raise AssertionError("the store's file is changed in a way that cannot be recorded")
        elif not (self.ignore_syncs and entry.kind == SYNC_ALL):
            def covered(write):
                return (write.at < entry.place if entry.kind == SYNC_ALL
                        else write.at == entry.place)
            for write in filter(covered, self.pending):
                put(self.durable, write)
            self.pending = [write for write in self.pending if not covered(write)]

    def image(self, fate, chance):
        """The bytes after the cut; `chance` is a random.Random."""
        image = bytearray(self.durable)
        for write in self.pending:
            if fate == "written" or (fate == "some" and chance.random() < 0.5):
                put(image, write)
            elif fate == "torn":
                put_torn(image, write, chance)
        return bytes(image)


def put(image, write, begin=0, end=None):
    """Also past the image's end: what is between reads as zeros, as in a file with a hole."""
    if write.kind == EXTEND:
        image.extend(bytes(max(0, write.offset - len(image))))
        return
    piece = write.data[begin:end]
    start = write.offset + begin
    if start > len(image):
        image.extend(bytes(start - len(image)))
    image[start:start + len(piece)] = piece


def put_torn(image, write, chance):
    if write.kind == EXTEND:
        return
    at = 0
    while at < len(write.data):
        end = min(len(write.data), at + SECTOR - (write.offset + at) % SECTOR)
        if chance.random() < 0.5:
            put(image, write, at, end)
        at = end


def choose_cuts(entries, count, seed):
    """Places in the sequence, spread over it, half of them within two steps of a sync."""
    chance = random.Random(seed)
    syncs = [i for i, entry in enumerate(entries) if entry.kind in (SYNC_ALL, SYNC_ONE)]
    cuts = {len(entries)}
    while len(cuts) < min(count, len(entries)):
        place = chance.randrange(len(entries) + 1)
        if chance.random() < 0.5:
            place = chance.choice(syncs) + chance.randrange(-1, 2)
        cuts.add(min(max(place, 0), len(entries)))
    return sorted(cuts)
