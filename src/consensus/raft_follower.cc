// What a follower does for its leader: thesis sections 3.5 and 5.
#include <fmt/format.h>

#include "base/mutant.h"
#include "consensus/raft.h"

namespace even::consensus {

void Raft::acknowledge(MemberId to, Index index) {
  Message response{.kind = MessageKind::kAppendResponse, .to = to, .index = index};
  if (EVEN_MUTANT(kEntryNotDurable)) {
    send(std::move(response));
  } else {
    send_when_durable(std::move(response));
  }
}

void Raft::handle_append_request(const Message& message) {
  if (message.index < log_.committed() && !EVEN_MUTANT(kTruncatesCommitted)) {
    acknowledge(message.from, log_.committed());
    return;
  }
  if (log_.merge(message.index, message.log_term, message.entries)) {
    const Index last = message.index + message.entries.size();
    log_.commit(std::min(message.commit, last));
    acknowledge(message.from, last);
    return;
  }
  const Log::Position agreement =
      log_.agreement(std::min(message.index, log_.last()), message.log_term);
  send_when_durable({.kind = MessageKind::kAppendResponse,
                     .reject = true,
                     .to = message.from,
                     .log_term = agreement.term,
                     .index = message.index,
                     .hint = agreement.index});
}

Result<> Raft::handle_heartbeat_request(const Message& message) {
  if (message.commit > log_.last()) {
    return fail(fmt::format("member {} has committed entry {} for us, who have {}", message.from,
                            message.commit, log_.last()));
  }
  log_.commit(message.commit);
  send({.kind = MessageKind::kHeartbeatResponse, .to = message.from, .context = message.context});
  return {};
}

void Raft::handle_snapshot_request(const Message& message) {
  const bool installed = install(message.snapshot);
  acknowledge(message.from, installed ? log_.last() : log_.committed());
}

// False if it brings nothing that we need.
bool Raft::install(const SnapshotPointer& snapshot) {
  if (snapshot->index <= log_.committed()) return false;
  // It need not know us: then a later entry adds us, or we have been removed.
  if (log_.matches(snapshot->index, snapshot->term)) {
    log_.commit(snapshot->index);
    return false;
  }
  if (EVEN_MUTANT(kSnapshotIndexWrong)) {
    Snapshot wrong = *snapshot;
    ++wrong.index;
    log_.install(std::make_shared<const Snapshot>(std::move(wrong)));
  } else {
    log_.install(snapshot);
  }
  if (EVEN_MUTANT(kSnapshotConfigurationWrong)) return true;
  changes_to_apply_.clear();
  adopt(restore(snapshot->configuration, log_.last()));
  return true;
}

}  // namespace even::consensus
