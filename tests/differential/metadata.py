"""Compares what COMMAND says about the commands that both servers have. Summaries and complexities are Even's own words; notes on key specifications and the
history of commands and arguments are left out; and of subcommands only those count that Even has."""

# Newer than Redis 7.0, or Even's own.
UNKNOWN_TO_REDIS = {b"client|setinfo", b"client|no-touch", b"client|capa", b"cluster|myshardid", b"script|show", b"delifeq", b"waitaof", b"hexpire", b"hexpireat", b"hexpiretime", b"hgetdel", b"hgetex",
                    b"hpersist", b"hpexpire", b"hpexpireat", b"hpexpiretime", b"hpttl", b"hsetex", b"httl"}
# Which have arguments that later versions have added, among others of these names.
NEWER_DOCS = {b"client|kill", b"client|list"}
# Which Redis takes within MULTI: docs/databases.md says why.
NOT_IN_MULTI = {b"swapdb"}
# The same of arguments: SET ... IFEQ, HSCAN ... NOVALUES, ZSCAN ... NOSCORES, ZRANK ... WITHSCORE.
NEWER_ARGUMENTS = {b"comparison-value", b"novalues", b"noscores", b"withscore"}
# Which have more words with those.
MORE_WORDS = {b"zrank", b"zrevrank"}


def canonical(reply, name=None):
    """Sets sorted, notes and subcommands dropped."""
    if not reply.is_aggregate:
        return reply.raw
    items = reply.value
    if name is not None:
        items = items[:9]
    if reply.kind == b"%":
        pairs = [(items[i].raw, canonical(items[i + 1])) for i in range(0, len(items), 2)]
        return [pair for pair in pairs if b"notes" not in pair[0]]
    values = [canonical(item) for item in items]
    return (reply.kind, sorted(values, key=repr) if reply.kind == b"~" else values)


def description(reply, name):
    """Of a command of Even's, as Redis would have it."""
    kind, items = canonical(reply, name)
    if name in NOT_IN_MULTI:
        _, words = items[2]
        words.remove(b"+no_multi\r\n")
    if name in MORE_WORDS:
        items[1] = items[1].replace(b":-", b":")
    return kind, items


def names(connection):
    out = set()
    for entry in connection.call(b"COMMAND", b"LIST").value:
        out.add(entry.value)
        info = connection.call(b"COMMAND", b"INFO", entry.value).value[0]
        out |= {sub.value[0].value for sub in info.value[9].value}
    return out


def arguments(reply):
    """Each argument's fields, without those that tell its history."""
    out = []
    for argument in reply.value:
        fields = {argument.value[i].value: argument.value[i + 1] for i in range(0, len(argument.value), 2)}
        if fields[b"name"].value in NEWER_ARGUMENTS:
            continue
        out.append([(name, arguments(value) if name == b"arguments" else canonical(value))
                    for name, value in fields.items() if name not in (b"since", b"deprecated_since")])
    return out


def facts(docs):
    """Since, group, arguments, and whether there is a complexity, for each documented name."""
    out = {}
    for i in range(0, len(docs.value), 2):
        fields = docs.value[i + 1].value
        known = {fields[j].value: fields[j + 1] for j in range(0, len(fields), 2)}
        out[docs.value[i].value] = {field: known[field].raw for field in (b"since", b"group")} | {
            "arguments": arguments(known[b"arguments"]) if b"arguments" in known else [], "complexity": b"complexity" in known}
        if b"subcommands" in known:
            out.update(facts(known[b"subcommands"]))
    return out


def compare(redis, even):
    """Returns one line for each difference."""
    for connection in (redis, even):
        connection.call(b"HELLO", b"3")
    differences = []
    docs = [facts(connection.call(b"COMMAND", b"DOCS")) for connection in (redis, even)]
    for name in sorted(names(even)):
        if name.startswith(b"even.") or name in UNKNOWN_TO_REDIS:
            continue
        theirs = redis.call(b"COMMAND", b"INFO", name).value[0]
        ours = even.call(b"COMMAND", b"INFO", name).value[0]
        if theirs.value == b"" or theirs.value is None:
            differences.append(f"COMMAND INFO: Redis does not know {name!r}")
        elif canonical(theirs, name) != description(ours, name):
            differences.append(f"COMMAND INFO {name!r}\n  redis: {canonical(theirs, name)}\n  even:  {description(ours, name)}")
        if name not in NEWER_DOCS and docs[0].get(name) != docs[1].get(name):
            differences.append(f"COMMAND DOCS {name!r}\n  redis: {docs[0].get(name)}\n  even:  {docs[1].get(name)}")
    differences += fixed_requests(redis, even)
    for connection in (redis, even):
        connection.close()
    return differences


