// Router: commands about all keys (KEYS, SCAN, DBSIZE, RANDOMKEY, FLUSHALL, FLUSHDB) where there
// are strong keyspaces. The partitions of `default` are asked as they are without, and each group
// as any other request asks it, so that it does not matter who leads it. See docs/groups.md, "All
// keys".
#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "engine/cmd_scan.h"
#include "node/router.h"
#include "node/shard_thread.h"
#include "resp/resp_merge.h"

namespace even {
namespace {

constexpr std::string_view kSizeCommand[] = {"dbsize"};

// Of the database that `request` is about.
std::vector<std::string_view> words_for_size(const OwnedRequest& request) {
  std::vector<std::string_view> words(std::begin(kSizeCommand), std::end(kSizeCommand));
  if (request.command->of_stored_words) words.push_back(request.args.back());
  return words;
}

bool is_error(std::string_view reply) { return reply.starts_with('-'); }

// Of what merge_replies() has made a sum or a reply of DBSIZE.
std::uint64_t integer_of(std::string_view reply) {
  std::uint64_t number = 0;
  if (reply.starts_with(':')) {
    std::from_chars(reply.data() + 1, reply.data() + reply.size(), number);
  }
  return number;
}

// What all keys that a pattern finds begin with.
std::string_view literal_prefix(std::string_view pattern) {
  return pattern.substr(0, pattern.find_first_of("*?[\\"));
}

bool may_have(std::string_view keyspace_prefix, std::string_view key_prefix) {
  return keyspace_prefix.starts_with(key_prefix) || key_prefix.starts_with(keyspace_prefix);
}

// "-UNAVAILABLE why" becomes "-UNAVAILABLE text: why".
std::string with_text(std::string_view error, std::string_view text) {
  const std::size_t end = error.find(' ');
  if (end == std::string_view::npos) return std::string(error);
  return fmt::format("{} {}: {}", error.substr(0, end), text, error.substr(end + 1));
}

// The reply to SCAN with another cursor.
std::string with_cursor(std::string_view reply, std::string_view cursor) {
  constexpr std::string_view kTwo = "*2\r\n";
  EVEN_CHECK(reply.starts_with(kTwo), "SCAN replies with a cursor and keys");
  const std::size_t length = reply_length(reply.substr(kTwo.size()));
  return fmt::format("{}${}\r\n{}\r\n{}", kTwo, cursor.size(), cursor,
                     reply.substr(kTwo.size() + length));
}

// That cursor.
std::string_view cursor_in(std::string_view reply) {
  const std::size_t line = reply.find("\r\n", 4);
  return reply.substr(line + 2, reply.find("\r\n", line + 2) - line - 2);
}

}  // namespace

// A question to `default` and to groups.
struct Router::AllKeyspaces {
  OwnedRequest request;
  ReplySink sink;
  std::vector<PartitionId> groups;
  std::vector<PartReply> replies;  // of `default`, if it is asked, and then of `groups`
  std::size_t missing = 0;
};

std::vector<PartitionId> Router::groups_with_keys(std::string_view key_prefix,
                                                  bool internal) const {
  std::vector<PartitionId> groups;
  for (const cluster::Keyspace& keyspace : thread_.keyspaces().keyspaces()) {
    if (!keyspace.strong || (keyspace.internal() && !internal) ||
        !may_have(keyspace.prefix, key_prefix))
      continue;
    for (std::uint32_t i = 0; i < keyspace.partitions; ++i) {
      groups.push_back(static_cast<PartitionId>(keyspace.first + i));
    }
  }
  std::ranges::sort(groups);
  return groups;
}

void Router::ask_default(const OwnedRequest& like, Args words, ReplySink sink) {
  OwnedRequest request = OwnedRequest::copy(*find_command(words), words, like.resp3, like.client);
  if (like.options) request.options = std::make_unique<RequestOptions>(*like.options);
  request.of_default = true;
  submit(std::move(request), std::move(sink));
}

// At the level of its keyspace, or at the one that is asked for, if strong keyspaces have it.
void Router::ask_group(PartitionId group, const OwnedRequest& like, Args words, ReplySink sink) {
  const cluster::Keyspace* keyspace = thread_.keyspaces().of_partition(group);
  if (keyspace == nullptr) {
    return sink("-TRYAGAIN a keyspace has been dropped while its keys were asked for\r\n");
  }
  OwnedRequest request = OwnedRequest::copy(*find_command(words), words, like.resp3, like.client);
  if (like.options) {
    request.options = std::make_unique<RequestOptions>(*like.options);
    if (!read_level(*keyspace, request.options->level)) request.options->level = {};
  }
  run_strong(group, std::move(request), std::move(sink));
}

void Router::ask_all(std::shared_ptr<AllKeyspaces> all, bool with_default, Args words,
                     std::move_only_function<void()> done) {
  const std::size_t first = with_default ? 1 : 0;
  all->replies.assign(all->groups.size() + first, {});
  all->missing = all->replies.size();
  const auto then = std::make_shared<decltype(done)>(std::move(done));
  const auto take = [all, then](std::size_t index) {
    return [all, then, index](std::string reply) {
      all->replies[index].reply = std::move(reply);
      if (--all->missing == 0) (*then)();
    };
  };
  if (all->missing == 0) return (*then)();
  if (with_default) ask_default(all->request, words, take(0));
  for (std::size_t i = 0; i < all->groups.size(); ++i) {
    ask_group(all->groups[i], all->request, words, take(first + i));
  }
}

void Router::run_in_all_keyspaces(OwnedRequest request, ReplySink sink) {
  if (request.command->split == Split::kCursor) {
    return scan_all_keyspaces(std::move(request), std::move(sink));
  }
  auto all = std::make_shared<AllKeyspaces>();
  all->request = std::move(request);
  all->sink = std::move(sink);
  const OwnedRequest& asked = all->request;
  const Split split = asked.command->split;
  const bool deletes = split == Split::kOk;
  all->groups = groups_with_keys(
      split == Split::kConcatenate ? literal_prefix(asked.args[1]) : std::string_view(), !deletes);
  if (split == Split::kAny) {
    return ask_all(all, true, words_for_size(asked), [this, all] { draw_key(all); });
  }
  if (deletes) return flush_all_keyspaces(std::move(all));
  ask_all(all, true, asked.args,
          [all, split] { all->sink(merge_replies(split, 0, all->replies)); });
}

// A partition in proportion to its keys, then one of them. If these have gone meanwhile, another.
void Router::draw_key(std::shared_ptr<AllKeyspaces> all) {
  for (const PartReply& size : all->replies) {
    if (is_error(size.reply)) return all->sink(size.reply);
  }
  std::vector<std::uint64_t> sizes;
  std::uint64_t total = 0;
  for (const PartReply& size : all->replies) {
    sizes.push_back(integer_of(size.reply));
    total += sizes.back();
  }
  std::size_t chosen = 0;
  if (total > 0) {
    for (std::uint64_t place = thread_.random().below(total); place >= sizes[chosen]; ++chosen) {
      place -= sizes[chosen];
    }
  }
  auto draw = [this, all, chosen, total](std::string reply) {
    const bool is_null = reply == "$-1\r\n" || reply == "_\r\n";
    if (!is_null || total == 0) return all->sink(std::move(reply));
    all->replies[chosen].reply = ":0\r\n";
    draw_key(all);
  };
  if (chosen == 0) return ask_default(all->request, all->request.args, std::move(draw));
  ask_group(all->groups[chosen - 1], all->request, all->request.args, std::move(draw));
}

// What cannot be deleted everywhere is not begun: so all groups are asked first whether they can
// be reached. Between that and the deletion, something may still become unreachable.
void Router::flush_all_keyspaces(std::shared_ptr<AllKeyspaces> all) {
  if (!all->request.options) all->request.options = std::make_unique<RequestOptions>();
  RequestOptions& options = *all->request.options;
  const cluster::Level level = std::exchange(options.level, {cluster::Level::Kind::kLinearizable});
  ask_all(all, false, kSizeCommand, [this, all, level] {
    all->request.options->level = level;
    for (const PartReply& part : all->replies) {
      if (is_error(part.reply)) {
        return all->sink(with_text(part.reply, "nothing has been deleted"));
      }
    }
    ask_default(all->request, all->request.args, [this, all](std::string reply) {
      if (is_error(reply)) return all->sink(std::move(reply));
      ask_all(all, false, all->request.args, [all] {
        const auto failed = static_cast<std::size_t>(std::ranges::count_if(
            all->replies, [](const PartReply& part) { return is_error(part.reply); }));
        if (failed == 0) return all->sink("+OK\r\n");
        const auto& first = *std::ranges::find_if(
            all->replies, [](const PartReply& part) { return is_error(part.reply); });
        all->sink(
            fmt::format("-PARTIAL keys have been deleted, but perhaps not in {} of {} groups "
                        "of strong keyspaces: {}",
                        failed, all->replies.size(), first.reply.substr(1)));
      });
    });
  });
}

// The partitions of groups come behind those of `default`, in the order of their numbers, which the
// cursor names: so a keyspace that is created meanwhile comes last, and one that is dropped is
// passed over. Members of a group have its keys in one order.
void Router::scan_all_keyspaces(OwnedRequest request, ReplySink sink) {
  const std::vector<PartitionId> groups = groups_with_keys({}, true);
  const std::optional<PartitionId> at = scan_partition_of(request.args[1]);
  const auto group = std::ranges::lower_bound(groups, at.value_or(0));
  if (!at || *at < thread_.node().placement.partitions() || group == groups.end()) {
    const bool beyond = group == groups.end();
    return ask_default(request, request.args,
                       [first = beyond ? 0 : scan_cursor_of(groups.front()),
                        sink = std::move(sink)](std::string reply) mutable {
                         if (first == 0 || is_error(reply) || cursor_in(reply) != "0") {
                           return sink(std::move(reply));
                         }
                         sink(with_cursor(reply, fmt::format_int(first).str()));
                       });
  }
  std::vector<std::string_view> words(request.args.begin(), request.args.end());
  const std::string begin = fmt::format_int(scan_cursor_of(*group)).str();
  if (*at != *group) words[1] = begin;
  const std::uint64_t next = group + 1 == groups.end() ? 0 : scan_cursor_of(*(group + 1));
  ask_group(*group, request, words,
            [next, group = *group, sink = std::move(sink)](std::string reply) mutable {
              const bool ends = !is_error(reply) && scan_partition_of(cursor_in(reply)) != group;
              if (!ends) return sink(std::move(reply));
              sink(with_cursor(reply, fmt::format_int(next).str()));
            });
}

}  // namespace even
