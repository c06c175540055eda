// EVEN.*: what Redis has no word for. EVEN.EXPLAIN shows the causal history of one key to a person.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <iterator>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/version.h"
#include "engine/cmd_bound.h"
#include "engine/cmd_scan.h"
#include "engine/command.h"
#include "engine/text.h"
#include "lattice/types/position.h"

namespace even {
namespace {

constexpr std::size_t kMaxElements = 100;  // members or fields that EVEN.EXPLAIN shows
constexpr std::size_t kMaxValueBytes = 60;

// "2026-11-20T21:59:12.345Z"
std::string instant(std::int64_t unix_ms) {
  std::int64_t seconds = unix_ms / 1000;
  std::int64_t ms = unix_ms % 1000;
  if (ms < 0) {
    ms += 1000;
    --seconds;
  }
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  if (gmtime_r(&time, &parts) == nullptr) return fmt::format("{} ms after 1970", unix_ms);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", parts, ms);
}

// In double quotes, with escapes for what does not print, and cut when long.
std::string quoted(std::string_view bytes) {
  std::string out = "\"";
  for (char c : bytes.substr(0, kMaxValueBytes)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte >= 0x7f) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  out += '"';
  if (bytes.size() > kMaxValueBytes) out += fmt::format("... ({} bytes)", bytes.size());
  return out;
}

// Collects lines; indentation says what belongs to what.
class Explanation {
 public:
  template <typename... Values>
  void line(int indent, fmt::format_string<Values...> format, Values&&... values) {
    text_.append(static_cast<std::size_t>(indent) * 2, ' ');
    fmt::format_to(std::back_inserter(text_), format, std::forward<Values>(values)...);
    text_ += '\n';
  }
  std::string_view text() const {
    return std::string_view(text_).substr(0, text_.empty() ? 0 : text_.size() - 1);
  }

