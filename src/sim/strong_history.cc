#include "sim/strong_history.h"

#include <fmt/format.h>

#include <algorithm>

#include "sim/run.h"
#include "verify/explain.h"
#include "verify/linearizable.h"

namespace even::sim {
namespace {

using verify::Function;
using verify::kNull;
using verify::Model;
using Kind = StrongOperation::Kind;

// A key that takes more is left undecided; none should.
constexpr std::uint64_t kMostSteps = 3'000'000;
constexpr std::size_t kMostBytes = std::size_t{64} << 20;

std::string text_of(const StrongOperation& operation) {
  std::string text;
  for (const auto& words : operation.commands) {
    text += fmt::format("{}{}", text.empty() ? "" : "; ", fmt::join(words, " "));
  }
  return text;
}

[[noreturn]] void unexpected(const StrongOperation& operation, std::string_view reply) {
  violated(fmt::format("group {}: {} replied {}", operation.group, text_of(operation), reply));
}

Function function_of(Kind kind) {
  switch (kind) {
    case Kind::kWrite:
    case Kind::kVanish:
      return Function::kWrite;
    case Kind::kCas:
    case Kind::kWatched:
      return Function::kCas;
    case Kind::kAdd:
    case Kind::kAddBoth:
      return Function::kAdd;
    case Kind::kAppend:
      return Function::kAppend;
    default:
      return Function::kRead;
  }
}

// In a history. Other reads may show the past.
bool is_linearizable(const StrongOperation& operation) {
  if (operation.kind == Kind::kUnchecked || operation.kind == Kind::kInstant) return false;
  return !operation.reads() || operation.level == StrongRead::kLinearizable;
}

// The reply to the command, or to the transaction's only one or its two equal ones.
const StrongReply& only(const StrongOperation& operation, const StrongReply& reply) {
  if (!operation.transaction) return reply;
  const auto& parts = reply.parts;
  if (reply.kind != StrongReply::Kind::kArray || parts.size() != operation.commands.size()) {
    unexpected(operation, reply.text);
  }
  const bool alike = operation.kind != Kind::kUnchecked && operation.kind != Kind::kInstant;
  if (alike && parts.front().text != parts.back().text) {
    violated(fmt::format("group {}: a transaction is not whole: {} replied {} and {}",
                         operation.group, text_of(operation), parts.front().text,
                         parts.back().text));
  }
  return parts.front();
}

}  // namespace

verify::Operation& StrongHistory::add(const StrongOperation& operation, std::int64_t process,
                                      std::int64_t now_us) {
  Kept& kept = of(operation.model);
  kept.history.model = operation.model;
  const auto [key, is_new] =
      kept.keys.try_emplace(operation.key, static_cast<std::uint32_t>(kept.history.keys.size()));
  if (is_new) kept.history.keys.push_back(operation.key);
  kept.dropped.push_back(false);
  verify::Operation& entry = kept.history.operations.emplace_back();
  entry.process = process;
  entry.invoked = ++position_;
  entry.invoked_ns = now_us * 1000;
  entry.key = key->second;
  entry.outcome = verify::Outcome::kOpen;
  entry.function = function_of(operation.kind);
  return entry;
}

StrongHistory::Asked StrongHistory::asked(const StrongOperation& operation, std::int64_t process,
                                          std::int64_t now_us) {
  Asked asked{.at_us = now_us, .acknowledged = acknowledged(operation.group, now_us)};
  if (!is_linearizable(operation)) return asked;
  Kept& kept = of(operation.model);
  asked.row = kept.history.operations.size();
  verify::Operation& entry = add(operation, process, now_us);
  verify::Values& values = kept.history.values;
  if (entry.function == Function::kAdd) {
    entry.a = operation.by;
  } else if (entry.function != Function::kRead) {
    entry.a = values.intern(operation.value);
  }
  if (entry.function == Function::kCas) {
    entry.b = operation.old_value ? values.intern(*operation.old_value) : kNull;
  }
  // That it expires, at some time.
  if (operation.kind == Kind::kVanish) add(operation, -process, now_us).a = kNull;
  return asked;
}

void StrongHistory::refused(const StrongOperation& operation, const Asked& asked) {
  if (asked.row == SIZE_MAX) return;
  Kept& kept = of(operation.model);
  kept.dropped[asked.row] = true;
  if (operation.kind == Kind::kVanish) kept.dropped[asked.row + 1] = true;
}

consensus::Index StrongHistory::acknowledged(PartitionId group, std::int64_t by_us) const {
  const auto found = acknowledged_.find(group);
  if (found == acknowledged_.end()) return 0;
  const auto after = std::ranges::upper_bound(found->second, by_us, {},
                                              [](const auto& each) { return each.first; });
  return after == found->second.begin() ? 0 : std::prev(after)->second;
}

void StrongHistory::check_level(const StrongOperation& operation, const Asked& asked,
                                consensus::Index index, const Session& session) const {
  const auto demand = [&](consensus::Index least, const char* why) {
    if (index >= least) return;
    violated(fmt::format("group {}: {} was executed at index {}, {} is {}", operation.group,
                         text_of(operation), index, why, least));
  };
  if (!operation.reads()) {
    demand(asked.acknowledged + 1, "and what comes after all acknowledged writes");
    return;
  }
  const auto seen = session.index.find(operation.group);
  switch (operation.level) {
    case StrongRead::kLinearizable:
      demand(asked.acknowledged, "and what had been acknowledged before");
      break;
    case StrongRead::kSequential:
      if (seen != session.index.end()) demand(seen->second, "and what its client had seen");
      break;
    case StrongRead::kBounded:
      demand(acknowledged(operation.group, asked.at_us - operation.bound_ms * 1000),
             "and what had been acknowledged before its bound");
      break;
    case StrongRead::kOne:
      break;
  }
}

// A group's state follows from the index alone.
void StrongHistory::check_state(const StrongOperation& operation, std::string_view reply,
                                consensus::Index index) {
  const auto [known, is_new] =
      states_.try_emplace({operation.group, index, operation.key}, std::string(reply));
  if (is_new || known->second == reply) return;
  violated(fmt::format("group {}: {} at index {} replied {} once, and now {}", operation.group,
                       text_of(operation), index, known->second, reply));
}

// The instants of entries never go back.
void StrongHistory::check_instant(const StrongOperation& operation, const StrongReply& reply,
                                  consensus::Index index) {
  if (reply.parts.size() != 2) unexpected(operation, reply.text);
  const std::int64_t instant = reply.parts.back().number() - operation.by;
  auto& known = instants_[operation.group];
  const auto at = known.emplace(index, instant).first;
  const auto next = std::next(at);
  if ((at != known.begin() && std::prev(at)->second > instant) ||
      (next != known.end() && next->second < instant)) {
    violated(fmt::format("group {}: the instant of entry {} is not between those of its neighbours",
                         operation.group, index));
  }
}

void StrongHistory::check_session(const StrongOperation& operation, const StrongReply& reply,
                                  Session& session) const {
  if (operation.model != Model::kCounter) return;
  const std::int64_t now = only(operation, reply).number();
  std::int64_t& seen = session.counters[operation.key];
  const bool may_go_back = operation.reads() && (operation.level == StrongRead::kOne ||
                                                 operation.level == StrongRead::kBounded);
  if (may_go_back) return;
  if (now < seen) {
    violated(fmt::format("group {}: a client that had seen {} was shown {} by {}", operation.group,
                         seen, now, text_of(operation)));
  }
  seen = now;
}

void StrongHistory::take(const StrongOperation& operation, const StrongReply& reply,
                         verify::Operation& entry) {
  verify::Values& values = of(operation.model).history.values;
  entry.outcome = verify::Outcome::kOk;
  if (operation.kind == Kind::kWatched && reply.kind == StrongReply::Kind::kNull) {
    entry.outcome = verify::Outcome::kMismatch;
    return;
  }
  const StrongReply& one = only(operation, reply);
  switch (entry.function) {
    case Function::kRead:
      if (operation.model == Model::kCounter) {
        entry.a = one.number();
      } else if (one.kind == StrongReply::Kind::kNull) {
        entry.a = operation.model == Model::kAppend ? values.intern("") : kNull;
      } else {
        entry.a = values.intern(one.text);
      }
      return;
    case Function::kAdd:
      if (one.kind != StrongReply::Kind::kInteger) break;
      entry.b = one.number();
      entry.has_b = true;
      return;
    case Function::kAppend:
      if (one.kind != StrongReply::Kind::kInteger) break;
      return;
    case Function::kCas:
      if (one.kind == StrongReply::Kind::kNull) {
        entry.outcome = verify::Outcome::kMismatch;
        return;
      }
      [[fallthrough]];
    default:
      if (one.text != "OK") break;
      return;
  }
  unexpected(operation, one.text);
}

std::optional<std::optional<std::string>> StrongHistory::replied(
    const StrongOperation& operation, const Asked& asked, std::string_view resp,
    consensus::Index index, Session& session, std::int64_t now_us) {
  const auto reply = parse_reply(resp);
  if (!reply) unexpected(operation, resp);
  const bool may_fail = operation.kind == Kind::kUnchecked;
  if (reply->kind == StrongReply::Kind::kError && !may_fail) unexpected(operation, resp);
  check_level(operation, asked, index, session);
  if (operation.reads()) {
    check_state(operation, resp, index);
  } else {
    auto& known = acknowledged_[operation.group];
    known.emplace_back(now_us, known.empty() ? index : std::max(index, known.back().second));
  }
  check_session(operation, *reply, session);
  if (operation.kind == Kind::kInstant) check_instant(operation, *reply, index);
  // A read that may go back says nothing of what the next one must show.
  if (!operation.reads() || operation.level == StrongRead::kLinearizable ||
      operation.level == StrongRead::kSequential) {
    consensus::Index& seen = session.index[operation.group];
    seen = std::max(seen, index);
  }
  if (asked.row == SIZE_MAX) return std::nullopt;
  Kept& kept = of(operation.model);
  verify::Operation& entry = kept.history.operations[asked.row];
  take(operation, *reply, entry);
  entry.completed = ++position_;
  entry.completed_ns = now_us * 1000;
  if (operation.model != Model::kRegister) return std::nullopt;
  if (entry.function == Function::kRead) {
    return reply->kind == StrongReply::Kind::kNull ? std::nullopt : std::optional(reply->text);
  }
  if (entry.outcome == verify::Outcome::kMismatch) return std::nullopt;
  return std::optional(operation.value);
}

void StrongHistory::check(Outcome& outcome) {
  for (Kept& kept : kept_) {
    verify::History& history = kept.history;
    // Reads without a reply say nothing.
    std::vector<verify::Operation> operations;
    for (std::size_t i = 0; i < history.operations.size(); ++i) {
      const verify::Operation& entry = history.operations[i];
      if (kept.dropped[i] || (entry.open() && entry.function == Function::kRead)) continue;
      operations.push_back(entry);
    }
    history.operations = std::move(operations);
    kept.dropped.assign(history.operations.size(), false);
    verify::CheckOptions options;
    options.limits.memory_bytes = kMostBytes;
    options.limits.most_steps = kMostSteps;
    const verify::CheckResult result = verify::check_linearizable(history, options);
    outcome.strong_checked += history.operations.size();
    outcome.undecided_keys += result.undecided_keys;
    if (result.verdict != verify::Verdict::kViolated) continue;
    const verify::Explanation explanation = verify::explain(*result.violation);
    violated(fmt::format("a strong partition is not linearizable: {}\n{}", sentence(explanation),
                         explanation_text(explanation)));
  }
}

}  // namespace even::sim
