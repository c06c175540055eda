// What a group's log consists of, and what of it is kept on disk.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "consensus/configuration.h"

namespace even::consensus {

// A reign: in a term at most one member leads. 0 is before the first one.
using Term = std::uint64_t;

// Terms and indices beyond this are taken for damage. It leaves room to count on.
inline constexpr std::uint64_t kMaxNumber = std::uint64_t{1} << 62;

// Bytes that never change and that several own at a time: the log, a write, a message to each
// follower, whoever applies an entry. Copies share them.
class Payload {
 public:
  Payload() = default;
  Payload(std::string bytes)  // NOLINT(google-explicit-constructor): a string is a payload
      : bytes_(bytes.empty() ? nullptr : std::make_shared<const std::string>(std::move(bytes))) {}

  std::string_view view() const { return bytes_ ? std::string_view(*bytes_) : std::string_view(); }
  std::size_t size() const { return bytes_ ? bytes_->size() : 0; }
  bool empty() const { return bytes_ == nullptr; }
  bool operator==(const Payload& other) const { return view() == other.view(); }

 private:
  std::shared_ptr<const std::string> bytes_;
};

enum class EntryKind : std::uint8_t {
  kNormal,         // for the state machine
  kConfiguration,  // a ConfigurationChange
  kEmpty,          // the first of each term: see docs/consensus.md
};

struct Entry {
  Term term = 0;
  Index index = 0;
  EntryKind kind = EntryKind::kNormal;
  Payload data;

  // What it counts in limits on sizes.
  std::size_t bytes() const { return data.size() + sizeof(Entry); }
  bool operator==(const Entry&) const = default;
};

// What a member must not forget.
struct HardState {
  Term term = 0;
  MemberId vote = kNoMember;  // whom it has voted for in that term
  // Known to be committed when this was written; it is not written for itself. With a change of
  // configuration it is past the change before: see docs/consensus.md.
  Index commit = 0;

  bool operator==(const HardState&) const = default;
};

// The state machine up to an entry, in place of the entries up to it.
struct Snapshot {
  Index index = 0;
  Term term = 0;  // of the entry at index
  Configuration configuration;
  Payload data;  // for whoever stores and sends snapshots; the core does not look at it
};

// The newest of several is enough: they are shared, not copied.
using SnapshotPointer = std::shared_ptr<const Snapshot>;

}  // namespace even::consensus
