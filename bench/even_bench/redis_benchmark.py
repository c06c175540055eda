"""Drives redis-benchmark and reads what it prints."""

import csv
import io
import subprocess

from .errors import BenchError

# In the words of a command: a random number, and a value of as many bytes as is asked for.
NUMBER = "__rand_int__"
VALUE = "__data__"
# Tests that redis-benchmark does not know by name: the words of their commands.
WORDS = {"eval": ["EVAL", "return redis.call('SET', KEYS[1], ARGV[1])", "1", "key:__rand_int__"]}


def parse(text, test):
    """The figures of a test from the output of `redis-benchmark --csv`: operations per second, latencies in ms. None if
    they are not there. Tests are named as for -t; "hset" is not to be taken for "set"."""
    for row in csv.DictReader(io.StringIO(text)):
        # "LRANGE_100 (first 100 elements)"
        name = (row.get("test") or "").lower()
        if name.split(" (")[0] != test and not (test in WORDS and name.startswith(test + " ")):
            continue
        try:
            return figures_of(row)
        except (KeyError, TypeError, ValueError):
            return None
    return None


def figures_of(row):
    return {
        "rps": float(row["rps"]),
        "p50": float(row["p50_latency_ms"]),
        "p95": float(row["p95_latency_ms"]),
        "p99": float(row["p99_latency_ms"]),
    }


def run(port, test, *, requests, clients, pipeline, keys, value_bytes):
    command = ["redis-benchmark", "-p", port] + ([] if test in WORDS else ["-t", test]) + ["-n", requests, "-c", clients, "-P", pipeline, "-r", keys]
    command += ["-d", value_bytes, "--csv"]
    if test in WORDS:
        command += WORDS[test] + ["x" * value_bytes]
    try:
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=1800)
    except subprocess.TimeoutExpired:
        raise BenchError(f"redis-benchmark -t {test} did not end within half an hour") from None
    figures = parse(done.stdout, test)
    if done.returncode != 0 or figures is None:
        raise BenchError(f"redis-benchmark failed on {test}: {done.stdout}{done.stderr}")
    return figures


def run_words(port, words, *, requests, clients, pipeline, keys, value_bytes):
    """Of any command."""
    words = ["x" * value_bytes if word == VALUE else word for word in words]
    command = ["redis-benchmark", "-p", port, "-n", requests, "-c", clients, "-P", pipeline, "-r", keys, "--csv", *words]
    try:
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=1800)
    except subprocess.TimeoutExpired:
        raise BenchError(f"redis-benchmark did not end {words[0]} within half an hour") from None
    lines = list(csv.DictReader(io.StringIO(done.stdout)))
    # The name of the test is the command itself.
    if done.returncode != 0 or len(lines) != 1 or not lines[0]["test"].startswith(words[0]):
        raise BenchError(f"redis-benchmark failed on {words[0]}: {done.stdout}{done.stderr}")
    return figures_of(lines[0])
