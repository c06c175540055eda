// Any bytes as what a group has written into a log, and as a proposal. What decodes must encode to
// the same bytes. (Messages come with peer_message_fuzz.)
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "replica/group_format.h"

namespace {

using namespace even;

void require(bool condition) {
  if (!condition) std::abort();
}

struct Encoder {
  std::string out;
  void operator()(const GroupEntry& entry) { encode_group_entry(entry.group, entry.entry, out); }
  void operator()(const GroupState& state) { encode_group_state(state, out); }
  void operator()(const GroupBase& base) { encode_group_base(base, out); }
  void operator()(const GroupEnd& end) { encode_group_end(end, out); }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto entry = decode_group_log_entry(bytes)) {
    Encoder encoder;
    std::visit(encoder, *entry);
    require(encoder.out == bytes);
  }
  if (const auto proposal = decode_proposal(bytes)) require(encode_proposal(*proposal) == bytes);
  if (const auto messages = decode_group_messages(bytes)) {
    std::string again;
    for (const GroupMessage& m : *messages) encode_group_message(m, again);
    require(again == bytes);
  }
  return 0;
}
