// `even verify`: does a history of clients have a property?
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <string>

#include "cli/commands.h"
#include "verify/explain.h"
#include "verify/isolation.h"
#include "verify/linearizable.h"
#include "verify/reduce.h"

namespace even::cli {
namespace {

using std::chrono::steady_clock;

// Exit codes, beside 2 for bad input.
constexpr int kHolds = 0;
constexpr int kViolated = 1;
constexpr int kBadInput = 2;
constexpr int kUndecided = 3;

// A violation is made smaller for so long at most.
constexpr std::chrono::seconds kReducing{20};

constexpr std::string_view kTransactions = "transactions";

struct Options {
  std::string property;
  std::string file;
  std::string name() const { return file == "-" ? "standard input" : file; }
  std::string model = "register";
  std::string svg;
  double limit_seconds = 0;  // 0: none
  std::uint64_t memory_mib = 2048;
};

int complain(const std::string& message) {
  std::fflush(stdout);
  fmt::print(stderr, "even verify: {}\n", message);
  return kBadInput;
}

// How far it has come, on a terminal, once it takes long.
class Notice {
 public:
  ~Notice() {
    if (shown_) fmt::print(stderr, "\r\033[K");
  }
  void show(std::string_view what, std::uint64_t done, std::uint64_t all) {
    const auto now = steady_clock::now();
    if (!on_terminal_ || now < next_) return;
    next_ = now + std::chrono::milliseconds(200);
    shown_ = true;
    if (all > 0) {
      fmt::print(stderr, "\r\033[K{} {} of {}", what, done, all);
    } else {
      fmt::print(stderr, "\r\033[K{} {}", what, done);
    }
    std::fflush(stderr);
  }

