// Writers of keys into a topic that is compacted, with deletions and transactions, beside
// everything else that happens to a simulated cluster; and what must hold at each node in the end:
// the last committed record of each key is there, a key that was deleted last has no other one,
// what has not been compacted is untouched, and every record has the offset that it got. See
// docs/topics.md, "Compaction".
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/checks.h"
#include "sim/strong_groups.h"
#include "topic/test_batch.h"

namespace even::sim {

class CompactionClients {
 public:
  // The references outlive this.
  CompactionClients(Run& run, const Nodes& nodes, const KeyspaceTables& tables, std::uint64_t seed)
      : run_(run), nodes_(nodes), tables_(tables), random_(seed) {}

  void begin();
  // Faults have ended, and everything that was sent is answered.
  bool idle() const { return run_.settling && under_way_ == 0; }
  // In the end, when the cluster is quiet. Throws Violation.
  void check(const char* when) const;

 private:
  using KeyValue = topic::test::KeyValue;
  enum class Fate { kOpen, kCommitted, kAborted };
  struct Written {
    std::string key;
    std::optional<std::string> value;
    Fate fate = Fate::kOpen;
    std::int64_t at_us = 0;  // when it was acknowledged
  };
  // Of keys that nobody else writes; under two producer ids, one of which has transactions.
  struct Writer {
    std::int32_t sequence = 0;
    std::int32_t in_transactions = 0;  // the same, of the other id
    std::uint32_t transaction = 0;     // its number
    int batches = 0;                   // left of the open transaction
    std::vector<std::int64_t> open;    // offsets in it
    std::uint64_t records = 0;
  };
  struct Asked {
    std::string batch;
    std::function<void(const std::string& reply)> done;  // empty: it has been called
  };

  void rest(std::size_t writer);
  void act(std::size_t writer);
  void write(std::size_t writer, bool transactional);
  void end_transaction(std::size_t writer);
  // Until it is answered, beside what may still be under way of it.
  void send(std::shared_ptr<Asked> asked);
  void ask(std::shared_ptr<Asked> asked, NodeNumber to);
  std::map<std::int64_t, KeyValue> read_all(Node& node) const;
  void check(const char* when, const Node& node,
             const std::map<std::int64_t, KeyValue>& there) const;
  void note_compacted() const;
  NodeNumber any_node() { return static_cast<NodeNumber>(1 + random_.below(nodes_.size())); }

  Run& run_;
  const Nodes& nodes_;
  const KeyspaceTables& tables_;
  Random random_;
  std::vector<Writer> writers_;
  std::size_t under_way_ = 0;
  std::uint64_t values_ = 0;
  std::map<std::int64_t, Written> written_;  // by offset
  // Up to where any node has been seen to have compacted: who is sent entries by it lacks as much.
  mutable std::int64_t most_compacted_ = 0;
};

}  // namespace even::sim
