#include "cli/import_compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <thread>

#include "cli/import_expiry.h"
#include "cli/record_text.h"
#include "rdb/file.h"

namespace even::cli {
namespace {

constexpr std::uint64_t kValueBytes = std::uint64_t{8} << 30;
constexpr std::size_t kKeysAtOnce = 500;
constexpr int kLooks = 10;
constexpr std::chrono::milliseconds kBetweenLooks{300};

// The bytes of a bulk string; nothing: it is nil, or something else.
std::optional<std::string_view> bulk(std::string_view reply) {
  if (!reply.starts_with('$') || reply.starts_with("$-")) return std::nullopt;
  const std::size_t begin = reply.find('\n') + 1;
  return reply.substr(begin, reply.size() - begin - 2);
}

std::int64_t wall_clock_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// With what has no order put into one.
rdb::Value sorted(rdb::Value value) {
  if (value.type == rdb::Type::kSet) std::ranges::sort(value.items);
  if (value.type == rdb::Type::kHash) {
    std::map<std::string, std::pair<std::string, std::int64_t>> fields;
    const std::int64_t now_ms = wall_clock_ms();
    for (std::size_t i = 0; i + 1 < value.items.size(); i += 2) {
      const std::int64_t at_ms =
          value.expiries_ms.empty() ? rdb::kNoExpiry : value.expiries_ms[i / 2];
      if (at_ms != rdb::kNoExpiry && at_ms <= now_ms) continue;  // it has expired meanwhile
      fields[std::move(value.items[i])] = {std::move(value.items[i + 1]), at_ms};
    }
    const bool any_expire = std::ranges::any_of(
        fields, [](const auto& field) { return field.second.second != rdb::kNoExpiry; });
    value.items.clear();
    value.expiries_ms.clear();
    for (auto& [field, content] : fields) {
      value.items.push_back(field);
      value.items.push_back(std::move(content.first));
      if (any_expire) value.expiries_ms.push_back(content.second);
    }
  }
  if (value.type == rdb::Type::kSortedSet) {
    std::map<std::string, double> members;
    for (std::size_t i = 0; i < value.items.size(); ++i) {
      members[std::move(value.items[i])] = value.scores[i];
    }
    value.items.clear();
    value.scores.clear();
    for (const auto& [member, score] : members) {
      value.items.push_back(member);
      value.scores.push_back(score);
    }
  }
  return value;
}

// What a server holds of a key, so that two of them can be compared.
struct Held {
  std::string type;
  std::string expiry;  // as PEXPIRETIME replies
  std::optional<rdb::Value> value;
  std::string stream;  // of a stream: as XRANGE replies
};

std::int64_t expiry_ms(const Held& held) {
  std::int64_t at_ms = 0;
  std::from_chars(held.expiry.data() + 1, held.expiry.data() + held.expiry.size(), at_ms);
  return at_ms;
}

// What the target will hold once its expiries are settled; a key that is then to go is still there.
void settle(Held& held) {
  if (const auto real = kHeldKey.held(expiry_ms(held))) held.expiry = fmt::format(":{}", *real);
  if (!held.value || held.value->expiries_ms.empty()) return;
  for (std::int64_t& field_ms : held.value->expiries_ms) {
    field_ms = kHeldField.held(field_ms).value_or(field_ms);
  }
  held.value = sorted(std::move(*held.value));
  if (held.value->items.empty()) held = {.type = "+none", .expiry = ":-2"};
}

// Of some keys.
Result<std::vector<Held>> look(RespPipe& pipe, const std::vector<std::string>& keys) {
  std::vector<Held> all(keys.size());
  std::string bytes;
  const auto add = [&bytes](std::initializer_list<std::string_view> words) {
    append_command(bytes, std::span(words.begin(), words.size()));
  };
  for (const std::string& key : keys) {
    add({"TYPE", key});
    add({"PEXPIRETIME", key});
  }
  if (const auto sent = pipe.send(bytes); !sent) return std::unexpected(sent.error());
  for (Held& held : all) {
    for (std::string* text : {&held.type, &held.expiry}) {
      const auto reply = pipe.reply();
      if (!reply) return std::unexpected(reply.error());
      *text = reply->substr(0, reply->size() - 2);
    }
  }
  bytes.clear();
  for (std::size_t i = 0; i < keys.size(); ++i) {
    all[i].type == "+stream" ? add({"XRANGE", keys[i], "-", "+"}) : add({"DUMP", keys[i]});
  }
  if (const auto sent = pipe.send(bytes); !sent) return std::unexpected(sent.error());
  for (Held& held : all) {
    const auto reply = pipe.reply();
    if (!reply) return std::unexpected(reply.error());
    if (held.type == "+stream") {
      held.stream = *reply;
      continue;
    }
    const auto payload = bulk(*reply);
    if (!payload) continue;
    // The checksum is of other forms that mean the same.
    std::string_view content =
        payload->substr(0, payload->size() - std::min<std::size_t>(payload->size(), 10));
    rdb::Budget budget(kValueBytes);
    auto value = rdb::read_value(content, budget);
    if (value) held.value = sorted(std::move(*value));
  }
  return all;
}

Result<std::vector<Held>> look_settled(RespPipe& pipe, const std::vector<std::string>& keys) {
  auto all = look(pipe, keys);
  if (all) std::ranges::for_each(*all, settle);
  return all;
}

// As XRANGE replies it.
std::string as_xrange(const rdb::StreamValue& stream) {
  std::string reply = fmt::format("*{}\r\n", stream.entries.size());
  const auto add = [&reply](std::string_view text) {
    reply += fmt::format("${}\r\n{}\r\n", text.size(), text);
  };
  for (const rdb::StreamValue::Entry& entry : stream.entries) {
    reply += "*2\r\n";
    add(entry.id.text());
    reply += fmt::format("*{}\r\n", entry.fields.size());
    for (const std::string& field : entry.fields) add(field);
  }
  return reply;
}

std::string_view what_differs(const Held& source, const Held& target) {
  const bool gone = source.type == "+none" && expiry_ms(target) > 0;
  if (gone && expiry_ms(target) <= wall_clock_ms()) return "";
  if (source.type != target.type) return target.type == "+none" ? "it is missing" : "its type";
  if (source.value != target.value || source.stream != target.stream) return "its value";
  return source.expiry != target.expiry ? "its expiry" : "";
}

std::string shown(const std::string& key) { return quoted(key.substr(0, 100)); }

Result<> count_keys(RespPipe& pipe, Comparison& out) {
  const auto reply = pipe.call({"DBSIZE"});
  if (!reply) return std::unexpected(reply.error());
  std::uint64_t keys = 0;
  std::from_chars(reply->data() + 1, reply->data() + reply->size(), keys);
  out.target_keys += keys;
  return {};
}

// False: it has no database of this number.
Result<bool> select_database(RespPipe& pipe, std::uint64_t database) {
  const auto reply = pipe.call({"SELECT", std::to_string(database)});
  if (!reply && reply.error().message.starts_with("ERR ")) return false;
  if (!reply) return std::unexpected(reply.error());
  return true;
}
Result<> use_database(RespPipe& pipe, std::uint64_t database) {
  const auto selected = select_database(pipe, database);
  if (!selected) return std::unexpected(selected.error());
  if (!*selected) return fail(fmt::format("the target has no database {}", database));
  return {};
}

}  // namespace

Result<Comparison> compare_source(const ServerAddress& source, DatabasePair database,
                                  const ServerAddress& target) {
  RespPipe theirs;
  RespPipe ours;
  if (const auto up = log_in(theirs, source); !up) return std::unexpected(up.error());
  if (const auto up = log_in(ours, target); !up) return std::unexpected(up.error());
  Comparison out;
  const auto chosen = select_database(theirs, database.source);
  if (!chosen) return std::unexpected(chosen.error());
  if (!*chosen) return out;
  if (const auto up = use_database(ours, database.target); !up) return std::unexpected(up.error());
  std::vector<std::string> doubtful;
  std::string cursor = "0";
  do {
    std::vector<std::string> keys;
    const auto reply = theirs.call({"SCAN", cursor, "COUNT", std::to_string(kKeysAtOnce)});
    if (!reply) return std::unexpected(reply.error());
    const auto next = read_scan(*reply, keys);
    if (!next) return std::unexpected(next.error());
    cursor = *next;
    const auto there = look(theirs, keys);
    const auto here = look_settled(ours, keys);
    if (!there) return std::unexpected(there.error());
    if (!here) return std::unexpected(here.error());
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (!what_differs((*there)[i], (*here)[i]).empty()) doubtful.push_back(keys[i]);
    }
    out.keys += keys.size();
  } while (cursor != "0");
  for (int looks = 0; looks < kLooks && !doubtful.empty(); ++looks) {
    std::this_thread::sleep_for(kBetweenLooks);
    std::vector<std::string> left;
    out.different.clear();
    for (std::size_t from = 0; from < doubtful.size(); from += kKeysAtOnce) {
      const std::vector<std::string> keys(
          doubtful.begin() + static_cast<std::ptrdiff_t>(from),
          doubtful.begin() +
              static_cast<std::ptrdiff_t>(std::min(from + kKeysAtOnce, doubtful.size())));
      const auto there = look(theirs, keys);
      const auto here = look_settled(ours, keys);
      if (!there) return std::unexpected(there.error());
      if (!here) return std::unexpected(here.error());
      for (std::size_t i = 0; i < keys.size(); ++i) {
        const std::string_view why = what_differs((*there)[i], (*here)[i]);
        if (why.empty()) continue;
        left.push_back(keys[i]);
        out.different.push_back(fmt::format("{}: {}", shown(keys[i]), why));
      }
    }
    doubtful = std::move(left);
  }
  if (const auto counted = count_keys(ours, out); !counted) {
    return std::unexpected(counted.error());
  }
  return out;
}

