// An inverted residual of int8 maps. What lies between its convolutions, and the sums of the
// depthwise one, are whole numbers in float32 or int8, so that every ISA has the same result.
#pragma once

#include <cstddef>

#include "blocks/map_shape.h"
#include "blocks/packed.h"
#include "blocks/row_source.h"
#include "core/parallel.h"
#include "kernels/int8_pointwise/int8_pointwise.h"

namespace seaformer {

// As of inverted_residual, for packed weights of int8.
std::size_t quantized_inverted_residual_workspace(const MapShape& shape, const PackedHeader& packed,
                                                  int64_t threads, int64_t source_scratch = 0);
void quantized_inverted_residual(const MapShape& shape, const PackedHeader& packed, bool residual,
                                 const void* input, void* output, void* workspace,
                                 const Parallel& parallel);
// In what form it takes the rows of the map that it filters.
Int8Output quantized_row_form();
// `source` makes rows of that form.
void quantized_inverted_residual_of_rows(const MapShape& shape, const PackedHeader& packed,
                                         bool residual, const RowSource& source,
                                         int64_t source_scratch, void* output, void* workspace,
                                         const Parallel& parallel);

}  // namespace seaformer
