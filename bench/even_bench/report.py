"""The file that a run leaves: machine, versions and options, then a section for each case."""

import os
import pathlib
import platform
import re
import subprocess
import time


def _output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def file_system(directory):
    """Type and device of the file system that a directory is on, as in "ext4 on /dev/vda"."""
    directory = pathlib.Path(directory).resolve()
    best = ("/", "unknown", "unknown")
    for line in pathlib.Path("/proc/mounts").read_text().splitlines():
        device, mount, kind = line.split()[:3]
        if directory.is_relative_to(mount) and len(mount) >= len(best[0]):
            best = (mount, kind, device)
    return f"{best[1]} on {best[2]}"


def _within(root, path):
    return path.relative_to(root) if path.is_relative_to(root) else path


def machine():
    found = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{found.group(1) if found else platform.processor()}, {os.cpu_count()} cores, {memory:.1f} GiB of memory"


class Report:
    """Written anew after each case, so that a run that is cut off keeps what it has measured."""

    def __init__(self, root, output, cases, all_by_default, header):
        """`output`: the file, or None for bench/results/DATE-COMMIT[-CASES].md, numbered when there is one already."""
        commit = _output("git", "-C", str(root), "describe", "--always", "--dirty")
        date = time.strftime("%Y-%m-%d")
        self._text = [f"# Benchmark of {date}, commit {commit}\n", header]
        if output:
            self.path = pathlib.Path(output)
            return
        stem = "-".join([date, commit] + ([] if all_by_default else cases))
        results = root / "bench" / "results"
        results.mkdir(parents=True, exist_ok=True)
        self.path = results / f"{stem}.md"
        number = 2
        while self.path.exists():
            self.path = results / f"{stem}-{number}.md"
            number += 1

    def add(self, section):
        self._text.append(section)
        self.path.write_text("\n".join(self._text))

    def __str__(self):
        return "\n".join(self._text)


def header(root, options, command_line, redis, evens):
    version = re.search(r"v=([0-9.]+)", _output("redis-server", "--version"))
    builds = ", ".join(f"{even.name} (`{_within(root, even.program)}`)" for even in evens)
    lines = [
        f"- Machine: {machine()}",
        f"- Kernel: {platform.system()} {platform.release()}; data on {file_system(options.dir)}",
        f"- {redis.name}: {version.group(1) if version else 'unknown version'}, append-only file on",
        f"- Compared with it: {builds}",
        f"- Command: `{command_line}`; fsync is {', '.join(options.fsync)}",
    ]
    return "\n".join(lines) + (
        "\n\nEach figure is the median over the rounds, in which the servers take turns. A ratio is the median of the rounds' "
        "ratios, with the least and the greatest of them: above 1 is better for op/s, below 1 for all else.\n"
    )
