// Tiles of pixels where one run of 8 is wide enough. Included inside an ISA's namespace.
// A tile of output pixels: kTileRows rows of 8, as wide as the registers like.
constexpr int kTileRows = 1;
using F32Tile = F32x8;
using I32Tile = I32x8;
// The 8 weights of the columns, in every row.
SEAFORMER_INLINE F32Tile tile_columns(const float* x) { return load8(x); }
// The kTileRows weights of the rows, in every column.
SEAFORMER_INLINE F32Tile tile_rows(const float* y) { return splat8(*y); }
SEAFORMER_INLINE F32Tile splat_tile(float x) { return splat8(x); }
SEAFORMER_INLINE I32Tile splat_tile_i32(int32_t x) { return splat8_i32(x); }
SEAFORMER_INLINE I32x8 tile_row(I32Tile tile, int) { return tile; }
