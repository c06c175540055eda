// A client that creates, changes and drops keyspaces through the metadata group, and now and then
// writes to one; a request at a time, which it gives up after a while.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/keyspace_tables.h"
#include "sim/node.h"

namespace even::sim {

class KeyspaceClient {
 public:
  // All that is referred to outlives it.
  KeyspaceClient(Run& run, const std::vector<std::unique_ptr<Node>>& nodes, KeyspaceTables& tables,
                 std::uint64_t seed)
      : run_(run),
        nodes_(nodes),
        tables_(tables),
        random_(seed),
        has_topic_(run.options.topic_every_us == 0),
        has_feed_(run.options.topic_every_us == 0),
        has_compacted_(!run.options.compacts),
        delay_ms_(run.options.delay_ms),
        delays_(lazy_keyspaces(run.options), kNoDelay) {}

  // First creates the base keyspace, and the topic where there is one, with faults or without.
  void begin();
  // Faults have ended, and it does nothing any more.
  bool idle() const {
    return has_base_ && has_topic_ && has_feed_ && has_compacted_ && run_.settling &&
           request_ == nullptr && !undelayed();
  }
  // From now on records of the lazy keyspaces are to be held back for so long.
  void alter_delays(std::int64_t delay_ms);

 private:
  struct Request {
    std::vector<std::string> words;
    std::vector<std::string_view> views;  // of the words
    PartitionId group = 0;
    // Of a change: the keyspace, and its prefix afterwards, if there is one then.
    std::string name;
    std::optional<std::string> prefix;
    bool of_topic = false;
    bool compacts = false;
    std::optional<std::size_t> lazy;  // which of the lazy ones it is about
    std::int64_t delay_ms = 0;
  };
  static constexpr std::int64_t kNoDelay = -1;       // there is no such keyspace yet
  static constexpr std::int64_t kUnknownDelay = -2;  // another request has created it

  void act();
  void rest(std::int64_t mean_us);
  std::shared_ptr<Request> next();
  std::shared_ptr<Request> create(cluster::Keyspace keyspace);
  std::shared_ptr<Request> write();
  // Which lazy keyspace has another delay than it should.
  std::optional<std::size_t> undelayed() const;
  std::shared_ptr<Request> delay(std::size_t index);
  void send(std::shared_ptr<Request> request);
  void ask(NodeNumber node);
  void ask_later();
  void answered(const StrongOutcome& outcome);
  void replied(const std::string& reply);
  void done();
  // An event that concerns the present request, if it is that by then.
  void after(std::int64_t us, std::function<void()> event);
  NodeNumber any_node() { return static_cast<NodeNumber>(1 + random_.below(nodes_.size())); }

  Run& run_;
  const std::vector<std::unique_ptr<Node>>& nodes_;
  KeyspaceTables& tables_;
  Random random_;
  std::shared_ptr<Request> request_;  // null: none
  std::uint64_t number_ = 0;          // of the present request; counts
  std::uint64_t prefixes_ = 0;
  bool has_base_ = false;
  bool has_topic_ = false;  // or there is to be none
  bool has_feed_ = false;   // the same
  bool has_compacted_ = false;
  std::int64_t delay_ms_;             // that lazy keyspaces are to have
  std::vector<std::int64_t> delays_;  // that they have
  bool stopped_ = false;              // nothing was left to be done
};

}  // namespace even::sim
