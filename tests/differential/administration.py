"""Commands about the server itself, in one fixed sequence. Times, sizes and addresses of clients differ and are left out."""

SEQUENCE = [
    b"CONFIG SET slowlog-log-slower-than -2", b"CONFIG SET slowlog-log-slower-than x", b"CONFIG SET slowlog-max-len -1",
    b"CONFIG SET slowlog-max-len 9223372036854775808", b"CONFIG GET slowlog-max*", b"CONFIG GET slowlog-log-slower-than", b"SLOWLOG", b"SLOWLOG bogus", b"SLOWLOG LEN x",
    b"SLOWLOG RESET x", b"SLOWLOG GET x", b"SLOWLOG GET -2", b"SLOWLOG get 1 2", b"SLOWLOG GET 9223372036854775808",
    b"CONFIG SET slowlog-log-slower-than -1", b"SLOWLOG RESET", b"SLOWLOG LEN", b"SLOWLOG GET", b"SLOWLOG GET 0",
    # From here on all commands are in it.
    b"CONFIG SET slowlog-max-len 20 slowlog-log-slower-than 0", b"CONFIG GET slowlog-max*", b"CONFIG GET slowlog-log-slower-than", b"SLOWLOG RESET", b"CLIENT SETNAME me",
    b"SET a 1", b"NOSUCH a", b"GET", b"MSET " + b" ".join(b"k%d v" % i for i in range(20)), b"DEL " + b" ".join(b"k%d" % i for i in range(31)),
    b"SET long " + b"x" * 129, b"GET " + b"y" * 128, b"AUTH password", b"AUTH user password", b"HELLO 2 AUTH user password",
    b"CONFIG SET requirepass password", b"CONFIG SET requirepass \"\"", b"CLIENT SETNAME \"\"", b"DEL a long", b"SLOWLOG LEN",
    b"SLOWLOG GET -1", b"SLOWLOG GET 3", b"slowlog get", *[b"GET a%d" % i for i in range(20)], b"SLOWLOG GET 100",
    b"CONFIG SET slowlog-max-len 3", b"SLOWLOG GET -1", b"CONFIG SET slowlog-max-len 0", b"SLOWLOG GET -1",
    b"CONFIG SET slowlog-max-len 128 slowlog-log-slower-than 10000", b"SLOWLOG RESET",
    b"MEMORY", b"MEMORY bogus", b"MEMORY USAGE", b"MEMORY USAGE absent", b"MEMORY USAGE absent SAMPLES", b"MEMORY USAGE absent SAMPLES x",
    b"MEMORY USAGE absent SAMPLES -1", b"MEMORY USAGE absent SAMPLES 0", b"MEMORY USAGE absent samples 9223372036854775807 SAMPLES 1",
    b"MEMORY USAGE absent bogus", b"MEMORY USAGE absent 5", b"MEMORY DOCTOR x", b"MEMORY STATS x", b"MEMORY PURGE x", b"MEMORY PURGE",
    b"MEMORY MALLOC-STATS x", b"SET k v", b"MEMORY USAGE k SAMPLES 0 bogus", b"DEL k", b"COMMAND GETKEYS MEMORY USAGE a",
    b"COMMAND GETKEYS MEMORY USAGE", b"COMMAND GETKEYS MEMORY STATS", b"COMMAND INFO memory|usage|x",
]


def words(request):
    return [b"" if word == b'""' else word for word in request.split()]


def comparable(request, reply):
    if not request.upper().startswith(b"SLOWLOG GET") or not reply.is_aggregate:
        return reply.raw
    first = reply.value[-1].value[0].value if reply.value else 0
    entries = []
    for entry in reply.value:
        number, time, duration, arguments, address, name = entry.value
        entries.append((number.value - first, time.kind, duration.kind, arguments.raw, address.value.rpartition(b":")[0], name.raw))
    return entries


def compare(redis, even):
    """Returns one line for each difference."""
    differences = []
    for protocol in (b"2", b"3"):
        for connection in (redis, even):
            connection.call(b"HELLO", protocol)
        for request in SEQUENCE:
            theirs, ours = (comparable(request, connection.call(*words(request))) for connection in (redis, even))
            if theirs != ours:
                differences.append(f"{request.decode()}\n  redis: {theirs!r}\n  even:  {ours!r}")
    for connection in (redis, even):
        connection.close()
    return differences
