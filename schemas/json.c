/*
 * Looking at a scanned document: members, strings, pointers, equality, and reading files.
 *
 * Strings are resolved only where someone asks for them; comparing a name goes by its hash first.
 * Equality and pointers recurse at most JSON_DEPTH_MAX deep.
 */
#include "schemas/json.h"

#include "schemas/decimal.h"
#include "schemas/json_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

void json_doc_fini(struct json_doc *doc)
{
    if (!doc)
        return;
    free(doc->nodes);
    free(doc->names);
    *doc = (struct json_doc){0};
}

struct bytes json_raw(const struct json_doc *doc, uint32_t node)
{
    return bytes_of(doc->text + doc->nodes[node].start, doc->nodes[node].len);
}

struct bytes json_text(const struct json_doc *doc, uint32_t node)
{
    struct bytes raw = json_raw(doc, node);
    if (json_kind_of(doc, node) == JSON_STRING)
        return bytes_of(raw.data - 1, raw.len + 2);
    return raw;
}

uint32_t json_first(const struct json_doc *doc, uint32_t container)
{
    return doc->nodes[container].count > 0 ? container + 1 : JSON_NONE;
}

uint32_t json_after(const struct json_doc *doc, uint32_t container, uint32_t child)
{
    bool is_object = doc->nodes[container].kind == JSON_OBJECT;
    uint32_t next = doc->nodes[is_object ? child + 1 : child].next;
    return next < doc->nodes[container].next ? next : JSON_NONE;
}

uint32_t json_member_bytes(const struct json_doc *doc, uint32_t object, struct bytes name)
{
    if (object == JSON_NONE || doc->nodes[object].kind != JSON_OBJECT)
        return JSON_NONE;
    uint32_t hash = json_name_hash(name);
    for (uint32_t i = json_first(doc, object); i != JSON_NONE; i = json_after(doc, object, i)) {
        if (doc->nodes[i].count == hash && json_string_equals(doc, i, name))
            return i + 1;
    }
    return JSON_NONE;
}

uint32_t json_member(const struct json_doc *doc, uint32_t object, const char *name)
{
    return json_member_bytes(doc, object, bytes_of_str(name));
}

static void put_utf8(struct buf *out, uint32_t c)
{
    uint8_t bytes[4];
    size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const uint8_t LEAD[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = len; i-- > 1; c >>= 6)
        bytes[i] = (uint8_t)(0x80 | (c & 0x3f));
    bytes[0] = (uint8_t)(LEAD[len] | c);
    buf_put(out, bytes, len);
}

