"""even record and even verify: what clients saw of redis-server and of clusters, and what is decided about it."""

import json
import os
import shutil
import signal
import socket
import subprocess
import xml.etree.ElementTree

import pytest

from even_cluster import BIN, HOST, PATIENCE, die_with_parent, free_port, free_ports_of_local_cluster, until


def even(*arguments, timeout=60):
    return subprocess.run([BIN / "even", *map(str, arguments)], capture_output=True, text=True, timeout=timeout * PATIENCE)


def verify(file, *arguments):
    return even("verify", "linearizable", file, *arguments)


def record(workload, out, *arguments, clients=20, seconds=1.5):
    result = even("record", "--workload", workload, "--clients", clients, "--seconds", seconds, "--out", out, *arguments)
    assert result.returncode == 0, result.stderr
    return result


def events(*rows):
    """Lines of (process, type, f, value)."""
    return "".join(json.dumps(dict(zip(("process", "type", "f", "value"), row), key="x")) + "\n" for row in rows)


def whole(process, f, value, result=None):
    return events((process, "invoke", f, value), (process, "ok", f, value if result is None else result))


@pytest.fixture
def redis_server(tmp_path):
    """The port of a redis-server. Debian's redis-tools holds it under another name."""
    program = shutil.which("redis-server")
    if program is None:
        program = tmp_path / "redis-server"
        program.symlink_to(shutil.which("redis-check-rdb"))
    port = free_port()
    process = subprocess.Popen([program, "--port", str(port), "--bind", HOST, "--save", ""], cwd=tmp_path,
                               stdout=subprocess.DEVNULL, preexec_fn=die_with_parent)

    def answers():
        try:
            return socket.create_connection((HOST, port))
        except OSError:
            return None
    until("redis-server answers", answers).close()
    yield port
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_a_history_that_holds_exits_with_0(tmp_path):
    file = tmp_path / "history"
    file.write_text(whole(1, "write", 1) + whole(2, "read", None, 1))
    result = verify(file)
    assert result.returncode == 0, result.stderr
    assert "is linearizable: 2 operations on 1 keys" in result.stdout
    from_input = subprocess.run([BIN / "even", "verify", "linearizable", "-"], input=file.read_text(), text=True, capture_output=True)
    assert from_input.returncode == 0, from_input.stderr


