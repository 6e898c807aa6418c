// A set of lanes, walked from the lowest. Included inside an ISA's namespace.

// kBitsPerLane: how far apart the lanes' bits lie; NEON gets its bits four apart most cheaply.
template <int kBitsPerLane>
struct LaneSet {
  uint64_t bits;  // bit (lane * kBitsPerLane) is set for each lane of the set, all others are zero

  bool any() const { return bits != 0; }
  int first() const { return __builtin_ctzll(bits) / kBitsPerLane; }
  void drop_first() { bits &= bits - 1; }
  void drop_below(int lane) { bits &= ~uint64_t{0} << (lane * kBitsPerLane); }
};
