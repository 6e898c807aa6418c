// Loops over channels. Included inside an ISA's namespace.

// N vectors of channels; of a single one perhaps only the first `lanes` lanes.
template <int N>
struct Span {
  int lanes = kLanes;
  SEAFORMER_MEMBER_INLINE F32Group<N> load(const float* p) const { return load_group<N>(p); }
  SEAFORMER_MEMBER_INLINE void store(float* p, F32Group<N> a) const { store_group<N>(p, a); }
};
template <>
SEAFORMER_MEMBER_INLINE F32Group<1> Span<1>::load(const float* p) const {
  return {{load_first(p, lanes)}};
}
template <>
SEAFORMER_MEMBER_INLINE void Span<1>::store(float* p, F32Group<1> a) const {
  store_first(p, a.v[0], lanes);
}

// Calls body(c, span) for spans that are `count` channels together, each from channel c on.
template <class Body>
SEAFORMER_INLINE void each_span(int64_t count, const Body& body) {
  constexpr int kWide = 4;  // vectors that share addresses, branches and broadcast operands
  int64_t c = 0;
  for (; c + kWide * kLanes <= count; c += kWide * kLanes) body(c, Span<kWide>{});
  for (; c + kLanes <= count; c += kLanes) body(c, Span<1>{});
  if (c < count) body(c, Span<1>{static_cast<int>(count - c)});
}

template <int N>
SEAFORMER_INLINE F32Group<N> splat_span(Span<N>, float x) {
  return repeat<F32, N>(splat(x));
}
