#include "client/session.h"

#include <fmt/format.h>

#include <algorithm>

namespace even {

std::string client_line(const Session& session, const SessionUse& use, std::string_view command,
                        std::int64_t now_us) {
  std::string flags;
  if (use.channels + use.patterns + use.shard_channels > 0) flags += 'P';
  if (session.monitors) flags += 'O';
  if (use.queued >= 0) flags += 'x';
  if (use.blocked) flags += 'b';
  if (session.tracking.on) flags += 't';
  if (session.tracking.redirect_broken) flags += 'R';
  if (session.tracking.broadcast) flags += 'B';
  if (session.no_evict) flags += 'e';
  if (session.no_touch) flags += 'T';
  // The fields of Redis 7.0 in its order, with the library's of 7.2 and one of Even's own behind.
  // What there is none of is 0, as is argv-mem, which client libraries want to see: the words of a
  // request are those in qbuf. What else is not measured is left out.
  return fmt::format(
      "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub={} psub={} ssub={} "
      "multi={} qbuf={} qbuf-free={} argv-mem=0 multi-mem={} obl={} oll={} omem={} tot-mem={} "
      "events={}{} "
      "cmd={} "
      "user={} redir={} resp={} lib-name={} lib-ver={} pending={} pending-mem={}\n",
      session.id, session.address, session.local_address, session.descriptor, session.name,
      (now_us - session.created_us) / 1'000'000, (now_us - session.last_request_us) / 1'000'000,
      flags.empty() ? "N" : flags, session.database, use.channels, use.patterns, use.shard_channels,
      use.queued, use.query_bytes, use.query_free, use.transaction_bytes, use.output_bytes,
      use.output_blocks, use.output_memory,
      use.query_bytes + use.query_free + use.transaction_bytes + use.output_memory +
          use.pending_bytes,
      use.reading ? "r" : "", use.writing ? "w" : "", command, session.user_name(),
      session.tracking.on ? static_cast<std::int64_t>(session.tracking.redirect) : -1,
      session.resp3 ? 3 : 2, session.library_name, session.library_version, use.pending_requests,
      use.pending_bytes);
}

bool valid_client_name(std::string_view name) {
  return std::ranges::all_of(name, [](char c) { return c >= '!' && c <= '~'; });
}

}  // namespace even