Result<Comparison> compare_file(const std::string& file, const TargetDatabase& target_of,
                                const ServerAddress& target) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream content;
  content << in.rdbuf();
  const std::string bytes = std::move(content).str();
  rdb::FileReader reader(bytes, kValueBytes);
  if (const auto begun = reader.begin(); !begun) return std::unexpected(begun.error());
  RespPipe ours;
  if (const auto up = log_in(ours, target); !up) return std::unexpected(up.error());
  Comparison out;
  std::set<std::uint64_t> databases{0};  // of the target
  std::uint64_t database = 0;            // that of the keys gathered
  std::vector<std::string> keys;
  std::vector<rdb::FileKey> wanted;
  const auto compare = [&]() -> Result<> {
    if (keys.empty()) return {};
    if (const auto used = use_database(ours, database); !used) return used;
    const auto here = look(ours, keys);
    if (!here) return std::unexpected(here.error());
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const Held& held = (*here)[i];
      const auto* value = std::get_if<rdb::Value>(&wanted[i].value);
      std::string_view why;
      if (held.type == "+none") {
        const bool expired = wanted[i].expires_at_ms && *wanted[i].expires_at_ms <= wall_clock_ms();
        why = expired ? "" : "it is missing";
      } else if (value == nullptr) {
        const auto& stream = std::get<rdb::StreamValue>(wanted[i].value);
        if (held.type != "+stream" || held.stream != as_xrange(stream)) why = "its value";
      } else if (held.value != std::optional(sorted(*value))) {
        why = "its value";
      }
      if (why.empty() && held.type != "+none" &&
          held.expiry != fmt::format(":{}", wanted[i].expires_at_ms.value_or(-1))) {
        why = "its expiry";
      }
      if (!why.empty()) out.different.push_back(fmt::format("{}: {}", shown(keys[i]), why));
    }
    out.keys += keys.size();
    keys.clear();
    wanted.clear();
    return {};
  };
  for (rdb::FileKey key;;) {
    const auto more = reader.next(key);
    if (!more) return std::unexpected(more.error());
    const std::optional<std::uint64_t> into = *more ? target_of(key.database) : std::nullopt;
    if (!*more || keys.size() == kKeysAtOnce || (into && *into != database)) {
      if (const auto compared = compare(); !compared) return std::unexpected(compared.error());
    }
    if (!*more) break;
    if (!into) continue;
    database = *into;
    databases.insert(database);
    keys.push_back(key.key);
    wanted.push_back(std::move(key));
  }
  if (reader.end() < bytes.size()) return fail("commands follow its keys");
  for (const std::uint64_t each : databases) {
    if (const auto used = use_database(ours, each); !used) return std::unexpected(used.error());
    if (const auto counted = count_keys(ours, out); !counted) {
      return std::unexpected(counted.error());
    }
  }
  return out;
}

}  // namespace even::cli
