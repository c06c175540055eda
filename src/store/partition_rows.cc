#include "store/partition_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/byte_reader.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/mutant.h"
#include "lattice/codec.h"

namespace even {
namespace {

constexpr std::uint8_t kVersion = 2;
// Of a summary that counts keys of databases other than 0.
constexpr std::uint8_t kVersionWithDatabases = 3;

// Sections of a partition, in order. The first three are those of the first generation. Those after
// it have theirs within kLater, behind the generation, but for the summaries, which are neighbours.
enum Section : std::uint8_t {
  kExpiries = 0,
  kObjects = 1,
  kSummary = 2,
  kLater = 3,
  kLaterSummaries = 4,
  kEnd = 5,
};
// Tables of an object: bits of a byte.
constexpr std::uint8_t kMembers = 1;
constexpr std::uint8_t kFields = 2;
constexpr std::uint8_t kScores = 4;
constexpr std::uint8_t kItems = 8;
constexpr std::uint8_t kStreamFields = 16;
constexpr std::uint8_t kFieldExpiries = 32;
constexpr std::uint8_t kAllTables =
    kMembers | kFields | kScores | kItems | kStreamFields | kFieldExpiries;
// What an entry of the index of expiries is of.
enum ExpiryByte : std::uint8_t {
  kLeftOver = 0,
  kLiveKey = 1,
  kFirstOfFields = 2,
  kLiveKeyAndFields = 3,
  kLeftOverAndFields = 4,
};

// One generation of the rows of a partition.
struct RowSet {
  PartitionId partition;
  std::uint64_t generation;
};

std::string partition_row(PartitionId partition, Section section) {
  std::string row;
  put_big_endian(row, partition);
  row.push_back(static_cast<char>(section));
  return row;
}

std::string section_row(RowSet rows, Section section) {
  if (rows.generation == 0) return partition_row(rows.partition, section);
  std::string row = partition_row(rows.partition, kLater);
  put_big_endian(row, rows.generation);
  row.push_back(static_cast<char>(section));
  return row;
}

std::string summary_row(RowSet rows) {
  if (rows.generation == 0) return partition_row(rows.partition, kSummary);
  std::string row = partition_row(rows.partition, kLaterSummaries);
  put_big_endian(row, rows.generation);
  return row;
}

std::string hash_row(RowSet rows, std::uint64_t hash) {
  std::string row = section_row(rows, kObjects);
  put_big_endian(row, hash);
  return row;
}
// Of the name of a row: what comes before what a section's rows are sorted by.
constexpr std::size_t head_bytes(std::uint64_t generation) { return generation == 0 ? 3 : 12; }

// Before the elements of one table.
std::string table_row(RowSet rows, std::uint64_t hash, std::string_view key, LeafKind kind) {
  std::string row = hash_row(rows, hash);
  put_big_endian(row, static_cast<std::uint32_t>(key.size()));
  row += key;
  row.push_back(static_cast<char>(kind));
  return row;
}

std::string element_row(RowSet rows, std::string_view key, const Changes::Element& element) {
  std::string row = table_row(rows, element.key, key, element.kind);
  put_big_endian(row, element.element);
  return row;
}

std::string expiry_row(RowSet rows, const Changes::Expiry& entry) {
  std::string row = section_row(rows, kExpiries);
  put_big_endian(row, static_cast<std::uint64_t>(entry.at_ms) ^ (std::uint64_t{1} << 63));
  put_big_endian(row, entry.key);
  return row;
}

// What put_bytes has written.
std::string_view get_bytes(ByteReader& reader) { return reader.bytes(reader.get<std::uint32_t>()); }

void put_bytes(std::string& out, std::string_view bytes) {
  put_little_endian(out, static_cast<std::uint32_t>(bytes.size()));
  out += bytes;
}

// The same of bytes that write(out) appends.
template <typename Write>
void put_written(std::string& out, Write write) {
  put_little_endian(out, std::uint32_t{0});
  const std::size_t begin = out.size();
  write(out);
  const auto size = static_cast<std::uint32_t>(out.size() - begin);
  std::memcpy(out.data() + begin - sizeof size, &size, sizeof size);
}

// About what the encoding of leaves takes.
std::size_t bytes_of(std::span<const LeafDelta> leaves) {
  constexpr std::size_t kHeader = 64;
  std::size_t bytes = kHeader;
  for (const LeafDelta& leaf : leaves) {
    bytes += kHeader + leaf.field.size();
    for (const SiblingView& sibling : leaf.siblings) bytes += kHeader + sibling.value.size();
  }
  return bytes;
}

struct Loaded {
  std::string key;
  Object object;
};

[[noreturn]] void malformed(std::string_view what) {
  throw Unreadable(fmt::format("the store holds what it should not: {}", what));
}

// Valid until the next call.
std::span<const LeafDelta> decode(std::string_view leaves) {
  thread_local LeavesDecoder decoder;
  const auto decoded = decoder.decode(leaves);
  if (!decoded) malformed(decoded.error().message);
  return *decoded;
}

TableSummary decode_summary(ByteReader& reader) {
  TableSummary summary;
  summary.digest = reader.get<std::uint64_t>();
  summary.counters = reader.get<std::uint64_t>();
  for (auto left = reader.get<std::uint16_t>(); left > 0 && reader.ok(); --left) {
    const ReplicaId replica{reader.get<std::uint64_t>()};
    summary.seen.add_bits(replica, reader.get<std::uint64_t>());
  }
  return summary;
}

// What a row of objects says of the table of a hash, or of a sorted set.
struct FieldsTable {
  bool there = false;
  std::int64_t first_ms = 0;  // of expiries of fields
  std::uint64_t fields = 0;
  std::uint64_t live = 0;
  TableSummary summary;
  bool possible() const {
    return !there || (fields > 0 && live <= fields && summary.counters <= fields);
  }
};

FieldsTable decode_fields(ByteReader& reader, bool there) {
  FieldsTable table;
  if (!there) return table;
  table.there = true;
  table.fields = reader.get<std::uint64_t>();
  table.live = reader.get<std::uint64_t>();
  table.summary = decode_summary(reader);
  return table;
}

FieldsTable decode_field_expiries(ByteReader& reader, bool there) {
  const std::int64_t first_ms = there ? reader.get<std::int64_t>() : 0;
  FieldsTable table = decode_fields(reader, there);
  table.first_ms = first_ms;
  return table;
}

std::vector<Loaded> decode_objects(std::string_view value) {
  std::vector<Loaded> objects;
  for (ByteReader reader(value); !reader.at_end();) {
    Loaded& loaded = objects.emplace_back();
    loaded.key = get_bytes(reader);
    const auto tables = reader.get<std::uint8_t>();
    const bool has_set = (tables & kMembers) != 0;
    const std::uint64_t members = has_set ? reader.get<std::uint64_t>() : 1;
    TableSummary of_members = has_set ? decode_summary(reader) : TableSummary();
    FieldsTable hash = decode_fields(reader, (tables & kFields) != 0);
    FieldsTable scores = decode_fields(reader, (tables & kScores) != 0);
    FieldsTable items = decode_fields(reader, (tables & kItems) != 0);
    FieldsTable entries = decode_fields(reader, (tables & kStreamFields) != 0);
    FieldsTable expiries = decode_field_expiries(reader, (tables & kFieldExpiries) != 0);
    const std::string_view leaves = get_bytes(reader);
    if (!reader.ok() || tables > kAllTables || !expiries.possible() ||
        expiries.summary.counters > 0 || expiries.first_ms < 0 || members == 0 ||
        of_members.counters > 0 || !hash.possible() || !scores.possible() || !items.possible() ||
        !entries.possible() || items.summary.counters > 0 || entries.summary.counters > 0) {
      malformed("a row of objects");
    }
    for (const LeafDelta& leaf : decode(leaves)) restore_leaf(loaded.object, leaf);
    if ((has_set && loaded.object.set()) || (hash.there && loaded.object.hash()) ||
        (scores.there && loaded.object.sorted_set()) || (items.there && loaded.object.list()) ||
        (entries.there && loaded.object.stream()) ||
        (expiries.there && loaded.object.field_expiries())) {
      malformed("a table with elements in the row of its object");
    }
    if (has_set) loaded.object.make_cold_set(members, std::move(of_members));
    const auto make_cold = [&loaded](LeafKind kind, FieldsTable& table) {
      if (!table.there) return;
      loaded.object.make_cold_fields(kind, table.fields, table.live, std::move(table.summary));
    };
    make_cold(LeafKind::kField, hash);
    make_cold(LeafKind::kScore, scores);
    make_cold(LeafKind::kItem, items);
    make_cold(LeafKind::kEntry, entries);
    make_cold(LeafKind::kFieldExpiry, expiries);
    if (expiries.there) loaded.object.set_first_field_expiry(expiries.first_ms);
  }
  return objects;
}

// A row of elements of one hash.
std::span<const LeafDelta> decode_elements(std::string_view value, LeafKind kind) {
  const std::span<const LeafDelta> elements = decode(value);
  const bool fit = std::ranges::all_of(
      elements, [kind](const LeafDelta& element) { return element.kind == kind; });
  if (elements.empty() || !fit) malformed("a row of elements");
  return elements;
}

class RowWriter final : public ChangeVisitor {
 public:
  RowWriter(RowSet rows, RowBatch& out) : rows_(rows), out_(out) {}

