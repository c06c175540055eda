#include "replica/topic_cleaner.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/bytes.h"
#include "base/mutant.h"
#include "replica/slices.h"
#include "replica/topic_transactions.h"
#include "store/topic_rows.h"
#include "topic/keyed_records.h"

namespace even {
namespace {

using consensus::Index;
using topic::KeyedRecords;

// Entries that wait for a pass have so many bytes at most, and a slice.
constexpr std::size_t kMostWaiting = 4 << 20;
// What could not be done is tried again after so many intervals of looking.
constexpr std::int64_t kLooksOfRetry = 10;
// Of the thread's time, for one part that a slice takes.
constexpr std::int64_t kOthersShare = 4;
constexpr double kMillionths = 1e6;

// Whether a batch, which lies before the last stable offset, is of a transaction that was aborted.
Result<bool> is_aborted(Group& group, const topic::BatchHead& head, std::int64_t base) {
  if (!head.transactional()) return false;
  const auto all = aborted_transactions(group.partition().state, base, base + head.offsets());
  if (!all) return std::unexpected(all.error());
  return std::ranges::any_of(*all, [&](const AbortedTransaction& each) {
    return each.producer_id == head.producer_id && each.first <= base && base < each.last;
  });
}

}  // namespace

struct TopicCleaner::Job {
  enum class Stage {
    kFirst,       // looks for the first batch
    kKeys,        // notes the latest offset of each key in what has not been compacted
    kCompacting,  // goes over all
    kStoring,     // waits until it is stored
  };
  Stage stage = Stage::kFirst;
  std::uint64_t number = 0;
  PartitionId partition = 0;
  std::uint64_t life = 0;  // of the TopicLog
  cluster::Cleanup cleanup;
  std::int64_t now_ms = 0;  // when it began
  bool reading = false;

  CleanPoint before;        // where the one before had come to
  std::int64_t stable = 0;  // nothing from this offset on is looked at
  Index stored = 0;         // nor behind this entry
  topic::LatestOffsets latest;
  Index first = 0;  // with the first batch there is
  std::int64_t first_base = 0;
  Index next = 0;                   // to be read
  std::int64_t base = 0;            // offset of the next record
  CleanPoint after;                 // up to here it goes
  bool blind = false;               // it has come upon a batch whose keys are not known
  std::vector<RowStore::Row> rows;  // that have been read
  std::size_t at = 0;               // of these, the next one

  bool wants_pass(const TopicLog& log) const {
    return log.has_replaced() && (stage == Stage::kStoring || log.replaced_bytes() >= kMostWaiting);
  }

