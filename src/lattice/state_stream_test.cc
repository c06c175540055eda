#include "lattice/state_stream.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "env/random.h"
#include "lattice/partition_state.h"

namespace even {
namespace {

constexpr ReplicaId kWriter = ReplicaId::make(1, 1, 1);

// A state with small keys, one that is long, and a large set.
std::string encoded_state() {
  PartitionState state;
  const auto write = [&state](const KeyDelta& key) {
    Record record = Record::begin(3, kWriter, Hlc::at(5), state.vector());
    record.delta.keys.push_back(key);
    for (LeafDelta& leaf : record.delta.keys[0].leaves) {
      for (SiblingView& sibling : leaf.siblings) sibling.dot = record.dot();
    }
    state.join(record);
  };
  std::vector<std::string> names;
  names.reserve(1'000);
  for (int i = 0; i < 300; ++i) names.push_back("k" + std::to_string(i));
  const std::string long_value(5'000, 'x');
  for (std::size_t i = 0; i < names.size(); ++i) {
    KeyDelta key;
    key.key = names[i];
    if (i == 7) {
      for (const std::string& name : names) {
        LeafDelta& member = key.leaves.emplace_back();
        member.kind = LeafKind::kMember;
        member.field = name;
        member.siblings.emplace_back();
      }
    } else {
      LeafDelta& leaf = key.leaves.emplace_back();
      leaf.kind = LeafKind::kString;
      leaf.siblings.emplace_back().value = i == 8 ? std::string_view(long_value) : names[i];
    }
    write(key);
  }
  RecordBuilder builder;
  builder.add_nothing();
  state.for_each([&](std::string_view key, const Object& object) {
    KeyDelta delta;
    delta.key = key;
    describe(object, delta);
    builder.add(delta, {}, {});
  });
  Record head;
  head.partition = 3;
  head.context = state.vector();
  std::string bytes;
  builder.finish(head, true, bytes);
  return bytes;
}

struct Taken {
  PartitionState state;
  std::size_t parts = 0;
  std::size_t keys = 0;
  std::string error;
};
Taken take(std::string_view bytes, std::size_t piece, std::size_t at_once) {
  Taken taken;
  StateStream stream;
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    stream.add(bytes.substr(at, piece));
    while (true) {
      auto part = stream.next(at_once);
      if (!part) {
        taken.error = part.error().message;
        return taken;
      }
      if (!*part) break;
      EXPECT_EQ((*part)->partition, 3);
      (*part)->delta.full = false;
      ++taken.parts;
      taken.keys += (*part)->delta.keys.size();
      taken.state.join_part((*part)->delta, (*part)->context);
    }
  }
  if (!stream.at_end() || stream.held() > 0) {
    taken.error = "cut off";
  } else {
    taken.state.cover(stream.head()->context);
  }
  return taken;
}

TEST(StateStream, GivesOutWhatWasEncodedInWhateverPiecesItComes) {
  const std::string bytes = encoded_state();
  RecordDecoder decoder;
  const auto record = decoder.decode(bytes);
  ASSERT_TRUE(record) << record.error().message;
  PartitionState whole;
  whole.join(record->delta, record->context);
  for (const std::size_t piece : {1u, 3u, 100u, 4'000u, 1u << 20}) {
    for (const std::size_t at_once : {1u, 500u, 1u << 20}) {
      const Taken taken = take(bytes, piece, at_once);
      EXPECT_EQ(taken.error, "") << piece;
      EXPECT_EQ(taken.keys, record->delta.keys.size());
      if (at_once == 1) {
        EXPECT_EQ(taken.parts, taken.keys);
      }
      EXPECT_EQ(taken.state.vector(), whole.vector());
      EXPECT_EQ(taken.state.digest(), whole.digest());
      EXPECT_EQ(taken.state.digest(), taken.state.recompute_digest());
      EXPECT_EQ(taken.state.live_keys(), whole.live_keys());
    }
  }
}

TEST(StateStream, RefusesWhatIsNoState) {
  const std::string bytes = encoded_state();
  EXPECT_EQ(take(bytes + "x", 100, 500).error, "malformed state: bytes are left over");
  EXPECT_EQ(take(bytes.substr(0, bytes.size() - 1), 100, 500).error, "cut off");
  std::string wrong = bytes;
  wrong[2] = 1;  // an origin
  EXPECT_NE(take(wrong, 100, 500).error, "");
  // Anything is safe: an error, or another state.
  Random random(1);
  for (int i = 0; i < 2'000; ++i) {
    wrong = bytes;
    for (std::uint64_t n = random.below(3) + 1; n > 0; --n) {
      const std::size_t behind_head = random.below(wrong.size() - kRecordHeadBytes);
      wrong[kRecordHeadBytes + behind_head] = static_cast<char>(random.below(256));
    }
    RecordDecoder decoder;
    const bool whole = decoder.decode(wrong).has_value();
    StateStream stream;
    bool error = false;
    for (std::size_t at = 0; at < wrong.size() && !error; at += 700) {
      stream.add(std::string_view(wrong).substr(at, 700));
      while (!error) {
        const auto part = stream.next(500);
        error = !part;
        if (error || !*part) break;
      }
    }
    EXPECT_EQ(whole, !error && stream.at_end() && stream.held() == 0) << i;
  }
}

}  // namespace
}  // namespace even
