// What a client asks of a strong partition: one thing, in one of many forms, and what the reply
// says of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "replica/strong.h"
#include "verify/history.h"

namespace even::sim {

struct StrongOperation {
  using Words = std::vector<std::string>;
  enum class Kind : std::uint8_t {
    kRead,
    kReadBoth,   // two counters that only transactions change, both alike
    kWrite,      // to a register
    kVanish,     // a register that is written once, and expires
    kCas,        // to a register: SET ... IFEQ
    kWatched,    // the same as a transaction that watches it
    kAdd,        // to a counter
    kAddBoth,    // to both counters
    kAppend,     // to a string
    kInstant,    // tells the instant of its entry
    kUnchecked,  // anything else; its results are compared among the replicas alone
  };
  Kind kind = Kind::kRead;
  verify::Model model = verify::Model::kRegister;
  PartitionId group = 0;
  std::string key;  // that the history has
  std::vector<Words> commands;
  bool transaction = false;
  std::optional<Words> watched;
  std::string watched_reply;
  std::string once;
  bool soon_forgotten = false;  // its id is to be remembered for a moment only
  // Of reads.
  StrongRead level = StrongRead::kLinearizable;
  std::int64_t bound_ms = 0;
  // What is written or appended, what a compare-and-set expects, or what is added.
  std::string value;
  std::optional<std::string> old_value;  // none: that there is none
  std::int64_t by = 0;

  bool reads() const { return kind == Kind::kRead || kind == Kind::kReadBoth; }
};

// A value in RESP2.
struct StrongReply {
  enum class Kind : std::uint8_t { kStatus, kError, kInteger, kBulk, kNull, kArray };
  Kind kind = Kind::kNull;
  std::string text;
  std::vector<StrongReply> parts;

  std::int64_t number() const;
};
// None if it is not one value and nothing else.
std::optional<StrongReply> parse_reply(std::string_view resp);

// RESP2 of what GET replies.
std::string bulk_reply(const std::optional<std::string>& value);

}  // namespace even::sim
