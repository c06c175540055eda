"""What Linux tells of a process under /proc. Bytes and seconds.

Redis rewrites its append-only file in a child process. Such children count as part of the server while they run, and
Linux adds their CPU time and bytes to the parent's when they have ended.
"""

import os
import pathlib

from .errors import BenchError

TICKS = os.sysconf("SC_CLK_TCK")


def family(pid):
    """The process and its living descendants."""
    found = [pid]
    for parent in found:
        try:
            for children in pathlib.Path(f"/proc/{parent}/task").glob("*/children"):
                found += map(int, children.read_text().split())
        except OSError:
            pass  # ended while we looked
    return found


def _sum_over_family(pid, reading):
    total = reading(pid)
    for child in family(pid)[1:]:
        try:
            total += reading(child)
        except OSError:
            pass  # ended meanwhile: the parent has its figures, or will at the next reading
    return total


def cpu_seconds(pid):
    """User and system time of all threads, those that have ended included."""

    def reading(one):
        fields = pathlib.Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        return sum(map(int, fields[11:15])) / TICKS

    return _sum_over_family(pid, reading)


def machine_cpu_seconds():
    """What all processes together have used, this machine's interrupts and what its host took included."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(
        int, pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICKS


def written_bytes(pid):
    """What the process caused to be written to the disk, in whole pages: an append counts its page once per sync."""

    def reading(one):
        return int(_field(f"/proc/{one}/io", "write_bytes"))

    return _sum_over_family(pid, reading)


def resident_bytes(pid):
    return int(_field(f"/proc/{pid}/status", "VmRSS").split()[0]) * 1024


def peak_resident_bytes(pid):
    return int(_field(f"/proc/{pid}/status", "VmHWM").split()[0]) * 1024


def _field(path, name):
    for line in pathlib.Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return value.strip()
    raise BenchError(f"{path} has no {name}: the process has ended")


def directory_bytes(directory):
    """Disk space that the files take, as du counts it."""
    total = 0
    for parent, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_blocks * 512
            except FileNotFoundError:
                pass  # servers remove files while we look
    return total
