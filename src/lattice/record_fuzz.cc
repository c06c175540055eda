// Any bytes as a record. What decodes must encode to something that decodes to the same, and must
// leave a partition that joins it consistent, whatever it held before. Checked with abort, as in
// every fuzz target.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "lattice/codec.h"
#include "lattice/partition_state.h"

namespace {

using namespace even;

void require(bool condition) {
  if (!condition) std::abort();
}

std::string encoded(const Record& record) {
  std::string out;
  encode_record(record, out);
  return out;
}

// What a record of another replica may meet: a key of each type, with counters.
PartitionState some_state() {
  PartitionState state;
  const ReplicaId mine = ReplicaId::make(1, 1);
  VersionVector context;
  for (std::uint64_t seq = 1; seq <= 3; ++seq) {
    Delta delta;
    KeyDelta& key = delta.keys.emplace_back();
    key.key = "k";
    LeafDelta& leaf = key.leaves.emplace_back();
    leaf.kind = static_cast<LeafKind>(seq - 1);
    leaf.field = seq == 1 ? "" : "f";
    leaf.siblings.push_back({{mine, seq}, {seq}, seq == 3 ? "" : "1", 0});
    if (seq < 3) leaf.integers.push_back({CounterEntry<std::int64_t>{mine, seq, 5, seq - 1, 0}, 0});
    context.add({mine, seq});
    state.join(delta, context);
  }
  return state;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  RecordDecoder decoder;
  const auto record = decoder.decode(bytes);
  if (!record) return 0;

  // The canonical encoding is a fixed point.
  const std::string once = encoded(*record);
  RecordDecoder again;
  const auto second = again.decode(once);
  require(second.has_value());
  require(encoded(*second) == once);
  require(second->dot() == record->dot() && second->context == record->context);

  PartitionState state = some_state();
  for (int i = 0; i < 2; ++i) {
    state.join(record->delta, record->context);
    require(state.digest() == state.recompute_digest());
    require(state.vector().covers(record->context));
  }
  // The state describes itself fully, in a form that can be read.
  Record described;
  described.context = state.vector();
  described.delta = state.describe();
  const std::string snapshot = encoded(described);
  const auto read = again.decode(snapshot);
  require(read.has_value());
  PartitionState other;
  other.join(read->delta, read->context);
  require(other.digest() == state.digest());
  require(other.live_keys() == state.live_keys());
  state.collect_residue(state.vector());
  state.collect_residue(state.vector());
  require(state.digest() == other.digest());
  require(state.digest() == state.recompute_digest());
  return 0;
}
