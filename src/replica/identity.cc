#include "replica/identity.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>

#include "base/mutant.h"

namespace even {
namespace {

constexpr std::string_view kName = "identity";
constexpr std::uint64_t kMaxBytes = 64 * 1024;
constexpr std::int64_t kRunEpochMs = 1'577'836'800'000;  // 2020-01-01
// What a clock can say at most, which leaves numbers for runs that come after.
constexpr std::int64_t kLatestRun = 0xf000'0000;
constexpr std::uint32_t kLastRun = 0xffff'ffff;

template <typename Number>
bool read_number(const std::map<std::string_view, std::string_view>& values, std::string_view name,
                 Number& number) {
  const auto found = values.find(name);
  if (found == values.end()) return false;
  const std::string_view text = found->second;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

void begin_run(Identity& identity, const Clock& clock, Random& random) {
  if (identity.line == 0 || identity.run == kLastRun) {
    const std::uint16_t old = std::exchange(identity.line, 0);
    while (identity.line == old || identity.line == 0) {
      identity.line = static_cast<std::uint16_t>(random.next());
    }
    identity.run = 0;
  } else if (EVEN_MUTANT(kReuseReplicaId)) {
    return;
  }
  const std::int64_t seconds = (clock.wall_ms() - kRunEpochMs) / 1000;
  const auto by_clock =
      static_cast<std::uint32_t>(std::clamp<std::int64_t>(seconds, 1, kLatestRun));
  identity.run = std::max(by_clock, identity.run + 1);
}

}  // namespace

std::string encode_identity(const Identity& identity) {
  return fmt::format(
      "format {}\ncluster {}\nnode {}\nnumber {}\npartitions {}\nshards {}\nline {}\nrun {}\n",
      identity.format, identity.cluster, identity.node, identity.number, identity.partitions,
      identity.shards, identity.line, identity.run);
}

Result<Identity> decode_identity(std::string_view text) {
  std::map<std::string_view, std::string_view> values;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos) return fail("a line without a value");
    values[line.substr(0, space)] = line.substr(space + 1);
  }
  Identity identity;
  if (!read_number(values, "format", identity.format)) return fail("no format number");
  if (identity.format != kDataFormat) return identity;
  identity.cluster = values["cluster"];
  identity.node = values["node"];
  if (identity.node.empty() || !read_number(values, "number", identity.number) ||
      !read_number(values, "partitions", identity.partitions) ||
      !read_number(values, "shards", identity.shards) ||
      !read_number(values, "line", identity.line) || !read_number(values, "run", identity.run) ||
      (identity.line == 0) != (identity.run == 0)) {
    return fail("a value is missing or malformed");
  }
  return identity;
}

Result<> check_identity(const Identity& found, const Identity& mine) {
  if (found.format > mine.format) {
    return fail(
        fmt::format("it has format {}, this version of Even knows up to {}: run the newer "
                    "version that wrote it",
                    found.format, mine.format));
  }
  if (found.format < mine.format) {
    return fail(fmt::format(
        "it has format {}, which this version of Even does not read (it has format {}): "
        "start with an empty directory, and the other replicas will fill it",
        found.format, mine.format));
  }
  if (found.cluster != mine.cluster) {
    return fail(
        fmt::format("it belongs to cluster '{}', not '{}': check cluster.id, or choose "
                    "another directory (node.data)",
                    found.cluster, mine.cluster));
  }
  if (found.node != mine.node || found.number != mine.number) {
    return fail(
        fmt::format("it belongs to node '{}' (number {}), not '{}' (number {}): check "
                    "node.name, or choose another directory (node.data)",
                    found.node, found.number, mine.node, mine.number));
  }
  if (found.partitions != mine.partitions) {
    return fail(
        fmt::format("it has {} partitions, not {}: set cluster.partitions back, it cannot "
                    "change once there is data",
                    found.partitions, mine.partitions));
  }
  return {};
}

Result<Identity> claim_directory(Disk& disk, const Identity& mine, const Clock& clock,
                                 Random& random) {
  Identity identity = mine;
  const std::string name(kName);
  const auto names = disk.list();
  if (!names) return std::unexpected(names.error());
  if (std::ranges::find(*names, kRestoreMark) != names->end()) {
    return fail(
        "`even restore` into it has not come to its end: remove all that is in it, and "
        "restore again");
  }
  if (std::ranges::find(*names, name) != names->end()) {
    const auto text = disk.read(name, 0, kMaxBytes);
    if (!text) return std::unexpected(text.error());
    Result<Identity> found = decode_identity(*text);
    if (!found) {
      return fail(
          fmt::format("file 'identity' is damaged ({}): restore it from another copy, or "
                      "write it anew: \"{}\"",
                      found.error().message, encode_identity(mine)));
    }
    if (const auto mine_too = check_identity(*found, mine); !mine_too) {
      return std::unexpected(mine_too.error());
    }
    identity = std::move(*found);
  }
  begin_run(identity, clock, random);
  if (const auto written = write_identity(disk, identity); !written) {
    return fail("the file 'identity' cannot be written, without which a node does not start: " +
                written.error().message);
  }
  return identity;
}

Result<> write_identity(Disk& disk, const Identity& identity) {
  const std::string name(kName);
  const std::string fresh = name + ".new";
  auto file = disk.open_append(fresh, 0);
  if (!file) return std::unexpected(file.error());
  Result<> written = (*file)->append(encode_identity(identity));
  if (written && !EVEN_MUTANT(kNumberNotSynced)) written = (*file)->sync_now();
  if (written) written = disk.rename(fresh, name);
  if (written) written = disk.sync_directory();
  return written;
}

}  // namespace even
