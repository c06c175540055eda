// Columns of text, for people.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace even::cli {

using TextRows = std::vector<std::vector<std::string>>;

// Rows of cells, a line each, in columns as wide as their widest cell; those from `right` to
// `left` - 1 are numbers, which end in one line.
std::string text_table(const TextRows& rows, std::size_t right = 0, std::size_t left = 0);

}  // namespace even::cli
