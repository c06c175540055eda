// A set: add, remove; contains; read, which returns all elements.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "verify/specification.h"

namespace even::verify {
namespace {

class Set final : public Specification {
 public:
  explicit Set(const Problem& problem) : Specification(problem) {
    std::uint32_t reads = 0;
    for (const Operation& operation : problem.operations) {
      if (operation.function == Function::kRead) {
        ++reads;
        for (const std::int64_t element : elements(operation)) row(element);
      } else {
        row(operation.a);
      }
      grows_ &= operation.function != Function::kRemove && !operation.any_result;
    }
    for (std::uint32_t i = 0; i < problem.operations.size(); ++i) {
      const Operation& operation = problem.operations[i];
      const bool is_read = operation.function == Function::kRead;
      rows_.push_back(is_read ? 0 : row(operation.a));
      read_hashes_.push_back({});
      if (!is_read || operation.any_result) continue;
      for (const std::int64_t element : elements(operation)) {
        read_hashes_.back() ^= hash_of(row(element), 4);
      }
    }
    present_.resize(values_.size());
    lacking_.resize(values_.size());
    if (!grows_) return;
    // What lacks an element: of all reads those that do not have it.
    for (std::uint32_t i = 0; i < problem.operations.size(); ++i) count(i, 1);
  }

  bool allows(std::uint32_t operation) const override {
    const Operation& it = at(operation);
    if (it.any_result) return true;
    const std::uint32_t element = rows_[operation];
    switch (it.function) {
      case Function::kRead:
        return size_ == elements(it).size() && hash_ == read_hashes_[operation];
      case Function::kContains:
        return present_[element] == (it.b != 0);
      case Function::kAdd:
        return !grows_ || present_[element] || waiting_lack(element) == 0;
      default:
        return true;
    }
  }

  bool harmless(std::uint32_t operation) const override {
    const Operation& it = at(operation);
    if (it.any_result) return false;
    return it.function == Function::kRead || it.function == Function::kContains ||
           (grows_ && it.function == Function::kAdd);
  }

  std::uint64_t apply(std::uint32_t operation) override {
    const Operation& it = at(operation);
    if (grows_) count(operation, -1);
    if (it.function != Function::kAdd && it.function != Function::kRemove) return 0;
    return static_cast<std::uint64_t>(
        put(rows_[operation], it.function == Function::kAdd && !it.any_result));
  }

  void undo(std::uint32_t operation, std::uint64_t token) override {
    const Operation& it = at(operation);
    if (grows_) count(operation, 1);
    if (it.function == Function::kAdd || it.function == Function::kRemove) {
      put(rows_[operation], token != 0);
    }
  }

  Hash128 state() const override { return hash_; }

  std::string state_text() const override {
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < values_.size(); ++i) {
      if (present_[i]) texts.push_back(value_text(*problem().history, values_[i]));
    }
    return shortened(fmt::format("{{{}}}", fmt::join(texts, ", ")));
  }

  bool blind(std::uint32_t) const override { return false; }

 private:
  const std::vector<std::int64_t>& elements(const Operation& read) const {
    static const std::vector<std::int64_t> kUnknown;
    if (read.any_result) return kUnknown;
    return problem().history->sets[static_cast<std::size_t>(read.a)];
  }

  std::uint32_t row(std::int64_t element) {
    const auto [entry, is_new] =
        by_value_.try_emplace(element, static_cast<std::uint32_t>(values_.size()));
    if (is_new) values_.push_back(element);
    return entry->second;
  }

  // How many operations have not taken effect yet that certainly found it missing.
  std::int64_t waiting_lack(std::uint32_t element) const { return reads_ + lacking_[element]; }

  void count(std::uint32_t operation, int by) {
    const Operation& it = at(operation);
    if (it.any_result) return;
    if (it.function == Function::kContains && it.b == 0) lacking_[rows_[operation]] += by;
    if (it.function != Function::kRead) return;
    reads_ += by;
    for (const std::int64_t element : elements(it)) lacking_[by_value_.at(element)] -= by;
  }

  // True if it was there before.
  bool put(std::uint32_t element, bool present) {
    const bool before = present_[element];
    if (before == present) return before;
    present_[element] = present;
    hash_ ^= hash_of(element, 4);
    present ? ++size_ : --size_;
    return before;
  }

  absl::flat_hash_map<std::int64_t, std::uint32_t> by_value_;
  std::vector<std::int64_t> values_;   // the elements, by row
  std::vector<std::uint32_t> rows_;    // of the operations' elements
  std::vector<Hash128> read_hashes_;   // of what reads returned
  std::vector<bool> present_;          // by element
  std::vector<std::int64_t> lacking_;  // by element; see waiting_lack
  std::int64_t reads_ = 0;             // that have not taken effect yet
  std::size_t size_ = 0;
  Hash128 hash_;
  bool grows_ = true;  // nothing is ever removed, and all results are known
};

}  // namespace

std::unique_ptr<Specification> make_set(const Problem& problem) {
  return std::make_unique<Set>(problem);
}

}  // namespace even::verify
