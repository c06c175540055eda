// `even record`: clients that use a cluster, or any server that speaks Redis's protocol, and the
// history of what they saw.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cli/address.h"
#include "cli/commands.h"
#include "cli/history_writer.h"
#include "cli/local_cluster.h"
#include "cli/nemesis.h"
#include "cli/resp_client.h"
#include "cli/workload.h"

namespace even::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr milliseconds kConnectTimeout{1000};
// Before a client tries the next node, once the one it had is gone.
constexpr milliseconds kBackOff{50};
// Faults end so long before the clients do: what they left behind is to be seen.
constexpr double kQuietAtTheEnd = 2;

// Enough to be in each other's way, few enough for a compare-and-set to succeed now and then.
constexpr std::uint64_t kClientsPerKey = 5;

std::atomic<bool> interrupted{false};

struct Options {
  std::string workload;
  std::uint64_t clients = 10;
  double seconds = 10;
  std::string out;
  std::vector<std::string> nodes;
  std::string dir = ".even";
  std::string level;
  std::string nemesis;
  std::string prefix = "record:";
  std::optional<std::uint64_t> keys;
  std::optional<std::uint64_t> per_key;
  double rate = 0;  // operations per second of all clients; 0: as many as can be
  std::int64_t timeout_ms = 2000;
  std::optional<std::uint64_t> seed;
};

int complain(const std::string& message, int code) {
  std::fflush(stdout);
  fmt::print(stderr, "even record: {}\n", message);
  return code;
}

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  std::istringstream in(text);
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

// Connects, and sets the connection's levels. Reads have levels that writes do not have: those are
// set for reads alone.
Result<std::unique_ptr<RespClient>> open_connection(const Address& address,
                                                    const std::string& level,
                                                    milliseconds timeout) {
  auto client = std::make_unique<RespClient>();
  if (Result<> connected = client->connect(address.host, address.port, kConnectTimeout);
      !connected) {
    return std::unexpected(connected.error());
  }
  if (level.empty()) return client;
  const std::vector<std::string> level_words = words_of(level);
  std::vector<std::string> words{"EVEN.CONSISTENCY", "READ"};
  words.insert(words.end(), level_words.begin(), level_words.end());
  std::vector<std::string> both = words;
  both.push_back("WRITE");
  both.insert(both.end(), level_words.begin(), level_words.end());
  if (client->call(both, timeout)) return client;
  const auto set = client->call(words, timeout);
  if (!set) return fail(fmt::format("the level {} is refused: {}", level, set.error().message));
  return client;
}

// The first of the ways to compare and set that the server knows.
CasCommand find_cas(RespClient& client, const std::string& key, milliseconds timeout) {
  for (const CasCommand command : {CasCommand::kIfeq, CasCommand::kScript}) {
    if (!client.call({"SET", key, "1"}, timeout)) break;
    if (!client.call(cas_words(command, key, "1", "2"), timeout)) continue;
    const auto value = client.call({"GET", key}, timeout);
    if (value && *value == RespReply{"2"}) return command;
  }
  return CasCommand::kNone;
}

// Everything that the clients of a run share.
struct Run {
  const Options& options;
  const std::vector<Address>& nodes;
  Workload& workload;
  HistoryWriter& history;
  steady_clock::time_point end;
  std::atomic<bool> stop{false};

  bool is_over() const { return stop || interrupted || steady_clock::now() >= end; }
};

