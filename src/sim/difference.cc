#include "sim/difference.h"

#include <fmt/format.h>

#include <map>
#include <set>

namespace even::sim {

namespace {

// Fields and values of some types are bytes that a message would end at.
std::string printable(std::string_view bytes, std::size_t limit) {
  std::string text;
  for (const char c : bytes.substr(0, limit)) {
    if (c >= ' ' && c <= '~') {
      text += c;
    } else {
      text += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  if (bytes.size() > limit) text += fmt::format("... ({} bytes)", bytes.size());
  return text;
}

}  // namespace

std::string difference(const PartitionState& a, const PartitionState& b) {
  const auto describe_all = [](const PartitionState& state) {
    std::map<std::string, std::string> all;
    state.for_each([&all](std::string_view key, const Object& object) {
      KeyDelta delta;
      describe(object, delta);
      // Tables are in no order of their elements.
      std::set<std::string> leaves;
      for (const LeafDelta& leaf : delta.leaves) {
        std::string text =
            fmt::format(" {}'{}'[", static_cast<int>(leaf.kind), printable(leaf.field, 64));
        for (const auto& s : leaf.siblings) {
          text += fmt::format("{}@{}={}{} ", s.dot.to_string(), s.time.value,
                              printable(s.value, 40), s.at_ms);
        }
        for (const auto& e : leaf.integers) {
          if (!e.live()) continue;
          text += fmt::format("{}:{}+{}-{}:{} ", e.replica.to_string(), e.seq, e.sum, e.removed_seq,
                              e.removed_sum);
        }
        for (const auto& e : leaf.reals) {
          if (!e.live()) continue;
          text += fmt::format("{}:{}+{}-{}:{} ", e.replica.to_string(), e.seq,
                              static_cast<double>(e.sum), e.removed_seq,
                              static_cast<double>(e.removed_sum));
        }
        leaves.insert(text + "]");
      }
      all[std::string(key)] = fmt::format("{}", fmt::join(leaves, ""));
    });
    return all;
  };
  const auto in_a = describe_all(a);
  const auto in_b = describe_all(b);
  std::string out;
  for (const auto& [key, text] : in_a) {
    const auto other = in_b.find(key);
    if (other == in_b.end() || other->second != text) {
      out += fmt::format("\n  '{}':{}\n    against{}", key, text,
                         other == in_b.end() ? " nothing" : other->second);
    }
  }
  for (const auto& [key, text] : in_b) {
    if (!in_a.contains(key)) out += fmt::format("\n  '{}': nothing\n    against{}", key, text);
  }
  return out;
}

}  // namespace even::sim
