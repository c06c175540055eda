// The token of a session, as clients carry it: docs/sessions.md and docs/formats/session.md. Sealed
// with a key that all nodes of the cluster have, so that only what a node has given out is taken.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "replica/session_reach.h"

namespace even {

// Of keys for tokens, bytes.
inline constexpr std::size_t kSessionKeyBytes = 32;
// From the system's random numbers; throws if it has none.
std::string make_session_key();

// URL-safe Base64.
std::string seal_session(std::string_view key, const SessionContent& content);
// Safe for any text. The error says what is wrong with it, for the client.
Result<SessionContent> open_session(std::string_view key, std::string_view token);

}  // namespace even
