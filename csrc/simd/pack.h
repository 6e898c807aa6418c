// Fixed-width groups of native vectors: F32x16 (a block of channels) on every ISA, and F32x8 (a run
// of pixels) where a native vector has at most 8 lanes. Included inside an ISA's namespace.

template <class Vector, int N>
struct Group {
  Vector v[N];
};
template <int N>
using F32Group = Group<F32, N>;
template <int N>
using MaskGroup = Group<Mask, N>;
template <int N>
using I32Group = Group<I32, N>;

// The group of f(0) ... f(N - 1).
template <class Vector, int N, class F>
SEAFORMER_INLINE Group<Vector, N> group(const F& f) {
  Group<Vector, N> r;
  SEAFORMER_UNROLL
  for (int i = 0; i < N; ++i) r.v[i] = f(i);
  return r;
}

// Operations on groups are those on their vectors.
#define SEAFORMER_EACH(VECTOR, EXPRESSION) \
  return group<VECTOR, N>([&](int i) SEAFORMER_LAMBDA_INLINE { return EXPRESSION; })
#define SEAFORMER_BINARY(NAME, VECTOR, OPERAND)                                      \
  template <int N>                                                                   \
  SEAFORMER_INLINE Group<VECTOR, N> NAME(Group<OPERAND, N> a, Group<OPERAND, N> b) { \
    SEAFORMER_EACH(VECTOR, NAME(a.v[i], b.v[i]));                                    \
  }
SEAFORMER_BINARY(mul, F32, F32)
SEAFORMER_BINARY(sub, F32, F32)
SEAFORMER_BINARY(div, F32, F32)
SEAFORMER_BINARY(max, F32, F32)
SEAFORMER_BINARY(min, F32, F32)
SEAFORMER_BINARY(greater, Mask, F32)
SEAFORMER_BINARY(greater_equal, Mask, F32)
SEAFORMER_BINARY(equal, Mask, F32)
SEAFORMER_BINARY(unordered, Mask, F32)
SEAFORMER_BINARY(either, Mask, Mask)
SEAFORMER_BINARY(add, F32, F32)
SEAFORMER_BINARY(add, I32, I32)
SEAFORMER_BINARY(at_least, F32, F32)
SEAFORMER_BINARY(at_most, F32, F32)
#undef SEAFORMER_BINARY

template <int N>
SEAFORMER_INLINE F32Group<N> abs(F32Group<N> a) {
  SEAFORMER_EACH(F32, abs(a.v[i]));
}
// a * b + c, rounded once where the ISA has a fused instruction.
template <int N>
SEAFORMER_INLINE F32Group<N> fma(F32Group<N> a, F32Group<N> b, F32Group<N> c) {
  SEAFORMER_EACH(F32, fma(a.v[i], b.v[i], c.v[i]));
}
template <class Vector, int N>
SEAFORMER_INLINE Group<Vector, N> select(MaskGroup<N> m, Group<Vector, N> a, Group<Vector, N> b) {
  SEAFORMER_EACH(Vector, select(m.v[i], a.v[i], b.v[i]));
}
template <int N>
SEAFORMER_INLINE F32Group<N> load_group(const float* p) {
  SEAFORMER_EACH(F32, load(p + i * kLanes));
}
template <int N>
SEAFORMER_INLINE I32Group<N> load_i32_group(const int32_t* p) {
  SEAFORMER_EACH(I32, load_i32(p + i * kLanes));
}
template <class Vector, int N>
SEAFORMER_INLINE Group<Vector, N> repeat(Vector x) {
  SEAFORMER_EACH(Vector, (static_cast<void>(i), x));
}
#undef SEAFORMER_EACH

template <int N>
SEAFORMER_INLINE void store_group(float* p, F32Group<N> a) {
  SEAFORMER_UNROLL
  for (int i = 0; i < N; ++i) store(p + i * kLanes, a.v[i]);
}

template <int N>
SEAFORMER_INLINE float reduce_max(F32Group<N> a) {
  F32 m = a.v[0];
  SEAFORMER_UNROLL
  for (int i = 1; i < N; ++i) m = max(m, a.v[i]);
  return reduce_max(m);
}
template <int N>
SEAFORMER_INLINE int32_t reduce_min(I32Group<N> a) {
  I32 m = a.v[0];
  SEAFORMER_UNROLL
  for (int i = 1; i < N; ++i) m = min(m, a.v[i]);
  return reduce_min(m);
}

using F32x16 = F32Group<16 / kLanes>;
using I32x16 = I32Group<16 / kLanes>;
using Mask16 = MaskGroup<16 / kLanes>;

SEAFORMER_INLINE F32x16 load16(const float* p) { return load_group<16 / kLanes>(p); }
SEAFORMER_INLINE I32x16 load16_i32(const int32_t* p) { return load_i32_group<16 / kLanes>(p); }
SEAFORMER_INLINE F32x16 repeat16(F32 x) { return repeat<F32, 16 / kLanes>(x); }
SEAFORMER_INLINE F32x16 splat16(float x) { return repeat16(splat(x)); }
SEAFORMER_INLINE I32x16 splat16_i32(int32_t x) { return repeat<I32, 16 / kLanes>(splat_i32(x)); }
