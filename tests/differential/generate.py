"""Random sequences of commands over every family, valid and not. The same seed gives the same sequence."""

import random

import compare

KEYS = [b"k%d" % i for i in range(8)] + [b"{tag}a", b"{tag}b", b"bin\x00\xff\r\nkey", b""]
MEMBERS = [b"m%d" % i for i in range(12)] + [b"", b"a b", b"\x00\xff", b"10", b"-3", b"2.5", b"x" * 70]
INTEGERS = [b"0", b"1", b"-1", b"5", b"10", b"100", b"-7", b"9223372036854775807", b"-9223372036854775808",
            b"9223372036854775806", b"4611686018427387904"]
NOT_INTEGERS = [b"", b"x", b"1x", b" 1", b"1 ", b"+1", b"01", b"-0", b"9223372036854775808",
                b"-9223372036854775809", b"1.0", b"1e3", b"0x10", b"99999999999999999999999"]
FLOATS = [b"0", b"1.5", b"-0.1", b"0.1", b"3.0e3", b"5.0e-3", b".5", b"5.", b"200", b"-1e10", b"1e17", b"0x1p3",
          b"123456789.123456789", b"1e-17", b"-0.0", b"1e300", b"00012", b"+2"]
NOT_FLOATS = [b"", b"abc", b"1,5", b" 1", b"1 ", b"nan", b"inf", b"-inf", b"1e5000", b"1e-5000", b"1..2", b"1\x00"]
SCORES = [b"0", b"1", b"-1", b"2", b"2.5", b"+inf", b"-inf", b"inf", b"1e3", b"0x10", b"3.0", b"1e300", b"0.1", b".5", b"12345678901234567",
          b"-7", b"100", b"1e-5", b"1e17", b"9007199254740993"]
SCORE_BOUNDS = [b"-inf", b"+inf", b"-inf", b"+inf", b"-10", b"20", b"0", b"1", b"(1", b"(0", b"2", b"(2.5", b"-5", b"(-1", b"5", b"10", b"100", b"(inf", b"", b" 1", b"(", b"x", b"nan", b"1x", b"((1"]
LEX_BOUNDS = [b"-", b"+", b"-", b"+", b"[a", b"(z", b"[", b"(", b"[m", b"(m1", b"[m1", b"[m5", b"(m5", b"[m9", b"(x", b"[\x00", b"m1", b"", b"-x", b"++"]
LEX_KEYS = [b"lex1", b"lex2"]
SORTED_KEYS = [b"z1", b"z2", b"z3"]
LIST_KEYS = [b"l1", b"l2", b"l3"]
STREAM_KEYS = [b"x1", b"x2", b"x3"]
GROUPS = [b"g1", b"g2", b""]
# What Redis 7.0 replied to DUMP of a stream: with deleted entries, of which one is pending, and a group.
STREAM_PAYLOAD = bytes.fromhex(
    "13011000000000000000010000000000000001404e4e0000001f00030101010201816102816202000102010001000101010201050102010001010103010401050101010001020101018163020501060102010601dfff0203018568656c6c6f060501ff"
    "0307000101010304010267310103030200000000000000010000000000000001397e3120a20100000100000000000000010000000000000003397e3120a20100000101026331397e3120a20100000200000000000000010000000000000001000000000000"
    "000100000000000000030a0005b755770dc630a3")
BIT_KEYS = [b"b1", b"b2", b"b3"]
HLL_KEYS = [b"h1", b"h2", b"h3"]
GEO_KEYS = [b"g1", b"g2"]
SORT_KEYS = [b"so1", b"so2", b"so3"]
ELEMENTS = [b"e%d" % i for i in range(10)]
STRINGS = [b"", b"v", b"hello world", b"\x00\x01\xfe\xff", b"line\r\nbreak", b"y" * 200, b"caf\xc3\xa9"]
# What Redis 7.0 replied to DUMP: of a list, a set of numbers, a hash, a sorted set, a long string and a set.
PAYLOADS = [bytes.fromhex(text) for text in (
    "12010210100000000300816102c3e802dfff02ff0a00f2b343e3e3bd27c0", "0b0e0200000003000000010002002c010a00e510b28e7b9529aa",
    "10121200000004008166028176028167020c01ff0a00de133993f783817e", "111414000000040081610283312e35048162020201ff0a00fa02b425af188763",
    "00c30932016161e025000161610a0009ac48b9ab15fbc9", "02020374776f036f6e650a007397f7f01845844e")]
PATTERNS = [b"*", b"k*", b"k[0-3]", b"k[^0-3]", b"?1", b"m*", b"*[a-c]", b"\\k1", b"[k", b"k\\", b"**", b"nothing",
            b"*x*x*x*", b"m[1-", b"[a-]*", b""]


# How a script comes to what it replies of a command.
CALLS = [b"return redis.pcall(unpack(ARGV))", b"return redis.pcall(unpack(ARGV))", b"return redis.call(unpack(ARGV))",
         b"local r = redis.pcall(unpack(ARGV)) return {type(r), r}",
         b"redis.setresp(3) local r = redis.pcall(unpack(ARGV)) return {type(r), r}",
         b"local good, r = pcall(redis.call, unpack(ARGV)) return {good, type(r), r}",
         b"return {redis.pcall(unpack(ARGV)), redis.pcall('EXISTS', KEYS[1] or 'k0')}",
         b"#!lua flags=no-writes\nreturn redis.pcall(unpack(ARGV))"]
# What scripts reply whatever there is.
SCRIPTS = [b"return {1, 2.9, -2.9, 'a', true, false, nil, 4}", b"return {1e30, -1e30, 0/0, 2^53}", b"return", b"return {}",
           b"return {ok='fine'}", b"return {err='ERR bad'}", b"return {err='single'}", b"return {double=1.5}", b"return {double=1e300}",
           b"return {map={a=1}}", b"return {set={a=true}}", b"return {big_number='123'}",
           b"return {verbatim_string={string='abc', format='txt'}}", b"redis.setresp(3) return {true, false, {double=2.5}}",
           b"return redis.error_reply('MY error')", b"return redis.error_reply('-MY error')", b"return redis.error_reply('word')",
           b"return redis.status_reply('x')", b"return redis.error_reply(1)", b"return redis.status_reply()", b"error('boom')",
           b"error({err='MY error'})", b"\n\nerror('third line')", b"local x = nil\nreturn x.y", b"x = 1", b"return x", b"redis.call = 1",
           b"return _G.y", b"syntax error", b"return redis.call()", b"return redis.call({})", b"return redis.call('SET', 'k0', {})",
           b"return redis.call('nope', 1)", b"return redis.call('GET')", b"return redis.call('MULTI')", b"return redis.call('CONFIG', 'GET', 'x')",
           b"return redis.call('EVAL', 'return 1', 0)", b"return redis.call('OBJECT', 'nope')", b"redis.call('SET', 'k0', 1.5) return redis.call('GET', 'k0')",
           b"redis.call('SET', 'k0', 2^60) return redis.call('GET', 'k0')", b"redis.call('SET', 'k0', 0.1) return redis.call('GET', 'k0')",
           b"math.randomseed(42) return {math.random(100), math.random(5, 10), tostring(math.random())}",
           b"return redis.sha1hex('')", b"return redis.sha1hex()", b"return redis.setresp(4)", b"return redis.log(1)", b"return redis.log('a', 'b')",
           b"return redis.log(9, 'b')", b"return redis.replicate_commands()", b"return redis.breakpoint()", b"return redis.set_repl(9)", b"return redis.REDIS_VERSION",
           b"return {KEYS[1], KEYS[2], ARGV[1], #KEYS, #ARGV}", b"local t = {} t[1] = t return cjson.encode(t)", b"return tostring(tonumber('0x10'))",
           b"return {pcall(error, 'x')}", b"return {pcall(function() error('x') end)}", b"return {select('#', unpack({1, nil, 3}, 1, 3))}",
           b"return table.concat({1, 2, 'x'}, '-')", b"return string.format('%5.2f|%s|%q', 3.14159, 'x', 'a\\nb')", b"return loadstring('return 1 + 1')()",
           b"return tostring(loadstring('return ('))", b"local a, b = loadstring('return (') return b", b"return ('x'):rep(3)", b"return #KEYS + #ARGV",
           b"#!lua\nreturn 1", b"#!lua name=x\nreturn 1", b"#!js\nreturn 1", b"#!lua flags=nope\nreturn 1", b"#!lua", b"return collectgarbage('step')",
           b"return redis.acl_check_cmd('nope')", b"return redis.acl_check_cmd('GET', 'k0')", b"return {redis.REPL_ALL, redis.LOG_WARNING}",
           b"for i = 1, 3 do redis.call('APPEND', 'k0', i) end return redis.call('STRLEN', 'k0')"]
