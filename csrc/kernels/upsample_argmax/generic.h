// The upsample_argmax kernel over the vector wrapper. An ISA file includes its wrapper, defines
// SEAFORMER_ISA and SEAFORMER_ISA_ENUM, then includes this.
//
// The source pixels cut the output into cells; inside a cell every class is a bilinear function of the
// position. Three exact rules leave little to evaluate:
//   1. Where one class is the first maximum at all four corners it is so everywhere between them,
//      because the weights are not negative: the cell is filled.
//   2. A class that lies below another at all four corners never wins in the cell.
//   3. On one output row classes are straight lines between the cell's sides. Let a and b be the
//      winners at the two ends. A class that lies below both a and b at any one point between lies
//      below a to its left and below b to its right, hence never wins; the crossing of a and b is the
//      point that rejects most.
// What survives is evaluated for 8 pixels at a time, in class order, so that the first maximum wins.
// Each rule only drops classes that cannot be the first maximum in exact arithmetic, so that labels
// differ from those of a full evaluation only where rounding decides between two classes.
#pragma once

#include "kernels/upsample_argmax/upsample_argmax.h"

namespace seaformer {
namespace SEAFORMER_ISA {
namespace {

constexpr int64_t kBlock = 16;  // classes examined together
constexpr int kPixels = 8;      // output pixels evaluated together

// Up to this many candidates are evaluated outright; beyond it rule 3 pays for its two passes.
constexpr int kEvaluateAll = 16;

// Four float32 roundings relative to the largest end: what the test of rule 3 may err by.
constexpr float kRoundingMargin = 4.0f / (1 << 24);

// Classes that may win, as straight lines along an output row, in class order.
struct Lines {
  const float* left;
  const float* right;
  const int32_t* id;
  int count;
};

struct Scratch {
  float* corner[4];
  int32_t* id;
  float *left, *right;
  float *kept_left, *kept_right;
  int32_t* kept_id;

