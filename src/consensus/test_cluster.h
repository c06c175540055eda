// A group under all that can happen to it, from one seed: messages are lost, doubled and reordered,
// members are cut off, crash between any two writes, fail to write, are added, removed, promoted,
// handed leadership, lag behind a compacted log. The oracle looks at every step; at the end the
// faults stop, and the group has to serve again.
#pragma once

#include <deque>
#include <memory>
#include <set>

#include "base/check.h"
#include "consensus/test_oracle.h"

namespace even::consensus {

struct ClusterStatistics {
  std::uint64_t reigns = 0;
  std::uint64_t commits = 0;
  std::uint64_t crashes = 0;
  std::uint64_t failed_writes = 0;
  std::uint64_t snapshots = 0;  // installed
  std::uint64_t changes = 0;    // of configuration, applied by some leader
  std::uint64_t joint = 0;      // of those, into a joint one
  std::uint64_t reads = 0;      // released
  std::uint64_t transfers = 0;  // begun
  std::uint64_t refused_messages = 0;
};

class Cluster {
 public:
  explicit Cluster(std::uint64_t seed) : random_(seed) {
    static constexpr std::size_t kSizes[] = {1, 3, 3, 3, 5, 5};
    const std::size_t voters = kSizes[random_.below(std::size(kSizes))];
    options_.election_ticks = 5 + random_.below(10);
    options_.heartbeat_ticks = 1 + random_.below(3);
    options_.pre_vote = random_.chance(0.8);
    options_.check_quorum = random_.chance(0.8);
    options_.max_message_bytes = random_.chance(0.5) ? 200 : 1 << 20;
    options_.inflight.messages = 1 + random_.below(8);
    options_.log.apply_bytes = random_.chance(0.5) ? 100 : 1 << 20;
    options_.log.tail_bytes = random_.chance(0.5) ? 300 : 1 << 20;
    options_.max_uncommitted_bytes = random_.chance(0.5) ? 300 : 1 << 20;
    loss_ = random_.chance(0.5) ? 0 : 0.02 * static_cast<double>(random_.below(10));
    doubled_ = random_.chance(0.5) ? 0 : 0.1;
    faults_ = 0.1 * static_cast<double>(1 + random_.below(5));

    State founded{.index = 1, .term = 1};
    for (MemberId member = 1; member <= voters; ++member) {
      insert(founded.configuration.voters, member);
    }
    oracle_.emplace(founded);
    nodes_.resize(voters + 3);
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      Node& node = nodes_[i];
      node.id = i + 1;
      if (i < voters) {  // the others come with an empty disk, and are added
        node.disk.write(founded.snapshot(), {});
        node.hard_state = {1, kNoMember, 1};
      }
      start(node);
    }
  }

  // Throws Violation.
  void run(std::size_t steps) {
    for (std::size_t i = 0; i < steps; ++i) step();
    heal();
    statistics_.reigns = oracle_->reigns();
    statistics_.commits = oracle_->committed();
  }

  const ClusterStatistics& statistics() const { return statistics_; }

 private:
  struct Node {
    MemberId id = kNoMember;
    // On disk: what MemoryLog holds is durable, and so is the snapshot that restarts begin with.
    MemoryLog disk;
    HardState hard_state;
    // In memory.
    std::unique_ptr<Raft> raft;  // none: it has crashed
    State state;
    std::deque<Write> to_write;
    std::deque<Write> to_report;  // durable, and the core does not know yet
    std::deque<Entry> to_apply;
    Index seen = 0;  // its commit index when the oracle last looked
  };
  struct Read {
    MemberId at = kNoMember;
    Index committed = 0;  // anywhere, when it began
  };

  Node& any_node() { return nodes_[random_.below(nodes_.size())]; }

