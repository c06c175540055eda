// One command's view of the world: it reads objects, describes its writes in records, one per
// partition, and writes a reply. Nothing changes until the command has returned; then the records
// are joined like any other.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/stable_list.h"
#include "engine/keyspace.h"
#include "engine/reply.h"
#include "env/random.h"

namespace even {

using Args = std::span<const std::string_view>;

class Context;

// Collects what a command does to one key, in the record of the key's partition. Mentions each leaf
// once: a later write of a leaf in the same command replaces the earlier.
class KeyWriter {
 public:
  // Adds `key` to the record's delta. `stored` is the key's object including residue and expired
  // content, `visible` the same as a reader sees it; either is null where there is none, as may be
  // `lookup`, which must outlive this, as must `context`, the command's.
  KeyWriter(std::string_view key, std::uint64_t hash, const Object* stored, const Object* visible,
            const Lookup* lookup, Record& record, Context& context);

  // Of the record.
  Dot dot() const { return dot_; }
  Hlc time() const { return record_.time; }

  // The key as it was before the command; null when absent or expired.
  const Object* object() const { return object_; }

  // Deletes the key, all types.
  void remove();
  // Makes it a string, whatever it was. With keep_expiry an expiry stays. A bounded counter stays
  // one, and takes no value that it may not have: then the command is refused. In a keyspace that
  // keeps siblings, it takes the place of the one that readers see.
  void set_string(std::string_view value, bool keep_expiry);
  // Makes it a bounded counter, whatever it was. The value is within the bound.
  void set_bounded(bool is_max, std::int64_t bound, std::int64_t value, bool keep_expiry);
  // Takes the place of those values of a string for which seen(dot) holds; others stay. Refuses the
  // command where there are too many of them.
  void resolve(const std::function<bool(const Dot&)>& seen, std::string_view value,
               bool keep_expiry);
  // Makes it a string without a bound.
  void set_unbounded(std::string_view value, bool keep_expiry);
  // Of the bounded counter that it is: adds to the number, moves the bound. The caller has seen to
  // the rights and that nothing overflows.
  void change_bounded(std::int64_t by, std::int64_t move);
  // Adds to the string's number. The caller has checked the type, that the value is a number and
  // that it does not overflow.
  void increment(std::int64_t by);
  // Makes the number `to` by adding the difference, so that concurrent increments add up.
  void increment_real_to(Real to);

  // These say whether the field or member is new, or was there to be removed, also in the light of
  // what this command has done to it before.
  bool set_field(std::string_view field, std::string_view value);
  bool remove_field(std::string_view field);
  // One that has never been there; what else the key holds stays as it is.
  void add_fresh_field(std::string_view field, std::string_view value);
  bool add_member(std::string_view member);
  bool remove_member(std::string_view member);

  // Of sorted sets; scores are numbers.
  bool set_score(std::string_view member, double score);
  bool remove_score(std::string_view member);
  // Makes the score `to` by adding the difference, so that concurrent increments add up.
  void increment_score_to(std::string_view member, double to);
  // The score, if it has one, given what the command has set and removed so far.
  std::optional<double> score(std::string_view member);

  // Of lists: see lattice/types/position.h. An element between two that are there or that this
  // command has inserted; returns its position, which lives as long as this.
  std::string_view insert_item(std::string_view left, std::string_view right,
                               std::string_view value);
  // Of one that is there.
  void set_item(std::string_view position, std::string_view value);
  void remove_item(std::string_view position);

  // Of streams: see lattice/types/stream_field.h. Names and values live as long as this.
  void set_stream_field(std::string_view name, std::string_view value);
  bool remove_stream_field(std::string_view name);

  // Of a field that this command leaves there.
  void expire_field(std::string_view field, std::int64_t at_ms);
  void persist_field(std::string_view field);
  // As set_field(), but an expiry of a field that is there stays.
  bool set_field_and_keep_expiry(std::string_view field, std::string_view value);

  void increment_field(std::string_view field, std::int64_t by);
  void increment_field_real_to(std::string_view field, Real to);

  void expire_at(std::int64_t at_ms);
  void persist();

  // For the executor, before it commits: asks for the memory where elements will be put that have
  // not been looked for.
  void look_ahead() const;

 private:
  KeyDelta& delta() { return record_.delta.keys[place_]; }
  const KeyDelta& delta() const { return record_.delta.keys[place_]; }
  // Null when it has not been mentioned.
  LeafDelta* find_leaf(LeafKind kind, std::string_view field);
  // `fresh` comes back as whether the leaf has not been mentioned before.
  LeafDelta& leaf(LeafKind kind, std::string_view field, bool* fresh = nullptr);
  // Whether a reader would find the leaf, given what the command has done so far.
  bool present(const LeafDelta& leaf, bool fresh, bool stored);
  bool stored_member(const LeafDelta& member) const;
  bool set_scalar(LeafKind kind, std::string_view field, std::string_view value);
  // Of a kind without counters: what there is needs no look.
  void set_register(LeafKind kind, std::string_view field, std::string_view value);
  bool remove_element_scalar(LeafKind kind, std::string_view field);
  void write_scalar(LeafDelta& out, const ScalarView& now, std::string_view value);
  template <typename Number>
  void add_increment(const CounterView<Number>& counter, CounterDeltas<Number>& out, Number by,
                     bool anew);
  // `anew`: what there is counts for nothing.
  void increment_scalar(LeafDelta& out, const ScalarView& now, std::int64_t by, bool anew);
  void increment_scalar_to(LeafDelta& out, const ScalarView& now, Real to, bool anew);
  // Whether the field that this is about has expired, as far as is stored.
  bool field_has_lapsed(const LeafDelta& field) const;
  // Takes away the expiry of a field, if one is stored or has been written.
  void forget_field_expiry(std::string_view field);
  // For an increment: of a field that has expired all that there was goes. Returns whether it has.
  bool renew_field(LeafDelta& out);
  ScalarView stored_string() const { return stored_ ? stored_->plain_string() : ScalarView(); }
  ScalarView stored_field(const LeafDelta& field) const;
  // The bytes of a score, kept as long as this.
  std::string_view kept(double score) { return scores_.emplace_back(score).view(); }
  void clear(bool keep_expiry);
  // An element that the key had was removed. When it was the last one the key is gone, and its
  // expiry with it: then all of it is removed.
  void note_removed();