// One client: an operation at a time, under one process number until it does not know how one
// ended.
void be_client(Run& run, std::uint64_t number, std::uint64_t seed) {
  const milliseconds timeout(run.options.timeout_ms);
  Workload::Mind mind{.random = std::mt19937_64(seed), .last_read = {}};
  std::int64_t process = run.history.new_process();
  std::size_t node = number % run.nodes.size();
  std::unique_ptr<RespClient> client;
  auto next = steady_clock::now();
  const Seconds between(
      run.options.rate > 0 ? static_cast<double>(run.options.clients) / run.options.rate : 0);
  // Not all at the same moments.
  next += std::chrono::duration_cast<steady_clock::duration>(
      between * std::uniform_real_distribution<double>(0, 1)(mind.random));
  while (!run.is_over()) {
    if (!client) {
      auto opened = open_connection(run.nodes[node], run.options.level, timeout);
      if (!opened) {
        node = (node + 1) % run.nodes.size();
        std::this_thread::sleep_for(kBackOff);
        continue;
      }
      client = std::move(*opened);
    }
    if (run.options.rate > 0) {
      std::this_thread::sleep_until(std::min(next, run.end));
      next = std::max(next + std::chrono::duration_cast<steady_clock::duration>(between),
                      steady_clock::now());
      if (run.is_over()) break;
    }
    const PlannedOperation operation = run.workload.next(mind);
    run.history.invoke(process, operation);
    const Result<std::string> reply = client->exchange(operation.words, timeout);
    CompletedOperation completed;
    if (reply) {
      completed = run.workload.complete(operation, *reply, mind);
    } else {
      // It was sent, or a part of it was.
      completed = {operation.only_reads ? "fail" : "info", nullptr, reply.error().message};
      client.reset();
      node = (node + 1) % run.nodes.size();
    }
    run.history.complete(process, operation, completed);
    if (completed.type == "info") process = run.history.new_process();
  }
}

std::string seconds_text(HistoryWriter::Clock::duration time) {
  return fmt::format("{:.2f} s", Seconds(time).count());
}

void print_summary(const Options& options, const HistoryWriter& history,
                   const HistoryWriter::Summary& summary) {
  fmt::print("{}: {} operations of {} clients in {}\n", options.out, history.total().all(),
             options.clients, seconds_text(history.elapsed()));
  for (const auto& [f, counts] : summary.by_function) {
    fmt::print("  {:<9} ok {:<9} fail {:<9} info {}\n", f, counts.ok, counts.fail, counts.info);
  }
  for (const auto& [error, count] : summary.errors) fmt::print("  {} times: {}\n", count, error);
  fmt::print("longest time without an ok: {}, from {} on\n", seconds_text(summary.longest_gap),
             seconds_text(summary.gap_begin));
}

// Where the clients go, and the cluster if it is one on this machine.
Result<std::vector<Address>> find_nodes(const Options& options, const LocalCluster& cluster) {
  std::vector<Address> nodes;
  for (const std::string& text : options.nodes) {
    std::optional<Address> address = parse_address(text);
    if (!address) return fail(fmt::format("'{}' is not HOST:PORT", text));
    nodes.push_back(std::move(*address));
  }
  if (!nodes.empty()) return nodes;
  for (const LocalNode& node : cluster.nodes()) {
    nodes.push_back({node.name(), kLocalHost, node.client_port()});
  }
  if (nodes.empty()) {
    return fail(
        fmt::format("there is no cluster in {}; `even up` makes one, and --node HOST:PORT "
                    "names a server",
                    cluster.dir().string()));
  }
  return nodes;
}

// Faults as they come and go, on standard error and in a file.
class FaultLog {
 public:
  FaultLog(const std::string& path, const HistoryWriter& history)
      : history_(history), out_(path, std::ios::binary | std::ios::trunc) {}

  void note(const Nemesis::Event& it) {
    nlohmann::json event{{"time", history_.elapsed_ns()},
                         {"fault", fault_name(it.fault)},
                         {"node", it.target},
                         {"type", it.begin ? "begin" : "end"}};
    if (!it.detail.empty()) event["detail"] = it.detail;
    if (!it.problem.empty()) event["error"] = it.problem;
    out_ << event.dump() << "\n" << std::flush;
    fmt::print(stderr, "{:>9}  {} {} {}{}{}\n", seconds_text(history_.elapsed()),
               fault_name(it.fault), it.target, it.begin ? "begins" : "ends",
               it.detail.empty() ? "" : fmt::format(" ({})", it.detail),
               it.problem.empty() ? "" : fmt::format(": {}", it.problem));
  }

