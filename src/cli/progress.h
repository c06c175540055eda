// How far a run has come that takes longer than two seconds, as a bar; on a terminal only.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

namespace even::cli {

class Progress {
 public:
  Progress();
  ~Progress();  // takes the bar away
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Bytes.
  void show(std::uint64_t done, std::uint64_t all);
  // Of whatever there are.
  void show_share(std::uint64_t done, std::uint64_t all, std::string_view what);

 private:
  bool due(std::uint64_t all);
  void draw(std::uint64_t done, std::uint64_t all, std::string_view text);

  const bool on_terminal_;
  std::chrono::steady_clock::time_point next_;
  bool drawn_ = false;
};

}  // namespace even::cli
