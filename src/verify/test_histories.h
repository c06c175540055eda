// Histories for tests: made by clients of a real object, or damaged; and a judge that tries every
// order, for short ones.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "verify/history.h"
#include "verify/specification.h"

namespace even::verify {

inline History parse_history(Model model, const std::string& lines) {
  std::istringstream in(lines);
  Result<History> history = read_history(in, model);
  if (!history) {
    ADD_FAILURE() << history.error().message << "\n" << lines;
    return {};
  }
  return std::move(*history);
}

inline std::vector<Problem> split_by_key(const History& history) {
  const ByKey by_key(history);
  std::vector<Problem> problems;
  for (std::size_t key = 0; key < by_key.keys(); ++key) problems.push_back(by_key.problem(key));
  return problems;
}

// A history of other projects, and what is to be found.
struct Conformance {
  std::string file;  // its path
  std::string model;
  std::string verdict;
};
// None where the folder is not there. EVEN_CONFORMANCE names another one.
inline std::vector<Conformance> conformance() {
  const char* where = std::getenv("EVEN_CONFORMANCE");
  const auto folder = where != nullptr
                          ? std::filesystem::path(where)
                          : std::filesystem::path(EVEN_SOURCE_DIR) / "../shared/conformance";
  std::vector<Conformance> all;
  std::ifstream expected(folder / "expected.tsv");
  std::string line;
  std::getline(expected, line);
  while (std::getline(expected, line)) {
    std::istringstream columns(line);
    Conformance& each = all.emplace_back();
    std::getline(columns, each.file, '\t');
    std::getline(columns, each.model, '\t');
    std::getline(columns, each.verdict, '\t');
    each.file = (folder / each.file).string();
  }
  return all;
}

// One event as a line.
inline std::string event(int process, std::string_view type, std::string_view f,
                         std::string_view value, std::string_view key = "x") {
  return fmt::format(R"({{"process": {}, "type": "{}", "f": "{}", "key": "{}", "value": {}}})"
                     "\n",
                     process, type, f, key, value);
}

// An operation that nothing else happens during.
inline std::string whole(int process, std::string_view f, std::string_view argument,
                         std::string_view result) {
  return event(process, "invoke", f, argument) + event(process, "ok", f, result);
}

// Clients of one object that does everything at one moment.
struct Generator {
  Model model = Model::kRegister;
  int clients = 3;
  int operations = 8;
  int values = 3;           // how many are written; 0: each once
  bool cas = true;          // register
  bool removes = true;      // set
  bool whole_reads = true;  // set
  double info = 0.1;        // share of operations whose end nobody knows
  double damage = 0;        // share of results that are wrong

  std::string make(std::uint64_t seed) {
    random.seed(seed);
    struct Client {
      int process;
      bool busy = false;
      bool done = false;
      std::string f, argument, result, type;
    };
    std::vector<Client> all;
    int next_process = 0;
    for (int i = 0; i < clients; ++i) all.push_back({next_process++, false, false, {}, {}, {}, {}});
    std::string lines;
    int begun = 0;
    int busy = 0;
    while (begun < operations || busy > 0) {
      Client& client = all[pick(all.size())];
      if (!client.busy) {
        if (begun == operations) continue;
        ++begun;
        ++busy;
        client.busy = true;
        client.done = false;
        std::tie(client.f, client.argument) = choose();
        lines += event(client.process, "invoke", client.f, client.argument);
      } else if (!client.done) {
        client.done = true;
        if (chance(info)) {
          client.type = "info";
          if (chance(0.5)) execute(client.f, client.argument);
          client.result = "null";
        } else {
          std::tie(client.type, client.result) = execute(client.f, client.argument);
          if (chance(damage))
            std::tie(client.type, client.result) = spoil(client.f, client.argument);
        }
      } else {
        client.busy = false;
        --busy;
        lines += event(client.process, client.type, client.f, client.result);
        if (client.type == "info") client.process = next_process++;
      }
    }
    return lines;
  }

  std::mt19937_64 random;
  std::string state = "null";  // of register (JSON), of append (text)
  long counter = 0;
  std::set<int> elements;
  int written = 0;
  bool fresh = true;

  std::size_t pick(std::size_t below) { return random() % below; }
  bool chance(double share) { return std::uniform_real_distribution<double>(0, 1)(random) < share; }
  std::string any_value() {
    return std::to_string(values > 0
                              ? static_cast<int>(pick(static_cast<std::size_t>(values)))
                              : static_cast<int>(pick(static_cast<std::size_t>(written + 1))));
  }
  std::string new_value() { return values > 0 ? any_value() : std::to_string(++written); }

  std::pair<std::string, std::string> choose() {
    const auto which = pick(6);
    switch (model) {
      case Model::kRegister:
        if (which < 2) return {"read", "null"};
        if (which < 4 || !cas) return {"write", new_value()};
        // What it holds now, mostly: so that some succeed.
        return {"cas", fmt::format("[{}, {}]", chance(0.7) ? state : any_value(), new_value())};
      case Model::kAppend:
        if (which < 3) return {"read", "null"};
        if (which == 3 && cas) return {"write", '"' + new_value() + ".\""};
        return {"append", '"' + new_value() + ".\""};
      case Model::kCounter:
        if (which < 2) return {"read", "null"};
        return {"add", std::to_string(static_cast<int>(pick(4)) - (cas ? 1 : 0))};
      case Model::kSet:
        if (which == 0 && whole_reads) return {"read", "null"};
        if (which < 3) return {"contains", any_value()};
        if (which == 3 && removes) return {"remove", any_value()};
        return {"add", new_value()};
    }
    return {};
  }

