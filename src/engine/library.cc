#include "engine/library.h"

#include <algorithm>

#include "base/messagepack.h"
#include "engine/function_name.h"

namespace even {
namespace {

constexpr std::uint64_t kLibraryFormat = 1;

bool read_function(const msgpack::object& object, LibraryFunction& out) {
  if (!messagepack::is_array(object, 3)) return false;
  const msgpack::object* part = object.via.array.ptr;
  if (!messagepack::read(part[0], out.name)) return false;
  if (part[1].type != msgpack::type::NIL &&
      !messagepack::read(part[1], out.description.emplace())) {
    return false;
  }
  if (part[2].type != msgpack::type::ARRAY) return false;
  for (std::uint32_t i = 0; i < part[2].via.array.size; ++i) {
    if (!messagepack::read(part[2].via.array.ptr[i], out.flags.emplace_back())) return false;
  }
  return true;
}

bool read_library(const msgpack::object& object, Library& out) {
  if (!messagepack::is_array(object, 3)) return false;
  const msgpack::object* part = object.via.array.ptr;
  std::uint64_t format = 0;
  if (!messagepack::read(part[0], format) || format != kLibraryFormat ||
      !messagepack::read(part[1], out.code) || part[2].type != msgpack::type::ARRAY) {
    return false;
  }
  for (std::uint32_t i = 0; i < part[2].via.array.size; ++i) {
    if (!read_function(part[2].via.array.ptr[i], out.functions.emplace_back())) return false;
  }
  return true;
}

}  // namespace

std::string encode(const Library& library) {
  msgpack::sbuffer buffer;
  messagepack::Packer packer(buffer);
  packer.pack_array(3);
  packer.pack(kLibraryFormat);
  messagepack::pack_binary(packer, library.code);
  packer.pack_array(static_cast<std::uint32_t>(library.functions.size()));
  for (const LibraryFunction& function : library.functions) {
    packer.pack_array(3);
    messagepack::pack_binary(packer, function.name);
    if (function.description) {
      messagepack::pack_binary(packer, *function.description);
    } else {
      packer.pack_nil();
    }
    packer.pack_array(static_cast<std::uint32_t>(function.flags.size()));
    for (const std::string& flag : function.flags) messagepack::pack_binary(packer, flag);
  }
  return messagepack::bytes_of(buffer);
}

Result<Library> decode_library(std::string_view name, std::string_view bytes) {
  Library library{.name = std::string(name), .code = {}, .functions = {}};
  Result<> decoded = messagepack::unpack(
      bytes, 5, "a library of functions",
      [&](const msgpack::object& object) { return read_library(object, library); });
  if (!decoded) return std::unexpected(std::move(decoded).error());
  return library;
}

bool valid_library_name(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

std::string text_of_function(std::string_view function, std::string_view code) {
  return std::string(kFunctionPrefix).append(function).append("\n").append(code);
}

std::optional<std::pair<std::string_view, std::string_view>> read_function_text(
    std::string_view text) {
  if (!text.starts_with(kFunctionPrefix)) return std::nullopt;
  text.remove_prefix(kFunctionPrefix.size());
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  return std::pair(text.substr(0, end), text.substr(end + 1));
}

LibraryTable::LibraryTable(std::span<const std::pair<std::string, std::string>> definitions) {
  for (const auto& [name, bytes] : definitions) {
    Result<Library> library = decode_library(name, bytes);
    if (!library) continue;
    for (const LibraryFunction& function : library->functions) {
      functions_.emplace(
          function_key(function.name),
          std::make_shared<const std::string>(text_of_function(function.name, library->code)));
    }
    libraries_.emplace(name, std::move(*library));
  }
}

std::shared_ptr<const std::string> LibraryTable::find(std::string_view function) const {
  const auto found = functions_.find(function_key(function));
  return found == functions_.end() ? nullptr : found->second;
}

}  // namespace even
