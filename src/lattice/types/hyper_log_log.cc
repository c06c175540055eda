#include "lattice/types/hyper_log_log.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace even {
namespace {

constexpr std::string_view kMagic = "HYLL";
constexpr std::size_t kEncodingAt = 4;
constexpr std::size_t kEstimateAt = 8;
constexpr std::size_t kHeader = 16;
constexpr unsigned kBitsOfRegister = 6;
constexpr std::size_t kDenseBytes = kHeader + kHyperLogLogRegisters * kBitsOfRegister / 8;
constexpr std::size_t kMostSparseBytes = 3000;  // hll-sparse-max-bytes
constexpr unsigned kHashBits = 64 - 14;         // that are counted, beside those that choose
constexpr unsigned kStale = 0x80;               // in the last byte of the estimate

unsigned byte_of(std::string_view bytes, std::size_t at) {
  return static_cast<unsigned char>(bytes[at]);
}

// A run of registers with one value, as the sparse form writes it: 00nnnnnn and 01nnnnnn nnnnnnnn
// for zeros, 1vvvvvnn for a value.
struct Run {
  static constexpr unsigned kMostShort = 64;
  static constexpr unsigned kMostValued = 4;
  static constexpr unsigned kMostValue = 32;

  unsigned length = 0;
  unsigned value = 0;
  unsigned bytes = 1;
};

// The run at `at`; one of no length where there is none.
Run run_at(std::string_view bytes, std::size_t at) {
  if (at >= bytes.size()) return {};
  const unsigned first = byte_of(bytes, at);
  if ((first & 0x80) != 0) return {(first & 3) + 1, (first >> 2 & 31) + 1, 1};
  if ((first & 0x40) == 0) return {(first & 63) + 1, 0, 1};
  if (at + 1 >= bytes.size()) return {};
  return {((first & 63) << 8 | byte_of(bytes, at + 1)) + 1, 0, 2};
}

void append_zeros(std::string& out, unsigned length) {
  if (length == 0) return;
  if (length > Run::kMostShort) out += static_cast<char>((length - 1) >> 8 | 0x40);
  out += static_cast<char>((length - 1) & 0xff);
}
char valued_run(unsigned value, unsigned length) {
  return static_cast<char>((value - 1) << 2 | (length - 1) | 0x80);
}

unsigned dense_register(std::string_view bytes, std::size_t place) {
  const std::size_t bit = place * kBitsOfRegister;
  const std::size_t at = kHeader + bit / 8;
  const unsigned next = at + 1 < bytes.size() ? byte_of(bytes, at + 1) : 0;
  return (byte_of(bytes, at) | next << 8) >> bit % 8 & 63;
}

void set_dense_register(std::string& bytes, std::size_t place, unsigned value) {
  const std::size_t bit = place * kBitsOfRegister;
  const std::size_t at = kHeader + bit / 8;
  const bool last = at + 1 == bytes.size();
  unsigned word = byte_of(bytes, at) | (last ? 0 : byte_of(bytes, at + 1) << 8);
  word = (word & ~(63u << bit % 8)) | value << bit % 8;
  bytes[at] = static_cast<char>(word & 0xff);
  if (!last) bytes[at + 1] = static_cast<char>(word >> 8 & 0xff);
}

// Calls visit(place, length, value) for each run. False when they do not make up all registers.
template <typename Visit>
bool for_each_run(std::string_view bytes, Visit visit) {
  std::size_t place = 0;
  for (std::size_t at = kHeader; at < bytes.size();) {
    const Run run = run_at(bytes, at);
    if (run.length == 0 || place + run.length > kHyperLogLogRegisters) return false;
    visit(place, run.length, run.value);
    place += run.length;
    at += run.bytes;
  }
  return place == kHyperLogLogRegisters;
}

// MurmurHash64A by A. Appleby, as Redis uses it: of little-endian words.
std::uint64_t murmur_hash(std::string_view bytes) {
  constexpr std::uint64_t kFactor = 0xc6a4a7935bd1e995;
  constexpr std::uint64_t kSeed = 0xadc83b19;
  constexpr int kShift = 47;
  std::uint64_t hash = kSeed ^ bytes.size() * kFactor;
  for (; bytes.size() >= 8; bytes.remove_prefix(8)) {
    std::uint64_t word = 0;
    for (std::size_t i = 8; i-- > 0;) word = word << 8 | byte_of(bytes, i);
    word *= kFactor;
    word ^= word >> kShift;
    hash = (hash ^ word * kFactor) * kFactor;
  }
  if (!bytes.empty()) {
    for (std::size_t i = 0; i < bytes.size(); ++i)
      hash ^= std::uint64_t{byte_of(bytes, i)} << 8 * i;
    hash *= kFactor;
  }
  hash ^= hash >> kShift;
  hash *= kFactor;
  return hash ^ hash >> kShift;
}

// O. Ertl, "New cardinality estimation algorithms for HyperLogLog sketches", 2017, as in Redis.
double sigma(double x) {
  if (x == 1) return std::numeric_limits<double>::infinity();
  double step = 1;
  double sum = x;
  for (double before = -1; before != sum; step += step) {
    x *= x;
    before = sum;
    sum += x * step;
  }
  return sum;
}
double tau(double x) {
  if (x == 0 || x == 1) return 0;
  double step = 1;
  double sum = 1 - x;
  for (double before = -1; before != sum;) {
    x = std::sqrt(x);
    before = sum;
    step *= 0.5;
    sum -= std::pow(1 - x, 2) * step;
  }
  return sum / 3;
}

// As Redis does: joins valued runs with equal neighbours, in the five that follow `at`.
void join_runs(std::string& bytes, std::size_t at) {
  for (int left = 5; at < bytes.size() && left > 0; --left) {
    const Run run = run_at(bytes, at);
    if (run.value == 0) {
      at += run.bytes;
      continue;
    }
    const Run next = run_at(bytes, at + 1);
    if (next.value == run.value && run.length + next.length <= Run::kMostValued) {
      bytes[at + 1] = valued_run(run.value, run.length + next.length);
      bytes.erase(at, 1);
    } else {
      ++at;
    }
  }
}

HyperLogLogChange raise_when_dense(std::string& bytes, HyperLogLogHit hit) {
  if (dense_register(bytes, hit.place) >= hit.value) return HyperLogLogChange::kNone;
  set_dense_register(bytes, hit.place, hit.value);
  forget_estimate(bytes);
  return HyperLogLogChange::kRaised;
}

HyperLogLogChange raise_after_making_dense(std::string& bytes, HyperLogLogHit hit) {
  return make_dense(bytes) ? raise_when_dense(bytes, hit) : HyperLogLogChange::kCorrupt;
}

HyperLogLogChange raise_when_sparse(std::string& bytes, HyperLogLogHit hit) {
  if (hit.value > Run::kMostValue) return raise_after_making_dense(bytes, hit);
  std::size_t at = kHeader;
  std::size_t previous = kHeader;
  std::uint32_t first = 0;
  Run run;
  for (;; first += run.length, previous = at, at += run.bytes) {
    run = run_at(bytes, at);
    if (run.length == 0) return HyperLogLogChange::kCorrupt;
    if (hit.place < first + run.length) break;
  }
  if (run.value >= hit.value) return HyperLogLogChange::kNone;

  std::string runs;
  const unsigned before = hit.place - first;
  const unsigned behind = run.length - before - 1;
  if (run.value == 0) {
    append_zeros(runs, before);
    runs += valued_run(hit.value, 1);
    append_zeros(runs, behind);
  } else {
    if (before > 0) runs += valued_run(run.value, before);
    runs += valued_run(hit.value, 1);
    if (behind > 0) runs += valued_run(run.value, behind);
  }
  if (runs.size() > run.bytes && bytes.size() + runs.size() - run.bytes > kMostSparseBytes) {
    return raise_after_making_dense(bytes, hit);
  }
  bytes.replace(at, run.bytes, runs);
  join_runs(bytes, previous);
  forget_estimate(bytes);
  return HyperLogLogChange::kRaised;
}

}  // namespace

