#include "client/connection.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>

#include "base/memory.h"
#include "client/connection_commands.h"
#include "client/events_of_transaction.h"
#include "engine/blocking.h"
#include "engine/databases.h"
#include "engine/outbox.h"
#include "engine/text.h"
#include "node/level_requests.h"
#include "node/login.h"
#include "node/shard_thread.h"
#include "resp/resp_merge.h"

namespace even {
namespace {

constexpr std::size_t kTlsChunk = 16 * 1024;

std::string endpoint_text(const tcp::endpoint& endpoint, error_code error) {
  return error ? "?" : to_text(endpoint);
}

bool is_function_call(const Command& command) {
  return command.script && command.name.starts_with("fcall");
}

const Command& eval_row_of(const Command& function_call) {
  static const Command* const eval = find_command("eval");
  static const Command* const eval_ro = find_command("eval_ro");
  return (function_call.flags & kReadonly) != 0 ? *eval_ro : *eval;
}

// As Redis refuses it; an error's text, or empty.
std::string refusal_of_function_call(bool known, Args args) {
  if (!known) return "ERR Function not found";
  const std::optional<std::int64_t> keys = parse_integer(args[2]);
  if (!keys) return "ERR Bad number of keys provided";
  if (*keys > static_cast<std::int64_t>(args.size()) - 3) {
    return "ERR Number of keys can't be greater than number of args";
  }
  return *keys < 0 ? "ERR Number of keys can't be negative" : std::string();
}

// Words that begin lines of an HTTP request, as Redis looks out for them.
bool is_http(std::string_view word) {
  return equals_ignore_case(word, "post") || equals_ignore_case(word, "host:");
}

}  // namespace

Connection::Connection(ShardThread& thread, Socket socket, std::uint64_t id) : thread_(thread) {
  session_.id = id;
  session_.descriptor = socket.native_handle();
  error_code error;
  session_.address = endpoint_text(socket.remote_endpoint(error), error);
  session_.local_address = endpoint_text(socket.local_endpoint(error), error);
  become_default_user();
  session_.created_us = session_.last_request_us = thread.clock().monotonic_us();
  if (const TlsContext tls = thread.node().tls.get()->client) {
    tls_ = std::make_unique<Stream>(std::move(socket), tls.get());
  } else {
    prepare_socket(socket);
    plain_ = socket.release(error);
  }
}

Connection::~Connection() {
  if (plain_ >= 0) ::close(plain_);
}

void Connection::start() {
  if (!tls_) {
    reading_ = thread_.poller().add(plain_, session_.id);
    if (!reading_) close(std::strerror(errno));
    return;
  }
  tls_->async_handshake(true, [self = shared_from_this()](error_code error) {
    if (self->closed_) return;
    error ? self->close("TLS handshake: " + error.message()) : self->read();
  });
}

std::string Connection::describe() const {
  return client_line(session_,
                     {.query_bytes = input_.size(),
                      .query_free = input_.capacity() - input_.size(),
                      .output_bytes = replies_.size() + tls_output_.size(),
                      .output_blocks = replies_.blocks() + (tls_output_.empty() ? 0 : 1),
                      .output_memory = replies_.memory() + heap_bytes(tls_output_),
                      .pending_bytes = pending_bytes_,
                      .pending_requests = pending_,
                      .channels = subscriptions(SubscriptionKind::kChannel),
                      .patterns = subscriptions(SubscriptionKind::kPattern),
                      .shard_channels = subscriptions(SubscriptionKind::kShardChannel),
                      .blocked = blocked_request_ != nullptr || block_ == Block::kPause,
                      .queued = transaction_.length(),
                      .transaction_bytes = transaction_.bytes(),
                      .reading = reading_,
                      .writing = writing_},
                     last_command_ == nullptr ? "NULL" : std::string_view(last_command_->name),
                     thread_.clock().monotonic_us());
}

std::int64_t Connection::idle_us() const {
  return thread_.clock().monotonic_us() - session_.last_request_us;
}

bool Connection::may_read() const { return !closed_ && !closing_ && block_ == Block::kNone; }

void Connection::read() {
  if (reading_ || !may_read()) return;
  reading_ = true;
  if (!tls_) return thread_.poller().watch(plain_, session_.id, reading_, writing_);
  tls_input_.resize(kTlsChunk);
  tls_->async_read_some(asio::buffer(tls_input_),
                        [self = shared_from_this()](error_code error, std::size_t bytes) {
                          self->reading_ = false;
                          if (self->closed_) return;
                          // A client may close its side once it has sent its last request; the
                          // replies are still due.
                          if (error == asio::error::eof) return self->finish();
                          if (error) return self->close(error.message());
                          self->thread_.traffic().input_bytes += bytes;
                          self->take(std::string_view(self->tls_input_).substr(0, bytes));
                        });
}

void Connection::on_ready(Readiness what) {
  if (closed_) return;
  if (what.writable && writing_) {
    writing_ = false;
    thread_.poller().watch(plain_, session_.id, reading_, writing_);
    note_dirty();
  }
  if (!what.readable && !what.broken) return;
  if (may_read()) return on_plain_readable();
  // Nobody is left to read the replies, and the poller would not stop to say so.
  if (what.broken) return close("the client has gone");
  if (!reading_) return;
  reading_ = false;  // until read()
  thread_.poller().watch(plain_, session_.id, reading_, writing_);
}

void Connection::on_plain_readable() {
  // A long request is received where it stays; everything else goes through the thread's buffer and
  // leaves nothing behind.
  const int fd = plain_;
  ssize_t received;
  std::string_view fresh;
  if (input_.empty()) {
    const std::span<char> buffer = thread_.read_buffer();
    received = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (received > 0) fresh = std::string_view(buffer.data(), static_cast<std::size_t>(received));
  } else {
    const std::size_t before = input_.size();
    // No more than is there already, however much a request has announced.
    const std::size_t missing = parser_.needed() > before ? parser_.needed() - before : 0;
    const std::size_t room = std::max<std::size_t>(thread_.read_buffer().size(),
                                                   std::min({missing, before, kMostPlainBytes}));
    // Each time that the buffer grows, it is copied: seldom, but to no more than a fair multiple of
    // what is there. What it grows to in the end is twice what it was or more: a string that is to
    // grow by less doubles, into a block that was not expected.
    if (missing > 0 && input_.capacity() < before + room) {
      const std::size_t grown = before + (missing <= 7 * before ? missing : 3 * before) + room;
      if (grown >= long_blocks::kLeast && !long_blocks::ready(pages_.latest()))
        return await_pages();
      input_.reserve(grown);
    }
    input_.resize_and_overwrite(before + room, [&](char* data, std::size_t) {
      received = ::recv(fd, data + before, room, 0);
      return before + static_cast<std::size_t>(std::max<ssize_t>(received, 0));
    });
  }
  if (received > 0) {
    thread_.traffic().input_bytes += static_cast<std::size_t>(received);
    return take(fresh);
  }
  if (received < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
  // A client may close its side once it has sent its last request; the replies are still due.
  if (received == 0) return finish();
  close(std::strerror(errno));
}

// Once some of a long request is there, memory for all of it is made ready while the rest comes.
void Connection::expect_long_request() {
  if (!pages_ && input_.size() >= kMostPlainBytes) {
    pages_.expect(parser_.needed(), 1 + blocks_to_execute());
  }
}

// Beside the buffer it is received in: a frame of the log and what is kept; and a message to
// another node, of which there is one at a time.
std::size_t Connection::blocks_to_execute() const {
  return thread_.node().config.cluster.nodes.size() > 1 ? 4 : 3;
}

void Connection::await_pages() {
  block_ = Block::kPages;
  if (std::exchange(reading_, false) && !tls_) {
    thread_.poller().watch(plain_, session_.id, reading_, writing_);
  }
  thread_.when_ready(pages_.latest(), [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->unblock(Block::kPages);
  });
}

// `fresh` has just been received; when it is empty, what has been is in input_ already.
void Connection::take(std::string_view fresh) {
  session_.last_request_us = thread_.turn_time_us();
  if (input_.empty()) {
    const std::size_t used = execute_all(fresh);
    if (!closed_ && used < fresh.size()) input_.assign(fresh.substr(used));
  } else {
    input_.append(fresh);
    expect_long_request();
    if (input_.size() >= parser_.needed() && !pages_.there(blocks_to_execute())) {
      return await_pages();
    }
    const std::size_t used = execute_all(input_);
    if (used > 0) pages_ = {};
    if (used == input_.size()) {
      input_.clear();
      if (input_.capacity() > kKeptCapacity) input_.shrink_to_fit();
    } else {
      input_.erase(0, used);
    }
  }
  if (closed_) return;
  if (input_.size() > thread_.node().options.query_buffer_bytes) {
    return close("more than client.query_buffer_bytes of requests wait");
  }
  note_dirty();
  read();
}

std::size_t Connection::execute_all(std::string_view bytes) {
  RequestBatch& batch = thread_.batch();
  std::size_t used = 0;
  while (used < bytes.size()) {
    const RespLimits limits{
        .max_bulk_bytes = thread_.node().options.max_request_bytes.load(std::memory_order_relaxed),
        .authenticated = session_.authenticated};
    const RespParser::Status status = batch.parse(parser_, bytes.substr(used), limits);
    if (batch.size() > 1 && !thread_.lease().lent()) thread_.shard().prefetch(batch.lookups());
    if (!std::exchange(fetched_, false) && thread_.shard().any_cold() && fetch(batch)) {
      block_ = Block::kStore;
      parser_.restart();
      return used;
    }
    used += execute_batch(batch);
    if (closing_ || closed_) return used;
    if (block_ != Block::kNone) {
      parser_.restart();
      return used;
    }
    if (status == RespParser::Status::kIncomplete) break;
    if (status == RespParser::Status::kError && !closing_ && !closed_) {
      replies_.begin_reply();
      std::string& replies = replies_.tail();
      const std::size_t begin = replies.size();
      reply().error(parser_.error());
      thread_.traffic().note_error(std::string_view(replies).substr(begin));
      if (!replies_wanted()) replies.resize(begin);
      closing_ = true;
      spdlog::debug("client {} ({}): {}", session_.id, session_.address, parser_.error());
      return bytes.size();
    }
  }
  return used;
}

namespace {

// What is executed at once between MULTI and EXEC.
bool ends_or_begins_transaction(const Command& command) {
  return (command.group == "transactions" && command.name != "unwatch") || command.name == "quit" ||
         command.name == "reset";
}

// Why EVEN.WITH and EVEN.ONCE cannot stand before this command.
std::string refusal_of_options(const Command& command, const RequestOptions& options,
                               bool in_transaction) {
  if (command.name == "exec" && in_transaction) {
    if (options.level == cluster::Level{}) return {};
    return "ERR EXEC has no level of its own: EVEN.CONSISTENCY sets the connection's";
  }
  if (in_transaction) {
    return "ERR EVEN.WITH and EVEN.ONCE are not allowed inside a transaction: EVEN.ONCE id EXEC "
           "executes all of it once";
  }
  if (command.scope != Scope::kConnection && command.group != "transactions") return {};
  return fmt::format("ERR EVEN.WITH and EVEN.ONCE are for commands about keys, which '{}' is not",
                     command.name);
}

}  // namespace

bool Connection::fetch(const RequestBatch& batch) {
  if (closing_ || closed_ || thread_.lease().lent() || !session_.authenticated) return false;
  std::vector<Need> needs;
  const DatabaseNumber stored_database = database().stored();
  StableList<std::string> names;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const Command* command = batch.command(i);
    if (command == nullptr || command->scope != Scope::kKeys) continue;
    if (!check_arity(*command, batch.args(i)).empty()) continue;
    for_each_need(*command, batch.args(i), [&](Need need) {
      if (needs_header(stored_database, need.key)) {
        need.key = names.emplace_back(stored_key(stored_database, need.key));
      }
      needs.push_back(need);
    });
  }
  const bool replaying = thread_.shard().await_replay(needs, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->unblock(Block::kStore);
  });
  if (replaying) return true;
  return thread_.shard().fetch(needs, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    // Once: what cannot be had this way is read when a command asks for it.
    self->fetched_ = true;
    self->unblock(Block::kStore);
  });
}

