// What a client's user may do with topics, consumer groups and transactional ids: what it may do
// with the commands that do the same, so that this port allows nothing that the port for clients of
// Redis's protocol refuses. See docs/topics.md, "Users and rights".
//
// What is refused is noted for ACL LOG.
#pragma once

#include <string_view>

namespace even::kafka {

class Connection;

bool may_produce(Connection& client, std::string_view topic);
// To any topic that there is.
bool may_produce_somewhere(Connection& client);
bool may_fetch(Connection& client, std::string_view topic);
bool may_create(Connection& client, std::string_view topic);
bool may_drop(Connection& client, std::string_view topic);
// To change how much of it stays, to delete records, and to give it more partitions.
bool may_alter(Connection& client, std::string_view topic);
// To see its settings.
bool may_inspect(Connection& client, std::string_view topic);
// To know that it is there, and where: whoever may do something with its records, or inspect it.
// Nothing is noted, as nothing is asked for.
bool may_know(Connection& client, std::string_view topic);

// To see what a group has committed, and who is in it; quietly: that it is there; to be a member
// and commit; to delete what it has committed.
bool may_look_at_group(Connection& client, std::string_view group);
bool may_know_group(Connection& client, std::string_view group);
bool may_delete_group(Connection& client, std::string_view group);
bool may_join_group(Connection& client, std::string_view group);
// Who may do so for any client may for all.
bool may_see_quotas(Connection& client);
bool may_set_quotas(Connection& client);
bool may_use_transactional_id(Connection& client, std::string_view id);

}  // namespace even::kafka
