// The state of one partition: a version vector and the objects whose causal context it is.
//
// Invariants: the vector covers every dot in every object; the digest is the sum of the hashes of
// all live elements, so two replicas with equal vectors have equal digests; nothing but join
// changes the state of an object as a reader sees it.
//
// Objects are in memory, or in a store and not in memory (cold), if there is one; whoever reads
// does not see the difference. What has changed since it was stored is known, and is in memory. Of
// one hash, either all objects are in memory or none. A key that is gone, but may still be in the
// store, keeps an empty object in memory until that has been put right. Of a large collection that
// is in memory, elements may be cold in the same way: see table.h.
#pragma once

#include <absl/container/flat_hash_set.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/database.h"
#include "lattice/changes.h"
#include "lattice/expiry_index.h"
#include "lattice/object.h"

namespace even {

struct JoinStats {
  std::uint64_t conflicts =
      0;  // concurrent writes of one register, or types of one key, that met in this join
  std::uint64_t type_conflicts = 0;  // the latter alone
};

// Reads something of a state over several turns, and is told before it changes.
class StateReader {
 public:
  // The delta is about to be joined.
  virtual void before_join(const Delta& delta) = 0;
  // The state is about to be forgotten, and the reader with it.
  virtual void before_forget() = 0;

 protected:
  ~StateReader() = default;
};

// Is told of every key that readers may now see another value of, whatever the change came from: a
// command, another replica's record or state, an expiry, a repair. It may be told of keys that have
// not changed.
class KeyChangeObserver {
 public:
  // Whether anybody wants to know, for now.
  virtual bool wanted() const = 0;
  // By its stored name. Called before the change or after it, within the same step on the thread
  // that has the shard: nothing is read in between.
  virtual void key_changed(std::string_view key) = 0;
  // Any key may have.
  virtual void all_changed() = 0;

 protected:
  ~KeyChangeObserver() = default;
};

// Keys with content, as a partition counts them, of each stored database but 0.
struct DatabaseCounts {
  struct Count {
    std::uint64_t keys = 0;
    std::uint64_t expiring = 0;     // of these, those that have an expiry
    std::uint64_t expiries_ms = 0;  // the sum of these, modulo 2^64

    bool operator==(const Count&) const = default;
  };
  std::array<Count, kDatabases> of{};

  std::uint64_t keys_beside_0() const {
    std::uint64_t sum = 0;
    for (const Count& count : of) sum += count.keys;
    return sum;
  }
  DatabaseCounts& operator+=(const DatabaseCounts& other) {
    for (std::size_t i = 0; i < of.size(); ++i) {
      of[i].keys += other.of[i].keys;
      of[i].expiring += other.of[i].expiring;
      of[i].expiries_ms += other.of[i].expiries_ms;
    }
    return *this;
  }
  bool operator==(const DatabaseCounts&) const = default;
};

class PartitionState final : private ElementSource {
 public:
  // Joins a delta whose maker had seen `context`, and takes over what the context covers. For a
  // record, the caller has made sure that this state has seen all of its context but the record
  // itself (causal delivery); for a full delta there is no precondition.
  JoinStats join(const Delta& delta, const VersionVector& context);
  // A record, which may fold runs besides.
  JoinStats join(const Record& record);
  // The same in two steps, for a delta that comes in parts: until cover(), the state holds a part
  // of what its vector does not cover yet.
  JoinStats join_part(const Delta& part, const VersionVector& context);
  // Brings into memory what joining the delta would look at. Throws Unreadable, which the join then
  // does not.
  void prepare(const Delta& delta, const VersionVector& context) const;
  void cover(const VersionVector& context) {
    vector_.merge(context);
    changed_ = true;
  }
  void cover(const Dot& dot) {
    vector_.add(dot);
    changed_ = true;
  }

  // From now on, until remove_reader() or before_forget(), `reader` is told what is about to
  // happen.
  void add_reader(StateReader& reader) { readers_.all.push_back(&reader); }
  void remove_reader(StateReader& reader) { std::erase(readers_.all, &reader); }

  // From now on; null: nobody is told. It outlives this.
  void observe_keys(KeyChangeObserver* observer) { observer_ = observer; }

