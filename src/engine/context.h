// One command's view of the world: it reads objects, describes its writes as deltas and writes a reply. Nothing changes until the
// command has returned; then the deltas become records, one per partition, and are joined like any other.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/inlined_vector.h>

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/keyspace.h"
#include "engine/reply.h"
#include "env/random.h"

namespace even {

using Args = std::span<const std::string_view>;

// Collects what a command does to one key. Mentions each leaf once: a later write of a leaf in the same command replaces the earlier.
class KeyWriter {
 public:
  // The key as it was before the command; null when absent or expired.
  const Object* object() const { return object_; }

  // Deletes the key, all types.
  void remove();
  // Makes it a string, whatever it was. With keep_expiry an expiry stays.
  void set_string(std::string_view value, bool keep_expiry);
  // Adds to the string's number. The caller has checked the type, that the value is a number and that it does not overflow.
  void increment(std::int64_t by);
  // Makes the number `to` by adding the difference, so that concurrent increments add up.
  void increment_real_to(Real to);

  void set_field(std::string_view field, std::string_view value);
  void remove_field(std::string_view field);
  void increment_field(std::string_view field, std::int64_t by);
  void increment_field_real_to(std::string_view field, Real to);

  void add_member(std::string_view member);
  void remove_member(std::string_view member);

  void expire_at(std::int64_t at_ms);
  void persist();

 private:
  friend class Context;
  KeyWriter(std::string_view key, const Object* stored, const Object* visible, const Stamp& stamp);
  LeafDelta& leaf(LeafKind kind, std::string_view field);
  void write_scalar(LeafKind kind, std::string_view field, const Scalar* now, std::string_view value);
  template <typename Number>
  void add_increment(const Counter<Number>* counter, std::vector<CounterEntry<Number>>& out, Number by);
  void increment_scalar(LeafKind kind, std::string_view field, const Scalar* now, std::int64_t by);
  void increment_scalar_to(LeafKind kind, std::string_view field, const Scalar* now, Real to);
  const Scalar* stored_field(std::string_view field) const;

  const Object* stored_;  // including residue and expired content; null when there is none at all
  const Object* object_;
  const Stamp& stamp_;
  KeyDelta delta_;
  absl::flat_hash_map<std::pair<LeafKind, std::string_view>, std::size_t> index_;  // used from a number of leaves on
};

class Context {
 public:
  Context(Keyspace& keyspace, Reply& reply, Random& random, std::int64_t now_ms)
      : reply(reply), random(random), now_ms(now_ms), keyspace_(keyspace) {}

  Reply& reply;
  Random& random;
  const std::int64_t now_ms;  // wall clock, one instant for the whole command

  // The object of `key` as a reader sees it: null when absent or expired.
  const Object* find(std::string_view key) const;
  // The same for a command on one type: on a type mismatch replies WRONGTYPE and returns false.
  bool find(std::string_view key, ObjectType type, const Object*& out) const;
  // The writer of `key` for this command; the same one for the same key.
  KeyWriter& write(std::string_view key);
  // Deletes every key in reach.
  void flush_all();

  // Keeps a computed string until the command's records have been made.
  std::string_view keep(std::string text) {
    return *kept_.emplace_back(std::make_unique<std::string>(std::move(text)));
  }

  Keyspace& keyspace() { return keyspace_; }
  const Keyspace& keyspace() const { return keyspace_; }

  // The outcome, for the executor: partitions with what to write to each. Views the arguments and this context.
  struct PartitionWrite {
    PartitionId partition;
    Stamp stamp;
    Delta delta;
    absl::InlinedVector<std::unique_ptr<KeyWriter>, 1> writers;
    absl::flat_hash_map<std::string_view, KeyWriter*> index;
  };
  using Writes = absl::InlinedVector<std::unique_ptr<PartitionWrite>, 1>;
  Writes& finish();

 private:
  PartitionWrite& partition_write(PartitionId partition);

  Keyspace& keyspace_;
  Writes writes_;
  std::vector<std::unique_ptr<std::string>> kept_;
};

inline constexpr std::string_view kWrongType =
    "WRONGTYPE Operation against a key holding the wrong kind of value";

}  // namespace even
