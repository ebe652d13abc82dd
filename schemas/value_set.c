/*
 * Design: open addressing with linear probing at half load. A number's hash is taken over its
 * significant digits and the power of ten of the last of them, so 1, 1.0 and 10e-1 agree and
 * digits beyond a double's count.
 */
#include "schemas/value_set.h"

uint32_t value_set_slots(uint32_t count)
{
    uint32_t slots = 4;
    while (slots / 2 < count)
        slots *= 2;
    return slots;
}

void value_set_init(struct value_set *set, const struct json_doc *doc, struct value_slot *slots,
                    uint32_t slot_count)
{
    set->doc = doc;
    set->slots = slots;
    set->mask = slot_count - 1;
    for (uint32_t i = 0; i < slot_count; i++)
        slots[i].node = JSON_NONE;
}

/* Finaliser of MurmurHash3: every input bit reaches every output bit. */
static uint32_t mix(uint32_t h)
{
    h = (h ^ h >> 16) * 0x85ebca6bu;
    h = (h ^ h >> 13) * 0xc2b2ae35u;
    return h ^ h >> 16;
}

static uint32_t seed_of(const char *what)
{
    return json_name_hash(bytes_of_str(what));
}

/* The exponent part's value, clamped; *at stands behind the 'e'. */
static int64_t read_exponent(const uint8_t *at, const uint8_t *end)
{
    bool is_negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+'))
        at++;
    int64_t value = 0;
    for (; at < end; at++) {
        if (value < INT32_MAX)
            value = value * 10 + (*at - '0');
    }
    return is_negative ? -value : value;
}

static uint32_t number_hash(struct bytes text)
{
    const uint8_t *at = text.data, *end = text.data + text.len;
    uint32_t hash = seed_of("number"), settled = hash;
    bool is_negative = at < end && *at == '-', has_digits = false, in_fraction = false;
    int64_t power = 0, settled_power = 0; /* of ten, of the last digit read / that counted */
    if (is_negative)
        at++;
    for (; at < end && *at != 'e' && *at != 'E'; at++) {
        if (*at == '.') {
            in_fraction = true;
            continue;
        }
        power += in_fraction ? -1 : 0;
        settled_power += in_fraction ? 0 : 1;
        if (*at == '0' && !has_digits)
            continue;
        has_digits = true;
        hash = hash * 31 + *at;
        if (*at != '0') { /* trailing zeros do not count */
            settled = hash;
            settled_power = in_fraction ? power : 0;
        }
    }
    if (!has_digits)
        return seed_of("zero");
    if (at < end)
        settled_power += read_exponent(at + 1, end);
    return mix(settled ^ mix((uint32_t)settled_power * 2 + is_negative));
}

static uint32_t string_hash(const struct json_doc *doc, uint32_t node, struct buf *scratch)
{
    buf_clear(scratch);
    return mix(json_name_hash(json_string(doc, node, scratch)));
}

uint32_t value_hash(const struct json_doc *doc, uint32_t node, struct buf *scratch)
{
    uint32_t hash;
    switch (json_kind_of(doc, node)) {
    case JSON_NUMBER:
        return number_hash(json_raw(doc, node));
    case JSON_STRING:
        return string_hash(doc, node, scratch);
    case JSON_ARRAY:
        hash = seed_of("array");
        for (uint32_t i = json_first(doc, node); i != JSON_NONE; i = json_after(doc, node, i))
            hash = hash * 31 + value_hash(doc, i, scratch);
        return mix(hash);
    case JSON_OBJECT:
        hash = seed_of("object"); /* a sum: the members' order does not count */
        for (uint32_t i = json_first(doc, node); i != JSON_NONE; i = json_after(doc, node, i))
            hash += mix(doc->nodes[i].count ^ mix(value_hash(doc, i + 1, scratch)));
        return mix(hash);
    default:
        return mix(json_kind_of(doc, node));
    }
}

/* The slot of an equal value, or the free one where it would go. */
static struct value_slot *find(const struct value_set *set, uint32_t hash,
                               const struct json_doc *doc, uint32_t node)
{
    for (uint32_t i = hash & set->mask;; i = (i + 1) & set->mask) {
        struct value_slot *slot = &set->slots[i];
        if (slot->node == JSON_NONE)
            return slot;
        if (slot->hash == hash && json_equal(set->doc, slot->node, doc, node))
            return slot;
    }
}

uint32_t value_set_add(struct value_set *set, uint32_t node, struct buf *scratch)
{
    uint32_t hash = value_hash(set->doc, node, scratch);
    struct value_slot *slot = find(set, hash, set->doc, node);
    if (slot->node != JSON_NONE)
        return slot->node;
    *slot = (struct value_slot){hash, node};
    return JSON_NONE;
}

bool value_set_has(const struct value_set *set, const struct json_doc *doc, uint32_t node,
                   struct buf *scratch)
{
    return find(set, value_hash(doc, node, scratch), doc, node)->node != JSON_NONE;
}
