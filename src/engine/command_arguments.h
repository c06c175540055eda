// The notation in which a row of the command table says which arguments the command takes: that of
// redis-cli's hints, with types and with the names that Redis gives to groups.
//
//   arguments   = argument { " " argument }
//   argument    = plain | "[" plain "]"                         brackets: may be left out
//   plain       = TOKEN | [ TOKEN " " ] value [ "..." | "...." ]  dots: may be repeated, with four
//                                                               of them each time behind the token
//   value       = name "=" TOKEN                                a token of another name
//               | name [ ":" type ]                             without a type: "key", or a string
//               | name "(" arguments ")"                        all of these, in this order
//               | name "(" argument { "|" argument } ")"        one of these
//
// A token begins with an upper-case letter, or is one of the signs = ~ * $; a name begins with a
// lower-case one. For example, of GETEX:
//
//   key [expiration(EX seconds:integer|PX milliseconds:integer|PERSIST)]
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace even {

// As COMMAND DOCS describes it.
struct Argument {
  std::string name;
  // "string", "integer", "double", "key", "pattern", "unix-time", "pure-token", "oneof" or "block".
  std::string type;
  std::string_view token;  // the word that stands before it, or is all of it; may be empty
  bool optional = false;
  bool multiple = false;
  bool multiple_token = false;
  std::vector<Argument> arguments;  // of a "oneof" or a "block"
};

// `text` comes from the command table and follows the notation, which is asserted. Tokens point
// into it.
std::vector<Argument> parse_arguments(std::string_view text);

// As Redis's HELP writes them: "<key> [COUNT <count>] (ON|OFF)".
std::string written(std::span<const Argument> arguments);

}  // namespace even
