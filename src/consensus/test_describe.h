// The words of the scripts of etcd's raft library, for tests that are compared with them.
#pragma once

#include <fmt/format.h>

#include <string>

#include "consensus/message.h"
#include "consensus/raft.h"

namespace even::consensus {

inline std::string describe(const Members& members) {
  return fmt::format("({})", fmt::join(members, " "));
}

inline std::string describe(const Configuration& configuration) {
  std::string text = "voters=" + describe(configuration.voters);
  if (configuration.joint()) text += "&&" + describe(configuration.outgoing);
  if (!configuration.learners.empty()) text += " learners=" + describe(configuration.learners);
  if (!configuration.learners_next.empty()) {
    text += " learners_next=" + describe(configuration.learners_next);
  }
  if (configuration.leave_automatically) text += " autoleave";
  return text;
}

inline std::string describe(const Progress& progress, bool learner,
                            const Inflight::Limits& limits) {
  static constexpr const char* kStates[] = {"StateProbe", "StateReplicate", "StateSnapshot"};
  std::string text = fmt::format("{} match={} next={}", kStates[static_cast<int>(progress.state)],
                                 progress.match, progress.next);
  if (learner) text += " learner";
  if (progress.waits()) text += " paused";
  if (progress.pending_snapshot > 0) {
    text += fmt::format(" pendingSnap={}", progress.pending_snapshot);
  }
  if (!progress.recently_active) text += " inactive";
  if (progress.inflight.count() > 0) {
    text += fmt::format(" inflight={}", progress.inflight.count());
    if (progress.inflight.full(limits)) text += "[full]";
  }
  return text;
}

inline std::string describe(const ProgressTable& table, const Configuration& configuration,
                            const Inflight::Limits& limits) {
  std::string text;
  for (const auto& [member, progress] : table) {
    const bool learner = contains(configuration.learners, member);
    text += fmt::format("{}: {}\n", member, describe(progress, learner, limits));
  }
  return text;
}

// "v1 l2 r3": a voter, a learner, a removal.
inline std::string describe(const ConfigurationChange& change) {
  std::vector<std::string> words;
  for (const Change& one : change.changes) {
    words.push_back(fmt::format("{}{}", "vlru"[static_cast<int>(one.kind)], one.member));
  }
  return fmt::format("{}", fmt::join(words, " "));
}

inline std::string describe(const Entry& entry) {
  if (entry.kind == EntryKind::kConfiguration) {
    const auto change = decode_change(entry.data.view());
    const std::string words = change ? describe(*change) : "?";
    return fmt::format("{}/{} EntryConfChange{}{}", entry.term, entry.index,
                       words.empty() ? "" : " ", words);
  }
  std::string quoted;
  for (const char c : entry.data.view()) quoted += c == '"' ? "\\\"" : std::string(1, c);
  return fmt::format("{}/{} EntryNormal \"{}\"", entry.term, entry.index, quoted);
}

inline const char* describe(MessageKind kind) {
  static constexpr const char* kNames[] = {"MsgPreVote",    "MsgPreVoteResp",   "MsgVote",
                                           "MsgVoteResp",   "MsgApp",           "MsgAppResp",
                                           "MsgHeartbeat",  "MsgHeartbeatResp", "MsgSnap",
                                           "MsgTimeoutNow", "MsgReadIndex",     "MsgReadIndexResp"};
  return kNames[static_cast<int>(kind)];
}

// One line; the scripts break those with several entries or a snapshot.
inline std::string describe(const Message& message) {
  // What our rejections of votes say beyond that is not in the scripts.
  const bool vote =
      message.kind == MessageKind::kPreVoteResponse || message.kind == MessageKind::kVoteResponse;
  std::string text =
      fmt::format("{}->{} {} Term:{} Log:{}/{}", message.from, message.to, describe(message.kind),
                  message.term, vote ? 0 : message.log_term, message.index);
  if (message.reject) text += fmt::format(" Rejected (Hint: {})", message.hint);
  if (message.commit != 0 && !vote) text += fmt::format(" Commit:{}", message.commit);
  if (!message.entries.empty()) {
    std::vector<std::string> entries;
    for (const Entry& entry : message.entries) entries.push_back(describe(entry));
    text += fmt::format(" Entries:[{}]", fmt::join(entries, " "));
  }
  if (message.snapshot) {
    const Snapshot& snapshot = *message.snapshot;
    const Configuration& of = snapshot.configuration;
    text += fmt::format(
        " Snapshot: Index:{} Term:{} ConfState:Voters:[{}] VotersOutgoing:[{}] Learners:[{}] "
        "LearnersNext:[{}] AutoLeave:{}",
        snapshot.index, snapshot.term, fmt::join(of.voters, " "), fmt::join(of.outgoing, " "),
        fmt::join(of.learners, " "), fmt::join(of.learners_next, " "), of.leave_automatically);
  }
  return text;
}

}  // namespace even::consensus
