#include "verify/reduce.h"

#include <algorithm>
#include <optional>

#include "verify/linearizable.h"

namespace even::verify {
namespace {

using std::chrono::steady_clock;

// What is not found to be a violation in so many steps is taken for none: then less is left out.
constexpr std::uint64_t kSteps = 500'000;
constexpr std::size_t kMemory = std::size_t{256} << 20;
constexpr std::size_t kMostFolds = 64;

// What an operation has to do with the values of a register; an element of a set is one that holds
// whether the element is there.
struct Role {
  bool writes = false;
  bool sees = false;
  bool sees_another = false;  // than `seen`
  std::int64_t written = 0;
  std::int64_t seen = 0;
};

Role role_of(Model model, const Operation& it) {
  const bool is_set = model == Model::kSet;
  switch (it.function) {
    case Function::kRead:
      return {.sees = true, .seen = it.a};
    case Function::kContains:
      return {.sees = true, .seen = it.b};
    case Function::kCas:
      if (it.outcome == Outcome::kMismatch) return {.sees_another = true, .seen = it.b};
      return {.writes = true, .sees = true, .written = it.a, .seen = it.b};
    case Function::kAdd:
      return {.writes = true, .written = 1};
    case Function::kRemove:
      return {.writes = true, .written = 0};
    case Function::kWrite:
    case Function::kAppend:
      return {.writes = true, .written = is_set ? 1 : it.a};
  }
  return {};
}

bool only_looks(const Operation& it) {
  return it.function == Function::kRead || it.function == Function::kContains ||
         it.outcome == Outcome::kMismatch || (it.function == Function::kCas && it.a == it.b);
}

bool is_element(const Problem& problem) {
  return problem.model() == Model::kSet &&
         std::ranges::none_of(problem.operations, [&](const Operation& it) {
           return it.function == Function::kRead || it.a != problem.operations.front().a;
         });
}

class Reducer {
 public:
  Reducer(Problem problem, steady_clock::time_point deadline)
      : problem_(std::move(problem)), deadline_(deadline) {
    limits_.memory_bytes = kMemory;
    limits_.most_steps = kSteps;
    limits_.deadline = deadline;
  }

  Problem run() {
    if (problem_.reason.empty()) cut();
    if (problem_.reason.empty()) fold();
    if (problem_.reason.empty()) drop();
    return std::move(problem_);
  }

 private:
  bool out_of_time() const { return steady_clock::now() >= deadline_; }

  // Takes it over if it is a violation yet.
  bool try_out(Problem candidate) {
    Problem witness;
    if (decide(candidate, limits_, &witness) != Verdict::kViolated) return false;
    problem_ = std::move(witness);
    return true;
  }

  Problem with(std::vector<Operation> operations) const {
    return {problem_.history, std::move(operations), problem_.initial, {}};
  }

  // The history up to the first moment at which it is a violation.
  void cut() {
    std::vector<Position> ends;
    for (const Operation& it : problem_.operations) {
      if (!it.open()) ends.push_back(it.completed);
    }
    std::ranges::sort(ends);
    std::size_t from = 0;
    std::size_t to = ends.size();  // up to the end number to - 1 it is a violation
    const std::vector<Operation> all = problem_.operations;
    while (from + 1 < to && problem_.reason.empty() && !out_of_time()) {
      const std::size_t middle = (from + to) / 2;
      std::vector<Operation> before;
      for (Operation it : all) {
        if (it.invoked > ends[middle - 1]) break;
        if (it.completed > ends[middle - 1] && !it.open()) {
          if (only_looks(it)) continue;
          it.outcome = Outcome::kOpen;
          it.completed = kNever;
          it.completed_ns = -1;
          if (problem_.model() == Model::kCounter) it.has_b = false;
        }
        before.push_back(it);
      }
      try_out(with(std::move(before))) ? to = middle : from = middle;
    }
  }

