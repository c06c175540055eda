"""Runs the test suite of Redis or of Valkey, unmodified, from outside against one node of Even, and counts.

    tests/redis_suite.py SOURCE_TREE [FILE...]      e.g. redis-7.0.15 unit/type/string

Each file gets a node of its own, empty. What is not expected to pass, and why, is in redis_suite_exceptions.txt, for
Valkey in valkey_suite_exceptions.txt too; docs/redis-suite.md says how to get the suites, and what came of them. The
status is 1 if a test fails that is not listed.
"""

import argparse
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from even_cluster import BIN, HOST, free_port, until  # noqa: E402

FILES = """
unit/type/string unit/type/incr unit/type/list unit/type/list-2 unit/type/list-3 unit/type/set unit/type/zset
unit/type/hash unit/type/stream unit/type/stream-cgroups unit/expire unit/scan unit/keyspace unit/multi unit/scripting
unit/functions unit/bitops unit/bitfield unit/hyperloglog unit/geo unit/sort unit/pubsub unit/pubsubshard unit/protocol
unit/auth unit/acl unit/acl-v2 unit/info unit/info-command unit/introspection unit/introspection-2 unit/dump
unit/latency-monitor unit/querybuf unit/lazyfree unit/slowlog unit/other unit/tls unit/limits unit/maxmemory
unit/obuf-limits unit/client-eviction unit/tracking unit/pause unit/quit unit/printver unit/networking
unit/replybufsize unit/commandlog unit/hashexpire unit/fuzzer integration/redis-cli integration/valkey-cli
""".split()
# What tests need that no server but Redis has: its DEBUG command, replicas that follow it, files that it writes. And that it
# listens elsewhere when CONFIG SET says so.
WITHOUT_TAGS = "-needs:debug -needs:repl -needs:save -needs:pfdebug -ipv6"
# Tests send commands over two connections and take it that the first sent is the first executed. That holds, as in Redis,
# where one thread reads both.
SHARDS = 1
# Tests that need a client or redis-benchmark look for them in the source tree's src; Redis's serve Valkey's suite too. The
# server is not started, but has to be there.
PROGRAMS = {program: Path(f"/usr/bin/redis-{program}") for program in ["cli", "benchmark", "check-aof", "check-rdb"]}
PROGRAMS["server"] = BIN.resolve() / "evend"


class Exceptions:
    """The tests that are not expected to pass: under a line `# reason`, lines `file: name of the test`.

    A `!` before the file: not even to be tried, as it hangs or takes the tests after it with it.
    """

    def __init__(self, paths):
        self.reasons, self.skipped = {}, []
        for path in paths:
            self._read(path)

    def _read(self, path):
        reason = None
        for line in path.read_text().splitlines():
            if line.startswith("#"):
                reason = line[1:].strip()
            elif line.strip():
                test = line.removeprefix("!")
                self.reasons[test] = reason
                if line.startswith("!"):
                    self.skipped.append(test)

    def skips(self, file):
        return [test.split(": ", 1)[1] for test in self.skipped if test.split(": ", 1)[0] == file]


def results(output, file):
    """The (outcome, name) of each test in what the suite has printed."""
    for line in re.sub(r"\x1b\[[0-9;]*m", "", output).splitlines():
        if found := re.match(r"\[(ok|skip|ignore)\]: (.*?)(?: \(\d+ ms\))?$", line):
            yield found.groups()
        elif found := re.match(r"\[(err|exception)\]: (.*)$", line):
            # Of errors outside of a test the name is missing.
            name = found[2].removesuffix(f" in tests/{file}.tcl")
            yield "err", name if name != found[2] else f"(outside of tests) {name}"
        elif line.startswith("[TIMEOUT]"):
            yield "err", "(hangs)"


