// The upsample_argmax kernel over the vector wrapper. An ISA file includes its wrapper, defines
// SEAFORMER_ISA and SEAFORMER_ISA_ENUM, then includes this.
//
// The source pixels cut the output into cells; inside a cell every class is a bilinear function of
// the position. Three exact rules leave little to evaluate:
//   1. Where one class is the first maximum at all four corners it is so everywhere between them,
//      because the weights are not negative: the cell is filled.
//   2. A class that lies below another at all four corners never wins in the cell.
//   3. Along a side of the cell, or an output row in it, classes are straight lines. Let a and b
//      win at the two ends. A class that lies below both a and b at any one point between lies
//      below a before it and below b after it, hence never wins; the crossing of a and b is the
//      point that rejects most. The winners at a row's ends come from the same rule along the
//      sides.
// What survives is evaluated for 8 pixels at a time, in class order, so that the first maximum
// wins. The rules only drop classes that cannot be the first maximum in exact arithmetic, so that
// labels differ from those of a full evaluation only where rounding decides between two classes.
//
// Branches on where a maximum lies, or on which classes survive, are mispredicted every time on
// noisy logits and cost more than the arithmetic; first_argmax and rule 3 therefore have none.
#pragma once

#include "kernels/upsample_argmax/upsample_argmax.h"

namespace seaformer {
namespace SEAFORMER_ISA {
namespace {

constexpr int64_t kBlock = 16;  // classes examined together
constexpr int kPixels = 8;      // output pixels evaluated together
constexpr int kRows = 8;        // output rows pruned together

// Up to this many candidates are evaluated outright; beyond it rule 3 pays for itself.
constexpr int kEvaluateAll = 16;

// More than the roundings in the test of rule 3 can add up to, relative to the largest term.
constexpr float kRoundingMargin = 16.0f / (1 << 24);

constexpr float kAlmostLargest = (1.0f - kRoundingMargin) * __FLT_MAX__;

// Classes that may win in a cell: their logits at the four corners, in class order. Arrays are
// readable to the end of the last block of 16.
struct Candidates {
  float* corner[4];
  int32_t* id;
  int count;
};

// Classes that may win along a straight line: their values at its two ends, in class order.
struct Lines {
  float* low;
  float* high;
  int32_t* id;
  int count;
};

// The winners where output rows meet a side of a cell. The east side of one cell is the west side
// of the next.
struct Side {
  int64_t column = -1, row = -1;  // of the source, and the first output row
  int32_t winner[kRows];
};

struct Scratch {
  Candidates candidates, survivors;
  Lines lines;
  Side side;

  Scratch(void* memory, int64_t classes) {
    float* next = static_cast<float*>(memory);
    const int64_t length = classes + 2 * kBlock;
    Candidates* const both[2] = {&candidates, &survivors};
    for (Candidates* c : both) {
      for (float*& corner : c->corner) corner = take(next, length);
      c->id = reinterpret_cast<int32_t*>(take(next, length));
    }
    lines.low = take(next, length);
    lines.high = take(next, length);
    lines.id = reinterpret_cast<int32_t*>(take(next, length));
  }
  static float* take(float*& next, int64_t length) {
    float* const array = next;
    next += length;
    return array;
  }
};

SEAFORMER_INLINE float larger(float a, float b) { return a > b ? a : b; }

template <class T>
SEAFORMER_INLINE T smaller(T a, T b) {
  return a < b ? a : b;
}

// Calls body(offset, fresh) for blocks of 16 that cover [0, count), count >= 16. The last block
// reaches back to stay inside; its lanes below `fresh` were in the block before. Stops on true.
template <class Body>
SEAFORMER_INLINE void for_each_block(int64_t count, const Body& body) {
  int64_t offset = 0;
  for (; offset + kBlock <= count; offset += kBlock) {
    if (body(offset, 0)) return;
  }
  if (offset < count) body(count - kBlock, static_cast<int>(kBlock - (count - offset)));
}

// The largest of a sequence seen in blocks, and where it was first. Free of branches: where a
// maximum lies cannot be predicted.
struct FirstMaximum {
  F32x16 largest;
  I32x16 block;

