// Runs scripts of whole groups, as etcd's raft library has them, and tells what was sent,
// delivered, written and applied, to be compared with what the script expects.
#pragma once

#include <fmt/format.h>

#include <deque>
#include <map>
#include <memory>

#include "consensus/memory_log.h"
#include "consensus/raft.h"
#include "consensus/test_describe.h"
#include "consensus/test_script.h"

namespace even::consensus {

// What one command has led to, in the words of the scripts.
struct Happened {
  std::vector<std::string> sent;  // by nodes whose writes are synchronous
  std::vector<std::string> delivered;
  std::vector<std::string> dropped;
  std::map<MemberId, std::vector<std::string>> appended;
  std::map<MemberId, std::vector<std::string>> committed;
  int strangers = 0;  // answers from who is not a member
  std::string printed;
  bool refused = false;

  void sort() {
    for (auto* lines : {&sent, &delivered, &dropped}) std::sort(lines->begin(), lines->end());
  }
};

class Interaction {
 public:
  Happened run(const ScriptCase& script_case) {
    happened_ = {};
    dispatch(script_case);
    happened_.sort();
    return std::move(happened_);
  }
  bool asynchronous() const { return !nodes_.empty() && nodes_[0]->asynchronous; }
  Raft& raft(MemberId member) { return *node(member).raft; }
  const MemoryLog& log(MemberId member) { return node(member).log; }

 private:
  struct Node {
    MemberId id = kNoMember;
    bool asynchronous = false;
    Options options;
    MemoryLog log;
    std::unique_ptr<Raft> raft;
    SnapshotPointer state;  // of the state machine: all that was applied
    std::deque<Write> to_write;
    std::deque<std::vector<Entry>> to_apply;
  };
  // A message, a proposal that was sent on to the leader, or word of completed work.
  struct Item {
    MemberId to = kNoMember;
    std::optional<Message> message;
    std::optional<ConfigurationChange> proposal;
    WriteId written = 0;
    Index applied = 0;
  };

  Node& node(MemberId member) { return *nodes_.at(member - 1); }
  static MemberId id(const ScriptCase& c, std::size_t argument) {
    return std::stoull(c.arguments.at(argument).key);
  }
  std::vector<MemberId> ids(const ScriptCase& c) const {
    std::vector<MemberId> members;
    for (const ScriptArgument& argument : c.arguments) {
      if (argument.values.empty()) members.push_back(std::stoull(argument.key));
    }
    return members;
  }

  void dispatch(const ScriptCase& c) {
    const std::string& command = c.command;
    if (command == "add-nodes") {
      add_nodes(c);
    } else if (command == "campaign") {
      raft(id(c, 0)).campaign();
    } else if (command == "propose") {
      happened_.refused = !raft(id(c, 0)).propose(c.arguments.at(1).key);
      raft(id(c, 0)).replicate();
    } else if (command == "propose-conf-change") {
      propose_change(c);
    } else if (command == "process-ready") {
      for (const MemberId member : ids(c)) process_ready(node(member));
    } else if (command == "process-append-thread") {
      for (const MemberId member : ids(c)) process_write(node(member));
    } else if (command == "process-apply-thread") {
      for (const MemberId member : ids(c)) process_apply(node(member));
    } else if (command == "deliver-msgs") {
      deliver_messages(c);
    } else if (command == "stabilize") {
      stabilize(ids(c));
    } else if (command == "tick-heartbeat" || command == "tick-election") {
      Node& ticks = node(id(c, 0));
      const std::uint32_t count =
          command == "tick-election" ? ticks.options.election_ticks : ticks.options.heartbeat_ticks;
      for (std::uint32_t i = 0; i < count; ++i) ticks.raft->tick();
    } else if (command == "set-randomized-election-timeout") {
      raft(id(c, 0)).set_election_timeout(std::stoul(c.value("timeout", "")));
    } else if (command == "forget-leader") {
      raft(id(c, 0)).forget_leader();
    } else if (command == "report-unreachable") {
      raft(id(c, 0)).report_unreachable(id(c, 1));
    } else if (command == "transfer-leadership") {
      happened_.refused = !raft(std::stoull(c.value("from", "")))
                               .transfer_leadership(std::stoull(c.value("to", "")));
    } else if (command == "send-snapshot") {
      const Node& from = node(id(c, 0));
      queue({.kind = MessageKind::kSnapshotRequest,
             .from = from.id,
             .to = id(c, 1),
             .term = from.raft->term(),
             .snapshot = from.state});
    } else if (command == "compact") {
      node(id(c, 0)).log.compact(id(c, 1));
      print_log(node(id(c, 0)));
    } else if (command == "raft-log") {
      print_log(node(id(c, 0)));
    } else if (command == "raft-state") {
      print_states();
    } else if (command == "status") {
      const Node& of = node(id(c, 0));
      happened_.printed =
          describe(of.raft->progress(), of.raft->configuration(), of.options.inflight);
    } else if (command != "log-level") {
      throw std::runtime_error("unknown command of a script: " + command);
    }
  }

