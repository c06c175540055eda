// Any bytes as the segments of a log: the first byte chooses where the content is cut into
// segments. Recovery and inspection must agree on what there is and what is damaged, and what
// recovery accepts must work as a log afterwards.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"
#include "log/format.h"
#include "log/test_log.h"

namespace {

using namespace even;

void require(bool condition) {
  if (!condition) std::abort();
}

// Hashes are more than a fuzzer can guess: where a frame's or header's place is plausible, they are
// made right. An odd mark leaves them.
void mend(std::string& segment) {
  if (segment.size() >= kSegmentHeaderBytes) {
    std::string hash;
    put_little_endian(hash, hash64(std::string_view(segment).substr(0, 32)));
    segment.replace(32, 8, hash);
  }
  for (std::size_t at = kSegmentHeaderBytes; at + kFrameHeaderBytes <= segment.size();) {
    const std::size_t left = segment.size() - at - kFrameHeaderBytes;
    const std::size_t body = get_little_endian<std::uint32_t>(segment.data() + at + 4);
    if (body > left) break;
    const std::string_view view(segment);
    std::string hash;
    put_little_endian(
        hash, hash64(view.substr(at + kFrameHeaderBytes, body), hash64(view.substr(at, 24))));
    segment.replace(at + 24, 8, hash);
    at += kFrameHeaderBytes + body;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const bool mended = (data[0] & 1) == 0;
  const std::size_t cut = data[1];  // where a second segment begins; 0 for none
  std::string first(reinterpret_cast<const char*>(data) + 2, size - 2);

  test::World world;
  std::string second;
  if (cut != 0 && kSegmentHeaderBytes + cut < first.size()) {
    second = encode_segment_header({0, cut}) + first.substr(kSegmentHeaderBytes + cut);
    first.resize(kSegmentHeaderBytes + cut);
  }
  if (mended) {
    mend(first);
    mend(second);
  }
  world.put(segment_name(0, 0), first);
  if (!second.empty()) world.put(segment_name(0, cut), second);

  std::vector<std::string> inspected;
  const auto report =
      inspect_log(world.disk, [&](const std::string&, std::uint64_t, std::string_view record) {
        inspected.emplace_back(record);
      });
  std::vector<std::string> expected;
  {
    test::OpenLog log(world);
    require(log.outcome.has_value() == report.has_value());
    if (!report) return 0;
    require(log.records == inspected);
    require(log.records.size() == report->records);
    require(log.log->end() - log.log->begin() == report->bytes);
    std::vector<std::string> read;
    for (LogPosition at = log.log->begin(); at < log.log->end();) {
      const auto next =
          log.log->read(at, 1, [&](LogPosition, std::string_view record) { read.emplace_back(record); });
      require(next.has_value() && *next > at);
      at = *next;
    }
    require(read == inspected);
    require(log.write({"new"}).has_value());
    require(log.log->flush_and_sync().has_value());
    expected = log.records;
    expected.emplace_back("new");
  }
  test::OpenLog again(world);
  require(again.outcome.has_value());
  require(again.records == expected);
  return 0;
}
