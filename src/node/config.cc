#include "node/config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <functional>
#include <limits>
#include <sstream>
#include <utility>

namespace even {
namespace {

// What a setter answers: nothing, or what is allowed in place of the value that it was given.
using Complaint = std::optional<std::string>;

struct Option {
  std::string_view key;  // "section.key"
  std::function<Complaint(Config&, const toml::node&)> set;
};

template <typename T>
Complaint set_integer(T& target, const toml::node& value, int64_t low, int64_t high,
                      std::string_view unit) {
  auto number = value.value_exact<int64_t>();
  if (!number || *number < low || *number > high) {
    return fmt::format("a whole number from {} to {}{}", low, high, unit);
  }
  target = static_cast<T>(*number);
  return {};
}

Complaint set_port(uint16_t& target, const toml::node& value) {
  return set_integer(target, value, 0, 65535, " (a port; 0 turns the service off)");
}

Complaint set_size(uint64_t& target, const toml::node& value, uint64_t low, uint64_t high) {
  std::optional<uint64_t> size;
  if (auto number = value.value_exact<int64_t>(); number && *number >= 0) size = *number;
  if (auto text = value.value_exact<std::string_view>()) size = parse_size(*text);
  if (!size || *size < low || *size > high) {
    return fmt::format("a size from {} to {} bytes, as a number or as in \"64MiB\"", low, high);
  }
  target = *size;
  return {};
}

Complaint set_string(std::string& target, const toml::node& value) {
  auto text = value.value_exact<std::string>();
  if (!text) return "a string";
  target = *text;
  return {};
}

Complaint set_choice(std::string& target, const toml::node& value,
                     std::span<const std::string_view> allowed) {
  auto text = value.value_exact<std::string>();
  if (!text || std::ranges::find(allowed, *text) == allowed.end()) {
    return fmt::format("one of \"{}\"", fmt::join(allowed, "\", \""));
  }
  target = *text;
  return {};
}

Complaint set_bool(bool& target, const toml::node& value) {
  auto flag = value.value_exact<bool>();
  if (!flag) return "true or false";
  target = *flag;
  return {};
}

// One address may be given as a plain string, which also serves overrides.
Complaint set_addresses(std::vector<std::string>& target, const toml::node& value) {
  std::vector<std::string> addresses;
  if (auto text = value.value_exact<std::string>()) {
    addresses.push_back(*text);
  } else if (const toml::array* array = value.as_array()) {
    for (const toml::node& item : *array) {
      addresses.push_back(item.value_exact<std::string>().value_or(""));
    }
  }
  if (addresses.empty() || std::ranges::any_of(addresses, &std::string::empty)) {
    return "an address or a list of addresses, as in [\"127.0.0.1\", \"::1\"]";
  }
  target = std::move(addresses);
  return {};
}

Complaint set_fsync(Fsync& target, const toml::node& value) {
  constexpr std::array<std::string_view, 3> kWords = {"always", "everysec", "no"};
  std::string word;
  if (Complaint complaint = set_choice(word, value, kWords)) return complaint;
  target = static_cast<Fsync>(std::ranges::find(kWords, word) - kWords.begin());
  return {};
}

Complaint set_cache_policy(CachePolicy& target, const toml::node& value) {
  std::string name;
  if (Complaint complaint = set_choice(name, value, kCachePolicyNames)) return complaint;
  target = *parse_cache_policy(name);
  return {};
}

Complaint set_name(std::string& target, const toml::node& value) {
  auto text = value.value_exact<std::string>();
  if (!text || !cluster::valid_node_name(*text)) {
    return fmt::format("a name of {}", cluster::kNodeNameRule);
  }
  target = *text;
  return {};
}

constexpr int64_t kMaxU32 = std::numeric_limits<uint32_t>::max();
constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kGiB = uint64_t{1} << 30;
constexpr uint64_t kTiB = uint64_t{1} << 40;
constexpr uint64_t kPiB = uint64_t{1} << 50;
constexpr std::array<std::string_view, 7> kLogLevels = {"trace", "debug",    "info", "warning",
                                                        "error", "critical", "off"};

// One line per option. The name of the lambda's parameters is short because there are so many of
// them: `c` is the configuration to fill, `v` the value from the file or the command line.
const std::vector<Option>& options() {
#define EVEN_OPTION(key, expression)                                            \
  Option {                                                                      \
    key, [](Config& c, const toml::node& v) -> Complaint { return expression; } \
  }
  static const std::vector<Option> all = {
      EVEN_OPTION("node.name", set_name(c.node.name, v)),
      EVEN_OPTION("node.data", set_string(c.node.data, v)),
      EVEN_OPTION("node.shards", set_integer(c.node.shards, v, 0, 1024, " (0: half the cores)")),
      EVEN_OPTION("node.busy_poll_us",
                  set_integer(c.node.busy_poll_us, v, 0, 1'000'000, " microseconds")),
      EVEN_OPTION("node.log_level", set_choice(c.node.log_level, v, kLogLevels)),

      EVEN_OPTION("client.bind", set_addresses(c.client.bind, v)),
      EVEN_OPTION("client.port", set_port(c.client.port, v)),
      EVEN_OPTION("client.password", set_string(c.client.password, v)),
      EVEN_OPTION("client.override_default", set_bool(c.client.override_default, v)),
      EVEN_OPTION("client.acl_file", set_string(c.client.acl_file, v)),
      EVEN_OPTION("client.max_clients",
                  set_integer(c.client.max_clients, v, 1, 1'000'000, " clients")),
      EVEN_OPTION("client.max_request_bytes", set_size(c.client.max_request_bytes, v, kMiB, kGiB)),
      EVEN_OPTION("client.query_buffer_bytes",
                  set_size(c.client.query_buffer_bytes, v, kMiB, kTiB)),
      EVEN_OPTION("client.output_buffer_bytes",
                  set_size(c.client.output_buffer_bytes, v, kMiB, kTiB)),
      EVEN_OPTION("client.pubsub_buffer_bytes", set_size(c.client.pubsub_buffer_bytes, v, 0, kTiB)),
      EVEN_OPTION("client.pubsub_buffer_soft_bytes",
                  set_size(c.client.pubsub_buffer_soft_bytes, v, 0, kTiB)),
      EVEN_OPTION("client.pubsub_buffer_soft_seconds",
                  set_integer(c.client.pubsub_buffer_soft_seconds, v, 0, 86'400, " seconds")),

      EVEN_OPTION("peer.bind", set_addresses(c.peer.bind, v)),
      EVEN_OPTION("peer.port", set_port(c.peer.port, v)),

      EVEN_OPTION("http.bind", set_addresses(c.http.bind, v)),
      EVEN_OPTION("http.port", set_port(c.http.port, v)),

      EVEN_OPTION("kafka.bind", set_addresses(c.kafka.bind, v)),
      EVEN_OPTION("kafka.port", set_port(c.kafka.port, v)),

      EVEN_OPTION("tls.client_cert", set_string(c.tls.client.cert, v)),
      EVEN_OPTION("tls.client_key", set_string(c.tls.client.key, v)),
      EVEN_OPTION("tls.client_ca", set_string(c.tls.client.ca, v)),
      EVEN_OPTION("tls.peer_cert", set_string(c.tls.peer.cert, v)),
      EVEN_OPTION("tls.peer_key", set_string(c.tls.peer.key, v)),
      EVEN_OPTION("tls.peer_ca", set_string(c.tls.peer.ca, v)),
      EVEN_OPTION("tls.http_cert", set_string(c.tls.http.cert, v)),
      EVEN_OPTION("tls.http_key", set_string(c.tls.http.key, v)),
      EVEN_OPTION("tls.http_ca", set_string(c.tls.http.ca, v)),
      EVEN_OPTION("tls.kafka_cert", set_string(c.tls.kafka.cert, v)),
      EVEN_OPTION("tls.kafka_key", set_string(c.tls.kafka.key, v)),
      EVEN_OPTION("tls.kafka_ca", set_string(c.tls.kafka.ca, v)),

      EVEN_OPTION("log.fsync", set_fsync(c.log.fsync, v)),
      EVEN_OPTION("log.segment_bytes", set_size(c.log.segment_bytes, v, kMiB, kTiB)),
      EVEN_OPTION("log.retain_bytes", set_size(c.log.retain_bytes, v, kMiB, kTiB)),

      EVEN_OPTION("store.pass_bytes", set_size(c.store.pass_bytes, v, kMiB, kTiB)),
      EVEN_OPTION("store.cache_bytes", set_size(c.store.cache_bytes, v, kMiB, kTiB)),
      EVEN_OPTION("store.backup_rate", set_size(c.store.backup_rate, v, 0, kTiB)),

      EVEN_OPTION("memory.max_memory", set_size(c.memory.max_memory, v, 0, kPiB)),
      EVEN_OPTION("memory.policy", set_cache_policy(c.memory.policy, v)),

      EVEN_OPTION("slowlog.log_slower_than_us",
                  set_integer(c.slow_log.log_slower_than_us, v, -1, 3'600'000'000,
                              " microseconds (0: all commands, -1: none)")),
      EVEN_OPTION("slowlog.max_len", set_integer(c.slow_log.max_len, v, 0, 1'000'000, " commands")),

      EVEN_OPTION("replication.window_bytes",
                  set_size(c.replication.window_bytes, v, uint64_t{64} << 10, kTiB)),
      EVEN_OPTION("replication.report_ms",
                  set_integer(c.replication.report_ms, v, 1, 60'000, " milliseconds")),

      EVEN_OPTION("expiry.wait_ms",
                  set_integer(c.expiry.wait_ms, v, 1'000, 2'000'000'000, " milliseconds")),

      EVEN_OPTION("hints.max_bytes", set_size(c.hints.max_bytes, v, 0, kTiB)),
      EVEN_OPTION("hints.max_age_s", set_integer(c.hints.max_age_s, v, 1, 31'536'000, " seconds")),

      EVEN_OPTION("check.interval_s",
                  set_integer(c.check.interval_s, v, 0, 31'536'000, " seconds")),

      EVEN_OPTION("clock.max_drift_ms",
                  set_integer(c.clock.max_drift_ms, v, 1, 3'600'000, " milliseconds")),

      EVEN_OPTION("cluster.id", set_string(c.cluster.id, v)),
      EVEN_OPTION("cluster.version", set_integer(c.cluster.version, v, 1, kMaxU32, "")),
      EVEN_OPTION("cluster.partitions",
                  set_integer(c.cluster.partitions, v, 1, cluster::kSlots, "")),
      EVEN_OPTION("cluster.replicas", set_integer(c.cluster.replicas, v, 1, 1024, "")),

      EVEN_OPTION("faults.enabled", set_bool(c.faults.enabled, v)),
      EVEN_OPTION("faults.lose_unsynced_writes", set_bool(c.faults.lose_unsynced_writes, v)),
  };
#undef EVEN_OPTION
  return all;
}

constexpr std::string_view kNodeList = "cluster.node";

struct NodeOption {
  std::string_view key;
  Complaint (*set)(cluster::Node&, const toml::node&);
};

constexpr std::array<NodeOption, 7> kNodeOptions = {{
    {"name", [](cluster::Node& n, const toml::node& v) { return set_name(n.name, v); }},
    {"number",
     [](cluster::Node& n, const toml::node& v) { return set_integer(n.number, v, 1, 65535, ""); }},
    {"host", [](cluster::Node& n, const toml::node& v) { return set_string(n.host, v); }},
    {"peer_port", [](cluster::Node& n, const toml::node& v) { return set_port(n.peer_port, v); }},
    {"client_port",
     [](cluster::Node& n, const toml::node& v) { return set_port(n.client_port, v); }},
    {"http_port", [](cluster::Node& n, const toml::node& v) { return set_port(n.http_port, v); }},
    {"kafka_port", [](cluster::Node& n, const toml::node& v) { return set_port(n.kafka_port, v); }},
}};

// Fills a Config from any number of sources and gathers what is wrong with them.
class Loader {
 public:
  void file(const std::string& path);
  void override_with(const std::string& text);
  Result<Config> finish();

 private:
  // `where` names the source: "even.toml:12" or "--set client.port=x".
  void complain(const std::string& where, const std::string& message) {
    errors_.push_back(where + ": " + message);
  }
  // Applies one value; false, with `complaint` set, when it is not allowed.
  bool apply(const std::string& key, const toml::node& value, const std::string& where,
             std::string& complaint);
  void unknown(const std::string& key, const std::string& where);
  Complaint nodes(const toml::node& value, const std::string& where);
  void check();
  void check_tls();
  void check_cluster();
  // An error about options as they are together; names the place of the first that was given.
  void complain_about(std::initializer_list<std::string_view> keys, const std::string& message) {
    errors_.push_back(config_.at(keys) + message);
  }

  Config config_;
  std::vector<std::string> errors_;
  // Where the entries of the list of nodes are, in its order, and their keys: "" is the entry.
  std::vector<std::map<std::string, std::string, std::less<>>> node_sources_;
  std::string path_;
};

std::string describe(const toml::node& value) {
  std::string text;
  value.visit([&](const auto& concrete) {
    if constexpr (toml::is_value<decltype(concrete)>) {
      std::ostringstream out;
      out << concrete;
      text = out.str();
    } else {
      text = toml::is_array<decltype(concrete)> ? "a list" : "a table";
    }
  });
  return text;
}

void Loader::unknown(const std::string& key, const std::string& where) {
  std::string section = key.substr(0, key.find('.'));
  std::vector<std::string> siblings;
  std::vector<std::string> sections;
  for (const std::string& known : Config::known_keys()) {
    std::string known_section = known.substr(0, known.find('.'));
    if (known_section == section) siblings.push_back(known.substr(section.size() + 1));
    if (sections.empty() || sections.back() != known_section) sections.push_back(known_section);
  }
  std::ranges::sort(sections);
  sections.erase(std::unique(sections.begin(), sections.end()), sections.end());
  if (key == section && !siblings.empty()) {
    complain(where, fmt::format("{}: is a section: [{}], with {} in it", key, section,
                                fmt::join(siblings, ", ")));
  } else if (siblings.empty()) {
    complain(where,
             fmt::format("{}: no such section; there are {}", key, fmt::join(sections, ", ")));
  } else {
    complain(where,
             fmt::format("{}: no such key; [{}] has {}", key, section, fmt::join(siblings, ", ")));
  }
}

Complaint Loader::nodes(const toml::node& value, const std::string& where) {
  const toml::array* list = value.as_array();
  if (list == nullptr ||
      !std::ranges::all_of(*list, [](const toml::node& item) { return item.is_table(); })) {
    return "a list of tables: [[cluster.node]] entries";
  }
  const auto line_of = [&](const toml::node& item) {
    const uint32_t line = item.source().begin.line;
    return path_.empty() || line == 0 ? where : fmt::format("{}:{}", path_, line);
  };
  config_.cluster.nodes.clear();
  node_sources_.clear();
  for (const toml::node& item : *list) {
    cluster::Node node;
    auto& sources = node_sources_.emplace_back();
    sources[""] = line_of(item);
    for (const auto& [key, field] : *item.as_table()) {
      std::string name = fmt::format("{}.{}", kNodeList, key.str());
      std::string line = line_of(field);
      sources[std::string(key.str())] = line;
      auto option = std::ranges::find(kNodeOptions, key.str(), &NodeOption::key);
      if (option == kNodeOptions.end()) {
        unknown(name, line);
      } else if (Complaint complaint = option->set(node, field)) {
        complain(line, fmt::format("{}: {} is not allowed, but {} is", name, describe(field),
                                   *complaint));
      }
    }
    config_.cluster.nodes.push_back(std::move(node));
  }
  return {};
}

bool Loader::apply(const std::string& key, const toml::node& value, const std::string& where,
                   std::string& complaint) {
  Complaint allowed;
  if (key == kNodeList) {
    allowed = nodes(value, where);
  } else {
    auto option = std::ranges::find(options(), key, &Option::key);
    if (option == options().end()) {
      unknown(key, where);
      return true;
    }
    allowed = option->set(config_, value);
  }
  config_.sources[key] = where;
  if (!allowed) return true;
  complaint = fmt::format("{}: {} is not allowed, but {} is", key, describe(value), *allowed);
  return false;
}

void Loader::file(const std::string& path) {
  path_ = path;
  if (std::error_code ignored; std::filesystem::is_directory(path, ignored)) {
    complain(path, "is a directory, not a file");
    return;
  }
  toml::table root;
  try {
    root = toml::parse_file(path);
  } catch (const toml::parse_error& error) {
    uint32_t line = error.source().begin.line;
    std::string where = line == 0 ? path : fmt::format("{}:{}", path, line);
    complain(where, std::string(error.description()));
    return;
  }
  for (const auto& [section, content] : root) {
    std::string where = fmt::format("{}:{}", path, content.source().begin.line);
    const toml::table* table = content.as_table();
    const bool known = std::ranges::any_of(options(), [&](const Option& option) {
      return option.key.substr(0, option.key.find('.')) == section.str();
    });
    if (table == nullptr || (!known && table->empty())) {
      unknown(std::string(section.str()), where);
      continue;
    }
    config_.sources[std::string(section.str())] = where;
    for (const auto& [key, value] : *table) {
      where = fmt::format("{}:{}", path, value.source().begin.line);
      std::string complaint;
      if (!apply(fmt::format("{}.{}", section.str(), key.str()), value, where, complaint)) {
        complain(where, complaint);
      }
    }
  }
  path_.clear();
}

void Loader::override_with(const std::string& text) {
  std::string where = "--set " + text;
  size_t equals = text.find('=');
  if (equals == std::string::npos || text.find('.') > equals) {
    complain(where, "an override is written section.key=value");
    return;
  }
  std::string key = text.substr(0, equals);
  std::string value = text.substr(equals + 1);
  // Read the value as TOML; what is not TOML, or not of the option's type, is tried as a string
  // without quotes, so that log.fsync=always and client.password=12345 do what they seem to.
  std::string complaint;
  try {
    toml::table parsed = toml::parse("value = " + value);
    if (parsed.size() == 1 && apply(key, *parsed.get("value"), where, complaint)) return;
  } catch (const toml::parse_error&) {
    complaint.clear();  // not TOML: what matters is whether it will do as a string
  }
  toml::value<std::string> bare(value);
  std::string second_complaint;
  if (apply(key, bare, where, second_complaint)) return;
  complain(where, complaint.empty() ? second_complaint : complaint);
}

void Loader::check_tls() {
  for (auto [name, files] :
       {std::pair{"client", &config_.tls.client}, std::pair{"peer", &config_.tls.peer},
        std::pair{"http", &config_.tls.http}, std::pair{"kafka", &config_.tls.kafka}}) {
    const std::string cert = fmt::format("tls.{}_cert", name);
    const std::string key = fmt::format("tls.{}_key", name);
    const std::string ca = fmt::format("tls.{}_ca", name);
    if (files->cert.empty() != files->key.empty()) {
      complain_about({files->cert.empty() ? key : cert},
                     fmt::format("{} and {}: both or neither are needed", cert, key));
    }
    if (!files->ca.empty() && files->cert.empty()) {
      complain_about({ca}, fmt::format("{}: needs {} and {} as well", ca, cert, key));
    }
  }
}

void Loader::check_cluster() {
  cluster::ClusterMap& map = config_.cluster;
  if (map.nodes.empty()) {
    map.nodes.push_back({.name = config_.node.name,
                         .number = 1,
                         .host = config_.client.bind.front(),
                         .peer_port = config_.peer.port,
                         .client_port = config_.client.port,
                         .http_port = config_.http.port,
                         .kafka_port = config_.kafka.port});
  }
  map.replicas = static_cast<uint16_t>(std::min<size_t>(map.replicas, map.nodes.size()));
  if (const std::optional<cluster::MapFault> fault = map.fault()) {
    const std::string message = "[cluster] " + fault->message;
    if (fault->node && *fault->node < node_sources_.size()) {
      const auto& sources = node_sources_[*fault->node];
      const auto found = sources.find(fault->member);
      complain(found == sources.end() ? sources.at("") : found->second, message);
    } else {
      complain_about({fmt::format("cluster.{}", fault->member), "cluster", kNodeList}, message);
    }
  } else if (map.find(config_.node.name) == nullptr) {
    std::vector<std::string> names;
    for (const cluster::Node& node : map.nodes) names.push_back(node.name);
    complain_about({"node.name", kNodeList},
                   fmt::format("node.name: '{}' is not in the cluster, whose nodes are {}",
                               config_.node.name, fmt::join(names, ", ")));
  } else if (map.nodes.size() > 1 && config_.peer.port == 0) {
    complain_about(
        {"peer.port", "peer", kNodeList},
        fmt::format("peer.port: 0 is not allowed in a cluster of {} nodes: set the port at "
                    "which this node takes connections from the others",
                    map.nodes.size()));
  }
}

void Loader::check() {
  check_tls();
  if (config_.faults.lose_unsynced_writes && !config_.faults.enabled) {
    complain_about({"faults.lose_unsynced_writes"},
                   "faults.lose_unsynced_writes: is for tests, which set faults.enabled as well");
  }
  const ClientConfig& client = config_.client;
  if (client.override_default && client.password.empty()) {
    complain_about({"client.override_default"},
                   "client.override_default: gives the user default all rights and "
                   "client.password: set that as well");
  }
  const uint64_t least = client.max_request_bytes + kRequestOverhead;
  if (client.query_buffer_bytes < least) {
    complain_about({"client.query_buffer_bytes", "client.max_request_bytes"},
                   fmt::format("client.query_buffer_bytes: {} is too small to hold a request with "
                               "an argument of client.max_request_bytes ({}): set it to {} or "
                               "more, or client.max_request_bytes to less",
                               client.query_buffer_bytes, client.max_request_bytes, least));
  }
  check_cluster();
}

Result<Config> Loader::finish() {
  if (errors_.empty()) check();
  if (!errors_.empty()) return fail(fmt::format("{}", fmt::join(errors_, "\n")));
  return std::move(config_);
}

}  // namespace

std::string_view to_string(Fsync fsync) {
  switch (fsync) {
    case Fsync::kAlways:
      return "always";
    case Fsync::kEverySecond:
      return "everysec";
    case Fsync::kNo:
      return "no";
  }
  return "?";
}

std::optional<uint64_t> parse_size(std::string_view text) {
  uint64_t number = 0;
  auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc{}) return {};
  text.remove_prefix(end - text.data());
  if (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  std::string unit(text);
  std::ranges::transform(unit, unit.begin(),
                         [](unsigned char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
  constexpr std::array<std::pair<std::string_view, int>, 6> kUnits = {
      {{"", 0}, {"b", 0}, {"kib", 10}, {"mib", 20}, {"gib", 30}, {"tib", 40}}};
  auto found = std::ranges::find(kUnits, unit, &std::pair<std::string_view, int>::first);
  if (found == kUnits.end() || (number << found->second) >> found->second != number) return {};
  return number << found->second;
}

std::string toml_string(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\u{:04X}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

Identity Config::identity(ShardId shards) const {
  return {.cluster = cluster.id,
          .node = node.name,
          .number = self().number,
          .partitions = cluster.partitions,
          .shards = shards};
}

std::string Config::at(std::initializer_list<std::string_view> keys) const {
  for (std::string_view key : keys) {
    if (const auto found = sources.find(key); found != sources.end()) return found->second + ": ";
  }
  return {};
}

Result<Config> Config::load(const std::optional<std::string>& path,
                            std::span<const std::string> overrides) {
  Loader loader;
  if (path) loader.file(*path);
  for (const std::string& text : overrides) loader.override_with(text);
  return loader.finish();
}

std::vector<std::string> Config::known_keys() {
  std::vector<std::string> keys;
  for (const Option& option : options()) keys.emplace_back(option.key);
  auto at = std::ranges::find(keys, "faults.enabled");
  std::vector<std::string> node_keys;
  for (const NodeOption& option : kNodeOptions) {
    node_keys.push_back(fmt::format("{}.{}", kNodeList, option.key));
  }
  keys.insert(at, node_keys.begin(), node_keys.end());
  return keys;
}

}  // namespace even