def run_file(tree, file, skips, seconds, log):
    with tempfile.TemporaryDirectory(prefix="even-suite-") as directory:
        port = free_port()
        with open(Path(directory, "evend.log"), "wb") as node_log:
            node = subprocess.Popen([BIN / "evend", "--port", str(port), "--data", f"{directory}/data",
                                     "--set", f"node.shards={SHARDS}"], stdout=node_log, stderr=node_log)
        try:
            until("the node answers", lambda: subprocess.run(["redis-cli", "-p", str(port), "ping"], text=True,
                                                             capture_output=True).stdout == "PONG\n")
            command = ["./runtest", "--host", HOST, "--port", str(port), "--baseport", str(port + 1), "--durable",
                       "--ignore-encoding", "--ignore-digest", "--tags", WITHOUT_TAGS, "--timeout", str(seconds),
                       "--single", file]
            for name in skips:
                command += ["--skiptest", name]
            suite = subprocess.Popen(command, cwd=tree, stdout=log, stderr=log, start_new_session=True)
            try:
                suite.wait(10 * seconds)
            except subprocess.TimeoutExpired:
                log.write(b"\n[TIMEOUT]\n")
            finally:
                try:
                    subprocess.run(["kill", "-KILL", "--", f"-{suite.pid}"], stderr=subprocess.DEVNULL)
                finally:
                    suite.wait()
            if node.poll() is not None:
                log.write(b"\n[exception]: the node has ended\n")
        finally:
            node.send_signal(signal.SIGKILL)
            node.wait()
            node_errors = Path(directory, "evend.log").read_bytes()
            log.write(b"\n== the node's log\n" + node_errors[-20000:])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tree", type=Path)
    parser.add_argument("files", nargs="*", help="all, unless some are named")
    parser.add_argument("--logs", type=Path, help="directory for what the suite and the node say")
    parser.add_argument("--seconds", type=int, default=60, help="without progress, then it counts as hanging")
    args = parser.parse_intermixed_args()
    suite = "valkey" if (args.tree / "tests/support/valkey.tcl").exists() else "redis"
    logs = args.logs or Path(tempfile.gettempdir(), f"{suite}-suite-logs")
    logs.mkdir(parents=True, exist_ok=True)
    for name, program in PROGRAMS.items():
        link = args.tree / "src" / f"{suite}-{name}"
        if not link.exists():
            link.unlink(missing_ok=True)  # of a build that is gone
            link.symlink_to(program)
    exceptions = Exceptions(Path(__file__).with_name(f"{name}_suite_exceptions.txt") for name in dict.fromkeys(["redis", suite]))

    unexpected, needless, total = [], [], Counter()
    print("| File | passed | failed | excepted | skipped by tag |\n|---|---|---|---|---|")
    for file in args.files or [file for file in FILES if (args.tree / f"tests/{file}.tcl").exists()]:
        started = time.monotonic()
        path = logs / (file.replace("/", "-") + ".log")
        with open(path, "wb") as log:
            run_file(args.tree, file, exceptions.skips(file), args.seconds, log)
        counts = Counter()
        for outcome, name in results(path.read_text(errors="replace").split("\n== the node's log\n")[0], file):
            known = f"{file}: {name}" in exceptions.reasons
            if outcome == "ok":
                counts["passed"] += 1
                if known:
                    needless.append(f"{file}: {name}")
            elif outcome == "ignore":
                counts["skipped"] += 1
            elif known:
                counts["excepted"] += 1
            else:
                counts["failed"] += 1
                unexpected.append(f"{file}: {name}")
        total += counts
        columns = [str(counts[column]) for column in ("passed", "failed", "excepted", "skipped")]
        print(f"| {file} | {' | '.join(columns)} |", flush=True)
        print(f"{file}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    print(f"| all | {' | '.join(str(total[column]) for column in ('passed', 'failed', 'excepted', 'skipped'))} |")
    for test in needless:
        print(f"passes, but is listed: {test}", file=sys.stderr)
    for test in unexpected:
        print(f"fails: {test}", file=sys.stderr)
    return 1 if unexpected else 0


if __name__ == "__main__":
    sys.exit(main())