static uint32_t hex4(const uint8_t *at)
{
    uint32_t value = 0;
    for (size_t i = 0; i < 4; i++) {
        uint8_t c = at[i];
        value = value << 4 | (uint32_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return value;
}

/* Resolve the escape at `at`; returns its length. The scanner has seen to it that it is
 * well-formed. */
static size_t put_escape(struct buf *out, const uint8_t *at)
{
    static const char FROM[] = "\"\\/bfnrt", TO[] = "\"\\/\b\f\n\r\t";
    const char *found = at[1] == 'u' ? NULL : strchr(FROM, at[1]);
    if (found) {
        buf_put_char(out, TO[found - FROM]);
        return 2;
    }
    uint32_t unit = hex4(at + 2);
    if (unit < 0xd800 || unit > 0xdbff) {
        put_utf8(out, unit);
        return 6;
    }
    put_utf8(out, 0x10000 + ((unit - 0xd800) << 10) + (hex4(at + 8) - 0xdc00));
    return 12;
}

void json_string_put(const struct json_doc *doc, uint32_t node, struct buf *out)
{
    struct bytes raw = json_raw(doc, node);
    if (!(doc->nodes[node].flags & JSON_HAS_ESCAPES)) {
        buf_put_bytes(out, raw);
        return;
    }
    for (size_t i = 0; i < raw.len;) {
        const uint8_t *backslash = memchr(raw.data + i, '\\', raw.len - i);
        size_t plain = (backslash ? (size_t)(backslash - raw.data) : raw.len) - i;
        buf_put(out, raw.data + i, plain);
        i += plain;
        if (backslash)
            i += put_escape(out, backslash);
    }
}

struct bytes json_string(const struct json_doc *doc, uint32_t node, struct buf *scratch)
{
    if (!(doc->nodes[node].flags & JSON_HAS_ESCAPES))
        return json_raw(doc, node);
    buf_clear(scratch);
    json_string_put(doc, node, scratch);
    return buf_bytes(scratch);
}

bool json_string_equals(const struct json_doc *doc, uint32_t node, struct bytes text)
{
    if (!(doc->nodes[node].flags & JSON_HAS_ESCAPES))
        return bytes_equal(json_raw(doc, node), text);
    if (doc->nodes[node].len < text.len)
        return false; /* resolving never lengthens */
    struct buf scratch = {0};
    bool is_equal = bytes_equal(json_string(doc, node, &scratch), text);
    buf_fini(&scratch);
    return is_equal;
}

static bool strings_equal(const struct json_doc *a, uint32_t node_a, const struct json_doc *b,
                          uint32_t node_b)
{
    if (!(b->nodes[node_b].flags & JSON_HAS_ESCAPES))
        return json_string_equals(a, node_a, json_raw(b, node_b));
    struct buf scratch = {0};
    bool is_equal = json_string_equals(a, node_a, json_string(b, node_b, &scratch));
    buf_fini(&scratch);
    return is_equal;
}

static bool arrays_equal(const struct json_doc *a, uint32_t array_a, const struct json_doc *b,
                         uint32_t array_b)
{
    uint32_t j = json_first(b, array_b);
    for (uint32_t i = json_first(a, array_a); i != JSON_NONE; i = json_after(a, array_a, i)) {
        if (!json_equal(a, i, b, j))
            return false;
        j = json_after(b, array_b, j);
    }
    return true;
}

/* The member of `b` with the name that node `name` of `a` has; usually it is the one expected. */
static uint32_t find_same_name(const struct json_doc *a, uint32_t name, const struct json_doc *b,
                               uint32_t object, uint32_t expected)
{
    if (expected != JSON_NONE && a->nodes[name].count == b->nodes[expected].count &&
        strings_equal(a, name, b, expected))
        return expected;
    for (uint32_t i = json_first(b, object); i != JSON_NONE; i = json_after(b, object, i)) {
        if (a->nodes[name].count == b->nodes[i].count && strings_equal(a, name, b, i))
            return i;
    }
    return JSON_NONE;
}

static bool objects_equal(const struct json_doc *a, uint32_t object_a, const struct json_doc *b,
                          uint32_t object_b)
{
    uint32_t expected = json_first(b, object_b);
    for (uint32_t i = json_first(a, object_a); i != JSON_NONE; i = json_after(a, object_a, i)) {
        uint32_t j = find_same_name(a, i, b, object_b, expected);
        if (j == JSON_NONE || !json_equal(a, i + 1, b, j + 1))
            return false;
        expected = json_after(b, object_b, j);
    }
    return true;
}

bool json_equal(const struct json_doc *a, uint32_t node_a, const struct json_doc *b,
                uint32_t node_b)
{
    const struct json_node *x = &a->nodes[node_a], *y = &b->nodes[node_b];
    if (x->kind != y->kind)
        return false;
    switch ((enum json_kind)x->kind) {
    case JSON_NUMBER:
        return decimal_compare(json_raw(a, node_a), json_raw(b, node_b)) == 0;
    case JSON_STRING:
        return strings_equal(a, node_a, b, node_b);
    case JSON_ARRAY:
        return x->count == y->count && arrays_equal(a, node_a, b, node_b);
    case JSON_OBJECT:
        return x->count == y->count && objects_equal(a, node_a, b, node_b);
    default:
        return true;
    }
}

/* "~1" and "~0" back to "/" and "~". STATUS_INVALID: another tilde. */
static enum status unescape_token(struct bytes token, struct buf *out)
{
    buf_clear(out);
    for (size_t i = 0; i < token.len; i++) {
        if (token.data[i] != '~') {
            buf_put_u8(out, token.data[i]);
            continue;
        }
        if (++i == token.len || (token.data[i] != '0' && token.data[i] != '1'))
            return STATUS_INVALID;
        buf_put_char(out, token.data[i] == '0' ? '~' : '/');
    }
    return out->status;
}

static uint32_t element_at(const struct json_doc *doc, uint32_t array, struct bytes token)
{
    if (token.len == 0 || token.len > 9 || (token.len > 1 && token.data[0] == '0'))
        return JSON_NONE;
    uint32_t index = 0;
    for (size_t i = 0; i < token.len; i++) {
        if (token.data[i] < '0' || token.data[i] > '9')
            return JSON_NONE;
        index = index * 10 + (token.data[i] - '0');
    }
    uint32_t node = json_first(doc, array);
    while (node != JSON_NONE && index-- > 0)
        node = json_after(doc, array, node);
    return node;
}

static enum status pointer_step(const struct json_doc *doc, struct bytes token, struct buf *name,
                                uint32_t *inout_node)
{
    enum status s = unescape_token(token, name);
    if (s != STATUS_OK)
        return s;
    uint32_t node = *inout_node;
    if (json_kind_of(doc, node) == JSON_OBJECT)
        node = json_member_bytes(doc, node, buf_bytes(name));
    else if (json_kind_of(doc, node) == JSON_ARRAY)
        node = element_at(doc, node, buf_bytes(name));
    else
        node = JSON_NONE;
    *inout_node = node;
    return node == JSON_NONE ? STATUS_NOT_FOUND : STATUS_OK;
}

enum status json_pointer_find(const struct json_doc *doc, struct bytes pointer, uint32_t *ret_node)
{
    uint32_t node = json_root(doc);
    struct buf name = {0};
    enum status s = node == JSON_NONE ? STATUS_NOT_FOUND : STATUS_OK;
    while (s == STATUS_OK && pointer.len > 0) {
        if (pointer.data[0] != '/') {
            s = STATUS_INVALID;
            break;
        }
        pointer = bytes_of(pointer.data + 1, pointer.len - 1);
        const uint8_t *slash = memchr(pointer.data, '/', pointer.len);
        size_t len = slash ? (size_t)(slash - pointer.data) : pointer.len;
        s = pointer_step(doc, bytes_of(pointer.data, len), &name, &node);
        pointer = bytes_of(pointer.data + len, pointer.len - len);
    }
    buf_fini(&name);
    if (s == STATUS_OK)
        *ret_node = node;
    return s;
}

void json_pointer_put_name(struct buf *out, struct bytes name)
{
    buf_put_char(out, '/');
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] == '~')
            buf_put_str(out, "~0");
        else if (name.data[i] == '/')
            buf_put_str(out, "~1");
        else
            buf_put_u8(out, name.data[i]);
    }
}

