// CRC-32, as zlib and PNG have it (polynomial 0xEDB88320): guards against damage, not malice.
#pragma once

#include <cstddef>
#include <cstdint>

namespace seaformer {

uint32_t crc32(const void* data, std::size_t bytes);

}  // namespace seaformer