def test_a_violation_exits_with_1_and_is_shown_in_words_and_as_a_picture(tmp_path):
    file, picture = tmp_path / "history", tmp_path / "picture.svg"
    file.write_text("".join(whole(i, "write", f"<{i}> & \"co\"") for i in range(50)) + whole(99, "read", None, "<7> & \"co\""))
    result = verify(file, "--svg", picture)
    assert result.returncode == 1, result.stderr
    assert "is NOT linearizable" in result.stdout
    # What wrote it, what came after it, and the read.
    assert "process 7 " in result.stdout and "process 99" in result.stdout and "lines 101 to 102" in result.stdout
    assert result.stdout.count("lines ") == 3, result.stdout
    assert "process 99's read returned" in result.stdout and "could only have returned" in result.stdout
    root = xml.etree.ElementTree.parse(picture).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    texts = ["".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "process 99" in texts and any("<7> & " in text for text in texts)
    bars = [rect for rect in root.iter("{http://www.w3.org/2000/svg}rect") if "bar" in rect.get("class", "")]
    assert len(bars) == 3 and sum("culprit" in bar.get("class") for bar in bars) == 1


def test_bad_input_exits_with_2_and_says_what_is_wrong(tmp_path):
    file = tmp_path / "history"
    file.write_text(whole(1, "write", 1) + "{\n")
    good = tmp_path / "good"
    good.write_text(whole(1, "write", 1))
    for arguments, message in (
            (("linearizable", file), f"{file}: line 3: this is not JSON"),
            (("linearizable", tmp_path / "missing"), "missing: cannot be opened: No such file"),
            (("linearizable", good, "--model", "queue"), "no model 'queue' for it; there are: register, append, counter, set"),
            (("total", good), "no property 'total' to verify; there are: linearizable, sequential, causal"),
            (("causal", good, "--model", "append"), "no model 'append' for causal; there are: register, transactions"),
            (("causal", good, "--model", "transactions"), f"{good}: line 1: its \"f\" is not \"txn\""),
            (("causal", good, "--svg", tmp_path / "x"), "only what is not linearizable can be drawn"),
            (("linearizable", good, "--limit-seconds", "-1"), "--limit-seconds")):
        result = even("verify", *arguments)
        assert result.returncode == 2, result.stdout
        assert message in result.stderr


def test_weaker_properties_have_their_counter_examples(tmp_path):
    """A message that is passed on before what it is about: sequential it is not, nor causal, and yet each key is."""
    file = tmp_path / "history"
    rows = [(0, [["w", "x", 1]]), (0, [["w", "y", 1]]), (1, [["r", "y", 1]]), (1, [["r", "x", None]])]
    file.write_text("".join(json.dumps({"process": process, "type": "ok", "f": "txn", "value": value}) + "\n"
                            for process, value in rows))
    for name in ("session", "read-committed", "read-atomic"):
        result = even("verify", name, file, "--model", "transactions")
        assert result.returncode == 0, result.stdout
        assert "4 transactions of 2 sessions on 2 keys" in result.stdout
    for name in ("causal", "sequential"):
        result = even("verify", name, file, "--model", "transactions")
        assert result.returncode == 1, result.stdout
        assert "T4 has read null of key x" in result.stdout and "although T1 has written it: T1 comes before T4" in result.stdout
    file.write_text(whole(1, "write", 1) + whole(2, "write", 2) + whole(1, "read", None, 1) + whole(2, "read", None, 2))
    result = even("verify", "convergence", file)
    assert result.returncode == 1 and "Key x: all writes have ended by line 4" in result.stdout


def test_what_cannot_be_found_out_in_time_or_memory_exits_with_3(tmp_path):
    # Additions of all which nothing is known, and a sum that none of their sets has.
    file = tmp_path / "history"
    file.write_text(events(*((i, "invoke", "add", 2 * 3**i) for i in range(36)), (99, "invoke", "read", None), (99, "ok", "read", 3**36)))
    for limit in (("--limit-seconds", "0.3"), ("--memory", "1")):
        result = verify(file, "--model", "counter", *limit)
        assert result.returncode == 3, result.stdout
        assert "is not decided" in result.stdout and "among them x" in result.stdout


@pytest.mark.parametrize("workload", ["register", "append", "counter", "set"])
def test_what_redis_server_does_is_linearizable(redis_server, tmp_path, workload):
    file = tmp_path / "history"
    result = record(workload, file, "--node", f"{HOST}:{redis_server}")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert lines and all(line["key"].startswith("record:") for line in lines)
    functions = {line["f"] for line in lines if line["type"] == "ok"}
    assert functions == {"register": {"read", "write", "cas"}, "append": {"read", "append"}, "counter": {"read", "add"},
                         "set": {"read", "contains", "add", "remove"}}[workload]
    assert f"{len(lines) // 2} operations of 20 clients" in result.stdout
    verified = verify(file, "--model", workload)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_clients_of_a_server_that_is_gone_do_not_know_how_their_operations_ended(redis_server, tmp_path):
    """And go on under another number."""
    file = tmp_path / "history"
    process = subprocess.Popen(
        [BIN / "even", "record", "--workload", "counter", "--clients", "5", "--seconds", "2", "--timeout-ms", "200", "--out", file,
         "--node", f"{HOST}:{redis_server}"], stderr=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    with socket.create_connection((HOST, redis_server)) as connection:
        until("clients at work", lambda: file.exists() and file.stat().st_size > 10_000)
        connection.sendall(b"CLIENT PAUSE 1000 ALL\r\n")
        assert connection.recv(100) == b"+OK\r\n"
    output, _ = process.communicate(timeout=30 * PATIENCE)
    assert process.returncode == 0
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    unknown = [line for line in lines if line["type"] == "info"]
    assert unknown and all("no answer in 200 ms" in line["error"] for line in unknown)
    assert "no answer in" in output
    assert max(line["process"] for line in lines) >= 5
    assert all(line["f"] == "add" for line in unknown), "a read that failed did nothing"
    assert verify(file, "--model", "counter").returncode == 0


def test_servers_and_options_that_cannot_be_used_are_refused(redis_server, tmp_path):
    node = ("--node", f"{HOST}:{redis_server}")
    for arguments, code, message in (
            (("--workload", "queue", *node), 2, "no workload 'queue'; there are: register, append, counter, set"),
            (("--workload", "set", "--node", "nowhere"), 2, "'nowhere' is not HOST:PORT"),
            (("--workload", "set", "--node", f"{HOST}:{free_port()}"), 1, "Connection refused"),
            (("--workload", "set", "--dir", tmp_path), 2, "there is no cluster in"),
            (("--workload", "set", "--level", "LINEARIZABLE", *node), 1, "the level LINEARIZABLE is refused: ERR unknown command"),
            (("--workload", "set", "--nemesis", "kill", "--dir", tmp_path, *node), 2, "--nemesis needs a cluster on this machine"),
            (("--workload", "set", "--nemesis", "kill,fire", *node), 2, "no fault 'fire'; there are kill, kill-all, restart, pause, cut, one-way, clock")):
        result = even("record", *arguments, "--out", tmp_path / "history", "--seconds", "1")
        assert result.returncode == code, result.stderr
        assert message in result.stderr
        assert not (tmp_path / "history").exists()


def test_an_eventual_keyspace_is_not_linearizable_when_a_node_is_cut_off(cluster, tmp_path):
    file, picture = tmp_path / "history", tmp_path / "picture.svg"
    cluster.isolate("n1")
    record("register", file, *(word for node in cluster for word in ("--node", f"{HOST}:{node.port}")), seconds=1)
    cluster.rejoin("n1")
    result = verify(file, "--svg", picture)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "Given the others" in result.stdout
    xml.etree.ElementTree.parse(picture)


def test_faults_are_mended_before_the_end(tmp_path):
    directory, file = tmp_path / "cluster", tmp_path / "history"
    base = free_ports_of_local_cluster(3)
    assert even("up", "--dir", directory, "--port-base", base).returncode == 0
    try:
        result = record("counter", file, "--dir", directory, "--nemesis", "kill,kill-all,restart,pause,cut,one-way,clock", "--seed", "1",
                        "--rate", "500", seconds=14)
        faults = [json.loads(line) for line in (tmp_path / "history.faults").read_text().splitlines()]
        assert len(faults) >= 4 and not any("error" in fault for fault in faults), faults
        assert [fault["type"] for fault in faults] == ["begin", "end"] * (len(faults) // 2)
        for fault in faults:
            assert f"{fault['fault']} {fault['node']} {fault['type']}s" in result.stderr
            assert ("detail" in fault) == (fault["fault"] in ("one-way", "clock")), fault
        assert all(begin["node"] == end["node"] for begin, end in zip(faults[::2], faults[1::2]))
        until("the cluster is whole", lambda: even("status", "--dir", directory).returncode == 0)
    finally:
        assert even("down", "--dir", directory).returncode == 0
        assert os.path.exists(file)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_faults_are_mended_when_the_recording_is_ended_early(tmp_path, number):
    directory, file = tmp_path / "cluster", tmp_path / "history"
    base = free_ports_of_local_cluster(3)
    assert even("up", "--dir", directory, "--port-base", base).returncode == 0
    try:
        with subprocess.Popen([BIN / "even", "record", "--workload", "counter", "--out", file, "--dir", directory, "--nemesis", "pause",
                               "--clients", "3", "--rate", "100", "--seconds", "60"],
                              stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, preexec_fn=die_with_parent) as process:
            assert any("begins" in line for line in process.stderr)
            process.send_signal(number)
            process.stderr.read()
            assert process.wait(20) == 0
        faults = [json.loads(line)["type"] for line in (tmp_path / "history.faults").read_text().splitlines()]
        assert faults == ["begin", "end"]
        until("the cluster is whole", lambda: even("status", "--dir", directory).returncode == 0)
    finally:
        assert even("down", "--dir", directory).returncode == 0
