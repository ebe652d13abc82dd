/*
 * Design: fold both names, then the Damerau-Levenshtein distance (adjacent swaps count as one) over
 * three rows of the table. At most 64 by 64 steps.
 */
#include "schemas/near_name.h"

#define COLUMNS (NEAR_NAME_BYTES_MAX + 1)

static size_t fold(struct bytes name, uint8_t out[NEAR_NAME_BYTES_MAX])
{
    size_t len = 0;
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.data[i];
        if (c == '_' || c == '-' || c == '.' || c == ' ')
            continue;
        out[len++] = c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
    }
    return len;
}

static uint32_t least(uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

static uint32_t edit_distance(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
    uint32_t rows[3][COLUMNS];
    for (size_t j = 0; j <= b_len; j++)
        rows[0][j] = (uint32_t)j;
    for (size_t i = 1; i <= a_len; i++) {
        uint32_t *row = rows[i % 3];
        const uint32_t *up = rows[(i - 1) % 3], *up2 = rows[(i + 1) % 3];
        row[0] = (uint32_t)i;
        for (size_t j = 1; j <= b_len; j++) {
            row[j] = least(up[j] + 1, row[j - 1] + 1, up[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                up2[j - 2] + 1 < row[j])
                row[j] = up2[j - 2] + 1;
        }
    }
    return rows[a_len % 3][b_len];
}

uint32_t near_name_distance(struct bytes a, struct bytes b)
{
    uint8_t folded_a[NEAR_NAME_BYTES_MAX], folded_b[NEAR_NAME_BYTES_MAX];
    if (a.len > NEAR_NAME_BYTES_MAX || b.len > NEAR_NAME_BYTES_MAX)
        return UINT32_MAX;
    size_t a_len = fold(a, folded_a), b_len = fold(b, folded_b);
    size_t longer = a_len > b_len ? a_len : b_len;
    uint32_t allowed = longer >= 8 ? 2 : longer >= 4 ? 1 : 0;
    if (!a_len || !b_len || longer - (a_len < b_len ? a_len : b_len) > allowed)
        return UINT32_MAX;
    uint32_t slips = edit_distance(folded_a, a_len, folded_b, b_len);
    return slips <= allowed ? slips : UINT32_MAX;
}
