// Snapshots of a partition that take several pieces, between two real shards, over a link that
// loses pieces and breaks.
#include "replica/snapshot_transfer.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "base/hash.h"
#include "replica/core.h"
#include "replica/test_replica.h"

namespace even::test {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

constexpr std::uint64_t kPiece = 1000;
constexpr int kPieces = 60;  // a few more, since there is more to a state than the values

bool is_piece(const std::string& message) {
  const auto decoded = decode_peer_message(message);
  return decoded && std::holds_alternative<SnapshotPiece>(*decoded);
}

// Node 1 has a state of which its log has only the end; node 2 has nothing.
struct Snapshots : ::testing::Test {
  World world;
  Replica a{world, 1, {1, 2}};
  Replica b{world, 2, {1, 2}};
  // Whether b gets a piece; it may be changed before.
  std::function<bool(std::string&)> passes = [](std::string&) { return true; };

  void SetUp() override {
    a.stop();
    a.retain_bytes = 0;
    a.piece_bytes = kPiece;
    a.window_bytes = 2 * kPiece;  // two pieces are on their way at most
    a.start();
    write(kPieces);
    a.store_all();
    a.stop();  // store_all() goes on storing what changes
    a.start();
  }
  void write(int keys, const std::string& prefix = "k") {
    for (int i = 0; i < keys; ++i)
      a.run({"set", fmt::format("{}{}", prefix, i), std::string(kPiece, 'v')});
  }
  // A session that breaks when b has got so many pieces: what is on its way then is lost.
  void session(int pieces, int turns = 400) {
    a.shard->link_up(b.shard->replica_id());
    b.shard->link_up(a.shard->replica_id());
    for (int turn = 0; turn < turns && pieces > 0; ++turn) {
      for (; !a.out.messages.empty() && pieces > 0; a.out.messages.pop_front()) {
        std::string& message = a.out.messages.front();
        if (is_piece(message)) {
          --pieces;
          if (!passes(message)) continue;
        }
        EXPECT_TRUE(b.shard->receive(1, message));
      }
      b.shard->end_turn();
      for (; !b.out.messages.empty(); b.out.messages.pop_front())
        EXPECT_TRUE(a.shard->receive(2, b.out.messages.front()));
      world.run_for(5'000);
      for (Replica* node : {&a, &b}) {
        node->shard->tick();
        node->shard->end_turn();
      }
    }
    a.shard->link_down(2);
    b.shard->link_down(1);
    a.out.messages.clear();
    b.out.messages.clear();
  }
  void complete() { session(10 * kPieces, 2000); }

  // In pieces; what they carry besides the state is in it.
  double sent() const {
    return static_cast<double>(a.shard->stats().snapshot_bytes_sent) /
           static_cast<double>(state().size());
  }
  // All of what a has, as it would be sent.
  std::string state() const { return ShardCore::encode_state(0, a.state()); }
  // b gets a state as a whole, from wherever.
  void give(const std::string& bytes) {
    b.shard->link_up(a.shard->replica_id());
    EXPECT_TRUE(b.shard->receive(
        1, encode_piece({.number = 1, .name = {0, bytes.size(), hash64(bytes)}, .bytes = bytes})));
    b.shard->link_down(1);
    b.out.messages.clear();
  }
  static std::uint64_t held(const Replica& node) { return node.shard->peers()[0].snapshot_bytes; }
  void expect_equal() {
    EXPECT_EQ(a.state().vector(), b.state().vector());
    EXPECT_EQ(a.state().digest(), b.state().digest());
    EXPECT_EQ(b.state().recompute_digest(), b.state().digest());
    EXPECT_EQ(b.shard->stats().digest_mismatches, 0u);
    EXPECT_EQ(held(a), 0u);
    EXPECT_EQ(held(b), 0u);
  }
};

TEST_F(Snapshots, GetAcrossInPiecesThatEachAreSentOnce) {
  complete();
  expect_equal();
  EXPECT_EQ(b.shard->stats().snapshots_joined, 1u);
  EXPECT_GE(a.shard->stats().snapshot_pieces_sent, 60u);
  EXPECT_LT(sent(), 1.05);
  EXPECT_EQ(a.shard->stats().snapshots_resumed, 0u);
}

TEST_F(Snapshots, GetAcrossALinkThatBreaksEveryFewPieces) {
  int sessions = 0;
  for (; b.state().vector().empty() && sessions < 100; ++sessions) session(8);
  EXPECT_GE(sessions, kPieces / 8);
  EXPECT_EQ(a.shard->stats().snapshots_resumed, static_cast<std::uint64_t>(sessions - 1));
  // With each link what was on its way is lost, two of ten pieces.
  EXPECT_LT(sent(), 1.3);
  complete();
  expect_equal();
  EXPECT_EQ(b.shard->stats().snapshots_joined, 1u);
}

TEST_F(Snapshots, GoOnFromAPieceThatWasLostWithinASession) {
  int count = 0;
  passes = [&count](std::string&) { return ++count % 20 != 0; };
  complete();
  expect_equal();
  EXPECT_EQ(b.shard->stats().snapshots_joined, 1u);
  EXPECT_GE(a.shard->stats().snapshots_resumed, 3u);
  EXPECT_LT(sent(), 1.15);
}

TEST_F(Snapshots, GoOnWhenTheLastPieceWasLost) {
  bool lost = false;
  passes = [&](std::string& message) {
    const SnapshotPiece piece = std::get<SnapshotPiece>(*decode_peer_message(message));
    const bool last = piece.offset + piece.bytes.size() == piece.name.total;
    return !last || std::exchange(lost, true);
  };
  complete();
  EXPECT_TRUE(lost);
  expect_equal();
  EXPECT_EQ(b.shard->stats().snapshots_joined, 1u);
  EXPECT_LT(sent(), 1.1);
}

TEST_F(Snapshots, OfAStateThatHasNotChangedGoOnAfterARestartOfTheSender) {
  session(40);
  a.stop();
  a.start();
  complete();
  expect_equal();
  EXPECT_EQ(a.shard->stats().snapshots_resumed, 1u);
  EXPECT_LT(sent(), 0.4);
  EXPECT_EQ(b.shard->stats().snapshots_joined, 1u);
}

// What came of the old one fits nothing that comes now.
TEST_F(Snapshots, OfAStateThatHasChangedBeginAnewAfterARestartOfTheSender) {
  session(40);
  a.stop();
  a.start();
  write(1, "other");
  a.store_all();
  complete();
  expect_equal();
  EXPECT_EQ(a.shard->stats().snapshots_resumed, 0u);
  EXPECT_GT(sent(), 1.0);
  EXPECT_EQ(b.shard->stats().snapshots_joined, 1u);
  EXPECT_EQ(b.shard->stats().snapshots_refused, 0u);
}

TEST_F(Snapshots, BeginAnewAfterARestartOfTheReceiver) {
  session(40);
  b.stop();
  b.start();
  EXPECT_EQ(held(b), 0u);
  complete();
  expect_equal();
  EXPECT_LT(sent(), 1.8);
  EXPECT_EQ(b.shard->stats().snapshots_joined, 1u);
}

TEST_F(Snapshots, AreFinishedAlthoughTheStateHasChangedAndRecordsFollow) {
  write(3, "late");  // in the log and in the snapshot
  session(40);
  write(5, "new");
  a.run({"del", "k3"});
  session(10);
  EXPECT_EQ(b.shard->stats().records_pending, 0u) << "records come before what they depend on";
  complete();
  expect_equal();
  EXPECT_EQ(a.shard->stats().snapshots_resumed, 2u);
  EXPECT_EQ(b.shard->stats().snapshots_joined, 1u);
  EXPECT_EQ(b.shard->stats().records_joined, 7u);  // one folds
  EXPECT_EQ(b.shard->stats().records_duplicate, 0u);
  EXPECT_EQ(b.run({"exists", "k3", "k4", "new4"}), ":2\r\n");
}

TEST_F(Snapshots, BeginAnewWhenTheLogNoLongerHasWhatFollowsThem) {
  session(40);
  write(5, "new");
  a.store_all();
  complete();
  expect_equal();
  EXPECT_EQ(a.shard->stats().snapshots_resumed, 0u);
  EXPECT_EQ(b.shard->stats().snapshots_joined, 1u);
}

TEST_F(Snapshots, AreNotJoinedWhenTheirBytesHaveChangedOnTheWayAndComeAnew) {
  int count = 0;
  passes = [&count](std::string& message) {
    if (++count == 30) message.back() ^= 1;
    return true;
  };
  session(kPieces + 10, 100);
  EXPECT_TRUE(b.state().vector().empty());
  EXPECT_EQ(b.shard->stats().snapshots_refused, 1u);
  EXPECT_EQ(b.shard->stats().snapshots_joined, 0u);
  EXPECT_THAT(b.warnings, Contains(HasSubstr("does not match its checksum and is not used")));
  complete();
  expect_equal();
  EXPECT_EQ(b.shard->stats().snapshots_joined, 1u);
  EXPECT_EQ(b.shard->stats().snapshots_refused, 1u);
}

TEST_F(Snapshots, InOnePieceAreVerifiedToo) {
  a.stop();
  a.piece_bytes = 1 << 20;
  a.start();
  passes = [](std::string& message) {
    message.back() ^= 1;
    return true;
  };
  session(1);
  EXPECT_TRUE(b.state().vector().empty());
  EXPECT_EQ(b.shard->stats().snapshots_refused, 1u);
  passes = [](std::string&) { return true; };
  complete();
  expect_equal();
}

TEST_F(Snapshots, AreForgottenByBothSidesAfterTwoMinutesWithoutTheOther) {
  session(20);
  EXPECT_GE(held(a), kPieces * kPiece);
  EXPECT_GE(held(b), 15 * kPiece);
  world.run_for(kSnapshotKeptUs - 20'000'000);
  a.pass_time();
  b.pass_time();
  EXPECT_GT(held(a), 0u);
  EXPECT_GT(held(b), 0u);
  world.run_for(20'000'000);
  a.pass_time();
  b.pass_time();
  EXPECT_EQ(held(a), 0u);
  EXPECT_EQ(held(b), 0u);
  complete();
  expect_equal();
}

TEST_F(Snapshots, AreForgottenByAReceiverThatHasSeenAllOfThemOtherwise) {
  session(20);
  EXPECT_GT(held(b), 0u);
  give(state());
  b.pass_time();
  EXPECT_EQ(held(b), 0u);
  // And by the sender when it hears of it.
  EXPECT_GT(held(a), 0u);
  const std::uint64_t before = a.shard->stats().snapshot_pieces_sent;
  complete();
  expect_equal();
  EXPECT_EQ(a.shard->stats().snapshot_pieces_sent, before);
}

TEST_F(Snapshots, AreGivenUpWhenTheLogHasWhatThePeerLacksAfterAll) {
  const std::string before = state();
  write(5, "new");
  session(20);
  give(before);
  const std::uint64_t pieces = a.shard->stats().snapshot_pieces_sent;
  complete();
  expect_equal();
  EXPECT_EQ(a.shard->stats().snapshot_pieces_sent, pieces);
  EXPECT_EQ(b.shard->stats().records_joined, 6u);  // one folds
}

TEST_F(Snapshots, AreDeclinedByAPartitionThatHasSeenAllOfThem) {
  complete();
  b.shard->link_up(a.shard->replica_id());
  VersionVector more = a.state().vector();
  more.add({ReplicaId::make(1, 7), 1});
  const auto answer = [&](const SnapshotOffer& offer) {
    EXPECT_TRUE(b.shard->receive(1, encode_offer(offer)));
    b.out.messages.clear();
    b.shard->end_turn();
    return std::get<SnapshotProgress>(*decode_peer_message(b.out.messages.at(0)));
  };
  const SnapshotName name{.partition = 0, .total = 100, .checksum = 1};
  EXPECT_EQ(answer({1, name, a.state().vector()}), (SnapshotProgress{1, name, 100}));
  EXPECT_EQ(answer({2, name, more}), (SnapshotProgress{2, name, 0}));
}

// --- The two ends by themselves
// ---------------------------------------------------------------------------

VersionVector seen(std::uint64_t records) {
  VersionVector vector;
  vector.add({ReplicaId::make(1, 7), records});
  return vector;
}

struct Ends : ::testing::Test {
  OutgoingSnapshot out{0, std::string(250, 's'), seen(1), 1, 0};
  IncomingSnapshot in;
  std::uint64_t number = 0;