std::size_t Connection::execute_batch(const RequestBatch& batch) {
  CommandTimer& timer = thread_.timer();
  timer.start(thread_.clock().monotonic_us());
  std::size_t first = 0;  // the timer's first lap
  std::size_t used = 0;
  in_batch_ = true;
  for (std::size_t i = 0; i < batch.size() && !closing_ && !closed_; ++i) {
    block_ = blocked();
    if (block_ != Block::kNone) break;
    const Command* command = batch.command(i);
    if (i > first && command != nullptr && command->scope == Scope::kConnection) {
      // It may ask for the slow log, which is to have what came before.
      log_slow(batch, first);
      timer.start(thread_.clock().monotonic_us());
      first = i;
    }
    executed_here_ = false;
    block_ = execute(command, batch.args(i), batch.lookup(i));
    if (block_ != Block::kNone) break;
    const std::uint64_t cycles = timer.lap(executed_here_);
    if (executed_here_) last_command_->cycles += cycles;
    used += batch.bytes(i);
  }
  log_slow(batch, first);
  in_batch_ = false;
  return used;
}

void Connection::log_slow(const RequestBatch& batch, std::size_t first) {
  const std::int64_t least_us = thread_.node().options.least_slow_us();
  if (least_us < 0) return;
  thread_.timer().stop(thread_.clock().monotonic_us(), least_us,
                       [&](std::size_t lap, std::int64_t us) {
                         const std::size_t i = first + lap;
                         thread_.log_slow(*batch.command(i), batch.args(i), label(), us);
                       });
}

