#include "lattice/codec.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <set>
#include <string>
#include <tuple>

#include "lattice/golden.h"
#include "lattice/test_history.h"
#include "lattice/types/position.h"
#include "lattice/types/score.h"
#include "lattice/types/stream_field.h"

namespace even {
namespace {

using Integers = Counter<std::int64_t>;
using Reals = Counter<Real>;

constexpr ReplicaId kOne{0x0001'0000'0000'0001};
constexpr ReplicaId kTwo{0x0002'00c0'ffee'1234};

bool same(const LeafDelta& a, const LeafDelta& b) {
  if (a.kind != b.kind || a.partial != b.partial || a.field != b.field ||
      a.siblings.size() != b.siblings.size())
    return false;
  for (std::size_t i = 0; i < a.siblings.size(); ++i) {
    const SiblingView& x = a.siblings[i];
    const SiblingView& y = b.siblings[i];
    if (x.dot != y.dot || x.value != y.value || x.at_ms != y.at_ms) return false;
    // The time of a member does not matter.
    if (a.kind != LeafKind::kMember && x.time != y.time) return false;
  }
  return a.integers == b.integers && a.reals == b.reals;
}

bool same(const Record& a, const Record& b) {
  if (a.partition != b.partition || a.origin != b.origin || a.time != b.time ||
      a.context != b.context || a.folds != b.folds || a.delta.full != b.delta.full ||
      a.delta.keys.size() != b.delta.keys.size()) {
    return false;
  }
  for (std::size_t i = 0; i < a.delta.keys.size(); ++i) {
    const KeyDelta& x = a.delta.keys[i];
    const KeyDelta& y = b.delta.keys[i];
    if (x.key != y.key || x.full != y.full || x.leaves.size() != y.leaves.size()) return false;
    for (std::size_t j = 0; j < x.leaves.size(); ++j) {
      if (!same(x.leaves[j], y.leaves[j])) return false;
    }
  }
  return true;
}

std::string encoded(const Record& record) {
  std::string out;
  encode_record(record, out);
  return out;
}

// A record with everything in it that a record can hold. Views static strings.
Record rich_record() {
  Record record;
  record.partition = 7;
  record.origin = kOne;
  record.time = Hlc::at(1'700'000'000'000);
  record.context.add({kOne, 3});
  record.context.add({kTwo, 300});
  const Dot own = record.dot();

  KeyDelta& text = record.delta.keys.emplace_back();
  text.key = "text";
  text.full = true;
  LeafDelta& value = text.leaves.emplace_back();
  value.siblings.push_back({own, record.time, "v", 0});
  value.siblings.push_back({{kTwo, 299}, Hlc::at(5), std::string_view("\0\xff", 2), 0});
  value.integers.push_back(Integers::Entry{kTwo, 9, -7, 8, INT64_MIN});
  value.integers.push_back(Integers::Entry{kOne, 2, INT64_MAX, 2, INT64_MAX});
  value.reals.push_back(Reals::Entry{kOne, 3, Real{0.1L}, 1, Real{-2.5L}});
  LeafDelta& expiry = text.leaves.emplace_back();
  expiry.kind = LeafKind::kExpiry;
  expiry.siblings.push_back({own, record.time, {}, 1'800'000'000'123});
  expiry.siblings.push_back({{kTwo, 1}, Hlc::at(1), {}, -1});

  KeyDelta& map = record.delta.keys.emplace_back();
  map.key = "";
  LeafDelta& field = map.leaves.emplace_back();
  field.kind = LeafKind::kField;
  field.partial = true;
  field.field = "f";
  field.integers.push_back({Integers::Entry{kOne, 3, 1, 2, 0}, 0});
  LeafDelta& removed = map.leaves.emplace_back();
  removed.kind = LeafKind::kField;
  removed.field = "gone";

  KeyDelta& set = record.delta.keys.emplace_back();
  set.key = "set";
  LeafDelta& member = set.leaves.emplace_back();
  member.kind = LeafKind::kMember;
  member.field = "m";
  member.siblings.push_back({own, {}, {}, 0});
  member.siblings.push_back({{kTwo, 4}, {}, {}, 0});

  KeyDelta& sorted = record.delta.keys.emplace_back();
  sorted.key = "sorted";
  LeafDelta& score = sorted.leaves.emplace_back();
  score.kind = LeafKind::kScore;
  score.field = "m";
  score.siblings.push_back({own, record.time, std::string_view("\xbf\xf8", 2), 0});  // -1.5
  score.siblings.push_back({{kTwo, 5}, Hlc::at(2), {}, 0});                          // 0
  LeafDelta& incremented = sorted.leaves.emplace_back();
  incremented.kind = LeafKind::kScore;
  incremented.partial = true;
  incremented.field = "n";
  incremented.integers.push_back({Integers::Entry{kOne, 3, 1, 2, 0}, 0});

  KeyDelta& list = record.delta.keys.emplace_back();
  list.key = "list";
  static const std::string first = position_between({}, {}, {kTwo, 5});
  static const std::string second = position_between(first, {}, own);
  for (const std::string* position : {&first, &second}) {
    LeafDelta& item = list.leaves.emplace_back();
    item.kind = LeafKind::kItem;
    item.field = *position;
    item.siblings.push_back({own, record.time, "item", 0});
  }

  KeyDelta& stream = record.delta.keys.emplace_back();
  stream.key = "stream";
  static const std::string entry = stream_entry(kTwo, {1'526'919'030'474, 2});
  static const std::string mark = group_delivered("group", 9, kTwo, {1'526'919'030'474, 2});
  for (const std::string* name : {&entry, &mark}) {
    LeafDelta& field = stream.leaves.emplace_back();
    field.kind = LeafKind::kEntry;
    field.field = *name;
    field.siblings.push_back({own, record.time, name == &entry ? "\1f\1v" : "", 0});
  }

  record.delta.keys.emplace_back().key = "deleted";
  record.delta.keys.back().full = true;
  return record;
}

Record rich_state() {
  Record state = rich_record();
  state.origin = {};
  state.time = {};
  state.delta.full = true;
  for (KeyDelta& key : state.delta.keys) key.full = true;
  state.delta.keys[1].leaves[0].integers[0].before.reset();
  state.delta.keys[3].leaves[1].integers[0].before.reset();
  return state;
}

constexpr ReplicaId kEarlier{0x0001'0000'0000'0000 + 1};
constexpr ReplicaId kLater{0x0001'0000'0000'0000 + 2};

// Says that run 1 of node 1 has ended with its third record.
Record folding_record() {
  Record record;
  record.origin = kLater;
  record.time = {6};
  record.folds = true;
  record.context.add({kEarlier, 3});
  record.context.add({kLater, 2});
  record.context.add({kTwo, 300});
  record.context.fold(kTwo);
  return record;
}

// One that follows it.
Record later_record() {
  Record record = folding_record();
  record.folds = false;
  record.context.add({kLater, 3});
  record.context.fold(kLater);
  return record;
}

std::string hex(std::string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const auto byte = static_cast<unsigned char>(bytes[i]);
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
    if (i % 32 == 31 || i + 1 == bytes.size()) out += '\n';
  }
  return out;
}

std::string from_hex(std::string_view text) {
  std::string out;
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] == '\n') {
      ++i;
      continue;
    }
    out += static_cast<char>(digit(text[i]) << 4 | digit(text.at(i + 1)));
    i += 2;
  }
  return out;
}

TEST(Codec, DecodesWhatItEncodes) {
  for (const Record& record : {rich_record(), rich_state(), folding_record(), later_record()}) {
    const std::string bytes = encoded(record);
    RecordDecoder decoder;
    const auto decoded = decoder.decode(bytes);
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_TRUE(same(*decoded, record));
    EXPECT_EQ(encoded(*decoded), bytes);
    const auto head = decode_record_head(bytes);
    ASSERT_TRUE(head);
    EXPECT_EQ(head->partition, record.partition);
    EXPECT_EQ(head->dot, record.dot());
    EXPECT_EQ(head->time, record.time);
    EXPECT_EQ(head->folds, record.folds);
  }
}

// That it folds costs a record nothing: it is as long as one of a node that was never restarted.
TEST(Codec, ARecordAfterFoldingIsAsLongAsOneOfANewNode) {
  Record first = later_record();
  first.context.clear();
  first.context.add({kLater, 3});
  first.context.add({kTwo, 300});
  EXPECT_EQ(encoded(later_record()).size(), encoded(first).size());
}

TEST(Codec, RefusesFoldsThatMakeNoSense) {
  RecordDecoder decoder;
  const auto refusal = [&](std::string bytes) {
    const auto decoded = decoder.decode(bytes);
    return decoded ? std::string() : decoded.error().message;
  };
  const std::string later = encoded(later_record());
  ASSERT_EQ(refusal(later), "");
  const std::size_t flags = later.size() - 2;  // before an array without keys
  ASSERT_EQ(later[flags], 2);
  std::string unknown = later;
  unknown[flags] = 4;
  EXPECT_NE(refusal(unknown).find("flag"), std::string::npos);
  std::string twice = later;
  twice[17] = static_cast<char>(0x80);  // the record itself folds as well
  EXPECT_NE(refusal(twice).find("folds"), std::string::npos);
  std::string state = encoded(rich_state());
  state[17] = static_cast<char>(0x80);
  EXPECT_FALSE(decode_record_head(state));
}

// A decrement of a bounded counter that another replica has made, and one that is made anew.
// Fields of a hash: one that gets an expiry beside another's of its own, and one that loses its.
Record field_expiry_record() {
  static const ScoreBytes later(1'800'000'000'000.0);
  static const ScoreBytes sooner(1'700'000'000'500.0);
  VersionVector seen;
  seen.add({kOne, 6});
  seen.add({kTwo, 9});
  Record record = Record::begin(3, kOne, Hlc::at(1'700'000'000'000), seen);
  KeyDelta& key = record.delta.keys.emplace_back();
  key.key = "sessions";
  const auto add = [&key](std::string_view field) -> LeafDelta& {
    LeafDelta& leaf = key.leaves.emplace_back();
    leaf.kind = LeafKind::kFieldExpiry;
    leaf.field = field;
    return leaf;
  };
  LeafDelta& prolonged = add("prolonged");
  prolonged.siblings.push_back({record.dot(), record.time, later.view(), 0});
  prolonged.siblings.push_back({{kTwo, 4}, Hlc::at(1'600'000'000'000), sooner.view(), 0});
  add("kept");
  return record;
}

Record bounded_record() {
  constexpr ReplicaId kThree{0x0003'0000'0000'0009};
  static const std::string decrement =
      encode_bounded({false, 0, 100, {{kOne, 7, -4, 2, {{kTwo, 30}, {kThree, 12}}}}});
  static const std::string anew = encode_bounded({true, 50, -1, {}});
  VersionVector seen;
  seen.add({kOne, 6});
  seen.add({kTwo, 9});
  Record record = Record::begin(3, kOne, Hlc::at(1'700'000'000'000), seen);
  const auto add = [&record](std::string_view name, bool full) -> LeafDelta& {
    KeyDelta& key = record.delta.keys.emplace_back();
    key.key = name;
    key.full = full;
    LeafDelta& leaf = key.leaves.emplace_back();
    leaf.kind = LeafKind::kBound;
    leaf.partial = !full;
    return leaf;
  };
  add("stock", false).siblings.push_back({{kTwo, 4}, Hlc::at(1'600'000'000'000), decrement, 0});
  add("seats", true).siblings.push_back({record.dot(), record.time, anew, 0});
  return record;
}

TEST(Codec, TheRecordFormatHasNotChanged) {
  for (const auto& [name, record] :
       {std::pair{"record-v7.hex", rich_record()}, std::pair{"state-v7.hex", rich_state()},
        std::pair{"folding-record-v7.hex", folding_record()},
        std::pair{"later-record-v7.hex", later_record()},
        std::pair{"bounded-record-v7.hex", bounded_record()},
        std::pair{"field-expiry-record-v7.hex", field_expiry_record()}}) {
    const std::string bytes = from_hex(
        test::expect_golden(name, hex(encoded(record)),
                            "the log (kLogVersion) and of the peer protocol, which hold records"));
    RecordDecoder decoder;
    const auto decoded = decoder.decode(bytes);
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_TRUE(same(*decoded, record));
  }
}

TEST(Codec, TheFuzzTargetHasSeedsOfEveryKind) {
  using enum test::Act;
  test::expect_seed("record_fuzz", "rich-record", encoded(rich_record()));
  test::expect_seed("record_fuzz", "rich-state", encoded(rich_state()));
  test::expect_seed("record_fuzz", "folding-record", encoded(folding_record()));
  test::expect_seed("record_fuzz", "later-record", encoded(later_record()));
  test::expect_seed("record_fuzz", "bounded-record", encoded(bounded_record()));
  test::expect_seed("record_fuzz", "field-expiry-record", encoded(field_expiry_record()));
  test::World world(1);
  test::Replica& replica = world.replicas()[0];
  for (const test::Act act :
       {kSet,         kIncrement,   kIncrementReal, kExpire,   kSetKeepExpiry,  kPersist,
        kDelete,      kAddMember,   kRemoveMember,  kSetField, kIncrementField, kIncrementFieldReal,
        kExpireField, kDeleteField, kDeleteAll,     kSetScore, kIncrementScore, kIncrementScoreReal,
        kDeleteScore, kSetItem,     kSetEntry,      kSetEntry, kDeleteItem}) {
    if (!world.perform(replica, {{act, "k", "f", "7", 3}})) continue;
    test::expect_seed("record_fuzz", "act-" + std::to_string(static_cast<int>(act)),
                      world.records().back());
  }
}

TEST(Codec, RefusesBoundedCountersThatTheContextDoesNotCover) {
  RecordDecoder decoder;
  EXPECT_TRUE(decoder.decode(encoded(bounded_record())));
  Record ahead = bounded_record();
  const std::string bytes = encode_bounded({false, 0, 100, {{kTwo, 10, -4, 0, {}}}});
  ahead.delta.keys[0].leaves[0].siblings[0].value = bytes;
  EXPECT_FALSE(decoder.decode(encoded(ahead)));
  ahead.delta.keys[0].leaves[0].siblings[0].value = "none";
  EXPECT_FALSE(decoder.decode(encoded(ahead)));
}

TEST(Codec, RefusesWhatIsNoScore) {
  RecordDecoder decoder;
  const auto decodes = [&decoder](std::string_view score) {
    Record record;
    record.origin = kOne;
    record.context.add({kOne, 1});
    LeafDelta& leaf = record.delta.keys.emplace_back().leaves.emplace_back();
    leaf.kind = LeafKind::kScore;
    leaf.field = "m";
    leaf.siblings.push_back({record.dot(), record.time, score, 0});
    return decoder.decode(encoded(record)).has_value();
  };
  EXPECT_TRUE(decodes(ScoreBytes(0.1).view()));
  EXPECT_TRUE(decodes(ScoreBytes(-HUGE_VAL).view()));
  EXPECT_TRUE(decodes(""));
  EXPECT_FALSE(decodes(std::string_view("\x3f\x00", 2)));  // 0x3f alone is the same number
  EXPECT_FALSE(decodes("\x3f\xf1\x01\x01\x01\x01\x01\x01\x01"));
  EXPECT_FALSE(decodes("\x7f\xf8"));  // not a number
}

TEST(Codec, RefusesElementsOfListsThatHaveNoPositionOrCount) {
  RecordDecoder decoder;
  Record record;
  record.origin = kOne;
  record.context.add({kOne, 1});
  LeafDelta& leaf = record.delta.keys.emplace_back().leaves.emplace_back();
  leaf.kind = LeafKind::kItem;
  leaf.field = "0";
  leaf.siblings.push_back({record.dot(), record.time, "v", 0});
  EXPECT_FALSE(decoder.decode(encoded(record)).has_value());
  const std::string position = position_between({}, {}, record.dot());
  leaf.field = position;
  EXPECT_TRUE(decoder.decode(encoded(record)).has_value());
  leaf.integers.push_back({Integers::Entry{kOne, 1, 1, 0, 0}, 0});
  EXPECT_FALSE(decoder.decode(encoded(record)).has_value());
}

TEST(Codec, RefusesFieldsOfStreamsThatAreNone) {
  RecordDecoder decoder;
  Record record;
  record.origin = kOne;
  record.context.add({kOne, 1});
  LeafDelta& leaf = record.delta.keys.emplace_back().leaves.emplace_back();
  leaf.kind = LeafKind::kEntry;
  leaf.siblings.push_back({record.dot(), record.time, "v", 0});
  const auto decodes = [&](std::string_view name) {
    leaf.field = name;
    return decoder.decode(encoded(record)).has_value();
  };
  const std::string whole[] = {stream_entry(kOne, {2, 3}),
                               stream_mark('l', {2, 3}),
                               stream_mark('d', {}),
                               group_base("g", 7),
                               group_consumer("g", 7, ""),
                               group_delivered("g", 7, kTwo, {}),
                               group_pending("long", {5, 0}, kTwo, 7),
                               std::string(1, kStreamAdded)};
  for (const std::string& name : whole) {
    EXPECT_TRUE(decodes(name)) << stream_field_text(name);
    const bool open_ended = name == group_consumer("g", 7, "");
    EXPECT_EQ(decodes(name + "x"), open_ended);
    EXPECT_FALSE(decodes(name.substr(0, name.size() - 1)));
  }
  EXPECT_FALSE(decodes("y"));
  leaf.field = whole[0];
  leaf.integers.push_back({Integers::Entry{kOne, 1, 1, 0, 0}, 0});
  EXPECT_FALSE(decoder.decode(encoded(record)).has_value());
}

// The example in docs/formats/record.md.
TEST(Codec, TheDocumentedExampleIsWhatIsEncoded) {
  Record record;
  record.partition = 7;
  record.origin = kOne;
  record.time = {5};
  record.context.add({kOne, 1});
  KeyDelta& key = record.delta.keys.emplace_back();
  key.key = "k";
  key.full = true;
  key.leaves.emplace_back().siblings.push_back({record.dot(), record.time, "v", 0});
  EXPECT_EQ(encoded(record), from_hex("0700"
                                      "0100000000000100"
                                      "0100000000000000"
                                      "0500000000000000"
                                      "93"
                                      "90"
                                      "00"
                                      "91"
                                      "93"
                                      "c4016b"
                                      "c3"
                                      "93"
                                      "00"
                                      "c400"
                                      "91"
                                      "c40176"));
}

// Whatever INCRBYFLOAT can add up must come through: what a node has logged and cannot read again
// is lost.
TEST(Codec, RealsOfAnySizeThatRedisComputesWithComeThroughUnchanged) {
  const Real kReals[] = {0,
                         Real{0.1L},
                         Real{-2.5L},
                         Real{1e308L} * 8,
                         Real{1e400L},
                         Real{-1.1e4932L},
                         Real{3e-4940L},
                         Real{1e-300L} / 3,
                         Real{1e18L} + Real{1e-15L},
                         Real{__LDBL_MAX__},
                         Real{__LDBL_MIN__}};
  for (const Real real : kReals) {
    Record record;
    record.origin = kOne;
    record.context.add({kOne, 1});
    LeafDelta& leaf = record.delta.keys.emplace_back().leaves.emplace_back();
    leaf.partial = true;
    leaf.reals.push_back({Reals::Entry{kOne, 1, real, 0, Real{}}, Real{}});
    const std::string bytes = encoded(record);
    RecordDecoder decoder;
    const auto decoded = decoder.decode(bytes);
    ASSERT_TRUE(decoded) << static_cast<long double>(real) << ": " << decoded.error().message;
    EXPECT_TRUE(decoded->delta.keys.at(0).leaves.at(0).reals.at(0).sum == real)
        << static_cast<long double>(real);
  }
}

// What a record holds however its keys were cut into parts: a line for each leaf.
std::multiset<std::string> leaves_of(const Record& record) {
  std::multiset<std::string> out;
  for (const KeyDelta& key : record.delta.keys) {
    if (key.leaves.empty()) out.insert(std::string(key.key) + " alone");
    for (const LeafDelta& leaf : key.leaves) {
      out.insert(std::string(key.key) + (key.full ? " full " : " part ") + std::string(leaf.field) +
                 " " + std::to_string(leaf.siblings.size()));
    }
  }
  return out;
}

RC_GTEST_PROP(Codec, ARecordBuiltKeyByKeyHoldsWhatWasAdded,
              (const std::vector<std::tuple<std::uint8_t, bool, std::uint8_t>>& parts)) {
  Record record;
  record.origin = kOne;
  record.context.add({kOne, 7});
  std::vector<std::string> names;
  for (int i = 0; i < 4; ++i) names.push_back(std::string(static_cast<std::size_t>(i) * 120, 'k'));
  std::vector<std::string> fields;
  for (int i = 0; i < 256; ++i) fields.push_back("f" + std::to_string(i));
  RecordBuilder builder;
  RC_ASSERT(builder.empty());
  for (const auto& [name, full, leaves] : parts) {
    KeyDelta& key = record.delta.keys.emplace_back();
    key.key = names[name % names.size()];
    key.full = full;
    const std::size_t count = leaves % 20u + (full ? 0 : 1);  // a part has leaves
    for (std::size_t i = 0; i < count; ++i) {
      LeafDelta& leaf = key.leaves.emplace_back();
      leaf.kind = LeafKind::kMember;
      leaf.field = fields[(leaves + i) % fields.size()];
      if (i % 3 > 0) leaf.siblings.push_back({record.dot(), {}, {}, 0});
    }
    builder.add(key, record.dot(), record.time);
  }
  std::string bytes;
  builder.finish(record, false, bytes);
  RC_ASSERT(builder.empty());
  RecordDecoder decoder;
  const auto decoded = decoder.decode(bytes);
  RC_ASSERT(decoded.has_value());
  RC_ASSERT(leaves_of(*decoded) == leaves_of(record));
  RC_ASSERT(decoded->context == record.context);
}

TEST(Codec, RealsThatAddUpBeyondTheLargestStayFinite) {
  Counter<Real> counter;
  const VersionVector nothing;
  const Real most = __LDBL_MAX__;
  counter.join(counter.view().incremented(kOne, 1, most, false), nothing);
  counter.join(counter.view().incremented(kOne, 2, most, false), nothing);
  counter.join(counter.view().incremented(kTwo, 1, most, false), nothing);
  EXPECT_TRUE(counter.view().value() == most);
  EXPECT_TRUE(counter.view().find(kOne)->sum == most);
  Scalar scalar;
  scalar.siblings.push_back({{kOne, 3}, {}, "1e4932"});
  scalar.reals = counter;
  EXPECT_TRUE(ScalarView(scalar).number() == most);
}

RC_GTEST_PROP(Codec, RecordsAndStatesOfRandomHistoriesComeThroughUnchanged,
              (const std::vector<test::Step>& steps)) {
  using enum test::Act;
  test::World world(3);
  for (const test::Step& step : steps) {
    test::play(world,
               {kSet,
                kSetKeepExpiry,
                kIncrement,
                kIncrementReal,
                kDelete,
                kAddMember,
                kRemoveMember,
                kSetField,
                kIncrementField,
                kIncrementFieldReal,
                kDeleteField,
                kExpire,
                kPersist,
                kPurge,
                kDeleteAll,
                kSetScore,
                kIncrementScore,
                kIncrementScoreReal,
                kDeleteScore,
                kSetItem,
                kDeleteItem},
               step);
  }
  for (const test::Replica& replica : world.replicas()) world.take_snapshot(replica);
  RecordDecoder decoder;
  for (const auto* all : {&world.records(), &world.snapshots()}) {
    for (const std::string& bytes : *all) {
      const auto decoded = decoder.decode(bytes);
      RC_ASSERT(decoded.has_value());
      RC_ASSERT(encoded(*decoded) == bytes);
    }
  }
  for (const test::Replica& replica : world.replicas()) {
    Record state;
    state.context = replica.state.vector();
    state.delta = replica.state.describe();
    const std::string bytes = encoded(state);
    const auto decoded = decoder.decode(bytes);
    RC_ASSERT(decoded.has_value());
    RC_ASSERT(same(*decoded, state));
    PartitionState joined;
    joined.join(decoded->delta, decoded->context);
    RC_ASSERT(joined.digest() == replica.state.digest());
  }
}

TEST(Codec, RefusesARecordThatIsCutAnywhereOrHasBytesLeftOver) {
  const std::string bytes = encoded(rich_record());
  RecordDecoder decoder;
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decoder.decode(std::string_view(bytes).substr(0, size))) << size;
  }
  EXPECT_FALSE(decoder.decode(bytes + '\0'));
}

TEST(Codec, RefusesWhatWouldBreakTheLattice) {
  RecordDecoder decoder;
  const auto refused = [&decoder](const Record& record) {
    const auto decoded = decoder.decode(encoded(record));
    return decoded ? std::string("not refused") : decoded.error().message;
  };
  Record uncovered = rich_record();
  uncovered.delta.keys[0].leaves[0].siblings[1].dot = {kTwo, 301};
  EXPECT_EQ(refused(uncovered), "malformed record: the context does not cover a sibling");
  Record entry = rich_record();
  entry.delta.keys[0].leaves[0].integers[0].seq = 301;
  EXPECT_EQ(refused(entry), "malformed record: the context does not cover a counter entry");
  Record beyond = rich_record();
  beyond.delta.keys[0].leaves[0].integers[0].removed_seq = 10;
  EXPECT_EQ(refused(beyond), "malformed record: a counter entry is removed beyond its end");
  Record infinite = rich_record();
  infinite.delta.keys[0].leaves[0].reals[0].sum = static_cast<Real>(__builtin_infl());
  EXPECT_EQ(refused(infinite), "malformed record: a real number is not finite");
  Record partial = rich_record();
  partial.delta.keys[2].leaves[0].partial = true;
  EXPECT_EQ(refused(partial), "malformed record: a leaf has counters that its kind does not have");
  Record state = rich_state();
  state.delta.full = false;
  EXPECT_EQ(refused(state), "malformed record: a state is not full");
}

}  // namespace
}  // namespace even