  Job(std::uint64_t seed, std::size_t map_bytes) : latest(seed, map_bytes) {}
};

TopicCleaner::TopicCleaner(ShardCore& core, std::function<Group*(PartitionId)> find)
    : core_(core), find_(std::move(find)) {}
TopicCleaner::~TopicCleaner() = default;

bool TopicCleaner::waits_for_pass() const {
  if (!job_) return false;
  Group* group = find_(job_->partition);
  return group != nullptr && group->topic() != nullptr && job_->wants_pass(*group->topic());
}

Group* TopicCleaner::group_of_job() {
  Group* group = find_(job_->partition);
  if (group == nullptr || group->topic() == nullptr || group->halted()) return nullptr;
  return group->topic()->life() == job_->life ? group : nullptr;
}

void TopicCleaner::tick(const std::function<std::vector<Candidate>()>& candidates) {
  const std::int64_t now_us = core_.clock.monotonic_us();
  if (core_.store == nullptr || now_us < next_us_) return;
  if (job_) {
    next_us_ = now_us + core_.options.clean_interval_us;
    return step();
  }
  next_us_ = now_us + core_.options.retain_interval_us;
  // That of which most is to be gained.
  const Candidate* best = nullptr;
  double most = -1;
  const std::vector<Candidate> all = candidates();
  std::erase_if(not_before_us_, [now_us](const auto& each) { return each.second <= now_us; });
  for (const Candidate& candidate : all) {
    const Group* group = find_(candidate.partition);
    if (group == nullptr || group->topic() == nullptr || group->halted()) continue;
    if (not_before_us_.contains(candidate.partition) || !is_due(candidate, *group)) continue;
    const auto dirty = static_cast<double>(group->topic()->stored_bytes() -
                                           group->topic()->clean_point().total_bytes);
    if (dirty <= most) continue;
    most = dirty;
    best = &candidate;
  }
  if (best != nullptr) begin(*best, *find_(best->partition));
}

bool TopicCleaner::is_due(const Candidate& candidate, const Group& group) const {
  const TopicLog& log = *group.topic();
  const CleanPoint& clean = log.clean_point();
  if (log.stored() <= log.first() || log.has_replaced()) return false;
  // Others wait for it: see TopicLog::gives().
  const bool awaited = !log.gives(clean.index + 1) && log.stored() > clean.index;
  if (!candidate.cleanup.compacts) return awaited && group.purged() > clean.index;
  if (awaited) return true;
  const std::int64_t now_ms = core_.clock.wall_ms();
  if (clean.horizon_ms != 0 && now_ms >= clean.horizon_ms && group.purged() >= clean.index) {
    return true;
  }
  if (log.stored_bytes() <= clean.total_bytes || log.stored() <= clean.index) return false;
  const auto dirty = static_cast<double>(log.stored_bytes() - clean.total_bytes);
  const auto all = dirty + static_cast<double>(clean.clean_bytes);
  if (dirty * kMillionths >= all * candidate.cleanup.min_dirty_millionths) return true;
  return candidate.cleanup.max_lag_ms && now_ms - clean.time_ms >= *candidate.cleanup.max_lag_ms;
}

void TopicCleaner::begin(const Candidate& candidate, const Group& group) {
  job_ = std::make_unique<Job>(core_.random.next(), core_.options.clean_map_bytes);
  Job& job = *job_;
  job.number = ++jobs_;
  job.partition = candidate.partition;
  job.life = group.topic()->life();
  job.cleanup = candidate.cleanup;
  job.now_ms = core_.clock.wall_ms();
  job.before = group.topic()->clean_point();
  const TopicStatus status = group.topic_status();
  job.stable = EVEN_MUTANT(kCompactsUnstable) ? status.end : status.stable;
  // Of a topic that is not compacted any more, no more than the others wait for.
  job.stored = candidate.cleanup.compacts ? group.topic()->stored()
                                          : std::min(group.topic()->stored(), group.purged());
  next_us_ = 0;
}

// Of what is read, or waits, the answer leads on; else the next tick.
void TopicCleaner::step() {
  Group* group = group_of_job();
  if (group == nullptr) return give_up();
  Job& job = *job_;
  if (job.reading) return;
  const TopicLog& log = *group->topic();
  if (job.stage == Job::Stage::kStoring && !log.has_replaced()) return finish();
  if (job.wants_pass(log)) {
    if (request_pass) request_pass();
    return;
  }
  if (job.at < job.rows.size()) return work(*group);
  job.stage == Job::Stage::kFirst ? find_first() : read_slice();
}

void TopicCleaner::find_first() {
  Job& job = *job_;
  job.reading = true;
  const std::int64_t start = find_(job.partition)->topic_status().start;
  core_.store->fetch_range(topic_offset_row(job.partition, static_cast<std::uint64_t>(start)),
                           topic_offset_end(job.partition), 1,
                           [this, alive = std::weak_ptr(alive_),
                            number = job.number](const RowStore::FetchedRange& rows) {
                             if (alive.expired() || !job_ || job_->number != number) return;
                             Group* group = group_of_job();
                             const auto first =
                                 rows && !rows->empty()
                                     ? read_offset_row(rows->front().name, rows->front().value)
                                     : std::nullopt;
                             if (group == nullptr || !first) return give_up();
                             Job& job = *job_;
                             job.reading = false;
                             job.first = first->index;
                             job.first_base = first->base;
                             const bool goes_on = job.before.index >= job.first;
                             job.after = goes_on ? job.before : CleanPoint{};
                             job.next = goes_on ? job.before.index + 1 : job.first;
                             job.base = goes_on ? job.before.end : job.first_base;
                             if (!goes_on) job.before = {};
                             job.stage = Job::Stage::kKeys;
                           });
}

void TopicCleaner::read_slice() {
  Job& job = *job_;
  const Index last = job.stage == Job::Stage::kKeys ? job.stored : job.after.index;
  if (job.next > last) {
    if (job.stage == Job::Stage::kKeys) return begin_compacting();
    Group* group = group_of_job();
    group->topic()->clean_to(job.after);
    job.stage = Job::Stage::kStoring;
    if (request_pass) request_pass();
    return;
  }
  job.reading = true;
  core_.store->fetch_range(
      topic_entry_row(job.partition, job.next), topic_entry_row(job.partition, last + 1),
      core_.options.clean_slice_bytes,
      [this, alive = std::weak_ptr(alive_), number = job.number](RowStore::FetchedRange rows) {
        if (alive.expired() || !job_ || job_->number != number) return;
        job_->reading = false;
        take_slice(std::move(rows));
      });
}

void TopicCleaner::take_slice(RowStore::FetchedRange rows) {
  Group* group = group_of_job();
  if (group == nullptr || !rows || rows->empty()) return give_up();
  job_->rows = std::move(*rows);
  job_->at = 0;
  work(*group);
}

// So long that the thread is not kept from others: it may have four times as much for them before
// there is more.
void TopicCleaner::work(Group& group) {
  Job& job = *job_;
  const std::int64_t started_us = core_.clock.monotonic_us();
  while (job.at < job.rows.size()) {
    const RowStore::Row& row = job.rows[job.at];
    if (topic_row_number(row.name) != job.next) return give_up();
    core_.stats.topic_bytes_read += row.value.size();
    if (job.stage == Job::Stage::kKeys) {
      if (!note_keys(group, row)) return begin_compacting();
    } else if (!compact(group, row)) {
      return give_up();
    }
    ++job.next;
    ++job.at;
    const std::int64_t now_us = core_.clock.monotonic_us();
    if (now_us - started_us <= kSliceUs) continue;
    next_us_ = now_us + kOthersShare * (now_us - started_us);
    return;
  }
}

// False: what is compacted ends before this entry.
bool TopicCleaner::note_keys(Group& group, const RowStore::Row& row) {
  Job& job = *job_;
  const auto stored = read_stored_batch(row.name, row.value);
  if (!stored) return false;
  const auto note_entry = [&] { job.after.index = topic_row_number(row.name); };
  if (!*stored || !(*stored)->has_offsets) {
    note_entry();
    return true;
  }
  const GroupProposal& proposal = (*stored)->proposal;
  const auto head = topic::read_head(proposal.batch);
  if (!head || job.base + head->offsets() > job.stable) return false;
  // Not what the group has agreed on before the lag was raised: others wait for that.
  if (job.cleanup.min_lag_ms > 0 && job.next > group.purged() &&
      proposal.instant_ms > job.now_ms - job.cleanup.min_lag_ms) {
    return false;
  }
  if (!head->control() && head->records > 0) {
    const auto aborted = is_aborted(group, *head, job.base);
    if (!aborted) return false;
    // One that is as large as the whole table is passed over, as one that cannot be read.
    if (!*aborted && static_cast<std::size_t>(head->records) > job.latest.room() &&
        job.latest.size() > 0) {
      return false;
    }
    const auto records =
        *aborted ? Result<KeyedRecords>(fail("aborted")) : KeyedRecords::read(proposal.batch);
    if (records && static_cast<std::size_t>(head->records) <= job.latest.room()) {
      for (const KeyedRecords::Record& record : records->all()) {
        if (record.key) job.latest.put(*record.key, job.base + record.delta);
      }
    }
  }
  job.base += head->offsets();
  note_entry();
  job.after.end = job.base;
  job.after.total_bytes += proposal.compacted ? proposal.compacted->bytes : proposal.batch.size();
  job.after.time_ms = proposal.instant_ms;
  return true;
}

void TopicCleaner::begin_compacting() {
  Job& job = *job_;
  Group* group = group_of_job();
  const bool purges = job.before.horizon_ms != 0 && job.now_ms >= job.before.horizon_ms &&
                      group->purged() >= job.before.index;
  if (job.after.index == job.before.index && !purges) return give_up();
  job.stage = Job::Stage::kCompacting;
  job.rows.clear();
  job.at = 0;
  job.next = job.first;
  job.base = job.first_base;
  job.after.clean_bytes = 0;
  job.after.horizon_ms = 0;
  job.blind = false;
}

bool TopicCleaner::compact(Group& group, const RowStore::Row& row) {
  Job& job = *job_;
  TopicLog& log = *group.topic();
  auto stored = read_stored_batch(row.name, row.value);
  if (!stored) return false;
  if (!*stored || !(*stored)->has_offsets) {
    job.after.clean_bytes += row.value.size();
    return true;
  }
  GroupProposal& proposal = (*stored)->proposal;
  const auto head = topic::read_head(proposal.batch);
  if (!head) return false;
  const std::int64_t base = job.base;
  job.base += head->offsets();
  GroupProposal::Compacted compacted = proposal.compacted.value_or(
      GroupProposal::Compacted{static_cast<std::uint32_t>(proposal.batch.size()), 0});
  const auto anew = head->control() || head->records == 0
                        ? Result<std::string>("")
                        : compact(group, proposal.batch, *head, base, compacted);
  if (!anew) return false;
  job.after.horizon_ms = std::max(job.after.horizon_ms, compacted.horizon_ms);
  if (anew->empty()) {
    job.after.clean_bytes += row.value.size();
    return true;
  }
  proposal.batch = *anew;
  proposal.compacted = compacted;
  std::string replaced = replace_stored_batch(row.value, proposal);
  job.after.clean_bytes += replaced.size();
  core_.stats.topic_bytes_removed += row.value.size() - std::min(row.value.size(), replaced.size());
  log.replace((*stored)->index, std::move(replaced));
  return true;
}

// What is left of a batch; "": all of it, and nothing new is known of it.
Result<std::string> TopicCleaner::compact(Group& group, std::string_view batch,
                                          const topic::BatchHead& head, std::int64_t base,
                                          GroupProposal::Compacted& compacted) {
  Job& job = *job_;
  const auto aborted = is_aborted(group, head, base);
  if (!aborted) return std::unexpected(aborted.error());
  if (*aborted) {
    compacted.horizon_ms = 0;
    return topic::without_records(batch);
  }
  const auto records = KeyedRecords::read(batch);
  if (!records || static_cast<std::size_t>(head.records) > job.latest.most_keys()) {
    // What it removes, or what removes something of it, is not known: it stays as it is, and so
    // does each tombstone behind it.
    job.blind = true;
    return "";
  }
  // What removes an earlier record is gone for good only when no member can have that.
  const bool may_purge =
      (compacted.horizon_ms != 0 && job.now_ms >= compacted.horizon_ms &&
       job.next <= group.purged() && job.next <= job.before.index && !job.blind) ||
      EVEN_MUTANT(kTombstoneGoesEarly);
  std::vector<KeyedRecords::Record> kept;
  bool tombstones = false;
  for (const KeyedRecords::Record& record : records->all()) {
    const std::int64_t offset = base + record.delta;
    const auto latest = record.key ? job.latest.find(*record.key) : std::nullopt;
    const bool superseded =
        latest && (EVEN_MUTANT(kLatestGoes) ? *latest >= offset : *latest > offset);
    if (superseded || (record.deletes && may_purge)) continue;
    tombstones = tombstones || record.deletes;
    kept.push_back(record);
  }
  const bool is_news = tombstones && compacted.horizon_ms == 0;
  if (is_news) {
    constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();
    compacted.horizon_ms = job.cleanup.delete_retention_ms > kNever - job.now_ms
                               ? kNever
                               : job.now_ms + job.cleanup.delete_retention_ms;
  }
  if (!tombstones) compacted.horizon_ms = 0;
  if (kept.size() < records->all().size()) return records->with(kept);
  return is_news ? std::string(batch) : "";
}

void TopicCleaner::finish() {
  ++core_.stats.topic_compactions;
  Group* group = group_of_job();
  if (group != nullptr && group->topic()->clean_point() != job_->after) return give_up();
  core_.store->merge(topic_entry_row(job_->partition, 0),
                     topic_entry_row(job_->partition, job_->after.index + 1));
  job_.reset();
}

void TopicCleaner::give_up() {
  if (Group* group = group_of_job()) group->topic()->abandon_replaced();
  not_before_us_[job_->partition] =
      core_.clock.monotonic_us() + kLooksOfRetry * core_.options.retain_interval_us;
  job_.reset();
}

}  // namespace even
