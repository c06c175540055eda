// Random choices from the collections of a key, for SPOP, SRANDMEMBER and HRANDFIELD.
#pragma once

#include <absl/container/flat_hash_set.h>

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/text.h"
#include "lattice/hash_ordered_map.h"

namespace even {

// A negative count asks for that many choices with repetition. Redis would start to write a reply
// of any length; past this many it is refused.
inline constexpr std::int64_t kMaxRepeatedSamples = 1 << 24;

// Reads the count of SRANDMEMBER and HRANDFIELD. Replies an error and returns false when it is not
// an integer or out of range.
bool read_sample_count(Context& context, std::string_view text, std::int64_t& count);

template <typename Value>
using Sample = std::pair<std::string_view, const Value*>;

// `count` different entries for which live(value) is true, of which there are `available`, at least
// `count`.
template <typename Value, typename Live>
std::vector<Sample<Value>> sample_distinct(const HashOrderedMap<Value>& map, std::size_t available,
                                           std::size_t count, Random& random, Live live) {
  std::vector<Sample<Value>> out;
  // Drawing until enough are different is cheap while few of the draws fail.
  if (count * 3 <= available && available * 2 >= map.size()) {
    absl::flat_hash_set<const void*> seen;
    out.reserve(count);
    while (out.size() < count) {
      const auto* node = map.random(random);
      if (live(node->value) && seen.insert(node).second)
        out.emplace_back(node->key(), &node->value);
    }
    return out;
  }
  out.reserve(available);
  map.for_each([&](std::string_view key, const Value& value) {
    if (live(value)) out.emplace_back(key, &value);
  });
  for (std::size_t i = 0; i < count && count < out.size(); ++i) {
    std::swap(out[i], out[i + random.below(out.size() - i)]);
  }
  out.resize(std::min(count, out.size()));
  return out;
}

// `count` entries for which live(value) is true, of which there are `available`, at least one; with
// repetition.
template <typename Value, typename Live, typename Visit>
void sample_repeated(const HashOrderedMap<Value>& map, std::size_t available, std::size_t count,
                     Random& random, Live live, Visit visit) {
  if (available * 2 < map.size()) {
    const auto all = sample_distinct(map, available, available, random, live);
    for (; count > 0; --count) visit(all[random.below(all.size())]);
    return;
  }
  while (count > 0) {
    const auto* node = map.random(random);
    if (!live(node->value)) continue;
    visit(Sample<Value>{node->key(), &node->value});
    --count;
  }
}

}  // namespace even
