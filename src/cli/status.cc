// `even status`: what the nodes of a cluster say of themselves, and whether they agree.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/commands.h"
#include "cli/http_client.h"
#include "cli/local_cluster.h"
#include "cli/login.h"
#include "cli/node_status.h"
#include "net/tls.h"
#include "node/config.h"

namespace even::cli {
namespace {

namespace asio = boost::asio;

constexpr std::chrono::milliseconds kTimeout(3000);

struct Options {
  std::string dir = ".even";
  std::vector<std::string> addresses;  // HOST:PORT
  std::string config;                  // of evend; in place of the two above
  TlsFiles tls;                        // with a CA, HTTPS is spoken
  std::string tls_name;
  bool consistency = false;
};

// A node to ask.
struct Target {
  std::string name;
  std::string host;
  uint16_t port = 0;
};

int complain(const std::string& message, int code) {
  fmt::print(stderr, "even status: {}\n", message);
  return code;
}

NodeAnswer ask(const Target& target, asio::ssl::context* tls) {
  NodeAnswer answer{.name = target.name, .status = {}, .problem = {}};
  if (target.port == 0) {
    answer.problem = "it has no HTTP port in the configuration";
    return answer;
  }
  Result<HttpReply> reply = http_get(target.host, target.port, "/status", kTimeout, tls);
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

std::optional<Target> parse_target(const std::string& address) {
  size_t colon = address.rfind(':');
  uint16_t port = 0;
  const char* end = address.data() + address.size();
  if (colon == std::string::npos ||
      std::from_chars(address.data() + colon + 1, end, port).ptr != end || port == 0) {
    return {};
  }
  std::string host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return Target{address, host, port};
}

// The nodes of a server's configuration; fills in what the command line does not say of TLS.
Result<std::vector<Target>> read_config(Options& options) {
  Result<Config> config = Config::load(options.config, {});
  if (!config) return std::unexpected(config.error());
  const TlsFiles& http = config->tls.http;
  if (http.enabled() && options.tls.ca.empty()) {
    if (http.ca.empty()) {
      return fail(
          fmt::format("{}tls.http_cert turns TLS on, but there is no tls.http_ca: name the "
                      "authority that signed the nodes' certificates with --ca FILE",
                      config->at({"tls.http_cert"})));
    }
    options.tls.ca = http.ca;
  }
  if (http.enabled() && !http.ca.empty() && options.tls.cert.empty()) {
    options.tls.cert = http.cert;
    options.tls.key = http.key;
  }
  std::vector<Target> targets;
  const bool alone = config->sources.find("cluster.node") == config->sources.end();
  for (const cluster::Node& node : config->cluster.nodes) {
    targets.push_back({node.name, alone ? config->http.bind.front() : node.host, node.http_port});
  }
  return targets;
}

int run(Options options) {
  std::vector<Target> targets;
  for (const std::string& address : options.addresses) {
    std::optional<Target> target = parse_target(address);
    if (!target) return complain(fmt::format("'{}' is not HOST:PORT", address), 2);
    targets.push_back(std::move(*target));
  }
  if (!options.config.empty()) {
    Result<std::vector<Target>> configured = read_config(options);
    if (!configured) return complain(configured.error().message, 2);
    targets = std::move(*configured);
  } else if (options.addresses.empty()) {
    LocalCluster cluster(options.dir);
    if (cluster.nodes().empty()) {
      return complain(
          fmt::format("there is no cluster in {}; `even up` makes one", cluster.dir().string()), 1);
    }
    for (const LocalNode& node : cluster.nodes()) {
      targets.push_back({node.name(), kLocalHost, node.http_port()});
    }
  }
  TlsContext tls;
  if (!options.tls.ca.empty()) {
    Result<TlsContext> loaded = load_dialing_tls(options.tls, options.tls_name);
    if (!loaded) return complain(loaded.error().message, 2);
    tls = std::move(*loaded);
  }
  std::vector<NodeAnswer> answers;
  for (const Target& target : targets) answers.push_back(ask(target, tls.get()));
  fmt::print("{}", options.consistency ? render_consistency(answers) : render(answers));
  return all_well(answers) ? 0 : 1;
}

}  // namespace

void add_status(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("status",
                                         "Show nodes, links, lag and whether all replicas are "
                                         "equal; exits with 0 if all is well, else 1");
  CLI::Option* dir =
      command->add_option("--dir", options->dir, "Directory of the cluster (default .even)")
          ->type_name("DIR");
  CLI::Option* node = command
                          ->add_option("--node", options->addresses,
                                       "HTTP address of a node, in place of --dir; may be repeated")
                          ->type_name("HOST:PORT");
  command
      ->add_option("--config", options->config,
                   "Configuration of a node, in place of --dir: asks all nodes in it, over TLS if "
                   "tls.http_cert is set")
      ->type_name("FILE")
      ->excludes(dir)
      ->excludes(node);
  add_tls_options(*command, options->tls, options->tls_name, "tls.http_ca");
  command->add_flag("--consistency", options->consistency,
                    "Show instead what each level of consistency has cost and given in the last "
                    "minute, and who has given up what");
  command->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace even::cli