# COMMAND GETKEYS and LIST, whose replies do not depend on how many commands there are.
REQUESTS = [
    b"COMMAND GETKEYS GET a", b"COMMAND GETKEYS MSET a 1 b 2", b"COMMAND GETKEYS MSET a 1 b", b"COMMAND GETKEYS GET a b",
    b"COMMAND GETKEYS PING a", b"COMMAND GETKEYS NOSUCH a", b"COMMAND GETKEYS CONFIG GET a", b"COMMAND GETKEYS CONFIG BOGUS a",
    b"COMMAND GETKEYS GET", b"COMMAND GETKEYSANDFLAGS GET a", b"COMMAND GETKEYSANDFLAGS SET a b", b"COMMAND GETKEYSANDFLAGS SET a b get",
    b"COMMAND GETKEYSANDFLAGS BITFIELD a GET u8 0", b"COMMAND GETKEYSANDFLAGS BITFIELD a SET u8 0 1", b"COMMAND GETKEYSANDFLAGS RENAME a b",
    b"COMMAND GETKEYSANDFLAGS ZUNIONSTORE d 2 a b", b"COMMAND GETKEYSANDFLAGS SINTERSTORE d a b", b"COMMAND GETKEYSANDFLAGS MSET a 1 b 2",
    b"COMMAND GETKEYSANDFLAGS SORT a STORE b", b"COMMAND GETKEYS SORT a BY w_* STORE b", b"COMMAND GETKEYS SORT a BY store GET x STORE b store c",
    b"COMMAND GETKEYS GEORADIUS a 1 2 3 m STORE b", b"COMMAND GETKEYS BITOP AND d a b", b"COMMAND GETKEYSANDFLAGS PING x",
b"COMMAND GETKEYS DEL a b c", b"COMMAND LIST FILTERBY bogus x", b"COMMAND LIST FILTERBY ACLCAT hash",
    b"COMMAND LIST FILTERBY ACLCAT HASH", b"COMMAND LIST FILTERBY ACLCAT @hash", b"COMMAND LIST FILTERBY ACLCAT bogus",
    b"COMMAND LIST FILTERBY PATTERN hm*", b"COMMAND LIST FILTERBY PATTERN PI?G", b"COMMAND LIST FILTERBY PATTERN",
    b"COMMAND LIST bogus", b"COMMAND LIST FILTERBY MODULE x", b"COMMAND COUNT x", b"COMMAND INFO nosuch", b"COMMAND INFO config|nosuch",
    b"COMMAND DOCS nosuch", b"COMMAND BOGUS", b"COMMAND HELP x", b"COMMAND INFO get|x", b"COMMAND GETKEYS HELLO",
    b"COMMAND GETKEYS EVAL s 0", b"COMMAND GETKEYS EVAL s 1", b"COMMAND GETKEYS FCALL f 0 a", b"COMMAND GETKEYS ZUNION 0 a",
]


def fixed_requests(redis, even):
    differences = []
    for protocol in (b"2", b"3"):
        for connection in (redis, even):
            connection.call(b"HELLO", protocol)
        for request in REQUESTS:
            theirs, ours = (connection.call(*request.split()) for connection in (redis, even))
            same = theirs.raw == ours.raw
            if not same and theirs.is_aggregate and ours.is_aggregate:
                known = [item for item in ours.value if item.value not in UNKNOWN_TO_REDIS] if request.startswith(b"COMMAND LIST") else ours.value
                same = theirs.kind == ours.kind and sorted(i.raw for i in theirs.value) == sorted(i.raw for i in known)
            if not same:
                differences.append(f"{request.decode()}\n  redis: {theirs.raw!r}\n  even:  {ours.raw!r}")
    return differences
