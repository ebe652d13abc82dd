/*
 * crc32c: the processor's instruction where there is one (x86-64 with SSE 4.2, which is every
 * server of the last fifteen years), else a table. CRC-32C and not zlib's CRC-32, because that took
 * an eighth of the writer's time.
 */
#include "storage/crc32c.h"

#include <pthread.h>

#define POLYNOMIAL 0x82F63B78u /* reflected */

static uint32_t table[256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void table_make(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t sum = byte;

        for (int bit = 0; bit < 8; bit++)
            sum = (sum & 1) != 0 ? sum >> 1 ^ POLYNOMIAL : sum >> 1;
        table[byte] = sum;
    }
}

uint32_t crc32c_more_portable(uint32_t sum, struct bytes in)
{
    (void)pthread_once(&table_once, table_make); /* cannot fail with a valid control */
    sum = ~sum;
    for (size_t i = 0; i < in.len; i++)
        sum = table[(sum ^ in.data[i]) & 0xff] ^ sum >> 8;
    return ~sum;
}

#ifdef __x86_64__

__attribute__((target("sse4.2"))) static uint32_t crc32c_more_sse42(uint32_t sum, struct bytes in)
{
    const uint8_t *at = in.data;
    uint64_t sum64 = (uint32_t)~sum;
    size_t left = in.len;

    for (; left >= 8; left -= 8, at += 8) {
        uint64_t word;

        memcpy(&word, at, sizeof(word));
        sum64 = __builtin_ia32_crc32di(sum64, word);
    }
    for (sum = (uint32_t)sum64; left > 0; left--, at++)
        sum = __builtin_ia32_crc32qi(sum, *at);
    return ~sum;
}

uint32_t crc32c_more(uint32_t sum, struct bytes in)
{
    if (__builtin_cpu_supports("sse4.2"))
        return crc32c_more_sse42(sum, in);
    return crc32c_more_portable(sum, in);
}

#else

uint32_t crc32c_more(uint32_t sum, struct bytes in)
{
    return crc32c_more_portable(sum, in);
}

#endif
