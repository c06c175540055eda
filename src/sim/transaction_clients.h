// Producers with transactional ids, consumers' offsets within their transactions, and several
// coordinators at once, which end at any time and begin anew, beside everything else that happens
// to a simulated cluster; and what must hold: no aborted record is ever read at read_committed, a
// transaction is there as a whole or not at all, in the order of its id's transactions, and nothing
// is written by who was shut out. See docs/topic-transactions.md.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "replica/transaction_coordinator.h"
#include "sim/checks.h"
#include "sim/strong_groups.h"

namespace even::sim {

class TransactionClients {
 public:
  // The references outlive this.
  TransactionClients(Run& run, const Nodes& nodes, const KeyspaceTables& tables,
                     const StrongGroups& groups, std::uint64_t seed);
  ~TransactionClients();

  void begin();
  // Faults have ended, and no transaction is open.
  bool idle() const;
  // In the end, when the cluster is quiet. Throws Violation.
  void check(const char* when);

 private:
  class Host;
  using Error = topic::TransactionError;

  struct Asked;
  // One producer of an id. Whoever follows it shuts it out.
  struct Instance {
    std::size_t id = 0;
    topic::Producer producer;
    std::int32_t sequence = 0;
    bool shut_out = false;  // its successor has been told its epoch
    bool over = false;
    std::uint64_t transactions = 0;
    std::string name;  // of the transaction under way
    int batches = 0;   // still to be sent
  };
  using InstancePointer = std::shared_ptr<Instance>;
  struct Told {
    std::vector<std::string> acknowledged;  // values
    bool commit_asked = false;
    bool committed = false;
    bool aborted = false;
  };

  void ask(TransactionWorld::Request request, std::move_only_function<void(std::string)> done);
  void send(std::shared_ptr<Asked> asked, NodeNumber to);
  void send_again(std::shared_ptr<Asked> asked);
  void finish(const std::shared_ptr<Asked>& asked, std::string reply);
  bool ending() const;
  void tick();
  void disturb();

  // Calls step(host, done) until it is answered with something else than "again"; then
  // next(error).
  using Step = std::function<void(TransactionCoordinator&, std::move_only_function<void(Error)>)>;
  void attempt(const InstancePointer& instance, Step step, std::function<void(Error)> next);
  void start(std::size_t id);
  void note_offsets(const InstancePointer& instance);
  void begin_transaction(const InstancePointer& instance);
  void send_batch(const InstancePointer& instance);
  void send_values(const InstancePointer& instance, std::shared_ptr<std::string> batch,
                   std::vector<std::string> values, bool shut_out_before);
  void send_offsets(const InstancePointer& instance);
  void end_transaction(const InstancePointer& instance);
  void give_up(const InstancePointer& instance);

  void look();
  struct Visible {
    std::vector<std::string> values;
    std::int64_t next = 0;
  };
  void take_visible(std::string_view batches, const std::vector<AbortedTransaction>& aborted,
                    std::int64_t stable, Visible& out) const;
  Visible read_all(Node& node) const;

  std::string id_of(std::size_t id) const { return std::to_string(id); }
  NodeNumber any_node() { return static_cast<NodeNumber>(1 + random_.below(nodes_.size())); }
  std::optional<std::string> string_in(PartitionId group, const std::string& key,
                                       std::string_view field) const;

  Run& run_;
  const Nodes& nodes_;
  const KeyspaceTables& tables_;
  const StrongGroups& groups_;
  Random random_;
  mutable std::optional<std::int64_t> ends_us_;
  std::vector<std::unique_ptr<Host>> hosts_;
  std::vector<InstancePointer> latest_;  // by id
  std::size_t at_work_ = 0;              // instances that are not over
  std::int64_t next_producer_ = 1'000;
  std::map<std::string, Told> told_;  // by transaction
  std::set<std::string> seen_;        // values, at read_committed
  // What the instance of an id and epoch has found committed before it.
  std::map<std::pair<std::size_t, std::int16_t>, std::string> found_;
  std::map<std::size_t, std::vector<InstancePointer>> told_epoch_;  // by id
  std::int64_t looked_upto_ = 0;
};

}  // namespace even::sim