  // Begins with what some operation found, as late as possible.
  void fold() {
    if (problem_.model() != Model::kAppend && problem_.model() != Model::kCounter) return;
    const std::vector<Operation> all = problem_.operations;
    std::size_t tried = 0;
    for (auto it = all.rbegin(); it != all.rend() && !out_of_time(); ++it) {
      if (it->open() || (it->function != Function::kRead && !it->has_b)) continue;
      if (++tried > kMostFolds) return;
      std::optional<Problem> folded =
          problem_.model() == Model::kAppend ? fold_string(all, *it) : fold_counter(all, *it);
      if (folded && folded->operations.size() < all.size() && try_out(std::move(*folded))) return;
    }
  }

  std::optional<Problem> fold_string(const std::vector<Operation>& all,
                                     const Operation& first) const {
    const auto bytes = [&](const Operation& it) { return problem_.history->values.bytes(it.a); };
    const auto occurrences = [](std::string_view text, std::string_view part) {
      int count = 0;
      for (auto at = text.find(part); at != text.npos && count < 2; at = text.find(part, at + 1)) {
        ++count;
      }
      return count;
    };
    const std::string_view begin = bytes(first);
    Problem folded{problem_.history, {}, first.a, {}};
    std::vector<std::string_view> reads;
    for (const Operation& it : all) {
      if (it.function == Function::kWrite) return {};
      if (it.function == Function::kRead && bytes(it).size() >= begin.size()) {
        reads.push_back(bytes(it));
      }
    }
    absl::flat_hash_set<std::int64_t> appended;
    for (const Operation& it : all) {
      if (it.function == Function::kRead) {
        if (bytes(it).size() >= begin.size()) folded.operations.push_back(it);
        continue;
      }
      const std::string_view value = bytes(it);
      if (value.empty() || !appended.insert(it.a).second) return {};
      if (begin.find(value) == begin.npos) {
        folded.operations.push_back(it);
      } else if (std::ranges::any_of(
                     reads, [&](std::string_view read) { return occurrences(read, value) != 1; })) {
        return {};  // it is not sure that this is the one
      }
    }
    return folded;
  }

  std::optional<Problem> fold_counter(const std::vector<Operation>& all,
                                      const Operation& first) const {
    const std::int64_t begin = first.function == Function::kRead ? first.a : first.b;
    Problem folded{problem_.history, {}, begin, {}};
    for (const Operation& it : all) {
      const bool is_read = it.function == Function::kRead;
      if (!is_read && (it.a <= 0 || (!it.open() && !it.has_b))) return {};
      if (it.open() || (is_read ? it.a >= begin : it.b > begin)) folded.operations.push_back(it);
    }
    return folded;
  }

  // Leaves out ever smaller pieces (Zeller, Hildebrandt: Simplifying and Isolating Failure-Inducing
  // Input, TSE 28(2), 2002).
  void drop() {
    for (std::size_t piece = std::max<std::size_t>(problem_.operations.size() / 2, 1);;) {
      bool any = false;
      for (std::size_t end = problem_.operations.size();
           end > 0 && problem_.reason.empty() && !out_of_time();) {
        end = std::min(end, problem_.operations.size());
        const std::size_t begin = end > piece ? end - piece : 0;
        any |= drop(begin, end);
        end = begin;
      }
      if (out_of_time() || !problem_.reason.empty() || (piece == 1 && !any)) return;
      if (piece > 1)
        piece = std::max<std::size_t>(std::min(piece, problem_.operations.size()) / 2, 1);
    }
  }

  bool drop(std::size_t begin, std::size_t end) {
    std::vector<bool> left_out(problem_.operations.size());
    for (std::size_t i = begin; i < end; ++i) left_out[i] = true;
    keep_what_is_needed(left_out);
    std::vector<Operation> rest;
    for (std::size_t i = 0; i < left_out.size(); ++i) {
      if (!left_out[i]) rest.push_back(problem_.operations[i]);
    }
    return rest.size() < left_out.size() && try_out(with(std::move(rest)));
  }

  // Takes back what is not sure to be dispensable for the rest, until all is.
  void keep_what_is_needed(std::vector<bool>& left_out) const {
    const auto& operations = problem_.operations;
    const bool has_values = problem_.model() == Model::kRegister || is_element(problem_);
    for (bool changed = true; std::exchange(changed, false) && !out_of_time();) {
      const std::optional<Sights> sights =
          has_values ? std::optional(Sights(problem_, left_out)) : std::nullopt;
      for (std::size_t i = 0; i < operations.size(); ++i) {
        if (!left_out[i] || only_looks(operations[i])) continue;
        const bool dispensable = sights ? !sights->may_see(operations[i])
                                        : problem_.model() == Model::kAppend &&
                                              !is_part_of_a_read(operations[i], left_out);
        if (dispensable) continue;
        left_out[i] = false;
        changed = true;
      }
    }
  }

