// The handshake between two nodes: each sends a Hello as the first frame of a link, checks the
// other's and answers a Hello that it does not accept with a Refusal, so that both sides can say
// what is wrong.
//
// Pure functions on values. MessagePack arrays:
//   Hello:   ["EVENPEER", protocol, cluster id, node name, node number, partitions, map version,
//   shard,
//             shards, replica id, layout]
//   Refusal: [reason]
// A welcome is a byte of bits, or nothing.
// The first two elements keep their place and type in every version of the protocol.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"
#include "cluster/cluster_map.h"

namespace even {

inline constexpr std::string_view kPeerMagic = "EVENPEER";
inline constexpr std::uint32_t kPeerProtocol = 17;

struct Hello {
  std::uint32_t protocol = kPeerProtocol;
  std::string cluster_id;
  std::string node_name;
  NodeNumber node = 0;
  std::uint16_t partitions = 0;
  std::uint64_t map_version = 0;
  ShardId shard = 0;         // of the sender, that this link is for
  ShardId shards = 0;        // how many the sender has
  ReplicaId replica;         // of the sender's shard
  std::uint64_t layout = 0;  // cluster::layout_hash() of the sender's map

  bool operator==(const Hello&) const = default;
};

std::string encode_hello(const Hello& hello);
// Errors say what the bytes are not. Of another protocol version, only `protocol` is set.
Result<Hello> decode_hello(std::string_view bytes);

// What the sender of a welcome knows that earlier versions of the same protocol do not, as bits.
// Those send an empty one, and do not look at what it has.
inline constexpr std::uint8_t kInflatesRecords = 1;  // messages of compressed records
inline constexpr std::uint8_t kGrowsTopics = 2;      // partitions that topics are given later
inline constexpr std::uint8_t kLooksUpFirst = 4;     // GroupProposal::once_first
inline constexpr std::uint8_t kKnowsQuotas = 8;      // entries that set quotas
inline constexpr std::uint8_t kMarksUsers = 16;      // kCreatedRule of acl.h
// Entries by which keyspaces are dropped, GroupProposal::any_sequence and ::once_words.
inline constexpr std::uint8_t kClosesGroups = 32;
inline constexpr std::uint8_t kMeansKeyspaces = 64;  // that these say which keyspace they mean
std::string encode_welcome();
std::uint8_t decode_welcome(std::string_view bytes);

std::string encode_refusal(std::string_view reason);
Result<std::string> decode_refusal(std::string_view bytes);

// Whether a node that says `mine` and has `map` may link with one that says `theirs`. The error is
// worded for both sides' logs: "this node" is the one that refuses.
Result<> check_hello(const Hello& theirs, const Hello& mine, const cluster::ClusterMap& map);

}  // namespace even