  void expiry(const Changes::Expiry& entry, const StoredExpiry& of) override {
    const std::string row = expiry_row(rows_, entry);
    if (of.none()) return out_.remove(row);
    const ExpiryByte byte = of.live_key    ? (of.fields ? kLiveKeyAndFields : kLiveKey)
                            : of.left_over ? (of.fields ? kLeftOverAndFields : kLeftOver)
                                           : kFirstOfFields;
    const char text = static_cast<char>(byte);
    out_.put(row, std::string_view(&text, 1));
  }

  void key(std::uint64_t hash, std::span<const Named> objects) override {
    const std::string row = hash_row(rows_, hash);
    if (objects.empty()) return out_.remove(row);
    deltas_.resize(objects.size());
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < objects.size(); ++i) {
      deltas_[i].leaves.clear();
      describe_without_tables(*objects[i].object, deltas_[i]);
      bytes += objects[i].key.size() + kTablesBytes + bytes_of(deltas_[i].leaves);
    }
    // Written where it stays: it may be long.
    out_.put(row, bytes, [&](std::string& out) {
      for (std::size_t i = 0; i < objects.size(); ++i) {
        put_bytes(out, objects[i].key);
        put_tables(*objects[i].object, out);
        put_written(out, [&](std::string& to) { encode_leaves(deltas_[i].leaves, to); });
      }
    });
  }

