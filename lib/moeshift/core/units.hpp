// SPDX-License-Identifier: Apache-2.0
// Units as types: only the physically meaningful operations exist. GB = 1e9, GiB = 2^30, always.
#pragma once

#include <compare>
#include <cstdint>

namespace moeshift {

/// A number of one unit. Explicit to make and to unwrap; adds and scales, never mixes.
template <class Tag, class RepType>
class Quantity {
 public:
  using Rep = RepType;

  constexpr Quantity() = default;
  constexpr explicit Quantity(Rep value) : value_(value) {}

  [[nodiscard]] constexpr Rep count() const { return value_; }

  constexpr auto operator<=>(const Quantity&) const = default;
  constexpr Quantity& operator+=(Quantity other) {
    value_ += other.value_;
    return *this;
  }
  constexpr Quantity& operator-=(Quantity other) {
    value_ -= other.value_;
    return *this;
  }
  friend constexpr Quantity operator+(Quantity a, Quantity b) { return a += b; }
  friend constexpr Quantity operator-(Quantity a, Quantity b) { return a -= b; }
  friend constexpr Quantity operator*(Quantity a, Rep times) { return Quantity(a.value_ * times); }
  friend constexpr Quantity operator*(Rep times, Quantity a) { return Quantity(a.value_ * times); }
  friend constexpr Quantity operator/(Quantity a, Rep parts) { return Quantity(a.value_ / parts); }

 private:
  Rep value_{};
};

using Bytes = Quantity<struct BytesTag, std::int64_t>;
using Seconds = Quantity<struct SecondsTag, double>;
using BytesPerSecond = Quantity<struct BytesPerSecondTag, double>;

/// How long `bytes` take at `rate`.
constexpr Seconds operator/(Bytes bytes, BytesPerSecond rate) {
  return Seconds(static_cast<double>(bytes.count()) / rate.count());
}
/// The rate at which `bytes` moved in `time`.
constexpr BytesPerSecond operator/(Bytes bytes, Seconds time) {
  return BytesPerSecond(static_cast<double>(bytes.count()) / time.count());
}
/// How many times `part` goes into `whole`, as a ratio.
constexpr double ratio(Seconds whole, Seconds part) {
  return whole.count() / part.count();
}
constexpr double ratio(Bytes whole, Bytes part) {
  return static_cast<double>(whole.count()) / static_cast<double>(part.count());
}

namespace literals {
constexpr Bytes operator""_B(unsigned long long n) {
  return Bytes(static_cast<std::int64_t>(n));
}
constexpr Bytes operator""_KiB(unsigned long long n) {
  return Bytes(static_cast<std::int64_t>(n << 10U));
}
constexpr Bytes operator""_MiB(unsigned long long n) {
  return Bytes(static_cast<std::int64_t>(n << 20U));
}
constexpr Bytes operator""_GiB(unsigned long long n) {
  return Bytes(static_cast<std::int64_t>(n << 30U));
}
constexpr Seconds operator""_s(long double n) {
  return Seconds(static_cast<double>(n));
}
constexpr Seconds operator""_ms(long double n) {
  return Seconds(static_cast<double>(n) * 1e-3);
}
constexpr Seconds operator""_us(long double n) {
  return Seconds(static_cast<double>(n) * 1e-6);
}
constexpr BytesPerSecond operator""_GBps(long double n) {
  return BytesPerSecond(static_cast<double>(n) * 1e9);
}
}  // namespace literals

}  // namespace moeshift
