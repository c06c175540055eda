#include "replica/group_log.h"

#include <algorithm>

#include "base/check.h"

namespace even {

using consensus::Entry;

std::optional<consensus::Term> GroupLog::term(Index index) const {
  if (index == before_) return before_term_;
  if (index > last_index()) return std::nullopt;
  if (index < before_) {
    return stored_ != nullptr && index + 1 >= first_index() ? stored_->term(index) : std::nullopt;
  }
  return at(index).term;
}

bool GroupLog::entries(Index from, Index to, std::size_t max_bytes,
                       std::vector<Entry>& entries) const {
  if (from < first_index() || to > last_index() + 1 || from >= to) return false;
  if (from <= before_) {
    return stored_->entries(from, std::min(to, before_ + 1), max_bytes, entries);
  }
  std::size_t bytes = 0;
  for (Index i = from; i < to; ++i) {
    bytes += at(i).bytes();
    if (bytes > max_bytes && i > from) break;
    entries.push_back(at(i));
  }
  return true;
}

void GroupLog::set_base(Index index, Term base_term) {
  cut(0);
  missing_.reset();
  before_ = index;
  before_term_ = base_term;
}

void GroupLog::cut(Index from) {
  while (!entries_.empty() && last_index() >= from) {
    bytes_ -= entries_.back().bytes();
    entries_.pop_back();
  }
}

bool GroupLog::put(const Entry& entry) {
  if (entry.index <= before_) return true;  // it has been applied
  if (entry.index > last_index() + 1) return false;
  if (entry.index <= last_index()) {
    if (at(entry.index).term == entry.term) return true;
    cut(entry.index);
  }
  entries_.push_back(entry);
  bytes_ += entry.bytes();
  return true;
}

void GroupLog::replay(const Entry& entry) {
  cut(entry.index);
  if (missing_ && entry.index <= *missing_) missing_.reset();
  if (entry.index <= before_) return;  // it has been applied
  if (entry.index > last_index() + 1) {
    if (!missing_) missing_ = last_index() + 1;
    return;
  }
  entries_.push_back(entry);
  bytes_ += entry.bytes();
}

bool GroupLog::ascends() const {
  Term least = before_term_;
  return std::ranges::all_of(entries_, [&least](const Entry& entry) {
    return std::exchange(least, entry.term) <= entry.term;
  });
}

void GroupLog::trim(Index index, std::uint64_t bytes) {
  EVEN_CHECK(index <= last_index(), "only what is there can go");
  while (before_ < index && bytes_ > bytes) {
    bytes_ -= entries_.front().bytes();
    before_term_ = entries_.front().term;
    before_ = entries_.front().index;
    entries_.pop_front();
  }
}

}  // namespace even
