// Values of the database as JSON (RFC 8259). Strings of the database are bytes, those of JSON are
// Unicode: bytes that are no UTF-8 are written in Base64 (RFC 4648, section 4), and who asks says
// so beside them.
//
// Pure functions, on any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace even {

// Of one value, and all in it.
enum class JsonText : std::uint8_t { kUtf8, kBase64 };

bool is_utf8(std::string_view bytes);
void put_json_text(std::string& out, std::string_view bytes, JsonText text = JsonText::kUtf8);

// Whether all strings of a reply in RESP3 are UTF-8.
bool reply_is_utf8(std::string_view reply);
// Appends a reply in RESP3 that is whole: a map becomes an object, a set an array, both in the
// order of their bytes, so that equal values are written alike; a number that JSON has not, as an
// infinite one, a string.
void put_json_reply(std::string& out, std::string_view reply, JsonText text);

}  // namespace even
