#include "cli/group_text.h"

#include <fmt/format.h>

#include <string_view>
#include <vector>

#include "cli/record_text.h"
#include "topic/event_id.h"

namespace even::cli {
namespace {

using consensus::Change;
using consensus::ChangeKind;
using consensus::MemberId;
using consensus::Members;

template <typename... Kinds>
struct Overloaded : Kinds... {
  using Kinds::operator()...;
};

std::string member_text(MemberId member) {
  return fmt::format("{}/{:04x}", node_of(member), member & 0xffff);
}

std::string members_text(std::string_view name, const Members& members) {
  if (members.empty()) return "";
  std::string out = fmt::format(", {}", name);
  for (const MemberId member : members) out += " " + member_text(member);
  return out;
}

std::string words_text(const GroupProposal::Words& words) {
  std::vector<std::string> quotes;
  for (const std::string_view word : words) quotes.push_back(quoted(word));
  return fmt::format("{}", fmt::join(quotes, " "));
}

std::string proposal_text(std::string_view bytes) {
  const auto proposal = decode_proposal(bytes);
  if (!proposal) return "damaged: " + proposal.error().message;
  const std::string instant = instant_text(proposal->instant_ms);
  if (proposal->kind == GroupProposal::Kind::kPurge) return "removes what has expired " + instant;
  if (proposal->kind == GroupProposal::Kind::kNewLife) return "begins a new life " + instant;
  if (proposal->kind == GroupProposal::Kind::kTrim) {
    const std::string purge =
        proposal->purge == 0 ? "" : fmt::format(", and tombstones up to entry {}", proposal->purge);
    return fmt::format("lets records below {} go{}{} {}", proposal->start, purge,
                       proposal->checkpoint ? ", keeps the state" : "", instant);
  }
  if (proposal->kind == GroupProposal::Kind::kBatch) {
    return fmt::format(
        "{} a batch of records, {} bytes{}", instant, proposal->batch.size(),
        proposal->compacted ? fmt::format(" left of {}", proposal->compacted->bytes) : "");
  }
  if (proposal->kind == GroupProposal::Kind::kEvents) {
    const auto events = topic::EventIds::decode(proposal->events);
    if (!events) return "damaged: ids of events that cannot be";
    return fmt::format("{} {} events of partition {}, {} bytes", instant, events->ids.size(),
                       events->partition, proposal->batch.size());
  }
  std::vector<std::string> commands;
  for (const auto& words : proposal->commands) commands.push_back(words_text(words));
  std::string out = proposal->transaction ? "transaction " + instant : instant;
  if (!proposal->once.empty()) {
    out += fmt::format(" once {} in {} ms", quoted(proposal->once), proposal->once_ms);
    if (proposal->once_first) out += " first";
  }
  for (const auto& watched : proposal->watched) {
    out += fmt::format(" if {} is {}", words_text(watched.words), quoted(watched.reply));
  }
  return out + fmt::format(" {}", fmt::join(commands, "; "));
}

std::string_view verb(ChangeKind kind) {
  switch (kind) {
    case ChangeKind::kAddVoter:
      return "adds voter";
    case ChangeKind::kAddLearner:
      return "adds learner";
    case ChangeKind::kRemove:
      return "removes";
    case ChangeKind::kUpdate:
      return "updates";
  }
  return "";
}

std::string change_text(std::string_view bytes) {
  const auto change = consensus::decode_change(bytes);
  if (!change) return "damaged: no change of a configuration";
  if (change->leaves_joint()) return "leaves the joint configuration";
  std::vector<std::string> changes;
  for (const Change& one : change->changes) {
    changes.push_back(fmt::format("{} {}", verb(one.kind), member_text(one.member)));
  }
  return fmt::format("{}{}", change->enters_joint() ? "jointly " : "", fmt::join(changes, ", "));
}

std::string entry_text(const consensus::Entry& entry) {
  switch (entry.kind) {
    case consensus::EntryKind::kNormal:
      return proposal_text(entry.data.view());
    case consensus::EntryKind::kConfiguration:
      return change_text(entry.data.view());
    case consensus::EntryKind::kEmpty:
      return "begins the term";
  }
  return "";
}

}  // namespace

std::string group_text(const GroupLogEntry& entry) {
  return std::visit(
      Overloaded{[](const GroupEntry& e) {
                   return fmt::format("group {} entry {} of term {} {}", e.group, e.entry.index,
                                      e.entry.term, entry_text(e.entry));
                 },
                 [](const GroupState& s) {
                   const std::string vote = s.state.vote == consensus::kNoMember
                                                ? "no vote"
                                                : "vote for " + member_text(s.state.vote);
                   return fmt::format("group {} state: term {}, {}, committed {}", s.group,
                                      s.state.term, vote, s.state.commit);
                 },
                 [](const GroupBase& b) {
                   return fmt::format("group {} base{}: entry {} of term {}, as {}{}{}{}{}",
                                      b.group,
                                      b.topic    ? " of a topic"
                                      : b.staged ? " of a state that was taken over"
                                                 : "",
                                      b.index, b.term, member_text(b.self),
                                      members_text("voters", b.configuration.voters),
                                      members_text("outgoing", b.configuration.outgoing),
                                      members_text("learners", b.configuration.learners),
                                      members_text("learners next", b.configuration.learners_next));
                 },
                 [](const GroupEnd& e) { return fmt::format("group {} left", e.group); }},
      entry);
}

}  // namespace even::cli
