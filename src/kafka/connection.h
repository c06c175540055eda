// One client of topics: frames of Kafka's protocol in, answers out in the order of the requests,
// which are served beside each other. See docs/topics.md.
//
// On the thread of its shard. Kept by the thread until it is closed; what works for it on other
// threads holds no more than weak pointers to what it keeps.
#pragma once

#include <absl/container/flat_hash_set.h>

#include <array>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "engine/acl.h"
#include "kafka/sasl.h"
#include "net/stream.h"
#include "node/shard_thread.h"

namespace even::kafka {

class Connection : public std::enable_shared_from_this<Connection>, private SaslUsers {
 public:
  Connection(ShardThread& thread, Socket socket);
  ~Connection();

  void start();
  // Safe to repeat. What is under way for it is dropped.
  void close();

  ShardThread& thread() const { return thread_; }
  // The address of this node that the client connected to.
  const std::string& local_host() const { return local_host_; }
  // Where the client is.
  const std::string& remote_host() const { return remote_host_; }

  // --- Its user. Until it has one, a client may log in and ask for versions, no more.
  bool logged_in() const { return login_.has_value(); }
  // Whether the user may execute such a command of Redis's protocol, whose arity is right; if not,
  // it is noted for ACL LOG, if asked for.
  bool may(Args words, bool note);
  // When the thread has been given others.
  void users_changed();
  // Begins a login with SASL. Version 0: tokens follow as frames of their own.
  ErrorCode begin_login(std::string_view mechanism, int version);
  // Takes a token of it, if it is the time for one. Afterwards, if it failed, answers leave, and
  // nothing more is read.
  std::optional<Sasl::Step> take_login(std::string_view token);
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

  std::optional<Login> log_in(std::string_view name, std::string_view password) override;
  std::optional<ScramLogin> find_scram(std::string_view name) override;
  void note_denial(AclDenial::Reason reason, std::string_view object, std::string_view user) const;
  void await_login();
  bool serve_token(std::string_view token);

  void read();
  void read_body(std::size_t size);
  bool serve(std::shared_ptr<const std::string> frame);
  void answered();
  void write();

  ShardThread& thread_;
  Stream stream_;
  std::string remote_text_;
  std::string remote_host_;
  std::string local_text_;
  std::string local_host_;

  std::optional<Login> login_;
  bool by_sasl_ = false;  // it has logged in, it is not just anybody
  bool shaken_hands_ = false;
  bool raw_tokens_ = false;  // the next frame is one
  Sasl sasl_{*this};
  asio::steady_timer login_timer_;

  bool closed_ = false;
  bool closing_ = false;  // when what there is to write has been written
  bool reading_ = false;
  std::array<char, 4> size_;
  std::deque<std::shared_ptr<Slot>> slots_;
  std::size_t bytes_under_way_ = 0;  // of slots
  std::string writing_;              // empty: nothing is
  absl::flat_hash_set<std::shared_ptr<void>> work_;
};

}  // namespace even::kafka
