"""Several clients that subscribe and publish: each must get the same bytes from both servers.

Left out is what Redis has in the order of a hash table (ending several subscriptions at once, a client with several patterns that match), and what a client
publishes to itself between MULTI and EXEC, which Redis 7.0 puts amid the replies of EXEC.
"""

import random
import socket

import resp

LAST_WORD = b"the-last-word"
TIMEOUT_S = 30


def lines(text):
    """Steps, one per line: the client's name, then the request, or several with " ; " between them that are sent at once."""
    return [tuple(line.split(None, 1)) for line in text.strip().splitlines()]


SEQUENCES = [lines(text) for text in (
    """
    s SUBSCRIBE a b a
    p PUBLISH a x
    p PUBLISH b ""
    p PUBLISH c x
    s PING
    s PING x
    s PING x y
    s UNSUBSCRIBE b x
    p PUBLISH b x
    s UNSUBSCRIBE
    s PING
    s GET k
    """,
    """
    s SUBSCRIBE a
    s GET k
    s get
    s CONFIG GET x
    s NOSUCH
    s MULTI
    s EXEC
    s DISCARD
    s HELLO 3
    s AUTH x
    s PUBLISH a x
    s SPUBLISH a x
    s PUBSUB NUMPAT
    s SSUBSCRIBE q
    s PSUBSCRIBE *
    s SUNSUBSCRIBE q
    s PUNSUBSCRIBE *
    s SUBSCRIBE
    s RESET
    p PUBLISH a x
    s GET k
    """,
    """
    s UNSUBSCRIBE
    s PUNSUBSCRIBE
    s SUNSUBSCRIBE
    s UNSUBSCRIBE x y
    s PUNSUBSCRIBE x y
    s SUNSUBSCRIBE x y
    s PSUBSCRIBE a* b[xy] c\\*
    p PUBLISH abc 1
    p PUBLISH by 2
    p PUBLISH c* 3
    p PUBLISH cx 4
    p PUBLISH "" 5
    s PUNSUBSCRIBE
    s PUNSUBSCRIBE
    """,
    """
    s SSUBSCRIBE a b
    s SUBSCRIBE a
    p SPUBLISH a x
    p PUBLISH a y
    p PUBLISH b y
    p PUBSUB NUMSUB a b
    p PUBSUB SHARDNUMSUB a b c
    p PUBSUB SHARDCHANNELS [a]
    p PUBSUB CHANNELS
    p PUBSUB NUMPAT
    s SUNSUBSCRIBE a
    s UNSUBSCRIBE a
    s SUNSUBSCRIBE
    p PUBSUB SHARDNUMSUB a b
    """,
    """
    p PUBSUB
    p PUBSUB x
    p PUBSUB CHANNELS
    p PUBSUB channels a b
    p PUBSUB SHARDCHANNELS a b
    p PUBSUB NUMSUB
    p PUBSUB SHARDNUMSUB
    p PUBSUB NUMPAT x
    p PUBSUB HELP x
    p PUBLISH a
    p PUBLISH a b c
    p SPUBLISH a
    p SUBSCRIBE
    p COMMAND GETKEYS SPUBLISH a b
    p COMMAND GETKEYS SSUBSCRIBE a
    p COMMAND GETKEYS SUBSCRIBE a
    """,
    """
    s SUBSCRIBE a
    t SUBSCRIBE a
    t PSUBSCRIBE ?
    u PSUBSCRIBE a
    p PUBLISH a x
    p PUBLISH b x
    p PUBSUB NUMSUB a b
    p PUBSUB NUMPAT
    s QUIT
    p PUBLISH a x
    t RESET
    p PUBLISH a x
    """,
    """
    s HELLO 3
    s SUBSCRIBE a
    s PUBLISH a x
    s GET k
    s PING
    s PING x
    s SSUBSCRIBE a
    s SPUBLISH a y
    s PSUBSCRIBE a
    s PUBLISH a z
    s MULTI
    p PUBLISH a amid
    s GET k
    s PUBLISH b w
    s EXEC
    s UNSUBSCRIBE
    s UNSUBSCRIBE
    s SUNSUBSCRIBE
    s HELLO 2
    s GET k
    p PUBLISH a v
    s PUNSUBSCRIBE
    s GET k
    """,
    """
    s MULTI
    s SUBSCRIBE a b
    s SSUBSCRIBE q
    s PSUBSCRIBE *
    s GET k
    s EXEC
    s GET k
    s UNSUBSCRIBE a b
    s PUNSUBSCRIBE
    s MULTI
    s UNSUBSCRIBE
    s PUBLISH a x
    s EXEC
    """,
    """
    s CLIENT REPLY OFF ; SUBSCRIBE a
    p PUBLISH a x
    s PING ; UNSUBSCRIBE a
    s CLIENT REPLY ON
    s CLIENT REPLY SKIP ; SUBSCRIBE a b
    p PUBLISH a x
    s PING
    """,
    """
    s HELLO 3
    s CLIENT REPLY OFF ; SUBSCRIBE a
    s PUBLISH a x
    p PUBLISH a y
    s CLIENT REPLY ON
    s CLIENT REPLY SKIP ; PUBLISH a z
    s GET k
    """,
    """
    p CONFIG SET notify-keyspace-events Kt
    p FLUSHALL
    s PSUBSCRIBE __key*@0__:*
    p XGROUP CREATE st g $ MKSTREAM
    p XGROUP CREATECONSUMER st g b
    p XADD st 1-1 f v
    p XREADGROUP GROUP g a STREAMS st >
    p XREADGROUP GROUP g a STREAMS st >
    p XCLAIM st g m 0 1-1 FORCE JUSTID
    p XAUTOCLAIM st g b 0 1-1 JUSTID
    p XAUTOCLAIM st g z 0 1-1 JUSTID
    p XGROUP DELCONSUMER st g absent
    p XGROUP DELCONSUMER st g b
    p XGROUP DESTROY st g
    p CONFIG SET notify-keyspace-events ""
    """,
    """
    p CONFIG SET notify-keyspace-events xyz
    p CONFIG SET notify-keyspace-events Elg
    p CONFIG GET notify-keyspace-events
    p CONFIG SET notify-keyspace-events KEmn
    p CONFIG GET notify-keyspace-events
    p CONFIG SET notify-keyspace-events KEA
    p CONFIG GET notify-keyspace-events
    p FLUSHALL
    s PSUBSCRIBE __key*@0__:*
    p SET k v
    p SET k v XX EX 100
    p SET k v KEEPTTL
    p SET k v NX
    p PERSIST k
    p PERSIST k
    p EXPIRE k 100
    p EXPIRE absent 100
    p GETEX k
    p GETEX k PERSIST
    p GETEX k PERSIST
    p GETEX k EX 100
    p APPEND k x
    p SETRANGE k 1 yy
    p STRLEN k
    p GETSET k w
    p GETDEL k
    p GETDEL k
    p SETEX k 100 5
    p INCR k
    p DECRBY k 7
    p INCRBYFLOAT k 0.5
    p INCRBYFLOAT k 0.5
    p SETNX k 1
    p INCR k
    p PSETEX k 100000 1
    p MSET a 1 b 2
    p MSETNX a 1 c 3
    p MSETNX c 1 d 3
    p DEL a nosuch b
    p UNLINK c d d
    p SADD s 1 2
    p SADD s 1 2
    p SADD s 1 3
    p SREM s 9
    p SREM s 1 9
    p SPOP s 2
    p SADD s x
    p EXPIRE s 100
    p SREM s x
    p SADD s x
    p SPOP s
    p HSET h f v g w
    p HSET h f v
    p HSETNX h f v
    p HSETNX h i v
    p HMSET h j v
    p HINCRBY h n 1
    p HINCRBY h n 0
    p HINCRBYFLOAT h r 1.5
    p HDEL h nosuch
    p HDEL h f g
    p HDEL h i j n r
    p HSET h f v
    p EXPIRE h 100
    p HDEL h f
    p ZADD z 1 a 2 b 3 c 4 d 5 e
    p ZADD z 1 a
    p ZADD z XX CH 2 a
    p ZINCRBY z 1.5 a
    p ZREM z nosuch
    p ZREM z a
    p ZPOPMIN z
    p ZPOPMAX z
    p ZRANGESTORE z2 z 0 -1
    p ZUNIONSTORE z2 2 z z2
    p ZINTERSTORE z3 1 nosuch
    p ZINTERSTORE z2 1 nosuch
    p ZREMRANGEBYRANK z 0 0
    p ZREMRANGEBYSCORE z 0 100
    p SETBIT bits 7 1
    p BITFIELD bits INCRBY u4 0 1 GET u4 0
    p BITFIELD bits GET u4 0
    p BITOP NOT bits2 bits
    p BITOP AND bits2 nosuch
    p PFADD hll a b
    p PFADD hll a b
    p PFMERGE hll2 hll
    p SADD s1 a b
    p SUNIONSTORE s2 s1 nosuch
    p SDIFFSTORE s2 s1
    p SINTERSTORE s2 s1 nosuch
    p GEOADD geo 13 38 a 15 37 b
    p GEOSEARCHSTORE geo2 geo FROMLONLAT 15 37 BYRADIUS 10 km
    p GEORADIUS geo 15 37 10 km STORE geo2
    p GEORADIUS geo 80 37 10 km STORE geo2
    p SORT s1 ALPHA STORE sorted
    p SORT nosuch STORE sorted
    p COPY s1 s3
    p COPY s1 s3
    p EXPIRE s1 100
    p COPY s1 s3 REPLACE
    p SET k v
    p SADD k x
    p INCR k
    p EXPIRE k -1
    p SET k v
    p PEXPIREAT k 1
    p MULTI
    p SET k v
    p INCR n
    p DEL k
    p EXEC
    p SET k v
    p SET s v
    p DEL s
    p SADD s x
    p SET s v
    p FLUSHALL
    p CONFIG SET notify-keyspace-events Kgn
    p SET k v
    p SADD s v
    p DEL k
    p CONFIG SET notify-keyspace-events ""
    p SET k v
    p CONFIG GET notify-keyspace-events
    """,
    """
    p CONFIG SET client-output-buffer-limit "normal 10mb 0 0"
    p CONFIG SET client-output-buffer-limit "pubsub 1mb"
    p CONFIG SET client-output-buffer-limit "pubsub 1mb x 1"
    p CONFIG SET client-output-buffer-limit "pubsub -1 1 1"
    p CONFIG SET client-output-buffer-limit "master 1 1 1"
    p CONFIG SET client-output-buffer-limit "bogus 1 1 1"
    p CONFIG SET client-output-buffer-limit "pubsub 1mb 1k -1"
    p CONFIG SET client-output-buffer-limit "PubSub 1mb 1k 7 replica 1 2 3"
    p CONFIG GET client-output-buffer-limit
    p CONFIG SET client-output-buffer-limit ""
    p CONFIG SET client-output-buffer-limit "normal 0 0 0 slave 256mb 64mb 60 pubsub 32mb 8mb 60"
    p CONFIG GET client-output-buffer-limit
    """,
)]


