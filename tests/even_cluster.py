"""A cluster of real evend processes on free ports of this machine, for tests.

Node K of a cluster is called nK. A node's configuration, data and log are in a directory of its own. Waiting is polling
with a deadline: `until` is the only place that sleeps.
"""

import ctypes
import http.client
import json
import os
import re
import random
import signal
import socket
import subprocess
import time
from pathlib import Path

import redis

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(os.environ.get("EVEN_BIN", ROOT / "build/release/bin"))
HOST = "127.0.0.1"
# How many times longer than usual to wait: for builds with sanitizers, which are slow.
PATIENCE = float(os.environ.get("EVEN_PATIENCE", 1))


def until(what, condition, seconds=20, interval=0.01):
    """Polls until condition() is true and returns its value; fails with `what` (text or function) after the deadline."""
    seconds *= PATIENCE
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not in {seconds} s: {what() if callable(what) else what}")
        time.sleep(interval)


def _ports_of_this_process():
    """Ports below the range that the kernel gives to outgoing connections: the port of a node that is down must stay free.

    Of processes that run tests side by side (pytest -n) each has a range of its own, for the same reason.
    """
    first, end = 10000, 32000
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    size = (end - first) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
    return range(first + worker * size, first + (worker + 1) * size)


_ports = random.sample(ports := _ports_of_this_process(), len(ports))


def free_port():
    while True:
        port = _ports.pop()
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port


def free_ports_of_local_cluster(nodes):
    """A base for `even up --port-base` at which the ports of so many nodes are free."""
    def free(port):
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                return False
        return True
    while True:
        base = free_port() - 1
        wanted = [base + offset + number for offset in (0, 100, 200, 300) for number in range(1, nodes + 1)]
        if all(port in ports and free(port) for port in wanted):
            return base


def connect(node):
    """A connection to a node as a socket and a stream of what it replies, for requests that no client library would send."""
    connection = socket.create_connection((HOST, node.port), timeout=20 * PATIENCE)
    return connection, connection.makefile("rb")


def die_with_parent():
    """In a child: end when the test run does, however it ends."""
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Node:
    def __init__(self, number, directory):
        self.number = number
        self.name = f"n{number}"
        self.dir = Path(directory)
        self.data = self.dir / "data"
        self.config = self.dir / "even.toml"
        self.log = self.dir / "evend.log"
        self.port, self.peer_port, self.http_port = free_port(), free_port(), free_port()
        self.kafka_port = free_port()
        self.process = None
        self.dir.mkdir(parents=True, exist_ok=True)
        self.data.mkdir(exist_ok=True)

    def __repr__(self):
        return self.name

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def start(self, wait=True, arguments=()):
        assert not self.running, f"{self} runs already"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [BIN / "evend", "--config", self.config, *arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.dir,
                preexec_fn=die_with_parent)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, seconds=30):
        def ready():
            code = self.process.poll()
            assert code is None, f"{self} ended with {code} while starting:\n{self.log_tail()}"
            try:
                return self.http("/readyz")[0] == 200
            except OSError:
                return False
        until(lambda: f"{self} ready; its log ends with:\n{self.log_tail()}", ready, seconds)

    def kill9(self):
        self.process.kill()
        self.process.wait(timeout=10 * PATIENCE)

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)
        # It stops when it is next at the kernel, all threads of it.
        tasks = Path(f"/proc/{self.process.pid}/task")
        until(f"{self} has stopped",
              lambda: all((task / "stat").read_text().rpartition(")")[2].startswith(" T") for task in tasks.iterdir()),
              interval=0.001)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        """Ends the node in good order."""
        self.process.send_signal(signal.SIGTERM)
        self.process.send_signal(signal.SIGCONT)
        code = self.process.wait(timeout=30 * PATIENCE)
        assert code == 0, f"{self} ended with {code} on SIGTERM:\n{self.log_tail()}"

    def client(self, **options):
        options = {"socket_timeout": 30 * PATIENCE, "decode_responses": True, **options}
        return redis.Redis(host=HOST, port=self.port, **options)

    def http(self, path, timeout=5 * PATIENCE):
        """Status and body of a GET request; OSError when nobody answers."""
        connection = http.client.HTTPConnection(HOST, self.http_port, timeout=timeout)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        except http.client.HTTPException as error:
            raise OSError(f"bad HTTP answer: {error!r}") from error
        finally:
            connection.close()

    def status(self):
        code, body = self.http("/status")
        assert code == 200, f"/status of {self} answers {code}: {body}"
        return json.loads(body)

    def digest(self):
        """{partition: (version vector, digest)} of the partitions that the node holds."""
        with self.client() as client:
            reply = client.execute_command("EVEN.DIGEST")
        return {int(partition): (vector, digest) for partition, vector, digest in reply}

    def metric(self, name):
        """The value of a metric without labels; a node answers 503 for as long as a thread is too busy to report."""
        found = until(f"{self} reports {name}", lambda: re.search(rf"^{re.escape(name)} (\S+)$", self.http("/metrics")[1], re.MULTILINE))
        return float(found.group(1))

    def log_tail(self, lines=40):
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


