"""ACL: the same rules lead to the same users, and these may do the same.

Rules of commands are compared by what they allow: Redis 7.0 words them anew from what they come to, Even keeps them as they were given. Of what Redis lists by
a hash table's order, and by a name that only Even has, sets are compared.
"""

import random

import generate

RULES = [
    b"on", b"off", b"nopass", b"resetpass", b">one", b">two", b"<one", b"<two", b"#" + b"0" * 64, b"!" + b"0" * 64, b"#" + b"0" * 63, b"#" + b"A" * 64,
    b"reset", b"clearselectors", b"allkeys", b"~*", b"resetkeys", b"~k*", b"~a", b"%R~a*", b"%W~b*", b"%RW~c", b"%rw~d", b"%X~a", b"%R", b"~", b"~a b",
    b"allchannels", b"&*", b"resetchannels", b"&news.*", b"&a", b"&a b", b"allcommands", b"+@all", b"nocommands", b"-@all", b"+get", b"-get", b"+GET",
    b"+set", b"-set", b"+config", b"-config", b"+config|get", b"-config|get", b"+config|set", b"+config|nosuch", b"-config|nosuch", b"+config|get|x", b"+debug|",
    b"+select|0", b"-select", b"+nosuch", b"-nosuch", b"+@nosuch", b"+@read", b"-@read", b"+@write", b"-@write", b"+@string", b"-@string", b"+@keyspace",
    b"+@admin", b"-@admin", b"+@dangerous", b"-@dangerous", b"+@slow", b"-@slow", b"+@fast", b"-@fast", b"+@connection", b"+@scripting", b"-@scripting",
    b"+@pubsub", b"+@blocking", b"-@blocking", b"+@transaction", b"+@stream", b"+@sortedset", b"-@list", b"+@hash", b"+@set", b"+@geo", b"+@hyperloglog",
    b"+@bitmap", b"(+get ~a)", b"(+@read %R~k*)", b"(+@write %W~k* &a)", b"(+nosuch)", b"(>one)", b"()", b"(+get", b"~x)", b"bogus", b"", b"+acl|whoami",
    b"+mget", b"-eval", b"+eval", b"+publish", b"+subscribe", b"+psubscribe", b"+sort", b"+sort_ro", b"+object|encoding", b"-object", b"+bitfield",
]
# With what is to be matched by patterns above, and with commands that the generator of sequences does not make.
REQUESTS = [request.split() for request in (
    b"publish a m", b"publish news.x m", b"spublish news.x m", b"subscribe a news.y", b"ssubscribe a", b"psubscribe news.*", b"psubscribe a*",
    b"unsubscribe a", b"config get x", b"config set x y", b"config", b"object encoding a", b"object help", b"eval x 1 a", b"eval x 0", b"eval_ro x 2 a b",
    b"sort a", b"sort a by w_*", b"sort a by nosort", b"sort a get #", b"sort a get w_*", b"sort a store b", b"sort_ro a by w_*", b"sort a limit 0 1 desc",
    b"set a v", b"set a v get", b"set b v", b"set b v get", b"bitfield a get u8 0", b"bitfield a set u8 0 1", b"bitfield b incrby u8 0 1", b"copy a b", b"copy b a",
    b"exists a", b"select 0", b"select 1", b"auth x", b"quit", b"reset", b"hello", b"nosuch", b"get", b"config nosuch", b"acl whoami", b"acl list", b"acl setuser x",
    b"xread streams a k1 0 0", b"xreadgroup group g c streams a 0", b"zunionstore a 2 k1 b", b"lmpop 1 a left", b"blpop a b 0", b"georadius a 0 0 1 m store b",
    b"georadius a 0 0 1 m", b"migrate h 1 a 0 1", b"multi", b"exec", b"watch a", b"mget a b", b"command", b"command getkeys get a", b"client id", b"client kill x",
    b"script load x", b"memory usage a", b"xinfo stream a", b"xgroup create a g 0", b"wait 0 0", b"dump b", b"restore b 0 x", b"flushall", b"keys *", b"scan 0",
    b"lcs a b", b"getex b", b"getdel a", b"smove a b m", b"bitop and b a k1", b"pfcount a b", b"pfmerge b a", b"sintercard 2 a b", b"geosearchstore b a bybox 1 1 m",
)]


def names(reply):
    return {name.value for name in reply.value if not name.value.startswith(b"even.")}


def fields(reply):
    return {reply.value[i].value: reply.value[i + 1] for i in range(0, len(reply.value), 2)}


