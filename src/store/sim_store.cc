#include "store/sim_store.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace even::sim {
namespace {

constexpr const char* kReadError = "input/output error (simulated)";

}  // namespace

class SimShardStore final : public RowStore {
 public:
  explicit SimShardStore(SimStore& store) : store_(store), crashes_(store.crashes_) {}
  ~SimShardStore() override {
    if (committing_) store_.settle(std::move(committing_));
  }

  Result<std::optional<std::string>> get(std::string_view row) override {
    if (store_.random_.chance(store_.faults.failing_read)) return fail(kReadError);
    const auto found = store_.rows_->find(row);
    if (found == store_.rows_->end()) return std::nullopt;
    if (auto readable = store_.readable(found->first); !readable) {
      return std::unexpected(readable.error());
    }
    return found->second;
  }

  Result<> scan(std::string_view first, std::string_view end,
                const std::function<bool(std::string_view, std::string_view)>& visit) override {
    if (store_.random_.chance(store_.faults.failing_read)) return fail(kReadError);
    // visit() may change the store, which the scan must not see: see changed_rows().
    const std::shared_ptr<const SimStore::Rows> rows = store_.rows_;
    for (auto row = rows->lower_bound(first); row != rows->end() && row->first < end; ++row) {
      if (auto readable = store_.readable(row->first); !readable) return readable;
      if (!visit(row->first, row->second)) break;
    }
    return {};
  }

  void fetch(std::vector<std::string> rows, std::function<void(Fetched)> done) override {
    const std::int64_t before = store_.about(store_.faults.fetch_us);
    const std::int64_t behind = store_.about(store_.faults.fetch_us);
    after(before / 2, [this, behind, rows = std::move(rows), done = std::move(done)]() mutable {
      Fetched values;
      for (const std::string& row : rows) {
        auto value = get(row);
        if (!value) {
          values = std::unexpected(value.error());
          break;
        }
        values->push_back(std::move(*value));
      }
      after(behind / 2, [values = std::move(values), done = std::move(done)]() mutable {
        done(std::move(values));
      });
    });
  }

  void fetch_range(std::string first, std::string end, std::size_t max_bytes,
                   std::function<void(FetchedRange)> done) override {
    const std::int64_t before = store_.about(store_.faults.fetch_us);
    const std::int64_t behind = store_.about(store_.faults.fetch_us);
    after(before / 2, [this, behind, first = std::move(first), end = std::move(end), max_bytes,
                       done = std::move(done)]() mutable {
      std::vector<Row> rows;
      std::size_t bytes = 0;
      const auto scanned = scan(first, end, [&](std::string_view row, std::string_view value) {
        bytes += row.size() + value.size();
        if (bytes > max_bytes && !rows.empty()) return false;
        rows.push_back({std::string(row), std::string(value)});
        return true;
      });
      FetchedRange outcome = std::move(rows);
      if (!scanned) outcome = std::unexpected(scanned.error());
      after(behind / 2, [outcome = std::move(outcome), done = std::move(done)]() mutable {
        done(std::move(outcome));
      });
    });
  }

  void write(RowBatch changes) override {
    EVEN_CHECK(!committing_, "a pass is changed after its commit");
    for (std::size_t i = 0; i < changes.size(); ++i) {
      const auto [kind, row, value] = changes[i];
      if (kind == RowBatch::Kind::kRemoveRange || kind == RowBatch::Kind::kForget) continue;
      EVEN_CHECK(!last_row_ || *last_row_ < row, "the rows of a pass ascend");
      last_row_ = row;
    }
    pass_.push_back(std::move(changes));
    if (store_.random_.chance(store_.faults.behind))
      behind_until_us_ = store_.scheduler_.now_us() + store_.about(store_.faults.behind_us);
  }

  void commit(std::function<void(Result<>)> done) override {
    EVEN_CHECK(!committing_, "one pass at a time");
    if (crashes_ != store_.crashes_) return;
    committing_ = std::make_shared<SimStore::Pass>(std::exchange(pass_, {}));
    last_row_.reset();
    store_.committing_.push_back(committing_);

    const StoreFaults& faults = store_.faults;
    std::int64_t duration = store_.about(faults.commit_us);
    if (store_.random_.chance(faults.slow_commit)) duration *= 100;
    // Readers may see the rows some time before the shard is told.
    const auto visible = static_cast<std::int64_t>(store_.random_.below(duration + 1));
    const bool fails = store_.random_.chance(faults.failing_commit);
    after(visible, [this, rest = duration - visible, fails, done = std::move(done)]() mutable {
      std::erase(store_.committing_, committing_);
      Result<> outcome;
      if (store_.faults.full) {
        outcome = fail("no space left on device (simulated)");
      } else if (!store_.can_apply(*committing_)) {
        outcome = fail("a range cannot be removed, as it cannot be read (simulated)");
      } else if (fails) {
        outcome = fail("input/output error (simulated)");
        store_.failed_.push_back(committing_);
      } else {
        store_.apply(*committing_);
        store_.failed_.clear();
      }
      after(rest, [this, outcome = std::move(outcome), done = std::move(done)] {
        committing_.reset();
        done(outcome);
      });
    });
  }

