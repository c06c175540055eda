// The ACL file of a node: a user in each line, as ACL LIST shows them ("user name on ~* +@all").
// It is read by ACL LOAD and written by ACL SAVE only; what holds is what the cluster has.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "cluster/keyspace_table.h"

namespace even {

// The users of an ACL file's text, their definitions with passwords as hashes. The error names all
// lines that are none; `name`: the file's, for that.
Result<cluster::Definitions> parse_acl_file(std::string_view name, std::string_view text);
Result<std::string> read_acl_file(const std::string& name);
// All of it or nothing, readable for the owner alone.
Result<> write_acl_file(const std::string& name, std::string_view text);

}  // namespace even
