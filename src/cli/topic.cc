// `even topic`: creates topics, shows them, and produces and consumes records, over the port for
// clients of Redis's protocol. See docs/topics.md.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <deque>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/address.h"
#include "cli/commands.h"
#include "cli/local_cluster.h"
#include "cli/login.h"
#include "cli/resp_pipe.h"
#include "cli/resp_value.h"
#include "cluster/keyspace_table.h"
#include "net/tls.h"
#include "node/config.h"

namespace even::cli {
namespace {

constexpr int kPatienceSeconds = 15;
constexpr std::size_t kUnderWay = 256;  // records whose acknowledgement has not come
constexpr std::int64_t kRecordsAtOnce = 500;
constexpr std::int64_t kFollowMs = 500;  // that a node waits for new records
// As Kafka's coordinators keep offsets: docs/topics.md, "Consumer groups".
constexpr std::string_view kOffsetsName = cluster::kOffsetsKeyspace;

struct TopicOptions {
  std::string dir = ".even";
  std::vector<std::string> addresses;
  Login login;
  std::string name;
  std::string group;
  int partitions = 0;
  int replicas = 0;
  std::string retention;
  std::string bytes;
  std::string cleanup;
  std::string separator;
  std::string from = "earliest";
  std::optional<int> partition;
  std::int64_t count = -1;
  bool follow = false;
  std::string format = "value";
};

int complain_of_topic(const std::string& what, int code = 1) {
  fmt::print(stderr, "even topic: {}\n", what);
  return code;
}

std::atomic<bool> interrupted = false;
void interrupt(int) { interrupted = true; }

// The nodes that may be asked, and the one that is.
class TopicNodes {
 public:
  TopicNodes(std::vector<Address> nodes, const TopicOptions& options, TlsContext tls)
      : nodes_(std::move(nodes)), auth_(options.login.auth()), tls_(std::move(tls)) {}

  std::size_t size() const { return nodes_.size(); }
  // Of one node; an error of it is one.
  Result<RespValue> ask(std::size_t node, const std::vector<std::string>& words) {
    auto pipe = connect(node);
    if (!pipe) return std::unexpected(pipe.error());
    if (auto sent = send(**pipe, words); !sent) return lose(node, sent.error());
    const auto reply = (*pipe)->reply();
    if (!reply) return lose(node, reply.error());
    return decode_value(*reply);
  }
  // Of the first node that can be reached and serves it.
  Result<RespValue> ask_any(const std::vector<std::string>& words) {
    Result<RespValue> outcome = fail("there are no nodes");
    for (std::size_t tries = 0; tries < nodes_.size(); ++tries) {
      outcome = ask(current_, words);
      if (outcome || pipes_.contains(current_)) {
        const bool elsewhere = !outcome && outcome.error().message.starts_with("OTHERNODE");
        if (!elsewhere) return outcome;
      }
      current_ = (current_ + 1) % nodes_.size();
    }
    return outcome;
  }
  Result<RespPipe*> connect_any() {
    Result<RespPipe*> outcome = fail("there are no nodes");
    for (std::size_t tries = 0; tries < nodes_.size(); ++tries) {
      outcome = connect(current_);
      if (outcome) return outcome;
      current_ = (current_ + 1) % nodes_.size();
    }
    return outcome;
  }
  static Result<> send(RespPipe& pipe, const std::vector<std::string>& words) {
    const std::vector<std::string_view> views(words.begin(), words.end());
    std::string bytes;
    append_command(bytes, views);
    return pipe.send(bytes);
  }

 private:
  Result<RespPipe*> connect(std::size_t node) {
    auto& pipe = pipes_[node];
    if (!pipe) {
      pipe = std::make_unique<RespPipe>(tls_.get());
      const auto done = pipe->connect(nodes_[node].host, nodes_[node].port, kPatienceSeconds);
      if (!done) return lose(node, done.error());
      if (!auth_.empty()) {
        const auto known = pipe->call(std::vector<std::string_view>(auth_.begin(), auth_.end()));
        if (!known) return lose(node, known.error());
      }
    }
    return pipe.get();
  }
  std::unexpected<Error> lose(std::size_t node, const Error& error) {
    pipes_.erase(node);
    return fail(fmt::format("{}: {}", nodes_[node].text, error.message));
  }

