#include "cli/history_writer.h"

#include <fmt/format.h>

namespace even::cli {
namespace {

using nlohmann::json;

std::string line(std::int64_t process, std::string_view type, const PlannedOperation& operation,
                 const json& value, const std::string& error, std::int64_t time) {
  std::string text =
      fmt::format(R"({{"process":{},"type":"{}","f":"{}","key":{},"value":{},"time":{})", process,
                  type, operation.f, json(operation.key).dump(), value.dump(), time);
  if (!error.empty()) {
    text += fmt::format(R"(,"error":{})",
                        json(error).dump(-1, ' ', true, json::error_handler_t::replace));
  }
  return text + "}\n";
}

}  // namespace

HistoryWriter::HistoryWriter(const std::string& path)
    : out_(path, std::ios::binary | std::ios::trunc) {}

std::int64_t HistoryWriter::new_process() {
  std::lock_guard lock(mutex_);
  return processes_++;
}

void HistoryWriter::invoke(std::int64_t process, const PlannedOperation& operation) {
  std::lock_guard lock(mutex_);
  out_ << line(process, "invoke", operation, operation.value, {}, elapsed_ns());
}

void HistoryWriter::complete(std::int64_t process, const PlannedOperation& operation,
                             const CompletedOperation& completed) {
  std::lock_guard lock(mutex_);
  const Clock::duration now = elapsed();
  out_ << line(process, completed.type, operation, completed.value, completed.error,
               std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
  for (Counts* counts : {&total_, &summary_.by_function[operation.f]}) {
    ++(completed.type == "ok"     ? counts->ok
       : completed.type == "fail" ? counts->fail
                                  : counts->info);
  }
  if (completed.type == "ok") {
    note_gap(now);
    last_ok_ = now;
  }
  if (!completed.error.empty()) {
    // Without numbers and addresses, so that the same are counted together.
    ++summary_.errors[completed.error.substr(0, completed.error.find_first_of("0123456789'"))];
  }
}

void HistoryWriter::note_gap(Clock::duration now) {
  if (now - last_ok_ <= summary_.longest_gap) return;
  summary_.longest_gap = now - last_ok_;
  summary_.gap_begin = last_ok_;
}

bool HistoryWriter::ok() const {
  std::lock_guard lock(mutex_);
  return static_cast<bool>(out_);
}

HistoryWriter::Counts HistoryWriter::total() const {
  std::lock_guard lock(mutex_);
  return total_;
}

HistoryWriter::Summary HistoryWriter::finish() {
  std::lock_guard lock(mutex_);
  note_gap(elapsed());
  out_.flush();
  return summary_;
}

}  // namespace even::cli
