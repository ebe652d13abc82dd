/*
 * Widths come from two short tables of ranges instead of wcwidth(3), which depends on the locale:
 * the tool runs in containers and cron jobs where that is "C".
 */
#include "tools/text.h"

#define REPLACEMENT UINT32_C(0xFFFD)
#define WORD_MAX 63

struct range {
    uint32_t first, last;
};

/* Characters that take no column: combining marks, joiners, variation selectors. */
static const struct range ZERO_WIDTH[] = {
    {0x0300, 0x036F},   {0x0483, 0x0489}, {0x0591, 0x05BD}, {0x0610, 0x061A}, {0x064B, 0x065F},
    {0x0900, 0x0902},   {0x0941, 0x0948}, {0x0E31, 0x0E31}, {0x0E34, 0x0E3A}, {0x0E47, 0x0E4E},
    {0x1AB0, 0x1AFF},   {0x1DC0, 0x1DFF}, {0x200B, 0x200F}, {0x20D0, 0x20F0}, {0x2060, 0x2064},
    {0x302A, 0x302D},   {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F}, {0xFEFF, 0xFEFF}, {0x1F3FB, 0x1F3FF},
    {0xE0100, 0xE01EF},
};

/* Characters that take two columns: East Asian wide and full width, emoji. */
static const struct range DOUBLE_WIDTH[] = {
    {0x1100, 0x115F},   {0x231A, 0x231B},   {0x2329, 0x232A},   {0x23E9, 0x23EC},
    {0x2614, 0x2615},   {0x2648, 0x2653},   {0x26AA, 0x26AB},   {0x26BD, 0x26BE},
    {0x2705, 0x2705},   {0x270A, 0x270B},   {0x2728, 0x2728},   {0x274C, 0x274C},
    {0x2753, 0x2755},   {0x2757, 0x2757},   {0x2795, 0x2797},   {0x2B1B, 0x2B1C},
    {0x2E80, 0x303E},   {0x3041, 0x33FF},   {0x3400, 0x4DBF},   {0x4E00, 0x9FFF},
    {0xA000, 0xA4CF},   {0xA960, 0xA97C},   {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},
    {0xFE30, 0xFE6F},   {0xFF00, 0xFF60},   {0xFFE0, 0xFFE6},   {0x1F300, 0x1F64F},
    {0x1F680, 0x1F6FF}, {0x1F900, 0x1F9FF}, {0x1FA70, 0x1FAFF}, {0x20000, 0x3FFFD},
};

static bool in_ranges(uint32_t c, const struct range *ranges, size_t count)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (c > ranges[middle].last)
            low = middle + 1;
        else if (c < ranges[middle].first)
            high = middle;
        else
            return true;
    }
    return false;
}

/* The character at `at` and the bytes it takes; an invalid byte is one REPLACEMENT. */
static uint32_t decode(struct bytes in, size_t at, size_t *ret_len)
{
    const uint8_t *p = in.data + at;
    size_t left = in.len - at;
    *ret_len = 1;
    if (p[0] < 0x80)
        return p[0];
    size_t len = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
    if (p[0] < 0xC2 || p[0] > 0xF4 || left < len)
        return REPLACEMENT;
    uint32_t c = p[0] & (0xFFu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return REPLACEMENT;
        c = c << 6 | (p[i] & 0x3Fu);
    }
    static const uint32_t SMALLEST[] = {0, 0, 0x80, 0x800, 0x10000};
    if (c < SMALLEST[len] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
        return REPLACEMENT;
    *ret_len = len;
    return c;
}

static bool is_valid_at(struct bytes in, size_t at, uint32_t c, size_t len)
{
    return c != REPLACEMENT || (len == 3 && in.data[at] == 0xEF);
}

void text_put_utf8(struct buf *out, struct bytes in)
{
    for (size_t at = 0, len; at < in.len; at += len) {
        uint32_t c = decode(in, at, &len);
        if (is_valid_at(in, at, c, len))
            buf_put(out, in.data + at, len);
        else
            buf_put_str(out, "\xEF\xBF\xBD");
    }
}

static bool is_dangerous(uint32_t c)
{
    return c < 0x20 || (c >= 0x7F && c <= 0x9F) || (c >= 0x200E && c <= 0x200F) ||
           (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

void text_put_visible(struct buf *out, struct bytes in)
{
    for (size_t at = 0, len; at < in.len; at += len) {
        uint32_t c = decode(in, at, &len);
        if (!is_valid_at(in, at, c, len))
            buf_put_str(out, "\xEF\xBF\xBD");
        else if (c == '\n')
            buf_put_str(out, "\\n");
        else if (c == '\t')
            buf_put_str(out, "\\t");
        else if (is_dangerous(c))
            buf_printf(out, "\\u%04x", c);
        else
            buf_put(out, in.data + at, len);
    }
}

static size_t width_of(uint32_t c)
{
    if (c < 0x300)
        return 1;
    if (in_ranges(c, ZERO_WIDTH, sizeof(ZERO_WIDTH) / sizeof(*ZERO_WIDTH)))
        return 0;
    return in_ranges(c, DOUBLE_WIDTH, sizeof(DOUBLE_WIDTH) / sizeof(*DOUBLE_WIDTH)) ? 2 : 1;
}

size_t text_width(struct bytes utf8)
{
    size_t width = 0;
    for (size_t at = 0, len; at < utf8.len; at += len)
        width += width_of(decode(utf8, at, &len));
    return width;
}

struct bytes text_fit(struct bytes utf8, size_t columns)
{
    size_t width = 0, at = 0, len;
    for (; at < utf8.len; at += len) {
        width += width_of(decode(utf8, at, &len));
        if (width > columns)
            break;
    }
    return bytes_of(utf8.data, at);
}

unsigned text_distance(const char *a, const char *b)
{
    unsigned row[WORD_MAX + 1];
    size_t a_len = strlen(a), b_len = strlen(b);
    if (a_len > WORD_MAX || b_len > WORD_MAX)
        return WORD_MAX;
    for (size_t j = 0; j <= b_len; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= a_len; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            unsigned substituted = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            unsigned changed = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            row[j] = substituted < changed ? substituted : changed;
        }
    }
    return row[b_len];
}
