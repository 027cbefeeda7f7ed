// CRC-32C (Castagnoli), the checksum of everything Hotpot puts on a disk.
#pragma once
#include <cstdint>

#include "base/types.h"

namespace hotpot {

// The checksum of `bytes` that follow what `crc` is the checksum of; 0 for the first. Uses the SSE4.2 instruction where
// the processor has it, found out once at run time.
uint32_t Crc32c(uint32_t crc, Bytes bytes);

// The table version that every processor can run; the hardware must agree with it.
uint32_t Crc32cPortable(uint32_t crc, Bytes bytes);

}  // namespace hotpot