# Of libraries, with the words of the request.
LIBRARY_CALLS = [b"return cjson.encode(%s)", b"return cmsgpack.pack(%s)", b"return cjson.encode(cmsgpack.unpack(cmsgpack.pack(%s)))",
                 b"return cjson.encode(cjson.decode(cjson.encode(%s)))"]
VALUES = [b"1", b"-1", b"1.5", b"1e20", b"127", b"128", b"255", b"256", b"65535", b"65536", b"2^32", b"2^53", b"-32", b"-33", b"-128", b"-129", b"-32769",
          b"-2^31-1", b"0.1", b"'a'", b"''", b"'a/b\"\\\\\\n\\127'", b"string.rep('x', 40)", b"true", b"false", b"nil", b"cjson.null", b"{}", b"{1, 2, {3}}",
          b"{a = 1}", b"{[1] = 1, [3] = 3}", b"{a = {b = {c = {}}}}", b"{[1.5] = 2}", b"{{}, {a = {1, 'x'}}}", b"{[20] = 1}", b"0/0", b"1/0"]
JSON = [b"", b"{", b"[1,2,3]", b'{"a":[1,{"b":null}]}', b'{"a":1,}', b"[1,]", b"[1 2]", b'{"a" 1}', b"{1:2}", b"nul", b"tru", b'"abc', b'"\\x"', b'"\\u00e9"',
        b'"\\ud83d\\ude00"', b'"\\ud800"', b'"\\u12"', b"1 2", b"01", b"-", b"1e", b"1.5e3", b"0x10", b"+1", b"'a'", b"\x00a", b" [ 1 , 2 ] ", b"null", b"true"]
FORMATS = [b"b", b"B", b"h", b"H", b"i", b"I", b"l", b"L", b"T", b"i3", b"I7", b"<i4", b">i4", b"f", b"d", b">d", b"bxh", b"!4bi", b"!8bd", b"bb", b"s", b"c0", b"c2", b"z", b"i33",
           b"!3b", b"Bc0", b"i99999999999"]


