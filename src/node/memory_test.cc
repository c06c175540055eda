// What things say that they take in memory, beside what the allocator has given out for them.
#include "base/memory.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "lattice/compact_dot.h"
#include "lattice/object.h"

namespace even {
namespace {

// The count is off by up to 64 KiB for each thread; before and after.
constexpr double kOff = 2 * 64 << 10;

// Makes so many keys and compares what they say of themselves with what was allocated.
void expect_counted(std::size_t count,
                    const std::function<void(HashOrderedMap<Object>& keys, std::size_t i)>& make) {
  HashOrderedMap<Object> keys;
  (void)CompactDot::make({ReplicaId::make(1, 7), 1});  // the process's table of replicas
  const std::uint64_t before = allocated_bytes();
  for (std::size_t i = 0; i < count; ++i) make(keys, i);
  const double grown = static_cast<double>(allocated_bytes() - before);
  const Footprint all = keys.footprint(0, [](const Object& object) { return object.footprint(0); });
  EXPECT_NEAR(static_cast<double>(all.bytes), grown, kOff);
  EXPECT_GT(all.metadata, 4 * count);
  EXPECT_LT(all.metadata, all.bytes);
  const Footprint estimate =
      keys.footprint(1000, [](const Object& object) { return object.footprint(1000); });
  EXPECT_NEAR(static_cast<double>(estimate.bytes), grown, 0.1 * grown);
}

Object& key(HashOrderedMap<Object>& keys, std::size_t i) {
  const std::string name = "key" + std::to_string(i);
  return keys.get(name, hash64(name));
}

Dot dot(std::size_t seq, NodeNumber node = 1) { return {ReplicaId::make(node, 7), seq + 1}; }

TEST(MemoryOfObjects, OfStringsIsWhatWasAllocated) {
  expect_counted(20'000, [](HashOrderedMap<Object>& keys, std::size_t i) {
    const std::string value(i % 300, 'v');
    key(keys, i).change_string(
        [&](ScalarCell& cell) { cell.assign(SiblingView{dot(i), {}, value, 0}); });
  });
}

TEST(MemoryOfObjects, OfCountersAndConcurrentValuesIsWhatWasAllocated) {
  expect_counted(20'000, [](HashOrderedMap<Object>& keys, std::size_t i) {
    key(keys, i).change_string([&](ScalarCell& cell) {
      Scalar scalar;
      for (NodeNumber node = 1; node <= i % 3; ++node) {
        scalar.siblings.emplace_back() = SiblingView{dot(i, node), {}, std::string(i % 40, 'v'), 0};
      }
      for (NodeNumber node = 1; node <= 1 + i % 2; ++node) {
        scalar.integers.join({CounterEntry<std::int64_t>{dot(i, node).replica, i + 1, 5}}, {});
      }
      if (i % 5 == 0) scalar.reals.join({CounterEntry<Real>{dot(i).replica, i + 1, 5}}, {});
      cell.assign(std::move(scalar));
    });
  });
}

TEST(MemoryOfObjects, OfCollectionsIsWhatWasAllocated) {
  for (const std::size_t elements : {3, 40, 200}) {
    SCOPED_TRACE(elements);
    expect_counted(200'000 / elements, [elements](HashOrderedMap<Object>& keys, std::size_t i) {
      Object& object = key(keys, i);
      for (std::size_t e = 0; e < elements; ++e) {
        const std::string name = "element" + std::to_string(e * 7919 % 1000);
        if (i % 2 == 0) {
          object.change_set([&](SetCell& cell) {
            cell.update(name, hash64(name), [&](MemberDots& dots) {
              dots.push_back({dot(e)});
              if (e % 50 == 49) dots.push_back({dot(e, 2)});
            });
          });
        } else {
          object.change_fields(LeafKind::kField, [&](HashCell& cell) {
            cell.update(name, hash64(name), [&](const ScalarView&, auto store) {
              store(SiblingView{dot(e), {}, "value", 0});
            });
          });
        }
      }
      if (i % 3 == 0) {
        object.change_expiry([&](Expiry& expiry) {
          expiry.emplace_back() = SiblingView{dot(i), {}, {}, 4'000'000'000'000};
        });
      }
    });
  }
}

}  // namespace
}  // namespace even
