// LZF, M. Lehmann's compression, in which Redis keeps long strings in RDB files
// (http://oldhome.schmorp.de/marc/liblzf.html).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace even::rdb {

// Empty where it would take more than `most` bytes, or nearly as many. The bytes are those that
// Redis's copy of liblzf makes.
std::string compress_lzf(std::string_view bytes, std::size_t most);
// `size`: of what comes out.
Result<std::string> decompress_lzf(std::string_view bytes, std::size_t size);

}  // namespace even::rdb
