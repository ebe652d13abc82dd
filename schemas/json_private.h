/* json_private: what the json_*.c files share; for no one else. */
#pragma once

#include "schemas/json.h"

/* --- json_string.c --------------------------------------------------------------------------- */

/* Where a string stops being strict JSON, and why. */
struct string_fault {
    const uint8_t *at;
    const char *detail; /* static storage */
};

/* Behind the escape at `at` (a backslash), surrogate pairs as one; NULL: fault filled. */
const uint8_t *json_pass_escape(const uint8_t *at, const uint8_t *end, struct string_fault *fault);
/* Behind the run of non-ASCII characters that begins at `at`; NULL: fault filled. */
const uint8_t *json_pass_utf8(const uint8_t *at, const uint8_t *end, struct string_fault *fault);

/* Resolve the well-formed escape at `at` into at most four bytes; returns its length in the text.
 */
size_t json_resolve_escape(const uint8_t *at, uint8_t ret_utf8[4], size_t *ret_utf8_bytes);

/* json_strings_equal's other half: `b` has escapes. */
bool json_equals_escaped(const struct json_doc *a, uint32_t node_a, const struct json_doc *b,
                         uint32_t node_b);
/* Equal after resolving escapes. No allocation. */
static inline bool json_strings_equal(const struct json_doc *a, uint32_t node_a,
                                      const struct json_doc *b, uint32_t node_b)
{
    return b->nodes[node_b].flags & JSON_HAS_ESCAPES
               ? json_equals_escaped(a, node_a, b, node_b)
               : json_string_equals(a, node_a, json_raw(b, node_b));
}

/* The length of the longest prefix of at most `max` bytes that ends between characters. */
size_t json_cut_utf8(struct bytes text, size_t max);

/* --- json_index.c ---------------------------------------------------------------------------- */

/*
 * Finds members of one object by name in constant time, where an object may be large and many names
 * are looked up: duplicates, equality without order, merging. Small objects are walked, large ones
 * get a hash table when the first name is looked up. The zero value of `slots` is fine; an index
 * never fails: without memory it walks.
 */
#define INDEX_MEMBERS_MIN 24 /* fewer members than this are walked */

struct json_index {
    const struct json_doc *doc;
    uint32_t object; /* JSON_NONE: has no members */
    uint32_t *slots; /* name nodes + 1; 0: free */
    uint32_t mask;
    uint32_t expected; /* the name looked up next where both sides have the same order */
};

/* `object` may be JSON_NONE, or a value of any kind: then nothing is found. */
struct json_index json_index_of(const struct json_doc *doc, uint32_t object);
void json_index_fini(struct json_index *index);
/* The name node of the member that is called as node `name` of `of`, or JSON_NONE. */
uint32_t json_index_find(struct json_index *index, const struct json_doc *of, uint32_t name);

/* The first name, in document order, that an earlier member of the object has, or JSON_NONE. Uses
 * the document's scratch. STATUS_NO_MEMORY. */
MUST_CHECK enum status json_find_repeated(struct json_doc *doc, uint32_t object,
                                          uint32_t *ret_name);

/* --- json_merge.c ---------------------------------------------------------------------------- */

/* Append the canonical form of well-formed JSON text that was put together here. */
void json_write_text(const struct buf *text, struct buf *out);

/* --- json_put.c ------------------------------------------------------------------------------ */

/* A string in quotes, from its range of a text. */
void json_put_escaped(struct buf *out, struct bytes raw);

#define NUMBER_TEXT_MAX 40 /* of the canonical form: sign, 17 digits, point, zeros, exponent */
/* The canonical form; returns its length, or 0 where the number stays as it is. */
size_t json_format_number(struct bytes number, char text[NUMBER_TEXT_MAX]);
