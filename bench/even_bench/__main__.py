"""Benchmarks Even beside redis-server (strong: beside etcd; topics: beside Apache Kafka) on the same machine, in one run, in alternating rounds.

Throughput and latency come from redis-benchmark (strong: from bench/strong_driver; topics: from Kafka's own tools); CPU time, memory and bytes written from /proc, for all threads and
child processes of the server. Every figure is the median over the rounds; a ratio is the median of the rounds' ratios,
so that a machine whose speed drifts distorts it little. What was measured is printed and kept, with machine, kernel,
commit and options, as a file under bench/results/.
"""

import argparse
import copy
import os
import pathlib
import shlex
import shutil
import signal
import sys
import tempfile
import time

from . import report
from .arguments import positive, words
from .cases import CASES
from .errors import BenchError
from .progress import Progress
from .run import Run
from .servers import Even, Redis

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FSYNC = ["always", "everysec", "no"]
COMMANDS = ["set", "get", "incr", "sadd", "hset", "lpush", "lrange_100", "rpop", "eval"]


def labelled_path(text):
    label, equals, path = text.rpartition("=")
    if not (os.path.isfile(path) and os.access(path, os.X_OK)):
        raise argparse.ArgumentTypeError(f"{path} is not a program")
    return (label if equals else None), pathlib.Path(path)


def list_of_cases():
    wide = max(map(len, CASES))
    lines = []
    for case in CASES.values():
        defaults = [f"rounds {case.rounds}"]
        defaults += [f"{name} {value:,}" for name, value in [("keys", case.keys), ("requests", case.requests)] if value]
        lines.append(f"{'*' if case.by_default else ' '} {case.name:{wide}}  {case.summary}")
        lines.append(f"  {'':{wide}}  ({'; '.join(defaults)})")
    return "\n".join(lines)


def parser():
    result = argparse.ArgumentParser(
        prog="./dev bench", formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__,
        epilog="cases (those with a * are run when none is named):\n" + list_of_cases())
    result.add_argument("cases", nargs="*", metavar="CASE", help="what to run; see below")
    result.add_argument("--list", action="store_true", help="list the cases, and do nothing else")
    result.add_argument("--evend", action="append", default=[], type=labelled_path, metavar="[LABEL=]PATH",
                        help="with a label: compare this evend, too (may be repeated); without: use it instead of "
                             "build/release/bin/evend")
    result.add_argument("--valkey", type=labelled_path, metavar="[LABEL=]PATH",
                        help="compare this valkey-server, too, in the cases that are beside Redis alone")
    result.add_argument("--output", metavar="FILE",
                        help="default: bench/results/DATE-COMMIT.md, with the names of the cases if some are named")
    result.add_argument("--dir", default=tempfile.gettempdir(),
                        help="where servers keep their data while they are measured; the disk there is measured with them "
                             "(default %(default)s)")
    result.add_argument("--rounds", type=positive, help="default: that of the case")

    group = result.add_argument_group("options of several cases")
    group.add_argument("--fsync", type=words(FSYNC), default=["everysec"], metavar="WORD[,WORD...]",
                       help="always, everysec, no: pipelined, single and cluster are run for each, the others for the first "
                            "(default everysec)")
    group.add_argument("--keys", type=positive, help="keys (members, for amplification); default: that of the case")
    group.add_argument("--requests", type=positive, help="per command and round of redis-benchmark; default: that of the case")
    group.add_argument("--clients", type=positive, default=50, help="of redis-benchmark (default %(default)s)")
    group.add_argument("--pipeline", type=positive, default=16,
                       help="of redis-benchmark, except where a case is about having none (default %(default)s)")
    group.add_argument("--bytes", type=positive, default=3, help="values of redis-benchmark (default %(default)s)")
    group.add_argument("--commands", type=words(COMMANDS), default=COMMANDS, metavar="WORD[,WORD...]",
                       help=f"default {','.join(COMMANDS)}")

    for case in CASES.values():
        if case.add_options:
            case.add_options(result.add_argument_group(f"options of {case.name}"))
    return result


def contestants(arguments, fail):
    """The builds of Even in the order in which they are shown; the first is what the others are compared with."""
    built = ROOT / "build/release/bin/evend"
    instead = [path for label, path in arguments if label is None]
    if len(instead) > 1:
        fail("--evend without a label replaces the evend that is built: only one can")
    evens = [Even(instead[0] if instead else built)]
    evens += [Even(path, label) for label, path in arguments if label is not None]
    names = [Redis().name] + [even.name for even in evens]
    if len(set(names)) < len(names):
        fail(f"two servers have the same label: {', '.join(names)}")
    if not os.access(evens[0].program, os.X_OK):
        fail(f"{evens[0].program} is missing: ./dev build makes it")
    return evens


def others(options):
    return [Redis(options.valkey[0] or "Valkey", options.valkey[1])] if options.valkey else []


def for_case(options, case):
    own = copy.copy(options)
    for name in ("rounds", "keys", "requests"):
        if getattr(own, name) is None:
            setattr(own, name, getattr(case, name))
    return own


def section_of(case, options, evens):
    """Runs a case. Returns its section of the report and what was wrong."""
    progress = Progress(case.name)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=f"even-bench-{case.name}-", dir=options.dir) as directory:
        run = Run(for_case(options, case), pathlib.Path(directory), Redis(), evens, progress, others(options))
        try:
            text = case.measure(run)
        except (BenchError, OSError) as error:
            text = f"Failed: {error}\n"
            run.problems.append(f"{case.name} failed: {error}")
    progress.end(f"done in {time.monotonic() - begun:.0f} s")
    problems = "".join(f"\n**Wrong: {problem}**\n" for problem in run.problems)
    return f"## {case.name}\n\n{text}{problems}", run.problems


def main():
    command_line = parser()
    options = command_line.parse_intermixed_args()
    if options.list:
        print("Cases; those with a * are run when none is named:\n" + list_of_cases())
        return 0
    if unknown := [name for name in options.cases if name not in CASES]:
        command_line.error(f"no such case: {', '.join(unknown)}; there are {', '.join(CASES)}")
    default = [case.name for case in CASES.values() if case.by_default]
    names = [name for name in CASES if name in options.cases] or default
    evens = contestants(options.evend, command_line.error)
    for program in ["redis-server", "redis-benchmark"]:
        if shutil.which(program) is None:
            sys.exit(f"{program} is missing: ./dev setup installs it")
    # So that whoever stops the run stops the servers, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))

    header = report.header(ROOT, options, shlex.join(["./dev", "bench", *sys.argv[1:]]), Redis(), evens)
    result = report.Report(ROOT, options.output, names, names == default, header)
    wrong = []
    for name in names:
        section, problems = section_of(CASES[name], options, evens)
        result.add(section)
        wrong += problems
    print(result)
    print(f"kept as {result.path}")
    for problem in wrong:
        print(f"wrong: {problem}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