  const VersionVector& vector() const { return vector_; }
  std::uint64_t digest() const { return digest_ + error_; }
  // The digest as joins have made it, which is what is stored. It is digest(), unless an audit has
  // found that something else is held.
  std::uint64_t recorded_digest() const { return digest_; }
  // Computed anew from the objects; for checks. Checks what is known of tables, too.
  std::uint64_t recompute_digest() const;
  // The part of one key's object in it, as a number that differs between any two states of the key.
  // Of tables, as it is kept with them.
  static std::uint64_t digest_of(std::uint64_t key_hash, const Object& object);
  // The same, added up from the elements of tables of no more than kAuditedElements.
  static std::uint64_t content_digest(std::uint64_t key_hash, const Object& object);
  static constexpr std::size_t kAuditedElements = 4096;
  // That of all objects, which is recorded_digest() unless some hold what no join has put there.
  // Throws Unreadable.
  std::uint64_t content_digest() const;
  // Puts what these keys describe, which are all of this hash that there are, in the place of what
  // is here of it: nothing is joined, and the vector, which covers all of it, stays. The digest
  // becomes that of the new content, as far as it was that of the old one. For repairs; see
  // docs/repair.md.
  void replace(std::uint64_t hash, std::span<const KeyDelta> keys);
  // digest() becomes what an audit has counted.
  void set_content_digest(std::uint64_t counted) { error_ = counted - digest_; }
  void set_recorded_digest(std::uint64_t digest) {
    digest_ = digest;
    changed_ = true;
  }

  // The object of `key`, which may be mere residue or expired; null when there is none. Valid until
  // the next change or evict(). Like all that looks for objects, it throws Unreadable.
  const Object* find(std::string_view key, std::uint64_t hash) const {
    const auto* node = objects_.find_node(key, hash);
    if (node == nullptr) {
      if (cold_ == 0 || !load(hash)) return nullptr;
      node = objects_.find_node(key, hash);
      if (node == nullptr) return nullptr;
    }
    note_use(*node);
    return node->value.empty() ? nullptr : &node->value;
  }
  bool empty() const { return object_count() == 0; }
  std::size_t object_count() const { return objects_.size() - gone_ + cold_; }
  // Calls visit(key, object) for each, in no order; those that are cold do not come into memory,
  // and what visit is given of them ends with the call. It may throw Unreadable.
  template <typename Visit>
  void for_each(Visit visit) const {
    objects_.for_each([&visit](std::string_view key, const Object& object) {
      if (!object.empty()) visit(key, object);
    });
    scan_cold(0, [&visit](std::uint64_t, std::string_view key, const Object& object) {
      visit(key, object);
      return true;
    });
  }
  // Calls visit(hash, key, object) in order of hashes from `first` on while it returns true.
  void scan(std::uint64_t first, const std::function<bool(std::uint64_t hash, std::string_view key,
                                                          const Object& object)>& visit) const;
  // Calls visit(key, object) for an object drawn at random, if there is one. Uniform as far as all
  // are in memory.
  void random(Random& random,
              const std::function<void(std::string_view key, const Object& object)>& visit) const;
  // For those who only ask for memory ahead of time.
  const HashOrderedMap<Object>& in_memory() const { return objects_; }

  // Number of keys with content.
  std::size_t live_keys() const { return live_keys_; }
  // Of these, keys whose expiry has come, as of the last lapse(): no reader sees them.
  std::size_t lapsed_keys() const { return lapsed_.size(); }
  std::size_t visible_keys() const { return live_keys_ - lapsed_.size(); }
  // The same of stored databases other than 0 (base/database.h).
  std::size_t live_keys_beside_0() const { return databases_ ? databases_->keys_beside_0() : 0; }
  std::size_t live_keys_of(DatabaseNumber database) const {
    return databases_ ? databases_->of[database].keys : 0;
  }
  DatabaseCounts live_of_databases() const { return databases_ ? *databases_ : DatabaseCounts(); }
  // These look at each key that has lapsed.
  DatabaseCounts visible_of_databases() const;
  std::size_t visible_keys_of(DatabaseNumber database) const {
    return live_keys_of(database) == 0 ? 0 : visible_of_databases().of[database].keys;
  }
  std::size_t visible_keys_beside_0() const {
    return live_keys_beside_0() == 0 ? 0 : visible_of_databases().keys_beside_0();
  }
  // Keys that will expire.
  std::size_t keys_with_expiry() const { return expiries_.size(); }
  // The sum of what these have left to live.
  double sum_of_ttls_ms(std::int64_t now_ms) const { return expiries_.sum_of_ttls_ms(now_ms); }
  // Of the key that expires next.
  std::optional<std::int64_t> next_expiry_ms() const {
    if (expiries_.empty()) return std::nullopt;
    return expiries_.first().first;
  }
  std::size_t residue_keys() const { return old_residue_.keys.size() + new_residue_.keys.size(); }

