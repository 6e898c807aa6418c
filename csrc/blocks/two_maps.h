// What blocks without weights have in common, that make one map of two.
#pragma once

#include <cstddef>

#include "blocks/block_kind.h"

namespace seaformer {

inline bool same_shape(const MapShape& a, const MapShape& b) {
  return a.batch == b.batch && a.height == b.height && a.width == b.width;
}

// Of two maps of one shape, unless a kind says otherwise.
class TwoMapsKind : public BlockKind {
 public:
  Sections sections(const PackedHeader& w) const override { return Sections(w); }
  int maps() const override { return 2; }
  bool fits(const PackedHeader&, const MapSize& input, const MapSize& coarse) const override {
    return same_shape(input, coarse);
  }
  std::size_t workspace(const BlockCall&, int64_t) const override { return 0; }

 protected:
  ~TwoMapsKind() = default;
};

}  // namespace seaformer