  const Object* stored_;
  const Object* object_;
  const Lookup* lookup_;
  Record& record_;
  Context& context_;
  const Dot dot_;
  const std::size_t place_;  // among the delta's keys
  bool unsought_ = false;    // an element has been written without a look for it
  std::size_t removed_ = 0;  // how often an element that the key had was removed
  StableList<ScoreBytes> scores_;
  StableList<std::string> positions_;
  StableList<std::string> bounded_;
  absl::flat_hash_map<std::pair<LeafKind, std::string_view>, std::size_t>
      index_;  // used from a number of leaves on
};

class Context {
 public:
  // `elements`, `step`, `lookup`, `fresh`: see WriteIntent.
  Context(Keyspace& keyspace, Reply& reply, Random& random, std::int64_t now_ms, Args elements = {},
          std::size_t step = 1, const Lookup* lookup = nullptr, bool fresh = false)
      : reply(reply),
        random(random),
        now_ms(now_ms),
        keyspace_(keyspace),
        reply_begin_(reply.position()),
        elements_(elements),
        step_(step),
        lookup_(lookup),
        fresh_(fresh) {}

  Reply& reply;
  Random& random;
  const std::int64_t now_ms;  // wall clock, one instant for the whole command

  // The object of `key` as a reader sees it: null when absent or expired.
  const Object* find(std::string_view key) const;
  // Whether find() of a command counts for keyspace_hits and keyspace_misses, which are about
  // reading. From now on.
  void count_reads() { counts_reads_ = true; }
  std::uint64_t hits() const { return hits_; }
  std::uint64_t misses() const { return misses_; }
  // The same for a command on one type: on a type mismatch replies WRONGTYPE and returns false.
  bool find(std::string_view key, ObjectType type, const Object*& out) const;
  // The writer of `key` for this command; the same one for the same key.
  KeyWriter& write(std::string_view key);
  // Whether somebody else can be writing the key at the same time.
  bool shared(std::string_view key) const { return keyspace_.replicated(locate(key).partition); }
  // hash64 of a field or member.
  std::uint64_t hash_of(std::string_view element) const {
    const bool known = lookup_ != nullptr && lookup_->knows_element(element);
    return known ? lookup_->element_hash : hash64(element);
  }
  // For the executor, after the handler: whether the command cannot be done, whatever it has
  // replied. Then it has replied why instead, and nothing is to be committed.
  bool refused();
  void refuse(std::string why) { refusal_ = std::move(why); }
  // Rights of a bounded counter that the command has found missing, and which has replied so.
  struct Lack {
    std::string key;
    std::uint64_t amount = 0;  // that it needs in all
  };
  void note_lack(std::string_view key, std::uint64_t amount) { lack_ = {std::string(key), amount}; }
  std::optional<Lack>& lack() { return lack_; }
  // Deletes every key in reach.
  void flush_all();
  // Every key of a stored database.
  void flush_database(DatabaseNumber stored_database);

  // Keeps a computed string until the command's records have been made.
  std::string_view keep(std::string text) {
    return *kept_.emplace_back(std::make_unique<std::string>(std::move(text)));
  }

  Keyspace& keyspace() { return keyspace_; }
  const Keyspace& keyspace() const { return keyspace_; }

  // The outcome, for the executor: the records to commit. They view the arguments and this context.
  struct PartitionWrite {
    explicit PartitionWrite(Record begun) : record(std::move(begun)) {}
    Record record;
    StableList<KeyWriter> writers;
    absl::flat_hash_map<std::string_view, KeyWriter*> index;  // used from a number of writers on
  };
  StableList<PartitionWrite>& writes() { return writes_; }

 private:
  // Where a key is. Remembers the last one, because most commands look at a key and then write it.
  struct Place {
    std::string_view key;
    std::uint64_t hash = 0;
    PartitionId partition = 0;
    const Object* stored = nullptr;  // including residue and expired content
    const Object* visible = nullptr;
  };
  const Place& locate(std::string_view key) const;
  PartitionWrite& partition_write(PartitionId partition, const WriteIntent& intent);
  void flush(PartitionId partition);
  void keep_all_of(std::string_view key, const Object& object, Delta& delta);

  Keyspace& keyspace_;
  const std::size_t reply_begin_;
  const Args elements_;
  const std::size_t step_;
  const Lookup* const lookup_;
  const bool fresh_;
  mutable Place last_;
  bool counts_reads_ = false;
  mutable std::uint64_t hits_ = 0;
  mutable std::uint64_t misses_ = 0;
  StableList<PartitionWrite> writes_;
  std::optional<std::string> refusal_;
  std::optional<Lack> lack_;
  std::vector<std::unique_ptr<std::string>> kept_;
};

inline constexpr std::string_view kWrongType =
    "WRONGTYPE Operation against a key holding the wrong kind of value";

}  // namespace even
