#include "verify/history.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

namespace even::verify {
namespace {

using nlohmann::json;

constexpr std::pair<std::string_view, Model> kModels[] = {{"register", Model::kRegister},
                                                          {"append", Model::kAppend},
                                                          {"counter", Model::kCounter},
                                                          {"set", Model::kSet}};

constexpr std::pair<std::string_view, Function> kFunctions[] = {
    {"read", Function::kRead},        {"write", Function::kWrite}, {"cas", Function::kCas},
    {"append", Function::kAppend},    {"add", Function::kAdd},     {"remove", Function::kRemove},
    {"contains", Function::kContains}};

std::string_view functions_of(Model model) {
  switch (model) {
    case Model::kRegister:
      return "read, write, cas";
    case Model::kAppend:
      return "read, append, write";
    case Model::kCounter:
      return "read, add";
    case Model::kSet:
      return "read, add, remove, contains";
  }
  return "";
}

std::optional<Function> parse_function(Model model, std::string_view name) {
  for (const auto& [known, function] : kFunctions) {
    if (known != name) continue;
    bool belongs = function == Function::kRead;
    switch (model) {
      case Model::kRegister:
        belongs |= function == Function::kWrite || function == Function::kCas;
        break;
      case Model::kAppend:
        belongs |= function == Function::kWrite || function == Function::kAppend;
        break;
      case Model::kCounter:
        belongs |= function == Function::kAdd;
        break;
      case Model::kSet:
        belongs |= function == Function::kAdd || function == Function::kRemove ||
                   function == Function::kContains;
        break;
    }
    return belongs ? std::optional(function) : std::nullopt;
  }
  return {};
}

std::string_view function_name(Function function) {
  for (const auto& [name, known] : kFunctions) {
    if (known == function) return name;
  }
  return "";
}

constexpr std::size_t kLongestText = 40;

// Of a JSON integer that an int64 holds.
std::optional<std::int64_t> integer(const json& value) {
  if (!value.is_number_integer()) return {};
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > INT64_MAX) return {};
  return value.get<std::int64_t>();
}

// How deep arrays and objects are in each other.
std::size_t nesting(std::string_view line) {
  std::size_t depth = 0;
  std::size_t most = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char byte = line[i];
    if (in_string && byte == '\\') {
      ++i;
    } else if (byte == '"') {
      in_string = !in_string;
    } else if (!in_string && (byte == '[' || byte == '{')) {
      most = std::max(most, ++depth);
    } else if (!in_string && (byte == ']' || byte == '}') && depth > 0) {
      --depth;
    }
  }
  return most;
}

}  // namespace

std::optional<Model> parse_model(std::string_view name) {
  for (const auto& [known, model] : kModels) {
    if (known == name) return model;
  }
  return {};
}

std::string_view model_name(Model model) {
  for (const auto& [name, known] : kModels) {
    if (known == model) return name;
  }
  return "";
}

Values::Values() { intern("null"); }

std::int64_t Values::intern(std::string_view text) {
  const auto [entry, is_new] =
      by_text_.try_emplace(std::string(text), static_cast<std::int64_t>(entries_.size()));
  if (is_new) {
    entries_.push_back({false, static_cast<std::int64_t>(texts_.size())});
    texts_.emplace_back(text);
  }
  return entry->second;
}

std::int64_t Values::intern(std::int64_t number) {
  const auto [entry, is_new] =
      numbers_.try_emplace(number, static_cast<std::int64_t>(entries_.size()));
  if (is_new) entries_.push_back({true, number});
  return entry->second;
}

std::string Values::text(std::int64_t value) const {
  const Entry& entry = entries_[static_cast<std::size_t>(value)];
  return entry.is_number ? std::to_string(entry.number_or_text)
                         : texts_[static_cast<std::size_t>(entry.number_or_text)];
}

std::string_view Values::bytes(std::int64_t value) const {
  const Entry& entry = entries_[static_cast<std::size_t>(value)];
  return texts_[static_cast<std::size_t>(entry.number_or_text)];
}

struct HistoryReader::Event {
  std::int64_t process = 0;
  std::string type;
  Function function = Function::kRead;
  std::optional<std::string> key;
  json value;  // null if there is none
  bool has_value = false;
  bool has_error = false;
  std::int64_t time = -1;
};

