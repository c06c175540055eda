// CLIENT TRACKING, CACHING, TRACKINGINFO and GETREDIR; CLIENT PAUSE and UNPAUSE. Replies are those
// of Redis 7.0.15; docs/tracking.md says what is promised.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "client/connection_commands.h"
#include "engine/text.h"

namespace even {
namespace {

struct TrackingOptions {
  bool broadcast = false, opt_in = false, opt_out = false, no_loop = false;
  std::optional<std::int64_t> redirect;
  std::vector<std::string> prefixes;
};

// An error's text, or empty.
std::string read_tracking_options(Args words, TrackingOptions& options) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    const auto is = [&](std::string_view name) { return equals_ignore_case(words[i], name); };
    const bool more = i + 1 < words.size();
    if (is("redirect") && more) {
      if (options.redirect) return "ERR A client can only redirect to a single other client";
      std::int64_t id = 0;
      if (!parse_strict_integer(words[++i], id)) return std::string(kNotInteger);
      options.redirect = id;
    } else if (is("bcast")) {
      options.broadcast = true;
    } else if (is("optin")) {
      options.opt_in = true;
    } else if (is("optout")) {
      options.opt_out = true;
    } else if (is("noloop")) {
      options.no_loop = true;
    } else if (is("prefix") && more) {
      options.prefixes.emplace_back(words[++i]);
    } else {
      return std::string(kSyntaxError);
    }
  }
  return {};
}

bool prefixes_overlap(std::string_view a, std::string_view b) {
  return a.starts_with(b) || b.starts_with(a);
}

std::string refusal_of_prefixes(const Tracking& now, const std::vector<std::string>& prefixes) {
  for (std::size_t i = 0; i < prefixes.size(); ++i) {
    const auto known = std::ranges::find_if(now.prefixes, [&](const std::string& prefix) {
      return prefixes_overlap(prefix, prefixes[i]);
    });
    if (known != now.prefixes.end()) {
      return fmt::format(
          "ERR Prefix '{}' overlaps with an existing prefix '{}'. Prefixes for a single client "
          "must not overlap.",
          prefixes[i], *known);
    }
    for (std::size_t j = i + 1; j < prefixes.size(); ++j) {
      if (!prefixes_overlap(prefixes[i], prefixes[j])) continue;
      return fmt::format(
          "ERR Prefix '{}' overlaps with another provided prefix '{}'. Prefixes for a single "
          "client must not overlap.",
          prefixes[i], prefixes[j]);
    }
  }
  return {};
}

std::string refusal_of_tracking(const Tracking& now, const TrackingOptions& options) {
  if (!options.broadcast && !options.prefixes.empty()) {
    return "ERR PREFIX option requires BCAST mode to be enabled";
  }
  if (now.on && now.broadcast != options.broadcast) {
    return "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and "
           "then re-enabling it with a different mode.";
  }
  if (options.broadcast && (options.opt_in || options.opt_out)) {
    return "ERR OPTIN and OPTOUT are not compatible with BCAST";
  }
  if (options.opt_in && options.opt_out) {
    return "ERR You can't specify both OPTIN mode and OPTOUT mode";
  }
  if ((options.opt_in && now.opt_out) || (options.opt_out && now.opt_in)) {
    return "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and "
           "then re-enabling it with a different mode.";
  }
  return options.broadcast ? refusal_of_prefixes(now, options.prefixes) : std::string();
}

// `redirect_thread`: of the client that is named, which is there. An error's text, or empty.
std::string begin_tracking(Connection& connection, TrackingOptions options,
                           ShardId redirect_thread) {
  Tracking& tracking = connection.session().tracking;
  if (std::string refusal = refusal_of_tracking(tracking, options); !refusal.empty()) {
    return refusal;
  }
  TrackingTable& table = connection.thread().node().tracking;
  const TrackingTable::Client client{connection.session().id, connection.thread().id()};
  table.add(client);
  if (options.broadcast) {
    if (options.prefixes.empty()) options.prefixes.emplace_back();
    table.add_prefixes(client, options.prefixes);
    options.prefixes.insert(options.prefixes.end(), tracking.prefixes.begin(),
                            tracking.prefixes.end());
    std::ranges::sort(options.prefixes);
    const auto rest = std::ranges::unique(options.prefixes);
    options.prefixes.erase(rest.begin(), rest.end());
  }
  tracking = {.on = true,
              .broadcast = options.broadcast,
              .opt_in = options.opt_in,
              .opt_out = options.opt_out,
              .no_loop = options.no_loop,
              .caching = false,
              .redirect = static_cast<std::uint64_t>(options.redirect.value_or(0)),
              .redirect_thread = redirect_thread,
              .redirect_broken = false,
              .prefixes = std::move(options.prefixes)};
  return {};
}

void reply_outcome(Reply& reply, const std::string& error) {
  error.empty() ? reply.ok() : reply.error(error);
}

