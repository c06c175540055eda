// MEMORY as far as it is about the node; MEMORY USAGE is in the engine.
#include <fmt/format.h>

#include "base/memory.h"
#include "client/connection_commands.h"
#include "engine/text.h"

// There where the program is linked with mimalloc.
extern "C" void mi_collect(bool force) __attribute__((weak));

namespace even {
namespace {

std::uint64_t keys_of(const std::vector<ThreadReport>& reports) {
  std::uint64_t keys = 0;
  for (const ThreadReport& report : reports) keys += report.keys;
  return keys;
}

// `started`: what was allocated before there were keys.
void stats(Reply& reply, std::uint64_t started, const std::vector<ThreadReport>& reports) {
  const std::uint64_t allocated = allocated_bytes(), keys = keys_of(reports);
  const std::uint64_t resident = memory_use().resident;
  const auto figure = [&reply](std::string_view name, std::uint64_t value) {
    reply.bulk(name);
    reply.integer(static_cast<std::int64_t>(value));
  };
  reply.map(7);
  figure("peak.allocated", allocated_peak_bytes());
  figure("total.allocated", allocated);
  figure("startup.allocated", started);
  figure("keys.count", keys);
  figure("keys.bytes-per-key", keys == 0 ? 0 : (allocated - std::min(started, allocated)) / keys);
  figure("allocator.resident", resident);
  reply.bulk("fragmentation");
  reply.real(allocated == 0 ? 0 : static_cast<double>(resident) / static_cast<double>(allocated));
}

std::string diagnosis(std::uint64_t max_memory) {
  constexpr std::uint64_t kLittle = 256 << 20;
  const std::uint64_t allocated = allocated_bytes(), resident = memory_use().resident;
  std::string text;
  if (max_memory != 0 && allocated > max_memory + max_memory / 10) {
    text += fmt::format(
        "{} bytes are allocated, more than memory.max_memory ({} bytes) allows: what has changed "
        "must "
        "be stored before it can leave memory. See even_store_* in /metrics.\n",
        allocated, max_memory);
  }
  if (resident > kLittle && resident > allocated + allocated / 2) {
    text += fmt::format(
        "The process holds {} bytes, of which {} are allocated: it once needed more. MEMORY PURGE "
        "gives back what it can.\n",
        resident, allocated);
  }
  return text.empty() ? "Nothing is wrong with the memory of this node.\n" : text;
}

}  // namespace

void execute_memory(Connection& connection, Args args) {
  const auto is = [&](std::string_view name) { return equals_ignore_case(args[1], name); };
  const std::uint64_t max_memory = connection.thread().node().options.max_memory;
  if (is("doctor")) return connection.reply().verbatim("txt", diagnosis(max_memory));
  if (is("malloc-stats")) {
    return connection.reply().bulk("Stats not supported for the current allocator");
  }
  if (is("purge")) {
    return reply_gathered<int>(
        connection,
        [](ShardThread&) {
          if (mi_collect != nullptr) mi_collect(true);
          return 0;
        },
        [](Reply& reply, const std::vector<int>&) { reply.ok(); });
  }
  if (is("stats")) {
    return reply_gathered<ThreadReport>(
        connection, [](ShardThread& thread) { return make_report(thread, false); },
        [started = connection.thread().node().allocated_at_start](
            Reply& reply, const std::vector<ThreadReport>& reports) {
          stats(reply, started, reports);
        });
  }
  if (is("help")) return reply_help(connection, "MEMORY");
  reply_unknown_subcommand(connection, "MEMORY", args[1]);
}

}  // namespace even
