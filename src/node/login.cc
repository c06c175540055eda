#include "node/login.h"

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

}  // namespace

std::optional<Login> default_login(const ShardThread& thread) {
  AclUserPointer user = thread.users().find(kDefaultUser);
  const bool open = user == nullptr ? !thread.node().options.has_password()
                                    : user->enabled() && user->needs_no_password();
  if (!open) return std::nullopt;
  return Login{std::move(user)};
}

std::optional<Login> log_in(const ShardThread& thread, std::string_view name,
                            std::string_view password) {
  const RuntimeOptions& options = thread.node().options;
  AclUserPointer known = thread.users().find(name);
  const bool good =
      known == nullptr
          ? name == kDefaultUser && (!options.has_password() || options.password_matches(password))
          : known->enabled() && (known->needs_no_password() || known->password_matches(password));
  if (!good) return std::nullopt;
  return Login{std::move(known)};
}

ScramLogin find_scram_login(const ShardThread& thread, std::string_view name) {
  AclUserPointer known = thread.users().find(name);
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