 private:
  const bool on_terminal_ = ::isatty(STDERR_FILENO) == 1;
  steady_clock::time_point next_ = steady_clock::now() + std::chrono::seconds(2);
  bool shown_ = false;
};

std::string seconds_since(steady_clock::time_point begin) {
  return fmt::format("{:.2f} s",
                     std::chrono::duration<double>(steady_clock::now() - begin).count());
}

// Calls read(stream, progress).
template <typename Read>
auto load(const Options& options, Read read) -> decltype(read(std::cin, {})) {
  Notice notice;
  const auto progress = [&](std::uint64_t bytes) { notice.show("read MiB", bytes >> 20, 0); };
  if (options.file == "-") return read(std::cin, progress);
  std::ifstream in(options.file, std::ios::binary);
  if (!in) return fail(fmt::format("cannot be opened: {}", std::strerror(errno)));
  return read(in, progress);
}

using Progress = std::function<void(std::uint64_t)>;

Result<verify::History> load_history(const Options& options, verify::Model model) {
  return load(options, [model](std::istream& in, const Progress& progress) {
    return verify::read_history(in, model, progress);
  });
}

Result<verify::TransactionHistory> load_transactions(const Options& options) {
  if (options.model == kTransactions) {
    return load(options, [](std::istream& in, const Progress& progress) {
      return verify::read_transactions(in, progress);
    });
  }
  Result<verify::History> history = load_history(options, verify::Model::kRegister);
  if (!history) return std::unexpected(history.error());
  return verify::transactions_of(std::move(*history));
}

verify::Limits limits_of(const Options& options, steady_clock::time_point begin) {
  verify::Limits limits;
  limits.memory_bytes = options.memory_mib << 20;
  if (options.limit_seconds > 0) {
    limits.deadline = begin + std::chrono::duration_cast<steady_clock::duration>(
                                  std::chrono::duration<double>(options.limit_seconds));
  }
  return limits;
}

int show_violation(const Options& options, verify::Problem violation) {
  const verify::Explanation explanation =
      verify::explain(verify::reduce(std::move(violation), steady_clock::now() + kReducing));
  fmt::print("\n{}", verify::explanation_text(explanation));
  if (options.svg.empty()) return kViolated;
  std::ofstream out(options.svg, std::ios::binary | std::ios::trunc);
  out << verify::explanation_svg(explanation);
  out.flush();
  if (out) {
    fmt::print("\nAs a picture: {}\n", options.svg);
  } else {
    fmt::print(stderr, "even verify: cannot write {}\n", options.svg);
  }
  return kViolated;
}

struct NamedProperty {
  std::string_view name;
  std::string_view adjective;                // "is ...", "is NOT ..."
  std::optional<verify::Property> property;  // none: convergence
};
constexpr NamedProperty kProperties[] = {
    {"sequential", "sequentially consistent", verify::Property::kSequential},
    {"causal", "causally consistent", verify::Property::kCausal},
    {"session", "consistent for each session", verify::Property::kSession},
    {"read-atomic", "read atomic", verify::Property::kReadAtomic},
    {"read-committed", "read committed", verify::Property::kReadCommitted},
    {"convergence", "convergent", std::nullopt}};

int report(const Options& options, const NamedProperty& property, const std::string& what,
           const verify::IsolationResult& result, steady_clock::time_point begin) {
  const std::string seconds = seconds_since(begin);
  switch (result.verdict) {
    case verify::Verdict::kHolds:
      fmt::print("{} is {}: {}, {}\n", options.name(), property.adjective, what, seconds);
      return kHolds;
    case verify::Verdict::kUndecided:
      fmt::print(
          "{} is not decided: {}, {}. It would take more time (--limit-seconds) or memory "
          "(--memory), or what was still open at its end\n",
          options.name(), what, seconds);
      return kUndecided;
    case verify::Verdict::kViolated:
      fmt::print("{} is NOT {}: {}, {}\n\n{}", options.name(), property.adjective, what, seconds,
                 result.explanation);
      return kViolated;
  }
  return kUndecided;
}

int run_weaker(const Options& options, const NamedProperty& property) {
  if (!options.svg.empty()) return complain("only what is not linearizable can be drawn");
  const bool transactions = options.model == kTransactions && property.property;
  if (options.model != "register" && !transactions) {
    return complain(
        fmt::format("there is no model '{}' for {}; there {}", options.model, property.name,
                    property.property ? "are: register, transactions" : "is: register"));
  }
  const auto begin = steady_clock::now();
  if (!property.property) {
    const Result<verify::History> history = load_history(options, verify::Model::kRegister);
    if (!history) return complain(fmt::format("{}: {}", options.name(), history.error().message));
    return report(
        options, property,
        fmt::format("{} operations on {} keys", history->operations.size(), history->keys.size()),
        verify::check_convergence(*history), begin);
  }
  const Result<verify::TransactionHistory> history = load_transactions(options);
  if (!history) return complain(fmt::format("{}: {}", options.name(), history.error().message));
  const auto result =
      verify::check_isolation(*history, *property.property, limits_of(options, begin));
  return report(
      options, property,
      fmt::format("{} transactions of {} sessions on {} keys", history->transactions.size(),
                  history->sessions.size(), history->keys.size()),
      result, begin);
}

int run(const Options& options) {
  for (const NamedProperty& property : kProperties) {
    if (property.name == options.property) return run_weaker(options, property);
  }
  if (options.property != "linearizable") {
    return complain(
        fmt::format("there is no property '{}' to verify; there are: linearizable, sequential, "
                    "causal, session, read-atomic, read-committed, convergence",
                    options.property));
  }
  const auto model = verify::parse_model(options.model);
  if (!model) {
    return complain(fmt::format(
        "there is no model '{}' for it; there are: register, append, counter, set", options.model));
  }
  const auto begin = steady_clock::now();
  const Result<verify::History> history = load_history(options, *model);
  if (!history) return complain(fmt::format("{}: {}", options.name(), history.error().message));
  const std::string what =
      fmt::format("{} operations on {} keys", history->operations.size(), history->keys.size());

  verify::CheckOptions check;
  check.limits = limits_of(options, begin);
  verify::CheckResult result;
  {
    Notice notice;
    check.progress = [&](std::uint64_t done, std::uint64_t all) {
      notice.show("operations decided:", done, all);
    };
    result = verify::check_linearizable(*history, check);
  }
  switch (result.verdict) {
    case verify::Verdict::kHolds:
      fmt::print("{} is linearizable: {}, {}\n", options.name(), what, seconds_since(begin));
      return kHolds;
    case verify::Verdict::kUndecided:
      fmt::print(
          "{} is not decided: {}, {}. {} of the keys, among them {}, would take more time "
          "(--limit-seconds) or memory (--memory); all others are linearizable\n",
          options.name(), what, seconds_since(begin), result.undecided_keys,
          result.first_undecided);
      return kUndecided;
    case verify::Verdict::kViolated:
      fmt::print("{} is NOT linearizable: {}, {}\n", options.name(), what, seconds_since(begin));
      std::fflush(stdout);
      return show_violation(options, std::move(*result.violation));
  }
  return kUndecided;
}

}  // namespace

void add_verify(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "verify",
      "Decide whether a history of clients has a property, and show a smallest counter-example. "
      "Exit code 0: it has; 1: it has not; 2: bad input; 3: not decided within the limits");
  command
      ->add_option("property", options->property,
                   "linearizable: each operation takes effect at one moment between its beginning "
                   "and its end, on each key as one copy would; sequential: there is one order of "
                   "all that keeps each process's own; causal: nobody sees an effect without its "
                   "cause; session: of each key, the four session guarantees; read-atomic, "
                   "read-committed: of transactions; convergence: in the end all read the same")
      ->required()
      ->type_name("PROPERTY");
  command
      ->add_option("file", options->file,
                   "History: JSON lines as `even record` writes them (docs/verify.md); - for "
                   "standard input")
      ->required()
      ->type_name("FILE");
  command
      ->add_option("--model", options->model,
                   "What a key is: register (read, write, cas; default), append (a string: read, "
                   "append, write), counter (read, add), set (read, contains, add, remove), "
                   "transactions (of reads and writes; not for linearizable)")
      ->type_name("MODEL");
  command
      ->add_option("--svg", options->svg, "Draw the counter-example as time lines into this file")
      ->type_name("OUT");
  command
      ->add_option("--limit-seconds", options->limit_seconds,
                   "Give up after so long (default: no limit)")
      ->check(CLI::PositiveNumber)
      ->type_name("S");
  command
      ->add_option("--memory", options->memory_mib,
                   "Give up when what was tried takes more than so many MiB (default 2048)")
      ->check(CLI::Range(1, 1 << 20))
      ->type_name("MIB");
  command->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace even::cli
