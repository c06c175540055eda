// A command that replies with all of a large collection or of a long string, executed in steps, so
// that others do not wait for all of it.
//
// The reply shows the collection as it was when the command began. This is kept so: an element that
// is about to change, and has not been listed yet, is listed first; before a change to all of the
// key, all the rest is. A string is listed like a collection of its bytes, before a change all of
// the rest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "engine/command.h"
#include "engine/reply.h"
#include "lattice/partition_state.h"

namespace even {

// Append how the reply to such a command begins, and what it says of a field.
void begin_list(Reply& reply, Lists lists, std::size_t elements);
void list_field(Reply& reply, Lists lists, std::string_view field, const ScalarView& value);

class Listing final : private StateReader {
 public:
  // Whether `object`, the key of such a command as its client sees it, or null, is to be listed in
  // steps of so many elements, or bytes of a string: it has the right type, and is larger.
  static bool applies(const Object* object, Lists lists, std::size_t step);

  // Of a key to which that applies. `state` is told of this, and tells when it goes.
  Listing(PartitionState& state, std::string_view key, Lists lists, std::size_t step, bool resp3);
  Listing(const Listing&) = delete;
  Listing& operator=(const Listing&) = delete;
  ~Listing();

  // Lists about as many elements as a step has. Returns whether there are more.
  bool step();
  // When there are no more: the reply, which may be an error.
  std::string take_reply() { return std::move(out_); }

 private:
  void before_join(const Delta& delta) override;
  void before_forget() override;
  void list(std::size_t limit);
  void list_string(std::size_t limit);
  template <typename View>
  void list(const View& view, std::size_t limit);
  void list_before_change(const LeafDelta& leaf);
  void put(const HashView::Entry& field);
  void put(const SetView::Entry& member);
  void end();
  void fail(std::string_view why);
  bool is_string() const { return lists_ == Lists::kString; }
  bool is_hash() const { return lists_ != Lists::kMembers && !is_string(); }
  template <typename Read>
  void with_view(Read read);

  PartitionState* state_;  // null: there are no more
  const std::string key_;
  const std::uint64_t hash_;
  const Lists lists_;
  const std::size_t step_;
  std::string out_;
  Reply reply_;
  std::size_t left_;          // elements or bytes to list
  std::uint64_t cursor_ = 0;  // elements whose hashes are less have been listed
  // Of those that come behind it: what has been listed, or was not there in the beginning.
  std::set<std::string, std::less<>> passed_;
};

}  // namespace even
