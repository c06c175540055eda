// docs/commands.md: made from the command table and from what is said here of concurrent updates
// and of Redis's own commands. Run this test with EVEN_WRITE_DOCS=1 to write it anew.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/command.h"

namespace even {
namespace {

struct Note {
  std::string_view command;
  std::string_view text;
};

// What happens to updates that are made at the same time on several nodes, in eventual keyspaces.
constexpr std::string_view kLastWrite = "The value written last shows, by hybrid time.";
constexpr std::string_view kWritesResult = "Reads, then writes the result as `SET` does.";
constexpr std::string_view kAddsUp = "Increments of all nodes add up.";
constexpr std::string_view kAddWins = "Add wins: it stays unless the removal had seen it.";
constexpr std::string_view kRemovesSeen =
    "Removes what this node sees; what is added meanwhile stays.";
constexpr std::string_view kMaybeTwice = "Two nodes may take the same one.";
constexpr std::string_view kStores = "As `DEL` and the writing of the result.";
constexpr std::string_view kLastExpiry = "The expiry set last holds, by hybrid time.";
constexpr std::string_view kAllStay = "All are there, in one order everywhere.";

constexpr Note kConcurrent[] = {
    {"append", kWritesResult},
    {"bitfield", kWritesResult},
    {"bitop", kStores},
    {"blmove", "Two nodes may move the same element, which is there twice then."},
    {"blmpop", kMaybeTwice},
    {"blpop", kMaybeTwice},
    {"brpop", kMaybeTwice},
    {"brpoplpush", "Two nodes may move the same element, which is there twice then."},
    {"bzmpop", kMaybeTwice},
    {"bzpopmax", kMaybeTwice},
    {"bzpopmin", kMaybeTwice},
    {"copy", kStores},
    {"decr", kAddsUp},
    {"decrby", kAddsUp},
    {"del", kRemovesSeen},
    {"delifeq", "Compares with what this node sees; then as `DEL`."},
    {"expire", kLastExpiry},
    {"expireat", kLastExpiry},
    {"flushall",
     "As `DEL` of every key that this node sees, but for those of `__consumer_groups` and "
     "`__transactions`."},
    {"flushdb",
     "As `DEL` of every key that this node sees, but for those of `__consumer_groups` and "
     "`__transactions`."},
    {"geoadd", kLastWrite},
    {"georadius", "With STORE: as `DEL` and the writing of the result."},
    {"georadiusbymember", "With STORE: as `DEL` and the writing of the result."},
    {"geosearchstore", kStores},
    {"getdel", kRemovesSeen},
    {"getex", kLastExpiry},
    {"getset", kLastWrite},
    {"hdel", kRemovesSeen},
    {"hexpire", kLastExpiry},
    {"hexpireat", kLastExpiry},
    {"hgetdel", kRemovesSeen},
    {"hgetex", kLastExpiry},
    {"hincrby", kAddsUp},
    {"hincrbyfloat", kAddsUp},
    {"hmset", kLastWrite},
    {"hpersist", "Removes the expiries that this node sees."},
    {"hpexpire", kLastExpiry},
    {"hpexpireat", kLastExpiry},
    {"hset", kLastWrite},
    {"hsetex", kLastWrite},
    {"hsetnx", "Looks at what this node sees; then as `HSET`."},
    {"incr", kAddsUp},
    {"incrby", kAddsUp},
    {"incrbyfloat", kAddsUp},
    {"linsert", kAllStay},
    {"lmove", "Two nodes may move the same element, which is there twice then."},
    {"lmpop", kMaybeTwice},
    {"lpop", kMaybeTwice},
    {"lpush", kAllStay},
    {"lpushx", kAllStay},
    {"lrem", kRemovesSeen},
    {"lset", kLastWrite},
    {"ltrim", kRemovesSeen},
    {"move", "As `RENAME`, to the key of that name in another database."},
    {"mset", kLastWrite},
    {"msetnx", "Looks at what this node sees; then as `MSET`."},
    {"persist", "Removes the expiry that this node sees."},
    {"pexpire", kLastExpiry},
    {"pexpireat", kLastExpiry},
    {"pfadd", "What all nodes have counted is counted."},
    {"pfmerge", "What all nodes have counted is counted."},
    {"psetex", kLastWrite},
    {"rename", "As `DEL` of the one and the writing of the other."},
    {"renamenx", "Looks at what this node sees; then as `RENAME`."},
    {"restore", kStores},
    {"rpop", kMaybeTwice},
    {"rpoplpush", "Two nodes may move the same element, which is there twice then."},
    {"rpush", kAllStay},
    {"rpushx", kAllStay},
    {"sadd", kAddWins},
    {"sdiffstore", kStores},
    {"set", kLastWrite},
    {"setbit", kWritesResult},
    {"setex", kLastWrite},
    {"setnx", "Looks at what this node sees; then as `SET`."},
    {"setrange", kWritesResult},
    {"sinterstore", kStores},
    {"sort", "With STORE: as `DEL` and the writing of the result."},
    {"smove", "As `SREM` and `SADD`: two nodes may move it to two sets."},
    {"spop", kMaybeTwice},
    {"srem", kRemovesSeen},
    {"sunionstore", kStores},
    {"unlink", kRemovesSeen},
    {"xack", "Acknowledges what this node sees; a claim meanwhile stays."},
    {"xadd", kAllStay},
    {"xautoclaim", "The last claim holds, by hybrid time."},
    {"xclaim", "The last claim holds, by hybrid time."},
    {"xdel", kRemovesSeen},
    {"xgroup", "What is created stays unless the removal had seen it."},
    {"xreadgroup", "Two nodes may deliver the same entries; none is left out."},
    {"xsetid", "The greatest id holds."},
    {"xtrim", kRemovesSeen},
    {"zadd", kLastWrite},
    {"zdiffstore", kStores},
    {"zincrby", kAddsUp},
    {"zinterstore", kStores},
    {"zmpop", kMaybeTwice},
    {"zpopmax", kMaybeTwice},
    {"zpopmin", kMaybeTwice},
    {"zrangestore", kStores},
    {"zrem", kRemovesSeen},
    {"zremrangebylex", kRemovesSeen},
    {"zremrangebyrank", kRemovesSeen},
    {"zremrangebyscore", kRemovesSeen},
    {"zunionstore", kStores},
};

// What differs from Redis 7.0 beside that.
constexpr Note kDifferent[] = {
    {"acl",
     "Users are of the cluster; rules of commands stay as they were given. See operations.md."},
    {"asking", "Accepted, without effect: every node serves every key."},
    {"client",
     "PAUSE is about this node's clients; TRACKING hears of other nodes' writes. See tracking.md."},
    {"cluster", "Shows; nodes are joined by the configuration. See operations.md."},
    {"debug", "Only what is named in HELP."},
    {"fcall", "A strong keyspace loads the library anew for each call. See scripting.md."},
    {"fcall_ro", "A strong keyspace loads the library anew for each call. See scripting.md."},
    {"function", "Libraries are of the cluster; STATS does not tell what runs. See scripting.md."},
    {"lastsave", "Time of the last backup, or of the start."},
    {"latency", "Of the turns of threads; the events are `command` and `fast-command`."},
    {"lolwut", "Another picture."},
    {"module", "`LIST` is empty; there is no `LOAD`."},
    {"monitor", "Of this node's clients; not the calls of scripts."},
    {"object", "No IDLETIME: no time of use is kept."},
    {"readonly", "Accepted, without effect: every node serves every key."},
    {"readwrite", "Accepted, without effect: every node serves every key."},
    {"role", "Every node is a master."},
    {"shutdown", "Loses nothing in any form; SAVE and NOSAVE mean the same."},
    {"swapdb",
     "At once on each node, once a majority has agreed. Not within MULTI. See databases.md."},
    {"wait", "Replicas that have the connection's writes. See consistency.md."},
    {"xinfo", "`entries-added` does not count what was removed; `lag` is exact."},
};

// Commands of Redis 7.0 outside modules and Sentinel.
constexpr std::string_view kRedis70 =
    "acl append asking auth bgrewriteaof bgsave bitcount bitfield bitfield_ro bitop bitpos blmove "
    "blmpop blpop brpop brpoplpush bzmpop bzpopmax bzpopmin client cluster command config copy "
    "dbsize debug decr decrby del discard dump echo eval eval_ro evalsha evalsha_ro exec exists "
    "expire expireat expiretime failover fcall fcall_ro flushall flushdb function geoadd geodist "
    "geohash geopos georadius georadius_ro georadiusbymember georadiusbymember_ro geosearch "
    "geosearchstore get getbit getdel getex getrange getset hdel hello hexists hget hgetall "
    "hincrby hincrbyfloat hkeys hlen hmget hmset hrandfield hscan hset hsetnx hstrlen hvals incr "
    "incrby incrbyfloat info keys lastsave latency lcs lindex linsert llen lmove lmpop lolwut lpop "
    "lpos lpush lpushx lrange lrem lset ltrim memory mget migrate module monitor move mset msetnx "
    "multi object persist pexpire pexpireat pexpiretime pfadd pfcount pfdebug pfmerge pfselftest "
    "ping psetex psubscribe psync pttl publish pubsub punsubscribe quit randomkey readonly "
    "readwrite rename renamenx replconf replicaof reset restore restore-asking role rpop rpoplpush "
    "rpush rpushx sadd save scan scard script sdiff sdiffstore select set setbit setex setnx "
    "setrange shutdown sinter sintercard sinterstore sismember slaveof slowlog smembers smismember "
    "smove sort sort_ro spop spublish srandmember srem sscan ssubscribe strlen subscribe substr "
    "sunion sunionstore sunsubscribe swapdb sync time touch ttl type unlink unsubscribe unwatch "
    "wait watch xack xadd xautoclaim xclaim xdel xgroup xinfo xlen xpending xrange xread "
    "xreadgroup "
    "xrevrange xsetid xtrim zadd zcard zcount zdiff zdiffstore zincrby zinter zintercard "
    "zinterstore zlexcount zmpop zmscore zpopmax zpopmin zrandmember zrange zrangebylex "
    "zrangebyscore zrangestore zrank zrem zremrangebylex zremrangebyrank zremrangebyscore "
    "zrevrange "
    "zrevrangebylex zrevrangebyscore zrevrank zscan zscore zunion zunionstore";

// What later versions of Redis and Valkey have added, up to Redis 8.4 and Valkey 9.0.
constexpr std::string_view kLater =
    "commandlog delex delifeq digest hexpire hexpireat hexpiretime hgetdel hgetex hpersist "
    "hpexpire "
    "hpexpireat hpexpiretime hpttl hsetex httl msetex vadd vcard vdim vemb vgetattr vinfo "
    "vismember "
    "vlinks vrandmember vrange vrem vsetattr vsim xackdel xdelex";

constexpr std::string_view kVectorSets = "There is no type of vectors.";
constexpr Note kMissingLater[] = {
    {"commandlog", "Valkey's wider SLOWLOG: that is there, and the metrics show large replies."},
    {"delex", "DELIFEQ deletes what has a value; other conditions need a script."},
    {"digest", "Of a value, for SET's conditions on it; a script, or IFEQ, compares the value."},
    {"msetex", "MSET and PEXPIRE in a transaction do the same."},
    {"vadd", kVectorSets},
    {"vcard", kVectorSets},
    {"vdim", kVectorSets},
    {"vemb", kVectorSets},
    {"vgetattr", kVectorSets},
    {"vinfo", kVectorSets},
    {"vismember", kVectorSets},
    {"vlinks", kVectorSets},
    {"vrandmember", kVectorSets},
    {"vrange", kVectorSets},
    {"vrem", kVectorSets},
    {"vsetattr", kVectorSets},
    {"vsim", kVectorSets},
    {"xackdel", "XACK and XDEL in a transaction do the same."},
    {"xdelex", "XDEL, which leaves references in groups; they are told as deleted."},
};

// Those of them that cannot mean anything here.
constexpr Note kMeaningless[] = {
    {"bgrewriteaof", "The log is trimmed by itself."},
    {"bgsave", "Backups are of a whole cluster: `EVEN.BACKUP`."},
    {"failover", "Every node takes writes; leaders of strong keyspaces move by themselves."},
    {"migrate",
     "Partitions move between nodes by themselves. Another server is no replica: keys would be "
     "withheld on all nodes until it has answered, or be lost. Copy by `DUMP` and `RESTORE`; "
     "`even import` takes a whole Redis over."},
    {"pfdebug", "About Redis's form in memory."},
    {"pfselftest", "About Redis's form in memory."},
    {"psync", "Redis's own replication."},
    {"replconf", "Redis's own replication."},
    {"replicaof", "Which nodes there are is in the configuration."},
    {"restore-asking", "Of Redis Cluster's moving of slots."},
    {"save", "Backups are of a whole cluster: `EVEN.BACKUP`."},
    {"slaveof", "Which nodes there are is in the configuration."},
    {"sync", "Redis's own replication."},
};

std::string_view note_of(std::span<const Note> notes, std::string_view command) {
  const auto found = std::ranges::find(notes, command, &Note::command);
  return found == notes.end() ? std::string_view() : found->text;
}

// A bar would end the cell.
std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    out.push_back(text.substr(0, end));
    text.remove_prefix(std::min(text.size(), end + 1));
  }
  return out;
}

