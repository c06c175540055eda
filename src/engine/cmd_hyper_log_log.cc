// HyperLogLogs: estimates of how many different elements there are, kept in strings; see
// lattice/types/hyper_log_log.h.
#include "engine/command.h"
#include "engine/string_value.h"
#include "lattice/types/hyper_log_log.h"

namespace even {
namespace {

constexpr std::string_view kNoHyperLogLog =
    "WRONGTYPE Key is not a valid HyperLogLog string value.";
constexpr std::string_view kCorruptHyperLogLog = "INVALIDOBJ Corrupted HLL object detected";

// False, after an error, when the key holds something else. `out` is empty where there is no key.
bool find_hyper_log_log(Context& context, std::string_view key, std::string& out) {
  const Object* object;
  if (!context.find(key, ObjectType::kString, object)) return false;
  if (object == nullptr) return true;
  std::string scratch;
  const std::string_view bytes = bytes_of(object, scratch);
  if (!is_hyper_log_log(bytes)) {
    context.reply.error(kNoHyperLogLog);
    return false;
  }
  out = bytes;
  return true;
}

void write_hyper_log_log(Context& context, std::string_view key, std::string bytes) {
  context.write(key).set_string(context.keep(std::move(bytes)), true);
}

void pfadd_command(Context& context, Args args) {
  std::string bytes;
  if (!find_hyper_log_log(context, args[1], bytes)) return;
  bool changed = bytes.empty();
  if (changed) {
    bytes = empty_hyper_log_log();
    forget_estimate(bytes);
  }
  for (const std::string_view element : args.subspan(2)) {
    const HyperLogLogChange change = raise_register(bytes, hyper_log_log_hit(element));
    if (change == HyperLogLogChange::kCorrupt) return context.reply.error(kCorruptHyperLogLog);
    changed = changed || change == HyperLogLogChange::kRaised;
  }
  context.reply.integer(changed);
  if (changed) write_hyper_log_log(context, args[1], std::move(bytes));
}

void pfcount_command(Context& context, Args args) {
  HyperLogLogRegisters registers{};
  for (const std::string_view key : args.subspan(1)) {
    std::string bytes;
    if (!find_hyper_log_log(context, key, bytes)) return;
    if (bytes.empty()) continue;
    const std::optional<std::uint64_t> known = cached_estimate(bytes);
    if (args.size() == 2 && known) {
      return context.reply.integer(static_cast<std::int64_t>(*known));
    }
    if (!raise_registers(bytes, registers)) return context.reply.error(kCorruptHyperLogLog);
  }
  context.reply.integer(static_cast<std::int64_t>(estimate(registers)));
}

void pfmerge_command(Context& context, Args args) {
  HyperLogLogRegisters registers{};
  bool dense = false;
  std::string merged;
  for (std::size_t i = 1; i < args.size(); ++i) {
    std::string bytes;
    if (!find_hyper_log_log(context, args[i], bytes)) return;
    if (bytes.empty()) continue;
    if (!raise_registers(bytes, registers)) return context.reply.error(kCorruptHyperLogLog);
    dense = dense || is_dense_hyper_log_log(bytes);
    if (i == 1) merged = std::move(bytes);
  }
  if (merged.empty()) merged = empty_hyper_log_log();
  if (dense) make_dense(merged);
  for (std::uint32_t place = 0; place < kHyperLogLogRegisters; ++place) {
    if (registers[place] > 0) raise_register(merged, {place, registers[place]});
  }
  forget_estimate(merged);
  write_hyper_log_log(context, args[1], std::move(merged));
  context.reply.ok();
}

constexpr Command kHyperLogLogCommands[] = {
    {.name = "pfadd",
     .group = "hyperloglog",
     .arity = -2,
     .flags = kWrite | kDenyOom | kFast,
     .keys = kFirstWord,
     .handler = pfadd_command,
     .docs = {.since = "2.8.9",
              .summary = "Add elements to a HyperLogLog",
              .complexity = "O(N) where N is the number of elements, and a copy of up to 12 KiB",
              .arguments = "key [element...]",
              .key_spec = "RW insert"}},
    {.name = "pfcount",
     .group = "hyperloglog",
     .arity = -2,
     .flags = kReadonly,
     .keys = kAllWords,
     .handler = pfcount_command,
     .docs = {.since = "2.8.9",
              .summary = "Estimate of how many different elements HyperLogLogs have together",
              .complexity = "O(N) where N is the number of keys",
              .arguments = "key...",
              .key_spec = "RW access"}},
    {.name = "pfmerge",
     .group = "hyperloglog",
     .arity = -2,
     .flags = kWrite | kDenyOom,
     .keys = kAllWords,
     .handler = pfmerge_command,
     .docs = {.since = "2.8.9",
              .summary = "Store the union of HyperLogLogs",
              .complexity = "O(N) where N is the number of keys",
              .arguments = "destkey:key sourcekey:key...",
              .key_spec = "RW access insert; RO access"}},
};

}  // namespace

std::span<const Command> hyper_log_log_commands() { return kHyperLogLogCommands; }

}  // namespace even
