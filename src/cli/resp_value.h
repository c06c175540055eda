// A reply of RESP2 of any depth, for commands that read what nodes say of themselves.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace even::cli {

struct RespValue {
  std::string text;  // of a text or a number
  bool null = false;
  bool array = false;
  std::vector<RespValue> elements;

  // Of what is a number, or 0.
  std::int64_t number() const;
  // Of an array of names and values, the value of a name; null: there is none.
  const RespValue* find(std::string_view name) const;
  // That as a number or text; 0, or empty, where there is none.
  std::int64_t number_of(std::string_view name) const;
  std::string text_of(std::string_view name) const;
};

// The error is the server's, or that the bytes are no reply.
Result<RespValue> decode_value(std::string_view bytes);

}  // namespace even::cli