HistoryReader::HistoryReader(Model model) { history_.model = model; }

std::unexpected<Error> HistoryReader::bad(std::string_view what) const {
  return fail(fmt::format("line {}: {}", line_, what));
}

Result<HistoryReader::Event> HistoryReader::parse(std::string_view line) const {
  // Values are written and destroyed by functions that call themselves.
  if (nesting(line) > kMostNesting) {
    return bad(fmt::format("arrays and objects are nested more than {} deep", kMostNesting));
  }
  const json object = json::parse(line, nullptr, false);
  if (object.is_discarded()) return bad("this is not JSON");
  if (!object.is_object()) return bad("an event is a JSON object");
  Event event;
  const auto process = object.find("process");
  if (process == object.end() || !integer(*process)) {
    return bad("\"process\" is missing or no integer");
  }
  event.process = process->get<std::int64_t>();
  const auto type = object.find("type");
  if (type == object.end() || !type->is_string()) return bad("\"type\" is missing or no string");
  event.type = type->get<std::string>();
  if (event.type != "invoke" && event.type != "ok" && event.type != "fail" &&
      event.type != "info") {
    return bad(fmt::format("\"type\" is \"{}\"; it is invoke, ok, fail or info", event.type));
  }
  const auto f = object.find("f");
  if (f == object.end() || !f->is_string()) return bad("\"f\" is missing or no string");
  const auto function = parse_function(history_.model, f->get_ref<const std::string&>());
  if (!function) {
    return bad(fmt::format("\"f\" is \"{}\"; the model {} has {}", f->get_ref<const std::string&>(),
                           model_name(history_.model), functions_of(history_.model)));
  }
  event.function = *function;
  if (const auto key = object.find("key"); key != object.end()) {
    event.key = key->is_string() ? key->get<std::string>() : key->dump();
  }
  if (const auto value = object.find("value"); value != object.end()) {
    event.value = *value;
    event.has_value = true;
  }
  const auto error = object.find("error");
  event.has_error = error != object.end() && !error->is_null();
  if (const auto time = object.find("time"); time != object.end() && time->is_number_integer()) {
    event.time = time->get<std::int64_t>();
  }
  return event;
}

Result<> HistoryReader::take(std::string_view line) {
  ++line_;
  if (line.size() > kMostLineBytes) {
    return bad(fmt::format("it is longer than {} MiB", kMostLineBytes >> 20));
  }
  if (line.find_first_not_of(" \t\r") == std::string_view::npos) return {};
  const Result<Event> event = parse(line);
  if (!event) return std::unexpected(event.error());
  return event->type == "invoke" ? invoke(*event) : complete(*event);
}

Result<> HistoryReader::invoke(const Event& event) {
  Process& process = processes_[event.process];
  if (process.operation >= 0) {
    const auto& other = history_.operations[static_cast<std::size_t>(process.operation)];
    return bad(
        fmt::format("process {} has an operation under way since line {}; a process has one "
                    "at a time",
                    event.process, other.invoked));
  }
  if (process.gone) {
    return bad(
        fmt::format("process {} comes back after an operation that ended with info; it "
                    "would have to go on under a new number",
                    event.process));
  }
  if (!event.key) return bad("an invocation needs a \"key\"");
  if (history_.operations.size() >= kMostOperations) {
    return bad(fmt::format("more than {} operations", kMostOperations));
  }
  Operation operation{.process = event.process,
                      .invoked = line_,
                      .invoked_ns = event.time,
                      .function = event.function,
                      .outcome = Outcome::kOpen};
  const auto [key, is_new] =
      keys_.try_emplace(*event.key, static_cast<std::uint32_t>(history_.keys.size()));
  if (is_new) history_.keys.push_back(*event.key);
  operation.key = key->second;
  if (const Result<> taken = take_argument(event, operation); !taken) return taken;
  process.operation = static_cast<std::int64_t>(history_.operations.size());
  history_.operations.push_back(operation);
  dropped_.push_back(false);
  return {};
}