Connection::Block Connection::blocked() const {
  if (executing_) return Block::kExec;
  if (waiting_for_slots_ && replies_.has_open_slots()) return Block::kSlots;
  if (too_much_waits()) return Block::kOutput;  // until flush() has got rid of some
  return Block::kNone;
}

Connection::Block Connection::execute(const Command* command, Args args, const Lookup* lookup) {
  if (args.empty()) return Block::kNone;
  const std::uint64_t slots = replies_.slots_opened();
  replies_.begin_reply();
  reply_begin_ = replies_.tail().size();
  bool rejected = false;
  const Block block = execute_request(command, args, lookup, rejected);
  if (block != Block::kNone || closed_) return block;
  // One that comes later is looked at in complete().
  if (replies_.slots_opened() == slots) {
    std::string& replies = replies_.tail();
    if (replies.size() > reply_begin_ && replies[reply_begin_] == '-') {
      thread_.traffic().note_error(std::string_view(replies).substr(reply_begin_));
      if (!rejected) ++last_command_->failed;
    }
    // Asked only now: CLIENT REPLY ON has a reply, and CLIENT REPLY OFF has none.
    if (!replies_wanted()) replies.resize(reply_begin_);
  }
  release_pushes();
  session_.skips_reply = std::exchange(session_.skips_next_reply, false);
  if (session_.tracking.on) [[unlikely]] {
    // CLIENT CACHING is about what comes next, which may be a transaction.
    const bool about_client = command != nullptr && command->name == "client";
    if (!about_client && !transaction_.open()) session_.tracking.caching = false;
    // So that it hears of what it has done before the next reply.
    thread_.deliver_invalidations();
  }
  return Block::kNone;
}

Connection::Block Connection::execute_request(const Command* command, Args args,
                                              const Lookup* lookup, bool& rejected,
                                              RequestOptions* options) {
  waiting_for_slots_ = false;
  rejected = true;
  if (command == nullptr) {
    if (is_http(args[0])) {
      // A browser that was tricked into sending a page's form here must not get a word further.
      spdlog::warn("client {} ({}) speaks HTTP: closed", session_.id, session_.address);
      close("speaks HTTP");
      return Block::kNone;
    }
    transaction_.fail();
    reply().error(unknown_command(args));
    return Block::kNone;
  }
  CommandStats::Entry& entry = thread_.stats().find(*command, args);
  std::string error = check_arity(*command, args);
  // It has a word that no client may write.
  if (command->of_stored_words) error = wrong_arity(command->name);
  if (!error.empty()) {
    ++entry.rejected;
    transaction_.fail();
    reply().error(error);
    return Block::kNone;
  }
  if (!session_.authenticated && (command->flags & kNoAuth) == 0) {
    ++entry.rejected;
    reply().error(refusal_of_strangers(thread_));
    return Block::kNone;
  }
  if (session_.limited) [[unlikely]] {
    if (const std::optional<AclDenial> denial = denied(args)) {
      ++entry.rejected;
      transaction_.fail();
      reply().error(denial->reply());
      return Block::kNone;
    }
  }
  if (command->script && command->name.starts_with("eval") &&
      !command->name.starts_with("evalsha")) {
    if (const std::string refusal = refusal_of_script(args[1]); !refusal.empty()) {
      ++entry.rejected;
      transaction_.fail();
      reply().error(refusal);
      return Block::kNone;
    }
  }
  if (command->scope == Scope::kInner) {
    RequestOptions fresh;
    return execute_inner(*command, args, rejected, options != nullptr ? *options : fresh);
  }
  if (options != nullptr) {
    if (const std::string error = refusal_of_options(*command, *options, transaction_.open());
        !error.empty()) {
      ++entry.rejected;
      transaction_.fail();
      reply().error(error);
      return Block::kNone;
    }
  }
  if (subscribed() && !session_.resp3 && !allowed_while_subscribed(*command)) {
    ++entry.rejected;
    transaction_.fail();
    reply().error(refusal_while_subscribed(*command, entry.name));
    return Block::kNone;
  }
  if (thread_.node().pause.any() && is_paused(*command)) [[unlikely]] {
    thread_.wait_for_pause(weak_from_this());
    return Block::kPause;
  }
  if (transaction_.open() && !ends_or_begins_transaction(*command)) {
    if ((command->flags & kNoMulti) != 0) {
      ++entry.rejected;
      transaction_.fail();
      reply().error("ERR Command not allowed inside a transaction");
      return Block::kNone;
    }
    last_command_ = &entry;
    queue(*command, args);
    return Block::kNone;
  }
  rejected = false;
  const DatabaseNumber shown = session_.database;
  // From here on by their stored names; `command` and `args` are what the client has said.
  std::optional<StoredWords> stored;
  const Command* executed = command;
  Args words = args;
  const DatabaseNumber stored_database = thread_.node().databases.load().stored(session_.database);
  if (needs_stored_words(*command, args, stored_database)) [[unlikely]] {
    store_words(*command, args, database(), stored.emplace());
    executed = stored->command;
    words = stored->words;
    lookup = nullptr;
  }
  const bool of_transactions = command->group == "transactions";
  const bool exec = of_transactions && command->name == "exec";
  if (((command->flags & kDenyOom) != 0 || command->script || (exec && transaction_.may_grow())) &&
      thread_.must_wait_for_store()) {
    thread_.wait_for_store(weak_from_this());
    return Block::kMemory;
  }
  if (session_.tracking.on) [[unlikely]]
    remember_keys(*command, args);
  if (of_transactions && (exec || command->name == "watch")) {
    if (replies_.has_open_slots()) return Block::kSlots;
    CommandStats::Entry* const before = std::exchange(last_command_, &entry);
    const Block block =
        exec ? execute_exec(*command, args, options) : execute_watch(*executed, words);
    if (block != Block::kNone) {
      last_command_ = before;
      return block;
    }
  } else if (may_block(*command, args) && options == nullptr) {
    if (replies_.has_open_slots()) return Block::kSlots;
    last_command_ = &entry;
    execute_blocking(*executed, words, *command, args);
  } else if (command->scope != Scope::kConnection) {
    CommandStats::Entry* const before = std::exchange(last_command_, &entry);
    const Block block = execute_keys(*executed, words, lookup, options);
    if (block != Block::kNone) {
      last_command_ = before;
      return block;
    }
  } else {
    if (replies_.has_open_slots()) return Block::kSlots;
    last_command_ = &entry;
    executed_here_ = true;
    execute_connection_command(*this, *command, args);
    waiting_for_slots_ = replies_.has_open_slots();
  }
  // What EXEC has executed comes before it.
  if (thread_.node().monitors.any() && !exec && !closed_) [[unlikely]] {
    show_to_monitors(*command, args, shown);
  }
  thread_.count(entry);
  return Block::kNone;
}

