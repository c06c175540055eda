#include "replica/open_record.h"

#include <algorithm>

#include "base/hash.h"
#include "base/mutant.h"

namespace even {
namespace {

// What can be written twice: all of a key, a part of it, one leaf.
std::uint64_t whole_of(std::uint64_t key_hash) { return hash_mix(key_hash, 1); }
std::uint64_t part_of(std::uint64_t key_hash) { return hash_mix(key_hash, 2); }
std::uint64_t leaf_of(std::uint64_t key_hash, std::uint64_t field_hash) {
  return hash_mix(key_hash, field_hash);
}

}  // namespace

bool OpenRecord::touched(std::uint64_t hash) const {
  if (count_ > kListed) return (*filter_)[hash % filter_->size()];
  return std::find(listed_, listed_ + count_, hash) != listed_ + count_;
}

void OpenRecord::touch(std::uint64_t hash) {
  if (count_ < kListed) {
    listed_[count_++] = hash;
    return;
  }
  if (count_ == kListed) {
    if (!filter_) filter_ = std::make_unique<Filter>();
    for (const std::uint64_t listed : listed_) (*filter_)[listed % filter_->size()] = true;
    ++count_;
  }
  (*filter_)[hash % filter_->size()] = true;
}

bool OpenRecord::accepts(const WriteIntent& intent) const {
  if (EVEN_MUTANT(kRecordWritesTwice)) return true;
  const std::uint64_t key = intent.key_hash;
  if (touched(whole_of(key))) return false;
  if (!touched(part_of(key))) return true;
  if (intent.whole) return false;
  if (intent.fresh) return true;
  if (intent.elements.empty()) return false;
  for (std::size_t i = 0; i < intent.elements.size(); i += intent.step) {
    if (touched(leaf_of(key, intent.element_hash(i)))) return false;
  }
  return true;
}

bool OpenRecord::add(const Record& record) {
  const bool first = empty();
  if (!first && record.delta.full) return false;
  added_.clear();
  for (const KeyDelta& key : record.delta.keys) {
    const std::uint64_t hash = key.key_hash();
    const std::uint64_t part = part_of(hash);
    const bool part_touched = !first && touched(part);
    if (!first && (touched(whole_of(hash)) || (key.full && part_touched))) return false;
    if (key.full) {
      added_.push_back(whole_of(hash));
      continue;
    }
    if (!part_touched) added_.push_back(part);
    for (const LeafDelta& leaf : key.leaves) {
      const std::uint64_t one = leaf_of(hash, leaf.field_hash());
      if (part_touched && touched(one)) return false;
      added_.push_back(one);
    }
  }
  for (const std::uint64_t hash : added_) touch(hash);
  partition_ = record.partition;
  origin_ = record.origin;
  time_ = record.time;
  full_ = record.delta.full;
  for (const KeyDelta& key : record.delta.keys) builder_.add(key, record.dot(), record.time);
  if (record.delta.keys.empty()) builder_.add_nothing();
  return true;
}

Dot OpenRecord::close(const VersionVector& seen, std::string& out) {
  const Record head = Record::begin(partition_, origin_, time_, seen);
  builder_.finish(head, full_, out);
  if (count_ > kListed) filter_->reset();
  count_ = 0;
  full_ = false;
  return head.dot();
}

}  // namespace even