  // One that has something to do, if there is one.
  template <typename Busy>
  Node& any_node(Busy&& busy) {
    const std::size_t first = random_.below(nodes_.size());
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      Node& node = nodes_[(first + i) % nodes_.size()];
      if (node.raft && busy(node)) return node;
    }
    return nodes_[first];
  }

  // One event, drawn.
  void step() {
    const std::uint64_t kind = random_.below(100);
    if (kind < 6) {
      tick(any_node());
    } else if (kind < 40) {
      deliver_any();
    } else if (kind < 60) {
      take(any_node([](const Node& node) { return node.raft->has_ready(); }));
    } else if (kind < 80) {
      Node& node = any_node(
          [](const Node& busy) { return !busy.to_write.empty() || !busy.to_report.empty(); });
      if (node.id != slow_ || random_.chance(0.005)) progress_write(node);
    } else if (kind < 90) {
      apply_one(any_node([](const Node& node) { return !node.to_apply.empty(); }));
    } else if (kind < 95) {
      propose(any_node([](const Node& node) { return node.raft->role() == Role::kLeader; }));
    } else if (kind < 98) {
      Node* leader = a_leader();
      read(leader != nullptr && random_.chance(0.5) ? *leader : any_node());
    } else if (random_.chance(0.3)) {
      operate();
    } else if (random_.chance(faults_)) {
      fault();
    } else {
      mend();
    }
  }

  // --- What drives a member ----------------------------------------------------------------------

  void start(Node& node) {
    const SnapshotPointer snapshot = node.disk.snapshot();
    node.state = snapshot ? State::of(*snapshot) : State{};
    Options options = options_;
    options.self = node.id;
    auto raft = Raft::start(options, node.disk, random_,
                            {node.hard_state, node.state.configuration, node.state.index});
    if (!raft) throw Violation(raft.error().message);
    node.raft = std::make_unique<Raft>(std::move(*raft));
    node.seen = node.raft->log().committed();
  }

  // After every event at a node.
  void observe(Node& node) {
    oracle_->observe(node.id, *node.raft, node.seen, [this](MemberId m, Index i, Term t) {
      const MemoryLog& disk = nodes_.at(m - 1).disk;
      return i < disk.first_index() || disk.term(i) == t;
    });
    node.seen = node.raft->log().committed();
    const Log& log = node.raft->log();
    Oracle::demand(log.installing() || node.disk.term(log.durable()) == log.term(log.durable()),
                   "what is taken for durable is not on disk", node.id);
  }

  void tick(Node& node) {
    if (!node.raft) return;
    node.raft->tick();
    observe(node);
  }

  void take(Node& node) {
    if (!node.raft || !node.raft->has_ready()) return;
    Ready ready = node.raft->take();
    send(node, ready.messages);
    for (const ReleasedRead& read : ready.reads) {
      const auto begun = reads_.find(read.context);
      if (begun == reads_.end()) continue;
      oracle_->observe_read(begun->second.at, read.index, begun->second.committed);
      ++statistics_.reads;
      last_read_ = node.id;
      reads_.erase(begun);
    }
    if (ready.write) {
      for (const Entry& entry : ready.write->entries) {
        oracle_->observe_entry(node.id, entry, node.raft->log().term(entry.index - 1));
      }
      oracle_->observe_changes(node.id, node.raft->log());
      node.to_write.push_back(std::move(*ready.write));
    }
    node.to_apply.insert(node.to_apply.end(), ready.committed.begin(), ready.committed.end());
    observe(node);
  }

  void progress_write(Node& node) {
    if (!node.raft) return;
    if (!node.to_write.empty() && (node.to_report.empty() || random_.chance(0.5))) {
      carry_out(node);
    } else if (!node.to_report.empty()) {
      Write write = std::move(node.to_report.front());
      node.to_report.pop_front();
      for (const Message& message : write.messages) {
        oracle_->observe_message(message, node.hard_state, node.disk);
      }
      send(node, write.messages);
      node.raft->written(write.id);
      observe(node);
    }
  }

  // The oldest write reaches the disk.
  void carry_out(Node& node) {
    Write write = std::move(node.to_write.front());
    node.to_write.pop_front();
    node.disk.write(write.snapshot, write.entries);
    if (write.hard_state) node.hard_state = *write.hard_state;
    if (write.snapshot) {
      node.state = State::of(*write.snapshot);
      node.to_apply.clear();
      oracle_->observe_applied(node.id, node.state);
      ++statistics_.snapshots;
    }
    node.to_report.push_back(std::move(write));
  }

  void apply_one(Node& node) {
    if (!node.raft || node.to_apply.empty()) return;
    const Entry entry = std::move(node.to_apply.front());
    node.to_apply.pop_front();
    Oracle::demand(entry.index == node.state.index + 1, "entries are applied in their order",
                   node.id);
    node.state.apply(entry);
    const bool leads = node.raft->role() == Role::kLeader;
    node.raft->applied(entry.index);
    if (entry.kind == EntryKind::kConfiguration && leads) {
      ++statistics_.changes;
      statistics_.joint += node.raft->configuration().joint() ? 1 : 0;
    }
    // While a snapshot is being installed the configuration is its own already.
    if (!node.raft->log().installing()) {
      node.state.configuration = node.raft->configuration();
      oracle_->observe_applied(node.id, node.state);
    }
    observe(node);
  }

  // --- The network -------------------------------------------------------------------------------

  void send(Node& from, std::vector<Message>& messages) {
    for (Message& message : messages) {
      oracle_->observe_message(message, from.hard_state, from.disk);
      if (cut_.contains({from.id, message.to}) || random_.chance(loss_)) continue;
      if (random_.chance(doubled_)) network_.push_back(message);
      network_.push_back(std::move(message));
    }
  }

  void deliver_any() {
    if (network_.empty()) return;
    // Mostly in order, as a connection does; sometimes not.
    const std::size_t i = random_.chance(0.7) ? 0 : random_.below(network_.size());
    Message message = std::move(network_[i]);
    network_.erase(network_.begin() + static_cast<std::ptrdiff_t>(i));
    deliver(std::move(message));
  }

  void deliver(Message message) {
    Node& to = nodes_.at(message.to - 1);
    if (!to.raft || cut_.contains({message.from, message.to})) return;
    const MemberId from = message.from;
    const bool snapshot = message.kind == MessageKind::kSnapshotRequest;
    const MemberId self = message.to;
    if (!to.raft->step(std::move(message))) ++statistics_.refused_messages;
    observe(to);
    Node& sender = nodes_.at(from - 1);
    if (snapshot && sender.raft && random_.chance(0.5)) {
      sender.raft->report_snapshot(self, random_.chance(0.8));
      observe(sender);
    }
  }

  // --- Clients and operators ---------------------------------------------------------------------

  void propose(Node& node) {
    if (!node.raft || node.raft->role() != Role::kLeader) return;
    (void)node.raft->propose(fmt::format("{}", ++proposals_));
    observe(node);
  }

  void read(Node& node) {
    if (!node.raft) return;
    const std::uint64_t context = ++contexts_;
    if (!node.raft->read_index(context)) return;
    reads_[context] = {node.id, oracle_->committed()};
    observe(node);
  }

  Node* a_leader() {
    std::vector<Node*> leaders;
    for (Node& node : nodes_) {
      if (node.raft && node.raft->role() == Role::kLeader) leaders.push_back(&node);
    }
    return leaders.empty() ? nullptr : leaders[random_.below(leaders.size())];
  }

  void operate() {
    Node* leader = a_leader();
    if (leader == nullptr) return;
    switch (random_.below(5)) {
      case 0:
      case 1:
        change(*leader);
        break;
      case 2:
        transfer(*leader);
        break;
      case 3:
        checkpoint(any_node());
        return;
      case 4:
        leader->raft->step_down();
        break;
    }
    observe(*leader);
  }

  void transfer(Node& leader) {
    const Members& voters = leader.raft->configuration().voters;
    const MemberId to = random_.chance(0.8) ? voters[random_.below(voters.size())]
                                            : MemberId{1 + random_.below(nodes_.size())};
    statistics_.transfers += leader.raft->transfer_leadership(to) ? 1 : 0;
  }

  void change(Node& leader) {
    ConfigurationChange change{.transition = static_cast<Transition>(random_.below(3))};
    if (!leader.raft->configuration().joint()) {
      for (std::uint64_t i = random_.below(3) + 1; i > 0; --i) {
        change.changes.push_back(
            {static_cast<ChangeKind>(random_.below(3)), 1 + random_.below(nodes_.size())});
      }
    } else {
      change = {};
    }
    (void)leader.raft->propose_configuration(change);
  }

  // The state machine is stored, and the log up to somewhere before it goes.
  void checkpoint(Node& node) {
    if (!node.raft || node.state.index == 0 || node.raft->log().installing()) return;
    if (node.state.index < node.raft->log().applied()) return;
    const SnapshotPointer old = node.disk.snapshot();
    if (old && old->index >= node.state.index) return;
    node.disk.set_snapshot(node.state.snapshot());
    const Index first = node.disk.first_index();
    node.disk.compact(first + random_.below(node.state.index + 1 - first + 1) - 1);
  }

  // --- Faults ------------------------------------------------------------------------------------

  void fault() {
    Node& node = any_node();
    switch (random_.below(7)) {
      case 0:
        crash(node);
        break;
      case 1:
        crash(any_node([](const Node& busy) { return !busy.to_write.empty(); }));
        break;
      case 2:
        fail_writes(any_node([](const Node& busy) { return !busy.to_write.empty(); }));
        break;
      case 3:  // one way or both
        for (const Node& other : nodes_) {
          if (random_.chance(0.7)) cut_.insert({node.id, other.id});
          if (random_.chance(0.7)) cut_.insert({other.id, node.id});
        }
        break;
      case 4:  // a leader, which goes on believing that it leads
        if (Node* leader = a_leader()) {
          for (const Node& other : nodes_) {
            cut_.insert({leader->id, other.id});
            cut_.insert({other.id, leader->id});
          }
        }
        break;
      case 5: {  // one that could be elected with a disk that is not slow
        const Node* leader = a_leader();
        slow_ = leader != nullptr ? leader->id : node.id;
        break;
      }
      case 6:
        if (!node.raft) break;
        if (random_.chance(0.3)) node.raft->forget_leader();
        node.raft->report_unreachable(1 + random_.below(nodes_.size()));
        observe(node);
        break;
    }
  }

  void mend() {
    if (random_.chance(0.03)) cut_.clear();
    if (random_.chance(0.02)) slow_ = kNoMember;
    Node& node = any_node();
    if (node.raft) return;
    start(node);
    observe(node);
  }

  // Some of the writes under way may have reached the disk.
  void crash(Node& node) {
    if (!node.raft) return;
    ++statistics_.crashes;
    for (std::uint64_t more = random_.below(3); more > 0 && !node.to_write.empty(); --more) {
      carry_out(node);
    }
    node.raft.reset();
    node.to_write.clear();
    node.to_report.clear();
    node.to_apply.clear();
  }

  void fail_writes(Node& node) {
    if (!node.raft || (node.to_write.empty() && node.to_report.empty())) return;
    ++statistics_.failed_writes;
    if (random_.chance(0.5) && !node.to_write.empty()) carry_out(node);  // and nobody knows
    node.to_write.clear();
    // What was reported before is durable for the core; the rest it has to write again.
    node.to_report.clear();
    node.raft->write_failed();
    Oracle::demand(node.raft->role() != Role::kLeader, "who cannot write does not lead", node.id);
    observe(node);
  }

  // --- The end -----------------------------------------------------------------------------------

  // Nothing fails any more, and time passes evenly. A round is a tick of everyone.
  void round() {
    for (Node& node : nodes_) tick(node);
    for (bool busy = true; busy;) {
      busy = false;
      for (Node& node : nodes_) {
        for (; node.raft->has_ready(); busy = true) {
          take(node);
          while (!node.to_write.empty() || !node.to_report.empty()) progress_write(node);
          while (!node.to_apply.empty()) apply_one(node);
        }
      }
      for (; !network_.empty(); busy = true) {
        Message message = std::move(network_.front());
        network_.erase(network_.begin());
        deliver(std::move(message));
      }
    }
  }

  template <typename Condition>
  void await(const char* what, Condition&& condition) {
    constexpr int kRounds = 300;
    for (int i = 0; i < kRounds; ++i) {
      if (condition()) return;
      round();
      // Whoever sends snapshots tells that one was lost.
      if (i % 10 == 9) report_lost_snapshots();
    }
    std::string members;
    for (const Node& node : nodes_) {
      members += fmt::format(
          "\n  member {}: role {} term {} leader {} last {} durable {} commit {} applied {} {}",
          node.id, static_cast<int>(node.raft->role()), node.raft->term(), node.raft->leader(),
          node.raft->log().last(), node.raft->log().durable(), node.raft->log().committed(),
          node.raft->log().applied(), describe(node.raft->configuration()));
    }
    throw Violation(fmt::format("liveness: {}{}", what, members));
  }

  void report_lost_snapshots() {
    for (Node& node : nodes_) {
      for (const Node& other : nodes_) node.raft->report_snapshot(other.id, false);
    }
  }

  Node* the_leader() {
    Node* leader = nullptr;
    for (Node& node : nodes_) {
      if (node.raft->role() != Role::kLeader) continue;
      if (leader == nullptr || node.raft->term() > leader->raft->term()) leader = &node;
    }
    return leader;
  }

  void heal() {
    loss_ = 0;
    doubled_ = 0;
    cut_.clear();
    for (Node& node : nodes_) {
      if (!node.raft) start(node);
    }
    for (Node& node : nodes_) {
      while (!node.to_write.empty() || !node.to_report.empty()) progress_write(node);
      while (!node.to_apply.empty()) apply_one(node);
    }
    await("no leader", [&] { return the_leader() != nullptr; });
    // Reads need no proposal: the leader's own entry is enough.
    await("the leader answers no read", [&] {
      Node* leader = the_leader();
      if (leader == nullptr) return false;
      if (last_read_ == leader->id) return true;
      read(*leader);
      return false;
    });
    await("the group does not leave its joint configuration", [&] {
      Node* leader = the_leader();
      if (leader == nullptr) return false;
      if (!leader->raft->configuration().joint()) return true;
      (void)leader->raft->propose_configuration({});
      return false;
    });
    const Index before = oracle_->committed();
    await("members do not catch up", [&] {
      Node* leader = the_leader();
      if (leader == nullptr) return false;
      if (oracle_->committed() <= before) {
        propose(*leader);
        return false;
      }
      for (const auto& [member, progress] : leader->raft->progress()) {
        if (nodes_.at(member - 1).state.index < oracle_->committed()) return false;
      }
      return true;
    });
  }

  Random random_;
  Options options_;
  double loss_ = 0;
  double doubled_ = 0;
  double faults_ = 0;
  MemberId slow_ = kNoMember;  // whose disk is slow at the moment
  std::optional<Oracle> oracle_;
  std::vector<Node> nodes_;
  std::vector<Message> network_;
  std::set<std::pair<MemberId, MemberId>> cut_;
  std::map<std::uint64_t, Read> reads_;
  MemberId last_read_ = kNoMember;  // where the last one was released
  std::uint64_t contexts_ = 0;
  std::uint64_t proposals_ = 0;
  ClusterStatistics statistics_;
};

// Runs one seed. What went wrong, if something did; a broken invariant of the core counts.
inline std::optional<std::string> run_cluster(std::uint64_t seed, ClusterStatistics& statistics) {
  constexpr std::size_t kSteps = 60000;
  set_check_handler([](const char* file, int line, const char* condition, std::string_view detail) {
    throw Violation(fmt::format("{}:{}: broken invariant: {}: {}", file, line, condition, detail));
  });
  std::optional<std::string> violation;
  try {
    Cluster cluster(seed);
    cluster.run(kSteps);
    statistics = cluster.statistics();
  } catch (const Violation& found) {
    violation = found.what();
  }
  set_check_handler(nullptr);
  return violation;
}

}  // namespace even::consensus
