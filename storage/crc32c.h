/*
 * crc32c: CRC-32C (Castagnoli; RFC 3720 appendix B.4), the check of every stored row.
 */
#pragma once

#include "base/bytes.h"

/* Continue a sum over more bytes; begin with 0. */
uint32_t crc32c_more(uint32_t sum, struct bytes in);
/* The same without the processor's instruction, for its test. */
uint32_t crc32c_more_portable(uint32_t sum, struct bytes in);