void json_pointer_of(const struct json_doc *doc, uint32_t node, struct buf *out)
{
    struct buf scratch = {0};
    uint32_t at = json_root(doc);
    while (at != node) {
        bool is_object = json_kind_of(doc, at) == JSON_OBJECT;
        uint32_t index = 0, child = json_first(doc, at);
        uint32_t after;
        /* The child whose subtree (its name included) holds the node. */
        while ((after = json_after(doc, at, child)) != JSON_NONE && after <= node) {
            child = after;
            index++;
        }
        if (is_object) {
            json_pointer_put_name(out, json_string(doc, child, &scratch));
            at = child == node ? node : child + 1;
        } else {
            buf_put_char(out, '/');
            buf_put_decimal(out, index);
            at = child;
        }
    }
    buf_fini(&scratch);
}

size_t json_cut_utf8(struct bytes text, size_t max)
{
    if (text.len <= max)
        return text.len;
    while (max > 0 && (text.data[max] & 0xc0) == 0x80)
        max--;
    return max;
}

static enum status read_all(int fd, size_t bytes_max, struct buf *out, struct err *err)
{
    uint8_t chunk[65536];
    for (;;) {
        ssize_t got = read(fd, chunk, sizeof chunk);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            err_set(err, "%m");
            return STATUS_IO;
        }
        if (got == 0)
            return out->status;
        if (out->len + (size_t)got > bytes_max) {
            err_set(err, "larger than %zu bytes", bytes_max);
            return STATUS_INVALID;
        }
        buf_put(out, chunk, (size_t)got);
    }
}

enum status json_read_file(const char *path, size_t bytes_max, struct buf *ret_text,
                           struct json_doc *ret_doc, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        err_set(err, "%s: %m", path);
        return errno == ENOENT ? STATUS_NOT_FOUND : STATUS_IO;
    }
    buf_clear(ret_text);
    enum status s = read_all(fd, bytes_max, ret_text, err);
    close(fd);
    if (s != STATUS_OK) {
        err_wrap(err, "%s", path);
        return s;
    }
    struct json_fault fault;
    s = json_scan(ret_doc, buf_bytes(ret_text), &fault);
    if (s == STATUS_INVALID)
        err_set(err, "%s:%zu:%zu: %s", path, fault.line, fault.column, fault.detail);
    return s;
}