  void dropped(std::string_view key, std::uint64_t hash, LeafKind kind) override {
    const std::string first = table_row(rows_, hash, key, kind);
    std::string end = first;
    ++end.back();
    out_.remove_range(first, end);
  }

  void element(std::string_view key, const Changes::Element& element,
               std::span<const LeafDelta> leaves) override {
    const std::string row = element_row(rows_, key, element);
    if (leaves.empty()) return out_.remove(row);
    out_.put(row, bytes_of(leaves), [leaves](std::string& out) { encode_leaves(leaves, out); });
  }

 private:
  static constexpr std::size_t kTablesBytes = 64;  // about

  static void put_tables(const Object& object, std::string& out) {
    out.push_back(
        static_cast<char>((object.has_table(LeafKind::kMember) ? kMembers : 0) |
                          (object.has_table(LeafKind::kField) ? kFields : 0) |
                          (object.has_table(LeafKind::kScore) ? kScores : 0) |
                          (object.has_table(LeafKind::kItem) ? kItems : 0) |
                          (object.has_table(LeafKind::kEntry) ? kStreamFields : 0) |
                          (object.has_table(LeafKind::kFieldExpiry) ? kFieldExpiries : 0)));
    const auto put = [&out](const auto& table) {
      put_little_endian(out, std::uint64_t{table.size()});
      if constexpr (requires { table.live; }) put_little_endian(out, std::uint64_t{table.live});
      put_summary(table.summary, out);
    };
    object.with_table(LeafKind::kMember, put);
    for (const LeafKind kind : kFieldKinds) {
      if (kind == LeafKind::kFieldExpiry && object.has_table(kind)) {
        put_little_endian(out, *object.first_field_expiry_ms());
      }
      object.with_table(kind, put);
    }
  }

