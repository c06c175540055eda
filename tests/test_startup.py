"""What evend and even accept and refuse when they start, and what they say."""

import os
import re
import shutil
import signal
import socket
import subprocess

import pytest

from even_cluster import BIN, HOST, Cluster, free_port, free_ports_of_local_cluster, until


def run(*arguments, cwd=None, program="evend"):
    return subprocess.run([BIN / program, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=60)


def test_a_bad_configuration_names_file_line_and_key_and_exits_with_2(tmp_path):
    config = tmp_path / "even.toml"
    config.write_text("[client]\nport = 70000\n")
    for arguments in (["--config", config], ["--config", config, "--check-config"]):
        result = run(*arguments)
        assert result.returncode == 2
        assert f"{config}:2: client.port: 70000 is not allowed" in result.stderr


def test_a_good_configuration_passes_the_check(tmp_path):
    config = tmp_path / "even.toml"
    config.write_text("[client]\nport = 7777\n")
    assert run("--config", config, "--check-config", cwd=tmp_path).returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["even.toml"]  # nothing was made


def test_the_check_finds_files_and_addresses_that_cannot_be_used(tmp_path):
    config = tmp_path / "even.toml"
    config.write_text('[http]\nport = 7777\nbind = "nowhere.invalid"\n[tls]\n'
                      'http_cert = "missing.pem"\nhttp_key = "missing.pem"\n')
    result = run("--config", config, "--check-config", cwd=tmp_path)
    assert result.returncode == 2
    assert f"{config}:3: http.bind: 'nowhere.invalid' is not an address" in result.stderr
    assert f"{config}:5: tls.http_cert: cannot use missing.pem: No such file" in result.stderr


def test_a_single_node_takes_port_and_data_from_the_command_line(tmp_path):
    cluster = Cluster(tmp_path, nodes=1)
    node = cluster["n1"]
    node.config.write_text(f"[http]\nport = {node.http_port}\n")
    try:
        node.start(arguments=["--port", str(node.port), "--data", str(tmp_path / "here")])
        assert node.client().set("k", "v")
        node.stop()
        node.start(arguments=["--port", str(node.port), "--data", str(tmp_path / "here")])
        assert node.client().get("k") == "v"
        node.stop()
    finally:
        cluster.kill()
    assert any((tmp_path / "here").iterdir())


def test_a_data_directory_in_use_is_refused(cluster):
    node = cluster["n1"]
    result = run("--data", node.data, "--port", free_port())
    assert result.returncode != 0
    assert str(node.data) in result.stderr


def test_a_data_directory_of_another_cluster_is_refused(tmp_path, make_cluster):
    first = make_cluster(nodes=1, options={"cluster.id": "one"})
    first.stop()
    node = first["n1"]
    result = run("--config", node.config, "--set", "cluster.id=two")
    assert result.returncode not in (0, -9)
    assert "one" in result.stderr and "two" in result.stderr and str(node.data) in result.stderr
    node.start()  # with its own cluster's id it is accepted


def test_health_status_and_metrics_are_served(cluster):
    for node in cluster:
        assert node.http("/healthz")[0] == 200
        assert node.http("/readyz")[0] == 200
        assert node.http("/no-such-page")[0] == 404
        status = node.status()
        assert status["node"] == node.name and status["number"] == node.number and status["ready"] is True
        assert sorted(peer["name"] for peer in status["peers"]) == sorted(
            other.name for other in cluster if other is not node)
        assert [partition["id"] for partition in status["partitions"]] == list(range(256))
        code, metrics = node.http("/metrics")
        assert code == 200
        sample = re.compile(r'[a-zA-Z_:][a-zA-Z0-9_:]*(\{[^}]*\})? (NaN|[+-]Inf|[-+0-9.eE]+)( [0-9]+)?')
        lines = [line for line in metrics.splitlines() if line and not line.startswith("#")]
        assert lines and all(sample.fullmatch(line) for line in lines)


def test_even_status_asks_nodes_over_tls(make_cluster, tmp_path):
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=tmp_path, check=True, capture_output=True)
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=ca")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "n.key", "-out", "n.csr", "-subj", "/CN=node")
    (tmp_path / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:node.example\n")
    openssl("x509", "-req", "-in", "n.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-out", "n.crt",
            "-extfile", "names")
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "o.key", "-out", "other.crt", "-subj", "/CN=other")
    cert, key, ca, other = (tmp_path / name for name in ("n.crt", "n.key", "ca.crt", "other.crt"))

    def start(**files):
        cluster = Cluster(tmp_path / f"{len(files)}", nodes=1, options={f"tls.http_{k}": str(v) for k, v in files.items()})
        cluster["n1"].start(wait=False)
        return cluster["n1"]

    def status(*arguments):
        return run("status", *arguments, program="even")
    # Without an authority of clients, with one, and not at all over TLS.
    one, known, plain = start(cert=cert, key=key), start(cert=cert, key=key, ca=ca), make_cluster(nodes=1)["n1"]
    try:
        at = f"{HOST}:{one.http_port}"
        until("the node answers", lambda: status("--node", at, "--ca", ca).returncode == 0)
        result = status("--node", at)
        assert result.returncode == 1 and "takes TLS, give --ca FILE" in result.stdout
        assert "the server's certificate: unable to get local issuer certificate" in status("--node", at, "--ca", other).stdout
        # Whose certificate it is matters as well: by address, by name, and by the name that is said.
        by_name = f"localhost:{one.http_port}"
        result = status("--node", by_name, "--ca", ca)
        assert result.returncode == 1 and "hostname mismatch" in result.stdout and "--tls-name" in result.stdout
        assert status("--node", by_name, "--ca", ca, "--tls-name", "node.example").returncode == 0
        assert status("--node", by_name, "--ca", ca, "--tls-name", HOST).returncode == 0
        result = status("--node", at, "--ca", ca, "--tls-name", "other.example")
        assert result.returncode == 1 and "hostname mismatch" in result.stdout
        result = status("--node", at, "--ca", ca, "--tls-name", "127.0.0.2")
        assert result.returncode == 1 and "IP address mismatch" in result.stdout
        # The common name does not count.
        assert "hostname mismatch" in status("--node", at, "--ca", ca, "--tls-name", "node").stdout
        result = status("--config", one.config)
        assert result.returncode == 2 and f"{one.config}:" in result.stderr and "--ca FILE" in result.stderr
        assert status("--config", one.config, "--ca", ca).returncode == 0
        result = status("--node", at, "--ca", tmp_path / "missing")
        assert result.returncode == 2 and "missing: No such file" in result.stderr

        at = f"{HOST}:{known.http_port}"
        until("the node answers", lambda: status("--config", known.config).returncode == 0)
        assert status("--node", at, "--ca", ca, "--cert", cert, "--key", key).returncode == 0
        result = status("--node", at, "--ca", ca)
        assert result.returncode == 1 and "certificate required" in result.stdout

        until("the plain one answers", lambda: status("--config", plain.config).returncode == 0)
        assert "TLS handshake" in status("--node", f"{HOST}:{plain.http_port}", "--ca", ca).stdout
    finally:
        for node in (one, known):
            node.stop()


