#include "cli/import_expiry.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <limits>
#include <thread>

#include "cli/resp_pipe.h"
#include "engine/text.h"
#include "rdb/budget.h"

namespace even::cli {
namespace {

constexpr std::uint64_t kValueBytes = std::uint64_t{8} << 30;
constexpr std::size_t kKeysAtOnce = 1000;
constexpr int kMostPasses = 20;
constexpr std::chrono::milliseconds kBetweenPasses{500};

using Words = std::span<const std::string_view>;

struct Unit {
  bool seconds = false;
  bool relative = false;
};

std::string lower(std::string_view word) {
  std::string out(word);
  std::ranges::transform(out, out.begin(), to_lower);
  return out;
}

// Nothing: it is no number, or out of range, which the target shall say.
std::optional<std::int64_t> instant(std::string_view word, Unit unit, std::int64_t now_ms) {
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  std::int64_t at_ms = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), at_ms);
  if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
  if (unit.seconds && (at_ms > kMax / 1000 || at_ms < -kMax / 1000)) return std::nullopt;
  if (unit.seconds) at_ms *= 1000;
  if (!unit.relative) return at_ms;
  if (at_ms > kMax - now_ms) return std::nullopt;
  return at_ms + now_ms;
}

std::optional<Unit> option_unit(std::string_view word) {
  const std::string name = lower(word);
  if (name == "ex") return Unit{true, true};
  if (name == "px") return Unit{false, true};
  if (name == "exat") return Unit{true, false};
  if (name == "pxat") return Unit{false, false};
  return std::nullopt;
}

std::optional<HeldCommand> as_it_is(Words words) {
  return HeldCommand{{words.begin(), words.end()}};
}

// EXPIRE and its like. Of conditions the source has decided; those of fields may be met by some.
std::optional<HeldCommand> hold_expire(Words words, Unit unit, bool of_field, std::int64_t now_ms) {
  const auto at_ms = instant(words[2], unit, now_ms);
  if (!at_ms) return std::nullopt;
  auto out = as_it_is(words);
  out->words[0] = of_field ? "HPEXPIREAT" : "PEXPIREAT";
  out->words[2] = std::to_string((of_field ? kHeldField : kHeldKey).hold(*at_ms));
  if (!of_field) out->words.resize(3);
  (of_field ? out->fields : out->keys) = true;
  return out;
}

// SET and its like, whose options begin at `from`; those of HSETEX end at FIELDS.
std::optional<HeldCommand> hold_option(Words words, std::size_t from, bool of_field,
                                       std::int64_t now_ms) {
  for (std::size_t i = from; i + 1 < words.size(); ++i) {
    if (of_field && equals_ignore_case(words[i], "fields")) break;
    const auto unit = option_unit(words[i]);
    const auto at_ms = unit ? instant(words[i + 1], *unit, now_ms) : std::nullopt;
    if (!at_ms) continue;
    auto out = as_it_is(words);
    out->words[i] = "PXAT";
    out->words[i + 1] = std::to_string((of_field ? kHeldField : kHeldKey).hold(*at_ms));
    (of_field ? out->fields : out->keys) = true;
    return out;
  }
  return std::nullopt;
}

std::optional<HeldCommand> hold_restore(Words words, std::int64_t now_ms) {
  auto out = as_it_is(words);
  const bool absolute = std::ranges::any_of(
      words.subspan(4), [](std::string_view word) { return equals_ignore_case(word, "absttl"); });
  const auto at_ms = instant(words[2], {.relative = !absolute}, now_ms);
  if (at_ms && words[2] != "0") {
    out->words[2] = std::to_string(kHeldKey.hold(*at_ms));
    if (!absolute) out->words.emplace_back("ABSTTL");
    out->keys = true;
  }
  rdb::Budget budget(kValueBytes);
  if (auto any = rdb::read_payload(words[3], budget)) {
    auto* value = std::get_if<rdb::Value>(&*any);
    out->fields = value != nullptr && hold_expiries(*value);
    if (out->fields) out->words[3] = rdb::write_payload(*any);
  }
  return out->keys || out->fields ? std::move(out) : std::nullopt;
}

