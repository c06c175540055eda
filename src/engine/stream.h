// What the commands on streams share: a stream as they see it, its entries in the order of their
// ids, and its consumer groups. See docs/streams.md.
#pragma once

#include <absl/container/inlined_vector.h>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/context.h"
#include "engine/text.h"
#include "lattice/types/stream_field.h"

namespace even {

struct StreamEntry {
  StreamId id;
  ReplicaId writer;
  std::string_view content;  // see append_content()
};

struct PendingEntry {
  StreamId id;
  ReplicaId writer;
  std::int64_t delivered_ms = 0;
  std::uint64_t deliveries = 0;
  std::string_view consumer;
};

// Views the state, until it changes. Of one that is not there, there is nothing.
class Stream {
 public:
  explicit Stream(HashView fields);

  bool there() const { return size_ > 0; }
  std::size_t length() const { return size_ - rank_of(std::string_view("x", 1)); }
  StreamId last_id() const;
  StreamId max_deleted() const { return greatest(kStreamDeleted).value_or(StreamId()); }
  std::uint64_t added() const;
  // A field's value; nothing when it is not there.
  std::optional<std::string_view> find(std::string_view name) const;

  // Calls visit(entry) for the entries from `first` to `last`, both included, upwards or downwards,
  // until it returns false if it returns bool.
  template <typename Visit>
  void entries(StreamId first, StreamId last, bool downwards, Visit visit) const {
    merge(runs(first, last), downwards, visit);
  }
  template <typename Visit>
  void all_entries(bool downwards, Visit visit) const {
    entries(StreamId::least(), StreamId::greatest(), downwards, visit);
  }
  // Of each writer, those behind the id that `behind(writer)` says, upwards.
  template <typename Behind, typename Visit>
  void entries_behind(Behind behind, Visit visit) const {
    merge(runs_behind(behind), false, visit);
  }
  // How many these are.
  template <typename Behind>
  std::size_t count_behind(Behind behind) const {
    std::size_t count = 0;
    for (const Run& run : runs_behind(behind)) count += run.end - run.first;
    return count;
  }
  std::optional<StreamEntry> entry_of(StreamId id, ReplicaId writer) const {
    const auto content = find(stream_entry(writer, id));
    return content ? std::optional(StreamEntry{id, writer, *content}) : std::nullopt;
  }
  // The entries with this id: more than one where nodes have given the same on their own.
  absl::InlinedVector<StreamEntry, 1> entries_at(StreamId id) const;

  // Calls visit(name, field, value) for all fields whose names begin with `prefix`, in order, from
  // the name `from` on, until it returns false if it returns bool.
  template <typename Visit>
  void fields_from(std::string_view from, std::string_view prefix, Visit visit) const {
    walk(rank_of(from), size_, [&](std::string_view name, std::string_view value) {
      if (!name.starts_with(prefix)) return false;
      return SetView::until_false([&] { return visit(name, *parse_stream_field(name), value); });
    });
  }
  template <typename Visit>
  void fields(std::string_view prefix, Visit visit) const {
    fields_from(prefix, prefix, visit);
  }
  // The groups' names, in their order.
  std::vector<std::string_view> groups() const;

 private:
  // Ranks of entries of one writer, in the order of their ids.
  struct Run {
    std::size_t first;
    std::size_t end;
  };
  using Runs = absl::InlinedVector<Run, 3>;

