// A client's request with its own copy of the bytes: for everything that cannot run within the turn
// in which it arrived.
#pragma once

#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "engine/command.h"

namespace even::server {

struct OwnedRequest {
  const Command* command = nullptr;
  bool resp3 = false;
  std::vector<std::string_view> args;  // into `bytes`
  // Of scope kAll: the partitions that it is about, ascending; empty for all.
  std::vector<PartitionId> within;

  // Copies `args`, whose arity has been checked.
  static OwnedRequest copy(const Command& command, Args args, bool resp3) {
    OwnedRequest request;
    request.command = &command;
    request.resp3 = resp3;
    std::size_t size = 0;
    for (std::string_view arg : args) size += arg.size();
    request.bytes = std::make_unique_for_overwrite<char[]>(size);
    request.args.reserve(args.size());
    char* end = request.bytes.get();
    for (std::string_view arg : args) {
      if (!arg.empty()) std::memcpy(end, arg.data(), arg.size());
      request.args.emplace_back(end, arg.size());
      end += arg.size();
    }
    return request;
  }

  std::unique_ptr<char[]> bytes;
};

// Takes the reply to one request; called once, on the thread that made the request.
using ReplySink = std::move_only_function<void(std::string reply)>;

}  // namespace even::server
