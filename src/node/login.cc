#include "node/login.h"

#include <fmt/format.h>

#include "node/node_context.h"
#include "node/shard_thread.h"

namespace even {
namespace {

// That nothing proves: who asks is not to learn whether there is such a user. The salt is the same
// each time and at all nodes, as that of a user is.
ScramLogin decoy(const ShardThread& thread, std::string_view name) {
  const std::string& of_cluster = thread.keyspaces().session_key();
  const std::string& key = of_cluster.empty() ? thread.node().session_key : of_cluster;
  scram::Credentials none;
  none.salt =
      scram::derive_keys(scram::Hash::kSha256, key, name, 1).server.substr(0, scram::kSaltBytes);
  none.iterations = scram::kIterations;
  return {{}, {std::move(none)}};
}

bool overrides(const ShardThread& thread, std::string_view name) {
  return name == kDefaultUser && thread.node().config.client.override_default;
}

}  // namespace

AclUserPointer find_user(const ShardThread& thread, std::string_view name) {
  if (overrides(thread, name)) return nullptr;
  return thread.users().find(name);
}

bool is_gone(const AclUserPointer& before, const AclUserPointer& now) {
  if (before == nullptr) return false;
  if (now == nullptr) return before->name() != kDefaultUser;
  // Who has been made anew under a name that was free again is somebody else.
  return before->created() != now->created();
}

std::string why_no_login(const ShardThread& thread, std::string_view name) {
  const std::string& why = thread.users().why_unknown();
  if (why.empty() || overrides(thread, name)) return {};
  return fmt::format(
      "UNAVAILABLE nobody can log in at this node, as it does not know the cluster's users: {}",
      why);
}

std::string refusal_of_strangers(const ShardThread& thread) {
  std::string why = why_no_login(thread);
  return why.empty() ? "NOAUTH Authentication required." : why;
}

std::optional<Login> default_login(const ShardThread& thread) {
  if (!why_no_login(thread).empty()) return std::nullopt;
  AclUserPointer user = find_user(thread, kDefaultUser);
  const bool open = user == nullptr ? !thread.node().options.has_password()
                                    : user->enabled() && user->needs_no_password();
  if (!open) return std::nullopt;
  return Login{std::move(user)};
}

std::optional<Login> log_in(const ShardThread& thread, std::string_view name,
                            std::string_view password) {
  if (!why_no_login(thread, name).empty()) return std::nullopt;
  const RuntimeOptions& options = thread.node().options;
  AclUserPointer known = find_user(thread, name);
  const bool good =
      known == nullptr
          ? name == kDefaultUser && (!options.has_password() || options.password_matches(password))
          : known->enabled() && (known->needs_no_password() || known->password_matches(password));
  if (!good) return std::nullopt;
  return Login{std::move(known)};
}

ScramLogin find_scram_login(const ShardThread& thread, std::string_view name) {
  if (!why_no_login(thread, name).empty()) return decoy(thread, name);
  AclUserPointer known = find_user(thread, name);
  ScramLogin found{{known}, {}};
  if (known == nullptr) {
    auto credentials =
        name == kDefaultUser ? thread.node().options.scram_credentials() : std::nullopt;
    if (!credentials) return decoy(thread, name);
    found.credentials.push_back(std::move(*credentials));
    return found;
  }
  if (!known->enabled() || known->scram_credentials().empty()) {
    return decoy(thread, name);
  }
  // Nodes that change a user at the same time may have drawn different salts for it.
  const scram::Credentials& latest = known->scram_credentials().back();
  for (const scram::Credentials& each : known->scram_credentials()) {
    if (each.salt == latest.salt && each.iterations == latest.iterations) {
      found.credentials.push_back(each);
    }
  }
  return found;
}

bool is_open_to_anyone(const NodeContext& node) {
  const NodeContext::DefaultUser user = node.default_user;
  return user == NodeContext::DefaultUser::kUnchanged ? !node.options.has_password()
                                                      : user == NodeContext::DefaultUser::kOpen;
}

}  // namespace even