  // Objects without content that still have an expiry: keys that were purged.
  std::size_t leftover_expiries() const { return leftovers_.size(); }

  // Tells keys that have lapsed by `now_ms` from those that will expire.
  void lapse(std::int64_t now_ms);
  // These call visit(key, object) for up to `limit` keys or objects, earliest first: of those that
  // have lapsed and whose expiry had come by `until_ms`; of those whose expiry is left over and had
  // come by then; of those that will expire.
  using VisitKey = std::function<void(std::string_view key, const Object& object)>;
  void lapsed(std::int64_t until_ms, std::size_t limit, const VisitKey& visit) const;
  void left_over(std::int64_t until_ms, std::size_t limit, const VisitKey& visit) const;
  void soonest(std::size_t limit, const VisitKey& visit) const;

  // Of hashes with fields that expire, whose names are filed by no later than the first of these.
  std::size_t keys_with_field_expiry() const { return field_expiries_.size(); }
  // No field expires before this instant; nothing when none does.
  std::optional<std::int64_t> next_field_expiry_ms() const {
    if (field_expiries_.empty()) return std::nullopt;
    return field_expiries_.first().first;
  }
  // Calls visit(key, object) for hashes with expiries of fields that have come by `until_ms`, up to
  // about `limit`, earliest first. Brings the expiries of each in, and files anew those that it
  // finds filed too early. visit may not change the state.
  void with_lapsed_fields(std::int64_t until_ms, std::size_t limit, const VisitKey& visit);

  // Calls visit(key, object) for live keys, soonest to expire first, while it returns true: those
  // in memory among the first `limit`.
  void next_to_expire(
      std::size_t limit,
      const std::function<bool(std::string_view key, const Object& object)>& visit) const;

  // Frees memory of large collections that have been removed, of no more than `limit` elements,
  // from which it takes what it has freed. Returns whether there are more.
  bool free_removed(std::size_t& limit);

  // Drops residue that no replica can need any more. `stable`: every replica of the partition has
  // seen all of it, and this one has seen all that any of them had seen when it said so. Invisible
  // to readers and to the digest.
  void collect_residue(const VersionVector& stable);

  // Everything, as one full delta. Views this state, of which nothing may be cold.
  Delta describe() const;

  // --- The store.

  // What is stored of a partition beside its objects and the index of expiries.
  struct Summary {
    VersionVector vector;
    std::uint64_t digest = 0;
    std::uint64_t objects = 0;
    std::uint64_t live_keys = 0;
    DatabaseCounts databases;
  };
  // From now on what changes is noted. `stored` outlives this. On a new state; `summary` and
  // restore_expiry() say what the store holds.
  void attach(StoredObjects& stored, const Summary& summary);
  void restore_expiry(const Changes::Expiry& entry, const StoredExpiry& of);
  // Becomes new, as before attach(); what is being read for it is not to be taken in any more. The
  // memory of its objects is left to free_removed().
  void forget();
  // As attach(), on a new state, in place of which `stored` has what `other` has: all of it is cold
  // here, and changed. What `other` knows of expiries is taken from it.
  void attach(StoredObjects& stored, PartitionState& other);
  // Lets go of everything in memory. All of it is stored.
  void cool();
  Summary summary() const;

  // Also when no object has changed, but the vector.
  bool changed() const { return changed_ || !changes_.empty(); }
  std::size_t changed_keys() const { return changes_.keys.size(); }
  // Takes what has changed since the last time, and shows it as it is now, with the summary that
  // goes with it. Afterwards exactly one of stored() and not_stored() is due before the next.
  Changes take_changes(ChangeVisitor& visitor, Summary& summary);
  void stored(const Changes& changes);
  void not_stored(const Changes& changes);

