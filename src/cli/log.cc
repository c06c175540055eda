// `even log`: looks into the logs of a data directory. Only `repair` changes anything, and wants
// the node stopped; for the others it may be running: what it writes meanwhile may look torn.
#include "log/log.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "cli/commands.h"
#include "cli/group_text.h"
#include "cli/record_text.h"
#include "env/posix_disk.h"
#include "lattice/codec.h"
#include "log/format.h"
#include "log/repair.h"
#include "log/segments.h"
#include "replica/group_format.h"
#include "replica/hint_format.h"
#include "replica/identity.h"
#include "store/partition_rows.h"
#include "store/rocks_database.h"

namespace even::cli {
namespace {

struct Options {
  std::string dir;
  std::optional<std::uint64_t> limit;
  bool discard = false;
};

// How far a long run has come, on a terminal only.
class Progress {
 public:
  explicit Progress(std::uint64_t total) : total_(total), shown_(::isatty(STDERR_FILENO) == 1) {}
  ~Progress() {
    if (drawn_) fmt::print(stderr, "\r\033[K");
  }
  void add(std::uint64_t bytes) {
    done_ += bytes;
    if (!shown_ || total_ == 0) return;
    drawn_ = true;
    fmt::print(stderr, "\r{} of {} MiB ({} %)", done_ >> 20, total_ >> 20, done_ * 100 / total_);
  }

 private:
  const std::uint64_t total_;
  const bool shown_;
  bool drawn_ = false;
  std::uint64_t done_ = 0;
};

// The segments of one shard, to be read only.
class ShardSegments final : public Disk {
 public:
  ShardSegments(Disk& disk, ShardId shard, Progress& progress)
      : disk_(disk), shard_(shard), progress_(progress) {}

  // From now on nothing more is read.
  void stop() { stopped_ = true; }
  bool stopped() const { return stopped_; }

  Result<std::vector<std::string>> list() override {
    auto names = disk_.list();
    if (!names) return names;
    std::erase_if(*names, [this](const std::string& name) {
      const auto segment = parse_segment_name(name);
      return !segment || segment->shard != shard_;
    });
    return names;
  }
  Result<std::uint64_t> size(const std::string& name) override { return disk_.size(name); }
  Result<std::string> read(const std::string& name, std::uint64_t offset,
                           std::uint64_t length) override {
    if (stopped_) return fail("stopped");
    auto bytes = disk_.read(name, offset, length);
    if (bytes) progress_.add(bytes->size());
    return bytes;
  }
  Result<std::unique_ptr<AppendFile>> open_append(const std::string&, std::uint64_t) override {
    return fail("read only");
  }
  Result<> rename(const std::string&, const std::string&) override { return fail("read only"); }
  Result<> remove(const std::string&) override { return fail("read only"); }
  Result<> sync_directory() override { return fail("read only"); }
  void sync_directory(std::function<void(Result<>)> done) override { done(sync_directory()); }

