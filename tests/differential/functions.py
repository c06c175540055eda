"""FUNCTION and FCALL: libraries, what they may not be, and calls; payloads of FUNCTION DUMP are restored by the other server."""

LIBRARY = b"""#!lua name=lib
local calls = 0
redis.register_function('add', function(keys, args) return redis.call('INCRBY', keys[1], args[1]) end)
redis.register_function('calls', function() calls = calls + 1; return calls end)
redis.register_function('words', function(keys, args) return {#keys, #args, keys[1], args[1]} end)
redis.register_function('fails', function() error('on purpose') end)
redis.register_function('wrong', function() return redis.call('nosuch') end)
redis.register_function('globals', function() return KEYS end)
redis.register_function('status', function() return redis.status_reply('fine') end)
redis.register_function('error', function() return redis.error_reply('MY bad') end)
redis.register_function('map', function() redis.setresp(3); return {map={a=1}} end)
redis.register_function{function_name='look', description='reads', flags={'no-writes', 'allow-stale'},
  callback=function(keys) return redis.call('GET', keys[1]) end}
redis.register_function{function_name='lies', flags={'no-writes'}, callback=function(keys) return redis.call('SET', keys[1], 1) end}
"""
OTHER = b"#!lua name=other\nredis.register_function('other', function() return 'other' end)"
LONG = b"#!lua name=long\nredis.register_function('long', function() return '" + b"x" * 20000 + b"' end)"


def library(text, name=b"bad"):
    return (b"FUNCTION", b"LOAD", b"#!lua name=" + name + b"\n" + text)


SEQUENCE = [tuple(request.split()) for request in (b"FUNCTION", b"FUNCTION nosuch", b"FUNCTION LOAD", b"FUNCTION LIST", b"FUNCTION LIST x", b"FUNCTION LIST LIBRARYNAME",
                                                   b"FUNCTION LIST WITHCODE WITHCODE", b"FUNCTION FLUSH x", b"FUNCTION KILL", b"FUNCTION STATS", b"FUNCTION DELETE nosuch",
                                                   b"FCALL nosuch 0", b"FCALL_RO nosuch 0", b"FCALL", b"FCALL nosuch", b"FUNCTION RESTORE x", b"FUNCTION RESTORE x y z w",
                                                   b"FUNCTION RESTORE x bogus", b"FUNCTION FLUSH SYNC x")] + [
    (b"FUNCTION", b"LOAD", b"nothing"), (b"FUNCTION", b"LOAD", b"#!lua name=a"), (b"FUNCTION", b"LOAD", b"#!lua\nx"), (b"FUNCTION", b"LOAD", b"#!lua nam=a\nx"),
    (b"FUNCTION", b"LOAD", b"#!lua name=a name=b\nx"), (b"FUNCTION", b"LOAD", b"#!lua name=\nx"), (b"FUNCTION", b"LOAD", b"#!js name=a\nx"),
    (b"FUNCTION", b"LOAD", b"BOGUS", LIBRARY),
    library(b"x", b"a-b"), library(b"x"), library(b"return 1"), library(b"redis.register_function()"), library(b"redis.register_function('f')"),
    library(b"redis.register_function('f', 1)"), library(b"redis.register_function('a b', function() end)"),
    library(b"redis.register_function('f', function() end, 3)"), library(b"redis.register_function{function_name='f'}"),
    library(b"redis.register_function{callback=function() end}"), library(b"redis.register_function{function_name='f', callback=1}"),
    library(b"redis.register_function{function_name='f', callback=function() end, description={}}"),
    library(b"redis.register_function{function_name='f', callback=function() end, flags=1}"),
    library(b"redis.register_function{function_name='f', callback=function() end, flags={'bogus'}}"),
    library(b"redis.register_function{function_name='f', callback=function() end, bogus=1}"),
    library(b"redis.register_function('f', function() end) redis.register_function('f', function() end)"),
    (b"FUNCTION", b"LOAD", LIBRARY), (b"FUNCTION", b"LOAD", LIBRARY), library(b"redis.register_function('add', function() end)"), (b"FUNCTION", b"STATS"),
    (b"FCALL", b"add", b"1", b"k", b"5"), (b"FCALL", b"add", b"1", b"k", b"x"), (b"FCALL", b"add", b"0"), (b"FCALL", b"calls", b"0"), (b"FCALL", b"calls", b"0"),
    (b"FCALL", b"words", b"2", b"a", b"b", b"c"), (b"FCALL", b"words", b"0"), (b"FCALL", b"words", b"x"), (b"FCALL", b"words", b"-1"), (b"FCALL", b"words", b"2", b"a"),
    (b"FCALL", b"fails", b"0"), (b"FCALL", b"wrong", b"0"), (b"FCALL", b"globals", b"0"), (b"FCALL", b"status", b"0"), (b"FCALL", b"error", b"0"), (b"FCALL", b"map", b"0"),
    (b"FCALL", b"look", b"1", b"k"), (b"FCALL_RO", b"look", b"1", b"k"), (b"FCALL_RO", b"add", b"1", b"k", b"1"), (b"FCALL", b"lies", b"1", b"k"),
    (b"fcall", b"LOOK", b"1", b"k"), (b"MULTI",), (b"FCALL", b"add", b"1", b"k", b"1"), (b"FCALL", b"nosuch", b"0"), (b"FCALL_RO", b"look", b"1", b"k"), (b"EXEC",),
    (b"FUNCTION", b"LIST", b"LIBRARYNAME", b"nosuch*"), (b"FUNCTION", b"LIST", b"libraryname", b"LI*", b"withcode"), (b"FUNCTION", b"LOAD", OTHER), (b"FCALL", b"other", b"0"),
    (b"FUNCTION", b"LOAD", b"REPLACE", OTHER.replace(b"'other', f", b"'add', f")), (b"FUNCTION", b"LOAD", b"replace", OTHER.replace(b"return 'other'", b"return 'new'")),
    (b"FCALL", b"other", b"0"), (b"COMMAND", b"GETKEYS", b"FCALL", b"f", b"2", b"a", b"b", b"c"), (b"FUNCTION", b"DELETE", b"other"), (b"FCALL", b"other", b"0"),
    (b"DEL", b"k"), (b"EVAL", b"return redis.call('FCALL', 'add', 1, 'k', 1)", b"0"), (b"FUNCTION", b"FLUSH"), (b"FUNCTION", b"LIST"), (b"FCALL", b"add", b"1", b"k", b"1"),
]


