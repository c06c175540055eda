// HyperLogLogs: estimates of how many different elements were added (Flajolet et al.,
// "HyperLogLog", 2007), as Redis keeps them in strings: 16,384 registers, of which each has the
// maximum of what elements were hashed to it, and behind a header of 16 bytes either all of them
// with six bits each (dense) or runs of them (sparse; http://download.redis.io/releases,
// hyperloglog.c). Values written here are byte for byte those that Redis 7.0 writes, but for the
// estimate that PFCOUNT leaves in the header there.
//
// The join of two is the register-wise maximum, so a string whose concurrent values are all
// HyperLogLogs is read as their union (see ScalarView::value).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace even {

inline constexpr std::size_t kHyperLogLogRegisters = 1 << 14;
using HyperLogLogRegisters = std::array<std::uint8_t, kHyperLogLogRegisters>;

// Whether these bytes are in the form of one: the header, and the length where it follows from
// that.
bool is_hyper_log_log(std::string_view bytes);
bool is_dense_hyper_log_log(std::string_view bytes);
// Raises registers to those of a value that is one in form. False when its runs do not make up all
// registers; some may have been raised.
bool raise_registers(std::string_view bytes, HyperLogLogRegisters& registers);
std::uint64_t estimate(const HyperLogLogRegisters& registers);
// The estimate that the header says is up to date.
std::optional<std::uint64_t> cached_estimate(std::string_view bytes);

std::string empty_hyper_log_log();
// Which register an element is hashed to, and the value there.
struct HyperLogLogHit {
  std::uint32_t place = 0;
  std::uint8_t value = 0;
};
HyperLogLogHit hyper_log_log_hit(std::string_view element);
enum class HyperLogLogChange : std::uint8_t { kNone, kRaised, kCorrupt };
// Raises one register of `bytes`, which are one in form; sparse ones may become dense.
HyperLogLogChange raise_register(std::string& bytes, HyperLogLogHit hit);
// False when the runs do not make up all registers.
bool make_dense(std::string& bytes);
// Says in the header that the estimate there is not up to date.
void forget_estimate(std::string& bytes);

// The union of several, made in one way whatever their order. Nothing when they are not all
// HyperLogLogs.
std::optional<std::string> hyper_log_log_union(std::span<const std::string_view> values);

}  // namespace even