class Generator:
    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.families = [self.string, self.number, self.generic, self.expiry, self.set, self.hash, self.scan, self.wrong,
                         self.connection, self.sorted_set, self.sorted_set_algebra, self.list, self.stream,
                         self.set_algebra, self.copying, self.bitmap, self.hyper_log_log, self.geo, self.sorting, self.dump, self.script,
                         self.databases]

    def sequence(self, length):
        out = [[b"HELLO", self.rng.choice([b"2", b"3"])]]
        # A sequence leans towards some families, so that keys of one type live for a while.
        weights = [self.rng.choice([1, 2, 8]) for _ in self.families]
        weights[self.families.index(self.wrong)] = 1
        while len(out) < length:
            roll = self.rng.random()
            if roll < 0.004:
                out.append([b"HELLO", self.rng.choice([b"2", b"3"])])
            elif roll < 0.008:
                out.append([self.rng.choice([b"FLUSHALL", b"FLUSHDB"])] + self.rng.choice([[], [b"async"], [b"SYNC"], [b"x"]]))
            else:
                command = self.rng.choices(self.families, weights)[0]()
                if command[0].startswith(b"SORT"):
                    # SORT in Redis fails upon a number out of range that an earlier command has met; this one forgets it.
                    out.append([b"GEORADIUS_RO", b"absent", b"0", b"0", b"1", b"m"])
                out.append(command)
        return out

    # Commands within scripts: those whose replies are the same bytes.
    def script(self):
        roll = self.rng.random()
        eval_ = self.rng.choice([b"EVAL", b"EVAL", b"EVAL", b"eval", b"EVAL_RO"])
        if roll < 0.6:
            command = self.rng.choice([self.string, self.number, self.generic, self.expiry, self.set, self.hash, self.sorted_set, self.list])()
            if compare.name_of(command) in compare.RULES or compare.name_of(command) in (b"FLUSHALL", b"FLUSHDB", b"SORT"):
                command = [b"GET", self.key()]
            return [eval_, self.rng.choice(CALLS)] + self.rng.choice([[b"0"], [b"1", self.key()]]) + command
        if roll < 0.75:
            return [eval_, self.rng.choice(SCRIPTS)] + self.rng.choice([[b"0"], [b"2", b"k0", b"k1", b"x"], [b"0", b"x"]])
        if roll < 0.82:
            return [eval_, self.rng.choice(LIBRARY_CALLS) % self.rng.choice(VALUES), b"0"]
        if roll < 0.88:
            return [eval_, b"return cjson.encode(cjson.decode(ARGV[1]))", b"0", self.rng.choice(JSON)]
        if roll < 0.92:
            return [eval_, b"local s = struct.pack(ARGV[1], ARGV[2], ARGV[3]) return {s, struct.unpack(ARGV[1], s)}", b"0", self.rng.choice(FORMATS),
                    self.pick(b"1", b"-2", b"300", b"1.5", b"abc"), self.pick(b"3", b"abcdef")]
        if roll < 0.94:
            return [eval_, b"return bit.%s(ARGV[1], ARGV[2])" % self.rng.choice([b"band", b"bor", b"bxor", b"lshift", b"rshift", b"arshift", b"rol", b"ror", b"tohex", b"bnot", b"bswap", b"tobit"]),
                    b"0", self.integer(), self.integer()]
        return self.pick(
            lambda: [b"EVALSHA", self.pick(b"0" * 40, b"x", b"e0e1f9fabfc9d4800c877a703b823ac0578ff8db", b"E0E1F9FABFC9D4800C877A703B823AC0578FF8DB"), self.pick(b"0", b"1", b"x", b"-1"), b"k0"],
            lambda: [b"EVALSHA_RO", self.pick(b"0" * 40, b"e0e1f9fabfc9d4800c877a703b823ac0578ff8db"), b"0"],
            lambda: [b"SCRIPT", b"LOAD", self.pick(b"return 1", b"return (", b"#!js\nx")],
            lambda: [b"SCRIPT", b"EXISTS", b"e0e1f9fabfc9d4800c877a703b823ac0578ff8db", b"0" * 40],
            lambda: [b"SCRIPT", b"FLUSH"] + self.pick([], [b"SYNC"], [b"async"], [b"x"]),
            lambda: [b"SCRIPT", self.pick(b"KILL", b"nope", b"EXISTS", b"LOAD")],
            lambda: [b"EVAL", b"return 1", self.integer()], lambda: [b"EVAL", b"return 1"])()

    # The parts of commands.

    def pick(self, *options):
        return self.rng.choice(options)

    def key(self):
        return self.rng.choice(KEYS)

    def member(self):
        return self.rng.choice(MEMBERS)

    def some(self, make, most=4):
        return [make() for _ in range(self.rng.randint(1, most))]

    def integer(self):
        roll = self.rng.random()
        if roll < 0.1:
            return self.rng.choice(NOT_INTEGERS)
        if roll < 0.25:
            return self.rng.choice(INTEGERS)
        return b"%d" % self.rng.randint(-20, 20)

    def floating(self):
        roll = self.rng.random()
        if roll < 0.15:
            return self.rng.choice(NOT_FLOATS)
        if roll < 0.6:
            return self.rng.choice(FLOATS)
        return b"%.*f" % (self.rng.randint(0, 6), self.rng.uniform(-100, 100))

    def value(self):
        roll = self.rng.random()
        if roll < 0.4:
            return self.integer()
        if roll < 0.6:
            return self.floating()
        return self.rng.choice(STRINGS)

    def case(self, word):
        return self.rng.choice([word, word.lower(), word.title()]) if self.rng.random() < 0.2 else word

    # Times far enough ahead that nothing expires while the test runs, and times that have passed.
    def ttl(self, seconds):
        roll = self.rng.random()
        if roll < 0.1:
            return self.rng.choice(NOT_INTEGERS + INTEGERS[7:])
        if roll < 0.25:
            return self.rng.choice([b"0", b"-1", b"-100"])
        return b"%d" % (self.rng.randint(1000, 9000) * (1 if seconds else 1000))

    def instant(self, seconds):
        roll = self.rng.random()
        if roll < 0.1:
            return self.rng.choice(NOT_INTEGERS + INTEGERS[7:])
        if roll < 0.35:
            return b"%d" % (self.rng.randint(1, 1_600_000_000) * (1 if seconds else 1000))
        return b"%d" % (self.rng.randint(4_000_000_000, 5_000_000_000) * (1 if seconds else 1000))

    def lifetime(self):
        return self.pick(lambda: [self.case(b"EX"), self.ttl(True)], lambda: [self.case(b"PX"), self.ttl(False)],
                         lambda: [self.case(b"EXAT"), self.instant(True)], lambda: [self.case(b"PXAT"), self.instant(False)])()

    # The families.

    def string(self):
        rng = self.rng
        return self.pick(
            lambda: [b"GET", self.key()], lambda: [b"GET", self.key()],
            lambda: [b"SET", self.key(), self.value()], lambda: [b"SET", self.key(), self.value()],
            lambda: [b"SET", self.key(), self.value()] + self.set_options(),
            lambda: [b"SET", self.key(), self.value()] + self.set_options(),
            lambda: [b"SETNX", self.key(), self.value()],
            lambda: [b"SETEX", self.key(), self.ttl(True), self.value()],
            lambda: [b"PSETEX", self.key(), self.ttl(False), self.value()],
            lambda: [b"GETSET", self.key(), self.value()], lambda: [b"GETDEL", self.key()],
            lambda: [b"GETEX", self.key()] + self.getex_options(),
            lambda: [b"MGET"] + self.some(self.key), lambda: [b"MSET"] + self.pairs(self.key),
            lambda: [b"MSETNX"] + self.pairs(self.key, 2), lambda: [b"APPEND", self.key(), self.value()],
            lambda: [b"STRLEN", self.key()],
            lambda: [rng.choice([b"GETRANGE", b"SUBSTR"]), self.key(), self.integer(), self.integer()],
            lambda: [b"SETRANGE", self.key(), self.offset(), self.value()])()

    def offset(self):
        return self.pick(self.integer, lambda: b"%d" % self.rng.randint(0, 30), lambda: b"536870912",
                         lambda: b"%d" % self.rng.randint(0, 300))()

    def pairs(self, make, most=4):
        out = []
        for _ in range(self.rng.randint(1, most)):
            out += [make(), self.value()]
        if self.rng.random() < 0.05:
            out.append(self.key())
        return out

    def set_options(self):
        out = []
        for _ in range(self.rng.randint(1, 3)):
            out += self.pick(lambda: [self.case(b"NX")], lambda: [self.case(b"XX")], lambda: [self.case(b"GET")],
                             lambda: [self.case(b"KEEPTTL")], self.lifetime, self.lifetime, lambda: [b"PERSIST"] if self.rng.random() < 0.2 else [],
                             lambda: [self.pick(b"EX", b"bogus")] if self.rng.random() < 0.2 else [])()
        return out

    def getex_options(self):
        return self.pick(lambda: [], lambda: [self.case(b"PERSIST")], self.lifetime, self.lifetime,
                         lambda: self.lifetime() + self.lifetime(), lambda: [self.pick(b"NX", b"KEEPTTL", b"EX", b"bogus")])()

    def number(self):
        return self.pick(lambda: [b"INCR", self.key()], lambda: [b"DECR", self.key()],
                         lambda: [b"INCRBY", self.key(), self.integer()], lambda: [b"DECRBY", self.key(), self.integer()],
                         lambda: [b"INCRBYFLOAT", self.key(), self.floating()],
                         lambda: [b"SET", self.key(), self.pick(self.integer, self.floating)()], lambda: [b"GET", self.key()])()

    def generic(self):
        return self.pick(lambda: [self.pick(b"DEL", b"UNLINK")] + self.some(self.key, 3), lambda: [b"EXISTS"] + self.some(self.key),
                         lambda: [b"TOUCH"] + self.some(self.key), lambda: [b"TYPE", self.key()],
                         lambda: [b"KEYS", self.rng.choice(PATTERNS)], lambda: [b"RANDOMKEY"], lambda: [b"DBSIZE"])()

    def expiry(self):
        def relative(name, seconds):
            return [name, self.key(), self.ttl(seconds)] + self.expire_options()

        def absolute(name, seconds):
            return [name, self.key(), self.instant(seconds)] + self.expire_options()

        return self.pick(lambda: relative(b"EXPIRE", True), lambda: relative(b"PEXPIRE", False),
                         lambda: absolute(b"EXPIREAT", True), lambda: absolute(b"PEXPIREAT", False),
                         lambda: [b"TTL", self.key()], lambda: [b"PTTL", self.key()], lambda: [b"EXPIRETIME", self.key()],
                         lambda: [b"PEXPIRETIME", self.key()], lambda: [b"PERSIST", self.key()])()

    def expire_options(self):
        if self.rng.random() < 0.5:
            return []
        return [self.case(self.rng.choice([b"NX", b"XX", b"GT", b"LT", b"GT", b"LT", b"bogus"])) for _ in range(self.rng.choice([1, 1, 2]))]

    def set(self):
        return self.pick(lambda: [b"SADD", self.key()] + self.some(self.member, 6), lambda: [b"SADD", self.key()] + self.some(self.member, 6),
                         lambda: [b"SREM", self.key()] + self.some(self.member, 6), lambda: [b"SISMEMBER", self.key(), self.member()],
                         lambda: [b"SMISMEMBER", self.key()] + self.some(self.member), lambda: [b"SMEMBERS", self.key()],
                         lambda: [b"SCARD", self.key()], lambda: [b"SPOP", self.key()] + self.pop_count(),
                         lambda: [b"SRANDMEMBER", self.key()] + self.count(), lambda: [b"SSCAN", self.key()] + self.scan_options(False))()

    # More than is kept in compact form, and enough to leave it.
    def crowd(self):
        first, count = self.rng.randint(0, 150), self.rng.randint(20, 150)
        names = [b"m%d" % i + b"-" * (i % 30) for i in range(first, first + count)]
        kind = self.rng.randint(0, 3)
        if kind == 0:
            return [b"SADD", self.key()] + names
        if kind == 1:
            return [b"SREM", self.key()] + names
        if kind == 2:
            return [b"HDEL", self.key()] + names
        return [b"HSET", self.key()] + [word for name in names for word in (name, self.value())]

    def pop_count(self):
        return self.pick(lambda: [], lambda: [b"%d" % self.rng.randint(0, 6)], lambda: [self.integer()], lambda: [b"1", b"x"] if self.rng.random() < 0.2 else [])()

    # Small, or refused: a count near -2^63 would make Redis write for ever.
    def count(self):
        return self.pick(lambda: [], lambda: [b"%d" % self.rng.randint(-8, 8)],
                         lambda: [self.rng.choice(NOT_INTEGERS + [b"9223372036854775807", b"-9223372036854775808", b"4611686018427387904"])])()

    def hash(self):
        def pairs():
            out = []
            for _ in range(self.rng.randint(1, 5)):
                out += [self.member(), self.value()]
            return out if self.rng.random() > 0.05 else out + [b"odd"]

        return self.pick(lambda: [b"HSET", self.key()] + pairs(), lambda: [b"HSET", self.key()] + pairs(), lambda: [b"HMSET", self.key()] + pairs(),
                         lambda: [b"HSETNX", self.key(), self.member(), self.value()], lambda: [b"HGET", self.key(), self.member()],
                         lambda: [b"HMGET", self.key()] + self.some(self.member), lambda: [b"HGETALL", self.key()],
                         lambda: [b"HDEL", self.key()] + self.some(self.member, 6), lambda: [b"HEXISTS", self.key(), self.member()],
                         lambda: [b"HLEN", self.key()], lambda: [b"HKEYS", self.key()], lambda: [b"HVALS", self.key()],
                         lambda: [b"HSTRLEN", self.key(), self.member()], lambda: [b"HINCRBY", self.key(), self.member(), self.integer()],
                         lambda: [b"HINCRBY", self.key(), self.member(), self.integer()],
                         lambda: [b"HINCRBYFLOAT", self.key(), self.member(), self.floating()],
                         lambda: [b"HRANDFIELD", self.key()] + self.field_count(), lambda: [b"HSCAN", self.key()] + self.scan_options(False))()

    # Mostly of their own, so that they hold something when they are asked for it.
    def sorted_key(self):
        return self.rng.choice(SORTED_KEYS) if self.rng.random() < 0.85 else self.key()

    def scored_member(self):
        return self.rng.choice(MEMBERS[:8]) if self.rng.random() < 0.7 else self.member()

    def score(self):
        roll = self.rng.random()
        if roll < 0.06:
            return self.rng.choice(NOT_FLOATS + [b"NaN", b"1e400"])
        if roll < 0.4:
            return self.rng.choice(SCORES)
        return b"%d" % self.rng.randint(-20, 20) if roll < 0.8 else b"%.2f" % self.rng.uniform(-9, 9)

    def scored(self, most=5):
        return [word for _ in range(self.rng.randint(1, most)) for word in (self.score(), self.scored_member())]

    def add_options(self):
        return [self.case(self.rng.choice([b"NX", b"XX", b"GT", b"LT", b"CH", b"INCR", b"CH", b"XX"])) for _ in range(self.rng.choice([1, 1, 2, 3]))]

    def with_scores(self):
        return [self.case(b"WITHSCORES")] if self.rng.random() < 0.4 else []

    def limit(self):
        if self.rng.random() < 0.6:
            return []
        return [self.case(b"LIMIT"), self.pick(lambda: b"%d" % self.rng.randint(-1, 4), self.integer)(),
                self.pick(lambda: b"%d" % self.rng.randint(-1, 5), self.integer)()]

    def score_range(self):
        return [self.rng.choice(SCORE_BOUNDS), self.rng.choice(SCORE_BOUNDS)]

    # Ranges of names are defined where all scores are the same.
    def lex_range(self):
        return [self.rng.choice(LEX_BOUNDS), self.rng.choice(LEX_BOUNDS)]

    def rank_range(self):
        return [self.pick(lambda: b"%d" % self.rng.randint(-8, 8), self.integer)(), self.pick(lambda: b"%d" % self.rng.randint(-8, 8), self.integer)()]

    def range_options(self, by_lex):
        out = []
        if self.rng.random() < 0.3:
            out.append(self.case(b"REV"))
        out += [[], [self.case(b"BYSCORE")], [self.case(b"BYLEX")]][by_lex]
        return out + self.limit()

    def any_range(self, key, first, with_scores=True):
        """ZRANGE, or ZRANGESTORE with what stands before the key."""
        by = self.rng.randint(0, 2)
        bounds = (self.rank_range, self.score_range, self.lex_range)[by]()
        out = first + [self.rng.choice(LEX_KEYS) if by == 2 else key] + bounds + self.range_options(by)
        if with_scores and self.rng.random() < 0.4:
            out.append(self.case(b"WITHSCORES"))
        return out

    def sorted_set(self):
        rng = self.rng
        if rng.random() < 0.03:
            first = rng.randint(0, 150)
            names = [b"m%d" % i for i in range(first, first + rng.randint(20, 150))]
            if rng.random() < 0.3:
                return [b"ZREM", self.sorted_key()] + names
            return [b"ZADD", self.sorted_key()] + [word for name in names for word in (b"%d" % rng.randint(-50, 50), name)]
        return self.pick(
            lambda: [b"ZADD", self.sorted_key()] + self.scored(), lambda: [b"ZADD", self.sorted_key()] + self.scored(),
            lambda: [b"ZADD", self.sorted_key()] + self.scored(), lambda: [b"ZADD", self.sorted_key()] + self.add_options() + self.scored(),
            lambda: [b"ZADD", self.sorted_key()] + self.add_options() + self.scored(1),
            lambda: [b"ZADD", rng.choice(LEX_KEYS)] + [word for _ in range(rng.randint(1, 5)) for word in (b"0", self.scored_member())],
            lambda: [b"ZINCRBY", self.sorted_key(), self.score(), self.scored_member()], lambda: [b"ZINCRBY", self.sorted_key(), self.score(), self.scored_member()],
            lambda: [b"ZREM", self.sorted_key()] + self.some(self.scored_member), lambda: [b"ZREM", rng.choice(LEX_KEYS)] + self.some(self.scored_member),
            lambda: [b"ZSCORE", self.sorted_key(), self.scored_member()], lambda: [b"ZMSCORE", self.sorted_key()] + self.some(self.scored_member),
            lambda: [b"ZCARD", self.sorted_key()], lambda: [b"ZCOUNT", self.sorted_key()] + self.score_range(),
            lambda: [b"ZLEXCOUNT", rng.choice(LEX_KEYS)] + self.lex_range(),
            lambda: [rng.choice([b"ZRANK", b"ZREVRANK"]), self.sorted_key(), self.scored_member()],
            lambda: self.any_range(self.sorted_key(), [b"ZRANGE"]), lambda: self.any_range(self.sorted_key(), [b"ZRANGE"]),
            lambda: [b"ZREVRANGE", self.sorted_key()] + self.rank_range() + self.with_scores(),
            lambda: [rng.choice([b"ZRANGEBYSCORE", b"ZREVRANGEBYSCORE"]), self.sorted_key()] + self.score_range() + self.with_scores() + self.limit(),
            lambda: [rng.choice([b"ZRANGEBYLEX", b"ZREVRANGEBYLEX"]), rng.choice(LEX_KEYS)] + self.lex_range() + self.limit(),
            lambda: self.any_range(self.sorted_key(), [b"ZRANGESTORE", self.sorted_key()], False),
            lambda: [rng.choice([b"ZPOPMIN", b"ZPOPMAX"]), self.sorted_key()] + self.pop_count(),
            lambda: [b"ZMPOP", self.numkeys(keys := self.some(self.sorted_key, 3)), *keys, rng.choice([b"MIN", b"max", b"x"])] + self.mpop_count(),
            lambda: [b"ZRANDMEMBER", self.sorted_key()] + self.score_count(),
            lambda: [b"ZREMRANGEBYRANK", self.sorted_key()] + self.pick(self.rank_range, lambda: [b"2", b"3"])(),
            lambda: [b"ZREMRANGEBYSCORE", self.sorted_key()] + self.pick(self.score_range, lambda: [b"3", b"(5"])(),
            lambda: [b"ZREMRANGEBYLEX", rng.choice(LEX_KEYS)] + self.lex_range(),
            lambda: [b"ZSCAN", self.sorted_key()] + self.scan_options(False), lambda: [b"OBJECT", b"ENCODING", rng.choice(LEX_KEYS)])()

    def list_key(self):
        return self.rng.choice(LIST_KEYS if self.rng.random() < 0.9 else KEYS)

    def element(self):
        return self.rng.choice(ELEMENTS) if self.rng.random() < 0.8 else self.value()

    # Short, as nothing comes.
    def timeout(self):
        return b"0.001" if self.rng.random() < 0.9 else self.rng.choice([b"-1", b"x", b"", b"-0.5", b"1e-3"])

    def end(self):
        return self.case(self.rng.choice([b"LEFT", b"RIGHT"])) if self.rng.random() < 0.97 else b"x"

    def place(self):
        return self.integer() if self.rng.random() < 0.2 else b"%d" % self.rng.randint(-6, 6)

    def pos_options(self):
        out = []
        for _ in range(self.rng.choice([0, 0, 1, 1, 2, 3])):
            out += [self.case(self.rng.choice([b"RANK", b"COUNT", b"MAXLEN"])), self.pick(self.place, lambda: b"%d" % self.rng.randint(0, 3))()]
        # A rank without an opposite is refused as in newer versions; 7.0 takes it for another one.
        out = [b"-5" if word == b"-9223372036854775808" else word for word in out]
        return out if self.rng.random() < 0.95 else out + [b"RANK"]

    def list(self):
        rng = self.rng
        if rng.random() < 0.02:
            # Beyond the size of a block.
            return [rng.choice([b"RPUSH", b"LPUSH"]), self.list_key()] + [b"e%d" % rng.randint(0, 9) for _ in range(rng.randint(50, 200))]
        push = lambda: [rng.choice([b"LPUSH", b"RPUSH", b"RPUSH", b"LPUSHX", b"RPUSHX"]), self.list_key()] + self.some(self.element)
        return self.pick(
            push, push, push, lambda: [rng.choice([b"LPOP", b"RPOP"]), self.list_key()] + self.pop_count(),
            lambda: [b"LLEN", self.list_key()], lambda: [b"LRANGE", self.list_key(), self.place(), self.place()],
            lambda: [b"LRANGE", self.list_key(), b"0", b"-1"], lambda: [b"LRANGE", self.list_key(), b"0", b"-1"],
            lambda: [b"LINDEX", self.list_key(), self.place()], lambda: [b"LSET", self.list_key(), self.place(), self.element()],
            lambda: [b"LINSERT", self.list_key(), self.case(self.pick(b"BEFORE", b"AFTER", b"AFTER" if rng.random() < 0.9 else b"x")), self.element(), self.element()],
            lambda: [b"LINSERT", self.list_key(), self.case(self.pick(b"BEFORE", b"AFTER")), self.element(), self.element()],
            lambda: [b"LREM", self.list_key(), self.place(), self.element()],
            lambda: [b"LTRIM", self.list_key(), self.pick(b"0", b"1", b"-9", self.place()), self.pick(b"-1", b"20", b"-2", self.place())],
            lambda: [b"LPOS", self.list_key(), self.element()] + self.pos_options(), lambda: [b"LPOS", self.list_key(), self.element()] + self.pos_options(),
            lambda: [b"LMOVE", self.list_key(), self.list_key(), self.end(), self.end()], lambda: [b"LMOVE", key := self.list_key(), key, self.end(), self.end()],
            lambda: [b"RPOPLPUSH", self.list_key(), self.list_key()],
            lambda: [b"LMPOP", self.numkeys(keys := self.some(self.list_key, 3)), *keys, self.end()] + self.mpop_count(),
            lambda: [rng.choice([b"BLPOP", b"BRPOP"])] + self.some(self.list_key) + [self.timeout()], lambda: [b"BRPOPLPUSH", self.list_key(), self.list_key(), self.timeout()],
            lambda: [b"BLMOVE", self.list_key(), self.list_key(), self.end(), self.end(), self.timeout()],
            lambda: [b"BLMPOP", self.timeout(), self.numkeys(keys := self.some(self.list_key, 3)), *keys, self.end()] + self.mpop_count(),
            lambda: [rng.choice([b"BZPOPMIN", b"BZPOPMAX"])] + self.some(self.sorted_key) + [self.timeout()],
            lambda: [b"BZMPOP", self.timeout(), self.numkeys(keys := self.some(self.sorted_key, 3)), *keys, self.pick(b"MIN", b"max")] + self.mpop_count(),
            lambda: [b"EXPIRE", rng.choice(LIST_KEYS), b"5000"], lambda: [b"TTL", rng.choice(LIST_KEYS)],
            lambda: [b"OBJECT", b"ENCODING", rng.choice(LIST_KEYS)], lambda: [b"TYPE", self.list_key()], lambda: [b"DEL", rng.choice(LIST_KEYS)])()

    def stream_key(self):
        return self.rng.choice(STREAM_KEYS if self.rng.random() < 0.95 else KEYS + LIST_KEYS)

    def id(self):
        rng = self.rng
        if rng.random() < 0.05:
            return rng.choice([b"", b"x", b"-", b"+", b"1-", b"-1", b"1-x", b"1-2-3", b"$", b">", b"*", b"(1", b"18446744073709551616", b"18446744073709551615-18446744073709551615"])
        return self.pick(lambda: b"%d" % rng.randint(0, 40), lambda: b"%d-%d" % (rng.randint(0, 40), rng.randint(0, 3)))()

    # Ids that do not follow from the time; they are mostly beyond those there are.
    def new_id(self):
        self.last_id = getattr(self, "last_id", 0) + self.rng.choice([0, 1, 1, 2])
        return self.pick(lambda: b"%d-%d" % (self.last_id, self.rng.randint(0, 3)), lambda: b"%d" % self.last_id, lambda: b"%d-*" % self.last_id, self.id if self.rng.random() < 0.2 else lambda: b"%d-0" % self.last_id)()

    def range_end(self):
        return self.pick(lambda: b"-", lambda: b"+", self.id, self.id, lambda: b"(" + self.id())()

    def trim(self):
        about = self.rng.random() < 0.2
        out = [self.case(self.rng.choice([b"MAXLEN", b"MINID"]))] + ([b"~"] if about else self.rng.choice([[], [b"="]]))
        out.append(b"%d" % self.rng.randint(5000, 6000) if out[0].upper() == b"MAXLEN" and about else b"0" if about else self.pick(lambda: b"%d" % self.rng.randint(0, 30), self.id)())
        return out + (self.rng.choice([[self.case(b"LIMIT"), b"5"], [b"LIMIT", b"-1"], [b"LIMIT"]]) if self.rng.random() < 0.1 else [])

    def group(self):
        return self.rng.choice(GROUPS)

    def consumer(self):
        return self.rng.choice([b"c1", b"c2", b"c3"])

    def read_options(self):
        return self.pick(lambda: [], lambda: [self.case(b"COUNT"), self.pick(lambda: b"%d" % self.rng.randint(-1, 5), self.integer)()], lambda: [self.case(b"BLOCK"), self.rng.choice([b"1", b"1", b"1", b"-1", b"x"])])()

    def stream(self):
        rng = self.rng
        fields = lambda: [word for _ in range(rng.randint(1, 3)) for word in (self.member(), self.value())] + ([b"odd"] if rng.random() < 0.03 else [])
        # Of streams alone: other commands may DUMP what is in other keys.
        add = lambda: [b"XADD", rng.choice(STREAM_KEYS)] + ([self.case(b"NOMKSTREAM")] if rng.random() < 0.1 else []) + (self.trim() if rng.random() < 0.2 else []) + [self.new_id()] + fields()
        keys = lambda: self.some(self.stream_key, 2)
        of_group = lambda: [self.stream_key(), self.group(), self.consumer()]
        return self.pick(
            add, add, add, add, lambda: [b"XLEN", self.stream_key()],
            lambda: [rng.choice([b"XRANGE", b"XREVRANGE"]), self.stream_key(), self.range_end(), self.range_end()] + self.count(),
            lambda: [b"XRANGE", self.stream_key(), b"-", b"+"], lambda: [b"XREVRANGE", self.stream_key(), b"+", b"-"],
            lambda: [b"XDEL", self.stream_key()] + self.some(self.id), lambda: [b"XTRIM", self.stream_key()] + self.trim(),
            lambda: [b"XSETID", self.stream_key(), self.id()] + ([self.case(b"ENTRIESADDED"), self.integer(), b"MAXDELETEDID", self.id()] if rng.random() < 0.2 else []),
            lambda: [b"XREAD"] + self.read_options() + [self.case(b"STREAMS"), *(k := keys()), *[self.pick(self.id, lambda: b"$")() for _ in k]] + ([b"0"] if rng.random() < 0.05 else []),
            lambda: [b"XREADGROUP", b"GROUP", self.group(), self.consumer()] + self.read_options() + ([b"NOACK"] if rng.random() < 0.1 else []) + [b"STREAMS", *(k := keys()), *[self.pick(lambda: b">", self.id)() for _ in k]],
            lambda: [b"XREADGROUP", b"GROUP", b"g1", self.consumer()] + self.read_options() + [b"STREAMS", self.stream_key(), b">"],
            lambda: [b"XREADGROUP", b"GROUP", b"g1", self.consumer(), b"STREAMS", self.stream_key(), b"0"],
            lambda: [b"XGROUP", self.case(b"CREATE"), self.stream_key(), self.group(), self.pick(lambda: b"$", self.id)()] + rng.choice([[], [], [b"ENTRIESREAD", b"2"]]),
            lambda: [b"XGROUP", b"CREATE", rng.choice(STREAM_KEYS), b"g1", b"0", b"MKSTREAM"],
            lambda: [b"XGROUP", b"SETID", self.stream_key(), self.group(), self.pick(lambda: b"$", self.id)()],
            lambda: [b"XGROUP", rng.choice([b"CREATECONSUMER", b"DELCONSUMER"])] + of_group(),
            lambda: [b"XGROUP", b"DESTROY", self.stream_key(), self.group()] if rng.random() < 0.3 else [b"XINFO", b"GROUPS", b"nosuch"],
            lambda: [b"XACK", self.stream_key(), self.group()] + self.some(self.id), lambda: [b"XPENDING", self.stream_key(), self.group()],
            lambda: [b"XPENDING", self.stream_key(), self.group(), self.range_end(), self.range_end(), self.rng.choice([b"0", b"-1", b"x"])],
            lambda: [b"XCLAIM"] + of_group() + [rng.choice([b"0", b"0", b"0", b"x"])] + self.some(self.id) + rng.choice([[], [], [b"FORCE"], [b"JUSTID"], [b"RETRYCOUNT", b"3"], [b"TIME", b"5"], [b"IDLE", b"x"], [b"LASTID", b"9-9"], [b"bogus"]]),
            lambda: [b"XAUTOCLAIM"] + of_group() + [b"0", self.pick(lambda: b"0", self.range_end)()] + rng.choice([[], [b"COUNT", b"2"], [b"COUNT", b"0"], [b"JUSTID"], [b"bogus"]]),
            lambda: [b"XINFO", rng.choice([b"CONSUMERS", b"STREAM", b"bogus"]), b"nosuch"] + rng.choice([[], [b"g1"]]),
            lambda: [b"DUMP", rng.choice(STREAM_KEYS)], lambda: [b"RESTORE", rng.choice(STREAM_KEYS), b"0", STREAM_PAYLOAD] + rng.choice([[], [b"REPLACE"]]),
            lambda: [b"TYPE", self.stream_key()], lambda: [b"OBJECT", b"ENCODING", rng.choice(STREAM_KEYS)], lambda: [b"EXPIRE", rng.choice(STREAM_KEYS), b"5000"], lambda: [b"TTL", rng.choice(STREAM_KEYS)],
            lambda: [b"DEL", rng.choice(STREAM_KEYS)] if rng.random() < 0.5 else [b"EXISTS", rng.choice(STREAM_KEYS)])()

    def numkeys(self, keys):
        return b"%d" % len(keys) if self.rng.random() < 0.9 else self.pick(self.integer, lambda: b"%d" % (len(keys) + self.rng.choice([-1, 1, 9])))()

    def mpop_count(self):
        if self.rng.random() < 0.5:
            return []
        return [self.case(b"COUNT"), self.pick(lambda: b"%d" % self.rng.randint(0, 5), self.integer)()]

    def score_count(self):
        out = self.count()
        if out and self.rng.random() < 0.5:
            out.append(self.pick(b"WITHSCORES", b"withscores", b"bogus"))
        return out

    def sorted_set_algebra(self):
        rng = self.rng
        keys = self.some(self.sorted_key, 3)
        name = rng.choice([b"ZUNION", b"ZINTER", b"ZDIFF", b"ZINTERCARD", b"ZUNIONSTORE", b"ZINTERSTORE", b"ZDIFFSTORE"])
        out = [name] + ([self.sorted_key()] if name.endswith(b"STORE") else []) + [self.numkeys(keys)] + keys
        weights = lambda: [self.case(b"WEIGHTS")] + [self.pick(b"1", b"2", b"0.5", b"-1", b"0", b"inf", b"x" if rng.random() < 0.2 else b"3") for _ in keys]
        aggregate = lambda: [self.case(b"AGGREGATE"), self.pick(b"SUM", b"min", b"MAX", b"avg" if rng.random() < 0.2 else b"sum")]
        with_scores = lambda: [self.case(b"WITHSCORES")]
        limit = lambda: [self.case(b"LIMIT"), self.pick(b"0", b"1", b"2", b"-1" if rng.random() < 0.2 else b"3", b"x" if rng.random() < 0.2 else b"4")]
        fitting = {b"ZUNION": [weights, aggregate, with_scores], b"ZINTER": [weights, aggregate, with_scores], b"ZDIFF": [with_scores],
                   b"ZINTERCARD": [limit], b"ZUNIONSTORE": [weights, aggregate], b"ZINTERSTORE": [weights, aggregate], b"ZDIFFSTORE": []}[name]
        options = fitting if rng.random() < 0.9 else [weights, aggregate, with_scores, limit]
        for _ in range(rng.randint(0, 2) if options else 0):
            out += rng.choice(options)()
        return out

    def set_algebra(self):
        keys = self.some(self.key, 3)
        return self.pick(lambda: [b"SADD", self.key()] + self.some(self.member, 6), lambda: [b"SADD", self.key()] + self.some(self.member, 6),
                         lambda: [self.pick(b"SINTER", b"SUNION", b"SDIFF")] + keys, lambda: [self.pick(b"SINTER", b"SUNION", b"SDIFF")] + keys,
                         lambda: [self.pick(b"SINTERSTORE", b"SUNIONSTORE", b"SDIFFSTORE"), self.key()] + keys,
                         lambda: [b"SINTERCARD", self.numkeys(keys)] + keys + self.pick([], [], [self.case(b"LIMIT"), self.pick(b"0", b"1", b"2", b"-1", b"x")]),
                         lambda: [b"SMOVE", self.key(), self.key(), self.member()], lambda: [b"SMEMBERS", self.key()], lambda: [b"SCARD", self.key()])()

    # Keys of every type.
    def any_key(self):
        return self.rng.choice(KEYS + SORTED_KEYS + LIST_KEYS + BIT_KEYS + GEO_KEYS)

    def copying(self):
        return self.pick(lambda: [self.pick(b"RENAME", b"RENAMENX"), self.any_key(), self.any_key()], lambda: [b"RENAME", key := self.any_key(), key],
                         lambda: [b"COPY", self.any_key(), self.any_key()] + self.copy_options(), lambda: [b"COPY", self.any_key(), self.any_key(), b"REPLACE"],
                         lambda: [b"TYPE", self.any_key()], lambda: [b"TTL", self.any_key()], lambda: [b"EXPIRE", self.any_key(), b"5000"],
                         lambda: [b"GET", self.any_key()], lambda: [b"HGETALL", self.any_key()], lambda: [b"LRANGE", self.any_key(), b"0", b"-1"],
                         lambda: [b"ZRANGE", self.any_key(), b"0", b"-1", b"WITHSCORES"], lambda: [b"SMEMBERS", self.any_key()])()

    # All other families then run in the database that is selected.
    def databases(self):
        number = lambda: self.pick(b"0", b"0", b"1", b"1", b"2", b"15", b"16", b"-1", b"x", b"1.5")
        return self.pick(lambda: [b"SELECT", number()], lambda: [b"MOVE", self.any_key(), number()], lambda: [b"MOVE", self.any_key(), number()],
                         lambda: [b"COPY", self.any_key(), self.any_key(), b"DB", number()] + self.copy_options(),
                         lambda: [b"COPY", key := self.any_key(), key, b"DB", number()], lambda: [b"SWAPDB", number(), number()],
                         lambda: [b"DBSIZE"], lambda: [b"FLUSHDB"], lambda: [b"KEYS", self.rng.choice(PATTERNS)], lambda: [b"RANDOMKEY"],
                         lambda: [b"GET", self.any_key()], lambda: [b"TTL", self.any_key()], lambda: [b"MOVE", self.any_key()],
                         lambda: [b"EVAL", b"redis.call('SELECT', ARGV[1]) return {KEYS[1], redis.call('TYPE', KEYS[1]), redis.call('DBSIZE')}",
                                  b"1", self.any_key(), number()])()

    def copy_options(self):
        out = []
        for _ in range(self.rng.randint(0, 2)):
            out += self.pick([self.case(b"REPLACE")], [self.case(b"DB"), self.pick(b"0", b"0", b"1", b"-1", b"x")], [b"DB"] if self.rng.random() < 0.2 else [])
        return out

    def bit_key(self):
        return self.rng.choice(BIT_KEYS) if self.rng.random() < 0.85 else self.key()

    def bit_offset(self):
        return self.pick(lambda: b"%d" % self.rng.randint(0, 90), lambda: b"%d" % self.rng.randint(0, 90), lambda: b"%d" % self.rng.randint(0, 3000),
                         self.integer, lambda: self.pick(b"4294967296", b"#1") if self.rng.random() < 0.1 else b"3")()

    def bit_range(self):
        place = lambda: self.pick(lambda: b"%d" % self.rng.randint(-30, 30), lambda: b"%d" % self.rng.randint(-300, 300), self.integer)()
        return self.pick(lambda: [], lambda: [place(), place()], lambda: [place(), place(), self.case(self.pick(b"BIT", b"BYTE"))],
                         lambda: [place(), place(), self.pick(b"x", b"BIT")], lambda: [place()])()

    def bit_steps(self, only_gets):
        field = lambda: self.pick(lambda: b"%s%d" % (self.pick(b"u", b"i"), self.rng.randint(1, 63)), lambda: self.pick(b"u8", b"i8", b"u4", b"i5", b"i64"),
                                  lambda: self.pick(b"u64", b"i65", b"x8", b"", b"u", b"i0", b"u63"))()
        place = lambda: self.pick(lambda: b"%d" % self.rng.randint(0, 100), lambda: b"#%d" % self.rng.randint(0, 10), lambda: self.pick(b"-1", b"#x", b"0", b"#-1", b"7"))()
        number = lambda: self.pick(lambda: b"%d" % self.rng.randint(-300, 300), lambda: self.rng.choice(INTEGERS), self.integer)()
        out = []
        for _ in range(self.rng.randint(1, 4)):
            kinds = [b"GET"] if only_gets and self.rng.random() < 0.9 else [b"GET", b"SET", b"INCRBY", b"INCRBY", b"OVERFLOW"]
            kind = self.rng.choice(kinds)
            if kind == b"OVERFLOW":
                out += [kind, self.case(self.pick(b"WRAP", b"SAT", b"FAIL", b"FAIL" if self.rng.random() < 0.9 else b"x"))]
            else:
                out += [self.case(kind), field(), place()] + ([] if kind == b"GET" else [number()])
        return out

    def bitmap(self):
        return self.pick(lambda: [b"SETBIT", self.bit_key(), self.bit_offset(), self.pick(b"0", b"1", b"1", b"2" if self.rng.random() < 0.1 else b"1")],
                         lambda: [b"SETBIT", self.bit_key(), self.bit_offset(), self.pick(b"0", b"1")], lambda: [b"GETBIT", self.bit_key(), self.bit_offset()],
                         lambda: [b"BITCOUNT", self.bit_key()] + self.bit_range(), lambda: [b"BITPOS", self.bit_key(), self.pick(b"0", b"1", b"1", b"0", b"2")] + self.bit_range(),
                         lambda: [b"BITPOS", self.bit_key(), self.pick(b"0", b"1")] + self.bit_range(),
                         lambda: [b"BITOP", self.case(self.pick(b"AND", b"OR", b"XOR")), self.bit_key()] + self.some(self.bit_key, 3),
                         lambda: [b"BITOP", self.case(self.pick(b"NOT", b"NOT", b"x")), self.bit_key(), self.bit_key()],
                         lambda: [b"BITFIELD", self.bit_key()] + self.bit_steps(False), lambda: [b"BITFIELD", self.bit_key()] + self.bit_steps(False),
                         lambda: [b"BITFIELD_RO", self.bit_key()] + self.bit_steps(True), lambda: [b"GET", self.rng.choice(BIT_KEYS)],
                         lambda: [b"SET", self.rng.choice(BIT_KEYS), self.pick(b"\xff\xff\xff", b"\x00\x00\x01\x00", b"\xff" * 20, self.value())],
                         lambda: [b"STRLEN", self.rng.choice(BIT_KEYS)], lambda: [b"TTL", self.rng.choice(BIT_KEYS)])()

    def hll_key(self):
        return self.rng.choice(HLL_KEYS) if self.rng.random() < 0.9 else self.key()

    def hyper_log_log(self):
        rng = self.rng
        elements = lambda: [b"%d" % rng.randint(0, 100_000) for _ in range(rng.randint(1, 8))]
        if rng.random() < 0.03:
            # Beyond the sparse form.
            return [b"PFADD", rng.choice(HLL_KEYS)] + [b"e%d" % i for i in range(rng.randint(200, 3000))]
        return self.pick(lambda: [b"PFADD", self.hll_key()] + elements(), lambda: [b"PFADD", self.hll_key()] + elements(), lambda: [b"PFADD", self.hll_key()] + self.some(self.member),
                         lambda: [b"PFADD", self.hll_key()], lambda: [b"PFCOUNT"] + self.some(self.hll_key, 3), lambda: [b"PFCOUNT", self.hll_key()],
                         lambda: [b"PFMERGE", self.hll_key()] + self.some(self.hll_key, 3), lambda: [b"GET", rng.choice(HLL_KEYS)],
                         lambda: [b"STRLEN", rng.choice(HLL_KEYS)], lambda: [b"DEL", rng.choice(HLL_KEYS)] if rng.random() < 0.2 else [b"TYPE", rng.choice(HLL_KEYS)],
                         lambda: [b"SET", rng.choice(HLL_KEYS), b"HYLL" + bytes(rng.randint(0, 20))] if rng.random() < 0.05 else [b"PFCOUNT", rng.choice(HLL_KEYS)])()

    def geo_member(self):
        return b"m%d" % self.rng.randint(0, 30) if self.rng.random() < 0.95 else self.member()

    # Most of them in one region, so that searches find some.
    def position(self):
        roll = self.rng.random()
        if roll < 0.03:
            return self.pick([b"181", b"0"], [b"0", b"86"], [b"x", b"1"], [b"1", b""], [b"180", b"85.05112878"], [b"-180", b"-85.05112878"])
        if roll < 0.8:
            return [b"%.9f" % self.rng.uniform(11, 15), b"%.9f" % self.rng.uniform(36, 39)]
        return [b"%.9f" % self.rng.uniform(-180, 180), b"%.9f" % self.rng.uniform(-85, 85)]

    def unit(self):
        return self.case(self.rng.choice([b"M", b"KM", b"FT", b"MI", b"KM"])) if self.rng.random() < 0.97 else b"x"

    def extent(self):
        roll = self.rng.random()
        if roll < 0.03:
            return self.pick(b"-1", b"x", b"0", b"")
        return b"%d" % self.rng.randint(1, 400) if roll < 0.7 else b"%.2f" % self.rng.uniform(0, 2e7)

    # What is found is in one order only where it is sorted, or any number of it will do.
    def geo_options(self, stores):
        out = [self.case(self.pick(b"ASC", b"DESC"))] if self.rng.random() < 0.6 else []
        if self.rng.random() < 0.3:
            out += [self.case(b"COUNT"), self.pick(b"1", b"3", b"10", b"0" if self.rng.random() < 0.2 else b"2")] + self.pick([], [self.case(b"ANY")])
        if not stores or self.rng.random() < 0.05:
            out += [word for word in (b"WITHCOORD", b"WITHDIST", b"WITHHASH") if self.rng.random() < 0.4]
        if self.rng.random() < 0.05:
            out.append(self.pick(b"ANY", b"x", b"COUNT"))
        return out

    def geo(self):
        rng = self.rng
        key = lambda: rng.choice(GEO_KEYS) if rng.random() < 0.95 else self.key()
        around = lambda: self.pick(lambda: [b"FROMMEMBER", self.geo_member()], lambda: [b"FROMLONLAT"] + self.position())()
        shape = lambda: self.pick(lambda: [b"BYRADIUS", self.extent(), self.unit()], lambda: [b"BYBOX", self.extent(), self.extent(), self.unit()])()
        store = lambda: [self.pick(b"STORE", b"STOREDIST"), key()] if rng.random() < 0.3 else []
        add = lambda: [b"GEOADD", key()] + self.pick([], [], [], [self.case(self.pick(b"NX", b"XX", b"CH"))]) + [
            word for _ in range(rng.randint(1, 4)) for word in self.position() + [self.geo_member()]]
        return self.pick(add, add, add, lambda: [b"GEODIST", key(), self.geo_member(), self.geo_member()] + self.pick([], [self.unit()]),
                         lambda: [b"GEOPOS", key()] + self.some(self.geo_member), lambda: [b"GEOHASH", key()] + self.some(self.geo_member),
                         lambda: [b"GEOSEARCH", key()] + around() + shape() + self.geo_options(False), lambda: [b"GEOSEARCH", key()] + shape() + self.geo_options(False) + around(),
                         lambda: [b"GEOSEARCHSTORE", key(), key()] + around() + shape() + self.geo_options(True) + self.pick([], [b"STOREDIST"]),
                         lambda: [b"GEORADIUS", key()] + self.position() + [self.extent(), self.unit()] + self.geo_options(True) + store(),
                         lambda: [b"GEORADIUS_RO", key()] + self.position() + [self.extent(), self.unit()] + self.geo_options(False) + (store() if rng.random() < 0.1 else []),
                         lambda: [b"GEORADIUSBYMEMBER", key(), self.geo_member(), self.extent(), self.unit()] + self.geo_options(True) + store(),
                         lambda: [b"GEORADIUSBYMEMBER_RO", key(), self.geo_member(), self.extent(), self.unit()] + self.geo_options(False),
                         lambda: [b"ZRANGE", rng.choice(GEO_KEYS), b"0", b"-1", b"WITHSCORES"], lambda: [b"ZCARD", rng.choice(GEO_KEYS)])()

    # What is sorted are small numbers, which name weights too.
    def sorting(self):
        rng = self.rng
        number = lambda: b"%d" % rng.randint(0, 12) if rng.random() < 0.97 else self.pick(b"x", b"", b"1.5", b"-3")
        key = lambda: rng.choice(SORT_KEYS) if rng.random() < 0.95 else self.any_key()
        options = {
            b"BY": lambda: [self.case(b"BY"), self.pick(b"w_*", b"wh_*->f", b"w_*", b"w_*->", b"*")],
            b"GET": lambda: [self.case(b"GET"), self.pick(b"#", b"w_*", b"wh_*->f", b"fixed", b"*", b"wh_*->none")],
            b"LIMIT": lambda: [self.case(b"LIMIT"), self.pick(b"0", b"1", b"2", b"-1", b"x" if rng.random() < 0.1 else b"3"), self.pick(b"0", b"2", b"5", b"-1")],
            b"ORDER": lambda: [self.case(self.pick(b"ASC", b"DESC"))], b"ALPHA": lambda: [self.case(b"ALPHA")],
            b"WRONG": lambda: [self.pick(b"x", b"BY", b"GET", b"LIMIT")]}

        def chosen():
            names = [name for name in options if rng.random() < (0.02 if name == b"WRONG" else 0.35)]
            # What has the same weight has no order then.
            if b"BY" in names and b"ALPHA" in names:
                names.remove(b"ALPHA")
            return [word for name in names for word in options[name]()]

        return self.pick(lambda: [b"RPUSH", rng.choice(SORT_KEYS)] + self.some(number, 6), lambda: [b"SADD", rng.choice(SORT_KEYS)] + self.some(number, 6),
                         lambda: [b"ZADD", rng.choice(SORT_KEYS)] + [word for n in self.some(number, 5) for word in (b"%d" % rng.randint(0, 9), n)],
                         lambda: [b"SET", b"w_" + number(), b"%d" % rng.randint(-5, 5) if rng.random() < 0.97 else b"text"],
                         lambda: [b"HSET", b"wh_" + number(), b"f", b"%d" % rng.randint(-50, 50)],
                         lambda: [b"SORT", key()] + chosen(), lambda: [b"SORT", key()] + chosen(), lambda: [b"SORT_RO", key()] + chosen() + self.pick([], [], [b"STORE", key()]),
                         lambda: [b"SORT", key()] + chosen() + [self.case(b"STORE"), key()],
                         # The order of a sorted set, or of a list, which no other command makes a set, in which there is none.
                         lambda: [b"RPUSH", b"unsorted1"] + self.some(number, 6), lambda: [b"ZADD", b"unsorted2", b"%d" % rng.randint(0, 9), number()],
                         lambda: [b"SORT", rng.choice([b"unsorted1", b"unsorted2"]), b"BY", b"nosort"] + options[b"LIMIT"]() + self.pick([], [b"DESC"]) + self.pick([], [b"STORE", rng.choice(SORT_KEYS)]),
                         lambda: [b"LRANGE", rng.choice(SORT_KEYS), b"0", b"-1"], lambda: [b"DEL", rng.choice(SORT_KEYS)],
                         lambda: [b"LCS", self.key(), self.key()] + self.lcs_options(), lambda: [b"SET", self.key(), bytes(rng.choice(b"abc") for _ in range(rng.randint(0, 20)))])()

    def lcs_options(self):
        return [word for words in ([b"LEN"], [b"IDX"], [b"MINMATCHLEN", self.pick(b"0", b"2", b"-1", b"x")], [b"WITHMATCHLEN"], [b"x"])
                if self.rng.random() < (0.03 if words == [b"x"] else 0.35) for word in words]

    def dump(self):
        return self.pick(lambda: [b"DUMP", self.any_key()], lambda: [b"DUMP", self.any_key()],
                         lambda: [b"RESTORE", self.any_key(), self.pick(b"0", b"0", b"5000000", b"-1", b"x", b"4000000000000"), self.payload()] + self.restore_options(),
                         lambda: [b"RESTORE", self.any_key(), b"0", self.rng.choice(PAYLOADS), b"REPLACE"])()

    def payload(self):
        payload = self.rng.choice(PAYLOADS)
        if self.rng.random() < 0.8:
            return payload
        at = self.rng.randrange(len(payload))
        return self.pick(payload[:at], payload[:at] + bytes([payload[at] ^ 1]) + payload[at + 1:], b"", payload + b"x", self.value())

    def restore_options(self):
        out = []
        for _ in range(self.rng.randint(0, 3)):
            out += self.pick(lambda: [self.case(b"REPLACE")], lambda: [self.case(b"REPLACE")], lambda: [self.case(b"ABSTTL")],
                             lambda: [b"IDLETIME", self.pick(b"5", b"-1", b"x")] if self.rng.random() < 0.5 else [],
                             lambda: [b"FREQ", self.pick(b"5", b"-1", b"256", b"x")] if self.rng.random() < 0.5 else [],
                             lambda: [self.pick(b"bogus", b"FREQ")] if self.rng.random() < 0.1 else [])()
        return out

    def field_count(self):
        out = self.count()
        if out and self.rng.random() < 0.5:
            out.append(self.pick(b"WITHVALUES", b"withvalues", b"bogus"))
        return out

    # Enough keys for scans of many pages, some of them in one hash slot.
    def many(self):
        name = self.pick(b"s%d", b"{slot}%d")
        out = [b"MSET"]
        for _ in range(self.rng.randint(20, 80)):
            out += [name % self.rng.randint(0, 200), b"v"]
        return out

    def scan(self):
        if self.rng.random() < 0.02:
            return self.many()
        if self.rng.random() < 0.1:
            return self.crowd()
        return self.pick(lambda: [b"SCAN"] + self.scan_options(True), lambda: [b"SSCAN", self.key()] + self.scan_options(False),
                         lambda: [b"HSCAN", self.key()] + self.scan_options(False))()

    def scan_options(self, with_type):
        out = [self.rng.choice([b"x", b"1x", b" 0", b"18446744073709551616"]) if self.rng.random() < 0.1 else b"0"]
        if self.rng.random() < 0.5:
            out += [self.case(b"MATCH"), self.rng.choice(PATTERNS)]
        if self.rng.random() < 0.5:
            out += [self.case(b"COUNT"), self.pick(lambda: b"%d" % self.rng.randint(1, 20), lambda: self.rng.choice([b"0", b"-1", b"x", b"1000000"]))()]
        if with_type and self.rng.random() < 0.4:
            out += [self.case(b"TYPE"), self.rng.choice([b"string", b"set", b"HASH", b"zset", b"list", b"stream", b"bogus"])]
        if self.rng.random() < 0.05:
            out += [self.rng.choice([b"MATCH", b"bogus", b"COUNT"])]
        return out

    # Commands that do not exist, and any command with words missing or to spare.
    def wrong(self):
        if self.rng.random() < 0.2:
            return [self.rng.choice([b"NOSUCH", b"get2", b"", b"\x00x", b"a\r\nb", b"z" * 150])] + [
                self.rng.choice([b"arg", b"", b"long" * 40, b"nul\x00byte", b"line\r\n"]) for _ in range(self.rng.randint(0, 4))]
        command = self.rng.choice(self.families[:7] + self.families[9:])()
        if self.rng.random() < 0.5:
            command = command[:self.rng.randint(1, len(command))]
        else:
            command = command + [self.value() for _ in range(self.rng.randint(1, 3))]
        return command

    # What the server does itself.
    def connection(self):
        return self.pick(lambda: [b"PING"] + [self.value() for _ in range(self.rng.choice([0, 0, 1, 2]))],
                         lambda: [b"ECHO", self.value()], lambda: [b"SELECT", self.rng.choice([b"0", b"0", b"16", b"-1", b"x"])],
                         lambda: [b"CLIENT", b"SETNAME", self.rng.choice([b"name", b"", b"two words", b"line\n"])],
                         lambda: [b"CLIENT", b"GETNAME"], lambda: [b"CLIENT", b"NO-EVICT", self.rng.choice([b"on", b"off", b"x"])],
                         lambda: [b"CLIENT", b"bogus"], lambda: [b"CONFIG", b"bogus"], lambda: [b"CONFIG"], lambda: [b"CLIENT"],
                         lambda: [b"HELLO", self.rng.choice([b"1", b"4", b"x"])], lambda: [b"HELLO", b"3", b"bogus"], lambda: [b"RESET", b"x"],
                         lambda: [b"TIME"], lambda: [b"DEBUG", b"SLEEP", b"0"])()
