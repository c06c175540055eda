#include "verify/growing.h"

#include <fmt/format.h>

#include <algorithm>

namespace even::verify {
namespace {

// An operation that tells how large the object was when it took effect.
struct Sight {
  std::int64_t size;
  const Operation* operation;
};

std::string name_of(const Problem& problem, const Operation& it) {
  return fmt::format("process {}'s {}", it.process, operation_text(*problem.history, it));
}

Problem contradiction(const Problem& problem, const Operation& first, const Operation& second,
                      std::string reason) {
  Problem two{problem.history, {first, second}, problem.initial};
  std::ranges::sort(two.operations, {}, &Operation::invoked);
  two.reason = std::move(reason);
  return two;
}

// Of what was seen, something smaller after something larger.
std::optional<Problem> find_shrinking(const Problem& problem, std::vector<Sight>& sights) {
  std::ranges::stable_sort(sights, {}, &Sight::size);
  const Operation* latest = nullptr;  // to begin, of those that saw less
  for (auto group = sights.begin(); group != sights.end();) {
    auto next = group;
    for (; next != sights.end() && next->size == group->size; ++next) {
      const Operation& it = *next->operation;
      if (latest != nullptr && it.completed < latest->invoked) {
        return contradiction(problem, it, *latest,
                             fmt::format("{} came after {}, though nothing that was there is ever "
                                         "taken away",
                                         name_of(problem, *latest), name_of(problem, it)));
      }
    }
    for (; group != next; ++group) {
      const Operation* it = group->operation;
      if (latest == nullptr || it->invoked > latest->invoked) latest = it;
    }
  }
  return {};
}

std::optional<Problem> in_counter(const Problem& problem) {
  std::vector<Sight> sights;
  for (const Operation& it : problem.operations) {
    const bool is_read = it.function == Function::kRead;
    if (!is_read && it.a < 0) return {};
    if (it.open() || it.any_result || (!is_read && !it.has_b)) continue;
    std::int64_t found = it.a;
    if (!is_read && __builtin_sub_overflow(it.b, it.a, &found)) return {};
    sights.push_back({found, &it});
  }
  if (auto found = find_shrinking(problem, sights)) return found;
  const Sight* widest = nullptr;  // the addition that goes furthest, of those that began lower
  for (const Sight& sight : sights) {
    if (widest != nullptr && widest->size < sight.size && sight.size < widest->operation->b) {
      return contradiction(
          problem, *widest->operation, *sight.operation,
          fmt::format("the counter was {} for {}, which {} went past", sight.size,
                      name_of(problem, *sight.operation), name_of(problem, *widest->operation)));
    }
    if (sight.operation->function == Function::kAdd &&
        (widest == nullptr || sight.operation->b > widest->operation->b)) {
      widest = &sight;
    }
  }
  return {};
}

std::optional<Problem> in_string(const Problem& problem) {
  const Values& values = problem.history->values;
  const auto bytes = [&](const Operation& it) { return values.bytes(it.a); };
  std::vector<Sight> sights;
  for (const Operation& it : problem.operations) {
    if (it.function == Function::kWrite || it.any_result) return {};
    if (it.function == Function::kRead) {
      sights.push_back({static_cast<std::int64_t>(bytes(it).size()), &it});
    }
  }
  if (sights.empty()) return {};
  if (auto found = find_shrinking(problem, sights)) return found;
  for (std::size_t i = 1; i < sights.size(); ++i) {
    const Operation& shorter = *sights[i - 1].operation;
    const Operation& longer = *sights[i].operation;
    if (!bytes(longer).starts_with(bytes(shorter))) {
      return contradiction(problem, shorter, longer,
                           fmt::format("{} and {} returned strings of which neither is the "
                                       "beginning of the other, though nothing is ever replaced",
                                       name_of(problem, shorter), name_of(problem, longer)));
    }
  }
  // By size: the read of that size or less that began last.
  std::vector<const Operation*> latest;
  for (const Sight& sight : sights) {
    const bool is_later = latest.empty() || sight.operation->invoked > latest.back()->invoked;
    latest.push_back(is_later ? sight.operation : latest.back());
  }
  const std::string_view longest = bytes(*sights.back().operation);
  for (const Operation& it : problem.operations) {
    if (it.function != Function::kAppend || it.open()) continue;
    const auto at = longest.find(bytes(it));
    const std::int64_t needed =
        at == longest.npos ? INT64_MAX : static_cast<std::int64_t>(at + bytes(it).size());
    const auto enough = std::ranges::lower_bound(sights, needed, {}, &Sight::size);
    if (enough == sights.begin()) continue;
    const Operation& read = *latest[static_cast<std::size_t>(enough - sights.begin() - 1)];
    if (it.completed < read.invoked) {
      return contradiction(problem, it, read,
                           fmt::format("{} lacks what {} had added before it began",
                                       name_of(problem, read), name_of(problem, it)));
    }
  }
  return {};
}

}  // namespace

std::optional<Problem> find_contradiction(const Problem& problem) {
  switch (problem.model()) {
    case Model::kCounter:
      return in_counter(problem);
    case Model::kAppend:
      return in_string(problem);
    case Model::kRegister:
    case Model::kSet:
      break;
  }
  return {};
}

}  // namespace even::verify
