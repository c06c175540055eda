// Random choices from the collections of a key, for SPOP, SRANDMEMBER and HRANDFIELD.
#pragma once

#include <absl/container/flat_hash_set.h>

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/text.h"
#include "env/random.h"

namespace even {

// A negative count asks for that many choices with repetition. Redis would start to write a reply
// of any length; past this many it is refused.
inline constexpr std::int64_t kMaxRepeatedSamples = 1 << 24;

// Reads the count of SRANDMEMBER and HRANDFIELD. Replies an error and returns false when it is not
// an integer or out of range.
bool read_sample_count(Context& context, std::string_view text, std::int64_t& count);

// `count` different entries of a SetView or HashView for which live(entry) is true, of which there
// are `available`, at least `count`.
template <typename View, typename Live>
std::vector<typename View::Entry> sample_distinct(const View& view, std::size_t available,
                                                  std::size_t count, Random& random, Live live) {
  std::vector<typename View::Entry> out;
  // Drawing until enough are different is cheap while few of the draws fail.
  if (count * 3 <= available && available * 2 >= view.size()) {
    absl::flat_hash_set<const void*> seen;
    out.reserve(count);
    while (out.size() < count) {
      const auto entry = view.random(random);
      if (live(entry) && seen.insert(entry.name.data()).second) out.push_back(entry);
    }
    return out;
  }
  out.reserve(available);
  view.scan(0, [&](const auto& entry) {
    if (live(entry)) out.push_back(entry);
    return true;
  });
  for (std::size_t i = 0; i < count && count < out.size(); ++i) {
    std::swap(out[i], out[i + random.below(out.size() - i)]);
  }
  out.resize(std::min(count, out.size()));
  return out;
}

// `count` entries for which live(entry) is true, of which there are `available`, at least one; with
// repetition.
template <typename View, typename Live, typename Visit>
void sample_repeated(const View& view, std::size_t available, std::size_t count, Random& random,
                     Live live, Visit visit) {
  if (available * 2 < view.size()) {
    const auto all = sample_distinct(view, available, available, random, live);
    for (; count > 0; --count) visit(all[random.below(all.size())]);
    return;
  }
  while (count > 0) {
    const auto entry = view.random(random);
    if (!live(entry)) continue;
    visit(entry);
    --count;
  }
}

}  // namespace even