  std::size_t cold() const { return cold_; }
  // Whether anything can be cold, objects or elements of collections.
  bool any_cold() const { return cold_ > 0 || partial_; }
  // Empty objects, which are in memory until it has been stored that they are gone.
  std::size_t gone() const { return gone_; }

  // How the uses of an object in memory are counted: it begins with `fresh`, a use raises that to
  // `first`, and further ones to up to `most`, each step with half the chance of the one before, so
  // that it is about the logarithm of a number. Nothing is counted from `most` on.
  struct UseCounts {
    std::uint8_t fresh = 0;
    std::uint8_t first = 1;
    std::uint8_t most = 1;
  };
  void count_uses(const UseCounts& counts) { use_counts_ = counts; }
  // Whether a key's count of uses grows with the logarithm of how often it is used.
  bool counts_by_logarithm() const { return use_counts_.most > use_counts_.first; }

  // These two go over what is in memory, about `limit` objects from hash `hand` on, and leave it
  // where to go on: 0 at the end. An object whose count of uses is not 0 is passed over and has it
  // lowered.
  //
  // Drops from memory what is stored as it is, objects and elements of collections, which count
  // for `limit` as well. Returns how many it dropped. Not between take_changes() and its outcome.
  std::size_t evict(std::uint64_t& hand, std::size_t limit);
  // Calls visit(key, object) for keys with content, with `expiring` only for those that have an
  // expiry, while it returns true. Returns how many of them it looked at, passed over or not.
  std::size_t unused(
      std::uint64_t& hand, std::size_t limit, bool expiring,
      const std::function<bool(std::string_view key, const Object& object)>& visit) const;
  // Brings into memory what the store holds of these hashes, faster than one by one; and of these
  // elements, where they are in tables.
  void warm(std::vector<std::uint64_t> hashes) const;
  void warm_elements(std::vector<Changes::Element> elements) const;
  // Whether objects of `hash` would have to be read from the store.
  bool is_cold(std::uint64_t hash) const {
    if (cold_ == 0 || absent_.contains(hash)) return false;
    return objects_.first_of(hash) == nullptr;
  }
  // Counts how often something was let go from memory. What was read from the store while this had
  // another value is not to be taken in.
  std::uint64_t epoch() const { return epoch_; }
  // Takes in an object of a hash that is cold, read from the store; or that there is none.
  void admit(std::uint64_t hash, std::string_view key, Object&& object) const;
  void admit_absence(std::uint64_t hash) const;
  // The same for elements of a key that is in memory.
  bool is_cold(std::string_view key, const Changes::Element& element) const;
  void admit_elements(std::string_view key, const Changes::Element& element,
                      std::span<const LeafDelta> leaves) const;

 private:
  // Keys that may hold residue, and what this replica had seen when the generation was closed.
  struct Generation {
    std::uint32_t number = 0;
    std::vector<std::string> keys;
    VersionVector closed_at;
  };

  struct Readers {
    Readers() = default;
    Readers(Readers&&) = default;
    ~Readers() {
      for (StateReader* reader : std::exchange(all, {})) reader->before_forget();
    }
    std::vector<StateReader*> all;
  };

