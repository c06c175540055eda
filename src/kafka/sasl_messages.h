// Messages of logging in: see messages.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "topic/kafka_codec.h"

namespace even::kafka {

struct SaslHandshakeRequest {
  std::string mechanism;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("mechanism", m.mechanism);
  }
};

struct SaslHandshakeResponse {
  std::int16_t error_code = 0;
  std::vector<std::string> mechanisms;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("error_code", m.error_code);
    c("mechanisms", m.mechanisms);
  }
};

struct SaslAuthenticateRequest {
  Blob auth_bytes;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("auth_bytes", m.auth_bytes);
  }
};

struct SaslAuthenticateResponse {
  std::int16_t error_code = 0;
  std::optional<std::string> error_message;
  Blob auth_bytes = Blob::empty();
  std::int64_t session_lifetime_ms = 0;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("error_code", m.error_code);
    c("error_message", m.error_message);
    c("auth_bytes", m.auth_bytes);
    c("session_lifetime_ms", m.session_lifetime_ms, since(1));
  }
};

}  // namespace even::kafka