def test_status_sees_a_cut_link(cluster):
    cluster.link("n1", "n2", "DOWN")
    peers = {peer["name"]: peer for peer in cluster["n1"].status()["peers"]}
    assert peers["n2"]["fault"] and not peers["n3"]["fault"]
    cluster.link("n1", "n2", "UP")
    assert not any(peer["fault"] for peer in cluster["n1"].status()["peers"])


def test_a_fault_out_of_range_is_refused_with_its_limit(cluster):
    cluster.link("n1", "n2", "DELAY", 60000)
    for ms in (60001, -1, "x"):
        with pytest.raises(Exception, match=f"DELAY of '{ms}' is not allowed: it is 0 to 60000 milliseconds"):
            cluster.link("n1", "n2", "DELAY", ms)
    with pytest.raises(Exception, match=r"DELAY ms \(0 to 60000\)"):
        cluster.link("n1", "n2", "DELAY")
    cluster.link("n1", "n2", "UP")


def test_faults_need_to_be_enabled(make_cluster):
    cluster = make_cluster(options={"faults.enabled": False})
    with pytest.raises(Exception, match="faults"):
        cluster.link("n1", "n2", "DOWN")


def test_even_up_status_and_down(tmp_path):
    """`even up` starts a cluster and leaves a running one alone; `down` stops it; the data stays until --fresh."""
    base = free_ports_of_local_cluster(nodes=2)

    def even(*arguments):
        return run(*arguments, "--dir", tmp_path / "even", program="even")

    def cli(port, *arguments):
        return subprocess.run(["redis-cli", "-p", str(port), *arguments], check=True, capture_output=True,
                              text=True, timeout=30).stdout.strip()

    def pids():
        return [(tmp_path / f"even/n{k}/evend.pid").read_text() for k in (1, 2)]
    try:
        up = even("up", "--nodes", "2", "--port-base", base)
        assert up.returncode == 0, up.stderr
        assert f"redis-cli -p {base + 1}" in up.stdout
        before = pids()
        assert cli(base + 1, "SET", "k", "v") == "OK"

        again = even("up")
        assert again.returncode == 0 and again.stdout.count("runs already") == 2
        assert pids() == before

        status = even("status")
        assert re.search(r"^n2 +ready", status.stdout, re.MULTILINE), status.stdout

        assert even("up", "--nodes", "3").returncode == 2  # not without --fresh
        assert even("up", "--port-base", base + 1).returncode == 2

        down = even("down")
        assert down.returncode == 0 and down.stdout.count("stopped") == 2
        assert even("status").returncode == 1

        assert even("up").returncode == 0
        assert cli(base + 2, "GET", "k") == "v"
        assert even("up", "--port-base", base, "--fresh").returncode == 0
        assert cli(base + 1, "DBSIZE") == "0"
    finally:
        even("down")
        shutil.rmtree(tmp_path / "even", ignore_errors=True)


