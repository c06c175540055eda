#!/usr/bin/python3
"""Sends the same random commands to redis-server 7 and to Even and compares the replies; see compare.py for how.

On a difference prints the seed, the shortest sequence found that still shows it, and exits 1."""

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import acl  # noqa: E402
import administration  # noqa: E402
import compare  # noqa: E402
import functions  # noqa: E402
import generate  # noqa: E402
import metadata  # noqa: E402
import monitoring  # noqa: E402
import protocol  # noqa: E402
import pubsub  # noqa: E402
import resp  # noqa: E402

DEADLINE_S = 20


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Server:
    """A server process on a port of its own, with a directory of its own."""

    def __init__(self, name, make_command):
        self.directory = tempfile.mkdtemp(prefix=f"even-differential-{name}-")
        self.port = free_port()
        self.log = open(os.path.join(self.directory, "output"), "wb")
        self.process = subprocess.Popen(make_command(self.port, self.directory), cwd=self.directory, stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + DEADLINE_S
        while True:
            try:
                connection = resp.connect(self.port)
                ready = connection.call(b"PING").raw == b"+PONG\r\n"
                connection.close()
                if ready:
                    return
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > deadline:
                with open(self.log.name, "rb") as log:
                    output = log.read().decode(errors="replace")
                self.stop()
                raise SystemExit(f"{name} did not start:\n{output}")
            time.sleep(0.02)

    def connect(self):
        return resp.connect(self.port)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()
        shutil.rmtree(self.directory, ignore_errors=True)


def pipelines(sequence, most):
    """Cuts a sequence into lists of (index, command) that are sent at once. What needs further questions goes alone."""
    out = []
    for index, command in enumerate(sequence):
        if not out or len(out[-1]) == most or compare.asks_further(command) or compare.asks_further(out[-1][-1][1]):
            out.append([])
        out[-1].append((index, command))
    return out


def run_sequence(redis_server, even_server, sequence, most):
    """Returns None, or (index, what differs). Up to `most` commands are sent at once."""
    redis, even = redis_server.connect(), even_server.connect()
    try:
        for connection in (redis, even):
            connection.call(b"FLUSHALL")
        for pipeline in pipelines(sequence, most):
            for connection in (redis, even):
                connection.send_all([command for _, command in pipeline])
            for index, command in pipeline:
                try:
                    compare.check(command, redis, even, redis.read(), even.read(), generate.KEYS)
                except compare.Difference as difference:
                    return index, str(difference)
                except (ConnectionError, TimeoutError, ValueError) as error:
                    return index, f"{type(error).__name__}: {error}"
    finally:
        redis.close()
        even.close()
    return None


def shrink(fails, sequence):
    """Leaves out commands while it still fails: halves first, then ever smaller pieces."""
    size = len(sequence) // 2
    while size >= 1:
        at = 0
        while at < len(sequence):
            shorter = sequence[:at] + sequence[at + size:]
            if shorter and fails(shorter):
                sequence = shorter
            else:
                at += size
        size //= 2
    return sequence


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evend", metavar="PATH", required=True, help="the server to test")
    parser.add_argument("--redis", metavar="PATH", default="redis-server", help="redis-server 7 (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=200, metavar="N", help="how many sequences (default: %(default)s)")
    parser.add_argument("--first-seed", type=int, default=1, metavar="N", help="the first seed (default: %(default)s)")
    parser.add_argument("--length", type=int, default=250, metavar="N", help="commands in a sequence (default: %(default)s)")
    options = parser.parse_args()

    redis = Server("redis", lambda port, directory: [
        options.redis, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", directory,
        "--enable-debug-command", "yes"])
    even = None
    try:
        path = os.path.abspath(options.evend)
        even = Server("evend", lambda port, directory: [path, "--port", str(port), "--data", os.path.join(directory, "data")])
        differences = (metadata.compare(redis.connect(), even.connect()) + administration.compare(redis.connect(), even.connect())
                       + protocol.compare(redis.port, even.port) + pubsub.compare(redis.port, even.port) + acl.compare(redis, even)
                       + functions.compare(redis, even) + monitoring.compare(redis, even))
        for line in differences:
            print(line)
        if differences:
            print(f"differential: descriptions of commands or raw requests differ in {len(differences)} places")
            return 1
        commands = 0
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            sequence = generate.Generator(seed).sequence(options.length)
            most = (1, 8, 60)[seed % 3]
            failure = run_sequence(redis, even, sequence, most)
            commands += len(sequence)
            if failure is None:
                continue
            print(f"differential: seed {seed} differs at command {failure[0]}; shrinking")
            sequence = shrink(lambda candidate: run_sequence(redis, even, candidate, most) is not None,
                              sequence[:failure[0] + most])
            index, what = run_sequence(redis, even, sequence, most) or failure
            print(f"up to {most} commands at once:")
            for command in sequence[:index + 1]:
                print("  " + " ".join(repr(word)[1:] for word in command))
            print(what)
            print(f"again: {sys.argv[0]} ... --first-seed {seed} --seeds 1 --length {options.length}")
            return 1
        print(f"differential: {options.seeds} seeds from {options.first_seed}, {commands} commands, no difference")
        return 0
    finally:
        redis.stop()
        if even is not None:
            even.stop()


if __name__ == "__main__":
    sys.exit(main())