bool is_hyper_log_log(std::string_view bytes) {
  if (bytes.size() < kHeader || !bytes.starts_with(kMagic)) return false;
  const unsigned encoding = byte_of(bytes, kEncodingAt);
  return encoding == 1 || (encoding == 0 && bytes.size() == kDenseBytes);
}

bool is_dense_hyper_log_log(std::string_view bytes) {
  return is_hyper_log_log(bytes) && byte_of(bytes, kEncodingAt) == 0;
}

bool raise_registers(std::string_view bytes, HyperLogLogRegisters& registers) {
  const auto raise = [&registers](std::size_t place, unsigned value) {
    registers[place] = std::max(registers[place], static_cast<std::uint8_t>(value));
  };
  if (is_dense_hyper_log_log(bytes)) {
    for (std::size_t i = 0; i < kHyperLogLogRegisters; ++i) raise(i, dense_register(bytes, i));
    return true;
  }
  return for_each_run(bytes, [&raise](std::size_t place, unsigned length, unsigned value) {
    for (unsigned i = 0; i < length && value > 0; ++i) raise(place + i, value);
  });
}

std::uint64_t estimate(const HyperLogLogRegisters& registers) {
  std::array<int, 64> counts{};
  for (const std::uint8_t value : registers) ++counts[value];
  constexpr double kRegisters = kHyperLogLogRegisters;
  double sum = kRegisters * tau((kRegisters - counts[kHashBits + 1]) / kRegisters);
  for (unsigned value = kHashBits; value >= 1; --value) sum = (sum + counts[value]) * 0.5;
  sum += kRegisters * sigma(counts[0] / kRegisters);
  constexpr double kAlpha = 0.721347520444481703680;  // 0.5 / ln 2
  return static_cast<std::uint64_t>(std::llround(kAlpha * kRegisters * kRegisters / sum));
}

