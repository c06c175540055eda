// A map from strings to values, iterated in the order of the keys' hashes. The order depends on the
// content alone, so it is the same on every replica and in every run; a position in it is a plain
// hash value, which stays valid however the map changes in between. That makes it the cursor of
// SCAN: what is there from the beginning to the end of a scan is returned, once.
//
// A hash table whose bucket is chosen by the upper bits of the hash, with each bucket's chain
// sorted: walking the buckets is walking the hashes, and doubling the table cuts each chain in two
// without disturbing the order. A node holds hash, value and key in one piece of memory and stays
// where it is until it is erased.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "base/memory.h"
#include "base/prefetch.h"
#include "env/random.h"

namespace even {

template <typename Value>
class HashOrderedMap {
 public:
  class Node {
   public:
    std::string_view key() const {
      const char* bytes = reinterpret_cast<const char*>(this + 1);
      if (key_size_ != kLongKey) [[likely]]
        return {bytes, key_size_};
      std::uint64_t size = 0;
      std::memcpy(&size, bytes, sizeof size);
      return {bytes + sizeof size, size};
    }
    std::uint64_t hash() const { return hash_; }

    // A mark and a small number for the map's user, false and 0 at first. Those who only read may
    // set `uses`.
    static constexpr unsigned kMostUses = 15;
    bool dirty() const { return dirty_; }
    void set_dirty(bool dirty) { dirty_ = dirty; }
    unsigned uses() const { return uses_; }
    void set_uses(unsigned uses) const { uses_ = uses & kMostUses; }

    // Of the node with its key, without what the value holds beyond itself.
    std::size_t memory_bytes() const { return block_bytes(this); }

   private:
    friend class HashOrderedMap;
    // In front of a key whose size is this or more is its size, in eight bytes.
    static constexpr std::uint32_t kLongKey = (1U << 24) - 1;
    Node(std::uint64_t hash, std::string_view key)
        : hash_(hash),
          key_size_(key.size() < kLongKey ? static_cast<std::uint32_t>(key.size()) : kLongKey),
          dirty_(0),
          uses_(0) {
      char* bytes = reinterpret_cast<char*>(this + 1);
      if (key_size_ == kLongKey) {
        const std::uint64_t size = key.size();
        std::memcpy(bytes, &size, sizeof size);
        bytes += sizeof size;
      }
      std::memcpy(bytes, key.data(), key.size());
    }
    static std::size_t bytes_for(std::string_view key) {
      return sizeof(Node) + key.size() + (key.size() < kLongKey ? 0 : sizeof(std::uint64_t));
    }
    Node* next_ = nullptr;
    std::uint64_t hash_;
    std::uint32_t key_size_ : 24;
    std::uint32_t dirty_ : 1;
    mutable std::uint32_t uses_ : 4;

   public:
    Value value{};
  };

  HashOrderedMap() = default;
  HashOrderedMap(HashOrderedMap&& other) noexcept { swap(other); }
  HashOrderedMap& operator=(HashOrderedMap&& other) noexcept {
    swap(other);
    return *this;
  }
  ~HashOrderedMap() { clear(); }

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  const Node* find_node(std::string_view key, std::uint64_t hash) const {
    if (size_ == 0) return nullptr;
    for (const Node* node = buckets_[bucket(hash)]; node != nullptr; node = node->next_) {
      if (node->hash_ == hash && node->key() == key) return node;
    }
    return nullptr;
  }
  Node* find_node(std::string_view key, std::uint64_t hash) {
    return const_cast<Node*>(std::as_const(*this).find_node(key, hash));
  }
  const Value* find(std::string_view key, std::uint64_t hash) const {
    const Node* node = find_node(key, hash);
    return node == nullptr ? nullptr : &node->value;
  }
  Value* find(std::string_view key, std::uint64_t hash) {
    return const_cast<Value*>(std::as_const(*this).find(key, hash));
  }
  const Value* find(std::string_view key) const { return find(key, hash64(key)); }

  // Ask for the memory that find() will wait for, in steps: each needs what the one before has
  // brought. Worth it where several look-ups come together.
  void prefetch_bucket(std::uint64_t hash) const {
    if (size_ != 0) prefetch(&buckets_[bucket(hash)]);
  }
  void prefetch_node(std::uint64_t hash) const {
    if (size_ != 0) prefetch_node(buckets_[bucket(hash)]);
  }
  // The second of the bucket, unless the first is the one.
  void prefetch_next(std::uint64_t hash) const {
    if (size_ == 0) return;
    const Node* node = buckets_[bucket(hash)];
    if (node != nullptr && node->hash_ != hash) prefetch_node(node->next_);
  }
  // The value that most likely is at this hash, among the first two of the bucket; null when it is
  // not there.
  const Value* likely(std::uint64_t hash) const {
    if (size_ == 0) return nullptr;
    const Node* node = buckets_[bucket(hash)];
    if (node != nullptr && node->hash_ != hash) node = node->next_;
    return node != nullptr && node->hash_ == hash ? &node->value : nullptr;
  }