  static void put_summary(const TableSummary& summary, std::string& out) {
    put_little_endian(out, summary.digest);
    put_little_endian(out, std::uint64_t{summary.counters});
    const auto& seen = summary.seen.entries();
    put_little_endian(out, static_cast<std::uint16_t>(seen.size()));
    for (const VersionVector::Entry& entry : seen) {
      put_little_endian(out, entry.replica.value);
      put_little_endian(out, VersionVector::bits(entry));
    }
  }

  const RowSet rows_;
  RowBatch& out_;
  std::vector<KeyDelta> deltas_;  // scratch
};

}  // namespace

Result<std::optional<PartitionState::Summary>> PartitionRows::summary() {
  // The latest generation counts.
  Result<std::optional<std::string>> value = std::nullopt;
  const auto scanned =
      store_.scan(partition_row(partition_, kLaterSummaries), partition_row(partition_, kEnd),
                  [&](std::string_view row, std::string_view content) {
                    constexpr std::size_t kHead = 3;
                    if (row.size() != kHead + sizeof generation_) return false;
                    generation_ = get_big_endian<std::uint64_t>(row.data() + kHead);
                    value = std::string(content);
                    return true;
                  });
  if (!scanned) return std::unexpected(scanned.error());
  if (!*value) value = store_.get(partition_row(partition_, kSummary));
  if (!value) return std::unexpected(value.error());
  if (!*value) return std::nullopt;
  return decode_summary(**value);
}

Result<PartitionState::Summary> PartitionRows::decode_summary(std::string_view bytes) {
  ByteReader reader(bytes);
  const auto version = reader.get<std::uint8_t>();
  if (version != kVersion && version != kVersionWithDatabases) {
    return fail(
        fmt::format("the store is in format {}, which this version does not know", version));
  }
  PartitionState::Summary summary;
  summary.digest = reader.get<std::uint64_t>();
  summary.objects = reader.get<std::uint64_t>();
  summary.live_keys = reader.get<std::uint64_t>();
  if (version == kVersionWithDatabases) {
    for (auto left = reader.get<std::uint8_t>(); reader.ok() && left > 0; --left) {
      const auto number = reader.get<std::uint8_t>();
      if (number == 0 || number >= kDatabases) {
        return fail("the store holds a malformed summary of a partition");
      }
      DatabaseCounts::Count& count = summary.databases.of[number];
      count.keys = reader.get<std::uint64_t>();
      count.expiring = reader.get<std::uint64_t>();
      count.expiries_ms = reader.get<std::uint64_t>();
    }
  }
  while (reader.ok() && !reader.at_end()) {
    const ReplicaId replica{reader.get<std::uint64_t>()};
    const auto bits = reader.get<std::uint64_t>();
    if (reader.ok() && !summary.vector.add_bits(replica, bits)) {
      return fail("the store holds a malformed summary of a partition");
    }
  }
  if (!reader.ok()) return fail("the store holds a malformed summary of a partition");
  return summary;
}