  void tell_readers(const Delta& delta);
  bool is_observed() const { return observer_ != nullptr && observer_->wanted(); }
  void tell_of_lapse(const ExpiryIndex::Entry& entry) const;
  void join_key(const KeyDelta& delta, const VersionVector& context, JoinStats& stats);
  void join_leaf(Object& object, std::uint64_t key_hash, const LeafDelta& leaf, bool full,
                 const VersionVector& context, JoinStats& stats);
  template <typename Store>
  void join_scalar(const ScalarView& now, std::uint64_t seed, const LeafDelta& leaf, bool full,
                   const VersionVector& context, JoinStats& stats, Store store);
  bool overwrites(const ScalarView& now, const Dot& dot, const VersionVector& context) const;
  void remove_unmentioned(Object& object, std::uint64_t key_hash, const KeyDelta& delta,
                          const VersionVector& context, JoinStats& stats);
  void note_residue(std::string_view key, Object& object) const;
  void count_in_database(std::string_view key, bool live, std::optional<std::int64_t> expires_at,
                         bool in);
  void note_changed(HashOrderedMap<Object>::Node& node, bool was_gone);
  void file_field_expiry(std::optional<std::int64_t> was, std::optional<std::int64_t> is,
                         std::uint64_t key_hash);
  void note_expiry(std::int64_t at_ms, std::uint64_t key_hash) {
    if (stored_ != nullptr) changes_.expiries.push_back({at_ms, key_hash});
  }
  void note_element(std::uint64_t key_hash, LeafKind kind, std::uint64_t element_hash) {
    if (stored_ != nullptr) changes_.elements.push_back({key_hash, kind, element_hash});
  }
  template <typename Cell>
  static TableSummary summarize(std::uint64_t key_hash, LeafKind kind, const Table<Cell>& table);
  static void summarize_tables(std::uint64_t key_hash, const Object& object);
  static void check_summaries(std::uint64_t key_hash, const Object& object);
  void remove_table(Object& object, std::uint64_t key_hash, LeafKind kind);
  void clear(HashOrderedMap<Object>::Node& node);
  void note_tables(Object& object, std::uint64_t key_hash, LeafKind kind, bool was_table,
                   std::uint64_t digest_change, const LeafDelta* joined = nullptr);
  void show_elements(HashOrderedMap<Object>::Node& node, LeafKind kind, bool all,
                     std::span<const Changes::Element> changed, ChangeVisitor& visitor);
  template <typename Visit>
  void with_tables_of(std::uint64_t key_hash, Visit visit);
  bool evict_elements(std::uint64_t key_hash, std::size_t& limit, std::size_t& evicted);

  void load_element(const TableName& table, std::uint64_t hash,
                    const VisitElements& visit) const override {
    stored_->load_element(table, hash, visit);
  }
  void scan_elements(const TableName& table, std::uint64_t first, std::uint64_t last,
                     const VisitElements& visit) const override {
    stored_->scan_elements(table, first, last, visit);
  }
  void note_residue(const TableName& table) const override;

  // Whether there is anything of this hash in memory, once it has been looked for in the store.
  bool load(std::uint64_t hash) const;
  void load_objects() const;
  void load_all() const;
  void load_elements(const KeyDelta& named, const VersionVector& context) const;
  void scan_cold(
      std::uint64_t first,
      const std::function<bool(std::uint64_t, std::string_view, const Object&)>& visit) const;

  void note_use(const HashOrderedMap<Object>::Node& node) const {
    if (node.uses() < use_counts_.most) count_use(node);
  }
  void count_use(const HashOrderedMap<Object>::Node& node) const;

  VersionVector vector_;
  mutable std::uint32_t draws_ = 0;  // of count_use()
  UseCounts use_counts_;             // beside objects_, with which it is needed
  // Mutable, as are others below: reading brings in what is cold.
  mutable HashOrderedMap<Object> objects_;
  StoredObjects* stored_ = nullptr;
  std::size_t gone_ = 0;          // empty objects
  mutable std::size_t cold_ = 0;  // objects that are not in memory
  mutable bool partial_ = false;  // elements of those that are may be cold
  mutable absl::flat_hash_set<std::uint64_t>
      absent_;  // hashes that are known not to be in the store
  Changes changes_;
  bool changed_ = false;
  std::uint64_t epoch_ = 0;
  std::uint64_t digest_ = 0;
  std::uint64_t error_ = 0;  // by how much what is held differs from it
  std::size_t live_keys_ = 0;
  std::unique_ptr<DatabaseCounts> databases_;  // null: there never was a key of another one than 0
  void visit_expiries(const ExpiryIndex& expiries, bool live, std::int64_t until_ms,
                      std::size_t limit, const VisitKey& visit) const;
  ExpiryIndex expiries_;                // of live keys
  ExpiryIndex lapsed_;                  // of live keys that no reader sees any more
  ExpiryIndex leftovers_;               // of objects without content
  ExpiryIndex field_expiries_;          // of hashes, by Object::first_field_expiry_ms()
  std::int64_t fields_lapsed_ms_ = -1;  // up to when observers know of these
  Generation old_residue_{0, {}, {}};
  mutable Generation new_residue_{1, {}, {}};
  Readers readers_;
  KeyChangeObserver* observer_ = nullptr;
  std::vector<Object> removed_;    // tables whose memory is to be freed
  HashOrderedMap<Object> former_;  // the same of objects of a state that has been forgotten
};

}  // namespace even