 private:
  Disk& disk_;
  const ShardId shard_;
  Progress& progress_;
  bool stopped_ = false;
};

struct Logs {
  std::unique_ptr<PosixDisk> disk;
  std::set<ShardId> shards;
  std::uint64_t bytes = 0;
};

Result<Logs> find_logs(const std::string& dir) {
  std::error_code error;
  if (!std::filesystem::is_directory(dir, error)) return fail(dir + " is not a directory");
  auto disk = PosixDisk::open(dir, [](const PosixDisk::Task&) {});
  if (!disk) return std::unexpected(disk.error());
  auto names = (*disk)->list();
  if (!names) return std::unexpected(names.error());
  Logs logs{std::move(*disk), {}, 0};
  for (const std::string& name : *names) {
    const auto segment = parse_segment_name(name);
    if (!segment) continue;
    logs.shards.insert(segment->shard);
    logs.bytes += logs.disk->size(name).value_or(0);
  }
  if (logs.shards.empty()) {
    return fail(
        fmt::format("{} holds no log segments (log-SSSS-P....seg); the data directory of a "
                    "node is meant (node.data in its configuration)",
                    dir));
  }
  return logs;
}

std::string bytes_text(std::uint64_t bytes) {
  return bytes == 1 ? "1 byte" : fmt::format("{} bytes", bytes);
}

// A record, or what a group has written.
Result<std::string> entry_text(RecordDecoder& decoder, std::string_view entry) {
  if (is_hint_log_entry(entry)) {
    const auto hint = decode_hint_log_entry(entry);
    if (!hint) return std::unexpected(hint.error());
    switch (hint->kind) {
      case HintLogEntry::Kind::kBase:
        return fmt::format("hints for partition {} begin", hint->partition);
      case HintLogEntry::Kind::kForget:
        return fmt::format("hints for partition {} are forgotten", hint->partition);
      case HintLogEntry::Kind::kRecord:
        break;
    }
    const auto record = decoder.decode(hint->record);
    if (!record) return std::unexpected(record.error());
    return "hint: " + record_text(*record);
  }
  if (is_group_log_entry(entry)) {
    const auto decoded = decode_group_log_entry(entry);
    if (!decoded) return std::unexpected(decoded.error());
    return group_text(*decoded);
  }
  const auto decoded = decoder.decode(entry);
  if (!decoded) return std::unexpected(decoded.error());
  return record_text(*decoded);
}

int verify(const Options& options) {
  auto logs = find_logs(options.dir);
  if (!logs) {
    fmt::print(stderr, "even log verify: {}\n", logs.error().message);
    return 1;
  }
  bool sound = true;
  std::string out = fmt::format("{:>5} {:>9} {:>10} {:>12} {:>14} {:>11}\n", "shard", "segments",
                                "frames", "records", "bytes", "torn bytes");
  std::string torn;
  std::string damage;
  {
    Progress progress(logs->bytes);
    for (const ShardId shard : logs->shards) {
      ShardSegments segments(*logs->disk, shard, progress);
      RecordDecoder decoder;
      std::optional<std::string> malformed;
      const auto report = inspect_log(
          segments, [&](const std::string& file, std::uint64_t offset, std::string_view record) {
            if (malformed) return;
            if (const auto text = entry_text(decoder, record); !text) {
              malformed =
                  fmt::format("{}: damaged at offset {}: {}", file, offset, text.error().message);
            }
          });
      if (!report || malformed) {
        sound = false;
        damage +=
            fmt::format("even log verify: {}\n", malformed ? *malformed : report.error().message);
        out += fmt::format("{:>5} damaged\n", shard);
        continue;
      }
      out += fmt::format("{:>5} {:>9} {:>10} {:>12} {:>14} {:>11}\n", shard, report->segments,
                         report->frames, report->records, report->bytes, report->torn_bytes);
      if (report->torn_bytes > 0) {
        torn += fmt::format(
            "Shard {}: the last {} are an unfinished write, to be cut at the next start unless the "
            "store shows that it was finished\n",
            shard, bytes_text(report->torn_bytes));
      }
    }
  }
  fmt::print("{}{}", out, torn);
  fmt::print(stderr, "{}", damage);
  return sound ? 0 : 1;
}

int dump(const Options& options) {
  auto logs = find_logs(options.dir);
  if (!logs) {
    fmt::print(stderr, "even log dump: {}\n", logs.error().message);
    return 1;
  }
  // The records themselves are the progress, unless they go to a file.
  Progress progress(::isatty(STDOUT_FILENO) == 1 ? 0 : logs->bytes);
  std::uint64_t left = options.limit.value_or(UINT64_MAX);
  bool sound = true;
  for (const ShardId shard : logs->shards) {
    if (left == 0) break;
    ShardSegments segments(*logs->disk, shard, progress);
    RecordDecoder decoder;
    const auto report = inspect_log(
        segments, [&](const std::string& file, std::uint64_t offset, std::string_view record) {
          if (left == 0) return segments.stop();
          --left;
          const auto text = entry_text(decoder, record);
          if (!text) sound = false;
          fmt::print("{} {} {}\n", file, offset, text ? *text : "damaged: " + text.error().message);
        });
    if (!report && !segments.stopped()) {
      sound = false;
      std::fflush(stdout);
      fmt::print(stderr, "even log dump: {}\n", report.error().message);
    }
  }
  return sound ? 0 : 1;
}

// From where on each shard's log is needed, as far as there is a store.
Result<std::function<Result<LogPosition>(ShardId)>> needed_positions(const std::string& dir) {
  const auto directory = std::filesystem::path(dir) / "store";
  if (!std::filesystem::exists(directory)) return [](ShardId) { return LogPosition{0}; };
  auto opened = RocksDatabase::open(directory.string());
  if (!opened) return std::unexpected(opened.error());
  return [store = std::shared_ptr<RocksDatabase>(std::move(*opened))](ShardId shard) {
    const auto rows = store->shard_store(shard, [](const RocksDatabase::Task&) {});
    return read_position(shard, *rows);
  };
}

// Returns whether the log is whole afterwards.
Result<bool> repair_shard(Disk& disk, Identity& identity, ShardId shard, LogPosition needed,
                          bool discard) {
  const auto plan = plan_log_repair(disk, shard, needed);
  if (!plan) return std::unexpected(plan.error());
  if (plan->damage.empty()) {
    fmt::print("Shard {}: not damaged\n", shard);
    return true;
  }
  fmt::print("Shard {}: {}\n", shard, plan->damage);
  const std::string rest =
      plan->begin == plan->end
          ? fmt::format("an empty log that begins at position {}", plan->begin)
          : fmt::format("the log from position {} to {}", plan->begin, plan->end);
  if (plan->loses) {
    fmt::print(
        "Shard {}: the store has everything up to position {}; with it {} would be left. What "
        "there was after that is lost on this node: {} records that can be read, and an unknown "
        "number of others. What other replicas have of them comes back from there.\n",
        shard, needed, rest, plan->readable_records_lost);
    if (!discard) {
      fmt::print("Shard {}: nothing was changed. --discard goes ahead\n", shard);
      return false;
    }
    // As a member of groups the node may have forgotten what it has promised: it begins a new line,
    // and so is another member.
    identity.line = 0;
    identity.run = 0;
    if (auto written = write_identity(disk, identity); !written) {
      return std::unexpected(written.error());
    }
  }
  if (auto repaired = repair_log(disk, shard, *plan); !repaired)
    return std::unexpected(repaired.error());
  fmt::print("Shard {}: repaired{}: the store, and {}. The old files end in .damaged\n", shard,
             plan->loses ? "" : ", with nothing lost", rest);
  return true;
}

int repair(const Options& options) {
  const auto complain = [](const Error& error) {
    fmt::print(stderr, "even log repair: {}\n", error.message);
    return 1;
  };
  std::error_code error;
  if (!std::filesystem::is_regular_file(std::filesystem::path(options.dir) / "identity", error)) {
    return complain(
        Error{options.dir + " is not the data directory of a node: it has no file `identity`"});
  }
  const auto lock = lock_directory(options.dir);
  if (!lock) return complain(lock.error());
  auto disk = PosixDisk::open(options.dir, [](const PosixDisk::Task&) {});
  if (!disk) return complain(disk.error());
  const auto text = read_file(**disk, "identity");
  if (!text) return complain(text.error());
  auto identity = decode_identity(*text);
  if (!identity) return complain(identity.error());
  const auto needed = needed_positions(options.dir);
  if (!needed) return complain(needed.error());
  bool whole = true;
  for (ShardId shard = 0; shard < identity->shards; ++shard) {
    const auto from = (*needed)(shard);
    if (!from) return complain(from.error());
    const auto repaired = repair_shard(**disk, *identity, shard, *from, options.discard);
    if (!repaired) return complain(repaired.error());
    whole = whole && *repaired;
  }
  return whole ? 0 : 1;
}

}  // namespace

void add_log(CLI::App& app, int& exit_code) {
  CLI::App* log =
      app.add_subcommand("log", "Look into the logs of a data directory, and repair them");
  log->require_subcommand(1);
  auto options = std::make_shared<Options>();

  CLI::App* verify_command = log->add_subcommand(
      "verify", "Read all of it and count; exits with 1 and says where if any of it is damaged");
  verify_command->add_option("DIR", options->dir, "Data directory of a node")->required();
  verify_command->callback([options, &exit_code] { exit_code = verify(*options); });

  CLI::App* dump_command = log->add_subcommand(
      "dump",
      "Print one line for each record: file, offset of its frame, partition, dot, time, "
      "what its maker had seen, keys and what became of them; and for what each group has written: "
      "its entries, with their commands, its state and its configuration");
  dump_command->add_option("DIR", options->dir, "Data directory of a node")->required();
  dump_command->add_option("--limit", options->limit, "Print the first N records only")
      ->type_name("N");
  dump_command->callback([options, &exit_code] { exit_code = dump(*options); });

  CLI::App* repair_command = log->add_subcommand(
      "repair",
      "Take damage out of it, the node being stopped. Where the store has what is damaged, nothing "
      "is lost; otherwise says what would be, and exits with 1");
  repair_command->add_option("DIR", options->dir, "Data directory of a node")->required();
  repair_command->add_flag("--discard", options->discard,
                           "Go ahead although something is lost on this node");
  repair_command->callback([options, &exit_code] { exit_code = repair(*options); });
}

}  // namespace even::cli
