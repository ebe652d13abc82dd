/*
 * Fuzz target: the scanner. What it accepts, cJSON must read as the same tree, with the same
 * strings and numbers (the reverse does not hold: cJSON is lax). What it refuses comes with a place
 * inside the text and a sentence that can be put into an answer.
 */
#include "schemas/json_write.h"

#include "base/must.h"

#include <cjson/cJSON.h>
#include <stdlib.h>

#define CJSON_NUMBER_MAX 63 /* characters that cJSON looks at */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static double double_of(struct bytes number)
{
    char *text = bytes_dup_str(number);
    double value;

    must(text != NULL);
    value = strtod(text, NULL);
    free(text);
    return value;
}

/* cJSON's strings end at the first NUL. */
static bool is_same_string(const struct json_doc *doc, uint32_t node, const char *other,
                           struct buf *scratch)
{
    struct bytes text = json_string(doc, node, scratch);
    const uint8_t *nul = text.len ? memchr(text.data, 0, text.len) : NULL;

    return bytes_equal(bytes_of(text.data, nul ? (size_t)(nul - text.data) : text.len),
                       bytes_of_str(other));
}

static void compare(const struct json_doc *doc, uint32_t node, const cJSON *other,
                    struct buf *scratch)
{
    const struct json_node *value = &doc->nodes[node];
    const cJSON *child = other->child;
    uint32_t count = 0;

    switch ((enum json_kind)value->kind) {
    case JSON_NULL:
        must(cJSON_IsNull(other));
        break;
    case JSON_FALSE:
        must(cJSON_IsFalse(other));
        break;
    case JSON_TRUE:
        must(cJSON_IsTrue(other));
        break;
    case JSON_NUMBER:
        must(cJSON_IsNumber(other) && other->valuedouble == double_of(json_raw(doc, node)));
        break;
    case JSON_STRING:
        must(cJSON_IsString(other) && is_same_string(doc, node, other->valuestring, scratch));
        break;
    case JSON_ARRAY:
    case JSON_OBJECT:
        must(value->kind == JSON_ARRAY ? cJSON_IsArray(other) : cJSON_IsObject(other));
        for (uint32_t i = json_first(doc, node); i != JSON_NONE; i = json_after(doc, node, i)) {
            must(child != NULL);
            if (value->kind == JSON_OBJECT)
                must(is_same_string(doc, i, child->string, scratch));
            compare(doc, i + (value->kind == JSON_OBJECT), child, scratch);
            child = child->next;
            count++;
        }
        must(child == NULL && count == value->count);
        break;
    }
}

static bool has_long_number(const struct json_doc *doc)
{
    for (uint32_t i = 0; i < doc->node_count; i++) {
        if (doc->nodes[i].kind == JSON_NUMBER && doc->nodes[i].len > CJSON_NUMBER_MAX)
            return true;
    }
    return false;
}

/* Every node lies within the one around it and behind the one before. */
static void check_nodes(const struct json_doc *doc)
{
    must(doc->node_count > 0 && doc->nodes[0].next == doc->node_count);
    for (uint32_t i = 0; i < doc->node_count; i++) {
        const struct json_node *node = &doc->nodes[i];

        must(node->next > i && node->next <= doc->node_count);
        must((size_t)node->start + node->len <= doc->text_bytes);
        must(i == 0 || node->start > doc->nodes[i - 1].start);
        if (node->flags & JSON_IS_NAME)
            must(node->kind == JSON_STRING && node->next == i + 1);
    }
}

static void check_fault(const struct json_fault *fault, size_t len)
{
    struct buf text = {0};
    struct json_doc doc = {0};
    struct json_fault other;

    must(fault->offset <= len && fault->line >= 1 && fault->column >= 1);
    must(fault->line - 1 + fault->column - 1 <= fault->offset);
    json_put_str(&text, fault->detail);
    must(json_scan(&doc, buf_bytes(&text), &other) == STATUS_OK && doc.nodes[0].len > 0);
    json_doc_fini(&doc);
    buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct json_doc doc; /* used again and again, as the server does */
    static struct buf scratch;
    struct json_fault fault;
    cJSON *other;

    if (json_scan(&doc, bytes_of(data, len), &fault) != STATUS_OK) {
        must(doc.node_count == 0);
        check_fault(&fault, len);
        return 0;
    }
    check_nodes(&doc);
    if (has_long_number(&doc))
        return 0;
    other = cJSON_ParseWithLength((const char *)data, len);
    must(other != NULL);
    compare(&doc, json_root(&doc), other, &scratch);
    cJSON_Delete(other);
    return 0;
}
