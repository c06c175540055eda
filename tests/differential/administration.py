"""Commands about the server itself, in one fixed sequence. Times, sizes and addresses of clients differ and are left out."""

import re

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
    # Parameters that mean nothing in Even.
    b"CONFIG GET hash-max-ziplist-v*", b"CONFIG SET hash-max-listpack-entries 7", b"CONFIG GET hash-max-l*-entries", b"CONFIG SET hash-max-ziplist-entries -1",
    b"CONFIG SET hash-max-ziplist-entries 1 hash-max-listpack-entries 2", b"CONFIG SET hash-max-ziplist-entries 1 HASH-MAX-ziplist-entries 2", b"CONFIG SET hash-max-ziplist-entries 512 Hash-Max-Ziplist-Value 1kb",
    b"CONFIG GET hash-max-listpack-value", b"CONFIG SET hash-max-listpack-value 64", b"CONFIG SET list-max-ziplist-size x", b"CONFIG SET stream-node-max-entries 9",
    b"CONFIG GET stream-node-max-entries", b"CONFIG SET stream-node-max-entries 100", b"CONFIG SET activerehashing maybe", b"CONFIG SET activerehashing NO",
    b"CONFIG GET activerehashing", b"CONFIG SET activerehashing yes", b"CONFIG SET sanitize-dump-payload sometimes", b"CONFIG GET sanitize-dump-payload",
    b"CONFIG SET hz 10 unixsocketperm 700", b"CONFIG SET databases 3", b"CONFIG SET appendonly maybe", b"CONFIG SET repl-timeout 0", b"CONFIG GET slave-priority",
    b"CONFIG SET lfu-log-factor 3", b"CONFIG GET lfu-log-factor", b"CONFIG SET lfu-log-factor 10", b"CONFIG SET maxmemory-samples 0",
    b"MEMORY", b"MEMORY bogus", b"MEMORY USAGE", b"MEMORY USAGE absent", b"MEMORY USAGE absent SAMPLES", b"MEMORY USAGE absent SAMPLES x",
    b"MEMORY USAGE absent SAMPLES -1", b"MEMORY USAGE absent SAMPLES 0", b"MEMORY USAGE absent samples 9223372036854775807 SAMPLES 1",
    b"MEMORY USAGE absent bogus", b"MEMORY USAGE absent 5", b"MEMORY DOCTOR x", b"MEMORY STATS x", b"MEMORY PURGE x", b"MEMORY PURGE",
    b"MEMORY MALLOC-STATS x", b"SET k v", b"MEMORY USAGE k SAMPLES 0 bogus", b"DEL k", b"COMMAND GETKEYS MEMORY USAGE a",
    b"COMMAND GETKEYS MEMORY USAGE", b"COMMAND GETKEYS MEMORY STATS", b"COMMAND INFO memory|usage|x",
    b"SHUTDOWN x", b"SHUTDOWN SAVE NOSAVE", b"SHUTDOWN ABORT NOW", b"SHUTDOWN NOW FORCE ABORT", b"SHUTDOWN ABORT", b"ROLE", b"ROLE x",
    b"LASTSAVE x", b"CLUSTER", b"CLUSTER INFO", b"CLUSTER HELP", b"CLUSTER SLOTS", b"CONFIG RESETSTAT x", b"CONFIG RESETSTAT",
    b"CLIENT REPLY", b"CLIENT REPLY x", b"CLIENT REPLY ON x", b"CLIENT REPLY ON",
    b"CLIENT TRACKING", b"CLIENT TRACKING x", b"CLIENT TRACKING ON x", b"CLIENT TRACKING ON REDIRECT", b"CLIENT TRACKING ON REDIRECT x",
    b"CLIENT TRACKING ON REDIRECT 0", b"CLIENT TRACKING ON REDIRECT 123456789", b"CLIENT TRACKING ON PREFIX", b"CLIENT TRACKING ON PREFIX a",
    b"CLIENT TRACKING ON BCAST OPTIN", b"CLIENT TRACKING ON BCAST OPTOUT", b"CLIENT TRACKING ON OPTIN OPTOUT", b"CLIENT TRACKING ON BCAST PREFIX ab PREFIX a",
    b"CLIENT TRACKING ON BCAST PREFIX a PREFIX a", b"CLIENT GETREDIR", b"CLIENT GETREDIR x", b"CLIENT TRACKINGINFO", b"CLIENT TRACKINGINFO x", b"CLIENT CACHING",
    b"CLIENT CACHING YES", b"CLIENT CACHING x", b"CLIENT TRACKING ON", b"CLIENT TRACKINGINFO", b"CLIENT GETREDIR", b"CLIENT CACHING YES", b"CLIENT CACHING NO",
    b"CLIENT CACHING x", b"CLIENT TRACKING ON BCAST", b"CLIENT TRACKING ON OPTIN NOLOOP", b"CLIENT TRACKINGINFO", b"CLIENT TRACKING ON OPTOUT", b"CLIENT CACHING NO",
    b"CLIENT CACHING YES", b"CLIENT TRACKINGINFO", b"CLIENT TRACKINGINFO", b"PING", b"CLIENT TRACKINGINFO", b"CLIENT CACHING YES", b"MULTI", b"CLIENT TRACKINGINFO",
    b"EXEC", b"CLIENT TRACKINGINFO", b"CLIENT TRACKING OFF x", b"CLIENT TRACKING OFF", b"CLIENT TRACKINGINFO", b"CLIENT TRACKING ON OPTOUT", b"CLIENT CACHING YES",
    b"CLIENT CACHING NO", b"CLIENT TRACKINGINFO", b"CLIENT TRACKING ON OPTIN", b"CLIENT TRACKING OFF", b"CLIENT TRACKING ON BCAST PREFIX zz: PREFIX aa:",
    b"CLIENT TRACKINGINFO", b"CLIENT TRACKING ON BCAST PREFIX z", b"CLIENT TRACKING ON BCAST PREFIX mm:", b"CLIENT TRACKINGINFO", b"CLIENT TRACKING ON",
    b"CLIENT TRACKING OFF", b"CLIENT TRACKINGINFO", b"CONFIG GET tracking-table-max-keys", b"CONFIG SET tracking-table-max-keys -1",
    b"CONFIG SET tracking-table-max-keys 5", b"CONFIG GET tracking-table*", b"CONFIG SET tracking-table-max-keys 1000000",
    b"CLIENT PAUSE", b"CLIENT PAUSE x", b"CLIENT PAUSE -1", b"CLIENT PAUSE 1 x", b"CLIENT PAUSE 100 WRITE", b"CLIENT UNPAUSE x", b"GET absent", b"CLIENT UNPAUSE",
    b"CLIENT PAUSE 1 ALL", b"CLIENT UNPAUSE",
    b"OBJECT", b"OBJECT x", b"OBJECT HELP x", b"OBJECT ENCODING", b"OBJECT ENCODING a b", b"OBJECT ENCODING absent", b"OBJECT FREQ absent",
    b"OBJECT IDLETIME absent", b"OBJECT REFCOUNT absent", b"COMMAND GETKEYS OBJECT ENCODING a", b"COMMAND GETKEYS OBJECT HELP",
    b"SET k 12", b"OBJECT ENCODING k", b"OBJECT FREQ k", b"SET k -9223372036854775808", b"OBJECT ENCODING k", b"SET k 9223372036854775808",
    b"OBJECT ENCODING k", b"SET k 012", b"OBJECT ENCODING k", b"SET k -0", b"OBJECT ENCODING k", b"SET k 3.5", b"OBJECT ENCODING k",
    b"SET k " + b"x" * 44, b"OBJECT ENCODING k", b"OBJECT REFCOUNT k", b"SET k " + b"x" * 45, b"OBJECT ENCODING k", b"SET k 5", b"INCR k", b"OBJECT ENCODING k",
    b"SADD s 1 2 -3", b"OBJECT ENCODING s", b"SADD s " + b" ".join(b"%d" % i for i in range(511)), b"OBJECT ENCODING s", b"SADD s 1000", b"OBJECT ENCODING s",
    b"DEL s", b"SADD s a", b"OBJECT ENCODING s", b"OBJECT REFCOUNT s", b"HSET h f v", b"OBJECT ENCODING h", b"HSET h f " + b"x" * 64, b"OBJECT ENCODING h",
    b"HSET h f " + b"x" * 65, b"OBJECT ENCODING h", b"DEL h", b"HSET h " + b" ".join(b"f%d v" % i for i in range(512)), b"OBJECT ENCODING h", b"HSET h g v",
    b"OBJECT ENCODING h", b"DEL h", b"HSET h " + b"x" * 65 + b" v", b"OBJECT ENCODING h",
    # What counts as reading, and as an error.
    b"CONFIG RESETSTAT", b"GET k", b"GET absent", b"MGET k s absent", b"EXISTS k absent k", b"TYPE k", b"TTL absent", b"SET k 1 GET", b"SETNX k 1",
    b"GETSET k 2", b"GETDEL absent", b"GETEX k", b"INCR k", b"APPEND k x", b"STRLEN k", b"HGET h f", b"HMGET h f g", b"HGETALL h", b"HLEN absent",
    b"SMEMBERS s", b"SISMEMBER s a", b"SCARD absent", b"SADD s b", b"HSET h f v", b"DEL absent", b"TOUCH k absent", b"OBJECT ENCODING s", b"MEMORY USAGE absent",
    b"KEYS nosuch*", b"DBSIZE", b"HGET k f", b"INCR s", b"NOSUCH", b"GET", b"CONFIG SET nosuch 1", b"EXPIRE k 100", b"PERSIST k", b"SCAN 0 MATCH nosuch", b"SSCAN s 0 MATCH nosuch",
    b"INFO stats", b"INFO errorstats", b"INFO commandstats", b"DEL k s h",
    b"INFO nosuch", b"INFO keyspace keyspace",
]
# Of INFO, what must be the same in both.
FIGURES = (b"keyspace_hits", b"keyspace_misses", b"total_error_replies", b"errorstat_", b"cmdstat_")
# Redis describes what Even has not got, in other words, and it does not have an EVEN.
UNCOUNTED = (b"cmdstat_info", b"cmdstat_config|resetstat", b"cmdstat_hello")


def words(request):
    return [b"" if word == b'""' else word for word in request.split()]


def comparable(request, reply):
    if request == b"ROLE" and reply.is_aggregate:
        role, offset, replicas = reply.value
        return role.raw, offset.kind, replicas.raw
    if request.startswith(b"INFO ") and not reply.is_error:
        lines = [re.sub(rb"usec(_per_call)?=[0-9.]*,?", b"", line) for line in reply.value.split(b"\r\n")
                 if line.startswith(FIGURES) and not line.startswith(UNCOUNTED)]
        return sorted(lines)
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
