// LCS: the longest common subsequence of two strings, by dynamic programming.
#include <algorithm>
#include <string>
#include <vector>

#include "engine/command.h"
#include "engine/string_value.h"
#include "engine/text.h"

namespace even {
namespace {

constexpr std::uint64_t kMostTableBytes = kMaxStringBytes;  // as in Redis

// The length of the longest common subsequence of the first i bytes of a and the first j of b, for
// all i and j.
class LcsTable {
 public:
  LcsTable(std::string_view a, std::string_view b) : row_(b.size() + 1) {
    lengths_.resize((a.size() + 1) * row_);
    for (std::size_t i = 1; i <= a.size(); ++i) {
      for (std::size_t j = 1; j <= b.size(); ++j) {
        at(i, j) =
            a[i - 1] == b[j - 1] ? at(i - 1, j - 1) + 1 : std::max(at(i - 1, j), at(i, j - 1));
      }
    }
  }
  static std::uint64_t bytes(std::string_view a, std::string_view b) {
    return (a.size() + 1) * (b.size() + 1) * sizeof(std::uint32_t);
  }
  std::uint32_t& at(std::size_t i, std::size_t j) { return lengths_[i * row_ + j]; }

 private:
  const std::size_t row_;
  std::vector<std::uint32_t> lengths_;
};

struct LcsMatch {
  std::size_t a;  // where it begins
  std::size_t b;
  std::size_t length;
};

struct LcsOutcome {
  std::string text;
  std::vector<LcsMatch> matches;  // from the last on
};

LcsOutcome longest_common(std::string_view a, std::string_view b, LcsTable& table) {
  LcsOutcome out;
  std::size_t i = a.size();
  std::size_t j = b.size();
  bool goes_on = false;  // the last match, at i and j
  while (i > 0 && j > 0) {
    if (a[i - 1] != b[j - 1]) {
      table.at(i - 1, j) > table.at(i, j - 1) ? --i : --j;
      goes_on = false;
      continue;
    }
    out.text += a[i - 1];
    --i;
    --j;
    if (goes_on) {
      out.matches.back() = {i, j, out.matches.back().length + 1};
    } else {
      out.matches.push_back({i, j, 1});
    }
    goes_on = true;
  }
  std::ranges::reverse(out.text);
  return out;
}

void reply_ends(Reply& reply, std::size_t first, std::size_t length) {
  reply.array(2);
  reply.integer(static_cast<std::int64_t>(first));
  reply.integer(static_cast<std::int64_t>(first + length - 1));
}

struct LcsOptions {
  bool with_places = false;
  bool length_only = false;
  bool with_lengths = false;
  std::int64_t least = 0;
};

bool read_lcs_options(Context& context, Args words, LcsOptions& out) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (equals_ignore_case(words[i], "idx")) {
      out.with_places = true;
    } else if (equals_ignore_case(words[i], "len")) {
      out.length_only = true;
    } else if (equals_ignore_case(words[i], "withmatchlen")) {
      out.with_lengths = true;
    } else if (equals_ignore_case(words[i], "minmatchlen") && i + 1 < words.size()) {
      if (!read_integer(context, words[++i], out.least)) return false;
    } else {
      context.reply.error(kSyntaxError);
      return false;
    }
  }
  if (!out.with_places || !out.length_only) return true;
  context.reply.error("ERR If you want both the length and indexes, please just use IDX.");
  return false;
}

void lcs_command(Context& context, Args args) {
  std::string scratch[2];
  std::string_view texts[2];
  for (std::size_t i = 0; i < 2; ++i) {
    const Object* object = context.find(args[i + 1]);
    if (object != nullptr && object->type() != ObjectType::kString) {
      return context.reply.error("ERR The specified keys must contain string values");
    }
    texts[i] = bytes_of(object, scratch[i]);
  }
  const auto& [a, b] = texts;
  LcsOptions options;
  if (!read_lcs_options(context, args.subspan(3), options)) return;
  if (LcsTable::bytes(a, b) > kMostTableBytes) {
    return context.reply.error(
        "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
  }
  LcsTable table(a, b);
  const std::int64_t length = table.at(a.size(), b.size());
  if (options.length_only) return context.reply.integer(length);
  LcsOutcome outcome = longest_common(a, b, table);
  if (!options.with_places) return context.reply.bulk(outcome.text);
  std::erase_if(outcome.matches, [&options](const LcsMatch& match) {
    return static_cast<std::int64_t>(match.length) < options.least;
  });
  Reply& reply = context.reply;
  reply.map(2);
  reply.bulk("matches");
  reply.array(outcome.matches.size());
  for (const LcsMatch& match : outcome.matches) {
    reply.array(options.with_lengths ? 3 : 2);
    reply_ends(reply, match.a, match.length);
    reply_ends(reply, match.b, match.length);
    if (options.with_lengths) reply.integer(static_cast<std::int64_t>(match.length));
  }
  reply.bulk("len");
  reply.integer(length);
}

constexpr Command kLcsCommands[] = {
    {.name = "lcs",
     .group = "string",
     .arity = -3,
     .flags = kReadonly,
     .keys = {.first = 1, .last = 2, .step = 1},
     .handler = lcs_command,
     .docs = {.since = "7.0.0",
              .summary = "Longest common subsequence of two strings",
              .complexity = "O(N*M) where N and M are their lengths",
              .arguments = "key1:key key2:key [LEN] [IDX] [MINMATCHLEN len:integer] [WITHMATCHLEN]",
              .key_spec = "RO access"}},
};

}  // namespace

std::span<const Command> lcs_commands() { return kLcsCommands; }

}  // namespace even