bool is_container(const Command& command) {
  return std::ranges::any_of(
      command.subcommands, [](const Subcommand& subcommand) { return subcommand.row != nullptr; });
}

bool writes_keys(const Command& command) {
  if (is_container(command)) {
    return std::ranges::any_of(command.subcommands, [](const Subcommand& subcommand) {
      return subcommand.row != nullptr && (subcommand.row->flags & kWrite) != 0;
    });
  }
  return (command.flags & kWrite) != 0 && command.scope != Scope::kConnection;
}

std::string missing_commands() {
  std::string not_yet;
  std::string meaningless;
  for (const std::string_view name : words_of(kRedis70)) {
    if (find_command(name) != nullptr) continue;
    const std::string_view reason = note_of(kMeaningless, name);
    if (reason.empty()) {
      not_yet += fmt::format("{}`{}`", not_yet.empty() ? "" : ", ", name);
    } else {
      meaningless += fmt::format("| `{}` | {} |\n", name, reason);
    }
  }
  return fmt::format(
      "Not there yet: {}.\n\nWithout a meaning here:\n\n| command | why |\n|---|---|\n{}",
      not_yet.empty() ? "none" : not_yet, meaningless);
}

std::string missing_later_commands() {
  std::string out;
  for (const std::string_view name : words_of(kLater)) {
    if (find_command(name) != nullptr) continue;
    out += fmt::format("| `{}` | {} |\n", name, note_of(kMissingLater, name));
  }
  return "\n## Commands of later versions that are missing\n\nUp to Redis 8.4 and Valkey 9.0, "
         "without "
         "Redis's modules.\n\n| command | why, or what instead |\n|---|---|\n" +
         out;
}

