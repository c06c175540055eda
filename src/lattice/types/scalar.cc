#include "lattice/types/scalar.h"

#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "base/mutant.h"
#include "lattice/types/hyper_log_log.h"

namespace even {
namespace {

constexpr std::size_t kMaxRealText = 5 * 1024;  // the largest long double has 4,933 digits

std::optional<std::string> union_of_siblings(const Scalar& scalar) {
  if (!is_hyper_log_log(scalar.siblings.begin()->value)) return std::nullopt;
  std::vector<std::string_view> values;
  for (const Sibling& sibling : scalar.siblings) values.push_back(sibling.value);
  return hyper_log_log_union(values);
}

}  // namespace

Sibling& Sibling::operator=(const SiblingView& view) {
  dot = view.dot;
  time = view.time;
  value.assign(view.value);
  return *this;
}

Footprint Scalar::footprint() const {
  Footprint all{heap_bytes(siblings), siblings.size() * (sizeof(Dot) + sizeof(Hlc))};
  for (const Sibling& sibling : siblings) all.bytes += heap_bytes(sibling.value);
  all += integers.footprint();
  all += reals.footprint();
  return all;
}

void Scalar::drop_residue() {
  integers.drop_residue();
  reals.drop_residue();
}

std::size_t ScalarView::sibling_count() const {
  if (const Scalar* scalar = full()) return scalar->siblings.size();
  return std::holds_alternative<SiblingView>(form_) ? 1 : 0;
}

CounterView<std::int64_t> ScalarView::integers() const {
  if (const auto* tally = std::get_if<CounterEntry<std::int64_t>>(&form_)) {
    return std::span(tally, 1);
  }
  const Scalar* scalar = full();
  return scalar == nullptr ? CounterView<std::int64_t>() : scalar->integers.view();
}

CounterView<Real> ScalarView::reals() const {
  const Scalar* scalar = full();
  return scalar == nullptr ? CounterView<Real>() : scalar->reals.view();
}

std::optional<SiblingView> ScalarView::winner() const {
  std::optional<SiblingView> best;
  for_each_sibling([&best](const SiblingView& sibling) {
    if (!best || sibling.time > best->time ||
        (sibling.time == best->time && sibling.dot > best->dot)) {
      best = sibling;
    }
  });
  return best;
}

std::string_view ScalarView::value(std::string& scratch) const {
  if (const auto* value = std::get_if<SiblingView>(&form_)) return value->value;
  if (sibling_count() > 1 && !EVEN_MUTANT(kHyperLogLogOfWinner)) {
    if (std::optional<std::string> all = union_of_siblings(*full())) {
      return scratch = std::move(*all);
    }
  }
  const std::optional<SiblingView> base = winner();
  if (!has_live_counters()) return base->value;
  if (!reals().live()) {
    const std::optional<std::int64_t> integer = base ? parse_integer(base->value) : 0;
    if (integer) {
      scratch = std::to_string(wrapping_add(*integer, integers().value()));
      return scratch;
    }
  }
  const std::optional<Real> total = number();
  if (!total) return base->value;
  scratch = format_real(*total);
  return scratch;
}

std::optional<Real> ScalarView::number() const {
  Real total = 0;
  if (const std::optional<SiblingView> base = winner()) {
    const std::optional<Real> real = parse_real(base->value);
    if (!real) return std::nullopt;
    total = *real;
  }
  total = wrapping_add(total, static_cast<Real>(integers().value()));
  return wrapping_add(total, reals().value());
}

Scalar ScalarView::copy() const {
  if (const Scalar* scalar = full()) return *scalar;
  Scalar out;
  for_each_sibling([&out](const SiblingView& view) { out.siblings.emplace_back() = view; });
  out.integers = Counter<std::int64_t>(integers());
  return out;
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
  if (text.empty() || text.size() > 20) return std::nullopt;
  const std::string_view digits = text[0] == '-' ? text.substr(1) : text;
  if (digits.empty() || digits[0] < '0' || digits[0] > '9') return std::nullopt;
  if (digits[0] == '0' && text.size() > 1) return std::nullopt;
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<long double> parse_long_double(std::string_view text) {
  // strtold skips leading space and needs a terminator. Redis takes no longer number either.
  char buffer[kMaxRealText];
  if (text.empty() || text.size() >= sizeof buffer) return std::nullopt;
  const unsigned char first = static_cast<unsigned char>(text[0]);
  if (first == ' ' || (first >= '\t' && first <= '\r')) return std::nullopt;
  text.copy(buffer, text.size());
  buffer[text.size()] = '\0';
  char* end = nullptr;
  errno = 0;
  const long double value = std::strtold(buffer, &end);
  if (end != buffer + text.size() || std::isnan(value)) return std::nullopt;
  if (errno == ERANGE && (std::isinf(value) || value == 0)) return std::nullopt;
  return value;
}

std::optional<Real> parse_real(std::string_view text) {
  const std::optional<long double> value = parse_long_double(text);
  if (!value || !std::isfinite(*value)) return std::nullopt;
  return static_cast<Real>(*value);
}

std::string format_real(Real value) {
  char buffer[kMaxRealText];
  int length = std::snprintf(buffer, sizeof buffer, "%.17Lf", static_cast<long double>(value));
  while (length > 0 && buffer[length - 1] == '0') --length;
  if (length > 0 && buffer[length - 1] == '.') --length;
  const std::string_view text(buffer, static_cast<std::size_t>(length));
  return std::string(text == "-0" ? "0" : text);
}

}  // namespace even