def random_sequence(seed):
    """Clients of both protocols over few channels, of which no pattern matches the same one as another."""
    rng = random.Random(seed)
    channels, patterns = ["a1", "a2", "b1", "c"], ["a*", "b?", "[c]"]
    own = {}
    steps = []
    for name in "stuv":
        own[name] = {"": set(), "p": set(), "s": set()}
        if rng.random() < 0.5:
            steps.append((name, "HELLO 3"))
    while len(steps) < 120:
        name, kind = rng.choice("stuv"), rng.choice(["", "", "p", "s"])
        choice = rng.random()
        mine = own[name][kind]
        some = rng.choices(patterns if kind == "p" else channels, k=rng.choice([1, 1, 2, 3]))
        if choice < 0.3:
            mine.update(some)
            steps.append((name, f"{kind}SUBSCRIBE {' '.join(some)}"))
        elif choice < 0.45:
            mine.difference_update(some)
            steps.append((name, f"{kind}UNSUBSCRIBE {' '.join(some)}"))
        elif choice < 0.5 and (kind == "p" or len(mine) < 2):
            mine.clear()
            steps.append((name, f"{kind}UNSUBSCRIBE"))
        elif choice < 0.55:
            steps.append((name, rng.choice(["PING", "GET k", "PUBLISH a1 own", "PUBSUB NUMSUB a1 c", "PUBSUB CHANNELS a1"])))
        elif choice < 0.57:
            own[name] = {"": set(), "p": set(), "s": set()}
            steps.append((name, "RESET"))
        else:
            steps.append(("w", rng.choice(["PUBLISH", "PUBLISH", "SPUBLISH"]) + f" {rng.choice(channels)} {len(steps)}"))
    return steps


