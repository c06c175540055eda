#include "engine/stream.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/mutant.h"

namespace even {
namespace {

constexpr std::string_view kInvalidId =
    "ERR Invalid stream ID specified as stream command argument";
// So much more than it is to have, a stream of about a length may have: what Redis 7 keeps in one
// block.
constexpr std::size_t kAbout = 100;

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string number_bytes(std::uint64_t value) {
  std::string out;
  put_big_endian(out, value);
  return out;
}

std::uint64_t number_in(std::string_view bytes, std::size_t at) {
  return bytes.size() < at + sizeof(std::uint64_t)
             ? 0
             : get_big_endian<std::uint64_t>(bytes.data() + at);
}

}  // namespace

Stream::Stream(HashView fields) : size_(fields.live()) {
  if (fields.table() != nullptr) {
    index_ = &fields.table()->index(HashTable::Order::kNames);
    return;
  }
  fields.for_each([this](std::string_view name, const ScalarView& scalar) {
    if (scalar.live()) sorted_.emplace_back(name, scalar.winner()->value);
  });
  std::ranges::sort(sorted_);
}

std::optional<Stream> find_stream(Context& context, std::string_view key) {
  const Object* object;
  if (!context.find(key, ObjectType::kStream, object)) return std::nullopt;
  return Stream(object == nullptr ? HashView() : object->stream());
}

std::size_t Stream::rank_of(std::string_view name) const {
  if (index_ != nullptr) {
    return index_->count_while([name](double, std::string_view other) { return other < name; });
  }
  const auto at = std::ranges::partition_point(
      sorted_, [name](const auto& field) { return field.first < name; });
  return static_cast<std::size_t>(at - sorted_.begin());
}

std::pair<std::string_view, std::string_view> Stream::at(std::size_t rank) const {
  std::pair<std::string_view, std::string_view> out;
  walk(rank, rank + 1, [&out](std::string_view name, std::string_view value) {
    out = {name, value};
    return true;
  });
  return out;
}

StreamEntry Stream::entry_at(std::size_t rank) const {
  const auto [name, value] = at(rank);
  const auto field = parse_stream_field(name);
  return {field->id, field->writer, value};
}

std::optional<std::string_view> Stream::find(std::string_view name) const {
  const std::size_t rank = rank_of(name);
  if (rank == size_) return std::nullopt;
  const auto [found, value] = at(rank);
  return found == name ? std::optional(value) : std::nullopt;
}

std::optional<StreamId> Stream::greatest(char mark) const {
  std::optional<StreamId> out;
  fields(std::string_view(&mark, 1),
         [&out](std::string_view, const StreamField& field, std::string_view) { out = field.id; });
  return out;
}

std::vector<ReplicaId> Stream::writers() const {
  std::vector<ReplicaId> out;
  for (std::size_t rank = rank_of({&kStreamEntry, 1}); rank < size_;) {
    out.push_back(entry_at(rank).writer);
    rank = rank_of(stream_entry(out.back(), StreamId::greatest()) + '\0');
  }
  return out;
}

Stream::Runs Stream::runs(StreamId first, StreamId last) const {
  Runs out;
  if (first > last) return out;
  for (const ReplicaId writer : writers()) {
    const Run run{rank_of(stream_entry(writer, first)), rank_of(stream_entry(writer, last) + '\0')};
    if (run.first < run.end) out.push_back(run);
  }
  return out;
}

std::string_view Stream::last_name() const {
  if (size_ == 0) return {};
  return index_ != nullptr ? index_->edge(false).name() : sorted_.back().first;
}

std::string_view Stream::last_name_before(std::string_view name) const {
  if (index_ != nullptr) {
    const ScoreIndex::Entry* entry = index_->last_before(0, name);
    return entry == nullptr ? std::string_view() : entry->name();
  }
  const std::size_t rank = rank_of(name);
  return rank == 0 ? std::string_view() : std::string_view(sorted_[rank - 1].first);
}

// The last entry of each writer, from the last one on; before the entries are the marks of this
// kind.
StreamId Stream::last_id() const {
  StreamId last;
  std::string_view name = last_name();
  while (name.starts_with(kStreamEntry)) {
    const auto field = parse_stream_field(name);
    last = std::max(last, field->id);
    // The prefix of all names of this writer's entries.
    name = last_name_before(name.substr(0, 1 + sizeof field->writer.value));
  }
  if (name.starts_with(kStreamLast)) last = std::max(last, parse_stream_field(name)->id);
  return last;
}

std::uint64_t Stream::added() const {
  const auto said = find({&kStreamAdded, 1});
  return std::max<std::uint64_t>(said ? number_in(*said, 0) : 0, length());
}

absl::InlinedVector<StreamEntry, 1> Stream::entries_at(StreamId id) const {
  absl::InlinedVector<StreamEntry, 1> out;
  entries(id, id, false, [&out](const StreamEntry& entry) { out.push_back(entry); });
  return out;
}

std::vector<std::string_view> Stream::groups() const {
  std::vector<std::string_view> out;
  for (std::size_t rank = rank_of({&kStreamGroup, 1}); rank < size_;) {
    const std::string_view name = at(rank).first;
    if (name.front() != kStreamGroup) break;
    const std::string_view group = parse_stream_field(name)->group;
    // What others have written of one that was destroyed meanwhile has no base.
    if (StreamGroup(*this, group).there()) out.push_back(group);
    rank = rank_of(group_prefix(group) + '\xff');
  }
  std::ranges::sort(out);
  return out;
}

void append_content(Args words, std::string& out) {
  for (const std::string_view word : words) {
    std::size_t size = word.size();
    for (; size >= 0x80; size >>= 7) out.push_back(static_cast<char>(size | 0x80));
    out.push_back(static_cast<char>(size));
    out += word;
  }
}

std::vector<std::string_view> content_words(std::string_view content) {
  std::vector<std::string_view> out;
  while (!content.empty()) {
    std::uint64_t size = 0;
    std::size_t at = 0;
    for (unsigned shift = 0; at < content.size() && shift < 64; shift += 7) {
      const auto byte = static_cast<std::uint8_t>(content[at++]);
      size |= std::uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) break;
    }
    out.push_back(content.substr(at, size));
    content.remove_prefix(std::min<std::size_t>(content.size(), at + out.back().size()));
  }
  return out;
}

