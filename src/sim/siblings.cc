#include "sim/siblings.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "engine/cmd_siblings.h"

namespace even::sim {
namespace {

constexpr std::size_t kKeptContexts = 6;

const Object* object_of(const PartitionState& state, std::string_view key) {
  const std::uint64_t hash = hash64(key);
  return state.is_cold(hash) ? nullptr : state.find(key, hash);
}

}  // namespace

void SiblingContexts::seen(std::string_view key, std::string_view reply) {
  constexpr std::string_view kBegin = "*2\r\n$";
  if (!reply.starts_with(kBegin)) return;
  reply.remove_prefix(kBegin.size());
  std::size_t size = 0;
  std::from_chars(reply.data(), reply.data() + reply.size(), size);
  auto& contexts = contexts_[std::string(key)];
  contexts.emplace_back(reply.substr(reply.find('\n') + 1, size));
  if (contexts.size() > kKeptContexts) contexts.erase(contexts.begin());
}

std::string SiblingContexts::any(std::string_view key, Random& random) const {
  const auto contexts = contexts_.find(key);
  if (contexts == contexts_.end() || random.chance(0.05)) return encode_sibling_context({});
  // Mostly what was seen last.
  const std::size_t count = contexts->second.size();
  return contexts->second[random.chance(0.6) ? count - 1 : random.below(count)];
}

std::optional<SiblingsLeft> SiblingsLeft::before(const PartitionState& state, Args args) {
  const bool resolves = args[0] == "EVEN.RESOLVE";
  if (!resolves && args[0] != "SET") return std::nullopt;
  SiblingsLeft out;
  out.key_ = args[1];
  const Object* object = object_of(state, args[1]);
  if (object == nullptr) return out;
  const ScalarView string = object->plain_string();
  std::vector<Dot> seen;
  if (resolves) {
    if (!decode_sibling_context(args[2], seen)) return std::nullopt;
  } else if (const auto shown = string.winner()) {
    seen.push_back(shown->dot);
  }
  string.for_each_sibling([&](const SiblingView& sibling) {
    if (std::ranges::find(seen, sibling.dot) == seen.end()) out.left_.push_back(sibling.dot);
  });
  return out;
}

std::string SiblingsLeft::missing(const PartitionState& state) const {
  const Object* object = object_of(state, key_);
  std::vector<Dot> there;
  if (object != nullptr) {
    object->plain_string().for_each_sibling(
        [&there](const SiblingView& sibling) { there.push_back(sibling.dot); });
  }
  for (const Dot& dot : left_) {
    if (std::ranges::find(there, dot) != there.end()) continue;
    return fmt::format("'{}' has lost the value {}, which the writer had not seen", key_,
                       dot.to_string());
  }
  return {};
}

}  // namespace even::sim
