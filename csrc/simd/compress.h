// compress() for ISAs without a compressing instruction. Included inside an ISA's namespace.

// Copies the lanes in `set` of source[k][0 ... 15] to the front of destination[k] for each of the N
// arrays, and those of ids to the front of out_ids. Returns how many. May write 16 elements.
template <int N>
SEAFORMER_INLINE int compress(Lanes16 set, const float* const (&source)[N], const int32_t* ids,
                              float* const (&destination)[N], int32_t* out_ids) {
  int n = 0;
  for (; set.any(); set.drop_first(), ++n) {
    const int lane = set.first();
    SEAFORMER_UNROLL
    for (int k = 0; k < N; ++k) destination[k][n] = source[k][lane];
    out_ids[n] = ids[lane];
  }
  return n;
}