Result<> PartitionRows::expiries(
    const std::function<void(const Changes::Expiry&, const StoredExpiry&)>& visit) {
  bool well_formed = true;
  const auto scanned =
      store_.scan(section_row({partition_, generation_}, kExpiries),
                  section_row({partition_, generation_}, kObjects),
                  [&](std::string_view row, std::string_view value) {
                    const std::size_t head = head_bytes(generation_);
                    well_formed = row.size() == head + 16 && value.size() == 1 &&
                                  static_cast<std::uint8_t>(value[0]) <= kLeftOverAndFields;
                    if (!well_formed) return false;
                    const auto at = get_big_endian<std::uint64_t>(row.data() + head);
                    const auto key = get_big_endian<std::uint64_t>(row.data() + head + 8);
                    const auto byte = static_cast<ExpiryByte>(value[0]);
                    visit({static_cast<std::int64_t>(at ^ (std::uint64_t{1} << 63)), key},
                          {.live_key = byte == kLiveKey || byte == kLiveKeyAndFields,
                           .left_over = byte == kLeftOver || byte == kLeftOverAndFields,
                           .fields = byte >= kFirstOfFields});
                    return true;
                  });
  if (!scanned) return scanned;
  if (!well_formed) return fail("the store holds a malformed entry of the index of expiries");
  return {};
}

std::string PartitionRows::object_row(std::uint64_t hash) const {
  return hash_row({partition_, generation_}, hash);
}

std::string PartitionRows::element_row(std::string_view key,
                                       const Changes::Element& element) const {
  return even::element_row({partition_, generation_}, key, element);
}

template <typename Read>
void PartitionRows::noting_damage(Read read) {
  if (closed_) throw Unreadable(*damage_);
  EVEN_CHECK(!next_generation_, "what is being replaced is not read");
  try {
    read();
  } catch (const Unreadable& error) {
    if (!damage_) damage_ = error.what();
    throw;
  }
}

void PartitionRows::load(std::uint64_t hash, const Visit& visit) {
  noting_damage([&] {
    const auto value = store_.get(hash_row({partition_, generation_}, hash));
    if (!value) throw Unreadable(value.error().message);
    if (!*value) return;
    ++rows_read_;
    for (Loaded& loaded : decode_objects(**value)) {
      if (!visit(hash, loaded.key, loaded.object)) return;
    }
  });
}

void PartitionRows::load_element(const TableName& table, std::uint64_t hash,
                                 const VisitElements& visit) {
  noting_damage([&] {
    const auto value = store_.get(element_row(table.key, {table.key_hash, table.kind, hash}));
    if (!value) throw Unreadable(value.error().message);
    if (!*value) return;
    ++rows_read_;
    visit(hash, decode_elements(**value, table.kind));
  });
}

void PartitionRows::scan_elements(const TableName& table, std::uint64_t first, std::uint64_t last,
                                  const VisitElements& visit) {
  noting_damage([&] {
    const std::string begin = element_row(table.key, {table.key_hash, table.kind, first});
    // The row behind the last one has that as its beginning.
    const std::string end = element_row(table.key, {table.key_hash, table.kind, last}) + '\0';
    const auto scanned = store_.scan(begin, end, [&](std::string_view row, std::string_view value) {
      ++rows_read_;
      if (row.size() != begin.size()) malformed("a row of elements");
      const auto hash = get_big_endian<std::uint64_t>(row.data() + row.size() - sizeof last);
      return visit(hash, decode_elements(value, table.kind));
    });
    if (!scanned) throw Unreadable(scanned.error().message);
  });
}

void PartitionRows::scan(std::uint64_t first, const Visit& visit) {
  noting_damage([&] { scan_wanted(first, [](std::uint64_t) { return true; }, visit); });
}

void PartitionRows::load(std::span<const std::uint64_t> hashes, const Visit& visit) {
  auto next = hashes.begin();
  if (next == hashes.end()) return;
  const auto wanted = [&](std::uint64_t hash) {
    while (next != hashes.end() && *next < hash) ++next;
    return next != hashes.end() && *next == hash;
  };
  noting_damage([&] { scan_wanted(*next, wanted, visit); });
}

