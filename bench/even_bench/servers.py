"""The servers that are compared: how each is started, asked whether it is ready, measured and stopped.

A contestant (Redis, Even, Etcd, Kafka) knows how to make servers; a Server is one process with its data in a directory of its
own, a Cluster several that replicate to each other. Server and Cluster answer the same questions, so that a case need not
know which of them it measures.
"""

import dataclasses
import json
import pathlib
import signal
import socket
import subprocess
import time
import urllib.request

from . import proc, resp
from .errors import BenchError

# A server that uses no more of a core than this has nothing left to do in the background.
QUIET_SHARE = 0.1
QUIET_WINDOW = 0.2  # seconds


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def cpu_seconds_when_quiet(target, limit=30):
    """Waits until the background work of a server is done, or `limit` seconds. Returns the CPU time (seconds) that it had
    used by then, so that background work is counted with what caused it."""
    deadline = time.monotonic() + limit
    before = target.cpu_seconds()
    while time.monotonic() < deadline:
        time.sleep(QUIET_WINDOW)
        after = target.cpu_seconds()
        if after - before <= QUIET_SHARE * QUIET_WINDOW * len(target.pids):
            break
        before = after
    return before


class Server:
    """One process, started by start()."""

    def __init__(self, name, command, port, directory):
        self.name = name
        self.port = port
        self._data = directory / "data"
        self._command = list(map(str, command))
        self._log = directory / "log"
        self._process = None

    @property
    def pid(self):
        return self._process.pid

    @property
    def pids(self):
        return [self.pid]

    def start(self):
        with open(self._log, "ab") as out:
            self._process = subprocess.Popen(self._command, stdout=out, stderr=subprocess.STDOUT)
        return self

    def wait_ready(self, limit=600, progress=None):
        """Until a PING is answered by PONG and not, as by a server that still loads its data, by an error."""
        begun = time.monotonic()
        while time.monotonic() < begun + limit and self._process.poll() is None:
            try:
                with resp.Client(self.port, timeout=5) as client:
                    if client.call("PING") == b"PONG":
                        return self
            except (OSError, resp.ErrorReply):
                pass
            if progress:
                progress.tick(f"not ready after {time.monotonic() - begun:.0f} s")
            time.sleep(0.005)
        raise BenchError(f"{self.name} did not start: {self.log_tail()}")

    def log_tail(self):
        return self._log.read_text(errors="replace")[-2000:]

    def stop(self, limit=120):
        """A clean stop, whatever it takes. Returns seconds."""
        begun = time.monotonic()
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(limit)
            except subprocess.TimeoutExpired:
                self.kill()
        return time.monotonic() - begun

    def kill(self):
        self._process.kill()
        self._process.wait()

    def cpu_seconds(self):
        return proc.cpu_seconds(self.pid)

    def data_bytes(self):
        return proc.directory_bytes(self._data)


class EtcdServer(Server):
    def wait_ready(self, limit=60, progress=None):
        """Until it says that it is healthy: then its cluster has a leader."""
        begun = time.monotonic()
        while time.monotonic() < begun + limit and self._process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5) as answer:
                    if json.loads(answer.read())["health"] == "true":
                        return self
            except OSError:
                pass
            time.sleep(0.05)
        raise BenchError(f"{self.name} did not start: {self.log_tail()}")


class KafkaServer(Server):
    def wait_ready(self, limit=120, progress=None):
        """Until it takes clients: then it knows the cluster's controller."""
        begun = time.monotonic()
        while time.monotonic() < begun + limit and self._process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=5):
                    return self
            except OSError:
                time.sleep(0.05)
        raise BenchError(f"{self.name} did not start: {self.log_tail()}")

    def stop(self, limit=15):
        """The last of them has no controller to agree with, and would try for minutes."""
        return super().stop(limit)


class Nodes:
    """Servers that work together."""

    def __init__(self, name, nodes):
        self.name = name
        self.nodes = nodes

    @property
    def pids(self):
        return [node.pid for node in self.nodes]

    def start(self):
        for node in self.nodes:
            node.start()
        return self

    def wait_ready(self):
        for node in self.nodes:
            node.wait_ready(limit=60)
        return self

    def stop(self):
        for node in self.nodes:
            node.stop()

    def cpu_seconds(self):
        return sum(node.cpu_seconds() for node in self.nodes)


class Cluster(Nodes):
    """Nodes of Even that replicate to each other; clients are at the first, unless a case says otherwise."""

    def __init__(self, name, nodes, http_ports, kafka_ports):
        super().__init__(name, nodes)
        self.port = nodes[0].port
        self.kafka_ports = kafka_ports
        self._http_ports = http_ports

    def wait_ready(self):
        super().wait_ready()
        self._until(lambda peer: peer["link"] == "up", range(len(self.nodes)), "the cluster's links did not come up")
        return self

    def catch_up(self):
        """Waits until the other nodes have all that the first wrote. Returns seconds."""
        return self._until(lambda peer: not peer["lag_records"], [0], "the replicas do not catch up")

    def metrics(self, node):
        return self._get(node, "/metrics").decode()

    def _get(self, node, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self._http_ports[node]}{path}", timeout=5) as answer:
            return answer.read()

    def _until(self, condition, nodes, failure):
        begun = time.monotonic()
        while time.monotonic() < begun + 60:
            if all(condition(peer) for node in nodes for peer in json.loads(self._get(node, "/status"))["peers"]):
                return time.monotonic() - begun
            time.sleep(0.005)
        raise BenchError(failure)


