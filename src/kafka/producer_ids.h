// Ids for idempotent producers: blocks of them come from the metadata group, which gives out none
// twice; a thread gives out those of its block one by one. What is left of it when the node stops
// is nobody's.
//
// On the shard's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace even {
class ShardThread;
}

namespace even::kafka {

class ProducerIds {
 public:
  explicit ProducerIds(ShardThread& thread) : thread_(thread) {}

  // None: the metadata group cannot be reached. At once or in a later turn.
  using Taken = std::move_only_function<void(std::optional<std::int64_t> id)>;
  void take(Taken taken);

 private:
  void ask();

  ShardThread& thread_;
  std::int64_t next_ = 0;
  std::int64_t end_ = 0;  // of the block
  std::vector<Taken> waiting_;
};

}  // namespace even::kafka
