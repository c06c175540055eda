#include "replica/topic_cleaner.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/mutant.h"
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
constexpr double kMillion = 1e6;

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

  CleanPoint before;            // where the one before had come to
  std::int64_t stable = 0;      // nothing from this offset on is looked at
  Index stored = 0;             // nor behind this entry
  topic::LatestOffsets latest;
  Index first = 0;              // with the first batch there is
  std::int64_t first_base = 0;
  Index next = 0;               // to be read
  std::int64_t base = 0;        // offset of the next record
  CleanPoint after;             // up to here it goes
  bool blind = false;           // it has come upon a batch whose keys are not known

  Job(std::uint64_t seed, std::size_t map_bytes) : latest(seed, map_bytes) {}
};

TopicCleaner::TopicCleaner(ShardCore& core, std::function<Group*(PartitionId)> find)
    : core_(core), find_(std::move(find)) {}
TopicCleaner::~TopicCleaner() = default;

bool TopicCleaner::waits_for_pass() const {
  if (!job_) return false;
  Group* group = find_(job_->partition);
  return group != nullptr && group->topic() != nullptr && group->topic()->has_replaced();
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
  if (!log.gives(clean.index + 1) && log.stored() > clean.index) return true;
  if (!candidate.cleanup.compacts) return false;
  const std::int64_t now_ms = core_.clock.wall_ms();
  if (clean.horizon_ms != 0 && now_ms >= clean.horizon_ms && group.purged() >= clean.index) {
    return true;
  }
  if (log.stored_bytes() <= clean.total_bytes || log.stored() <= clean.index) return false;
  const auto dirty = static_cast<double>(log.stored_bytes() - clean.total_bytes);
  const auto all = dirty + static_cast<double>(clean.clean_bytes);
  if (dirty * kMillion >= all * candidate.cleanup.min_dirty_millionths) return true;
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
  job.stored = group.topic()->stored();
  next_us_ = 0;
}

// Of what is read, or waits, the answer leads on; else the next tick.
void TopicCleaner::step() {
  Group* group = group_of_job();
  if (group == nullptr) return give_up();
  Job& job = *job_;
  if (job.reading) return;
  TopicLog& log = *group->topic();
  if (job.stage == Job::Stage::kStoring) {
    if (!log.has_replaced()) return finish();
    if (request_pass) request_pass();
    return;
  }
  if (log.replaced_bytes() >= kMostWaiting) {
    if (request_pass) request_pass();
    return;
  }
  job.stage == Job::Stage::kFirst ? find_first() : read_slice();
}

