#include "consumers/group_coordinator.h"

#include <fmt/format.h>

#include <charconv>

#include "base/mutant.h"
#include "base/reserved.h"
#include "consumers/group_record.h"
#include "replica/transaction_coordinator.h"

namespace even::kafka {
namespace {

// The records of a partition's groups that have members: a hash, by the group's name.
constexpr std::string_view kMembersKey{"\0even:members", 13};
static_assert(is_reserved(kMembersKey));

// Above all generations of earlier terms. Terms are taken for 15 bits: after 32,768 of them new
// groups begin low again.
std::int32_t generation_before(consensus::Term term) {
  constexpr int kGenerationBits = 16;
  constexpr consensus::Term kTermMask = 0x7fff;
  return static_cast<std::int32_t>((term & kTermMask) << kGenerationBits);
}

// A part of what is stored is damaged here. Trying again gives nothing else.
bool unreadable(const StrongOutcome& outcome) { return outcome.reply.starts_with("-IOERR"); }

}  // namespace

ErrorCode error_of(const StrongOutcome& outcome) {
  switch (outcome.kind) {
    case StrongOutcome::Kind::kReply:
      return outcome.reply.starts_with('-') ? ErrorCode::kUnknownServerError : ErrorCode::kNone;
    case StrongOutcome::Kind::kElsewhere:
      return ErrorCode::kNotCoordinator;
    case StrongOutcome::Kind::kUnknown:
      return ErrorCode::kRequestTimedOut;
    default:
      return ErrorCode::kCoordinatorNotAvailable;
  }
}

// "*2\r\n$1\r\na\r\n$1\r\nb\r\n"
std::vector<std::string> strings_of(std::string_view reply) {
  std::vector<std::string> strings;
  const auto number = [&reply](char kind) {
    std::int64_t value = -1;
    const std::size_t end = reply.find("\r\n");
    if (end == std::string_view::npos || !reply.starts_with(kind)) return value;
    std::from_chars(reply.data() + 1, reply.data() + end, value);
    reply.remove_prefix(end + 2);
    return value;
  };
  for (std::int64_t left = number('*'); left > 0; --left) {
    const std::int64_t size = number('$');
    if (size < 0 || static_cast<std::uint64_t>(size) + 2 > reply.size()) break;
    strings.emplace_back(reply.substr(0, static_cast<std::size_t>(size)));
    reply.remove_prefix(static_cast<std::size_t>(size) + 2);
  }
  return strings;
}

GroupCoordinator::~GroupCoordinator() = default;

// --- Terms

GroupCoordinator::Led* GroupCoordinator::in_term(PartitionId partition, consensus::Term term) {
  const auto found = led_.find(partition);
  if (found == led_.end()) return nullptr;
  if (found->second->term != term && !EVEN_MUTANT(kMembersOfOtherTerms)) return nullptr;
  return found->second.get();
}

// What is known of another term is given up: since then others may have led.
GroupCoordinator::Led* GroupCoordinator::current(PartitionId partition) {
  const std::optional<consensus::Term> term = world_.term_led(partition);
  if (term) {
    if (Led* led = in_term(partition, *term)) return led;
  }
  drop(partition);
  if (!term) return nullptr;
  Led& led = *(led_[partition] = std::make_unique<Led>());
  led.term = *term;
  led.floor = EVEN_MUTANT(kGenerationsFromRecord) ? 0 : generation_before(*term);
  load(partition, led);
  return &led;
}

void GroupCoordinator::drop(PartitionId partition) {
  const auto found = led_.find(partition);
  if (found == led_.end() || EVEN_MUTANT(kMembersOfOtherTerms)) return;
  const std::unique_ptr<Led> led = std::move(found->second);
  led_.erase(found);
  for (auto& [name, group] : led->groups) group.give_up();
  for (auto& task : std::exchange(led->waiting, {})) task(false);
}

// --- Loading

// A linearizable read comes behind whatever was committed in earlier terms, and what an earlier
// leader has proposed and is not committed by then never will be.
void GroupCoordinator::load(PartitionId partition, Led& led) {
  const std::uint64_t attempt = led.attempt = ++attempts_;
  led.groups.clear();
  world_.execute(
      partition, {"hkeys", std::string(kMembersKey)},
      [this, weak = std::weak_ptr(alive_), partition, attempt](const StrongOutcome& outcome) {
        if (weak.expired()) return;
        Led* led = loading(partition, attempt);
        if (led == nullptr) return;
        if (unreadable(outcome)) {
          world_.warn(fmt::format(
              "partition {}: what is stored of members of consumer groups cannot be read, all join "
              "anew: {}",
              partition, outcome.reply.substr(1)));
          return loaded(*led);
        }
        if (error_of(outcome) != ErrorCode::kNone) {
          led->attempt = 0;  // to be tried again
          return;
        }
        const std::vector<std::string> names = strings_of(outcome.reply);
        led->missing = names.size();
        if (names.empty()) return loaded(*led);
        for (const std::string& name : names) {
          world_.execute(partition, {"hget", std::string(kMembersKey), name},
                         [this, weak, partition, attempt, name](const StrongOutcome& outcome) {
                           if (weak.expired()) return;
                           Led* led = loading(partition, attempt);
                           if (led != nullptr) {
                             take_record(partition, *led, name, outcome);
                           }
                         });
        }
      });
}

GroupCoordinator::Led* GroupCoordinator::loading(PartitionId partition, std::uint64_t attempt) {
  const auto found = led_.find(partition);
  return found == led_.end() || found->second->attempt != attempt ? nullptr : found->second.get();
}

void GroupCoordinator::take_record(PartitionId partition, Led& led, const std::string& name,
                                   const StrongOutcome& outcome) {
  std::optional<std::string> bytes;
  if (!unreadable(outcome) &&
      (outcome.kind != StrongOutcome::Kind::kReply || !take_string_reply(outcome.reply, bytes))) {
    led.attempt = 0;
    return;
  }
  const auto record = bytes ? GroupRecord::decode(*bytes) : std::nullopt;
  if (record) {
    group_of(partition, led, name).restore(world_.now_us(), *record);
  } else {
    world_.warn(fmt::format(
        "consumer group '{}': what is stored of its members cannot be read, all join anew", name));
  }
  if (--led.missing == 0) loaded(led);
}

void GroupCoordinator::loaded(Led& led) {
  led.attempt = 0;
  led.loaded = true;
  for (auto& task : std::exchange(led.waiting, {})) task(true);
}

// --- Groups

ConsumerGroup& GroupCoordinator::group_of(PartitionId partition, Led& led,
                                          const std::string& name) {
  const auto found = led.groups.find(name);
  if (found != led.groups.end()) return found->second;
  auto store_record = [this, partition, term = led.term, name](std::string record) {
    return store(partition, term, name, std::move(record));
  };
  ConsumerGroup& group =
      led.groups.try_emplace(name, ConsumerGroup(std::move(store_record))).first->second;
  group.begin_behind(led.floor);
  return group;
}

// In the term that its members are known of: a record that came after another coordinator's would
// undo that.
std::uint64_t GroupCoordinator::store(PartitionId partition, consensus::Term term,
                                      const std::string& name, std::string record) {
  const std::uint64_t number = ++records_;
  if (world_.term_led(partition) != term)
    return number;  // the group is given up with the next look
  std::vector<std::string> command =
      record.empty()
          ? std::vector<std::string>{"hdel", std::string(kMembersKey), name}
          : std::vector<std::string>{"hset", std::string(kMembersKey), name, std::move(record)};
  world_.execute(partition, std::move(command),
                 [this, weak = std::weak_ptr(alive_), partition, term, name,
                  number](const StrongOutcome& outcome) {
                   if (weak.expired()) return;
                   Led* led = in_term(partition, term);
                   if (led == nullptr) return;
                   const auto group = led->groups.find(name);
                   if (group == led->groups.end()) return;
                   // Any other error than these two clients take for the end.
                   ErrorCode error = error_of(outcome);
                   if (error != ErrorCode::kNone && error != ErrorCode::kNotCoordinator) {
                     error = ErrorCode::kCoordinatorNotAvailable;
                   }
                   group->second.stored(world_.now_us(), number, error);
                 });
  return number;
}

void GroupCoordinator::when_loaded(PartitionId partition,
                                   std::move_only_function<void(bool)> task) {
  Led* led = current(partition);
  if (led == nullptr) return task(false);
  if (led->loaded) return task(true);
  led->waiting.push_back(std::move(task));
}

void GroupCoordinator::with(PartitionId partition, const std::string& name, Task task) {
  when_loaded(partition, [this, partition, name, task = std::move(task)](bool led) mutable {
    task(led ? find(partition, name) : nullptr);
  });
}

ConsumerGroup* GroupCoordinator::find(PartitionId partition, const std::string& name) {
  const std::optional<consensus::Term> term = world_.term_led(partition);
  Led* led = term ? in_term(partition, *term) : nullptr;
  return led != nullptr && led->loaded ? &group_of(partition, *led, name) : nullptr;
}

std::vector<std::pair<std::string, const ConsumerGroup*>> GroupCoordinator::groups_of(
    PartitionId partition) const {
  std::vector<std::pair<std::string, const ConsumerGroup*>> groups;
  const auto led = led_.find(partition);
  if (led == led_.end() || !led->second->loaded) return groups;
  for (const auto& [name, group] : led->second->groups) groups.emplace_back(name, &group);
  return groups;
}

void GroupCoordinator::confirm(PartitionId partition,
                               std::move_only_function<void(ErrorCode)> done) {
  const std::optional<consensus::Term> term = world_.term_led(partition);
  if (!term) return done(ErrorCode::kNotCoordinator);
  if (EVEN_MUTANT(kHeartbeatUnconfirmed)) return done(ErrorCode::kNone);
  world_.execute(partition, {"exists", std::string(kMembersKey)},
                 [this, weak = std::weak_ptr(alive_), partition, term,
                  done = std::move(done)](const StrongOutcome& outcome) mutable {
                   if (weak.expired()) return;
                   const bool same = world_.term_led(partition) == term;
                   done(same ? error_of(outcome) : ErrorCode::kNotCoordinator);
                 });
}

void GroupCoordinator::tick() {
  std::vector<PartitionId> gone;
  for (const auto& [partition, led] : led_) {
    if (!world_.term_led(partition)) gone.push_back(partition);
  }
  for (const PartitionId partition : gone) drop(partition);
  for (const PartitionId partition : world_.partitions()) {
    Led* led = current(partition);
    if (led == nullptr) continue;
    if (!led->loaded) {
      if (led->attempt == 0) load(partition, *led);
      continue;
    }
    for (auto at = led->groups.begin(); at != led->groups.end();) {
      ConsumerGroup& group = at->second;
      group.tick(world_.now_us());
      if (!group.over()) {
        ++at;
        continue;
      }
      // Another group of that name is another one, and no number comes twice.
      led->floor = std::max(led->floor, group.generation());
      at = led->groups.erase(at);
    }
  }
}

}  // namespace even::kafka
