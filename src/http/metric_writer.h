// Prometheus's text format, version 0.0.4.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace even {

// Writes one metric after the other.
class MetricWriter {
 public:
  void family(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    fmt::format_to(end(), "# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
  }
  template <typename Number>
  void value(std::string_view labels, Number number) {
    sample("", labels, number);
  }
  template <typename Number>
  void single(std::string_view name, std::string_view type, std::string_view help, Number number) {
    family(name, type, help);
    value("", number);
  }
  // `bounds_us` has one element less than `buckets`, whose counts are not cumulative.
  void histogram(std::string_view labels, std::span<const std::int64_t> bounds_us,
                 std::span<const std::uint64_t> buckets, double sum_seconds) {
    std::uint64_t count = 0;
    for (std::size_t i = 0; i < buckets.size(); ++i) {
      count += buckets[i];
      const std::string bound = i < bounds_us.size()
                                    ? fmt::format("{}", static_cast<double>(bounds_us[i]) * 1e-6)
                                    : "+Inf";
      sample("_bucket",
             fmt::format("{}le=\"{}\"", labels.empty() ? "" : fmt::format("{},", labels), bound),
             count);
    }
    sample("_sum", labels, sum_seconds);
    sample("_count", labels, count);
  }
  std::string take() { return std::move(out_); }

 private:
  std::back_insert_iterator<std::string> end() { return std::back_inserter(out_); }
  template <typename Number>
  void sample(std::string_view suffix, std::string_view labels, Number number) {
    if (labels.empty()) {
      fmt::format_to(end(), "{}{} {}\n", name_, suffix, number);
    } else {
      fmt::format_to(end(), "{}{}{{{}}} {}\n", name_, suffix, labels, number);
    }
  }

  std::string out_;
  std::string_view name_;
};

}  // namespace even
