#include "verify/explain.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>

#include "verify/search.h"

namespace even::verify {
namespace {

constexpr std::size_t kMostShown = 60;
constexpr std::uint64_t kSearchSteps = 200'000;
constexpr std::size_t kMostPossible = 5;
constexpr double kMostColumns = 150;

bool sees(const Operation& it) {
  return it.function == Function::kRead || it.function == Function::kContains ||
         it.function == Function::kCas || (it.function == Function::kAdd && it.has_b);
}

// Characters, as far as they are one column wide each.
std::size_t columns(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char byte) { return (static_cast<unsigned char>(byte) & 0xc0) != 0x80; }));
}

std::string padded(std::string text, std::size_t width) {
  const std::size_t is = columns(text);
  return is < width ? text + std::string(width - is, ' ') : text;
}

std::vector<std::string> possible(const Problem& problem, std::size_t culprit) {
  Problem open = problem;
  Operation& it = open.operations[culprit];
  const bool is_element = it.function == Function::kContains;
  const std::string element = fmt::format("{{{}}}", value_text(*problem.history, it.a));
  it.function = Function::kRead;
  it.outcome = Outcome::kOk;
  it.has_b = false;
  it.any_result = true;
  Limits limits;
  limits.most_steps = kSearchSteps;
  std::vector<std::string> texts;
  for (const std::string& text : possible_results(open, limits)) {
    texts.push_back(!is_element ? text : text == element ? "yes" : "no");
  }
  std::ranges::sort(texts);
  texts.erase(std::ranges::unique(texts).begin(), texts.end());
  return texts;
}

std::string_view object_name(Model model) {
  switch (model) {
    case Model::kRegister:
      return "register holds";
    case Model::kAppend:
      return "string is";
    case Model::kCounter:
      return "counter is";
    case Model::kSet:
      return "set is";
  }
  return "";
}

std::string initial_text(const Problem& problem) {
  switch (problem.model()) {
    case Model::kSet:
      return "empty";
    case Model::kAppend:
      if (problem.initial == kNull) return "empty";
      [[fallthrough]];
    default:
      return value_text(*problem.history, problem.initial);
  }
}

std::string time_lines(const Explanation& explanation) {
  const auto& operations = explanation.problem.operations;
  std::vector<std::string> labels;
  std::vector<double> room;
  for (const Operation& it : operations) {
    labels.push_back(operation_text(*explanation.problem.history, it));
    room.push_back(static_cast<double>(columns(labels.back())) + 4);
  }
  const Layout layout = lay_out(operations, room, 2);
  if (layout.width > kMostColumns) return "";
  std::size_t name_width = 0;
  for (const std::int64_t process : layout.processes) {
    name_width = std::max(name_width, fmt::formatted_size("process {}", process));
  }
  std::string text;
  for (std::size_t lane = 0; lane < layout.processes.size(); ++lane) {
    std::string line;
    for (std::size_t i = 0; i < operations.size(); ++i) {
      const Layout::Span& span = layout.spans[i];
      if (span.lane != lane) continue;
      line = padded(std::move(line), static_cast<std::size_t>(span.begin));
      const bool is_open = operations[i].open();
      std::string bar = "├ " + labels[i] + " ";
      while (columns(bar) < static_cast<std::size_t>(span.end - span.begin)) bar += "─";
      line += bar + (is_open ? "┄ ?" : "┤");
      if (explanation.culprit == i) line += " ✗";
    }
    text += fmt::format("  {:<{}}  {}\n", fmt::format("process {}", layout.processes[lane]),
                        name_width, line);
  }
  return text + "\n";
}

std::string times(const Operation& it) {
  if (it.invoked_ns < 0) return "";
  const auto seconds = [](std::int64_t ns) { return static_cast<double>(ns) / 1e9; };
  if (it.completed_ns < 0) return fmt::format(", from {:.6f} s", seconds(it.invoked_ns));
  return fmt::format(", {:.6f} s to {:.6f} s", seconds(it.invoked_ns), seconds(it.completed_ns));
}

std::string reason_text(const Explanation& explanation) {
  const Problem& problem = explanation.problem;
  if (!problem.reason.empty()) return problem.reason;
  if (!explanation.culprit) return "";
  const Operation& culprit = problem.operations[*explanation.culprit];
  const std::string name = fmt::format("process {}'s", culprit.process);
  const auto value = [&](std::int64_t id) { return value_text(*problem.history, id); };
  std::string text;
  std::string_view verb = "returned";
  switch (culprit.function) {
    case Function::kCas:
      verb = "found";
      text = fmt::format("{} cas found {}{}", name,
                         culprit.outcome == Outcome::kMismatch ? "another value than " : "",
                         value(culprit.b));
      break;
    case Function::kAdd:
      verb = "found";
      text = fmt::format("{} add found {}", name, culprit.b - culprit.a);
      break;
    default: {
      const std::string said = operation_text(*problem.history, culprit);
      const auto arrow = said.find(" → ");
      text = fmt::format("{} {} returned {}", name, said.substr(0, arrow),
                         said.substr(arrow + std::string_view(" → ").size()));
    }
  }
  const auto& possible = explanation.possible;
  if (possible.empty() || possible.size() > kMostPossible) {
    return fmt::format("given the others, {}, which fits into no order of them", text);
  }
  return fmt::format("given the others, {}, and could only have {} {}", text, verb,
                     fmt::join(possible, " or "));
}

}  // namespace

