#include "verify/unique_register.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <ranges>

namespace even::verify {
namespace {

using Row = std::uint32_t;  // of a value
constexpr std::uint32_t kNoOperation = UINT32_MAX;
// The initial value was written before everything.
constexpr Position kBefore = 0;

struct Value {
  std::uint32_t writer = kNoOperation;    // the operation
  std::uint32_t replacer = kNoOperation;  // the compare-and-set that found it
  std::vector<std::uint32_t> reads;
  bool is_initial = false;
  bool needed = false;  // if its writer is open: somebody saw that it took effect

  // Of the chain that it is in.
  std::uint32_t chain = kNoOperation;
  std::uint32_t place = 0;
};

// A position and the operation that has it; kNoOperation is the writing of the initial value.
struct Extreme {
  Position at;
  std::uint32_t operation;
};

struct Chain {
  std::vector<Row> values;
  Extreme first_end{kNever, kNoOperation};
  Extreme last_begin{kBefore, kNoOperation};

  bool holds_for_a_while() const { return first_end.at < last_begin.at; }
};

class Decision {
 public:
  explicit Decision(const Problem& problem) : operations_(problem.operations) {
    values_.resize(1);
    values_[0].is_initial = values_[0].needed = true;
    rows_.emplace(problem.initial, 0);
  }

  UniqueRegister decide() {
    using enum UniqueRegister::Answer;
    if (!note_writers()) return {};
    if (!note_readers() || !find_chains() || !order_within_chains() || !order_chains() ||
        !fit_mismatches()) {
      return {kViolated, witness(), {}};
    }
    if (mismatches_.empty()) return {kHolds, {}, {}};
    return {kHoldsWithout, {}, ranks()};
  }

 private:
  const Operation& at(std::uint32_t operation) const { return operations_[operation]; }

  Row row(std::int64_t value) {
    const auto [entry, is_new] = rows_.try_emplace(value, static_cast<Row>(values_.size()));
    if (is_new) values_.emplace_back();
    return entry->second;
  }

  // False if a value is written twice.
  bool note_writers() {
    for (std::uint32_t i = 0; i < operations_.size(); ++i) {
      const Operation& it = at(i);
      if (it.any_result) return false;
      if (it.function == Function::kRead || it.outcome == Outcome::kMismatch) continue;
      const bool is_cas = it.function == Function::kCas;
      if (is_cas && it.a == it.b) return false;
      Value& value = values_[row(it.a)];
      if (value.is_initial || value.writer != kNoOperation) return false;
      value.writer = i;
    }
    return true;
  }

  // False, with a witness, if a value was seen that nobody wrote, or was replaced twice.
  bool note_readers() {
    std::vector<std::uint32_t> open_needed;
    const auto need = [&](Row seen) {
      Value& value = values_[seen];
      if (!std::exchange(value.needed, true) && value.writer != kNoOperation &&
          at(value.writer).open()) {
        open_needed.push_back(value.writer);
      }
    };
    const auto replace = [&](std::uint32_t operation) {
      Value& old = values_[row(at(operation).b)];
      if (old.replacer == kNoOperation) {
        old.replacer = operation;
        return true;
      }
      // Once it is replaced, it does not come back.
      add_path(row(at(operation).b), row(at(operation).b));
      add(old.replacer);
      add(operation);
      return false;
    };
    for (std::uint32_t i = 0; i < operations_.size(); ++i) {
      const Operation& it = at(i);
      if (it.outcome == Outcome::kMismatch) {
        mismatches_.push_back(i);
        continue;
      }
      if (it.open()) continue;
      const bool is_cas = it.function == Function::kCas;
      if (it.function == Function::kWrite) {
        values_[row(it.a)].needed = true;
        continue;
      }
      const Row seen = row(is_cas ? it.b : it.a);
      if (!values_[seen].is_initial && values_[seen].writer == kNoOperation) {
        add(i);
        return false;
      }
      need(seen);
      if (is_cas) {
        values_[row(it.a)].needed = true;
        if (!replace(i)) return false;
      } else {
        values_[seen].reads.push_back(i);
      }
    }
    // An open compare-and-set that took effect saw a value in its turn.
    while (!open_needed.empty()) {
      const std::uint32_t operation = open_needed.back();
      open_needed.pop_back();
      if (at(operation).function != Function::kCas) continue;
      const Row seen = row(at(operation).b);
      if (!values_[seen].is_initial && values_[seen].writer == kNoOperation) {
        // It could not take effect, but what it wrote was seen.
        add(operation);
        return false;
      }
      need(seen);
      if (!replace(operation)) return false;
    }
    return true;
  }

