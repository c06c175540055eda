// A client's request with its own copy of the bytes: for everything that cannot run within the turn
// in which it arrived.
#pragma once

#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "client/slow_log.h"
#include "engine/command.h"

namespace even {

struct OwnedRequest {
  const Command* command = nullptr;
  bool resp3 = false;
  bool of_peer = false;                // another node has forwarded it
  std::vector<std::string_view> args;  // into `bytes`, as is what follows
  ClientLabel client;
  // Of scope kAll: the partitions that it is about, ascending; empty for all.
  std::vector<PartitionId> within;

  // Copies `args`, whose arity has been checked.
  static OwnedRequest copy(const Command& command, Args args, bool resp3,
                           const ClientLabel& client) {
    OwnedRequest request;
    request.command = &command;
    request.resp3 = resp3;
    std::size_t size = client.address.size() + client.name.size();
    for (std::string_view arg : args) size += arg.size();
    request.bytes = std::make_unique_for_overwrite<char[]>(size);
    request.args.reserve(args.size());
    char* end = request.bytes.get();
    const auto kept = [&end](std::string_view text) {
      if (!text.empty()) std::memcpy(end, text.data(), text.size());
      return std::string_view(std::exchange(end, end + text.size()), text.size());
    };
    for (std::string_view arg : args) request.args.push_back(kept(arg));
    request.client = {kept(client.address), kept(client.name)};
    return request;
  }

  std::unique_ptr<char[]> bytes;
};

// Takes the reply to one request; called once, on the thread that made the request.
using ReplySink = std::move_only_function<void(std::string reply)>;

}  // namespace even