void reply_entry(Reply& reply, const StreamEntry& entry) {
  reply.array(2);
  reply_id(reply, entry.id);
  const std::vector<std::string_view> words = content_words(entry.content);
  reply.array(words.size());
  for (const std::string_view word : words) reply.bulk(word);
}

std::optional<StreamId> parse_id(std::string_view text, std::uint64_t seq) {
  const std::size_t dash = text.find('-');
  const auto ms = parse_number(text.substr(0, dash));
  if (!ms) return std::nullopt;
  if (dash == std::string_view::npos) return StreamId{*ms, seq};
  const auto number = parse_number(text.substr(dash + 1));
  return number ? std::optional(StreamId{*ms, *number}) : std::nullopt;
}

bool read_id(Context& context, std::string_view text, std::uint64_t seq, StreamId& out) {
  const auto id = parse_id(text, seq);
  id ? void(out = *id) : context.reply.error(kInvalidId);
  return id.has_value();
}

bool read_range_end(Context& context, std::string_view text, bool is_start, StreamId& out) {
  if (text == "-" || text == "+") {
    out = text == "-" ? StreamId::least() : StreamId::greatest();
    return true;
  }
  const bool excluded = text.starts_with('(');
  if (!read_id(context, text.substr(excluded ? 1 : 0), is_start ? 0 : UINT64_MAX, out)) {
    return false;
  }
  if (!excluded) return true;
  const auto beside = is_start ? next_id(out) : previous_id(out);
  if (beside) {
    out = *beside;
  } else {
    context.reply.error(is_start ? "ERR invalid start ID for the interval"
                                 : "ERR invalid end ID for the interval");
  }
  return beside.has_value();
}

