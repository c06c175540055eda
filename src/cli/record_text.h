// Log records as text for people, one line each.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lattice/delta.h"

namespace even::cli {

// In double quotes, with quotes, backslashes and everything outside of printable ASCII escaped as
// in C: a terminal, a pipe and an eye can stand it.
std::string quoted(std::string_view bytes);

// "2023-11-14T22:13:20.000Z", with "+5" behind it when the logical counter is 5.
std::string time_text(Hlc time);

// Unix time in milliseconds. Any instant that a format can hold, also those beyond the calendar.
std::string instant_text(std::int64_t at_ms);

// What the record says and did:
//
//   partition 7 1/000000000001:3 2023-11-14T22:13:20.000Z after 2/00c0ffee1234:300 "k" := "v"
//
// A key that is described in full is followed by := and the leaves that it has from then on
// ("nothing" when it was deleted), any other by its changes. Leaves: "v" a string, hash["f"] a
// field, set["m"] a member, expires an instant; += and -= count what replicas have added in all, up
// to which of their records, and what of that was removed. What another record wrote carries its
// dot.
std::string record_text(const Record& record);

}  // namespace even::cli
