/*
 * RFC 7396. The members are put together as text in any order, each as it stands in its document,
 * and that text is then written canonically like any other: one more scan, and a single place that
 * knows the order of names.
 *
 * A value that only the patch has is merged with nothing, so that the nulls within its objects fall
 * away. Recursion is bounded by JSON_DEPTH_MAX, and so is the depth of what comes out.
 */
#include "schemas/json_private.h"
#include "schemas/json_write.h"

#include "base/cleanup.h"

static void merge_value(const struct json_doc *target, uint32_t target_node,
                        const struct json_doc *patch, uint32_t patch_node, struct buf *out);

static void put_name(const struct json_doc *doc, uint32_t name, struct buf *out)
{
    if (out->len && out->data[out->len - 1] != '{')
        buf_put_char(out, ',');
    buf_put_bytes(out, json_text(doc, name));
    buf_put_char(out, ':');
}

/* What the target has, with the patch's changes. */
static void put_kept(const struct json_doc *target, uint32_t object, const struct json_doc *patch,
                     uint32_t patch_object, struct buf *out)
{
    CLEANUP(json_index_fini) struct json_index changes = json_index_of(patch, patch_object);

    for (uint32_t i = json_first(target, object); i != JSON_NONE;
         i = json_after(target, object, i)) {
        uint32_t change = json_index_find(&changes, target, i);

        if (change == JSON_NONE) {
            put_name(target, i, out);
            buf_put_bytes(out, json_text(target, i + 1));
        } else if (json_kind_of(patch, change + 1) != JSON_NULL) {
            put_name(target, i, out);
            merge_value(target, i + 1, patch, change + 1, out);
        }
    }
}

/* What only the patch has. */
static void put_added(const struct json_doc *target, uint32_t object, const struct json_doc *patch,
                      uint32_t patch_object, struct buf *out)
{
    CLEANUP(json_index_fini) struct json_index present = json_index_of(target, object);

    for (uint32_t i = json_first(patch, patch_object); i != JSON_NONE;
         i = json_after(patch, patch_object, i)) {
        if (json_kind_of(patch, i + 1) == JSON_NULL ||
            json_index_find(&present, patch, i) != JSON_NONE)
            continue;
        put_name(patch, i, out);
        merge_value(NULL, JSON_NONE, patch, i + 1, out);
    }
}

static void merge_value(const struct json_doc *target, uint32_t target_node,
                        const struct json_doc *patch, uint32_t patch_node, struct buf *out)
{
    if (json_kind_of(patch, patch_node) != JSON_OBJECT) {
        buf_put_bytes(out, json_text(patch, patch_node));
        return;
    }
    if (target_node != JSON_NONE && json_kind_of(target, target_node) != JSON_OBJECT)
        target_node = JSON_NONE;
    buf_put_char(out, '{');
    if (target_node != JSON_NONE)
        put_kept(target, target_node, patch, patch_node, out);
    put_added(target, target_node, patch, patch_node, out);
    buf_put_char(out, '}');
}

void json_write_text(const struct buf *text, struct buf *out)
{
    CLEANUP(json_doc_fini) struct json_doc doc = {0};
    struct json_fault fault;
    enum status s = text->status;

    if (s == STATUS_OK)
        s = json_scan(&doc, buf_bytes(text), &fault);
    if (s == STATUS_OK)
        json_write(&doc, json_root(&doc), out);
    else if (out->status == STATUS_OK)
        out->status = s;
}

void json_merge_patch(const struct json_doc *target, uint32_t target_node,
                      const struct json_doc *patch, uint32_t patch_node, struct buf *out)
{
    CLEANUP(buf_fini) struct buf text = {0};

    merge_value(target, target_node, patch, patch_node, &text);
    json_write_text(&text, out);
}
