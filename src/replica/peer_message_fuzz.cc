// Any bytes as what a peer says: a sequence of messages, each after two bytes of length, given to a
// real shard that has some data; one that begins with kToCompress stands for the compressed records
// that the rest of it is, which no chance would hit upon. An error ends the session, as in the
// server; nothing a peer sends may end the process or leave the shard inconsistent.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "log/test_log.h"
#include "replica/peer_message.h"
#include "replica/shard.h"
#include "store/sim_store.h"

namespace {

using namespace even;

void require(bool condition) {
  if (!condition) std::abort();
}

class Silence final : public Transport {
 public:
  void send(NodeNumber, std::string) override {}
};

ShardOptions options() {
  ShardOptions options;
  options.partition_count = 2;
  options.partitions = {{0, {1, 2}}, {1, {2, 1}}};
  options.log.segment_bytes = 2000;
  options.pass_bytes = 4000;
  return options;
}

void run(Shard& shard, std::initializer_list<std::string_view> words) {
  std::string out;
  shard.execute(*find_command(*words.begin()), Args(words.begin(), words.size()), false, out);
}

constexpr char kToCompress = '\xff';

std::string compressed(std::string_view records) {
  RecordsBuilder builder(1);
  builder.add_all(records, 1);
  return builder.take_compressed();
}

void write(Shard& shard) {
  run(shard, {"set", "s", "1"});
  run(shard, {"incrbyfloat", "s", "0.5"});
  run(shard, {"incr", "n"});
  run(shard, {"sadd", "t", "a", "b"});
  run(shard, {"hincrby", "h", "f", "3"});
  run(shard, {"pexpire", "t", "100000"});
  run(shard, {"del", "n"});
  shard.end_turn();
}

void check(const Shard& shard) {
  for (const PartitionId id : {PartitionId{0}, PartitionId{1}}) {
    const PartitionState& state = *shard.state(id);
    require(state.digest() == state.recompute_digest());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  (void)decode_peer_message(input);

  test::World world;
  sim::SimStore rows(world.scheduler, world.random);
  const auto store = rows.shard_store();
  Silence transport;
  {
    Shard shard(options(), world.clock, world.random, world.disk, *store, transport);
    require(shard.recover().has_value());
    write(shard);
    shard.link_up(ReplicaId::make(2, 1));
    while (input.size() >= 2) {
      const std::size_t length = static_cast<unsigned char>(input[0]) |
                                 static_cast<std::size_t>(static_cast<unsigned char>(input[1]))
                                     << 8;
      std::string_view message = input.substr(2, length);
      input.remove_prefix(2 + message.size());
      std::string made;
      if (message.starts_with(kToCompress)) message = made = compressed(message.substr(1));
      const Result<> received = shard.receive(2, message);
      shard.end_turn();
      check(shard);
      if (!received) {
        shard.link_down(2);
        shard.link_up(ReplicaId::make(2, 1));
      }
      // A message without bytes lets time pass.
      if (message.empty()) {
        world.run_for(600'000);
        shard.tick();
        write(shard);
      }
    }
    write(shard);
    world.run_for(3'000'000);
    shard.tick();
    shard.end_turn();
    check(shard);
    require(shard.close().has_value());
  }
  // What it has taken in it can read back.
  rows.crash();
  const auto store_again = rows.shard_store();
  Shard again(options(), world.clock, world.random, world.disk, *store_again, transport);
  const auto recovered = again.recover();
  if (!recovered) {
    __builtin_printf("%s\n", recovered.error().message.c_str());
    std::abort();
  }
  check(again);
  write(again);
  return 0;
}