Connection::Block Connection::execute_inner(const Command& command, Args args, bool& rejected,
                                            RequestOptions& options) {
  const Result<Args> inner = read_options(command, args, options);
  if (!inner) {
    ++thread_.stats().find(command, args).rejected;
    transaction_.fail();
    reply().error(inner.error().message);
    return Block::kNone;
  }
  own_once(options.once);
  return execute_request(find_command(*inner), *inner, nullptr, rejected, &options);
}

// An id of EVEN.ONCE is its user's: nobody is given the reply that another user got. As it is for
// the default user, who had all of them before.
void Connection::own_once(std::string& id) const {
  if (id.empty() || (session_.user_name() == kDefaultUser && id.front() != '\0')) return;
  id = std::string(1, '\0').append(session_.user_name()).append(1, '\0').append(id);
}

std::unique_ptr<RequestOptions> Connection::options_of(bool writes, bool strong,
                                                       RequestOptions* options,
                                                       cluster::Level keyspace) {
  constexpr auto kDefault = cluster::Level::Kind::kDefault;
  cluster::Level level = writes ? session_.write_level : session_.read_level;
  if (level.kind == kDefault) level = keyspace;
  if (options == nullptr && !strong && level.kind == kDefault && !reach_) return nullptr;
  auto out = options != nullptr ? std::make_unique<RequestOptions>(*options)
                                : std::make_unique<RequestOptions>();
  if (out->level.kind == kDefault) out->level = level;
  if (strong && !groups_) groups_ = std::make_shared<GroupsOfClient>();
  out->groups = groups_;
  return out;
}

cluster::Level Connection::keyspace_level(const Command& command, Args args, bool writes) const {
  if (!thread_.any_levels()) return {};
  return level_of_keyspaces(thread_.keyspaces(), command, args, writes,
                            thread_.node().config.cluster.replicas);
}

AsksForSession Connection::asks_of(const Command& command, Args args, bool writes,
                                   const RequestOptions* options) const {
  if (!thread_.any_levels()) return {};
  AsksForSession asks = asks_for_session(thread_.keyspaces(), command, args, writes);
  constexpr auto kDefault = cluster::Level::Kind::kDefault;
  const cluster::Level level = writes ? session_.write_level : session_.read_level;
  // What the keyspace says holds unless the request or the connection says something else.
  asks.now =
      asks.now && level.kind == kDefault && (options == nullptr || options->level.kind == kDefault);
  return asks;
}

void Connection::add_session(std::unique_ptr<RequestOptions>& options, const AsksForSession& asks) {
  using Kind = cluster::Level::Kind;
  const bool asked =
      asks.now ||
      (options && (options->level.kind == Kind::kSession || options->level.kind == Kind::kCausal));
  if (!asked && !asks.ever && !reach_) return;
  begin_session();
  if (!options) options = std::make_unique<RequestOptions>();
  options->session = reach_;
  options->in_session = asked;
}

SessionReach& Connection::begin_session() {
  if (!reach_) reach_ = std::make_shared<SessionReach>();
  return *reach_;
}

GroupsOfClient& Connection::groups() {
  if (!groups_) groups_ = std::make_shared<GroupsOfClient>();
  return *groups_;
}

void Connection::forget_session() {
  reach_.reset();
  groups_.reset();
  used_untracked_ = used_elsewhere_untracked_ = false;
}

// At ONE it counts as all do of which nothing is noted.
void Connection::note_executed(const RequestOptions& options, bool writes) {
  using Kind = cluster::Level::Kind;
  const Kind kind = options.level.kind;
  if (kind == Kind::kDefault || kind == Kind::kOne) return;
  thread_.levels().executed({kind, false, writes});
}

void Connection::count_level(const RequestOptions* options) {
  if (options == nullptr || options->level.kind == cluster::Level::Kind::kDefault) return;
  ++thread_.traffic().at_level[static_cast<std::size_t>(options->level.kind)];
}

bool Connection::is_fresh(const Command& command, Args args, const RequestOptions& options) const {
  if (options.level.kind != cluster::Level::Kind::kBounded || options.session ||
      !options.once.empty() || command.scope != Scope::kKeys || may_write(command) ||
      thread_.shard().any_cold() || thread_.lease().lent()) {
    return false;
  }
  return thread_.bounded().is_fresh(partitions_of(command, args, thread_.node().placement),
                                    options.level.number);
}