  Scratch(void* memory, int64_t classes) {
    float* next = static_cast<float*>(memory);
    float** const arrays[] = {&corner[0], &corner[1], &corner[2],  &corner[3],
                              &left,      &right,     &kept_left, &kept_right};
    for (float** array : arrays) {
      *array = next;
      next += classes + 2 * kBlock;
    }
    id = reinterpret_cast<int32_t*>(next);
    kept_id = id + classes + 2 * kBlock;
  }
};

SEAFORMER_INLINE float interpolate(float low_weight, float low, float high_weight, float high) {
  return low_weight * low + high_weight * high;
}

SEAFORMER_INLINE float larger(float a, float b) { return a > b ? a : b; }

// Calls body(offset, fresh) for blocks of 16 that cover [0, count), count >= 16. The last block reaches
// back to stay inside; its lanes below `fresh` were in the block before. Stops when body returns true.
template <class Body>
SEAFORMER_INLINE void for_each_block(int64_t count, const Body& body) {
  int64_t offset = 0;
  for (; offset + kBlock <= count; offset += kBlock) {
    if (body(offset, 0)) return;
  }
  if (offset < count) body(count - kBlock, static_cast<int>(kBlock - (count - offset)));
}

SEAFORMER_INLINE int32_t first_equal(const float* values, int64_t count, float value) {
  const F32x16 wanted = splat16(value);
  int64_t found = 0;
  for_each_block(count, [&](int64_t offset, int) SEAFORMER_LAMBDA_INLINE {
    const Lanes16 hits = lanes(equal(load16(values + offset), wanted));
    if (!hits.any()) return false;
    found = offset + hits.first();
    return true;
  });
  return static_cast<int32_t>(found);
}

void first_argmax(const float* logits, int64_t pixels, int64_t classes, int32_t* winners) {
  const F32x16 zero = splat16(0.0f);
  for (int64_t i = 0; i < pixels; ++i, logits += classes) {
    F32x16 largest = load16(logits);
    F32x16 defect = mul(largest, zero);  // 0 * x is NaN for an infinity or NaN, and stays so in sums
    for_each_block(classes, [&](int64_t offset, int) SEAFORMER_LAMBDA_INLINE {
      const F32x16 x = load16(logits + offset);
      largest = max(largest, x);
      defect = fma(x, zero, defect);
      return false;
    });
    const bool finite = !lanes(unordered(defect, defect)).any();
    winners[i] = finite ? first_equal(logits, classes, reduce_max(largest)) : kNotFinite;
  }
}

// Rules 1 and 2 do not hold for infinities (0 * inf is NaN) and NaN wins over numbers, so one pixel is
// evaluated in full, as PyTorch does.
int32_t evaluate_pixel(const float* const (&corner)[4], int64_t classes, float top, float bottom,
                       float left, float right, float* values) {
  const F32x16 t = splat16(top), b = splat16(bottom), l = splat16(left), r = splat16(right);
  F32x16 largest = splat16(-__builtin_inff());
  int64_t first_nan = -1;
  for_each_block(classes, [&](int64_t offset, int) SEAFORMER_LAMBDA_INLINE {
    const F32x16 west = fma(b, load16(corner[2] + offset), mul(t, load16(corner[0] + offset)));
    const F32x16 east = fma(b, load16(corner[3] + offset), mul(t, load16(corner[1] + offset)));
    const F32x16 value = fma(r, east, mul(l, west));
    const Lanes16 nans = lanes(unordered(value, value));
    if (nans.any()) {
      first_nan = offset + nans.first();
      return true;
    }
    largest = max(largest, value);
    store_group(values + offset, value);
    return false;
  });
  if (first_nan >= 0) return static_cast<int32_t>(first_nan);
  return first_equal(values, classes, reduce_max(largest));
}

// Rule 2: gathers the classes that are not below some corner's winner at all four corners.
SEAFORMER_INLINE int gather_candidates(const float* const (&corner)[4], const int32_t (&winner)[4],
                                       int64_t classes, const int32_t* identity,
                                       const Scratch& scratch) {
  // Of the four winners, the one whose worst corner is best rejects most.
  int32_t reference = winner[0];
  float best_worst = -__builtin_inff();
  SEAFORMER_UNROLL for (int w = 0; w < 4; ++w) {
    float worst = corner[0][winner[w]];
    SEAFORMER_UNROLL for (int k = 1; k < 4; ++k) {
      const float x = corner[k][winner[w]];
      worst = x < worst ? x : worst;
    }
    if (worst > best_worst) {
      best_worst = worst;
      reference = winner[w];
    }
  }
  const F32x16 bound[4] = {splat16(corner[0][reference]), splat16(corner[1][reference]),
                           splat16(corner[2][reference]), splat16(corner[3][reference])};
  int count = 0;
  for_each_block(classes, [&](int64_t offset, int fresh) SEAFORMER_LAMBDA_INLINE {
    const float* const source[4] = {corner[0] + offset, corner[1] + offset, corner[2] + offset,
                                    corner[3] + offset};
    Lanes16 reach = lanes(either(either(greater_equal(load16(source[0]), bound[0]),
                                        greater_equal(load16(source[1]), bound[1])),
                                 either(greater_equal(load16(source[2]), bound[2]),
                                        greater_equal(load16(source[3]), bound[3]))));
    reach.drop_below(fresh);
    if (reach.any()) {
      float* const destination[4] = {scratch.corner[0] + count, scratch.corner[1] + count,
                                     scratch.corner[2] + count, scratch.corner[3] + count};
      count += compress(reach, source, identity + offset, destination, scratch.id + count);
    }
    return false;
  });
  return count;
}

// The candidates on one output row, from the left side of the cell to the right one.
SEAFORMER_INLINE void cross_row(const Scratch& scratch, int count, float top, float bottom) {
  const F32 t = splat(top), b = splat(bottom);
  for (int i = 0; i < count; i += kLanes) {  // may run past count, into scratch
    store(scratch.left + i, fma(b, load(scratch.corner[2] + i), mul(t, load(scratch.corner[0] + i))));
    store(scratch.right + i, fma(b, load(scratch.corner[3] + i), mul(t, load(scratch.corner[1] + i))));
  }
}

// Rule 3: keeps the lines, more than 16, that can be the largest somewhere between the two ends.
SEAFORMER_INLINE Lines prune_row(const Lines& lines, const Scratch& scratch) {
  F32x16 left_most = load16(lines.left), right_most = load16(lines.right);
  for_each_block(lines.count, [&](int64_t offset, int) SEAFORMER_LAMBDA_INLINE {
    left_most = max(left_most, load16(lines.left + offset));
    right_most = max(right_most, load16(lines.right + offset));
    return false;
  });
  const float a_left = reduce_max(left_most), b_right = reduce_max(right_most);
  const int32_t a = first_equal(lines.left, lines.count, a_left);
  const int32_t b = first_equal(lines.right, lines.count, b_right);
  if (a == b) return {lines.left + a, lines.right + a, lines.id + a, 1};
  const float a_right = lines.right[a], b_left = lines.left[b];
  // The crossing's share of the way; sides that overflow leave a NaN, and any point will do.
  float right = (a_left - b_left) / ((a_left - b_left) + (b_right - a_right));
  if (!(right >= 0.0f && right <= 1.0f)) right = 0.5f;
  const float left = 1.0f - right;
  const float a_crossing = interpolate(left, a_left, right, a_right);
  const float b_crossing = interpolate(left, b_left, right, b_right);
  const float scale = larger(larger(__builtin_fabsf(a_left), __builtin_fabsf(a_right)),
                             larger(__builtin_fabsf(b_left), __builtin_fabsf(b_right)));
  const float lower = a_crossing < b_crossing ? a_crossing : b_crossing;
  const F32x16 bound = splat16(lower - kRoundingMargin * scale);
  const F32x16 l = splat16(left), r = splat16(right);
  int count = 0;
  for_each_block(lines.count, [&](int64_t offset, int fresh) SEAFORMER_LAMBDA_INLINE {
    const float* const source[2] = {lines.left + offset, lines.right + offset};
    Lanes16 reach =
        lanes(greater_equal(fma(r, load16(source[1]), mul(l, load16(source[0]))), bound));
    reach.drop_below(fresh);
    if (reach.any()) {
      float* const destination[2] = {scratch.kept_left + count, scratch.kept_right + count};
      count += compress(reach, source, lines.id + offset, destination, scratch.kept_id + count);
    }
    return false;
  });
  return {scratch.kept_left, scratch.kept_right, scratch.kept_id, count};
}

template <class Label>
SEAFORMER_INLINE void fill(Label* labels, int64_t count, int32_t value) {
  int64_t i = 0;
  const I32x8 v = splat8_i32(value);
  for (; i + kPixels <= count; i += kPixels) store8(labels + i, v);
  for (; i < count; ++i) labels[i] = static_cast<Label>(value);
}

// The first maximum of the lines at `count` pixels of the row.
template <class Label>
SEAFORMER_INLINE void label_row(const Lines& lines, const float* low_weight,
                                const float* high_weight, int64_t count, Label* labels) {
  for (int64_t x = 0; x < count; x += kPixels) {
    const F32x8 low = load8(low_weight + x), high = load8(high_weight + x);
    F32x8 largest = fma(high, splat8(lines.right[0]), mul(low, splat8(lines.left[0])));
    I32x8 winner = splat8_i32(lines.id[0]);
    for (int k = 1; k < lines.count; ++k) {
      const F32x8 value = fma(high, splat8(lines.right[k]), mul(low, splat8(lines.left[k])));
      winner = select(greater(value, largest), splat8_i32(lines.id[k]), winner);
      largest = max(largest, value);
    }
    if (x + kPixels <= count) {
      store8(labels + x, winner);
    } else {
      Label tail[kPixels];
      store8(tail, winner);
      for (int64_t i = x; i < count; ++i) labels[i] = tail[i - x];
    }
  }
}

template <class Label>
SEAFORMER_INLINE void label_cell(const UpsampleArgmaxRows& args, const ResizeRun& run,
                                 const int32_t (&winner)[4], const Scratch& scratch,
                                 Label* labels) {
  const int64_t width = run.end - run.begin;
  const float* low_weight = args.columns.low_weight + run.begin;
  const float* high_weight = args.columns.high_weight + run.begin;
  const float* const corner[4] = {
      args.low_logits + run.low * args.classes, args.low_logits + run.high * args.classes,
      args.high_logits + run.low * args.classes, args.high_logits + run.high * args.classes};
  labels += run.begin;

  if (winner[0] < 0 || winner[1] < 0 || winner[2] < 0 || winner[3] < 0) {
    for (int64_t y = 0; y < args.rows; ++y, labels += args.label_stride) {
      for (int64_t x = 0; x < width; ++x) {
        labels[x] = static_cast<Label>(
            evaluate_pixel(corner, args.classes, args.low_weight[y], args.high_weight[y],
                           low_weight[x], high_weight[x], scratch.left));
      }
    }
    return;
  }

  const int count = gather_candidates(corner, winner, args.classes, args.identity, scratch);
  for (int64_t y = 0; y < args.rows; ++y, labels += args.label_stride) {
    cross_row(scratch, count, args.low_weight[y], args.high_weight[y]);
    Lines lines = {scratch.left, scratch.right, scratch.id, count};
    if (count > kEvaluateAll) lines = prune_row(lines, scratch);
    label_row(lines, low_weight, high_weight, width, labels);
  }
}

template <class Label>
void label_rows(const UpsampleArgmaxRows& args, Label* labels) {
  const Scratch scratch(args.scratch, args.classes);
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
    for (++run; run != last && args.low_winners[run->low] == winner[0] &&
                args.low_winners[run->high] == winner[0] &&
                args.high_winners[run->low] == winner[0] &&
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
