#include "script/interpreter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <initializer_list>
#include <stdexcept>
#include <string>

#include "engine/test_keyspace.h"
#include "script/host.h"
#include "script/lua_state.h"

namespace even {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class TestHost final : public ScriptHost {
 public:
  explicit TestHost(TestKeyspace& keyspace) : keyspace_(keyspace) {}

  std::string refusal(const Command&, Args args, bool& left) override {
    if (args.size() > 1 && args[1] == "elsewhere") {
      left = true;
      return "ERR Script attempted to access a non local key";
    }
    return {};
  }
  void execute(const Command& command, Args args, Reply& reply) override {
    if (args.size() > 1 && args[1] == "damaged") throw std::runtime_error("damaged");
    keyspace_.run(command.handler, args, reply);
  }
  std::int64_t publish(std::string_view channel, std::string_view message, bool) override {
    published += std::string(channel) + "=" + std::string(message) + ";";
    return 3;
  }
  std::int64_t now_ms() const override { return keyspace_.now_ms; }
  std::uint32_t seed() override { return 0; }
  std::int64_t monotonic_us() const override {
    if (on_clock) on_clock();
    return 1'000'000;
  }
  void log(int level, std::string_view text) override {
    logged += std::to_string(level) + std::string(text);
  }
  bool same_everywhere() const override { return strong; }

  bool strong = false;
  std::string published;
  std::string logged;
  std::function<void()> on_clock;

 private:
  TestKeyspace& keyspace_;
};

class InterpreterTest : public testing::Test {
 protected:
  std::string run(std::initializer_list<std::string_view> words) {
    const Args args(words.begin(), words.size());
    std::string out;
    Reply reply(out, resp3);
    const Command* command = find_command(args);
    interpreter.run(*command, args, reply, host);
    return out;
  }
  // Of a script without keys or arguments.
  std::string eval(std::string_view script) { return run({"eval", script, "0"}); }

