"""How replies are compared. Most must be the same bytes; the table says which are not, and how those are compared."""

import re

# name -> (function's name, reason)
RULES = {
    b"SMEMBERS": ("unordered", "a set has no order"),
    b"SINTER": ("unordered", "a set has no order"),
    b"SUNION": ("unordered", "a set has no order"),
    b"SDIFF": ("unordered", "a set has no order"),
    b"KEYS": ("unordered", "the keyspace has no order"),
    b"HKEYS": ("unordered", "a hash has no order"),
    b"HVALS": ("unordered", "a hash has no order"),
    b"HGETALL": ("pairs", "a hash has no order; field and value stay together"),
    b"SCAN": ("scan", "pages differ: both are scanned to the end, and the elements found are compared as a set"),
    b"SSCAN": ("scan", "as SCAN; elements are compared with Redis's"),
    b"HSCAN": ("scan", "as SCAN, in pairs"),
    b"ZSCAN": ("scan", "as SCAN, in pairs"),
    b"SPOP": ("pop", "random: same type and length, and members of the set; then Even is made to hold what Redis holds"),
    b"SRANDMEMBER": ("sample", "random: same type and length, members of the set, different ones when the count is positive"),
    b"HRANDFIELD": ("sample", "as SRANDMEMBER, with the right values"),
    b"ZRANDMEMBER": ("sample", "as SRANDMEMBER, with the right scores"),
    b"RANDOMKEY": ("sample", "random: a key"),
    b"TTL": ("near", "time passes between the two: within 1 s"),
    b"EXPIRETIME": ("near", "as TTL"),
    b"PTTL": ("near", "as TTL: within 1000 ms"),
    b"PEXPIRETIME": ("near", "as TTL"),
    b"DBSIZE": ("settled", "Redis counts expired keys until it meets them: all keys are looked at first"),
    b"DUMP": ("dump", "Redis may compress, and its tables have another order: each restores what the other has dumped"),
    b"HELLO": ("shape", "names another server: same type and, when it is an error, the same bytes"),
    b"TIME": ("shape", "time passes"),
}


def name_of(command):
    return command[0].upper() if command else b""


def asks_further(command):
    """Whether a command's replies are compared with the help of further questions."""
    return RULES.get(name_of(command), ("exact", ""))[0] in ("scan", "pop", "sample", "settled", "dump")


class Difference(Exception):
    pass


def differ(why, redis, even):
    raise Difference(f"{why}\n  redis: {shown(redis)}\n  even:  {shown(even)}")


def shown(reply):
    raw = reply.raw if hasattr(reply, "raw") else reply
    return repr(raw if not isinstance(raw, bytes) or len(raw) < 600 else raw[:600] + b"...")


def check(command, redis, even, redis_reply, even_reply, keys):
    """Raises Difference unless the replies agree. `redis` and `even` are connections, for rules that must ask further."""
    rule = RULES.get(name_of(command), ("exact", ""))[0]
    if redis_reply.raw == even_reply.raw and rule not in ("scan", "pop", "dump"):
        return
    # A score of -0 is 0 in Even always, in Redis where a sorted set is in its compact form.
    if name_of(command).startswith(b"Z") and unsigned_zeros(redis_reply.raw) == unsigned_zeros(even_reply.raw):
        return
    # PFCOUNT leaves its estimate in Redis's value, and is a read in Even.
    if b"HYLL" in redis_reply.raw and without_estimates(redis_reply.raw) == without_estimates(even_reply.raw):
        return
    if rule == "exact" or redis_reply.is_error or even_reply.is_error:
        if redis_reply.raw != even_reply.raw:
            differ("the replies differ", redis_reply, even_reply)
        return
    globals()["check_" + rule](command, redis, even, redis_reply, even_reply, keys)


def unsigned_zeros(raw):
    return raw.replace(b"$2\r\n-0\r\n", b"$1\r\n0\r\n").replace(b",-0\r\n", b",0\r\n")


def without_estimates(raw):
    return re.sub(rb"HYLL(....)........", rb"HYLL\1", raw, flags=re.DOTALL)


