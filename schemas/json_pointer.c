/*
 * JSON pointers (RFC 6901): from a pointer to a node, and back. Tokens are short; an index of more
 * digits than the largest document can need is simply not there.
 */
#include "schemas/json.h"

#include "base/cleanup.h"

#define INDEX_DIGITS_MAX 9

/* "~1" and "~0" back to "/" and "~". STATUS_INVALID: another tilde. */
static enum status unescape(struct bytes token, struct buf *out)
{
    buf_clear(out);
    for (size_t i = 0; i < token.len; i++) {
        uint8_t c = token.data[i];

        if (c == '~') {
            if (++i == token.len || (token.data[i] != '0' && token.data[i] != '1'))
                return STATUS_INVALID;
            c = token.data[i] == '0' ? '~' : '/';
        }
        buf_put_u8(out, c);
    }
    return out->status;
}

static uint32_t element_at(const struct json_doc *doc, uint32_t array, struct bytes token)
{
    uint32_t index = 0, node;

    if (token.len == 0 || token.len > INDEX_DIGITS_MAX || (token.len > 1 && token.data[0] == '0'))
        return JSON_NONE;
    for (size_t i = 0; i < token.len; i++) {
        if (token.data[i] < '0' || token.data[i] > '9')
            return JSON_NONE;
        index = index * 10 + (token.data[i] - '0');
    }
    node = json_first(doc, array);
    while (node != JSON_NONE && index-- > 0)
        node = json_after(doc, array, node);
    return node;
}

/* The child that the token names, or JSON_NONE. `name` is scratch. */
static enum status step(const struct json_doc *doc, struct bytes token, struct buf *name,
                        uint32_t *inout_node)
{
    enum status s = unescape(token, name);

    if (s != STATUS_OK || *inout_node == JSON_NONE)
        return s;
    if (json_kind_of(doc, *inout_node) == JSON_OBJECT)
        *inout_node = json_member_bytes(doc, *inout_node, buf_bytes(name));
    else if (json_kind_of(doc, *inout_node) == JSON_ARRAY)
        *inout_node = element_at(doc, *inout_node, buf_bytes(name));
    else
        *inout_node = JSON_NONE;
    return STATUS_OK;
}

enum status json_pointer_find(const struct json_doc *doc, struct bytes pointer, uint32_t *ret_node)
{
    CLEANUP(buf_fini) struct buf name = {0};
    const uint8_t *at = pointer.data, *end = pointer.len ? at + pointer.len : at;

    *ret_node = json_root(doc);
    if (at != end && *at != '/')
        return STATUS_INVALID;
    while (at != end) { /* goes on where nothing was found: the rest may still be malformed */
        const uint8_t *slash = memchr(at + 1, '/', (size_t)(end - at) - 1);
        const uint8_t *token_end = slash ? slash : end;
        enum status s = step(doc, bytes_of(at + 1, (size_t)(token_end - at) - 1), &name, ret_node);

        if (s != STATUS_OK)
            return s;
        at = token_end;
    }
    return *ret_node == JSON_NONE ? STATUS_NOT_FOUND : STATUS_OK;
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
    CLEANUP(buf_fini) struct buf scratch = {0};
    uint32_t at = json_root(doc);

    while (at != node) {
        bool is_object = json_kind_of(doc, at) == JSON_OBJECT;
        uint32_t child = json_first(doc, at), after, index = 0;

        /* The last child that begins no later than the node contains it. */
        while ((after = json_after(doc, at, child)) != JSON_NONE && after <= node) {
            child = after;
            index++;
        }
        if (is_object) {
            json_pointer_put_name(out, json_string(doc, child, &scratch));
            at = child == node ? node : child + 1; /* a name is told as its member */
        } else {
            buf_put_char(out, '/');
            buf_put_decimal(out, index);
            at = child;
        }
    }
    if (scratch.status != STATUS_OK && out->status == STATUS_OK)
        out->status = scratch.status;
}
