// The entries of the metadata group: what EVEN.KEYSPACE comes to, and the nodes' joining. Each is
// executed by every member, on the group's state and by its words alone. See docs/groups.md.
//
//   even.meta JOIN node line
//   even.meta CREATE keyspace free [number name]...
//   even.meta ALTER name [READ level] [WRITE level] [SLOPPY YES|NO] [DEADLINE ms] [FEED topic|NONE]
//       [SNAPSHOT YES|NO]
//   even.meta DROP name [attempt]
//   even.meta CLOSE name
//   even.meta OPEN name first attempt
//   even.meta KEY key
//   even.meta ALTERTOPIC name [RETENTION ms] [BYTES n] [what cluster::set_cleanup() knows]
//   even.meta DROPTOPIC name
//   even.meta PRODUCERS count
//   even.meta SETUSER name base rule...
//   even.meta DELUSER name...
//   even.meta LOADUSERS [name definition]...
//   even.meta SETLIBRARIES NEW|REPLACE|FLUSH [name library]...
//   even.meta DELLIBRARY name
//   even.meta SWAPDB database database
//   even.meta SETQUOTAS [entity name rate]...
//
// `keyspace`: cluster::encode(), with neither `first` nor `lines`, which the execution gives out;
// `free`: the lowest id that a partition may get; then the nodes of the cluster map, which must
// all have joined. CLOSE begins an attempt at dropping a strong keyspace and replies its number;
// with that, DROP drops it only if no other attempt has begun since, and OPEN, which names the
// first of the partitions as well, has not ended it (docs/groups.md, "Dropping a keyspace"). `key`:
// what session tokens are sealed with, unless there is one already. JOIN, KEY and OPEN reply +OK,
// PRODUCERS the first of so many ids of producers that nobody has had, the others the version of
// the table that they lead to. SETUSER applies rules of ACL SETUSER to the user, or, if there is
// none, to `base`, a definition, or one that may do nothing if that is empty; passwords are in it
// as hashes, and as what SCRAM needs, whose salt whoever proposes it has drawn. Rules about
// commands and categories that the executing version does not know are kept as they are, so that
// all versions come to the same; who proposes them has to know them. With kCreatedRule (acl.h) a
// user that is new gets the version of the table that has brought it. LOADUSERS puts these in the
// place of all; what SCRAM needs stays with passwords that a user keeps. SETLIBRARIES adds
// libraries of functions (library.h) to those that there are: none may have a name that is taken,
// it takes the place of that one, or all others go; no function may be in two of them. SETQUOTAS
// sets quotas (cluster/client_quota.h), by whom each is for, its name and the bytes a second;
// empty: there is none any more.
//
// The keys: "keyspace:<name>", "closing:<name>" (the number of the last attempt at dropping it),
// "topic:<name>", "node:<number>" (the line), "next" (a partition's id), "producers" (the next id
// of one), "version", "session key", "user:<name>" (a definition, see acl.h), "quota:<entity>"
// (those of an entity) and "databases" (DatabaseMap::text() of base/database.h; none: each is its
// own).
#pragma once

#include <string_view>

#include "cluster/keyspace_table.h"
#include "engine/context.h"

namespace even {

inline constexpr std::string_view kMetaCommand = "even.meta";
// Of all keyspaces together, those of `default` included.
inline constexpr std::uint32_t kMostPartitions = 60'000;
inline constexpr std::string_view kSessionKeyKey = "session key";
// Of all libraries together.
inline constexpr std::size_t kMostLibraryBytes = std::size_t{16} << 20;
// Of the definitions of all users together.
inline constexpr std::size_t kMostUserBytes = std::size_t{4} << 20;
// Of all quotas together, as texts.
inline constexpr std::size_t kMostQuotaBytes = std::size_t{4} << 20;
// That one entry gives out.
inline constexpr std::int64_t kMostProducerIds = 1'000'000;

void meta_command(Context& context, Args args);

// What the state of the metadata group says.
cluster::KeyspaceTable keyspaces_of(const PartitionState& state);

}  // namespace even