  std::vector<Address> nodes_;
  std::vector<std::string> auth_;
  TlsContext tls_;  // null: it is not spoken
  std::map<std::size_t, std::unique_ptr<RespPipe>> pipes_;
  std::size_t current_ = 0;
};

Result<TopicNodes> nodes_of(const TopicOptions& options) {
  std::vector<Address> nodes;
  Result<TlsContext> tls = options.login.tls_context();
  if (!tls) return std::unexpected(tls.error());
  for (const std::string& text : options.addresses) {
    const auto address = parse_address(text);
    if (!address) return fail(fmt::format("'{}' is not HOST:PORT", text));
    nodes.push_back(*address);
  }
  if (!nodes.empty()) return TopicNodes(std::move(nodes), options, std::move(*tls));
  const LocalCluster cluster(options.dir);
  if (cluster.nodes().empty()) {
    return fail(
        fmt::format("there is no cluster in {}; `even up` makes one", cluster.dir().string()));
  }
  for (const LocalNode& node : cluster.nodes()) {
    nodes.push_back({node.name(), kLocalHost, node.client_port()});
  }
  return TopicNodes(std::move(nodes), options, std::move(*tls));
}

// "7d", "36h", "90m", "20s", "500ms" or a number of milliseconds; "none": no limit.
std::optional<std::int64_t> parse_time(std::string_view text) {
  if (text == "none") return -1;
  std::int64_t number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number < 0) return std::nullopt;
  const std::string_view unit = text.substr(static_cast<std::size_t>(stop - text.data()));
  constexpr std::pair<std::string_view, std::int64_t> kUnits[] = {
      {"", 1}, {"ms", 1}, {"s", 1'000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};
  for (const auto& [name, factor] : kUnits) {
    if (unit != name) continue;
    if (number > INT64_MAX / factor) return std::nullopt;
    return number * factor;
  }
  return std::nullopt;
}

std::string time_text(std::int64_t ms) {
  if (ms < 0) return "none";
  for (const auto& [unit, factor] :
       {std::pair{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}}) {
    if (ms >= factor && ms % factor == 0) return fmt::format("{}{}", ms / factor, unit);
  }
  return fmt::format("{}ms", ms);
}

std::string bytes_text(std::int64_t bytes) {
  if (bytes < 0) return "none";
  for (const auto& [unit, shift] : {std::pair{"GiB", 30}, {"MiB", 20}, {"KiB", 10}}) {
    if (bytes >= std::int64_t{1} << shift) {
      return fmt::format("{:.1f}{}", static_cast<double>(bytes) / static_cast<double>(1LL << shift),
                         unit);
    }
  }
  return fmt::format("{}B", bytes);
}

// --- What there is of a topic

struct PartitionView {
  std::string leader;
  std::int64_t start = 0;
  std::int64_t end = 0;
  std::int64_t bytes = 0;
  std::int64_t compacted = 0;
};
struct TopicView {
  std::int64_t replicas = 0;
  std::int64_t retention = -1;
  std::int64_t bytes = -1;
  std::string cleanup;
  std::vector<PartitionView> partitions;  // as the member says that has most of it
};

Result<TopicView> look_at(TopicNodes& nodes, const std::string& name) {
  TopicView view;
  std::optional<Error> problem;
  bool any = false;
  for (std::size_t node = 0; node < nodes.size(); ++node) {
    const auto info = nodes.ask(node, {"EVEN.TOPIC", "INFO", name});
    if (!info) {
      problem = info.error();
      continue;
    }
    any = true;
    view.replicas = info->number_of("replicas");
    view.retention = info->number_of("retention");
    view.bytes = info->number_of("bytes");
    view.cleanup = info->text_of("cleanup");
    view.partitions.resize(static_cast<std::size_t>(info->number_of("partitions")));
    const RespValue* here = info->find("here");
    if (here == nullptr) continue;
    for (const RespValue& each : here->elements) {
      const auto number = static_cast<std::size_t>(each.number_of("partition"));
      if (number >= view.partitions.size()) continue;
      PartitionView& partition = view.partitions[number];
      if (each.number_of("end") < partition.end && !partition.leader.empty()) continue;
      partition = {each.text_of("leader"), each.number_of("start"), each.number_of("end"),
                   each.number_of("bytes"), each.number_of("compacted")};
    }
  }
  if (!any) return std::unexpected(*problem);
  return view;
}

// --- create, alter, list, describe

// As words of EVEN.TOPIC CREATE and ALTER; the error says what is wrong.
Result<std::vector<std::string>> setting_words(const TopicOptions& options) {
  std::vector<std::string> words;
  const auto add = [&words](std::string option, std::int64_t value) {
    words.push_back(std::move(option));
    words.push_back(std::to_string(value));
  };
  if (options.partitions > 0) add("PARTITIONS", options.partitions);
  if (options.replicas > 0) add("REPLICAS", options.replicas);
  if (!options.retention.empty()) {
    const auto time = parse_time(options.retention);
    if (!time) return fail("--retention is a time such as 7d, 12h or 500ms");
    add("RETENTION", *time);
  }
  if (options.bytes == "none") {
    add("BYTES", -1);
  } else if (!options.bytes.empty()) {
    const auto bytes = parse_size(options.bytes);
    if (!bytes) return fail("--bytes is a size such as 10GiB or 500MB, or none");
    add("BYTES", static_cast<std::int64_t>(*bytes));
  }
  if (!options.cleanup.empty()) {
    words.push_back("CLEANUP");
    words.push_back(options.cleanup);
  }
  return words;
}

int change_topic(const TopicOptions& options, std::string_view how, std::string_view done) {
  auto nodes = nodes_of(options);
  if (!nodes) return complain_of_topic(nodes.error().message);
  const auto settings = setting_words(options);
  if (!settings) return complain_of_topic(settings.error().message, 2);
  std::vector<std::string> words = {"EVEN.TOPIC", std::string(how), options.name};
  words.insert(words.end(), settings->begin(), settings->end());
  const auto reply = nodes->ask_any(words);
  if (!reply) return complain_of_topic(reply.error().message);
  fmt::print("topic {} {}\n", options.name, done);
  return 0;
}

int create_topic(const TopicOptions& options) { return change_topic(options, "CREATE", "created"); }

int alter_topic(const TopicOptions& options) {
  const auto settings = setting_words(options);
  if (settings && settings->empty()) return complain_of_topic("nothing is to be altered", 2);
  return change_topic(options, "ALTER", "altered");
}

int list_topics(const TopicOptions& options) {
  auto nodes = nodes_of(options);
  if (!nodes) return complain_of_topic(nodes.error().message);
  const auto reply = nodes->ask_any({"EVEN.TOPIC", "LIST"});
  if (!reply) return complain_of_topic(reply.error().message);
  for (const RespValue& name : reply->elements) fmt::print("{}\n", name.text);
  return 0;
}

int describe_topic(const TopicOptions& options) {
  auto nodes = nodes_of(options);
  if (!nodes) return complain_of_topic(nodes.error().message);
  const auto view = look_at(*nodes, options.name);
  if (!view) return complain_of_topic(view.error().message);
  fmt::print("topic {}: {} partitions, {} replicas, retention {}, bytes {}, cleanup {}\n\n",
             options.name, view->partitions.size(), view->replicas, time_text(view->retention),
             bytes_text(view->bytes), view->cleanup);
  fmt::print("{:>9}  {:<10} {:>12} {:>12} {:>12} {:>10} {:>12}\n", "partition", "leader", "start",
             "end", "offsets", "size", "compacted to");
  for (std::size_t i = 0; i < view->partitions.size(); ++i) {
    const PartitionView& each = view->partitions[i];
    fmt::print("{:>9}  {:<10} {:>12} {:>12} {:>12} {:>10} {:>12}\n", i,
               each.leader.empty() ? "none" : each.leader, each.start, each.end,
               each.end - each.start, bytes_text(each.bytes), each.compacted);
  }
  return 0;
}

// --- produce

// Counts on a terminal what has been acknowledged or printed.
class RecordCount {
 public:
  explicit RecordCount(std::string_view what) : what_(what) {}
  ~RecordCount() {
    if (drawn_) fmt::print(stderr, "\r\033[K");
  }
  void add() {
    ++count_;
    const auto now = std::chrono::steady_clock::now();
    if (::isatty(STDERR_FILENO) != 1 || ::isatty(STDOUT_FILENO) == 1 || now < next_) return;
    next_ = now + std::chrono::milliseconds(200);
    drawn_ = true;
    fmt::print(stderr, "\r{} records {}", count_, what_);
    std::fflush(stderr);
  }
  std::int64_t count() const { return count_; }

 private:
  const std::string_view what_;
  std::int64_t count_ = 0;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point next_ =
      std::chrono::steady_clock::now() + std::chrono::seconds(2);
};

int produce_records(const TopicOptions& options) {
  auto nodes = nodes_of(options);
  if (!nodes) return complain_of_topic(nodes.error().message);
  const auto pipe = nodes->connect_any();
  if (!pipe) return complain_of_topic(pipe.error().message);
  RecordCount acknowledged("acknowledged");
  std::size_t under_way = 0;
  std::string problem;
  const auto take_reply = [&] {
    const auto reply = (*pipe)->reply();
    const auto value =
        reply ? decode_value(*reply) : Result<RespValue>(fail(reply.error().message));
    --under_way;
    if (!value) {
      problem = value.error().message;
      return;
    }
    acknowledged.add();
  };
  std::string line;
  while (problem.empty() && std::getline(std::cin, line)) {
    std::string key;
    const std::size_t at =
        options.separator.empty() ? std::string::npos : line.find(options.separator);
    if (at != std::string::npos) {
      key = line.substr(0, at);
      line.erase(0, at + options.separator.size());
    }
    const auto sent = TopicNodes::send(**pipe, {"EVEN.EMIT", options.name, key, line});
    if (!sent) {
      problem = sent.error().message;
      break;
    }
    if (++under_way == kUnderWay) take_reply();
  }
  while (problem.empty() && under_way > 0) take_reply();
  if (!problem.empty()) {
    return complain_of_topic(fmt::format(
        "{} ({} records were acknowledged; of {} more it is not known whether they are there)",
        problem, acknowledged.count(), under_way));
  }
  fmt::print(stderr, "{} records\n", acknowledged.count());
  return 0;
}

// --- consume, lag

std::string offsets_key(const std::string& group) {
  return fmt::format("{}:{}", kOffsetsName, group);
}
std::string offsets_field(const std::string& topic, std::size_t partition) {
  return fmt::format("{}/{}", topic, partition);
}

// Of each partition, the offset that the group goes on with; none: it has none.
Result<std::vector<std::optional<std::int64_t>>> committed_offsets(TopicNodes& nodes,
                                                                   const TopicOptions& options,
                                                                   std::size_t partitions) {
  std::vector<std::optional<std::int64_t>> offsets(partitions);
  const auto keyspaces = nodes.ask_any({"EVEN.KEYSPACE", "LIST"});
  if (!keyspaces) return std::unexpected(keyspaces.error());
  const bool there = std::ranges::any_of(
      keyspaces->elements, [](const RespValue& each) { return each.text == kOffsetsName; });
  if (!there) return offsets;
  for (std::size_t i = 0; i < partitions; ++i) {
    const auto value =
        nodes.ask_any({"HGET", offsets_key(options.group), offsets_field(options.name, i)});
    if (!value) return std::unexpected(value.error());
    if (value->null) continue;
    RespValue offset;
    offset.text = value->text.substr(0, value->text.find(' '));
    offsets[i] = offset.number();
  }
  return offsets;
}

// As the first coordinator of a group would: kafka/groups.cc.
Result<> create_offsets(TopicNodes& nodes) {
  const auto made =
      nodes.ask_any({"EVEN.KEYSPACE", "CREATE", std::string(kOffsetsName), "PREFIX",
                     std::string(kOffsetsName) + ":", "MODE", "STRONG", "PARTITIONS", "16"});
  if (made || made.error().message.contains("already")) return {};
  return std::unexpected(made.error());
}

class Consumption {
 public:
  Consumption(TopicNodes& nodes, const TopicOptions& options) : nodes_(nodes), options_(options) {}

  int run() {
    const auto view = look_at(nodes_, options_.name);
    if (!view) return complain_of_topic(view.error().message);
    if (options_.partition &&
        (*options_.partition < 0 ||
         static_cast<std::size_t>(*options_.partition) >= view->partitions.size())) {
      return complain_of_topic(
          fmt::format("{} has the partitions 0 to {}", options_.name, view->partitions.size() - 1),
          2);
    }
    if (const auto begun = begin(*view); !begun) return complain_of_topic(begun.error().message);
    while (!done()) {
      const auto any = round();
      if (!any) return complain_of_topic(any.error().message);
    }
    std::fflush(stdout);
    return 0;
  }

 private:
  struct Place {
    std::size_t partition = 0;
    std::int64_t next = 0;
    std::int64_t end = 0;  // when it was begun
  };

  Result<> begin(const TopicView& view) {
    std::vector<std::optional<std::int64_t>> committed(view.partitions.size());
    if (!options_.group.empty()) {
      if (const auto there = create_offsets(nodes_); !there) return there;
      auto known = committed_offsets(nodes_, options_, view.partitions.size());
      if (!known) return std::unexpected(known.error());
      committed = std::move(*known);
    }
    for (std::size_t i = 0; i < view.partitions.size(); ++i) {
      if (options_.partition && static_cast<std::size_t>(*options_.partition) != i) continue;
      const PartitionView& each = view.partitions[i];
      Place place{i, each.start, each.end};
      if (committed[i]) {
        place.next = std::max(*committed[i], each.start);
      } else if (options_.from == "latest") {
        place.next = each.end;
      } else if (options_.from != "earliest") {
        RespValue offset;
        offset.text = options_.from;
        place.next = offset.number();
      }
      places_.push_back(place);
    }
    return {};
  }

  bool done() const {
    if (interrupted || printed_ == options_.count) return true;
    return !options_.follow &&
           std::ranges::all_of(places_, [](const Place& place) { return place.next >= place.end; });
  }

  // Each partition once; where nothing has come, one of them is waited for.
  Result<> round() {
    bool any = false;
    for (Place& place : places_) {
      if (!options_.follow && place.next >= place.end) continue;
      const auto got = fetch(place, places_.size() == 1 && options_.follow ? kFollowMs : 0);
      if (!got) return std::unexpected(got.error());
      any = any || *got > 0;
      if (done()) return {};
    }
    if (any || places_.size() == 1) return {};
    waited_ = (waited_ + 1) % places_.size();
    const auto got = fetch(places_[waited_], kFollowMs);
    if (!got) return std::unexpected(got.error());
    return {};
  }

  Result<std::int64_t> fetch(Place& place, std::int64_t block_ms) {
    std::int64_t count = kRecordsAtOnce;
    if (options_.count >= 0) count = std::min(count, options_.count - printed_);
    if (count == 0) return 0;
    const auto records = nodes_.ask_any(
        {"EVEN.FETCH", options_.name, std::to_string(place.partition), std::to_string(place.next),
         "COUNT", std::to_string(count), "BLOCK", std::to_string(block_ms)});
    if (!records) return std::unexpected(records.error());
    const std::int64_t before = place.next;
    for (const RespValue& record : records->elements) {
      if (record.elements.size() != 5) return fail("the answer makes no sense");
      const std::int64_t offset = record.elements[0].number();
      if (!options_.follow && offset >= place.end) {
        place.next = place.end;
        break;
      }
      print(place.partition, record);
      ++printed_;
      place.next = offset + 1;
    }
    std::fflush(stdout);
    if (place.next == before || options_.group.empty()) return place.next - before;
    // What has been printed is consumed.
    const auto kept = nodes_.ask_any({"HSET", offsets_key(options_.group),
                                      offsets_field(options_.name, place.partition),
                                      fmt::format("{} -1 ", place.next)});
    if (!kept) return std::unexpected(kept.error());
    return place.next - before;
  }

  void print(std::size_t partition, const RespValue& record) const {
    const auto& [text, null, array, fields] = record;
    if (options_.format == "value") {
      fmt::print("{}\n", fields[3].text);
      return;
    }
    if (options_.format == "key-value") {
      fmt::print("{}\t{}\n", fields[2].text, fields[3].text);
      return;
    }
    using nlohmann::ordered_json;
    const auto json_of = [](const RespValue& value) {
      return value.null ? ordered_json(nullptr) : ordered_json(value.text);
    };
    ordered_json headers = ordered_json::array();
    for (std::size_t i = 0; i + 1 < fields[4].elements.size(); i += 2) {
      headers.push_back({json_of(fields[4].elements[i]), json_of(fields[4].elements[i + 1])});
    }
    const ordered_json line = {{"partition", partition},      {"offset", fields[0].number()},
                               {"time", fields[1].number()},  {"key", json_of(fields[2])},
                               {"value", json_of(fields[3])}, {"headers", headers}};
    fmt::print("{}\n", line.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
  }

  TopicNodes& nodes_;
  const TopicOptions& options_;
  std::vector<Place> places_;
  std::int64_t printed_ = 0;
  std::size_t waited_ = 0;
};

int consume_records(const TopicOptions& options) {
  auto nodes = nodes_of(options);
  if (!nodes) return complain_of_topic(nodes.error().message);
  ::signal(SIGINT, interrupt);
  ::signal(SIGTERM, interrupt);
  return Consumption(*nodes, options).run();
}

int show_lag(const TopicOptions& options) {
  auto nodes = nodes_of(options);
  if (!nodes) return complain_of_topic(nodes.error().message);
  const auto view = look_at(*nodes, options.name);
  if (!view) return complain_of_topic(view.error().message);
  const auto committed = committed_offsets(*nodes, options, view->partitions.size());
  if (!committed) return complain_of_topic(committed.error().message);
  fmt::print("{:>9} {:>12} {:>12} {:>12}\n", "partition", "committed", "end", "lag");
  std::int64_t all = 0;
  for (std::size_t i = 0; i < view->partitions.size(); ++i) {
    const PartitionView& each = view->partitions[i];
    const std::int64_t from = std::max((*committed)[i].value_or(each.start), each.start);
    const std::int64_t lag = std::max<std::int64_t>(each.end - from, 0);
    all += lag;
    fmt::print("{:>9} {:>12} {:>12} {:>12}\n", i,
               (*committed)[i] ? std::to_string(*(*committed)[i]) : "none", each.end, lag);
  }
  fmt::print("{:>9} {:>12} {:>12} {:>12}\n", "all", "", "", all);
  return 0;
}

}  // namespace

void add_topic(CLI::App& app, int& exit_code) {
  CLI::App* topic = app.add_subcommand(
      "topic",
      "Create, alter, list and describe topics; produce and consume records; show lags of groups");
  topic->require_subcommand(1);
  const auto add = [&](const char* name, const char* what, bool of_topic,
                       int (*run)(const TopicOptions&)) {
    auto options = std::make_shared<TopicOptions>();
    CLI::App* command = topic->add_subcommand(name, what);
    if (of_topic) command->add_option("name", options->name, "Name of the topic")->required();
    command->add_option("--dir", options->dir, "Directory of the cluster (default .even)")
        ->type_name("DIR");
    command
        ->add_option("--node", options->addresses,
                     "Address of a node for clients, in place of --dir; may be repeated")
        ->type_name("HOST:PORT");
    add_login_options(*command, options->login);
    command->callback([options, run, &exit_code] { exit_code = run(*options); });
    return std::pair(command, options);
  };

  const auto [create, of_create] = add("create", "Create a topic", true, create_topic);
  create
      ->add_option("--partitions", of_create->partitions, "How many partitions it has (default 1)")
      ->check(CLI::PositiveNumber);
  create
      ->add_option("--replicas", of_create->replicas,
                   "How many nodes keep each of them (default: as the cluster's)")
      ->check(CLI::PositiveNumber);
  const auto add_limits = [](CLI::App* command, const std::shared_ptr<TopicOptions>& options,
                             const char* otherwise) {
    command->add_option(
        "--retention", options->retention,
        fmt::format("How long records stay at least: 7d, 12h, 30m, 20s, 500ms{}", otherwise));
    command->add_option("--bytes", options->bytes,
                        fmt::format("Of how many bytes the latest records of a partition stay at "
                                    "least: 10GiB, 500MiB{}",
                                    *otherwise == '\0' ? "" : "; default: all"));
    command
        ->add_option("--cleanup", options->cleanup,
                     "delete: records go by --retention and --bytes; compact: of each key "
                     "the latest record stays; or compact,delete")
        ->check(CLI::IsMember({"delete", "compact", "compact,delete"}));
  };
  add_limits(create, of_create, "; default: for good");
  const auto [alter, of_alter] = add(
      "alter", "Change how much of a topic stays, or give it more partitions", true, alter_topic);
  alter
      ->add_option("--partitions", of_alter->partitions,
                   "How many partitions it is to have, which is more than it has; keys go to other "
                   "ones from then on")
      ->check(CLI::PositiveNumber);
  add_limits(alter, of_alter, "");
  add("list", "List the topics", false, list_topics);
  add("describe", "Show a topic and its partitions: leaders, offsets, sizes", true, describe_topic);
  const auto [produce, of_produce] =
      add("produce", "Append a record for each line of the standard input", true, produce_records);
  produce->add_option(
      "--key-separator", of_produce->separator,
      "What comes before it in a line is the record's key; default: there are none");
  const auto [consume, of_consume] =
      add("consume", "Print records, up to what is there when it begins", true, consume_records);
  consume->add_option("--from", of_consume->from,
                      "earliest (default), latest, or an offset; where a group has none");
  consume->add_option("--partition", of_consume->partition, "Of this partition alone");
  consume->add_option("--count", of_consume->count, "Print so many records at most")
      ->check(CLI::NonNegativeNumber);
  consume->add_flag("--follow", of_consume->follow, "Go on waiting for more, until interrupted");
  consume->add_option("--group", of_consume->group,
                      "Go on where this group is, and note how far it has come. It takes all "
                      "partitions, beside whoever else is in the group");
  consume
      ->add_option("--format", of_consume->format,
                   "value (default), key-value (with a tab between), or json")
      ->check(CLI::IsMember({"value", "key-value", "json"}));
  consume->callback([options = of_consume, &exit_code] {
    const std::string& from = options->from;
    const bool number =
        !from.empty() && std::ranges::all_of(from, [](char c) { return c >= '0' && c <= '9'; });
    if (from != "earliest" && from != "latest" && !number) {
      exit_code = complain_of_topic("--from is earliest, latest or an offset", 2);
      return;
    }
    exit_code = consume_records(*options);
  });
  const auto [lag, of_lag] =
      add("lag", "Show how far a group of consumers is behind", true, show_lag);
  lag->add_option("--group", of_lag->group, "The group")->required();
}

}  // namespace even::cli
