#include "sim/workload.h"

#include <fmt/format.h>

#include <iterator>

#include "base/database.h"
#include "sim/siblings.h"

namespace even::sim {
namespace {

constexpr const char* kTypes[] = {"str", "num", "set", "map", "zst", "lst", "stm"};

}  // namespace

std::string Workload::key(const char* type) {
  if (random_.chance(options_.type_confusion)) type = kTypes[random_.below(std::size(kTypes))];
  const std::uint64_t number = random_.below(static_cast<std::uint64_t>(options_.keys));
  // Some are of other databases, as the engine is given them.
  const DatabaseNumber database = number % 3 == 2 ? static_cast<DatabaseNumber>(1 + number % 5) : 0;
  return stored_key(database, fmt::format("{}{}", type, number));
}

std::string Workload::value() {
  std::string text = fmt::format("v{}", next_value_++);
  if (random_.chance(0.02)) text.append(random_.below(3000), 'x');
  return text;
}

Operation Workload::next(std::int64_t wall_ms) {
  if (random_.chance(options_.sessions)) return session();
  if (random_.chance(options_.bounded)) return bounded();
  if (random_.chance(options_.siblings)) return siblings();
  switch (random_.below(17)) {
    case 0:
    case 1:
      return string(wall_ms);
    case 2:
    case 3:
      return counter();
    case 4:
    case 5:
      return set();
    case 6:
    case 7:
    case 8:
      return hash();
    case 9:
    case 10:
      return sorted_set();
    case 11:
    case 12:
      return list();
    case 13:
    case 14:
      return stream();
    case 15:
      return hyper_log_log();
    default:
      return generic(wall_ms);
  }
}

Operation Workload::string(std::int64_t wall_ms) {
  const std::string k = key("str");
  if (random_.chance(options_.expiry)) {
    switch (random_.below(3)) {
      case 0:
        return {{"SET", k, value(), "PX", std::to_string(1 + random_.below(2000))}, {}};
      case 1:
        return {{"SET", k, value(), "KEEPTTL"}, {}};
      default:
        return {{"SET", k, value(), "PXAT",
                 std::to_string(wall_ms + static_cast<std::int64_t>(random_.below(2000)))},
                {}};
    }
  }
  switch (random_.below(13)) {
    case 11:
      return {{"SETBIT", k, small(200), small(2)}, {}};
    case 12:
      return {{"BITOP", "OR", k, key("str"), key("str")}, {}};
    case 0:
    case 1:
    case 2:
      return {{"SET", k, value()}, {}};
    case 3:
      return {{"APPEND", k, small(100)}, {}};
    case 4:
      return {{"SETRANGE", k, small(20), "abc"}, {}};
    case 5:
      return {{"GETDEL", k}, {}};
    case 6:
      return {{"SETNX", k, value()}, {}};
    case 7:
      return {{"MSET", k, value(), key("str"), value(), key("str"), value()}, {}};
    case 8:
      return {{"MSETNX", k, value(), key("str"), value()}, {}};
    case 9:
      return {{"GETSET", k, value()}, {}};
    default:
      return {{"GET", k}, {}};
  }
}

// Few keys, and seldom removed, so that they meet.
Operation Workload::hyper_log_log() {
  const auto hll = [this] { return "hll" + small(2); };
  const std::string k = hll();
  switch (random_.below(12)) {
    case 0:
      return {{"PFMERGE", k, hll(), hll()}, {}};
    case 1:
      return {{"PFCOUNT", k, hll()}, {}};
    case 2:
      if (random_.chance(0.2)) return {{"DEL", k}, {}};
      return {{"STRLEN", k}, {}};
    default:
      return {{"PFADD", k, small(5000), small(5000)}, {}};
  }
}

Operation Workload::counter() {
  const std::string k = key("num");
  const std::int64_t by = 1 + static_cast<std::int64_t>(random_.below(9));
  switch (random_.below(8)) {
    case 0:
      return {{"INCR", k}, Operation::Increment{LeafKind::kString, k, "", 1}};
    case 1:
      return {{"DECR", k}, Operation::Increment{LeafKind::kString, k, "", -1}};
    case 2:
    case 3:
      return {{"INCRBY", k, std::to_string(by)},
              Operation::Increment{LeafKind::kString, k, "", static_cast<double>(by)}};
    case 4:
      return {{"DECRBY", k, std::to_string(by)},
              Operation::Increment{LeafKind::kString, k, "", -static_cast<double>(by)}};
    case 5:
      return {{"INCRBYFLOAT", k, fmt::format("{}", static_cast<double>(by) * 0.25)},
              Operation::Increment{LeafKind::kString, k, "", static_cast<double>(by) * 0.25}};
    case 6:
      return {{"SET", k, std::to_string(random_.below(1000))}, {}};
    default:
      return {{"DEL", k}, {}};
  }
}

// Used up again and again, and seldom made anew.
Operation Workload::bounded() {
  const std::string k = std::string(kBoundedPrefix) + small(3);
  const std::int64_t by = 1 + static_cast<std::int64_t>(random_.below(9));
  // Where it is not bounded, it is an ordinary number.
  const auto adds = [&k](const char* command, std::int64_t number, bool named) {
    const auto sum = static_cast<double>(command[0] == 'I' ? number : -number);
    Operation out{{command, k}, Operation::Increment{LeafKind::kString, k, "", sum}};
    if (named) out.words.push_back(std::to_string(number));
    return out;
  };
  switch (random_.below(24)) {
    case 0:
      return {{"EVEN.BOUND", k, "MIN", small(20)}, {}};
    case 1:
      return {{"EVEN.BOUND", k, "MAX", std::to_string(50 + random_.below(50))}, {}};
    case 2:
    case 3:
    case 4:
    case 5:
      return adds("INCRBY", by, true);
    case 6:
    case 7:
      return adds("INCR", 1, false);
    case 8:
      return {{"GET", k}, {}};
    case 9:
      if (random_.chance(0.2)) return {{"DEL", k}, {}};
      if (random_.chance(0.1)) return {{"EVEN.BOUND", k, "NONE"}, {}};
      return {{"SET", k, small(60)}, {}};
    case 10:
    case 11:
    case 12:
    case 13:
      return adds("DECR", 1, false);
    default:
      return adds("DECRBY", by, true);
  }
}

// The context comes from what a client has seen.
Operation Workload::siblings() {
  const std::string k = std::string(kSiblingPrefix) + small(3);
  switch (random_.below(8)) {
    case 0:
    case 1:
      return {{"SET", k, value()}, {}};
    case 2:
    case 3:
    case 4:
      return {{"EVEN.SIBLINGS", k}, {}};
    case 5:
      if (random_.chance(0.2)) return {{"DEL", k}, {}};
      return {{"GET", k}, {}};
    default:
      return {{"EVEN.RESOLVE", k, "", value()}, {}};
  }
}

// Fields that are kept alive by being used, in hashes of which others last.
Operation Workload::session_of_fields(const std::string& k, const std::string& ttl) {
  const std::string field = fmt::format("f{}", random_.below(4));
  const std::string number = fmt::format("n{}", random_.below(2));
  switch (random_.below(14)) {
    case 0:
      return {{"HSET", k, field, value()}, {}};
    case 1:
      return {{"HSETEX", k, "PX", ttl, "FIELDS", "1", field, value()}, {}};
    case 2:
      return {{"HSETEX", k, "KEEPTTL", "FIELDS", "1", field, value()}, {}};
    case 3:
    case 4:
      return {{"HINCRBY", k, number, "1"}, Operation::Increment{LeafKind::kField, k, number, 1}};
    case 5:
      if (random_.chance(0.3)) return {{"HPERSIST", k, "FIELDS", "2", field, number}, {}};
      return {{"HPTTL", k, "FIELDS", "2", field, number}, {}};
    case 6:
      if (random_.chance(0.3)) return {{"HDEL", k, field, number}, {}};
      return {{"HGETALL", k}, {}};
    case 7:
      return {{"HPEXPIRE", k, ttl, "GT", "FIELDS", "2", field, number}, {}};
    case 8:
      return {{"HGETEX", k, "PX", ttl, "FIELDS", "2", field, number}, {}};
    default:
      return {{"HPEXPIRE", k, ttl, "FIELDS", "2", field, number}, {}};
  }
}

Operation Workload::session() {
  const std::string type = kTypes[random_.below(std::size(kTypes))];
  const std::string k = "session:" + type + small(3);
  const std::string ttl = std::to_string(200 + random_.below(400));
  if (type == "map" && random_.chance(0.7)) {
    return session_of_fields("session:fields" + small(4), ttl);
  }
  switch (random_.below(12)) {
    case 0:
      if (type == "num") return {{"SET", k, std::to_string(random_.below(100)), "PX", ttl}, {}};
      if (type == "set") return {{"SADD", k, small(20), small(20)}, {}};
      if (type == "map") return {{"HSET", k, small(6), value()}, {}};
      if (type == "zst") return {{"ZADD", k, small(9), small(6)}, {}};
      if (type == "lst") return {{"RPUSH", k, value()}, {}};
      return {{"SET", k, value(), "PX", ttl}, {}};
    case 1:
      if (type == "num") return {{"INCR", k}, Operation::Increment{LeafKind::kString, k, "", 1}};
      if (type == "str") return {{"SET", k, value(), "KEEPTTL"}, {}};
      return {{"PEXPIRE", k, ttl, "GT"}, {}};
    case 2:
    case 3:
    case 4:
      if (type == "str" || type == "num") return {{"GETEX", k, "PX", ttl}, {}};
      return {{"PEXPIRE", k, ttl}, {}};
    case 5:
      if (random_.chance(0.2)) return {{"PERSIST", k}, {}};
      return {{"PTTL", k}, {}};
    default:
      return {{"PEXPIRE", k, ttl}, {}};
  }
}

// Enough words to take a collection beyond its packed form.
Operation Workload::large(const char* command, const std::string& key, bool with_values) {
  Operation operation{{command, key}, {}};
  const std::uint64_t first = random_.below(40);
  for (std::uint64_t i = first; i < first + 70; ++i) {
    operation.words.push_back(fmt::format("l{}", i));
    if (with_values) operation.words.push_back(value());
  }
  return operation;
}

// Among those of large().
std::string Workload::one_of_large() { return fmt::format("l{}", random_.below(110)); }

Operation Workload::set() {
  const std::string k = key("set");
  if (random_.chance(options_.large)) return large(random_.chance(0.6) ? "SADD" : "SREM", k, false);
  if (options_.large > 0 && random_.chance(0.5)) {
    switch (random_.below(8)) {
      case 0:
      case 1:
        return {{"SADD", k, one_of_large(), small(20)}, {}};
      case 2:
      case 3:
      case 4:
        return {{"SREM", k, one_of_large(), one_of_large()}, {}};
      case 5:
        return {{"SSCAN", k, std::to_string(random_.next()), "COUNT", "5"}, {}};
      case 6:
        return {{"SRANDMEMBER", k, "3"}, {}};
      default:
        return {{"SMISMEMBER", k, one_of_large(), one_of_large()}, {}};
    }
  }
  switch (random_.below(10)) {
    case 8:
      return {{"SMOVE", k, key("set"), small(20)}, {}};
    case 9:
      return {{random_.chance(0.5) ? "SUNIONSTORE" : "SDIFFSTORE", k, k, key("set")}, {}};
    case 0:
    case 1:
    case 2:
      return {{"SADD", k, small(20), small(20), small(20)}, {}};
    case 3:
      return {{"SADD", k, small(5)}, {}};
    case 4:
    case 5:
      return {{"SREM", k, small(20), small(20), small(20)}, {}};
    case 6:
      return {{"SPOP", k, small(4)}, {}};
    default:
      return {{"SMEMBERS", k}, {}};
  }
}

Operation Workload::hash() {
  const std::string k = key("map");
  if (random_.chance(options_.large)) {
    const bool add = random_.chance(0.6);
    return large(add ? "HSET" : "HDEL", k, add);
  }
  if (options_.large > 0 && random_.chance(0.5)) {
    switch (random_.below(8)) {
      case 0:
      case 1:
        return {{"HSET", k, one_of_large(), value()}, {}};
      case 2:
      case 3:
      case 4:
        return {{"HDEL", k, one_of_large(), one_of_large()}, {}};
      case 5:
        return {{"HSCAN", k, std::to_string(random_.next()), "COUNT", "5"}, {}};
      case 6:
        return {{"HLEN", k}, {}};
      default:
        return {{"HMGET", k, one_of_large(), one_of_large()}, {}};
    }
  }
  const std::string field = fmt::format("f{}", random_.below(6));
  const std::string number = fmt::format("n{}", random_.below(4));
  const std::int64_t by = static_cast<std::int64_t>(random_.below(20)) - 10;
  switch (random_.below(10)) {
    case 0:
    case 1:
      return {{"HSET", k, field, value(), fmt::format("f{}", random_.below(6)), value()}, {}};
    case 2:
    case 3:
    case 4:
      return {{"HINCRBY", k, number, std::to_string(by)},
              Operation::Increment{LeafKind::kField, k, number, static_cast<double>(by)}};
    case 5:
      return {{"HINCRBYFLOAT", k, number, fmt::format("{}", static_cast<double>(by) * 0.5)},
              Operation::Increment{LeafKind::kField, k, number, static_cast<double>(by) * 0.5}};
    case 6:
      return {{"HDEL", k, field, number}, {}};
    case 7:
      return {{"HSET", k, number, std::to_string(random_.below(100))}, {}};
    case 8:
      return {{"HSETNX", k, field, value()}, {}};
    default:
      return {{"HGETALL", k}, {}};
  }
}

std::string Workload::score() {
  return fmt::format("{}", (static_cast<double>(random_.below(80)) - 40) / 2);
}

Operation Workload::large_sorted_set(const std::string& key) {
  switch (random_.below(8)) {
    case 0:
    case 1:
      return {{"ZADD", key, score(), one_of_large(), score(), one_of_large()}, {}};
    case 2: {
      const std::string member = one_of_large();
      return {{"ZINCRBY", key, "3", member},
              Operation::Increment{LeafKind::kScore, key, member, 3}};
    }
    case 3:
      return {{"ZREM", key, one_of_large(), one_of_large()}, {}};
    case 4:
      return {{"ZRANGE", key, "5", "9", "WITHSCORES"}, {}};
    case 5:
      return {{"ZRANK", key, one_of_large()}, {}};
    case 6:
      return {{"ZREMRANGEBYSCORE", key, score(), score()}, {}};
    default:
      return {{"ZMSCORE", key, one_of_large(), one_of_large()}, {}};
  }
}

Operation Workload::sorted_set() {
  const std::string k = key("zst");
  if (random_.chance(options_.large)) {
    if (random_.chance(0.4)) return large("ZREM", k, false);
    Operation add{{"ZADD", k}, {}};
    for (const std::string& member : large("", "", false).words) {
      if (member.starts_with('l')) add.words.insert(add.words.end(), {score(), member});
    }
    return add;
  }
  if (options_.large > 0 && random_.chance(0.5)) return large_sorted_set(k);
  const std::string member = fmt::format("z{}", random_.below(6));
  const double by = (static_cast<double>(random_.below(20)) - 9.5) / 2;
  const std::int64_t whole = 1 + static_cast<std::int64_t>(random_.below(9));
  switch (random_.below(12)) {
    case 0:
    case 1:
      return {{"ZADD", k, score(), member, score(), fmt::format("z{}", random_.below(6))}, {}};
    case 2:
    case 3:
    case 4:
      return {{"ZINCRBY", k, std::to_string(whole), member},
              Operation::Increment{LeafKind::kScore, k, member, static_cast<double>(whole)}};
    case 5:
      return {{"ZINCRBY", k, fmt::format("{}", by), member},
              Operation::Increment{LeafKind::kScore, k, member, by}};
    case 6:
      return {{"ZREM", k, member}, {}};
    case 7:
      return {{"ZADD", k, random_.chance(0.5) ? "GT" : "NX", score(), member}, {}};
    case 8:
      return {{"ZPOPMIN", k}, {}};
    case 9:
      return {{"ZUNIONSTORE", k, "2", k, key("set")}, {}};
    case 10:
      return {{"ZREMRANGEBYRANK", k, "0", small(3)}, {}};
    default:
      return {{"ZRANGE", k, "0", "-1", "WITHSCORES"}, {}};
  }
}

Operation Workload::list() {
  const std::string k = key("lst");
  // The oracle knows the elements of one command by these.
  const auto push = [&](const char* command, std::size_t elements) {
    Operation out{{command, k}, {}};
    const std::string name = value();
    for (std::size_t i = 0; i < elements; ++i) {
      out.words.push_back(fmt::format("run:{}:{}", name, i));
    }
    return out;
  };
  const std::string index = std::to_string(static_cast<int>(random_.below(7)) - 3);
  if (random_.chance(options_.large)) {
    return random_.chance(0.6) ? push("RPUSH", 100) : Operation{{"LTRIM", k, "5", "60"}, {}};
  }
  switch (random_.below(14)) {
    case 0:
    case 1:
    case 2:
      return push("RPUSH", 1 + random_.below(3));
    case 3:
    case 4:
      return push("LPUSH", 1 + random_.below(3));
    case 5:
    case 6:
      return {{random_.chance(0.5) ? "LPOP" : "RPOP", k}, {}};
    case 7:
      return {{"LSET", k, index, value()}, {}};
    case 8:
      return {{"LMOVE", k, k, random_.chance(0.5) ? "LEFT" : "RIGHT", "LEFT"}, {}};
    case 9:
      return {{"LTRIM", k, small(3), "-2"}, {}};
    case 10:
      return {{"LINDEX", k, index}, {}};
    case 11:
      return {{"LPUSHX", k, value()}, {}};
    case 12:
      return {{"LMPOP", "1", k, "RIGHT", "COUNT", "2"}, {}};
    default:
      return {{"LRANGE", k, "0", "-1"}, {}};
  }
}

// Groups begin at the beginning and are never set back, so that the oracle knows what they have
// been given; ids are Even's own. Some streams are never trimmed, nor deleted: so what a group has
// passed over is still there in the end.
Operation Workload::stream() {
  const bool stays = random_.chance(0.5);
  const std::string k =
      stays ? std::string(kLastingStreams[random_.below(std::size(kLastingStreams))]) : key("stm");
  const std::string group(kStreamGroups[random_.chance(0.7) ? 0 : 1]);
  switch (stays ? 4 + random_.below(8) : random_.below(16)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
      return {{"XADD", k, "*", "v", value()}, {}};
    case 5:
      if (stays) return {{"XADD", k, "*", "v", value()}, {}};
      return {{"XADD", k, "MAXLEN", small(20), "*", "v", value(), "w", small(9)}, {}};
    case 6:
      return {{"XGROUP", "CREATE", k, group, "0", "MKSTREAM"}, {}};
    case 7:
    case 8:
    case 9:
      return {{"XREADGROUP", "GROUP", group, "c" + small(2), "COUNT", small(5), "STREAMS", k, ">"},
              {}};
    case 10:
      return {{"XREADGROUP", "GROUP", group, "c0", "STREAMS", k, "0"}, {}};
    case 11:
      return {{"XAUTOCLAIM", k, group, "c1", "0", "0", "COUNT", "2"}, {}};
    case 12:
      return {{"XTRIM", k, "MAXLEN", small(10)}, {}};
    case 13:
      return {{"XINFO", "STREAM", k, "FULL"}, {}};
    case 14:
      return {{"XPENDING", k, group}, {}};
    default:
      return {{"XRANGE", k, "-", "+"}, {}};
  }
}

Operation Workload::generic(std::int64_t wall_ms) {
  const std::string k = key(kTypes[random_.below(std::size(kTypes))]);
  if (random_.chance(options_.expiry * 4)) {
    switch (random_.below(3)) {
      case 0:
        return {{"PEXPIRE", k, std::to_string(random_.below(3000))}, {}};
      case 1:
        return {{"PEXPIREAT", k,
                 std::to_string(wall_ms + static_cast<std::int64_t>(random_.below(3000)))},
                {}};
      default:
        return {{"PERSIST", k}, {}};
    }
  }
  switch (random_.below(60)) {
    case 0:
      return {{"FLUSHALL"}, {}};
    case 1:
    case 2:
    case 3:
      return {{"DBSIZE"}, {}};
    case 4:
    case 5:
    case 6:
      return {{"SCAN", "0", "COUNT", "100"}, {}};
    default:
      break;
  }
  if (random_.chance(0.3)) {
    const char* type = kTypes[random_.below(std::size(kTypes))];
    if (random_.chance(0.5)) return {{"RENAME", key(type), key(type)}, {}};
    return {{"COPY", k, key(type) + "copy", "REPLACE"}, {}};
  }
  if (random_.chance(0.5)) return {{"DEL", k, key("set")}, {}};
  return {{"EXISTS", k, key("map")}, {}};
}

}  // namespace even::sim
