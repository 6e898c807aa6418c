#include "simd/bytes_scalar.h"

#define SEAFORMER_ISA scalar
#define SEAFORMER_ISA_ENUM Isa::kScalar
#include "kernels/int8_convert/generic.h"
