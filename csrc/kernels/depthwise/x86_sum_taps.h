// sum_taps of generic.h for tiles that x86_tiles.py wrote. Included inside an ISA's namespace,
// which has defined SEAFORMER_REGISTER, the constraint of its vector registers, and
// SEAFORMER_CLOBBERS, those that the tiles name themselves.

#define SEAFORMER_SUM(p) [sum##p] "=&" SEAFORMER_REGISTER(sum[0][p].x)
#define SEAFORMER_SUMS_8                                                                    \
  SEAFORMER_SUM(0), SEAFORMER_SUM(1), SEAFORMER_SUM(2), SEAFORMER_SUM(3), SEAFORMER_SUM(4), \
      SEAFORMER_SUM(5), SEAFORMER_SUM(6), SEAFORMER_SUM(7)
#define SEAFORMER_SUMS_16                                                                     \
  SEAFORMER_SUMS_8, SEAFORMER_SUM(8), SEAFORMER_SUM(9), SEAFORMER_SUM(10), SEAFORMER_SUM(11), \
      SEAFORMER_SUM(12), SEAFORMER_SUM(13), SEAFORMER_SUM(14), SEAFORMER_SUM(15)
#define SEAFORMER_ROWS_3 [row0] "+r"(row0), [row1] "+r"(row1), [row2] "+r"(row2)
#define SEAFORMER_ROWS_5 SEAFORMER_ROWS_3, [row3] "+r"(row3), [row4] "+r"(row4)

#define SEAFORMER_SUM_TAPS(size, stride, pixels, kind, code)                                     \
  SEAFORMER_INLINE void sum_taps(Taps<size, stride>, const float* const* rows, int64_t step,     \
                                 const float* weights, F32(&sum)[1][pixels], LastIs<Last::kind>, \
                                 int) {                                                          \
    const float *row0 = rows[0], *row1 = rows[1], *row2 = rows[2];                               \
    [[maybe_unused]] const float *row3 = rows[size - 2], *row4 = rows[size - 1];                 \
    asm volatile(code                                                                            \
                 : SEAFORMER_SUMS_##pixels, SEAFORMER_ROWS_##size                                \
                 : [weights] "r"(weights), [step] "r"(4 * step), [step3] "r"(12 * step)          \
                 : "memory", SEAFORMER_CLOBBERS);                                                \
  }
