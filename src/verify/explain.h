// A violation for people: what is wrong with it, as text and as a picture of time lines, one for
// each process, after the manner of figures 9-2 to 9-4 of M. Kleppmann, Designing Data-Intensive
// Applications (2017).
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "verify/specification.h"

namespace even::verify {

struct Explanation {
  Problem problem;         // the operations that are shown
  std::size_t hidden = 0;  // earlier ones of the violation, which are not
  // Rows of problem.operations: the one that cannot be, and the last one of those that ended before
  // it began.
  std::optional<std::size_t> culprit;
  std::optional<std::size_t> before;
  // What the culprit could have returned or found instead, if that is known.
  std::vector<std::string> possible;
};

// `violation` has no order (see reduce.h); its history must outlive the explanation.
Explanation explain(const Problem& violation);

// What is wrong, in one line, or empty: "Given the others, process 3's read returned 1, and ...".
std::string sentence(const Explanation& explanation);

// Several lines: the key, the time lines if there is room, the operations with the lines of the
// history and, where it tells them, its times.
std::string explanation_text(const Explanation& explanation);

// A whole SVG document.
std::string explanation_svg(const Explanation& explanation);

// Where the events of operations stand in a picture, from left to right in the order of real time,
// such that the label of each operation has room between its two events.
struct Layout {
  struct Span {
    double begin = 0;
    double end = 0;
    std::size_t lane = 0;
  };
  std::vector<Span> spans;              // by operation; open ones go on to `width`
  std::vector<std::int64_t> processes;  // by lane
  double width = 0;
};
// `room` is what each operation's label takes, `step` the least distance between two events.
Layout lay_out(const std::vector<Operation>& operations, const std::vector<double>& room,
               double step);

}  // namespace even::verify
