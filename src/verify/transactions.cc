#include "verify/transactions.h"

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

namespace even::verify {
namespace {

using Version = std::pair<std::uint32_t, std::int64_t>;  // key, value

class TransactionReader {
 public:
  Result<> take(std::string_view line) {
    ++line_;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) return {};
    if (line.size() > kMostLineBytes) return bad("it is too long");
    const nlohmann::json event = nlohmann::json::parse(line, nullptr, false);
    if (event.is_discarded() || !event.is_object()) return bad("it is no JSON object");
    if (event.value("f", nlohmann::json()) != "txn") return bad("its \"f\" is not \"txn\"");
    const auto process = event.find("process");
    if (process == event.end() || !process->is_number_integer()) {
      return bad("its \"process\" is no integer");
    }
    const auto type = event.find("type");
    if (type == event.end() || *type != "ok") {
      return bad(
          "its \"type\" is not \"ok\": transactions that are not known to be done are left out");
    }
    const auto value = event.find("value");
    if (value == event.end() || !value->is_array()) return bad("its \"value\" is no array");
    return take(process->get<std::int64_t>(), *value);
  }

  TransactionHistory finish() && { return std::move(history_); }

 private:
  Result<> take(std::int64_t process, const nlohmann::json& accesses) {
    const auto [session, fresh] =
        sessions_.try_emplace(process, static_cast<std::uint32_t>(history_.sessions.size()));
    if (fresh) {
      history_.sessions.emplace_back();
      history_.processes.push_back(process);
    }
    std::vector<TransactionId>& order = history_.sessions[session->second];
    order.push_back(static_cast<TransactionId>(history_.transactions.size()));
    history_.transactions.push_back({session->second, static_cast<std::uint32_t>(order.size() - 1),
                                     line_, static_cast<std::uint32_t>(history_.accesses.size()),
                                     static_cast<std::uint32_t>(accesses.size())});
    for (const nlohmann::json& access : accesses) {
      if (!access.is_array() || access.size() != 3 || (access[0] != "r" && access[0] != "w")) {
        return bad("what a transaction does is [\"r\" or \"w\", key, value]");
      }
      const std::string name =
          access[1].is_string() ? access[1].get<std::string>() : access[1].dump();
      const auto [key, is_new] =
          keys_.try_emplace(name, static_cast<std::uint32_t>(history_.keys.size()));
      if (is_new) history_.keys.push_back(name);
      const bool writes = access[0] == "w";
      const std::int64_t value = history_.values.intern(access[2].dump());
      if (writes && value == kNull) return bad("null is what a key holds before it is written");
      if (writes && !written_.emplace(key->second, value).second) {
        return bad(fmt::format("it writes {} to key {}, which has been written there before",
                               access[2].dump(), name));
      }
      history_.accesses.push_back({key->second, value, writes});
    }
    return {};
  }

  std::unexpected<Error> bad(std::string_view what) const {
    return fail(fmt::format("line {}: {}", line_, what));
  }

  TransactionHistory history_;
  Position line_ = 0;
  absl::flat_hash_map<std::int64_t, std::uint32_t> sessions_;
  absl::flat_hash_map<std::string, std::uint32_t> keys_;
  absl::flat_hash_set<Version> written_;
};

}  // namespace

Result<TransactionHistory> read_transactions(std::istream& in,
                                             const std::function<void(std::uint64_t)>& progress) {
  TransactionReader reader;
  std::string line;
  std::uint64_t bytes = 0;
  while (std::getline(in, line)) {
    bytes += line.size() + 1;
    if (const Result<> taken = reader.take(line); !taken) return std::unexpected(taken.error());
    if (progress) progress(bytes);
  }
  if (in.bad()) return fail("cannot be read to its end");
  return std::move(reader).finish();
}

Result<TransactionHistory> transactions_of(History history) {
  TransactionHistory out;
  absl::flat_hash_set<Version> read;
  absl::flat_hash_map<Version, Position> written;
  for (const Operation& operation : history.operations) {
    if (operation.outcome == Outcome::kMismatch) continue;
    if (operation.function == Function::kRead) {
      if (!operation.open()) read.emplace(operation.key, operation.a);
      continue;
    }
    if (operation.function == Function::kCas && !operation.open()) {
      read.emplace(operation.key, operation.b);
    }
    const auto [first, is_new] =
        written.try_emplace({operation.key, operation.a}, operation.invoked);
    if (!is_new) {
      return fail(fmt::format(
          "line {}: {} is written to key {} again, as in line {}: who reads it does not say which",
          operation.invoked, history.values.text(operation.a), history.keys[operation.key],
          first->second));
    }
  }
  // What an open compare-and-set has seen counts once somebody has seen what it wrote.
  for (bool more = true; more;) {
    more = false;
    for (const Operation& operation : history.operations) {
      if (operation.function != Function::kCas || !operation.open()) continue;
      if (!read.contains({operation.key, operation.a})) continue;
      more = read.emplace(operation.key, operation.b).second || more;
    }
  }
  absl::flat_hash_map<std::int64_t, std::uint32_t> sessions;
  for (const Operation& operation : history.operations) {
    const bool reads = operation.function == Function::kRead;
    if (operation.outcome == Outcome::kMismatch || (reads && operation.open())) continue;
    if (operation.open() && !read.contains({operation.key, operation.a})) continue;
    const auto [session, fresh] =
        sessions.try_emplace(operation.process, static_cast<std::uint32_t>(out.sessions.size()));
    if (fresh) {
      out.sessions.emplace_back();
      out.processes.push_back(operation.process);
    }
    std::vector<TransactionId>& order = out.sessions[session->second];
    order.push_back(static_cast<TransactionId>(out.transactions.size()));
    const bool swaps = operation.function == Function::kCas;
    out.transactions.push_back({session->second, static_cast<std::uint32_t>(order.size() - 1),
                                operation.invoked, static_cast<std::uint32_t>(out.accesses.size()),
                                swaps ? 2U : 1U});
    if (swaps) out.accesses.push_back({operation.key, operation.b, false});
    out.accesses.push_back({operation.key, operation.a, !reads});
  }
  out.keys = std::move(history.keys);
  out.values = std::move(history.values);
  return out;
}

}  // namespace even::verify