def same_shape(redis_reply, even_reply):
    if redis_reply.kind != even_reply.kind:
        differ("the types of the replies differ", redis_reply, even_reply)
    if redis_reply.is_aggregate != even_reply.is_aggregate or (redis_reply.value is None) != (even_reply.value is None):
        differ("one of the replies is null", redis_reply, even_reply)
    if redis_reply.is_aggregate and len(redis_reply.value) != len(even_reply.value):
        differ("the lengths of the replies differ", redis_reply, even_reply)


def grouped(items, size):
    return sorted(b"".join(i.raw for i in items[at:at + size]) for at in range(0, len(items), size))


def check_unordered(command, redis, even, redis_reply, even_reply, keys, size=1):
    same_shape(redis_reply, even_reply)
    if grouped(redis_reply.value, size) != grouped(even_reply.value, size):
        differ("the elements differ", redis_reply, even_reply)


def check_pairs(command, redis, even, redis_reply, even_reply, keys):
    check_unordered(command, redis, even, redis_reply, even_reply, keys, 2)


def check_shape(command, redis, even, redis_reply, even_reply, keys):
    if redis_reply.kind != even_reply.kind:
        differ("the types of the replies differ", redis_reply, even_reply)


def check_near(command, redis, even, redis_reply, even_reply, keys):
    same_shape(redis_reply, even_reply)
    a, b = redis_reply.value, even_reply.value
    limit = 1000 if name_of(command).startswith(b"P") else 1
    if a < 0 or b < 0 or abs(a - b) > limit:
        differ("the times differ", redis_reply, even_reply)


def check_settled(command, redis, even, redis_reply, even_reply, keys):
    redis.call(b"EXISTS", *keys)
    again = redis.call(*command)
    if again.raw != even_reply.raw:
        differ("the replies differ", again, even_reply)


def scan_all(connection, command, reply):
    """The elements of a whole scan that began with `reply`."""
    at = 1 if name_of(command) == b"SCAN" else 2
    items = []
    for _ in range(100_000):
        if reply.kind != b"*" or len(reply.value) != 2 or reply.value[0].kind != b"$" or reply.value[1].kind != b"*":
            raise Difference(f"not a page of a scan: {shown(reply)}")
        items += reply.value[1].value
        cursor = reply.value[0].value
        if cursor == b"0":
            return items
        reply = connection.call(*command[:at], cursor, *command[at + 1:])
    raise Difference("the scan does not end")


def check_scan(command, redis, even, redis_reply, even_reply, keys):
    size = 2 if name_of(command) in (b"HSCAN", b"ZSCAN") else 1
    theirs = grouped(scan_all(redis, command, redis_reply), size)
    ours = grouped(scan_all(even, command, even_reply), size)
    if len(ours) != len(set(ours)):
        raise Difference(f"the scan returned an element twice: {ours!r}")
    if sorted(set(theirs)) != ours:
        raise Difference(f"the scans differ\n  redis: {sorted(set(theirs))!r}\n  even:  {ours!r}")


def elements(reply):
    """The bulk strings in a reply, those of nested arrays together: [a, [b, c]] gives [a, b + c]."""
    if reply.value is None:
        return []
    if not reply.is_aggregate:
        return [reply.raw]
    return [i.raw if not i.is_aggregate else b"".join(j.raw for j in i.value) for i in reply.value]


def check_sample(command, redis, even, redis_reply, even_reply, keys):
    same_shape(redis_reply, even_reply)
    name = name_of(command)
    with_values = name in (b"HRANDFIELD", b"ZRANDMEMBER") and len(command) == 4
    if name == b"RANDOMKEY":
        known = set(elements(redis.call(b"KEYS", b"*")))
    elif name == b"SRANDMEMBER":
        known = set(elements(redis.call(b"SMEMBERS", command[1])))
    else:
        all_of = [b"HGETALL", command[1]] if name == b"HRANDFIELD" else [b"ZRANGE", command[1], b"0", b"-1", b"WITHSCORES"]
        flat = [raw for i in redis.call(*all_of).value for raw in ([j.raw for j in i.value] if i.is_aggregate else [i.raw])]
        known = {flat[i] + flat[i + 1] for i in range(0, len(flat), 2)} if with_values else set(flat[::2])
    got = elements(even_reply)
    if with_values and got and not even_reply.value[0].is_aggregate:
        got = [got[i] + got[i + 1] for i in range(0, len(got), 2)]
    if not set(got) <= known:
        differ("what was drawn is not in the collection", redis_reply, even_reply)
    if len(command) > 2 and not command[2].startswith(b"-") and len(set(got)) != len(got):
        differ("the same was drawn twice", redis_reply, even_reply)


