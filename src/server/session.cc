#include "server/session.h"

#include <fmt/format.h>

#include <algorithm>

namespace even::server {

std::string describe(const Session& session, const SessionUse& use, std::string_view command,
                     std::int64_t now_us) {
  // The fields of Redis 7.0 in its order, with the library's of 7.2 behind; what has no counterpart
  // here has its resting value.
  return fmt::format(
      "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db=0 sub=0 psub=0 ssub=0 "
      "multi=-1 qbuf={} qbuf-free={} argv-mem=0 multi-mem=0 rbs={} rbp={} obl={} oll=0 omem=0 "
      "tot-mem={} events=r cmd={} user=default redir=-1 resp={} lib-name={} lib-ver={}\n",
      session.id, session.address, session.local_address, session.descriptor, session.name,
      (now_us - session.created_us) / 1'000'000, (now_us - session.last_request_us) / 1'000'000,
      session.no_evict ? "e" : (session.no_touch ? "T" : "N"), use.query_bytes, use.query_free,
      use.output_bytes, use.output_bytes, use.output_bytes,
      use.query_bytes + use.query_free + use.output_bytes,
      session.subcommand.empty() ? std::string(command)
                                 : fmt::format("{}|{}", command, session.subcommand),
      session.resp3 ? 3 : 2, session.library_name, session.library_version);
}

bool valid_client_name(std::string_view name) {
  return std::ranges::all_of(name, [](char c) { return c >= '!' && c <= '~'; });
}

}  // namespace even::server