@dataclasses.dataclass(frozen=True)
class Redis:
    """Redis or what has come of it: Valkey is started by the same words."""

    name: str = "Redis"
    program: str | pathlib.Path = "redis-server"

    def server(self, directory, fsync):
        port, data = free_port(), directory / "data"
        data.mkdir(parents=True)
        command = [self.program, "--bind", "127.0.0.1", "--port", port, "--dir", data, "--appendonly", "yes"]
        command += ["--appendfsync", fsync, "--save", "", "--daemonize", "no"]
        return Server(self.name, command, port, directory)


@dataclasses.dataclass(frozen=True)
class Etcd:
    """With its defaults, which sync each write to the disk."""

    name: str = "etcd"

    def cluster(self, directory, nodes=3):
        ports = [(free_port(), free_port()) for _ in range(nodes)]
        members = ",".join(f"n{i}=http://127.0.0.1:{peer}" for i, (_, peer) in enumerate(ports, 1))
        servers = []
        for i, (client, peer) in enumerate(ports, 1):
            home = directory / f"n{i}"
            home.mkdir(parents=True)
            urls = [f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"]
            command = ["etcd", "--name", f"n{i}", "--data-dir", home / "data", "--initial-cluster", members,
                       "--listen-client-urls", urls[0], "--advertise-client-urls", urls[0],
                       "--listen-peer-urls", urls[1], "--initial-advertise-peer-urls", urls[1]]
            servers.append(EtcdServer(f"n{i} of etcd", command, client, home))
        return Nodes(self.name, servers)


@dataclasses.dataclass(frozen=True)
class Kafka:
    """Apache Kafka: brokers that are the controllers as well (KRaft). Java and its settings are those of Kafka's scripts, and so
    is all else but what three nodes and replication need."""

    libraries: pathlib.Path
    name: str = "Kafka"

    def java(self, heap, main, *arguments):
        """The command of a program of Kafka."""
        return ["java", f"-Xmx{heap}", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20",
                "-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent", "-Djava.awt.headless=true",
                "-cp", f"{self.libraries}/*", main, *map(str, arguments)]

    def cluster(self, directory, nodes=3):
        ports = [(free_port(), free_port()) for _ in range(nodes)]
        voters = ",".join(f"{i}@127.0.0.1:{controller}" for i, (_, controller) in enumerate(ports, 1))
        servers = []
        for i, (client, controller) in enumerate(ports, 1):
            home = directory / f"n{i}"
            home.mkdir(parents=True)
            config = home / "server.properties"
            config.write_text(
                f"process.roles=broker,controller\nnode.id={i}\ncontroller.quorum.voters={voters}\n"
                f"listeners=PLAINTEXT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}\n"
                "controller.listener.names=CONTROLLER\n"
                f"log.dirs={home}/data\nmin.insync.replicas=2\noffsets.topic.replication.factor={nodes}\n")
            done = subprocess.run(
                self.java("256M", "kafka.tools.StorageTool", "format", "-t", "ZXZlbi1iZW5jaC1rYWZrYQ", "-c", config),
                capture_output=True, text=True, check=False, timeout=60)
            if done.returncode:
                raise BenchError(f"Kafka's storage cannot be formatted: {done.stdout}{done.stderr}")
            servers.append(KafkaServer(f"n{i} of Kafka", self.java("1G", "kafka.Kafka", config), client, home))
        cluster = Nodes(self.name, servers)
        cluster.kafka_ports = [client for client, _ in ports]
        return cluster


@dataclasses.dataclass(frozen=True)
class Even:
    """A build of evend. `settings` are options as for --set."""

    program: pathlib.Path
    name: str = "Even"
    settings: tuple[str, ...] = ()

    def with_setting(self, setting, name=None):
        return dataclasses.replace(self, settings=self.settings + (setting,), name=name or self.name)

    def server(self, directory, fsync):
        port, data = free_port(), directory / "data"
        data.mkdir(parents=True)
        return Server(self.name, self._command(fsync) + ["--port", port, "--data", data], port, directory)

    def _command(self, fsync):
        command = [self.program, "--set", f"log.fsync={fsync}"]
        for setting in self.settings:
            command += ["--set", setting]
        return command

    def refusal(self, directory):
        """Why this evend does not start with its settings; None if it does."""
        command = [self.program, "--check-config", "--port", free_port(), "--data", directory]
        for setting in self.settings:
            command += ["--set", setting]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=60)
        return (done.stderr or done.stdout).strip() or "it gives no reason" if done.returncode else None

    def cluster(self, directory, fsync, nodes=3, replicas=None):
        """Each node with one shard: they share the cores of one machine. `replicas` of each key; None: at all nodes."""
        ports = [(free_port(), free_port(), free_port(), free_port()) for _ in range(nodes)]
        entries = "".join(
            f'\n[[cluster.node]]\nname = "n{i}"\nnumber = {i}\nhost = "127.0.0.1"\n'
            f"client_port = {client}\npeer_port = {peer}\nhttp_port = {http}\nkafka_port = {kafka}\n"
            for i, (client, peer, http, kafka) in enumerate(ports, 1)
        )
        servers = []
        for i, (client, peer, http, kafka) in enumerate(ports, 1):
            home = directory / f"n{i}"
            (home / "data").mkdir(parents=True)
            config = home / "even.toml"
            config.write_text(
                f'[node]\nname = "n{i}"\ndata = "{home}/data"\nshards = 1\n[client]\nport = {client}\n[peer]\nport = {peer}\n'
                f'[http]\nport = {http}\n[kafka]\nport = {kafka}\n[cluster]\nid = "bench"\nreplicas = {replicas or nodes}\n{entries}'
            )
            servers.append(Server(f"n{i}", self._command(fsync) + ["--config", config], client, home))
        return Cluster(self.name, servers, [http for _, _, http, _ in ports], [kafka for *_, kafka in ports])
