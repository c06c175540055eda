// Any bytes as a value of an RDB file: what is accepted can be written and read again as the same
// value, and no more is taken than is there and than the budget allows.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "rdb/crc64.h"
#include "rdb/value.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

// What is pending for nobody, which Redis does not write, is not written either.
void check_stream(even::rdb::StreamValue value) {
  using namespace even;
  for (rdb::StreamValue::Group& group : value.groups) {
    std::erase_if(group.pending, [](const auto& pending) { return pending.consumer.empty(); });
  }
  rdb::Budget any(UINT64_MAX);
  require(rdb::read_payload(rdb::write_payload(value), any) == rdb::AnyValue(value));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace even;
  const std::string input(reinterpret_cast<const char*>(data), size);  // freshly placed, for ASan
  std::string_view rest(input);
  constexpr std::uint64_t kBudget = 4 << 20;
  rdb::Budget budget(kBudget);
  const Result<rdb::Value> value = rdb::read_value(rest, budget);
  require(rest.size() <= input.size());
  // A checksum is more than a fuzzer can guess, so it is made right.
  std::string payload = input;
  put_little_endian(payload, rdb::kVersion);
  put_little_endian(payload, rdb::crc64(payload));
  rdb::Budget same(kBudget);
  const auto any_value = rdb::read_payload(payload, same);
  if (any_value && std::holds_alternative<rdb::StreamValue>(*any_value)) {
    check_stream(std::get<rdb::StreamValue>(*any_value));
    return 0;
  }
  require(any_value.has_value() == (value.has_value() && rest.empty()));
  require(value || same.exceeded() == budget.exceeded() ||
          (size > 0 && rdb::is_stream_type(data[0])));
  if (!value) return 0;
  require(!budget.exceeded());
  rdb::Budget any(UINT64_MAX);
  require(rdb::read_payload(rdb::write_payload(*value), any) == rdb::AnyValue(*value) ||
          value->type == rdb::Type::kSet || value->type == rdb::Type::kSortedSet);
  return 0;
}
