#include "kafka/connection.h"

#include <spdlog/spdlog.h>

#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include "base/bytes.h"
#include "kafka/apis.h"
#include "node/node_context.h"

namespace even::kafka {
namespace {

// As Kafka's socket.request.max.bytes.
constexpr std::size_t kMostFrameBytes = 100 << 20;
// No more is read while so much is under way.
constexpr std::size_t kMostRequests = 64;
constexpr std::size_t kMostBytes = 32 << 20;
// Of who has not logged in: a frame, one at a time, and how long that may take.
constexpr std::size_t kMostLoginBytes = 16 << 10;
constexpr std::chrono::seconds kLoginPatience{10};

}  // namespace

Connection::Connection(ShardThread& thread, Socket socket)
    : thread_(thread),
      stream_(std::move(socket), thread.node().tls.get()->kafka.get()),
      login_(default_login(thread)),
      login_timer_(thread.io()),
      mute_timer_(thread.io()) {
  error_code error;
  const tcp::endpoint remote = stream_.socket().remote_endpoint(error);
  if (!error) {
    remote_text_ = to_text(remote);
    remote_host_ = remote.address().to_string();
  }
  const tcp::endpoint local = stream_.socket().local_endpoint(error);
  if (error) return;
  local_text_ = to_text(local);
  local_host_ = local.address().to_string();
}

Connection::~Connection() { --thread_.node().connected_kafka_clients; }

void Connection::start() {
  await_login();
  if (!stream_.is_tls()) {
    shaken_hands_ = true;
    return read();
  }
  stream_.async_handshake(true, [self = shared_from_this()](error_code error) {
    if (self->closed_) return;
    if (error) {
      spdlog::debug("kafka port: {}: TLS handshake: {}", self->remote_text_, error.message());
      return self->close();
    }
    self->shaken_hands_ = true;
    self->read();
  });
}

// Who takes too long keeps a place from others.
void Connection::await_login() {
  login_timer_.expires_after(kLoginPatience);
  login_timer_.async_wait([weak = weak_from_this()](error_code error) {
    const auto self = weak.lock();
    if (error || !self || (self->login_ && self->shaken_hands_)) return;
    spdlog::debug("kafka port: {} has not logged in", self->remote_text_);
    self->close();
  });
}

void Connection::close() {
  const auto self = shared_from_this();
  thread_.remove_kafka_client(this);
  if (std::exchange(closed_, true)) return;
  login_timer_.cancel();
  mute_timer_.cancel();
  stream_.close();
  work_.clear();
}

void Connection::read() {
  if (closed_ || closing_ || reading_ || muted() || slots_.size() >= kMostRequests ||
      bytes_under_way_ + writing_.size() >= kMostBytes) {
    return;
  }
  if (!login_ && (!slots_.empty() || !writing_.empty())) return;
  reading_ = true;
  asio::async_read(stream_, asio::buffer(size_),
                   [self = shared_from_this()](error_code error, std::size_t) {
                     if (error || self->closed_) return self->close();
                     const auto size = get_big_endian<std::uint32_t>(self->size_.data());
                     const std::size_t most = self->login_ ? kMostFrameBytes : kMostLoginBytes;
                     if (size > most) {
                       // Anybody could fill the log.
                       spdlog::log(self->login_ ? spdlog::level::warn : spdlog::level::debug,
                                   "kafka port: {}: a request of {} bytes, which is more than {}",
                                   self->remote_text_, size, most);
                       return self->close();
                     }
                     self->read_body(size);
                   });
}

// Memory is taken as bytes come: a length alone costs nothing.
void Connection::read_body(std::size_t size) {
  struct Body {
    std::string bytes;
    std::size_t size;
  };
  auto body = std::make_shared<Body>(Body{{}, size});
  auto next = std::make_shared<std::function<void()>>();
  *next = [self = shared_from_this(), body, weak = std::weak_ptr(next)] {
    constexpr std::size_t kFirstStep = 16 << 10;
    constexpr std::size_t kMostStep = 1 << 20;
    const std::size_t had = body->bytes.size();
    const std::size_t step = std::min(std::clamp(had, kFirstStep, kMostStep), body->size - had);
    body->bytes.resize(had + step);
    asio::async_read(self->stream_, asio::buffer(body->bytes.data() + had, step),
                     [self, body, next = weak.lock()](error_code error, std::size_t) {
                       if (error || self->closed_) return self->close();
                       if (body->bytes.size() < body->size) return (*next)();
                       self->take(std::make_shared<const std::string>(std::move(body->bytes)));
                     });
  };
  (*next)();
}

void Connection::take(std::shared_ptr<const std::string> frame) {
  // It was on its way when another one's answer muted the connection.
  if (muted()) {
    held_back_ = std::move(frame);
    return;
  }
  reading_ = false;
  if (!serve(std::move(frame))) return close();
  read();
}

bool Connection::serve(std::shared_ptr<const std::string> frame) {
  if (raw_tokens_) return serve_token(*frame);
  auto slot = std::make_shared<Slot>();
  slot->bytes = frame->size();
  slots_.push_back(slot);
  bytes_under_way_ += slot->bytes;
  return even::kafka::serve(*this, std::move(frame),
                            [weak = weak_from_this(),
                             weak_slot = std::weak_ptr(slot)](std::optional<std::string> answer) {
                              const auto self = weak.lock();
                              const auto slot = weak_slot.lock();
                              if (!self || !slot) return;
                              slot->answer = std::move(answer);
                              if (slot->answer) {
                                slot->bytes += slot->answer->size();
                                self->bytes_under_way_ += slot->answer->size();
                              }
                              slot->done = true;
                              self->answered();
                            });
}

void Connection::answered() {
  if (closed_ || !writing_.empty()) return;
  while (!slots_.empty() && slots_.front()->done) {
    const std::shared_ptr<Slot> slot = std::move(slots_.front());
    slots_.pop_front();
    bytes_under_way_ -= slot->bytes;
    if (!slot->answer) continue;
    put_big_endian(writing_, static_cast<std::uint32_t>(slot->answer->size()));
    writing_ += *slot->answer;
  }
  if (!writing_.empty()) {
    write();
  } else if (closing_ && slots_.empty()) {
    return close();
  }
  read();
}

void Connection::write() {
  asio::async_write(stream_, asio::buffer(writing_),
                    [self = shared_from_this()](error_code error, std::size_t) {
                      if (error || self->closed_) return self->close();
                      self->writing_.clear();
                      self->answered();
                    });
}

// --- Its quotas

QuotaMeter* Connection::quota(cluster::QuotaKind kind, std::string_view client_id) {
  Quotas& all = *thread_.node().kafka_quotas;
  const std::uint64_t version = all.version();
  if (version == 0) return nullptr;
  KnownQuota& known = quotas_[static_cast<std::size_t>(kind)];
  if (known.version != version || known.client_id != client_id) {
    const std::string_view user =
        login_ && login_->user != nullptr ? std::string_view(login_->user->name()) : kDefaultUser;
    known = {version, std::string(client_id),
             all.find(kind, user, client_id, thread_.clock().monotonic_us())};
  }
  return known.meter.get();
}

void Connection::charge(cluster::QuotaKind kind, std::string_view client_id, std::size_t bytes) {
  QuotaMeter* meter = quota(kind, client_id);
  if (meter != nullptr) mute(meter->charge(bytes, thread_.clock().monotonic_us()));
}

bool Connection::hold_back(cluster::QuotaKind kind, std::string_view client_id) {
  QuotaMeter* meter = quota(kind, client_id);
  if (meter == nullptr) return false;
  const std::int64_t wait_us = meter->hold_back(thread_.clock().monotonic_us());
  mute(wait_us);
  return wait_us > 0;
}

std::int64_t Connection::portion(cluster::QuotaKind kind, std::string_view client_id) {
  const QuotaMeter* meter = quota(kind, client_id);
  return meter == nullptr ? INT64_MAX : meter->bucket().portion(thread_.clock().monotonic_us());
}

std::int32_t Connection::throttle_time_ms() const {
  if (!muted()) return 0;
  const std::int64_t left_us = muted_until_us_ - thread_.clock().monotonic_us();
  return static_cast<std::int32_t>(std::max<std::int64_t>(left_us + 999, 0) / 1'000);
}

void Connection::mute(std::int64_t wait_us) {
  const std::int64_t until_us = thread_.clock().monotonic_us() + wait_us;
  if (closed_ || wait_us == 0 || until_us <= muted_until_us_) return;
  muted_until_us_ = until_us;
  mute_timer_.expires_after(std::chrono::microseconds(wait_us));
  mute_timer_.async_wait([weak = weak_from_this()](error_code error) {
    const auto self = weak.lock();
    if (error || !self || self->closed_) return;
    // It may have been set anew when this was about to be called.
    const std::int64_t until_us = std::exchange(self->muted_until_us_, 0);
    self->mute(std::max<std::int64_t>(until_us - self->thread_.clock().monotonic_us(), 0));
    if (self->muted()) return;
    if (self->held_back_) return self->take(std::exchange(self->held_back_, nullptr));
    self->read();
  });
}

// --- Its user

std::string Connection::why_no_login(std::string_view name) {
  return even::why_no_login(thread_, name);
}

std::optional<Login> Connection::log_in(std::string_view name, std::string_view password) {
  return even::log_in(thread_, name, password);
}

std::optional<ScramLogin> Connection::find_scram(std::string_view name) {
  return find_scram_login(thread_, name);
}

ErrorCode Connection::begin_login(std::string_view mechanism, int version) {
  if (by_sasl_) return ErrorCode::kIllegalSaslState;
  const ErrorCode error = sasl_.begin(mechanism);
  raw_tokens_ = error == ErrorCode::kNone && version == 0;
  return error;
}

std::optional<Sasl::Step> Connection::take_login(std::string_view token) {
  if (!sasl_.begun()) return std::nullopt;
  const std::string mechanism(sasl_.mechanism_name());
  Sasl::Step step = sasl_.take(token);
  if (step.failed) {
    note_denial(AclDenial::Reason::kAuth, mechanism, step.user);
    login_.reset();
    closing_ = true;
  } else if (step.login) {
    login_ = step.login;
    quotas_ = {};
    by_sasl_ = true;
    raw_tokens_ = false;
  }
  return step;
}

// As before there was a request for it: a frame is a token, and so is its answer; who fails is told
// nothing.
bool Connection::serve_token(std::string_view token) {
  auto step = take_login(token);
  if (!step || step->failed) return false;
  auto slot = std::make_shared<Slot>();
  slot->answer = std::move(step->token);
  slot->bytes = slot->answer->size();
  slot->done = true;
  bytes_under_way_ += slot->bytes;
  slots_.push_back(std::move(slot));
  answered();
  return true;
}

bool Connection::may(Args words, bool note) {
  if (!login_) return false;
  if (login_->user == nullptr) return true;
  const std::optional<AclDenial> denial = login_->user->check(words);
  if (denial && note) note_denial(denial->reason, denial->object, login_->user->name());
  return !denial;
}

// Who is logged in stays so, by what its user may do now, unless that has been deleted or disabled,
// or nobody is `default` without a password any more.
void Connection::users_changed() {
  if (closed_ || !login_) return;
  const std::string name =
      login_->user == nullptr ? std::string(kDefaultUser) : login_->user->name();
  if (const std::string why = why_no_login(name); !why.empty()) {
    spdlog::info("kafka port: {}: {}", remote_text_, why);
    return close();
  }
  AclUserPointer user = find_user(thread_, name);
  if (is_gone(login_->user, user)) {
    spdlog::info("kafka port: {}: its user '{}' has been deleted", remote_text_, name);
    return close();
  }
  // `default` is again as the configuration says: who has not said its password has to.
  if (user == nullptr && login_->user != nullptr && thread_.node().options.has_password()) {
    return close();
  }
  const bool may_stay =
      by_sasl_ ? user == nullptr || user->enabled() : bool(default_login(thread_));
  if (!may_stay) return close();
  login_->user = std::move(user);
}

void Connection::note_denial(AclDenial::Reason reason, std::string_view object,
                             std::string_view user) const {
  NodeContext& node = thread_.node();
  node.acl_log.add({.reason = reason,
                    .where = AclLog::Where::kToplevel,
                    .object = std::string(object),
                    .user = std::string(user),
                    .client = fmt::format("addr={} laddr={} protocol=kafka tls={}", remote_text_,
                                          local_text_, stream_.is_tls() ? "yes" : "no"),
                    .at_ms = thread_.clock().wall_ms()},
                   node.options.acl_log_length.load(std::memory_order_relaxed));
}

}  // namespace even::kafka
