"""MONITOR: what a client that watches is shown; LATENCY as far as it does not depend on what has taken long."""

import re

REQUESTS = [(b"SET", b"k", b"a \"quoted\" \\ \n\r\t\a\b\x00\xff word"), (b"get", b"k"), (b"MGET", b"k", b""), (b"NOSUCH", b"x"), (b"GET",), (b"CONFIG", b"GET", b"x"),
            (b"CLIENT", b"GETNAME"), (b"CLIENT", b"LIST"), (b"AUTH", b"secret"), (b"AUTH", b"user", b"secret"), (b"HELLO", b"3", b"AUTH", b"user", b"secret"),
            (b"MULTI",), (b"INCR", b"n"), (b"PING",), (b"EXEC",), (b"MULTI",), (b"INCR", b"n"), (b"DISCARD",), (b"EVAL", b"return 1", b"0"),
            (b"SUBSCRIBE", b"c"), (b"UNSUBSCRIBE", b"c"), (b"PUBLISH", b"c", b"m"), (b"ACL", b"WHOAMI"), (b"ACL", b"LIST"), (b"SLOWLOG", b"GET"), (b"DEL", b"k", b"n"),
            (b"OBJECT", b"ENCODING", b"k"), (b"INFO", b"server"), (b"SCRIPT", b"EXISTS", b"x"), (b"ECHO", b"the end")]
FIXED = [tuple(request.split()) for request in (
    b"LATENCY", b"LATENCY nosuch", b"LATENCY LATEST", b"LATENCY LATEST x", b"LATENCY HISTORY", b"LATENCY HISTORY nosuch", b"LATENCY RESET", b"LATENCY RESET a b",
    b"LATENCY GRAPH nosuch", b"LATENCY GRAPH", b"LATENCY DOCTOR x", b"LATENCY HISTOGRAM nosuch", b"CONFIG GET latency-monitor-threshold",
    b"CONFIG SET latency-monitor-threshold -1", b"CONFIG SET latency-monitor-threshold x", b"CONFIG SET latency-monitor-threshold 5",
    b"CONFIG GET latency-monitor-threshold", b"CONFIG SET latency-monitor-threshold 0", b"LOLWUT VERSION x", b"MONITOR x")]


def shown(server):
    monitor, client = server.connect(), server.connect()
    assert monitor.call(b"MONITOR").raw == b"+OK\r\n"
    for request in REQUESTS:
        client.call(*request)
    lines = []
    while not lines or b"the end" not in lines[-1]:
        lines.append(re.sub(rb"^\+[0-9.]+ \[0 127.0.0.1:[0-9]+\]", b"+", monitor.read().raw))
    monitor.close()
    client.close()
    return lines


def compare(redis_server, even_server):
    """Returns one line for each difference."""
    differences = []
    theirs, ours = shown(redis_server), shown(even_server)
    for line in theirs:
        if line not in ours:
            differences.append(f"MONITOR: only Redis shows {line!r}")
    for line in ours:
        if line not in theirs:
            differences.append(f"MONITOR: only Even shows {line!r}")
    if not differences and theirs != ours:
        differences.append(f"MONITOR: another order\n  redis: {theirs!r}\n  even:  {ours!r}")
    redis, even = redis_server.connect(), even_server.connect()
    for protocol in (b"2", b"3"):
        for connection in (redis, even):
            connection.call(b"HELLO", protocol)
        for request in FIXED:
            replies = [connection.call(*request).raw for connection in (redis, even)]
            if replies[0] != replies[1]:
                differences.append(f"{request!r}\n  redis: {replies[0]!r}\n  even:  {replies[1]!r}")
    redis.close()
    even.close()
    return differences