// The flags, the redirection and the prefixes.
void reply_tracking(Connection& connection) {
  const Tracking& tracking = connection.session().tracking;
  std::vector<std::string_view> flags{tracking.on ? "on" : "off"};
  if (tracking.broadcast) flags.emplace_back("bcast");
  if (tracking.opt_in) flags.emplace_back("optin");
  if (tracking.opt_in && tracking.caching) flags.emplace_back("caching-yes");
  if (tracking.opt_out) flags.emplace_back("optout");
  if (tracking.opt_out && tracking.caching) flags.emplace_back("caching-no");
  if (tracking.no_loop) flags.emplace_back("noloop");
  if (tracking.redirect_broken) flags.emplace_back("broken_redirect");
  Reply reply = connection.reply();
  reply.map(3);
  reply.bulk("flags");
  reply.set(flags.size());
  for (const std::string_view flag : flags) reply.bulk(flag);
  reply.bulk("redirect");
  reply.integer(tracking.on ? static_cast<std::int64_t>(tracking.redirect) : -1);
  reply.bulk("prefixes");
  reply.array(tracking.prefixes.size());
  for (const std::string& prefix : tracking.prefixes) reply.bulk(prefix);
}

}  // namespace

void execute_tracking(Connection& connection, Args args) {
  const bool on = equals_ignore_case(args[2], "on");
  TrackingOptions options;
  if (std::string error = read_tracking_options(args.subspan(3), options); !error.empty()) {
    return connection.reply().error(error);
  }
  if (!on && !equals_ignore_case(args[2], "off")) return connection.reply().error(kSyntaxError);
  if (!options.redirect) {
    if (!on) {
      connection.end_tracking();
      return connection.reply().ok();
    }
    Reply reply = connection.reply();
    return reply_outcome(reply, begin_tracking(connection, std::move(options), 0));
  }
  const auto id = static_cast<std::uint64_t>(*options.redirect);
  reply_gathered<std::optional<ShardId>>(
      connection,
      [id](ShardThread& thread) {
        return thread.clients().contains(id) ? std::optional(thread.id()) : std::nullopt;
      },
      [on, options = std::move(options), weak = connection.weak_from_this()](
          Reply& reply, const std::vector<std::optional<ShardId>>& answers) {
        const auto self = weak.lock();
        if (!self || self->closed()) return;
        const auto found =
            std::ranges::find_if(answers, [](const auto& answer) { return answer.has_value(); });
        if (found == answers.end()) {
          return reply.error("ERR The client ID you want redirect to does not exist");
        }
        if (on) return reply_outcome(reply, begin_tracking(*self, options, **found));
        self->end_tracking();
        reply.ok();
      });
}

void execute_caching(Connection& connection, std::string_view mode) {
  Tracking& tracking = connection.session().tracking;
  Reply reply = connection.reply();
  if (!tracking.on) {
    return reply.error(
        "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or "
        "OPTOUT mode enabled");
  }
  if (equals_ignore_case(mode, "yes")) {
    if (!tracking.opt_in) {
      return reply.error(
          "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.");
    }
  } else if (equals_ignore_case(mode, "no")) {
    if (!tracking.opt_out) {
      return reply.error(
          "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.");
    }
  } else {
    return reply.error(kSyntaxError);
  }
  tracking.caching = true;
  reply.ok();
}

void execute_trackinginfo(Connection& connection) { reply_tracking(connection); }

void execute_getredir(Connection& connection) {
  const Tracking& tracking = connection.session().tracking;
  connection.reply().integer(tracking.on ? static_cast<std::int64_t>(tracking.redirect) : -1);
}

void execute_pause(Connection& connection, Args args) {
  Reply reply = connection.reply();
  ClientPause::Mode mode = ClientPause::Mode::kAll;
  if (args.size() > 4) return reply.error(kSyntaxError);
  if (args.size() == 4) {
    if (equals_ignore_case(args[3], "write")) {
      mode = ClientPause::Mode::kWrites;
    } else if (!equals_ignore_case(args[3], "all")) {
      return reply.error("ERR CLIENT PAUSE mode must be WRITE or ALL");
    }
  }
  std::int64_t ms = 0;
  if (!parse_strict_integer(args[2], ms)) {
    return reply.error("ERR timeout is not an integer or out of range");
  }
  if (ms < 0) return reply.error("ERR timeout is negative");
  const std::int64_t now_us = connection.thread().clock().monotonic_us();
  const std::int64_t most_ms = (std::numeric_limits<std::int64_t>::max() - now_us) / 1000;
  connection.thread().node().pause.begin(mode, now_us + std::min(ms, most_ms) * 1000);
  reply.ok();
}

// Those who wait go on with the next tick of their threads.
void execute_unpause(Connection& connection) {
  connection.thread().node().pause.end();
  connection.reply().ok();
}

}  // namespace even
