#include "node/server.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <optional>
#include <random>
#include <thread>

#include "base/memory.h"
#include "base/version.h"
#include "client/connection.h"
#include "env/posix_clock.h"
#include "env/posix_disk.h"
#include "http/http_server.h"
#include "net/listener.h"
#include "node/backup_runner.h"
#include "node/login.h"
#include "node/node_context.h"
#include "node/reshard.h"
#include "node/shard_thread.h"
#include "peer/peer_link.h"
#include "replica/identity.h"

namespace even {
namespace {

constexpr std::chrono::seconds kPreambleTimeout{5};
constexpr std::chrono::seconds kProgressInterval{2};
// How long a node that has recovered waits for its links before it calls itself ready.
constexpr std::chrono::seconds kLinkPatience{1};

ShardId shard_count(const NodeConfig& options) {
  const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
  return static_cast<ShardId>(options.shards != 0 ? options.shards : std::max(1u, cores / 2));
}

constexpr std::chrono::seconds kTlsWatchInterval{2};

class Server {
 public:
  Server(Config config, ShardId shards, TlsContexts tls, Identity found)
      : node_(std::move(config), shards, std::move(tls), found.replica()),
        found_(std::move(found)),
        signals_(io_, SIGINT, SIGTERM),
        http_(io_, node_),
        clients_(io_, "client",
                 [this](Socket socket, const tcp::endpoint& remote) {
                   take_client(std::move(socket), remote);
                 }),
        kafka_clients_(io_, "kafka",
                       [this](Socket socket, const tcp::endpoint& remote) {
                         take_kafka_client(std::move(socket), remote);
                       }),
        peers_(io_, "peer", [this](Socket socket, const tcp::endpoint& remote) {
          take_peer(std::move(socket), remote);
        }) {}

  int run();

 private:
  Result<> start();
  Result<> recover();
  void await_links();
  void provide_descriptors();
  void watch_tls_files();
  int stop();
  // Without a password and without TLS on it, a port is for this machine.
  bool may_come_from(const tcp::endpoint& remote, const TlsContext& tls) const;
  void take_client(Socket socket, const tcp::endpoint& remote);
  void take_kafka_client(Socket socket, const tcp::endpoint& remote);
  void take_peer(Socket socket, const tcp::endpoint& remote);

