// For tests: golden files in tests/golden/, which hold what a format's version 1 encoded fixed
// inputs to. They are written once and never change: a difference means that the format has
// changed, and with it its version must.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

namespace even::test {

// The content of a file under tests/, which is written first if it is missing and may be.
inline std::string kept_file(const std::string& name, std::string_view encoded) {
  const std::filesystem::path path = std::filesystem::path(EVEN_SOURCE_DIR) / "tests" / name;
  if (std::getenv("EVEN_WRITE_GOLDEN") != nullptr && !std::filesystem::exists(path)) {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << encoded;
  }
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in) << path << " is missing; run this test with EVEN_WRITE_GOLDEN=1 to make it";
  return {std::istreambuf_iterator<char>(in), {}};
}

// Sees to it that a fuzz target has this seed. It need not stay what an encoder makes: fuzz targets
// take any bytes.
inline void expect_seed(const std::string& target, const std::string& name,
                        std::string_view bytes) {
  EXPECT_FALSE(kept_file("corpus/" + target + '/' + name, bytes).empty());
}

// Expects that today's encoder makes what the golden file holds, and returns the latter, to be
// decoded.
inline std::string expect_golden(const std::string& name, std::string_view encoded,
                                 std::string_view format) {
  const std::string expected = kept_file("golden/" + name, encoded);
  std::size_t at = 0;
  while (at < expected.size() && at < encoded.size() && expected[at] == encoded[at]) ++at;
  EXPECT_TRUE(expected == encoded)
      << "tests/golden/" << name << " differs from byte " << at << " on (" << expected.size()
      << " bytes there, " << encoded.size()
      << " now): the format has changed. Data and peers of version 1 "
      << "exist: raise the version of " << format << ", keep reading the old one, describe the new "
      << "one in docs/formats/ and add a golden file for it";
  return expected;
}

}  // namespace even::test