  // How many fields have a lesser name.
  std::size_t rank_of(std::string_view name) const;
  std::pair<std::string_view, std::string_view> at(std::size_t rank) const;  // name, value
  // The names of the last field, and of the last one with a lesser name; empty when there is none.
  std::string_view last_name() const;
  std::string_view last_name_before(std::string_view name) const;
  // Until visit(name, value) returns false.
  template <typename Visit>
  void walk(std::size_t first, std::size_t end, Visit visit) const {
    if (first >= end) return;
    if (index_ == nullptr) {
      for (; first < end; ++first) {
        if (!visit(sorted_[first].first, sorted_[first].second)) return;
      }
      return;
    }
    index_->visit(first, end - first, false, [&](const ScoreIndex::Entry& entry) {
      return visit(entry.name(), entry.member->value.view().winner()->value);
    });
  }
  std::optional<StreamId> greatest(char mark) const;
  std::vector<ReplicaId> writers() const;
  Runs runs(StreamId first, StreamId last) const;
  template <typename Behind>
  Runs runs_behind(Behind behind) const {
    Runs out;
    for (const ReplicaId writer : writers()) {
      const std::string from = stream_entry(writer, behind(writer));
      std::size_t first = rank_of(from);
      const std::size_t end = rank_of(stream_entry(writer, StreamId::greatest()) + '\0');
      if (first < end && at(first).first == from) ++first;
      if (first < end) out.push_back({first, end});
    }
    return out;
  }
  StreamEntry entry_at(std::size_t rank) const;

  // The next of several runs, each in order.
  template <typename Visit>
  void merge(Runs runs, bool downwards, Visit visit) const {
    absl::InlinedVector<StreamEntry, 3> heads;
    for (const Run& run : runs) heads.push_back(entry_at(downwards ? run.end - 1 : run.first));
    while (!runs.empty()) {
      std::size_t next = 0;
      for (std::size_t i = 1; i < heads.size(); ++i) {
        if (downwards ? heads[i].id > heads[next].id : heads[i].id < heads[next].id) next = i;
      }
      if (!SetView::until_false([&] { return visit(heads[next]); })) return;
      Run& run = runs[next];
      downwards ? --run.end : ++run.first;
      if (run.first == run.end) {
        runs.erase(runs.begin() + static_cast<std::ptrdiff_t>(next));
        heads.erase(heads.begin() + static_cast<std::ptrdiff_t>(next));
      } else {
        heads[next] = entry_at(downwards ? run.end - 1 : run.first);
      }
    }
  }

  const ScoreIndex* index_ = nullptr;
  absl::InlinedVector<std::pair<std::string_view, std::string_view>, 16> sorted_;
  std::size_t size_ = 0;
};

// Replies WRONGTYPE and returns nothing when the key holds something else.
std::optional<Stream> find_stream(Context& context, std::string_view key);

// An entry's fields and values, as they are kept: the length of each (LEB128) and its bytes.
void append_content(Args words, std::string& out);
std::vector<std::string_view> content_words(std::string_view content);
// [id, [field, value, ...]]
void reply_entry(Reply& reply, const StreamEntry& entry);
inline void reply_id(Reply& reply, StreamId id) { reply.bulk(id.to_string()); }

// "ms" or "ms-seq"; without seq: `seq`. Nothing when it is none.
std::optional<StreamId> parse_id(std::string_view text, std::uint64_t seq);
// The same, and replies an error.
bool read_id(Context& context, std::string_view text, std::uint64_t seq, StreamId& out);
// An end of a range: "-", "+", an id, or "(" and an id, which excludes it. Replies an error and
// returns false when it is none.
bool read_range_end(Context& context, std::string_view text, bool is_start, StreamId& out);

inline std::optional<StreamId> next_id(StreamId id) {
  if (id == StreamId::greatest()) return std::nullopt;
  return id.seq == UINT64_MAX ? StreamId{id.ms + 1, 0} : StreamId{id.ms, id.seq + 1};
}
inline std::optional<StreamId> previous_id(StreamId id) {
  if (id == StreamId::least()) return std::nullopt;
  return id.seq == 0 ? StreamId{id.ms - 1, UINT64_MAX} : StreamId{id.ms, id.seq - 1};
}

// MAXLEN and MINID of XADD and XTRIM.
struct TrimOptions {
  enum class By : std::uint8_t { kNothing, kLength, kId } by = By::kNothing;
  bool about = false;
  std::uint64_t length = 0;
  StreamId id;
  std::uint64_t limit = 0;  // 0: none
};
// Which of the oldest entries go from a stream to which another `more` are being added.
std::vector<StreamEntry> trimmed(const Stream& stream, const TrimOptions& options,
                                 std::size_t more);
// Removes entries; the stream knows its last id still.
void remove_entries(Context& context, std::string_view key, const Stream& stream,
                    std::span<const StreamEntry> entries);
// Makes `id` the last id, if it is not less than it anyhow.
void note_last_id(Context& context, std::string_view key, const Stream& stream, StreamId id);
// Writes the mark `kind` with this id, in the place of those there are.
void write_mark(Context& context, std::string_view key, const Stream& stream, char kind,
                StreamId id);

// A consumer group of a stream, which must outlive it. Where several nodes have created it at the
// same time it has several lives, which are one to a reader.
class StreamGroup {
 public:
  StreamGroup(const Stream& stream, std::string_view name);

