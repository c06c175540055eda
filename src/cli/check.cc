// `even check`: has all nodes of a cluster compare what they hold and repair it; docs/repair.md.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/asio/ssl/context.hpp>
#include <charconv>
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cli/address.h"
#include "cli/commands.h"
#include "cli/local_cluster.h"
#include "cli/login.h"
#include "cli/progress.h"
#include "cli/record_text.h"
#include "cli/resp_client.h"

namespace even::cli {
namespace {

constexpr std::chrono::milliseconds kTimeout(10'000);
constexpr std::chrono::milliseconds kBetweenLooks(200);
// Nodes hear of one another's digests within much less.
constexpr int kLooksAtRest = 5;
constexpr std::size_t kShownFindings = 20;  // of each node

struct Options {
  std::string dir = ".even";
  std::vector<std::string> addresses;  // HOST:PORT of clients' ports, in place of the directory
  Login login;
};

int complain(const std::string& message, int code) {
  fmt::print(stderr, "even check: {}\n", message);
  return code;
}

struct Node {
  std::string name;
  Address address;
  std::unique_ptr<RespClient> client;
  std::map<std::string, std::uint64_t> before;  // EVEN.CHECK STATUS
  std::map<std::string, std::uint64_t> now;
  bool busy = true;

  std::uint64_t since(const std::string& what) const {
    const auto then = before.find(what), since = now.find(what);
    return then == before.end() || since == now.end() ? 0 : since->second - then->second;
  }
  std::uint64_t value(const std::string& what) const {
    const auto found = now.find(what);
    return found == now.end() ? 0 : found->second;
  }
};

Result<> connect(Node& node, const Options& options, boost::asio::ssl::context* tls) {
  const auto of_node = [&node](const Error& error) {
    return fail(fmt::format("{}: {}", node.name, error.message));
  };
  node.client = std::make_unique<RespClient>(tls);
  const auto up = node.client->connect(node.address.host, node.address.port, kTimeout);
  if (!up) return of_node(up.error());
  const std::vector<std::string> auth = options.login.auth();
  if (auth.empty()) return {};
  const auto known = node.client->call(auth, kTimeout);
  if (!known) return of_node(known.error());
  return {};
}

Result<> look(Node& node) {
  const auto reply = node.client->call({"EVEN.CHECK", "STATUS"}, kTimeout);
  if (!reply) return fail(fmt::format("{}: {}", node.name, reply.error().message));
  for (std::size_t i = 0; i + 1 < reply->size(); i += 2) {
    const std::string& name = (*reply)[i];
    const std::string& value = (*reply)[i + 1];
    if (name == "state") {
      node.busy = value != "idle";
      continue;
    }
    std::uint64_t number = 0;
    std::from_chars(value.data(), value.data() + value.size(), number);
    node.now[name] = number;
  }
  return {};
}

// Waits until all nodes have been through everything, and nothing is left to be compared.
Result<> await(std::vector<Node>& nodes) {
  Progress progress;
  for (int at_rest = 0; at_rest < kLooksAtRest;) {
    std::this_thread::sleep_for(kBetweenLooks);
    bool rest = true;
    std::uint64_t done = 0, all = 0;
    for (Node& node : nodes) {
      if (const auto looked = look(node); !looked) return looked;
      rest = rest && !node.busy && node.value("done") == node.value("asked_for");
      done += node.value("audited");
      all += node.value("partitions");
    }
    at_rest = rest ? at_rest + 1 : 0;
    progress.show_share(done, all, "partitions");
  }
  return {};
}

Result<> print_findings(Node& node, std::uint64_t repaired) {
  const std::uint64_t count = std::min<std::uint64_t>(repaired, kShownFindings);
  const auto reply = node.client->call({"EVEN.CHECK", "FINDINGS", std::to_string(count)}, kTimeout);
  if (!reply) return fail(fmt::format("{}: {}", node.name, reply.error().message));
  for (std::size_t i = 0; i + 2 < reply->size(); i += 3) {
    fmt::print("  {:<12} {}  (partition {})\n", (*reply)[i + 1], even::cli::quoted((*reply)[i + 2]),
               (*reply)[i]);
  }
  if (repaired > count) {
    fmt::print("  and {} more: EVEN.CHECK FINDINGS on {} has the latest\n", repaired - count,
               node.name);
  }
  return {};
}

Result<bool> check(std::vector<Node>& nodes) {
  for (Node& node : nodes) {
    if (const auto looked = look(node); !looked) return std::unexpected(looked.error());
    node.before = node.now;
  }
  for (Node& node : nodes) {
    const auto started = node.client->call({"EVEN.CHECK", "START"}, kTimeout);
    if (!started) return fail(fmt::format("{}: {}", node.name, started.error().message));
  }
  if (const auto over = await(nodes); !over) return std::unexpected(over.error());
  bool clean = true;
  for (Node& node : nodes) {
    const std::uint64_t repaired = node.since("keys_repaired");
    const std::uint64_t wrong = node.since("partitions_that_did_not_add_up");
    const std::uint64_t undecided = node.value("keys_undecided");
    fmt::print("{}: {} partitions, {} keys looked at", node.name, node.value("partitions"),
               node.since("keys_looked_at"));
    if (repaired + wrong + undecided == 0) {
      fmt::print(", all as they should be\n");
      continue;
    }
    clean = false;
    fmt::print(", {} partitions did not add up, {} keys repaired\n", wrong, repaired);
    if (repaired > 0) {
      if (const auto shown = print_findings(node, repaired); !shown) {
        return std::unexpected(shown.error());
      }
    }
    if (undecided > 0) {
      fmt::print(
          "  {} keys differ and were left as they are: no majority of their replicas can be asked. "
          "That is done again when another one is back.\n",
          undecided);
    }
  }
  return clean;
}

int run(const Options& options) {
  std::vector<Node> nodes;
  for (const std::string& text : options.addresses) {
    const auto address = parse_address(text);
    if (!address) return complain(fmt::format("'{}' is not HOST:PORT", text), 2);
    nodes.emplace_back().name = text;
    nodes.back().address = *address;
  }
  if (options.addresses.empty()) {
    const LocalCluster cluster(options.dir);
    if (cluster.nodes().empty()) {
      return complain(
          fmt::format("there is no cluster in {}; `even up` makes one", cluster.dir().string()), 2);
    }
    for (const LocalNode& node : cluster.nodes()) {
      nodes.emplace_back().name = node.name();
      nodes.back().address = {node.name(), kLocalHost, node.client_port()};
    }
  }
  const Result<TlsContext> tls = options.login.tls_context();
  if (!tls) return complain(tls.error().message, 2);
  for (Node& node : nodes) {
    if (const auto up = connect(node, options, tls->get()); !up) {
      return complain(up.error().message, 2);
    }
  }
  const auto clean = check(nodes);
  if (!clean) return complain(clean.error().message, 2);
  return *clean ? 0 : 1;
}

}  // namespace

void add_check(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "check",
      "Have all nodes compare what they hold, and repair what differs; exits with 0 if nothing "
      "did, 1 if something did, 2 if not all could be asked");
  CLI::Option* dir =
      command->add_option("--dir", options->dir, "Directory of the cluster (default .even)")
          ->type_name("DIR");
  command
      ->add_option("--node", options->addresses,
                   "Address of a node for clients, in place of --dir; to be repeated for each node")
      ->type_name("HOST:PORT")
      ->excludes(dir);
  add_login_options(*command, options->login);
  command->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace even::cli
