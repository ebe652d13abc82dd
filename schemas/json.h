/*
 * json: strict JSON in one pass, into a flat array of nodes that points into the text.
 *
 * Strict means RFC 8259 and: UTF-8 without surrogates (raw, overlong or as a lone \u escape), no
 * duplicate member names in one object (names compared after their escapes are resolved), numbers
 * within a double's range (`1e400` is refused), nothing after the value, no byte order mark,
 * nesting at most JSON_DEPTH_MAX.
 *
 * Nothing is copied or converted: a string node is a range of the text, escapes and all, and a
 * number keeps its digits, so that 9007199254740993 stays what the sender wrote. The text must
 * outlive the document. Numbers are compared by value, see schemas/decimal.h.
 *
 *     struct json_doc doc = {0};                     // the zero value is empty and valid
 *     struct json_fault fault;
 *     if (json_scan(&doc, body, &fault) == STATUS_OK)
 *         title = json_member(&doc, json_root(&doc), "title");
 *     json_doc_fini(&doc);
 *
 * Not here: meaning (schemas/schema.h), output (schemas/json_write.h).
 * Threads: a document belongs to one thread at a time. Scanning allocates only when the node array
 * has to grow; a reused document does not allocate at all.
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"

#define JSON_DEPTH_MAX 64

enum json_kind {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT,
};

enum json_flag {
    JSON_HAS_ESCAPES = 1, /* strings: the raw range has at least one backslash */
    JSON_IS_NAME = 2,     /* the string is a member's name; its value is the next node */
    JSON_IS_INTEGER = 4,  /* numbers: written without fraction and exponent */
    JSON_IS_ASCII = 8,    /* strings: every byte below 0x80 */
};

/* Node i's children follow it directly: elements, or name, value, name, value… */
struct json_node {
    uint8_t kind;
    uint8_t flags;
    uint32_t start; /* offset of the first byte; of a string, the byte after the quote */
    uint32_t len;   /* bytes: a string's without its quotes, a container's with its brackets */
    uint32_t next;  /* index of the node after this value and all within it */
    uint32_t count; /* containers: elements or members. Names: hash of the resolved name */
};

struct json_doc {
    const char *text; /* borrowed */
    size_t text_bytes;
    struct json_node *nodes; /* nodes[0] is the root */
    uint32_t node_count;
    uint32_t node_capacity;
    uint32_t *names; /* scratch of the search for duplicate names in large objects */
    uint32_t names_capacity;
};

/* Why and where a text is not strict JSON. */
struct json_fault {
    char detail[160]; /* one sentence without position: "duplicate member name \"status\"" */
    size_t offset;    /* of the byte at fault, from 0; the text's length where it ends too early */
    size_t line;      /* from 1 */
    size_t column;    /* from 1, in characters of the line */
};

/* Replace the document by the strict reading of `text`. STATUS_INVALID fills `ret_fault`;
 * STATUS_LIMIT: text of 4 GiB or more. The document is empty after any failure. */
MUST_CHECK enum status json_scan(struct json_doc *doc, struct bytes text,
                                 struct json_fault *ret_fault);
void json_doc_fini(struct json_doc *doc);

/* Seed of the member name hash, once at start, from random bytes. Documents scanned before are
 * void. Programs' hash tables over names (schemas) and each struct json_name are made after it. */
void json_seed(uint64_t seed);
/* The hash that name nodes carry, of an already resolved name. */
uint32_t json_name_hash(struct bytes name);

#define JSON_NONE UINT32_MAX /* an index that names no node */
static inline uint32_t json_root(const struct json_doc *doc)
{
    return doc->node_count ? 0 : JSON_NONE;
}
static inline enum json_kind json_kind_of(const struct json_doc *doc, uint32_t node)
{
    return (enum json_kind)doc->nodes[node].kind;
}
/* The raw bytes of a value as they stand: strings without quotes, escapes unresolved. */
static inline struct bytes json_raw(const struct json_doc *doc, uint32_t node)
{
    return bytes_of(doc->text + doc->nodes[node].start, doc->nodes[node].len);
}
/* The whole value as text, quotes included. */
struct bytes json_text(const struct json_doc *doc, uint32_t node);

/* Index of the value of the member, JSON_NONE if absent or `object` is JSON_NONE or no object. */
uint32_t json_member(const struct json_doc *doc, uint32_t object, const char *name);
uint32_t json_member_bytes(const struct json_doc *doc, uint32_t object, struct bytes name);

/* A name made ready to be looked up in many documents. */
struct json_name {
    const char *text; /* borrowed */
    size_t len;
    uint32_t hash;
};
struct json_name json_name_of(const char *text);
uint32_t json_member_named(const struct json_doc *doc, uint32_t object,
                           const struct json_name *name);

/* Iterate: for (i = json_first(doc, c); i != JSON_NONE; i = json_after(doc, c, i))
 * In an object i is the name's node and i + 1 its value. */
static inline uint32_t json_first(const struct json_doc *doc, uint32_t container)
{
    /* Scalars end where they begin. */
    return doc->nodes[container].next > container + 1 ? container + 1 : JSON_NONE;
}
static inline uint32_t json_after(const struct json_doc *doc, uint32_t container, uint32_t child)
{
    bool is_object = doc->nodes[container].kind == JSON_OBJECT;
    uint32_t next = doc->nodes[child + is_object].next;
    return next < doc->nodes[container].next ? next : JSON_NONE;
}

/* The string with its escapes resolved, as UTF-8; may contain NUL. Appends to `out`. */
void json_string_put(const struct json_doc *doc, uint32_t node, struct buf *out);
/* Borrow the resolved string: the raw range if it has no escapes, else resolved into `scratch`. */
struct bytes json_string(const struct json_doc *doc, uint32_t node, struct buf *scratch);
/* json_string_equals's other half: of a string with escapes. */
bool json_escaped_equals(const struct json_doc *doc, uint32_t node, struct bytes text);
static inline bool json_string_equals(const struct json_doc *doc, uint32_t node, struct bytes text)
{
    return doc->nodes[node].flags & JSON_HAS_ESCAPES ? json_escaped_equals(doc, node, text)
                                                     : bytes_equal(json_raw(doc, node), text);
}

/* As JSON Schema's equality (2020-12 core section 4.2.2): numbers by value, objects without order.
 */
bool json_equal(const struct json_doc *a, uint32_t node_a, const struct json_doc *b,
                uint32_t node_b);

/* As json_equal, of two objects, where a member of that name counts for nothing in either. */
bool json_equal_without(const struct json_doc *a, uint32_t object_a, const struct json_doc *b,
                        uint32_t object_b, const char *name);

/* RFC 6901. STATUS_NOT_FOUND: no such value. STATUS_INVALID: malformed pointer. */
MUST_CHECK enum status json_pointer_find(const struct json_doc *doc, struct bytes pointer,
                                         uint32_t *ret_node);
/* Append "/name" with ~ and / escaped. */
void json_pointer_put_name(struct buf *out, struct bytes name);
/* The RFC 6901 pointer of a node, found by walking down from the root. */
void json_pointer_of(const struct json_doc *doc, uint32_t node, struct buf *out);

/* Reading configuration: the whole file, scanned. `ret_text` keeps the bytes that doc borrows.
 * Errors name file, line and column. */
MUST_CHECK enum status json_read_file(const char *path, size_t bytes_max, struct buf *ret_text,
                                      struct json_doc *ret_doc, struct err *err);