  asio::io_context io_{1};
  NodeContext node_;
  const Identity found_;  // in the data directory
  asio::signal_set signals_;
  asio::steady_timer tls_timer_{io_};
  std::string tls_complaint_;
  HttpServer http_;
  Listener clients_;
  Listener kafka_clients_;
  std::size_t next_kafka_thread_ = 0;
  Listener peers_;
  std::optional<StopRequest> stop_;
};

int Server::run() {
  const auto stop_on = [this](StopRequest request) {
    if (stop_) return;
    stop_ = std::move(request);
    io_.stop();
  };
  signals_.async_wait([stop_on](error_code error, int signal) {
    if (!error) stop_on({.reason = ::strsignal(signal)});
  });
  node_.stop = [this, stop_on](StopRequest request) {
    asio::post(io_, [stop_on, request = std::move(request)] { stop_on(request); });
  };
  if (Result<> started = start(); !started) {
    spdlog::critical("{}", started.error().message);
    stop();
    return 1;
  }
  watch_tls_files();
  io_.run();
  spdlog::info("stopping on {}", stop_->reason);
  return stop();
}

// Certificates are renewed while nodes run.
void Server::watch_tls_files() {
  tls_timer_.expires_after(kTlsWatchInterval);
  tls_timer_.async_wait([this](error_code error) {
    if (error) return;
    if (stamp_tls_files(node_.config) != node_.tls.get()->files) {
      Result<TlsContexts> tls = load_tls(node_.config);
      if (tls) {
        spdlog::info("the files of TLS have changed: new connections are made with what they hold");
        node_.tls.replace(std::move(*tls));
        tls_complaint_.clear();
      } else if (tls.error().message != std::exchange(tls_complaint_, tls.error().message)) {
        // They may be replaced one after another.
        spdlog::warn(
            "the files of TLS have changed and do not do, so what was read before stays: {}",
            tls_complaint_);
      }
    }
    watch_tls_files();
  });
}

// Clients must not take the descriptors that the log and the links to other nodes need.
void Server::provide_descriptors() {
  constexpr rlim_t kOwn = 256;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t ports = node_.config.cluster.find(node_.number)->kafka_port == 0 ? 1 : 2;
  const rlim_t wanted = ports * node_.options.max_clients.load() + kOwn;
  if (limit.rlim_cur < wanted) {
    limit.rlim_cur = std::min(wanted, limit.rlim_max);
    (void)::setrlimit(RLIMIT_NOFILE, &limit);
    (void)::getrlimit(RLIMIT_NOFILE, &limit);
  }
  if (limit.rlim_cur >= wanted) return;
  const auto clients = static_cast<std::uint32_t>(limit.rlim_cur > 2 * kOwn ? limit.rlim_cur - kOwn
                                                                            : limit.rlim_cur / 4);
  spdlog::warn(
      "the system allows this process {} open files: at most {} clients are served, not {} "
      "(client.max_clients). Raise the limit (ulimit -n, or LimitNOFILE of the service) to {}",
      limit.rlim_cur, clients, node_.options.max_clients.load(), wanted);
  node_.options.max_clients = clients;
}

Result<> Server::start() {
  const Config& config = node_.config;
  provide_descriptors();
  if (Result<> listening = http_.listen(); !listening) return listening;
  if (config.client.port != 0) {
    if (Result<> bound = clients_.bind(config.client.bind, config.client.port); !bound)
      return bound;
  }
  if (config.kafka.port != 0) {
    if (Result<> bound = kafka_clients_.bind(config.kafka.bind, config.kafka.port); !bound)
      return bound;
  }
  if (config.peer.port != 0) {
    if (Result<> bound = peers_.bind(config.peer.bind, config.peer.port); !bound) return bound;
  }
  auto store = RocksDatabase::open(config.node.data + "/store",
                                   {.block_cache_bytes = config.store.cache_bytes});
  if (!store) return std::unexpected(store.error());
  node_.store = std::move(*store);
  if (Result<> settled = settle_shards(node_, found_); !settled) return settled;
  node_.allocated_at_start = allocated_bytes();
  for (ShardId shard = 0; shard < node_.shards; ++shard) {
    node_.threads.push_back(std::make_unique<ShardThread>(node_, shard));
  }
  // Within its turn a thread gives its clients what has come for them.
  node_.tracking.on_mail([this](ShardId thread) { node_.threads[thread]->post([] {}); });
  if (Result<> recovered = recover(); !recovered) return recovered;
  for (Listener* listener : {&clients_, &kafka_clients_, &peers_}) {
    if (Result<> listening = listener->listen(); !listening) return listening;
  }
  await_links();
  node_.ready = true;
  spdlog::info("ready: node {} serves clients on {} port {}", config.node.name,
               fmt::join(config.client.bind, ", "), config.client.port);
  if (config.faults.enabled) {
    spdlog::warn("faults.enabled is on: any client can cut this node's links");
  }
  if (config.faults.lose_unsynced_writes) {
    spdlog::warn(
        "faults.lose_unsynced_writes is on: a crash of this process loses what is not synced");
  }
  return {};
}

// Waits for the shards, serving HTTP meanwhile.
Result<> Server::recover() {
  std::vector<std::future<Result<>>> recovered;
  for (const auto& thread : node_.threads) {
    recovered.push_back(thread->recovered());
    thread->start();
  }
  const auto begin = std::chrono::steady_clock::now();
  auto next_progress = begin + kProgressInterval;
  Result<> outcome;
  for (auto& future : recovered) {
    while (future.wait_for(std::chrono::milliseconds(5)) != std::future_status::ready) {
      io_.poll();
      if (std::chrono::steady_clock::now() < next_progress) continue;
      next_progress += kProgressInterval;
      const double all = static_cast<double>(node_.bytes_to_recover);
      spdlog::info("recovering: {:.0f} of {:.0f} MB",
                   static_cast<double>(node_.recovered_bytes) / 1e6, all / 1e6);
    }
    if (Result<> result = future.get(); !result && outcome) outcome = result;
  }
  if (outcome) {
    spdlog::info("recovered {} shards in {:.2f} s", node_.shards,
                 std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  return outcome;
}

// A cluster that starts is worth most when its nodes see each other; one that lacks a node must not
// wait for it.
void Server::await_links() {
  std::size_t peers = 0;
  for (const cluster::Node& peer : node_.config.cluster.nodes) {
    peers += peer.number != node_.number && peer.peer_port != 0 ? 1 : 0;
  }
  if (node_.config.peer.port == 0) return;
  const auto deadline = std::chrono::steady_clock::now() + kLinkPatience;
  while (node_.links_up < peers * node_.shards && !stop_ &&
         std::chrono::steady_clock::now() < deadline) {
    io_.run_for(std::chrono::milliseconds(2));
  }
}

int Server::stop() {
  node_.ready = false;
  clients_.close();
  kafka_clients_.close();
  peers_.close();
  http_.close();
  node_.backups->stop();
  // A thread that failed to recover has ended; what is posted to it is dropped with it.
  const bool serving = !node_.threads.empty() && stop_.has_value();
  if (serving) {
    std::vector<std::future<void>> drained;
    for (const auto& thread : node_.threads) drained.push_back(thread->drain(*stop_));
    for (auto& future : drained) future.wait();
  }
  for (const auto& thread : node_.threads) thread->finish();
  int code = 0;
  for (const auto& thread : node_.threads) {
    if (Result<> closed = thread->join(); !closed) {
      spdlog::critical("shard {}: {}", thread->id(), closed.error().message);
      code = 1;
    }
  }
  if (serving && code == 0) spdlog::info("stopped");
  return code;
}

bool Server::may_come_from(const tcp::endpoint& remote, const TlsContext& tls) const {
  return remote.address().is_loopback() || tls != nullptr || !is_open_to_anyone(node_);
}

void Server::take_client(Socket socket, const tcp::endpoint& remote) {
  auto refuse = [&](std::string_view message) {
    ++node_.connections_rejected;
    // Best effort, and without waiting: a fresh socket has room for a line.
    ::send(socket.native_handle(), message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  };
  ++node_.connections_received;
  if (!may_come_from(remote, node_.tls.get()->client)) {
    return refuse(
        "-DENIED This node takes clients of other machines only with a password or TLS. Set "
        "client.password, or tls.client_cert and tls.client_key, in its configuration; or connect "
        "from the machine that it runs on.\r\n");
  }
  if (node_.connected_clients >= node_.options.max_clients) {
    return refuse("-ERR max number of clients reached\r\n");
  }
  ++node_.connected_clients;
  ShardThread* target = node_.threads.front().get();
  for (const auto& thread : node_.threads) {
    if (thread->client_count() < target->client_count()) target = thread.get();
  }
  error_code error;
  const int fd = socket.release(error);
  target->reserve_client();
  target->offer_client(fd);
}

// Kafka's protocol has no words for who cannot be served at all.
void Server::take_kafka_client(Socket socket, const tcp::endpoint& remote) {
  if (!may_come_from(remote, node_.tls.get()->kafka)) {
    spdlog::warn(
        "kafka port: {} is refused: clients of other machines are served only with a password or "
        "TLS. Set client.password, or tls.kafka_cert and tls.kafka_key",
        to_text(remote));
    ++node_.connections_rejected;
    return;
  }
  if (node_.connected_kafka_clients >= node_.options.max_clients) {
    ++node_.connections_rejected;
    return;
  }
  ++node_.connected_kafka_clients;
  ShardThread& target = *node_.threads[next_kafka_thread_++ % node_.threads.size()];
  error_code error;
  const int fd = socket.release(error);
  target.post([&target, fd] { target.adopt_kafka_client(fd); });
}

void Server::take_peer(Socket socket, const tcp::endpoint& remote) {
  struct Arrival {
    Arrival(Socket socket, asio::io_context& io) : socket(std::move(socket)), timer(io) {}
    Socket socket;
    asio::steady_timer timer;
    std::array<char, kPreambleBytes> preamble;
  };
  auto arrival = std::make_shared<Arrival>(std::move(socket), io_);
  arrival->timer.expires_after(kPreambleTimeout);
  arrival->timer.async_wait([arrival](error_code error) {
    error_code ignored;
    if (!error) arrival->socket.close(ignored);
  });
  asio::async_read(arrival->socket, asio::buffer(arrival->preamble),
                   [this, arrival, remote](error_code error, std::size_t) {
                     arrival->timer.cancel();
                     if (error) return;
                     const Result<ShardId> shard = decode_preamble(arrival->preamble);
                     if (!shard) {
                       spdlog::warn("peer port: {}: {}", to_text(remote), shard.error().message);
                       return;
                     }
                     // A shard that this node does not have means that the numbers of shards
                     // differ: the handshake will say so.
                     ShardThread& thread = *node_.threads[*shard < node_.shards ? *shard : 0];
                     const int fd = arrival->socket.release(error);
                     thread.post([&thread, fd] { thread.peers().adopt(fd); });
                   });
}

}  // namespace

int run_node(Config config) {
  const ShardId shards = shard_count(config.node);
  spdlog::info("even {}: node {} (number {}) of {} in cluster '{}', {} shards, data in {}",
               version(), config.node.name, config.self().number, config.cluster.nodes.size(),
               config.cluster.id, shards, config.node.data);
  Result<TlsContexts> tls = load_tls(config);
  if (!tls) {
    spdlog::critical("{}", tls.error().message);
    return 2;
  }
  const Result<DirectoryLock> lock = lock_directory(config.node.data);
  if (!lock) {
    spdlog::critical("{}", lock.error().message);
    return 1;
  }
  Identity found;
  {
    auto disk = PosixDisk::open(config.node.data, [](PosixDisk::Task) {});
    const PosixClock clock;
    Random random(std::random_device{}());
    auto claimed = disk ? claim_directory(**disk, config.identity(shards), clock, random)
                        : std::unexpected(disk.error());
    if (!claimed) {
      spdlog::critical("data directory {}: {}", config.node.data, claimed.error().message);
      return 1;
    }
    found = std::move(*claimed);
  }
  return Server(std::move(config), shards, std::move(*tls), std::move(found)).run();
}

}  // namespace even
