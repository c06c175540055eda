"""The README's demonstration is run as it is written, on a cluster of `even up` with other ports."""

import re
import subprocess

from even_cluster import BIN, ROOT, free_ports_of_local_cluster, until


def commands():
    """(command of redis-cli, what the comment says that it replies or None) for each line of the demonstration."""
    text = (ROOT / "README.md").read_text()
    for line in re.findall(r"^    redis-cli (.*)$", text, re.MULTILINE):
        command, _, comment = line.partition("#")
        reply = re.search(r"-> (\w+)", comment)
        yield command.split(), reply and reply[1]


def test_the_demonstration_shows_what_it_says(tmp_path):
    base = free_ports_of_local_cluster(nodes=3)
    subprocess.run([BIN / "even", "up", "--port-base", str(base), "--dir", tmp_path], check=True, stdout=subprocess.DEVNULL)
    try:
        lines = list(commands())
        assert sum(reply is not None for _, reply in lines) >= 4
        for words, expected in lines:
            assert words[0] == "-p" and words[1].startswith("700")
            port = base + int(words[1]) - 7000

            def reply():
                return subprocess.run(["redis-cli", "-p", str(port), *words[2:]], check=True, capture_output=True, text=True,
                                      timeout=30).stdout.strip()
            if expected is None:
                assert not reply().startswith("ERR"), words
            elif words[2] == "GET":
                # What another node has written takes a moment.
                until(f"{words} replies {expected}", lambda: reply() == expected)
            else:
                assert reply() == expected, words
    finally:
        subprocess.run([BIN / "even", "down", "--dir", tmp_path], check=True, stdout=subprocess.DEVNULL)
