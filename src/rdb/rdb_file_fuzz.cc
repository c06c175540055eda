// Any bytes for an RDB file.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "rdb/file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  even::rdb::FileReader reader(bytes, 16 << 20);
  if (!reader.begin()) return 0;
  even::rdb::FileKey key;
  for (std::uint64_t before = 0;;) {
    const auto more = reader.next(key);
    if (!more || !*more) return 0;
    EVEN_CHECK(reader.place().offset > before && reader.place().offset <= size, "it goes on");
    before = reader.place().offset;
  }
}