  TestKeyspace keyspace;
  TestHost host{keyspace};
  ScriptCache cache;
  Interpreter interpreter{cache, 0};
  bool resp3 = false;
};

TEST_F(InterpreterTest, CallsCommandsWithKeysAndArguments) {
  EXPECT_EQ(run({"eval", "return redis.call('SET', KEYS[1], ARGV[1])", "1", "k", "v"}), "+OK\r\n");
  EXPECT_EQ(run({"eval", "return redis.call('GET', KEYS[1])", "1", "k"}), "$1\r\nv\r\n");
  EXPECT_EQ(eval("redis.call('SET', 'n', 3) return redis.call('INCRBY', 'n', 4)"), ":7\r\n");
  EXPECT_EQ(eval("redis.call('SET', 'n', 1.5) return redis.call('GET', 'n')"), "$3\r\n1.5\r\n");
  EXPECT_EQ(eval("return redis.call('GET', 'absent')"), "$-1\r\n");
}

TEST_F(InterpreterTest, RepliesWhatAScriptReturns) {
  EXPECT_EQ(eval("return {1, 2.9, 'a', true, false, nil, 4}"),
            "*5\r\n:1\r\n:2\r\n$1\r\na\r\n:1\r\n$-1\r\n");
  EXPECT_EQ(eval("return {ok = 'FINE'}"), "+FINE\r\n");
  EXPECT_EQ(eval("return {err = 'BAD thing'}"), "-BAD thing\r\n");
  EXPECT_EQ(eval("return"), "$-1\r\n");
  EXPECT_EQ(eval("return {double = 1.5}"), "$3\r\n1.5\r\n");
  EXPECT_EQ(eval("return {map = {a = 1}}"), "*2\r\n$1\r\na\r\n:1\r\n");
  resp3 = true;
  EXPECT_EQ(eval("return {map = {a = 1}}"), "%1\r\n$1\r\na\r\n:1\r\n");
  EXPECT_EQ(eval("return {double = 1.5}"), ",1.5\r\n");
  EXPECT_EQ(eval("return true"), ":1\r\n");
  EXPECT_EQ(eval("redis.setresp(3) return true"), "#t\r\n");
  EXPECT_EQ(eval("return {big_number = '12'}"), "(12\r\n");
  EXPECT_EQ(eval("return {verbatim_string = {string = 'abc', format = 'txt'}}"),
            "=7\r\ntxt:abc\r\n");
}

TEST_F(InterpreterTest, SeesRepliesInTheProtocolThatItHasChosen) {
  keyspace.run({"HSET", "h", "f", "v"});
  EXPECT_EQ(eval("return redis.call('HGETALL', 'h')[2]"), "$1\r\nv\r\n");
  EXPECT_EQ(eval("return tostring(redis.call('GET', 'absent'))"), "$5\r\nfalse\r\n");
}

TEST_F(InterpreterTest, TellsWhereAnErrorWasRaised) {
  EXPECT_EQ(eval("error('boom')"),
            "-ERR user_script:1: boom script: 82903a0434f1503e152f89c03c9acd881a0e8150, on "
            "@user_script:1.\r\n");
  EXPECT_EQ(eval("return redis.call('nope')"),
            "-ERR Unknown Redis command called from script script: "
            "f01f0776df71cc5b400c2268135aa7f30dce2e53, on @user_script:1.\r\n");
  EXPECT_EQ(eval("syntax("),
            "-ERR Error compiling script (new function): user_script:1: unexpected symbol near "
            "'<eof>'\r\n");
  keyspace.run({"SET", "s", "x"});
  EXPECT_THAT(eval("return redis.call('LPUSH', 's', 1)"), StartsWith("-WRONGTYPE "));
  EXPECT_EQ(eval("return redis.pcall('LPUSH', 's', 1)"),
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n");
  EXPECT_EQ(eval("return {pcall(redis.call, 'GET')}"),
            "*2\r\n$-1\r\n$58\r\nERR Wrong number of args calling Redis command from script\r\n");
}

// What is done with an error once the script is over must not run any code of the script.
TEST_F(InterpreterTest, LooksAtErrorsWithoutTheirMetamethods) {
  for (const char* metamethod :
       {"__index = function() error('x') end", "__newindex = function() error('x') end",
        "__index = function() redis.call('PING') end", "__index = function() while true do end end",
        "__newindex = function() while true do end end"}) {
    EXPECT_THAT(eval("error(setmetatable({}, {" + std::string(metamethod) + "}))"),
                StartsWith("-ERR unknown error script: "))
        << metamethod;
  }
  EXPECT_THAT(eval("error({err = 'MY error'})"), StartsWith("-MY error script: "));
  EXPECT_THAT(eval("error(redis)"), HasSubstr("on @user_script:1."));
  EXPECT_EQ(eval("return tostring(rawget(redis, 'line'))"), "$3\r\nnil\r\n");
}

TEST(LuaState, RefusesCallsOutsideOfAnExecution) {
  for (const char* call :
       {"redis.call('PING')", "redis.log(redis.LOG_WARNING, 'a')", "redis.setresp(3)"}) {
    LuaState state(64u << 20);
    ASSERT_EQ(state.compile(call, "@call"), 0);
    ASSERT_EQ(lua_pcall(state.lua(), 0, 0, 0), LUA_ERRRUN);
    EXPECT_THAT(lua_tostring(state.lua(), -1), HasSubstr("no script is being executed")) << call;
  }
}

TEST_F(InterpreterTest, BoundsPatterns) {
  for (const char* name : {"find", "match", "gmatch", "gfind", "gsub"}) {
    for (const char* item : {".?", "a*", "a-", "(a)"}) {
      const std::string call = std::string("return tostring(string.") + name +
                               "(string.rep('a', 2^18), string.rep('" + item + "', 2^18), ''))";
      EXPECT_THAT(eval(call), HasSubstr("pattern too complex")) << call;
    }
  }
  EXPECT_EQ(eval("return string.find('a' .. string.rep('-', 300), string.rep('-', 300), 1, true)"),
            ":2\r\n");
  EXPECT_EQ(eval("local n = 0 for k, v in string.gmatch('a=1, b=2', '(%w+)=(%w+)') do "
                 "n = n + tonumber(v) end return n"),
            ":3\r\n");
}

TEST_F(InterpreterTest, FindsScriptsBySha1UntilTheyAreFlushed) {
  const auto sha = interpreter.load("return 7");
  ASSERT_TRUE(sha.has_value());
  EXPECT_EQ(run({"evalsha", *sha, "0"}), ":7\r\n");
  std::string upper = *sha;
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(run({"evalsha", upper, "0"}), ":7\r\n");
  EXPECT_EQ(run({"evalsha", *sha, "0"}), ":7\r\n");
  Interpreter other(cache, 0);
  std::string out;
  Reply reply(out, false);
  const std::string_view words[] = {"evalsha", *sha, "0"};
  other.run(*find_command("evalsha"), words, reply, host);
  EXPECT_EQ(out, ":7\r\n");
  cache.flush();
  EXPECT_EQ(run({"evalsha", *sha, "0"}), "-NOSCRIPT No matching script. Please use EVAL.\r\n");
  EXPECT_EQ(run({"eval", "return 7", "0"}), ":7\r\n");
  EXPECT_EQ(run({"evalsha", *sha, "0"}), ":7\r\n");
  EXPECT_FALSE(interpreter.load("return (").has_value());
}

TEST_F(InterpreterTest, ForgetsTheOldestOfThoseThatEvalBrought) {
  const auto kept = interpreter.load("return 'kept'");
  for (int i = 0; i < 600; ++i) eval("return " + std::to_string(i));
  EXPECT_EQ(cache.size(), 501u);
  EXPECT_NE(cache.find(*kept), nullptr);
  EXPECT_EQ(cache.find(sha1_hex("return 0")), nullptr);
  EXPECT_NE(cache.find(sha1_hex("return 599")), nullptr);
}

TEST_F(InterpreterTest, ForgetsFunctionsThatTakeTooMuch) {
  // By their text ...
  for (int i = 0; i < 40; ++i) {
    const std::string text = "return #'" + std::string(8u << 20, static_cast<char>('a' + i % 26)) +
                             "' + " + std::to_string(i);
    ASSERT_TRUE(interpreter.load(text).has_value()) << i;
  }
  // ... and by what is made of that.
  Interpreter other(cache, 0);
  std::string calls;
  for (int i = 0; i < 1 << 21; ++i) calls += "f()";
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(other.load("local n = " + std::to_string(i) + " " + calls).has_value()) << i;
  }
}

TEST_F(InterpreterTest, SharesTrustBetweenThreads) {
  const std::string_view words[] = {"eval", "return 1", "0"};
  const Command& command = *find_command("eval");
  Interpreter other(cache, 0);
  std::string out;
  Reply reply(out, false);
  for (int i = 0; i < 32; ++i) {
    eval(words[1]);
    other.run(command, words, reply, host);
  }
  EXPECT_TRUE(interpreter.stays_within(command, words));
  EXPECT_TRUE(other.stays_within(command, words));
}

TEST_F(InterpreterTest, TrustsScriptsThatKeepToTheirKeys) {
  const std::string_view words[] = {"eval", "return redis.pcall('GET', ARGV[1])", "0", "here"};
  const Command& command = *find_command("eval");
  EXPECT_FALSE(interpreter.stays_within(command, words));
  for (int i = 0; i < 64; ++i) run({words[0], words[1], words[2], words[3]});
  EXPECT_TRUE(interpreter.stays_within(command, words));
  run({words[0], words[1], words[2], "elsewhere"});
  EXPECT_FALSE(interpreter.stays_within(command, words));
}

TEST_F(InterpreterTest, LetsNoScriptWriteThatIsReadOnly) {
  EXPECT_THAT(run({"eval_ro", "return redis.call('SET', 'k', 1)", "0"}),
              StartsWith("-ERR Write commands are not allowed from read-only scripts."));
  EXPECT_THAT(eval("#!lua flags=no-writes\nreturn redis.call('SET', 'k', 1)"),
              HasSubstr("on @user_script:2."));
  EXPECT_EQ(run({"eval_ro", "#!lua\nreturn 1", "0"}),
            "-ERR Can not execute a script with write flag using *_ro command.\r\n");
  EXPECT_EQ(eval("#!lua flags=foo\nreturn 1"), "-ERR Unexpected flag in script shebang: foo\r\n");
  EXPECT_THAT(run({"eval_ro", "return redis.call('PUBLISH', 'c', 'm')", "0"}),
              StartsWith("-ERR Write commands are not allowed from read-only scripts."));
  EXPECT_EQ(host.published, "");
  EXPECT_EQ(keyspace.live_keys(), 0u);
}

TEST_F(InterpreterTest, RefusesCommandsThatAreNotForScripts) {
  for (const char* name : {"MULTI", "SUBSCRIBE a", "CONFIG GET a", "CLIENT ID", "BLPOP a 0"}) {
    std::string words;
    for (const char* c = name; *c != '\0'; ++c) words += *c == ' ' ? "', '" : std::string(1, *c);
    EXPECT_THAT(eval("return redis.call('" + words + "')"),
                StartsWith("-ERR This Redis command is not allowed from script"))
        << name;
  }
  EXPECT_THAT(eval("return redis.call('XREAD', 'BLOCK', 0, 'STREAMS', 's', '$')"),
              StartsWith("-ERR xread command is not allowed with BLOCK option from scripts"));
  EXPECT_EQ(eval("return redis.call('XREAD', 'STREAMS', 's', '$')"), "$-1\r\n");
  EXPECT_EQ(eval("return redis.call('PUBLISH', 'c', 'm')"), ":3\r\n");
  EXPECT_EQ(host.published, "c=m;");
  EXPECT_EQ(eval("return redis.call('TIME')[1]"), "$10\r\n1700000000\r\n");
  eval("redis.log(redis.LOG_WARNING, 'a', 'b')");
  EXPECT_EQ(host.logged, "3a b");
  EXPECT_EQ(eval("return server.call('TIME')[1]"), "$10\r\n1700000000\r\n");
}

TEST_F(InterpreterTest, ThrowsWhatTheHostThrowsWhateverTheScriptCatches) {
  EXPECT_THROW(eval("while true do pcall(redis.call, 'GET', 'damaged') end"), std::runtime_error);
  EXPECT_EQ(eval("return 1"), ":1\r\n");
}

TEST_F(InterpreterTest, KeepsGlobalsAndLibrariesAsTheyAre) {
  for (const char* script :
       {"x = 1", "redis.call = 1", "string.rep = 1", "_G.x = 1", "rawset(_G, 'x', 1)",
        "rawset(redis, 'x', 1)", "table.insert(redis, 1)", "setmetatable(_G, {})",
        "setmetatable(string, {})", "function f() end", "table.insert(_G, 1)",
        "table.sort(redis, function() return true end)", "server.call = 1",
        "rawset(server, 'x', 1)"}) {
    EXPECT_THAT(eval(script), HasSubstr("Attempt to modify a readonly table")) << script;
  }
  EXPECT_THAT(eval("return x"),
              HasSubstr("Script attempted to access nonexistent global variable 'x'"));
  for (const char* name : {"package", "require", "io", "os", "debug", "dofile", "loadfile", "print",
                           "newproxy", "getfenv", "setfenv", "module"}) {
    EXPECT_THAT(eval("return " + std::string(name)), HasSubstr("nonexistent global")) << name;
  }
  EXPECT_EQ(eval("return tostring(getmetatable(_G)) .. tostring(getmetatable(redis))"),
            "$10\r\nfalsefalse\r\n");
}

TEST_F(InterpreterTest, HidesTheMetatableOfStrings) {  // CVE-2025-46818
  EXPECT_EQ(eval("return tostring(getmetatable(''))"), "$5\r\nfalse\r\n");
  EXPECT_THAT(eval("getmetatable('').__index = function() return 1 end"), StartsWith("-ERR"));
  EXPECT_EQ(eval("return ('x'):rep(2)"), "$2\r\nxx\r\n");
}

TEST_F(InterpreterTest, ChecksTheRangeOfUnpack) {  // CVE-2025-46817
  for (const char* range : {"0, 2147483647", "-2147483648, 2147483647", "1, 1e9",
                            "-9223372036854775808, 9223372036854775807", "0, 1e17"}) {
    EXPECT_THAT(eval("return {unpack({1}, " + std::string(range) + ")}"), StartsWith("-ERR"))
        << range;
  }
  EXPECT_EQ(eval("return {unpack({1, 2, 3}, 2)}"), "*2\r\n:2\r\n:3\r\n");
  EXPECT_EQ(eval("return {unpack({1}, 2, 1)}"), "*0\r\n");
}

TEST_F(InterpreterTest, CountsTheDigitsOfToHex) {  // CVE-2024-31449
  EXPECT_EQ(eval("return bit.tohex(65535, -2147483648)"), "$8\r\n0000FFFF\r\n");
  EXPECT_EQ(eval("return bit.tohex(255, -4)"), "$4\r\n00FF\r\n");
}

TEST_F(InterpreterTest, RefusesBytecode) {  // CVE-2015-4335
  EXPECT_THAT(eval("return tostring(loadstring(string.dump(function() return 1 end)))"),
              HasSubstr("nil"));
  EXPECT_THAT(eval("\033Lua"), StartsWith("-ERR Error compiling script"));
  EXPECT_EQ(eval("return loadstring('return 2')()"), ":2\r\n");
  EXPECT_EQ(eval("local n = 0 return load(function() n = n + 1 return ({'return', ' 3'})[n] "
                 "end)()"),
            ":3\r\n");
}

// The parser must not lose the chunk's name to the garbage collector.
TEST_F(InterpreterTest, CompilesWhileThereIsMuchGarbage) {  // CVE-2025-49844
  EXPECT_EQ(eval("local sum = 0 "
                 "for i = 1, 2000 do "
                 "  local name = 'chunk' .. i .. string.rep('x', 100) "
                 "  sum = sum + loadstring('return ' .. i .. ' -- ' .. string.rep('y', i), name)() "
                 "end return sum"),
            ":2001000\r\n");
}

TEST_F(InterpreterTest, BoundsLongBrackets) {  // CVE-2025-46819
  EXPECT_THAT(eval("return #loadstring('return [' .. string.rep('=', 1000000) .. '[')"),
              StartsWith("-ERR"));
  EXPECT_EQ(eval("return loadstring('return [' .. string.rep('=', 1000) .. '[x]' .. "
                 "string.rep('=', 1000) .. ']')()"),
            "$1\r\nx\r\n");
}

TEST_F(InterpreterTest, BoundsMemory) {
  EXPECT_THAT(eval("local s = 'x' while true do s = s .. s end"), HasSubstr("not enough memory"));
  EXPECT_THAT(eval("local t = {} while true do t[#t + 1] = {#t} end"),
              HasSubstr("not enough memory"));
  EXPECT_THAT(eval("return string.rep('x', 1e15)"), HasSubstr("too large"));
  EXPECT_EQ(eval("return string.rep('', 1e15)"), "$0\r\n\r\n");
  EXPECT_THAT(eval("local t = {} t[1] = t return t"), HasSubstr("reached lua stack limit"));
  EXPECT_EQ(eval("return 1"), ":1\r\n");
}

// What is not Lua's own memory until it is done.
TEST_F(InterpreterTest, BoundsWhatLibrariesMake) {
  constexpr std::string_view kPieces =
      "local s = string.rep('x', 2^20) local t = {} for i = 1, 200 do t[i] = s end ";
  EXPECT_THAT(eval(std::string(kPieces) + "return #cmsgpack.pack(t)"),
              HasSubstr("not enough memory"));
  EXPECT_THAT(eval(std::string(kPieces) + "return #struct.pack(string.rep('s', 200), unpack(t))"),
              HasSubstr("not enough memory"));
  EXPECT_THAT(eval("local t = string.rep('x', 1024) for i = 1, 15 do t = {t, t, t, t} end "
                   "return #cmsgpack.pack(t)"),
              HasSubstr("not enough memory"));
  EXPECT_THAT(eval(std::string(kPieces) + "for i = 201, 600 do t[i] = s end "
                                          "return redis.call('RPUSH', 'k', unpack(t))"),
              StartsWith("-ERR the arguments of a command of a script are too long"));
  eval("redis.log(redis.LOG_WARNING, string.rep('x', 1000), string.rep('y', 1000))");
  EXPECT_EQ(host.logged, "3" + std::string(1000, 'x') + " " + std::string(23, 'y'));
}

TEST_F(InterpreterTest, RefusesToInsertBelowATable) {
  for (const char* place : {"-2147483648", "-1", "2147483648"}) {
    EXPECT_THAT(eval("table.insert({}, " + std::string(place) + ", 1)"),
                HasSubstr("position out of bounds"))
        << place;
  }
  EXPECT_EQ(eval("local t = {1, 2} table.insert(t, 2, 3) table.insert(t, 4) return t"),
            "*4\r\n:1\r\n:3\r\n:2\r\n:4\r\n");
  EXPECT_EQ(eval("local t = {1, 2, 3} table.remove(t, 1) table.remove(t) return t"),
            "*1\r\n:2\r\n");
}

TEST_F(InterpreterTest, EndsAScriptThatIsKilledWhateverItCatches) {
  // Another thread would ask; here it is the clock, which the script's thread looks at.
  host.on_clock = [this] { cache.execution(0).kill_begun.store(1'000'000); };
  EXPECT_THAT(eval("while true do pcall(function() while true do end end) end"),
              StartsWith("-ERR Script killed by user with SCRIPT KILL..."));
  EXPECT_THAT(eval("local f = coroutine.wrap(function() while true do end end) "
                   "while true do pcall(f) end"),
              StartsWith("-ERR Script killed by user"));
  EXPECT_EQ(cache.kill(), "NOTBUSY No scripts in execution right now.");
}

// It is called within the hook that ends the script, where no other hook would end it.
TEST_F(InterpreterTest, CallsNoHandlerOfAScriptThatIsEnded) {
  EXPECT_EQ(eval("return {xpcall(function() error('x') end, function(e) return 'h:' .. e end)}"),
            "*2\r\n$-1\r\n$18\r\nh:user_script:1: x\r\n");
  EXPECT_EQ(eval("return {xpcall(function() return 1, 2 end, function() end)}"),
            "*3\r\n:1\r\n:1\r\n:2\r\n");
  EXPECT_THAT(eval("return {xpcall(function() error('x') end, 1)}"), StartsWith("*2\r\n$-1\r\n"));
  constexpr std::string_view kForever =
      "local function forever() while true do end end while true do xpcall(forever, forever) end";
  host.strong = true;
  EXPECT_THAT(eval(kForever), HasSubstr("more instructions"));
  host.strong = false;
  host.on_clock = [this] { cache.execution(0).kill_begun.store(1'000'000); };
  EXPECT_THAT(eval(kForever), StartsWith("-ERR Script killed by user"));
}

TEST_F(InterpreterTest, LetsNoScriptBeKilledThatHasWritten) {
  std::string answer;
  host.on_clock = [&] {
    cache.execution(0).wrote.store(true);
    cache.execution(0).began_us.store(1);
    answer = cache.kill();
  };
  EXPECT_EQ(eval("redis.call('SET', 'k', 1) for i = 1, 1e6 do end return 1"), ":1\r\n");
  EXPECT_THAT(answer, StartsWith("UNKILLABLE "));
}

TEST_F(InterpreterTest, EndsScriptsOfStrongKeyspacesByTheirBudget) {
  host.strong = true;
  EXPECT_THAT(eval("while true do pcall(error) end"), HasSubstr("more instructions"));
  EXPECT_THAT(eval("while true do coroutine.wrap(function() for i = 1, 100 do end end)() end"),
              HasSubstr("more instructions"));
}

// Each of these takes few instructions of Lua's, and a second or more without a charge.
TEST_F(InterpreterTest, ChargesWhatLibrariesDo) {
  host.strong = true;
  for (const char* work :
       {"redis.sha1hex(s)", "string.gmatch(s, 'y')", "string.find(s, 'y', 1, true)",
        "cmsgpack.pack(s)", "struct.pack('s', s)", "redis.call('ECHO', s)",
        "table.insert(t, 1, 1)"}) {
    const std::string script = std::string("local s = string.rep('x', 2^20) local t = {} ") +
                               "for i = 1, 2^18 do t[i] = 1 end for i = 1, 3000 do " + work +
                               " end return 1";
    EXPECT_THAT(eval(script), HasSubstr("more instructions")) << work;
  }
  EXPECT_EQ(eval("local s = string.rep('\\1', 2^20) local at = 0 for i = 1, 1000 do "
                 "at = cmsgpack.unpack_one(s, at) end return at"),
            ":1000\r\n");
}

TEST_F(InterpreterTest, ComesToTheSameEverywhereInStrongKeyspaces) {
  host.strong = true;
  constexpr std::string_view kScript =
      "local t = {} for i = 1, 100 do t['k' .. i] = {} end "
      "local out = {} for k, v in pairs(t) do out[#out + 1] = k .. tostring(v) end "
      "return table.concat(out) .. math.random() .. collectgarbage('count') .. gcinfo()";
  const std::string first = eval(kScript);
  Interpreter other(cache, 0);
  eval("local t = {} for i = 1, 1000 do t[i] = {} end");
  std::string out;
  Reply reply(out, false);
  const std::string_view words[] = {"eval", kScript, "0"};
  other.run(*find_command("eval"), words, reply, host);
  EXPECT_EQ(out, first);
  // A SHA-1 means nothing to members.
  const auto sha = interpreter.load("return 1");
  EXPECT_THAT(run({"evalsha", *sha, "0"}), StartsWith("-NOSCRIPT"));
}

// Where elements lie in memory differs between members.
TEST_F(InterpreterTest, SeesRepliesInAFixedOrderInStrongKeyspaces) {
  host.strong = true;
  keyspace.by_content = true;
  std::string members;
  for (int i = 1000; i < 1200; ++i) {
    const std::string word = std::to_string(i);
    members += (members.empty() ? "" : " ") + word;
    // Fields and values are the same words, so both have one order.
    keyspace.run({"SADD", "s", word});
    keyspace.run({"HSET", "h", word, word});
  }
  const std::string sorted = "$" + std::to_string(members.size()) + "\r\n" + members + "\r\n";
  for (const char* call :
       {"'SMEMBERS', 's'", "'HKEYS', 'h'", "'HVALS', 'h'", "'SUNION', 's'", "'SINTER', 's', 's'",
        "'SDIFF', 's', 'absent'", "'SORT', 's', 'BY', 'nosort'"}) {
    EXPECT_EQ(eval("return table.concat(redis.call(" + std::string(call) + "), ' ')"), sorted)
        << call;
  }
  EXPECT_EQ(eval("local t = redis.call('HGETALL', 'h') local out = {} for i = 1, #t, 2 do "
                 "assert(t[i] == t[i + 1]) out[#out + 1] = t[i] end return table.concat(out, ' ')"),
            sorted);
  EXPECT_EQ(eval("redis.setresp(3) return redis.call('HGETALL', 'h').map['1007']"),
            "$4\r\n1007\r\n");
  EXPECT_EQ(eval("return redis.call('SMEMBERS', 'absent')"), "*0\r\n");
  EXPECT_THAT(eval("return redis.call('SMEMBERS', 'h')"), StartsWith("-WRONGTYPE "));
}

TEST_F(InterpreterTest, RefusesInStrongKeyspacesWhatDiffersBetweenMembers) {
  keyspace.run({"SADD", "s", "a"});
  keyspace.run({"HSET", "h", "f", "v"});
  keyspace.run({"ZADD", "z", "1", "a"});
  for (const bool strong : {false, true}) {
    host.strong = strong;
    for (const char* call :
         {"'SRANDMEMBER', 's'", "'HRANDFIELD', 'h'", "'ZRANDMEMBER', 'z'", "'SSCAN', 's', 0",
          "'HSCAN', 'h', 0", "'ZSCAN', 'z', 0", "'DUMP', 's'", "'OBJECT', 'ENCODING', 's'",
          "'MEMORY', 'USAGE', 's'", "'EVEN.EXPLAIN', 's'"}) {
      const std::string reply = eval("return redis.call(" + std::string(call) + ")");
      EXPECT_EQ(reply.contains("differs between replicas"), strong) << call << reply;
    }
    EXPECT_EQ(eval("return redis.call('TTL', 's')"), ":-1\r\n");
    EXPECT_EQ(
        eval("return redis.call('XADD', 'x', '1-" + std::to_string(1 + strong) + "', 'f', 'v')"),
        "$3\r\n1-" + std::to_string(1 + strong) + "\r\n");
    EXPECT_EQ(eval("redis.call('SADD', 'p', 'a') return redis.call('SPOP', 'p')"), "$1\r\na\r\n");
  }
}

TEST_F(InterpreterTest, DrawsTheNumbersThatRedisDraws) {
  EXPECT_EQ(eval("math.randomseed(7) return {math.random(1000), math.random(1000)}"),
            "*2\r\n:267\r\n:683\r\n");
}

TEST_F(InterpreterTest, EncodesAndDecodesJson) {
  EXPECT_EQ(eval("return cjson.encode({1, 'a/\"\\n', true, cjson.null, {}, {[2] = 'x'}})"),
            "$37\r\n[1,\"a\\/\\\"\\n\",true,null,{},[null,\"x\"]]\r\n");
  EXPECT_EQ(
      eval("return cjson.decode('{\"a\":[1.5,null,true,\"\\\\u00e9\\\\ud83d\\\\ude00\"]}').a[4]"),
      "$6\r\n\xc3\xa9\xf0\x9f\x98\x80\r\n");
  EXPECT_THAT(eval("return cjson.decode('{\"a\":1,}')"),
              HasSubstr("Expected object key string but found T_OBJ_END at character 8"));
  EXPECT_THAT(eval("return cjson.decode(string.rep('[', 1001))"),
              HasSubstr("Found too many nested data structures (1001) at character 1001"));
  EXPECT_THAT(eval("local t = {} t[1] = t return cjson.encode(t)"),
              HasSubstr("excessive nesting (1001)"));
  // What overflows the lengths of Lua CJSON (CVE-2022-24834).
  EXPECT_THAT(eval("local s = string.rep('\"', 60000000) return #cjson.encode({s, s, s, s})"),
              HasSubstr("not enough memory"));
  EXPECT_EQ(eval("cjson.encode_max_depth(1) return cjson.encode_max_depth()"), ":1\r\n");
  EXPECT_EQ(eval("return cjson.encode_max_depth()"), ":1000\r\n");
}

TEST_F(InterpreterTest, PacksMessages) {
  EXPECT_EQ(eval("local s = cmsgpack.pack({1, -33, 'a', 1.5, {a = true}}) "
                 "return (s:gsub('.', function(c) return string.format('%02x', c:byte()) end))"),
            "$30\r\n9501d0dfa161ca3fc0000081a161c3\r\n");
  EXPECT_EQ(eval("return {cmsgpack.unpack(cmsgpack.pack(1, 'a', {2, {b = 3}}, 300, -70000))}"),
            "*5\r\n:1\r\n$1\r\na\r\n*2\r\n:2\r\n*0\r\n:300\r\n:-70000\r\n");
  // Of what lies deep, tables only are left out.
  EXPECT_EQ(eval("local t = {7, {}} for i = 1, 15 do t = {t} end return #cmsgpack.pack(t) .. "
                 "string.byte(cmsgpack.pack(t), 17) .. ' ' .. string.byte(cmsgpack.pack(t), 18)"),
            "$7\r\n187 192\r\n");
  EXPECT_THAT(eval("return cmsgpack.unpack(string.rep('\\145', 1000000))"), StartsWith("-ERR"));
  EXPECT_THAT(eval("return cmsgpack.unpack('\\221\\255\\255\\255\\255')"),
              HasSubstr("Missing bytes"));
  EXPECT_THAT(eval("return cmsgpack.unpack('\\129\\192\\1')"), HasSubstr("Bad data format"));
  EXPECT_EQ(eval("return {cmsgpack.unpack_one('\\1\\2\\3', 2)}"), "*2\r\n:-1\r\n:3\r\n");
}

TEST_F(InterpreterTest, PacksStructures) {
  EXPECT_EQ(eval("return {struct.unpack('>I2hs', struct.pack('>I2hs', 1, -2, 'abc'))}"),
            "*4\r\n:1\r\n:-2\r\n$3\r\nabc\r\n:9\r\n");
  EXPECT_EQ(eval("return {struct.unpack('Bc0', '\\3abcd')}"), "*2\r\n$3\r\nabc\r\n:5\r\n");
  EXPECT_EQ(eval("return {struct.size('i4hb'), struct.size('!8 bd')}"), "*2\r\n:7\r\n:16\r\n");
  EXPECT_THAT(eval("return struct.unpack('c2000000000', 'x', 2147483647)"),
              HasSubstr("data string too short"));
  EXPECT_THAT(eval("return struct.unpack('i99999999999', 'x')"), HasSubstr("overflow"));
  EXPECT_THAT(eval("return struct.unpack('dc0', struct.pack('d', -5))"), HasSubstr("too short"));
}

// --- What users may do

TEST_F(InterpreterTest, TheCallsOfAUsersScriptAreChecked) {
  const std::string rights = "alice on ~k* resetchannels &a -@all +get +set +eval +publish";
  const auto as_user = [&](std::string_view script) {
    const std::vector<std::string_view> words = {kAsUserName, rights, "eval", script, "0"};
    std::string out;
    Reply reply(out, false);
    interpreter.run(*find_as_user_command(words), words, reply, host);
    return out;
  };
  EXPECT_EQ(as_user("return redis.call('set', 'k', 'v')"), "+OK\r\n");
  EXPECT_EQ(as_user("return redis.call('get', 'k')"), "$1\r\nv\r\n");
  EXPECT_THAT(
      as_user("return redis.call('get', 'other')"),
      StartsWith("-ERR The user executing the script can't access at least one of the keys"));
  EXPECT_THAT(as_user("return redis.pcall('del', 'k')"),
              StartsWith("-ERR The user executing the script can't run this command"));
  EXPECT_THAT(as_user("return redis.call('publish', 'b', 'm')"),
              StartsWith("-ERR The user executing the script can't publish"));
  EXPECT_EQ(as_user("return redis.call('publish', 'a', 'm')"), ":3\r\n");
  EXPECT_EQ(as_user("return redis.acl_check_cmd('get', 'k')"), ":1\r\n");
  EXPECT_EQ(as_user("return redis.acl_check_cmd('get', 'other')"), "$-1\r\n");
  EXPECT_EQ(eval("return redis.call('get', 'other')"), "$-1\r\n") << "nobody's script";
  host.strong = true;
  EXPECT_THAT(as_user("return redis.call('get', 'other')"), StartsWith("-ERR The user executing"));
}

TEST_F(InterpreterTest, RightsThatCannotBeReadAreNone) {
  const std::vector<std::string_view> words = {kAsUserName, "alice +nosuch", "eval", "return 1",
                                               "0"};
  std::string out;
  Reply reply(out, false);
  interpreter.run(*find_as_user_command(words), words, reply, host);
  EXPECT_THAT(out, StartsWith("-NOPERM"));
}

// --- Functions

constexpr std::string_view kLibraryCode = R"(#!lua name=lib
local calls = 0
redis.register_function('add', function(keys, args)
  calls = calls + 1
  return {redis.call('INCRBY', keys[1], args[1]), calls}
end)
redis.register_function{function_name = 'look', description = 'reads', flags = {'no-writes'},
                        callback = function(keys) return redis.call('GET', keys[1]) end}
redis.register_function('writes', function(keys) return redis.call('SET', keys[1], 'x') end)
redis.register_function('globals', function() return KEYS end)
redis.register_function('calls', function() return calls end)
)";

