// A string: read; append; write, which replaces it.
#include <absl/container/btree_set.h>

#include <nlohmann/json.hpp>

#include "verify/specification.h"

namespace even::verify {
namespace {

// A polynomial over a prime field, in two bases: appending costs what is appended.
constexpr std::uint64_t kPrime = (std::uint64_t{1} << 61) - 1;
constexpr std::uint64_t kBases[2] = {1'206'458'913'447'091'369, 857'193'412'377'310'823};

std::uint64_t times(std::uint64_t a, std::uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  std::uint64_t sum =
      static_cast<std::uint64_t>(product & kPrime) + static_cast<std::uint64_t>(product >> 61);
  return sum >= kPrime ? sum - kPrime : sum;
}

class String final : public Specification {
 public:
  explicit String(const Problem& problem) : Specification(problem) {
    if (problem.initial != kNull) append(problem.history->values.bytes(problem.initial));
    for (std::uint32_t i = 0; i < problem.operations.size(); ++i) count(i, true);
  }

  bool allows(std::uint32_t operation) const override {
    const Operation& it = at(operation);
    if (it.any_result) return true;
    const std::string_view value = bytes(operation);
    if (it.function == Function::kRead) return text_ == value;
    if (it.function == Function::kWrite) return writes_ > 1 || reads_.empty() || fits(0, value);
    return writes_ > 0 || reads_.empty() || fits(text_.size(), value);
  }

  bool harmless(std::uint32_t operation) const override {
    return !at(operation).any_result && at(operation).function == Function::kRead;
  }

  std::uint64_t apply(std::uint32_t operation) override {
    const Operation& it = at(operation);
    count(operation, false);
    if (it.any_result) return 0;
    if (it.function == Function::kRead) return 0;
    hashes_.push_back(hash_);
    const std::uint64_t token = text_.size();
    if (it.function == Function::kWrite) {
      replaced_.push_back(std::move(text_));
      text_.clear();
      hash_ = {};
    }
    append(bytes(operation));
    return token;
  }

  void undo(std::uint32_t operation, std::uint64_t token) override {
    const Operation& it = at(operation);
    count(operation, true);
    if (it.any_result || it.function == Function::kRead) return;
    hash_ = hashes_.back();
    hashes_.pop_back();
    if (it.function == Function::kWrite) {
      text_ = std::move(replaced_.back());
      replaced_.pop_back();
    } else {
      text_.resize(token);
    }
  }

  Hash128 state() const override {
    Hash128 state = hash_of(text_.size(), 3);
    return state ^= hash_;
  }
  std::string state_text() const override {
    return shortened(
        nlohmann::json(text_).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  }
  bool blind(std::uint32_t operation) const override {
    return at(operation).function == Function::kWrite;
  }

 private:
  std::string_view bytes(std::uint32_t operation) const {
    return problem().history->values.bytes(at(operation).a);
  }

  // Once nothing replaces the string any more, all that is read of it are beginnings of the
  // longest. `value` behind the first `size` bytes must be so too, and must skip none.
  bool fits(std::size_t size, std::string_view value) const {
    const std::size_t then = size + value.size();
    if (reads_.begin()->first < then) return false;
    const std::string_view longest = bytes(reads_.rbegin()->second);
    return longest.substr(0, size) == std::string_view(text_).substr(0, size) &&
           longest.substr(size, value.size()) == value;
  }

  void append(std::string_view value) {
    text_ += value;
    for (const char byte : value) {
      const std::uint64_t digit = static_cast<unsigned char>(byte) + 1U;
      hash_.low = (times(hash_.low, kBases[0]) + digit) % kPrime;
      hash_.high = (times(hash_.high, kBases[1]) + digit) % kPrime;
    }
  }

  void count(std::uint32_t operation, bool waits) {
    const Operation& it = at(operation);
    if (it.any_result) return;
    if (it.function == Function::kWrite) {
      writes_ += waits ? 1U : -1U;
    } else if (it.function == Function::kRead) {
      const std::pair entry(bytes(operation).size(), operation);
      waits ? static_cast<void>(reads_.insert(entry)) : static_cast<void>(reads_.erase(entry));
    }
  }

  std::string text_;
  Hash128 hash_;
  std::vector<Hash128> hashes_;        // before each operation that changed it
  std::vector<std::string> replaced_;  // by each write
  std::uint32_t writes_ = 0;           // that have not taken effect yet
  absl::btree_set<std::pair<std::size_t, std::uint32_t>> reads_;  // likewise, by their lengths
};

}  // namespace

std::unique_ptr<Specification> make_append(const Problem& problem) {
  return std::make_unique<String>(problem);
}

}  // namespace even::verify
