// Any bytes as a history of any model: refused with a line's number, or made into operations that
// make sense, which are then judged within few steps. Checked with abort, as in every fuzz target.
#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <string>

#include "verify/linearizable.h"

namespace {

using namespace even::verify;

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto model = static_cast<Model>(data[0] % 4);
  std::istringstream in(std::string(reinterpret_cast<const char*>(data) + 1, size - 1));
  const auto history = read_history(in, model);
  if (!history) {
    require(history.error().message.starts_with("line "));
    return 0;
  }
  Position last = 0;
  for (const Operation& operation : history->operations) {
    require(operation.invoked > last && operation.completed > operation.invoked);
    require(operation.open() == (operation.completed == kNever));
    require(operation.key < history->keys.size());
    require(!operation_text(*history, operation).empty());
    last = operation.invoked;
  }
  CheckOptions options;
  options.limits.most_steps = 1000;
  const CheckResult result = check_linearizable(*history, options);
  // What is given for a violation is one by itself.
  if (result.violation && result.violation->operations.size() < 20) {
    Limits limits;
    limits.most_steps = 1'000'000;
    require(search(*result.violation, limits) != Verdict::kHolds);
  }
  return 0;
}