void PartitionRows::scan_wanted(std::uint64_t first,
                                const std::function<bool(std::uint64_t)>& wanted,
                                const Visit& visit) {
  // Elements are not wanted here. Where there are more than so many, they are jumped over.
  constexpr std::size_t kMostElements = 32;
  const std::size_t head = head_bytes(generation_);
  const std::size_t hash_end = head + sizeof first;
  const std::string end = section_row({partition_, generation_}, kSummary);
  std::string next = hash_row({partition_, generation_}, first);
  while (!next.empty()) {
    const std::string from = std::exchange(next, {});
    std::size_t elements = 0;
    const auto scanned = store_.scan(from, end, [&](std::string_view row, std::string_view value) {
      ++rows_read_;
      if (row.size() < hash_end) malformed("a row of objects");
      const auto hash = get_big_endian<std::uint64_t>(row.data() + head);
      if (row.size() > hash_end) {
        if (++elements < kMostElements) return true;
        if (hash != UINT64_MAX) next = hash_row({partition_, generation_}, hash + 1);
        return false;
      }
      elements = 0;
      if (!wanted(hash)) return true;
      for (Loaded& loaded : decode_objects(value)) {
        if (!visit(hash, loaded.key, loaded.object)) return false;
      }
      return true;
    });
    if (!scanned) throw Unreadable(scanned.error().message);
  }
}

Changes PartitionRows::write_objects(PartitionState& state, RowBatch& out) const {
  RowWriter writer({partition_, next_generation_.value_or(generation_)}, out);
  PartitionState::Summary summary;
  return state.take_changes(writer, summary);
}

void PartitionRows::forget_before(std::uint64_t generation, RowBatch& out) const {
  // Which one counts is not known.
  if (closed_) return;
  const std::uint64_t first = next_generation_.value_or(generation_) + 1;
  if (first >= generation) return;
  out.forget(section_row({partition_, first}, kExpiries),
             section_row({partition_, generation}, kExpiries));
}

Changes PartitionRows::write_changes(PartitionState& state, RowBatch& out) const {
  const RowSet rows{partition_, next_generation_.value_or(generation_)};
  if (next_generation_ || adopted_) {
    // Of all generations: which there are may be unreadable.
    out.forget(partition_row(partition_, kExpiries), partition_row(partition_, kLater));
    out.forget(partition_row(partition_, kLater), section_row(rows, kExpiries));
    out.forget(partition_row(partition_, kLaterSummaries), summary_row(rows));
  }
  RowWriter writer(rows, out);
  PartitionState::Summary summary;
  Changes taken = state.take_changes(writer, summary);
  out.put(summary_row(rows), encode(summary));
  return taken;
}

std::string PartitionRows::encode(const PartitionState::Summary& summary) {
  std::string value;
  const std::span<const DatabaseCounts::Count> databases = summary.databases.of;
  const auto counted = std::ranges::count_if(databases, [](const auto& it) { return it.keys > 0; });
  value.push_back(static_cast<char>(counted > 0 ? kVersionWithDatabases : kVersion));
  put_little_endian(value, summary.digest);
  put_little_endian(value, summary.objects);
  put_little_endian(value, summary.live_keys);
  if (counted > 0) {
    value.push_back(static_cast<char>(counted));
    for (std::size_t number = 0; number < databases.size(); ++number) {
      if (databases[number].keys == 0) continue;
      value.push_back(static_cast<char>(number));
      put_little_endian(value, databases[number].keys);
      put_little_endian(value, databases[number].expiring);
      put_little_endian(value, databases[number].expiries_ms);
    }
  }
  for (const VersionVector::Entry& entry : summary.vector.entries()) {
    put_little_endian(value, entry.replica.value);
    put_little_endian(
        value, EVEN_MUTANT(kFoldNotStored) ? std::uint64_t{entry.seq} : VersionVector::bits(entry));
  }
  return value;
}

