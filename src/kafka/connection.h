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
#include "kafka/quotas.h"
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
  // --- Its quotas. Bytes have been taken by who says to be `client_id`: if that is more than a
  // quota allows, nothing more is read for so long.
  void charge(cluster::QuotaKind kind, std::string_view client_id, std::size_t bytes);
  // Whether something that was taken has still to be paid for; nothing more is read until it is.
  bool hold_back(cluster::QuotaKind kind, std::string_view client_id);
  // What one request should take at most, as far as quotas say.
  std::int64_t portion(cluster::QuotaKind kind, std::string_view client_id);
  // For how long nothing more is read, in milliseconds, rounded up.
  std::int32_t throttle_time_ms() const;

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

  std::string why_no_login(std::string_view name) override;
  std::optional<Login> log_in(std::string_view name, std::string_view password) override;
  std::optional<ScramLogin> find_scram(std::string_view name) override;
  void note_denial(AclDenial::Reason reason, std::string_view object, std::string_view user) const;
  void await_login();
  bool serve_token(std::string_view token);

  struct KnownQuota {
    std::uint64_t version = 0;  // of the node's quotas; 0: none of them
    std::string client_id;
    std::shared_ptr<QuotaMeter> meter;
  };
  QuotaMeter* quota(cluster::QuotaKind kind, std::string_view client_id);
  void mute(std::int64_t wait_us);
  bool muted() const { return muted_until_us_ != 0; }

  void read();
  void read_body(std::size_t size);
  void take(std::shared_ptr<const std::string> frame);
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

  std::array<KnownQuota, cluster::kQuotaKinds> quotas_;
  asio::steady_timer mute_timer_;
  std::int64_t muted_until_us_ = 0;               // monotonic; 0: it is not
  std::shared_ptr<const std::string> held_back_;  // a frame that was read meanwhile

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
