#include "cluster/placement.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/database.h"

namespace even::cluster {
namespace {

// kTables[k][b] is the CRC of byte b followed by k zero bytes. With eight of them, eight bytes are
// folded in by eight independent look-ups ("slicing by 8") in place of a chain of eight dependent
// ones: every command hashes its keys.
constexpr auto kTables = [] {
  std::array<std::array<uint16_t, 256>, 8> tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte << 8;
    for (int bit = 0; bit < 8; ++bit) crc = (crc << 1) ^ ((crc & 0x8000) ? 0x1021 : 0);
    tables[0][byte] = static_cast<uint16_t>(crc);
  }
  for (size_t k = 1; k < tables.size(); ++k) {
    for (size_t byte = 0; byte < 256; ++byte) {
      uint16_t crc = tables[k - 1][byte];
      tables[k][byte] = static_cast<uint16_t>((crc << 8) ^ tables[0][crc >> 8]);
    }
  }
  return tables;
}();

uint64_t weight(uint16_t partition, std::string_view name) {
  std::string input;
  input.reserve(2 + name.size());
  input.push_back(static_cast<char>(partition & 0xff));
  input.push_back(static_cast<char>(partition >> 8));
  input.append(name);
  return XXH3_64bits(input.data(), input.size());
}

}  // namespace

uint16_t crc16(std::string_view data) {
  const auto* p = reinterpret_cast<const uint8_t*>(data.data());
  size_t left = data.size();
  uint16_t crc = 0;
  for (; left >= 8; left -= 8, p += 8) {
    crc = kTables[7][(crc >> 8) ^ p[0]] ^ kTables[6][(crc & 0xff) ^ p[1]] ^ kTables[5][p[2]] ^
          kTables[4][p[3]] ^ kTables[3][p[4]] ^ kTables[2][p[5]] ^ kTables[1][p[6]] ^
          kTables[0][p[7]];
  }
  for (; left > 0; --left, ++p) {
    crc = static_cast<uint16_t>((crc << 8) ^ kTables[0][(crc >> 8) ^ *p]);
  }
  return crc;
}

std::string_view hash_tag(std::string_view key) {
  size_t open = key.find('{');
  if (open == std::string_view::npos) return key;
  size_t close = key.find('}', open + 1);
  if (close == std::string_view::npos || close == open + 1) return key;
  return key.substr(open + 1, close - open - 1);
}

uint16_t key_slot(std::string_view key) { return crc16(hash_tag(user_key(key))) & (kSlots - 1); }

std::vector<uint16_t> rank_nodes(const ClusterMap& map, uint16_t partition) {
  std::vector<std::pair<uint64_t, const Node*>> weighted;
  weighted.reserve(map.nodes.size());
  for (const Node& node : map.nodes) weighted.emplace_back(weight(partition, node.name), &node);
  // Equal weights are all but impossible; the name breaks the tie so that every node still gives
  // the same answer.
  std::ranges::sort(weighted, [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second->name < b.second->name;
  });
  std::vector<uint16_t> numbers;
  numbers.reserve(weighted.size());
  for (const auto& [unused, node] : weighted) numbers.push_back(node->number);
  return numbers;
}

Placement::Placement(const ClusterMap& map)
    : partitions_(map.partitions), replicas_(map.replicas), nodes_(map.nodes.size()) {
  EVEN_CHECK(map.validate().has_value(), "placement needs a valid cluster map");
  ranking_.reserve(size_t{partitions_} * nodes_);
  for (uint32_t partition = 0; partition < partitions_; ++partition) {
    std::vector<uint16_t> ranked = rank_nodes(map, static_cast<uint16_t>(partition));
    ranking_.insert(ranking_.end(), ranked.begin(), ranked.end());
  }
}

bool Placement::holds(uint16_t node_number, uint16_t partition) const {
  return std::ranges::find(replicas(partition), node_number) != replicas(partition).end();
}

}  // namespace even::cluster
