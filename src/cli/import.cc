// `even import`: takes over what a Redis or Valkey holds: an RDB file, an append-only file, or a
// live server, which is followed as by a replica.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/bytes.h"
#include "base/database.h"
#include "cli/address.h"
#include "cli/commands.h"
#include "cli/import_compare.h"
#include "cli/import_expiry.h"
#include "cli/import_source.h"
#include "cli/import_target.h"
#include "engine/text.h"
#include "rdb/crc64.h"
#include "rdb/file.h"
#include "resp/resp_parser.h"

namespace even::cli {
namespace {

using std::chrono::steady_clock;
namespace fs = std::filesystem;

constexpr std::uint64_t kValueBytes = std::uint64_t{8} << 30;
constexpr std::chrono::seconds kBetweenNotes{5};
constexpr std::chrono::milliseconds kPause{20};
// Of the source's commands, in one transaction here.
constexpr std::size_t kMostTogether = 500;
constexpr std::size_t kMostBytesTogether = 64 << 10;
constexpr int kFunctionAttempts = 60;
constexpr std::chrono::milliseconds kBetweenFunctions{500};
// Of a stream that never had an entry: what makes it, for a moment.
constexpr std::string_view kNoGroup = "even-import";

volatile std::sig_atomic_t g_stop = 0;
void stop(int) { g_stop = 1; }

struct Options {
  std::string source;
  std::string to = "127.0.0.1:7001";
  std::string from_user, from_password, to_user, to_password;
  std::optional<std::uint64_t> database;  // none: all, each into that of its number
  // In which one of the target a source's database comes; nothing: it is left out.
  std::optional<std::uint64_t> target_of(std::uint64_t source_database) const {
    if (database)
      return source_database == *database ? std::optional(std::uint64_t{0}) : std::nullopt;
    return source_database < kDatabases ? std::optional(source_database) : std::nullopt;
  }
  int connections = 4;
  bool follow = false;
  bool finish = false;
  bool no_compare = false;
  std::string state = "even-import";
};

int complain(const std::string& message) {
  std::fflush(stdout);
  fmt::print(stderr, "even import: {}\n", message);
  return 1;
}

std::int64_t wall_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// A file in memory, read as it is needed.
class Mapped {
 public:
  static Result<Mapped> open(const std::string& name) {
    const int file = ::open(name.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat found{};
    if (file < 0 || ::fstat(file, &found) != 0) {
      const std::string why = std::strerror(errno);
      if (file >= 0) ::close(file);
      return fail(fmt::format("{}: {}", name, why));
    }
    Mapped out;
    out.size_ = static_cast<std::size_t>(found.st_size);
    if (out.size_ > 0) {
      void* at = ::mmap(nullptr, out.size_, PROT_READ, MAP_PRIVATE, file, 0);
      ::close(file);
      if (at == MAP_FAILED) return fail(fmt::format("{}: {}", name, std::strerror(errno)));
      ::madvise(at, out.size_, MADV_SEQUENTIAL);
      out.bytes_ = static_cast<const char*>(at);
    } else {
      ::close(file);
    }
    return out;
  }
  Mapped(Mapped&& other) noexcept
      : bytes_(std::exchange(other.bytes_, nullptr)), size_(other.size_) {}
  Mapped& operator=(Mapped&&) = delete;
  ~Mapped() {
    if (bytes_ != nullptr) ::munmap(const_cast<char*>(bytes_), size_);
  }
  std::string_view bytes() const { return {bytes_, size_}; }

 private:
  Mapped() = default;
  const char* bytes_ = nullptr;
  std::size_t size_ = 0;
};

// How far an import has come, in a file that is replaced as a whole.
struct State {
  std::string source;  // what is imported, so that nothing else is gone on with
  std::string target;
  std::uint64_t file = 0;       // of the source's, by number
  rdb::FileReader::Place keys;  // in that, if it is an RDB file
  bool keys_done = false;
  StreamPlace stream;
  // The key of the target that says how far commands have come: see Importer::flush().
  std::string place_key;
  std::map<std::uint64_t, std::uint64_t> left_out;  // keys and commands, by database
  std::uint64_t functions_left_out = 0;
  // Expiries are held (import_expiry.h): commands follow. Whether there are any yet.
  bool holds = false;
  bool keys_held = false;
  bool fields_held = false;
  // All else is done.
  bool settling = false;
  // Why it cannot be gone on with; empty: it can.
  std::string broken;

  static std::optional<State> load(const std::string& name) {
    std::ifstream in(name);
    if (!in) return std::nullopt;
    const auto json = nlohmann::json::parse(in, nullptr, false);
    if (!json.is_object()) return std::nullopt;
    try {
      State out;
      out.source = json.at("source");
      out.target = json.at("target");
      out.file = json.at("file");
      out.keys = {json.at("offset"), json.at("key_database")};
      out.keys_done = json.at("keys_done");
      out.place_key = json.at("place_key");
      out.left_out = json.value("left_out", out.left_out);
      out.holds = json.value("holds", false);
      out.keys_held = json.value("keys_held", false);
      out.fields_held = json.value("fields_held", false);
      out.settling = json.value("settling", false);
      out.functions_left_out = json.value("functions_left_out", std::uint64_t{0});
      out.broken = json.value("broken", "");
      out.stream = {json.at("replication"), json.at("stream_offset"), json.at("stream_bytes")};
      return out;
    } catch (const nlohmann::json::exception&) {
      return std::nullopt;
    }
  }