bool Connection::execute_in_session(const Command& command, Args args,
                                    const RequestOptions& options, const Lookup* lookup) {
  using Kind = cluster::Level::Kind;
  const Kind level = options.level.kind;
  Shard& shard = thread_.shard();
  const bool causal = level == Kind::kCausal;
  if (!causal && level != Kind::kSession && level != Kind::kOne && level != Kind::kDefault) {
    return false;
  }
  if (command.scope != Scope::kKeys || !options.once.empty() || thread_.lease().lent() ||
      shard.any_cold() || shard.lists_much(command, args)) {
    return false;
  }
  const std::vector<PartitionId> partitions =
      partitions_of(command, args, thread_.node().placement);
  if (options.in_session && !shard.has_seen(reach_->of(partitions))) return false;
  if (causal && !shard.is_causal(partitions)) return false;
  if (causal && may_write(command)) {
    for (const PartitionId id : partitions) {
      if (std::string error = shard.add_causes(id, reach_->all()); !error.empty()) {
        replies_.tail() += error;
        return true;
      }
    }
  }
  std::string& replies = replies_.tail();
  const std::size_t begin = replies.size();
  const TrackingTable::Writer writer(session_.id);
  const LogPosition position =
      shard.execute(command, args, session_.resp3, replies, {}, {}, lookup);
  if (shard.lacks_rights()) {
    replies.resize(begin);  // they are waited for
    return false;
  }
  replies_.hold_until(position);
  reach_->note(shard.reach_of(partitions, false), may_write(command));
  // They can be read, as a moment ago.
  if (causal) reach_->merge(shard.causes_of(partitions).value_or(PartitionReach()));
  return true;
}

Connection::Block Connection::execute_keys(const Command& command, Args args, const Lookup* lookup,
                                           RequestOptions* options) {
  if (is_function_call(command)) {
    const auto text = thread_.libraries().find(args[1]);
    if (const std::string refusal = refusal_of_function_call(text != nullptr, args);
        !refusal.empty()) {
      reply().error(refusal);
      return Block::kNone;
    }
    const Command& by_text = eval_row_of(command);
    std::vector<std::string_view> words(args.begin(), args.end());
    words[0] = by_text.name;
    words[1] = *text;
    return execute_keys(by_text, words, lookup, options);
  }
  if (command.script && !is_as_user(command) && (session_.limited || !database().is_plain()))
      [[unlikely]] {
    const Database selected = database();
    const std::string rights =
        with_database(selected, session_.limited ? rights_of(*session_.user) : std::string());
    std::vector<std::string_view> words = {kAsUserName, rights};
    words.insert(words.end(), args.begin(), args.end());
    return execute_keys(as_user_row(command), words, lookup, options);
  }
  const Route route = thread_.router().route(command, args);
  std::unique_ptr<RequestOptions> wanted;
  const bool strong = route.where == Route::Where::kStrong;
  const bool writes = may_write(command);
  if ((strong || options != nullptr || session_.has_levels() || thread_.any_levels() || reach_) &&
      (command.scope == Scope::kAll || !command.keys.none())) {
    wanted = options_of(writes, strong, options, keyspace_level(command, args, writes));
    if (!strong) add_session(wanted, asks_of(command, args, writes, options));
  }
  if (!reach_ && !strong) {
    used_untracked_ = true;
    used_elsewhere_untracked_ |= route.where == Route::Where::kOtherNodes;
  }
  if (wanted && wanted->session && route.where == Route::Where::kHere) {
    if (replies_.has_open_slots()) return Block::kSlots;
    if (execute_in_session(command, args, *wanted, lookup)) {
      executed_here_ = true;
      count_level(wanted.get());
      note_executed(*wanted, writes);
      return Block::kNone;
    }
  }
  std::unique_ptr<RequestOptions> fresh;  // a bounded read that needs nothing more
  if (wanted && route.where == Route::Where::kHere && is_fresh(command, args, *wanted)) {
    fresh = std::move(wanted);
  }
  const bool bounded = wanted && wanted->level.kind == cluster::Level::Kind::kBounded;
  // Another node may execute it.
  if (!reach_ && bounded && !strong) used_elsewhere_untracked_ = true;
  const bool here = route.where == Route::Where::kHere && !wanted;
  if (command.scope == Scope::kAll && thread_.node().replaying > 0) {
    thread_.when_replayed([weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->unblock(Block::kShard);
    });
    return Block::kShard;
  }
  if (here && thread_.lease().lent() &&
      thread_.node().scripts.any_busy(thread_.clock().monotonic_us())) {
    if (replies_.has_open_slots()) return Block::kSlots;
    replies_.tail() += kBusyReply;
    return Block::kNone;
  }
  if (here && thread_.lease().lent()) {
    thread_.lease().when_free([self = shared_from_this()] { self->unblock(Block::kShard); });
    return Block::kShard;
  }
  // Of a string it comes out while it is read, at no cost to the short ones.
  if (here && (command.lists == Lists::kString || !thread_.shard().lists_much(command, args))) {
    bool too_long = false;
    std::string& replies = replies_.tail();
    const std::size_t begin = replies.size();
    Shard& shard = thread_.shard();
    const TrackingTable::Writer writer(session_.id);
    const LogPosition position =
        shard.execute(command, args, session_.resp3, replies, {}, {}, lookup, &too_long);
    const bool waits = shard.lacks_rights();
    if (waits) replies.resize(begin);
    if (!too_long && !waits) {
      count_level(fresh.get());
      if (fresh) note_executed(*fresh, writes);
      executed_here_ = true;
      replies_.hold_until(position);
      return Block::kNone;
    }
  }
  // Commands on one key stay in order by themselves: the same key takes the same way, and those to
  // one group the same lane. Others neither overtake nor are overtaken; nor is what is executed
  // here in steps, so that a client has one such reply in the making and not one for each request
  // of a pipeline. What is to be at several replicas has its place in the order only if it is
  // written right here.
  const bool at_once = route.where == Route::Where::kHere && writes && command.keys.one() &&
                       !thread_.shard().any_cold();
  // One in a session, or of bounded age, waits for what may take any time.
  const bool in_order = wanted && (wanted->session || (bounded && !strong)) ? false
                        : wanted && is_quorum(wanted->level) && !strong
                            ? at_once
                            : route.where == Route::Where::kOtherShard || strong ||
                                  (route.where == Route::Where::kOtherNodes &&
                                   command.scope == Scope::kKeys && command.keys.one());
  if (writes && route.where == Route::Where::kOtherNodes) session_.wrote_elsewhere = true;
  if (!in_order && replies_.has_open_slots()) return Block::kSlots;
  waiting_for_slots_ = !in_order;
  std::vector<std::string> uncertain;
  if (session_.tracking.on) [[unlikely]] {
    uncertain = uncertain_keys(command, args, route, fresh ? nullptr : wanted.get());
  }
  const std::uint64_t slot = open_slot();
  std::size_t bytes = 0;
  for (std::string_view word : args) bytes += word.size();
  ++pending_;
  pending_bytes_ += bytes;
  OwnedRequest request = OwnedRequest::copy(command, args, session_.resp3, label());
  count_level(fresh ? fresh.get() : wanted.get());
  LevelMeter::Call noted =
      begin_call(thread_, command, args, strong, fresh ? fresh.get() : wanted.get());
  if (last_command_->about != CommandStats::About::kOther) thread_.levels().set_aside(writes);
  request.options = std::move(wanted);
  thread_.router().submit(
      std::move(request),
      [weak = weak_from_this(), slot, entry = last_command_, bytes, noted = std::move(noted),
       &thread = thread_, uncertain = std::move(uncertain)](std::string reply) {
        if (entry->about != CommandStats::About::kOther) end_call(thread, noted, reply);
        const auto self = weak.lock();
        if (!self) return;
        self->complete_pending(slot, std::move(reply), entry, bytes);
        if (!uncertain.empty()) self->invalidate(uncertain, false);
      });
  return Block::kNone;
}