std::optional<std::uint64_t> cached_estimate(std::string_view bytes) {
  if ((byte_of(bytes, kEstimateAt + 7) & kStale) != 0) return std::nullopt;
  std::uint64_t out = 0;
  for (std::size_t i = 8; i-- > 0;) out = out << 8 | byte_of(bytes, kEstimateAt + i);
  return out;
}

void forget_estimate(std::string& bytes) {
  bytes[kEstimateAt + 7] = static_cast<char>(byte_of(bytes, kEstimateAt + 7) | kStale);
}

std::string empty_hyper_log_log() {
  std::string out(kHeader, '\0');
  out.replace(0, kMagic.size(), kMagic);
  out[kEncodingAt] = 1;
  append_zeros(out, kHyperLogLogRegisters);
  return out;
}

HyperLogLogHit hyper_log_log_hit(std::string_view element) {
  const std::uint64_t hash = murmur_hash(element);
  const auto place = static_cast<std::uint32_t>(hash % kHyperLogLogRegisters);
  const std::uint64_t rest = hash / kHyperLogLogRegisters | std::uint64_t{1} << kHashBits;
  return {place, static_cast<std::uint8_t>(std::countr_zero(rest) + 1)};
}

HyperLogLogChange raise_register(std::string& bytes, HyperLogLogHit hit) {
  return is_dense_hyper_log_log(bytes) ? raise_when_dense(bytes, hit)
                                       : raise_when_sparse(bytes, hit);
}

bool make_dense(std::string& bytes) {
  if (is_dense_hyper_log_log(bytes)) return true;
  std::string out(bytes, 0, kHeader);
  out[kEncodingAt] = 0;
  out.resize(kDenseBytes);
  const bool whole = for_each_run(bytes, [&](std::size_t place, unsigned length, unsigned value) {
    for (unsigned i = 0; i < length && value > 0; ++i) set_dense_register(out, place + i, value);
  });
  if (whole) bytes = std::move(out);
  return whole;
}

std::optional<std::string> hyper_log_log_union(std::span<const std::string_view> values) {
  if (!std::ranges::all_of(values, is_hyper_log_log)) return std::nullopt;
  HyperLogLogRegisters registers{};
  for (const std::string_view value : values) {
    if (!raise_registers(value, registers)) return std::nullopt;
  }
  std::string out = empty_hyper_log_log();
  if (std::ranges::any_of(values, is_dense_hyper_log_log)) make_dense(out);
  for (std::uint32_t place = 0; place < kHyperLogLogRegisters; ++place) {
    if (registers[place] > 0) raise_register(out, {place, registers[place]});
  }
  forget_estimate(out);
  return out;
}

}  // namespace even