class Client:
    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.settimeout(TIMEOUT_S)
        self.got = b""

    def send(self, requests):
        self.sock.sendall(b"".join(request.strip().encode() + b"\r\n" for request in requests.split(" ; ")))

    def read(self):
        """Some more; nothing when the connection is closed."""
        chunk = self.sock.recv(1 << 16)
        self.got += chunk or b"(closed)"
        return chunk


def run(port, steps):
    """What each client gets. Every step is answered before the next one is taken, and what it has others get is on its way."""
    control = resp.connect(port)
    clients = {}
    for name, requests in steps:
        if name not in clients:
            clients[name] = Client(port)
        client = clients[name]
        client.send(requests)
        client.read()
        for _ in range(2):
            control.call("CLIENT", "LIST")
    for client in clients.values():
        if client.got.endswith(b"(closed)"):
            continue
        client.send(f"PING {LAST_WORD.decode()}")
        while LAST_WORD not in client.got and client.read():
            pass
        client.sock.close()
    control.close()
    return {name: client.got for name, client in clients.items()}


def names_of_connections_left_out(got):
    """HELLO's reply has the number of the connection."""
    return {name: b"".join(part if at == 0 else part[part.find(b"\r\n"):] for at, part in enumerate(bytes_.split(b"$2\r\nid\r\n:")))
            for name, bytes_ in got.items()}


def compare(redis_port, even_port, seeds=range(1, 21)):
    """Returns one line for each difference."""
    differences = []
    for steps in SEQUENCES + [random_sequence(seed) for seed in seeds]:
        theirs, ours = (names_of_connections_left_out(run(port, steps)) for port in (redis_port, even_port))
        for name in theirs:
            if theirs[name] != ours[name]:
                shown = "\n".join(" ".join(step) for step in steps)
                differences.append(f"publish and subscribe, client {name} of\n{shown}\n  redis: {theirs[name]!r}\n  even:  {ours[name]!r}")
    return differences