def user(connection):
    """What ACL GETUSER says, without the rules of commands."""
    reply = connection.call(b"ACL", b"GETUSER", b"u")
    if not reply.is_aggregate:
        return reply.raw
    known = fields(reply)
    selectors = [{name: value.raw for name, value in fields(selector).items() if name != b"commands"} for selector in known[b"selectors"].value]
    return ([known[name].raw for name in (b"flags", b"passwords", b"keys", b"channels")], known[b"commands"].value.split()[:1], selectors)


def compare_categories(redis, even):
    differences = []
    theirs, ours = (connection.call(b"ACL", b"CAT") for connection in (redis, even))
    if theirs.raw != ours.raw:
        differences.append(f"ACL CAT\n  redis: {theirs.raw!r}\n  even:  {ours.raw!r}")
    there = set()
    for entry in even.call(b"COMMAND", b"LIST").value:
        there.add(entry.value)
        there |= {sub.value[0].value for sub in even.call(b"COMMAND", b"INFO", entry.value).value[0].value[9].value}
    for category in theirs.value:
        of_redis, of_even = (names(connection.call(b"ACL", b"CAT", category.value)) for connection in (redis, even))
        newer = {name for name in of_even if redis.call(b"COMMAND", b"INFO", name).value[0].value in (None, b"")}
        if of_redis & there != of_even - newer:
            differences.append(f"ACL CAT {category.value.decode()}: only Redis {sorted(of_redis & there - of_even)}, only Even {sorted(of_even - newer - of_redis)}")
    return differences


def compare_fixed(redis, even):
    differences = []
    for request in (b"ACL", b"ACL nosuch", b"ACL CAT nosuch", b"ACL CAT read x", b"ACL GENPASS 0", b"ACL GENPASS x", b"ACL GENPASS 4097", b"ACL GENPASS 1 2", b"ACL WHOAMI x",
                    b"ACL GETUSER nosuch", b"ACL GETUSER default", b"ACL DELUSER default", b"ACL DELUSER nosuch nosuch", b"ACL DELUSER a default", b"ACL DRYRUN nosuch get a",
                    b"ACL DRYRUN default nosuch", b"ACL DRYRUN default get", b"ACL DRYRUN default get a", b"ACL LOG x", b"ACL LOG 1 2", b"ACL LOG -1", b"ACL LOG RESET", b"ACL LOG",
                    b"ACL LOAD", b"ACL SAVE", b"ACL LIST", b"ACL USERS", b"ACL WHOAMI", b"ACL SETUSER \x00", b"ACL SETUSER u (+get", b"ACL SETUSER u (+get ~x)", b"ACL LIST",
                    b"ACL USERS", b"ACL DELUSER u", b"CONFIG GET acllog-max-len", b"CONFIG SET acllog-max-len -1", b"AUTH nosuch x", b"AUTH default x", b"AUTH x", b"HELLO 3 AUTH nosuch x",
                    b"CLIENT KILL USER nosuch"):
        theirs, ours = (connection.call(*request.split(b" ")).raw for connection in (redis, even))
        if theirs != ours:
            differences.append(f"{request!r}\n  redis: {theirs!r}\n  even:  {ours!r}")
    lengths = [len(connection.call(b"ACL", b"GENPASS", bits).value) for connection in (redis, even) for bits in (b"1", b"5", b"256", b"4096")]
    if lengths[:4] != lengths[4:]:
        differences.append(f"ACL GENPASS: {lengths}")
    return differences


