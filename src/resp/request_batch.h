// The complete requests at the front of what a client has sent, parsed before the first of them is
// executed: the keys that a pipeline is about to name are known together, so that their memory can
// be asked for together.
//
// A batch ends with a request that may change how the next one is to be read (those about the
// connection, AUTH among them) and with an inline request, whose words the parser keeps.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "engine/command.h"
#include "engine/keyspace.h"
#include "resp/resp_parser.h"

namespace even {

class RequestBatch {
 public:
  static constexpr std::size_t kMostRequests = 16;

  // Replaces the content by what `parser` finds in `bytes`; returns the status of the last request
  // it looked at: kRequest when it is in the batch, else why it is not.
  RespParser::Status parse(RespParser& parser, std::string_view bytes, const RespLimits& limits);

  std::size_t size() const { return requests_.size(); }
  // Null when there is no such command, or no word.
  const Command* command(std::size_t i) const { return requests_[i].command; }
  // Valid as long as the bytes, and for inline requests until the parser's next use.
  Args args(std::size_t i) const {
    return std::span(words_).subspan(requests_[i].first_word, requests_[i].words);
  }
  // How many of the bytes the request took.
  std::size_t bytes(std::size_t i) const { return requests_[i].bytes; }
  // What the requests will look up first.
  std::span<Lookup> lookups() { return lookups_; }
  // What this one will; null: nothing that is known beforehand.
  const Lookup* lookup(std::size_t i) const {
    return requests_[i].has_lookup ? &lookups_[requests_[i].lookup] : nullptr;
  }

 private:
  struct Request {
    const Command* command;
    std::size_t first_word;
    std::size_t words;
    std::size_t bytes;
    std::size_t lookup = 0;
    bool has_lookup = false;
  };
  const Command* find(Args args) const;

  std::vector<Request> requests_;
  std::vector<std::string_view> words_;
  std::vector<Lookup> lookups_;
};

}  // namespace even