void TopicCleaner::find_first() {
  Job& job = *job_;
  job.reading = true;
  const std::int64_t start = find_(job.partition)->topic_status().start;
  core_.store->fetch_range(
      topic_offset_row(job.partition, static_cast<std::uint64_t>(start)),
      topic_offset_end(job.partition), 1,
      [this, alive = std::weak_ptr(alive_), number = job.number](const RowStore::FetchedRange& rows) {
        if (alive.expired() || !job_ || job_->number != number) return;
        Group* group = group_of_job();
        const auto first = rows && !rows->empty()
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
      [this, alive = std::weak_ptr(alive_), number = job.number](const RowStore::FetchedRange& rows) {
        if (alive.expired() || !job_ || job_->number != number) return;
        job_->reading = false;
        take_slice(rows);
      });
}

void TopicCleaner::take_slice(const RowStore::FetchedRange& rows) {
  Group* group = group_of_job();
  if (group == nullptr || !rows || rows->empty()) return give_up();
  Job& job = *job_;
  if (job.stage == Job::Stage::kCompacting) {
    if (!compact(*group, *rows)) give_up();
    return;
  }
  for (const RowStore::Row& row : *rows) {
    if (topic_row_number(row.name) != job.next) return give_up();
    core_.stats.topic_bytes_read += row.value.size();
    if (!note_keys(*group, row)) return begin_compacting();
    ++job.next;
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
  if (job.cleanup.min_lag_ms > 0 && proposal.instant_ms > job.now_ms - job.cleanup.min_lag_ms) {
    return false;
  }
  if (!head->control() && head->records > 0) {
    const auto aborted =
        head->transactional()
            ? aborted_transactions(group.partition().state, job.base, job.base + head->offsets())
            : std::vector<AbortedTransaction>();
    if (!aborted) return false;
    const bool is_aborted = std::ranges::any_of(*aborted, [&](const AbortedTransaction& each) {
      return each.producer_id == head->producer_id && each.first <= job.base &&
             job.base < each.last;
    });
    // One that is as large as the whole table is passed over, as one that cannot be read.
    if (!is_aborted && static_cast<std::size_t>(head->records) > job.latest.room() &&
        job.latest.size() > 0) {
      return false;
    }
    const auto records = is_aborted ? Result<KeyedRecords>(fail("aborted"))
                                    : KeyedRecords::read(proposal.batch);
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
  job.next = job.first;
  job.base = job.first_base;
  job.after.clean_bytes = 0;
  job.after.horizon_ms = 0;
  job.blind = false;
}

bool TopicCleaner::compact(Group& group, const std::vector<RowStore::Row>& rows) {
  Job& job = *job_;
  TopicLog& log = *group.topic();
  // Ranges of aborted transactions that these rows may be of: as far as they go.
  std::vector<std::optional<StoredBatch>> batches;
  std::int64_t end = job.base;
  for (const RowStore::Row& row : rows) {
    auto stored = read_stored_batch(row.name, row.value);
    if (!stored || topic_row_number(row.name) != job.next + batches.size()) return false;
    if (*stored && (*stored)->has_offsets) {
      const auto head = topic::read_head((*stored)->proposal.batch);
      if (!head) return false;
      end += head->offsets();
    }
    batches.push_back(std::move(*stored));
  }
  const auto aborted = aborted_transactions(group.partition().state, job.base, end);
  if (!aborted) return false;
  const Index purged = group.purged();
  for (std::size_t i = 0; i < rows.size(); ++i, ++job.next) {
    const std::string& value = rows[i].value;
    core_.stats.topic_bytes_read += value.size();
    std::size_t left = value.size();
    if (batches[i] && batches[i]->has_offsets) {
      GroupProposal proposal = batches[i]->proposal;
      const auto head = topic::read_head(proposal.batch);
      const std::int64_t base = job.base;
      job.base += head->offsets();
      GroupProposal::Compacted compacted = proposal.compacted.value_or(GroupProposal::Compacted{
          static_cast<std::uint32_t>(proposal.batch.size()), 0});
      std::string anew;
      if (!head->control() && head->records > 0) {
        const bool is_aborted =
            head->transactional() &&
            std::ranges::any_of(*aborted, [&](const AbortedTransaction& each) {
              return each.producer_id == head->producer_id && each.first <= base &&
                     base < each.last;
            });
        const auto records = is_aborted ? Result<KeyedRecords>(fail("aborted"))
                                        : KeyedRecords::read(proposal.batch);
        if (is_aborted) {
          anew = topic::without_records(proposal.batch);
          compacted.horizon_ms = 0;
        } else if (!records ||
                   static_cast<std::size_t>(head->records) > job.latest.most_keys()) {
          // What it removes, or what removes something of it, is not known: it stays as it is, and
          // so does each tombstone behind it.
          job.blind = true;
        } else {
          // What removes an earlier record is gone for good only when no member can have that.
          const bool may_purge = (compacted.horizon_ms != 0 && job.now_ms >= compacted.horizon_ms &&
                                  job.next <= purged && job.next <= job.before.index &&
                                  !job.blind) ||
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
          const bool fewer = kept.size() < records->all().size();
          const bool first_seen = tombstones && compacted.horizon_ms == 0;
          if (first_seen) compacted.horizon_ms = job.now_ms + job.cleanup.delete_retention_ms;
          if (!tombstones) compacted.horizon_ms = 0;
          if (fewer) {
            auto batch = records->with(kept);
            if (!batch) return false;
            anew = std::move(*batch);
          } else if (first_seen) {
            anew = proposal.batch;
          }
          if (tombstones) {
            job.after.horizon_ms = std::max(job.after.horizon_ms, compacted.horizon_ms);
          }
        }
      }
      if (!anew.empty()) {
        proposal.batch = anew;
        proposal.compacted = compacted;
        std::string row = replace_stored_batch(value, proposal);
        if (row.size() < value.size()) core_.stats.topic_bytes_removed += value.size() - row.size();
        left = row.size();
        log.replace(batches[i]->index, std::move(row));
      }
    }
    job.after.clean_bytes += left;
  }
  return true;
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
  not_before_us_[job_->partition] = core_.clock.monotonic_us() +
                                    kLooksOfRetry * core_.options.retain_interval_us;
  job_.reset();
}

}  // namespace even
