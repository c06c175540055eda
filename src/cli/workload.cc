#include "cli/workload.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "cli/resp_client.h"

namespace even::cli {
namespace {

using nlohmann::json;
using verify::Model;

constexpr std::string_view kCasScript =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2]) return 1 "
    "end return 0";

// Elements that were added not long ago: what is removed and looked for.
constexpr std::uint64_t kRecent = 20;

// Numbers are written as numbers; anything else that a server replies stays what it is.
json value_of(const std::string& text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size() && !text.empty()) return number;
  // Whatever bytes they are, they have to be told apart.
  return json::parse(json(text).dump(-1, ' ', true, json::error_handler_t::replace));
}

bool is_nil(std::string_view reply) {
  return reply == "$-1\r\n" || reply == "*-1\r\n" || reply == "_\r\n";
}

}  // namespace

std::vector<std::string> cas_words(CasCommand command, const std::string& key,
                                   const std::string& old, const std::string& value) {
  if (command == CasCommand::kIfeq) return {"SET", key, value, "IFEQ", old};
  return {"EVAL", std::string(kCasScript), "1", key, old, value};
}

bool is_certainly_not_done(std::string_view error) {
  constexpr std::string_view kWords[] = {
      "UNAVAILABLE", "CONSISTENCY", "STALE",  "NORIGHTS", "OTHERNODE", "CROSSGROUP", "CLUSTERDOWN",
      "READONLY",    "LOADING",     "NOAUTH", "NOPERM",   "WRONGTYPE", "OOM",        "MASTERDOWN"};
  return std::ranges::any_of(kWords,
                             [&](std::string_view word) {
                               return error.starts_with(word) &&
                                      (error.size() == word.size() || error[word.size()] == ' ');
                             }) ||
         error.starts_with("ERR unknown command");
}

Workload::Workload(WorkloadOptions options) : options_(std::move(options)) {}

PlannedOperation Workload::next(Mind& mind) {
  const std::uint64_t number = begun_.fetch_add(1, std::memory_order_relaxed);
  std::uint64_t place = mind.random() % options_.keys;
  const bool goes_on = mind.just_read && mind.random() % 2 == 0;
  if (goes_on) place = *mind.just_read;
  mind.just_read.reset();
  const std::uint64_t round =
      options_.per_key == 0 ? 0 : number / (options_.per_key * options_.keys);
  PlannedOperation plan;
  plan.key = fmt::format("{}{}", options_.prefix, round * options_.keys + place);
  mind.last_read.resize(options_.keys);
  auto& [last_key, last_value] = mind.last_read[place];
  if (last_key != plan.key) {
    last_key = plan.key;
    last_value.clear();
  }
  const auto of_ten = mind.random() % 10;
  const auto new_value = [&] { return value_.fetch_add(1, std::memory_order_relaxed) + 1; };
  const auto read = [&](std::string_view command) {
    plan.f = "read";
    plan.words = {std::string(command), plan.key};
    plan.only_reads = true;
  };
  switch (options_.model) {
    case Model::kRegister:
      if (!goes_on && of_ten < 5) {
        read("GET");
        if (options_.cas != CasCommand::kNone) mind.just_read = place;
      } else if ((goes_on || of_ten < 6) && options_.cas != CasCommand::kNone &&
                 !last_value.empty()) {
        const std::uint64_t value = new_value();
        plan.f = "cas";
        plan.value = json::array({value_of(last_value), value});
        plan.words = cas_words(options_.cas, plan.key, last_value, std::to_string(value));
      } else {
        plan.f = "write";
        plan.value = new_value();
        plan.words = {"SET", plan.key, plan.value.dump()};
      }
      break;
    case Model::kAppend:
      if (of_ten < 4) {
        read("GET");
      } else {
        const std::string text = fmt::format("[{}]", new_value());
        plan.f = "append";
        plan.value = text;
        plan.words = {"APPEND", plan.key, text};
      }
      break;
    case Model::kCounter:
      if (of_ten < 4) {
        read("GET");
      } else {
        plan.f = "add";
        plan.value = 1 + mind.random() % 9;
        plan.words = {"INCRBY", plan.key, plan.value.dump()};
      }
      break;
    case Model::kSet: {
      const std::uint64_t latest = value_.load(std::memory_order_relaxed);
      const std::uint64_t recent = latest - std::min(latest, mind.random() % kRecent);
      if (mind.random() % 40 == 0) {
        read("SMEMBERS");
      } else if (of_ten < 5 && recent > 0) {
        plan.f = "contains";
        plan.value = recent;
        plan.words = {"SISMEMBER", plan.key, plan.value.dump()};
        plan.only_reads = true;
      } else if (of_ten < 7 && recent > 0) {
        plan.f = "remove";
        plan.value = recent;
        plan.words = {"SREM", plan.key, plan.value.dump()};
      } else {
        plan.f = "add";
        plan.value = new_value();
        plan.words = {"SADD", plan.key, plan.value.dump()};
      }
      break;
    }
  }
  return plan;
}

CompletedOperation Workload::complete(const PlannedOperation& operation, std::string_view reply,
                                      Mind& mind) const {
  const auto decoded = decode_reply(reply);
  if (!decoded) {
    const std::string& error = decoded.error().message;
    // Whatever went wrong with a read, it did nothing.
    const bool nothing = operation.only_reads || is_certainly_not_done(error);
    return {nothing ? "fail" : "info", nullptr, error};
  }
  const auto nonsense = [&]() -> CompletedOperation {
    return {operation.only_reads ? "fail" : "info", nullptr, "the reply makes no sense"};
  };
  const auto number = [&]() { return decoded->empty() ? json() : value_of(decoded->front()); };
  if (operation.f == "read") {
    switch (options_.model) {
      case Model::kRegister: {
        if (is_nil(reply)) return {"ok", nullptr, {}};
        if (decoded->empty()) return nonsense();
        for (auto& [key, value] : mind.last_read) {
          if (key == operation.key) value = decoded->front();
        }
        return {"ok", value_of(decoded->front()), {}};
      }
      case Model::kAppend: {
        if (is_nil(reply)) return {"ok", "", {}};
        const json text = decoded->empty() ? json() : json(decoded->front());
        return {"ok", json::parse(text.dump(-1, ' ', true, json::error_handler_t::replace)), {}};
      }
      case Model::kCounter: {
        if (is_nil(reply)) return {"ok", 0, {}};
        const json sum = number();
        return sum.is_number() ? CompletedOperation{"ok", sum, {}} : nonsense();
      }
      case Model::kSet: {
        json elements = json::array();
        for (const std::string& element : *decoded) elements.push_back(value_of(element));
        return {"ok", elements, {}};
      }
    }
  }
  if (operation.f == "contains") {
    return {"ok", json::array({operation.value, number() == 1}), {}};
  }
  if (operation.f == "cas") {
    if (is_nil(reply) || number() == 0) return {"fail", operation.value, {}};
    if (number() == 1 || decoded->front() == "OK") return {"ok", operation.value, {}};
    return nonsense();
  }
  if (operation.f == "add" && options_.model == Model::kCounter) {
    const json sum = number();
    return sum.is_number() ? CompletedOperation{"ok", json::array({operation.value, sum}), {}}
                           : nonsense();
  }
  return {"ok", operation.value, {}};
}

}  // namespace even::cli