def compare_denials(redis_server, even_server):
    """What a user is told of what it may not do, and what ACL LOG has of it."""
    admins = [server.connect() for server in (redis_server, even_server)]
    clients = [server.connect() for server in (redis_server, even_server)]
    differences = []

    def both(connections, request):
        theirs, ours = (connection.call(*request.split(b" ")).raw for connection in connections)
        # Ids of clients differ.
        if theirs != ours and not (request.startswith(b"HELLO") and theirs[:1] == ours[:1]):
            differences.append(f"{request!r}\n  redis: {theirs!r}\n  even:  {ours!r}")

    both(admins, b"ACL SETUSER limited on >pw ~k* %R~r &a +@all -@admin -keys +acl|whoami +acl|log")
    for request in (b"AUTH limited wrong", b"AUTH limited pw", b"ACL WHOAMI", b"GET k", b"GET other", b"GET r", b"SET r v", b"SET r v GET", b"KEYS *", b"CONFIG GET x",
                    b"PUBLISH a m", b"PUBLISH b m", b"SPUBLISH b m", b"SUBSCRIBE b", b"PSUBSCRIBE a*", b"ACL LIST", b"SORT k BY w_*", b"SORT k GET #", b"NOSUCH", b"GET",
                    b"MULTI", b"GET k", b"GET other", b"EXEC", b"MULTI", b"SET k v", b"EXEC", b"WATCH other", b"BLPOP other 0", b"EVAL return 1 other", b"RESET", b"ACL WHOAMI",
                    b"HELLO 3 AUTH limited pw", b"ACL WHOAMI", b"GET other", b"HELLO 2"):
        both(clients, request)
    for script in (b"return redis.call('get','other')", b"return redis.pcall('get','other')", b"return redis.call('get','k')", b"return redis.pcall('keys','*')",
                   b"return redis.call('publish','b','m')", b"return redis.acl_check_cmd('get','k')", b"return redis.acl_check_cmd('get','other')",
                   b"return redis.call('sort','k','by','w_*')", b"return redis.call('set','r','v')", b"return redis.pcall('config','get','x')"):
        theirs, ours = (connection.call(b"EVAL", script, b"0").raw for connection in clients)
        if theirs != ours:
            differences.append(f"EVAL {script!r}\n  redis: {theirs!r}\n  even:  {ours!r}")
    logs = []
    for connection in admins:
        known = [fields(entry) for entry in connection.call(b"ACL", b"LOG", b"100").value]
        logs.append([[entry[name].raw for name in (b"count", b"reason", b"context", b"object", b"username")] for entry in known])
    if logs[0] != logs[1]:
        differences.append(f"ACL LOG\n  redis: {logs[0]!r}\n  even:  {logs[1]!r}")
    both(admins, b"ACL DELUSER limited")
    for number, connection in enumerate(clients):
        try:
            connection.call(b"PING")
            differences.append(f"a connection of a user that has been deleted goes on at {'even' if number else 'redis'}")
        except ConnectionError:
            pass
    for connection in admins:
        connection.call(b"ACL", b"LOG", b"RESET")
        connection.close()
    return differences


def compare_rules(redis, even, seed, steps=25):
    choice = random.Random(seed)
    samples = [command for command in generate.Generator(seed).sequence(60)]
    for step in range(steps):
        rules = [choice.choice(RULES) for _ in range(choice.choice((1, 1, 1, 2, 3)))]
        theirs, ours = (connection.call(b"ACL", b"SETUSER", b"u", *rules) for connection in (redis, even))
        if theirs.raw != ours.raw:
            return [f"ACL SETUSER u {rules} (seed {seed})\n  redis: {theirs.raw!r}\n  even:  {ours.raw!r}"]
        if user(redis) != user(even):
            return [f"ACL GETUSER after {rules} (seed {seed})\n  redis: {user(redis)!r}\n  even:  {user(even)!r}"]
        for request in choice.sample(REQUESTS, 12) + choice.sample(samples, 6):
            theirs, ours = (connection.call(b"ACL", b"DRYRUN", b"u", *request) for connection in (redis, even))
            if theirs.raw == ours.raw or (ours.is_error and b"not found" in ours.value):
                continue
            # Even looks at what SORT reaches before it is executed; Redis when it is.
            if ours.value.endswith((b"which BY may", b"which GET may")) and theirs.raw == b"+OK\r\n":
                continue
            # Where the number of keys is none, Redis looks at no key.
            if theirs.raw == b"+OK\r\n" and b"key" in ours.value and redis.call(b"COMMAND", b"GETKEYS", *request).is_error:
                continue
            # Nor does Even, and it reads that number as a number.
            if ours.raw == b"+OK\r\n" and b" key" in theirs.value and even.call(b"COMMAND", b"GETKEYS", *request).is_error:
                continue
            listed = [connection.call(b"ACL", b"LIST").value for connection in (redis, even)]
            return [f"ACL DRYRUN u {request} (seed {seed})\n  redis: {theirs.raw!r}\n  even:  {ours.raw!r}\n" +
                    "\n".join(f"  {line.value.decode()}" for lines in listed for line in lines)]
    return []


def compare(redis_server, even_server, seeds=30):
    """Returns one line for each difference."""
    redis, even = redis_server.connect(), even_server.connect()
    differences = compare_categories(redis, even) + compare_fixed(redis, even) + compare_denials(redis_server, even_server)
    for seed in range(seeds):
        for connection in (redis, even):
            connection.call(b"ACL", b"DELUSER", b"u")
        differences += compare_rules(redis, even, seed)
    for connection in (redis, even):
        connection.call(b"ACL", b"DELUSER", b"u")
        connection.close()
    return differences
