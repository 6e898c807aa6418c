#include "blocks/packed.h"

#include "blocks/block_kind.h"
#include "core/require.h"

namespace seaformer {

int64_t packed_bytes(const PackedHeader& header) {
  return int64_t{sizeof header} + kind_of(header).sections(header).bytes();
}

const PackedHeader& checked_header(const char* op, PackedKind kind, const void* packed,
                                   int64_t bytes) {
  require(bytes >= static_cast<int64_t>(sizeof(PackedHeader)), op,
          ": expected packed weights of at least 64 bytes, got ", bytes);
  require(reinterpret_cast<uintptr_t>(packed) % alignof(float) == 0, op,
          ": expected packed weights aligned to 4 bytes, got address ", packed);
  const PackedHeader& h = *static_cast<const PackedHeader*>(packed);
  require(h.magic == kPackedMagic, op,
          ": expected packed weights that begin with the magic number ", kPackedMagic, ", got ",
          h.magic);
  require(h.version >= 1 && h.version <= kPackedVersion, op,
          ": expected packed weights of layout version 1 to ", kPackedVersion, ", got version ",
          h.version);
  require(h.version < 3 || is_element(h.element), op,
          ": expected packed weights of element type 0 (float32) or 1 (float16), got ", h.element);
  require(h.kind == static_cast<int32_t>(kind), op, ": expected packed weights of kind ",
          static_cast<int32_t>(kind), ", got kind ", h.kind);
  require(is_packed_channels(h.in_channels) && is_packed_channels(h.out_channels), op,
          ": expected packed weights with 1 to ", kMaxPackedChannels, " channels, got ",
          h.in_channels, " in and ", h.out_channels, " out");
  kind_of(h).check(op, h);
  const int64_t expected = packed_bytes(h);
  require(bytes == expected, op, ": expected packed weights of ", expected, " bytes, got ", bytes);
  return h;
}

}  // namespace seaformer