 private:
  std::string text_;
};

std::string written(const Dot& dot, Hlc time) {
  return fmt::format("written by {} at {} +{}", dot.to_string(), instant(time.wall_ms()),
                     time.logical());
}

std::string number_text(std::int64_t value) { return std::to_string(value); }
std::string number_text(Real value) { return format_real(value); }

template <typename Number>
void explain_counter(Explanation& out, int indent, const CounterView<Number>& counter,
                     std::string_view kind) {
  for (const auto& entry : counter.entries()) {
    if (entry.live()) {
      out.line(indent, "{} increments of replica {}: {} as of {}", kind, entry.replica.to_string(),
               number_text(entry.value()), Dot{entry.replica, entry.seq}.to_string());
    } else {
      out.line(indent, "{} increments of replica {}: all removed as of {}", kind,
               entry.replica.to_string(), Dot{entry.replica, entry.removed_seq}.to_string());
    }
  }
}

// `text(bytes)` is how a value is shown.
template <typename Text>
void explain_parts(Explanation& out, int indent, const ScalarView& scalar, std::string_view what,
                   Text text) {
  const std::optional<SiblingView> winner = scalar.winner();
  const bool contested = scalar.sibling_count() > 1;
  scalar.for_each_sibling([&](const SiblingView& sibling) {
    out.line(indent, "{}{} {} {}",
             !contested                   ? ""
             : sibling.dot == winner->dot ? "wins: "
                                          : "loses: ",
             what, text(sibling.value), written(sibling.dot, sibling.time));
  });
  explain_counter(out, indent, scalar.integers(), "integer");
  explain_counter(out, indent, scalar.reals(), "real");
}

void explain_scalar(Explanation& out, int indent, const ScalarView& scalar) {
  const std::optional<SiblingView> winner = scalar.winner();
  explain_parts(out, indent, scalar, "value", quoted);
  if (scalar.live() && scalar.has_live_counters()) {
    std::string scratch;
    const bool hidden = winner && !scalar.number();
    out.line(indent, "reads as {}{}", quoted(scalar.value(scratch)),
             hidden ? "; the increments are hidden, because the value is not a number" : "");
  }
}

void explain_expiry(Explanation& out, const Object& object, std::int64_t now_ms) {
  const std::optional<std::int64_t> at_ms = object.expires_at_ms();
  if (!at_ms) return out.line(0, "expiry: none");
  out.line(0, "expiry: {}{}", instant(*at_ms), *at_ms <= now_ms ? " (has passed)" : "");
  for (const ExpirySibling& sibling : *object.expiry()) {
    out.line(1, "{} {}", instant(sibling.at_ms), written(sibling.dot, sibling.time));
  }
}

void explain_field_expiries(Explanation& out, const Object& object, std::int64_t now_ms) {
  const HashView expiries = object.field_expiries();
  out.line(0, "expiries of fields: {}", expiries.size());
  std::size_t shown = 0;
  expiries.for_each([&](std::string_view field, const ScalarView& expiry) {
    if (shown++ == kMaxElements) return false;
    const std::int64_t at_ms = instant_of(expiry);
    out.line(1, "{}: {}{}{}", quoted(field), instant(at_ms), at_ms <= now_ms ? " (has passed)" : "",
             object.hash().find(field).live() ? "" : ", of a field that is gone");
    expiry.for_each_sibling([&](const SiblingView& sibling) {
      out.line(2, "{} {}", instant(instant_in(sibling.value)), written(sibling.dot, sibling.time));
    });
    return true;
  });
}

void explain_set(Explanation& out, const SetView& set) {
  out.line(0, "set: {} members", set.size());
  std::size_t shown = 0;
  set.for_each([&](std::string_view member, const MemberDots& dots) {
    if (shown == kMaxElements) {
      out.line(1, "(the first {} of {} members are shown)", kMaxElements, set.size());
      return false;
    }
    ++shown;
    std::string names;
    for (const MemberDot& entry : dots) names += " " + entry.dot.to_string();
    out.line(1, "member {} added by{}", quoted(member), names);
    return true;
  });
}

void explain_hash(Explanation& out, const HashView& hash) {
  out.line(0, "hash: {} fields, {} removed ones whose counters are remembered", hash.live(),
           hash.size() - hash.live());
  std::size_t shown = 0;
  hash.for_each([&](std::string_view field, const ScalarView& scalar) {
    if (shown == kMaxElements) {
      out.line(1, "(the first {} of {} fields are shown)", kMaxElements, hash.size());
      return false;
    }
    ++shown;
    out.line(1, "field {}{}", quoted(field), scalar.live() ? "" : " (removed)");
    explain_scalar(out, 2, scalar);
    return true;
  });
}

void explain_sorted_set(Explanation& out, const HashView& members) {
  out.line(0, "sorted set: {} members, {} removed ones whose increments are remembered",
           members.live(), members.size() - members.live());
  std::size_t shown = 0;
  members.for_each([&](std::string_view member, const ScalarView& scalar) {
    if (shown == kMaxElements) {
      out.line(1, "(the first {} of {} members are shown)", kMaxElements, members.size());
      return false;
    }
    ++shown;
    out.line(1, "member {}{}", quoted(member), scalar.live() ? "" : " (removed)");
    explain_parts(out, 2, scalar, "score",
                  [](std::string_view bytes) { return score_text(score_in(bytes)); });
    if (scalar.live() && scalar.has_live_counters()) {
      out.line(2, "reads as {}{}", score_text(score_of(scalar)),
               exact_score_of(scalar) ? "" : "; the increments are hidden, because it is infinite");
    }
    return true;
  });
}

void explain_list(Explanation& out, const HashView& items) {
  out.line(0, "list: {} elements", items.live());
  std::vector<std::pair<std::string_view, ScalarView>> all;
  items.for_each([&all](std::string_view position, const ScalarView& scalar) {
    all.emplace_back(position, scalar);
  });
  const std::size_t shown = std::min(all.size(), kMaxElements);
  std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(shown), all.end(),
                    [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& [position, scalar] : std::span(all).first(shown)) {
    out.line(1, "element at {}", position_text(position));
    explain_parts(out, 2, scalar, "value", quoted);
  }
  if (shown < all.size()) out.line(1, "(the first {} of {} are shown)", shown, all.size());
}

void even_explain_command(Context& context, Args args) {
  const std::string_view key = args[1];
  const Keyspace& keyspace = context.keyspace();
  const PartitionId partition = keyspace.partition_of(key);
  const PartitionState& state = keyspace.state(partition);
  const Object* object = state.find(key, hash64(key));

  Explanation out;
  out.line(0, "key: {}", quoted(user_key(key)));
  std::string nodes;
  for (NodeNumber node : keyspace.replicas(partition)) nodes += fmt::format(" {}", node);
  out.line(0, "partition: {} on nodes{}", partition, nodes);
  out.line(0, "version vector: {}", state.vector().to_string());
  out.line(0, "digest: {:016x}", state.digest());
  if (object == nullptr) {
    out.line(0, "type: none");
    return context.reply.verbatim("txt", out.text());
  }
  out.line(0, "type: {}", type_name(object->type()));
  if (!object->live()) out.line(0, "what is left of it is no key to a reader");
  if (object->expired(context.now_ms)) out.line(0, "it has expired: no reader sees it");
  if (object->in_type_conflict()) {
    out.line(0,
             "conflict: created with different types at the same time; readers see the {} until "
             "it is deleted",
             type_name(object->type()));
  }
  explain_expiry(out, *object, context.now_ms);
  if (object->bounded() != nullptr) {
    for (const std::string& line : explain_bounded(*object, keyspace, state))
      out.line(0, "{}", line);
  }
  if (const ScalarView string = object->plain_string(); !string.empty()) {
    out.line(0, "string:");
    explain_scalar(out, 1, string);
  }
  if (object->set()) explain_set(out, object->set());
  if (object->hash()) explain_hash(out, object->hash());
  if (object->field_expiries()) explain_field_expiries(out, *object, context.now_ms);
  if (object->sorted_set()) explain_sorted_set(out, object->sorted_set());
  if (object->list()) explain_list(out, object->list());
  context.reply.verbatim("txt", out.text());
}

void even_memory_command(Context& context, Args args) {
  const std::string_view key = args[1];
  const Keyspace& keyspace = context.keyspace();
  const PartitionState& state = keyspace.state(keyspace.partition_of(key));
  const Object* object = state.find(key, hash64(key));
  if (object == nullptr) return context.reply.null();
  const std::size_t node = state.in_memory().find_node(key, hash64(key))->memory_bytes();
  const Footprint value = object->footprint(0);

  Reply& reply = context.reply;
  const auto number = [&reply](std::string_view name, std::size_t count) {
    reply.bulk(name);
    reply.integer(static_cast<std::int64_t>(count));
  };
  const auto text = [&reply](std::string_view name, std::string_view words) {
    reply.bulk(name);
    reply.bulk(words);
  };
  reply.map(9);
  text("type", type_name(object->type()));
  text("form", object->form());
  const std::size_t elements = object->set().size() + object->hash().size() +
                               object->field_expiries().size() + object->sorted_set().size() +
                               object->list().size() + !object->string().empty();
  number("elements", elements);
  number("elements in memory", elements - object->cold());
  number("bytes", node + value.bytes);
  number("bytes of the node of the key", node);
  number("bytes of the value", value.bytes);
  number("bytes of dots and times among them", value.metadata);
  const std::optional<std::int64_t> at_ms = object->expires_at_ms();
  text("expiry", at_ms ? instant(*at_ms) : "none");
}

void even_version_command(Context& context, Args) {
  context.reply.bulk(fmt::format("even {}", version()));
}

void even_digest_command(Context& context, Args args) {
  const std::span<const PartitionId> all = context.keyspace().partitions();
  std::vector<PartitionId> wanted;
  for (std::string_view text : args.subspan(1)) {
    std::int64_t number;
    if (!read_integer(context, text, number)) return;
    const auto at = std::lower_bound(all.begin(), all.end(), number);
    if (at == all.end() || *at != number) {
      return context.reply.error(fmt::format("ERR partition {} is not kept by this node", number));
    }
    wanted.push_back(*at);
  }
  if (wanted.empty()) wanted.assign(all.begin(), all.end());
  context.reply.array(wanted.size());
  for (PartitionId partition : wanted) {
    const PartitionState& state = context.keyspace().state(partition);
    context.reply.array(3);
    context.reply.integer(partition);
    context.reply.bulk(state.vector().to_string());
    context.reply.bulk(fmt::format("{:016x}", state.digest()));
  }
}

constexpr Subcommand kBackupSubcommands[] = {
    {.name = "start",
     .arity = -3,
     .flags = kAdmin | kNoScript,
     .docs = {.since = "0.1.0",
              .summary = "Make a backup into a directory of the node's machine, in the background",
              .complexity = "O(N) where N is what has changed since the last backup there",
              .arguments = "directory [KEEP number:integer]"}},
    {.name = "status",
     .arity = 2,
     .flags = kAdmin | kNoScript,
     .docs = {.since = "0.1.0",
              .summary = "What the backup under way and the last one did",
              .complexity = "O(1)"}},
    {.name = "cancel",
     .arity = 2,
     .flags = kAdmin | kNoScript,
     .docs = {.since = "0.1.0",
              .summary = "End the backup under way, without a result",
              .complexity = "O(1)"}},
    {.name = "help",
     .arity = 2,
     .flags = kLoading | kStale,
     .docs = {.since = "0.1.0", .summary = "Prints this help", .complexity = "O(1)"}},
};
constexpr Subcommand kCheckSubcommands[] = {
    {.name = "start",
     .arity = 2,
     .flags = kAdmin | kNoScript,
     .docs = {.since = "0.1.0",
              .summary = "Compare all that the node holds with what it should hold and with other "
                         "nodes, and repair it, in the background",
              .complexity = "O(N) where N is the number of keys"}},
    {.name = "status",
     .arity = 2,
     .flags = kAdmin | kNoScript,
     .docs = {.since = "0.1.0",
              .summary = "How far checks are and what they have come to",
              .complexity = "O(1)"}},
    {.name = "findings",
     .arity = -2,
     .flags = kAdmin | kNoScript,
     .docs = {.since = "0.1.0",
              .summary = "The last keys that were found to differ and repaired: partition, what "
                         "was wrong, and key of each",
              .complexity = "O(N) where N is the number of these",
              .arguments = "[count:integer]"}},
    {.name = "help",
     .arity = 2,
     .flags = kLoading | kStale,
     .docs = {.since = "0.1.0", .summary = "Prints this help", .complexity = "O(1)"}},
};
constexpr Subcommand kFaultSubcommands[] = {
    {.name = "link",
     .arity = -4,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .docs = {.since = "0.1.0",
              .summary = "Cut, mend, delay or thin out the link to a node",
              .complexity = "O(1)",
              .arguments = "node state(DOWN|UP|DELAY milliseconds:integer|DROP percent:double) "
                           "[direction(IN|OUT)]"}},
    {.name = "clock",
     .arity = -4,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .docs = {.since = "0.1.0",
              .summary = "Put the node's wall clock forward or back, or have it run fast or slow",
              .complexity = "O(1)",
              .arguments = "OFFSET milliseconds:integer [RATE percent:double]"}},
    {.name = "key",
     .arity = -4,
     .flags = kAdmin | kNoScript,
     .docs = {.since = "0.1.0",
              .summary = "Change what the node holds of a key without a record of it, as a broken "
                         "disk would; replies with 0 if that is what it held",
              .complexity = "O(1)",
              .arguments = "key change(LOSE|VALUE value)"}},
    {.name = "help",
     .arity = 2,
     .flags = kLoading | kStale,
     .docs = {.since = "0.1.0", .summary = "Prints this help", .complexity = "O(1)"}},
};
constexpr Command kEvenCommands[] = {
    {.name = "even.backup",
     .group = "server",
     .arity = -2,
     .flags = kAdmin | kNoScript,
     .scope = Scope::kConnection,
     .subcommands = kBackupSubcommands,
     .docs = {.since = "0.1.0",
              .summary = "Backups of this node",
              .complexity = "Depends on the subcommand"}},
    {.name = "even.check",
     .group = "server",
     .arity = -2,
     .flags = kAdmin | kNoScript,
     .scope = Scope::kConnection,
     .subcommands = kCheckSubcommands,
     .docs = {.since = "0.1.0",
              .summary = "Check what nodes hold against one another",
              .complexity = "Depends on the subcommand"}},
    {.name = "even.digest",
     .group = "server",
     .arity = -1,
     .flags = kReadonly,
     .scope = Scope::kAll,
     .handler = even_digest_command,
     .docs = {.since = "0.1.0",
              .summary = "Version vector and digest of each partition of this node",
              .complexity = "O(N) where N is the number of partitions",
              .arguments = "[partition:integer...]",
              .tips = "nondeterministic_output"}},
    {.name = "even.explain",
     .group = "server",
     .arity = 2,
     .flags = kReadonly,
     .keys = kFirstWord,
     .handler = even_explain_command,
     .docs = {.since = "0.1.0",
              .summary = "The causal history of a key, for people to read",
              .complexity = "O(N) where N is the size of the history that is kept of the key",
              .arguments = "key",
              .key_spec = "RO access",
              .tips = "nondeterministic_output"}},
    {.name = "even.fault",
     .group = "server",
     .arity = -2,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .scope = Scope::kConnection,
     .subcommands = kFaultSubcommands,
     .docs = {.since = "0.1.0",
              .summary = "Break things on purpose, where the configuration allows it",
              .complexity = "Depends on the subcommand"}},
    {.name = "even.memory",
     .group = "server",
     .arity = 2,
     .flags = kReadonly,
     .keys = kFirstWord,
     .handler = even_memory_command,
     .docs = {.since = "0.1.0",
              .summary = "What a key takes in memory, and what for",
              .complexity = "O(N) where N is the number of elements of a large collection",
              .arguments = "key",
              .key_spec = "RO access",
              .tips = "nondeterministic_output"}},
    {.name = "even.version",
     .group = "server",
     .arity = 1,
     .flags = kLoading | kStale | kFast,
     .handler = even_version_command,
     .docs = {.since = "0.1.0", .summary = "Name and version of the server", .complexity = "O(1)"}},
};

}  // namespace

std::span<const Command> even_commands() { return kEvenCommands; }

}  // namespace even