std::string page() {
  std::map<std::string_view, std::vector<const Command*>> groups;
  for (const Command* command : all_commands()) groups[command->group].push_back(command);
  std::string out =
      "# Commands\n\n"
      "Made from the table of commands (`src/engine/commands_page_test.cc`); `COMMAND DOCS` and "
      "`HELP`\n"
      "say the same of each. *At the same time* is about updates of one key on several nodes in "
      "an\n"
      "eventual keyspace ([consistency.md](consistency.md)); in a strong keyspace commands are "
      "executed\n"
      "one after the other, as in Redis.\n";
  for (const auto& [group, commands] : groups) {
    out += fmt::format(
        "\n## {}\n\n| command | | at the same time | differs from Redis 7.0 |\n|---|---|---|---|\n",
        group);
    for (const Command* command : commands) {
      out += fmt::format("| `{}` | {} | {} | {} |\n", cell(syntax(*command, nullptr)),
                         cell(command->docs.summary), note_of(kConcurrent, command->name),
                         note_of(kDifferent, command->name));
    }
  }
  return out + "\n## Commands of Redis 7.0 that are missing\n\n" + missing_commands() +
         missing_later_commands();
}

TEST(CommandsPage, IsWhatTheTableSays) {
  const std::string path = std::string(EVEN_SOURCE_DIR) + "/docs/commands.md";
  if (std::getenv("EVEN_WRITE_DOCS") != nullptr) std::ofstream(path, std::ios::binary) << page();
  std::ifstream in(path, std::ios::binary);
  const std::string kept{std::istreambuf_iterator<char>(in), {}};
  EXPECT_TRUE(kept == page()) << "docs/commands.md is out of date: run engine_test with "
                                 "EVEN_WRITE_DOCS=1 to write it anew";
}

TEST(CommandsPage, SaysOfEveryWriteWhatHappensAtTheSameTime) {
  for (const Command* command : all_commands()) {
    if (command->name.starts_with("even.") || !writes_keys(*command)) continue;
    EXPECT_FALSE(note_of(kConcurrent, command->name).empty()) << command->name;
  }
}

TEST(CommandsPage, SaysNothingOfWhatIsNotThere) {
  for (const Note& note : kConcurrent)
    EXPECT_NE(find_command(note.command), nullptr) << note.command;
  for (const Note& note : kDifferent)
    EXPECT_NE(find_command(note.command), nullptr) << note.command;
  for (const Note& note : kMeaningless) {
    EXPECT_EQ(find_command(note.command), nullptr) << note.command;
  }
  for (const Note& note : kMissingLater) {
    EXPECT_EQ(find_command(note.command), nullptr) << note.command;
  }
  for (const std::string_view name : words_of(kLater)) {
    EXPECT_NE(find_command(name) == nullptr, note_of(kMissingLater, name).empty()) << name;
  }
}

}  // namespace
}  // namespace even