void Connection::queue(const Command& command, Args args) {
  OwnedRequest request;
  if (command.name == "even.emit") {
    Result<OwnedRequest> event = queued_event(thread_, args, session_.resp3, label());
    if (!event) {
      transaction_.fail();
      return reply().error(event.error().message);
    }
    request = std::move(*event);
  } else {
    request = OwnedRequest::copy(command, args, session_.resp3, label());
  }
  request.database = transaction_.database();
  const std::size_t limit =
      thread_.node().options.query_buffer_bytes.load(std::memory_order_relaxed);
  if (transaction_.bytes() + request.memory() > limit) {
    transaction_.fail();
    return reply().error(fmt::format(
        "ERR the transaction is larger than client.query_buffer_bytes ({} bytes): EXEC it in "
        "several",
        limit));
  }
  transaction_.queue(std::move(request));
  if (command.name == "select") {
    if (const auto chosen = read_database(args[1])) transaction_.select(*chosen);
  }
  reply().simple("QUEUED");
}

Database Connection::database() const {
  return {thread_.node().databases.load(), session_.database};
}

void Connection::execute_blocking(const Command& command, Args args, const Command& asked_command,
                                  Args asked) {
  asked_ = OwnedRequest::copy(asked_command, asked, session_.resp3, label());
  waiting_for_slots_ = true;
  const std::uint64_t slot = open_slot();
  OwnedRequest request = OwnedRequest::copy(command, args, session_.resp3, label());
  const Route route = thread_.router().route(command, args);
  if (!reach_ && route.where != Route::Where::kStrong) {
    used_untracked_ = true;
    used_elsewhere_untracked_ |= route.where == Route::Where::kOtherNodes;
  }
  if ((command.flags & kWrite) != 0 && route.where == Route::Where::kOtherNodes) {
    session_.wrote_elsewhere = true;
  }
  const auto options = [this, &command, words = request.args] {
    const bool strong = thread_.router().route(command, words).where == Route::Where::kStrong;
    const bool writes = (command.flags & kWrite) != 0;
    auto wanted = options_of(writes, strong, nullptr, keyspace_level(command, words, writes));
    if (!strong) add_session(wanted, asks_of(command, words, writes, nullptr));
    return wanted;
  };
  count_level(options().get());
  // How long it takes says nothing of its level.
  if (last_command_->about != CommandStats::About::kOther) {
    thread_.levels().set_aside(may_write(command));
  }
  std::vector<std::string> uncertain;
  // What changes while it waits is told of ahead of its reply.
  if (session_.tracking.on) {
    uncertain = uncertain_keys(command, args, {.where = Route::Where::kOtherNodes}, nullptr);
  }
  blocked_request_ = std::make_shared<BlockedRequest>(
      thread_, std::move(request), options,
      [this, slot, entry = last_command_, uncertain = std::move(uncertain)](std::string reply) {
        blocked_request_.reset();
        session_.last_request_us = thread_.turn_time_us();
        complete(slot, std::move(reply), entry);
        if (!uncertain.empty()) invalidate(uncertain, false);
      });
  // Which may be over before it returns.
  const std::shared_ptr<BlockedRequest> started = blocked_request_;
  started->start();
}

void Connection::become_default_user() {
  session_.authenticated = default_login(thread_).has_value();
  session_.become(find_user(thread_, kDefaultUser));
}

void Connection::users_changed() {
  if (closed_) return;
  if (const std::string why = why_no_login(thread_, session_.user_name()); !why.empty()) {
    return close(why);
  }
  if (!session_.authenticated) return become_default_user();  // who may need no password now
  const AclUserPointer user = find_user(thread_, session_.user_name());
  if (is_gone(session_.user, user)) {
    spdlog::info("client {} ({}): its user '{}' has been deleted", session_.id, session_.address,
                 session_.user_name());
    // The one who has deleted it is told that it has.
    if (blocked_request_ || !replies_.has_open_slots()) return close("its user has been deleted");
    return finish();
  }
  // `default` is again as the configuration says: who has not said its password has to.
  if (user == nullptr && session_.user != nullptr) {
    session_.authenticated = !thread_.node().options.has_password();
  }
  session_.become(user);
  if (!session_.limited) return;
  if (blocked_request_) {
    if (const auto denial = user->check(asked_.args)) {
      unblock_request("-" + denial->reply() + "\r\n");
    }
  }
  for (const SubscriptionKind kind :
       {SubscriptionKind::kChannel, SubscriptionKind::kPattern, SubscriptionKind::kShardChannel}) {
    for (const std::string& name : thread_.subscriptions().names_of(*this, kind)) {
      if (user->may_use_channel(name, kind == SubscriptionKind::kPattern)) continue;
      return close("its user may not subscribe to that any more");
    }
  }
}

