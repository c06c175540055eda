// Libraries of functions (FUNCTION, FCALL): what all nodes know of each, as the metadata group
// keeps it. What is in one is found out by loading it (src/script); here it is text.
// docs/scripting.md
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace even {

struct LibraryFunction {
  std::string name;
  std::optional<std::string> description;
  std::vector<std::string> flags;  // "no-writes" and so on

  bool operator==(const LibraryFunction&) const = default;
};

struct Library {
  std::string name;
  std::string code;  // with its first line, "#!lua name=..."
  std::vector<LibraryFunction> functions;

  bool operator==(const Library&) const = default;
};

// Without its name, which is the key.
std::string encode(const Library& library);
Result<Library> decode_library(std::string_view name, std::string_view bytes);

// Letters, digits and underscores, at least one: of libraries and of functions.
bool valid_library_name(std::string_view name);
inline constexpr std::string_view kLibraryNameRule =
    "names can only contain letters, numbers, or underscores(_) and must be at least one character "
    "long";

// What begins the text by which a function is called wherever it is executed: that line with its
// name, then the code of its library. So who executes it need not know the library.
inline constexpr std::string_view kFunctionPrefix = "#!function ";
std::string text_of_function(std::string_view function, std::string_view code);
// The name and the code; nothing: it is no such text.
std::optional<std::pair<std::string_view, std::string_view>> read_function_text(
    std::string_view text);

class LibraryTable {
 public:
  LibraryTable() = default;
  // By names; what cannot be read is left out.
  explicit LibraryTable(std::span<const std::pair<std::string, std::string>> definitions);

  const std::map<std::string, Library, std::less<>>& libraries() const { return libraries_; }
  std::size_t functions() const { return functions_.size(); }
  // The text of a function; null: there is none.
  std::shared_ptr<const std::string> find(std::string_view function) const;

 private:
  std::map<std::string, Library, std::less<>> libraries_;
  std::map<std::string, std::shared_ptr<const std::string>, std::less<>> functions_;
};

}  // namespace even
