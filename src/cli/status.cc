// `even status`: what the nodes of a cluster say of themselves, and whether they agree.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cli/commands.h"
#include "cli/http_client.h"
#include "cli/local_cluster.h"
#include "cli/node_status.h"

namespace even::cli {
namespace {

constexpr std::chrono::milliseconds kTimeout(3000);

struct Options {
  std::string dir = ".even";
  std::vector<std::string> addresses;  // HOST:PORT
};

NodeAnswer ask(const std::string& name, const std::string& host, uint16_t port) {
  NodeAnswer answer{.name = name, .status = {}, .problem = {}};
  Result<HttpReply> reply = http_get(host, port, "/status", kTimeout);
  if (!reply) {
    answer.problem = reply.error().message;
  } else if (reply->status != 200) {
    answer.problem = fmt::format("/status answers {}", reply->status);
  } else if (Result<NodeStatus> status = parse_status(reply->body)) {
    answer.status = std::move(*status);
  } else {
    answer.problem = "/status makes no sense: " + status.error().message;
  }
  return answer;
}

int run(const Options& options) {
  std::vector<NodeAnswer> answers;
  for (const std::string& address : options.addresses) {
    size_t colon = address.rfind(':');
    uint16_t port = 0;
    const char* end = address.data() + address.size();
    if (colon == std::string::npos ||
        std::from_chars(address.data() + colon + 1, end, port).ptr != end || port == 0) {
      fmt::print(stderr, "even status: '{}' is not HOST:PORT\n", address);
      return 2;
    }
    std::string host = address.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    answers.push_back(ask(address, host, port));
  }
  if (options.addresses.empty()) {
    LocalCluster cluster(options.dir);
    if (cluster.nodes().empty()) {
      fmt::print(stderr, "even status: there is no cluster in {}; `even up` makes one\n",
                 cluster.dir().string());
      return 1;
    }
    for (const LocalNode& node : cluster.nodes()) {
      answers.push_back(ask(node.name(), kLocalHost, node.http_port()));
    }
  }
  fmt::print("{}", render(answers));
  return all_well(answers) ? 0 : 1;
}

}  // namespace

void add_status(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("status",
                                         "Show nodes, links, lag and whether all replicas are "
                                         "equal; exits with 0 if all is well, else 1");
  command->add_option("--dir", options->dir, "Directory of the cluster (default .even)")
      ->type_name("DIR");
  command
      ->add_option("--node", options->addresses,
                   "HTTP address of a node, in place of --dir; may be repeated")
      ->type_name("HOST:PORT");
  command->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace even::cli
