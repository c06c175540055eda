// What commands see of the data: the partitions that the executing thread holds, and the records
// that they make.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/ids.h"
#include "base/reserved.h"
#include "lattice/partition_state.h"

namespace even {

// Which key a command will name first, and, where it has one, which member or field of it; with
// what has been computed of them before the command is executed.
struct Lookup {
  std::string_view key;
  std::string_view element;  // none: data() is null
  // Of no meaning unless `known`.
  bool known = false;
  PartitionId partition = 0;
  std::uint64_t key_hash = 0;
  std::uint64_t element_hash = 0;

  bool knows_key(std::string_view word) const {
    return known && word.data() == key.data() && word.size() == key.size();
  }
  bool knows_element(std::string_view word) const {
    return known && word.data() == element.data() && word.size() == element.size();
  }
};

// What a command is about to write in a partition, as far as is known before it does.
struct WriteIntent {
  std::uint64_t key_hash = 0;  // of the only key
  bool whole = false;          // all of the key, because it is not there yet
  // The fields or members that the command names, every `step`-th word: it writes nothing else of
  // the key, unless it removes something. Empty: it may write anything.
  std::span<const std::string_view> elements;
  std::size_t step = 1;
  const Lookup* lookup = nullptr;  // of the command, if there is one
  // It writes only elements that have never been there before, or else removes only.
  bool fresh = false;

  std::uint64_t element_hash(std::size_t i) const {
    const bool known = lookup != nullptr && lookup->knows_element(elements[i]);
    return known ? lookup->element_hash : hash64(elements[i]);
  }
};

class Keyspace {
 public:
  virtual ~Keyspace() = default;
  virtual PartitionId partition_of(std::string_view key) const = 0;
  // How many partitions there are, in reach or not.
  virtual PartitionId partition_count() const = 0;
  // The partitions in reach, ascending.
  virtual std::span<const PartitionId> partitions() const = 0;
  virtual const PartitionState& state(PartitionId partition) const = 0;
  // The nodes that keep the partition, in order of preference.
  virtual std::vector<NodeNumber> replicas(PartitionId partition) const = 0;
  // Who makes the records that commands write.
  virtual ReplicaId replica() const = 0;
  // Whether values of a string that are written at the same time are all kept until they are
  // resolved.
  virtual bool keeps_siblings(std::string_view) const { return false; }
  // Whether others than this node keep it.
  virtual bool replicated(PartitionId partition) const = 0;
  // Whether commands are executed by several replicas, each on its own: what is drawn at random
  // must then follow from the content of a collection and the numbers drawn, not from its form in
  // memory.
  virtual bool draws_by_content() const { return false; }
  // The memory that the process may use, in bytes. 0: there is no limit, or commands are executed
  // by several replicas, each on its own, which must come to one result whatever their limits are.
  virtual std::uint64_t max_memory() const { return 0; }
  // Whether a key is not a client's, and not one of all keys.
  virtual bool hides(std::string_view key) const { return is_reserved(key); }
  // How many of these PartitionState::visible_keys() counts.
  virtual std::size_t hidden_keys(PartitionId) const { return 0; }
  // Begins a record, or goes on with one that can take what is intended: all of it but its delta.
  // It is either committed before the partition's state changes and another one is begun, or
  // forgotten.
  virtual Record begin(PartitionId partition, const WriteIntent& intent) = 0;
};

}  // namespace even