  bool there() const { return !lives_.empty(); }
  std::string_view name() const { return name_; }
  const absl::InlinedVector<std::uint64_t, 1>& lives() const { return lives_; }
  // That of what is written of it.
  std::uint64_t life() const { return lives_.back(); }
  StreamId last_delivered() const;
  // Up to where it has been given this writer's entries.
  StreamId delivered_of(ReplicaId writer) const;
  // How many entries it has not been given yet.
  std::size_t lag() const {
    return stream_->count_behind([this](ReplicaId writer) { return delivered_of(writer); });
  }
  // The names of the marks of what it has been given of this writer.
  std::vector<std::string_view> marks_of(ReplicaId writer) const;

  // Calls visit(pending) for those from `first` on, in order, until it returns false if it returns
  // bool.
  template <typename Visit>
  void pending(StreamId first, Visit visit) const {
    std::optional<std::pair<StreamId, ReplicaId>> before;
    stream_->fields_from(
        group_pending_from(name_, first), group_prefix(name_) + kGroupPending,
        [&](std::string_view, const StreamField& field, std::string_view value) {
          const std::pair entry(field.id, field.writer);
          // It may be pending in several lives.
          if (!has_life(field.life) || before == entry) return true;
          before = entry;
          return SetView::until_false([&] { return visit(decode_pending(field, value)); });
        });
  }
  // Those with this id.
  std::vector<PendingEntry> pending_at(StreamId id) const {
    std::vector<PendingEntry> out;
    pending(id, [&](const PendingEntry& entry) {
      if (entry.id == id) out.push_back(entry);
      return entry.id == id;
    });
    return out;
  }

  struct Consumer {
    std::string_view name;
    std::int64_t seen_ms = 0;
  };
  // By name.
  std::vector<Consumer> consumers() const;
  bool has_consumer(std::string_view consumer) const {
    return std::ranges::any_of(lives_, [&](std::uint64_t life) {
      return stream_->find(group_consumer(name_, life, consumer)).has_value();
    });
  }

 private:
  static PendingEntry decode_pending(const StreamField& field, std::string_view value);
  bool has_life(std::uint64_t life) const {
    return std::ranges::find(lives_, life) != lives_.end();
  }

  struct Mark {
    std::string_view name;
    ReplicaId writer;
    StreamId id;
  };

  const Stream* stream_;
  std::string name_;
  absl::InlinedVector<std::uint64_t, 1> lives_;
  StreamId base_;  // the least of all lives
  absl::InlinedVector<Mark, 3> marks_;
};

// Creates a group, of which nothing is left of an earlier life.
void create_group(Context& context, std::string_view key, const Stream& stream,
                  std::string_view group, StreamId base);
// What commands write of a group that is there.
void write_base(Context& context, std::string_view key, const StreamGroup& group, StreamId base);
void write_consumer(Context& context, std::string_view key, const StreamGroup& group,
                    std::string_view consumer);
void remove_consumer(Context& context, std::string_view key, const StreamGroup& group,
                     std::string_view consumer);
// It has been given these, in their order.
void write_delivered(Context& context, std::string_view key, const StreamGroup& group,
                     std::span<const StreamEntry> entries);
void write_pending(Context& context, std::string_view key, const StreamGroup& group,
                   const PendingEntry& entry);
void remove_pending(Context& context, std::string_view key, const StreamGroup& group,
                    const PendingEntry& entry);
// Removes all fields whose names begin with this.
void remove_fields(Context& context, std::string_view key, const Stream& stream,
                   std::string_view prefix);

}  // namespace even
