// Who drops a keyspace that has to be empty, and who writes to it meanwhile: what
// node/keyspace_closing.h does in the server is done here in its place, by several at a time, who
// may be slow, change their minds or vanish in the middle. A write that is acknowledged is in no
// keyspace that is dropped without having been deleted before, and no group stays closed. See
// docs/groups.md, "Dropping a keyspace".
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "sim/keyspace_tables.h"
#include "sim/node.h"

namespace even::sim {

class KeyspaceClosings {
 public:
  KeyspaceClosings(Run& run, const Nodes& nodes, KeyspaceTables& tables, std::uint64_t seed)
      : run_(run), nodes_(nodes), tables_(tables), random_(seed) {}

  void begin();
  // A member leads a group that has been closed for long.
  void left_closed(PartitionId group, std::uint64_t attempt);
  // Faults have ended, and all groups take writes.
  bool idle() const { return run_.settling && ended_; }

 private:
  // The reply; empty: what has become of it is not known.
  using Replied = std::function<void(const std::string& reply)>;
  struct Asked {
    PartitionId group;
    std::vector<std::string> words;
    std::vector<std::string_view> views;
    std::int64_t until_us;
    bool open = false;  // somebody may still execute it
    Replied done;
  };
  struct Attempt {
    cluster::Keyspace keyspace;
    std::uint64_t number = 0;
    std::size_t missing = 0;  // groups that have not answered
    bool all_closed = true;
  };

  void ask(PartitionId group, std::vector<std::string> words, Replied done);
  void send(const std::shared_ptr<Asked>& asked, NodeNumber node);
  void finish(const std::shared_ptr<Asked>& asked, const std::string& reply);
  void ask_meta(std::vector<std::string> words, Replied done);

  void rest();
  void act();
  void create();
  void close(const cluster::Keyspace& keyspace);
  void take(const std::shared_ptr<Attempt>& attempt);
  void drop(const Attempt& attempt);
  void open(const Attempt& attempt);
  void done();

  void write();
  void write_to(const cluster::Keyspace* keyspace);
  void remove(PartitionId group, const std::string& key);
  void check(PartitionId group) const;

  void end();
  void probe(PartitionId group);
  bool is_there(PartitionId group) const;

  NodeNumber any_node() { return static_cast<NodeNumber>(1 + random_.below(nodes_.size())); }
  void after(std::int64_t mean_us, std::function<void()> event) {
    run_.scheduler.after(
        1 + static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(2 * mean_us))),
        std::move(event));
  }

  Run& run_;
  const Nodes& nodes_;
  KeyspaceTables& tables_;
  Random random_;
  int at_work_ = 0;  // of those who drop
  std::uint64_t prefixes_ = 0;
  std::uint64_t keys_ = 0;
  std::map<PartitionId, std::set<std::string>> written_;  // acknowledged, and there for certain
  std::set<PartitionId> dropped_;                         // without FORCE
  std::size_t probes_ = 0;
  std::int64_t probed_since_us_ = 0;
  bool ended_ = false;
};

}  // namespace even::sim