Result<> HistoryReader::take_argument(const Event& event, Operation& operation) {
  const json& value = event.value;
  const auto intern = [&](const json& element) {
    const auto number = integer(element);
    return number ? history_.values.intern(*number) : history_.values.intern(element.dump());
  };
  const bool strings = history_.model == Model::kAppend;
  switch (operation.function) {
    case Function::kRead:
      return {};
    case Function::kCas:
      if (!value.is_array() || value.size() != 2) {
        return bad("the \"value\" of cas is [old, new]");
      }
      operation.b = intern(value[0]);
      operation.a = intern(value[1]);
      operation.has_b = true;
      return {};
    case Function::kWrite:
    case Function::kAppend:
      if (!event.has_value) return bad("\"value\" is missing");
      if (strings && !value.is_string()) return bad("\"value\" is to be a string");
      operation.a =
          strings ? history_.values.intern(value.get_ref<const std::string&>()) : intern(value);
      return {};
    case Function::kAdd:
      if (history_.model == Model::kCounter) {
        const auto summand = integer(value);
        if (!summand) return bad("the \"value\" of add is an integer of 64 bits");
        operation.a = *summand;
        return {};
      }
      [[fallthrough]];
    case Function::kRemove:
    case Function::kContains:
      if (!event.has_value) return bad("\"value\", the element, is missing");
      operation.a = intern(value);
      return {};
  }
  return {};
}

Result<> HistoryReader::complete(const Event& event) {
  const auto found = processes_.find(event.process);
  if (found == processes_.end() || found->second.operation < 0) {
    return bad(fmt::format("process {} has no operation under way that could end with {}",
                           event.process, event.type));
  }
  Process& process = found->second;
  Operation& operation = history_.operations[static_cast<std::size_t>(process.operation)];
  if (operation.function != event.function) {
    return bad(fmt::format("\"f\" is {}, but the operation that process {} began in line {} is {}",
                           function_name(event.function), event.process, operation.invoked,
                           function_name(operation.function)));
  }
  if (event.key && *event.key != history_.keys[operation.key]) {
    return bad(
        fmt::format("\"key\" is {}, but the operation that process {} began in line {} is "
                    "on {}",
                    *event.key, event.process, operation.invoked, history_.keys[operation.key]));
  }
  const auto index = static_cast<std::size_t>(process.operation);
  process.operation = -1;
  operation.completed_ns = event.time;
  if (event.type == "info") {
    process.gone = true;
  } else if (event.type == "fail") {
    if (operation.function == Function::kCas && !event.has_error) {
      operation.outcome = Outcome::kMismatch;
      operation.completed = line_;
    } else {
      dropped_[index] = true;
      ++history_.certainly_not_done;
    }
  } else {
    if (const Result<> taken = take_result(event, operation); !taken) return taken;
    operation.outcome = Outcome::kOk;
    operation.completed = line_;
  }
  return {};
}

Result<> HistoryReader::take_result(const Event& event, Operation& operation) {
  const json& value = event.value;
  if (operation.function == Function::kRead) {
    if (!event.has_value) return bad("a read that is ok has a \"value\"");
    switch (history_.model) {
      case Model::kRegister: {
        Operation result{.function = Function::kWrite};
        if (const Result<> taken = take_argument(event, result); !taken) return taken;
        operation.a = result.a;
        return {};
      }
      case Model::kAppend:
        if (!value.is_string()) return bad("a read returns a string");
        operation.a = history_.values.intern(value.get_ref<const std::string&>());
        return {};
      case Model::kCounter: {
        const auto sum = integer(value);
        if (!sum) return bad("a read returns an integer of 64 bits");
        operation.a = *sum;
        return {};
      }
      case Model::kSet: {
        if (!value.is_array()) return bad("a read returns an array of the elements");
        std::vector<std::int64_t> elements;
        for (const json& element : value) {
          Event one;
          one.value = element;
          one.has_value = true;
          Operation result{.function = Function::kContains};
          if (const Result<> taken = take_argument(one, result); !taken) return taken;
          elements.push_back(result.a);
        }
        std::ranges::sort(elements);
        if (std::ranges::adjacent_find(elements) != elements.end()) {
          return bad("a read returns an element twice");
        }
        operation.a = static_cast<std::int64_t>(history_.sets.size());
        history_.sets.push_back(std::move(elements));
        return {};
      }
    }
  }
  // The completion may repeat the argument; [argument, result] tells a result as well.
  Event argument = event;
  const bool takes_result = operation.function == Function::kContains ||
                            (operation.function == Function::kAdd &&
                             history_.model == Model::kCounter && value.is_array());
  if (takes_result) {
    if (!value.is_array() || value.size() != 2) {
      return bad(operation.function == Function::kContains
                     ? "contains that is ok has the \"value\" [element, true or false]"
                     : "add that is ok has the \"value\" summand or [summand, sum]");
    }
    argument.value = value[0];
    if (operation.function == Function::kContains ? !value[1].is_boolean() : !integer(value[1])) {
      return bad("the result makes no sense");
    }
    operation.b = operation.function == Function::kContains ? value[1].get<bool>()
                                                            : value[1].get<std::int64_t>();
    operation.has_b = true;
  }
  if (!argument.has_value) return {};
  Operation repeated{.function = operation.function};
  if (const Result<> taken = take_argument(argument, repeated); !taken) return taken;
  if (repeated.a != operation.a ||
      (operation.function == Function::kCas && repeated.b != operation.b)) {
    return bad(
        fmt::format("the \"value\" is another one than that of line {}, where the operation "
                    "begins",
                    operation.invoked));
  }
  return {};
}

