// Four consecutive scalars, each to be multiplied with whole vectors, where instructions take a
// scalar from memory. Included inside an ISA's namespace.

struct Scalars4 {
  const float* at;
};
SEAFORMER_INLINE Scalars4 load_scalars4(const float* p) { return {p}; }

// s[i] * b + c.
template <int i>
SEAFORMER_INLINE F32 fma_scalar(Scalars4 s, F32 b, F32 c) {
  return accumulate_splat(splat(s.at[i]), b, c);
}