def test_even_up_names_the_node_and_the_port_that_another_program_uses(tmp_path):
    base = free_ports_of_local_cluster(nodes=2)

    def up(name, base=base):
        return run("up", "--nodes", "2", "--port-base", base, "--dir", tmp_path / name, program="even")
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind((HOST, base + 102))
        other.listen()
        result = up("one")
    assert result.returncode == 1
    assert f"n2 needs port {base + 102} (peers), which another program uses" in result.stderr and "ss -ltnp" in result.stderr
    assert not (tmp_path / "one/n1").exists()  # nothing was started, or left behind
    try:
        assert up("one").returncode == 0
        result = up("two")
        assert result.returncode == 1
        assert f"n1 needs port {base + 1} (clients), which n1 of the cluster in {tmp_path / 'one'} uses" in result.stderr
        assert f"even down --dir {tmp_path / 'one'}`" in result.stderr
        # With ports of its own, the second runs beside the first.
        assert up("two", free_ports_of_local_cluster(nodes=2)).returncode == 0
        for name in ("one", "two"):
            assert run("status", "--dir", tmp_path / name, program="even").stdout.count("ready") == 2
    finally:
        for name in ("one", "two"):
            run("down", "--dir", tmp_path / name, program="even")


def test_even_up_says_which_node_it_waits_for_and_which_failed(tmp_path):
    options = ["--nodes", "2", "--port-base", free_ports_of_local_cluster(nodes=2)]

    def even(command):
        return run(command, *(options if command == "up" else []), "--dir", tmp_path, program="even")
    try:
        assert even("up").returncode == 0
        pid = int((tmp_path / "n2/evend.pid").read_text())
        os.kill(pid, signal.SIGSTOP)
        with subprocess.Popen([BIN / "even", "up", "--dir", tmp_path], stdout=subprocess.PIPE, text=True) as up:
            waiting = next(line for line in up.stdout if "waiting" in line)
            os.kill(pid, signal.SIGCONT)
            assert waiting.startswith("n2 ") and str(tmp_path / "n2/evend.log") in waiting
            assert up.wait(60) == 0

        assert even("down").returncode == 0
        # With a new id, the data of n2 belongs to another cluster.
        (tmp_path / "cluster_id").unlink()
        shutil.rmtree(tmp_path / "n1/data")
        result = even("up")
        assert result.returncode == 1
        assert "n1  ready" in result.stdout and "n1 failed" not in result.stderr
        assert f"n2 failed: it ended while it was starting; its log is {tmp_path / 'n2/evend.log'}" in result.stderr
        assert "cluster" in result.stderr  # the end of the log
    finally:
        even("down")