void PartitionRows::stored() {
  generation_ = next_generation_.value_or(generation_);
  next_generation_.reset();
  adopted_ = false;
}

void PartitionRows::note_damage(const std::string& damage) {
  if (!damage_) damage_ = damage;
}

void PartitionRows::close(const std::string& damage) {
  closed_ = true;
  damage_ = damage;
}

void PartitionRows::replace(std::uint32_t run) {
  damage_.reset();
  closed_ = false;
  if (!EVEN_MUTANT(kRepairKeepsRows)) next_generation_ = newest_ = later_than_all(run);
  adopted_ = false;
}

void PartitionRows::adopt(std::uint64_t generation) {
  damage_.reset();
  closed_ = false;
  generation_ = generation;
  next_generation_.reset();
  adopted_ = true;
}

void PartitionRows::admit(const PartitionState& state, std::uint64_t hash,
                          const std::optional<std::string>& value) {
  if (!value) return state.admit_absence(hash);
  ++rows_read_;
  try {
    for (Loaded& loaded : decode_objects(*value)) {
      state.admit(hash, loaded.key, std::move(loaded.object));
    }
  } catch (const Unreadable&) {
    // Who needs it comes upon it again, and says so.
  }
}

void PartitionRows::admit_elements(const PartitionState& state, std::string_view key,
                                   const Changes::Element& element,
                                   const std::optional<std::string>& value) {
  if (!value) return state.admit_elements(key, element, {});
  ++rows_read_;
  try {
    state.admit_elements(key, element, decode_elements(*value, element.kind));
  } catch (const Unreadable&) {
    // Who needs it comes upon it again, and says so.
  }
}

namespace {

std::string position_row(ShardId shard) {
  std::string row = "\xff\xff";  // no partition has this number
  put_big_endian(row, EVEN_MUTANT(kOnePositionForAll) ? ShardId{0} : shard);
  return row;
}

// No shard has such a number.
constexpr std::string_view kGroupRows = "\xff\xff\xff\xff";

}  // namespace

void write_position(ShardId shard, LogPosition position, RowBatch& out) {
  std::string value;
  put_little_endian(value, position);
  out.put(position_row(shard), value);
}

void forget_positions(ShardId first, RowStore& store, std::function<void(Result<>)> done) {
  const std::string end(3, '\xff');
  RowBatch rows;
  const auto found =
      store.scan(position_row(first), end, [&rows](std::string_view row, std::string_view) {
        rows.remove(row);
        return true;
      });
  if (!found || rows.empty()) return done(found);
  store.write(std::move(rows));
  store.commit(std::move(done));
}

void write_group(PartitionId group, std::string_view value, RowBatch& out) {
  std::string row(kGroupRows);
  put_big_endian(row, group);
  value.empty() ? out.remove(row) : out.put(row, value);
}

Result<> read_groups(RowStore& store,
                     const std::function<Result<>(PartitionId, std::string_view)>& visit) {
  Result<> outcome;
  const std::string end = std::string(kGroupRows) + "\xff\xff";  // rows of topics begin there
  const auto scanned =
      store.scan(kGroupRows, end, [&](std::string_view row, std::string_view value) {
        if (row.size() != kGroupRows.size() + sizeof(PartitionId)) {
          outcome = fail("the store holds a malformed row of groups");
        } else {
          outcome = visit(get_big_endian<PartitionId>(row.data() + kGroupRows.size()), value);
        }
        return outcome.has_value();
      });
  return scanned ? outcome : scanned;
}

Result<LogPosition> read_position(ShardId shard, RowStore& store) {
  const auto value = store.get(position_row(shard));
  if (!value) return std::unexpected(value.error());
  if (!*value) return LogPosition{0};
  if ((*value)->size() != sizeof(LogPosition)) return fail("the store holds a malformed position");
  return get_little_endian<LogPosition>((*value)->data());
}

}  // namespace even
