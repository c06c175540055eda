// What groups have written into a log as text for people, one line each; with records, see
// record_text.h.
#pragma once

#include <string>

#include "replica/group_format.h"

namespace even::cli {

//   group 300 entry 17 of term 4 2023-11-14T22:13:20.000Z "SET" "k" "v"
//   group 300 entry 18 of term 4 transaction 2023-11-14T22:13:20.000Z "INCR" "n"; "INCR" "m"
//   group 300 entry 19 of term 4 adds voter 2/00c0
//   group 300 state: term 4, vote for 1/00c0, committed 16
//   group 300 base: entry 16 of term 4, as 1/00c0, voters 1/00c0 2/00c1 3/00c2
//   group 300 left
//
// A member is a node's number and the line of its replica ids.
std::string group_text(const GroupLogEntry& entry);

}  // namespace even::cli