  // False if values replace each other in a ring.
  bool find_chains() {
    const auto is_replaced_into = [&](const Value& value) {
      return !value.is_initial && at(value.writer).function == Function::kCas;
    };
    std::size_t in_chains = 0;
    std::size_t present = 0;
    for (Row first = 0; first < values_.size(); ++first) {
      const Value& value = values_[first];
      if (!is_present(value)) continue;
      ++present;
      if (is_replaced_into(value)) continue;
      Chain chain;
      for (Row next = first;; next = row(at(values_[next].replacer).a)) {
        values_[next].chain = static_cast<std::uint32_t>(chains_.size());
        values_[next].place = static_cast<std::uint32_t>(chain.values.size());
        chain.values.push_back(next);
        if (values_[next].replacer == kNoOperation) break;
      }
      in_chains += chain.values.size();
      chains_.push_back(std::move(chain));
    }
    if (in_chains == present) return true;
    for (Row first = 0; first < values_.size(); ++first) {
      if (!is_present(values_[first]) || values_[first].chain != kNoOperation) continue;
      Row next = first;
      do {
        add(values_[next].writer);
        next = row(at(values_[next].writer).b);
      } while (next != first && values_[next].writer != kNoOperation);
      break;
    }
    return false;
  }

  // It was in the register: what open operations write that nobody saw may not have been.
  bool is_present(const Value& value) const {
    return value.is_initial || (value.writer != kNoOperation && value.needed);
  }

  // False if in a chain something ended before something began that has to come before it.
  bool order_within_chains() {
    for (Chain& chain : chains_) {
      const auto note = [&](std::uint32_t operation) {
        const Operation& it = at(operation);
        if (it.invoked > chain.last_begin.at) chain.last_begin = {it.invoked, operation};
        if (it.completed < chain.first_end.at) chain.first_end = {it.completed, operation};
      };
      for (const Row place : chain.values) {
        const Value& value = values_[place];
        if (value.is_initial) chain.first_end = {kBefore, kNoOperation};
        if (value.writer != kNoOperation) {
          if (at(value.writer).completed < chain.last_begin.at) {
            return contradiction({chain.last_begin.operation, value.writer});
          }
          note(value.writer);
        }
        // Reads of one value can stand in any order.
        const Extreme earlier = chain.last_begin;
        for (const std::uint32_t read : value.reads) {
          if (at(read).completed < earlier.at) return contradiction({earlier.operation, read});
          note(read);
        }
      }
    }
    return true;
  }

  // False if two chains each have to come before the other.
  bool order_chains() {
    std::vector<std::uint32_t> holding;
    std::vector<std::uint32_t> others;
    for (std::uint32_t i = 0; i < chains_.size(); ++i) {
      (chains_[i].holds_for_a_while() ? holding : others).push_back(i);
    }
    const auto first_end = [&](std::uint32_t i) { return chains_[i].first_end.at; };
    std::ranges::sort(holding, {}, first_end);
    for (std::size_t i = 1; i < holding.size(); ++i) {
      if (chains_[holding[i]].first_end.at < chains_[holding[i - 1]].last_begin.at) {
        return contradiction(holding[i - 1], holding[i]);
      }
    }
    chain_places_.resize(chains_.size());
    for (const std::uint32_t i : holding) chain_places_[i] = {first_end(i), 0};
    for (const std::uint32_t i : others) {
      // Where it begins, or behind the chain that holds the register then.
      chain_places_[i] = {chains_[i].last_begin.at, 1};
      auto after = std::ranges::lower_bound(holding, chains_[i].last_begin.at, {}, first_end);
      if (after == holding.begin()) continue;
      const std::uint32_t around = *(after - 1);
      if (chains_[around].last_begin.at <= chains_[i].last_begin.at) continue;
      if (chains_[i].first_end.at < chains_[around].last_begin.at) {
        return contradiction(around, i);
      }
      chain_places_[i] = {chains_[around].last_begin.at, 1};
    }
    return true;
  }