  SnapshotPiece piece() {
    bytes = out.next_piece(++number, 100, 0);
    return std::get<SnapshotPiece>(*decode_peer_message(bytes));
  }
  SnapshotOffer offer(OutgoingSnapshot& of) {
    return std::get<SnapshotOffer>(*decode_peer_message(of.offer(++number, 0)));
  }
  OutgoingSnapshot::Heard hear(const std::optional<SnapshotProgress>& progress) {
    EXPECT_TRUE(progress);
    return out.hear(*progress, number + 1, 0);
  }
  std::string bytes;
};

using Heard = OutgoingSnapshot::Heard;

TEST_F(Ends, ManyLatePiecesMakeTheSenderGoBackOnce) {
  EXPECT_EQ(hear(in.take(offer(out), true, 0)), Heard::kGoOn);
  (void)piece();  // lost
  const auto first_gap = in.take(piece(), 0);
  const auto second_gap = in.take(piece(), 0);
  EXPECT_TRUE(out.all_sent());
  EXPECT_EQ(hear(first_gap), Heard::kGoOn);
  EXPECT_EQ(in.take(piece(), 0), std::nullopt);
  EXPECT_EQ(hear(second_gap), Heard::kNothing);
  EXPECT_EQ(in.take(piece(), 0), std::nullopt);
  EXPECT_EQ(in.take(piece(), 0), std::nullopt);
  EXPECT_EQ(in.take_whole(), std::string(250, 's'));
}

TEST_F(Ends, AnOldOfferDoesNotBringAnOldSnapshotBack) {
  OutgoingSnapshot old{0, "another", seen(1), 1, 0};
  const SnapshotOffer old_offer = offer(old);
  EXPECT_EQ(hear(in.take(offer(out), true, 0)), Heard::kGoOn);
  EXPECT_EQ(in.take(piece(), 0), std::nullopt);
  EXPECT_EQ(in.take(old_offer, true, 0), std::nullopt);
  EXPECT_EQ(in.bytes(), 100u);
  const SnapshotPiece late{.number = old_offer.number, .name = old_offer.name, .bytes = "anot"};
  EXPECT_EQ(in.take(late, 0), std::nullopt);
  EXPECT_EQ(in.bytes(), 100u);
}

TEST_F(Ends, APeerThatHasNothingOfWhatItWasSentHasLostIt) {
  EXPECT_EQ(hear(in.take(offer(out), true, 0)), Heard::kGoOn);
  (void)in.take(piece(), 0);
  in.drop();
  out.begin_session();
  in.begin_session();
  EXPECT_EQ(hear(in.take(offer(out), true, 0)), Heard::kLost);
}

TEST_F(Ends, APeerThatDoesNotNeedItSaysSo) {
  EXPECT_EQ(hear(in.take(offer(out), false, 0)), Heard::kAllThere);
  EXPECT_TRUE(in.empty());
}

}  // namespace
}  // namespace even::test
