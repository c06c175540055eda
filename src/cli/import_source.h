// A live Redis or Valkey that an import reads as a replica does (PSYNC). What it sends is kept in
// files, so that it need not wait for who applies it, and an import that was interrupted goes on.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/result.h"
#include "cli/resp_pipe.h"

namespace even::cli {

// Of a source, or a target.
struct ServerAddress {
  std::string host;
  std::uint16_t port = 0;
  std::string user;
  std::string password;
};

Result<> log_in(RespPipe& pipe, const ServerAddress& address);
// The keys that SCAN replies, and its cursor.
Result<std::string> read_scan(std::string_view reply, std::vector<std::string>& keys);
// Where the end of its stream is now: an offset as that of StreamPlace.
Result<std::uint64_t> stream_end(const ServerAddress& source);

// Where it is in the stream of a source.
struct StreamPlace {
  std::string replication;   // the source's replication id; empty: none yet
  std::uint64_t offset = 0;  // of the first byte in the file
  std::uint64_t bytes = 0;   // in the file
};

class ReplicaLink {
 public:
  // The file of the stream is appended to. `stopped`: whether begin() is to be given up.
  ReplicaLink(ServerAddress address, std::string dump_file, std::string stream_file,
              std::function<bool()> stopped)
      : address_(std::move(address)),
        dump_file_(std::move(dump_file)),
        stream_file_(std::move(stream_file)),
        stopped_(std::move(stopped)) {}
  ~ReplicaLink();

  // Goes on behind `place`, if the source still can; else `anew` is set, and the dump is received
  // and the stream begins anew. `progress`: bytes of the dump, and how many it has, 0 if that is
  // not known.
  Result<> begin(StreamPlace place, bool& anew,
                 const std::function<void(std::uint64_t, std::uint64_t)>& progress);
  // Receives the stream from now on, in a thread of its own.
  void start();
  // Bytes that the file has.
  std::uint64_t received() const { return received_.load(); }
  StreamPlace place() const;
  // The link has ended, and why; empty: it is up.
  std::string error() const;

 private:
  Result<> receive_dump(const std::string& head,
                        const std::function<void(std::uint64_t, std::uint64_t)>& progress);
  Result<std::string> line();
  // Adds what comes to `pending_`.
  Result<> await_more();
  void run();

  const ServerAddress address_;
  const std::string dump_file_;
  const std::string stream_file_;
  const std::function<bool()> stopped_;
  RespPipe pipe_;
  std::string pending_;  // received and not taken
  std::string replication_;
  std::uint64_t offset_ = 0;
  int stream_ = -1;
  std::atomic<std::uint64_t> received_ = 0;
  std::atomic<bool> ending_ = false;
  std::atomic<bool> failed_ = false;
  std::string error_;  // set before `failed_`
  std::thread thread_;
};

}  // namespace even::cli
