#include "sim/undisturbed.h"

#include <type_traits>

#include "env/random.h"

namespace even::sim {
namespace {

class Undisturbed {
 public:
  explicit Undisturbed(std::uint64_t seed) : random_(seed * 0xd6e8feb86659fd93ULL + 5) {
    options_.seed = seed;
    options_.undisturbed = true;
  }

  std::optional<RunOptions> draw() {
    options_.nodes = 3;
    options_.replicas = 3;
    options_.partitions = 2;
    options_.clients = 1;
    options_.keys = 8;
    options_.delay_us = among(50, 500, 2'000);
    options_.duration_us = 6'000'000;
    switch (random_.below(32)) {
      case 0:
      case 1:
        return stand_ins();
      case 2:
        return open_transactions();
      case 3:
        return refusals();
      case 4:
        return closings();
      case 5:
        return rights_spent_again();
      case 6:
        return other_numbers_of_shards();
      case 7:
        return losses_unheard_of();
      case 8:
        return stand_ins();
      case 9:
        return refusals();
      default:
        return std::nullopt;
    }
  }

 private:
  template <typename... Values>
  std::common_type_t<Values...> among(Values... values) {
    const std::common_type_t<Values...> all[] = {values...};
    return all[random_.below(sizeof...(values))];
  }

  // Nodes that stand in for owners, which they come back to, and makers that lose what they gave.
  RunOptions stand_ins() {
    options_.nodes = among(4, 5);
    options_.delay_us = among(500, 5'000, 30'000);
    options_.hint_every_us = 5'000;
    options_.stand_in_every_us = 50'000;
    options_.duration_us = 15'000'000;
    return options_;
  }

  // Strong partitions of keyspaces.
  void keyspaces() {
    options_.groups = 1;
    options_.keyspaces = true;
    options_.strong_clients = 2;
    options_.strong_think_us = 20'000;
  }

  // Transactions are open while what is before and behind them is compacted.
  RunOptions open_transactions() {
    keyspaces();
    options_.topic_every_us = 5'000;
    options_.compacts = true;
    options_.pass_bytes = among(512u, 4u << 10);
    options_.tombstones_ms = 600'000;
    options_.clean_map_bytes = among(32u * 24, 128u * 24);
    options_.duration_us = 12'000'000;
    return options_;
  }

  // Leaders that can write nothing are asked for what others may have executed.
  RunOptions refusals() {
    options_.groups = 2;
    options_.strong_clients = 16;
    options_.strong_think_us = 1'000;
    options_.strong_patience_us = among(50'000, 300'000);
    options_.strong_patient = 0.5;
    options_.depose_every_us = 150'000;
    options_.disk_full_every_us = 100'000;
    options_.duration_us = 20'000'000;
    return options_;
  }

  // A keyspace is dropped again and again, beside writes to it.
  RunOptions closings() {
    keyspaces();
    options_.closings = true;
    options_.duration_us = 10'000'000;
    return options_;
  }

  // A node spends what it has, loses that it did, and is asked for more.
  RunOptions rights_spent_again() {
    options_.bounded = 0.1;
    options_.spend_again_every_us = 50'000;
    return options_;
  }

  // Nodes are stopped and started with other numbers of shards, and crash at every step of that.
  RunOptions other_numbers_of_shards() {
    options_.shards = 2;
    options_.clients = 3;
    options_.pass_bytes = 4 << 10;
    options_.retain_bytes = 4 << 10;
    options_.reshard_every_us = 300'000;
    options_.crash_in_resharding = 0.2;
    return options_;
  }

  // Disks are lost with what one other node has alone.
  RunOptions losses_unheard_of() {
    options_.lose_unheard_every_us = 200'000;
    options_.causal_every_us = among(1'000, 5'000);
    return options_;
  }

  Random random_;
  RunOptions options_;
};

}  // namespace

std::optional<RunOptions> draw_undisturbed(std::uint64_t seed) { return Undisturbed(seed).draw(); }

}  // namespace even::sim
