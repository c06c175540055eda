#!/usr/bin/python3
"""Benchmarks Even beside redis-server on the same machine, in one run, in alternating rounds.

Throughput and latency come from redis-benchmark, CPU time from /proc: all threads of the server process,
divided by the number of operations. Every figure is the median over the rounds; a ratio is the median of the
rounds' ratios, so that a machine whose speed drifts distorts it little. Results are printed and kept, with
machine and commit, as a file under bench/results/.
"""

import argparse
import csv
import io
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
COMMANDS = ["set", "get", "incr", "sadd", "hset"]
TICKS = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Server:
    """One server process on a free port, with its data in a directory of its own."""

    def __init__(self, name, command, port, log):
        self.name = name
        self.port = port
        self.log = log
        with open(log, "wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)

    def wait_ready(self):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as s:
                    s.sendall(b"PING\r\n")
                    if s.recv(16).startswith(b"+PONG"):
                        return self
            except OSError:
                pass
            time.sleep(0.02)
        sys.exit(f"{self.name} did not start:\n{pathlib.Path(self.log).read_text()[-2000:]}")

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def start_redis(work, fsync):
    port = free_port()
    data = work / "redis"
    data.mkdir(parents=True)
    return Server("redis-server",
                  ["redis-server", "--port", str(port), "--dir", str(data), "--appendonly", "yes", "--appendfsync", fsync,
                   "--save", "", "--daemonize", "no"], port, work / "redis.log").wait_ready()


def start_even(evend, work, fsync):
    port = free_port()
    data = work / "even"
    data.mkdir(parents=True)
    return Server("evend", [evend, "--port", str(port), "--data", str(data), "--set", f"log.fsync={fsync}"], port,
                  work / "even.log").wait_ready()


def start_cluster(evend, work, fsync, nodes):
    """`nodes` evend processes that replicate to each other. Returns them and their HTTP ports."""
    ports = [(free_port(), free_port(), free_port()) for _ in range(nodes)]
    entries = "".join(
        f'\n[[cluster.node]]\nname = "n{i + 1}"\nnumber = {i + 1}\nhost = "127.0.0.1"\n'
        f"client_port = {c}\npeer_port = {p}\nhttp_port = {h}\n" for i, (c, p, h) in enumerate(ports))
    servers = []
    for i, (client, peer, http) in enumerate(ports):
        home = work / f"n{i + 1}"
        home.mkdir(parents=True)
        config = home / "even.toml"
        config.write_text(
            f'[node]\nname = "n{i + 1}"\ndata = "{home}/data"\nshards = 1\n[client]\nport = {client}\n[peer]\nport = {peer}\n'
            f'[http]\nport = {http}\n[log]\nfsync = "{fsync}"\n[cluster]\nid = "bench"\nreplicas = {nodes}\n{entries}')
        servers.append(Server(f"n{i + 1}", [evend, "--config", str(config)], client, home / "evend.log"))
    for server in servers:
        server.wait_ready()
    http_ports = [h for _, _, h in ports]
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        status = [json.load(urllib.request.urlopen(f"http://127.0.0.1:{h}/status", timeout=5)) for h in http_ports]
        if all(peer["link"] == "up" for s in status for peer in s["peers"]):
            return servers, http_ports
        time.sleep(0.05)
    sys.exit("the cluster's links did not come up")


def measure(port, pids, command, options):
    """One run of redis-benchmark: operations per second, latencies in ms, CPU microseconds per operation."""
    before = sum(cpu_seconds(pid) for pid in pids)
    run = subprocess.run(
        ["redis-benchmark", "-p", str(port), "-t", command, "-n", str(options.requests), "-c", str(options.clients), "-P",
         str(options.pipeline), "-r", str(options.keys), "-d", str(options.bytes), "--csv"],
        capture_output=True, text=True, check=False, timeout=600)
    used = sum(cpu_seconds(pid) for pid in pids) - before
    rows = [r for r in csv.reader(io.StringIO(run.stdout)) if len(r) >= 8 and r[0].lower().startswith(command)]
    if run.returncode != 0 or not rows:
        sys.exit(f"redis-benchmark failed on {command}: {run.stdout}{run.stderr}")
    row = rows[-1]
    return {"rps": float(row[1]), "p50": float(row[4]), "p95": float(row[5]), "p99": float(row[6]),
            "cpu_us": used * 1e6 / options.requests}


def medians(rounds):
    return {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}


def catch_up(http_port):
    """Waits until the other nodes have all that this one wrote. Returns seconds."""
    begun = time.monotonic()
    while time.monotonic() < begun + 60:
        peers = json.load(urllib.request.urlopen(f"http://127.0.0.1:{http_port}/status", timeout=5))["peers"]
        if not any(peer["lag_records"] for peer in peers):
            return time.monotonic() - begun
        time.sleep(0.005)
    sys.exit("the replicas do not catch up")


def compare(title, commands, redis, even, options, even_pids=None, http_port=None):
    """Alternates the two servers command by command, round by round. With `http_port`, Even's replicas catch up before
    anything else is measured, and the table says how long that took at most."""
    even_pids = even_pids or [even.process.pid]
    taken = {c: {"redis": [], "even": []} for c in commands}
    total = options.rounds * len(commands)
    for round_number in range(options.rounds):
        for i, command in enumerate(commands):
            print(f"\r{title}: {round_number * len(commands) + i + 1} of {total}", end="", file=sys.stderr, flush=True)
            pairs = [("redis", redis.port, [redis.process.pid]), ("even", even.port, even_pids)]
            for name, port, pids in pairs if round_number % 2 == 0 else reversed(pairs):
                taken[command][name].append(measure(port, pids, command, options))
                if name == "even" and http_port:
                    taken[command][name][-1]["behind"] = catch_up(http_port)
    print(file=sys.stderr)
    rows = []
    for command, by_name in taken.items():
        r, e = medians(by_name["redis"]), medians(by_name["even"])
        ratios = [b["rps"] / a["rps"] for a, b in zip(by_name["redis"], by_name["even"])]
        cpu_ratios = [b["cpu_us"] / a["cpu_us"] for a, b in zip(by_name["redis"], by_name["even"]) if a["cpu_us"] > 0]
        rows.append({"command": command.upper(), "redis": r, "even": e, "ratio": statistics.median(ratios),
                     "ratio_min": min(ratios), "ratio_max": max(ratios),
                     "cpu_ratio": statistics.median(cpu_ratios) if cpu_ratios else float("nan"),
                     "behind": max(b.get("behind", 0) for b in by_name["even"])})
    lines = [f"### {title}", "",
             "| command | Redis op/s | Even op/s | ratio (min-max) | Redis p50/p99 ms | Even p50/p99 ms | Redis CPU us/op | "
             "Even CPU us/op | ratio |", "|---|---|---|---|---|---|---|---|---|"]
    for row in rows:
        r, e = row["redis"], row["even"]
        lines.append(f"| {row['command']} | {r['rps']:,.0f} | {e['rps']:,.0f} | **{row['ratio']:.2f}** ({row['ratio_min']:.2f}-"
                     f"{row['ratio_max']:.2f}) | {r['p50']:.2f}/{r['p99']:.2f} | {e['p50']:.2f}/{e['p99']:.2f} | {r['cpu_us']:.2f} | "
                     f"{e['cpu_us']:.2f} | {row['cpu_ratio']:.2f} |")
    if http_port:
        lines += ["", f"The replicas had all of it at most {max(row['behind'] for row in rows) * 1e3:.0f} ms after a run's end. Even's CPU "
                  "time is that of the three processes together."]
    return "\n".join(lines) + "\n", rows


class Resp:
    """The least of a client: sends commands, reads simple replies."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    @staticmethod
    def encode(*words):
        out = [b"*%d\r\n" % len(words)]
        for word in words:
            word = word if isinstance(word, bytes) else str(word).encode()
            out.append(b"$%d\r\n%s\r\n" % (len(word), word))
        return b"".join(out)

    def reply(self):
        line = self.file.readline()
        if line[:1] == b"$":
            length = int(line[1:])
            return None if length < 0 else self.file.read(length + 2)[:-2]
        return line[1:-2]


def measure_lag(write_port, read_port, http_port, rate, seconds):
    """Writes `rate` keys a second to one node and, on another, polls for one key at a time. Returns seconds from the reply to the write
    (taken before it for good measure: from its sending) to its being read."""
    batch = max(1, rate // 1000)
    sent = {}
    newest = [0]
    stop = threading.Event()
    count = [0]

    def write():
        client = Resp(write_port)
        next_at = time.monotonic()
        n = 0
        while not stop.is_set():
            now = time.monotonic()
            if now < next_at:
                time.sleep(next_at - now)
            next_at += batch / rate
            requests = []
            for _ in range(batch):
                n += 1
                requests.append(Resp.encode("SET", f"lag:{n % 20000}", n))
            sent[n] = time.monotonic()
            client.socket.sendall(b"".join(requests))
            for _ in range(batch):
                client.reply()
            newest[0] = n
            count[0] = n

    writer = threading.Thread(target=write)
    writer.start()
    lags = []
    reader = Resp(read_port)
    begun = time.monotonic()
    while time.monotonic() < begun + seconds:
        n = newest[0]
        if n == 0 or n not in sent:
            time.sleep(0.001)
            continue
        # The next write to come: wait for it to be sent, then poll until it is here.
        target = n + batch
        while target not in sent:
            time.sleep(0.0002)
        request = Resp.encode("GET", f"lag:{target % 20000}")
        while True:
            reader.socket.sendall(request)
            value = reader.reply()
            now = time.monotonic()
            if value is not None and int(value) >= target:
                break
            time.sleep(0.0002)
        lags.append(now - sent[target])
    stop.set()
    writer.join()
    lags.sort()
    achieved = count[0] / (time.monotonic() - begun)
    text = urllib.request.urlopen(f"http://127.0.0.1:{http_port}/metrics", timeout=5).read().decode()
    return lags, achieved, text


def histogram_quantile(text, metric, quantile):
    """The upper bound of the bucket in which the quantile lies, over all label sets of a Prometheus histogram."""
    buckets = {}
    for bound, value in re.findall(rf'^{metric}_bucket{{[^}}]*le="([^"]+)"[^}}]*}} ([0-9.e+]+)$', text, re.M):
        buckets[float(bound)] = buckets.get(float(bound), 0) + float(value)
    total = buckets.get(float("inf"), 0)
    for bound in sorted(buckets):
        if total and buckets[bound] >= quantile * total:
            return bound
    return float("nan")


def percentile(values, p):
    return values[min(len(values) - 1, int(len(values) * p))] if values else float("nan")


def lag_section(evend, work, options):
    servers, http_ports = start_cluster(evend, work, options.fsync, 3)
    try:
        lags, achieved, metrics = measure_lag(servers[0].port, servers[1].port, http_ports[1], options.lag_rate, options.lag_seconds)
    finally:
        for server in servers:
            server.stop()
    seen = histogram_quantile(metrics, "even_replication_delay_seconds", 0.99)
    return (f"### Replication lag, three nodes, {achieved:,.0f} writes/s to one\n\n"
            f"A client that polls another node ({len(lags)} probes): p50 {percentile(lags, 0.5) * 1e3:.2f} ms, p99 "
            f"{percentile(lags, 0.99) * 1e3:.2f} ms, max {lags[-1] * 1e3:.2f} ms, from the sending of the write to its being read.\n"
            f"`/metrics` (`even_replication_delay_seconds`): p99 at most {seen * 1e3:g} ms.\n"), {
                "p50": percentile(lags, 0.5), "p99": percentile(lags, 0.99), "metrics_p99": seen, "rate": achieved}


def main():
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", default=[], metavar="section", help="single, cluster, lag; all by default")
    parser.add_argument("--fsync", default="everysec", choices=["always", "everysec", "no"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=500_000, help="per command and round")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--pipeline", type=int, default=16)
    parser.add_argument("--keys", type=int, default=100_000, help="size of the random key space")
    parser.add_argument("--bytes", type=int, default=3, help="size of values, as redis-benchmark -d")
    parser.add_argument("--commands", default=",".join(COMMANDS))
    parser.add_argument("--lag-rate", type=int, default=5000)
    parser.add_argument("--lag-seconds", type=float, default=20)
    parser.add_argument("--evend", default=str(ROOT / "build/release/bin/evend"))
    parser.add_argument("--output", help="file for the result; default bench/results/DATE-COMMIT.md")
    options = parser.parse_args()
    sections = options.sections or ["single", "cluster", "lag"]
    unknown = set(sections) - {"single", "cluster", "lag"}
    if unknown:
        parser.error(f"unknown section {', '.join(unknown)}: single, cluster and lag exist")
    for program in ["redis-server", "redis-benchmark"]:
        if shutil.which(program) is None:
            sys.exit(f"{program} is missing: ./dev setup installs it")

    commit = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    date = time.strftime("%Y-%m-%d")
    version = subprocess.run(["redis-server", "--version"], capture_output=True, text=True).stdout
    text = [f"# Benchmark of {date}, commit {commit}", "",
            f"Machine: {cpu.group(1) if cpu else platform.processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}. "
            f"Redis {re.search(r'v=([0-9.]+)', version).group(1)} with its append-only file on, both with fsync = {options.fsync}. "
            f"`redis-benchmark -c {options.clients} -P {options.pipeline} -r {options.keys} -d {options.bytes} -n {options.requests}`, "
            f"median of {options.rounds} alternating rounds.", ""]
    commands = options.commands.split(",")
    with tempfile.TemporaryDirectory(prefix="even-bench-") as directory:
        work = pathlib.Path(directory)
        if "single" in sections:
            redis, even = start_redis(work / "single", options.fsync), start_even(options.evend, work / "single", options.fsync)
            try:
                table, _ = compare("One node", commands, redis, even, options)
            finally:
                redis.stop()
                even.stop()
            text.append(table)
        if "cluster" in sections:
            redis = start_redis(work / "cluster", options.fsync)
            servers, http_ports = start_cluster(options.evend, work / "cluster", options.fsync, 3)
            try:
                table, _ = compare("Three nodes replicating, clients at one, against one Redis", commands, redis, servers[0], options,
                                   [s.process.pid for s in servers], http_ports[0])
            finally:
                redis.stop()
                for server in servers:
                    server.stop()
            text.append(table)
        if "lag" in sections:
            text.append(lag_section(options.evend, work / "lag", options)[0])
    output = pathlib.Path(options.output) if options.output else ROOT / "bench/results" / f"{date}-{commit}.md"
    output.write_text("\n".join(text))
    print("\n".join(text))
    print(f"kept as {output}")


if __name__ == "__main__":
    main()
