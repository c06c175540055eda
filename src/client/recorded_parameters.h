// Parameters of Redis that tools set and read, and that mean nothing here: forms of values in
// memory, files and replicas that Even does not have. They are checked as Redis checks them and
// kept until the node is started again, so that CONFIG GET gives back what was set; nothing else
// comes of them. What would promise something that is not done (appendfsync, bind) is none of
// these.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace even {

struct RecordedParameter {
  enum class Kind : std::uint8_t { kInteger, kMemory, kYesNo, kWord, kText, kFixed };

  std::string_view name;
  std::string_view initial;  // as in Redis 7.0; of what is newer, in Valkey 8
  Kind kind;
  std::int64_t low = 0, high = INT64_MAX;  // of an integer or a size in bytes
  std::string_view words = {};             // those allowed, with a space between
  std::string_view other_name = {};        // where it is kept, if it has an older name too

  std::string_view key() const { return other_name.empty() ? name : other_name; }
};

// In the order of their names.
std::span<const RecordedParameter> recorded_parameters();

// "100", "64kb" (1024), "64k" (1000) and so on: Redis's sizes. False if it is none.
bool parse_memory(std::string_view text, std::int64_t& bytes);

// What is wrong with the text, in Redis's words; or nothing, and then `value` is what CONFIG GET
// shows of it.
std::string check_recorded(const RecordedParameter& parameter, std::string_view text,
                           std::string& value);

}  // namespace even