def canonical(reply):
    """Libraries, functions and flags in any order."""
    if not reply.is_aggregate:
        return reply.raw
    return (reply.kind, sorted((canonical(item) for item in reply.value), key=repr))


def comparable(request, reply):
    return canonical(reply) if request[:2] in ((b"FUNCTION", b"LIST"), (b"FUNCTION", b"STATS")) else reply.raw


def compare(redis_server, even_server):
    """Returns one line for each difference."""
    differences = []
    connections = [server.connect() for server in (redis_server, even_server)]
    for protocol in (b"2", b"3"):
        for connection in connections:
            connection.call(b"HELLO", protocol)
        # The same code again keeps what it had between calls: not so in Redis.
        for request in (tuple(word + b"-- " + protocol if word.startswith(LIBRARY) else word for word in request) for request in SEQUENCE):
            theirs, ours = (comparable(request, connection.call(*request)) for connection in connections)
            if theirs != ours:
                differences.append(f"{request!r}\n  redis: {theirs!r}\n  even:  {ours!r}")
    # What one has written the other one reads.
    for code in (LIBRARY, OTHER, LONG):
        for connection in connections:
            connection.call(b"FUNCTION", b"LOAD", code)
    payloads = [connection.call(b"FUNCTION", b"DUMP").value for connection in connections]
    for policy in (b"FLUSH", b"APPEND", b"REPLACE"):
        replies = [connection.call(b"FUNCTION", b"RESTORE", payload, policy).raw for connection, payload in zip(connections, reversed(payloads))]
        listed = [canonical(connection.call(b"FUNCTION", b"LIST", b"WITHCODE")) for connection in connections]
        # Which of several is there already depends on their order.
        if (policy != b"APPEND" and replies[0] != replies[1]) or not replies[1].startswith(b"-" if policy == b"APPEND" else b"+") or listed[0] != listed[1]:
            differences.append(f"FUNCTION RESTORE {policy.decode()}\n  redis: {replies[0]!r}\n  even:  {replies[1]!r}")
    for connection in connections:
        connection.call(b"FUNCTION", b"FLUSH")
        connection.close()
    return differences