  // The value of `key`, made when absent.
  Value& get(std::string_view key, std::uint64_t hash) { return get_node(key, hash).value; }
  Node& get_node(std::string_view key, std::uint64_t hash) {
    Node** link = buckets_.empty() ? nullptr : place_of(key, hash);
    if (link != nullptr && *link != nullptr && (*link)->hash_ == hash && (*link)->key() == key) {
      return **link;
    }
    if (size_ >= buckets_.size()) {
      resize(buckets_.empty() ? 1 : buckets_.size() * 2);
      link = place_of(key, hash);
    }
    Node* node = new (::operator new(Node::bytes_for(key))) Node(hash, key);
    node->next_ = *link;
    *link = node;
    ++size_;
    return *node;
  }

  bool erase(std::string_view key, std::uint64_t hash) {
    if (size_ == 0) return false;
    for (Node** link = &buckets_[bucket(hash)]; *link != nullptr; link = &(*link)->next_) {
      if ((*link)->hash_ != hash || (*link)->key() != key) continue;
      unlink(link);
      shrink();
      return true;
    }
    return false;
  }

  void clear() {
    for (Node*& head : buckets_) {
      while (head != nullptr) unlink(&head);
    }
    buckets_.clear();
    bits_ = 0;
  }

  // Like clear(), but in steps of no more than `limit` entries, from which it takes what it has
  // erased, and of a map that is not used any more. Returns whether there are more.
  bool free_some(std::size_t& limit) {
    while (!buckets_.empty()) {
      Node*& head = buckets_.back();
      for (; head != nullptr && limit > 0; --limit) unlink(&head);
      if (head != nullptr) return true;
      buckets_.pop_back();
    }
    return false;
  }

  // Calls visit(key, value) for every entry, until it returns false if it returns bool. The map
  // must not change meanwhile.
  template <typename Visit>
  void for_each(Visit visit) const {
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      look_ahead(i);
      for (const Node* node = buckets_[i]; node != nullptr; node = node->next_) {
        if constexpr (std::is_same_v<decltype(visit(node->key(), node->value)), bool>) {
          if (!visit(node->key(), node->value)) return;
        } else {
          visit(node->key(), node->value);
        }
      }
    }
  }

