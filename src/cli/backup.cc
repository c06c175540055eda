// `even backup` and `even restore`: see docs/operations.md.
#include "store/backup.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "cli/commands.h"
#include "cli/login.h"
#include "cli/progress.h"
#include "cli/resp_client.h"
#include "net/tls.h"
#include "node/config.h"
#include "node/restore.h"

namespace even::cli {
namespace {

constexpr std::chrono::milliseconds kTimeout(10'000);
constexpr std::chrono::milliseconds kBetweenLooks(100);

struct Options {
  std::string directory;
  std::optional<std::uint32_t> keep;
  bool list = false;
  bool verify = false;
  BackupId id = 0;
  // The node.
  std::string config;
  std::string host;
  std::uint16_t port = 0;
  Login login;
};

int complain(const Error& error, int code = 1) {
  fmt::print(stderr, "even backup: {}\n", error.message);
  return code;
}

// Fills in what the command line does not say of the node.
Result<> read_config(Options& options) {
  const Result<Config> config =
      options.config.empty() ? Config::load({}, {}) : Config::load(options.config, {});
  if (!config) return std::unexpected(config.error());
  if (options.host.empty()) options.host = config->client.bind.front();
  if (options.port == 0) options.port = config->client.port;
  if (options.login.password.empty() && options.login.user.empty()) {
    options.login.password = config->client.password;
  }
  const TlsFiles& client = config->tls.client;
  if (!client.enabled()) return {};
  if (options.login.tls.ca.empty() && client.ca.empty()) {
    return fail(
        fmt::format("{}tls.client_cert turns TLS on, but there is no tls.client_ca: name the "
                    "authority that signed the node's certificate with --ca FILE",
                    config->at({"tls.client_cert"})));
  }
  if (options.login.tls.ca.empty()) options.login.tls.ca = client.ca;
  if (!client.ca.empty() && options.login.tls.cert.empty()) {
    options.login.tls.cert = client.cert;
    options.login.tls.key = client.key;
  }
  return {};
}

// The node's answer to EVEN.BACKUP STATUS.
class Status {
 public:
  static Result<Status> ask(RespClient& node) {
    const auto reply = node.call({"EVEN.BACKUP", "STATUS"}, kTimeout);
    if (!reply) return std::unexpected(reply.error());
    Status status;
    for (std::size_t i = 0; i + 1 < reply->size(); i += 2) {
      status.values_[(*reply)[i]] = (*reply)[i + 1];
    }
    return status;
  }
  std::string text(const std::string& name) const {
    const auto found = values_.find(name);
    return found == values_.end() ? "" : found->second;
  }
  std::uint64_t number(const std::string& name) const {
    const std::string digits = text(name);
    return digits.empty() ? 0 : std::stoull(digits);
  }

 private:
  std::map<std::string, std::string> values_;
};

// Waits for the end of the backup that the node calls `run`.
Result<Status> await(RespClient& node, std::uint64_t run) {
  Progress progress;
  for (;;) {
    auto status = Status::ask(node);
    if (!status) {
      return fail(
          fmt::format("the node does not answer any more ({}); whether there is a backup, "
                      "`even backup --list` tells",
                      status.error().message));
    }
    if (status->number("last_run") >= run) return status;
    progress.show(status->number("copied_bytes"), status->number("expected_bytes"));
    std::this_thread::sleep_for(kBetweenLooks);
  }
}

Result<> make(Options options) {
  const Result<TlsContext> tls = options.login.tls_context();
  if (!tls) return std::unexpected(tls.error());
  RespClient node(tls->get());
  const auto of_node = [&options](const Error& error) {
    return fail(fmt::format("{}:{}: {}", options.host, options.port, error.message));
  };
  if (const auto connected = node.connect(options.host, options.port, kTimeout); !connected) {
    return of_node(connected.error());
  }
  if (const std::vector<std::string> auth = options.login.auth(); !auth.empty()) {
    if (const auto known = node.call(auth, kTimeout); !known) {
      return of_node(known.error());
    }
  }
  const std::string directory =
      std::filesystem::absolute(options.directory).lexically_normal().string();
  std::vector<std::string> words{"EVEN.BACKUP", "START", directory};
  if (options.keep) words.insert(words.end(), {"KEEP", std::to_string(*options.keep)});
  const auto started = node.call(words, kTimeout);
  if (!started) return of_node(started.error());
  const std::uint64_t run = std::stoull(started->front());
  const auto status = await(node, run);
  if (!status) return of_node(status.error());
  if (status->number("last_run") != run) {
    return fail("the node has begun another backup since; its log tells what became of this one");
  }
  if (const std::string error = status->text("last_error"); !error.empty()) {
    return of_node({error});
  }
  fmt::print("backup {} in {}: {} bytes, {} of them copied, in {} s\n", status->text("last_id"),
             directory, status->text("last_bytes"), status->text("last_copied_bytes"),
             status->text("last_seconds"));
  return {};
}

int list(const Options& options) {
  const auto found = list_backups(options.directory);
  if (!found) return complain(found.error());
  fmt::print("{:>6}  {:<20}  {:>14}  {:>7}  {:<16}  {}\n", "backup", "taken", "bytes", "files",
             "node", "cluster");
  for (const BackupEntry& entry : found->whole) {
    const auto whose = decode_identity(entry.label.note);
    fmt::print("{:>6}  {:%Y-%m-%dT%H:%M:%SZ}  {:>14}  {:>7}  {:<16}  {}\n", entry.id,
               fmt::gmtime(entry.label.taken_s), entry.bytes, entry.files,
               whose ? whose->node : "?", whose ? whose->cluster : "?");
  }
  for (const BackupId id : found->damaged) fmt::print(stderr, "even backup: {} is damaged\n", id);
  return found->damaged.empty() ? 0 : 1;
}

int verify(const Options& options) {
  std::vector<BackupId> ids;
  if (options.id != 0) {
    ids.push_back(options.id);
  } else {
    const auto found = list_backups(options.directory);
    if (!found) return complain(found.error());
    for (const BackupEntry& entry : found->whole) ids.push_back(entry.id);
    ids.insert(ids.end(), found->damaged.begin(), found->damaged.end());
    if (ids.empty()) return complain({"there are no backups in " + options.directory});
  }
  int code = 0;
  for (const BackupId id : ids) {
    const Result<> sound = [&] {
      Progress progress;
      return verify_backup(
          options.directory, id,
          [&progress](std::uint64_t done, std::uint64_t all) { progress.show(done, all); });
    }();
    if (sound) {
      fmt::print("backup {}: sound\n", id);
    } else {
      code = complain(sound.error());
    }
  }
  return code;
}

int run(Options options) {
  if (options.list) return list(options);
  if (options.verify) return verify(options);
  if (const auto read = read_config(options); !read) return complain(read.error(), 2);
  const Result<> made = make(std::move(options));
  return made ? 0 : complain(made.error());
}

int restore(const RestoreRequest& request) {
  const auto restored = [&request] {
    Progress progress;
    return restore_data(
        request, [&progress](std::uint64_t done, std::uint64_t all) { progress.show(done, all); });
  }();
  if (!restored) {
    fmt::print(stderr, "even restore: {}\n", restored.error().message);
    return 1;
  }
  const Identity& identity = restored->identity;
  fmt::print(
      "{} holds backup {}, taken {:%Y-%m-%dT%H:%M:%SZ}. It is for a node whose configuration has:\n"
      "cluster.id \"{}\", node.name \"{}\" with the number {}, cluster.partitions {}\n",
      request.data, restored->backup.id, fmt::gmtime(restored->backup.label.taken_s),
      identity.cluster, identity.node, identity.number, identity.partitions);
  return 0;
}

}  // namespace

void add_backup(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "backup",
      "Have a running node make a backup into a directory of its machine; or look at backups");
  command->add_option("DIR", options->directory, "Directory of backups")->required();
  command->add_option("--keep", options->keep, "Remove all but the newest N afterwards")
      ->type_name("N")
      ->check(CLI::PositiveNumber);
  CLI::Option* list_flag =
      command->add_flag("--list", options->list, "Show the backups in DIR; make none");
  CLI::Option* verify_flag = command->add_flag(
      "--verify", options->verify, "Compare the backups in DIR with their checksums; make none");
  verify_flag->excludes(list_flag);
  command->add_option("--backup", options->id, "With --verify: this one only")
      ->type_name("NUMBER")
      ->needs(verify_flag);
  command
      ->add_option("--config", options->config,
                   "Configuration of the node: says its address, password and TLS")
      ->type_name("FILE");
  command->add_option("--host", options->host, "Address of the node (default 127.0.0.1)")
      ->type_name("HOST");
  command->add_option("--port", options->port, "Its port for clients (default 6379)")
      ->type_name("PORT");
  add_login_options(*command, options->login);
  command->callback([options, &exit_code] { exit_code = run(*options); });
}

void add_restore(CLI::App& app, int& exit_code) {
  auto request = std::make_shared<RestoreRequest>();
  CLI::App* command = app.add_subcommand(
      "restore", "Make a data directory of a backup; see docs/operations.md for what comes next");
  command->add_option("BACKUPS", request->backups, "Directory of backups")->required();
  command->add_option("DATA", request->data, "Data directory to make: empty, or not there")
      ->required();
  command->add_option("--backup", request->id, "Number of the backup (default: the newest)")
      ->type_name("NUMBER");
  CLI::Option* cluster =
      command
          ->add_option("--cluster-id", request->cluster,
                       "For a cluster with this id, in place of the one that was backed up")
          ->type_name("ID");
  CLI::Option* node =
      command->add_option("--node", request->node, "For a node of this name")->type_name("NAME");
  CLI::Option* number =
      command->add_option("--number", request->number, "For a node of this number")
          ->type_name("N")
          ->check(CLI::PositiveNumber);
  command
      ->add_flag_callback(
          "--alone",
          [request] {
            const auto alone = Config::load({}, {});
            request->cluster = alone->cluster.id;
            request->node = alone->node.name;
            request->number = alone->self().number;
          },
          "For a node by itself, as `evend --data DATA` without a configuration is")
      ->excludes(cluster)
      ->excludes(node)
      ->excludes(number);
  command->callback([request, &exit_code] { exit_code = restore(*request); });
}

}  // namespace even::cli