  void merge(std::string, std::string) override {}

  void abandon() override {
    EVEN_CHECK(!committing_, "a pass is abandoned after its commit");
    pass_.clear();
    last_row_.reset();
  }

  std::size_t backlog() const override {
    if (store_.scheduler_.now_us() < behind_until_us_) return SIZE_MAX;
    std::size_t bytes = 0;
    for (const RowBatch& changes : committing_ ? *committing_ : pass_) bytes += changes.bytes();
    return bytes;
  }

 private:
  // Runs `event` unless the handle is gone or the machine has crashed by then.
  template <typename Event>
  void after(std::int64_t us, Event event) {
    auto step = [this, alive = std::weak_ptr<void>(alive_),
                 event = std::make_shared<Event>(std::move(event))] {
      if (!alive.expired() && crashes_ == store_.crashes_) (*event)();
    };
    store_.scheduler_.after(us, [&store = store_, step = std::move(step)] { store.go_on(step); });
  }

  SimStore& store_;
  const std::uint64_t crashes_;
  const std::shared_ptr<void> alive_ = std::make_shared<char>();
  SimStore::Pass pass_;
  std::int64_t behind_until_us_ = 0;
  std::optional<std::string> last_row_;
  std::shared_ptr<SimStore::Pass> committing_;
};

std::unique_ptr<RowStore> SimStore::shard_store() { return std::make_unique<SimShardStore>(*this); }

void SimStore::crash() {
  ++crashes_;
  bool taken = false;
  for (const std::shared_ptr<Pass>& pass : committing_) {
    if (!random_.chance(0.5) || !can_apply(*pass)) continue;
    apply(*pass);
    taken = true;
  }
  if (!taken && !failed_.empty() && random_.chance(0.5)) {
    apply(*failed_[random_.below(failed_.size())]);
  }
  failed_.clear();
  committing_.clear();
}

void SimStore::wipe() {
  ++crashes_;
  failed_.clear();
  committing_.clear();
  rows_ = std::make_shared<Rows>();
  damaged_.clear();
}

std::size_t SimStore::damage(std::size_t rows) {
  if (rows_->empty()) return 0;
  auto row = std::next(rows_->begin(), static_cast<std::ptrdiff_t>(random_.below(rows_->size())));
  std::size_t damaged = 0;
  for (; damaged < rows && row != rows_->end(); ++row, ++damaged) damaged_.insert(row->first);
  return damaged;
}

void SimStore::damage_all() {
  for (const auto& [row, value] : *rows_) damaged_.insert(row);
}

Result<> SimStore::readable(const std::string& row) const {
  if (!damaged_.contains(row)) return {};
  return fail("a row does not match its checksum (simulated)");
}

void SimStore::restore(Rows rows) {
  wipe();
  *rows_ = std::move(rows);
}

SimStore::Rows& SimStore::changed_rows() {
  if (rows_.use_count() > 1) rows_ = std::make_shared<Rows>(*rows_);
  return *rows_;
}

std::int64_t SimStore::about(std::int64_t us) {
  return us / 2 + static_cast<std::int64_t>(random_.below(us + 1));
}

void SimStore::apply(const Pass& pass) {
  Rows& all = changed_rows();
  // Ranges first: they spare what the pass itself puts.
  for (const bool ranges : {true, false}) {
    for (const RowBatch& changes : pass) {
      for (std::size_t i = 0; i < changes.size(); ++i) {
        const auto [kind, row, value] = changes[i];
        const bool range = kind == RowBatch::Kind::kRemoveRange || kind == RowBatch::Kind::kForget;
        if (range != ranges) continue;
        if (kind == RowBatch::Kind::kPut || kind == RowBatch::Kind::kReplace) {
          all.insert_or_assign(std::string(row), std::string(value));
          damaged_.erase(std::string(row));
        } else if (kind == RowBatch::Kind::kRemove) {
          all.erase(std::string(row));
          damaged_.erase(std::string(row));
        } else if (row < value && (kind == RowBatch::Kind::kRemoveRange || random_.chance(0.5))) {
          const auto erase_from = [&](auto& rows) {
            rows.erase(rows.lower_bound(std::string(row)), rows.lower_bound(std::string(value)));
          };
          erase_from(all);
          erase_from(damaged_);
        }
      }
    }
  }
}

bool SimStore::can_apply(const Pass& pass) const {
  for (const RowBatch& changes : pass) {
    for (std::size_t i = 0; i < changes.size(); ++i) {
      const auto [kind, row, value] = changes[i];
      if (kind != RowBatch::Kind::kRemoveRange) continue;
      const auto damaged = damaged_.lower_bound(std::string(row));
      if (damaged != damaged_.end() && *damaged < value) return false;
    }
  }
  return true;
}

void SimStore::settle(std::shared_ptr<Pass> pass) {
  if (std::erase(committing_, pass) == 0 || !random_.chance(0.5) || !can_apply(*pass)) return;
  apply(*pass);
  failed_.clear();
}

}  // namespace even::sim
