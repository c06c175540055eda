"""Client libraries and frameworks as applications use them, unmodified, on three nodes: see tests/clients.

A scenario runs in a process of its own. Where it writes "restart n1", the node that it is connected to is killed and
started again while another one is cut off; then it goes on.
"""

import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from even_cluster import PATIENCE, until

CLIENTS = Path(__file__).parent / "clients"


class Scenario:
    def __init__(self, cluster, command, environment=()):
        self.cluster = cluster
        self.process = subprocess.Popen(command, cwd=CLIENTS, text=True, env={**os.environ, **dict(environment)},
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def play(self, seconds=120):
        """The lines that it has written, of which the last one says that it has come to its end."""
        killer = threading.Timer(seconds * PATIENCE, self.process.kill)
        killer.start()
        lines = []
        try:
            for line in self.process.stdout:
                lines.append(line.rstrip())
                if lines[-1] == "restart n1":
                    self.cluster.isolate("n3")
                    self.cluster["n1"].kill9()
                    self.cluster["n1"].start()
                    self.cluster.rejoin("n3")
                    self.process.stdin.write("\n")
                    self.process.stdin.flush()
            self.process.wait()
        finally:
            killer.cancel()
            self.process.kill()
        assert self.process.returncode == 0 and lines[-1:] == ["done"], "\n".join(lines)
        return lines


@pytest.mark.parametrize("name, restarts", [("ioredis", 1), ("node_redis", 1), ("bullmq", 1), ("session_store", 0)])
def test_clients_from_npm(cluster, name, restarts):
    assert shutil.which("node") and (CLIENTS / "node_modules").is_dir(), "./dev setup installs what this needs"
    lines = Scenario(cluster, ["node", f"{name}.mjs", *[str(node.port) for node in cluster]]).play()
    assert lines.count("restart n1") == restarts


def version(text):
    return tuple(int(number) for number in re.findall(r"\d+", text)[:2])


def test_go_redis(cluster, tmp_path):
    module = CLIENTS / "go-redis"
    needed = re.search(r"^go (\S+)$", (module / "go.mod").read_text(), re.MULTILINE)[1]
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOWORK": "off"}
    go = shutil.which("go")
    here = go and subprocess.run([go, "env", "GOVERSION"], env=environment, text=True, capture_output=True).stdout
    if not here or version(here) < version(needed):
        pytest.skip(f"needs Go {needed} or newer; there is {here.strip() if here else 'none'}")
    scenario = tmp_path / "scenario"
    subprocess.run([go, "build", "-o", scenario, "."], cwd=module, env=environment, check=True)
    lines = Scenario(cluster, [scenario, *[str(node.port) for node in cluster]]).play()
    assert lines.count("restart n1") == 1


def test_celery_does_all_of_its_tasks(cluster, tmp_path):
    urls = [(name, f"redis://127.0.0.1:{cluster['n1'].port}/{database}") for name, database in
            (("BROKER", 1), ("BACKEND", 2))]
    log = tmp_path / "worker.log"
    with log.open("w") as output:
        worker = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "celery", "-A", "celery_app", "worker", "--pool", "threads",
             "--concurrency", "4", "--loglevel", "INFO"],
            cwd=CLIENTS, env={**os.environ, **dict(urls)}, stdout=output, stderr=subprocess.STDOUT)
    try:
        until(log.read_text, lambda: " ready." in log.read_text(), 60)
        Scenario(cluster, [sys.executable, "celery_client.py"], urls).play(200)
        assert cluster["n1"].client().dbsize() == 0  # all of it is in databases 1 and 2
    finally:
        worker.terminate()
        worker.wait(30)
