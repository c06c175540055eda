#include "resp/request_batch.h"

namespace even {
namespace {

constexpr std::size_t kKeptWords = 4096;
// To hash a longer key takes longer than to wait for its memory.
constexpr std::size_t kLongestLookup = 256;
// Where scripts are given any.
constexpr std::size_t kFirstKeyOfScript = 3;

bool add_lookup(const Command& command, Args args, std::vector<Lookup>& out) {
  auto first = static_cast<std::size_t>(command.keys.first);
  if (command.script && args.size() > kFirstKeyOfScript && args[2] != "0")
    first = kFirstKeyOfScript;
  if (command.scope != Scope::kKeys || first == 0 || first >= args.size()) return false;
  if (args[first].size() > kLongestLookup) return false;
  Lookup& lookup = out.emplace_back();
  lookup.key = args[first];
  const bool has_elements =
      command.group == "set" || command.group == "hash" || command.group == "sorted-set";
  if (!has_elements || first + 1 >= args.size()) return true;
  // Where elements are not known to be named there may still be one behind the key.
  const NamedElements named = named_elements(command, args);
  const Args words = command.elements == Elements::kUnknown ? args.subspan(first + 1) : named.words;
  if (!words.empty() && words[0].size() <= kLongestLookup) lookup.element = words[0];
  return true;
}

}  // namespace

// Most requests of a pipeline name the command that the one before them has named.
const Command* RequestBatch::find(Args args) const {
  if (!requests_.empty()) {
    const Request& last = requests_.back();
    // A subcommand's own row has a longer name than that word.
    const bool by_first_word = last.command->subcommands.empty() &&
                               last.command->row_of == nullptr &&
                               last.command->name.size() == words_[last.first_word].size();
    if (by_first_word && args[0] == words_[last.first_word]) return last.command;
  }
  return find_command(args);
}

RespParser::Status RequestBatch::parse(RespParser& parser, std::string_view bytes,
                                       const RespLimits& limits) {
  requests_.clear();
  words_.clear();
  if (words_.capacity() > kKeptWords) words_.shrink_to_fit();
  lookups_.clear();
  std::size_t used = 0;
  for (;;) {
    const RespParser::Status status = parser.parse(bytes.substr(used), limits);
    if (status != RespParser::Status::kRequest) return status;
    const Args args = parser.args();
    const Command* command = args.empty() ? nullptr : find(args);
    requests_.push_back({command, words_.size(), args.size(), parser.consumed()});
    words_.insert(words_.end(), args.begin(), args.end());
    const bool is_inline = bytes[used] != '*';
    used += parser.consumed();
    if (command == nullptr || command->scope == Scope::kConnection || is_inline) return status;
    requests_.back().lookup = lookups_.size();
    requests_.back().has_lookup = add_lookup(*command, args, lookups_);
    if (requests_.size() == kMostRequests || used == bytes.size()) return status;
  }
}

}  // namespace even