std::vector<StreamEntry> trimmed(const Stream& stream, const TrimOptions& options,
                                 std::size_t more) {
  std::vector<StreamEntry> out;
  if (options.by == TrimOptions::By::kNothing) return out;
  const std::size_t length = stream.length();
  std::size_t most = length;
  if (options.by == TrimOptions::By::kLength) {
    if (length + more <= options.length) return out;
    most =
        static_cast<std::size_t>(std::min<std::uint64_t>(length, length + more - options.length));
  }
  if (options.limit > 0)
    most = static_cast<std::size_t>(std::min<std::uint64_t>(most, options.limit));
  const StreamId last = options.by == TrimOptions::By::kId
                            ? previous_id(options.id).value_or(StreamId::least())
                            : StreamId::greatest();
  if (options.by == TrimOptions::By::kId && options.id == StreamId::least()) return out;
  if (most > 0) {
    stream.entries(StreamId::least(), last, false, [&](const StreamEntry& entry) {
      out.push_back(entry);
      return out.size() < most;
    });
  }
  // Many at once are cheaper than each one. All of them are what Redis too takes away as a whole.
  const bool all = more == 0 && out.size() == length;
  if (options.about && out.size() < kAbout && !all) out.clear();
  return out;
}

void remove_entries(Context& context, std::string_view key, const Stream& stream,
                    std::span<const StreamEntry> entries) {
  if (entries.empty()) return;
  const StreamId last = stream.last_id();
  // While there is anything, the key stays.
  const bool takes_last =
      std::ranges::any_of(entries, [last](const StreamEntry& entry) { return entry.id == last; });
  if (takes_last) note_last_id(context, key, stream, last);
  KeyWriter& writer = context.write(key);
  for (const StreamEntry& entry : entries) {
    writer.remove_stream_field(context.keep(stream_entry(entry.writer, entry.id)));
  }
}

void write_mark(Context& context, std::string_view key, const Stream& stream, char kind,
                StreamId id) {
  KeyWriter& writer = context.write(key);
  const std::string_view name = context.keep(stream_mark(kind, id));
  writer.set_stream_field(name, {});
  stream.fields({&kind, 1}, [&](std::string_view old, const StreamField&, std::string_view) {
    if (old != name) writer.remove_stream_field(old);
  });
}

void note_last_id(Context& context, std::string_view key, const Stream& stream, StreamId id) {
  if (!stream.find(stream_mark(kStreamLast, id))) write_mark(context, key, stream, kStreamLast, id);
}

StreamGroup::StreamGroup(const Stream& stream, std::string_view name)
    : stream_(&stream), name_(name), base_(StreamId::greatest()) {
  stream.fields(group_prefix(name_) + kGroupBase,
                [this](std::string_view, const StreamField& field, std::string_view value) {
                  if (value.size() != id_bytes({}).size()) return;
                  lives_.push_back(field.life);
                  base_ = std::min(base_, id_of(value));
                });
  stream.fields(group_prefix(name_) + kGroupDelivered,
                [this](std::string_view mark, const StreamField& field, std::string_view) {
                  if (has_life(field.life)) marks_.push_back({mark, field.writer, field.id});
                });
}

StreamId StreamGroup::last_delivered() const {
  StreamId last = base_;
  for (const Mark& mark : marks_) last = std::max(last, mark.id);
  return last;
}

StreamId StreamGroup::delivered_of(ReplicaId writer) const {
  StreamId last = base_;
  for (const Mark& mark : marks_) {
    if (mark.writer == writer || EVEN_MUTANT(kDeliveredOfAllWriters)) {
      last = std::max(last, mark.id);
    }
  }
  return last;
}

std::vector<std::string_view> StreamGroup::marks_of(ReplicaId writer) const {
  std::vector<std::string_view> out;
  for (const Mark& mark : marks_) {
    if (mark.writer == writer) out.push_back(mark.name);
  }
  return out;
}

std::vector<StreamGroup::Consumer> StreamGroup::consumers() const {
  std::map<std::string_view, std::int64_t> seen;
  stream_->fields(group_prefix(name_) + kGroupConsumer,
                  [&](std::string_view, const StreamField& field, std::string_view value) {
                    if (!has_life(field.life)) return;
                    std::int64_t& ms = seen[field.consumer];
                    ms = std::max(ms, static_cast<std::int64_t>(number_in(value, 0)));
                  });
  std::vector<Consumer> out;
  for (const auto& [consumer, ms] : seen) out.push_back({consumer, ms});
  return out;
}