void Connection::databases_changed() {
  if (closed_ || !blocked_request_) return;
  StoredWords stored;
  store_words(*asked_.command, asked_.args, database(), stored);
  // Not all words: what stands for "from now on" has been settled in those that wait.
  const auto keys_of = [&stored](Args words) {
    std::vector<std::string> keys;
    for_each_key(*stored.command, words, [&keys](std::string_view key) { keys.emplace_back(key); });
    return keys;
  };
  if (keys_of(stored.words) == keys_of(blocked_request_->words())) return;
  blocked_request_->replace(
      OwnedRequest::copy(*stored.command, stored.words, asked_.resp3, asked_.client));
}

void Connection::note_denial(AclDenial::Reason reason, std::string_view object,
                             std::string_view name) {
  NodeContext& node = thread_.node();
  AclLog::Entry entry{
      .reason = reason,
      .where = transaction_.open() ? AclLog::Where::kMulti : AclLog::Where::kToplevel,
      .object = std::string(object),
      .user = std::string(name.data() == nullptr ? session_.user_name() : name),
      .client = describe(),
      .at_ms = thread_.clock().wall_ms()};
  while (entry.client.ends_with('\n')) entry.client.pop_back();
  node.acl_log.add(std::move(entry), node.options.acl_log_length.load(std::memory_order_relaxed));
}

std::optional<AclDenial> Connection::denied(Args args) {
  std::optional<AclDenial> denial = session_.user->check(args);
  if (denial && denial->reason != AclDenial::Reason::kPattern) {
    note_denial(denial->reason, denial->object);
  }
  return denial;
}

void Connection::carry_function(OwnedRequest& request) const {
  if (!is_function_call(*request.command)) return;
  auto text = thread_.libraries().find(request.args[1]);
  if (text == nullptr) return;
  request.command = &eval_row_of(*request.command);
  request.args[0] = request.command->name;
  request.args[1] = *text;
  request.kept = std::move(text);
}

void Connection::store_queued(OwnedRequest& part, const DatabaseMap& databases) {
  const Database selected{databases, part.database};
  if (is_outbox_command(*part.command) ||
      !needs_stored_words(*part.command, part.args, selected.stored())) {
    return;
  }
  StoredWords stored;
  store_words(*part.command, part.args, selected, stored);
  OwnedRequest executed =
      OwnedRequest::copy(*stored.command, stored.words, part.resp3, part.client);
  executed.database = part.database;
  part = std::move(executed);
}

void Connection::bind_to_user(OwnedRequest& request, const DatabaseMap& databases) const {
  if (!request.command->script || is_as_user(*request.command)) return;
  const Database selected{databases, request.database};
  if (!session_.limited && selected.is_plain()) return;
  const auto rights = std::make_shared<const std::string>(
      with_database(selected, session_.limited ? rights_of(*session_.user) : std::string()));
  request.rights = rights;
  request.command = &as_user_row(*request.command);
  request.args.insert(request.args.begin(), {kAsUserName, std::string_view(*rights)});
}

// What the user may do may have changed since it was queued.
std::string Connection::refusal_of_exec(const Transaction::Execution& execution) {
  std::optional<AclDenial> denial;
  const auto look_at = [&](const OwnedRequest& request) {
    // Of EVEN.EMIT, what has been queued is no client's command.
    if (!denial && !is_outbox_command(*request.command)) denial = denied(request.args);
  };
  for (const OwnedRequest& part : execution.request.parts) look_at(part);
  for (const OwnedRequest& part : execution.behind) look_at(part);
  if (!denial) return {};
  return fmt::format(
      "EXECABORT Transaction discarded because of: NOPERM ACLs rules changed between the moment "
      "the transaction was accumulated and the EXEC call. {}",
      denial->reply());
}

bool Connection::unblock_request(std::string error) {
  if (!blocked_request_) return false;
  const std::shared_ptr<BlockedRequest> blocked = blocked_request_;
  blocked->unblock(std::move(error));
  return true;
}

Connection::Block Connection::execute_watch(const Command& command, Args args) {
  if (transaction_.open()) {
    reply().error("ERR WATCH inside MULTI is not allowed");
    return Block::kNone;
  }
  const std::size_t limit =
      thread_.node().options.query_buffer_bytes.load(std::memory_order_relaxed);
  if (transaction_.bytes() > limit) {
    transaction_.watch_failed();
    reply().error("ERR more keys are watched than client.query_buffer_bytes allows: UNWATCH");
    return Block::kNone;
  }
  waiting_for_slots_ = true;
  const std::uint64_t slot = open_slot();
  // In RESP2 throughout: what is compared must not depend on HELLO.
  thread_.router().submit(OwnedRequest::copy(command, args, false, label()),
                          [weak = weak_from_this(), slot, entry = last_command_,
                           watch = OwnedRequest::copy(command, args, false, label()),
                           databases = database().map](std::string reply) mutable {
                            const auto self = weak.lock();
                            if (!self) return;
                            if (reply.starts_with('-')) {
                              // Who has sent MULTI and EXEC behind it counts on it.
                              self->transaction_.watch_failed();
                            } else {
                              self->transaction_.watch(std::move(watch), std::move(reply),
                                                       databases);
                              reply = "+OK\r\n";
                            }
                            self->complete(slot, std::move(reply), entry);
                          });
  return Block::kNone;
}