 private:
  const HistoryWriter& history_;
  std::ofstream out_;
};

int run(const Options& options) {
  const auto model = verify::parse_model(options.workload);
  if (!model) {
    return complain(fmt::format("there is no workload '{}'; there are: register, append, counter, "
                                "set",
                                options.workload),
                    2);
  }
  LocalCluster cluster(options.dir);
  std::vector<Fault> faults;
  if (!options.nemesis.empty()) {
    auto parsed = parse_faults(options.nemesis);
    if (!parsed) return complain(parsed.error().message, 2);
    faults = std::move(*parsed);
    if (cluster.nodes().empty()) {
      return complain(fmt::format("--nemesis needs a cluster on this machine, and there is none in "
                                  "{}; --dir says where it is",
                                  cluster.dir().string()),
                      2);
    }
    if (const Result<> locked = cluster.lock(); !locked) {
      return complain(locked.error().message, 1);
    }
  }
  const auto nodes = find_nodes(options, cluster);
  if (!nodes) return complain(nodes.error().message, 2);

  const std::uint64_t seed = options.seed ? *options.seed : std::random_device()();
  const milliseconds timeout(options.timeout_ms);
  // The keys are this run's own.
  const std::string prefix = fmt::format("{}{:08x}:", options.prefix, std::random_device()());
  // A server that cannot be used is noticed before anything is written.
  auto first = open_connection(nodes->front(), options.level, timeout);
  if (!first) {
    return complain(fmt::format("{}: {}", nodes->front().text, first.error().message), 1);
  }
  WorkloadOptions workload_options{.model = *model, .cas = CasCommand::kNone, .prefix = prefix};
  // Strings get longer, and each read returns all of one; sets likewise.
  const bool grows = *model == verify::Model::kAppend || *model == verify::Model::kSet;
  workload_options.keys =
      options.keys.value_or(std::max<std::uint64_t>(1, options.clients / kClientsPerKey));
  workload_options.per_key = options.per_key.value_or(grows ? 200 : 0);
  if (*model == verify::Model::kRegister) {
    workload_options.cas = find_cas(**first, prefix + "cas", timeout);
    if (workload_options.cas == CasCommand::kNone) {
      fmt::print(stderr,
                 "even record: {} knows neither SET ... IFEQ nor EVAL: compare-and-set is left "
                 "out\n",
                 nodes->front().text);
    }
  }

  Workload workload(workload_options);
  HistoryWriter history(options.out);
  if (!history.ok()) return complain(fmt::format("cannot write {}", options.out), 1);
  Run shared{.options = options,
             .nodes = *nodes,
             .workload = workload,
             .history = history,
             .end = steady_clock::now() +
                    std::chrono::duration_cast<steady_clock::duration>(Seconds(options.seconds))};
  interrupted = false;
  // Whoever ends it early gets what was recorded, and a cluster that is whole.
  constexpr std::array kEnds = {SIGINT, SIGTERM, SIGHUP};
  std::array<void (*)(int), kEnds.size()> old_handlers;
  std::ranges::transform(kEnds, old_handlers.begin(), [](int number) {
    return std::signal(number, [](int) { interrupted = true; });
  });

  std::atomic<bool> stop_faults{false};
  std::atomic<bool> all_mended{true};
  std::optional<FaultLog> fault_log;
  std::optional<std::jthread> nemesis;
  if (!faults.empty()) {
    fault_log.emplace(options.out + ".faults", history);
    nemesis.emplace([&] {
      Nemesis breaker(cluster, faults, seed, [&](const auto& event) { fault_log->note(event); });
      all_mended = breaker.run(options.seconds - kQuietAtTheEnd, stop_faults);
    });
  }
  {
    std::vector<std::jthread> clients;
    for (std::uint64_t i = 0; i < options.clients; ++i) {
      clients.emplace_back([&shared, i, seed] { be_client(shared, i, seed + 1 + i); });
    }
    HistoryWriter::Counts last;
    auto next_line = steady_clock::now() + std::chrono::seconds(1);
    while (!shared.is_over()) {
      std::this_thread::sleep_until(std::min(next_line, shared.end));
      if (steady_clock::now() < next_line) continue;
      next_line += std::chrono::seconds(1);
      const HistoryWriter::Counts now = history.total();
      fmt::print(stderr, "{:>9}  ok {:>7}  fail {:>6}  info {:>5}\n",
                 seconds_text(history.elapsed()), now.ok - last.ok, now.fail - last.fail,
                 now.info - last.info);
      last = now;
      if (!history.ok()) shared.stop = true;  // a full disk
    }
    stop_faults = true;
  }
  nemesis.reset();
  for (std::size_t i = 0; i < kEnds.size(); ++i) std::signal(kEnds[i], old_handlers[i]);
  const HistoryWriter::Summary summary = history.finish();
  print_summary(options, history, summary);
  if (!history.ok()) return complain(fmt::format("cannot write {}", options.out), 1);
  if (!all_mended) return complain("not every fault could be mended", 1);
  return 0;
}

}  // namespace

