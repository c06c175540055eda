// Result<T>: a value, or an Error that says what went wrong in words a user can act on. Used at
// module boundaries, where exceptions do not cross.
#pragma once

#include <expected>
#include <string>
#include <utility>

namespace even {

struct Error {
  std::string message;
  bool operator==(const Error&) const = default;
};

template <typename T = void>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(std::string message) {
  return std::unexpected(Error{std::move(message)});
}

}  // namespace even