  Result<> save(const std::string& name) const {
    const nlohmann::json json = {{"source", source},
                                 {"target", target},
                                 {"file", file},
                                 {"offset", keys.offset},
                                 {"key_database", keys.database},
                                 {"keys_done", keys_done},
                                 {"place_key", place_key},
                                 {"left_out", left_out},
                                 {"functions_left_out", functions_left_out},
                                 {"holds", holds},
                                 {"keys_held", keys_held},
                                 {"fields_held", fields_held},
                                 {"settling", settling},
                                 {"broken", broken},
                                 {"replication", stream.replication},
                                 {"stream_offset", stream.offset},
                                 {"stream_bytes", stream.bytes}};
    const std::string fresh = name + ".new";
    {
      std::ofstream out(fresh, std::ios::trunc);
      out << json.dump(1) << '\n';
      out.flush();
      if (!out) return fail(fresh + " cannot be written");
    }
    std::error_code error;
    fs::rename(fresh, name, error);
    if (error) return fail(fmt::format("{}: {}", name, error.message()));
    return {};
  }
};

class Importer {
 public:
  Importer(const Options& options, ImportTarget& target, ServerAddress target_address, State state)
      : options_(options),
        target_(target),
        target_address_(std::move(target_address)),
        state_(std::move(state)) {}

  // Until SIGINT or SIGTERM has come. Errors say what is wrong.
  Result<> take_files(const std::vector<std::string>& files);
  Result<> take_source(const ServerAddress& address);
  // What was received of a source that is not asked any more.
  Result<> take_received();
  // Sets the expiries that are held, when nothing follows any more. Another run then does not go
  // back to before this.
  Result<> settle();
  bool is_settling() const { return state_.settling; }
  // What is to be said of expiries that are held where an import ends before that.
  std::string unsettled() const;
  // Nothing is to be gone on with.
  Result<> forget_place();
  // False: something differs. Shows what.
  Result<bool> report(const Comparison& compared) const;
  // A command was refused in the midst of others that were carried out: another run must not go on
  // behind them as if it had been, too. Returns what is to be said.
  std::string break_off(const std::string& why);
  bool stopped() const { return g_stop != 0; }
  void summarize() const;
  std::uint64_t keys() const { return keys_; }
  // Nothing that was to be imported was left out.
  bool complete() const {
    return (state_.left_out.empty() || options_.database) && state_.functions_left_out == 0;
  }

 private:
  bool has_held() const { return state_.keys_held || state_.fields_held; }
  // A key of the target says how far commands have come.
  Result<bool> has_place() const;
  // The keys of an RDB file, from where the state is; then what it ended at.
  Result<std::uint64_t> take_keys(std::string_view bytes);
  Result<> take_key(const rdb::FileKey& key);
  // FUNCTION with a subcommand, which may be carried out again. Refused, it is left out.
  Result<> take_function(std::vector<std::string_view> words);
  Result<> take_stream(const rdb::FileKey& key, const rdb::StreamValue& stream,
                       std::optional<std::int64_t> expires_at_ms);
  // Before what is held is sent: the settling must not be forgotten.
  Result<> note_held(bool keys, bool fields);
  // Commands, from there on; returns how many bytes were whole ones.
  Result<std::size_t> take_commands(std::string_view bytes);
  // Sends the commands that have been gathered, as one transaction that also says how far that is:
  // an INCR must not be carried out again, nor be left out, however this ends.
  Result<> flush(std::uint64_t upto);
  // At the end of all: of a transaction that has no end nothing is carried out, and of what is
  // before it, all. False: there was none.
  Result<bool> drop_transaction();
  // Where that is, as the target says.
  Result<> find_place();
  Result<> execute(const rdb::FileKey& key, std::initializer_list<std::string_view> words);
  void select_gathered(std::uint64_t database);
  // What was sent so far has been carried out: notes that.
  Result<> note(bool now);
  void show();