std::string function_error(std::string_view code) {
  const Result<Library> library = Interpreter::examine(code);
  return library ? "none" : library.error().message;
}

TEST_F(InterpreterTest, ALibraryRegistersFunctions) {
  const Result<Library> library = Interpreter::examine(kLibraryCode);
  ASSERT_TRUE(library) << library.error().message;
  EXPECT_EQ(library->name, "lib");
  ASSERT_EQ(library->functions.size(), 5u);
  EXPECT_EQ(library->functions[1].name, "look");
  EXPECT_EQ(library->functions[1].description, "reads");
  EXPECT_EQ(library->functions[1].flags, std::vector<std::string>{"no-writes"});
  EXPECT_EQ(decode_library("lib", encode(*library)).value(), *library);
}

TEST_F(InterpreterTest, FunctionsOfALibraryShareWhatItKeeps) {
  const std::string add = text_of_function("add", kLibraryCode);
  const std::string calls = text_of_function("calls", kLibraryCode);
  EXPECT_EQ(run({"eval", add, "1", "n", "5"}), "*2\r\n:5\r\n:1\r\n");
  EXPECT_EQ(run({"eval", add, "1", "n", "5"}), "*2\r\n:10\r\n:2\r\n");
  EXPECT_EQ(run({"eval", calls, "0"}), ":2\r\n");
  EXPECT_EQ(run({"eval_ro", text_of_function("look", kLibraryCode), "1", "n"}), "$2\r\n10\r\n");
  host.strong = true;
  EXPECT_EQ(run({"eval", add, "1", "n", "5"}), "*2\r\n:15\r\n:1\r\n") << "a state of its own";
}