class Cluster:
    def __init__(self, directory, nodes=3, replicas=3, partitions=256, options=None):
        """options: {"section.key": value} for all nodes, beyond what a cluster needs."""
        self.dir = Path(directory)
        self.nodes = [Node(number, self.dir / f"n{number}") for number in range(1, nodes + 1)]
        self.cluster_id = f"test-{random.getrandbits(64):016x}"
        for node in self.nodes:
            self._configure(node, replicas, partitions, options or {})

    def _configure(self, node, replicas, partitions, options):
        sections = {
            "node": {"name": node.name, "data": str(node.data), "shards": 2},
            "client": {"port": node.port},
            "peer": {"port": node.peer_port},
            "http": {"port": node.http_port},
            "kafka": {"port": node.kafka_port},
            "cluster": {"id": self.cluster_id, "replicas": replicas, "partitions": partitions},
            "faults": {"enabled": True},
        }
        for key, value in options.items():
            section, name = key.split(".")
            sections.setdefault(section, {})[name] = value
        # JSON's strings, numbers, booleans and lists of them are TOML's.
        text = ""
        for section, values in sections.items():
            text += f"[{section}]\n"
            text += "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
        for peer in self.nodes:
            text += (f"[[cluster.node]]\nname = \"{peer.name}\"\nnumber = {peer.number}\nhost = \"{HOST}\"\n"
                     f"peer_port = {peer.peer_port}\nclient_port = {peer.port}\nhttp_port = {peer.http_port}\n"
                     f"kafka_port = {peer.kafka_port}\n")
        node.config.write_text(text)

    def __getitem__(self, name):
        return next(node for node in self.nodes if node.name == name)

    def __iter__(self):
        return iter(self.nodes)

    @property
    def running(self):
        return [node for node in self.nodes if node.running]

    def start(self):
        for node in self.nodes:
            node.start(wait=False)
        for node in self.nodes:
            node.wait_ready()
        return self

    def stop(self):
        for node in self.running:
            node.stop()

    def kill(self):
        for node in self.running:
            node.kill9()

    def link(self, node, peer, *state):
        """Sets a fault on the link of `node` to `peer`: "DOWN", "UP", ("DELAY", ms) or ("DROP", percent)."""
        with self[node].client() as client:
            client.execute_command("EVEN.FAULT", "LINK", peer, *state)

    def isolate(self, name):
        """Cuts a node off from all others, at both ends."""
        for other in self.nodes:
            if other.name != name:
                self.link(other.name, name, "DOWN")
                self.link(name, other.name, "DOWN")

    def rejoin(self, name):
        """A node that is not running has no faults when it is started."""
        for other in self.nodes:
            if other.name != name:
                self.link(name, other.name, "UP")
                if other.running:
                    self.link(other.name, name, "UP")

    def differences(self):
        """Partitions on whose vectors the running nodes differ now: {partition: {node: vector}}.

        Fails at once where vectors are equal and digests are not: that must not be so even for a moment.
        """
        states = {}
        for node in self.running:
            for partition, state in node.digest().items():
                states.setdefault(partition, {})[node.name] = state
        assert states, "no node holds any partition"
        different = {}
        for partition, by_node in states.items():
            digests = {}
            for vector, digest in by_node.values():
                assert digests.setdefault(vector, digest) == digest, (
                    f"partition {partition}: equal vectors, different digests: {by_node}")
            if len(digests) > 1:
                different[partition] = {name: vector for name, (vector, _) in by_node.items()}
        return different

    def wait_converged(self, seconds=20):
        """Waits until all running nodes have equal vectors and digests; returns how long that took."""
        begin = time.monotonic()
        last = {}

        def converged():
            last.clear()
            last.update(self.differences())
            return not last

        def explain():
            some = dict(list(last.items())[:3])
            return f"all nodes equal; {len(last)} partitions differ, among them {some}"
        until(explain, converged, seconds)
        return time.monotonic() - begin