History HistoryReader::finish() && {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < history_.operations.size(); ++i) {
    // An open operation that would only have returned something tells nothing.
    const Operation& operation = history_.operations[i];
    const bool only_returns =
        operation.function == Function::kRead || operation.function == Function::kContains;
    if (!dropped_[i] && !(operation.open() && only_returns))
      history_.operations[kept++] = operation;
  }
  history_.operations.resize(kept);
  return std::move(history_);
}

Result<History> read_history(std::istream& in, Model model,
                             const std::function<void(std::uint64_t)>& progress) {
  constexpr std::uint64_t kBetweenReports = std::uint64_t{1} << 20;
  HistoryReader reader(model);
  std::uint64_t bytes = 0;
  std::uint64_t reported = 0;
  for (std::string line; std::getline(in, line);) {
    if (const Result<> taken = reader.take(line); !taken) return std::unexpected(taken.error());
    bytes += line.size() + 1;
    if (progress && bytes - reported >= kBetweenReports) progress(reported = bytes);
  }
  if (in.bad()) return fail("it cannot be read");
  return std::move(reader).finish();
}

std::string shortened(std::string text) {
  if (text.size() <= kLongestText) return text;
  std::size_t head = kLongestText / 2 - 1;
  std::size_t tail = text.size() - head;
  // Between characters of UTF-8.
  const auto inside = [&](std::size_t at) {
    return at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80;
  };
  while (head > 0 && inside(head)) --head;
  while (inside(tail)) ++tail;
  return fmt::format("{}…{}", text.substr(0, head), text.substr(tail));
}

std::string value_text(const History& history, std::int64_t value) {
  if (history.model == Model::kCounter) return std::to_string(value);
  if (history.model == Model::kAppend) {
    return shortened(
        json(history.values.text(value)).dump(-1, ' ', false, json::error_handler_t::replace));
  }
  return shortened(history.values.text(value));
}

std::string operation_text(const History& history, const Operation& operation) {
  const auto value = [&](std::int64_t id) { return value_text(history, id); };
  const std::string_view name = function_name(operation.function);
  switch (operation.function) {
    case Function::kRead:
      if (history.model == Model::kSet) {
        std::vector<std::string> texts;
        for (const std::int64_t element : history.sets[static_cast<std::size_t>(operation.a)]) {
          texts.push_back(value(element));
        }
        return fmt::format("read → {}", shortened(fmt::format("{{{}}}", fmt::join(texts, ", "))));
      }
      return fmt::format("read → {}", value(operation.a));
    case Function::kCas:
      return fmt::format("cas {} → {}{}", value(operation.b), value(operation.a),
                         operation.outcome == Outcome::kMismatch ? ": held another value" : "");
    case Function::kContains:
      return fmt::format("contains {} → {}", value(operation.a), operation.b != 0 ? "yes" : "no");
    case Function::kAdd:
      if (operation.has_b) return fmt::format("add {} → {}", operation.a, operation.b);
      [[fallthrough]];
    case Function::kWrite:
    case Function::kAppend:
    case Function::kRemove:
      if (operation.only_writes) {
        return fmt::format("cas {} → {}", value(operation.b), value(operation.a));
      }
      return fmt::format("{} {}", name, value(operation.a));
  }
  return "";
}

}  // namespace even::verify
