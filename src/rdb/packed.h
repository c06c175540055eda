// The compact forms in which Redis keeps small collections, as they stand in RDB files: listpacks,
// ziplists (before 7.0) and intsets.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "rdb/budget.h"

namespace even::rdb {

// These read all of `bytes`, which is one such block. Integers become their decimal text. Each
// element is taken from the budget.
Result<std::vector<std::string>> read_listpack(std::string_view bytes, Budget& budget);
Result<std::vector<std::string>> read_ziplist(std::string_view bytes, Budget& budget);
Result<std::vector<std::string>> read_intset(std::string_view bytes, Budget& budget);

// Collects elements in the form of a listpack.
class ListpackWriter {
 public:
  void add(std::string_view element);
  // What finish() would return has so many bytes, without the next element.
  std::size_t bytes() const { return kHeader + body_.size() + 1; }
  std::size_t size() const { return elements_; }
  // Begins anew afterwards.
  std::string finish();

 private:
  static constexpr std::size_t kHeader = 6;

  std::string body_;
  std::size_t elements_ = 0;
};

// Of different numbers.
std::string write_intset(std::vector<std::int64_t> numbers);

// A number in canonical decimal, within 64 bits.
bool parse_canonical(std::string_view text, std::int64_t& out);

}  // namespace even::rdb