  SEAFORMER_MEMBER_INLINE void start(F32x16 x) {
    largest = x;
    block = splat16_i32(0);
  }
  SEAFORMER_MEMBER_INLINE void add_block(F32x16 x, int64_t offset) {
    block = select(greater(x, largest), splat16_i32(static_cast<int32_t>(offset)), block);
    largest = max(largest, x);
  }
  SEAFORMER_MEMBER_INLINE int32_t finish(float* value) const {
    alignas(64) static const int32_t lane[kBlock] = {0, 1, 2,  3,  4,  5,  6,  7,
                                                     8, 9, 10, 11, 12, 13, 14, 15};
    *value = reduce_max(largest);
    const I32x16 index = add(block, load16_i32(lane));
    return reduce_min(select(equal(largest, splat16(*value)), index, splat16_i32(INT32_MAX)));
  }
};

void first_argmax(const float* logits, int64_t pixels, int64_t classes, int32_t* winners) {
  const F32x16 zero = splat16(0.0f);
  for (int64_t i = 0; i < pixels; ++i, logits += classes) {
    FirstMaximum best;
    best.start(load16(logits));
    // 0 * x is NaN for an infinity or NaN, and stays so in sums.
    F32x16 defect = mul(best.largest, zero);
    for_each_block(classes, [&](int64_t offset, int) SEAFORMER_LAMBDA_INLINE {
      const F32x16 x = load16(logits + offset);
      best.add_block(x, offset);
      defect = fma(x, zero, defect);
      return false;
    });
    float largest;
    const int32_t winner = best.finish(&largest);
    winners[i] = lanes(unordered(defect, defect)).any() ? kNotFinite : winner;
  }
}

// Rules 1 and 2 do not hold for infinities (0 * inf is NaN) and NaN wins over numbers, so one pixel
// is evaluated in full, as PyTorch does.
int32_t evaluate_pixel(const float* const (&corner)[4], int64_t classes, float top, float bottom,
                       float left, float right) {
  const F32x16 t = splat16(top), b = splat16(bottom), l = splat16(left), r = splat16(right);
  FirstMaximum best;
  best.start(splat16(-__builtin_inff()));
  int64_t first_nan = -1;
  for_each_block(classes, [&](int64_t offset, int) SEAFORMER_LAMBDA_INLINE {
    const F32x16 above = fma(r, load16(corner[1] + offset), mul(l, load16(corner[0] + offset)));
    const F32x16 below = fma(r, load16(corner[3] + offset), mul(l, load16(corner[2] + offset)));
    const F32x16 value = fma(b, below, mul(t, above));
    const Lanes16 nans = lanes(unordered(value, value));
    if (nans.any()) {
      first_nan = offset + nans.first();
      return true;
    }
    best.add_block(value, offset);
    return false;
  });
  float largest;
  return first_nan >= 0 ? static_cast<int32_t>(first_nan) : best.finish(&largest);
}

// The id of the first maximum of the lines at 8 points.
SEAFORMER_INLINE I32x8 line_winners(const Lines& lines, const float* low_weight,
                                    const float* high_weight) {
  const F32x8 low = load8(low_weight), high = load8(high_weight);
  F32x8 largest = splat8(-__builtin_inff());
  I32x8 winner = splat8_i32(0);
  for (int k = 0; k < lines.count; ++k) {
    const F32x8 value = fma(high, splat8(lines.high[k]), mul(low, splat8(lines.low[k])));
    winner = select(greater(value, largest), splat8_i32(lines.id[k]), winner);
    largest = max(largest, value);
  }
  return winner;
}

// Labels `width` columns and up to kRows rows of a cell with the candidates' first maximum. The
// candidates' values on a column are shared by its rows.
template <class Label>
SEAFORMER_INLINE void label_pixels(const Candidates& c, const float* left, const float* right,
                                   int64_t width, const float* top, const float* bottom,
                                   int64_t rows, Label* labels, int64_t stride) {
  constexpr int kTiles = 4;  // more would not fit the registers
  constexpr int kStrip = kTiles * kTileRows;
  for (int64_t x = 0; x < width; x += kPixels, labels += kPixels) {
    const F32Tile l = tile_columns(left + x), r = tile_columns(right + x);
    for (int64_t y = 0; y < rows; y += kStrip) {
      F32Tile t[kTiles], b[kTiles], largest[kTiles];
      I32Tile winner[kTiles];
      SEAFORMER_UNROLL
      for (int i = 0; i < kTiles; ++i) {
        t[i] = tile_rows(top + y + i * kTileRows);
        b[i] = tile_rows(bottom + y + i * kTileRows);
        largest[i] = splat_tile(-__builtin_inff());
        winner[i] = splat_tile_i32(c.id[0]);
      }
      for (int k = 0; k < c.count; ++k) {
        const F32Tile above =
            fma(r, splat_tile(c.corner[1][k]), mul(l, splat_tile(c.corner[0][k])));
        const F32Tile below =
            fma(r, splat_tile(c.corner[3][k]), mul(l, splat_tile(c.corner[2][k])));
        const I32Tile id = splat_tile_i32(c.id[k]);
        SEAFORMER_UNROLL
        for (int i = 0; i < kTiles; ++i) {
          const F32Tile value = fma(b[i], below, mul(t[i], above));
          winner[i] = select(greater(value, largest[i]), id, winner[i]);
          largest[i] = max(largest[i], value);
        }
      }
      SEAFORMER_UNROLL
      for (int i = 0; i < kStrip; ++i) {
        if (y + i >= rows) break;
        const I32x8 row = tile_row(winner[i / kTileRows], i % kTileRows);
        Label* to = labels + (y + i) * stride;
        if (x + kPixels <= width) {
          store8(to, row);
        } else {
          Label tail[kPixels];
          store8(tail, row);
          for (int64_t k = 0; k < width - x; ++k) to[k] = tail[k];
        }
      }
    }
  }
}

// Rule 2: gathers the classes that are not below some corner's winner at all four corners.
SEAFORMER_INLINE void gather_candidates(const float* const (&corner)[4], const int32_t (&winner)[4],
                                        int64_t classes, const int32_t* identity, Candidates& to) {
  // Of the four winners, the one whose worst corner is best rejects most.
  int32_t reference = winner[0];
  float best_worst = -__builtin_inff();
  SEAFORMER_UNROLL
  for (int w = 0; w < 4; ++w) {
    float worst = corner[0][winner[w]];
    SEAFORMER_UNROLL
    for (int k = 1; k < 4; ++k) worst = smaller(worst, corner[k][winner[w]]);
    if (worst > best_worst) {
      best_worst = worst;
      reference = winner[w];
    }
  }
  const F32x16 level[4] = {splat16(corner[0][reference]), splat16(corner[1][reference]),
                           splat16(corner[2][reference]), splat16(corner[3][reference])};
  int count = 0;
  for_each_block(classes, [&](int64_t offset, int fresh) SEAFORMER_LAMBDA_INLINE {
    const float* const source[4] = {corner[0] + offset, corner[1] + offset, corner[2] + offset,
                                    corner[3] + offset};
    Lanes16 reach = lanes(either(either(greater_equal(load16(source[0]), level[0]),
                                        greater_equal(load16(source[1]), level[1])),
                                 either(greater_equal(load16(source[2]), level[2]),
                                        greater_equal(load16(source[3]), level[3]))));
    reach.drop_below(fresh);
    if (reach.any()) {  // on smooth logits few blocks have any
      float* const destination[4] = {to.corner[0] + count, to.corner[1] + count,
                                     to.corner[2] + count, to.corner[3] + count};
      count += compress(reach, source, identity + offset, destination, to.id + count);
    }
    return false;
  });
  to.count = count;
}

// Fills the last block with copies of the first candidate, which change no maximum.
SEAFORMER_INLINE void pad_candidates(Candidates& c) {
  for (float* corner : c.corner) {
    for (int i = 0; i < kBlock; ++i) corner[c.count + i] = corner[0];
  }
  for (int i = 0; i < kBlock; ++i) c.id[c.count + i] = c.id[0];
}

// The test of rule 3 for pairs of lines a and b: the weights of the two ends at their crossing, and
// the level that a line must reach there.
struct Crossing {
  float low[kRows], high[kRows], level[kRows];
};

// `scale` bounds the magnitudes of the candidates' largest terms.
SEAFORMER_INLINE Crossing cross(F32x8 a_low, F32x8 a_high, F32x8 b_low, F32x8 b_high, float scale) {
  const F32x8 rise = sub(a_low, b_low);
  F32x8 high = div(rise, sub(rise, sub(a_high, b_high)));
  // Lines that coincide, and sums that overflow, leave a NaN; any point will do.
  high = select(greater_equal(high, splat8(0.0f)), min(high, splat8(1.0f)), splat8(0.5f));
  const F32x8 low = sub(splat8(1.0f), high);
  const F32x8 a = fma(high, a_high, mul(low, a_low)), b = fma(high, b_high, mul(low, b_low));
  const F32x8 largest = max(max(abs(a_low), abs(a_high)), max(abs(b_low), abs(b_high)));
  const F32x8 margin = mul(splat8(kRoundingMargin), max(largest, splat8(scale)));
  Crossing crossing;
  store8(crossing.low, low);
  store8(crossing.high, high);
  // Lines of the largest floats may round to infinity, which no other line would reach.
  store8(crossing.level, min(sub(min(a, b), margin), splat8(kAlmostLargest)));
  return crossing;
}

// Rule 3 along a side of the cell, between the corners `low` and `high` whose winners are the
// classes a and b: the winners where the output rows meet the side.
SEAFORMER_INLINE void side_winners(const Candidates& c, int low, int high,
                                   const float* const (&corner)[4], const int32_t (&winner)[4],
                                   const float* low_weight, const float* high_weight, Lines& lines,
                                   Side& side) {
  const int32_t a = winner[low], b = winner[high];
  const Crossing crossing = cross(splat8(corner[low][a]), splat8(corner[high][a]),
                                  splat8(corner[low][b]), splat8(corner[high][b]), 0.0f);
  const F32x16 l = splat16(crossing.low[0]), h = splat16(crossing.high[0]);
  const F32x16 level = splat16(crossing.level[0]);
  lines.count = 0;
  for (int i = 0; i < c.count; i += kBlock) {
    const float* const source[2] = {c.corner[low] + i, c.corner[high] + i};
    const F32x16 value = fma(h, load16(source[1]), mul(l, load16(source[0])));
    float* const destination[2] = {lines.low + lines.count, lines.high + lines.count};
    lines.count += compress(lanes(greater_equal(value, level)), source, c.id + i, destination,
                            lines.id + lines.count);
  }
  store8(side.winner, line_winners(lines, low_weight, high_weight));
}

// The bilinear sum of the corners.
SEAFORMER_INLINE F32x16 blend(const F32 (&weight)[4], const F32x16 (&corner)[4]) {
  F32x16 sum = mul(repeat16(weight[0]), corner[0]);
  SEAFORMER_UNROLL
  for (int k = 1; k < 4; ++k) sum = fma(repeat16(weight[k]), corner[k], sum);
  return sum;
}

// Rule 3 along kRows output rows from `row` on: the candidates that may win on any of them. Where
// the cell has fewer rows, the weights of those behind it are taken along, which only keeps a few
// candidates more.
SEAFORMER_INLINE void prune_rows(const float* const (&corner)[4], const int32_t (&winner)[4],
                                 const float* top, const float* bottom, const ResizeRun& run,
                                 int64_t row, Scratch& scratch) {
  const Candidates& c = scratch.candidates;
  Candidates& to = scratch.survivors;
  float scale = 0.0f;
  for (int k = 0; k < 4; ++k) scale = larger(scale, __builtin_fabsf(corner[k][winner[k]]));
  Side west = scratch.side;
  if (west.column != run.low || west.row != row) {
    side_winners(c, 0, 2, corner, winner, top, bottom, scratch.lines, west);
  }
  Side& east = scratch.side;
  side_winners(c, 1, 3, corner, winner, top, bottom, scratch.lines, east);
  east.column = run.high;
  east.row = row;

  const F32x8 t = load8(top), b = load8(bottom);
  const Crossing crossing = cross(
      fma(b, gather8(corner[2], west.winner), mul(t, gather8(corner[0], west.winner))),
      fma(b, gather8(corner[3], west.winner), mul(t, gather8(corner[1], west.winner))),
      fma(b, gather8(corner[2], east.winner), mul(t, gather8(corner[0], east.winner))),
      fma(b, gather8(corner[3], east.winner), mul(t, gather8(corner[1], east.winner))), scale);
  F32 weight[kRows][4], level[kRows];
  SEAFORMER_UNROLL
  for (int y = 0; y < kRows; ++y) {
    weight[y][0] = splat(top[y] * crossing.low[y]);
    weight[y][1] = splat(top[y] * crossing.high[y]);
    weight[y][2] = splat(bottom[y] * crossing.low[y]);
    weight[y][3] = splat(bottom[y] * crossing.high[y]);
    level[y] = splat(crossing.level[y]);
  }

  to.count = 0;
  for (int i = 0; i < c.count; i += kBlock) {
    const float* const source[4] = {c.corner[0] + i, c.corner[1] + i, c.corner[2] + i,
                                    c.corner[3] + i};
    const F32x16 x[4] = {load16(source[0]), load16(source[1]), load16(source[2]),
                         load16(source[3])};
    Mask16 reach = greater_equal(blend(weight[0], x), repeat16(level[0]));
    SEAFORMER_UNROLL
    for (int y = 1; y < kRows; ++y) {
      reach = either(reach, greater_equal(blend(weight[y], x), repeat16(level[y])));
    }
    float* const destination[4] = {to.corner[0] + to.count, to.corner[1] + to.count,
                                   to.corner[2] + to.count, to.corner[3] + to.count};
    to.count += compress(lanes(reach), source, c.id + i, destination, to.id + to.count);
  }
}

template <class Label>
SEAFORMER_INLINE void label_cell(const UpsampleArgmaxRows& args, const ResizeRun& run,
                                 const int32_t (&winner)[4], Scratch& scratch, Label* labels) {
  const int64_t width = run.end - run.begin;
  const float* left_weight = args.columns.low_weight + run.begin;
  const float* right_weight = args.columns.high_weight + run.begin;
  const float* const corner[4] = {
      args.low_logits + run.low * args.classes, args.low_logits + run.high * args.classes,
      args.high_logits + run.low * args.classes, args.high_logits + run.high * args.classes};
  labels += run.begin;

  if (winner[0] < 0 || winner[1] < 0 || winner[2] < 0 || winner[3] < 0) {
    for (int64_t y = 0; y < args.rows; ++y, labels += args.label_stride) {
      for (int64_t x = 0; x < width; ++x) {
        labels[x] = static_cast<Label>(evaluate_pixel(corner, args.classes, args.low_weight[y],
                                                      args.high_weight[y], left_weight[x],
                                                      right_weight[x]));
      }
    }
    return;
  }

  gather_candidates(corner, winner, args.classes, args.identity, scratch.candidates);
  const bool prune = scratch.candidates.count > kEvaluateAll;
  if (prune) pad_candidates(scratch.candidates);
  for (int64_t y = 0; y < args.rows; y += kRows) {
    const int64_t rows = smaller(args.rows - y, int64_t{kRows});
    const float *top = args.low_weight + y, *bottom = args.high_weight + y;
    if (prune) {
      prune_rows(corner, winner, top, bottom, run, y, scratch);
    }
    label_pixels(prune ? scratch.survivors : scratch.candidates, left_weight, right_weight, width,
                 top, bottom, rows, labels + y * args.label_stride, args.label_stride);
  }
}

template <class Label>
SEAFORMER_INLINE void fill(Label* labels, int64_t count, int32_t value) {
  int64_t i = 0;
  const I32x8 v = splat8_i32(value);
  for (; i + kPixels <= count; i += kPixels) store8(labels + i, v);
  for (; i < count; ++i) labels[i] = static_cast<Label>(value);
}

template <class Label>
void label_rows(const UpsampleArgmaxRows& args, Label* labels) {
  Scratch scratch(args.scratch, args.classes);
  const ResizeRun* run = args.columns.runs;
  const ResizeRun* const last = run + args.columns.run_count;
  while (run != last) {
    const int32_t winner[4] = {args.low_winners[run->low], args.low_winners[run->high],
                               args.high_winners[run->low], args.high_winners[run->high]};
    if (winner[0] < 0 || winner[0] != winner[1] || winner[0] != winner[2] ||
        winner[0] != winner[3]) {
      label_cell(args, *run, winner, scratch, labels);
      ++run;
      continue;
    }
    // Rule 1, for as many cells as agree; neighbours share a side.
    const int64_t begin = run->begin;
    int64_t end = run->end;
    for (++run;
         run != last && args.low_winners[run->low] == winner[0] &&
         args.low_winners[run->high] == winner[0] && args.high_winners[run->low] == winner[0] &&
         args.high_winners[run->high] == winner[0];
         ++run) {
      end = run->end;
    }
    for (int64_t y = 0; y < args.rows; ++y) {
      fill(labels + y * args.label_stride + begin, end - begin, winner[0]);
    }
  }
}

}  // namespace

extern const UpsampleArgmaxKernel upsample_argmax_kernel;
const UpsampleArgmaxKernel upsample_argmax_kernel = {SEAFORMER_ISA_ENUM, first_argmax,
                                                     label_rows<uint8_t>, label_rows<int32_t>};

}  // namespace SEAFORMER_ISA
}  // namespace seaformer