  // False if the register held a value for all of the time of one that found another.
  bool fit_mismatches() {
    if (mismatches_.empty()) return true;
    // Of each value in a chain: when it was there at the latest, and left at the earliest.
    std::vector<std::pair<Extreme, Extreme>> held(
        values_.size(), {{kNever, kNoOperation}, {kBefore, kNoOperation}});
    for (const Chain& chain : chains_) {
      Extreme begin{kBefore, kNoOperation};
      for (const Row place : chain.values) {
        for_each(place, [&](std::uint32_t i) {
          if (at(i).invoked > begin.at) begin = {at(i).invoked, i};
        });
        held[place].second = begin;
        const std::uint32_t replacer = values_[place].replacer;
        if (replacer != kNoOperation && at(replacer).invoked > begin.at) {
          held[place].second = {at(replacer).invoked, replacer};
        }
      }
      Extreme end{kNever, kNoOperation};
      for (const Row place : std::views::reverse(chain.values)) {
        for_each(place, [&](std::uint32_t i) {
          if (at(i).completed < end.at) end = {at(i).completed, i};
        });
        if (values_[place].is_initial) end = {kBefore, kNoOperation};
        held[place].first = end;
      }
    }
    for (const std::uint32_t i : mismatches_) {
      const auto found = rows_.find(at(i).b);
      if (found == rows_.end() || values_[found->second].chain == kNoOperation) continue;
      const auto& [begin, end] = held[found->second];
      if (begin.at < at(i).invoked && at(i).completed < end.at) {
        add(i);
        return contradiction({begin.operation, end.operation}, found->second);
      }
    }
    return true;
  }

  template <typename Visit>
  void for_each(Row value, const Visit& visit) const {
    if (values_[value].writer != kNoOperation) visit(values_[value].writer);
    for (const std::uint32_t read : values_[value].reads) visit(read);
  }

  std::vector<std::uint32_t> ranks() const {
    std::vector<std::uint32_t> order(chains_.size());
    std::iota(order.begin(), order.end(), 0U);
    std::ranges::sort(order, {}, [&](std::uint32_t i) { return chain_places_[i]; });
    std::vector<std::uint32_t> ranks(operations_.size(), kNoOperation);
    std::uint32_t next = 0;
    for (const std::uint32_t i : order) {
      for (const Row place : chains_[i].values) {
        for_each(place, [&](std::uint32_t operation) { ranks[operation] = next++; });
      }
    }
    return ranks;
  }

  // What follows makes the witness: whatever operations are in it, those are too that they need.

  void add(std::uint32_t operation) {
    if (operation != kNoOperation) chosen_.emplace(operation, at(operation));
  }

  // The values of a chain from `first` to `last`; of who wrote the first, only that.
  void add_path(Row first, Row last) {
    for (Row place = first;; place = row(at(values_[place].replacer).a)) {
      const std::uint32_t writer = values_[place].writer;
      if (writer != kNoOperation) {
        add(writer);
        if (place == first && at(writer).function == Function::kCas) {
          Operation& copy = chosen_.at(writer);
          copy.function = Function::kWrite;
          copy.only_writes = true;
        }
      }
      if (place == last) return;
    }
  }

  // That an open operation took effect is known by who saw that.
  void add_evidence(std::uint32_t operation) {
    while (at(operation).open()) {
      const Value& value = values_[row(at(operation).a)];
      operation = value.reads.empty() ? value.replacer : value.reads.front();
      if (operation == kNoOperation) return;
      add(operation);
    }
  }

  std::vector<Operation> witness() {
    std::vector<std::uint32_t> direct;
    for (const auto& [operation, copy] : chosen_) direct.push_back(operation);
    for (const std::uint32_t operation : direct) add_evidence(operation);
    std::vector<Operation> witness;
    for (const auto& [operation, copy] : chosen_) witness.push_back(copy);
    return witness;
  }

  // The value by which an operation is in its chain.
  Row place_of(std::uint32_t operation) {
    return operation == kNoOperation ? 0 : row(at(operation).a);
  }

  // Operations of one chain, with all of it that is between them.
  bool contradiction(const std::vector<std::uint32_t>& operations,
                     std::optional<Row> also = std::nullopt) {
    std::vector<Row> places;
    if (also) places.push_back(*also);
    for (const std::uint32_t operation : operations) {
      places.push_back(place_of(operation));
      add(operation);
    }
    const auto place = [&](Row value) { return values_[value].place; };
    const auto [least, most] = std::ranges::minmax_element(places, {}, place);
    add_path(*least, *most);
    return false;
  }

  bool contradiction(std::uint32_t chain, std::uint32_t other) {
    for (const std::uint32_t i : {chain, other}) {
      contradiction({chains_[i].first_end.operation, chains_[i].last_begin.operation});
    }
    return false;
  }

  const std::vector<Operation>& operations_;
  absl::flat_hash_map<std::int64_t, Row> rows_;
  std::vector<Value> values_;
  std::vector<Chain> chains_;
  std::vector<std::pair<Position, int>> chain_places_;  // sorts the chains
  std::vector<std::uint32_t> mismatches_;
  std::map<std::uint32_t, Operation> chosen_;  // for the witness
};

}  // namespace

UniqueRegister decide_unique_register(const Problem& problem) { return Decision(problem).decide(); }

}  // namespace even::verify