void add_record(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "record",
      "Use a cluster, or any server that speaks the Redis protocol, with many clients, and write "
      "down what they saw, for `even verify`");
  command
      ->add_option("--workload", options->workload,
                   "What a key is and what is done with it: register (GET, SET, compare-and-set), "
                   "append (GET, APPEND), counter (GET, INCRBY), set (SADD, SREM, SISMEMBER, "
                   "SMEMBERS)")
      ->required()
      ->type_name("WORKLOAD");
  command->add_option("--clients", options->clients, "How many, at the same time (default 10)")
      ->check(CLI::Range(1, 10000))
      ->type_name("N");
  command->add_option("--seconds", options->seconds, "For how long (default 10)")
      ->check(CLI::PositiveNumber)
      ->type_name("S");
  command->add_option("--out", options->out, "Where the history goes; a file there is replaced")
      ->required()
      ->type_name("FILE");
  command
      ->add_option("--node", options->nodes,
                   "A server's address; repeated, clients spread over them, and go on to the next "
                   "when theirs is gone. Default: the nodes of the cluster in --dir")
      ->type_name("HOST:PORT");
  command->add_option("--dir", options->dir, "The cluster that `even up` made (default .even)")
      ->type_name("DIR");
  command
      ->add_option("--level", options->level,
                   "The consistency level of the clients' connections (EVEN.CONSISTENCY)")
      ->type_name("L");
  command
      ->add_option("--nemesis", options->nemesis,
                   "Break the cluster in --dir meanwhile, and mend it: a list, with commas, of "
                   "kill (-9), kill-all (of them at once), restart, pause, cut (off from all other "
                   "nodes), one-way (the same in one direction alone), clock (jumps, runs fast or "
                   "slow). What was done is told on standard error and in FILE.faults")
      ->type_name("LIST");
  command
      ->add_option("--prefix", options->prefix,
                   "What all keys begin with, as a keyspace needs it (default record:)")
      ->type_name("PREFIX");
  command
      ->add_option("--keys", options->keys,
                   "Keys in use at the same time (default: one for every five clients)")
      ->check(CLI::Range(1, 1'000'000))
      ->type_name("N");
  command
      ->add_option("--per-key", options->per_key,
                   "Operations on a key until a fresh one takes its place, on average; 0: it stays "
                   "(default: 200 of append and set, else 0)")
      ->type_name("N");
  command
      ->add_option("--rate", options->rate,
                   "Operations per second of all clients together (default: as many as can be)")
      ->check(CLI::PositiveNumber)
      ->type_name("R");
  command
      ->add_option("--timeout-ms", options->timeout_ms,
                   "How long a client waits for a reply; how the operation ended is not known then "
                   "(default 2000)")
      ->check(CLI::Range(1, 3'600'000))
      ->type_name("MS");
  command->add_option("--seed", options->seed, "Of what is chosen at random (default: random)")
      ->type_name("N");
  command->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace even::cli
