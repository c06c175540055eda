// Histories of transactions: what each session's transactions have read and written. No real time
// between sessions; the versions of a key are told apart by their values, so each value must be
// written once per key. Read from JSON lines (docs/verify.md, model `transactions`), or made of a
// history of registers, of which each operation is a transaction of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <istream>
#include <string>
#include <vector>

#include "base/result.h"
#include "verify/history.h"

namespace even::verify {

using TransactionId = std::uint32_t;
// Writes null to every key, before all others.
inline constexpr TransactionId kInitial = UINT32_MAX;

struct Access {
  std::uint32_t key = 0;
  std::int64_t value = kNull;  // of TransactionHistory::values
  bool writes = false;
};

struct Transaction {
  std::uint32_t session = 0;   // row of `sessions`
  std::uint32_t place = 0;     // in its session, from 0
  Position line = 0;           // of the history
  std::uint32_t first = 0;     // row of `accesses`
  std::uint32_t accesses = 0;  // in their order
};

struct TransactionHistory {
  std::vector<Transaction> transactions;
  std::vector<Access> accesses;
  std::vector<std::vector<TransactionId>> sessions;  // in their order
  std::vector<std::int64_t> processes;               // by session, as the history names them
  std::vector<std::string> keys;
  Values values;
};

// Errors name the line.
Result<TransactionHistory> read_transactions(
    std::istream& in, const std::function<void(std::uint64_t)>& progress = {});

// Of a register history. What of it is not known to have happened is there only if some read has
// seen it; a compare-and-set that found another value is left out, as it does not say which. An
// error names the line that writes a value again.
Result<TransactionHistory> transactions_of(History history);

}  // namespace even::verify
