#include "sim/strong_workload.h"

#include <fmt/format.h>

namespace even::sim {
namespace {

using verify::Model;

constexpr int kPlaces = 2;         // keys of a group and type that are in use at a time
constexpr int kUses = 60;          // after which a key is left alone
constexpr int kVanishingUses = 8;  // the same of one that expires
constexpr std::string_view kOperations = "rcpae";

std::string place_of(PartitionId group, char type, std::uint64_t place) {
  return fmt::format("{}:{}{}", group, type, place);
}

std::string name(const std::string& place, char type, int uses) {
  return fmt::format("{}.{}", place, uses / (type == 'e' ? kVanishingUses : kUses));
}

// The second one of a pair.
std::string other(const std::string& key) { return key + "'"; }

Model model_of(char type) {
  switch (type) {
    case 'c':
    case 'p':
      return Model::kCounter;
    case 'a':
      return Model::kAppend;
    default:
      return Model::kRegister;
  }
}

StrongOperation read(PartitionId group, char type, const std::string& key) {
  StrongOperation operation;
  operation.kind = StrongOperation::Kind::kRead;
  operation.model = model_of(type);
  operation.group = group;
  operation.key = key;
  operation.commands = {{"GET", key}};
  if (type == 'p') {
    operation.kind = StrongOperation::Kind::kReadBoth;
    operation.transaction = true;
    operation.commands.push_back({"GET", other(key)});
  }
  return operation;
}

}  // namespace

std::string StrongWorkload::key(PartitionId group, char type) {
  const std::string place = place_of(group, type, random_.below(kPlaces));
  return name(place, type, uses_[place]++);
}

void StrongWorkload::draw_level(StrongOperation& operation) {
  switch (random_.below(8)) {
    case 0:
      operation.level = StrongRead::kOne;
      break;
    case 1:
    case 2:
      operation.level = StrongRead::kSequential;
      break;
    case 3:
      operation.level = StrongRead::kBounded;
      operation.bound_ms = static_cast<std::int64_t>(1 + random_.below(1'000));
      break;
    default:
      break;
  }
}

void StrongWorkload::draw_once(StrongOperation& operation, double probability) {
  if (!random_.chance(probability)) return;
  operation.once = unique();
  operation.soon_forgotten = random_.chance(0.5);
}

StrongOperation StrongWorkload::next(PartitionId group) {
  const std::uint64_t choice = random_.below(16);
  if (choice < 5) return on_register(group);
  if (choice < 7) return on_counter(group);
  if (choice < 8) return on_pair(group);
  if (choice < 10) return on_string(group);
  if (choice < 13) return on_vanishing(group);
  return unchecked(group);
}

std::vector<StrongOperation> StrongWorkload::reads(PartitionId group) const {
  std::vector<StrongOperation> all;
  for (const char type : kOperations) {
    for (std::uint64_t place = 0; place < kPlaces; ++place) {
      const std::string at = place_of(group, type, place);
      const auto used = uses_.find(at);
      if (used == uses_.end()) continue;
      all.push_back(read(group, type, name(at, type, used->second)));
      if (used->second >= kUses) {
        all.push_back(read(group, type, name(at, type, used->second - kUses)));
      }
    }
  }
  if (all.empty()) all.push_back(read(group, 'r', place_of(group, 'r', 0)));
  return all;
}

StrongOperation StrongWorkload::on_register(PartitionId group) {
  StrongOperation operation = read(group, 'r', key(group, 'r'));
  const std::string& key = operation.key;
  const std::uint64_t choice = random_.below(8);
  if (choice < 3) {
    draw_level(operation);
    return operation;
  }
  operation.value = unique();
  if (random_.chance(0.02)) operation.value.append(random_.below(3'000), 'x');
  const auto known = last_.find(key);
  if (choice < 5 || known == last_.end()) {
    operation.kind = Kind::kWrite;
    operation.commands = {{"SET", key, operation.value}};
    return operation;
  }
  if (choice == 5 || !known->second) {
    operation.kind = Kind::kWatched;
    operation.transaction = true;
    operation.watched = {"GET", key};
    operation.watched_reply = bulk_reply(known->second);
    operation.commands = {{"SET", key, operation.value}};
    operation.old_value = known->second;
    draw_once(operation, 0.7);
    return operation;
  }
  operation.kind = Kind::kCas;
  operation.old_value = known->second;
  operation.commands = {{"SET", key, operation.value, "IFEQ", *known->second}};
  return operation;
}

StrongOperation StrongWorkload::on_counter(PartitionId group) {
  StrongOperation operation = read(group, 'c', key(group, 'c'));
  if (random_.chance(0.4)) {
    draw_level(operation);
    return operation;
  }
  operation.kind = Kind::kAdd;
  operation.by = static_cast<std::int64_t>(1 + random_.below(3));
  operation.commands = {{"INCRBY", operation.key, std::to_string(operation.by)}};
  draw_once(operation, 0.5);
  return operation;
}

StrongOperation StrongWorkload::on_pair(PartitionId group) {
  StrongOperation operation = read(group, 'p', key(group, 'p'));
  if (random_.chance(0.5)) {
    draw_level(operation);
    return operation;
  }
  operation.kind = Kind::kAddBoth;
  operation.by = 1;
  operation.commands = {{"INCR", operation.key}, {"INCR", other(operation.key)}};
  draw_once(operation, 0.3);
  return operation;
}

StrongOperation StrongWorkload::on_string(PartitionId group) {
  StrongOperation operation = read(group, 'a', key(group, 'a'));
  if (random_.chance(0.4)) {
    draw_level(operation);
    return operation;
  }
  operation.kind = Kind::kAppend;
  operation.value = unique() + ";";
  operation.commands = {{"APPEND", operation.key, operation.value}};
  return operation;
}

StrongOperation StrongWorkload::on_vanishing(PartitionId group) {
  StrongOperation operation = read(group, 'e', key(group, 'e'));
  const auto written = written_.find(operation.key);
  if (written != written_.end() && random_.chance(0.3)) {
    operation.kind = Kind::kCas;
    operation.value = unique();
    operation.old_value = written->second;
    operation.commands = {
        {"SET", operation.key, operation.value, "IFEQ", written->second, "KEEPTTL"}};
    if (random_.chance(0.5)) written->second = operation.value;
    return operation;
  }
  if (written != written_.end() || random_.chance(0.3)) {
    draw_level(operation);
    return operation;
  }
  operation.kind = Kind::kVanish;
  operation.value = unique();
  written_[operation.key] = operation.value;
  operation.commands = {{"SET", operation.key, operation.value, "PX",
                         std::to_string(1 + random_.below(random_.chance(0.5) ? 100 : 2'000))}};
  return operation;
}

StrongOperation StrongWorkload::unchecked(PartitionId group) {
  StrongOperation operation;
  operation.kind = Kind::kUnchecked;
  operation.group = group;
  if (random_.chance(0.2)) {
    operation.kind = Kind::kInstant;
    operation.key = fmt::format("{}:i", group);
    operation.transaction = true;
    operation.by = 1 + static_cast<std::int64_t>(random_.below(1'000'000));
    operation.commands = {{"SET", operation.key, unique(), "PX", std::to_string(operation.by)},
                          {"PEXPIRETIME", operation.key}};
    return operation;
  }
  const std::string text = fmt::format("{}:t{}", group, random_.below(3));
  const std::string set = fmt::format("{}:s{}", group, random_.below(2));
  const std::string hash = fmt::format("{}:h{}", group, random_.below(2));
  const std::string sorted = fmt::format("{}:z{}", group, random_.below(2));
  const std::string list = fmt::format("{}:l{}", group, random_.below(2));
  const std::string ttl = std::to_string(1 + random_.below(1'000));
  const auto one = [&]() -> StrongOperation::Words {
    switch (random_.below(24)) {
      case 0:
        return {"SET", text, unique(), "PX", ttl};
      case 1:
        return {"APPEND", text, small(10)};
      case 2:
        return {"PEXPIRE", text, ttl};
      case 3:
        return {"SADD", set, small(30), small(30), small(30)};
      case 4:
        return {"SPOP", set, small(3)};
      case 5:
        return {"PEXPIRE", set, ttl};
      case 6:
        return {"HINCRBY", hash, small(10), small(10)};
      case 7:
        return {"HSET", hash, small(10), unique()};
      case 8:
        return {"DEL", hash};
      case 9:
        return {"GETDEL", text};
      case 10:
        return {"SREM", set, small(30)};
      case 11:
        return {"HDEL", hash, small(10)};
      case 12:
        return {"ZADD", sorted, small(9), small(20), small(9), small(20)};
      case 13:
        return {"ZINCRBY", sorted, "0.1", small(20)};
      case 14:
        return {"ZPOPMIN", sorted, small(3)};
      case 15:
        return {"ZRANGESTORE", sorted, sorted, "0", small(40), "REV"};
      case 16:
        return {"RPUSH", list, unique(), small(9)};
      case 17:
        return {"LPOP", list, small(3)};
      case 18:
        return {"LMOVE", list, fmt::format("{}:l{}", group, random_.below(2)), "RIGHT", "LEFT"};
      case 19:
        return {"HPEXPIRE", hash, ttl, "FIELDS", "2", small(10), small(10)};
      case 20:
        return {"HSETEX", hash, "PX", ttl, "FIELDS", "1", small(10), unique()};
      case 21:
        return {"HPERSIST", hash, "FIELDS", "1", small(10)};
      case 22:
        return {"HGETDEL", hash, "FIELDS", "1", small(10)};
      default:
        return {"PERSIST", set};
    }
  };
  operation.commands = {one()};
  if (random_.chance(0.3)) {
    operation.transaction = true;
    for (std::uint64_t i = random_.below(4); i > 0; --i) operation.commands.push_back(one());
  }
  return operation;
}

}  // namespace even::sim
