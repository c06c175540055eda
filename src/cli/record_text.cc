#include "cli/record_text.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>
#include <vector>

#include "base/database.h"
#include "lattice/types/bound.h"
#include "lattice/types/position.h"
#include "lattice/types/score.h"
#include "lattice/types/stream_field.h"

namespace even::cli {
namespace {

std::string number_text(std::int64_t number) { return std::to_string(number); }
std::string number_text(Real number) { return format_real(number); }

template <typename Entries>
void add_counter(const Entries& entries, std::string& out) {
  for (const auto& entry : entries) {
    out += fmt::format(" += {} ({})", number_text(entry.sum),
                       Dot{entry.replica, entry.seq}.to_string());
    if (entry.removed_seq == 0 || (!entry.live() && entry.seq == 0)) continue;
    out += fmt::format(" -= {} (:{})", number_text(entry.removed_sum), entry.removed_seq);
  }
}

std::string bounded_text(std::string_view bytes) {
  BoundedNumber number;
  if (!decode_bounded(bytes, number)) return "?";
  std::string out =
      fmt::format("{} {} from {}", number.is_max ? "max" : "min", number.limit, number.base);
  for (const BoundEntry& entry : number.entries) {
    out += fmt::format(" += {} ({})", entry.sum, Dot{entry.replica, entry.seq}.to_string());
    if (entry.moved != 0) out += fmt::format(" moves {}", entry.moved);
    for (const BoundEntry::Gift& gift : entry.gifts) {
      out += fmt::format(" gives {} to {}", gift.amount, gift.to.to_string());
    }
  }
  return out;
}

std::string leaf_name(const LeafDelta& leaf) {
  switch (leaf.kind) {
    case LeafKind::kString:
      return "";
    case LeafKind::kField:
      return fmt::format("hash[{}]", quoted(leaf.field));
    case LeafKind::kMember:
      return fmt::format("set[{}]", quoted(leaf.field));
    case LeafKind::kScore:
      return fmt::format("zset[{}]", quoted(leaf.field));
    case LeafKind::kItem:
      return fmt::format("list[{}]", position_text(leaf.field));
    case LeafKind::kEntry:
      return fmt::format("stream[{}]", stream_field_text(leaf.field));
    case LeafKind::kExpiry:
      return "expires";
    case LeafKind::kBound:
      return "bounded";
    case LeafKind::kFieldExpiry:
      return fmt::format("expires[{}]", quoted(leaf.field));
  }
  return "";
}

std::string leaf_text(const Record& record, const LeafDelta& leaf) {
  const bool score = leaf.kind == LeafKind::kScore;
  const bool instant = leaf.kind == LeafKind::kFieldExpiry;
  const bool scalar = is_scalar(leaf.kind) && !score && !instant;
  std::string out = leaf_name(leaf);
  std::string values;
  for (const SiblingView& sibling : leaf.siblings) {
    if (scalar) values += " " + quoted(sibling.value);
    if (score) values += " " + score_text(score_in(sibling.value));
    if (instant) values += " " + instant_text(instant_in(sibling.value));
    if (leaf.kind == LeafKind::kBound) values += " " + bounded_text(sibling.value);
    if (leaf.kind == LeafKind::kExpiry) values += " " + instant_text(sibling.at_ms);
    if (sibling.dot != record.dot()) values += fmt::format("@{}", sibling.dot.to_string());
  }
  if (is_element(leaf.kind) && is_scalar(leaf.kind) && !leaf.siblings.empty()) out += " =";
  out += values;
  add_counter(leaf.integers, out);
  add_counter(leaf.reals, out);
  const bool nothing = leaf.siblings.empty() && leaf.integers.empty() && leaf.reals.empty();
  if (nothing) out += " removed";
  return out.starts_with(' ') ? out.substr(1) : out;
}

std::string key_text(const Record& record, const KeyDelta& key) {
  std::vector<std::string> leaves;
  for (const LeafDelta& leaf : key.leaves) leaves.push_back(leaf_text(record, leaf));
  if (leaves.empty() && key.full) leaves.emplace_back("nothing");
  const DatabaseNumber database = database_of(key.key);
  return fmt::format("{}{}{} {}", database == 0 ? "" : fmt::format("database {}: ", database),
                     quoted(user_key(key.key)), key.full ? " :=" : "", fmt::join(leaves, ", "));
}

}  // namespace

std::string quoted(std::string_view bytes) {
  std::string out = "\"";
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (byte < 0x20 || byte >= 0x7f) {
          out += fmt::format("\\x{:02x}", byte);
        } else {
          out += c;
        }
    }
  }
  return out + '"';
}

std::string time_text(Hlc time) {
  const std::int64_t ms = time.wall_ms();
  std::string out = fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z",
                                fmt::gmtime(static_cast<std::time_t>(ms / 1000)), ms % 1000);
  if (time.logical() != 0) out += fmt::format("+{}", time.logical());
  return out;
}

std::string instant_text(std::int64_t at_ms) {
  constexpr std::int64_t kYear10000 = 253'402'300'800'000;
  if (at_ms < 0 || at_ms >= kYear10000) return fmt::format("at {} ms", at_ms);
  return time_text(Hlc::at(at_ms));
}

std::string record_text(const Record& record) {
  const Dot own = record.dot();
  std::string out = fmt::format("partition {} ", record.partition);
  if (own.seq == 0) {
    out += "state";
  } else {
    out += own.to_string() + " " + time_text(record.time);
  }
  if (record.folds) out += " folds the runs before it";
  VersionVector others;
  bool own_folds = false;
  for (const VersionVector::Entry& entry : record.context.entries()) {
    if (entry.replica == own.replica) {
      own_folds = entry.folds;
      continue;
    }
    others.add(entry);
    if (entry.folds) others.fold(entry.replica);
  }
  if (own_folds) out += "+";
  if (!others.empty())
    out += fmt::format(" {} {}", own.seq == 0 ? "of" : "after", others.to_string());
  std::vector<std::string> keys;
  for (const KeyDelta& key : record.delta.keys) keys.push_back(key_text(record, key));
  if (record.delta.full) keys.insert(keys.begin(), "all other keys := nothing");
  return out + " " + fmt::format("{}", fmt::join(keys, "; "));
}

}  // namespace even::cli