TEST_F(InterpreterTest, FunctionsKeepToTheirFlagsAndArguments) {
  EXPECT_THAT(run({"eval_ro", text_of_function("writes", kLibraryCode), "1", "k"}),
              StartsWith("-ERR Can not execute a script with write flag using *_ro command."));
  EXPECT_EQ(eval("return KEYS[1]"), "$-1\r\n");
  EXPECT_THAT(run({"eval", text_of_function("globals", kLibraryCode), "1", "k"}),
              HasSubstr("nonexistent global variable 'KEYS' script: globals, on @user_function:"));
  EXPECT_EQ(run({"eval", text_of_function("nosuch", kLibraryCode), "0"}),
            "-ERR Function not found\r\n");
  EXPECT_EQ(run({"fcall", "nosuch", "0"}), "-ERR Function not found\r\n");
  EXPECT_THAT(eval("return redis.register_function('f', function() end)"), StartsWith("-"));
}

TEST_F(InterpreterTest, WhatIsNoLibraryIsRefused) {
  EXPECT_EQ(function_error("return 1"), "ERR Missing library metadata");
  EXPECT_EQ(function_error("#!lua name=a"), "ERR Invalid library metadata");
  EXPECT_EQ(function_error("#!lua\n"), "ERR Library name was not given");
  EXPECT_EQ(function_error("#!js name=a\n"), "ERR Engine 'js' not found");
  EXPECT_EQ(function_error("#!lua name=a b=c\n"), "ERR Invalid metadata value given: b=c");
  EXPECT_THAT(function_error("#!lua name=a-b\n"), HasSubstr("can only contain letters"));
  EXPECT_EQ(function_error("#!lua name=a\nreturn 1"), "ERR No functions registered");
  EXPECT_EQ(function_error("#!lua name=a\nx"),
            "ERR Error compiling function: user_function:2: '=' expected near '<eof>'");
  EXPECT_THAT(function_error("#!lua name=a\nwhile true do end"),
              StartsWith("ERR Error registering functions: "));
  EXPECT_THAT(function_error("#!lua name=a\nx = 1"),
              StartsWith("ERR Error registering functions: "));
  EXPECT_THAT(function_error("#!lua name=a\nredis.call('get', 'k')"), HasSubstr("loading"));
  EXPECT_THAT(function_error("#!lua name=a\nredis.pcall('ping')"), HasSubstr("No functions"));
  EXPECT_THAT(function_error("#!lua name=a\nredis.register_function('f')"),
              HasSubstr("single argument is only applicable to Lua table"));
  EXPECT_THAT(function_error("#!lua name=a\nredis.register_function('a-b', function() end)"),
              HasSubstr("can only contain letters"));
  EXPECT_THAT(function_error("#!lua name=a\nlocal f = function() end\n"
                             "redis.register_function('f', f)\nredis.register_function('f', f)"),
              HasSubstr("Function already exists in the library"));
  EXPECT_THAT(function_error("#!lua name=a\nredis.register_function{function_name='f', "
                             "callback=function() end, flags={'bogus'}}"),
              HasSubstr("unknown flag given"));
  EXPECT_THAT(function_error("#!lua name=a\nredis.register_function{function_name='f', x=1}"),
              HasSubstr("unknown argument given"));
  EXPECT_THAT(function_error("#!lua name=a\nredis.register_function{function_name='f'}"),
              HasSubstr("must get a callback"));
}

}  // namespace
}  // namespace even