  const Options& options_;
  ImportTarget& target_;
  const ServerAddress target_address_;
  State state_;
  std::uint64_t keys_ = 0;
  std::uint64_t expired_ = 0;
  std::uint64_t commands_ = 0;
  std::size_t libraries_ = 0;  // of the file, that were passed
  std::uint64_t behind_ = 0;   // bytes of the stream
  // Of commands: where they are taken from, in bytes, and which database they are about.
  std::uint64_t command_file_ = 0;
  std::uint64_t position_ = 0;
  std::uint64_t database_ = 0;
  std::uint64_t gathered_database_ = 0;  // of the target, at the end of what is gathered
  std::string gathered_;
  std::size_t gathered_commands_ = 0;
  struct {
    std::size_t bytes = 0, commands = 0;
    std::uint64_t database = 0;
  } before_multi_;         // of what is gathered
  bool in_multi_ = false;  // of the source
  steady_clock::time_point began_ = steady_clock::now();
  steady_clock::time_point next_note_ = began_ + kBetweenNotes;
  steady_clock::time_point next_line_ = began_ + std::chrono::seconds(2);
  std::uint64_t done_bytes_ = 0, all_bytes_ = 0;
};

Result<> Importer::execute(const rdb::FileKey& key, std::initializer_list<std::string_view> words) {
  const std::uint64_t database = *options_.target_of(key.database);
  if (target_.execute(database, key.key, std::span(words.begin(), words.size()))) return {};
  return fail(target_.error());
}

void Importer::show() {
  const auto now = steady_clock::now();
  if (now < next_line_) return;
  next_line_ = now + std::chrono::seconds(::isatty(STDERR_FILENO) == 1 ? 1 : 10);
  const double seconds = std::chrono::duration<double>(now - began_).count();
  fmt::print(stderr, "{} keys ({:.0f}/s){}{}\n", keys_, static_cast<double>(keys_) / seconds,
             all_bytes_ > 0
                 ? fmt::format(", {} % of the file",
                               done_bytes_ * 100 / std::max<std::uint64_t>(all_bytes_, 1))
                 : "",
             commands_ > 0 || behind_ > 0
                 ? fmt::format(", {} commands, {} KiB behind", commands_, behind_ >> 10)
                 : "");
}

Result<> Importer::note(bool now) {
  show();
  if (!now && steady_clock::now() < next_note_) return {};
  if (const Result<> done = target_.finish(); !done) return done;
  next_note_ = steady_clock::now() + kBetweenNotes;
  return state_.save(options_.state + "/progress.json");
}

Result<> Importer::note_held(bool keys, bool fields) {
  if ((!keys || state_.keys_held) && (!fields || state_.fields_held)) return {};
  state_.keys_held = state_.keys_held || keys;
  state_.fields_held = state_.fields_held || fields;
  return note(true);
}

std::string Importer::unsettled() const {
  if (!has_held()) return "";
  return fmt::format(
      ". EXPIRIES ARE NOT SET YET: what came with one does not expire before the import has come "
      "to its end{}",
      state_.stream.replication.empty() ? ""
                                        : "; --finish sets them without asking the source again");
}

Result<> Importer::settle() {
  if (!has_held()) return {};
  state_.settling = true;
  if (const Result<> saved = state_.save(options_.state + "/progress.json"); !saved) return saved;
  fmt::print(stderr, "setting the expiries\n");
  return settle_expiries(target_address_, options_.database ? 1 : kDatabases, state_.fields_held,
                         [] { return g_stop != 0; });
}

Result<> Importer::take_key(const rdb::FileKey& key) {
  if (!options_.target_of(key.database)) {
    ++state_.left_out[key.database];
    return {};
  }
  std::optional<std::int64_t> at_ms = key.expires_at_ms;
  if (at_ms && !state_.holds && *at_ms <= wall_ms()) {
    ++expired_;
    return {};
  }
  ++keys_;
  if (at_ms && state_.holds) {
    at_ms = kHeldKey.hold(*at_ms);
    if (const Result<> noted = note_held(true, false); !noted) return noted;
  }
  if (const auto* stream = std::get_if<rdb::StreamValue>(&key.value)) {
    return take_stream(key, *stream, at_ms);
  }
  const std::string at = std::to_string(at_ms.value_or(0));
  const auto& value = std::get<rdb::Value>(key.value);
  if (value.type == rdb::Type::kString) {
    return at_ms ? execute(key, {"SET", key.key, value.items[0], "PXAT", at})
                 : execute(key, {"SET", key.key, value.items[0]});
  }
  std::string payload;
  if (state_.holds && !value.expiries_ms.empty()) {
    if (const Result<> noted = note_held(false, true); !noted) return noted;
    rdb::Value held = value;
    hold_expiries(held);
    payload = rdb::write_payload(held);
  } else {
    payload = rdb::payload_of(std::string(1, static_cast<char>(key.type)).append(key.content));
  }
  return execute(key, {"RESTORE", key.key, at, payload, "REPLACE", "ABSTTL"});
}

// Libraries are of no database and in no transaction. That a change is carried out again must make
// no difference.
Result<> Importer::take_function(std::vector<std::string_view> words) {
  const auto is = [&](std::string_view name) {
    return words.size() > 1 && equals_ignore_case(words[1], name);
  };
  if (is("load") && words.size() == 3) words.insert(words.begin() + 2, "REPLACE");
  if (is("restore") && !(words.size() > 3 && equals_ignore_case(words[3], "flush"))) {
    words.resize(3);
    words.push_back("REPLACE");
  }
  std::string why;
  for (int attempt = 0; attempt < kFunctionAttempts && !stopped(); ++attempt) {
    RespPipe pipe;
    if (const auto up = log_in(pipe, target_address_); !up) return up;
    std::string bytes;
    append_command(bytes, words);
    if (const auto sent = pipe.send(bytes); !sent) return sent;
    const auto reply = pipe.reply();
    if (!reply) return std::unexpected(reply.error());
    if (!reply->starts_with('-')) return {};
    why = reply->substr(1, reply->size() - 3);
    if (is("delete") && why.ends_with("Library not found")) return {};
    // Libraries are a majority's: there may be none for a moment.
    if (!ImportTarget::passes(*reply)) break;
    std::this_thread::sleep_for(kBetweenFunctions);
  }
  if (stopped()) return fail("stopped");
  fmt::print(stderr, "functions: the target refuses a {}: {}\n", words[1], why);
  ++state_.functions_left_out;
  return {};
}

Result<> Importer::take_stream(const rdb::FileKey& key, const rdb::StreamValue& stream,
                               std::optional<std::int64_t> expires_at_ms) {
  // In transactions: an XADD cannot be carried out again.
  Result<> done;
  std::string commands;
  std::size_t count = 0;
  const auto flush = [&] {
    const std::uint64_t database = *options_.target_of(key.database);
    if (done && count > 0 &&
        !target_.execute_together(database, key.key, commands, count, ImportTarget::Repeat::kMay)) {
      done = fail(target_.error());
    }
    commands.clear();
    count = 0;
  };
  const auto add = [&](std::span<const std::string_view> words) {
    append_command(commands, words);
    if (++count >= kMostTogether || commands.size() >= kMostBytesTogether) flush();
  };
  const auto send = [&](std::initializer_list<std::string_view> words) {
    add(std::span(words.begin(), words.size()));
  };
  send({"DEL", key.key});
  // Entries that are pending and have been deleted are there until they are pending here.
  std::set<rdb::StreamId> deleted;
  for (const rdb::StreamValue::Group& group : stream.groups) {
    for (const rdb::StreamValue::Pending& pending : group.pending) deleted.insert(pending.id);
  }
  for (const rdb::StreamValue::Entry& entry : stream.entries) deleted.erase(entry.id);
  auto next_deleted = deleted.begin();
  const auto add_deleted = [&](const rdb::StreamId& before) {
    for (; next_deleted != deleted.end() && *next_deleted < before; ++next_deleted) {
      const std::string id = next_deleted->text();
      send({"XADD", key.key, id, "x", "x"});
    }
  };
  for (const rdb::StreamValue::Entry& entry : stream.entries) {
    add_deleted(entry.id);
    const std::string id = entry.id.text();
    std::vector<std::string_view> words{"XADD", key.key, id};
    words.insert(words.end(), entry.fields.begin(), entry.fields.end());
    add(words);
  }
  add_deleted({UINT64_MAX, UINT64_MAX});
  const std::string last = stream.last.text();
  if (stream.entries.empty() && deleted.empty()) {
    send({"XGROUP", "CREATE", key.key, kNoGroup, "0", "MKSTREAM"});
    send({"XGROUP", "DESTROY", key.key, kNoGroup});
  }
  for (const rdb::StreamValue::Group& group : stream.groups) {
    const std::string delivered = group.last_delivered.text();
    const std::string read = std::to_string(group.entries_read);
    send({"XGROUP", "CREATE", key.key, group.name, delivered, "ENTRIESREAD", read});
    for (const rdb::StreamValue::Consumer& consumer : group.consumers) {
      send({"XGROUP", "CREATECONSUMER", key.key, group.name, consumer.name});
    }
    for (const rdb::StreamValue::Pending& pending : group.pending) {
      if (pending.consumer.empty()) continue;
      const std::string id = pending.id.text();
      const std::string time = std::to_string(pending.delivered_ms);
      const std::string count = std::to_string(pending.deliveries);
      send({"XCLAIM", key.key, group.name, pending.consumer, "0", id, "TIME", time, "RETRYCOUNT",
            count, "FORCE", "JUSTID"});
    }
  }
  for (const rdb::StreamId& id : deleted) {
    const std::string text = id.text();
    send({"XDEL", key.key, text});
  }
  if (stream.last != rdb::StreamId{}) {
    const std::string added = std::to_string(stream.added);
    const std::string most_deleted = stream.max_deleted.text();
    send({"XSETID", key.key, last, "ENTRIESADDED", added, "MAXDELETEDID", most_deleted});
  }
  if (expires_at_ms) {
    const std::string at = std::to_string(*expires_at_ms);
    send({"PEXPIREAT", key.key, at});
  }
  flush();
  return done;
}

// Before anything of it is written: with an append-only file's commands behind it, by reading it.
// Returns where the keys end.
Result<std::uint64_t> check_file(std::string_view bytes) {
  if (bytes.size() > sizeof(std::uint64_t)) {
    const std::string_view content = bytes.substr(0, bytes.size() - sizeof(std::uint64_t));
    const auto checksum = get_little_endian<std::uint64_t>(bytes.data() + content.size());
    if (checksum != 0 && rdb::crc64(content) == checksum) return bytes.size();
  }
  rdb::FileReader reader(bytes, kValueBytes);
  if (const Result<> begun = reader.begin(); !begun) return std::unexpected(begun.error());
  for (rdb::FileKey key;;) {
    const Result<bool> more = reader.next(key);
    if (!more) return fail(more.error().message + ". Nothing was written");
    if (!*more) return reader.end();
  }
}

Result<std::uint64_t> Importer::take_keys(std::string_view bytes) {
  if (state_.keys.offset == 0) {
    const Result<std::uint64_t> end = check_file(bytes);
    if (!end) return end;
    state_.holds = state_.holds || *end < bytes.size();
  }
  rdb::FileReader reader(bytes, kValueBytes);
  const Result<> begun = state_.keys.offset > 0 ? reader.begin(state_.keys) : reader.begin();
  if (!begun) return std::unexpected(begun.error());
  all_bytes_ = bytes.size();
  if (keys_ == 0) began_ = steady_clock::now();
  rdb::FileKey key;
  for (;;) {
    const Result<bool> more = reader.next(key);
    if (!more) return std::unexpected(more.error());
    for (; libraries_ < reader.functions().size(); ++libraries_) {
      const std::string& code = reader.functions()[libraries_];
      if (const Result<> taken = take_function({{"FUNCTION", "LOAD", "REPLACE", code}}); !taken) {
        return std::unexpected(taken.error());
      }
    }
    if (!*more) break;
    if (const Result<> taken = take_key(key); !taken) return std::unexpected(taken.error());
    state_.keys = reader.place();
    done_bytes_ = state_.keys.offset;
    if (const Result<> noted = note(false); !noted) return std::unexpected(noted.error());
    if (stopped()) break;
  }
  if (const Result<> noted = note(true); !noted) return std::unexpected(noted.error());
  all_bytes_ = 0;
  return reader.end();
}

// What is gathered from here on is for this database of the target. It begins in 0.
void Importer::select_gathered(std::uint64_t database) {
  if (gathered_database_ == database) return;
  gathered_database_ = database;
  const std::string number = std::to_string(database);
  const std::string_view select[] = {"SELECT", number};
  append_command(gathered_, select);
  ++gathered_commands_;
}

Result<> Importer::flush(std::uint64_t upto) {
  if (in_multi_ || gathered_commands_ == 0) return {};
  const std::string place = fmt::format("{} {} {}", command_file_, upto, database_);
  // The place is in database 0.
  select_gathered(0);
  const std::string_view words[] = {"SET", state_.place_key, place};
  append_command(gathered_, words);
  const bool sent = target_.execute_together(0, {}, gathered_, gathered_commands_ + 1,
                                             ImportTarget::Repeat::kMayNot);
  gathered_.clear();
  gathered_commands_ = 0;
  if (!sent) return fail(target_.error());
  return {};
}

Result<bool> Importer::drop_transaction() {
  if (!std::exchange(in_multi_, false)) return false;
  gathered_.resize(before_multi_.bytes);
  gathered_commands_ = before_multi_.commands;
  gathered_database_ = before_multi_.database;
  if (const Result<> sent = flush(position_); !sent) return std::unexpected(sent.error());
  return true;
}

Result<> Importer::find_place() {
  RespPipe pipe;
  if (const auto up = log_in(pipe, target_address_); !up) return up;
  const auto reply = pipe.call({"GET", state_.place_key});
  if (!reply) return std::unexpected(reply.error());
  std::istringstream words(reply->substr(reply->find('\n') + 1));
  std::uint64_t file = 0, position = 0, database = 0;
  if (!(words >> file >> position >> database)) return {};
  state_.file = std::max(state_.file, file);
  if (state_.file == file) {
    command_file_ = file;
    position_ = position;
    database_ = database;
  }
  return {};
}

Result<> Importer::forget_place() {
  RespPipe pipe;
  if (const auto up = log_in(pipe, target_address_); !up) return up;
  const auto reply = pipe.call({"DEL", state_.place_key});
  if (!reply) return std::unexpected(reply.error());
  return {};
}

Result<bool> Importer::report(const Comparison& compared) const {
  const Result<bool> place = has_place();
  if (!place) return place;
  fmt::print("{} keys compared, {} differ; the target has {} keys\n", compared.keys,
             compared.different.size(), compared.target_keys - (*place ? 1 : 0));
  for (std::size_t i = 0; i < std::min<std::size_t>(compared.different.size(), 10); ++i) {
    fmt::print("  {}\n", compared.different[i]);
  }
  return compared.different.empty();
}

Result<bool> Importer::has_place() const {
  RespPipe pipe;
  if (const auto up = log_in(pipe, target_address_); !up) return std::unexpected(up.error());
  const auto reply = pipe.call({"EXISTS", state_.place_key});
  if (!reply) return std::unexpected(reply.error());
  return *reply == ":1\r\n";
}

std::string Importer::break_off(const std::string& why) {
  state_.broken = why;
  if (const Result<> saved = state_.save(options_.state + "/progress.json"); !saved) {
    return fmt::format("{}. That could not be noted: {}", why, saved.error().message);
  }
  if (has_held()) {
    static_cast<void>(settle_expiries(target_address_, options_.database ? 1 : kDatabases,
                                      state_.fields_held, [] { return g_stop != 0; }));
  }
  static_cast<void>(forget_place());  // of no use any more, and no harm
  return why;
}

Result<std::size_t> Importer::take_commands(std::string_view bytes) {
  std::size_t taken = 0;
  RespParser parser;
  while (taken < bytes.size() && !stopped()) {
    std::string_view rest = bytes.substr(taken);
    if (rest.front() == '#' || rest.front() == '\n') {  // an annotation, or a sign of life
      const std::size_t end = rest.find('\n');
      if (end == std::string_view::npos) break;
      taken += end + 1;
      continue;
    }
    parser.restart();
    const auto status = parser.parse(rest, {});
    if (status == RespParser::Status::kIncomplete) break;
    if (status == RespParser::Status::kError) {
      return fail(fmt::format("what should be a command is none: {}", parser.error()));
    }
    const auto words = parser.args();
    taken += parser.consumed();
    if (words.empty()) continue;
    std::string name(words[0]);
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
    if (name == "ping" || name == "replconf" || name == "publish" || name == "spublish") continue;
    if (name == "function") {
      const Result<> done = take_function({words.begin(), words.end()});
      if (!done) return std::unexpected(done.error());
      continue;
    }
    if (name == "multi" || name == "exec") {
      in_multi_ = name == "multi";
      if (in_multi_) before_multi_ = {gathered_.size(), gathered_commands_, gathered_database_};
      continue;
    }
    if (name == "select" && words.size() == 2) {
      std::from_chars(words[1].data(), words[1].data() + words[1].size(), database_);
      continue;
    }
    if (name == "swapdb") {
      return fail(
          "the source has swapped two databases (SWAPDB), which cannot be followed: begin anew");
    }
    if (name == "flushall") {  // of all databases, whichever is selected
      select_gathered(0);
      const std::string_view flush[] = {options_.database ? "FLUSHDB" : "FLUSHALL"};
      append_command(gathered_, flush);
      ++gathered_commands_;
      continue;
    }
    const auto target_database = options_.target_of(database_);
    std::uint64_t to = database_;
    const bool moves = name == "move" && words.size() == 3;
    bool copies = false;  // COPY source target DB n
    if (moves) std::from_chars(words[2].data(), words[2].data() + words[2].size(), to);
    for (std::size_t i = 3; name == "copy" && i + 1 < words.size(); ++i) {
      if (!equals_ignore_case(words[i], "db")) continue;
      copies = true;
      std::from_chars(words[i + 1].data(), words[i + 1].data() + words[i + 1].size(), to);
    }
    const bool arrives = options_.target_of(to).has_value();
    const bool renumbered = options_.database && (copies || to != database_);
    if (arrives && (renumbered || !target_database)) {
      return fail(fmt::format(
          "the source has brought a key from database {} to database {} ({}), which cannot be "
          "followed: begin anew",
          database_, to, name));
    }
    if (!target_database) {
      ++state_.left_out[database_];
      continue;
    }
    select_gathered(*target_database);
    if (to != database_ && !arrives) {
      ++state_.left_out[to];
      if (!moves) continue;
      const std::string_view gone[] = {"DEL", words[1]};  // it is gone from here
      append_command(gathered_, gone);
      ++gathered_commands_;
      continue;
    }
    ++commands_;
    const auto held = state_.holds ? hold_expiries(words, wall_ms()) : std::nullopt;
    if (held) {
      if (const Result<> noted = note_held(held->keys, held->fields); !noted) {
        return std::unexpected(noted.error());
      }
      append_command(gathered_,
                     std::vector<std::string_view>(held->words.begin(), held->words.end()));
    } else {
      append_command(gathered_, words);
    }
    ++gathered_commands_;
    if (gathered_commands_ >= kMostTogether || gathered_.size() >= kMostBytesTogether) {
      if (const Result<> sent = flush(position_ + taken); !sent) {
        return std::unexpected(sent.error());
      }
    }
    show();
  }
  position_ += taken;
  if (const Result<> sent = flush(position_); !sent) return std::unexpected(sent.error());
  return taken;
}

Result<> Importer::take_files(const std::vector<std::string>& files) {
  if (const Result<> found = find_place(); !found) return found;
  for (; state_.file < files.size(); ++state_.file) {
    const Result<Mapped> file = Mapped::open(files[state_.file]);
    if (!file) return std::unexpected(file.error());
    if (files.size() > 1 || !file->bytes().starts_with("REDIS")) state_.holds = true;
    const auto of_file = [&](const Error& error) {
      return fail(fmt::format("{}: {}", files[state_.file], error.message));
    };
    if (file->bytes().empty() && files.size() == 1) return of_file({"it is empty"});
    std::uint64_t from = 0;
    if (file->bytes().starts_with("REDIS")) {
      const Result<std::uint64_t> end = take_keys(file->bytes());
      if (!end) return of_file(end.error());
      from = *end;
      if (stopped()) return {};
    }
    if (command_file_ != state_.file) position_ = 0;
    command_file_ = state_.file;
    if (from + position_ > file->bytes().size()) return of_file({"it has become shorter"});
    const Result<std::size_t> taken = take_commands(file->bytes().substr(from + position_));
    if (!taken) return of_file(taken.error());
    if (stopped()) return note(true);
    const Result<bool> dropped = drop_transaction();
    if (!dropped) return of_file(dropped.error());
    if (*dropped) {
      fmt::print(stderr, "{}: its last transaction has no end, and is left out\n",
                 files[state_.file]);
    }
    if (from + position_ < file->bytes().size()) {
      fmt::print(stderr,
                 "{}: its last {} bytes are no whole command: the server stopped while it wrote "
                 "it. They are left out\n",
                 files[state_.file], file->bytes().size() - from - position_);
    }
    if (const Result<> noted = target_.finish(); !noted) return noted;
    state_.keys = {};
  }
  return note(true);
}

Result<> Importer::take_source(const ServerAddress& address) {
  const std::string dump = options_.state + "/dump.rdb";
  const std::string stream = options_.state + "/stream.aof";
  ReplicaLink link(address, dump, stream, [] { return g_stop != 0; });
  bool anew = false;
  auto next_line = steady_clock::now() + std::chrono::seconds(2);
  const bool went_on = !state_.stream.replication.empty();
  state_.holds = true;
  if (const Result<> found = find_place(); !found) return found;
  if (went_on) {  // all that was received is there, in order
    std::error_code error;
    const auto size = fs::file_size(stream, error);
    state_.stream.bytes = error ? 0 : size;
    if (state_.stream.bytes < position_) state_.stream = {};
  }
  if (const Result<> begun = link.begin(state_.stream, anew,
                                        [&](std::uint64_t done, std::uint64_t all) {
                                          if (steady_clock::now() < next_line) return;
                                          next_line = steady_clock::now() + std::chrono::seconds(2);
                                          fmt::print(stderr, "the source's dump: {} of {} MiB\n",
                                                     done >> 20,
                                                     all > 0 ? std::to_string(all >> 20) : "?");
                                        });
      !begun) {
    return fail(fmt::format("{}:{}: {}", address.host, address.port, begun.error().message));
  }
  if (anew) {
    if (went_on) {
      fmt::print(
          stderr,
          "the source cannot go on where this import stopped: it begins anew. Keys that were "
          "deleted there meanwhile stay here\n");
    }
    state_.keys = {};
    state_.keys_done = false;
    position_ = database_ = 0;
    if (const Result<> forgotten = forget_place(); !forgotten) return forgotten;
  }
  state_.stream = link.place();
  if (const Result<> noted = state_.save(options_.state + "/progress.json"); !noted) return noted;
  link.start();
  if (!state_.keys_done) {
    const Result<Mapped> file = Mapped::open(dump);
    if (!file) return std::unexpected(file.error());
    const Result<std::uint64_t> end = take_keys(file->bytes());
    if (!end) return fail(fmt::format("{}: {}", dump, end.error().message));
    if (stopped()) return {};
    state_.keys_done = true;
    if (const Result<> noted = note(true); !noted) return noted;
    fmt::print(stderr, "all {} keys of the dump are here; {}\n", keys_,
               options_.follow ? "following the source until SIGINT or SIGTERM"
                               : "taking in what was written meanwhile");
  }
  // The stream, as it comes: to where its end was when the dump was here, or at SIGTERM.
  std::optional<std::uint64_t> end;
  std::ifstream in(stream, std::ios::binary);
  std::string bytes;
  bool stopping = false;
  for (;;) {
    if (stopped()) {
      if (stopping) return note(true);
      stopping = true;
      g_stop = 0;
    }
    if ((stopping || !options_.follow) && !end) {
      const Result<std::uint64_t> now = stream_end(address);
      if (!now) return fail(fmt::format("the source: {}", now.error().message));
      end = *now;
    }
    const std::uint64_t received = link.received();
    const std::uint64_t begin = position_ + bytes.size();
    behind_ = received - position_;
    if (begin < received) {
      const std::size_t size =
          static_cast<std::size_t>(std::min<std::uint64_t>(received - begin, 4 << 20));
      const std::size_t before = bytes.size();
      bytes.resize(before + size);
      in.clear();
      in.seekg(static_cast<std::streamoff>(begin));
      in.read(bytes.data() + before, static_cast<std::streamsize>(size));
      bytes.resize(before + static_cast<std::size_t>(in.gcount()));
    }
    const Result<std::size_t> taken = take_commands(bytes);
    if (!taken) return std::unexpected(taken.error());
    bytes.erase(0, *taken);
    state_.stream = link.place();
    const bool ended = end && !in_multi_ && state_.stream.offset + position_ >= *end;
    if (const Result<> noted = note(ended); !noted || ended) return noted;
    const bool idle = *taken == 0 && position_ + bytes.size() >= link.received();
    if (const std::string why = link.error(); !why.empty() && idle) {
      return fail(fmt::format("the source: {}. Run the same command again to go on", why));
    }
    if (!idle) continue;
    // What waits for more to be sent with need not.
    if (const Result<> sent = target_.finish(); !sent) return sent;
    std::this_thread::sleep_for(kPause);
  }
}

Result<> Importer::take_received() {
  if (const Result<> found = find_place(); !found) return found;
  state_.holds = true;
  if (!state_.keys_done) {
    const Result<Mapped> file = Mapped::open(options_.state + "/dump.rdb");
    if (!file) return std::unexpected(file.error());
    const Result<std::uint64_t> end = take_keys(file->bytes());
    if (!end) return fail(fmt::format("the dump: {}", end.error().message));
    if (stopped()) return {};
    state_.keys_done = true;
  }
  if (const Result<> noted = note(true); !noted) return noted;
  const Result<Mapped> stream = Mapped::open(options_.state + "/stream.aof");
  if (!stream) return std::unexpected(stream.error());
  if (stream->bytes().size() < position_) return fail("the stream has become shorter");
  const Result<std::size_t> taken = take_commands(stream->bytes().substr(position_));
  if (!taken) return std::unexpected(taken.error());
  if (const Result<bool> dropped = drop_transaction(); !dropped) {
    return std::unexpected(dropped.error());
  }
  return note(true);
}

void Importer::summarize() const {
  const double seconds = std::chrono::duration<double>(steady_clock::now() - began_).count();
  fmt::print("{} keys and {} commands in {:.1f} s ({:.0f} keys/s)", keys_, commands_, seconds,
             static_cast<double>(keys_) / std::max(seconds, 1e-3));
  if (expired_ > 0) fmt::print(", {} had expired", expired_);
  fmt::print("\n");
  for (const auto& [database, count] : state_.left_out) {
    fmt::print("LEFT OUT: {} keys or commands of database {} (--database)\n", count, database);
  }
  if (state_.functions_left_out > 0) {
    fmt::print("LEFT OUT: {} libraries of functions, or changes of them\n",
               state_.functions_left_out);
  }
}

// The files of an append-only directory, in their order, or the one file.
Result<std::vector<std::string>> files_of(const std::string& source) {
  if (!fs::is_directory(source)) return std::vector{source};
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(source)) {
    if (entry.path().extension() != ".manifest") continue;
    std::ifstream manifest(entry.path());
    std::string line;
    while (std::getline(manifest, line)) {
      std::istringstream words(line);
      std::string word, name, type;
      while (words >> word) {
        if (word == "file") words >> name;
        if (word == "type") words >> type;
      }
      if (!name.empty() && type != "h") files.push_back(source + "/" + name);
    }
  }
  if (files.empty()) {
    return fail(fmt::format("{}: no manifest of an append-only file is there", source));
  }
  return files;
}

// Commands of an append-only file are carried out on what is there: on another content than they
// were made for they make something else, and once more they make it twice.
Result<> check_target(const std::vector<std::string>& files, const ServerAddress& to) {
  std::array<char, 5> head{};
  std::ifstream(files.front(), std::ios::binary).read(head.data(), head.size());
  if (files.size() == 1 && std::string_view(head.data(), head.size()) == "REDIS") return {};
  RespPipe pipe;
  if (const auto up = log_in(pipe, to); !up) return up;
  for (std::uint64_t database = 0; database < kDatabases; ++database) {
    const auto selected = pipe.call({"SELECT", std::to_string(database)});
    if (!selected && selected.error().message.starts_with("ERR ")) break;  // it has fewer
    if (!selected) return std::unexpected(selected.error());
    const auto keys = pipe.call({"DBSIZE"});
    if (!keys) return std::unexpected(keys.error());
    if (*keys == ":0\r\n") continue;
    return fail(fmt::format(
        "the target has keys ({}): an append-only file is carried out command by command, "
        "and must find none",
        keys->substr(1, keys->size() - 3)));
  }
  return {};
}

Result<Comparison> compare_sources(const ServerAddress& source, const Options& options,
                                   const ServerAddress& to) {
  std::vector<DatabasePair> pairs;
  if (options.database) pairs = {{*options.database, 0}};
  for (std::uint64_t i = 0; !options.database && i < kDatabases; ++i) pairs.push_back({i, i});
  Comparison all;
  for (const DatabasePair& pair : pairs) {
    const Result<Comparison> one = compare_source(source, pair, to);
    if (!one) return one;
    all.keys += one->keys;
    all.target_keys += one->target_keys;
    all.different.insert(all.different.end(), one->different.begin(), one->different.end());
  }
  return all;
}

std::string broken_off(const std::string& why, const Options& options) {
  return fmt::format(
      "{}. Commands behind it were carried out, so this import cannot be gone on with: remove the "
      "cause, remove {}, and begin anew",
      why, options.state);
}

int run(const Options& options) {
  const auto target_address = parse_address(options.to);
  if (!target_address) return complain(fmt::format("--to '{}' is no HOST:PORT", options.to));
  const bool is_file = fs::exists(options.source);
  ServerAddress address;
  std::vector<std::string> files;
  if (is_file) {
    if (options.follow || options.finish) {
      return complain("--follow and --finish are for a live source: HOST:PORT");
    }
    auto found = files_of(options.source);
    if (!found) return complain(found.error().message);
    files = std::move(*found);
  } else {
    const auto from = parse_address(options.source);
    if (!from) {
      return complain(fmt::format("there is no file '{}', and it is no HOST:PORT of a live server",
                                  options.source));
    }
    address = {from->host, from->port, options.from_user, options.from_password};
  }
  std::error_code error;
  fs::create_directories(options.state, error);
  if (error) return complain(fmt::format("{}: {}", options.state, error.message()));

  const std::string what = is_file ? fs::absolute(options.source).string() : options.source;
  State state;
  if (auto known = State::load(options.state + "/progress.json")) {
    if (known->source != what || known->target != options.to) {
      return complain(
          fmt::format("{} is of an import from {} to {}: remove it, or give another one (--state)",
                      options.state, known->source, known->target));
    }
    if (!known->broken.empty()) return complain(broken_off(known->broken, options));
    state = std::move(*known);
    fmt::print(stderr, "going on with the import that {} tells of\n", options.state);
  }
  if (options.finish && state.stream.replication.empty()) {
    return complain(
        fmt::format("--finish: nothing was received yet that {} tells of", options.state));
  }
  state.source = what;
  state.target = options.to;
  const bool fresh = state.place_key.empty();
  if (fresh) {
    std::random_device random;
    state.place_key = fmt::format("even-import:{:08x}{:08x}", random(), random());
  }

  const ServerAddress to{target_address->host, target_address->port, options.to_user,
                         options.to_password};
  ImportTarget target(to, options.connections);
  if (const Result<> up = target.connect(); !up) {
    return complain(fmt::format("the target: {}", up.error().message));
  }
  if (fresh && is_file) {
    if (const Result<> may = check_target(files, to); !may) return complain(may.error().message);
  }
  std::signal(SIGINT, stop);
  std::signal(SIGTERM, stop);
  Importer importer(options, target, to, std::move(state));
  if (!importer.is_settling()) {
    const Result<> taken = options.finish ? importer.take_received()
                           : is_file      ? importer.take_files(files)
                                          : importer.take_source(address);
    if (!taken && target.broken()) {
      return complain(broken_off(importer.break_off(taken.error().message), options));
    }
    if (!taken) {
      return complain(fmt::format("{}. What has been done is noted in {}{}", taken.error().message,
                                  options.state, importer.unsettled()));
    }
    importer.summarize();
    if (importer.stopped()) {
      return complain("stopped before all was here; run the same command again to go on" +
                      importer.unsettled());
    }
    if (options.finish) {
      fmt::print("Not compared: the source was not asked\n");
    } else if (!options.no_compare) {
      Result<Comparison> compared =
          is_file ? compare_file(
                        files.front(),
                        [&](std::uint64_t source) { return options.target_of(source); }, to)
                  : compare_sources(address, options, to);
      // Commands behind the keys have changed them.
      if (is_file && (files.size() > 1 || !compared)) {
        fmt::print("Not compared: only what one RDB file holds can be{}\n",
                   compared ? "" : " (" + compared.error().message + ")");
      } else if (!compared) {
        return complain("the comparison: " + compared.error().message + importer.unsettled());
      } else if (const Result<bool> same = importer.report(*compared); !same) {
        return complain(same.error().message + importer.unsettled());
      } else if (!*same) {
        if (is_file) return 1;
        return complain("run the same command again to go on" + importer.unsettled());
      }
    }
  }
  if (const Result<> settled = importer.settle(); !settled) {
    return complain(fmt::format("{}; run the same command again", settled.error().message));
  }
  // First what another run would go on by: without the place it would carry out all commands again.
  const fs::path directory(options.state);
  fs::remove(directory / "progress.json", error);
  if (error) return complain(fmt::format("{}: {}", options.state, error.message()));
  if (const Result<> forgotten = importer.forget_place(); !forgotten) {
    return complain(forgotten.error().message);
  }
  // Nothing but its own.
  for (const char* name : {"progress.json.new", "dump.rdb", "stream.aof"}) {
    fs::remove(directory / name, error);
  }
  if (fs::is_empty(options.state, error)) fs::remove(options.state, error);
  return importer.complete() ? 0 : 1;
}

}  // namespace

void add_import(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "import",
      "Take over what a Redis or Valkey holds: from an RDB file, an append-only file or its "
      "directory, or a live server, as its replica would. Shows progress, goes on where it was "
      "interrupted, and compares in the end. Exit code 0: all is here; 1: it is not");
  command
      ->add_option("source", options->source,
                   "FILE, DIRECTORY (appendonlydir) or HOST:PORT of a live server")
      ->required()
      ->type_name("SOURCE");
  command->add_option("--to", options->to, "Node to write to (default 127.0.0.1:7001)")
      ->type_name("HOST:PORT");
  command->add_flag("--follow", options->follow,
                    "Of a live server: go on with what is written there until SIGINT or SIGTERM; "
                    "else the end comes when all that was written meanwhile is here, too");
  command->add_flag("--finish", options->finish,
                    "Of a live server: do not ask it any more. Go on with what was received of it "
                    "before, set the expiries, and end, without a comparison");
  command->add_option("--from-user", options->from_user, "User at the source")->type_name("NAME");
  command->add_option("--from-password", options->from_password, "Password at the source")
      ->envname("EVEN_IMPORT_FROM_PASSWORD")
      ->type_name("WORD");
  command->add_option("--to-user", options->to_user, "User at the target")->type_name("NAME");
  command->add_option("--to-password", options->to_password, "Password at the target")
      ->envname("EVEN_IMPORT_TO_PASSWORD")
      ->type_name("WORD");
  command
      ->add_option(
          "--database", options->database,
          "Of the source's databases the one to be imported, into database 0 (default: all, "
          "each into that of its number)")
      ->type_name("N");
  command->add_option("--connections", options->connections, "To the target (default 4)")
      ->check(CLI::Range(1, 64))
      ->type_name("N");
  command
      ->add_option("--state", options->state,
                   "Directory for progress, and for a live source's dump and stream (default "
                   "even-import); it is removed when all is done")
      ->type_name("DIR");
  command->add_flag("--no-compare", options->no_compare, "Do not compare in the end");
  command->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace even::cli