def check_pop(command, redis, even, redis_reply, even_reply, keys):
    same_shape(redis_reply, even_reply)
    if redis_reply.value is None:
        return
    bulks = (lambda r: [i.value for i in r.value] if r.is_aggregate else [r.value])
    theirs, ours = bulks(redis_reply), bulks(even_reply)
    if len(ours) != len(set(ours)):
        differ("a member was popped twice", redis_reply, even_reply)
    # What Even popped and Redis did not must still be in Redis's set, and the other way round.
    for member in set(ours) - set(theirs):
        if redis.call(b"SISMEMBER", command[1], member).value != 1:
            differ(f"{member!r} was not a member", redis_reply, even_reply)
        even.call(b"SADD", command[1], member)
    for member in set(theirs) - set(ours):
        if even.call(b"SREM", command[1], member).value != 1:
            differ(f"{member!r} should have been a member still", redis_reply, even_reply)


def content(connection, key):
    """All that a key holds, in an order."""
    kind = connection.call(b"TYPE", key).raw
    if kind == b"+string\r\n":
        return kind, without_estimates(connection.call(b"GET", key).raw)
    if kind == b"+list\r\n":
        return kind, connection.call(b"LRANGE", key, b"0", b"-1").raw
    if kind == b"+zset\r\n":
        return kind, unsigned_zeros(connection.call(b"ZRANGE", key, b"0", b"-1", b"WITHSCORES").raw)
    if kind == b"+hash\r\n":
        return kind, grouped(connection.call(b"HGETALL", key).value, 2)
    if kind == b"+stream\r\n":
        return kind, stream_content(connection, key)
    return kind, grouped(connection.call(b"SMEMBERS", key).value, 1)


# What a stream's DUMP carries. How much has been read of it is counted otherwise (docs/streams.md), and time passes.
def stream_content(connection, key):
    def plain(reply):
        return [plain(item) for item in reply.value] if reply.is_aggregate else reply.value

    def ask(*words):
        return plain(connection.call(*words))

    def pairs(items):
        return dict(zip(items[::2], items[1::2]))

    out = [ask(b"XRANGE", key, b"-", b"+"), pairs(ask(b"XINFO", b"STREAM", key))[b"last-generated-id"]]
    for group in map(pairs, ask(b"XINFO", b"GROUPS", key)):
        name = group[b"name"]
        pending = [[entry, consumer, count] for entry, consumer, _, count in ask(b"XPENDING", key, name, b"-", b"+", b"1000")]
        consumers = [(consumer[b"name"], consumer[b"pending"]) for consumer in map(pairs, ask(b"XINFO", b"CONSUMERS", key, name))]
        out.append((name, group[b"last-delivered-id"], pending, sorted(consumers)))
    return out


def check_dump(command, redis, even, redis_reply, even_reply, keys):
    same_shape(redis_reply, even_reply)
    if redis_reply.value is None or redis_reply.kind == b"_":
        return
    copy = b"copy of what was dumped"
    expected = content(redis, command[1])
    for connection, payload in ((redis, even_reply.value), (even, redis_reply.value), (even, even_reply.value)):
        restored = connection.call(b"RESTORE", copy, b"0", payload, b"REPLACE")
        if restored.raw != b"+OK\r\n":
            differ("a payload is refused", restored, redis_reply)
        if content(connection, copy) != expected:
            raise Difference(f"restored: {content(connection, copy)!r} instead of {expected!r}")
    for connection in (redis, even):
        connection.call(b"DEL", copy)