// The bulk strings of an array.
std::vector<std::string> bulks(std::string_view reply) {
  std::vector<std::string> out;
  while (!reply.empty()) {
    const std::size_t end = reply.find("\r\n");
    std::size_t size = 0;
    std::from_chars(reply.data() + 1, reply.data() + end, size);
    const bool is_bulk = reply.starts_with('$');
    reply.remove_prefix(end + 2);
    if (!is_bulk) continue;
    out.emplace_back(reply.substr(0, size));
    reply.remove_prefix(size + 2);
  }
  return out;
}

// An array's integers, or the one that it is; others are 0.
std::vector<std::int64_t> integers(std::string_view reply) {
  std::vector<std::int64_t> out;
  while (!reply.empty()) {
    const std::size_t end = reply.find("\r\n");
    std::int64_t number = 0;
    if (reply.starts_with(':')) std::from_chars(reply.data() + 1, reply.data() + end, number);
    if (!reply.starts_with('*')) out.push_back(number);
    reply.remove_prefix(end + 2);
  }
  return out;
}

// One pass over a database.
class Pass {
 public:
  Pass(RespPipe& pipe, bool fields) : pipe_(pipe), fields_(fields) {}

  Result<> settle_keys(const std::vector<std::string>& keys);
  // Of what was held; it is held no more, but for what the target refused.
  std::uint64_t found() const { return found_; }
  const std::string& refused() const { return refused_; }

 private:
  Result<> settle_fields(const std::string& key);
  void add(std::initializer_list<std::string_view> words) {
    append_command(bytes_, std::span(words.begin(), words.size()));
    ++sent_;
  }
  Result<std::vector<std::string>> replies();
  Result<> settle();  // by the commands that were added

  RespPipe& pipe_;
  const bool fields_;
  std::string bytes_;
  std::size_t sent_ = 0;
  std::uint64_t found_ = 0;
  std::string refused_;
};

Result<std::vector<std::string>> Pass::replies() {
  if (const auto sent = pipe_.send(std::exchange(bytes_, {})); !sent) {
    return std::unexpected(sent.error());
  }
  std::vector<std::string> all;
  for (std::size_t left = std::exchange(sent_, 0); left > 0; --left) {
    const auto reply = pipe_.reply();
    if (!reply) return std::unexpected(reply.error());
    all.emplace_back(*reply);
  }
  return all;
}

Result<> Pass::settle() {
  found_ += sent_;
  const auto all = replies();
  if (!all) return std::unexpected(all.error());
  for (const std::string& reply : *all) {
    if (reply.starts_with('-')) refused_ = reply.substr(1, reply.size() - 3);
  }
  return {};
}

Result<> Pass::settle_keys(const std::vector<std::string>& keys) {
  for (const std::string& key : keys) {
    add({"PEXPIRETIME", key});
    if (fields_) add({"TYPE", key});
  }
  const auto all = replies();
  if (!all) return std::unexpected(all.error());
  const std::size_t each = fields_ ? 2 : 1;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto at_ms = kHeldKey.held(integers((*all)[i * each]).front());
    if (!at_ms) continue;
    // Unless somebody has given it another one meanwhile.
    add({"PEXPIREAT", keys[i], std::to_string(*at_ms), "XX", "LT"});
  }
  if (const auto settled = settle(); !settled) return settled;
  for (std::size_t i = 0; fields_ && i < keys.size(); ++i) {
    if ((*all)[i * each + 1] != "+hash\r\n") continue;
    if (const auto settled = settle_fields(keys[i]); !settled) return settled;
  }
  return {};
}

