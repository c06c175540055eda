// What of a partition's state has changed since it was last stored, and the way to what is stored.
// See docs/storage.md.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <span>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "lattice/object.h"

namespace even {

// By hashes: nothing here needs a key that is gone.
struct Changes {
  // An element of a collection in table form; `kind` is kMember or kField.
  struct Element {
    std::uint64_t key;
    LeafKind kind;
    std::uint64_t element;
    auto operator<=>(const Element&) const = default;
  };
  struct Expiry {
    std::int64_t at_ms;
    std::uint64_t key;
    auto operator<=>(const Expiry&) const = default;
  };

  bool empty() const { return keys.empty() && expiries.empty(); }

  std::vector<std::uint64_t> keys;
  std::vector<Element> elements;  // their keys are among `keys`
  std::vector<Element> dropped;   // tables that are gone, or were and came back; element is 0
  std::vector<Expiry> expiries;   // entries of the indices of expiries that came or went
};

// What the entries of one instant and hash in the indices of expiries are of.
struct StoredExpiry {
  bool live_key = false;
  bool left_over = false;  // of a key without content
  bool fields = false;     // the first of a hash's fields
  bool none() const { return !live_key && !left_over && !fields; }
};

// Is shown what is to be stored, in this order: expiries, then key by key in order of hashes.
class ChangeVisitor {
 public:
  struct Named {
    std::string_view key;
    const Object* object;
  };
  virtual ~ChangeVisitor() = default;
  // none(): the entry is no more.
  virtual void expiry(const Changes::Expiry& entry, const StoredExpiry& of) = 0;
  // All objects of a hash; none when the last of them is gone.
  virtual void key(std::uint64_t hash, std::span<const Named> objects) = 0;
  // A table whose elements are no more; those that are put afterwards are.
  virtual void dropped(std::string_view key, std::uint64_t hash, LeafKind kind) = 0;
  // All elements of a hash in a table of `key`; none when the last of them is gone.
  virtual void element(std::string_view key, const Changes::Element& element,
                       std::span<const LeafDelta> leaves) = 0;
};

// What is stored cannot be read: damaged, or the disk fails. Thrown where a command or a join comes
// upon it, before it has changed anything.
struct Unreadable : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The objects of one partition that are stored. Throws Unreadable.
class StoredObjects {
 public:
  using Visit = std::function<bool(std::uint64_t hash, std::string_view key, Object& object)>;

  virtual ~StoredObjects() = default;
  // Calls visit for all objects of a hash. They may be moved from. The elements of their tables are
  // cold, and the tables not attached.
  virtual void load(std::uint64_t hash, const Visit& visit) = 0;
  // The same for many hashes, ascending; faster than one by one.
  virtual void load(std::span<const std::uint64_t> hashes, const Visit& visit) = 0;
  // For all objects from hash `first` on, ascending, while visit returns true.
  virtual void scan(std::uint64_t first, const Visit& visit) = 0;
  // As ElementSource does it.
  virtual void load_element(const TableName& table, std::uint64_t hash,
                            const VisitElements& visit) = 0;
  virtual void scan_elements(const TableName& table, std::uint64_t first, std::uint64_t last,
                             const VisitElements& visit) = 0;
};

}  // namespace even
