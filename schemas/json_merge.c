/*
 * RFC 7396, written straight to text: members of the target that the patch leaves alone or
 * replaces, in the target's order, then those that only the patch has. A value that the patch
 * brings is itself merged with nothing, so that the nulls within its objects fall away.
 *
 * The text made here is scanned again by whoever needs a document; integer-like names are put in
 * place by the canonical writer whenever a record is shown.
 */
#include "schemas/json_write.h"

static void put_name(const struct json_doc *doc, uint32_t name, bool *inout_is_first,
                     struct buf *out)
{
    if (!*inout_is_first)
        buf_put_char(out, ',');
    *inout_is_first = false;
    buf_put_bytes(out, json_text(doc, name));
    buf_put_char(out, ':');
}

static uint32_t find(const struct json_doc *doc, uint32_t object, const struct json_doc *other,
                     uint32_t name)
{
    if (object == JSON_NONE)
        return JSON_NONE;
    struct buf scratch = {0};
    uint32_t found = json_member_bytes(doc, object, json_string(other, name, &scratch));
    buf_fini(&scratch);
    return found;
}

void json_merge_patch(const struct json_doc *target, uint32_t target_node,
                      const struct json_doc *patch, uint32_t patch_node, struct buf *out)
{
    if (json_kind_of(patch, patch_node) != JSON_OBJECT) {
        json_write(patch, patch_node, out);
        return;
    }
    if (target_node != JSON_NONE && json_kind_of(target, target_node) != JSON_OBJECT)
        target_node = JSON_NONE;
    bool is_first = true;
    buf_put_char(out, '{');
    for (uint32_t i = target_node == JSON_NONE ? JSON_NONE : json_first(target, target_node);
         i != JSON_NONE; i = json_after(target, target_node, i)) {
        uint32_t change = find(patch, patch_node, target, i);
        if (change != JSON_NONE && json_kind_of(patch, change) == JSON_NULL)
            continue;
        put_name(target, i, &is_first, out);
        if (change == JSON_NONE)
            buf_put_bytes(out, json_text(target, i + 1)); /* untouched, as the sender wrote it */
        else
            json_merge_patch(target, i + 1, patch, change, out);
    }
    for (uint32_t i = json_first(patch, patch_node); i != JSON_NONE;
         i = json_after(patch, patch_node, i)) {
        if (json_kind_of(patch, i + 1) == JSON_NULL ||
            find(target, target_node, patch, i) != JSON_NONE)
            continue;
        put_name(patch, i, &is_first, out);
        json_merge_patch(target, JSON_NONE, patch, i + 1, out);
    }
    buf_put_char(out, '}');
}
