// Linearizable reads: see read_index.h.
#include "base/mutant.h"
#include "consensus/raft.h"

namespace even::consensus {

std::expected<void, Refusal> Raft::read_index(std::uint64_t context) {
  if (role_ == Role::kLeader) {
    if (reads_.size() >= options_.max_reads) return std::unexpected(Refusal::kTooManyReads);
    reads_.add({options_.self, context});
    return {};
  }
  if (leader_ == kNoMember) return std::unexpected(Refusal::kNoLeader);
  messages_.push_back({.kind = MessageKind::kReadRequest,
                       .from = options_.self,
                       .to = leader_,
                       .context = context});
  return {};
}

void Raft::handle_read_request(const Message& message) {
  const ReadIndex::Request request{message.from, message.context};
  if (role_ == Role::kLeader && reads_.size() < options_.max_reads) {
    reads_.add(request);
  } else {
    answer_read(request, std::nullopt);
  }
}

// A new leader may not know of everything that was committed before it until it has committed an
// entry itself: until then reads wait.
bool Raft::may_begin_round() const {
  return role_ == Role::kLeader && reads_.wants_round() && committed_in_term();
}

void Raft::begin_round() {
  const std::uint64_t round = reads_.begin_round(log_.committed());
  if (Progress* own = membership_.progress.find(options_.self)) own->read_round = round;
  if (EVEN_MUTANT(kReadWithoutRound)) {
    for (auto& [member, progress] : membership_.progress) progress.read_round = round;
  } else {
    send_heartbeats(Recipients::kVoters);
  }
  release_reads();
}

void Raft::release_reads() {
  if (reads_.newest_round() == 0) return;
  for (const ReadIndex::Round& round : reads_.confirm(membership_.confirmed_round())) {
    for (const ReadIndex::Request& request : round.requests) answer_read(request, round.index);
  }
}

void Raft::abandon_reads() {
  for (const ReadIndex::Request& request : reads_.abandon()) {
    if (EVEN_MUTANT(kDeposedLeaderReads)) {
      answer_read(request, log_.committed());
    } else {
      answer_read(request, std::nullopt);
    }
  }
}

void Raft::answer_read(const ReadIndex::Request& request, std::optional<Index> index) {
  if (request.from != options_.self) {
    messages_.push_back({.kind = MessageKind::kReadResponse,
                         .reject = !index,
                         .from = options_.self,
                         .to = request.from,
                         .index = index.value_or(0),
                         .context = request.context});
  } else if (index) {
    released_.push_back({request.context, *index});
  } else {
    refused_reads_.push_back(request.context);
  }
}

}  // namespace even::consensus
