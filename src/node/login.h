// Who a client is, at any port of a node that has users: see docs/operations.md, "Users".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/acl.h"
#include "engine/scram.h"

namespace even {

struct NodeContext;
class ShardThread;

// What a login comes to. `user` is null for `default` as long as nobody has changed it: it may do
// everything.
struct Login {
  AclUserPointer user;
};

// The user of this name by whom this node serves. Null: there is none, or it is `default` and as
// the configuration says.
AclUserPointer find_user(const ShardThread& thread, std::string_view name);
// Why nobody can log in under this name whatever the password, as an error without its "-"; empty:
// the password decides.
std::string why_no_login(const ShardThread& thread, std::string_view name = kDefaultUser);
// What who has not logged in is told of anything else, as an error without its "-".
std::string refusal_of_strangers(const ShardThread& thread);

// Of who has logged in as `before`: whether that user is there no more. `now`: that of its name.
bool is_gone(const AclUserPointer& before, const AclUserPointer& now);

// Who has not logged in yet; none: who has not may do nothing.
std::optional<Login> default_login(const ShardThread& thread);
// As long as nobody has changed the user `default`, its password is that of the configuration;
// without one any is right.
std::optional<Login> log_in(const ShardThread& thread, std::string_view name,
                            std::string_view password);

// A user as SCRAM logs it in: the credentials all have the salt and the iterations of the first. Of
// who cannot log in, be there such a user or not, they are such that nobody has the password.
struct ScramLogin {
  Login login;
  std::vector<scram::Credentials> credentials;
};
ScramLogin find_scram_login(const ShardThread& thread, std::string_view name);

// Whether who does not log in may do something, on any thread.
bool is_open_to_anyone(const NodeContext& node);

}  // namespace even
