#include "engine/causes.h"

#include "base/reserved.h"
#include "engine/context.h"

namespace even {
namespace {

static_assert(is_reserved(kCausesName));

void causes_command(Context& context, Args args) {
  KeyWriter& writer = context.write(args[1]);
  for (std::size_t i = 0; i < args[2].size(); ++i) {
    args[2][i] == '+' ? writer.add_member(args[3 + i]) : writer.remove_member(args[3 + i]);
  }
  context.reply.ok();
}

}  // namespace

constexpr Command kCausesCommand = {.name = "even.causes",
                                    .group = "set",
                                    .arity = -4,
                                    .flags = kWrite,
                                    .keys = kFirstWord,
                                    .handler = causes_command,
                                    .elements = Elements::kEach};

}  // namespace even