Result<> Pass::settle_fields(const std::string& key) {
  add({"HKEYS", key});
  const auto reply = replies();
  if (!reply) return std::unexpected(reply.error());
  const std::vector<std::string> fields = bulks(reply->front());
  for (std::size_t from = 0; from < fields.size(); from += kKeysAtOnce) {
    const std::size_t size = std::min(kKeysAtOnce, fields.size() - from);
    const std::string number = std::to_string(size);
    std::vector<std::string_view> words{"HPEXPIRETIME", key, "FIELDS", number};
    words.insert(words.end(), fields.begin() + static_cast<std::ptrdiff_t>(from),
                 fields.begin() + static_cast<std::ptrdiff_t>(from + size));
    append_command(bytes_, words);
    ++sent_;
    const auto times = replies();
    if (!times) return std::unexpected(times.error());
    const std::vector<std::int64_t> at = integers(times->front());
    for (std::size_t i = 0; i < std::min(size, at.size()); ++i) {
      const auto at_ms = kHeldField.held(at[i]);
      if (!at_ms) continue;
      add({"HPEXPIREAT", key, std::to_string(*at_ms), "XX", "FIELDS", "1", fields[from + i]});
    }
    if (const auto settled = settle(); !settled) return settled;
  }
  return {};
}

}  // namespace

std::optional<HeldCommand> hold_expiries(Words words, std::int64_t now_ms) {
  const std::string name = lower(words[0]);
  const std::size_t size = words.size();
  if (name == "set") return hold_option(words, 3, false, now_ms);
  if (name == "getex") return hold_option(words, 2, false, now_ms);
  if (name == "hsetex" || name == "hgetex") return hold_option(words, 2, true, now_ms);
  if (name == "msetex" && size > 1) {
    std::size_t pairs = 0;
    std::from_chars(words[1].data(), words[1].data() + words[1].size(), pairs);
    return hold_option(words, 2 + 2 * std::min(pairs, size), false, now_ms);
  }
  if (name == "restore" && size >= 4) return hold_restore(words, now_ms);
  if ((name == "setex" || name == "psetex") && size == 4) {
    const std::string_view set[] = {"SET", words[1], words[3], name == "setex" ? "EX" : "PX",
                                    words[2]};
    return hold_option(set, 3, false, now_ms);
  }
  std::string_view kind = name;
  const bool of_field = kind.starts_with('h');
  if (of_field) kind.remove_prefix(1);
  Unit unit{.seconds = !kind.starts_with('p')};
  if (!unit.seconds) kind.remove_prefix(1);
  unit.relative = kind == "expire";
  if (size < 3 || !(unit.relative || kind == "expireat")) return std::nullopt;
  return hold_expire(words, unit, of_field, now_ms);
}

bool hold_expiries(rdb::Value& value) {
  for (std::int64_t& at_ms : value.expiries_ms) {
    if (at_ms != rdb::kNoExpiry) at_ms = kHeldField.hold(at_ms);
  }
  return !value.expiries_ms.empty();
}

// Until a pass finds none.
Result<> settle_expiries(const ServerAddress& target, std::uint64_t databases, bool fields,
                         const std::function<bool()>& stopped) {
  RespPipe pipe;
  if (const auto up = log_in(pipe, target); !up) return up;
  for (std::uint64_t database = 0; database < databases; ++database) {
    const auto selected = pipe.call({"SELECT", std::to_string(database)});
    if (!selected && selected.error().message.starts_with("ERR ")) break;  // it has fewer
    if (!selected) return std::unexpected(selected.error());
    for (int passes = 0;; ++passes) {
      Pass pass(pipe, fields);
      std::string cursor = "0";
      do {
        if (stopped()) return fail("stopped while the expiries were set");
        const auto reply = pipe.call({"SCAN", cursor, "COUNT", std::to_string(kKeysAtOnce)});
        if (!reply) return std::unexpected(reply.error());
        std::vector<std::string> keys;
        const auto next = read_scan(*reply, keys);
        if (!next) return std::unexpected(next.error());
        cursor = *next;
        if (const auto settled = pass.settle_keys(keys); !settled) return settled;
      } while (cursor != "0");
      if (pass.found() == 0) break;
      if (passes == kMostPasses) {
        return fail("the target does not take the expiries: " +
                    (pass.refused().empty() ? "they stay what they were" : pass.refused()));
      }
      if (!pass.refused().empty()) std::this_thread::sleep_for(kBetweenPasses);
    }
  }
  return {};
}

}  // namespace even::cli
