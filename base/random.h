/*
 * random: the kernel's random bytes (getrandom), and a small seeded generator for everything that
 * must be repeatable: ids made by the writer, jitter in tests.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Cryptographic; aborts if the kernel cannot give any (it always can once booted). */
void random_bytes(void *out, size_t len);

/* xoshiro256**; not for secrets. Same seed, same numbers. */
struct prng {
    uint64_t state[4];
};
void prng_seed(struct prng *prng, uint64_t seed);
uint64_t prng_next(struct prng *prng);
/* Uniform in 0 … bound-1; bound > 0. */
uint64_t prng_below(struct prng *prng, uint64_t bound);