  // Erases every entry for which drop(node) is true; the value may be changed by it.
  template <typename Drop>
  void erase_if(Drop drop) {
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      look_ahead(i);
      for (Node** link = &buckets_[i]; *link != nullptr;) {
        if (drop(**link)) {
          unlink(link);
        } else {
          link = &(*link)->next_;
        }
      }
    }
    shrink();
  }

  // The first entry of a hash; null when there is none.
  const Node* first_of(std::uint64_t hash) const {
    if (size_ == 0) return nullptr;
    const Node* node = buckets_[bucket(hash)];
    while (node != nullptr && node->hash_ < hash) node = node->next_;
    return node != nullptr && node->hash_ == hash ? node : nullptr;
  }
  // The first entry of the lowest hash from `first` on; null when there is none. With next(), all
  // entries from there on, in order of hashes.
  const Node* first_from(std::uint64_t first) const {
    if (size_ == 0) return nullptr;
    for (std::size_t i = bucket(first); i < buckets_.size(); ++i) {
      for (const Node* node = buckets_[i]; node != nullptr; node = node->next_) {
        if (node->hash_ >= first) return node;
      }
    }
    return nullptr;
  }
  const Node* next(const Node* node) const {
    if (node->next_ != nullptr) return node->next_;
    for (std::size_t i = bucket(node->hash_) + 1; i < buckets_.size(); ++i) {
      look_ahead(i);
      if (buckets_[i] != nullptr) return buckets_[i];
    }
    return nullptr;
  }

  // Calls visit(node) for the entries of a hash.
  template <typename Visit>
  void for_each_of_hash(std::uint64_t hash, Visit visit) {
    for (const Node* node = first_of(hash); node != nullptr && node->hash_ == hash;
         node = node->next_) {
      visit(const_cast<Node&>(*node));
    }
  }

  // Calls visit(hash, key, value) in order of hashes from `first` on while it returns true; entries
  // of one hash are never split: when visit has said false, those that remain of its hash are still
  // visited. Returns whether there are more, and the hash to go on with.
  template <typename Visit>
  std::pair<bool, std::uint64_t> scan(std::uint64_t first, Visit visit) const {
    if (size_ == 0) return {false, 0};
    bool more = true;
    std::uint64_t last = 0;
    for (std::size_t i = bucket(first); i < buckets_.size(); ++i) {
      look_ahead(i);
      for (const Node* node = buckets_[i]; node != nullptr; node = node->next_) {
        if (node->hash_ < first) continue;
        if (!more && node->hash_ != last) return {true, node->hash_};
        more = visit(node->hash_, node->key(), node->value) && more;
        last = node->hash_;
      }
    }
    return {false, 0};
  }

  // Buckets, nodes and what of(value) says of each value; estimated from the first `samples`
  // entries, or exact when that is 0.
  template <typename Of>
  Footprint footprint(std::size_t samples, Of of) const {
    Footprint seen;
    std::size_t count = 0;
    for (const Node* node = first_from(0); node != nullptr; node = next(node)) {
      seen.bytes += node->memory_bytes();
      seen += of(node->value);
      if (++count == samples) break;
    }
    if (count < size_) {
      seen.bytes = seen.bytes * size_ / count;
      seen.metadata = seen.metadata * size_ / count;
    }
    seen.bytes += heap_bytes(buckets_);
    return seen;
  }

  // A uniform choice; null when empty.
  const Node* random(Random& random) const {
    if (empty()) return nullptr;
    // A place in a random bucket, drawn again when the chain does not reach so far. In the chains
    // that are longer than kPlaces, which hardly occur, each entry is a little less likely.
    constexpr std::uint64_t kPlaces = 8;
    for (int tries = 0; tries < 256; ++tries) {
      const Node* const first = buckets_[random.below(buckets_.size())];
      std::uint64_t length = 0;
      for (const Node* node = first; node != nullptr; node = node->next_) ++length;
      std::uint64_t place = random.below(std::max(length, kPlaces));
      if (place >= length) continue;
      const Node* node = first;
      while (place-- > 0) node = node->next_;
      return node;
    }
    for (std::size_t i = random.below(buckets_.size());; i = (i + 1) % buckets_.size()) {
      if (buckets_[i] != nullptr) return buckets_[i];
    }
  }

 private:
  // The link to the entry, or to where it belongs.
  Node** place_of(std::string_view key, std::uint64_t hash) {
    Node** link = &buckets_[bucket(hash)];
    while (*link != nullptr &&
           ((*link)->hash_ < hash || ((*link)->hash_ == hash && (*link)->key() < key))) {
      link = &(*link)->next_;
    }
    return link;
  }
  static void prefetch_node(const Node* node) {
    if (node == nullptr) return;
    const char* bytes = reinterpret_cast<const char*>(node);
    for (std::size_t offset = 0; offset <= sizeof(Node); offset += 64) prefetch(bytes + offset);
  }
  // For walks, which come to bucket `i`: asks for the nodes of a later one, and then, when they are
  // there, for what their values point to. Of a large map each is a cache miss.
  void look_ahead(std::size_t i) const {
    constexpr std::size_t kAhead = 8;
    if (i + 2 * kAhead >= buckets_.size()) return;
    prefetch_node(buckets_[i + 2 * kAhead]);
    if (const Node* node = buckets_[i + kAhead]) {
      prefetch_node(node->next_);
      if constexpr (requires { node->value.prefetch(); }) node->value.prefetch();
    }
  }
  std::size_t bucket(std::uint64_t hash) const { return bits_ == 0 ? 0 : hash >> (64 - bits_); }

  void unlink(Node** link) {
    Node* node = *link;
    *link = node->next_;
    node->~Node();
    ::operator delete(node);
    --size_;
  }

  void shrink() {
    if (size_ == 0) {
      clear();
    } else if (buckets_.size() > 8 && size_ < buckets_.size() / 8) {
      resize(buckets_.size() / 4);
    }
  }

  // `count` is a power of two.
  void resize(std::size_t count) {
    std::vector<Node*> old(count, nullptr);
    old.swap(buckets_);
    bits_ = 0;
    while ((std::size_t{1} << bits_) < count) ++bits_;
    // The old chains in sequence are the entries in order, so appending keeps every new chain
    // sorted.
    Node** tail = nullptr;
    std::size_t current = count;
    for (Node* node : old) {
      while (node != nullptr) {
        Node* next = node->next_;
        node->next_ = nullptr;
        const std::size_t index = bucket(node->hash_);
        if (index != current) {
          current = index;
          tail = &buckets_[index];
        }
        *tail = node;
        tail = &node->next_;
        node = next;
      }
    }
  }

  void swap(HashOrderedMap& other) noexcept {
    buckets_.swap(other.buckets_);
    std::swap(bits_, other.bits_);
    std::swap(size_, other.size_);
  }

  std::vector<Node*> buckets_;  // a power of two of them, or none
  unsigned bits_ = 0;
  std::size_t size_ = 0;
};

}  // namespace even