Explanation explain(const Problem& violation) {
  Explanation explanation{.problem = violation};
  auto& operations = explanation.problem.operations;
  // The last to end of those whose result can be wrong.
  for (std::size_t i = 0; i < operations.size(); ++i) {
    if (operations[i].open() || !sees(operations[i])) continue;
    const auto& culprit = explanation.culprit;
    if (!culprit || operations[i].completed > operations[*culprit].completed) {
      explanation.culprit = i;
    }
  }
  if (explanation.culprit && violation.reason.empty()) {
    explanation.possible = possible(violation, *explanation.culprit);
  }
  if (operations.size() > kMostShown) {
    explanation.hidden = operations.size() - kMostShown;
    if (explanation.culprit < explanation.hidden) {
      explanation.culprit.reset();
    } else if (explanation.culprit) {
      *explanation.culprit -= explanation.hidden;
    }
    operations.erase(operations.begin(),
                     operations.begin() + static_cast<std::ptrdiff_t>(explanation.hidden));
  }
  if (!explanation.culprit) return explanation;
  const Operation& culprit = operations[*explanation.culprit];
  for (std::size_t i = 0; i < operations.size(); ++i) {
    if (operations[i].completed > culprit.invoked) continue;
    const auto& before = explanation.before;
    if (!before || operations[i].completed > operations[*before].completed) explanation.before = i;
  }
  return explanation;
}

std::string sentence(const Explanation& explanation) {
  std::string text = reason_text(explanation);
  if (text.empty()) return text;
  text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  return text + ".";
}

std::string explanation_text(const Explanation& explanation) {
  const Problem& problem = explanation.problem;
  const auto& operations = problem.operations;
  const std::string& key = problem.history->keys[operations.front().key];
  const std::size_t count = operations.size() + explanation.hidden;
  std::string text =
      problem.reason.empty()
          ? fmt::format(
                "Key {}: {} no order in which each takes effect at one moment between its\n"
                "beginning and its end. At first the {} {}.\n\n",
                key,
                count == 1 ? "this operation has" : fmt::format("these {} operations have", count),
                object_name(problem.model()), initial_text(problem))
          : fmt::format("Key {}: these {} operations contradict each other.\n\n", key, count);
  text += time_lines(explanation);
  if (explanation.hidden > 0) {
    text += fmt::format("  {} earlier operations are not shown\n", explanation.hidden);
  }
  std::size_t process_width = 0;
  std::size_t label_width = 0;
  for (const Operation& it : operations) {
    process_width = std::max(process_width, fmt::formatted_size("{}", it.process));
    label_width = std::max(label_width, columns(operation_text(*problem.history, it)));
  }
  for (std::size_t i = 0; i < operations.size(); ++i) {
    const Operation& it = operations[i];
    text += fmt::format("  process {:<{}}  {}  {}{}{}{}\n", it.process, process_width,
                        padded(operation_text(*problem.history, it), label_width),
                        it.open() ? fmt::format("from line {} on, no end yet", it.invoked)
                                  : fmt::format("lines {} to {}", it.invoked, it.completed),
                        times(it), it.only_writes ? ", needed for what it wrote only" : "",
                        explanation.culprit == i ? "  ✗" : "");
  }
  if (const std::string reason = sentence(explanation); !reason.empty())
    text += "\n" + reason + "\n";
  return text;
}

Layout lay_out(const std::vector<Operation>& operations, const std::vector<double>& room,
               double step) {
  struct Event {
    Position at;
    std::size_t operation;
    bool is_end;
  };
  Layout layout;
  layout.spans.resize(operations.size());
  std::vector<Event> events;
  absl::flat_hash_map<std::int64_t, std::size_t> lanes;
  double open_end = 0;
  for (std::size_t i = 0; i < operations.size(); ++i) {
    const Operation& it = operations[i];
    events.push_back({it.invoked, i, false});
    if (!it.open()) events.push_back({it.completed, i, true});
    const auto [lane, is_new] = lanes.try_emplace(it.process, layout.processes.size());
    if (is_new) layout.processes.push_back(it.process);
    layout.spans[i].lane = lane->second;
  }
  std::ranges::sort(events, {}, &Event::at);
  double x = -step;
  for (const Event& event : events) {
    x += step;
    Layout::Span& span = layout.spans[event.operation];
    if (event.is_end) {
      x = std::max(x, span.begin + room[event.operation]);
      span.end = x;
    } else {
      span.begin = x;
      if (operations[event.operation].open()) {
        open_end = std::max(open_end, x + room[event.operation]);
      }
    }
  }
  layout.width = std::max(x, open_end) + step;
  for (std::size_t i = 0; i < operations.size(); ++i) {
    if (operations[i].open()) layout.spans[i].end = layout.width;
  }
  return layout;
}

}  // namespace even::verify
