// The exponential function of numbers up to 0. Included inside an ISA's namespace, after its
// wrapper.

// Within 2 units in the last place of the true value from -87 up, 0 below; NaN stays NaN.
//
// x = n ln 2 + r with |r| <= ln 2 / 2; exp(r) by its Taylor polynomial.
SEAFORMER_INLINE F32 exp_nonpositive(F32 x) {
  constexpr float kToInteger = 12582912.0f;  // 1.5 * 2^23: adding it rounds, its low bits count
  constexpr float kLn2High = 0.693359375f,
                  kLn2Low = -2.12194440e-4f;  // the first is exact in 9 bits
  const F32 held = at_least(x, splat(-87.0f));
  const F32 biased = fma(held, splat(1.44269504f), splat(kToInteger));
  const F32 n = sub(biased, splat(kToInteger));
  F32 r = fma(n, splat(-kLn2High), held);
  r = fma(n, splat(-kLn2Low), r);
  F32 p = splat(1.0f / 5040);
  p = fma(p, r, splat(1.0f / 720));
  p = fma(p, r, splat(1.0f / 120));
  p = fma(p, r, splat(1.0f / 24));
  p = fma(p, r, splat(1.0f / 6));
  p = fma(p, r, splat(0.5f));
  p = fma(p, r, splat(1.0f));
  p = fma(p, r, splat(1.0f));
  return select(greater(splat(-87.0f), x), splat(0.0f), mul(p, power_of_two(biased)));
}
