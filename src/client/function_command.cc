// FUNCTION: docs/scripting.md, "Functions". LOAD, DELETE, FLUSH and RESTORE are entries of the
// metadata group (engine/cmd_meta.h) and reply when the nodes in reach know what has come of them.
// Replies are those of Redis 7.0.15.
#include <fmt/format.h>

#include "base/byte_reader.h"
#include "client/connection_commands.h"
#include "engine/cmd_meta.h"
#include "engine/glob.h"
#include "engine/text.h"
#include "node/table_change.h"
#include "rdb/crc64.h"
#include "rdb/length.h"
#include "rdb/value.h"
#include "script/interpreter.h"

namespace even {
namespace {

constexpr std::size_t kMostRestoredLibraries = 1'000;  // at once
constexpr std::uint8_t kFunctionOpcode = 245;          // of RDB files, before the code of a library
constexpr std::size_t kChecksumBytes = 8;
constexpr std::size_t kFooterBytes = 2 + kChecksumBytes;
constexpr std::uint16_t kPayloadVersion = 10;
constexpr std::string_view kBadPayload = "ERR DUMP payload version or checksum are wrong";

// `reply`: when the libraries are changed.
void change_libraries(Connection& connection, std::vector<std::string> words, std::string reply) {
  words.insert(words.begin(), std::string(kMetaCommand));
  const std::uint64_t slot = connection.open_slot();
  change_table(connection.thread(), std::move(words), "libraries",
               [weak = connection.weak_from_this(), slot, command = connection.last_command(),
                reply = std::move(reply)](std::string outcome) mutable {
                 const auto self = weak.lock();
                 if (!self) return;
                 if (outcome == "+OK\r\n") outcome = std::move(reply);
                 self->complete(slot, std::move(outcome), command);
               });
}

void load_functions(Connection& connection, Args args) {
  const bool replace = args.size() > 3;
  for (const std::string_view option : args.subspan(2, args.size() - 3)) {
    if (equals_ignore_case(option, "replace")) continue;
    return connection.reply().error(fmt::format("ERR Unknown option given: {}", option));
  }
  const Result<Library> library = Interpreter::examine(args.back());
  if (!library) return connection.reply().error(library.error().message);
  std::string reply;
  Reply(reply, false).bulk(library->name);
  change_libraries(connection,
                   {"SETLIBRARIES", replace ? "REPLACE" : "NEW", library->name, encode(*library)},
                   std::move(reply));
}

void flush_functions(Connection& connection, Args args) {
  const bool good = args.size() == 2 ||
                    (args.size() == 3 &&
                     (equals_ignore_case(args[2], "sync") || equals_ignore_case(args[2], "async")));
  if (args.size() > 3) {
    return connection.reply().error(fmt::format(
        "ERR unknown subcommand or wrong number of arguments for '{}'. Try FUNCTION HELP.",
        args[1].substr(0, 128)));
  }
  if (!good) {
    return connection.reply().error("ERR FUNCTION FLUSH only supports SYNC|ASYNC option");
  }
  change_libraries(connection, {"SETLIBRARIES", "FLUSH"}, "+OK\r\n");
}

void list_functions(Connection& connection, Args args) {
  std::optional<std::string_view> pattern;
  bool with_code = false;
  for (std::size_t i = 2; i < args.size(); ++i) {
    if (!with_code && equals_ignore_case(args[i], "withcode")) {
      with_code = true;
    } else if (!pattern && equals_ignore_case(args[i], "libraryname")) {
      if (++i == args.size()) {
        return connection.reply().error("ERR library name argument was not given");
      }
      pattern = args[i];
    } else {
      return connection.reply().error(fmt::format("ERR Unknown argument {}", args[i]));
    }
  }
  std::vector<const Library*> found;
  for (const auto& [name, library] : connection.thread().libraries().libraries()) {
    if (!pattern || glob_match(*pattern, name, true)) found.push_back(&library);
  }
  Reply reply = connection.reply();
  reply.array(found.size());
  for (const Library* library : found) {
    reply.map(with_code ? 4 : 3);
    reply.bulk("library_name");
    reply.bulk(library->name);
    reply.bulk("engine");
    reply.bulk("LUA");
    reply.bulk("functions");
    reply.array(library->functions.size());
    for (const LibraryFunction& function : library->functions) {
      reply.map(3);
      reply.bulk("name");
      reply.bulk(function.name);
      reply.bulk("description");
      function.description ? reply.bulk(*function.description) : reply.null();
      reply.bulk("flags");
      reply.set(function.flags.size());
      for (const std::string& flag : function.flags) reply.simple(flag);
    }
    if (!with_code) continue;
    reply.bulk("library_code");
    reply.bulk(library->code);
  }
}

// What runs now its own thread cannot tell: it is answered -BUSY meanwhile.
void function_stats(Connection& connection) {
  const LibraryTable& libraries = connection.thread().libraries();
  Reply reply = connection.reply();
  reply.map(2);
  reply.bulk("running_script");
  reply.null();
  reply.bulk("engines");
  reply.map(1);
  reply.bulk("LUA");
  reply.map(2);
  reply.bulk("libraries_count");
  reply.integer(static_cast<std::int64_t>(libraries.libraries().size()));
  reply.bulk("functions_count");
  reply.integer(static_cast<std::int64_t>(libraries.functions()));
}

// A string as RDB files have it.
void append_string(std::string& out, std::string_view text) {
  const std::size_t size = text.size();
  if (size < 64) {
    out += static_cast<char>(size);
  } else if (size < 16384) {
    out += static_cast<char>(0x40 | (size >> 8));
    out += static_cast<char>(size & 0xff);
  } else {
    out += static_cast<char>(0x80);
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>((size >> shift) & 0xff);
  }
  out += text;
}

void append_little_endian(std::string& out, std::uint64_t value, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
}

std::uint64_t read_little_endian(std::string_view bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) {
    value = value << 8 | static_cast<unsigned char>(bytes[i]);
  }
  return value;
}

void dump_functions(Connection& connection) {
  std::string payload;
  for (const auto& [name, library] : connection.thread().libraries().libraries()) {
    payload += static_cast<char>(kFunctionOpcode);
    append_string(payload, library.code);
  }
  append_little_endian(payload, kPayloadVersion, 2);
  append_little_endian(payload, rdb::crc64(payload), kChecksumBytes);
  connection.reply().bulk(payload);
}

Result<std::vector<Library>> read_libraries(std::string_view payload) {
  if (payload.size() < kFooterBytes) return fail(std::string(kBadPayload));
  const std::string_view covered = payload.substr(0, payload.size() - kChecksumBytes);
  const std::string_view content = payload.substr(0, payload.size() - kFooterBytes);
  const bool good = read_little_endian(covered.substr(content.size())) <= kPayloadVersion + 1 &&
                    read_little_endian(payload.substr(covered.size())) == rdb::crc64(covered);
  if (!good) return fail(std::string(kBadPayload));
  ByteReader in(content);
  rdb::Budget budget(2 * kMostLibraryBytes);
  std::vector<Library> libraries;
  std::size_t bytes = 0;
  while (!in.at_end()) {
    if (in.get<std::uint8_t>() != kFunctionOpcode) return fail("ERR given type is not a function");
    std::string code;
    if (!rdb::read_string(in, budget, code)) return fail("ERR failed loading functions payload");
    // Before each is executed to see what it has, which takes a while.
    bytes += code.size();
    if (bytes > kMostLibraryBytes || libraries.size() >= kMostRestoredLibraries) {
      return fail("ERR the payload holds more libraries than there may be");
    }
    Result<Library> library = Interpreter::examine(code);
    if (!library) return std::unexpected(library.error());
    libraries.push_back(std::move(*library));
  }
  return libraries;
}

void restore_functions(Connection& connection, Args args) {
  std::string policy = "NEW";
  if (args.size() > 4) {
    return connection.reply().error(fmt::format(
        "ERR unknown subcommand or wrong number of arguments for '{}'. Try FUNCTION HELP.",
        args[1].substr(0, 128)));
  }
  if (args.size() == 4) {
    if (equals_ignore_case(args[3], "flush")) {
      policy = "FLUSH";
    } else if (equals_ignore_case(args[3], "replace")) {
      policy = "REPLACE";
    } else if (!equals_ignore_case(args[3], "append")) {
      return connection.reply().error(
          "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.");
    }
  }
  const Result<std::vector<Library>> libraries = read_libraries(args[2]);
  if (!libraries) return connection.reply().error(libraries.error().message);
  std::vector<std::string> words = {"SETLIBRARIES", policy};
  for (const Library& library : *libraries) {
    words.push_back(library.name);
    words.push_back(encode(library));
  }
  change_libraries(connection, std::move(words), "+OK\r\n");
}

}  // namespace

void execute_function(Connection& connection, Args args) {
  const auto is = [&](std::string_view name) { return equals_ignore_case(args[1], name); };
  if (is("load")) return load_functions(connection, args);
  if (is("delete")) {
    return change_libraries(connection, {"DELLIBRARY", std::string(args[2])}, "+OK\r\n");
  }
  if (is("flush")) return flush_functions(connection, args);
  if (is("list")) return list_functions(connection, args);
  if (is("stats")) return function_stats(connection);
  if (is("dump")) return dump_functions(connection);
  if (is("restore")) return restore_functions(connection, args);
  if (is("kill")) {
    const std::string text = connection.thread().node().scripts.kill();
    return text == "OK" ? connection.reply().ok() : connection.reply().error(text);
  }
  if (is("help")) return reply_help(connection, "FUNCTION");
  reply_unknown_subcommand(connection, "FUNCTION", args[1]);
}

}  // namespace even