  void add_nodes(const ScriptCase& c) {
    for (std::uint64_t i = 0; i < id(c, 0); ++i) {
      auto added = std::make_unique<Node>();
      added->id = nodes_.size() + 1;
      added->asynchronous = c.value("async-storage-writes", "false") == "true";
      Options& options = added->options;
      options.self = added->id;
      options.election_ticks = 3;
      options.heartbeat_ticks = 1;
      options.pre_vote = c.value("prevote", "false") == "true";
      options.check_quorum = c.value("checkquorum", "false") == "true";
      options.inflight.messages = std::stoul(c.value("inflight", "1000000"));
      options.inflight.bytes = std::numeric_limits<std::uint64_t>::max();
      options.max_message_bytes = std::numeric_limits<std::uint64_t>::max();
      if (c.find("max-committed-size-per-ready") != nullptr) {
        options.log.apply_bytes = std::stoull(c.value("max-committed-size-per-ready", ""));
      }
      Snapshot state;
      state.index = std::stoull(c.value("index", "0"));
      state.term = state.index > 0 ? 1 : 0;
      for (const auto& [key, members] : {std::pair{"voters", &state.configuration.voters},
                                         std::pair{"learners", &state.configuration.learners}}) {
        if (const ScriptArgument* argument = c.find(key)) {
          for (const std::string& value : argument->values) insert(*members, std::stoull(value));
        }
      }
      added->state = std::make_shared<const Snapshot>(state);
      if (state.index > 0) added->log.write(added->state, {});
      auto started =
          Raft::start(options, added->log, random_, {{}, state.configuration, state.index});
      if (!started) throw std::runtime_error(started.error().message);
      added->raft = std::make_unique<Raft>(std::move(*started));
      nodes_.push_back(std::move(added));
    }
  }

  void propose_change(const ScriptCase& c) {
    ConfigurationChange change{.changes = parse_changes(c.input)};
    const std::string transition = c.value("transition", "auto");
    if (transition == "implicit") change.transition = Transition::kJoint;
    if (transition == "explicit") change.transition = Transition::kJointExplicit;
    propose_change(id(c, 0), change);
  }

  void propose_change(MemberId to, const ConfigurationChange& change) {
    Raft& raft = *node(to).raft;
    const auto proposed = raft.propose_configuration(change);
    if (!proposed && proposed.error() == Refusal::kNotLeader) {
      queue_.push_back({.to = raft.leader(), .proposal = change});
    } else if (!proposed) {
      happened_.refused = true;
      // etcd's leader puts an empty entry in place of a change that it refuses.
      (void)raft.propose("");
    }
    raft.replicate();
  }

  void queue(Message message) {
    const MemberId to = message.to;
    queue_.push_back({.to = to, .message = std::move(message)});
  }

  void process_ready(Node& of) {
    Ready ready = of.raft->take();
    const auto send = [&](std::vector<Message>& messages) {
      for (Message& message : messages) {
        if (!of.asynchronous) happened_.sent.push_back(describe(message));
        queue(std::move(message));
      }
    };
    if (ready.write) {
      for (const Entry& entry : ready.write->entries) {
        happened_.appended[of.id].push_back(describe(entry));
      }
    }
    for (const Entry& entry : ready.committed) {
      happened_.committed[of.id].push_back(describe(entry));
    }
    send(ready.messages);
    if (of.asynchronous) {
      if (ready.write) {
        const bool candidacy = std::any_of(
            ready.write->messages.begin(), ready.write->messages.end(),
            [](const Message& message) { return message.kind == MessageKind::kVoteRequest; });
        of.to_write.push_back(std::move(*ready.write));
        // etcd asks for votes before the candidacy is durable. We do not: its write is carried out
        // here and now, so that the script goes on as it does there.
        while (candidacy && !of.to_write.empty()) process_write(of);
      }
      if (!ready.committed.empty()) of.to_apply.push_back(std::move(ready.committed));
      return;
    }
    if (ready.write) {
      store(of, *ready.write);
      send(ready.write->messages);
    }
    for (const Entry& entry : ready.committed) apply(of, entry);
    if (ready.write) of.raft->written(ready.write->id);
    of.raft->replicate();
  }

