#include "node/keyspace_keys.h"

#include <charconv>
#include <memory>
#include <optional>
#include <utility>

#include "engine/databases.h"
#include "node/shard_thread.h"

namespace even {
namespace {

// The same pattern finds what begins with `prefix`.
std::string pattern_of_prefix(std::string_view prefix) {
  std::string pattern;
  for (const char c : prefix) {
    if (std::string_view("*?[]\\^-").contains(c)) pattern += '\\';
    pattern += c;
  }
  return pattern + '*';
}

// "*3\r\n..." counts three.
Result<std::uint64_t> length_of_array(std::string_view reply) {
  std::uint64_t count = 0;
  if (reply.starts_with('*')) {
    const auto [stop, error] =
        std::from_chars(reply.data() + 1, reply.data() + reply.size(), count);
    if (error == std::errc()) return count;
  }
  return fail(std::string(reply));
}

OwnedRequest question(std::string_view pattern) {
  const std::string_view keys[] = {"keys", pattern, database_word(kAnyDatabase)};
  return OwnedRequest::copy(*find_command(keys), keys, false, {});
}

}  // namespace

void count_eventual_keys(ShardThread& thread, std::string_view prefix, KeysCounted done) {
  OwnedRequest asked = question(pattern_of_prefix(prefix));
  asked.of_default = true;
  thread.router().submit(std::move(asked), [done = std::move(done)](std::string reply) mutable {
    done(length_of_array(reply));
  });
}

void count_keys_in_groups(ShardThread& thread, const cluster::Keyspace& keyspace,
                          std::string_view prefix, KeysCounted done) {
  struct Counting {
    std::uint64_t sum = 0;
    std::size_t missing = 0;
    std::optional<Error> error;
    KeysCounted done;
  };
  auto counting = std::make_shared<Counting>();
  counting->missing = keyspace.partitions;
  counting->done = std::move(done);
  const std::string pattern = pattern_of_prefix(prefix);
  for (std::uint16_t i = 0; i < keyspace.partitions; ++i) {
    StrongCall call{.request = question(pattern),
                    .group = static_cast<PartitionId>(keyspace.first + i),
                    .deadline_ms = keyspace.deadline_ms};
    thread.strong().submit(std::move(call), [counting](const std::string& reply, std::uint64_t) {
      const Result<std::uint64_t> count = length_of_array(reply);
      if (count) {
        counting->sum += *count;
      } else {
        counting->error = count.error();
      }
      if (--counting->missing > 0) return;
      counting->done(counting->error ? Result<std::uint64_t>(std::unexpected(*counting->error))
                                     : counting->sum);
    });
  }
}

void count_keys_to_hide(ShardThread& thread, std::string_view prefix, KeysCounted done) {
  const cluster::Keyspace* around = thread.keyspaces().of_key(prefix);
  if (around != nullptr && around->strong && around->prefix != prefix) {
    return count_keys_in_groups(thread, *around, prefix, std::move(done));
  }
  count_eventual_keys(thread, prefix, std::move(done));
}

}  // namespace even
