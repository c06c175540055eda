// SaslHandshake and SaslAuthenticate: see sasl.h.
#include "kafka/apis.h"
#include "kafka/connection.h"
#include "topic/kafka_error.h"

namespace even::kafka {

void handle(const Call& call, const SaslHandshakeRequest& request,
            Done<SaslHandshakeResponse> done) {
  const ErrorCode error = call.connection.begin_login(request.mechanism, call.version);
  done({.error_code = code(error), .mechanisms = Sasl::mechanisms()});
}

void handle(const Call& call, const SaslAuthenticateRequest& request,
            Done<SaslAuthenticateResponse> done) {
  auto step = call.connection.take_login(request.auth_bytes.bytes());
  SaslAuthenticateResponse response;
  if (!step) {
    response.error_code = code(ErrorCode::kIllegalSaslState);
    response.error_message = "SaslHandshake comes first, and once";
  } else if (step->failed) {
    response.error_code = code(ErrorCode::kSaslAuthenticationFailed);
    response.error_message = std::move(step->error);
  } else {
    response.auth_bytes = Blob::of(std::move(step->token));
  }
  done(std::move(response));
}

}  // namespace even::kafka