Connection::Block Connection::execute_exec(const Command& command, Args args,
                                           RequestOptions* options) {
  if (!transaction_.open()) {
    reply().error("ERR EXEC without MULTI");
    return Block::kNone;
  }
  if (transaction_.failed()) {
    transaction_.forget();
    if (thread_.node().monitors.any()) show_to_monitors(command, args, session_.database);
    reply().error("EXECABORT Transaction discarded because of previous errors.");
    return Block::kNone;
  }
  const DatabaseMap databases = database().map;
  // What was watched may be other keys now, or is not watched.
  const bool dirty = transaction_.databases_swapped(databases) || transaction_.lacks_watch();
  Transaction::Execution execution =
      transaction_.take(OwnedRequest::copy(command, args, session_.resp3, label()));
  if (session_.limited) {
    if (const std::string refusal = refusal_of_exec(execution); !refusal.empty()) {
      reply().error(refusal);
      return Block::kNone;
    }
  }
  if (session_.tracking.on) [[unlikely]] {
    for (const OwnedRequest& part : execution.request.parts) {
      remember_keys(*part.command, part.args);
    }
  }
  if (thread_.node().monitors.any()) {
    auto about_connection = execution.behind.begin();
    auto about_keys = execution.request.parts.begin();
    for (const bool keys : execution.about_keys) {
      const OwnedRequest& part = keys ? *about_keys++ : *about_connection++;
      if (is_outbox_command(*part.command)) continue;
      show_to_monitors(*part.command, part.args, part.database);
    }
    show_to_monitors(command, args, session_.database);
  }
  if (dirty) {
    reply().null_array();
    return Block::kNone;
  }
  for (OwnedRequest& part : execution.request.parts) {
    store_queued(part, databases);
    carry_function(part);
    bind_to_user(part, databases);
  }
  if (!execution.request.is_transaction()) {
    finish_exec(std::move(execution), "*0\r\n");
    return Block::kNone;
  }
  // Nothing else runs until all of its replies, which stand one behind the other, are there.
  executing_ = true;
  OwnedRequest request = std::exchange(execution.request, {});
  execution.request.resp3 = request.resp3;
  place_events(thread_, request);
  cluster::Level level;
  AsksForSession asks;
  request.for_each_part([&](const OwnedRequest& part) {
    const AsksForSession of_part = asks_of(*part.command, part.args, request.writes(), options);
    asks.now |= of_part.now;
    asks.ever |= of_part.ever;
    level = stricter(level, keyspace_level(*part.command, part.args, request.writes()),
                     thread_.node().config.cluster.replicas);
  });
  request.options = options_of(request.writes(), thread_.any_strong(), options, level);
  const Route::Where where = thread_.router().route(request).where;
  if (where != Route::Where::kStrong && where != Route::Where::kSeveralGroups) {
    add_session(request.options, asks);
    used_untracked_ |= !reach_;
  }
  count_level(request.options.get());
  LevelMeter::Call noted = begin_call(thread_, request, where == Route::Where::kStrong);
  std::vector<std::string> uncertain;
  if (session_.tracking.on) [[unlikely]] {
    const Route route = thread_.router().route(request);
    for (const OwnedRequest& part : request.parts) {
      std::vector<std::string> of_part = uncertain_keys(*part.command, part.args, route, nullptr);
      uncertain.insert(uncertain.end(), of_part.begin(), of_part.end());
    }
  }
  thread_.router().submit(
      std::move(request),
      [weak = weak_from_this(), wanted = replies_wanted(), uncertain = std::move(uncertain),
       noted = std::move(noted), &thread = thread_,
       execution = std::move(execution)](std::string reply) mutable {
        end_call(thread, noted, reply);
        const auto self = weak.lock();
        if (!self || self->closed_) return;
        self->executing_ = false;
        self->replies_.begin_reply();
        std::string& replies = self->replies_.tail();
        const std::size_t begin = replies.size();
        self->finish_exec(std::move(execution), reply);
        if (!wanted) replies.resize(begin);
        self->release_pushes();
        if (!uncertain.empty()) self->invalidate(uncertain, false);
        self->note_dirty();
        self->unblock(Block::kExec);
      });
  return Block::kNone;
}

// `reply`: of what is about keys, an array, or in place of everything.
void Connection::finish_exec(Transaction::Execution execution, std::string_view replied) {
  if (!replied.starts_with('*') || replied.starts_with("*-")) {
    replies_.tail() += replied;
    return;
  }
  reply().array(execution.about_keys.size());
  replied.remove_prefix(replied.find('\n') + 1);
  auto behind = execution.behind.begin();
  in_exec_ = true;
  for (const bool about_keys : execution.about_keys) {
    if (about_keys) {
      const std::size_t length = reply_length(replied);
      replies_.tail() += replied.substr(0, length);
      replied.remove_prefix(length);
      continue;
    }
    const OwnedRequest& request = *behind++;
    CommandStats::Entry& entry = thread_.stats().find(*request.command, request.args);
    last_command_ = &entry;
    execute_connection_command(*this, *request.command, request.args);
    thread_.count(entry);
  }
  in_exec_ = false;
  waiting_for_slots_ = replies_.has_open_slots();
}

void Connection::complete(std::uint64_t slot, std::string reply, CommandStats::Entry* command) {
  if (closed_) return;
  if (reply.starts_with('-')) {
    thread_.traffic().note_error(reply);
    ++command->failed;
  }
  replies_.fill_slot(slot, std::move(reply));
  note_dirty();
  if (!replies_.has_open_slots()) unblock(Block::kSlots);
}

// What stood in the way of the next request has gone.
void Connection::unblock(Block block) {
  if (block_ != block || resuming_ || closed_) return;
  // In a turn of its own: this may be the end of one, when no more may be executed.
  resuming_ = true;
  asio::post(thread_.io(), [self = shared_from_this()] { self->resume(); });
}

void Connection::resume() {
  resuming_ = false;
  if (closed_) return;
  block_ = Block::kNone;
  take({});
}

void Connection::complete_pending(std::uint64_t slot, std::string reply,
                                  CommandStats::Entry* command, std::size_t request_bytes) {
  --pending_;
  pending_bytes_ -= request_bytes;
  most_pending_ = std::min(2 * most_pending_, kMostPending);
  // The longest is forgotten after some hundreds that were shorter.
  expected_reply_ = std::max(reply.size(), expected_reply_ - expected_reply_ / 256);
  complete(slot, std::move(reply), command);
}

void Connection::finish() {
  if (blocked_request_) return close("the client has gone while it waited");
  closing_ = true;
  note_dirty();
}

void Connection::stop() {
  unblock_request("-UNBLOCKED the node is being stopped\r\n");
  closing_ = true;
  note_dirty();
}

void Connection::close(std::string_view reason) {
  if (closed_) return;
  closed_ = true;
  if (blocked_request_) std::exchange(blocked_request_, nullptr)->end();
  thread_.subscriptions().unsubscribe_all(*this);
  end_monitoring();
  end_tracking();
  spdlog::debug("client {} ({}) closed: {}", session_.id, session_.address, reason);
  const auto keep_alive = shared_from_this();
  if (tls_) {
    tls_->close();
  } else {
    thread_.poller().remove(plain_);
    ::shutdown(plain_, SHUT_RDWR);
    ::close(std::exchange(plain_, -1));
  }
  thread_.remove_client(session_.id);
}

}  // namespace even
