"""A RESP2/RESP3 client that keeps the bytes of every reply, so that replies can be compared byte for byte."""

import socket


class Reply:
    """One reply: its raw bytes, its type byte, and its value (bytes, int, None, or a list of Reply)."""

    __slots__ = ("raw", "kind", "value")

    def __init__(self, raw, kind, value):
        self.raw = raw
        self.kind = kind
        self.value = value

    @property
    def is_error(self):
        return self.kind == b"-"

    @property
    def is_aggregate(self):
        return isinstance(self.value, list)


class Connection:
    """Sends commands over a connected stream socket, which it owns."""

    def __init__(self, sock):
        self.sock = sock
        self.sock.settimeout(30)
        self.buffer = b""
        self.at = 0

    @staticmethod
    def encode(args):
        return b"*%d\r\n" % len(args) + b"".join(b"$%d\r\n%s\r\n" % (len(a), a) for a in args)

    def send(self, args):
        self.sock.sendall(self.encode(args))

    def send_all(self, commands):
        self.sock.sendall(b"".join(self.encode(args) for args in commands))

    def call(self, *args):
        self.send([a if isinstance(a, bytes) else str(a).encode() for a in args])
        return self.read()

    def close(self):
        self.sock.close()

    def _fill(self):
        chunk = self.sock.recv(1 << 16)
        if not chunk:
            raise ConnectionError("the server closed the connection")
        self.buffer = self.buffer[self.at:] + chunk
        self.at = 0

    def _line(self):
        while True:
            end = self.buffer.find(b"\r\n", self.at)
            if end >= 0:
                line = self.buffer[self.at:end]
                self.at = end + 2
                return line
            self._fill()

    def _exactly(self, length):
        while len(self.buffer) - self.at < length:
            self._fill()
        data = self.buffer[self.at:self.at + length]
        self.at += length
        return data

    def read(self):
        line = self._line()
        kind, rest = line[:1], line[1:]
        raw = line + b"\r\n"
        if kind in b"+-,(#_":
            return Reply(raw, kind, rest)
        if kind == b":":
            return Reply(raw, kind, int(rest))
        if kind in b"$=":
            length = int(rest)
            if length < 0:
                return Reply(raw, kind, None)
            data = self._exactly(length + 2)
            return Reply(raw + data, kind, data[:-2])
        if kind in b"*~%>":
            length = int(rest) * (2 if kind == b"%" else 1)
            if length < 0:
                return Reply(raw, kind, None)
            items = [self.read() for _ in range(length)]
            return Reply(raw + b"".join(i.raw for i in items), kind, items)
        raise ValueError(f"not a reply: {line!r}")


def connect(port):
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Connection(sock)
