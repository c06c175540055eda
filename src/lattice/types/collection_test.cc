#include "lattice/types/collection.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

namespace even {
namespace {

// A random step on one element. Few names keep a collection packed, many make it a table.
struct Step {
  std::uint16_t name;
  std::uint8_t what;
  std::uint8_t replica;
  std::uint16_t seq;
  std::int64_t number;
};

}  // namespace
}  // namespace even

namespace rc {
template <>
struct Arbitrary<even::Step> {
  static Gen<even::Step> arbitrary() {
    return gen::build<even::Step>(gen::set(&even::Step::name), gen::set(&even::Step::what),
                                  gen::set(&even::Step::replica), gen::set(&even::Step::seq),
                                  gen::set(&even::Step::number));
  }
};
}  // namespace rc

namespace even {
namespace {

// Long enough to outgrow the packed form now and then.
std::vector<Step> longer(const std::vector<Step>& steps) {
  std::vector<Step> out;
  for (std::uint16_t round = 0; round < 4; ++round) {
    for (Step step : steps) {
      step.name = static_cast<std::uint16_t>(step.name + 71 * round);
      step.what = static_cast<std::uint8_t>(step.what + round);
      out.push_back(step);
    }
  }
  return out;
}

std::string name_of(const Step& step, unsigned names) {
  const unsigned number = step.name % names;
  // Of any length, the empty one among them.
  return number == 0 ? "" : std::string(number % 40, 'n') + std::to_string(number);
}
Dot dot_of(const Step& step) {
  return {ReplicaId::make(static_cast<NodeNumber>(1 + step.replica % 3), 7),
          std::uint64_t{1} + step.seq};
}

using Values = std::multiset<std::pair<Dot, std::string>>;
struct Model {
  Values values;
  std::map<ReplicaId, std::vector<std::int64_t>> integers;
  bool reals = false;
  bool live = false;
  bool operator==(const Model&) const = default;
};
Model model_of(const ScalarView& scalar) {
  Model out;
  scalar.for_each_sibling([&](const SiblingView& s) {
    out.values.insert({s.dot, std::string(s.value) + "@" + std::to_string(s.time.value)});
  });
  for (const auto& entry : scalar.integers().entries()) {
    out.integers[entry.replica] = {entry.sum, static_cast<std::int64_t>(entry.seq),
                                   static_cast<std::int64_t>(entry.removed_seq), entry.removed_sum};
  }
  out.reals = !scalar.reals().empty();
  out.live = scalar.live();
  return out;
}

// What a step makes of a field.
Scalar next_scalar(const Step& step) {
  Scalar scalar;
  const Dot dot = dot_of(step);
  const Hlc time{static_cast<std::uint64_t>(step.number)};
  const auto value = [&](std::uint64_t seq, std::size_t length) {
    scalar.siblings.push_back(
        {{dot.replica, seq}, time, std::string(length, static_cast<char>('a' + step.seq % 26))});
  };
  const auto count = [&](std::int64_t removed) {
    const CounterEntry<std::int64_t> entry{dot.replica, dot.seq, step.number,
                                           removed < 0 ? dot.seq : 0, removed};
    scalar.integers.join(entry, {});
  };
  switch (step.what % 10) {
    case 0:  // removed
      break;
    case 1:
      count(0);
      break;
    case 2:
      count(step.number < 0 ? step.number : -1);  // all of it removed: residue
      break;
    case 3:  // concurrent values
      value(dot.seq, 3);
      value(dot.seq + 1, 4);
      break;
    case 4:  // a value and a counter
      value(dot.seq, 2);
      count(0);
      break;
    case 5:
      value(dot.seq, 900);
      break;
    default:
      value(dot.seq, step.seq % 30);
  }
  return scalar;
}

template <typename View, typename Model>
void check_walks(const View& view, const Model& model) {
  RC_ASSERT(view.size() == model.size());
  RC_ASSERT(bool(view) == !model.empty());
  std::set<std::string> scanned;
  const auto [more, next] = view.scan(0, [&](const auto& entry) {
    RC_ASSERT(scanned.insert(std::string(entry.name)).second);
    return true;
  });
  RC_ASSERT(!more);
  RC_ASSERT(scanned.size() == model.size());
  for (const auto& name : scanned) RC_ASSERT(model.contains(name));
  // In steps of about one.
  std::set<std::string> stepped;
  for (std::pair<bool, std::uint64_t> at{true, 0}; at.first;) {
    at = view.scan(at.second, [&](const auto& entry) {
      stepped.insert(std::string(entry.name));
      return false;
    });
  }
  RC_ASSERT(stepped == scanned);
  if (!model.empty()) {
    Random random(model.size());
    RC_ASSERT(model.contains(std::string(view.random(random).name)));
  }
}

RC_GTEST_PROP(Collection, AHashBehavesAsAMapInEveryForm,
              (const std::vector<Step>& steps, bool many, bool plain)) {
  const unsigned names = many ? 300 : 12;
  HashCell hash;
  std::map<std::string, Model> model;
  for (const Step& step : longer(steps)) {
    Step now = step;
    if (plain && now.what % 10 > 2 && now.what % 10 < 6) now.what = 9;
    const std::string name = name_of(now, names);
    Scalar scalar = next_scalar(now);
    const auto before = model.find(name);
    hash.update(name, hash64(name), [&](const ScalarView& found, auto store) {
      RC_ASSERT(model_of(found) == (before == model.end() ? Model{} : before->second));
      if (scalar.empty()) {
        model.erase(name);
      } else {
        model[name] = model_of(scalar);
      }
      if (scalar.siblings.size() == 1 && scalar.integers.empty() && step.seq % 2 == 0) {
        const Sibling& only = scalar.siblings[0];
        store(SiblingView{only.dot, only.time, only.value, 0});
      } else {
        store(std::move(scalar));
      }
    });
    RC_ASSERT(hash.empty() == model.empty());
  }
  std::size_t live = 0;
  std::map<std::string, Model> found;
  hash.view().for_each([&](std::string_view name, const ScalarView& scalar) {
    found[std::string(name)] = model_of(scalar);
    live += scalar.live();
  });
  RC_ASSERT(found == model);
  RC_ASSERT(hash.view().live() == live);
  for (const auto& [name, expected] : model) {
    RC_ASSERT(model_of(hash.view().find(name)) == expected);
  }
  RC_ASSERT(hash.view().find("absent").empty());
  check_walks(hash.view(), model);

  // All at once: odd ones go, the others become values.
  const PackedElements::KeepReplaced keep;
  std::size_t left = 0;
  hash.update_all(
      [&](std::string_view name, const ScalarView& now, auto store) {
        RC_ASSERT(model_of(now) == model.at(std::string(name)));
        const bool goes = name.size() % 2 == 1;
        left += !goes;
        if (goes) return store(Scalar{});
        store(SiblingView{{ReplicaId::make(4, 4), 4}, Hlc{4}, "all", 0});
      },
      [](std::uint64_t) {});
  RC_ASSERT(hash.view().size() == left);
  hash.view().for_each([&](std::string_view name, const ScalarView& scalar) {
    RC_ASSERT(name.size() % 2 == 0);
    RC_ASSERT(scalar.winner()->value == "all");
  });
}

RC_GTEST_PROP(Collection, ASetBehavesAsAMapInEveryForm,
              (const std::vector<Step>& steps, bool many, bool plain)) {
  const unsigned names = many ? 300 : 12;
  SetCell set;
  std::map<std::string, std::set<Dot>> model;
  const auto dots_in = [](const MemberDots& dots) {
    std::set<Dot> out;
    for (const MemberDot& each : dots) out.insert(each.dot);
    return out;
  };
  for (const Step& step : longer(steps)) {
    const std::string name = name_of(step, names);
    set.update(name, hash64(name), [&](MemberDots& dots) {
      const auto before = model.find(name);
      RC_ASSERT(dots_in(dots) == (before == model.end() ? std::set<Dot>{} : before->second));
      dots.clear();
      if (step.what % 4 != 0) dots.push_back({dot_of(step)});
      if (step.what % 4 == 1 && !plain) {
        dots.push_back({{ReplicaId::make(5, 5), std::uint64_t{step.seq} + 1}});
      }
      if (dots.empty()) {
        model.erase(name);
      } else {
        model[name] = dots_in(dots);
      }
    });
    RC_ASSERT(set.empty() == model.empty());
  }
  std::map<std::string, std::set<Dot>> found;
  set.view().for_each([&](std::string_view name, const MemberDots& dots) {
    found[std::string(name)] = dots_in(dots);
  });
  RC_ASSERT(found == model);
  for (const auto& [name, dots] : model) {
    RC_ASSERT(set.view().contains(name));
    RC_ASSERT(dots_in(set.view().find(name)) == dots);
  }
  RC_ASSERT(!set.view().contains("absent"));
  check_walks(set.view(), model);

  const PackedElements::KeepReplaced keep;
  std::size_t left = 0;
  set.update_all(
      [&](std::string_view name, MemberDots& dots) {
        RC_ASSERT(dots_in(dots) == model.at(std::string(name)));
        if (name.size() % 2 == 1) dots.clear();
        left += !dots.empty();
      },
      [](std::uint64_t) {});
  RC_ASSERT(set.view().size() == left);
}

// An increment's own element keeps its neighbours' encodings, which are relative to it, right.
TEST(Collection, NeighboursOfAChangedElementStayAsTheyWere) {
  HashCell hash;
  const ReplicaId a = ReplicaId::make(1, 1);
  const ReplicaId b = ReplicaId::make(2, 2);
  const auto put = [&hash](std::string_view name, Dot dot, std::uint64_t time) {
    hash.update(name, hash64(name), [&](const ScalarView&, auto store) {
      store(SiblingView{dot, Hlc{time}, name, 0});
    });
  };
  put("one", {a, 5}, 100);
  put("two", {a, 5}, 100);    // the same record
  put("three", {a, 6}, 100);  // the same time
  put("four", {b, 6}, 7);
  put("two", {b, 1}, ~std::uint64_t{0});
  put("one", {b, ~std::uint64_t{0}}, 0);
  const auto expect = [&hash](std::string_view name, Dot dot, std::uint64_t time) {
    const auto value = hash.view().find(name).winner();
    ASSERT_TRUE(value) << name;
    EXPECT_EQ(value->dot, dot) << name;
    EXPECT_EQ(value->time.value, time) << name;
    EXPECT_EQ(value->value, name);
  };
  expect("one", {b, ~std::uint64_t{0}}, 0);
  expect("two", {b, 1}, ~std::uint64_t{0});
  expect("three", {a, 6}, 100);
  expect("four", {b, 6}, 7);
  hash.update("two", hash64("two"), [](const ScalarView&, auto store) { store(Scalar{}); });
  expect("three", {a, 6}, 100);
  expect("four", {b, 6}, 7);
}

}  // namespace
}  // namespace even
