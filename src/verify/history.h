// Histories of clients: what each asked for and when, what it was told and when. Read from JSON
// lines, one event a line (docs/verify.md has the format); nothing here knows which database they
// come from.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <functional>
#include <istream>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace even::verify {

// What kind of object each key is.
enum class Model : std::uint8_t { kRegister, kAppend, kCounter, kSet };

std::optional<Model> parse_model(std::string_view name);
std::string_view model_name(Model model);

enum class Function : std::uint8_t { kRead, kWrite, kCas, kAppend, kAdd, kRemove, kContains };

enum class Outcome : std::uint8_t {
  kOk,        // took effect between its two events
  kMismatch,  // a compare-and-set that found another value between its two events
  kOpen,      // may take effect at any time after its invocation, or never
};

// A place in real time: the number of an event's line, from 1.
using Position = std::uint64_t;
inline constexpr Position kNever = std::numeric_limits<Position>::max();

// An operation and what came of it. Those that certainly did nothing are in no history.
//
//            a                                       b
//   read     what it returned (kSet: a row of        -
//            History::sets)
//   write    what it wrote                           -
//   cas      the new value                           the old value
//   append   what it appended                        -
//   add      kCounter: the summand; kSet: the        kCounter, if has_b: the sum it returned
//            element
//   remove   the element                             -
//   contains the element                             0 or 1
//
// Of kCounter a and b are numbers, otherwise values of History::values.
struct Operation {
  std::int64_t process = 0;
  Position invoked = 0;
  Position completed = kNever;  // kNever exactly if it is open
  std::int64_t a = 0;
  std::int64_t b = 0;
  std::int64_t invoked_ns = -1;  // as the history tells; -1: it does not
  std::int64_t completed_ns = -1;
  std::uint32_t key = 0;
  Function function = Function::kRead;
  Outcome outcome = Outcome::kOk;
  bool has_b = false;
  // Of what was a compare-and-set only that it wrote is looked at, as if it were a write (b tells
  // yet what it replaced): a history without an order has none with the compare-and-set either.
  bool only_writes = false;
  // Set by explain.h: whatever this read returns is right.
  bool any_result = false;

  bool open() const { return outcome == Outcome::kOpen; }
};

// Values and their numbers. 0 is null, which is what a register holds at first.
class Values {
 public:
  Values();
  // A value is told from others by its text (JSON without blanks; of kAppend the bytes themselves).
  std::int64_t intern(std::string_view text);
  std::int64_t intern(std::int64_t number);
  std::string text(std::int64_t value) const;
  // Of a value that was interned as text; the view lives as long as nothing is interned.
  std::string_view bytes(std::int64_t value) const;

 private:
  struct Entry {
    bool is_number;
    std::int64_t number_or_text;  // the number, or the row of texts_
  };
  std::vector<Entry> entries_;
  std::vector<std::string> texts_;
  absl::flat_hash_map<std::int64_t, std::int64_t> numbers_;
  absl::flat_hash_map<std::string, std::int64_t> by_text_;
};

inline constexpr std::int64_t kNull = 0;

struct History {
  Model model = Model::kRegister;
  std::vector<Operation> operations;  // by their invocations
  std::vector<std::string> keys;
  Values values;
  std::vector<std::vector<std::int64_t>> sets;  // what reads of sets returned, sorted
  std::uint64_t certainly_not_done = 0;         // operations that are left out for that reason
};

// Takes a history line by line. An error names the line; after one the reader is of no use.
class HistoryReader {
 public:
  explicit HistoryReader(Model model);

  Result<> take(std::string_view line);
  // Operations that are under way at the end stay open.
  History finish() &&;

 private:
  struct Event;
  struct Process {
    std::int64_t operation = -1;  // the one under way
    bool gone = false;            // its last operation ended in info
  };

  Result<Event> parse(std::string_view line) const;
  Result<> invoke(const Event& event);
  Result<> complete(const Event& event);
  Result<> take_argument(const Event& event, Operation& operation);
  Result<> take_result(const Event& event, Operation& operation);
  std::unexpected<Error> bad(std::string_view what) const;

  History history_;
  Position line_ = 0;
  absl::flat_hash_map<std::int64_t, Process> processes_;
  absl::flat_hash_map<std::string, std::uint32_t> keys_;
  std::vector<bool> dropped_;  // by operation
};

inline constexpr std::size_t kMostLineBytes = std::size_t{64} << 20;
inline constexpr std::size_t kMostNesting = 64;
inline constexpr std::size_t kMostOperations = std::size_t{1} << 30;

// Reads until the end. `progress`, if any, is called now and then with the bytes read so far.
Result<History> read_history(std::istream& in, Model model,
                             const std::function<void(std::uint64_t)>& progress = {});

// "read → 4", "write 4", "cas 3 → 4": an operation and what came of it, without its process.
// Long values are cut in the middle.
std::string operation_text(const History& history, const Operation& operation);

// A value of a register, a string, a counter: for people, long ones cut in the middle.
std::string value_text(const History& history, std::int64_t value);
std::string shortened(std::string text);

}  // namespace even::verify
