// One client of topics: frames of Kafka's protocol in, answers out in the order of the requests,
// which are served beside each other. See docs/topics.md.
//
// On the thread of its shard. Kept by the thread until it is closed; what works for it on other
// threads holds no more than weak pointers to what it keeps.
#pragma once

#include <absl/container/flat_hash_set.h>

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "net/stream.h"
#include "node/shard_thread.h"

namespace even::kafka {

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(ShardThread& thread, Socket socket);
  ~Connection();

  void start();
  // Safe to repeat. What is under way for it is dropped.
  void close();

  ShardThread& thread() { return thread_; }
  // Work under way, until it is released.
  void keep(std::shared_ptr<void> work) { work_.insert(std::move(work)); }
  void release(const std::shared_ptr<void>& work) { work_.erase(work); }

 private:
  // The place of an answer among others. None: there is to be no answer.
  struct Slot {
    std::optional<std::string> answer;
    bool done = false;
    std::size_t bytes = 0;  // of both, as far as they are there
  };

  void read();
  void read_body(std::size_t size);
  bool serve(std::shared_ptr<const std::string> frame);
  void answered();
  void write();

  ShardThread& thread_;
  Stream stream_;
  bool closed_ = false;
  bool reading_ = false;
  std::array<char, 4> size_;
  std::deque<std::shared_ptr<Slot>> slots_;
  std::size_t bytes_under_way_ = 0;  // of slots
  std::string writing_;              // empty: nothing is
  absl::flat_hash_set<std::shared_ptr<void>> work_;
};

}  // namespace even::kafka
