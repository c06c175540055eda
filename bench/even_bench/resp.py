"""The least of a client of the Redis protocol: commands as bytes, replies one at a time, and loading in bulk.

Commands are encoded by the cases themselves, ahead of time or in large chunks, so that the client costs little beside
the server: on a machine of two cores they share what there is.
"""

import itertools
import socket
import threading
import time

from .errors import BenchError

CHUNK_BYTES = 256 * 1024


class ErrorReply(BenchError):
    """The server answered with an error."""


def encode(*words):
    out = [b"*%d\r\n" % len(words)]
    for word in words:
        word = word if isinstance(word, bytes) else str(word).encode()
        out.append(b"$%d\r\n%s\r\n" % (len(word), word))
    return b"".join(out)


class Client:
    """One connection. `timeout` (seconds) is for each send and receive."""

    def __init__(self, port, timeout=60):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()

    def send(self, commands):
        self.socket.sendall(commands)

    def reply(self):
        """A status or number as bytes, a string as bytes or None, an array as a list. Raises ErrorReply, or OSError when the server is gone."""
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        if line[:1] == b"-":
            raise ErrorReply(line[1:-2].decode(errors="replace"))
        if line[:1] == b"$":
            length = int(line[1:])
            return None if length < 0 else self.file.read(length + 2)[:-2]
        if line[:1] == b"*":
            return [self.reply() for _ in range(int(line[1:]))]
        return line[1:-2]

    def call(self, *words):
        self.send(encode(*words))
        return self.reply()

    def pipeline(self, commands):
        """Sends all commands at once and returns their replies."""
        self.send(b"".join(commands))
        return [self.reply() for _ in commands]


class Load:
    """Sends commands as fast as the server takes them, and counts the replies in a thread of its own.

    The commands must be such that are answered by a status or a number, as SET, INCR, HSET and SADD are: then every reply
    is one line.
    """

    def __init__(self, port):
        self.acknowledged = 0
        self._error = None
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        while True:
            try:
                data = self._socket.recv(1 << 20)
            except OSError:
                return
            if not data:
                return
            # Neither a status nor a count has a '-' in it.
            if b"-" in data and self._error is None:
                at = data.index(b"-")
                self._error = data[at : at + 200].split(b"\r\n")[0].decode(errors="replace")
            self.acknowledged += data.count(b"\r\n")

    def send(self, commands):
        """`commands`: bytes of one or more. Raises OSError when the server is gone."""
        if self._error:
            raise BenchError(f"the server refuses a write: {self._error}")
        self._socket.sendall(commands)

    def wait(self, count):
        """Until `count` commands are acknowledged in all."""
        while self.acknowledged < count:
            if self._error or not self._reader.is_alive():
                raise BenchError(f"the server refuses a write: {self._error or 'it closed the connection'}")
            time.sleep(0.002)

    def close(self):
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the server was the first to close
        self._reader.join()
        self._socket.close()


def load(port, command, count, progress=None):
    """Executes command(0) to command(count - 1), each encoded. Returns seconds."""
    begun = time.monotonic()
    loading = Load(port)
    try:
        size = max(1, CHUNK_BYTES // len(command(0)))
        numbers = iter(range(count))
        sent = 0
        while chunk := [command(n) for n in itertools.islice(numbers, size)]:
            loading.send(b"".join(chunk))
            sent += len(chunk)
            if progress:
                progress.tick(f"{sent:,} of {count:,} written")
        loading.wait(count)
    finally:
        loading.close()
    return time.monotonic() - begun