  std::string held() {
    if (model == Model::kRegister) return state;
    if (model == Model::kAppend) return '"' + (state == "null" ? "" : state) + '"';
    if (model == Model::kCounter) return std::to_string(counter);
    return fmt::format("[{}]", fmt::join(elements, ", "));
  }

  // Type of the completion and its value.
  std::pair<std::string, std::string> execute(const std::string& f, const std::string& argument) {
    if (f == "read") return {"ok", held()};
    const std::string text =
        argument.substr(argument[0] == '"' ? 1 : 0, argument.size() - (argument[0] == '"' ? 2 : 0));
    if (f == "write") {
      state = text;
    } else if (f == "append") {
      state = (state == "null" ? "" : state) + text;
    } else if (f == "cas") {
      const auto comma = argument.find(", ");
      if (argument.substr(1, comma - 1) != state) return {"fail", argument};
      state = argument.substr(comma + 2, argument.size() - comma - 3);
    } else if (model == Model::kCounter) {
      counter += std::stol(text);
      if (chance(0.5)) return {"ok", fmt::format("[{}, {}]", text, counter)};
    } else if (f == "add") {
      elements.insert(std::stoi(text));
    } else if (f == "remove") {
      elements.erase(std::stoi(text));
    } else {
      return {"ok", fmt::format("[{}, {}]", text, elements.contains(std::stoi(text)))};
    }
    return {"ok", argument};
  }

  // What it might have replied, but probably did not.
  std::pair<std::string, std::string> spoil(const std::string& f, const std::string& argument) {
    if (f == "cas") return {chance(0.5) ? "ok" : "fail", argument};
    if (f == "contains") return {"ok", fmt::format("[{}, {}]", argument, chance(0.5))};
    if (f != "read") return {"ok", argument};
    switch (model) {
      case Model::kRegister:
        return {"ok", chance(0.2) ? "null" : any_value()};
      case Model::kAppend:
        return {"ok", fmt::format("\"{}.\"", any_value())};
      case Model::kCounter:
        return {"ok", std::to_string(counter + 1 - static_cast<long>(pick(3)))};
      case Model::kSet:
        return {"ok", fmt::format("[{}]", any_value())};
    }
    return {};
  }
};

// Tries every order, with an object of its own.
class EveryOrder {
 public:
  explicit EveryOrder(const Problem& problem) : problem_(problem), taken_(size()) {
    number_ = problem.initial;
    if (problem.model() == Model::kAppend && problem.initial != kNull) {
      text_ = problem.history->values.text(problem.initial);
    }
  }
  bool exists() { return go_on(); }

 private:
  std::size_t size() const { return problem_.operations.size(); }

  bool go_on() {
    bool all = true;
    Position first_end = kNever;
    for (std::size_t i = 0; i < size(); ++i) {
      if (taken_[i] || problem_.operations[i].open()) continue;
      all = false;
      first_end = std::min(first_end, problem_.operations[i].completed);
    }
    if (all) return true;
    for (std::size_t i = 0; i < size(); ++i) {
      if (taken_[i] || problem_.operations[i].invoked > first_end) continue;
      const auto saved = std::tuple(number_, text_, set_);
      if (step(problem_.operations[i])) {
        taken_[i] = true;
        if (go_on()) return true;
        taken_[i] = false;
      }
      std::tie(number_, text_, set_) = saved;
    }
    return false;
  }

  bool step(const Operation& it) {
    const auto& history = *problem_.history;
    const bool is_open = it.open();
    switch (history.model) {
      case Model::kRegister:
        if (it.function == Function::kRead) return number_ == it.a;
        if (it.function == Function::kCas) {
          if (it.outcome == Outcome::kMismatch) return number_ != it.b;
          if (number_ != it.b) return false;
        }
        number_ = it.a;
        return true;
      case Model::kAppend:
        if (it.function == Function::kRead) return text_ == history.values.text(it.a);
        if (it.function == Function::kWrite) text_.clear();
        text_ += history.values.text(it.a);
        return true;
      case Model::kCounter:
        if (it.function == Function::kRead) return number_ == it.a;
        number_ += it.a;
        return is_open || !it.has_b || number_ == it.b;
      case Model::kSet:
        if (it.function == Function::kRead) {
          const auto& read = history.sets[static_cast<std::size_t>(it.a)];
          return set_ == std::set<std::int64_t>(read.begin(), read.end());
        }
        if (it.function == Function::kContains) return set_.contains(it.a) == (it.b != 0);
        if (it.function == Function::kAdd) set_.insert(it.a);
        if (it.function == Function::kRemove) set_.erase(it.a);
        return true;
    }
    return false;
  }

  const Problem& problem_;
  std::vector<bool> taken_;
  std::int64_t number_;
  std::string text_;
  std::set<std::int64_t> set_;
};

}  // namespace even::verify
