#include "client/slow_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "engine/text.h"

namespace even {

bool is_secret(const Command& command, Args args, std::size_t i) {
  if (command.name == "auth") return i > 0;
  if (command.name == "hello") {
    return (i >= 2 && equals_ignore_case(args[i - 1], "auth")) ||
           (i >= 3 && equals_ignore_case(args[i - 2], "auth"));
  }
  if (command.name == "acl") {
    return i >= 2 && equals_ignore_case(args[1], "setuser");
  }
  return command.name == "config" && i >= 3 && equals_ignore_case(args[i - 1], "requirepass");
}

namespace {

std::string shortened(std::string_view arg) {
  std::string text(arg.substr(0, SlowLog::kMostArgumentBytes));
  if (text.size() < arg.size())
    text += fmt::format("... ({} more bytes)", arg.size() - text.size());
  return text;
}

}  // namespace

void SlowLog::add(const Command& command, Args args, const ClientLabel& client, std::int64_t us,
                  std::uint64_t max_len) {
  Entry entry;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  entry.at_s = std::chrono::duration_cast<std::chrono::seconds>(now).count();
  entry.us = us;
  const std::size_t count = std::min(args.size(), kMostArguments);
  for (std::size_t i = 0; i < count; ++i) {
    if (i + 1 == count && count < args.size()) {
      entry.args.push_back(fmt::format("... ({} more arguments)", args.size() - i));
    } else {
      entry.args.push_back(is_secret(command, args, i) ? std::string(kRedacted)
                                                       : shortened(args[i]));
    }
  }
  entry.address = client.address;
  entry.name = client.name;

  std::lock_guard lock(mutex_);
  entry.id = next_id_++;
  entries_.push_front(std::move(entry));
  while (entries_.size() > max_len) entries_.pop_back();
}

std::vector<SlowLog::Entry> SlowLog::latest(std::size_t count) const {
  std::lock_guard lock(mutex_);
  const auto end = entries_.begin() + static_cast<std::ptrdiff_t>(std::min(count, entries_.size()));
  return {entries_.begin(), end};
}

std::size_t SlowLog::size() const {
  std::lock_guard lock(mutex_);
  return entries_.size();
}

void SlowLog::reset() {
  std::lock_guard lock(mutex_);
  entries_.clear();
}

}  // namespace even