  void store(Node& of, const Write& write) {
    of.log.write(write.snapshot, write.entries);
    if (write.snapshot) of.state = write.snapshot;
  }

  void apply(Node& of, const Entry& entry) {
    of.raft->applied(entry.index);
    of.raft->replicate();
    note_applied(of, entry);
  }

  void note_applied(Node& of, const Entry& entry) {
    of.state = std::make_shared<const Snapshot>(
        Snapshot{entry.index, entry.term, of.raft->configuration(), {}});
    of.log.set_snapshot(of.state);
  }

  void process_write(Node& of) {
    if (of.to_write.empty()) return;
    Write write = std::move(of.to_write.front());
    of.to_write.pop_front();
    store(of, write);
    for (Message& message : write.messages) queue(std::move(message));
    queue_.push_back({.to = of.id, .written = write.id});
  }

  void process_apply(Node& of) {
    if (of.to_apply.empty()) return;
    for (const Entry& entry : of.to_apply.front()) note_applied(of, entry);
    queue_.push_back({.to = of.id, .applied = of.to_apply.front().back().index});
    of.to_apply.pop_front();
  }

  void deliver_messages(const ScriptCase& c) {
    const std::string kind = c.value("type", "");
    for (const MemberId member : ids(c)) deliver(member, false, kind);
    if (const ScriptArgument* drop = c.find("drop")) {
      for (const std::string& value : drop->values) deliver(std::stoull(value), true, kind);
    }
  }

  bool deliver(MemberId to, bool drop, const std::string& kind) {
    std::deque<Item> rest;
    std::vector<Item> items;
    for (Item& item : std::exchange(queue_, {})) {
      const bool fits = item.to == to && (!drop || item.message) &&
                        (kind.empty() || (item.message && describe(item.message->kind) == kind));
      if (fits) {
        items.push_back(std::move(item));
      } else {
        rest.push_back(std::move(item));
      }
    }
    queue_ = std::move(rest);
    for (Item& item : items) {
      if (item.message) {
        (drop ? happened_.dropped : happened_.delivered).push_back(describe(*item.message));
      }
      if (!drop) deliver(node(to), item);
    }
    return !items.empty();
  }

  void deliver(Node& to, Item& item) {
    if (item.message) {
      if (answers(item.message->kind) && to.raft->progress().find(item.message->from) == nullptr) {
        ++happened_.strangers;
      }
      (void)to.raft->step(std::move(*item.message));
    } else if (item.proposal) {
      propose_change(to.id, *item.proposal);
    } else if (item.written != 0) {
      to.raft->written(item.written);
    } else {
      to.raft->applied(item.applied);
    }
    to.raft->replicate();
  }

  void stabilize(std::vector<MemberId> members) {
    if (members.empty()) {
      for (const auto& each : nodes_) members.push_back(each->id);
    }
    for (bool busy = true; busy;) {
      busy = false;
      for (const MemberId member : members) {
        if (!raft(member).has_ready()) continue;
        process_ready(node(member));
        busy = true;
      }
      for (const MemberId member : members) busy = deliver(member, false, "") || busy;
      for (const MemberId member : members) {
        for (; !node(member).to_write.empty(); busy = true) process_write(node(member));
      }
      for (const MemberId member : members) {
        for (; !node(member).to_apply.empty(); busy = true) process_apply(node(member));
      }
    }
  }

  void print_log(const Node& of) {
    if (of.log.last_index() < of.log.first_index()) {
      happened_.printed = fmt::format("log is empty: first index={}, last index={}\n",
                                      of.log.first_index(), of.log.last_index());
    }
    for (Index i = of.log.first_index(); i <= of.log.last_index(); ++i) {
      happened_.printed += describe(of.log.at(i)) + "\n";
    }
  }

  void print_states() {
    static constexpr const char* kRoles[] = {"StateFollower", "StatePreCandidate", "StateCandidate",
                                             "StateLeader"};
    for (const auto& each : nodes_) {
      const Raft& raft = *each->raft;
      happened_.printed += fmt::format(
          "{}: {} ({}) Term:{} Lead:{}\n", each->id, kRoles[static_cast<int>(raft.role())],
          raft.configuration().votes(each->id) ? "Voter" : "Non-Voter", raft.term(), raft.leader());
    }
  }

  std::vector<std::unique_ptr<Node>> nodes_;
  std::deque<Item> queue_;
  Random random_{1};
  Happened happened_;
};

}  // namespace even::consensus