  bool is_part_of_a_read(const Operation& append, const std::vector<bool>& left_out) const {
    const Values& values = problem_.history->values;
    const std::string_view part = values.bytes(append.a);
    for (std::size_t i = 0; i < left_out.size(); ++i) {
      const Operation& it = problem_.operations[i];
      if (left_out[i] || it.function != Function::kRead) continue;
      if (values.bytes(it.a).find(part) != std::string_view::npos) return true;
    }
    return false;
  }

  // Those who are left and see something, with what proves which writes they cannot have seen.
  class Sights {
   public:
    Sights(const Problem& problem, const std::vector<bool>& left_out) : model_(problem.model()) {
      std::vector<const Operation*> by_begin;
      for (std::size_t i = 0; i < left_out.size(); ++i) {
        if (!left_out[i]) by_begin.push_back(&problem.operations[i]);
      }
      std::vector<const Operation*> by_end = by_begin;
      std::ranges::sort(by_end, {}, [](const Operation* it) { return it->completed; });
      Sight proof;
      auto ended = by_end.begin();
      for (const Operation* it : by_begin) {
        for (; ended != by_end.end() && (*ended)->completed < it->invoked; ++ended) {
          proof.add(**ended, role_of(model_, **ended));
        }
        const Role role = role_of(model_, *it);
        proof.completed = it->completed;
        if (role.sees) by_value_[role.seen].push_back(proof);
        if (role.sees_another) of_another_.push_back(proof);
      }
      for (const Operation* it : by_begin) {
        const Role role = role_of(model_, *it);
        const auto seen = role.writes ? by_value_.find(role.written) : by_value_.end();
        if (seen == by_value_.end()) continue;
        for (Sight& sight : seen->second) sight.is_explained |= sight.may_be_of(*it, role.written);
      }
    }

    bool may_see(const Operation& write) const {
      const std::int64_t value = role_of(model_, write).written;
      const auto found = by_value_.find(value);
      return (found != by_value_.end() &&
              std::ranges::any_of(found->second,
                                  [&](const Sight& sight) {
                                    return !sight.is_explained || sight.may_be_of(write, value);
                                  })) ||
             std::ranges::any_of(of_another_,
                                 [&](const Sight& sight) { return sight.may_be_of(write, value); });
    }

   private:
    struct Sight {
      Position completed = kNever;
      // Somebody is left who may have written what was seen. If not, nobody is left out who wrote
      // it: without them the sight would be that of a value from nowhere.
      bool is_explained = false;
      // The latest beginnings among what ended before: of writes; of sights of a value, and of
      // another one.
      Position write = 0;
      Position sight = 0;
      std::int64_t sight_of = 0;
      Position other_sight = 0;

      void add(const Operation& it, const Role& role) {
        if (role.writes) write = std::max(write, it.invoked);
        if (!role.sees || role.writes) return;
        if (role.seen != sight_of && it.invoked > sight) {
          other_sight = sight;
          sight_of = role.seen;
        }
        Position& place = role.seen == sight_of ? sight : other_sight;
        place = std::max(place, it.invoked);
      }

      bool may_be_of(const Operation& write_of, std::int64_t value) const {
        if (completed < write_of.invoked) return false;
        const Position proof = std::max(write, value == sight_of ? other_sight : sight);
        return proof <= write_of.completed;
      }
    };

    Model model_;
    absl::flat_hash_map<std::int64_t, std::vector<Sight>> by_value_;
    std::vector<Sight> of_another_;
  };

  Problem problem_;
  steady_clock::time_point deadline_;
  Limits limits_;
};

}  // namespace

Problem reduce(Problem violation, steady_clock::time_point deadline) {
  return Reducer(std::move(violation), deadline).run();
}

}  // namespace even::verify
