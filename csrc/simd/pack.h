// Fixed-width groups of native vectors: F32x16 (a block of channels) on every ISA, and F32x8 (a run
// of pixels) where a native vector has at most 8 lanes. Included inside an ISA's namespace, after
// F32.

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

#define SEAFORMER_GROUP_BINARY(NAME)                                \
  template <int N>                                                  \
  SEAFORMER_INLINE F32Group<N> NAME(F32Group<N> a, F32Group<N> b) { \
    F32Group<N> r;                                                  \
    SEAFORMER_UNROLL                                                \
    for (int i = 0; i < N; ++i) r.v[i] = NAME(a.v[i], b.v[i]);      \
    return r;                                                       \
  }
SEAFORMER_GROUP_BINARY(mul)
SEAFORMER_GROUP_BINARY(sub)
SEAFORMER_GROUP_BINARY(div)
SEAFORMER_GROUP_BINARY(max)
SEAFORMER_GROUP_BINARY(min)
#undef SEAFORMER_GROUP_BINARY

#define SEAFORMER_GROUP_COMPARE(NAME)                                \
  template <int N>                                                   \
  SEAFORMER_INLINE MaskGroup<N> NAME(F32Group<N> a, F32Group<N> b) { \
    MaskGroup<N> r;                                                  \
    SEAFORMER_UNROLL                                                 \
    for (int i = 0; i < N; ++i) r.v[i] = NAME(a.v[i], b.v[i]);       \
    return r;                                                        \
  }
SEAFORMER_GROUP_COMPARE(greater)
SEAFORMER_GROUP_COMPARE(greater_equal)
SEAFORMER_GROUP_COMPARE(equal)
SEAFORMER_GROUP_COMPARE(unordered)
#undef SEAFORMER_GROUP_COMPARE

template <int N>
SEAFORMER_INLINE MaskGroup<N> either(MaskGroup<N> a, MaskGroup<N> b) {
  MaskGroup<N> r;
  SEAFORMER_UNROLL
  for (int i = 0; i < N; ++i) r.v[i] = either(a.v[i], b.v[i]);
  return r;
}

// a * b + c, rounded once where the ISA has a fused instruction.
template <int N>
SEAFORMER_INLINE F32Group<N> fma(F32Group<N> a, F32Group<N> b, F32Group<N> c) {
  F32Group<N> r;
  SEAFORMER_UNROLL
  for (int i = 0; i < N; ++i) r.v[i] = fma(a.v[i], b.v[i], c.v[i]);
  return r;
}

template <int N>
SEAFORMER_INLINE I32Group<N> select(MaskGroup<N> m, I32Group<N> a, I32Group<N> b) {
  I32Group<N> r;
  SEAFORMER_UNROLL
  for (int i = 0; i < N; ++i) r.v[i] = select(m.v[i], a.v[i], b.v[i]);
  return r;
}

template <int N>
SEAFORMER_INLINE F32Group<N> select(MaskGroup<N> m, F32Group<N> a, F32Group<N> b) {
  F32Group<N> r;
  SEAFORMER_UNROLL
  for (int i = 0; i < N; ++i) r.v[i] = select(m.v[i], a.v[i], b.v[i]);
  return r;
}

template <int N>
SEAFORMER_INLINE F32Group<N> abs(F32Group<N> a) {
  F32Group<N> r;
  SEAFORMER_UNROLL
  for (int i = 0; i < N; ++i) r.v[i] = abs(a.v[i]);
  return r;
}

template <int N>
SEAFORMER_INLINE F32Group<N> load_group(const float* p) {
  F32Group<N> r;
  SEAFORMER_UNROLL
  for (int i = 0; i < N; ++i) r.v[i] = load(p + i * kLanes);
  return r;
}

template <int N>
SEAFORMER_INLINE void store_group(float* p, F32Group<N> a) {
  SEAFORMER_UNROLL
  for (int i = 0; i < N; ++i) store(p + i * kLanes, a.v[i]);
}

template <int N>
SEAFORMER_INLINE F32Group<N> splat_group(float x) {
  F32Group<N> r;
  const F32 s = splat(x);
  SEAFORMER_UNROLL
  for (int i = 0; i < N; ++i) r.v[i] = s;
  return r;
}

template <int N>
SEAFORMER_INLINE I32Group<N> add(I32Group<N> a, I32Group<N> b) {
  I32Group<N> r;
  SEAFORMER_UNROLL
  for (int i = 0; i < N; ++i) r.v[i] = add(a.v[i], b.v[i]);
  return r;
}

template <int N>
SEAFORMER_INLINE I32Group<N> load_i32_group(const int32_t* p) {
  I32Group<N> r;
  SEAFORMER_UNROLL
  for (int i = 0; i < N; ++i) r.v[i] = load_i32(p + i * kLanes);
  return r;
}

template <int N>
SEAFORMER_INLINE I32Group<N> splat_i32_group(int32_t x) {
  I32Group<N> r;
  const I32 s = splat_i32(x);
  SEAFORMER_UNROLL
  for (int i = 0; i < N; ++i) r.v[i] = s;
  return r;
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
SEAFORMER_INLINE F32x16 splat16(float x) { return splat_group<16 / kLanes>(x); }
SEAFORMER_INLINE I32x16 load16_i32(const int32_t* p) { return load_i32_group<16 / kLanes>(p); }
SEAFORMER_INLINE I32x16 splat16_i32(int32_t x) { return splat_i32_group<16 / kLanes>(x); }
