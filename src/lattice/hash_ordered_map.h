// A map from strings to values, iterated in the order of the keys' hashes. The order depends on the content alone, so it is the same on every
// replica and in every run; a position in it is a plain hash value, which stays valid however the map changes in between. That makes it the
// cursor of SCAN: what is there from the beginning to the end of a scan is returned, once.
#pragma once

#include <absl/container/btree_map.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/hash.h"
#include "env/random.h"

namespace even {

template <typename Value>
class HashOrderedMap {
 public:
  struct Node {
    explicit Node(std::string_view k) : key(k) {}
    std::string key;
    Value value{};
    std::unique_ptr<Node> next;  // other keys with the same hash, ascending
  };

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  Node* find_node(std::string_view key, std::uint64_t hash) {
    auto at = buckets_.find(hash);
    if (at == buckets_.end()) return nullptr;
    for (Node* node = at->second.get(); node != nullptr; node = node->next.get()) {
      if (node->key == key) return node;
    }
    return nullptr;
  }
  Value* find(std::string_view key, std::uint64_t hash) {
    Node* node = find_node(key, hash);
    return node == nullptr ? nullptr : &node->value;
  }
  const Value* find(std::string_view key, std::uint64_t hash) const {
    return const_cast<HashOrderedMap*>(this)->find(key, hash);
  }
  const Value* find(std::string_view key) const { return find(key, hash64(key)); }

  // The value of `key`, made when absent. Stays where it is until it is erased.
  Value& get(std::string_view key, std::uint64_t hash) {
    std::unique_ptr<Node>* link = &buckets_[hash];
    while (*link && (*link)->key < key) link = &(*link)->next;
    if (!*link || (*link)->key != key) {
      auto node = std::make_unique<Node>(key);
      node->next = std::move(*link);
      *link = std::move(node);
      ++size_;
    }
    return (*link)->value;
  }

  bool erase(std::string_view key, std::uint64_t hash) {
    auto at = buckets_.find(hash);
    if (at == buckets_.end()) return false;
    std::unique_ptr<Node>* link = &at->second;
    while (*link && (*link)->key != key) link = &(*link)->next;
    if (!*link) return false;
    *link = std::move((*link)->next);
    if (!at->second) buckets_.erase(at);
    --size_;
    return true;
  }

  void clear() {
    buckets_.clear();
    size_ = 0;
  }

  // Calls visit(key, value) for every entry, until it returns false if it returns bool. The map must not change meanwhile.
  template <typename Visit>
  void for_each(Visit visit) const {
    for (const auto& [hash, head] : buckets_) {
      for (const Node* node = head.get(); node != nullptr; node = node->next.get()) {
        if constexpr (std::is_same_v<decltype(visit(node->key, node->value)), bool>) {
          if (!visit(node->key, node->value)) return;
        } else {
          visit(node->key, node->value);
        }
      }
    }
  }

  // Erases every entry for which drop(key, value) is true; the value may be changed by it.
  template <typename Drop>
  void erase_if(Drop drop) {
    for (auto at = buckets_.begin(); at != buckets_.end();) {
      for (std::unique_ptr<Node>* link = &at->second; *link;) {
        if (drop(std::string_view((*link)->key), (*link)->value)) {
          *link = std::move((*link)->next);
          --size_;
        } else {
          link = &(*link)->next;
        }
      }
      at = at->second ? std::next(at) : buckets_.erase(at);
    }
  }

  // Calls visit(hash, key, value) in order of hashes from `first` on while it returns true; entries of one hash are never split: when
  // visit has said false, those that remain of its hash are still visited. Returns the next hash to go on with, or nothing at the end.
  template <typename Visit>
  std::pair<bool, std::uint64_t> scan(std::uint64_t first, Visit visit) const {
    bool more = true;
    for (auto at = buckets_.lower_bound(first); at != buckets_.end(); ++at) {
      if (!more) return {true, at->first};
      for (const Node* node = at->second.get(); node != nullptr; node = node->next.get()) {
        more = visit(at->first, node->key, node->value) && more;
      }
    }
    return {false, 0};
  }

  // A nearly uniform choice: a random place in the order of hashes, then a short random walk, which evens out the gaps.
  const Node* random(Random& random) const {
    if (empty()) return nullptr;
    const bool small = size_ <= 64;
    auto at = small ? buckets_.begin() : buckets_.lower_bound(random.next());
    for (std::uint64_t steps = random.below(small ? size_ : 32) + 1; ;) {
      if (at == buckets_.end()) at = buckets_.begin();
      for (const Node* node = at->second.get(); node != nullptr; node = node->next.get()) {
        if (--steps == 0) return node;
      }
      ++at;
    }
  }

 private:
  absl::btree_map<std::uint64_t, std::unique_ptr<Node>> buckets_;
  std::size_t size_ = 0;
};

}  // namespace even