PendingEntry StreamGroup::decode_pending(const StreamField& field, std::string_view value) {
  constexpr std::size_t kHead = 2 * sizeof(std::uint64_t);
  return {.id = field.id,
          .writer = field.writer,
          .delivered_ms = static_cast<std::int64_t>(number_in(value, 0)),
          .deliveries = number_in(value, sizeof(std::uint64_t)),
          .consumer = value.substr(std::min(kHead, value.size()))};
}

void create_group(Context& context, std::string_view key, const Stream& stream,
                  std::string_view group, StreamId base) {
  remove_fields(context, key, stream, group_prefix(group));
  KeyWriter& writer = context.write(key);
  const std::uint64_t life = hash_mix(writer.dot().replica.value, writer.dot().seq);
  writer.set_stream_field(context.keep(group_base(group, life)), context.keep(id_bytes(base)));
}

void write_base(Context& context, std::string_view key, const StreamGroup& group, StreamId base) {
  for (const std::uint64_t life : group.lives()) {
    context.write(key).set_stream_field(context.keep(group_base(group.name(), life)),
                                        context.keep(id_bytes(base)));
  }
}

void write_consumer(Context& context, std::string_view key, const StreamGroup& group,
                    std::string_view consumer) {
  context.write(key).set_stream_field(
      context.keep(group_consumer(group.name(), group.life(), consumer)),
      context.keep(number_bytes(static_cast<std::uint64_t>(context.now_ms))));
}

void remove_consumer(Context& context, std::string_view key, const StreamGroup& group,
                     std::string_view consumer) {
  for (const std::uint64_t life : group.lives()) {
    context.write(key).remove_stream_field(
        context.keep(group_consumer(group.name(), life, consumer)));
  }
}

void write_delivered(Context& context, std::string_view key, const StreamGroup& group,
                     std::span<const StreamEntry> entries) {
  // The last one of each writer counts.
  absl::InlinedVector<StreamEntry, 3> last;
  for (const StreamEntry& entry : entries) {
    const auto mine = std::ranges::find(last, entry.writer, &StreamEntry::writer);
    mine == last.end() ? last.push_back(entry) : void(*mine = entry);
  }
  for (const StreamEntry& entry : last) {
    KeyWriter& out = context.write(key);
    out.set_stream_field(
        context.keep(group_delivered(group.name(), group.life(), entry.writer, entry.id)), {});
    for (const std::string_view mark : group.marks_of(entry.writer)) out.remove_stream_field(mark);
  }
}

void write_pending(Context& context, std::string_view key, const StreamGroup& group,
                   const PendingEntry& entry) {
  std::string value = number_bytes(static_cast<std::uint64_t>(entry.delivered_ms));
  put_big_endian(value, entry.deliveries);
  value += entry.consumer;
  KeyWriter& writer = context.write(key);
  writer.set_stream_field(
      context.keep(group_pending(group.name(), entry.id, entry.writer, group.life())),
      context.keep(std::move(value)));
  for (const std::uint64_t life : group.lives()) {
    if (life == group.life()) continue;
    writer.remove_stream_field(
        context.keep(group_pending(group.name(), entry.id, entry.writer, life)));
  }
}

void remove_pending(Context& context, std::string_view key, const StreamGroup& group,
                    const PendingEntry& entry) {
  for (const std::uint64_t life : group.lives()) {
    context.write(key).remove_stream_field(
        context.keep(group_pending(group.name(), entry.id, entry.writer, life)));
  }
}

void remove_fields(Context& context, std::string_view key, const Stream& stream,
                   std::string_view prefix) {
  KeyWriter& writer = context.write(key);
  stream.fields(prefix, [&](std::string_view name, const StreamField&, std::string_view) {
    writer.remove_stream_field(name);
  });
}

}  // namespace even
